"""Genuine evidence of platforms and guests that a policy refuses, and attacks on the log of a boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.simulator.attacks import TDX, attack
from assay.simulator.hardware import SGX_ATTRIBUTES, SGX_DEBUG, TD_ATTRIBUTES
from assay.simulator.tcg_log import SEPARATOR, BootEvent

if TYPE_CHECKING:
    from assay.simulator.scene import Scene

TD_MIGRATABLE = 1 << 29
TD_PERFMON = 1 << 63
AGED = "2025-05-14"


@attack(
    "debug",
    "The guest runs in debug mode: its host reads its memory.",
    code="policy.attributes.debug.enabled",
)
def _debug(scene: Scene) -> None:
    if scene.platform == "sgx":
        scene.quote_from(scene.machine, attributes=SGX_ATTRIBUTES | SGX_DEBUG)
    else:
        scene.quote_from(scene.machine, td_attributes=TD_ATTRIBUTES | 1)


@attack(
    "perfmon",
    "The guest can use performance counters, which lets their user watch it.",
    code="policy.attributes.perfmon.weak",
    platforms=TDX,
)
def _perfmon(scene: Scene) -> None:
    scene.quote_from(scene.machine, td_attributes=TD_ATTRIBUTES | TD_PERFMON)


@attack(
    "migratable",
    "The guest can be moved to another machine while it runs.",
    code="policy.attributes.migratable.weak",
    platforms=TDX,
)
def _migratable(scene: Scene) -> None:
    scene.quote_from(scene.machine, td_attributes=TD_ATTRIBUTES | TD_MIGRATABLE)


@attack(
    "sept-ve-enabled",
    "The host can inject exceptions by unmapping pages of the guest.",
    code="policy.attributes.sept_ve_disable.weak",
    platforms=TDX,
)
def _sept_ve_enabled(scene: Scene) -> None:
    scene.quote_from(scene.machine, td_attributes=0)


@attack(
    "service-td",
    "A service TD that nobody named was bound to the guest.",
    code="policy.attributes.mr_service_td.bound",
    platforms=TDX,
    versions=(5,),
)
def _service_td(scene: Scene) -> None:
    scene.quote_from(scene.machine, mr_service_td=b"\x01" * 48)


@attack(
    "out-of-date-platform",
    "The platform lacks the fixes of a TCB recovery that is in force.",
    code="policy.tcb.platform.weak",
)
def _out_of_date_platform(scene: Scene) -> None:
    old = scene.installation.machine(b"old", tcb=AGED, made=scene.machine.made)
    if scene.platform == "sgx":
        scene.quote_from(old)
    else:
        # Its TDX module is up to date, so that nothing but the processor's own versions gives it away.
        scene.quote_from(old, tee_tcb_svn=scene.quote.body["tee_tcb_svn"])


@attack(
    "revoked-platform",
    "Intel revoked the TCB level of the platform.",
    code="policy.tcb.platform.inadmissible",
)
def _revoked_platform(scene: Scene) -> None:
    scene.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = "Revoked"


@attack(
    "unlisted-platform",
    "The platform is older than every TCB level that Intel lists.",
    code="policy.tcb.platform.inadmissible",
)
def _unlisted_platform(scene: Scene) -> None:
    del scene.collateral.tcb_info["tcbLevels"][1:]
    scene.quote_from(scene.installation.machine(b"old", tcb=AGED, made=scene.machine.made))


@attack(
    "out-of-date-module",
    "The TDX module lacks fixes, although the processor has them; nothing but its own level says so.",
    code="policy.tcb.module.weak",
    platforms=TDX,
)
def _out_of_date_module(scene: Scene) -> None:
    svn = bytearray(scene.quote.body["tee_tcb_svn"])
    svn[0] = 6
    scene.quote_from(scene.machine, tee_tcb_svn=bytes(svn))


@attack("out-of-date-qe", "The Quoting Enclave lacks fixes.", code="policy.tcb.qe.weak")
def _out_of_date_qe(scene: Scene) -> None:
    scene.quote.qe_report["isv_svn"] = 2 if scene.platform == "tdx" else 6


@attack(
    "unlisted-qe",
    "The Quoting Enclave is older than every level that Intel lists.",
    code="policy.tcb.qe.inadmissible",
)
def _unlisted_qe(scene: Scene) -> None:
    scene.quote.qe_report["isv_svn"] = 0


@attack(
    "other-code",
    "Another guest than the expected one runs on genuine, up-to-date hardware.",
    code="policy.{platform}.{measurement}.mismatch",
)
def _other_code(scene: Scene) -> None:
    if scene.platform == "sgx":
        scene.quote_from(scene.machine, mr_enclave=b"\x01" * 32)
    else:
        scene.quote_from(scene.machine, mr_td=b"\x01" * 48)


@attack(
    "processor-authority",
    "The machine's certificate is of the other PCK authority, which is just as genuine.",
    code="",
)
def _processor_authority(scene: Scene) -> None:
    scene.quote_from(scene.installation.machine(b"one socket", ca="processor", made=scene.machine.made))
    scene.collateral = scene.installation.collateral_draft(scene.at, platform=scene.platform, ca="processor")


@attack(
    "relaunch-advised",
    "The TDX module was updated after the guest was launched; only a new launch profits from it.",
    code="policy.tcb.platform.weak",
    platforms=TDX,
    versions=(5,),
)
def _relaunch_advised(scene: Scene) -> None:
    scene.quote_from(scene.installation.machine(b"updated", launched_under=AGED, made=scene.machine.made))


@attack(
    "tampered-event-log",
    "An event of the boot log was replaced, digest and all.",
    code="ccel.replay.mismatch",
    platforms=TDX,
)
def _tampered_event_log(scene: Scene) -> None:
    event = scene.log.events[3]
    scene.log.events[3] = BootEvent.of(event.register, event.kind, b"Calling something else")


@attack(
    "tampered-event-payload",
    "What an event of the boot log says was replaced, and its digest was not.",
    code="ccel.payload.contradicted",
    platforms=TDX,
)
def _tampered_event_payload(scene: Scene) -> None:
    scene.log.events[3].payload = b"Calling something else"


@attack("hidden-event", "An event was left out of the boot log.", code="ccel.replay.mismatch", platforms=TDX)
def _hidden_event(scene: Scene) -> None:
    del scene.log.events[4]


@attack(
    "added-event",
    "An event that never happened was added to the boot log.",
    code="ccel.replay.mismatch",
    platforms=TDX,
)
def _added_event(scene: Scene) -> None:
    scene.log.events.append(BootEvent.of(2, SEPARATOR, bytes(4)))


@attack(
    "truncated-event-log",
    "The boot log ends in the middle of an event.",
    code="eventlog.truncated",
    platforms=TDX,
)
def _truncated_event_log(scene: Scene) -> None:
    scene.after_log = lambda log: log[:-3]
