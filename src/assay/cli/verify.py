"""``assay verify``: every check by name, its outcome, the reason, and what the result rests on."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from assay.cli import exit_codes
from assay.cli.completing import policies
from assay.cli.output import emit, emit_json, escape
from assay.errors import AssayError, EvidenceError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from assay.cli.asking import Answer, Question
    from assay.cli.together import Whole
    from assay.verification.opened import Bundle

    Found = tuple[Bundle, Answer | Whole] | AssayError

SCHEMA: Final = "assay/verify/v1"
_LONG_BYTES: Final = 1 << 20
_SEVERITY: Final = (exit_codes.OK, exit_codes.NOT_BOUND, exit_codes.REFUSED)
_READ_FOR: Final = {
    "event_log": ("--event-log", ("tdx",)),
    "user_data": ("--user-data", ("azure-snp", "azure-tdx")),
    "audience": ("--audience", ("confidential-space",)),
    "carrier": ("--carrier", ("nitro", "nitro-tpm")),
}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--policy",
    "policy_name",
    default="genuine",
    metavar="NAME|PATH",
    shell_complete=policies,
    show_default=True,
    help="genuine, strict, local, or a policy file.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME|PATH",
    shell_complete=policies,
    help="A policy applied as well: both must accept.",
)
@click.option(
    "--report-data",
    metavar="HEX|unchecked",
    help="All the bytes that the evidence must carry (64 for quotes and reports), or the word unchecked.",
)
@click.option(
    "--nonce",
    metavar="HEX",
    help="The nonce that was sent; report data must begin with it and go on with zeros. text:... for tokens."
    " With --report-data: the nonce that devices beside the machine answered.",
)
@click.option(
    "--endorsements",
    "--collateral",
    "endorsements",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="What vouches for the hardware: collateral, certificates, CRLs, key sets, a bundle, or a directory.",
)
@click.option(
    "--endorsements-max-age",
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="How old a bundle of endorsements may be.",
)
@click.option("--cached", is_flag=True, help="Use what assay endorsements fetch has kept here; ask nobody.")
@click.option("--audience", metavar="TEXT", help="The audience that a token must have.")
@click.option("--user-data", metavar="HEX", help="What was handed to Azure's paravisor: its inner layer.")
@click.option(
    "--carrier",
    type=click.Choice(["user_data", "nonce", "public_key"]),
    default="user_data",
    show_default=True,
    help="The field of a Nitro document that --report-data or --nonce is compared with.",
)
@click.option("--at", metavar="TIME", help="Verify as of this time (ISO 8601 with zone) instead of now.")
@click.option(
    "--event-log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A dstack event log or answer (JSON), or CCEL data, that explains the registers.",
)
@click.option(
    "--app-compose",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The app-compose document that was deployed, to be found in the dstack event log.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="REGISTER=HEX",
    help="A Reference Value for policies that ask for them; can be repeated.",
)
@click.option(
    "--reference-manifest",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Signed Reference Values; older versions of them are refused from then on.",
)
@click.option(
    "--reference-trust",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="With --reference-manifest: a public key that may have signed it; can be repeated.",
)
@click.option(
    "--reference-name",
    metavar="NAME",
    help="With --reference-manifest: what it must be called; without this any that the keys signed will do.",
)
@click.option(
    "--roots",
    multiple=True,
    metavar="[VENDOR=]PEM",
    help="Roots of your own; evidence under them is always simulated. tpm=FILE, amd=FILE: whose they are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def verify(files: tuple[Path, ...], *, as_json: bool, cached: bool, **typed: Any) -> int:
    """Verify evidence: every check by name, its outcome, and what was not proven.

    Exit codes: 0 accepted, 1 refused, 3 genuine but not bound, 2 usage. Of several files the worst counts.
    """
    asked = typed["report_data"] is not None or typed["nonce"] is not None
    found = _answers(files, cached=cached, **typed) if asked else _refused_unasked(files)
    if as_json:
        emit_json(SCHEMA, {"results": [_json(path, answer) for path, answer in found]})
    else:
        for index, (path, answer) in enumerate(found):
            emit("\n".join([""] * bool(index) + _lines(path, answer)))
    return _worst(found)


def _refused_unasked(files: tuple[Path, ...]) -> list[tuple[Path, Found]]:
    """Return why no file is evidence, where nobody said what it must carry.

    Raises:
        UsageError: ``cli.verify.binding_required`` when one of them is evidence.
    """
    from assay.cli.typed import evidence_of
    from assay.cli.unbound import binding_required
    from assay.verification.opening import open_bundle

    opened: list[tuple[Path, Bundle]] = []
    refused: list[tuple[Path, Found]] = []
    for path in files:
        try:
            opened.append((path, open_bundle(evidence_of(path))))
        except EvidenceError as error:
            refused.append((path, error))
    if opened:
        raise binding_required(opened)
    return refused


def _answers(files: tuple[Path, ...], *, cached: bool, **typed: Any) -> list[tuple[Path, Found]]:
    from assay.cli.typed import evidence_of

    question = _question(**typed)
    contents = [(path, evidence_of(path)) for path in files]
    if cached:
        from assay.cli.at_hand import with_own_cache

        question = with_own_cache(question, contents)
    with _told_when_long(contents):
        found = [_judge(question, path, data) for path, data in contents]
    if _worst(found) != exit_codes.REFUSED:
        _demand_use({**typed, "carrier": typed["carrier"] != "user_data"}, [answer for _, answer in found])
        _demand_comparison(question)
        _demand_company(question, [answer for _, answer in found])
    return found


def _worst(found: list[tuple[Path, Found]]) -> int:
    return max((_code(answer) for _, answer in found), key=_SEVERITY.index)


def _question(
    *,
    policy_name: str,
    also: tuple[str, ...],
    report_data: str | None,
    nonce: str | None,
    endorsements: tuple[Path, ...],
    endorsements_max_age: int | None,
    audience: str | None,
    user_data: str | None,
    carrier: str,
    at: str | None,
    event_log: Path | None,
    app_compose: Path | None,
    references: tuple[str, ...],
    reference_manifest: Path | None,
    reference_trust: tuple[Path, ...],
    reference_name: str | None,
    roots: tuple[str, ...],
) -> Question:
    from assay.appraisal.rules.subject import Context
    from assay.cli import anchors, asking, at_hand, typed
    from assay.evidence.facts import FactCache

    asked = typed.binding_of(report_data, nonce)
    policy = typed.policy_of(policy_name, also)
    own = anchors.own_roots(policy, os.environ)
    now = typed.time_of(at)
    materials = typed.materials_of(endorsements)
    at_hand.check_age(materials, endorsements_max_age, now)
    return asking.Question(
        policy=policy,
        asked=asked,
        now=now,
        as_of=at is not None,
        roots=anchors.roots_of(roots, own),
        context=Context(installation_roots=own.fingerprints),
        references=typed.references_of(references),
        manifest=at_hand.signed_values(reference_manifest, reference_trust, reference_name),
        materials=materials,
        terms=typed.terms_of(audience, user_data, carrier),
        event_log=typed.log_of(event_log),
        app_compose=typed.compose_of(app_compose),
        facts=FactCache(max_entries=64),
    )


def _told_when_long(contents: list[tuple[Path, bytes]]) -> AbstractContextManager[None]:
    """Return what says, after a second, why it takes so long: long logs alone do."""
    if max(len(data) for _, data in contents) < _LONG_BYTES:
        return nullcontext()
    from assay.cli.patience import said_when_slow

    return said_when_slow("verifying: each entry of a long log is hashed ...")


def _judge(question: Question, path: Path, data: bytes) -> tuple[Path, Found]:
    """Return what became of one file: what it holds and the answer, or why it is not read as evidence."""
    from assay.errors import ReferenceValueError
    from assay.verification.opening import open_bundle

    try:
        bundle = open_bundle(data)
        if len(bundle.parts) == 1:
            return path, (bundle, question.judge(bundle.parts[0], path))
        from assay.cli.together import judge

        return path, (bundle, judge(question, bundle, path))
    except (EvidenceError, ReferenceValueError) as error:
        return path, error


def _demand_use(typed: dict[str, Any], found: list[Found]) -> None:
    """Refuse an option that no accepted evidence is compared with: whoever typed it would think it held."""
    from assay.cli.asking import Answer

    platforms: set[str] = set()
    for each in found:
        if not isinstance(each, AssayError):
            answer = each[1]
            results = (
                [answer.result] if isinstance(answer, Answer) else [p.result for p in answer.result.pieces]
            )
            platforms.update(result.platform for result in results)
    for name, (option, read_for) in _READ_FOR.items():
        if typed[name] and platforms and platforms.isdisjoint(read_for):
            raise UsageError(
                "cli.verify.unused",
                f"{option} is compared with evidence of {' and '.join(read_for)} alone; this is of"
                f" {', '.join(sorted(platforms))}.",
                action=f"Leave {option} out.",
            )


def _demand_company(question: Question, found: list[Found]) -> None:
    """Refuse a nonce beside report data where no device stands beside a machine, for the same reason."""
    from assay.appraisal.pieces import MACHINES
    from assay.cli.together import Whole

    wholes = [each[1] for each in found if not isinstance(each, AssayError) and isinstance(each[1], Whole)]
    if question.asked.beside and not any(
        piece.result.platform not in MACHINES for whole in wholes for piece in whole.result.pieces
    ):
        raise UsageError(
            "cli.verify.unused",
            "With --report-data, --nonce is compared with the devices beside a machine, and there is none.",
            action="Type one of them.",
        )


def _demand_comparison(question: Question) -> None:
    """Refuse Reference Values that the policy compares nothing with, for the same reason."""
    typed = sorted(question.references.keys() - question.compared)
    given = "--reference-manifest" if question.manifest else ""
    if typed or (given and not question.signed):
        option = f"--reference {typed[0]}" if typed else given
        raise UsageError(
            "cli.verify.unused",
            f"The policy {escape(question.policy.name)!r} compares nothing with {option}.",
            action="Use a policy that asks for Reference Values (--policy strict), or leave the option out.",
        )


def _code(found: Found) -> int:
    from assay.appraisal.result import Verdict

    if isinstance(found, AssayError):
        return exit_codes.REFUSED
    return {
        Verdict.ACCEPTED: exit_codes.OK,
        Verdict.GENUINE_NOT_BOUND: exit_codes.NOT_BOUND,
        Verdict.REFUSED: exit_codes.REFUSED,
    }[found[1].result.verdict]


def _lines(path: Path, found: Found) -> list[str]:
    from assay.cli.asking import Answer
    from assay.cli.missing import missing_lines
    from assay.cli.showing import lines, unreadable

    name = escape(str(path), limit=300)
    if isinstance(found, AssayError):
        return list(unreadable(name, found))
    bundle, answer = found
    if not isinstance(answer, Answer):
        from assay.cli.together import whole_lines

        return list(whole_lines(answer, title=f"{name}: {bundle.form}", unverified=bundle.unverified))
    return list(
        lines(
            answer.result,
            title=f"{name}: {answer.result.platform.upper()}, {bundle.form}",
            missing=missing_lines(answer.missing),
            as_of=answer.as_of,
            unverified=bundle.unverified,
        )
    )


def _json(path: Path, found: Found) -> dict[str, Any]:
    if isinstance(found, AssayError):
        return {"file": str(path), "verdict": "refused", "error": found.to_json()}
    bundle, answer = found
    from assay.cli.asking import Answer

    of_file = {"file": str(path), "as_of": answer.as_of, "not_verified": list(bundle.unverified)}
    if not isinstance(answer, Answer):
        from assay.cli.together import to_json

        return {**of_file, **to_json(answer)}
    shown = answer.result.to_json()
    shown["missing"] = [each.to_json() for each in answer.missing]
    return {**of_file, **shown}
