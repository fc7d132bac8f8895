"""Why a machine was refused, in one sentence for each kind of failure that a person will meet."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from assay.channel.binding import Purpose
from assay.errors import AssayError, GateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check

_MEASURED_OTHER: Final = "the guest measured other files or another command than this client sent"
_LAUNCHED_OTHER: Final = "it was launched for another lease, owner or deadline than this client asked for"

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tdx.binding.mismatch": "its evidence answers another session: it is old, or another machine's",
        "sgx.binding.mismatch": "its evidence answers another session: it is old, or another machine's",
        "policy.attributes.debug.enabled": (
            "it runs in debug mode, so whoever controls its host reads and writes its memory"
        ),
        "policy.tdx.mr_td.mismatch": "it runs other code than the agent that this client measured itself",
        "policy.tdx.rtmr3.mismatch": _MEASURED_OTHER,
        "gate.runtime_register.mismatch": _MEASURED_OTHER,
        "policy.tdx.mr_config_id.mismatch": _LAUNCHED_OTHER,
        "gate.launch_config.mismatch": _LAUNCHED_OTHER,
        "policy.simulated.refused": "its hardware is simulated, which only the policy local admits",
        "channel.tls.peer_key": (
            "whoever is at the other end does not hold the key that the evidence names: it was relayed"
        ),
        "workload.bundle.altered": "its host changed the files that arrived in it before they could start",
        "channel.receipt_key.unproven": "it does not hold the receipt key that it names",
        "channel.evidence.purpose": "it presented evidence that was made for another purpose",
        "channel.evidence.other_guest": "it is the guest of another lease",
        "channel.nonce.reused": "it has seen this nonce before: somebody replays this client's request",
        "channel.owner.foreign": "it serves another owner",
    }
)


def first_unmet(result: AttestationResult) -> Check:
    """Return the check that decided a refusal: the first that failed, else the first that was not made."""
    return next(iter(result.ledger.failed() or result.ledger.unmet()))


def _stage(purpose: Purpose) -> str:
    return "Nothing was sent to it" if purpose is Purpose.ADMISSION else "The workload was not started"


def _clause(reason: str) -> str:
    text = reason.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def refused(code: str, reason: str, purpose: Purpose, *, check: str | None = None) -> GateError:
    """Return the refusal of a machine.

    Args:
        code: What failed: the code of a check, or of the channel.
        reason: What it says itself, for a code without a sentence here.
        purpose: Which of the two appraisals it was.
        check: Id of the failed check, if it was one.
    """
    return GateError(
        "gate.refused",
        f"The machine was refused: {SENTENCES.get(code) or _clause(reason)} ({code}). {_stage(purpose)}.",
        cause=code,
        check=check,
        purpose=purpose.value,
    )


def unverifiable(code: str, reason: str, purpose: Purpose, *, check: str | None = None) -> GateError:
    """Return the refusal of a machine that could not be judged in time; arguments as for ``refused``."""
    return GateError(
        "gate.unverifiable",
        f"The machine could not be verified: {_clause(reason)} ({code}). {_stage(purpose)}.",
        cause=code,
        check=check,
        purpose=purpose.value,
    )


def require(result: AttestationResult, purpose: Purpose) -> None:
    """Return when the result is accepted; raise what refuses the machine otherwise.

    Raises:
        GateError: ``gate.refused``, with the failed check's id and code; ``gate.unverifiable`` when nothing
            failed but a check could not be made.
    """
    if result.accepted:
        return
    check = first_unmet(result)
    kind = unverifiable if result.indeterminate else refused
    raise kind(check.code, check.reason, purpose, check=check.id)


def of_error(error: AssayError, purpose: Purpose) -> GateError:
    """Return the refusal that an error of the channel means."""
    return refused(error.code, error.message, purpose)
