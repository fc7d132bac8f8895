"""Google's signed word for the firmware of its confidential virtual machines.

The endorsement is two messages of Protocol Buffers: the outer one holds the inner one as bytes and a
signature over these (RSA-PSS, SHA-256, salt 32) by a key whose certificate, in the inner message, the root
``GCE-cc-tcb-root`` issued. The inner one holds the firmware's SHA-384, launch measurements for SEV-SNP by
number of save areas, and MRTDs for TDX by amount of memory. Nothing outside the inner message is signed.

Source: google/gce-tcb-verifier, ``proto/endorsement.proto`` and ``verify/verify.go``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.x509.general import GeneralCertificate, KeyKind
from assay.evidence.x509.path import PathDefect, PathLength, Position, verify_path
from assay.evidence.x509.roles import DIGITAL_SIGNATURE
from assay.evidence.x509.signature import SignatureAlgorithm, verify_signature
from assay.reference.artefact import ArtefactDigest
from assay.reference.values import Measured

if TYPE_CHECKING:
    from typing import NoReturn

LARGEST: Final = 1 << 20
MAX_FIELDS: Final = 4096
MAX_MEASUREMENTS: Final = 1024
MAX_NAMED: Final = 16
"""Unknown fields that the notes of values name; of more the number is said, since notes are few."""
ROOT_NAME: Final = "GCE-cc-tcb-root"
SIGNER_NAME: Final = "GCE-uefi-signer"
PUBLISHED_TEST_KEYS: Final = frozenset(
    {bytes.fromhex("1cbee3806bac8a37bb39911841d60d36974f78ee47b47487e0700dc0c2f79165")}
)
"""SHA-256 of the SubjectPublicKeyInfo of roots whose private keys are public: the development keys of
Google's verifier, which carry the production root's name."""
_DIGEST_BYTES = 48
_ALGORITHMS = frozenset({SignatureAlgorithm.RSA_PSS_SHA256, SignatureAlgorithm.RSA_PKCS1_SHA256})
_POSITIONS = (
    Position(
        "firmware signer",
        authority=False,
        names=frozenset({SIGNER_NAME}),
        keys=frozenset({KeyKind.RSA}),
        algorithms=_ALGORITHMS,
        usage=DIGITAL_SIGNATURE,
    ),
    Position(
        "firmware root",
        authority=True,
        names=frozenset({ROOT_NAME}),
        keys=frozenset({KeyKind.RSA}),
        algorithms=_ALGORITHMS,
        path_length=PathLength.ANY,
    ),
)
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
# Fields of the messages: number, and the type of what is there. Whoever reads a field demands its type, so
# that this is needed where a field is not read, or where those that are not known are told.
_OUTER = {1: _BYTES, 2: _BYTES}
_GOLDEN = {1: _BYTES, 2: _VARINT, 3: _BYTES, 4: _BYTES, 5: _BYTES, 6: _BYTES, 7: _BYTES, 8: _BYTES}
_SNP = {1: _VARINT, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _VARINT, 6: _BYTES, 7: _BYTES}
_SNP_ENTRY = {1: _VARINT, 2: _BYTES}
_TDX = {1: _VARINT, 2: _BYTES}
_TDX_ENTRY = {1: _VARINT, 2: _VARINT, 3: _BYTES}
_TIME = {1: _VARINT, 2: _VARINT}

Fields = Mapping[int, list[int | bytes]]


@dataclass(frozen=True, slots=True)
class FirmwareEndorsement:
    """What Google signed of one firmware image.

    Attributes:
        issued: When it was signed.
        firmware: SHA-384 of the image, 48 bytes.
        snp: Launch measurements by number of save areas; under 0 that of a guest with a service module.
        snp_svn: Security version of the firmware under SEV-SNP; None when nothing is said of it.
        tdx: MRTDs by memory in GiB and whether the firmware accepts all memory early.
        tdx_svn: Security version of the firmware under TDX; None when nothing is said of it.
        signer: SHA-256 of the signer's certificate, 32 bytes.
        unknown: Fields that are signed, but not known here, those inside of single measurements included.
    """

    issued: datetime
    firmware: bytes
    snp: Mapping[int, bytes]
    snp_svn: int | None
    tdx: Mapping[tuple[int, bool], bytes]
    tdx_svn: int | None
    signer: bytes
    unknown: tuple[str, ...]

    def measured(self, platform: str) -> Measured:
        """Return the values for one platform: ``measurement`` of ``snp``, or ``mr_td`` of ``tdx``.

        Raises:
            ReferenceValueError: ``reference.gcp.platform`` when nothing is endorsed for it.
        """
        found = {"snp": ("measurement", self.snp.values()), "tdx": ("mr_td", self.tdx.values())}
        register, values = found.get(platform, ("", ()))
        if not values:
            _refuse("platform", f"The endorsement holds no values for {platform}.")
        svn = self.snp_svn if platform == "snp" else self.tdx_svn
        parameters = {
            "firmware_sha384": self.firmware.hex(),
            "firmware_svn": str(svn or 0),
            "issued": self.issued.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "signer_sha256": self.signer.hex(),
        }
        return Measured(platform, {register: frozenset(values)}, (), parameters, tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        for each in self.unknown[:MAX_NAMED]:
            yield f"The endorsement also holds {each}; that is not appraised."
        if more := len(self.unknown[MAX_NAMED:]):
            yield f"Unknown fields of the endorsement not named here: {more}; they are not appraised."


def verify_endorsement(data: bytes, root: bytes, *, now: datetime) -> FirmwareEndorsement:
    """Verify an endorsement and read it.

    Args:
        data: The outer message, at most 1 MiB.
        root: Google's root for firmware, DER; the caller has reason to trust it.
        now: The moment of use.

    Raises:
        ReferenceValueError: ``reference.gcp.malformed``, ``reference.gcp.certificate``,
            ``reference.gcp.test_root``, ``reference.gcp.signature``.
    """
    if len(data) > LARGEST:
        _refuse("malformed", f"An endorsement has at most {LARGEST} bytes.")
    outer = _fields(data, _OUTER, strict=True)
    inner, signature = _bytes(outer, 1), _bytes(outer, 2)
    golden = _fields(inner, _GOLDEN)
    certificate = _signer(_bytes(golden, 4), root, now)
    if not verify_signature(certificate.key(), SignatureAlgorithm.RSA_PSS_SHA256, signature, inner):
        _refuse("signature", "The endorsement is not signed by the key of its certificate.")
    return _golden(golden, hashlib.sha256(certificate.der).digest())


def describe(data: bytes, name: str) -> ArtefactDigest:
    """Return what names an endorsement in a manifest."""
    return ArtefactDigest("endorsement", name, len(data), hashlib.sha256(data).digest())


def _signer(leaf: bytes, root: bytes, now: datetime) -> GeneralCertificate:
    try:
        chain = [GeneralCertificate.parse(leaf), GeneralCertificate.parse(root)]
    except EvidenceError as error:
        raise ReferenceValueError("reference.gcp.certificate", error.message) from error
    if hashlib.sha256(chain[1].spki).digest() in PUBLISHED_TEST_KEYS:
        _refuse("test_root", "The private key of this root is public: anyone can sign endorsements under it.")
    found = verify_path(chain, _POSITIONS, now)
    if isinstance(found, PathDefect):
        _refuse("certificate", found.reason)
    return chain[0]


def _golden(golden: Fields, signer: bytes) -> FirmwareEndorsement:
    time = _fields(_bytes(golden, 1), _TIME)
    snp = _fields(_bytes(golden, 7), _SNP) if 7 in golden else {}
    tdx = _fields(_bytes(golden, 8), _TDX) if 8 in golden else {}
    by_save_areas = [_fields(each, _SNP_ENTRY) for each in _repeated(snp, 2)]
    by_memory = [_fields(each, _TDX_ENTRY) for each in _repeated(tdx, 2)]
    messages = (
        ("the firmware", [golden], _GOLDEN),
        ("its time", [time], _TIME),
        ("SNP", [snp], _SNP),
        ("a measurement of SNP", by_save_areas, _SNP_ENTRY),
        ("TDX", [tdx], _TDX),
        ("a measurement of TDX", by_memory, _TDX_ENTRY),
    )
    return FirmwareEndorsement(
        _moment(time),
        _digest(_bytes(golden, 5)),
        _snp_measurements(snp, by_save_areas),
        _number(snp, 1) if 7 in golden else None,
        _tdx_measurements(by_memory),
        _number(tdx, 1) if 8 in golden else None,
        signer,
        tuple(dict.fromkeys(name for each in messages for name in _unknown(*each))),
    )


def _unknown(what: str, messages: Sequence[Fields], known: Mapping[int, int]) -> Iterator[str]:
    """Name what a newer form of the endorsement says and this one passes over, wherever it stands."""
    for fields in messages:
        yield from (f"field {number} of {what}" for number in fields if number not in known)


def _snp_measurements(fields: Fields, entries: Sequence[Fields]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for entry in entries:
        count = _number(entry, 1)
        if not count or count in found:
            _refuse("malformed", "The endorsement names a number of save areas twice, or none.")
        found[count] = _digest(_bytes(entry, 2))
    if 7 in fields:
        found[0] = _digest(_bytes(fields, 7))
    return found


def _tdx_measurements(entries: Sequence[Fields]) -> dict[tuple[int, bool], bytes]:
    found: dict[tuple[int, bool], bytes] = {}
    for entry in entries:
        key = (_number(entry, 1), bool(_number(entry, 2)))
        if key in found:
            _refuse("malformed", "The endorsement names an amount of memory twice.")
        found[key] = _digest(_bytes(entry, 3))
    return found


def _repeated(fields: Fields, number: int) -> list[bytes]:
    found = [each for each in fields.get(number, []) if isinstance(each, bytes)]
    if len(found) > MAX_MEASUREMENTS:
        _refuse("malformed", f"The endorsement holds more than {MAX_MEASUREMENTS} measurements.")
    return found


def _moment(fields: Fields) -> datetime:
    seconds = _number(fields, 1)
    if seconds >= 1 << 37:
        _refuse("malformed", "The time of the endorsement is beyond all use.")
    return datetime.fromtimestamp(seconds, UTC)


def _digest(data: bytes) -> bytes:
    if len(data) != _DIGEST_BYTES:
        _refuse("malformed", "A digest of the endorsement does not have 48 bytes.")
    return data


def _bytes(fields: Fields, number: int) -> bytes:
    found = fields.get(number, [])
    if len(found) != 1 or not isinstance(found[0], bytes):
        _refuse("malformed", f"Field {number} of the endorsement is not there once.")
    return found[0]


def _number(fields: Fields, number: int) -> int:
    found = fields.get(number, [0])  # a field that is zero is not written
    if len(found) != 1 or not isinstance(found[0], int):
        _refuse("malformed", f"Field {number} of the endorsement is there twice.")
    return found[0]


def _fields(data: bytes, known: Mapping[int, int], *, strict: bool = False) -> Fields:
    """Split a message into its fields; those that are known have the type that they must have."""
    found: dict[int, list[int | bytes]] = {}
    at = count = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value, at = _value(data, at, kind)
        count += 1
        if (
            not number
            or known.get(number, kind) != kind
            or count > MAX_FIELDS
            or (strict and number not in known)
        ):
            _refuse("malformed", "A field of the endorsement is unknown, of the wrong type, or one too many.")
        found.setdefault(number, []).append(value)
    return found


def _value(data: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    if kind == _VARINT:
        return _varint(data, at)
    if kind == _BYTES:
        size, at = _varint(data, at)
    elif kind in (_FIXED_64, _FIXED_32):
        size = 8 if kind == _FIXED_64 else 4
    else:
        _refuse("malformed", "A field of the endorsement is of a type that is not known.")
    if size > len(data) - at:
        _refuse("malformed", "The endorsement is cut short.")
    return data[at : at + size], at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            if value >> 64 or (index and not byte):
                break
            return value, at + index + 1
    return _refuse(
        "malformed", "A number of the endorsement is cut short, too large or not in its shortest form."
    )


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.gcp.{code}", message)
