"""``assay simulate tpm``: the evidence of a machine with a TPM, its root and a policy."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from assay.simulator.intel import Installation
    from assay.simulator.tpm.attacks import TpmAttack

PLATFORM = "tpm"


def attacks() -> list[dict[str, Any]]:
    """Return the attacks that can be made."""
    from assay.simulator.tpm.attacks import ATTACKS

    return [_attack_json(entry) for entry in ATTACKS.values()]


def write(
    target: Path, installation: Installation, whose: str, *, attack: str | None, binding: bytes
) -> dict[str, Any]:
    """Write the files of a machine's evidence, genuine or attacked, and return what was made.

    Args:
        target: An empty directory.
        installation: Whose root.
        whose: It, as a clause for a person.
        attack: The name of an attack; None for none.
        binding: The qualifying data.

    Raises:
        SimulatorError: ``simulator.attack.unknown``.
    """
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    from assay.simulator.tpm.attacks import ATTACKS, Scene, root_der, stage

    scene = Scene.of(installation.secret, binding)
    evidence = stage(attack, scene) if attack else scene.draft.encode()
    found = ATTACKS[attack] if attack else None
    at = datetime.now(UTC).isoformat(timespec="seconds")
    command = [
        *("assay", "verify", str(target / "evidence.bin"), "--policy", str(target / "policy.toml")),
        *("--report-data", binding.hex(), "--roots", str(target / "roots.pem")),
    ]
    files = {
        "evidence.bin": evidence,
        "roots.pem": load_der_x509_certificate(root_der(installation.secret)).public_bytes(Encoding.PEM),
        "policy.toml": _policy().encode(),
        "README.txt": _readme(found, whose, command).encode(),
    }
    for name, content in files.items():
        with (target / name).open("xb") as file:
            file.write(content)
    return {
        "directory": str(target),
        "platform": PLATFORM,
        "root": whose,
        "attack": _attack_json(found) if found else None,
        "report_data": binding.hex(),
        "at": at,
        "command": command,
    }


def _attack_json(entry: TpmAttack) -> dict[str, Any]:
    return {"name": entry.name, "description": entry.description, "code": entry.code}


def _policy() -> str:
    lines = [
        "# Accepts this simulated evidence, under this installation's own root alone.",
        "version = 1",
        'name = "simulated-evidence"',
        f'platforms = ["{PLATFORM}"]',
        'simulated = "only"',
        'accept = ["simulated", "host-tpm"]',
        "",
        "[vtpm]",
        "event_log = true",
        "",
        "[tpm]",
        "ak_certified = true",
        "ima = true",
    ]
    return "\n".join(lines) + "\n"


def _readme(found: TpmAttack | None, whose: str, command: list[str]) -> str:
    lines = [
        "Simulated evidence of a machine with a TPM. It does not exist, so it proves nothing.",
        "",
        f"Root: {whose}.",
    ]
    if found:
        lines += [
            "",
            f"Attack: {found.name}. {found.description}",
            f"A verifier must refuse it with: {found.code}",
        ]
    return "\n".join([*lines, "", "Try:", "", f"    {shlex.join(command)}", ""])
