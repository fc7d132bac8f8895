"""Reference Values as every measurement here returns them, and as appraisal takes them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.decoding import strictjson
from assay.reference.artefact import LARGEST_NAME, ArtefactDigest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

SCHEMA: Final = "assay/measured/v1"
LARGEST_DOCUMENT: Final = 1 << 20
MAX_REGISTERS: Final = 64
MAX_VALUES: Final = 256
LONGEST_VALUE: Final = 64
MAX_ARTEFACTS: Final = 320
"""An image of 256 layers, its manifest and its configuration, and what is put together with it."""
MAX_PARAMETERS: Final = 64
MAX_NOTES: Final = 32
LONGEST_TEXT: Final = 64 * 1024
VALID_UNTIL: Final = "valid_until"
"""The parameter that says until when the source of values vouches for them: ISO 8601 with its zone."""
_PLATFORM = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_REGISTER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_UNPAIRED = re.compile(r"[\ud800-\udfff]")  # in no canonical form, and so never signed
_MEMBERS = {"platform", "registers", "artefacts", "parameters", "notes"}


@dataclass(frozen=True, slots=True)
class Measured:
    """What artefacts make a platform measure.

    Attributes:
        platform: Name of the platform, as policies write it: ``snp``, ``tdx``, ``tpm``.
        registers: Allowed values of each register, by the name that policies and Claims use: ``mr_td``,
            ``measurement``, ``pcr4``. More than one where the artefacts leave it open.
        artefacts: What was measured.
        parameters: What else decided, as short text: the number of vCPUs, the hypervisor.
        notes: What these values do not cover, one sentence each.
    """

    platform: str
    registers: Mapping[str, frozenset[bytes]]
    artefacts: tuple[ArtefactDigest, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return these as JSON members, values in lower-case hexadecimal and sorted."""
        return {
            "platform": self.platform,
            "registers": {
                name: sorted(value.hex() for value in values)
                for name, values in sorted(self.registers.items())
            },
            "artefacts": [
                {"role": each.role, "name": each.name, "size": each.size, "sha256": each.sha256.hex()}
                for each in self.artefacts
            ],
            "parameters": dict(sorted(self.parameters.items())),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Measured:
        """Read what ``to_json`` wrote; each member must be there and no other.

        Raises:
            ReferenceValueError: ``reference.values.malformed``, ``reference.values.too_many``.
        """
        if document.keys() != _MEMBERS:
            _refuse("malformed", "Reference Values do not have the members that they must have.")
        platform = document["platform"]
        if not isinstance(platform, str) or not _PLATFORM.fullmatch(platform):
            _refuse("malformed", "The platform of Reference Values is not a name.")
        notes = _list(document["notes"], MAX_NOTES)
        return cls(
            platform,
            _registers(document["registers"]),
            tuple(_artefact(each) for each in _list(document["artefacts"], MAX_ARTEFACTS)),
            _parameters(document["parameters"]),
            tuple(_text(each) for each in notes),
        )


def write_measured(measured: Measured) -> bytes:
    """Return a file that holds measured values: JSON, unsigned.

    Raises:
        ReferenceValueError: as ``read_measured``: what could not be read is not written.
    """
    data = json.dumps({"schema": SCHEMA, **measured.to_json()}, indent=1).encode() + b"\n"
    read_measured(data)
    return data


def read_measured(data: bytes) -> Measured:
    """Read a file that ``write_measured`` made.

    Raises:
        ReferenceValueError: ``reference.values.malformed``, ``reference.values.too_many``.
    """
    document = parse_document(data)
    if document.pop("schema", None) != SCHEMA:
        _refuse("malformed", f"The file does not hold values of the form {SCHEMA}.")
    return Measured.from_json(document)


def parse_document(data: bytes) -> dict[str, Any]:
    """Parse strict JSON of at most 1 MiB.

    Raises:
        ReferenceValueError: ``reference.values.malformed``.
    """
    try:
        return strictjson.parse_object(data, max_bytes=LARGEST_DOCUMENT)
    except EvidenceError as error:
        raise ReferenceValueError("reference.values.malformed", error.message) from error


def valid_until(measured: Measured) -> datetime | None:
    """Return until when the sources of values vouch for them, the earliest; None where none says it.

    Raises:
        ReferenceValueError: ``reference.values.malformed`` for what is no time.
    """
    said = [text for name, text in measured.parameters.items() if name.rpartition(".")[2] == VALID_UNTIL]
    try:
        ends = [datetime.fromisoformat(text) for text in said]
    except ValueError:
        ends = [datetime.min]  # noqa: DTZ901 - refused below
    if any(end.tzinfo is None for end in ends):
        _refuse("malformed", "The values do not say in ISO 8601, with a zone, until when they hold.")
    return min(ends, default=None)


def held_until(measured: Measured, end: datetime) -> Measured:
    """Return values for which nobody vouches beyond a moment, nor beyond the one that they state already.

    Raises:
        ReferenceValueError: As ``valid_until`` does.
    """
    stated = valid_until(measured)
    until = end if stated is None else min(end, stated)
    return replace(measured, parameters={**measured.parameters, VALID_UNTIL: until.isoformat()})


def union(measured: Sequence[Measured]) -> Measured:
    """Return what any of them allows: values of one register are put together.

    Raises:
        ReferenceValueError: ``reference.values.platforms`` when they are of different platforms;
            ``reference.values.malformed``, ``reference.values.too_many``.
    """
    platforms = {each.platform for each in measured}
    if len(platforms) != 1:
        _refuse("platforms", f"The values are of several platforms: {', '.join(sorted(platforms))}.")
    registers: dict[str, frozenset[bytes]] = {}
    for each in measured:
        for name, values in each.registers.items():
            registers[name] = registers.get(name, frozenset()) | values
    first, *more = measured
    if not more:
        return first
    found = Measured(
        first.platform,
        registers,
        tuple(dict.fromkeys(artefact for each in measured for artefact in each.artefacts)),
        {
            f"{index}.{key}": text
            for index, each in enumerate(measured)
            for key, text in each.parameters.items()
        },
        tuple(dict.fromkeys(note for each in measured for note in each.notes)),
    )
    return Measured.from_json(found.to_json())


def canonical(document: Any) -> bytes:
    """Return the one form of a JSON document (RFC 8785).

    Raises:
        ReferenceValueError: ``reference.values.malformed`` for what has none: an integer beyond 53 bits.
    """
    try:
        return rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise ReferenceValueError(
            "reference.values.malformed", "A document has no canonical form in JSON."
        ) from error


def _registers(document: Any) -> dict[str, frozenset[bytes]]:
    if not isinstance(document, dict) or not document:
        _refuse("malformed", "Reference Values name no register.")
    if len(document) > MAX_REGISTERS:
        _refuse("too_many", f"Reference Values name more than {MAX_REGISTERS} registers.")
    found = {}
    for name, values in document.items():
        texts = _list(values, MAX_VALUES)
        if not _REGISTER.fullmatch(name) or not texts:
            _refuse("malformed", "A register has no proper name, or no value.")
        found[name] = frozenset(_value(each) for each in texts)
        if len(found[name]) != len(texts):
            _refuse("malformed", f"The register {name} has the same value twice.")
    return found


def _value(text: Any) -> bytes:
    if not isinstance(text, str) or not _HEX.fullmatch(text) or len(text) > 2 * LONGEST_VALUE:
        _refuse("malformed", f"A value is not 1 to {LONGEST_VALUE} bytes in lower-case hexadecimal.")
    return bytes.fromhex(text)


def _artefact(document: Any) -> ArtefactDigest:
    if not isinstance(document, dict) or document.keys() != {"role", "name", "size", "sha256"}:
        _refuse("malformed", "An artefact does not have the members that it must have.")
    size, digest = document["size"], _value(document["sha256"])
    if type(size) is not int or size < 0 or len(digest) != 32:
        _refuse("malformed", "An artefact has no proper size or digest.")
    name, role = _text(document["name"]), _text(document["role"])
    if len(name) > LARGEST_NAME or not _REGISTER.fullmatch(role):
        _refuse("malformed", "An artefact has no proper name or role.")
    return ArtefactDigest(role, name, size, digest)


def _parameters(document: Any) -> dict[str, str]:
    if not isinstance(document, dict):
        _refuse("malformed", "The parameters are not an object.")
    if len(document) > MAX_PARAMETERS:
        _refuse("too_many", f"There are more than {MAX_PARAMETERS} parameters.")
    return {_text(name): _text(value) for name, value in document.items()}


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list):
        _refuse("malformed", "A member of Reference Values that must be an array is not one.")
    if len(value) > most:
        _refuse("too_many", f"A member of Reference Values has more than {most} items.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or _UNPAIRED.search(value):
        _refuse("malformed", "A text of Reference Values is none, or is too long.")
    return value


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.values.{code}", message)
