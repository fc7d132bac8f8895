"""One endorsement: what it is about, its bytes, what proves them, and when they hold."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from assay.errors import EndorsementError
from assay.evidence.decoding.strictjson import JsonError, member, parse_object
from assay.evidence.facts import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_PART_BYTES: Final = 4 << 20
MAX_PARTS: Final = 16
MAX_RECORD_BYTES: Final = 32 << 10
_MAX_SOURCES: Final = 16
_WORD: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PART: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_VALUE: Final = re.compile(r"[!-~]{1,8192}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class Basis(StrEnum):
    """What proves an endorsement.

    ``signature``: its publisher signed it, under a root of trust. Whoever carries it cannot change it.
    ``tls``: nobody signed it. It is what a host answered that proved its name by TLS, at one time to one
    machine; who hands it on could have written it.
    """

    SIGNATURE = "signature"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an endorsement is about: a kind, and what selects one of that kind.

    Attributes:
        kind: ``intel-collateral``, ``amd-vek``, ...
        key: Names and values, ordered by name. The values come from evidence that nobody has authenticated:
            they select, and prove nothing.

    Raises:
        EndorsementError: ``endorsements.wanted.malformed``.
    """

    kind: str
    key: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.key]
        well_formed = (
            _WORD.fullmatch(self.kind)
            and len(names) <= MAX_PARTS
            and names == sorted(set(names))
            and all(_WORD.fullmatch(name) and _VALUE.fullmatch(value) for name, value in self.key)
        )
        if not well_formed:
            raise EndorsementError(
                "endorsements.wanted.malformed",
                "The evidence does not say which endorsement it needs, or says it in no known form.",
            )

    @classmethod
    def of(cls, kind: str, /, **key: str) -> Wanted:
        """Return what is wanted; underscores in names stand for hyphens, empty values are left out."""
        named = ((name.replace("_", "-"), value) for name, value in key.items() if value)
        return cls(kind, tuple(sorted(named)))

    def __getitem__(self, name: str) -> str:
        return dict(self.key)[name]

    def get(self, name: str) -> str:
        """Return the value of a name; empty when there is none."""
        return dict(self.key).get(name, "")

    def demand(self, name: str, form: re.Pattern[str]) -> str:
        """Return the value of a name that has a form.

        Raises:
            EndorsementError: ``endorsements.wanted.malformed``.
        """
        value = self.get(name)
        if not form.fullmatch(value):
            raise EndorsementError(
                "endorsements.wanted.malformed",
                f"The evidence does not say which {self.kind} it needs: {name} is missing or malformed.",
            )
        return value

    @property
    def digest(self) -> str:
        """SHA-256 over kind and key, hexadecimal: the name under which it is kept."""
        return hashlib.sha256(rfc8785.dumps([self.kind, [list(pair) for pair in self.key]])).hexdigest()

    def __str__(self) -> str:
        shown = ", ".join(
            f"{name} {value if len(value) <= 24 else value[:16] + '...'}" for name, value in self.key
        )
        return f"{self.kind} ({shown})" if shown else self.kind


@dataclass(frozen=True, slots=True)
class Endorsement:
    """Bytes that vouch for hardware, and what was verified about them.

    Attributes:
        wanted: What it is about.
        parts: The documents by name, as bytes.
        window: When they hold, aware UTC, whole seconds.
        fetched: When they were fetched.
        sources: The addresses that they came from.
        basis: What proves them.
        anchor: SHA-256 of the root certificate in which their signatures end, hexadecimal; for ``tls`` the
            host that answered, or several joined by commas.

    Raises:
        EndorsementError: ``endorsements.record.malformed`` when a part or the whole is out of bounds.
    """

    wanted: Wanted
    parts: Mapping[str, bytes]
    window: Window
    fetched: datetime
    sources: tuple[str, ...]
    basis: Basis
    anchor: str

    def __post_init__(self) -> None:
        sizes = [len(data) for data in self.parts.values()]
        if not 0 < len(sizes) <= MAX_PARTS or max(sizes) > MAX_PART_BYTES:
            raise _malformed(
                f"it has no parts, more than {MAX_PARTS}, or one of more than {MAX_PART_BYTES} bytes"
            )
        if not all(map(_PART.fullmatch, self.parts)):
            raise _malformed("a part has no proper name")
        if len(self.sources) > _MAX_SOURCES or not all(map(_VALUE.fullmatch, self.sources)):
            raise _malformed("a source is no address")
        if not _VALUE.fullmatch(self.anchor):
            raise _malformed("the anchor is no word")
        object.__setattr__(self, "parts", MappingProxyType(dict(sorted(self.parts.items()))))

    def stale(self, now: datetime) -> bool:
        """Return whether it does not hold at ``now``."""
        return now not in self.window

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each part, hexadecimal."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.parts.items()}

    def record(self) -> dict[str, Any]:
        """Return everything but the bytes of the parts, JSON-ready; they stand there by their digests."""
        return {
            "kind": self.wanted.kind,
            "key": dict(self.wanted.key),
            "parts": self.digests(),
            "valid_from": self.window.start.strftime(_TIME),
            "valid_until": self.window.end.strftime(_TIME),
            "fetched": self.fetched.strftime(_TIME),
            "sources": list(self.sources),
            "basis": self.basis.value,
            "anchor": self.anchor,
        }


def whole_seconds(moment: datetime) -> datetime:
    """Return a time in UTC without its fraction of a second."""
    return moment.astimezone(UTC).replace(microsecond=0)


def read_record(members: dict[str, Any], part: Callable[[str], bytes]) -> Endorsement:
    """Return the endorsement that a record describes.

    Args:
        members: The JSON object, strictly decoded.
        part: Gives the bytes with a SHA-256; raises EndorsementError when it has none.

    Raises:
        EndorsementError: ``endorsements.record.malformed``, ``endorsements.wanted.malformed``, or what
            ``part`` raises.
    """
    try:
        key = member(members, "key", dict)
        parts = member(members, "parts", dict)
        sources = member(members, "sources", list)
        values = [*key.values(), *parts.values(), *sources]
        if not all(type(value) is str for value in values) or len(parts) > MAX_PARTS:
            raise _malformed("key, parts or sources are not of strings")
        if not all(map(DIGEST.fullmatch, parts.values())):
            raise _malformed("a part has no digest")
        return Endorsement(
            wanted=Wanted(member(members, "kind", str), tuple(sorted(key.items()))),
            parts={name: part(digest) for name, digest in parts.items()},
            window=Window(_time(members, "valid_from"), _time(members, "valid_until")),
            fetched=_time(members, "fetched"),
            sources=tuple(sources),
            basis=Basis(member(members, "basis", str)),
            anchor=member(members, "anchor", str),
        )
    except JsonError as error:
        raise _malformed(error.message) from None
    except ValueError:
        raise _malformed("a time or the basis is malformed") from None


def parse_record(data: bytes) -> dict[str, Any]:
    """Return the members of an encoded record.

    Raises:
        EndorsementError: ``endorsements.record.malformed``.
    """
    try:
        return parse_object(data, max_bytes=MAX_RECORD_BYTES)
    except JsonError as error:
        raise _malformed(error.message) from None


def _time(members: dict[str, Any], name: str) -> datetime:
    return datetime.strptime(member(members, name, str), _TIME).replace(tzinfo=UTC)


def _malformed(why: str) -> EndorsementError:
    return EndorsementError("endorsements.record.malformed", f"This is no record of an endorsement: {why}.")
