"""The TDX quote and the virtual TPM's of a dstack guest, as the verifier of Google's VMs takes them.

The parts are taken as they are: message, signature, PCR values and certificate. The public key is read out of
the certificate, which alone vouches for it; of the rest of Google's container dstack carries nothing.

Source: dstack 0.6.0, ``tpm-types/src/lib.rs`` (TpmQuote).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError
from assay.evidence.dstack.fields import refuse
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.google_vm.container import BankQuote, GoogleVmEvidence
from assay.evidence.x509.general import GeneralCertificate

if TYPE_CHECKING:
    from assay.evidence.dstack.versioned import Attestation

RELIED_PCRS: Final = frozenset({0, 2, 14})
"""What dstack quotes: firmware, the unified kernel image, and the runtime events."""


def vm_evidence(attestation: Attestation) -> GoogleVmEvidence:
    """Return the evidence of an attestation in its parts.

    Raises:
        EvidenceError: ``dstack.attestation.tpm`` when it has none, or no readable certificate.
    """
    tpm = attestation.tpm
    if tpm is None:
        refuse("attestation.tpm", "The attestation carries no quote of a virtual TPM.")
    try:
        public = GeneralCertificate.parse(tpm.certificate).spki
    except DerError as error:
        refuse("attestation.tpm", f"The attestation key's certificate cannot be read: {error.message}")
    return GoogleVmEvidence(
        ak_public=public,
        quotes=(BankQuote(tpm.message, tpm.signature, int(Algorithm.SHA256), tpm.pcrs),),
        ak_certificate=tpm.certificate,
        td_quote=attestation.evidence,
    )
