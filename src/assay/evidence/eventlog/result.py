"""What the verification of a log against an authenticated quote gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from assay.errors import EvidenceError
from assay.evidence.ledger import Outcome

if TYPE_CHECKING:
    from assay.evidence.ledger import Check, Ledger
    from assay.evidence.verification import UnsignedRegion

LogClaimsT_co = TypeVar("LogClaimsT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class LogResult(Generic[LogClaimsT_co]):
    """The outcome of verifying a log: a ledger, and the Claims that the quote's registers authenticate.

    Attributes:
        ledger: Every check of the format with its outcome.
        may_be_open: Ids of the checks that compare with what only the caller knows. Left unmade at the
            caller's word they do not close the Claims; each still stands in the ledger as ``not_checked``.
        not_proven: What this result does not establish, one sentence each.
        unsigned: Regions of the log that no register covers.
    """

    ledger: Ledger
    may_be_open: frozenset[str]
    not_proven: tuple[str, ...]
    unsigned: tuple[UnsignedRegion, ...]
    _claims: LogClaimsT_co | None = field(repr=False)

    @property
    def authentic(self) -> bool:
        """True when every check passed or was not applicable, those aside that the caller left open."""
        return self._claims is not None and not any(self._closes(check) for check in self.ledger)

    @property
    def complete(self) -> bool:
        """True when in addition no check was left open."""
        return self._claims is not None and not self.ledger.unmet()

    def _closes(self, check: Check) -> bool:
        if check.outcome is Outcome.NOT_CHECKED:
            return check.spec.id not in self.may_be_open or check.code == "ledger.not_reached"
        return check.outcome is Outcome.FAILED

    @property
    def claims(self) -> LogClaimsT_co:
        """The authenticated Claims.

        Raises:
            EvidenceError: ``evidence.claims.unauthenticated`` when a check failed or could not be made.
        """
        if self._claims is None or not self.authentic:
            closing = (check for check in self.ledger if self._closes(check))
            first = next(iter(self.ledger.failed()), None) or next(closing, None)
            raise EvidenceError(
                "evidence.claims.unauthenticated",
                "These Claims cannot be read: the log is not authenticated"
                + (f" ({first.code}: {first.reason})" if first else "."),
            )
        return self._claims
