"""``assay simulate``: evidence to try things with, genuine but for its root, or wrong in one place."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.output import emit, emit_json, escape, progress, table
from assay.cli.simulations import Order, platforms, simulation_of
from assay.errors import SimulatorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.cli.simulations import Made, Simulation, Wrong
    from assay.simulator.intel import Installation

REPORT_DATA_BYTES = 64


@click.command()
@click.argument("platform", type=click.Choice(platforms()), metavar="PLATFORM")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="A new or empty directory.")
@click.option("--attack", metavar="NAME", help="Make it wrong in this one way.")
@click.option("--list", "listing", is_flag=True, help="List the attacks instead.")
@click.option(
    "--report-data", metavar="HEX", help="64 bytes that a verifier expects, all or some; random without."
)
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
    """Make simulated evidence with endorsements, roots and policy, and say how to verify it.

    PLATFORM is one of: tdx, sgx, snp, nitro, nitro-tpm, azure-snp, azure-tdx, gcp-vtpm, gcp-tdx, gcp-snp,
    tpm, confidential-space, maa, trust-authority, nras, nvidia-gpu.

    The evidence differs from real evidence in nothing but the root, so that only a policy that asks for
    simulated hardware accepts it.
    """
    simulation = simulation_of(platform)
    if listing:
        _list(simulation.attacks, as_json=as_json)
        return 0
    if out is None:
        raise UsageError("cli.simulate.out", "Say where to write it.", action="Add --out DIR.")
    if version is not None and version not in simulation.versions:
        known = ", ".join(str(each) for each in simulation.versions) or "none that could be chosen"
        raise UsageError("cli.simulate.version", f"The versions of {platform} are {known}.")
    expected = _report_data(report_data)
    _demand_empty(out)
    installation, whose = _installation(throw_away=throw_away)
    made = _write(out, platform, simulation, Order(installation, version, attack, expected, _now()), whose)
    if as_json:
        emit_json("assay/simulated/v1", made)
        return 0
    progress(f"Root: {whose}.")
    if made["attack"]:
        progress(f"Attack {made['attack']['name']}: {made['attack']['description']}")
    emit(shlex.join(made["command"]))
    return 0


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _list(attacks: tuple[Wrong, ...], *, as_json: bool) -> None:
    if as_json:
        emit_json("assay/attacks/v1", {"attacks": [_wrong_json(entry) for entry in attacks]})
        return
    whole = table(
        ("attack", "what is wrong", "refused with"),
        [(entry.name, entry.description, entry.code) for entry in attacks],
    )
    columns = shutil.get_terminal_size((80, 24)).columns
    if not sys.stdout.isatty() or max(map(len, whole.splitlines())) <= columns:
        emit(whole)
        return
    # A terminal would break the rows anywhere: each description gets lines of its own.
    head, *rows = table(
        ("attack", "refused with"), [(entry.name, entry.code) for entry in attacks]
    ).splitlines()
    emit(head)
    for row, entry in zip(rows, attacks, strict=True):
        emit(row)
        for line in textwrap.wrap(escape(entry.description), columns - 4):
            emit(f"    {line}")


def _wrong_json(entry: Wrong) -> dict[str, Any]:
    return {
        "name": entry.name,
        "description": entry.description,
        "code": entry.code,
        "versions": list(entry.versions),
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


def _demand_empty(out: Path) -> None:
    try:
        if any(out.iterdir()):
            raise UsageError(
                "cli.simulate.not_empty", f"{escape(str(out), limit=300)} is not empty; nothing was written."
            )
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(error) from None


def _unusable(error: OSError) -> UsageError:
    return UsageError("cli.simulate.directory", f"The directory cannot be used: {error.strerror}.")


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


def _write(target: Path, platform: str, simulation: Simulation, order: Order, whose: str) -> dict[str, Any]:
    """Make everything, write its files, and return what was made."""
    try:
        made = simulation.make(order)
    except SimulatorError as error:  # for an attack that does not exist, or not there
        action = f"List them: assay simulate {platform} --list"
        raise UsageError(error.code, error.message, action=action) from None
    wrong = next((entry for entry in simulation.attacks if entry.name == order.attack), None)
    command = ["assay", "verify", str(target / made.name), "--policy", str(target / "policy.toml")]
    files = {made.name: made.evidence, "policy.toml": _policy(platform, made).encode()}
    files |= _vouching(target, made, command)
    command += made.options
    at = order.now.isoformat(timespec="seconds")
    files["README.txt"] = _readme(simulation, made, wrong, whose, at, command).encode()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = target / name
            path.parent.mkdir(exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
    except OSError as error:
        raise _unusable(error) from None
    return {
        "directory": str(target),
        "platform": platform,
        "root": whose,
        "attack": _wrong_json(wrong) if wrong else None,
        "report_data": order.binding.hex(),
        "at": at,
        "command": command,
    }


def _vouching(target: Path, made: Made, command: list[str]) -> Mapping[str, bytes]:
    """Return the files that vouch for the evidence, and add the options that name them to the command."""
    found: dict[str, bytes] = {}
    if len(made.endorsements) == 1:
        found |= made.endorsements
        command += ["--endorsements", str(target / next(iter(made.endorsements)))]
    elif made.endorsements:
        found |= {f"endorsements/{name}": data for name, data in made.endorsements.items()}
        command += ["--endorsements", str(target / "endorsements")]
    if made.roots:
        name = "root.pem" if len(made.roots) == 1 else "roots.pem"
        found[name] = b"".join(map(_pem, made.roots))
        command += ["--roots", str(target / name)]
    if made.event_log:
        found["ccel.bin"] = made.event_log
        command += ["--event-log", str(target / "ccel.bin")]
    return found


def _pem(der: bytes) -> bytes:
    from assay.evidence.decoding.pem import encode

    return encode(der)


def _policy(platform: str, made: Made) -> str:
    accepted = ", ".join(f'"{word}"' for word in ("simulated", *made.accept))
    lines = [
        "# Accepts this simulated evidence, under this installation's own roots alone.",
        "version = 1",
        'name = "simulated-evidence"',
        f'platforms = ["{platform}"]',
        'simulated = "only"',
        f"accept = [{accepted}]",
        "",
        *made.tables,
    ]
    return "\n".join(lines) + "\n"


def _readme(
    simulation: Simulation, made: Made, wrong: Wrong | None, whose: str, at: str, command: list[str]
) -> str:
    lines = [
        f"Simulated {simulation.title}. Its hardware does not exist, so it proves nothing.",
        "",
        f"Root: {whose}.",
        f"Made for: {at}; {made.holds}.",
    ]
    if wrong:
        lines += [
            "",
            f"Attack: {wrong.name}. {wrong.description}",
            f"A verifier must refuse it with: {wrong.code}"
            if wrong.code
            else "A verifier must accept it all the same.",
        ]
    return "\n".join([*lines, "", "Try:", "", f"    {shlex.join(command)}", ""])
