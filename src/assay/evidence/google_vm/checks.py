"""The checks of a Google Cloud VM's evidence, in the order in which they are made.

Beside them stand those of the TD quote (``dcap.*``) when the VM is asked to be one of TDX.

Sources: GTT is go-tpm-tools (``attest.proto``, the AK certificate's extension); EKP is the TCG EK credential
profile 2.5; SV is Google's documentation of Shielded VM and its virtual TPM.
"""

from __future__ import annotations

from assay.evidence.dcap import checks as dcap
from assay.evidence.eventlog.boot_checks import LogSpecs
from assay.evidence.ledger import CheckSpec
from assay.evidence.snp import checks as snp
from assay.evidence.tpm.quote_checks import QuoteSpecs

CONTAINER = CheckSpec(
    "google_vm.container.layout",
    "the container is one attestation message, each field once and within bounds, with a SHA-256 quote",
    "GTT, attest.proto; Protocol Buffers encoding",
)
AK_LAYOUT = CheckSpec(
    "google_vm.ak.layout",
    "the attestation key's certificate and those above it are strict X.509 certificates",
    "X.690; GTT, ak_cert and intermediate_certs",
)
AK_CHAIN = CheckSpec(
    "google_vm.ak.chain",
    "the attestation key's certificate leads to a root of trust for Google's virtual TPMs, role by role",
    "RFC 5280 section 6.1; EKP",
)
AK_INSTANCE = CheckSpec(
    "google_vm.ak.instance",
    "the certificate states the instance in extension 1.3.6.1.4.1.11129.2.1.21, each value once",
    "GTT, instance information extension",
)
AK_STATED = CheckSpec(
    "google_vm.ak.stated",
    "the instance that the container states is the certified one",
    "GTT, GCEInstanceInfo",
)
AK_REVOKED = CheckSpec(
    "google_vm.ak.revoked",
    "no certificate of the chain is on a given CRL of its issuer, signed by it and valid now",
    "RFC 5280 section 6.3",
)
AK_KEY = CheckSpec(
    "google_vm.ak.key",
    "the certified key is the one that signed the quotes",
    "EKP; TPM 2.0 Library part 1, section 16",
)
QUOTE = QuoteSpecs.of("google_vm.quote")
# Of a quote's checks those that this format leaves open: the bank is fixed.
QUOTE_CHECKS = tuple(spec for spec in QUOTE.all if spec is not QUOTE.bank)
AK_NAME = CheckSpec(
    "google_vm.ak.name",
    "the qualified name that the TPM signed is that of this public area, a primary key of its endorsements",
    "TPM 2.0 Library part 1, section 16 (names); GTT, GCE attestation keys",
)
OTHER_QUOTES = CheckSpec(
    "google_vm.quotes",
    "every further quote is of the same key over the same nonce and its own bank's values",
    "GTT, quotes; TPM 2.0 Library part 3, section 18.4",
)
LOG = LogSpecs.of("google_vm.log")
TD_BOUND = CheckSpec(
    "google_vm.td.bound",
    "all 64 bytes of the TD's report data are the ones expected: both layers carry this session's binding",
    "RFC 9334 section 10: freshness; SV: the virtual TPM is the host's, only the binding ties it to the TD",
)
SNP_BOUND = CheckSpec(
    "google_vm.snp.bound",
    "all 64 bytes of the SNP report's report data are the ones expected: both layers carry this session's"
    " binding",
    "RFC 9334 section 10: freshness; the virtual TPM is the host's, only the binding ties it to the guest",
)

AK_CHECKS = (AK_LAYOUT, AK_CHAIN, AK_INSTANCE, AK_STATED, AK_REVOKED, AK_KEY)
VTPM_CHECKS = (CONTAINER, *AK_CHECKS, *QUOTE_CHECKS, AK_NAME, OTHER_QUOTES, *LOG.all)
TDX_CHECKS = (*VTPM_CHECKS, *(spec for spec in dcap.TDX_CHECKS if spec is not dcap.TDX_BINDING), TD_BOUND)
SNP_CHECKS = (*VTPM_CHECKS, *(spec for spec in snp.CHECKS if spec is not snp.BINDING), SNP_BOUND)
CHECKS = (*VTPM_CHECKS, TD_BOUND, SNP_BOUND)
"""Google's own checks; those of the TD quote and of the SNP report are the checks of their formats."""
