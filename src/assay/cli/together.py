"""Several pieces of evidence in one file: each is verified and shown, then what they prove together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assay.appraisal.pieces import Held, Shared, Tie
from assay.cli.missing import missing_lines
from assay.cli.output import escape
from assay.cli.showing import (
    UNVERIFIED,
    bullets,
    check_lines,
    heading,
    lines,
    paint,
    verdict_of,
    width,
    wrapped,
)
from assay.evidence.verification import Unchecked
from assay.verification import routed
from assay.verification.composite import Part, verify_together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from assay.appraisal.composite import CompositeResult
    from assay.cli.asking import Answer, Question
    from assay.cli.typed import Asked
    from assay.verification.opened import Bundle, Opened


@dataclass(frozen=True, slots=True)
class Whole:
    """What became of a file of several.

    Attributes:
        result: The result of the whole.
        answers: What became of each piece, in the result's order.
        as_of: Whether the time was asked for.
    """

    result: CompositeResult
    answers: tuple[Answer, ...]
    as_of: bool


def judge(question: Question, bundle: Bundle, file: Path) -> Whole:
    """Return what becomes of several pieces of evidence in a file, verified as one."""
    platforms = [routed(opened.evidence, question.policy, opened.platform) for opened in bundle.parts]
    allowed = question.allowed(*sorted(set(platforms)))
    parts = [
        replace(_part(question, opened), references=allowed[platform])
        for opened, platform in zip(bundle.parts, platforms, strict=True)
    ]
    result = verify_together(
        parts,
        policy=question.policy,
        tie=tie_of(question.asked),
        roots=question.roots,
        now=question.now,
        materials=question.materials,
        context=question.context,
        facts=question.facts,
        terms=question.terms,
    )
    answers = tuple(
        question.answer(piece.result, part.event_log, file)
        for piece, part in zip(result.pieces, parts, strict=True)
    )
    return Whole(result, answers, question.as_of)


def tie_of(asked: Asked) -> Tie:
    """Return how the pieces are tied to the session, from what was typed."""
    if asked.value is None:
        return Unchecked("--report-data unchecked")
    return Shared(asked.value) if asked.nonce else Held(asked.value, asked.beside)


def _part(question: Question, opened: Opened) -> Part:
    log = question.log_of(opened) if opened.platform == "tdx" else opened.attestation
    return Part(opened.name, opened.evidence, opened.platform, event_log=log, beside=opened.beside)


def to_json(whole: Whole) -> dict[str, Any]:
    """Return the whole as JSON-ready values, with what each piece lacks."""
    shown = whole.result.to_json()
    for part, answer in zip(shown["parts"], whole.answers, strict=True):
        part["missing"] = [each.to_json() for each in answer.missing]
    return shown


def whole_lines(whole: Whole, *, title: str, unverified: Iterable[str] = ()) -> Iterator[str]:
    """Return every piece and then the whole, line by line, the verdict of the whole last.

    Args:
        whole: The whole.
        title: What was verified.
        unverified: What its file holds besides, by name.
    """
    result, columns = whole.result, width()
    for piece, answer in zip(result.pieces, whole.answers, strict=True):
        name = f"{title}: {piece.name}, {piece.result.platform.upper()}"
        yield from lines(piece.result, title=name, missing=missing_lines(answer.missing), as_of=whole.as_of)
        yield ""
    yield paint(escape(f"{title}: all {len(result.pieces)} together"), "strong")
    yield from heading("Together")
    yield from check_lines(result.ledger.checks, columns)
    yield from bullets(UNVERIFIED, unverified)
    yield from bullets("Not proven together", result.not_proven)
    yield ""
    authentic = all(piece.result.evidence.authentic for piece in result.pieces)
    yield verdict_of(result.verdict, mark="simulated" if authentic and result.simulated else "")
    yield from wrapped(_because(result), columns, "", "")


def _because(result: CompositeResult) -> str:
    if result.accepted:
        return f"Every piece is accepted under policy {result.policy.name}, and bound to your one session."
    failed = result.ledger.failed()
    if failed:
        return f"{failed[0].id} failed: {failed[0].reason}"
    left = result.ledger.unmet()
    if left:
        return f"{left[0].id} could not be checked: {left[0].reason}."
    return "Not every piece is bound to your value."
