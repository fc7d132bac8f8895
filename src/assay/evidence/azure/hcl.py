"""The HCL report: what Azure's paravisor keeps in the vTPM, taken apart.

All integers are little-endian. The hardware signed nothing but its own report in the middle; everything
around it is unauthenticated, save the runtime claims, whose hash stands in that report. So nothing here
decides by itself: sizes and types only select what is then compared with signed bytes.

    0     32   header: "HCLA", version, size, request type, status, three reserved words
    32    1184 room of the hardware's report: an SNP report, or a TDREPORT of 1024 bytes and zeros
    1216  20   request data: size, version, report type, hash type, size of the runtime claims
    1236  n    the runtime claims, JSON; then zeros to the end of the NV index

Source: OpenVMM, ``igvm_attest`` (the report of NV index 0x01400001).
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from assay.errors import EvidenceError
from assay.evidence.azure import checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.ledger import CheckSpec

AzurePlatform = Literal["azure-snp", "azure-tdx"]

MAX_HCL_BYTES: Final = 4096
"""Largest report: the NV index holds 2600 bytes, 2048 in 2023."""
MAX_RUNTIME_BYTES: Final = 2048
"""Longest runtime claims; 1202 bytes in the field."""

_HEADER: Final = Struct("<4s4I12s")
_RESERVED: Final = bytes(12)
_ZERO: Final = b"\0"
_REQUEST: Final = Struct("<5I")
_HARDWARE_AT: Final = 32
_HARDWARE_ROOM: Final = 1184
_SNP_REPORT_BYTES: Final = _HARDWARE_ROOM
_TDREPORT_BYTES: Final = 1024
_REQUEST_AT: Final = _HARDWARE_AT + _HARDWARE_ROOM
RUNTIME_AT: Final = _REQUEST_AT + _REQUEST.size
_VERSIONS: Final = (1, 2)
_AK_CERT: Final = 2
_TYPES: Final[Mapping[int, AzurePlatform]] = {2: "azure-snp", 4: "azure-tdx"}
_TYPE_NAMES: Final[Mapping[int, str]] = {1: "VBS", 2: "SNP", 3: "no TEE", 4: "TDX", 5: "CCA"}
_MAKERS: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
_HASHES: Final[Mapping[int, str]] = {1: "sha256", 2: "sha384", 3: "sha512"}


class AzureError(EvidenceError):
    """Azure evidence cannot be read; says which check failed, and why.

    Codes: those of ``checks``, and below ``azure.hcl.layout`` and ``azure.runtime.attestation_key`` what in
    particular is wrong.
    """

    def __init__(self, spec: CheckSpec, code: str, message: str) -> None:
        super().__init__(code, message)
        self.spec = spec

    def __reduce__(self) -> tuple[type[AzureError], tuple[CheckSpec, str, str]]:
        return (AzureError, (self.spec, self.code, self.message))


class HclReport(NamedTuple):
    """One HCL report, taken apart; nothing about it is verified.

    Attributes:
        data: The whole input.
        version: Version of the header, 1 or 2.
        size: Size that the header states: everything but the zeros at the end.
        request_type: 2, the request that keeps the attestation key's claims.
        platform: Which TEE's report it holds.
        hash_name: Hash function of the runtime claims: ``sha256``, ``sha384`` or ``sha512``.
        hardware: The hardware's report: 1184 bytes of SNP, or 1024 bytes of a TDREPORT, which carries a MAC
            that nobody but the same machine can check.
        runtime: The runtime claims, raw JSON.
    """

    data: bytes
    version: int
    size: int
    request_type: int
    platform: AzurePlatform
    hash_name: str
    hardware: bytes
    runtime: bytes

    @property
    def end(self) -> int:
        """Offset behind the runtime claims."""
        return RUNTIME_AT + len(self.runtime)

    def commitment(self) -> bytes:
        """Return the 64 bytes that the hardware's report data must be: the claims' hash, then zeros."""
        return _MAKERS[self.hash_name](self.runtime).digest().ljust(64, b"\0")


def parse_hcl(data: bytes, platform: AzurePlatform) -> HclReport:
    """Take an HCL report apart.

    Args:
        data: The content of the NV index, with or without its zero padding, at most 4096 bytes.
        platform: The TEE that the caller demands.

    Raises:
        AzureError: ``azure.hcl.truncated``, ``.oversized``, ``.magic``, ``.length``, ``.status``,
            ``.version``, ``.request_type``, ``.data_version``, ``.hash_type``, ``.platform``, ``.trailing``.
    """
    if len(data) > MAX_HCL_BYTES:
        raise _layout("oversized", f"The HCL report has more than {MAX_HCL_BYTES} bytes.")
    if len(data) < RUNTIME_AT:
        raise _layout("truncated", f"The HCL report ends before byte {RUNTIME_AT}.")
    version, size, request_type = _header(data)
    data_size, data_version, report_type, hash_type, runtime_size = _REQUEST.unpack_from(data, _REQUEST_AT)
    if data_version != 1:
        raise _version("data_version", f"The HCL report's request data have version {data_version}, not 1.")
    if not 0 < runtime_size <= MAX_RUNTIME_BYTES:
        raise _layout("length", f"The runtime claims would have {runtime_size} bytes.")
    if data_size != _REQUEST.size + runtime_size or size != _REQUEST_AT + data_size:
        raise _layout("length", "The sizes in the HCL report contradict each other.")
    if len(data) < RUNTIME_AT + runtime_size:
        raise _layout("truncated", "The HCL report ends inside its runtime claims.")
    if hash_type not in _HASHES:
        raise _layout("hash_type", f"The HCL report names the unknown hash type {hash_type}.")
    _demand_type(report_type, platform)
    end = RUNTIME_AT + runtime_size
    used = _HARDWARE_AT + (_SNP_REPORT_BYTES if platform == "azure-snp" else _TDREPORT_BYTES)
    if data[used:_REQUEST_AT].strip(_ZERO) or data[end:].strip(_ZERO):
        raise AzureError(
            checks.HCL_TRAILING, checks.HCL_TRAILING.id, "Room that the HCL report does not use is not zero."
        )
    return HclReport(
        data,
        version,
        size,
        request_type,
        platform,
        _HASHES[hash_type],
        data[_HARDWARE_AT:used],
        data[RUNTIME_AT:end],
    )


def _header(data: bytes) -> tuple[int, int, int]:
    """Return version, size and request type of the header."""
    magic, version, size, request_type, status, reserved = _HEADER.unpack_from(data)
    if magic != b"HCLA":
        raise _layout("magic", "The HCL report does not begin with HCLA.")
    if version not in _VERSIONS:
        raise _version("version", f"The HCL report has version {version}; 1 and 2 are known.")
    if request_type != _AK_CERT:
        raise _version("request_type", f"The HCL report answers request {request_type}, not AK_CERT (2).")
    if status != 0 or reserved != _RESERVED:
        raise _layout("status", "The HCL report states a failure, or uses reserved words.")
    return version, size, request_type


def _demand_type(number: int, platform: AzurePlatform) -> None:
    if _TYPES.get(number) != platform:
        name = _TYPE_NAMES.get(number, f"unknown ({number})")
        raise AzureError(
            checks.HCL_PLATFORM, checks.HCL_PLATFORM.id, f"The HCL report is of type {name}, not {platform}."
        )


def _layout(what: str, why: str) -> AzureError:
    return AzureError(checks.HCL_LAYOUT, f"azure.hcl.{what}", why)


def _version(what: str, why: str) -> AzureError:
    return AzureError(checks.HCL_VERSION, f"azure.hcl.{what}", why)
