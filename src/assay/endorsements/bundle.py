"""One file that makes verification possible where there is no network: endorsements and what they are about.

A bundle is an uncompressed tar (ustar) in one form only: ``manifest.json`` first, canonical JSON, then every
part once under its SHA-256, in order, headers without owner or time. The same endorsements always give the
same bytes, and bytes that differ from that form anywhere are refused: there is nothing in a bundle that its
manifest does not name, no path to leave a directory by, and nothing to inflate.

Nobody signs a bundle. What its parts vouch for is verified again by whoever uses them; those of basis ``tls``
have no signature, and rest on whoever handed over the bundle.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from assay.endorsements.record import DIGEST, Endorsement, read_record, whole_seconds
from assay.errors import EndorsementError
from assay.evidence.decoding.strictjson import JsonError, member, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from assay.endorsements.record import Wanted

SCHEMA: Final = "assay/endorsements-bundle/v1"
MAX_BUNDLE_BYTES: Final = 64 << 20
MAX_MANIFEST_BYTES: Final = 4 << 20
MAX_ENTRIES: Final = 1024
_BLOCK: Final = 512
_END: Final = bytes(2 * _BLOCK)
_MANIFEST: Final = "manifest.json"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Endorsements to carry along.

    Attributes:
        created: When it was made, aware UTC, whole seconds; its maker's word.
        endorsements: By kind and key; no two about the same thing.

    Raises:
        EndorsementError: ``endorsements.bundle.duplicate``, ``endorsements.bundle.too_large``.
    """

    created: datetime
    endorsements: tuple[Endorsement, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.endorsements, key=_order))
        if len({each.wanted for each in ordered}) != len(ordered):
            raise EndorsementError(
                "endorsements.bundle.duplicate", "Two endorsements are about the same thing."
            )
        if len(ordered) > MAX_ENTRIES:
            raise _too_large()
        object.__setattr__(self, "endorsements", ordered)

    @classmethod
    def of(cls, endorsements: Iterable[Endorsement], *, created: datetime) -> Bundle:
        """Return a bundle of these endorsements."""
        return cls(whole_seconds(created), tuple(endorsements))

    def find(self, wanted: Wanted) -> Endorsement | None:
        """Return the endorsement about a thing."""
        return next((each for each in self.endorsements if each.wanted == wanted), None)

    def age(self, now: datetime) -> timedelta:
        """Return how long ago it was made; negative when its date lies in the future."""
        return now - self.created

    def check_age(self, now: datetime, *, at_most: timedelta) -> None:
        """Check that it is no older than its reader accepts.

        Raises:
            EndorsementError: ``endorsements.bundle.old``, ``endorsements.bundle.future``.
        """
        age = self.age(now)
        if age.total_seconds() < 0:
            raise EndorsementError(
                "endorsements.bundle.future",
                f"The bundle is dated {self.created:%Y-%m-%d %H:%M} UTC, which is yet to come.",
                action="Set the clock of this machine, or make a new bundle.",
            )
        if age > at_most:
            raise EndorsementError(
                "endorsements.bundle.old",
                f"The bundle was made {_span(age)} ago; at most {_span(at_most)} are accepted.",
                action="Make a new one where there is a network: assay endorsements bundle.",
            )

    def encode(self) -> bytes:
        """Return the one file that holds this.

        Raises:
            EndorsementError: ``endorsements.bundle.too_large``.
        """
        parts = {
            digest: each.parts[name] for each in self.endorsements for name, digest in each.digests().items()
        }
        manifest = rfc8785.dumps(
            {
                "schema": SCHEMA,
                "created": self.created.strftime(_TIME),
                "endorsements": [each.record() for each in self.endorsements],
                "parts": {digest: len(data) for digest, data in parts.items()},
            }
        )
        size = len(manifest) + sum(len(data) + 2 * _BLOCK for data in parts.values())
        if len(manifest) > MAX_MANIFEST_BYTES or size > MAX_BUNDLE_BYTES - 4 * _BLOCK:
            raise _too_large()
        files = [_file(_MANIFEST, manifest), *(_file(f"parts/{name}", parts[name]) for name in sorted(parts))]
        return b"".join(files) + _END

    @classmethod
    def decode(cls, data: bytes) -> Bundle:
        """Read a bundle; whatever is not exactly what ``encode`` writes is refused.

        Args:
            data: The file, at most 64 MiB.

        Raises:
            EndorsementError: ``endorsements.bundle.malformed``, ``endorsements.bundle.too_large``,
                ``endorsements.bundle.altered`` when a part is not the one that the manifest names,
                ``endorsements.bundle.duplicate``; ``endorsements.record.malformed``.
        """
        if len(data) > MAX_BUNDLE_BYTES:
            raise _too_large()
        manifest, pos = _member(data, 0, _MANIFEST, MAX_MANIFEST_BYTES)
        try:
            top = parse_object(manifest, max_bytes=MAX_MANIFEST_BYTES)
            sizes = member(top, "parts", dict)
            records = member(top, "endorsements", list)
            created = datetime.strptime(member(top, "created", str), _TIME).replace(tzinfo=UTC)
            if top.get("schema") != SCHEMA:
                raise _malformed("it is of another schema")
        except JsonError as error:
            raise _malformed(error.message) from None
        except ValueError:
            raise _malformed("its date is malformed") from None
        if len(records) > MAX_ENTRIES or not all(type(each) is dict for each in records):
            raise _malformed("its endorsements are too many, or no objects")
        parts = _parts(data, pos, sizes)
        found = cls(
            created, tuple(read_record(each, lambda digest: _named(parts, digest)) for each in records)
        )
        if found.encode() != data:
            raise _malformed("it is not in its one form")
        return found

    def files(self) -> dict[str, bytes]:
        """Return every part under a file name of its own: kind, what selects it, and its name."""
        return {
            f"{each.wanted.kind}-{each.wanted.digest[:16]}-{name}": part
            for each in self.endorsements
            for name, part in each.parts.items()
        }


def is_bundle(data: bytes) -> bool:
    """Return whether a file begins like a bundle. Nothing is trusted for it."""
    return data.startswith(_MANIFEST.encode() + b"\0") and data[257:262] == b"ustar"


def _span(time: timedelta) -> str:
    """Return a time in the largest unit of which it has at least two."""
    minutes = int(time.total_seconds()) // 60
    named = ((time.days, "days"), (minutes // 60, "hours"))
    return next((f"{count} {unit}" for count, unit in named if count > 1), f"{minutes} minutes")


def _order(endorsement: Endorsement) -> tuple[str, tuple[tuple[str, str], ...]]:
    return endorsement.wanted.kind, endorsement.wanted.key


def _parts(data: bytes, pos: int, sizes: Mapping[str, Any]) -> dict[str, bytes]:
    """Read every part that the manifest names, in order, and check it against its name."""
    found = {}
    for digest in sorted(sizes):
        size = sizes[digest]
        if not DIGEST.fullmatch(digest):
            raise _malformed("a part is not named after its digest")
        if type(size) is not int or not 0 <= size <= len(data):
            raise _malformed("a part has no size")
        part, pos = _member(data, pos, f"parts/{digest}", size)
        if len(part) != size or hashlib.sha256(part).hexdigest() != digest:
            raise EndorsementError(
                "endorsements.bundle.altered", "A part of the bundle is not the one that its manifest names."
            )
        found[digest] = part
    return found


def _named(parts: Mapping[str, bytes], digest: str) -> bytes:
    if digest not in parts:
        raise _malformed("a part that it names is not in it")
    return parts[digest]


def _file(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + bytes(-len(data) % _BLOCK)


def _header(name: str, size: int) -> bytes:
    """Return the one header (POSIX.1-1988 ustar, 512 bytes) of a file of that name and size."""
    numbers = ("0000644", "0000000", "0000000", f"{size:011o}", "00000000000")  # mode, uid, gid, size, mtime
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        *(number.encode("ascii") + b"\0" for number in numbers),
        b" " * 8,  # the checksum is summed as spaces
        b"0".ljust(101, b"\0"),  # a regular file, linked to nothing
        b"ustar\0",
        b"00",
    )
    blank = b"".join(fields).ljust(_BLOCK, b"\0")
    return blank[:148] + f"{sum(blank):06o}".encode("ascii") + b"\0 " + blank[156:]


def _member(data: bytes, pos: int, name: str, limit: int) -> tuple[bytes, int]:
    """Return the file at ``pos``, which must be of that name, and where the next one begins."""
    digits = data[pos + 124 : pos + 135]
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise _malformed(f"{name[:20]} is missing")
    size = int(digits, 8)
    start = pos + _BLOCK
    end = start + size
    after = end + -size % _BLOCK
    if data[pos:start] != _header(name, size):
        raise _malformed(f"{name[:20]} is missing, or its header is of another form")
    if size > limit or after > len(data):
        raise _malformed(f"{name[:20]} does not end where it says")
    return data[start:end], after


def _malformed(why: str) -> EndorsementError:
    return EndorsementError("endorsements.bundle.malformed", f"The file is no bundle of endorsements: {why}.")


def _too_large() -> EndorsementError:
    return EndorsementError(
        "endorsements.bundle.too_large",
        f"A bundle has at most {MAX_ENTRIES} endorsements and {MAX_BUNDLE_BYTES >> 20} MiB.",
    )
