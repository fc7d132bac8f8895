"""Everything that one piece of evidence needs: verify, read the needs, fetch, verify again.

What is fetched is chosen by evidence that nobody has authenticated yet, and proves nothing by being there.
What counts at the end is what the verifier still lacks once it was given all that could be had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.endorsements.bundle import Bundle
from assay.endorsements.needs import wanted_of
from assay.errors import EndorsementError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.endorsements.fetching import Fetcher, Found
    from assay.endorsements.needs import Choices
    from assay.endorsements.record import Endorsement
    from assay.evidence.verification import EvidenceResult, Need

ROUNDS: Final = 4
"""Times that new needs are followed: a certificate leads to its chain, a chain to its list, no further."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was gathered for one piece of evidence.

    Attributes:
        result: What the verifier says with everything that is usable.
        found: What became of each thing that was wanted.
        unasked: Needs that do not say what they are about, and why.
        open: Needs that somebody publishes, that the caller does not leave out, and that are not met.
    """

    result: EvidenceResult[Any]
    found: tuple[Found, ...]
    unasked: tuple[tuple[Need, EndorsementError], ...]
    open: tuple[Need, ...]

    @property
    def usable(self) -> tuple[Endorsement, ...]:
        """The endorsements that hold now."""
        return tuple(each.endorsement for each in self.found if each.endorsement is not None and each.usable)


def gather(
    verify: Callable[[Bundle | None], EvidenceResult[Any]], fetcher: Fetcher, choices: Choices
) -> Gathered:
    """Gather what a piece of evidence needs.

    Args:
        verify: Verifies the evidence with nothing, or with the endorsements of a bundle.
        fetcher: Gets endorsements.
        choices: What the caller decides where a need leaves it open.
    """
    result = verify(None)
    found: dict[Any, Found] = {}
    unasked: dict[str, tuple[Need, EndorsementError]] = {}
    for _ in range(ROUNDS):
        fresh = []
        for need in result.needs:
            try:
                fresh += [wanted for wanted in wanted_of((need,), choices) if wanted not in found]
            except EndorsementError as error:
                unasked[repr((need.kind, sorted(need.key.items())))] = (need, error)
        if not fresh:
            break
        found |= {each.wanted: each for each in fetcher.get_all(fresh)}
        usable = {
            each.wanted: each.endorsement for each in found.values() if each.usable and each.endorsement
        }
        created = fetcher.access.surroundings.now()
        result = verify(Bundle.of(usable.values(), created=created) if usable else None)
    return Gathered(result, tuple(found.values()), tuple(unasked.values()), choices.unmet(result.needs))
