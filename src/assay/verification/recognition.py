"""What evidence looks like, by its bytes alone. Recognising routes; it decides nothing about trust.

A wrong guess ends in a refusal by the format that was guessed. Which platforms are accepted is the policy's
word.
"""

from __future__ import annotations

from typing import Final

_TEE: Final = {0: "sgx", 0x81: "tdx"}
_QUOTE_BYTES: Final = 432
_SNP_BYTES: Final = 1184
_SNP_VERSIONS: Final = range(2, 6)


def recognise(data: bytes) -> str | None:
    """Return the platform whose evidence this looks like, or None.

    Args:
        data: Raw evidence; containers and texts are opened by ``opening`` first.
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
    """An SEV-SNP report: 1,184 bytes at least, a version, the one signature algorithm."""
    if len(data) < _SNP_BYTES or int.from_bytes(data[:4], "little") not in _SNP_VERSIONS:
        return None
    return "snp" if int.from_bytes(data[0x34:0x38], "little") == 1 else None


# A report of version 3 to 5 begins like a quote; its signature algorithm, where a quote has bytes of its
# quoting enclave's vendor or body, tells them apart.
_LOOKS: Final = (_report, _quote)
