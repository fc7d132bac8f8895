"""Responders of OCSP whose certificates say what no authority of the simulator would certify."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA384

from assay.simulator.nvidia import pki
from support.nvidia_scenes import NOW

if TYPE_CHECKING:
    from assay.simulator.nvidia.answers import AnswerDraft


def certified(draft: AnswerDraft, *extensions: tuple[x509.ExtensionType, bool]) -> AnswerDraft:
    """Certify the responder for these extensions alone, each with whether it is critical."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(draft.responder.certificate.subject)
        .issuer_name(draft.issuer.certificate.subject)
        .public_key(draft.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=7))
        .not_valid_after(NOW + timedelta(days=7))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    draft.responder = pki.Issued(draft.key, builder.sign(draft.issuer.key, SHA384()))
    draft.certificates = (draft.responder,)
    return draft
