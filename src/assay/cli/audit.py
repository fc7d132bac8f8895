"""``assay audit``: export the log; verify an export, offline."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import exit_codes
from assay.cli.groups import VerbsBelow
from assay.cli.output import emit, emit_json, escape, progress, style
from assay.errors import AuditError, UsageError

if TYPE_CHECKING:
    from assay.audit import Log, VerifierKey
    from assay.audit.result import Verified
    from assay.audit.witnesses import WitnessPolicy
    from assay.store import Database

_LARGEST_KEY_FILE = 4096
_RESULT = "assay/audit-result/v1"
_ATTACHED = ("receipt", "evidence", "collateral", "record")
"""Facts whose digests are taken along. A manifest is not: it has the command line in it."""


@click.group(cls=VerbsBelow)
def audit() -> None:
    """Export the log; verify an export offline."""


@audit.command()
@click.option(
    "--out", "target", required=True, type=click.Path(path_type=Path), help="A new directory or file."
)
@click.option("--tar", is_flag=True, help="Write one deterministic tar instead of a directory.")
@click.option("--origin", metavar="NAME", help="An earlier log of this installation, closed since.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def export(target: Path, *, tar: bool, origin: str | None, as_json: bool) -> None:
    """Write the log out, with the receipts and the Evidence that it names.

    The export holds digests, receipts, Evidence and what it was appraised with; never commands, environments
    or output.
    """
    from assay.audit import MIGRATIONS
    from assay.leases.vault import Vault
    from assay.store import Database, state_directory
    from assay.store.files import is_absent
    from assay.store.paths import DATABASE_NAME

    state = state_directory(os.environ)
    if is_absent(state / DATABASE_NAME):
        raise AuditError(
            "audit.log.none",
            f"There is no log in {str(state)!r} yet.",
            action="Run something first, or set ASSAY_STATE_DIR to the state that has the log.",
        )
    with Database.open(state, migrations=MIGRATIONS) as db:
        log = _log(db, origin)
        kept = Vault(state).root
        digests = frozenset(item.name for item in kept.iterdir()) if kept.is_dir() else frozenset()
        attachments = {digest: kept / digest for digest in log.named(digests, _ATTACHED)}
        checkpoint = log.export(target, tar=tar, attachments=attachments)
    if as_json:
        emit_json(
            "assay/audit-export/v1",
            {
                "path": str(target),
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "attachments": len(attachments),
            },
        )
        return
    emit(f"{checkpoint.size} entries and {len(attachments)} attachments of {checkpoint.origin}")
    emit(f"are in {escape(str(target))}. To verify them: assay audit verify {escape(str(target))}")


def _log(db: Database, origin: str | None) -> Log:
    from assay.audit import Log, LogKey

    present = Log.own(db)
    earlier = {log.origin: log for log in Log.closed(db, LogKey.open(db.directory))}
    if origin is None:
        for name in earlier:
            progress(f"An earlier log can be exported too: --origin {escape(name)}")
        return present
    found = {present.origin: present, **earlier}.get(origin)
    if found is None:
        raise UsageError(
            "audit.log.unknown",
            f"There is no log {origin[:200]!r} here that can be exported.",
            action=f"Logs: {', '.join((present.origin, *earlier))}.",
        )
    return found


@audit.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--vkey", metavar="FILE|KEY", help="The log's public key. Default: this installation's own.")
@click.option(
    "--policy", "policy_file", type=click.Path(path_type=Path), help="Which witnesses must have signed."
)
@click.option(
    "--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Refuse a log older than that."
)
@click.option("--allow-unwitnessed", is_flag=True, help="Answer 0, not 16, for a log without a witness.")
@click.option("--no-memory", is_flag=True, help="Neither compare with what was seen before nor remember.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def verify(
    path: Path,
    *,
    vkey: str | None,
    policy_file: Path | None,
    max_age: float | None,
    allow_unwitnessed: bool,
    no_memory: bool,
    as_json: bool,
) -> int:
    """Verify an exported log, a directory or a tar of one: offline, and on your own.

    Recomputes everything from the entries, compares it with the signed checkpoint and with what was seen of
    this log before, and remembers it. Exit codes: 10 signature, 11 root hash, 12 rollback or split view, 13
    too few witnesses, 14 too old, 15 malformed; 16 consistent, but no witness was asked for.
    """
    from assay.audit import memory
    from assay.audit.verify import EXIT_CODES, verify_export
    from assay.store import state_directory

    try:
        policy = None if policy_file is None else _read_policy(policy_file)
        result = verify_export(
            path,
            vkey=log_key(vkey, policy, path),
            memory=None if no_memory else state_directory(os.environ) / memory.NAME,
            policy=policy,
            max_age=max_age,
            now=datetime.now(UTC),
        )
    except AuditError as error:
        code = EXIT_CODES.get(error.code.split(".")[1])
        if code is None:  # not the log, but what was typed: its path, key or policy
            raise UsageError(error.code, error.message, action=error.action) from error
        return _refused(error, code, as_json=as_json)
    code = exit_codes.OK if result.quorum or allow_unwitnessed else exit_codes.LOG_UNWITNESSED
    if as_json:
        verdict = "consistent" if result.quorum else "consistent_unwitnessed"
        emit_json(_RESULT, {**result.to_json(), "verdict": verdict, "exit_code": code})
    else:
        _show(result)
    return code


def _refused(error: AuditError, code: int, *, as_json: bool) -> int:
    progress(f"{style('refused:', 'bad')} {escape(error.message)} [{escape(error.code)}]")
    if error.action:
        progress(f"{style('do:', 'strong')} {escape(error.action)}")
    if as_json:
        emit_json(_RESULT, {"verdict": "refused", "exit_code": code, "error": error.to_json()})
    return code


def _show(result: Verified) -> None:
    lines = [
        ("log", result.checkpoint.origin),
        ("entries", f"{result.checkpoint.size}, {result.first_time} to {result.last_time}"),
        ("root hash", result.checkpoint.root.hex()),
        ("key", str(result.key)),
        ("witnesses", ", ".join(result.witnesses) or "none"),
        ("seen before", "never" if result.remembered is None else f"with {result.remembered} entries"),
        ("attachments", str(result.attachments)),
    ]
    if result.continues is not None:
        before = result.continues
        lines.insert(2, ("continues", f"{before.origin}, after {before.size} entries: {before.reason}"))
    if result.reversals:
        lines.append(("clock", f"went back {result.reversals} times between entries"))
    for label, text in lines:
        emit(f"{label:<12} {escape(text)}")
    emit("not proven:")
    for sentence in result.not_proven:
        emit(f"  - {escape(sentence)}")
    if result.quorum:
        emit(style("consistent, and seen by the witnesses that were asked for", "good"))
    else:
        emit(style("consistent, but unwitnessed", "warn"))


def log_key(stated: str | None, policy: WitnessPolicy | None, path: Path) -> VerifierKey:
    """Return the key to verify an export with: the one that was typed, the policy's, or this installation's.

    Raises:
        UsageError: ``audit.key.none``, ``audit.input.*``.
        AuditError: ``audit.export.missing``, ``audit.format.*``; for a key that is none.
    """
    from assay.audit import LogKey, VerifierKey
    from assay.audit.verify import stated_origin
    from assay.store import state_directory

    if stated is not None:
        return VerifierKey.parse(stated if "+" in stated else _read_text(Path(stated), _LARGEST_KEY_FILE))
    origin = stated_origin(path)
    for key in policy.logs if policy is not None else ():
        if key.name == origin:
            return key
    own = LogKey.existing(state_directory(os.environ))
    if own is None:
        raise UsageError(
            "audit.key.none",
            "There is no key to verify this log with: it has to come from whoever runs the log.",
            action="Give it with --vkey. The log.vkey inside the export only says which key to ask for.",
        )
    return own.verifier(origin)


def _read_policy(path: Path) -> WitnessPolicy:
    from assay.audit.witnesses import LARGEST_POLICY, WitnessPolicy

    return WitnessPolicy.parse(_read_text(path, LARGEST_POLICY))


def _read_text(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("audit.input.unreadable", f"{str(path)!r} cannot be read: {error}.") from error
    if len(data) > limit:
        raise UsageError("audit.input.size", f"{str(path)!r} is larger than {limit} bytes.")
    return text
