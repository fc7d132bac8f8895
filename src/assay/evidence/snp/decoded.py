"""A report for the eye: fields as decoded, unauthenticated, made only when somebody looks.

Nothing decides on them. They show what a refused report says, and which certificate it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.evidence.shown import ShownFields
from assay.evidence.snp.products import LAYOUTS, Product, product_of_cpuid
from assay.evidence.verification import Need

if TYPE_CHECKING:
    from assay.evidence.snp.report import SnpReport
    from assay.evidence.snp.vek import Kind

_BYTES = (
    "family_id",
    "image_id",
    "report_data",
    "measurement",
    "host_data",
    "id_key_digest",
    "author_key_digest",
    "report_id",
    "report_id_ma",
    "chip_id",
    "current_tcb",
    "reported_tcb",
    "committed_tcb",
    "launch_tcb",
)
_PLAIN = (
    "version",
    "guest_svn",
    "vmpl",
    "signing_key",
    "author_key",
    "mask_chip_key",
    "launch_mitigations",
    "current_mitigations",
)


class DecodedReport(ShownFields):
    """The fields of a report.

    Args:
        report: The report, taken apart.
    """

    __slots__ = ("_report",)

    def __init__(self, report: SnpReport) -> None:
        self._report = report

    def _make(self) -> dict[str, Any]:
        return _decode(self._report)


def _decode(report: SnpReport) -> dict[str, Any]:
    found: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(report, name)) is not None}
    found["policy"] = f"0x{report.policy:x}"
    found["platform_info"] = f"0x{report.platform_info:x}"
    found |= {name: getattr(report, name).hex() for name in _BYTES}
    found["debug"] = bool(report.policy >> 19 & 1)
    if report.cpuid is not None:
        found["cpuid"] = list(report.cpuid)
        product = product_of_cpuid(*report.cpuid[:2])
        if product is not None:
            found["product"] = str(product)
    for name in ("current_version", "committed_version"):
        found[name] = ".".join(map(str, getattr(report, name)))
    return found


def _product(report: SnpReport) -> Product | None:
    found = product_of_cpuid(*report.cpuid[:2]) if report.cpuid is not None else None
    return found if isinstance(found, Product) else None


def vek_need(report: SnpReport, reason: str) -> Need:
    """Return what selects the certificate of a report's key at the KDS.

    The key of the need holds ``kind`` (``vcek``, ``vlek``), ``product`` (empty when a report of version 2
    leaves it open between Milan and Genoa), ``chip_id`` (hexadecimal, 8 bytes on Turin, empty for a VLEK or
    when it is masked) and each component of the reported TCB in decimal: ``bl``, ``tee``, ``snp``, ``ucode``,
    on Turin ``fmc`` too.
    """
    product = _product(report)
    layout = LAYOUTS[product or Product.MILAN]
    chip = report.chip_id[: layout.hwid_bytes] if report.signing_key == "vcek" else b""
    key = {
        "kind": report.signing_key,
        "product": str(product or ""),
        "chip_id": chip.hex() if any(chip) else "",
    }
    for name, value in zip(layout.components, report.reported_tcb, strict=True):
        if name:
            key[name] = str(value)
    return Need("snp-vek", key, reason)


def issuer_need(kind: Kind, product: Product | None, what: str, reason: str) -> Need:
    """Return what selects a chain (``snp-chain``) or a CRL (``snp-crl``) at the KDS."""
    return Need(what, {"kind": kind, "product": str(product or "")}, reason)
