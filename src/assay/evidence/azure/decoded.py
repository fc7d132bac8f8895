"""Azure evidence for the eye: fields as decoded, unauthenticated, made only when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.evidence.shown import ShownFields
from assay.evidence.tpm.decoded import quote_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.azure.hcl import HclReport
    from assay.evidence.azure.runtime import RuntimeClaims
    from assay.evidence.tpm.attest import Attest


class DecodedAzure(ShownFields):
    """The fields of every layer.

    Args:
        hcl: The HCL report; None when it cannot be read.
        claims: Its runtime claims.
        hardware: What the hardware's report says.
        quote: The quote.
    """

    __slots__ = ("_parts",)

    def __init__(
        self,
        hcl: HclReport | None,
        claims: RuntimeClaims | None,
        hardware: Mapping[str, Any] | None,
        quote: Attest | None,
    ) -> None:
        self._parts = (hcl, claims, hardware, quote)

    def _make(self) -> dict[str, Any]:
        return _decode(*self._parts)


def _decode(
    hcl: HclReport | None,
    claims: RuntimeClaims | None,
    hardware: Mapping[str, Any] | None,
    quote: Attest | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if hcl is not None:
        found["hcl_version"] = hcl.version
        found["hash"] = hcl.hash_name
    if claims is not None:
        found["keys"] = list(claims.key_ids)
        found["vm_configuration"] = dict(claims.vm_configuration)
        found["user_data"] = None if claims.user_data is None else claims.user_data.hex()
    if hardware is not None:
        found["hardware"] = hardware
    if quote is not None:
        found["quote"] = quote_fields(quote)
    return found
