"""The SGX extension of a PCK certificate, written as Intel writes it.

``1.2.840.113741.1.13.1`` is a SEQUENCE of {OID, value} pairs (SGX PCK Certificate and CRL Profile, 1.3.5):

    .1  PPID                OCTET STRING, 16 bytes
    .2  TCB                 SEQUENCE of .1-.16 component SVNs, .17 PCESVN (INTEGER), .18 CPUSVN (16 bytes)
    .3  PCE-ID              OCTET STRING, 2 bytes
    .4  FMSPC               OCTET STRING, 6 bytes
    .5  SGX type            ENUMERATED: 0 standard, 1 scalable, 2 scalable with integrity
    .6  platform instance   OCTET STRING, 16 bytes; certificates of the Platform CA only
    .7  configuration       SEQUENCE of .1 dynamic platform, .2 cached keys, .3 SMT (BOOLEAN); likewise
"""

from __future__ import annotations

from dataclasses import dataclass

OID = "1.2.840.113741.1.13.1"
_OID_BYTES = bytes.fromhex("2a864886f84d010d01")
_INTEGER, _OCTETS, _OBJECT, _ENUMERATED, _SEQUENCE, _BOOLEAN = 0x02, 0x04, 0x06, 0x0A, 0x30, 0x01


@dataclass(frozen=True, slots=True)
class PckExtension:
    """The values of one extension; any of them may be wrong on purpose.

    Attributes:
        ppid: 16 bytes.
        components: The component SVNs; 16 in a genuine certificate.
        pce_svn: PCESVN, 0 to 65,535.
        cpu_svn: 16 bytes.
        pce_id: 2 bytes.
        fmspc: 6 bytes.
        sgx_type: 0 standard, 1 scalable, 2 scalable with integrity.
        platform_instance_id: 16 bytes; None leaves out it and the configuration, as the Processor CA does.
        dynamic_platform: Whether packages can be added to the platform.
        cached_keys: Whether its platform root keys are cached by Intel's registration service.
        smt_enabled: Whether simultaneous multithreading is on.
    """

    ppid: bytes
    components: tuple[int, ...]
    pce_svn: int
    cpu_svn: bytes
    pce_id: bytes
    fmspc: bytes
    sgx_type: int = 1
    platform_instance_id: bytes | None = None
    dynamic_platform: bool = True
    cached_keys: bool = True
    smt_enabled: bool = True

    def encode(self) -> bytes:
        """Return the DER of the extension's value."""
        tcb = [_pair((2, index), _integer(svn)) for index, svn in enumerate(self.components, 1)]
        tcb += [_pair((2, 17), _integer(self.pce_svn)), _pair((2, 18), _tlv(_OCTETS, self.cpu_svn))]
        pairs = [
            _pair((1,), _tlv(_OCTETS, self.ppid)),
            _pair((2,), _tlv(_SEQUENCE, b"".join(tcb))),
            _pair((3,), _tlv(_OCTETS, self.pce_id)),
            _pair((4,), _tlv(_OCTETS, self.fmspc)),
            _pair((5,), _tlv(_ENUMERATED, bytes([self.sgx_type]))),
        ]
        if self.platform_instance_id is not None:
            flags = (self.dynamic_platform, self.cached_keys, self.smt_enabled)
            configuration = [
                _pair((7, index), _tlv(_BOOLEAN, b"\xff" if flag else b"\x00"))
                for index, flag in enumerate(flags, 1)
            ]
            pairs.append(_pair((6,), _tlv(_OCTETS, self.platform_instance_id)))
            pairs.append(_pair((7,), _tlv(_SEQUENCE, b"".join(configuration))))
        return _tlv(_SEQUENCE, b"".join(pairs))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _pair(arcs: tuple[int, ...], value: bytes) -> bytes:
    return _tlv(_SEQUENCE, _tlv(_OBJECT, _OID_BYTES + bytes(arcs)) + value)
