"""The SGX extension of PCK certificates: OID 1.2.840.113741.1.13.1, a SEQUENCE of {identifier, value}.

    .1  PPID, 16 bytes                      .5  SGX type, ENUMERATED
    .2  TCB: .1-.16 component SVNs,         .6  platform instance id, 16 bytes   (Platform CA only)
        .17 PCE SVN, .18 CPU SVN            .7  configuration: .1 dynamic platform, .2 cached keys,
    .3  PCE id, 2 bytes                         .3 SMT enabled                   (Platform CA only)
    .4  FMSPC, 6 bytes

Source: SGX PCK certificate and CRL profile specification, section 1.3.5.
"""

from __future__ import annotations

from assay.evidence.dcap.tcb import SgxType
from assay.evidence.decoding.der import (
    BOOLEAN,
    ENUMERATED,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    DerReader,
)
from assay.evidence.records import record
from assay.evidence.x509.roles import Role

OID_SGX_EXTENSION = bytes.fromhex("2a864886f84d010d01")
_TCB_COMPONENTS = 16

ROOT_ROLE = Role(
    "root certificate", frozenset({"Intel SGX Root CA"}), authority=True, path_length=1, extension=None
)
PCK_CA_ROLE = Role(
    "PCK CA certificate",
    frozenset({"Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"}),
    authority=True,
    path_length=0,
    extension=None,
)
PCK_ROLE = Role(
    "PCK certificate",
    frozenset({"Intel SGX PCK Certificate"}),
    authority=False,
    path_length=None,
    extension=OID_SGX_EXTENSION,
)
TCB_SIGNER_ROLE = Role(
    "TCB signing certificate",
    frozenset({"Intel SGX TCB Signing"}),
    authority=False,
    path_length=None,
    extension=None,
)


@record
class PckExtension:
    """What a PCK certificate says of its platform.

    Attributes:
        ppid: Platform provisioning id, 16 bytes.
        components: The 16 component SVNs.
        pce_svn: SVN of the provisioning certification enclave.
        cpu_svn: Raw CPU SVN, 16 bytes.
        pce_id: 2 bytes.
        fmspc: 6 bytes.
        sgx_type: How the platform protects enclave memory.
        platform_instance_id: 16 bytes, or None.
        dynamic_platform: Or None when not stated.
        cached_keys: Or None when not stated.
        smt_enabled: Or None when not stated.
    """

    ppid: bytes
    components: tuple[int, ...]
    pce_svn: int
    cpu_svn: bytes
    pce_id: bytes
    fmspc: bytes
    sgx_type: SgxType
    platform_instance_id: bytes | None
    dynamic_platform: bool | None
    cached_keys: bool | None
    smt_enabled: bool | None

    @classmethod
    def parse(cls, extension: bytes) -> PckExtension:
        """Decode the extension's value.

        Raises:
            DerError: A value is missing, stands twice, or has another type or size.
        """
        top = DerReader(extension)
        items = _items(extension, top.span(SEQUENCE), OID_SGX_EXTENSION)
        top.finish()
        tcb = _items(extension, _sequence(items, 2, extension), OID_SGX_EXTENSION + b"\x02")
        flags: _Spans = {}
        if 7 in items:
            flags = _items(extension, _sequence(items, 7, extension), OID_SGX_EXTENSION + b"\x07")
        kind = _integer(items, 5, extension, 0xFF, ENUMERATED)
        if kind not in SgxType.__members__.values():
            raise DerError(f"SGX type {kind} is not known.")
        return cls(
            ppid=_octets(items, 1, extension, 16),
            components=tuple([_integer(tcb, n, extension, 0xFF) for n in range(1, _TCB_COMPONENTS + 1)]),
            pce_svn=_integer(tcb, 17, extension, 0xFFFF),
            cpu_svn=_octets(tcb, 18, extension, 16),
            pce_id=_octets(items, 3, extension, 2),
            fmspc=_octets(items, 4, extension, 6),
            sgx_type=SgxType(kind),
            platform_instance_id=_octets(items, 6, extension, 16) if 6 in items else None,
            dynamic_platform=_flag(flags, 1, extension),
            cached_keys=_flag(flags, 2, extension),
            smt_enabled=_flag(flags, 3, extension),
        )


_Spans = dict[int, tuple[int, int]]


def _items(data: bytes, span: tuple[int, int], arc: bytes) -> _Spans:
    """Return where the values stand, by the last arc of their identifiers, all of which lie under ``arc``."""
    found: _Spans = {}
    reader = DerReader(data, *span)
    head = bytes([OBJECT_IDENTIFIER, len(arc) + 1]) + arc
    while reader.more():
        start, stop = reader.span(SEQUENCE)
        value = start + len(head) + 1
        if value > stop or data[start : value - 1] != head:
            raise DerError("The SGX extension holds a foreign identifier.")
        number = data[value - 1]
        if number in found:
            raise DerError("The SGX extension holds a value twice.")
        found[number] = (value, stop)
    return found


def _found(items: _Spans, number: int) -> tuple[int, int]:
    if number not in items:
        raise DerError(f"The SGX extension lacks value {number}.")
    return items[number]


def _sequence(items: _Spans, number: int, data: bytes) -> tuple[int, int]:
    """Return where the content of a value that is a SEQUENCE stands."""
    reader = DerReader(data, *_found(items, number))
    found = reader.span(SEQUENCE)
    reader.finish()
    return found


def _content(items: _Spans, number: int, tag: int, data: bytes) -> bytes:
    """Return the content of a value that is one element with ``tag``, of less than 128 bytes."""
    start, stop = _found(items, number)
    size = stop - start - 2
    if data[start : start + 2] != bytes([tag, size & 0x7F]) or not 0 <= size < 0x80:
        raise DerError(f"Value {number} of the SGX extension has another type or length.")
    return data[start + 2 : stop]


def _octets(items: _Spans, number: int, data: bytes, size: int) -> bytes:
    content = _content(items, number, OCTET_STRING, data)
    if len(content) != size:
        raise DerError(f"A value of the SGX extension has {len(content)} bytes, not {size}.")
    return content


def _integer(items: _Spans, number: int, data: bytes, most: int, tag: int = INTEGER) -> int:
    content = _content(items, number, tag, data)
    value = int.from_bytes(content, "big")
    # The shortest form of a value that is not negative: one byte more than its bits fill, at least one.
    if value > most or len(content) != value.bit_length() // 8 + 1:
        raise DerError(f"A number of the SGX extension is not from 0 to {most}, or not in its shortest form.")
    return value


def _flag(items: _Spans, number: int, data: bytes) -> bool | None:
    if number not in items:
        return None
    content = _content(items, number, BOOLEAN, data)
    if content not in (b"\0", b"\xff"):
        raise DerError("A flag of the SGX extension is neither 0x00 nor 0xff.")
    return content == b"\xff"
