"""The SGX extension of PCK certificates: OID 1.2.840.113741.1.13.1, a SEQUENCE of {identifier, value}.

    .1  PPID, 16 bytes                      .5  SGX type, ENUMERATED
    .2  TCB: .1-.16 component SVNs,         .6  platform instance id, 16 bytes   (Platform CA only)
        .17 PCE SVN, .18 CPU SVN            .7  configuration: .1 dynamic platform, .2 cached keys,
    .3  PCE id, 2 bytes                         .3 SMT enabled                   (Platform CA only)
    .4  FMSPC, 6 bytes

Source: SGX PCK certificate and CRL profile specification, section 1.3.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.evidence.dcap.tcb import SgxType
from assay.evidence.decoding.der import ENUMERATED, OBJECT_IDENTIFIER, OCTET_STRING, DerError, DerReader
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


@dataclass(frozen=True, slots=True)
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
        items = _items(top.enter(), OID_SGX_EXTENSION)
        top.finish()
        tcb = _items(_required(items, 2).enter(), OID_SGX_EXTENSION + b"\x02")
        configuration = items.get(7)
        flags = {} if configuration is None else _items(configuration.enter(), OID_SGX_EXTENSION + b"\x07")
        instance = items.get(6)
        kind = _required(items, 5).integer(ENUMERATED)
        if kind not in SgxType.__members__.values():
            raise DerError(f"SGX type {kind} is not known.")
        return cls(
            ppid=_octets(_required(items, 1), 16),
            components=tuple(_svn(_required(tcb, n), 0xFF) for n in range(1, _TCB_COMPONENTS + 1)),
            pce_svn=_svn(_required(tcb, 17), 0xFFFF),
            cpu_svn=_octets(_required(tcb, 18), 16),
            pce_id=_octets(_required(items, 3), 2),
            fmspc=_octets(_required(items, 4), 6),
            sgx_type=SgxType(kind),
            platform_instance_id=None if instance is None else _octets(instance, 16),
            dynamic_platform=_flag(flags, 1),
            cached_keys=_flag(flags, 2),
            smt_enabled=_flag(flags, 3),
        )


def _items(sequence: DerReader, arc: bytes) -> dict[int, DerReader]:
    """Return the values by the last arc of their identifiers, all of which lie under ``arc``."""
    found: dict[int, DerReader] = {}
    while sequence.more():
        item = sequence.enter()
        oid = item.value(OBJECT_IDENTIFIER)
        if len(oid) != len(arc) + 1 or not oid.startswith(arc):
            raise DerError("The SGX extension holds a foreign identifier.")
        if oid[-1] in found:
            raise DerError("The SGX extension holds a value twice.")
        start = item.pos
        item.span(item.peek())
        item.finish()
        found[oid[-1]] = DerReader(item.data, start, item.end)
    return found


def _required(items: dict[int, DerReader], number: int) -> DerReader:
    found = items.get(number)
    if found is None:
        raise DerError(f"The SGX extension lacks value {number}.")
    return found


def _octets(reader: DerReader, size: int) -> bytes:
    value = reader.value(OCTET_STRING)
    if len(value) != size:
        raise DerError(f"A value of the SGX extension has {len(value)} bytes, not {size}.")
    return value


def _svn(reader: DerReader, most: int) -> int:
    value = reader.integer()
    if value > most:
        raise DerError(f"A security version of the SGX extension is above {most}.")
    return value


def _flag(items: dict[int, DerReader], number: int) -> bool | None:
    found = items.get(number)
    return None if found is None else found.boolean()
