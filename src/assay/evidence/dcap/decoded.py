"""A quote for the eye: fields as decoded, unauthenticated, made only when somebody looks.

Nothing decides on them. They show what a refused quote says, and which collateral it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.evidence.dcap.pck import OID_SGX_EXTENSION, PckExtension
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import PemError, certificates
from assay.evidence.shown import ShownFields
from assay.evidence.verification import Need
from assay.evidence.x509.certificate import Certificate

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap.quote import Platform, Quote


class DecodedQuote(ShownFields):
    """The fields of a quote.

    Args:
        quote: The quote, taken apart.
    """

    __slots__ = ("_quote",)

    def __init__(self, quote: Quote) -> None:
        self._quote = quote

    def _make(self) -> dict[str, Any]:
        return _decode(self._quote)


def _decode(quote: Quote) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": quote.version,
        "user_data": quote.data[28:48].hex(),
        "declared_bytes": quote.end,
        "trailing_bytes": len(quote.data) - quote.end,
    }
    for name, value in quote.body._asdict().items():
        if value is not None and not name.startswith("reserved"):
            found[name] = value.hex() if isinstance(value, bytes) else value
    found["debug"] = quote.body.debug
    leaf = _leaf(quote)
    if leaf is not None:
        certificate, extension = leaf
        found["pck_ca"] = issuing_authority(certificate)
        found["pck_serial"] = certificate.serial.hex()
        found["pck_not_before"] = certificate.window.start.isoformat()
        found["pck_not_after"] = certificate.window.end.isoformat()
        if extension is not None:
            found["fmspc"] = extension.fmspc.hex()
            found["pce_id"] = extension.pce_id.hex()
            found["ppid"] = extension.ppid.hex()
    return found


def _leaf(quote: Quote) -> tuple[Certificate, PckExtension | None] | None:
    start, end = quote.chain
    try:
        leaf = Certificate.parse(certificates(quote.data[start:end], count=3)[0])
    except (DerError, PemError):
        return None
    try:
        return leaf, PckExtension.parse(leaf.extensions[OID_SGX_EXTENSION][1])
    except (DerError, KeyError):
        return leaf, None


def issuing_authority(leaf: Certificate) -> str:
    """Return what selects the PCK CRL of a certificate: ``platform`` or ``processor``."""
    return "platform" if b"Platform CA" in leaf.issuer else "processor"


def collateral_need(quote: Quote, platform: Platform, now: datetime, reason: str) -> Need:
    """Return what selects the collateral that a quote needs; empty values where the quote does not say."""
    leaf = _leaf(quote)
    fmspc = leaf[1].fmspc.hex() if leaf is not None and leaf[1] is not None else ""
    authority = issuing_authority(leaf[0]) if leaf is not None else ""
    key = {"tee": platform, "fmspc": fmspc, "ca": authority, "time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return Need("collateral", key, reason)
