"""``assay policy``: write, check, explain and compare appraisal policies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import exit_codes
from assay.cli.completing import policies
from assay.cli.groups import VerbsBelow
from assay.cli.output import emit, emit_json, escape, progress, style
from assay.cli.writing import write_new
from assay.errors import EvidenceError, PolicyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.appraisal.explanation import Explanation
    from assay.appraisal.policy import Policy
    from assay.cli.asking import Answer, Question

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=VerbsBelow)
def policy() -> None:
    """Write, check and explain appraisal policies."""


@policy.command()
@click.argument("path", metavar="PATH", shell_complete=policies)
@_JSON
def check(path: str, *, as_json: bool) -> int:
    """Check a policy file: every mistake is named by its place in the file.

    Exit codes: 0 the file is a policy, 2 it is not.
    """
    from assay.cli.typed import load_policy

    found = load_policy(path)
    if as_json:
        members = {"name": found.name, "sha256": found.digest.hex(), "gate": found.gate}
        emit_json("assay/policy-check/v1", members | ({"lacks": lacks} if (lacks := _lacks(found)) else {}))
        return exit_codes.OK
    counts = ", ".join(
        f"{len(compiled.rules)} checks on {platform}" for platform, compiled in found.platforms.items()
    )
    emit(f"{escape(found.name)}: a policy with {counts}")
    emit(f"SHA-256 {found.digest.hex()}")
    emit(_gate_sentence(found))
    if lacks := _lacks(found):
        emit(lacks)
    return exit_codes.OK


@policy.command()
@click.argument("name", metavar="NAME|PATH", shell_complete=policies)
@click.option("--toml", is_flag=True, help="Print the file itself: a good beginning for one of your own.")
@_JSON
def explain(name: str, *, toml: bool, as_json: bool) -> int:
    """Say in plain sentences what a policy demands, admits and leaves open."""
    from assay.appraisal.explanation import explain as explained
    from assay.cli.typed import load_policy, policy_text

    if toml:
        load_policy(name)
        emit(_shown(policy_text(name).decode().rstrip("\n")))
        return exit_codes.OK
    found = load_policy(name)
    meaning = explained(found)
    if as_json:
        members = {"name": found.name, "sha256": found.digest.hex(), **meaning.to_json()}
        emit_json("assay/policy-explanation/v1", members)
    else:
        emit("\n".join(_explained(found, meaning)))
    return exit_codes.OK


def _shown(text: str) -> str:
    """Return a policy's text with nothing in it that steers a terminal; only a comment can hold such."""
    return text if text.isascii() else "".join(each if each in "\t\r\n" else escape(each) for each in text)


@policy.command()
@click.argument("first", metavar="A", shell_complete=policies)
@click.argument("second", metavar="B", shell_complete=policies)
@_JSON
def diff(first: str, second: str, *, as_json: bool) -> int:
    """Say in which keys two policies differ, and whether B is stricter there."""
    from assay.appraisal.explanation import differences
    from assay.cli.typed import load_policy

    found = differences(load_policy(first).document, load_policy(second).document)
    if as_json:
        emit_json("assay/policy-difference/v1", {"differences": [each.to_json() for each in found]})
        return exit_codes.OK
    if not found:
        emit("They say the same.")
    for each in found:
        emit(f"{each.path} ({each.effect})")
        if each.before is not None:
            emit(f"  - {escape(each.before, limit=400)}")
        if each.after is not None:
            emit(f"  + {escape(each.after, limit=400)}")
    return exit_codes.OK


@policy.command()
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    metavar="EVIDENCE",
    help="The evidence that the policy shall accept.",
)
@click.option(
    "--endorsements",
    "--collateral",
    "endorsements",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="As for verify.",
)
@click.option("--cached", is_flag=True, help="As for verify.")
@click.option("--at", metavar="TIME", help="As for verify.")
@click.option("--event-log", type=click.Path(path_type=Path), metavar="FILE", help="As for verify.")
@click.option("--app-compose", type=click.Path(path_type=Path), metavar="FILE", help="As for verify.")
@click.option("--roots", multiple=True, metavar="[VENDOR=]PEM", help="As for verify.")
@click.option("--name", default="mine", show_default=True, help="What results shall call the policy.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it; stdout if not said."
)
def new(source: Path, *, name: str, out: Path | None, cached: bool, **asked: Any) -> int:
    """Write a policy that accepts this evidence, with a comment at each value saying what trusting it means.

    The evidence must be authentic: give its collateral, and the time for which that is valid.
    """
    from assay.appraisal.draft import draft
    from assay.verification import whole_of
    from assay.verification.opening import open_evidence

    _refuse_name(name)
    from assay.cli.typed import evidence_of

    data = evidence_of(source)
    opened = open_evidence(data)
    question = _question(whole_of(opened.evidence, opened.platform), **asked)
    if cached:
        from assay.cli.at_hand import with_own_cache

        question = with_own_cache(question, [(source, data)])
    answer = question.judge(opened, source)
    result = answer.result
    _require_authentic(answer)
    text = draft(
        result.evidence,
        name=name,
        source=escape(source.name, limit=60),
        now=question.now,
        context=question.context,
        workload_log=result.workload_log,
    )
    if out is None:
        emit(text.rstrip("\n"))
        return exit_codes.OK
    write_new(out, text.encode())
    progress(f"Wrote {escape(str(out), limit=300)}. Read it: every line makes something trusted.")
    return exit_codes.OK


def _refuse_name(name: str) -> None:
    if not 1 <= len(name) <= 64 or not name.isascii() or not name.isprintable() or set(name) & set('"\\'):
        raise UsageError(
            "cli.policy.name", "A policy's name has 1 to 64 printable ASCII characters, without quotes."
        )


def _question(
    platform: str,
    *,
    endorsements: tuple[Path, ...],
    at: str | None,
    event_log: Path | None,
    app_compose: Path | None,
    roots: tuple[str, ...],
) -> Question:
    from assay.appraisal.policy import Policy
    from assay.appraisal.rules.subject import Context
    from assay.cli import anchors, asking, typed
    from assay.evidence.facts import FactCache
    from assay.verification.terms import Terms

    own = anchors.installation_roots(os.environ)
    return asking.Question(
        # It says which format verifies the evidence, and nothing else of its result is looked at.
        policy=Policy.load(f'version = 1\nplatforms = ["{platform}"]'.encode(), name="evidence"),
        asked=typed.Asked(None, nonce=False),
        now=typed.time_of(at),
        as_of=at is not None,
        roots=anchors.roots_of(roots, own),
        context=Context(installation_roots=own.fingerprints),
        references={},
        manifest=None,
        materials=typed.materials_of(endorsements),
        terms=Terms(),
        event_log=typed.log_of(event_log),
        app_compose=typed.compose_of(app_compose),
        facts=FactCache(max_entries=8),
    )


def _require_authentic(answer: Answer) -> None:
    """Refuse to write a policy from bytes that prove nothing.

    Raises:
        EvidenceError: The code of the first check that was not met.
    """
    result = answer.result
    log = result.workload_log
    if result.evidence.authentic and (log is None or log.authentic):
        return
    ledger = result.evidence.ledger if log is None or log.authentic else log.ledger
    first = next(iter(ledger.failed() or ledger.unmet()))
    needs = " ".join(need.reason for need in result.evidence.needs if need.kind != "binding")
    fetch = next((each.command for each in answer.missing if " endorsements fetch " in each.command), "")
    raise EvidenceError(
        first.code or "evidence.unauthenticated",
        f"No policy can be written from evidence that is not authenticated: {first.reason}",
        action=f"Type {fetch} and this again with --cached." if fetch else escape(needs, limit=400),
    )


def _lacks(found: Policy) -> str:
    """Return what a gate would need besides; empty for nothing."""
    try:
        found.for_gate()
    except PolicyError as error:
        return error.action
    return ""


def _gate_sentence(found: Policy) -> str:
    if found.gate:
        return "It names the code that may run: a gate can open under it."
    return "It does not name the code that may run: no gate can open under it."


def _explained(found: Policy, meaning: Explanation) -> Iterator[str]:
    import sys

    from assay.cli.showing import bullets

    yield style(f"Policy {escape(found.name)}", "strong", sys.stdout)
    yield f"SHA-256 {found.digest.hex()}"
    yield _gate_sentence(found)
    for platform, clauses in meaning.demands.items():
        yield from bullets(f"Demands of {platform} evidence, besides authenticity", clauses)
    yield from bullets("Admits", meaning.admits)
    yield from bullets("Leaves open", meaning.leaves_open)
