"""The answer of the agent in Azure's clean rooms, made the container that Trustee's attester writes.

    evidence              {tpmQuote, hclReport, pcrs: {index: digest}, ...}, base64
    platformCertificates  PEM: the VCEK first, then those of its issuer and of the root

``tpmQuote`` is TPM2B_ATTEST and TPMT_SIGNATURE, one behind the other. The agent's copy of the SNP report, its
reading of the runtime claims and its word on nonce and image are left: the HCL report holds what they are of.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.azure import checks
from assay.evidence.azure.hcl import AzureError
from assay.evidence.decoding.canonical import canonical_base64
from assay.evidence.decoding.pem import PemError, certificates_of
from assay.evidence.decoding.strictjson import JsonError, member, mistyped

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION: Final = 2
_RSASSA_SHA256: Final = bytes.fromhex("0014000b")
_MOST_CERTIFICATES: Final = 3
_INDICES: Final = [str(index) for index in range(24)]


def container_of(found: dict[str, Any]) -> bytes:
    """Return the container: version, quote, HCL report and VCEK.

    Args:
        found: The decoded answer.

    Raises:
        AzureError: ``azure.container.layout``.
    """
    try:
        evidence = member(found, "evidence", dict)
        message, signature = _quote(_base64(evidence, "tpmQuote"))
        values = member(evidence, "pcrs", dict)
        if not values.keys() <= set(_INDICES):
            raise mistyped("There is a PCR value of no PCR.")
        pcrs = [_base64(values, index).hex() for index in _INDICES if index in values]
        hcl = _base64(evidence, "hclReport")
        chain = certificates_of(member(found, "platformCertificates", str), most=_MOST_CERTIFICATES)
    except (JsonError, PemError) as error:
        raise AzureError(
            checks.CONTAINER,
            "azure.container.layout",
            f"The evidence is no answer of a clean room's agent: {error.message}",
        ) from None
    return json.dumps(
        {
            "version": _VERSION,
            "tpm_quote": {"signature": signature.hex(), "message": message.hex(), "pcrs": pcrs},
            "hcl_report": urlsafe_b64encode(hcl).decode(),
            "vcek": urlsafe_b64encode(chain[0]).decode(),
        }
    ).encode()


def _quote(data: bytes) -> tuple[bytes, bytes]:
    """Return the TPMS_ATTEST and the RSA signature, each of the size that is stated before it."""
    end = 2 + int.from_bytes(data[:2], "big")
    message, head, signature = data[2:end], data[end : end + 4], data[end + 6 :]
    if head != _RSASSA_SHA256 or len(signature) != int.from_bytes(data[end + 4 : end + 6], "big"):
        raise mistyped("The quote is no TPM2B_ATTEST and an RSASSA signature with SHA-256.")
    return message, signature


def _base64(found: Mapping[str, Any], name: str) -> bytes:
    value = canonical_base64(member(dict(found), name, str))
    if not value:
        raise mistyped(f"Member {name} is not canonical base64.")
    return value
