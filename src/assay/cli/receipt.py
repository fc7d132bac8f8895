"""``assay receipt``: show what a receipt says; verify it with the Evidence that it rests on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import exit_codes
from assay.cli.completing import policies
from assay.cli.groups import VerbsBelow
from assay.cli.output import emit, emit_json, escape, style
from assay.errors import LeaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assay.appraisal.policy import Policy
    from assay.leases.proof import Appraised, Proof

_FILE = click.argument("file", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group(cls=VerbsBelow)
def receipt() -> None:
    """Show and verify receipts."""


@receipt.command()
@_FILE
@_JSON
def show(file: Path, *, as_json: bool) -> None:
    """Show what a receipt says. Nothing is verified: it proves nothing."""
    from assay.cli.reading import read_file
    from assay.receipts.receipt import MAX_BYTES, Receipt

    found = Receipt.unverified(read_file(file, limit=MAX_BYTES))
    stated, self_asserted = found.stated(), found.self_asserted()
    if as_json:
        emit_json(
            "assay/receipt/v1",
            {
                "stated": stated,
                "self_asserted": self_asserted,
                "verified": False,
            },
        )
        return
    for line in _statement(stated, self_asserted):
        emit(line)
    emit(style(f"not verified: assay receipt verify {escape(str(file))}", "warn"))


@receipt.command()
@_FILE
@click.option(
    "--export",
    "export",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Verify with this export of the log, a directory or a tar, instead of our own records.",
)
@click.option("--vkey", metavar="FILE|KEY", help="With --export: the log's public key. Default: our own.")
@click.option(
    "--roots",
    multiple=True,
    metavar="[VENDOR=]PEM",
    help="With --export: roots besides the pinned vendors'; Evidence under them is simulated.",
)
@click.option(
    "--policy",
    "policy_name",
    metavar="NAME|PATH",
    shell_complete=policies,
    help="Default: that of the lease's provider; with --export, the shipped one of the recorded name.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="REGISTER=HEX",
    help="A Reference Value to accept as well, such as the measurement of an earlier agent; with --export,"
    " instead of the recorded ones of that register. Can be repeated.",
)
@_JSON
def verify(
    file: Path,
    *,
    export: Path | None,
    vkey: str | None,
    roots: tuple[str, ...],
    policy_name: str | None,
    references: tuple[str, ...],
    as_json: bool,
) -> int:
    """Verify a receipt with its Evidence: from our own records, or an exported log.

    Both appraisals are made again, as of the time at which they were made first; then the receipt must be
    signed by the key that the start Evidence binds. Exit codes: 0 accepted, 1 refused, 2 usage.
    """
    from assay.cli.reading import read_file
    from assay.cli.typed import policy_of, references_of
    from assay.receipts.receipt import MAX_BYTES

    if export is None and (vkey is not None or roots):
        raise UsageError(
            "cli.receipt.export",
            "--vkey and --roots are for an exported log.",
            action="Add --export PATH, or leave them out.",
        )
    data = read_file(file, limit=MAX_BYTES)
    policy = None if policy_name is None else policy_of(policy_name, ())
    more = references_of(references)
    if export is None:
        proof, origin, unproven = _with_own_records(data, policy, more)
    else:
        proof, origin, unproven = _with_export(data, policy, more, export, vkey, roots)
    said = (*_not_proven(proof), *unproven)
    if as_json:
        emit_json("assay/receipt-result/v1", _json(proof, origin, said))
    else:
        _show(proof, origin, said)
    return exit_codes.OK if proof.accepted else exit_codes.REFUSED


def _with_own_records(
    data: bytes, policy: Policy | None, references: Mapping[str, frozenset[bytes]]
) -> tuple[Proof, str, tuple[str, ...]]:
    from assay.leases.desk import Desk
    from assay.leases.proof import prove
    from assay.store import state_directory
    from assay.store.files import is_absent
    from assay.store.paths import DATABASE_NAME

    if is_absent(state_directory(os.environ) / DATABASE_NAME):
        raise LeaseError(
            "lease.receipt.unknown",
            "There are no records of this installation to verify the receipt with.",
            action="Verify it where it was run, set ASSAY_STATE_DIR to that state, or give --export PATH.",
        )
    with Desk.open(os.environ) as desk:
        return prove(desk, data, policy=policy, references=references), desk.log.origin, ()


def _with_export(
    data: bytes,
    policy: Policy | None,
    references: Mapping[str, frozenset[bytes]],
    export: Path,
    vkey: str | None,
    roots: tuple[str, ...],
) -> tuple[Proof, str, tuple[str, ...]]:
    from assay.audit import memory
    from assay.cli.anchors import Own, roots_of
    from assay.cli.audit import log_key
    from assay.leases.exported import prove_exported
    from assay.store import state_directory
    from assay.store.files import is_absent

    remembered = state_directory(os.environ) / memory.NAME
    found = prove_exported(
        export,
        data,
        vkey=log_key(vkey, None, export),
        memory=None if is_absent(remembered) else remembered,  # an auditor's computer keeps no state
        roots=roots_of(roots, Own()),
        policy=policy,
        references=references,
    )
    return found.proof, found.log.checkpoint.origin, found.not_proven


def _json(proof: Proof, origin: str, not_proven: tuple[str, ...]) -> dict[str, Any]:
    return {
        "verdict": "accepted" if proof.accepted else "refused",
        "receipt": proof.digest.hex(),
        "stated": proof.receipt.stated(),
        "self_asserted": proof.receipt.self_asserted(),
        "log": {"origin": origin, "entry": proof.index},
        "admission": _appraised_json(proof.admission),
        "start": _appraised_json(proof.start),
        "not_proven": list(not_proven),
    }


def _appraised_json(found: Appraised) -> dict[str, Any]:
    return {
        "as_of": found.at.isoformat(),
        "entry": found.index,
        "same_policy": found.same_policy,
        "result": found.result.to_json(),
    }


def _show(proof: Proof, origin: str, not_proven: tuple[str, ...]) -> None:
    for line in _statement(proof.receipt.stated(), proof.receipt.self_asserted()):
        emit(line)
    emit(f"{'log':<20} entry {proof.index} of {escape(origin)}")
    for name, found in (("admission", proof.admission), ("start", proof.start)):
        passed = sum(check.outcome.value == "passed" for check in found.result.ledger)
        kind = "simulated" if found.result.simulated else "hardware"
        emit(
            f"{name:<20} {found.result.verdict.value}, {kind}, {passed} checks passed,"
            f" as of {found.at:%Y-%m-%dT%H:%M:%SZ} (entry {found.index})"
        )
        for check in found.result.ledger:
            if check.outcome.value == "failed":
                why = escape(f"{check.id}: {check.reason} [{check.code}]")
                emit(f"{'':<20} {style('FAIL', 'bad')} {why}")
    emit("not proven:")
    for sentence in not_proven:
        emit(f"  - {escape(sentence)}")
    if proof.accepted:
        emit(style("accepted: signed by the key that the start Evidence binds", "good"))
    else:
        emit(style("refused: the Evidence behind the receipt is not accepted", "bad"))


def _statement(stated: Mapping[str, Any], self_asserted: Mapping[str, Any]) -> Iterator[str]:
    for name, value in stated.items():
        yield f"{name:<20} {escape(_shown(value))}"
    for name, value in self_asserted.items():
        yield f"{name:<20} {escape(_shown(value))} (self-asserted)"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    return str(value)


def _not_proven(proof: Proof) -> Iterator[str]:
    yield from dict.fromkeys((*proof.admission.result.not_proven, *proof.start.result.not_proven))
    yield "When it ran, but for the order in the log: the guest's clock belongs to its host."
    yield "That the nonces were fresh: they were compared and recorded when they were used."
    if not (proof.admission.same_policy and proof.start.same_policy):
        yield "That this is the policy that opened the gate: the log names another digest."
