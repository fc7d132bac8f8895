"""The checks that the verification of a dstack identity makes, in the order in which it makes them."""

from __future__ import annotations

from assay.evidence.eventlog.replay import RTMR_COUNT
from assay.evidence.ledger import CheckSpec

_SETUP = "dstack 0.6.0, dstack-util/src/system_setup.rs"
_ATTEST = "dstack 0.6.0, dstack-attest/src/attestation.rs"
_TYPES = "dstack 0.6.0, dstack-types/src/lib.rs"
_MR = "dstack 0.6.0, dstack-mr/src/tdx.rs"

QUOTE = CheckSpec(
    "dstack.quote", "the TDX quote under the identity is authentic", f"{_ATTEST}, verify_tdx_quote"
)
DEBUG = CheckSpec("dstack.td.debug", "nobody outside can debug the TD", f"{_ATTEST}, validate_tcb")
SERVICE = CheckSpec(
    "dstack.td.service",
    "the TDX module is Intel's own and no service TD is bound",
    f"{_ATTEST}, validate_tcb",
)
LAYOUT = CheckSpec(
    "dstack.log.layout", "the log is a list of dstack events", "dstack 0.6.0, cc-eventlog/src/tdx.rs"
)
VM_CONFIG = CheckSpec(
    "dstack.vm_config", "the virtual machine's configuration is well-formed", f"{_TYPES}, VmConfig"
)
REGISTERS = CheckSpec(
    "dstack.event.register",
    "RTMR3 holds runtime events only, and no other register holds any",
    "dstack 0.6.0, cc-eventlog/src/tdx.rs",
)
DIGEST = CheckSpec(
    "dstack.event.digest",
    "every runtime event's digest is the hash of its name and payload",
    "dstack 0.6.0, cc-eventlog/src/runtime_events.rs",
)
PAYLOAD = CheckSpec(
    "dstack.event.payload",
    "no boot event carries a payload that contradicts its digest",
    "TCG PFP 1.06, table 27",
)
REPLAY = tuple(
    CheckSpec(
        f"dstack.log.replay.rtmr{register}",
        f"the events of the log, and no others, made the quote's RTMR{register}",
        f"{_ATTEST}, verify_tdx_quote_with_events",
    )
    for register in range(RTMR_COUNT)
)
UNIQUE = CheckSpec(
    "dstack.events.unique",
    "no system event comes twice, and none of their names behind system-ready",
    f"{_ATTEST}, find_event; {_SETUP}",
)
ORDER = CheckSpec("dstack.events.order", "the system events are complete and in dstack's order", _SETUP)
SYSTEM = CheckSpec("dstack.events.payload", "the system events say what dstack lets them say", _SETUP)
CONFIG_ID = CheckSpec(
    "dstack.mr_config_id",
    "MR_CONFIG_ID, which the host set before launch, commits to the same application",
    "dstack 0.6.0, dstack-types/src/mr_config.rs",
)
COMPOSE = CheckSpec(
    "dstack.compose.hash",
    "the raw bytes of the compose document are the ones that were measured",
    f"{_SETUP}, compose_hash",
)
STATED = CheckSpec(
    "dstack.stated",
    "what the answer states beside its evidence is what the evidence says",
    f"{_ATTEST}, decode_app_info; guest agent, Info",
)
CERTIFICATE = CheckSpec(
    "dstack.certificate.key",
    "the quote was made for the key of the certificate that carries it",
    f"{_ATTEST}, QuoteContentType::RaTlsCert",
)
IMAGE_DOCUMENT = CheckSpec(
    "dstack.os_image.document",
    "the image's checksum file lists the measurement that was presented",
    f"{_TYPES}, verify_measurement_material",
)
IMAGE_MRTD = CheckSpec(
    "dstack.os_image.mrtd", "the image's firmware makes the quoted MRTD", f"{_MR}, select_mrtd"
)
IMAGE_RTMR = tuple(
    CheckSpec(f"dstack.os_image.rtmr{register}", f"the image makes the quoted RTMR{register}", _MR)
    for register in range(RTMR_COUNT - 1)
)
IMAGE_METADATA = CheckSpec(
    "dstack.os_image.metadata",
    "the image's checksum file lists the metadata that was presented",
    "dstack 0.6.0, verifier/src/verification.rs",
)
IMAGE = CheckSpec(
    "dstack.os_image", "every name that the evidence gives its image is one that the caller accepts", _TYPES
)
APP_ID = CheckSpec("dstack.app_id", "the application id is the expected one", _SETUP)
COMPOSE_EXPECTED = CheckSpec("dstack.compose", "the compose hash is the expected one", _SETUP)
INSTANCE_ID = CheckSpec("dstack.instance_id", "the instance id is the expected one", _SETUP)
KEY_PROVIDER = CheckSpec(
    "dstack.key_provider", "the key provider is the expected one", f"{_TYPES}, KeyProviderInfo"
)
REPORT_DATA = CheckSpec(
    "dstack.report_data", "the report data is the expected one", f"{_ATTEST}, QuoteContentType"
)

CHECKS = (
    QUOTE,
    DEBUG,
    SERVICE,
    LAYOUT,
    VM_CONFIG,
    REGISTERS,
    DIGEST,
    PAYLOAD,
    *REPLAY,
    UNIQUE,
    ORDER,
    SYSTEM,
    CONFIG_ID,
    COMPOSE,
    STATED,
    CERTIFICATE,
    IMAGE_DOCUMENT,
    IMAGE_MRTD,
    *IMAGE_RTMR,
    IMAGE_METADATA,
    IMAGE,
    APP_ID,
    COMPOSE_EXPECTED,
    INSTANCE_ID,
    KEY_PROVIDER,
    REPORT_DATA,
)
MAY_BE_OPEN = frozenset(
    spec.id
    for spec in (
        *REPLAY[:3],
        COMPOSE,
        IMAGE_DOCUMENT,
        IMAGE_MRTD,
        *IMAGE_RTMR,
        IMAGE_METADATA,
        IMAGE,
        APP_ID,
        COMPOSE_EXPECTED,
        INSTANCE_ID,
        KEY_PROVIDER,
        REPORT_DATA,
    )
)
"""Checks whose being left unmade does not close the Claims: comparisons with what only the caller knows, and
registers that a stripped log and a missing or unknown document leave unexplained."""
