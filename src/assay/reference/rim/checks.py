"""The checks of a reference integrity manifest, in the order in which they are made.

Each has its own id and at least one input in the tests that it alone refuses. Sources: RIM is the TCG
reference integrity manifest information model; SWID is ISO/IEC 19770-2; XMLDSIG is W3C's XML Signature
Syntax and Processing 1.1; SDK names NVIDIA's attestation SDK.
"""

from __future__ import annotations

from assay.evidence.ledger import CheckSpec

XML = CheckSpec(
    "rim.xml",
    "the manifest is bounded XML without document type, entities, comments or processing instructions",
    "XML 1.0; Canonical XML 1.1",
)
LAYOUT = CheckSpec(
    "rim.layout",
    "one SWID tag with entity, meta data, payload and signature, each once, and nothing else",
    "RIM section 4; SWID 8",
)
FORM = CheckSpec(
    "rim.signature.form",
    "the signature covers the whole tag but itself, by Canonical XML 1.1, SHA-384 and ECDSA",
    "XMLDSIG 4.4; RFC 9231",
)
MEASUREMENTS = CheckSpec(
    "rim.measurements",
    "every measurement is listed once, with SHA-384 values as many as it says, and some are active",
    "RIM, payload; SDK, golden measurements",
)
CHAIN_LAYOUT = CheckSpec(
    "rim.chain.layout",
    "the signature carries exactly four strict certificates: signer, two authorities, root",
    "XMLDSIG 4.5.4; X.690",
)
CHAIN_ROOT = CheckSpec(
    "rim.chain.root",
    "the chain's root is, byte for byte, a root of trust that was given for manifests",
    "NVIDIA CoRIM signing Root CA",
)
CHAIN_ROLE = CheckSpec(
    "rim.chain.role",
    "each certificate is what its position needs: name, usage, constraints, P-384",
    "SDK, RIM certificate chain",
)
CHAIN_SIGNATURE = CheckSpec(
    "rim.chain.signature", "each certificate was issued by the next one", "RFC 5280 section 6.1"
)
CHAIN_VALIDITY = CheckSpec(
    "rim.chain.validity", "each certificate is valid at the given time", "RFC 5280 section 4.1.2.5"
)
DIGEST = CheckSpec(
    "rim.digest", "the signed digest is the one of the tag without its signature", "XMLDSIG 3.2.1"
)
SIGNATURE = CheckSpec("rim.signature", "the signer signed the signature's information", "XMLDSIG 3.2.2")
REVOCATION = CheckSpec(
    "rim.revocation",
    "no certificate below the root is revoked, unknown, or on hold unless that was admitted",
    "RFC 6960 section 3.2; RFC 5280 section 5.3.1",
)

CHAIN_CHECKS = (CHAIN_LAYOUT, CHAIN_ROOT, CHAIN_ROLE, CHAIN_SIGNATURE, CHAIN_VALIDITY)
RIM_CHECKS = (XML, LAYOUT, FORM, MEASUREMENTS, *CHAIN_CHECKS, DIGEST, SIGNATURE, REVOCATION)
