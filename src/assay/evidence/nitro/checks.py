"""The checks of a Nitro attestation document, in the order in which they are made.

Each has its own id and at least one input in the tests that it alone refuses. Sources: NSM is AWS's
"Attestation process" in the Nitro Enclaves SDK documentation, with its CDDL and its steps of validation; TPM
is "Validate a NitroTPM Attestation Document" in the EC2 user guide, which says the same of NitroTPM.
"""

from __future__ import annotations

from assay.evidence.ledger import CheckSpec

# --- The message --------------------------------------------------------------------------------------------

NITRO_COSE_LAYOUT = CheckSpec(
    "nitro.cose.layout",
    "the document is one COSE_Sign1 message in strict CBOR, and nothing follows it",
    "RFC 9052 section 4.2; RFC 8949 section 4.2; NSM 3.1",
)
NITRO_COSE_HEADERS = CheckSpec(
    "nitro.cose.headers",
    "its protected header is the algorithm ES384 and nothing else, its unprotected header is empty",
    "NSM 3.1 and 3.2.1; RFC 9053 section 2.1",
)

# --- The statement ------------------------------------------------------------------------------------------

NITRO_PAYLOAD_LAYOUT = CheckSpec(
    "nitro.payload.layout",
    "the payload is a map of the members of an attestation document, each at most once",
    "NSM 3.1, CDDL; TPM, specification",
)
NITRO_PAYLOAD_PLATFORM = CheckSpec(
    "nitro.payload.platform",
    "the document is of the platform that was asked for: an enclave's, or a NitroTPM's",
    "NSM 3.1; TPM, specification; RFC 9334 section 7: the Relying Party chooses",
)
NITRO_MODULE_ID = CheckSpec(
    "nitro.payload.module_id", "the module id is a text that is not empty", "NSM 3.2.2.1, module_id"
)
NITRO_DIGEST = CheckSpec("nitro.payload.digest", "the registers are of SHA-384", "NSM 3.2.2.1, digest")
NITRO_TIMESTAMP = CheckSpec(
    "nitro.payload.timestamp", "the timestamp is a time in milliseconds after 1970", "NSM 3.2.2.1, timestamp"
)
NITRO_PCRS = CheckSpec(
    "nitro.payload.pcrs",
    "there are 1 to 32 registers with index 0 to 31, each of 32, 48 or 64 bytes",
    "NSM 3.2.2.1, pcrs; TPM, nitrotpm_pcrs",
)
NITRO_CERTIFICATES = CheckSpec(
    "nitro.payload.certificates",
    "certificate and CA bundle are certificates of 1 to 1,024 bytes, root first",
    "NSM 3.2.2.1, certificate and cabundle",
)
NITRO_OPTIONAL = CheckSpec(
    "nitro.payload.optional",
    "public key, user data and nonce are absent, null, or byte strings of at most 1,024 bytes",
    "NSM 3.1, CDDL, and 3.2.2.1",
)

# --- The chain ----------------------------------------------------------------------------------------------

NITRO_ROOT_PINNED = CheckSpec(
    "nitro.root.pinned",
    "the first certificate of the CA bundle is, byte for byte, a root of trust that was given",
    "NSM 3.2.3, root of trust",
)
NITRO_CHAIN_LAYOUT = CheckSpec(
    "nitro.chain.layout",
    "the chain is root, region, zone, instance and leaf, each a strict certificate",
    "NSM 3.2.3.1 to 3.2.3.3; RFC 5280 4.1, X.690",
)
NITRO_CHAIN_KEYS = CheckSpec(
    "nitro.chain.keys", "every certificate has a P-384 key and is signed with ECDSA and SHA-384", "NSM 3.2.3"
)
NITRO_CHAIN_ROLES = CheckSpec(
    "nitro.chain.roles",
    "each certificate is what its position needs: constraints, path length, usage, extensions",
    "NSM 3.2.3.3, basic constraints and key usage; RFC 5280 6.1",
)
NITRO_CHAIN_NAMES = CheckSpec(
    "nitro.chain.names",
    "the certificates are named as their positions demand, in one region, down to the document's module",
    "NSM 3.2.3; the names of AWS's Nitro attestation PKI",
)
NITRO_CHAIN_SIGNATURES = CheckSpec(
    "nitro.chain.signatures",
    "each certificate names the one above it as its issuer and is signed by it",
    "NSM 3.2.3; RFC 5280 6.1",
)
NITRO_CHAIN_VALIDITY = CheckSpec(
    "nitro.chain.validity",
    "each certificate of the chain is valid at the given time",
    "NSM 3.2.3.2; RFC 5280 section 4.1.2.5",
)
NITRO_CHAIN_ARCHIVED = CheckSpec(
    "nitro.chain.archived",
    "each certificate of the chain was valid when the document says it was made, which is in the past",
    "NSM 3.2.3.2, for documents that are kept",
)

# --- The signature, and what it is for ----------------------------------------------------------------------

NITRO_COSE_SIGNATURE = CheckSpec(
    "nitro.cose.signature",
    "the leaf certificate's key signed protected header and payload",
    "NSM 3.2.4; RFC 9052 section 4.4",
)
NITRO_BINDING = CheckSpec(
    "nitro.binding",
    "the field that carries the binding holds exactly the bytes expected for this session",
    "RFC 9334 section 10: freshness; NSM 3.2.2, user_data, nonce and public_key",
)

LAYOUT_CHECKS = (
    NITRO_COSE_LAYOUT,
    NITRO_COSE_HEADERS,
    NITRO_PAYLOAD_LAYOUT,
    NITRO_PAYLOAD_PLATFORM,
    NITRO_MODULE_ID,
    NITRO_DIGEST,
    NITRO_TIMESTAMP,
    NITRO_PCRS,
    NITRO_CERTIFICATES,
    NITRO_OPTIONAL,
)
CHAIN_CHECKS = (
    NITRO_ROOT_PINNED,
    NITRO_CHAIN_LAYOUT,
    NITRO_CHAIN_KEYS,
    NITRO_CHAIN_NAMES,
    NITRO_CHAIN_ROLES,
    NITRO_CHAIN_SIGNATURES,
)
VALIDITY_CHECKS = (NITRO_CHAIN_VALIDITY, NITRO_CHAIN_ARCHIVED)

NITRO_CHECKS = (*LAYOUT_CHECKS, *CHAIN_CHECKS, *VALIDITY_CHECKS, NITRO_COSE_SIGNATURE, NITRO_BINDING)
"""Every check of a document, in order."""
