"""``assay simulate nitro`` and ``nitro-tpm``: a document, its root, a policy, and how to verify it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from assay.simulator.intel import Installation
    from assay.simulator.nitro.attacks import NitroAttack, NitroEvidence, Platform

PLATFORMS = ("nitro", "nitro-tpm")


def attacks(platform: Platform) -> list[dict[str, Any]]:
    """Return the attacks that can be made on a platform."""
    from assay.simulator.nitro.attacks import ATTACKS

    return [_attack_json(entry) for entry in ATTACKS.values() if platform in entry.platforms]


def write(
    target: Path,
    installation: Installation,
    whose: str,
    *,
    platform: Platform,
    attack: str | None,
    binding: bytes,
) -> dict[str, Any]:
    """Write the files of a document, genuine or attacked, and return what was made.

    Args:
        target: An empty directory.
        installation: Whose root.
        whose: That root, as a clause for a person.
        platform: ``nitro`` or ``nitro-tpm``.
        attack: The name of an attack; None for none.
        binding: What ``user_data`` shall be.

    Raises:
        SimulatorError: ``simulator.attack.*``.
    """
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    from assay.simulator.nitro.attacks import ATTACKS, stage
    from assay.simulator.nitro.hypervisor import SimulatedAws

    now = datetime.now(UTC)
    evidence = stage(attack or "none", SimulatedAws(installation), platform=platform, at=now, binding=binding)
    found = ATTACKS[attack] if attack else None
    command = ["assay", "verify", str(target / "document.cbor"), "--policy", str(target / "policy.toml")]
    command += ["--roots", str(target / "root.pem"), "--report-data", binding.hex()]
    files = {
        "document.cbor": evidence.document,
        "root.pem": load_der_x509_certificate(evidence.root).public_bytes(Encoding.PEM),
        "policy.toml": _policy(platform).encode(),
        "README.txt": _readme(evidence, found, whose, command).encode(),
    }
    for name, content in files.items():
        with (target / name).open("xb") as file:
            file.write(content)
    return {
        "directory": str(target),
        "platform": platform,
        "root": whose,
        "attack": _attack_json(found) if found else None,
        "report_data": binding.hex(),
        "at": now.isoformat(timespec="seconds"),
        "command": command,
    }


def _attack_json(entry: NitroAttack) -> dict[str, Any]:
    return {"name": entry.name, "description": entry.description, "code": _refused_with(entry)}


def _refused_with(entry: NitroAttack) -> str:
    """Return the code with which ``assay verify`` refuses it; a claim is refused by the policy."""
    kind, _, claim = entry.code.rpartition(":")
    return entry.unrouted or (f"policy.attributes.{claim}.weak" if kind else claim)


def _policy(platform: Platform) -> str:
    from assay.simulator.nitro.attacks import IMAGE

    registers = {"pcr0": IMAGE[0], "pcr1": IMAGE[1], "pcr2": IMAGE[2]}
    accepted = ["simulated"]
    if platform == "nitro-tpm":
        registers, accepted = {"pcr4": IMAGE[0], "pcr7": IMAGE[1]}, ["simulated", "host-tpm"]
    lines = [
        "# Accepts this simulated evidence, under this installation's own root alone.",
        "version = 1",
        'name = "simulated-evidence"',
        f'platforms = ["{platform}"]',
        'simulated = "only"',
        "accept = [" + ", ".join(f'"{word}"' for word in accepted) + "]",
        "",
        "[nitro]",
        *(f'{name} = ["{value.hex()}"]' for name, value in registers.items()),
    ]
    return "\n".join(lines) + "\n"


def _readme(evidence: NitroEvidence, found: NitroAttack | None, whose: str, command: list[str]) -> str:
    lines = [
        f"Simulated evidence of {evidence.platform}. Its hardware does not exist, so it proves nothing.",
        "",
        f"Root: {whose}.",
        f"Made for: {evidence.at.isoformat(timespec='seconds')}; its chain is valid for hours.",
    ]
    if found:
        lines += [
            "",
            f"Attack: {found.name}. {found.description}",
            f"A verifier must refuse it with: {_refused_with(found)}",
        ]
    return "\n".join([*lines, "", "Try:", "", f"    {shlex.join(command)}", ""])
