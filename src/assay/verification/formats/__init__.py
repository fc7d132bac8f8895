"""The formats of evidence, by the platform that they speak for: one module each, imported when first needed.

To add a format: a module here that ends with ``FORMATS`` (platform -> ``Format``), its line in ``_MODULES``,
and what it looks like in ``recognition.py``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

_MODULES: Final = {
    "tdx": "dcap",
    "sgx": "dcap",
    "snp": "snp",
    "nitro": "nitro",
    "nitro-tpm": "nitro",
    "azure-snp": "azure",
    "azure-tdx": "azure",
    "gcp-vtpm": "google_vm",
    "gcp-tdx": "google_vm",
    "gcp-snp": "google_vm",
    "tpm": "tpm",
    "confidential-space": "tokens",
    "maa": "tokens",
    "trust-authority": "tokens",
    "nras": "tokens",
    "nvidia-gpu": "nvidia",
}
REPORT_DATA_BYTES: Final = 64


@record
class Format:
    """How one platform's evidence is verified.

    Attributes:
        title: What its evidence is called: ``TDX quote``.
        binding_bytes: Size of what the evidence carries for a session; None when it varies.
        verify: Verifies the bytes with the format's own kind of endorsements.
        endorse: Finds, among what a caller has at hand, the endorsements that fit evidence which was verified
            without; None when nothing fits. Selecting proves nothing.
    """

    title: str
    binding_bytes: int | None
    verify: Callable[[bytes, Any, Given], EvidenceResult[Any]] = field(repr=False)
    endorse: Callable[[Materials, EvidenceResult[Any], Given], Any] = field(repr=False)

    def nonce(self, nonce: bytes) -> bytes:
        """Return what the evidence must carry for a nonce: filled up with zeros where the size is fixed."""
        return nonce if self.binding_bytes is None else nonce.ljust(self.binding_bytes, b"\0")


def nothing(_materials: Materials, _first: EvidenceResult[Any], _given: Given) -> None:
    """Find nothing: for formats that bring all that vouches for them."""
    return


@cache
def format_of(platform: str) -> Format:
    """Return the format of a platform.

    Raises:
        KeyError: No format speaks for it.
    """
    found: dict[str, Format] = import_module(f"{__name__}.{_MODULES[platform]}").FORMATS
    return found[platform]


def platforms() -> tuple[str, ...]:
    """Return every platform that a format speaks for."""
    return tuple(_MODULES)
