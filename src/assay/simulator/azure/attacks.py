"""Named attacks on Azure VMs: evidence wrong in one place, signed all the same, and the code that refuses it.

    evidence = stage("two-attestation-keys", AzureScene(azure, "azure-snp", now, nonce))

What is changed before signing stands in the scene, so simulated hardware, paravisor and virtual TPM sign it;
what is changed after is what a host or a thief of genuine evidence can do.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import SimulatorError
from assay.evidence.eventlog.kinds import EventType
from assay.simulator.azure.scene import runtime_claims

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.azure.hcl import AzurePlatform
    from assay.simulator.azure.scene import AzureScenario, AzureScene

BOTH: Final[tuple[AzurePlatform, ...]] = ("azure-snp", "azure-tdx")
SNP: Final[tuple[AzurePlatform, ...]] = ("azure-snp",)
TDX: Final[tuple[AzurePlatform, ...]] = ("azure-tdx",)
ANOTHER_VM: Final = " of another VM"


@dataclass(frozen=True, slots=True)
class AzureAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which a verifier refuses it.
        platforms: Where it can be made.
        apply: Spoils a scene.
    """

    name: str
    description: str
    code: str
    platforms: tuple[AzurePlatform, ...]
    apply: Callable[[AzureScene], None]


ATTACKS: dict[str, AzureAttack] = {}


def attack(
    name: str, description: str, *, code: str, platforms: tuple[AzurePlatform, ...] = BOTH
) -> Callable[[Callable[[AzureScene], None]], Callable[[AzureScene], None]]:
    """Register a function that spoils a scene as the attack of this name."""

    def register(apply: Callable[[AzureScene], None]) -> Callable[[AzureScene], None]:
        ATTACKS[name] = AzureAttack(name, description, code, platforms, apply)
        return apply

    return register


def stage(name: str, scene: AzureScene) -> AzureScenario:
    """Return the evidence of a named attack.

    Raises:
        SimulatorError: ``simulator.attack.unknown``; ``simulator.attack.elsewhere`` when it cannot be made on
            this platform.
    """
    found = ATTACKS.get(name)
    if found is None:
        raise SimulatorError("simulator.attack.unknown", "There is no simulated attack of this name.")
    if scene.platform not in found.platforms:
        raise SimulatorError(
            "simulator.attack.elsewhere", f"The attack {name} cannot be made on {scene.platform}."
        )
    found.apply(scene)
    return scene.finish()


@attack(
    "swapped-attestation-key",
    "The runtime claims name another key than the one that quotes.",
    code="azure.quote.signature",
)
def _swapped_attestation_key(scene: AzureScene) -> None:
    scene.claims["keys"][0] = runtime_claims(scene.azure.ak_key(ANOTHER_VM), None)["keys"][0]


@attack(
    "two-attestation-keys",
    "The runtime claims name two attestation keys.",
    code="azure.runtime.attestation_key.ambiguous",
)
def _two_attestation_keys(scene: AzureScene) -> None:
    scene.claims["keys"].append(runtime_claims(scene.azure.ak_key(ANOTHER_VM), None)["keys"][0])


@attack(
    "keys-twice",
    "The runtime claims have the member keys twice: one reader takes the first, another the last.",
    code="azure.runtime.layout",
)
def _keys_twice(scene: AzureScene) -> None:
    raw = json.dumps(scene.claims, separators=(",", ":"))
    other = {"keys": runtime_claims(scene.azure.ak_key(ANOTHER_VM), None)["keys"][:1]}
    scene.runtime = (raw[:-1] + "," + json.dumps(other, separators=(",", ":"))[1:]).encode()


@attack(
    "claims-written-again",
    "The hardware signed the hash of the same claims in other bytes.",
    code="azure.runtime.bound",
)
def _claims_written_again(scene: AzureScene) -> None:
    ordered = json.dumps(scene.claims, separators=(",", ":"), sort_keys=True).encode()
    scene.report_data = hashlib.sha256(ordered).digest().ljust(64, b"\0")


@attack(
    "edited-configuration",
    "Secure boot was switched on in the runtime claims after the hardware signed their hash.",
    code="azure.runtime.bound",
)
def _edited_configuration(scene: AzureScene) -> None:
    scene.claims["vm-configuration"]["secure-boot"] = False
    genuine = json.dumps(scene.claims, separators=(",", ":")).encode()
    scene.report_data = hashlib.sha256(genuine).digest().ljust(64, b"\0")
    scene.runtime = genuine.replace(b'"secure-boot":false', b'"secure-boot":true')


@attack(
    "quote-of-another-machine",
    "The quote is genuine, fresh, and of another VM.",
    code="azure.quote.signature",
)
def _quote_of_another_machine(scene: AzureScene) -> None:
    scene.tpm.key = scene.azure.ak_key(ANOTHER_VM)
    scene.quote_again()


@attack(
    "relabelled-selection",
    "A quote that leaves out PCR 16 is presented as one of all PCRs.",
    code="azure.quote.selection.indices",
)
def _relabelled_selection(scene: AzureScene) -> None:
    scene.indices = (*range(16), *range(17, 24))
    scene.quote_again()
    scene.pcrs.append(bytes(32))


@attack("stale-nonce", "The quote is of an earlier session.", code="azure.quote.nonce.mismatch")
def _stale_nonce(scene: AzureScene) -> None:
    scene.quote.extra_data = hashlib.sha256(b"an earlier session").digest()


@attack(
    "stale-user-data",
    "The quote is of this session, the hardware's report of an earlier one.",
    code="azure.runtime.user_data.mismatch",
)
def _stale_user_data(scene: AzureScene) -> None:
    scene.claims["user-data"] = hashlib.sha512(b"an earlier session").hexdigest()


@attack(
    "td-report-for-quote",
    "The TDREPORT carries the hash of the claims, the TD quote that of another VM's.",
    code="azure.runtime.bound",
    platforms=TDX,
)
def _td_report_for_quote(scene: AzureScene) -> None:
    other = type(scene)(scene.azure, scene.platform, scene.at, scene.nonce)
    other.claims = runtime_claims(scene.azure.ak_key(ANOTHER_VM), None)
    quote = other.finish().parts.td_quote
    if scene.tdx is not None and quote is not None:
        scene.tdx.after_quote = lambda _: quote


@attack(
    "report-for-the-guest",
    "The guest, not the paravisor, asked the hardware for the report.",
    code="azure.snp.vmpl",
    platforms=SNP,
)
def _report_for_the_guest(scene: AzureScene) -> None:
    if scene.snp is not None:
        scene.snp.report.vmpl = 2


@attack("vm-without-tee", "The report says that the VM runs in no TEE.", code="azure.hcl.platform")
def _vm_without_tee(scene: AzureScene) -> None:
    scene.words[1224] = 3


@attack(
    "loader-left-out-of-the-log",
    "The event log conceals the boot loader that the virtual TPM measured.",
    code="azure.log.replay.mismatch",
    platforms=TDX,
)
def _loader_left_out_of_the_log(scene: AzureScene) -> None:
    scene.form = "bundle"
    scene.log = scene.boot()
    kind = EventType.EFI_BOOT_SERVICES_APPLICATION
    scene.log.events = [event for event in scene.log.events if event.kind != kind]


@attack(
    "revoked-key",
    "The certificate of the attestation key is revoked.",
    code="azure.ak.revoked.listed",
    platforms=TDX,
)
def _revoked_key(scene: AzureScene) -> None:
    scene.form = "bundle"  # the form that has room for certificates
    scene.certify()
    if scene.certificate is not None:
        scene.crls[1].revoked = (scene.certificate.serial,)
