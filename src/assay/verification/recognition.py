"""What evidence looks like, by its bytes alone. Recognising routes; it decides nothing about trust.

A wrong guess ends in a refusal by the format that was guessed. Which platforms are accepted is the policy's
word.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_JSON_BYTES: Final = 2 << 20
_TEE: Final = {0: "sgx", 0x81: "tdx"}
_SNP_BYTES: Final = 1184
_SNP_VERSIONS: Final = range(2, 6)
_SMALL: Final = 32  # no format has such a beginning in exactly the bytes of a report
_MAX_PAYLOAD: Final = 1 << 16
_COSE: Final = (b"\xd2\x84\x44\xa1\x01\x38\x22", b"\x84\x44\xa1\x01\x38\x22")  # ES384 and nothing else
_SPDM: Final = b"\x11\xe0"
TPM_MAGIC: Final = b"ASSAYTPM"
_TPMS_ATTEST: Final = b"\xffTCG\x80\x18"
_FIRST_FIELD: Final = 0x0A
_OF_TRUST_AUTHORITY: Final = ("attester_", "tdx_", "sgx_", "amber_")  # the last before it was published


def recognise(data: bytes) -> str | None:
    """Return the platform whose evidence this looks like, or None.

    Args:
        data: Evidence as its format's verifier takes it; hexadecimal text, base64 and the answers of a dstack
            guest are opened by ``opening``.
    """
    return next((found for look in _LOOKS if (found := look(data)) is not None), None)


def _quote(data: bytes) -> str | None:
    """A DCAP quote: version, TEE type."""
    if len(data) < 8:
        return None
    version = int.from_bytes(data[:2], "little")
    if version == 3:
        return "sgx"
    return _TEE.get(int.from_bytes(data[4:8], "little")) if version in (4, 5) else None


def _report(data: bytes) -> str | None:
    """An SEV-SNP report: the one signature algorithm, and a version that is known, or may be once."""
    versions = _SNP_VERSIONS if len(data) > _SNP_BYTES else range(_SMALL)
    if len(data) < _SNP_BYTES or int.from_bytes(data[:4], "little") not in versions:
        return None
    return "snp" if int.from_bytes(data[0x34:0x38], "little") == 1 else None


def _document(data: bytes) -> str | None:
    """A Nitro document: COSE_Sign1 under ES384, with the registers of an enclave or of a NitroTPM."""
    if not data.startswith(_COSE):
        return None
    return "nitro-tpm" if b"nitrotpm_pcrs" in data[:4096] else "nitro"


def _gpu(data: bytes) -> str | None:
    """A bare GPU report: an SPDM 1.1 request for measurements."""
    return "nvidia-gpu" if data.startswith(_SPDM) else None


def claims_of(data: bytes) -> dict[str, Any] | None:
    """Return the unauthenticated claims of a compact token; None for what is no such token."""
    parts = data.strip().split(b".")
    if len(parts) != 3 or not data.startswith(b"eyJ") or len(parts[1]) > _MAX_PAYLOAD:
        return None
    try:
        return strictjson.parse_object(
            urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)), max_bytes=_MAX_PAYLOAD
        )
    except (EvidenceError, binascii.Error, ValueError):
        return None


def _token(data: bytes) -> str | None:
    """A compact token, by its issuer and claims."""
    claims = claims_of(data)
    if claims is None:
        return None
    issuer = str(claims.get("iss", ""))
    if any(name.startswith("x-ms-") for name in claims):
        return "maa"
    if "confidentialcomputing.googleapis.com" in issuer or claims.get("swname") == "CONFIDENTIAL_SPACE":
        return "confidential-space"
    if "trustauthority" in issuer or any(name.startswith(_OF_TRUST_AUTHORITY) for name in claims):
        return "trust-authority"
    return None


def _json(data: bytes) -> str | None:
    """A container in JSON, by its members."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        found = strictjson.parse(data, max_bytes=MAX_JSON_BYTES)
    except EvidenceError:
        return None
    if type(found) is list:
        return _json_list(found)
    return _json_object(found) if type(found) is dict else None


def _json_list(found: list[Any]) -> str | None:
    first = found[0] if found else None
    if type(first) is list and first[:1] == ["JWT"]:
        return "nras"
    if type(first) is dict and {"arch", "evidence", "certificate"} <= first.keys():
        return "nvidia-gpu"
    return None


def _json_object(found: Mapping[str, Any]) -> str | None:
    return next((name for members, name in _MEMBERS if members(found)), None)


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda found: all(name in found for name in names)


_MEMBERS: Final = (
    (_has("device_evidence_list"), "nvidia-gpu"),
    (_has("evidences", "result_code"), "nvidia-gpu"),
    (_has("evidence_list", "nonce"), "nvidia-gpu"),
    (_has("tpm_quote", "ak_public"), "tpm"),
    (_has("hcl_report", "td_quote"), "azure-tdx"),
    (_has("tdx_quote_base64", "hcl_report_base64"), "azure-tdx"),
    (_has("hcl_report", "vcek"), "azure-snp"),
    (_has("quote", "report", "vcek"), "azure-snp"),
)


def _tpm(data: bytes) -> str | None:
    """A TPM's quote with its logs, in our own container."""
    return "tpm" if data.startswith(TPM_MAGIC) else None


def _attestation(data: bytes) -> str | None:
    """An attestation of go-tpm-tools: a protobuf message with a TPM quote early in it."""
    if data[:1] != bytes([_FIRST_FIELD]) or _TPMS_ATTEST not in data[:8192]:
        return None
    return "gcp-vtpm"


# A report begins like a quote of the same version; its signature algorithm tells them apart. What has no
# fixed beginning comes last.
_LOOKS: Final = (_report, _quote, _document, _gpu, _tpm, _attestation, _token, _json)
