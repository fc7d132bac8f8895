"""Named attacks on Google VMs: evidence wrong in one place, signed all the same, and what refuses it.

evidence = stage("unrestricted-key", GoogleVmScene(google, now, nonce))
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from assay.errors import SimulatorError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.tpm.public import Attributes
from assay.simulator.google_vm.scene import INSTANCE
from assay.simulator.tpm.device import AK_ATTRIBUTES, public_area

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.simulator.google_vm.scene import GoogleVmScenario, GoogleVmScene

OWN: Final = Algorithm.SHA256


@dataclass(frozen=True, slots=True)
class GoogleVmAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which a verifier refuses it.
        tee: The TEE that it needs: ``tdx``, ``snp``; empty for none.
        apply: Spoils a scene.
    """

    name: str
    description: str
    code: str
    tee: str
    apply: Callable[[GoogleVmScene], None]


ATTACKS: dict[str, GoogleVmAttack] = {}


def attack(
    name: str, description: str, *, code: str, tee: str = ""
) -> Callable[[Callable[[GoogleVmScene], None]], Callable[[GoogleVmScene], None]]:
    """Register a function that spoils a scene as the attack of this name."""

    def register(apply: Callable[[GoogleVmScene], None]) -> Callable[[GoogleVmScene], None]:
        ATTACKS[name] = GoogleVmAttack(name, description, code, tee, apply)
        return apply

    return register


def stage(name: str, scene: GoogleVmScene) -> GoogleVmScenario:
    """Return the evidence of a named attack.

    Raises:
        SimulatorError: ``simulator.attack.unknown``; ``simulator.attack.elsewhere`` when it needs a TEE.
    """
    found = ATTACKS.get(name)
    if found is None:
        raise SimulatorError("simulator.attack.unknown", "There is no simulated attack of this name.")
    if found.tee and found.tee != (scene.tee if scene.report_data is not None else ""):
        raise SimulatorError(
            "simulator.attack.elsewhere", f"The attack {name} needs a VM with {found.tee.upper()}."
        )
    found.apply(scene)
    return scene.finish()


@attack(
    "unrestricted-key",
    "The certified key signs anything, forged quotes included.",
    code="google_vm.quote.key_attributes",
)
def _unrestricted_key(scene: GoogleVmScene) -> None:
    scene.present(public_area(scene.key, attributes=AK_ATTRIBUTES & ~Attributes.RESTRICTED))


@attack(
    "edited-public-area",
    "The certified key signs anything, and its public area was edited to say that it does not.",
    code="google_vm.ak.name",
)
def _edited_public_area(scene: GoogleVmScene) -> None:
    scene.present(public_area(scene.key, attributes=AK_ATTRIBUTES & ~Attributes.RESTRICTED))
    scene.public = None


@attack(
    "certificate-of-another-machine",
    "The certificate is genuine, and for another VM's key.",
    code="google_vm.ak.key",
)
def _certificate_of_another_machine(scene: GoogleVmScene) -> None:
    if scene.certificate is not None:
        scene.certificate.key = scene.google.key("ak of another VM")


@attack(
    "another-project",
    "The container states another project than the certificate.",
    code="google_vm.ak.stated",
)
def _another_project(scene: GoogleVmScene) -> None:
    scene.stated = replace(INSTANCE, project_id="another-project")


@attack(
    "revoked-key", "The certificate of the attestation key is revoked.", code="google_vm.ak.revoked.listed"
)
def _revoked_key(scene: GoogleVmScene) -> None:
    if scene.certificate is not None:
        scene.crls[1].revoked = (scene.certificate.serial,)


@attack(
    "relabelled-bank",
    "A quote of the SHA-384 bank is presented as one of SHA-256.",
    code="google_vm.quote.selection.bank",
)
def _relabelled_bank(scene: GoogleVmScene) -> None:
    scene.quotes = {OWN: scene.quotes[Algorithm.SHA384]}


@attack("edited-log", "The log leaves out an event that was measured.", code="google_vm.log.replay.mismatch")
def _edited_log(scene: GoogleVmScene) -> None:
    scene.firmware.events.pop()


@attack("stale-nonce", "The quote is of an earlier session.", code="google_vm.quote.nonce.mismatch")
def _stale_nonce(scene: GoogleVmScene) -> None:
    scene.quotes = {OWN: scene.quotes[OWN]}
    scene.quotes[OWN].extra_data = hashlib.sha256(b"an earlier session").digest()


@attack(
    "relayed-td",
    "The virtual TPM answered this session, the TD an earlier one.",
    code="google_vm.td.bound",
    tee="tdx",
)
def _relayed_td(scene: GoogleVmScene) -> None:
    if scene.tdx is not None:
        scene.tdx.quote.body["report_data"] = hashlib.sha512(b"an earlier session").digest()


@attack(
    "relayed-report",
    "The virtual TPM answered this session, the SNP guest an earlier one.",
    code="google_vm.snp.bound",
    tee="snp",
)
def _relayed_report(scene: GoogleVmScene) -> None:
    if scene.snp is not None:
        scene.snp.report.report_data = hashlib.sha512(b"an earlier session").digest()
