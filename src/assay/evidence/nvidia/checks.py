"""The checks of NVIDIA evidence, in the order in which they are made.

Each has its own id and at least one input in the tests that it alone refuses. Sources: SPDM is DMTF's DSP0274
1.1; DICE is the Trusted Computing Group's DICE attestation architecture; SDK names NVIDIA's attestation SDK
where no document states a layout; RIM is the TCG reference integrity manifest information model.
"""

from __future__ import annotations

from assay.evidence.ledger import CheckSpec

# --- The report's own layout --------------------------------------------------------------------------------

CONTAINER = CheckSpec(
    "nvidia.container",
    "the evidence is a bounded list of devices, each with report and chain, or one bare report",
    "SDK, serialised evidence",
)
REPORT_LAYOUT = CheckSpec(
    "nvidia.report.layout",
    "request, response and signature have exactly the lengths that they state",
    "SPDM 10.11, GET_MEASUREMENTS and MEASUREMENTS",
)
REPORT_MESSAGES = CheckSpec(
    "nvidia.report.messages",
    "an SPDM 1.1 request for all measurements under a signature, and its answer under the same slot",
    "SPDM 10.11",
)
REPORT_TRAILING = CheckSpec(
    "nvidia.report.trailing", "nothing but zeros follows the signature", "SPDM 10.11; real padding is zero"
)
REPORT_BLOCKS = CheckSpec(
    "nvidia.report.blocks",
    "the measurements are as many as stated, in order, each a SHA-384 digest",
    "SPDM 10.11.1, DMTF measurement specification",
)
REPORT_OPAQUE = CheckSpec(
    "nvidia.report.opaque",
    "the opaque data consists of whole fields, each once, with those that this kind of device must state",
    "SDK, opaque data",
)
REPORT_MODE = CheckSpec(
    "nvidia.report.mode",
    "the GPU's mode is known and agrees with its state of protected PCIe",
    "SDK, opaque data, feature flag",
)

# --- The device's certificates ------------------------------------------------------------------------------

CHAIN_LAYOUT = CheckSpec(
    "nvidia.chain.layout",
    "the chain is exactly five strict certificates: firmware, chip, two authorities, root",
    "SDK, device certificate chain; RFC 7468, X.690",
)
CHAIN_ROOT = CheckSpec(
    "nvidia.chain.root",
    "the chain's root is, byte for byte, a root of trust that was given",
    "NVIDIA Device Identity CA",
)
CHAIN_ROLE = CheckSpec(
    "nvidia.chain.role",
    "each certificate is what its position needs: name, usage, constraints, P-384",
    "SDK, device certificate chain; DICE certificate profiles",
)
CHAIN_CHIP = CheckSpec(
    "nvidia.chain.chip",
    "firmware and chip are certified for the same chip, of a family that is known",
    "SDK, device certificate chain",
)
CHAIN_SIGNATURE = CheckSpec(
    "nvidia.chain.signature", "each certificate was issued by the next one", "RFC 5280 section 6.1"
)
CHAIN_VALIDITY = CheckSpec(
    "nvidia.chain.validity", "each certificate is valid at the given time", "RFC 5280 section 4.1.2.5"
)
CHAIN_FWID = CheckSpec(
    "nvidia.chain.fwid",
    "the certified firmware is the one that the report states, on the chip that issued its certificate",
    "DICE, FWID and TCB info extensions 2.23.133.5.4.1",
)
REPORT_SIGNATURE = CheckSpec(
    "nvidia.report.signature", "the firmware's key signed request and response", "SPDM 10.11.2"
)
DEVICE_PDI = CheckSpec(
    "nvidia.device.pdi",
    "a switch states the device id under which its chip is certified",
    "SDK, opaque data; device certificate chain",
)
STATEMENT = CheckSpec(
    "nvidia.statement",
    "what the container says of a device, unsigned, is what the device signed",
    "SDK, serialised evidence",
)

# --- Revocation ---------------------------------------------------------------------------------------------

OCSP_LAYOUT = CheckSpec(
    "nvidia.ocsp.layout",
    "every answer is a strict OCSP response about one certificate",
    "RFC 6960 section 4.2",
)
OCSP_SUBJECT = CheckSpec(
    "nvidia.ocsp.subject",
    "there is an answer about each certificate between firmware and root, by issuer and serial number",
    "RFC 6960 section 3.2, number 1",
)
OCSP_RESPONDER = CheckSpec(
    "nvidia.ocsp.responder",
    "the certificate's issuer answered, or a responder that it certified for exactly this",
    "RFC 6960 section 4.2.2.2",
)
OCSP_SIGNATURE = CheckSpec(
    "nvidia.ocsp.signature", "the responder signed the answer", "RFC 6960 section 3.2, number 2"
)
OCSP_NONCE = CheckSpec(
    "nvidia.ocsp.nonce", "each answer carries the nonce of its question", "RFC 9654 section 2.1"
)
OCSP_TIME = CheckSpec(
    "nvidia.ocsp.time",
    "the given time lies between thisUpdate and nextUpdate of each answer",
    "RFC 6960 section 3.2, numbers 5 and 6",
)
OCSP_STATUS = CheckSpec(
    "nvidia.ocsp.status",
    "no certificate of the device is revoked, on hold, or unknown",
    "RFC 6960 section 2.2; RFC 5280 section 5.3.1",
)

# --- Golden measurements ------------------------------------------------------------------------------------

GOLDEN_DRIVER = CheckSpec(
    "nvidia.golden.driver",
    "a verified manifest is for the driver version that the GPU reports",
    "RIM, colloquialVersion",
)
GOLDEN_FIRMWARE = CheckSpec(
    "nvidia.golden.firmware",
    "a verified manifest is for the firmware version that the device reports",
    "RIM, colloquialVersion",
)
GOLDEN_PRODUCT = CheckSpec("nvidia.golden.product", "the manifests are for this chip", "RIM, product")
GOLDEN_ANCHOR = CheckSpec(
    "nvidia.golden.anchor",
    "a device under a pinned root is compared with manifests under a pinned root only",
    "RFC 9334 section 11: protection of Reference Values",
)
GOLDEN_TIME = CheckSpec(
    "nvidia.golden.time", "the manifests can be relied on at the given time", "RFC 5280 section 4.1.2.5"
)
GOLDEN_ACTIVE = CheckSpec(
    "nvidia.golden.active",
    "each manifest has active values, and no two are active at one index",
    "SDK, comparison of measurements",
)
MEASUREMENTS = CheckSpec(
    "nvidia.measurements",
    "every active value is the one measured, and nothing was measured that no manifest lists",
    "SDK, comparison of measurements",
)

# --- The set, and the binding -------------------------------------------------------------------------------

SET_ANCHOR = CheckSpec(
    "nvidia.set.anchor", "the chains of all devices end in one root of trust", "RFC 9334 section 7.4"
)
SET_DISTINCT = CheckSpec(
    "nvidia.set.distinct", "each device of the set is another chip", "SDK, multiple GPUs"
)
SET_NONCE = CheckSpec("nvidia.set.nonce", "all devices of the set answered to one nonce", "SPDM 10.11, nonce")
SET_MODE = CheckSpec("nvidia.set.mode", "all GPUs of the set are in one mode", "SDK, feature flag")
SET_SWITCHES = CheckSpec(
    "nvidia.set.switches",
    "GPUs under protected PCIe share their switches, and each of these is in the set and knows the same GPUs",
    "SDK, topology of protected PCIe",
)
BINDING = CheckSpec(
    "nvidia.binding",
    "every device was asked with the nonce that is expected",
    "RFC 9334 section 10: freshness; SPDM 10.11, nonce",
)

REPORT_CHECKS = (
    REPORT_LAYOUT,
    REPORT_MESSAGES,
    REPORT_TRAILING,
    REPORT_BLOCKS,
)
CHAIN_CHECKS = (
    CHAIN_LAYOUT,
    CHAIN_ROOT,
    CHAIN_ROLE,
    CHAIN_CHIP,
    CHAIN_SIGNATURE,
    CHAIN_VALIDITY,
)
OPAQUE_CHECKS = (REPORT_OPAQUE, REPORT_MODE)
OCSP_CHECKS = (
    OCSP_LAYOUT,
    OCSP_SUBJECT,
    OCSP_RESPONDER,
    OCSP_SIGNATURE,
    OCSP_NONCE,
    OCSP_TIME,
    OCSP_STATUS,
)
GOLDEN_CHECKS = (
    GOLDEN_DRIVER,
    GOLDEN_FIRMWARE,
    GOLDEN_PRODUCT,
    GOLDEN_ANCHOR,
    GOLDEN_TIME,
    GOLDEN_ACTIVE,
    MEASUREMENTS,
)
SET_CHECKS = (SET_ANCHOR, SET_DISTINCT, SET_NONCE, SET_MODE, SET_SWITCHES)

# Made for each device of a set.
DEVICE_CHECKS = (
    *REPORT_CHECKS,
    *CHAIN_CHECKS,
    *OPAQUE_CHECKS,
    CHAIN_FWID,
    REPORT_SIGNATURE,
    DEVICE_PDI,
    STATEMENT,
    *OCSP_CHECKS,
    *GOLDEN_CHECKS,
    BINDING,
)
NVIDIA_CHECKS = (CONTAINER, *DEVICE_CHECKS[:-1], *SET_CHECKS, BINDING)
