"""The certificates of an NVIDIA device: five, each for its role, to the pinned Device Identity CA.

    NVIDIA Device Identity CA  >  NVIDIA .. Identity  >  NVIDIA .. Provisioner ICA ..  >  <chip> .. BROM
    >  <chip> .. FMC LF

The chip's own authority (BROM) certifies the key of the firmware that booted (FMC) and states its digest:
as the older composite device id on Hopper and LS10, as DICE TCB info from Blackwell on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import (
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    DerReader,
)
from assay.evidence.decoding.pem import PemError, certificates
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.nvidia import checks
from assay.evidence.nvidia.claims import Architecture
from assay.evidence.x509.general import GeneralCertificate, KeyKind
from assay.evidence.x509.path import DIGITAL_SIGNATURE, DefectKind, PathDefect, Position, named, verify_path
from assay.evidence.x509.signature import SignatureAlgorithm

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import CheckSpec, Ledger
    from assay.evidence.roots import Root, Roots

CHAIN_LENGTH: Final = 5
MAX_CERTIFICATE_BYTES: Final = 2048
SHELF: Final = "nvidia.chains"

_OID_SERIAL_NUMBER: Final = bytes.fromhex("550405")
_OID_COMPOSITE: Final = bytes.fromhex("678105050401")  # 2.23.133.5.4.1
_OID_TCB_INFO: Final = bytes.fromhex("67810505040101")  # 2.23.133.5.4.1.1
# AlgorithmIdentifier content of SHA-384, as FWIDs name it.
_SHA384: Final = bytes.fromhex("608648016503040202")
_FWID_BYTES: Final = 48
_MOST_FWIDS: Final = 4

_FIRMWARE_NAME: Final = re.compile(r"([A-Z0-9_]{2,16}) ([A-Z][0-9]{2}) (GSP|FSP) FMC LF")
_CHIP_NAME: Final = re.compile(r"([A-Z0-9_]{2,16}) ([A-Z][0-9]{2}) (GSP|FSP) BROM")
_ISSUING_NAME: Final = re.compile(r"NVIDIA [A-Za-z0-9_]{2,16} Provisioner ICA [0-9]{1,8}")
_IDENTITY_NAME: Final = re.compile(r"NVIDIA [A-Za-z0-9_]{2,16} Identity")
_DEVICE_ID: Final = re.compile(r"[0-9A-F]{2,64}")
_FAMILIES: Final = (("GH", Architecture.HOPPER), ("GB", Architecture.BLACKWELL), ("LS_10", Architecture.LS10))

_P384: Final = frozenset({KeyKind.P384})
_ECDSA: Final = frozenset({SignatureAlgorithm.ECDSA_SHA384})


def _authority(title: str, pattern: re.Pattern[str]) -> Position:
    return Position(title, authority=True, names=named(title, pattern), keys=_P384, algorithms=_ECDSA)


def _root_names(certificate: GeneralCertificate) -> str | None:
    """A root is found among those given, byte for byte; its name is whatever its owner gave it."""
    del certificate
    return None


POSITIONS: Final = (
    Position(
        "firmware certificate",
        authority=False,
        names=named("firmware certificate", _FIRMWARE_NAME),
        keys=_P384,
        algorithms=_ECDSA,
        usage=DIGITAL_SIGNATURE,
        constraints_required=False,
    ),
    _authority("chip's authority", _CHIP_NAME),
    _authority("provisioning authority", _ISSUING_NAME),
    _authority("identity authority", _IDENTITY_NAME),
    Position("device root", authority=True, names=_root_names, keys=_P384, algorithms=_ECDSA),
)


@dataclass(frozen=True, slots=True)
class DeviceChain:
    """What a verified chain establishes.

    Attributes:
        root: The root it ended in.
        certificates: All five, leaf first.
        key: The firmware's key, P-384.
        architecture: The family of the chip.
        chip: The chip by its name, such as ``GH100``.
        revision: Its revision.
        device_id: Number of the chip's authority, hexadecimal.
        fwid: Digest of the firmware, 48 bytes; empty when its certificate does not state one as it must.
        fwid_defect: Why it does not; empty when it does.
        window: When the whole chain is valid.
        digest: SHA-256 over all of them but the firmware's, 32 bytes.
        leaf_digest: SHA-256 over all of them, 32 bytes.
    """

    root: Root
    certificates: tuple[GeneralCertificate, ...]
    key: ec.EllipticCurvePublicKey
    architecture: Architecture
    chip: str
    revision: str
    device_id: str
    fwid: bytes
    fwid_defect: str
    window: Window
    digest: bytes
    leaf_digest: bytes


def verify_device_chain(
    text: bytes, roots: Roots, now: datetime, facts: FactCache
) -> tuple[Ledger, DeviceChain | None]:
    """Verify a device's chain, by role, to a root of trust; remember it if all of it passed.

    Args:
        text: Five certificates as PEM, leaf first; may end in NULs, as drivers fill their buffer.
        roots: The roots that it may end in.
        now: The time at which it must be valid.
        facts: Where verified chains are remembered.

    Returns:
        The outcomes of ``CHAIN_CHECKS``, and the chain unless one failed.
    """
    key = (hashlib.sha256(text).digest(), roots.digest)
    shelf = facts.shelf(SHELF)
    known: tuple[Ledger, DeviceChain] | None = shelf.get(key, now)
    if known is not None:
        return known
    ledger = LedgerBuilder(checks.CHAIN_CHECKS)
    try:
        found = _chain(ledger, text, roots, now)
    except CheckFailedError:
        return ledger.close(), None
    closed = ledger.close()
    if not found.fwid_defect:
        shelf.put(key, found.window, (closed, found))
    return closed, found


def device_certificates(text: bytes) -> tuple[bytes, ...]:
    """Return the DER of a device's five certificates.

    Args:
        text: PEM, as strict as ever; behind it line ends, and behind those NULs, as tools leave them there.

    Raises:
        PemError: It is anything else.
    """
    return certificates(text.rstrip(b"\0").rstrip(b"\r\n") + b"\n", count=CHAIN_LENGTH)


def _chain(ledger: LedgerBuilder, text: bytes, roots: Roots, now: datetime) -> DeviceChain:
    try:
        ders = device_certificates(text)
        below = [GeneralCertificate.parse(der, max_bytes=MAX_CERTIFICATE_BYTES) for der in ders[:-1]]
    except (PemError, DerError) as error:
        raise ledger.fail(checks.CHAIN_LAYOUT, "nvidia.chain.layout", error.message) from None
    ledger.passed(checks.CHAIN_LAYOUT)
    root = next((entry for entry in roots.of("nvidia") if entry.der == ders[-1]), None)
    if root is None:
        mark = hashlib.sha256(ders[-1]).hexdigest()
        raise ledger.fail(
            checks.CHAIN_ROOT,
            "nvidia.chain.root",
            f"The chain's root, SHA-256 {mark}, is none of those given.",
        )
    ledger.passed(checks.CHAIN_ROOT)
    chain = (*below, root.general)
    try:
        key = chain[0].key()
    except DerError as error:
        raise ledger.fail(checks.CHAIN_ROLE, "nvidia.chain.key", error.message) from None
    window = _path(ledger, chain, now)
    architecture, chip, revision, device_id = _chip(ledger, chain)
    fwid, fwid_defect = b"", ""
    try:
        fwid = firmware_id(chain[0], chain[1])
    except DerError as error:
        fwid_defect = error.message
    return DeviceChain(
        root,
        chain,
        key,  # type: ignore[arg-type]  # the position admits P-384 only
        architecture,
        chip,
        revision,
        device_id,
        fwid,
        fwid_defect,
        window,
        _digest(chain[1:]),
        _digest(chain),
    )


def _digest(chain: tuple[GeneralCertificate, ...]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(found.der).digest() for found in chain)).digest()


_STEPS: Final[dict[DefectKind, tuple[CheckSpec, str]]] = {
    DefectKind.ISSUER: (checks.CHAIN_SIGNATURE, "nvidia.chain.issuer"),
    DefectKind.SIGNATURE: (checks.CHAIN_SIGNATURE, "nvidia.chain.signature"),
    DefectKind.VALIDITY: (checks.CHAIN_VALIDITY, "nvidia.chain.validity"),
}


def _path(ledger: LedgerBuilder, chain: tuple[GeneralCertificate, ...], now: datetime) -> Window:
    found = verify_path(chain, POSITIONS, now)
    if isinstance(found, PathDefect):
        spec, code = _STEPS.get(found.kind, (checks.CHAIN_ROLE, "nvidia.chain.role"))
        if spec is not checks.CHAIN_ROLE:
            ledger.passed(checks.CHAIN_ROLE)
        if spec is checks.CHAIN_VALIDITY:
            ledger.passed(checks.CHAIN_SIGNATURE)
        raise ledger.fail(spec, code, found.reason)
    ledger.passed(checks.CHAIN_ROLE, checks.CHAIN_SIGNATURE, checks.CHAIN_VALIDITY)
    return found


def _chip(ledger: LedgerBuilder, chain: tuple[GeneralCertificate, ...]) -> tuple[Architecture, str, str, str]:
    """Return family, name, revision and number of the chip."""
    firmware = _FIRMWARE_NAME.fullmatch(chain[0].common_name)
    own = _CHIP_NAME.fullmatch(chain[1].common_name)
    numbers = [text for oid, text in chain[1].names if oid == _OID_SERIAL_NUMBER]
    if firmware is None or own is None or firmware.groups() != own.groups():
        raise ledger.fail(
            checks.CHAIN_CHIP,
            "nvidia.chain.chip",
            "The firmware is certified for another chip than its issuer.",
        )
    chip, revision = own.group(1), own.group(2)
    family = next((family for prefix, family in _FAMILIES if chip.startswith(prefix)), None)
    if family is None:
        raise ledger.fail(
            checks.CHAIN_CHIP, "nvidia.chain.family", f"The chip {chip} is of no family that is known here."
        )
    if len(numbers) != 1 or not _DEVICE_ID.fullmatch(numbers[0]):
        raise ledger.fail(checks.CHAIN_CHIP, "nvidia.chain.number", "The chip's authority has no number.")
    ledger.passed(checks.CHAIN_CHIP)
    return family, chip, revision, numbers[0]


def firmware_id(firmware: GeneralCertificate, chip: GeneralCertificate) -> bytes:
    """Return the digest of the firmware that its certificate states, 48 bytes.

    Raises:
        DerError: There is none, two extensions state one, or it was stated for another chip's key.
    """
    composite = firmware.extensions.get(_OID_COMPOSITE)
    info = firmware.extensions.get(_OID_TCB_INFO)
    if (composite is None) is (info is None):
        raise DerError("The firmware's certificate does not state one firmware digest.")
    if composite is not None:
        return _composite(composite[1], chip.spki)
    assert info is not None
    return _tcb_info(info[1])


def _composite(value: bytes, chip_key: bytes) -> bytes:
    """``SEQUENCE { version 1, deviceID SubjectPublicKeyInfo, fwid FWID }`` (RIoT, DICE 1.0)."""
    reader = DerReader(value)
    inner = reader.enter()
    reader.finish()
    if inner.integer(INTEGER) != 1 or inner.whole(SEQUENCE) != chip_key:
        raise DerError("The firmware digest was certified for another chip's key.")
    found = _fwid(inner)
    inner.finish()
    return found


def _tcb_info(value: bytes) -> bytes:
    """``DiceTcbInfo``: fields [0] to [9], all optional; [6] is the list of FWIDs, the firmware's first."""
    reader = DerReader(value)
    inner = reader.enter()
    reader.finish()
    found: list[bytes] = []
    newest = -1
    while inner.more():
        tag = inner.peek()
        number = tag & 0x1F
        if tag & 0xC0 != 0x80 or number <= newest:
            raise DerError("The TCB info has a field that it does not know, or out of order.")
        newest = number
        if tag != 0xA6:
            inner.span(tag)
            continue
        items = inner.enter(tag)
        while items.more():
            if len(found) == _MOST_FWIDS:
                raise DerError("The TCB info has more firmware digests than any device.")
            found.append(_fwid(items))
    if not found:
        raise DerError("The TCB info states no firmware digest.")
    return found[0]


def _fwid(reader: DerReader) -> bytes:
    """``FWID ::= SEQUENCE { hashAlg OBJECT IDENTIFIER, digest OCTET STRING }``, SHA-384 only."""
    inner = reader.enter()
    if inner.value(OBJECT_IDENTIFIER) != _SHA384:
        raise DerError("A firmware digest is not SHA-384.")
    digest = inner.value(OCTET_STRING)
    inner.finish()
    if len(digest) != _FWID_BYTES:
        raise DerError(f"A firmware digest does not have {_FWID_BYTES} bytes.")
    return digest
