"""The report data that dstack puts into quotes.

Tagged content is hashed: SHA-512 of ``tag ":" content``. Key attestations are plain text, filled up with
zeros.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (QuoteContentType) and ``guest-agent``
(``dip1::`` forms).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from assay.errors import EvidenceError

REPORT_DATA_BYTES = 64
_KEY_FORMS = ("dip1::secp256k1c-pk:", "dip1::ed25519-pk:")


class Tag(StrEnum):
    """What kind of content a quote was made for."""

    RATLS_CERT = "ratls-cert"
    APP_DATA = "app-data"
    KMS_ROOT_CA = "kms-root-ca"


def tagged(tag: Tag, content: bytes) -> bytes:
    """Return the 64-byte report data of a quote over tagged content.

    Args:
        tag: What the content is. For ``RATLS_CERT`` the content is the DER of the certificate's
            SubjectPublicKeyInfo.
        content: The bytes that the quote is about, of any length.
    """
    return hashlib.sha512(tag.value.encode() + b":" + content).digest()


def key_attestation(text: str) -> bytes:
    """Return the 64-byte report data of a key attestation such as ``dip1::ed25519-pk:...``.

    Raises:
        EvidenceError: ``dstack.report_data.form`` when it is none of dstack's forms or too long.
    """
    if not text.isascii() or not text.startswith(_KEY_FORMS) or len(text) > REPORT_DATA_BYTES:
        raise EvidenceError("dstack.report_data.form", "This is not a key attestation of dstack.")
    return text.encode().ljust(REPORT_DATA_BYTES, b"\0")


def read_key_attestation(report_data: bytes) -> str | None:
    """Return the key attestation that report data spells out, or None when it is of another form."""
    text = report_data.rstrip(b"\0")
    if not text.isascii() or not text.decode("ascii").startswith(_KEY_FORMS):
        return None
    shown = text.decode("ascii")
    return shown if shown.isprintable() else None
