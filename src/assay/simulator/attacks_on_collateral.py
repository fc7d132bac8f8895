"""Attacks on TCB info and QE identity: unsigned, outdated, of something else, incomplete, contradictory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from assay.simulator.attacks import TDX, attack
from assay.simulator.endorsements import compact, qe_identity, timestamp
from assay.simulator.recoveries import RECOVERIES

if TYPE_CHECKING:
    from assay.simulator.endorsements import Tee
    from assay.simulator.scene import Scene


@attack(
    "tcb-info-unsigned",
    "The TCB info was changed after it was signed, so that an old platform passes.",
    code="dcap.tcb_info.signature",
)
def _tcb_info_unsigned(scene: Scene) -> None:
    scene.after_collateral = lambda given: replace(
        given, tcb_info=given.tcb_info.replace(b'"OutOfDate"', b'"UpToDate"', 1)
    )


@attack(
    "qe-identity-unsigned",
    "The QE identity was changed after it was signed, so that another enclave passes.",
    code="dcap.qe_identity.signature",
)
def _qe_identity_unsigned(scene: Scene) -> None:
    scene.after_collateral = lambda given: replace(
        given, qe_identity=given.qe_identity.replace(b'"isvprodid":', b'"isvprodid":1', 1)
    )


@attack(
    "reserialised-tcb-info",
    "The TCB info says the same in other bytes than were signed.",
    code="dcap.tcb_info.signature",
)
def _reserialised_tcb_info(scene: Scene) -> None:
    scene.after_collateral = lambda given: replace(given, tcb_info=given.tcb_info.replace(b",", b", "))


@attack("expired-collateral", "The TCB info is overdue.", code="dcap.tcb_info.time")
def _expired_collateral(scene: Scene) -> None:
    _window(scene, scene.collateral.tcb_info, -31)


@attack("future-collateral", "The TCB info is from the future.", code="dcap.tcb_info.time")
def _future_collateral(scene: Scene) -> None:
    _window(scene, scene.collateral.tcb_info, 1)


@attack("expired-qe-identity", "The QE identity is overdue.", code="dcap.qe_identity.time")
def _expired_qe_identity(scene: Scene) -> None:
    _window(scene, scene.collateral.qe_identity, -31)


@attack("future-qe-identity", "The QE identity is from the future.", code="dcap.qe_identity.time")
def _future_qe_identity(scene: Scene) -> None:
    _window(scene, scene.collateral.qe_identity, 1)


@attack("wrong-fmspc", "The TCB info is another platform family's.", code="dcap.tcb_info.fmspc")
def _wrong_fmspc(scene: Scene) -> None:
    scene.collateral.tcb_info["fmspc"] = "B0C06F000000"


@attack("wrong-pceid", "The TCB info is another PCE's.", code="dcap.tcb_info.pceid")
def _wrong_pceid(scene: Scene) -> None:
    scene.collateral.tcb_info["pceId"] = "0001"


@attack("wrong-tee-tcb-info", "The TCB info is for the other kind of TEE.", code="dcap.tcb_info.id")
def _wrong_tee_tcb_info(scene: Scene) -> None:
    draft = scene.installation.collateral_draft(scene.at, platform=_other(scene.platform))
    scene.collateral.tcb_info = draft.tcb_info


@attack(
    "wrong-tee-qe-identity",
    "The QE identity is of the enclave that quotes for the other kind of TEE.",
    code="dcap.qe_identity.id",
)
def _wrong_tee_qe_identity(scene: Scene) -> None:
    scene.collateral.qe_identity = qe_identity(
        _other(scene.platform), issued=scene.at.replace(hour=0, minute=0, second=0), recoveries=RECOVERIES
    )


@attack(
    "short-component-list",
    "A TCB level lists 15 of 16 component versions, so that the last one would not be compared.",
    code="dcap.tcb_info.layout",
)
def _short_component_list(scene: Scene) -> None:
    for level in scene.collateral.tcb_info["tcbLevels"]:
        level["tcb"]["sgxtcbcomponents"].pop()


@attack(
    "unknown-status", "A TCB level has a status that nobody has heard of.", code="dcap.tcb.status_unknown"
)
def _unknown_status(scene: Scene) -> None:
    scene.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = "MostlyFine"


@attack(
    "duplicate-member",
    "The TCB info has two members of the same name, so that readers can differ about what was signed.",
    code="dcap.tcb_info.layout",
)
def _duplicate_member(scene: Scene) -> None:
    text = compact(scene.collateral.tcb_info)
    scene.collateral.tcb_info_bytes = text.replace(b'"pceId":', b'"pceId":"0001","pceId":', 1)


@attack(
    "unsorted-levels",
    "The TCB levels stand with the oldest first; a verifier that sorts them finds the right one.",
    code="",
)
def _unsorted_levels(scene: Scene) -> None:
    scene.collateral.tcb_info["tcbLevels"].reverse()


@attack(
    "evaluation-number-mismatch",
    "TCB info and QE identity are of different TCB evaluations.",
    code="policy.tcb.evaluation_numbers.weak",
)
def _evaluation_number_mismatch(scene: Scene) -> None:
    scene.collateral.qe_identity["tcbEvaluationDataNumber"] -= 1


@attack(
    "module-identity-missing",
    "The TCB info does not know the version of the TDX module that runs.",
    code="dcap.tdx_module.identity",
    platforms=TDX,
)
def _module_identity_missing(scene: Scene) -> None:
    info = scene.collateral.tcb_info
    info["tdxModuleIdentities"] = [i for i in info["tdxModuleIdentities"] if i["id"] != "TDX_01"]


@attack(
    "module-wrong-signer",
    "The TCB info names another signer of the TDX module than the one that signed it.",
    code="dcap.tdx_module.signer",
    platforms=TDX,
)
def _module_wrong_signer(scene: Scene) -> None:
    for identity in scene.collateral.tcb_info["tdxModuleIdentities"]:
        identity["mrsigner"] = "01" * 48


@attack(
    "module-attributes",
    "The TDX module runs with attributes that the TCB info does not know.",
    code="dcap.tdx_module.attributes",
    platforms=TDX,
)
def _module_attributes(scene: Scene) -> None:
    scene.quote.body["seam_attributes"] = 1


@attack(
    "module-svn-below-base",
    "The TDX module's version is lower than that of the base module, to which it must not be compared.",
    code="",
    platforms=TDX,
)
def _module_svn_below_base(scene: Scene) -> None:
    for identity in scene.collateral.tcb_info["tdxModuleIdentities"]:
        identity["tcbLevels"][0]["tcb"]["isvsvn"] = 3
    scene.quote_from(scene.machine, tee_tcb_svn=b"\x03" + scene.quote.body["tee_tcb_svn"][1:])


@attack(
    "missing-tdx-components",
    "The TCB levels do not list the component versions of TDX.",
    code="dcap.tcb_info.layout",
    platforms=TDX,
)
def _missing_tdx_components(scene: Scene) -> None:
    for level in scene.collateral.tcb_info["tcbLevels"]:
        del level["tcb"]["tdxtcbcomponents"]


def _other(platform: Tee) -> Tee:
    return "sgx" if platform == "tdx" else "tdx"


def _window(scene: Scene, document: dict[str, Any], days: int) -> None:
    issued = scene.at + timedelta(days=days)
    document["issueDate"] = timestamp(issued)
    document["nextUpdate"] = timestamp(issued + timedelta(days=30))
