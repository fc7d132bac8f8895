"""The checks of a stand-alone TPM's evidence, in the order in which they are made.

Sources: TCG EK and AK are the TCG EK Credential Profile 2.6 and the TCG AK certificate profile; the checks of
quote and logs name their own.
"""

from __future__ import annotations

from assay.evidence.eventlog.boot_checks import LogSpecs
from assay.evidence.ima.verify import ImaSpecs
from assay.evidence.ledger import CheckSpec
from assay.evidence.tpm.quote_checks import QuoteSpecs

LAYOUT = CheckSpec(
    "tpm.evidence.layout",
    "the input is one container: quote, signature and PCRs, each once",
    "assay.evidence.tpm.container",
)
AK_TRUST = CheckSpec(
    "tpm.ak.trust",
    "the attestation key is one that the caller gave, or that a certificate is for",
    "RFC 9334 section 7.4: a verifier's trust in an attester",
)
AK_CERTIFICATE = CheckSpec(
    "tpm.ak.certificate", "the AK certificate and its issuers are strict certificates", "RFC 5280; X.690"
)
AK_ROOT = CheckSpec(
    "tpm.ak.root", "the chain ends in a root of trust that was given for TPMs", "RFC 5280 section 6.1.1"
)
AK_CHAIN = CheckSpec(
    "tpm.ak.chain", "each certificate was signed by the next, and names it", "RFC 5280 section 6.1"
)
AK_ROLE = CheckSpec(
    "tpm.ak.role",
    "the leaf is an AK certificate (extended key usage 2.23.133.8.3), and the others are authorities",
    "TCG AK certificate profile; RFC 5280 section 4.2.1",
)
AK_VALIDITY = CheckSpec(
    "tpm.ak.validity", "each certificate is valid at the given time", "RFC 5280 section 4.1.2.5"
)
AK_REVOKED = CheckSpec(
    "tpm.ak.revoked",
    "no certificate of the chain is on a given CRL of its issuer, signed by it and valid now",
    "RFC 5280 section 6.3",
)
AK_MATCH = CheckSpec(
    "tpm.ak.match",
    "the public area in the evidence is of the key that is trusted",
    "TPM 2.0 Library part 2, section 12.2.4",
)
QUOTE = QuoteSpecs.of("tpm.quote")
LOG = LogSpecs.of("tpm.log")
IMA = ImaSpecs.of("tpm.ima")

CHAIN_CHECKS = (AK_CERTIFICATE, AK_ROOT, AK_CHAIN, AK_ROLE, AK_VALIDITY, AK_REVOKED)
AK_CHECKS = (AK_TRUST, *CHAIN_CHECKS, AK_MATCH)
CHECKS = (LAYOUT, *AK_CHECKS, *QUOTE.all[:-1], *LOG.all, *IMA.all, QUOTE.nonce)

NO_LOGS = (*LOG.absent, *IMA.absent)
"""The outcomes of the logs' checks where there is no log."""
