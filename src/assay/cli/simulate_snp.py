"""``assay simulate snp``: an extended report, its root, a policy, and how to verify it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from assay.simulator.amd.attacks import SnpAttack
    from assay.simulator.amd.scene import SnpEvidence
    from assay.simulator.intel import Installation

PLATFORM = "snp"
VERSIONS = (2, 3, 4, 5)
_VERSION = 3


def attacks() -> list[dict[str, Any]]:
    """Return the attacks that can be made."""
    from assay.simulator.amd.attacks import ATTACKS

    return [_attack_json(entry) for entry in ATTACKS.values()]


def write(
    target: Path,
    installation: Installation,
    whose: str,
    *,
    version: int | None,
    attack: str | None,
    binding: bytes,
) -> dict[str, Any]:
    """Write the files of a report of Genoa, genuine or attacked, and return what was made.

    Certificates and CRL stand in the certificate table behind the report: nothing else is needed.

    Args:
        target: An empty directory.
        installation: Whose roots; its keys for a product are made at their first use.
        whose: They, as a clause for a person.
        version: Of the report; None for 3.
        attack: The name of an attack; None for none.
        binding: What the report data shall be, 64 bytes.

    Raises:
        SimulatorError: ``simulator.attack.*``, ``simulator.amd.key``.
    """
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    from assay.evidence.snp.products import Product
    from assay.simulator.amd.attacks import ATTACKS, stage
    from assay.simulator.amd.installation import SimulatedAmd
    from assay.simulator.amd.scene import SnpScene

    now = datetime.now(UTC)
    amd = SimulatedAmd.of(installation)
    scene = SnpScene(amd, Product.GENOA, version or _VERSION, "vcek", now, binding)
    evidence = stage(attack, scene) if attack else scene.finish()
    found = ATTACKS[attack] if attack else None
    command = ["assay", "verify", str(target / "report.bin"), "--policy", str(target / "policy.toml")]
    command += ["--roots", str(target / "root.pem"), "--report-data", binding.hex()]
    files = {
        "report.bin": evidence.extended(),
        "root.pem": load_der_x509_certificate(evidence.root).public_bytes(Encoding.PEM),
        "policy.toml": _policy(scene.report.measurement).encode(),
        "README.txt": _readme(evidence, found, whose, command).encode(),
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
        "at": now.isoformat(timespec="seconds"),
        "command": command,
    }


def _attack_json(entry: SnpAttack) -> dict[str, Any]:
    return {"name": entry.name, "description": entry.description, "code": _refused_with(entry)}


def _refused_with(entry: SnpAttack) -> str:
    """Return the code with which ``assay verify`` refuses it."""
    return entry.unrouted or entry.code


def _policy(measurement: bytes) -> str:
    lines = [
        "# Accepts this simulated evidence, under this installation's own roots alone.",
        "version = 1",
        'name = "simulated-evidence"',
        f'platforms = ["{PLATFORM}"]',
        'simulated = "only"',
        'accept = ["simulated", "unjudged-tcb"]',
        "",
        "[snp]",
        f'measurement = ["{measurement.hex()}"]',
    ]
    return "\n".join(lines) + "\n"


def _readme(evidence: SnpEvidence, found: SnpAttack | None, whose: str, command: list[str]) -> str:
    lines = [
        "Simulated SEV-SNP evidence. Its hardware does not exist, so it proves nothing.",
        "",
        f"Root: {whose}.",
        f"Made for: {evidence.at.isoformat(timespec='seconds')}; its CRL is valid for eleven months more.",
    ]
    if found:
        lines += [
            "",
            f"Attack: {found.name}. {found.description}",
            f"A verifier must refuse it with: {_refused_with(found)}",
        ]
    return "\n".join([*lines, "", "Try:", "", f"    {shlex.join(command)}", ""])
