"""The containers in which an Azure VM's evidence travels, read into its parts.

Nothing in a container is signed as such: it only says where the parts are. Each form is read to the last
member, so that two readers cannot find different parts in the same bytes.

    Trustee SNP 0     {quote: {signature, message, pcrs: numbers}, report: numbers, vcek: PEM, or three}
    Trustee SNP 1, 2  {version, tpm_quote: {signature, message, pcrs: hex}, hcl_report, vcek: base64url}
    Trustee TDX 0     {tpm_quote: numbers, hcl_report: numbers, td_quote: numbers}
    Trustee TDX 1, 2  {version, tpm_quote: hex, hcl_report, td_quote: base64url}
    bundle            {tdx_quote_base64, hcl_report_base64, tpm_attestation: {ak_certificate_pem,
                      ak_intermediate_certificates_pem, quote: numbers, event_log, instance_info}}

A quote also travels alone, in the encoding of the Rust crate ``bincode`` (version 1, fixed-size lengths):
``u64`` length and signature, ``u64`` length and message, ``u64`` count and PCR values of 32 bytes; all
integers little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.azure import checks
from assay.evidence.azure.hcl import MAX_HCL_BYTES, AzureError
from assay.evidence.decoding.canonical import canonical_base64url, canonical_hex
from assay.evidence.decoding.pem import PemError, certificates
from assay.evidence.decoding.strictjson import JsonError, member, mistyped, octets, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CONTAINER_BYTES: Final = 1 << 20
"""Largest container: numbers take up to five bytes for each byte of evidence; 37 KiB without a log."""
MAX_EVENT_LOG_BYTES: Final = 160 * 1024
"""Largest event log: certificates and revocation lists of secure boot make most of it, 20 to 60 KiB."""
MAX_INTERMEDIATES: Final = 4
MAX_PCRS: Final = 24
MAX_AK_CERTIFICATE_BYTES: Final = 8192
_MAX_MESSAGE: Final = 1024
_MAX_SIGNATURE: Final = 1024
_MAX_TD_QUOTE: Final = 1 << 17
_MAX_VCEK: Final = 4096
_PCR_BYTES: Final = 32
_VERSIONS: Final = (1, 2)  # from 2 on the attester has new user data put into the HCL report
_CHAIN: Final = 3  # VCEK, ASK, ARK
_END: Final = "-----END CERTIFICATE-----\n"
_U64: Final = Struct("<Q")


@dataclass(frozen=True, slots=True)
class VtpmQuote:
    """A quote of the vTPM, as it travels.

    Attributes:
        message: The TPMS_ATTEST structure.
        signature: The RSA signature over it alone, without a TPMT_SIGNATURE around it.
        pcrs: SHA-256 PCR values, 32 bytes each, in ascending order of what the message selects.
    """

    message: bytes
    signature: bytes
    pcrs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AzureEvidence:
    """The parts of an Azure VM's evidence; nothing about them is verified.

    Attributes:
        hcl: The HCL report of NV index 0x01400001.
        quote: The vTPM's quote.
        td_quote: The TD quote that Azure's instance metadata service made of the TDREPORT; TDX only.
        vcek: The VCEK certificate, DER; SNP only.
        vcek_issuers: The certificates that stand behind it: of its issuer, and of the root.
        ak_certificate: The attestation key's certificate, DER, with the zeros behind it.
        ak_intermediates: The certificates between it and the root, DER, in any order.
        event_log: The TCG event log of the boot; empty for none.
    """

    hcl: bytes
    quote: VtpmQuote
    td_quote: bytes | None = None
    vcek: bytes | None = None
    vcek_issuers: tuple[bytes, ...] = ()
    ak_certificate: bytes | None = None
    ak_intermediates: tuple[bytes, ...] = ()
    event_log: bytes = b""


def read_container(data: bytes) -> AzureEvidence:
    """Read a container in any of its JSON forms.

    Args:
        data: The container, at most 256 KiB.

    Raises:
        AzureError: ``azure.container.layout``.
    """
    try:
        found = parse_object(data, max_bytes=MAX_CONTAINER_BYTES)
        return _reader(frozenset(found))(found)
    except (JsonError, PemError) as error:
        raise AzureError(
            checks.CONTAINER,
            "azure.container.layout",
            f"The evidence is no container of an Azure VM: {error.message}",
        ) from None


def read_bincode_quote(data: bytes) -> VtpmQuote:
    """Read a quote that travels alone, in the encoding of bincode.

    Raises:
        AzureError: ``azure.container.layout``.
    """
    signature, at = _counted(data, 0, 1, _MAX_SIGNATURE)
    message, at = _counted(data, at, 1, _MAX_MESSAGE)
    values, at = _counted(data, at, _PCR_BYTES, MAX_PCRS)
    if at != len(data):
        raise _bincode("something follows its PCR values")
    pcrs = tuple([values[i : i + _PCR_BYTES] for i in range(0, len(values), _PCR_BYTES)])
    return VtpmQuote(message, signature, pcrs)


def _counted(data: bytes, at: int, size: int, most: int) -> tuple[bytes, int]:
    if len(data) - at < _U64.size:
        raise _bincode("it ends inside a length")
    (count,) = unpack_from("<Q", data, at)
    at += _U64.size
    if count > most or len(data) - at < count * size:
        raise _bincode("a length is out of bounds")
    end = at + count * size
    return data[at:end], end


def _bincode(why: str) -> AzureError:
    return AzureError(checks.CONTAINER, "azure.container.layout", f"The vTPM's quote cannot be read: {why}.")


# --- JSON forms ---------------------------------------------------------------------------------------------


def _snp_numbers(found: dict[str, Any]) -> AzureEvidence:
    vcek, *issuers = _pems(found["vcek"])
    return AzureEvidence(
        octets(found["report"], MAX_HCL_BYTES),
        _quote(found["quote"], octets),
        vcek=vcek,
        vcek_issuers=tuple(issuers),
    )


def _snp_text(found: dict[str, Any]) -> AzureEvidence:
    _version(found)
    return AzureEvidence(
        _base64url(found["hcl_report"], MAX_HCL_BYTES),
        _quote(found["tpm_quote"], _hex),
        vcek=_base64url(found["vcek"], _MAX_VCEK),
    )


def _tdx_numbers(found: dict[str, Any]) -> AzureEvidence:
    return AzureEvidence(
        octets(found["hcl_report"], MAX_HCL_BYTES),
        _quote(found["tpm_quote"], octets),
        td_quote=octets(found["td_quote"], _MAX_TD_QUOTE),
    )


def _tdx_text(found: dict[str, Any]) -> AzureEvidence:
    _version(found)
    return AzureEvidence(
        _base64url(found["hcl_report"], MAX_HCL_BYTES),
        _quote(found["tpm_quote"], _hex),
        td_quote=_base64url(found["td_quote"], _MAX_TD_QUOTE),
    )


def _bundle(found: dict[str, Any]) -> AzureEvidence:
    attestation = member(found, "tpm_attestation", dict)
    if not _BUNDLE_MEMBERS - _BUNDLE_OPTIONAL <= attestation.keys() <= _BUNDLE_MEMBERS:
        raise mistyped("The TPM's part has other members than it should.")
    if attestation.get("instance_info") is not None:
        raise mistyped("An Azure VM has no instance information.")
    intermediates = attestation.get("ak_intermediate_certificates_pem", [])
    if type(intermediates) is not list or len(intermediates) > MAX_INTERMEDIATES:
        raise mistyped(f"There are more than {MAX_INTERMEDIATES} intermediate certificates.")
    certificate = attestation["ak_certificate_pem"]
    return AzureEvidence(
        _base64url(found["hcl_report_base64"], MAX_HCL_BYTES),
        _quote(attestation["quote"], octets),
        td_quote=_base64url(found["tdx_quote_base64"], _MAX_TD_QUOTE),
        ak_certificate=None if certificate is None else _one_pem(certificate, MAX_AK_CERTIFICATE_BYTES),
        ak_intermediates=tuple([_one_pem(item, MAX_AK_CERTIFICATE_BYTES) for item in intermediates]),
        event_log=octets(attestation.get("event_log", []), MAX_EVENT_LOG_BYTES),
    )


_BUNDLE_MEMBERS: Final = frozenset(
    {"ak_certificate_pem", "ak_intermediate_certificates_pem", "quote", "event_log", "instance_info"}
)
_BUNDLE_OPTIONAL: Final = frozenset({"ak_intermediate_certificates_pem", "event_log", "instance_info"})
_FORMS: Final[tuple[tuple[frozenset[str], Callable[[dict[str, Any]], AzureEvidence]], ...]] = (
    (frozenset({"quote", "report", "vcek"}), _snp_numbers),
    (frozenset({"version", "tpm_quote", "hcl_report", "vcek"}), _snp_text),
    (frozenset({"tpm_quote", "hcl_report", "td_quote"}), _tdx_numbers),
    (frozenset({"version", "tpm_quote", "hcl_report", "td_quote"}), _tdx_text),
    (frozenset({"tdx_quote_base64", "hcl_report_base64", "tpm_attestation"}), _bundle),
)


def _reader(members: frozenset[str]) -> Callable[[dict[str, Any]], AzureEvidence]:
    for known, reader in _FORMS:
        if members == known:
            return reader
    raise mistyped("Its members are those of no known form.")


def _version(found: dict[str, Any]) -> None:
    if member(found, "version", int) not in _VERSIONS:
        raise mistyped("Its version is not known.")


def _quote(found: Any, read: Callable[[Any, int], bytes]) -> VtpmQuote:
    if type(found) is not dict or found.keys() != {"signature", "message", "pcrs"}:
        raise mistyped("The quote has other members than it should.")
    pcrs = member(found, "pcrs", list)
    if len(pcrs) > MAX_PCRS:
        raise mistyped(f"There are more than {MAX_PCRS} PCR values.")
    return VtpmQuote(
        read(found["message"], _MAX_MESSAGE),
        read(found["signature"], _MAX_SIGNATURE),
        tuple([read(value, _PCR_BYTES) for value in pcrs]),
    )


def _hex(found: Any, most: int) -> bytes:
    # Lower case only: the case of a digit is nothing that anybody signed.
    if type(found) is not str or len(found) > 2 * most:
        raise mistyped(f"Bytes are no text of at most {2 * most} digits.")
    value = canonical_hex(found)
    if value is None:
        raise mistyped("Bytes are not written in lower-case hex.")
    return value


def _base64url(found: Any, most: int) -> bytes:
    """Decode base64url with or without padding, in its one encoding."""
    if type(found) is not str or len(found) > (most + 2) // 3 * 4:
        raise mistyped(f"Bytes are no base64url text of at most {most} bytes.")
    bare = found.rstrip("=")
    value = canonical_base64url(bare.encode("utf-8", "replace"))
    if value is None or found not in (bare, bare + "=" * (-len(bare) % 4)):
        raise mistyped("Bytes are not written in base64url.")
    return value


def _pems(found: Any) -> tuple[bytes, ...]:
    """Return a VCEK, and what Azure's metadata service gives behind it: its issuer, the root."""
    if type(found) is not str or len(found) > 2 * _MAX_VCEK:
        raise mistyped(f"Certificates are no PEM text of at most {2 * _MAX_VCEK} characters.")
    # The service leaves a blank line behind a certificate.
    text = found.replace(_END + "\n", _END)
    return certificates(text.encode("utf-8", "replace"), count=min(max(text.count(_END), 1), _CHAIN))


def _one_pem(found: Any, most: int) -> bytes:
    if type(found) is not str or len(found) > 2 * most:
        raise mistyped(f"A certificate is no PEM text of at most {2 * most} characters.")
    (der,) = certificates(found.encode("utf-8", "replace"), count=1)
    return der
