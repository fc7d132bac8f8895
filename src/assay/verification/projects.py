"""What single projects wrap evidence in. How a file begins says which of them are tried.

    oak         Project Oak's evidence: a protobuf message around a report or a quote
    oasis       attestations of Oasis nodes: CBOR around an SGX quote and documents of Intel
    quote_args  arguments of a verifier on a chain: a quote and its collateral in Borsh
    keylime     the quote of a Keylime agent: one text of three parts in base64

None when the bytes do not look like one of them. A project's form proves nothing about what it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from assay.verification.opened import Opened

_MESSAGE: Final = b"\x0a"  # its first field has a length
_MAPS: Final = range(0xA2, 0xA8)
_QUOTE: Final = b"r/1RDR4AY"  # "r", and what a TPM signed: its name for itself, and that it is a quote
_SMALL_SIZE: Final = b"\0\0"  # the upper half of a length


def open_of_project(data: bytes) -> tuple[Opened, ...] | None:
    """Open what one of these projects wrote.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised`` for what is malformed in it,
            ``verification.evidence.unsupported``.
    """
    return (
        (_oak(data) if data.startswith(_MESSAGE) else None)
        or (_keylime(data) if data.startswith(_QUOTE) else None)
        or (_oasis(data) if data[:1] and data[0] in _MAPS and b"certs" in data else None)
        or (_quote_args(data) if data[2:4] == _SMALL_SIZE else None)
    )


def _oak(data: bytes) -> tuple[Opened, ...] | None:
    from assay.verification.oak import open_oak  # noqa: PLC0415 - this form alone

    return open_oak(data)


def _keylime(data: bytes) -> tuple[Opened, ...]:
    from assay.verification.keylime import open_keylime  # noqa: PLC0415 - this form alone

    return open_keylime(data)


def _oasis(data: bytes) -> tuple[Opened, ...] | None:
    from assay.verification.oasis import open_oasis  # noqa: PLC0415 - this form alone

    return open_oasis(data)


def _quote_args(data: bytes) -> tuple[Opened, ...] | None:
    from assay.verification.quote_args import open_quote_args  # noqa: PLC0415 - this form alone

    return open_quote_args(data)
