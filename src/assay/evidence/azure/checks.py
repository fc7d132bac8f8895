"""The checks of an Azure confidential VM's evidence, in the order in which they are made.

The hardware's own checks (``snp.*`` or ``dcap.*``) stand in the same ledger; what is declared here is Azure's
container, the paravisor's runtime claims, the quote of the virtual TPM, and how the layers are bound to each
other.

Sources: HCL is the attestation report that Azure's paravisor keeps in the TPM's NV index 0x01400001, as
OpenHCL (OpenVMM, igvm_attest) writes it; GA is Microsoft's guest attestation documentation for confidential
VMs; JWK is RFC 7517 with RFC 7518.
"""

from __future__ import annotations

from assay.evidence.dcap import checks as dcap
from assay.evidence.eventlog.boot_checks import LogSpecs
from assay.evidence.ledger import CheckSpec
from assay.evidence.snp import checks as snp
from assay.evidence.tpm.quote_checks import QuoteSpecs

CONTAINER = CheckSpec(
    "azure.container.layout",
    "the container is one of the known forms, each member once and within bounds",
    "Trustee's Azure vTPM evidence 0 to 2; RFC 8259; bincode 1",
)
HCL_LAYOUT = CheckSpec(
    "azure.hcl.layout",
    "header, hardware report and runtime claims of the HCL report have the sizes that they state",
    "HCL, attestation report header and request data",
)
HCL_VERSION = CheckSpec(
    "azure.hcl.version",
    "the HCL report is of a version and request that keep the attestation key's claims",
    "HCL, header version 1 or 2, request AK_CERT, request data version 1",
)
HCL_PLATFORM = CheckSpec(
    "azure.hcl.platform",
    "the HCL report is of the TEE that was asked for",
    "HCL, report type; RFC 9334 section 7: the Relying Party chooses",
)
HCL_TRAILING = CheckSpec(
    "azure.hcl.trailing",
    "nothing but zeros follows the runtime claims and an unused part of the hardware report's room",
    "HCL; the NV index is padded with zeros",
)
RUNTIME_LAYOUT = CheckSpec(
    "azure.runtime.layout",
    "the runtime claims are strict JSON with the members that are known, each once",
    "HCL, runtime claims; RFC 8259",
)
RUNTIME_KEY = CheckSpec(
    "azure.runtime.attestation_key",
    "exactly one key is HCLAkPub, and it is an RSA key for signing",
    "HCL, runtime claims; JWK",
)
RUNTIME_BOUND = CheckSpec(
    "azure.runtime.bound",
    "the hardware's report data are the hash of the runtime claims' raw bytes, then zeros",
    "HCL, hash type; GA",
)
VMPL = CheckSpec(
    "azure.snp.vmpl",
    "the paravisor, at VMPL 0, asked the hardware for the report",
    "AMD SEV-SNP ABI, ATTESTATION_REPORT.VMPL; HCL",
)
USER_DATA = CheckSpec(
    "azure.runtime.user_data",
    "all 64 bytes of the runtime claims' user data are the ones expected: the hardware's layer is fresh",
    "HCL, NV index 0x01400002; RFC 9334 section 10: freshness",
)
AK_CERTIFICATE = CheckSpec(
    "azure.ak.layout",
    "the attestation key's certificate is one strict certificate, followed by nothing but zeros",
    "X.690; NV index 0x01C101D0 is padded with zeros",
)
AK_KEY = CheckSpec(
    "azure.ak.key",
    "the certified key is the one that the hardware vouches for",
    "HCL, HCLAkPub; TCG EK credential profile 2.5",
)
AK_CHAIN = CheckSpec(
    "azure.ak.chain",
    "the attestation key's certificate leads to a root of trust for Azure's virtual TPMs, role by role",
    "RFC 5280 section 6.1; TCG EK credential profile 2.5",
)
AK_REVOKED = CheckSpec(
    "azure.ak.revoked",
    "no certificate of the chain is on a given CRL of its issuer, signed by it and valid now",
    "RFC 5280 section 6.3",
)

CONTAINER_CHECKS = (CONTAINER,)
HCL_CHECKS = (HCL_LAYOUT, HCL_VERSION, HCL_PLATFORM, HCL_TRAILING, RUNTIME_LAYOUT, RUNTIME_KEY)
AK_CHECKS = (AK_CERTIFICATE, AK_KEY, AK_CHAIN, AK_REVOKED)

QUOTE = QuoteSpecs.of("azure.quote")
# Of a quote's checks those that this format leaves open: kind of key, scheme, hash and bank are fixed by it,
# and the hardware vouches for the paravisor that made the key.
QUOTE_CHECKS = tuple(
    spec for spec in QUOTE.all if spec not in (QUOTE.key, QUOTE.attributes, QUOTE.scheme, QUOTE.bank)
)
LOG = LogSpecs.of("azure.log")
# Of a log's checks all but one: the containers of Azure's VMs have no room for a canonical log.
LOG_CHECKS = tuple(spec for spec in LOG.all if spec is not LOG.canonical)

_BEFORE = (*CONTAINER_CHECKS, *HCL_CHECKS)
_AFTER = (*QUOTE_CHECKS, *LOG_CHECKS, USER_DATA, *AK_CHECKS)
SNP_CHECKS = (
    *_BEFORE,
    *(spec for spec in snp.CHECKS if spec is not snp.BINDING),
    RUNTIME_BOUND,
    VMPL,
    *_AFTER,
)
TDX_CHECKS = (
    *_BEFORE,
    *(spec for spec in dcap.TDX_CHECKS if spec is not dcap.TDX_BINDING),
    RUNTIME_BOUND,
    *_AFTER,
)
CHECKS = (*_BEFORE, RUNTIME_BOUND, VMPL, *_AFTER)
"""Azure's own checks; those of the hardware's report are the checks of its format."""
