"""What is known about the trusted computing base of an Intel platform: statuses, dates, identity.

Nothing here decides. Which statuses, advisories and ages are acceptable is appraisal.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from datetime import datetime


class TcbStatus(StrEnum):
    """The state of a component or of the whole, in Intel's spelling; the last three are computed."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"
    NOT_SUPPORTED = "NotSupported"


class SgxType(IntEnum):
    """How a platform protects enclave memory (PCK extension 1.2.840.113741.1.13.1.5)."""

    STANDARD = 0
    SCALABLE = 1
    SCALABLE_WITH_INTEGRITY = 2


@record
class TcbClaims:
    """Everything that verified collateral says about the platform that made a quote.

    Attributes:
        status: Platform, module and QE merged; ``NOT_SUPPORTED`` when a component matched no level.
        platform_status: The level of the platform's own components.
        module_status: The level of the TDX module; None where there is none (SGX, first-generation TDX).
        qe_status: The level of the quoting enclave.
        advisories: Union of the three below, sorted.
        platform_advisories: Advisories of the platform's level, in the document's order.
        module_advisories: Advisories of the module's level, in the document's order.
        qe_advisories: Advisories of the QE's level, in the document's order.
        effective_date: Earliest of the three dates below; None when a component matched no level.
        platform_date: TCB date of the platform's level.
        module_date: TCB date of the module's level.
        qe_date: TCB date of the QE's level.
        tcb_evaluation_number: ``tcbEvaluationDataNumber`` of the TCB info.
        qe_evaluation_number: ``tcbEvaluationDataNumber`` of the QE identity; Intel's may differ from it.
        fmspc: Family, model, stepping, platform type, 6 bytes.
        pce_id: Identity of the provisioning certification enclave, 2 bytes.
        ppid: Platform provisioning id, 16 bytes; zero where the CA conceals it.
        platform_instance_id: 16 bytes; None on certificates of the Processor CA.
        sgx_type: How the platform protects enclave memory.
        dynamic_platform: Whether packages can be added after registration; None when not stated.
        cached_keys: Whether keys are cached by Intel's registration service; None when not stated.
        smt_enabled: Whether hyper-threading is on; None when not stated.
        collateral_valid_from: Latest start of all documents, certificates and CRLs that were used.
        collateral_valid_until: Earliest end of the same.
    """

    status: TcbStatus
    platform_status: TcbStatus
    module_status: TcbStatus | None
    qe_status: TcbStatus
    advisories: tuple[str, ...]
    platform_advisories: tuple[str, ...]
    module_advisories: tuple[str, ...]
    qe_advisories: tuple[str, ...]
    effective_date: datetime | None
    platform_date: datetime | None
    module_date: datetime | None
    qe_date: datetime | None
    tcb_evaluation_number: int
    qe_evaluation_number: int
    fmspc: bytes
    pce_id: bytes
    ppid: bytes
    platform_instance_id: bytes | None
    sgx_type: SgxType
    dynamic_platform: bool | None
    cached_keys: bool | None
    smt_enabled: bool | None
    collateral_valid_from: datetime
    collateral_valid_until: datetime
