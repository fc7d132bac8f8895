"""Named attacks on a TPM's evidence: wrong in one place, and the code of the check that refuses it.

    evidence = stage("relabelled", scene)

What is changed before the quote is signed stands in its draft; what is changed beside it is what anybody can
do who carries genuine evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import SimulatorError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.simulator.tpm.device import SoftwareTpm, bitmap
from assay.simulator.tpm.logs import file_data
from assay.simulator.tpm.machine import Machine, certificate, derived_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.simulator.tpm.machine import EvidenceDraft

ROOT_NAME, ISSUER_NAME, AK_NAME = "Simulated TPM Root", "Simulated AK CA", "Simulated AK"


@dataclass(frozen=True, slots=True)
class Scene:
    """A machine's evidence in the making, and the keys around it.

    Attributes:
        secret: From which every key is derived.
        draft: The evidence.
    """

    secret: bytes
    draft: EvidenceDraft

    @classmethod
    def of(cls, secret: bytes, nonce: bytes) -> Scene:
        """Boot a machine, have it run two files, and quote it."""
        host = Machine.booted(SoftwareTpm(derived_key(secret, "ak")))
        host.run("/usr/bin/agent", b"agent")
        host.run("/usr/lib/libc.so.6", b"libc")
        found = cls(secret, host.evidence(nonce))
        found.draft.certificates = (
            found.leaf("issuer"),
            certificate(
                ISSUER_NAME,
                derived_key(secret, "issuer"),
                ROOT_NAME,
                derived_key(secret, "root"),
                authority=True,
            ),
        )
        return found

    def leaf(self, signer: str) -> bytes:
        """Return the AK certificate, signed by the key of that name."""
        return certificate(
            AK_NAME,
            derived_key(self.secret, "ak"),
            ISSUER_NAME,
            derived_key(self.secret, signer),
            authority=False,
        )


def root_der(secret: bytes) -> bytes:
    """Return the root of an installation's AK certificates, DER: the same for the same secret."""
    key = derived_key(secret, "root")
    return certificate(ROOT_NAME, key, ROOT_NAME, key, authority=True)


@dataclass(frozen=True, slots=True)
class TpmAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which it is refused.
        apply: Spoils a scene.
    """

    name: str
    description: str
    code: str
    apply: Callable[[Scene], None]


ATTACKS: dict[str, TpmAttack] = {}


def _attack(name: str, code: str, description: str) -> Callable[[Callable[[Scene], None]], None]:
    def register(apply: Callable[[Scene], None]) -> None:
        ATTACKS[name] = TpmAttack(name, description, code, apply)

    return register


@_attack(
    "not-made-by-a-tpm", "tpm.quote.magic", "The signed structure lacks the number that only a TPM writes."
)
def _magic(scene: Scene) -> None:
    scene.draft.quote.magic ^= 1


@_attack("stale-nonce", "tpm.quote.nonce.mismatch", "The quote answers another nonce.")
def _nonce(scene: Scene) -> None:
    scene.draft.quote.extra_data = bytes(len(scene.draft.quote.extra_data))


@_attack("relabelled", "tpm.quote.selection.indices", "A quoted value is presented as another PCR's.")
def _relabelled(scene: Scene) -> None:
    scene.draft.pcrs[23] = scene.draft.pcrs.pop(14)


@_attack("two-banks", "tpm.quote.selection.banks", "The quote covers two banks: which one was meant?")
def _banks(scene: Scene) -> None:
    scene.draft.quote.selections.append((Algorithm.SHA384, bitmap([0])))


@_attack("another-value", "tpm.quote.pcr_digest", "A PCR value is presented that was not signed.")
def _value(scene: Scene) -> None:
    scene.draft.pcrs[7] = bytes(32)


@_attack("foreign-signature", "tpm.quote.signature", "Another key signed the quote.")
def _signature(scene: Scene) -> None:
    scene.draft.quote.key = derived_key(scene.secret, "stranger")


@_attack("foreign-issuer", "tpm.ak.chain", "A stranger certified the attestation key in the issuer's name.")
def _issuer(scene: Scene) -> None:
    scene.draft.certificates = (scene.leaf("stranger"), scene.draft.certificates[1])


@_attack("silent-register", "tpm.log.replay.silent", "The log leaves out every event of one PCR.")
def _silent(scene: Scene) -> None:
    log = scene.draft.firmware
    if log is not None:
        log.events = [event for event in log.events if event.register != 9]


@_attack(
    "changed-payload", "tpm.log.payload.contradicted", "The log says that secure boot was off; it was on."
)
def _payload(scene: Scene) -> None:
    for event in scene.draft.firmware.events if scene.draft.firmware else ():
        if event.register == 7 and event.payload.endswith(b"\x01"):
            event.payload = event.payload[:-1] + b"\x00"


@_attack("hidden-file", "tpm.ima.replay", "The IMA log leaves out a file that was measured.")
def _hidden(scene: Scene) -> None:
    if scene.draft.kernel is not None:
        del scene.draft.kernel.entries[1]


@_attack("renamed-file", "tpm.ima.replay", "The IMA log gives a measured file another name.")
def _renamed(scene: Scene) -> None:
    if scene.draft.kernel is not None:
        scene.draft.kernel.entries[1].data = file_data("/usr/bin/other", Algorithm.SHA256.digest(b"agent"))


def stage(name: str, scene: Scene) -> bytes:
    """Make the evidence of an attack.

    Raises:
        SimulatorError: ``simulator.attack.unknown``.
    """
    found = ATTACKS.get(name)
    if found is None:
        raise SimulatorError(
            "simulator.attack.unknown", f"There is no attack {name!r} on a TPM: {', '.join(ATTACKS)}."
        )
    found.apply(scene)
    return scene.draft.encode()
