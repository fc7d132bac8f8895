"""The checks of a DCAP verification, in the order in which they are made.

Each has its own id and at least one input in the tests that it alone refuses. Sources: DCAP is Intel's "SGX
ECDSA quoting library API" and "TDX DCAP quoting library API"; PCK is "SGX PCK certificate and CRL profile";
PCS is the Provisioning Certification Service's API documentation; QVL names Intel's quote verification
library where the documents leave an order or an algorithm open.
"""

from __future__ import annotations

from assay.evidence.ledger import CheckSpec

# --- The quote's own layout ---------------------------------------------------------------------------------

QUOTE_LAYOUT = CheckSpec(
    "dcap.quote.layout",
    "every section of the quote has exactly the length that the sections around it say",
    "DCAP quote formats 3, 4 and 5",
)
QUOTE_VERSION = CheckSpec(
    "dcap.quote.version",
    "the quote has format 3, 4 or 5 with a body that the format knows",
    "DCAP quote header",
)
QUOTE_KEY_TYPE = CheckSpec(
    "dcap.quote.key_type", "the attestation key is ECDSA P-256 (type 2)", "DCAP quote header"
)
QUOTE_PLATFORM = CheckSpec(
    "dcap.quote.platform",
    "the quote is of the platform that was asked for",
    "DCAP quote header, TEE type and body type; RFC 9334 section 7: the Relying Party chooses",
)
QUOTE_VENDOR = CheckSpec(
    "dcap.quote.vendor", "the quoting enclave's vendor id is Intel's", "DCAP quote header, QE vendor id"
)
QUOTE_RESERVED = CheckSpec(
    "dcap.quote.reserved",
    "reserved bytes of header and reports are zero",
    "DCAP quote header and report bodies",
)
QUOTE_CERTIFICATION = CheckSpec(
    "dcap.quote.certification",
    "the certification data is a PCK chain (type 5), from format 4 on inside a QE report (type 6)",
    "DCAP certification data types",
)
QUOTE_TRAILING = CheckSpec(
    "dcap.quote.trailing",
    "nothing but zeros follows the declared length",
    "DCAP quote formats; real padding is zero",
)

# --- The PCK chain ------------------------------------------------------------------------------------------

PCK_LAYOUT = CheckSpec(
    "dcap.pck.layout",
    "the chain is exactly three strict certificates: leaf, CA, root",
    "DCAP certification data type 5; RFC 7468, X.690",
)
ROOT_PINNED = CheckSpec(
    "dcap.root.pinned", "the chain's root is, byte for byte, a root of trust that was given", "PCK section 3"
)
PCK_CHAIN = CheckSpec(
    "dcap.pck.chain",
    "root signed CA and CA signed leaf, and each names its issuer",
    "PCK section 3; RFC 5280 6.1",
)
PCK_ROLE = CheckSpec(
    "dcap.pck.role",
    "each certificate is what its position needs: name, usage, constraints, algorithms, extensions",
    "PCK sections 1.3 and 3",
)
PCK_VALIDITY = CheckSpec(
    "dcap.pck.validity",
    "each certificate of the chain is valid at the given time",
    "RFC 5280 section 4.1.2.5",
)
PCK_EXTENSION = CheckSpec(
    "dcap.pck.extension", "the leaf's SGX extension states the platform, each value once", "PCK section 1.3.5"
)

# --- Revocation ---------------------------------------------------------------------------------------------

ROOT_CRL_LAYOUT = CheckSpec(
    "dcap.root_crl.layout",
    "the root's CRL is a strict version 2 CRL with its required extensions",
    "PCK section 2",
)
ROOT_CRL_ISSUER = CheckSpec(
    "dcap.root_crl.issuer", "the root CRL names the pinned root and its key as issuer", "RFC 5280 section 6.3"
)
ROOT_CRL_SIGNATURE = CheckSpec(
    "dcap.root_crl.signature", "the pinned root signed the root CRL", "PCK section 2"
)
ROOT_CRL_TIME = CheckSpec(
    "dcap.root_crl.time",
    "the given time lies between thisUpdate and nextUpdate of the root CRL",
    "RFC 5280 5.1.2",
)
ROOT_CRL_REVOKED = CheckSpec(
    "dcap.root_crl.revoked", "neither the PCK CA nor a TCB signer is revoked", "RFC 5280 section 6.3"
)
PCK_CRL_LAYOUT = CheckSpec(
    "dcap.pck_crl.layout",
    "the PCK CRL is a strict version 2 CRL with its required extensions",
    "PCK section 2",
)
PCK_CRL_CHAIN = CheckSpec(
    "dcap.pck_crl.chain",
    "the CRL's issuer chain is the pinned root and a PCK CA that it signed, valid now",
    "PCS API, SGX-PCK-CRL-Issuer-Chain",
)
PCK_CRL_ISSUER = CheckSpec(
    "dcap.pck_crl.issuer",
    "the PCK CRL names as issuer the CA that issued this PCK certificate",
    "RFC 5280 6.3",
)
PCK_CRL_SIGNATURE = CheckSpec("dcap.pck_crl.signature", "that CA signed the PCK CRL", "PCK section 2")
PCK_CRL_TIME = CheckSpec(
    "dcap.pck_crl.time",
    "the given time lies between thisUpdate and nextUpdate of the PCK CRL",
    "RFC 5280 5.1.2",
)
PCK_CRL_REVOKED = CheckSpec(
    "dcap.pck_crl.revoked", "the PCK certificate is not revoked", "RFC 5280 section 6.3"
)

# --- TCB info and QE identity -------------------------------------------------------------------------------

TCB_SIGNER_CHAIN = CheckSpec(
    "dcap.tcb_signer.chain",
    "each document's signer was certified by the pinned root directly",
    "PCS API, TCB-Info-Issuer-Chain and SGX-Enclave-Identity-Issuer-Chain",
)
TCB_SIGNER_ROLE = CheckSpec(
    "dcap.tcb_signer.role",
    "each document's signer is Intel SGX TCB Signing and nothing else, such as a PCK certificate",
    "PCS API; PCK section 3",
)
TCB_SIGNER_VALIDITY = CheckSpec(
    "dcap.tcb_signer.validity",
    "each document's signer is valid at the given time",
    "RFC 5280 section 4.1.2.5",
)
TCB_INFO_SIGNATURE = CheckSpec(
    "dcap.tcb_info.signature", "the TCB signer signed the raw bytes of the TCB info", "PCS API, TCB info"
)
TCB_INFO_LAYOUT = CheckSpec(
    "dcap.tcb_info.layout",
    "the TCB info is strict JSON with every member that a decision needs, 16 components in each level",
    "PCS API, TCB info versions 2 and 3",
)
TCB_INFO_ID = CheckSpec(
    "dcap.tcb_info.id",
    "the TCB info is for this kind of TEE, in a version that exists for it",
    "PCS API, TCB info",
)
TCB_INFO_TIME = CheckSpec(
    "dcap.tcb_info.time",
    "the given time lies between issueDate and nextUpdate of the TCB info",
    "PCS API, TCB info",
)
TCB_INFO_FMSPC = CheckSpec(
    "dcap.tcb_info.fmspc", "the TCB info is for the FMSPC of this PCK certificate", "PCS API, TCB info"
)
TCB_INFO_PCEID = CheckSpec(
    "dcap.tcb_info.pceid", "the TCB info is for the PCE id of this PCK certificate", "PCS API, TCB info"
)
QE_IDENTITY_SIGNATURE = CheckSpec(
    "dcap.qe_identity.signature",
    "the TCB signer signed the raw bytes of the QE identity",
    "PCS API, enclave identity",
)
QE_IDENTITY_LAYOUT = CheckSpec(
    "dcap.qe_identity.layout",
    "the QE identity is strict JSON with every member that a decision needs",
    "PCS API, enclave identity",
)
QE_IDENTITY_ID = CheckSpec(
    "dcap.qe_identity.id",
    "the QE identity is of the enclave that quotes for this kind of TEE",
    "PCS API, enclave identity: QE for SGX, TD_QE for TDX",
)
QE_IDENTITY_TIME = CheckSpec(
    "dcap.qe_identity.time",
    "the given time lies between issueDate and nextUpdate of the QE identity",
    "PCS API, enclave identity",
)

# --- The quoting enclave ------------------------------------------------------------------------------------

QE_REPORT_SIGNATURE = CheckSpec(
    "dcap.qe_report.signature",
    "the PCK key signed the report of the quoting enclave",
    "DCAP signature section",
)
QE_REPORT_DATA = CheckSpec(
    "dcap.qe_report.data",
    "all 64 bytes of the report's data commit to the attestation key: SHA-256(key, QE auth data), then zeros",
    "DCAP signature section",
)
QE_REPORT_IDENTITY = CheckSpec(
    "dcap.qe_report.identity",
    "the quoting enclave is the one that Intel identified: signer, product, attributes, select bits",
    "PCS API, enclave identity",
)
QE_REPORT_DEBUG = CheckSpec(
    "dcap.qe_report.debug", "the quoting enclave is not debuggable", "SGX ATTRIBUTES.DEBUG"
)

# --- The TDX module -----------------------------------------------------------------------------------------

TDX_MODULE_IDENTITY = CheckSpec(
    "dcap.tdx_module.identity",
    "the TCB info identifies the version of the TDX module that runs",
    "PCS API, tdxModuleIdentities; QVL 4.1.2.4.9",
)
TDX_MODULE_SIGNER = CheckSpec(
    "dcap.tdx_module.signer",
    "the signer of the TDX module is the one identified",
    "PCS API, tdxModule.mrsigner",
)
TDX_MODULE_ATTRIBUTES = CheckSpec(
    "dcap.tdx_module.attributes",
    "the attributes of the TDX module are the ones identified, and zero",
    "PCS API, tdxModule.attributes",
)

# --- Levels, signature, binding -----------------------------------------------------------------------------

TCB_STATUS = CheckSpec(
    "dcap.tcb.status",
    "every status in the signed documents is one that this verifier knows",
    "PCS API, tcbStatus",
)
QUOTE_SIGNATURE = CheckSpec(
    "dcap.quote.signature", "the attestation key signed header and body", "DCAP signature section"
)
TDX_BINDING = CheckSpec(
    "tdx.binding", "all 64 bytes of the report data are the ones expected", "RFC 9334 section 10: freshness"
)
SGX_BINDING = CheckSpec(
    "sgx.binding", "all 64 bytes of the report data are the ones expected", "RFC 9334 section 10: freshness"
)

LAYOUT_CHECKS = (
    QUOTE_LAYOUT,
    QUOTE_VERSION,
    QUOTE_KEY_TYPE,
    QUOTE_PLATFORM,
    QUOTE_VENDOR,
    QUOTE_RESERVED,
    QUOTE_CERTIFICATION,
    QUOTE_TRAILING,
)
PCK_CHECKS = (PCK_LAYOUT, ROOT_PINNED, PCK_CHAIN, PCK_ROLE, PCK_VALIDITY, PCK_EXTENSION)
# Established from the collateral and the root alone.
DOCUMENT_CHECKS = (
    ROOT_CRL_LAYOUT,
    ROOT_CRL_ISSUER,
    ROOT_CRL_SIGNATURE,
    ROOT_CRL_TIME,
    PCK_CRL_LAYOUT,
    PCK_CRL_CHAIN,
    PCK_CRL_SIGNATURE,
    PCK_CRL_TIME,
    TCB_SIGNER_CHAIN,
    TCB_SIGNER_ROLE,
    TCB_SIGNER_VALIDITY,
    TCB_INFO_SIGNATURE,
    TCB_INFO_LAYOUT,
    TCB_INFO_ID,
    TCB_INFO_TIME,
    QE_IDENTITY_SIGNATURE,
    QE_IDENTITY_LAYOUT,
    QE_IDENTITY_ID,
    QE_IDENTITY_TIME,
    TCB_STATUS,
)
# Established from the collateral and this quote together.
MATCH_CHECKS = (
    ROOT_CRL_REVOKED,
    PCK_CRL_ISSUER,
    PCK_CRL_REVOKED,
    TCB_INFO_FMSPC,
    TCB_INFO_PCEID,
    QE_REPORT_IDENTITY,
    TDX_MODULE_IDENTITY,
    TDX_MODULE_SIGNER,
    TDX_MODULE_ATTRIBUTES,
)
COLLATERAL_CHECKS = DOCUMENT_CHECKS + MATCH_CHECKS
# Established from the quote and its chain alone.
ENCLAVE_CHECKS = (QE_REPORT_SIGNATURE, QE_REPORT_DATA, QE_REPORT_DEBUG)

DCAP_CHECKS = (
    *LAYOUT_CHECKS,
    *PCK_CHECKS,
    *ENCLAVE_CHECKS,
    *DOCUMENT_CHECKS,
    *MATCH_CHECKS,
    QUOTE_SIGNATURE,
)
TDX_CHECKS = (*DCAP_CHECKS, TDX_BINDING)
SGX_CHECKS = (*DCAP_CHECKS, SGX_BINDING)
CHECKS = (*DCAP_CHECKS, TDX_BINDING, SGX_BINDING)
