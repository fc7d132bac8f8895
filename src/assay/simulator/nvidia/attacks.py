"""Named attacks on NVIDIA evidence: wrong in one place, signed all the same, and the code that refuses it.

    evidence = stage("swapped-firmware", Scene(nvidia, now, nonce))

What is changed before signing stands in a draft, so that the simulated device, authority or responder signs
it; what is changed after is what a thief of genuine evidence can do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from assay.errors import SimulatorError
from assay.simulator.nvidia import pki
from assay.simulator.nvidia.answers import CERTIFICATE_HOLD, KEY_COMPROMISE, UNKNOWN, revoked
from assay.simulator.nvidia.device import SimulatedDevice
from assay.simulator.nvidia.manifest import signer_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.simulator.nvidia.scene import Evidence, Scene

_FWID: Final = 20
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NvidiaAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which it is refused: of a check of the evidence, or of a manifest.
        apply: Spoils a scene of one Hopper GPU.
    """

    name: str
    description: str
    code: str
    apply: Callable[[Scene], None]


ATTACKS: dict[str, NvidiaAttack] = {}


def _attack(name: str, description: str, *, code: str) -> Callable[[Callable[[Scene], None]], None]:
    def register(apply: Callable[[Scene], None]) -> None:
        ATTACKS[name] = NvidiaAttack(name, description, code, apply)

    return register


def stage(name: str, scene: Scene) -> Evidence:
    """Return the evidence of a named attack.

    Raises:
        SimulatorError: ``simulator.attack.unknown``.
    """
    found = ATTACKS.get(name)
    if found is None:
        raise SimulatorError("simulator.attack.unknown", "There is no simulated attack of this name.")
    found.apply(scene)
    return scene.finish()


@_attack(
    "swapped-firmware",
    "The report states another firmware than the one that the chip certified.",
    code="nvidia.chain.fwid_mismatch",
)
def _swapped_firmware(scene: Scene) -> None:
    scene.report.set(_FWID, b"\x77" * 48)


@_attack(
    "firmware-of-another-chip",
    "The firmware's certificate was made for another chip's key.",
    code="nvidia.chain.fwid",
)
def _firmware_of_another_chip(scene: Scene) -> None:
    device, chain = scene.devices[0], scene.report.chain
    extension = (pki.OID_COMPOSITE, pki.composite_id(scene.nvidia.key("another chip"), device.fwid))
    profile = replace(device.firmware_profile(), extension=extension)
    chain[0] = chain[1].issue(profile, chain[0].key)


@_attack(
    "replayed-nonce",
    "The device answered to the nonce of another session.",
    code="nvidia.binding.mismatch",
)
def _replayed_nonce(scene: Scene) -> None:
    scene.report.nonce = b"\x0a" * 32
    scene.stated[0]["nonce"] = scene.report.nonce.hex()


@_attack(
    "restated-driver",
    "The container states another driver than the device signed.",
    code="nvidia.statement",
)
def _restated_driver(scene: Scene) -> None:
    scene.stated[0]["driver_version"] = "999.99"


@_attack("changed-report", "A measurement of a signed report is changed.", code="nvidia.report.signature")
def _changed_report(scene: Scene) -> None:
    scene.report.after = lambda report: report[:60] + bytes([report[60] ^ 1]) + report[61:]


@_attack(
    "other-measurement",
    "The device measured something else than the manifests say.",
    code="nvidia.measurement.mismatch",
)
def _other_measurement(scene: Scene) -> None:
    index, specification, kind, _ = scene.report.measurements[7]
    scene.report.measurements[7] = (index, specification, kind, b"\x55" * 48)


@_attack(
    "missing-measurement",
    "A measurement that is active in a manifest was not made.",
    code="nvidia.measurement.missing",
)
def _missing_measurement(scene: Scene) -> None:
    del scene.report.measurements[-1]


@_attack("extra-measurement", "The device measured what no manifest lists.", code="nvidia.measurement.extra")
def _extra_measurement(scene: Scene) -> None:
    scene.report.measurements.append((len(scene.report.measurements) + 1, 1, 1, b"\x66" * 48))


@_attack("doubled-measurement", "A measurement stands in the report twice.", code="nvidia.report.blocks")
def _doubled_measurement(scene: Scene) -> None:
    scene.report.measurements.insert(8, scene.report.measurements[7])


@_attack(
    "decoder-on",
    "The video decoder is on, and its measurement is not the golden one.",
    code="nvidia.measurement.mismatch",
)
def _decoder_on(scene: Scene) -> None:
    scene.report.set(11, b"\xaa")


@_attack("unknown-mode", "The device states a mode that does not exist.", code="nvidia.report.mode")
def _unknown_mode(scene: Scene) -> None:
    scene.report.set(36, b"\x07\0")


@_attack("one-gpu-twice", "One GPU is presented as two.", code="nvidia.set.distinct")
def _one_gpu_twice(scene: Scene) -> None:
    scene.after = lambda evidence: json.dumps(json.loads(evidence) * 2).encode()


@_attack(
    "without-switches",
    "GPUs under protected PCIe are presented without the switches between them.",
    code="nvidia.set.switches.missing",
)
def _without_switches(scene: Scene) -> None:
    switch = SimulatedDevice(scene.nvidia, "LS10", "between")
    device = replace(scene.devices[0], switches=(switch.pdi,))
    scene.reports = [device.draft(scene.nonce)]


@_attack(
    "wrong-driver-manifest",
    "The manifest is genuine, of another driver than the one that runs.",
    code="nvidia.golden.driver",
)
def _wrong_driver_manifest(scene: Scene) -> None:
    scene.drivers[0].draft.version = "535.86.09"


@_attack("changed-manifest", "A value of a signed manifest is changed.", code="rim.digest")
def _changed_manifest(scene: Scene) -> None:
    scene.drivers[0].draft.after = lambda data: data.replace(b'active="False"', b'active="True"', 1)


@_attack(
    "empty-manifest", "No value of the manifest is active: everything would fit.", code="rim.measurements"
)
def _empty_manifest(scene: Scene) -> None:
    values = scene.drivers[0].draft.values
    for index, (_, alternatives) in values.items():
        values[index] = (False, alternatives)


@_attack(
    "wrapped-manifest",
    "The signed tag stands inside of another that nobody signed.",
    code="rim.layout",
)
def _wrapped_manifest(scene: Scene) -> None:
    payload = b"</ns0:Payload>"
    scene.drivers[0].draft.after = lambda data: data.replace(payload, payload + data, 1)


@_attack(
    "manifest-signed-by-a-device",
    "The manifest is signed under the root of devices, not the one of manifests.",
    code="rim.chain.root",
)
def _manifest_signed_by_a_device(scene: Scene) -> None:
    scene.drivers[0].draft.chain[-1] = scene.nvidia.device_root


@_attack(
    "expired-manifest-signer",
    "The certificate of the manifest's signer has expired.",
    code="rim.chain.validity",
)
def _expired_manifest_signer(scene: Scene) -> None:
    draft = scene.drivers[0].draft
    profile = replace(signer_profile(draft.name), not_after=scene.now - _DAY)
    draft.chain[0] = draft.chain[1].issue(profile, draft.chain[0].key)


@_attack(
    "manifest-signer-on-hold",
    "The certificate of the manifest's signer is on hold.",
    code="rim.revocation.status",
)
def _manifest_signer_on_hold(scene: Scene) -> None:
    found = scene.manifest_answers(scene.drivers[0])[0]
    found.status = revoked(scene.now - _DAY, CERTIFICATE_HOLD)


@_attack("certificate-hold", "The chip's certificate is on hold.", code="nvidia.ocsp.status")
def _certificate_hold(scene: Scene) -> None:
    scene.device_answers()[0].status = revoked(scene.now - _DAY, CERTIFICATE_HOLD)


@_attack("revoked", "The chip's certificate is revoked.", code="nvidia.ocsp.status")
def _revoked(scene: Scene) -> None:
    scene.device_answers()[0].status = revoked(scene.now - _DAY, KEY_COMPROMISE)


@_attack("unknown-certificate", "The service does not know the chip.", code="nvidia.ocsp.status")
def _unknown_certificate(scene: Scene) -> None:
    scene.device_answers()[0].status = UNKNOWN


@_attack(
    "ocsp-for-another-serial", "The answer is good, about another certificate.", code="nvidia.ocsp.subject"
)
def _ocsp_for_another_serial(scene: Scene) -> None:
    scene.device_answers()[0].serial = 4711


@_attack("stale-ocsp", "The answer is genuine and out of date.", code="nvidia.ocsp.time")
def _stale_ocsp(scene: Scene) -> None:
    found = scene.device_answers()[0]
    found.this_update = found.produced_at = scene.now - 3 * _DAY
    found.next_update = scene.now - _DAY


@_attack("replayed-ocsp", "The answer is genuine, to another question.", code="nvidia.ocsp.nonce")
def _replayed_ocsp(scene: Scene) -> None:
    scene.device_answers()[0].nonce = b"\x99" * 32


@_attack(
    "ocsp-by-the-chip",
    "The chip answers for its own certificate.",
    code="nvidia.ocsp.responder",
)
def _ocsp_by_the_chip(scene: Scene) -> None:
    found = scene.device_answers()[0]
    found.responder = found.subject
    found.key = found.subject.key
    found.certificates = (found.subject,)


@_attack("chip-of-another-vendor", "The chain ends in a root that was not given.", code="nvidia.chain.root")
def _chip_of_another_vendor(scene: Scene) -> None:
    other = SimulatedDevice(type(scene.nvidia)(bytes(32)), "HOPPER", "0")
    scene.report.chain, scene.report.key = other.chain(), other.firmware_key
