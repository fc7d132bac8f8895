"""What a result does not establish, in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.appraisal.platforms import platform_of
from assay.appraisal.vocabulary import WEAKNESSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.appraisal.result import AttestationResult


def sentences(result: AttestationResult) -> tuple[str, ...]:
    """Return what the result does not establish, the most consequential first."""
    return tuple(_sentences(result))


def _sentences(result: AttestationResult) -> Iterator[str]:
    evidence = result.evidence
    if not evidence.authentic:
        yield "Anything: the evidence is not authenticated, and every value shown is only what its bytes say."
        return
    if not evidence.bound:
        reason = evidence.ledger[evidence.binding_check].reason
        yield f"That it is fresh, or meant for you: {reason or 'the binding was not checked'}."
    for word in result.admitted:
        yield f"{WEAKNESSES[word].meaning} The policy admits it ({word})."
    yield from platform_of(result.platform).unproven(evidence.claims)
    yield from _measurements(result)
    yield from _event_log(result)
    if result.context.isolation is None:
        yield "What isolates the workload from the agent beside it: nothing here says."
    since = platform_of(result.platform).endorsed_since(evidence.claims)
    if since is not None:
        yield (
            f"Vulnerabilities published after the collateral ({since:%Y-%m-%d}): patches are judged by what"
            " was known then."
        )
    yield "That nobody tapped the memory bus: physical interposers leave no trace in evidence."


def _measurements(result: AttestationResult) -> Iterator[str]:
    platform = result.platform
    if platform == "sgx" and result.passed("sgx.mr_signer"):
        return
    measured = platform_of(platform).measured
    left = [
        f"{key.rpartition('.')[2]} ({meaning})"
        for key, meaning in measured.items()
        if not result.passed(key)
        # An event log that replays to the register, under a policy that names the app, compares it.
        and not (key == "tdx.rtmr3" and result.passed("dstack.compose_hashes"))
    ]
    if measured and len(left) == len(measured):
        yield "What code runs: its measurements are shown, and compared with nothing."
    elif left:
        yield f"Shown, and compared with nothing: {', '.join(left)}."


def _event_log(result: AttestationResult) -> Iterator[str]:
    if result.workload_log is not None:
        yield from result.workload_log.not_proven
    elif result.platform == "tdx" and not result.passed("tdx.rtmr1"):
        yield "Which image booted, and that it is a production image: no event log was given."
