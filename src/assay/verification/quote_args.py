"""What a verifier on a chain is called with: a quote and its collateral in Borsh, one behind the other.

    quote                      bytes
    pck_crl_issuer_chain       text        tcb_info                   text
    root_ca_crl                bytes       tcb_info_signature         bytes
    pck_crl                    bytes       qe_identity_issuer_chain   text
    tcb_info_issuer_chain      text        qe_identity                text
                                           qe_identity_signature      bytes
    pck_certificate_chain      text, or nothing: one byte says which

Bytes and text have their length (u32, little-endian) in front. The collateral vouches for the quote under its
own signatures. The certificates at the end nobody looks at: a quote carries its own.

Source: near/mpc, ``crates/tee-verifier-interface``; Borsh specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.evidence.dcap.collateral import Collateral
from assay.verification.opened import Opened, noted, unrecognised
from assay.verification.recognition import recognise

if TYPE_CHECKING:
    from assay.errors import EvidenceError

_TEES: Final = ("tdx", "sgx")
_LEAST_QUOTE: Final = 432  # header and report; logs that begin with a small number have none behind it
_TEXTS: Final = frozenset(
    {
        "pck_crl_issuer_chain",
        *("tcb_info_issuer_chain", "tcb_info"),
        *("qe_identity_issuer_chain", "qe_identity"),
    }
)
_PARTS: Final = (
    *("pck_crl_issuer_chain", "root_ca_crl", "pck_crl"),
    *("tcb_info_issuer_chain", "tcb_info", "tcb_info_signature"),
    *("qe_identity_issuer_chain", "qe_identity", "qe_identity_signature"),
)
_CHAIN: Final = "pck_certificate_chain"
_SIZE: Final = 4


def open_quote_args(data: bytes) -> tuple[Opened, ...] | None:
    """Open such arguments; None when the bytes do not begin with the length of a quote, and the quote.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised`` when what follows the quote is not its
            collateral, to the last byte.
    """
    size = int.from_bytes(data[:_SIZE], "little")
    quote = data[_SIZE : _SIZE + size]
    platform = recognise(quote) if _LEAST_QUOTE <= size == len(quote) else None
    if platform not in _TEES:
        return None
    at = _SIZE + size
    parts: dict[str, bytes] = {}
    for name in _PARTS:
        parts[name], at = _part(data, at, name, text=name in _TEXTS)
    left = []
    if data[at : at + 1] == b"\1":
        _, at = _part(data, at + 1, _CHAIN, text=True)
        left = [f"collateral.{_CHAIN}"]
    elif data[at : at + 1] == b"\0":
        at += 1
    else:
        raise _other(_CHAIN)
    if at != len(data):
        raise unrecognised(f"{len(data) - at} bytes follow the collateral behind a quote.")
    form = f"{len(quote)} bytes, from a verifier's arguments with collateral"
    beside = {"collateral.json": Collateral(**parts).to_bundle_json()}
    return noted((Opened(quote, platform, form, beside=beside),), left)


def _part(data: bytes, at: int, name: str, *, text: bool) -> tuple[bytes, int]:
    """Return one part and where the next begins."""
    start = at + _SIZE
    end = start + int.from_bytes(data[at:start], "little")
    if len(data) < max(start, end):
        raise _other(name)
    found = data[start:end]
    if text:
        try:
            found.decode("utf-8")
        except UnicodeDecodeError:
            raise _other(name) from None
    return found, end


def _other(name: str) -> EvidenceError:
    return unrecognised(f"The collateral behind a quote has no {name}, or it is cut off.")
