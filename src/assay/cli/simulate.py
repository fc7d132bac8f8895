"""``assay simulate``: evidence to try things with, genuine but for its root, or wrong in one place."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from assay.cli import simulate_nitro, simulate_nvidia, simulate_snp, simulate_tpm
from assay.cli.output import emit, emit_json, progress, table
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.simulator.attacks import Attack
    from assay.simulator.endorsements import Tee
    from assay.simulator.intel import Installation
    from assay.simulator.nitro.attacks import Platform
    from assay.simulator.scene import Evidence

REPORT_DATA_BYTES = 64
PLATFORMS = (
    "tdx",
    "sgx",
    simulate_snp.PLATFORM,
    *simulate_nitro.PLATFORMS,
    simulate_nvidia.PLATFORM,
    simulate_tpm.PLATFORM,
)
VERSIONS = {"tdx": (4, 5), "sgx": (3, 4, 5), simulate_snp.PLATFORM: simulate_snp.VERSIONS}


@click.command()
@click.argument("platform", type=click.Choice(PLATFORMS))
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="A new or empty directory.")
@click.option("--attack", metavar="NAME", help="Make it wrong in this one way.")
@click.option("--list", "listing", is_flag=True, help="List the attacks instead.")
@click.option("--report-data", metavar="HEX", help="64 bytes that a verifier expects; random without.")
@click.option(
    "--version", type=int, metavar="N", help="Format: 4 or 5 for tdx, 3 to 5 for sgx, 2 to 5 for snp."
)
@click.option("--throw-away", is_flag=True, help="Use a root that is forgotten, not this installation's.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made, or the list, as JSON.")
def simulate(
    platform: str,
    *,
    out: Path | None,
    attack: str | None,
    listing: bool,
    report_data: str | None,
    version: int | None,
    throw_away: bool,
    as_json: bool,
) -> int:
    """Make simulated evidence with collateral, root and policy, and say how to verify it.

    The evidence differs from real evidence in nothing but the root, so that only a policy that asks for
    simulated hardware accepts it.
    """
    if listing:
        _list(_attacks(platform), as_json=as_json)
        return 0
    if out is None:
        raise UsageError("cli.simulate.out", "Say where to write it.", action="Add --out DIR.")
    versions = VERSIONS.get(platform, ())
    if version is not None and version not in versions:
        known = ", ".join(str(each) for each in versions) or "none that could be chosen"
        raise UsageError("cli.simulate.version", f"The quote formats of {platform} are {known}.")
    expected = _report_data(report_data)
    target = _directory(out)
    installation, whose = _installation(throw_away=throw_away)
    if platform in simulate_nitro.PLATFORMS:
        made = simulate_nitro.write(
            target, installation, whose, platform=cast("Platform", platform), attack=attack, binding=expected
        )
    elif platform == simulate_snp.PLATFORM:
        made = simulate_snp.write(
            target, installation, whose, version=version, attack=attack, binding=expected
        )
    elif platform == simulate_nvidia.PLATFORM:
        made = simulate_nvidia.write(target, installation, whose, attack=attack, binding=expected)
    elif platform == simulate_tpm.PLATFORM:
        made = simulate_tpm.write(target, installation, whose, attack=attack, binding=expected)
    else:
        evidence, found = _stage(installation, cast("Tee", platform), version, attack, expected)
        made = _summary(target, evidence, found, whose, _write(target, evidence, found, whose))
    if as_json:
        emit_json(made)
        return 0
    progress(f"Root: {whose}.")
    if made["attack"]:
        progress(f"Attack {made['attack']['name']}: {made['attack']['description']}")
    emit(shlex.join(made["command"]))
    return 0


def _attacks(platform: str) -> list[dict[str, Any]]:
    if platform in simulate_nitro.PLATFORMS:
        return simulate_nitro.attacks(cast("Platform", platform))
    if platform == simulate_snp.PLATFORM:
        return simulate_snp.attacks()
    if platform == simulate_nvidia.PLATFORM:
        return simulate_nvidia.attacks()
    if platform == simulate_tpm.PLATFORM:
        return simulate_tpm.attacks()
    from assay.simulator.attacks import catalogue

    tee = cast("Tee", platform)
    return [_attack_json(entry, tee) for entry in catalogue() if tee in entry.platforms]


def _list(entries: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        emit_json(entries)
        return
    rows = [(entry["name"], entry["description"], entry["code"]) for entry in entries]
    emit(table(("attack", "what is wrong", "refused with"), rows))


def _attack_json(entry: Attack, platform: Tee) -> dict[str, Any]:
    return {
        "name": entry.name,
        "description": entry.description,
        "code": entry.refused_with(platform),
        "versions": list(entry.versions or VERSIONS[platform]),
    }


def _report_data(text: str | None) -> bytes:
    if text is None:
        return os.urandom(REPORT_DATA_BYTES)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != REPORT_DATA_BYTES:
        raise UsageError("cli.simulate.report_data", "Report data is 64 bytes, 128 hexadecimal digits.")
    return data


def _directory(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError("cli.simulate.not_empty", "The directory is not empty; nothing was written.")
    except OSError as error:
        raise UsageError(
            "cli.simulate.directory", f"The directory cannot be used: {error.strerror}."
        ) from error
    return out


def _installation(*, throw_away: bool) -> tuple[Installation, str]:
    from assay.simulator.intel import SECRET_BYTES, STATE_DIRECTORY, Installation
    from assay.store.files import prepare_directory
    from assay.store.paths import state_directory

    if throw_away:
        return Installation(os.urandom(SECRET_BYTES)), "one that was made for this evidence and is forgotten"
    state = state_directory(os.environ)
    prepare_directory(state)
    return Installation.create(
        state / STATE_DIRECTORY
    ), "this installation's own, which the policy 'local' knows"


def _stage(
    installation: Installation, platform: Tee, version: int | None, attack: str | None, expected: bytes
) -> tuple[Evidence, Attack | None]:
    from datetime import UTC, datetime

    from assay.simulator.attacks import catalogue, stage
    from assay.simulator.scene import Scene

    now = datetime.now(UTC)
    found = next((entry for entry in catalogue() if entry.name == attack), None)
    if version is None:
        version = found.versions[0] if found and found.versions else VERSIONS[platform][0]
    scene = Scene(installation, platform, version, now, expected)
    return (stage(attack, scene), found) if attack else (scene.finish(), None)


def _write(target: Path, evidence: Evidence, found: Attack | None, whose: str) -> list[str]:
    """Write the files; return the command that verifies them."""
    files = {
        "quote.bin": evidence.quote,
        "collateral.json": evidence.collateral.to_bundle_json(),
        "root.pem": evidence.root_pem(),
        "policy.toml": _policy(evidence.platform).encode(),
    }
    command = ["assay", "verify", str(target / "quote.bin"), "--policy", str(target / "policy.toml")]
    command += ["--collateral", str(target / "collateral.json"), "--roots", str(target / "root.pem")]
    if evidence.event_log:
        files["ccel.bin"] = evidence.event_log
        command += ["--event-log", str(target / "ccel.bin")]
    command += ["--report-data", evidence.report_data.hex()]
    files["README.txt"] = _readme(evidence, found, whose, command).encode()
    for name, content in files.items():
        with (target / name).open("xb") as file:
            file.write(content)
    return command


def _policy(platform: str) -> str:
    from assay.simulator.scene import ENCLAVE, FIRMWARE

    lines = [
        "# Accepts this simulated evidence, under this installation's own root alone.",
        "version = 1",
        'name = "simulated-evidence"',
        f'platforms = ["{platform}"]',
        'simulated = "only"',
        'accept = ["simulated"]',
        "",
        f"[{platform}]",
        f'mr_td = ["{FIRMWARE.hex()}"]' if platform == "tdx" else f'mr_enclave = ["{ENCLAVE.hex()}"]',
    ]
    return "\n".join(lines) + "\n"


def _readme(evidence: Evidence, found: Attack | None, whose: str, command: list[str]) -> str:
    lines = [
        f"Simulated {evidence.platform.upper()} evidence. Its hardware does not exist, so it proves nothing.",
        "",
        f"Root: {whose}.",
        f"Made for: {evidence.at.isoformat(timespec='seconds')}; its collateral is valid for 30 days.",
    ]
    if found:
        code = found.refused_with(evidence.platform)
        lines += [
            "",
            f"Attack: {found.name}. {found.description}",
            f"A verifier must refuse it with: {code}" if code else "A verifier must accept it all the same.",
        ]
    return "\n".join([*lines, "", "Try:", "", f"    {shlex.join(command)}", ""])


def _summary(
    target: Path, evidence: Evidence, found: Attack | None, whose: str, command: list[str]
) -> dict[str, Any]:
    return {
        "directory": str(target),
        "platform": evidence.platform,
        "root": whose,
        "attack": _attack_json(found, evidence.platform) if found else None,
        "report_data": evidence.report_data.hex(),
        "at": evidence.at.isoformat(timespec="seconds"),
        "command": command,
    }
