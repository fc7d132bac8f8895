"""The check ledger: every check by name, with its outcome, never a bool.

A format declares its checks as ``CheckSpec`` constants, in the order in which they are made. A
``LedgerBuilder`` records one outcome for each; closing it turns every check that was not reached into
``not_checked`` with the check that stopped the verification, so that no check can be silently absent.
"""

from __future__ import annotations

from enum import StrEnum
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


class Outcome(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"
    NOT_CHECKED = "not_checked"


_PASSED: Final = Outcome.PASSED
_NOT_APPLICABLE: Final = Outcome.NOT_APPLICABLE


class CheckSpec:
    """One check that a verifier makes.

    Attributes:
        id: Stable name, unique in the project: ``dcap.quote.signature``.
        title: What is known once it passed, as a clause: ``the attestation key signed header and body``.
        source: Specification and section that ask for it.
        passed: The ready-made ``Check`` for success; shared, because a passed check carries nothing else.
    """

    __slots__ = ("id", "passed", "source", "title")

    def __init__(self, id: str, title: str, source: str) -> None:  # noqa: A002 - the field's own name
        self.id = id
        self.title = title
        self.source = source
        self.passed = Check(self, Outcome.PASSED)

    def failed(self, code: str, reason: str) -> Check:
        """Return the outcome of a check that was made and failed."""
        return Check(self, Outcome.FAILED, code, reason)

    def __repr__(self) -> str:
        return f"CheckSpec({self.id!r})"


def specs_under(prefix: str) -> Callable[[str, str, str], CheckSpec]:
    """Return what makes checks, by name, title and source, whose ids begin with a format's prefix."""

    def spec(name: str, title: str, source: str) -> CheckSpec:
        return CheckSpec(f"{prefix}.{name}", title, source)

    return spec


@record
class Check:
    """The outcome of one check.

    Attributes:
        spec: Which check.
        outcome: What became of it.
        code: Stable error code when it failed or was not made; empty otherwise.
        reason: A sentence for a person when it did not pass; empty otherwise.
    """

    spec: CheckSpec
    outcome: Outcome
    code: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        """The stable name of the check."""
        return self.spec.id

    def to_json(self) -> dict[str, Any]:
        """Return the check as JSON-ready values."""
        found = {
            "id": self.spec.id,
            "outcome": self.outcome.value,
            "title": self.spec.title,
            "source": self.spec.source,
        }
        if self.code:
            found["code"] = self.code
        if self.reason:
            found["reason"] = self.reason
        return found


@record
class Ledger:
    """All checks of one verification, in the order in which they are made."""

    checks: tuple[Check, ...]
    _unmet: tuple[Check, ...] | None = field(default=None, init=False, repr=False, compare=False)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __getitem__(self, check_id: str) -> Check:
        for check in self.checks:
            if check.spec.id == check_id:
                return check
        raise KeyError(check_id)

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.checks + other.checks)

    def unmet(self) -> tuple[Check, ...]:
        """Return the checks that neither passed nor were not applicable; looked for once."""
        found = self._unmet
        if found is None:
            found = tuple(
                [
                    check
                    for check in self.checks
                    if (outcome := check.outcome) is not _PASSED and outcome is not _NOT_APPLICABLE
                ]
            )
            object.__setattr__(self, "_unmet", found)
        return found

    def failed(self) -> tuple[Check, ...]:
        """Return the checks that were made and failed."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)


class CheckFailedError(EvidenceError):
    """Stops a verification at the check that failed; the ledger already holds it."""


_Picker = tuple["Sequence[CheckSpec]", "Callable[[Mapping[CheckSpec, Check]], tuple[Check, ...]]"]

# What takes the outcomes of a format's checks out of a ledger's, in their order, made once for each list of
# checks. The key is the list's identity, which the entry keeps alive; formats have a fixed number of lists.
_PICKERS: Final[dict[int, _Picker]] = {}
_MOST_PICKERS: Final = 256


def _picker(specs: Sequence[CheckSpec]) -> _Picker:
    if len(specs) < 2:  # itemgetter gives a lone outcome without a tuple around it
        return specs, lambda found: tuple(map(found.__getitem__, specs))
    made: _Picker = (specs, itemgetter(*specs))
    if len(_PICKERS) < _MOST_PICKERS and type(specs) is tuple:
        _PICKERS[id(specs)] = made
    return made


# The latest ledger of each list of checks that had an outcome for all of them: evidence of one kind passes in
# few ways, and to find the same outcomes again is quicker than to look at each. As above, the key is the
# list's identity, which the entry keeps alive; what is found is compared whole.
_LATEST: Final[dict[int, tuple[Sequence[CheckSpec], Ledger]]] = {}


def _latest(specs: Sequence[CheckSpec], found: tuple[Check, ...]) -> Ledger | None:
    """Return the latest ledger of a list of checks if it has these outcomes."""
    latest = _LATEST.get(id(specs))
    return latest[1] if latest is not None and latest[0] is specs and latest[1].checks == found else None


def _kept(specs: Sequence[CheckSpec], found: tuple[Check, ...]) -> Ledger:
    """Return the ledger of these outcomes, one for each check in order, and keep it as the latest."""
    ledger = Ledger(found)
    if type(specs) is tuple and (len(_LATEST) < _MOST_PICKERS or id(specs) in _LATEST):
        _LATEST[id(specs)] = (specs, ledger)
    return ledger


class LedgerBuilder:
    """Records the outcome of each declared check exactly once.

    Args:
        specs: Every check of the format, in the order in which they are made.
    """

    __slots__ = ("_found", "_specs")

    def __init__(self, specs: Sequence[CheckSpec]) -> None:
        self._specs = specs
        self._found: dict[CheckSpec, Check] = {}

    def record(self, check: Check) -> None:
        """Record one outcome that was established elsewhere."""
        spec = check.spec
        if spec in self._found:
            raise AssertionError(f"check {spec.id} was recorded twice")
        self._found[spec] = check

    def passed(self, *specs: CheckSpec) -> None:
        """Record that these checks were made and passed."""
        found = self._found
        for spec in specs:
            if spec in found:
                raise AssertionError(f"check {spec.id} was recorded twice")
            found[spec] = spec.passed

    def extend(self, checks: Iterable[Check]) -> None:
        """Record outcomes that were established elsewhere, such as those of a cached verified fact."""
        found = self._found
        for check in checks:
            spec = check.spec
            if spec in found:
                raise AssertionError(f"check {spec.id} was recorded twice")
            found[spec] = check

    def adopt(self, outcomes: Mapping[CheckSpec, Check]) -> None:
        """Record what ``extend`` would, from a mapping that was made once for a remembered fact."""
        found = self._found
        before = len(found)
        found.update(outcomes)
        if len(found) != before + len(outcomes):
            raise AssertionError("a check was recorded twice")

    def failed(self, spec: CheckSpec, code: str, reason: str) -> None:
        """Record a failure and carry on with the checks that do not rest on it."""
        self.record(spec.failed(code, reason))

    def fail(self, spec: CheckSpec, code: str, reason: str) -> CheckFailedError:
        """Record a failure that ends the verification: ``raise ledger.fail(...)``."""
        self.failed(spec, code, reason)
        return CheckFailedError(code, reason)

    def not_applicable(self, spec: CheckSpec, reason: str) -> None:
        """Record that the check has no meaning for this evidence, and why."""
        self.record(Check(spec, Outcome.NOT_APPLICABLE, "", reason))

    def not_checked(self, spec: CheckSpec, code: str, reason: str) -> None:
        """Record that the check could not be made, and what is missing."""
        self.record(Check(spec, Outcome.NOT_CHECKED, code, reason))

    def __contains__(self, spec: CheckSpec) -> bool:
        return spec in self._found

    def close(self) -> Ledger:
        """Return the ledger; every declared check that has no outcome becomes ``not_checked``."""
        found, specs = self._found, self._specs
        if len(found) == len(specs):
            picker = _PICKERS.get(id(specs))
            if picker is None or picker[0] is not specs:
                picker = _picker(specs)
            checks = picker[1](found)
            return _latest(specs, checks) or _kept(specs, checks)
        stopper = next((check for check in found.values() if check.outcome is Outcome.FAILED), None)
        reason = f"not reached: {stopper.spec.id} failed" if stopper else "not reached"
        return Ledger(
            tuple(
                found.get(spec) or Check(spec, Outcome.NOT_CHECKED, "ledger.not_reached", reason)
                for spec in self._specs
            )
        )


_spec_of: Final = attrgetter("spec")


def ledger_of(specs: tuple[CheckSpec, ...], made: Sequence[Check]) -> Ledger:
    """Return the ledger of outcomes that were noted down as they were made.

    One outcome for each declared check, in the declared order, is what evidence that passes leaves: then they
    are the ledger, and no table of them is needed. Everything else goes through one.

    Args:
        specs: Every check of the format, in the order in which they are made.
        made: The outcomes; each check at most once.
    """
    found = tuple(made)
    latest = _latest(specs, found)
    if latest is not None:
        return latest
    if tuple(map(_spec_of, found)) == specs:
        return _kept(specs, found)
    builder = LedgerBuilder(specs)
    builder.extend(found)
    return builder.close()
