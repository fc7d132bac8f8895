"""AMD's products as attestation knows them: who issues for them, how CPUID and TCB versions are read.

Sources: SEV Secure Nested Paging Firmware ABI (56860), TCB_VERSION and ATTESTATION_REPORT; VCEK certificate
and KDS interface specification (57230).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TCB_BYTES: Final = 8
CHIP_ID_BYTES: Final = 64


class Product(StrEnum):
    """A product line of the KDS; each has its own root (ARK)."""

    MILAN = "Milan"
    GENOA = "Genoa"  # Siena and Bergamo are certified under it
    TURIN = "Turin"


# Lines that CPUID tells apart and for which AMD publishes no root that is pinned here.
UNSUPPORTED: Final = "Venice"

# A Milan part's root seed was extracted by software (arXiv 2605.12990): whoever has it signs as any Milan
# chip at any TCB version, so nothing in a Milan report distinguishes hardware from a forgery.
FORGEABLE: Final = frozenset({Product.MILAN})


@dataclass(frozen=True, slots=True)
class Layout:
    """How the products of one generation write versions and identities.

    Attributes:
        components: The component at each of the 8 bytes of a TCB_VERSION, lowest first; empty for reserved.
        struct_version: The structVersion of its VCEK and VLEK certificates.
        hwid_bytes: Size of the HWID in a VCEK; the rest of a report's CHIP_ID is zero.
    """

    components: tuple[str, ...]
    struct_version: int
    hwid_bytes: int


_MILAN = Layout(("bl", "tee", "", "", "", "", "snp", "ucode"), 0, CHIP_ID_BYTES)
_TURIN = Layout(("fmc", "bl", "tee", "snp", "", "", "", "ucode"), 1, 8)

LAYOUTS: Final[Mapping[Product, Layout]] = {
    Product.MILAN: _MILAN,
    Product.GENOA: _MILAN,
    Product.TURIN: _TURIN,
}

# CPUID family (base and extended added) -> first and last model -> line.
_MODELS: Final[Mapping[int, tuple[tuple[int, int, Product | None], ...]]] = {
    0x19: ((0x00, 0x0F, Product.MILAN), (0x10, 0x1F, Product.GENOA), (0xA0, 0xAF, Product.GENOA)),
    0x1A: (
        (0x00, 0x11, Product.TURIN),
        (0x50, 0x57, None),
        (0x90, 0xAF, None),
        (0xC0, 0xC7, None),
    ),
}

# productName of a VCEK: the line, or a part of it that has a name of its own, and an optional stepping.
_NAME = re.compile(r"(Milan|Genoa|Siena|Bergamo|Turin)(-[A-Z][0-9])?")
_LINES: Final[Mapping[str, Product]] = {
    "Milan": Product.MILAN,
    "Genoa": Product.GENOA,
    "Siena": Product.GENOA,
    "Bergamo": Product.GENOA,
    "Turin": Product.TURIN,
}


def product_of_cpuid(family: int, model: int) -> Product | str | None:
    """Return the product of a CPUID family and model, ``UNSUPPORTED`` for Venice, None when unknown."""
    for first, last, product in _MODELS.get(family, ()):
        if first <= model <= last:
            return product or UNSUPPORTED
    return None


def product_of_name(name: str, *, stepping: bool) -> Product | None:
    """Return the product that a certificate's productName names; None when it names none.

    Args:
        name: As in the certificate: ``Milan-B0``, ``Genoa``.
        stepping: Whether a stepping may follow: in a VCEK, not in a VLEK, which serves many chips.
    """
    found = _NAME.fullmatch(name)
    if found is None or (found[2] is not None and not stepping):
        return None
    return _LINES[found[1]]
