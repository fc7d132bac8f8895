"""What the command line answers with: one table, compared with the documentation by a test.

A verb gets its number here and nowhere else. ``run`` passes the workload's own code through, so Assay's own
failures use the numbers that shells and ``timeout`` use for theirs; ``--result FILE`` always tells which.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from assay.errors import AssayError, PolicyError, SettingsError, UsageError

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NOT_BOUND: Final = 3
LOG_SIGNATURE: Final = 10
LOG_ROOT: Final = 11
LOG_HISTORY: Final = 12
LOG_QUORUM: Final = 13
LOG_STALE: Final = 14
LOG_FORMAT: Final = 15
LOG_UNWITNESSED: Final = 16
INTERNAL: Final = 70
TIME_LIMIT: Final = 124
NOT_STARTED: Final = 125
SIGNALLED: Final = 128
INTERRUPTED: Final = SIGNALLED + signal.SIGINT
BROKEN_PIPE: Final = SIGNALLED + signal.SIGPIPE


@dataclass(frozen=True, slots=True)
class ExitCode:
    """One row of the table.

    Attributes:
        code: The number; the first of a range when ``shown`` says so.
        verb: The verb that it belongs to; ``any`` for all of them.
        meaning: What it tells the caller, as a clause.
        shown: How the number is written in the documentation; empty for the number itself.
    """

    code: int
    verb: str
    meaning: str
    shown: str = ""

    @property
    def text(self) -> str:
        """The number as the documentation writes it."""
        return self.shown or str(self.code)


TABLE: Final = (
    ExitCode(OK, "any", "done"),
    ExitCode(REFUSED, "any", "refused, or failed for the reason printed"),
    ExitCode(USAGE, "any", "the command line, a setting or a policy file is wrong; nothing was done"),
    ExitCode(INTERNAL, "any", "a defect of Assay itself; `ASSAY_DEBUG=1` shows where"),
    ExitCode(INTERRUPTED, "any", "interrupted from the keyboard"),
    ExitCode(BROKEN_PIPE, "any", "the reader of the output went away"),
    ExitCode(OK, "run", "the workload's own code, whatever it is", "0 to 255"),
    ExitCode(TIME_LIMIT, "run", "the workload reached its time limit"),
    ExitCode(NOT_STARTED, "run", "Assay failed or refused before the workload started"),
    ExitCode(SIGNALLED, "run", "the workload was ended by signal n", "128+n"),
    ExitCode(OK, "lease attach", "as run, once the workload has ended; the same for wait", "0 to 255"),
    ExitCode(OK, "verify", "accepted: every required check passed"),
    ExitCode(REFUSED, "verify", "refused"),
    ExitCode(NOT_BOUND, "verify", "genuine and within policy, but not bound to anything of yours"),
    ExitCode(OK, "audit verify", "consistent, and seen by the witnesses that were asked for"),
    ExitCode(LOG_SIGNATURE, "audit verify", "a signature is missing or wrong"),
    ExitCode(LOG_ROOT, "audit verify", "the entries do not give the signed root"),
    ExitCode(LOG_HISTORY, "audit verify", "it contradicts a checkpoint seen before: rollback or split view"),
    ExitCode(LOG_QUORUM, "audit verify", "too few witnesses"),
    ExitCode(LOG_STALE, "audit verify", "older than was asked for"),
    ExitCode(LOG_FORMAT, "audit verify", "a file is absent, malformed or out of bounds"),
    ExitCode(LOG_UNWITNESSED, "audit verify", "consistent but unwitnessed: its operator could rewrite it"),
    ExitCode(OK, "endorsements fetch", "nothing is missing that somebody publishes; the same for bundle"),
    ExitCode(REFUSED, "endorsements fetch", "something is missing; bundle then writes nothing"),
    ExitCode(OK, "endorsements check", "everything holds for longer than was asked"),
    ExitCode(
        REFUSED,
        "endorsements check",
        "something has expired, soon will, or cannot be read, a bundle is too old, or there is nothing",
    ),
    ExitCode(REFUSED, "measure", "what was named is no image of its kind, or contradicts itself"),
    ExitCode(
        USAGE, "measure", "the command line is wrong, or a file cannot be read, be it inside a directory"
    ),
    ExitCode(OK, "reference diff", "the same values"),
    ExitCode(REFUSED, "reference diff", "they differ"),
    ExitCode(USAGE, "reference diff", "one of them cannot be read"),
    ExitCode(OK, "doctor", "everything that is needed works"),
    ExitCode(REFUSED, "doctor", "something that is needed does not work"),
)

_BY_FAMILY: Final[tuple[tuple[type[AssayError], int], ...]] = (
    (UsageError, USAGE),
    (SettingsError, USAGE),
    (PolicyError, USAGE),
)


def of_error(error: AssayError) -> int:
    """Return the exit code of an error that ended a verb which gives it no number of its own."""
    return next((code for family, code in _BY_FAMILY if isinstance(error, family)), REFUSED)
