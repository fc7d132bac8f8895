"""The checks of an SEV-SNP verification, in the order in which they are made.

Each has its own id and at least one input in the tests that it alone refuses. Sources: ABI is AMD's "SEV
Secure Nested Paging Firmware ABI Specification" (56860); KDS is the "Versioned Chip Endorsement Key
Certificate and KDS Interface Specification" (57230); GHCB is the "Guest-Hypervisor Communication Block
Standardization" (56421).
"""

from __future__ import annotations

from typing import Final

from assay.evidence.ledger import CheckSpec

# --- The report's own layout --------------------------------------------------------------------------------

SNP_REPORT_LAYOUT = CheckSpec(
    "snp.report.layout",
    "the report has exactly 1,184 bytes, followed by a certificate table or nothing",
    "ABI, ATTESTATION_REPORT; GHCB, SNP Extended Guest Request",
)
SNP_REPORT_VERSION = CheckSpec(
    "snp.report.version", "the report has version 2, 3, 4 or 5", "ABI, ATTESTATION_REPORT.VERSION"
)
REPORT_RESERVED = CheckSpec(
    "snp.report.reserved", "what is reserved in this version is zero", "ABI, ATTESTATION_REPORT"
)
REPORT_POLICY = CheckSpec(
    "snp.report.policy",
    "bit 17 of the guest policy is one, and version 2 sets no bit that it does not know",
    "ABI, Guest Policy",
)
REPORT_ALGORITHM = CheckSpec(
    "snp.report.signature_algorithm",
    "the signature is ECDSA P-384 with SHA-384 (1)",
    "ABI, Digital Signature Algorithms",
)
REPORT_SIGNING_KEY = CheckSpec(
    "snp.report.signing_key", "the report says that a VCEK or a VLEK signed it", "ABI, SIGNING_KEY"
)
REPORT_VMPL = CheckSpec(
    "snp.report.vmpl",
    "the guest asked for the report, at a privilege level that exists, and not the host",
    "ABI, ATTESTATION_REPORT.VMPL; SNP_HV_REPORT_REQ",
)
SNP_REPORT_SIGNATURE = CheckSpec(
    "snp.report.signature_encoding",
    "both numbers of the signature lie in 1..n-1, and what surrounds them is zero",
    "ABI, ECDSA P-384 with SHA-384 signature; FIPS 186-5, 6.4.2",
)
PRODUCT_CPUID = CheckSpec(
    "snp.product.cpuid",
    "CPUID family and model are of a product with a known root",
    "ABI, CPUID_FAM_ID and CPUID_MOD_ID; KDS section 1",
)

# --- The certificates ---------------------------------------------------------------------------------------

VEK_LAYOUT = CheckSpec(
    "snp.vek.layout", "VCEK or VLEK and its issuer are strict X.509 certificates", "KDS section 3; X.690"
)
VEK_KIND = CheckSpec(
    "snp.vek.kind",
    "the certificate is of the kind of key that the report says signed it",
    "ABI, SIGNING_KEY; KDS section 3",
)
SNP_ROOT_PINNED = CheckSpec(
    "snp.root.pinned",
    "the chain ends in a root of trust that was given; a root that comes with it equals it byte for byte",
    "KDS section 2, cert_chain",
)
CHAIN_SIGNATURES = CheckSpec(
    "snp.chain.signatures",
    "root signed ASK or ASVK, which signed the VCEK or VLEK, and each names its issuer",
    "KDS section 3; RFC 5280 6.1; RFC 4055 3.1",
)
CHAIN_ROLES = CheckSpec(
    "snp.chain.roles",
    "each certificate is what its position needs: name, key, RSA-PSS with SHA-384, usage, constraints",
    "KDS section 3",
)
SNP_CHAIN_VALIDITY = CheckSpec(
    "snp.chain.validity", "each certificate of the chain is valid at the given time", "RFC 5280 4.1.2.5"
)
VEK_EXTENSIONS = CheckSpec(
    "snp.vek.extensions",
    "the certificate states product, every TCB component, and HWID or CSP_ID: each once, nothing else",
    "KDS section 3, X.509 extensions",
)
VEK_PRODUCT = CheckSpec(
    "snp.vek.product", "the certificate names the product of the root that it chains to", "KDS, productName"
)
PRODUCT_MATCH = CheckSpec(
    "snp.product.match",
    "the report's CPUID names the product of the certificate",
    "ABI, CPUID_FAM_ID and CPUID_MOD_ID; KDS, productName",
)

# --- Revocation ---------------------------------------------------------------------------------------------

CRL_LAYOUT = CheckSpec(
    "snp.crl.layout",
    "the CRL is a strict version 2 CRL with its required extensions",
    "KDS section 2, crl; RFC 5280 section 5",
)
CRL_ISSUER = CheckSpec(
    "snp.crl.issuer", "the CRL names the root of this chain and its key as issuer", "RFC 5280 section 6.3"
)
CRL_SIGNATURE = CheckSpec(
    "snp.crl.signature", "the root signed the CRL with RSA-PSS and SHA-384", "KDS section 2, crl"
)
CRL_TIME = CheckSpec(
    "snp.crl.time", "the given time lies between thisUpdate and nextUpdate of the CRL", "RFC 5280 5.1.2"
)
CRL_REVOKED = CheckSpec(
    "snp.crl.revoked", "the CRL lists neither the ASK or ASVK nor its issuer", "RFC 5280 section 6.3"
)

# --- The report under its key -------------------------------------------------------------------------------

SNP_SIGNATURE = CheckSpec(
    "snp.report.signature", "the VCEK or VLEK signed the report", "ABI, ATTESTATION_REPORT.SIGNATURE"
)
TCB_VEK = CheckSpec(
    "snp.tcb.vek",
    "every TCB component of the certificate equals that of the reported TCB",
    "ABI, REPORTED_TCB; KDS section 3",
)
CHIP_ID = CheckSpec(
    "snp.chip_id",
    "the HWID of the certificate is the chip of the report",
    "ABI, CHIP_ID; KDS section 3, HWID",
)
TCB_REPORTED = CheckSpec(
    "snp.tcb.reported",
    "no component of the reported TCB is above the TCB that runs",
    "ABI, TCB_VERSION and SNP_CONFIG",
)
TCB_COMMITTED = CheckSpec(
    "snp.tcb.committed",
    "no component of the committed TCB, nor the committed version, is above what runs",
    "ABI, SNP_COMMIT",
)
BINDING = CheckSpec(
    "snp.binding", "all 64 bytes of the report data are the ones expected", "RFC 9334 section 10: freshness"
)

LAYOUT_CHECKS: Final = (
    SNP_REPORT_LAYOUT,
    SNP_REPORT_VERSION,
    REPORT_RESERVED,
    REPORT_POLICY,
    REPORT_ALGORITHM,
    REPORT_SIGNING_KEY,
    REPORT_VMPL,
    SNP_REPORT_SIGNATURE,
)
# Established from certificates and roots alone.
CHAIN_CHECKS: Final = (
    VEK_LAYOUT,
    SNP_ROOT_PINNED,
    CHAIN_SIGNATURES,
    CHAIN_ROLES,
    SNP_CHAIN_VALIDITY,
    VEK_EXTENSIONS,
    VEK_PRODUCT,
)
CRL_CHECKS: Final = (CRL_LAYOUT, CRL_ISSUER, CRL_SIGNATURE, CRL_TIME, CRL_REVOKED)
# Established from the report and its certificate together.
MATCH_CHECKS: Final = (VEK_KIND, PRODUCT_MATCH, TCB_VEK, CHIP_ID, TCB_REPORTED, TCB_COMMITTED)

CHECKS: Final = (
    *LAYOUT_CHECKS,
    PRODUCT_CPUID,
    *CHAIN_CHECKS,
    *CRL_CHECKS,
    *MATCH_CHECKS,
    SNP_SIGNATURE,
    BINDING,
)
