"""``assay simulate nvidia-gpu``: a GPU's evidence, its manifests and OCSP answers, roots and a policy."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.endorsements.record import Endorsement
    from assay.simulator.intel import Installation
    from assay.simulator.nvidia import Scene
    from assay.simulator.nvidia.attacks import NvidiaAttack

PLATFORM = "nvidia-gpu"
NONCE_BYTES = 32


def attacks() -> list[dict[str, Any]]:
    """Return the attacks that can be made."""
    from assay.simulator.nvidia.attacks import ATTACKS

    return [_attack_json(entry) for entry in ATTACKS.values()]


def write(
    target: Path, installation: Installation, whose: str, *, attack: str | None, binding: bytes
) -> dict[str, Any]:
    """Write the files of a Hopper GPU's evidence, genuine or attacked, and return what was made.

    Args:
        target: An empty directory.
        installation: Whose roots.
        whose: They, as a clause for a person.
        attack: The name of an attack; None for none.
        binding: Its first 32 bytes are the nonce.

    Raises:
        SimulatorError: ``simulator.attack.unknown``.
    """
    from datetime import UTC, datetime

    from assay.endorsements.bundle import Bundle
    from assay.simulator.nvidia import Scene, SimulatedNvidia
    from assay.simulator.nvidia.attacks import ATTACKS, stage

    now = datetime.now(UTC).replace(microsecond=0)
    nvidia = SimulatedNvidia.of(installation)
    nonce = binding[:NONCE_BYTES]
    scene = Scene(nvidia, now, nonce)
    evidence = stage(attack, scene) if attack else scene.finish()
    found = ATTACKS[attack] if attack else None
    paths = {name: target / name for name in ("evidence.json", "policy.toml", "ocsp.bundle")}
    manifests = {"driver.xml": evidence.drivers[0].document, "vbios.xml": evidence.firmware[0].document}
    command = ["assay", "verify", str(paths["evidence.json"]), "--policy", str(paths["policy.toml"])]
    for name in ("ocsp.bundle", *manifests):
        command += ["--endorsements", str(target / name)]
    command += ["--nonce", nonce.hex()]
    roots = [*command, "--roots", str(target / "roots.pem")]
    about = {entry.wanted: entry for entry in _endorsements(scene)}
    files = {
        "evidence.json": evidence.evidence,
        "ocsp.bundle": Bundle.of(about.values(), created=now).encode(),
        **manifests,
        "roots.pem": nvidia.device_root.pem() + nvidia.manifest_root.pem(),
        "policy.toml": _policy().encode(),
        "README.txt": _readme(now.isoformat(timespec="seconds"), found, whose, roots).encode(),
    }
    for name, content in files.items():
        with (target / name).open("xb") as file:
            file.write(content)
    return {
        "directory": str(target),
        "platform": PLATFORM,
        "root": whose,
        "attack": _attack_json(found) if found else None,
        "nonce": nonce.hex(),
        "at": now.isoformat(timespec="seconds"),
        "command": roots,
    }


def _endorsements(scene: Scene) -> Iterator[Endorsement]:
    """Yield the OCSP answers of a scene, each about a certificate and all above it."""
    from base64 import b64encode
    from datetime import timedelta

    from assay.endorsements.nvidia import NONCE_PART, OCSP, RESPONSE_PART
    from assay.endorsements.record import Basis, Endorsement, Wanted
    from assay.evidence.facts import Window
    from assay.evidence.verification import Expected

    presented = [*reversed(scene.firmware), *reversed(scene.drivers)]
    drafts = [draft for each in presented for draft in scene.manifest_answers(each)]
    chains = [report.chain for report in scene.reports] + [each.draft.chain for each in presented]
    above = {issued.der: chain[place:] for chain in chains for place, issued in enumerate(chain)}
    for draft in (*scene.device_answers(), *drafts):
        reply = draft.sign()
        asked = reply.nonce.value if isinstance(reply.nonce, Expected) else b""
        ders = b"".join(issued.der for issued in above.get(draft.subject.der, [draft.subject, draft.issuer]))
        yield Endorsement(
            wanted=Wanted.of(OCSP, chain=b64encode(ders).decode()),
            parts={RESPONSE_PART: reply.response, NONCE_PART: asked},
            window=Window(draft.this_update, draft.this_update + timedelta(days=1)),
            fetched=scene.now,
            sources=(),
            basis=Basis.SIGNATURE,
            anchor="00" * 32,
        )


def _attack_json(entry: NvidiaAttack) -> dict[str, Any]:
    return {"name": entry.name, "description": entry.description, "code": _refused_with(entry)}


def _refused_with(entry: NvidiaAttack) -> str:
    """Return the code with which ``assay verify`` refuses it.

    A manifest that does not verify is not there; what is wrong with its signer is so for all of them.
    """
    if not entry.code.startswith("rim."):
        return entry.code
    all_of_them = entry.code in ("rim.revocation.status", "rim.chain.root")
    return "nvidia.golden.missing" if all_of_them else "nvidia.golden.driver"


def _policy() -> str:
    lines = [
        "# Accepts this simulated evidence, under this installation's own roots alone.",
        "version = 1",
        'name = "simulated-evidence"',
        f'platforms = ["{PLATFORM}"]',
        'simulated = "only"',
        'accept = ["simulated"]',
        "",
        "[nvidia]",
        'architectures = ["HOPPER"]',
        "gpus = 1",
        "fresh_revocation = true",
    ]
    return "\n".join(lines) + "\n"


def _readme(at: str, found: NvidiaAttack | None, whose: str, command: list[str]) -> str:
    lines = [
        "Simulated evidence of an NVIDIA GPU. It does not exist, so it proves nothing.",
        "",
        f"Root: {whose}.",
        f"Made for: {at}; its OCSP answers are valid for a day.",
    ]
    if found:
        lines += [
            "",
            f"Attack: {found.name}. {found.description}",
            f"A verifier must refuse it with: {_refused_with(found)}",
        ]
    return "\n".join([*lines, "", "Try:", "", f"    {shlex.join(command)}", ""])
