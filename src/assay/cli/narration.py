"""What a person reads while a lease lives: one line for each thing that happens, on stderr."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Final

from assay.cli.lines import Lines, counted, sized
from assay.cli.output import stop_progress
from assay.evidence.ledger import Check, Outcome
from assay.leases import moments
from assay.settings.values import show_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.appraisal.result import AttestationResult
    from assay.leases.moments import Moment
    from assay.leases.plan import Plan

_OUT: Final = Lines()
_ISOLATION: Final = {
    "none": ": the workload is a plain process of yours and reads what you can read",
    "bubblewrap": ", namespaces of its own, no network",
}
_GROUPS: Final = (
    ("dcap.quote.", "quote"),
    ("dcap.pck.", "certificates"),
    ("dcap.root.", "certificates"),
    ("dcap.root_crl.", "revocation"),
    ("dcap.pck_crl.", "revocation"),
    ("dcap.tcb_signer.", "collateral"),
    ("dcap.tcb_info.", "collateral"),
    ("dcap.qe_identity.", "collateral"),
    ("dcap.qe_report.", "quoting enclave"),
    ("dcap.tdx_module.", "TDX module"),
    ("dcap.tcb.", "patch level"),
    ("tdx.", "binding"),
    ("sgx.", "binding"),
    ("policy.added", "added policies"),
    ("policy.", "policy"),
    ("gate.", "gate"),
)


def group_of(check_id: str) -> str:
    """Return the group that a check is shown in."""
    return next((name for start, name in _GROUPS if check_id.startswith(start)), "other")


def show_checks(checks: Iterable[Check], *, every: bool) -> None:
    """Print the checks of one appraisal, by group or each; what did not pass always with its reason."""
    listed = tuple(checks)
    if every:
        words = {"passed": "ok ", "not_applicable": "n/a", "not_checked": "?? ", "failed": "NO "}
        for check in listed:
            good = check.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE)
            _OUT.more(f"{words[check.outcome.value]} {check.id}: {check.spec.title}", None if good else "bad")
    else:
        passed = Counter(group_of(check.id) for check in listed if check.outcome is Outcome.PASSED)
        _OUT.more("ok  " + ", ".join(f"{name} {count}" for name, count in passed.items()))
    for check in listed:
        if check.outcome is Outcome.FAILED:
            _OUT.more(f"NO  {check.id}: {check.reason}", "bad")


class Narrator:
    """Prints each moment of a run.

    Args:
        verbose: Print every check, not only groups.
        quiet: Print nothing but what a person must know: problems, and what stays behind.
    """

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._last_retry = ""

    def __call__(self, moment: Moment) -> None:
        """Print one moment; a reader that went away never ends a lease half way."""
        try:
            self._tell(moment)
        except BlockingIOError:
            return  # a slow reader of a pipe that somebody made non-blocking misses a line, no more
        except OSError:
            stop_progress()

    @singledispatchmethod
    def _tell(self, moment: object) -> None:
        raise TypeError(f"an unknown moment: {moment!r}")

    @_tell.register
    def _(self, moment: moments.Recovered) -> None:
        for action in moment.actions:
            if action.problem:
                _OUT.line("recover", f"{action.slug}: {action.problem}", "warn")
                _OUT.more(f"assay lease stop {action.slug}")
            else:
                _OUT.line("recover", f"{action.slug} was {action.before.value}: now {action.after.value}")

    @_tell.register
    def _(self, moment: moments.Planned) -> None:
        if not self._quiet:
            show_plan(moment.plan)

    @_tell.register
    def _(self, moment: moments.Leased) -> None:
        if not self._quiet:
            _OUT.line("lease", f"{moment.lease.slug}  {moment.lease.id}", "strong")

    @_tell.register
    def _(self, _moment: moments.Created) -> None:
        return

    @_tell.register
    def _(self, moment: moments.Judged) -> None:
        if self._quiet and moment.result.accepted:
            return
        self._judged(moment.purpose.value, moment.result)

    def _judged(self, purpose: str, result: AttestationResult) -> None:
        checks = result.ledger.checks
        met = sum(check.outcome is Outcome.PASSED for check in checks)
        hardware = "simulated hardware" if result.simulated else "real hardware"
        if result.accepted:
            _OUT.line("proof", f"{purpose}: accepted on {hardware}, {met} checks passed", "good")
        else:
            word = "cannot be verified" if result.indeterminate else "REFUSED"
            _OUT.line("proof", f"{purpose}: {word}, {met} of {len(checks)} checks passed", "bad")
        show_checks(checks, every=self._verbose)

    @_tell.register
    def _(self, moment: moments.Retrying) -> None:
        if moment.reason != self._last_retry:
            self._last_retry = moment.reason
            _OUT.line("retry", f"{moment.reason} Trying again; nothing was sent.", "warn")

    @_tell.register
    def _(self, moment: moments.Bound) -> None:
        if not self._quiet:
            key = _short(moment.binding.channel_key)
            _OUT.line("channel", f"mutual TLS 1.3, bound to the evidence by the guest's key {key}")

    @_tell.register
    def _(self, _moment: moments.Sending) -> None:
        return

    @_tell.register
    def _(self, moment: moments.Sent) -> None:
        if not self._quiet:
            _OUT.line("sent", f"{counted(moment.files, 'file')}, {sized(moment.size)}")

    @_tell.register
    def _(self, _moment: moments.Started) -> None:
        if not self._quiet:
            _OUT.line("run", "the workload started; what follows on stdout and stderr is its own")

    @_tell.register
    def _(self, moment: moments.Exited) -> None:
        found = moment.exit
        text = shown_end(found.reason, found.code, found.signal)
        if not self._quiet or found.exit_code != 0:
            _OUT.line("exit", text, "good" if found.exit_code == 0 else "warn")

    @_tell.register
    def _(self, moment: moments.Receipted) -> None:
        if not self._quiet:
            _OUT.line("receipt", "signed by the key that the start evidence names; verify it with")
            _OUT.command(f"assay receipt verify {moment.path!s}")

    @_tell.register
    def _(self, moment: moments.Unreceipted) -> None:
        _OUT.line("receipt", f"none that verifies; the log says so. {moment.reason}", "bad")

    @_tell.register
    def _(self, moment: moments.Downloaded) -> None:
        if not self._quiet:
            where = str(moment.directory)
            _OUT.line(
                "download",
                f"{counted(moment.files, 'entry').replace('entrys', 'entries')},"
                f" {sized(moment.size)} into {where}",
            )

    @_tell.register
    def _(self, moment: moments.Detached) -> None:
        slug = moment.lease.slug
        _OUT.line("detached", "the workload goes on without this command")
        for words in (f"attach {slug}", f"logs {slug}", f"wait {slug}", f"stop {slug}"):
            _OUT.more(f"assay lease {words}")

    @_tell.register
    def _(self, moment: moments.Kept) -> None:
        lease = moment.lease
        _OUT.line(
            "kept",
            f"until it is {show_duration(lease.ttl_seconds)} old or idle for"
            f" {show_duration(lease.idle_seconds)}",
            "warn",
        )
        _OUT.more(f"assay run --lease {lease.slug} -- COMMAND")
        _OUT.more(f"assay lease stop {lease.slug}")

    @_tell.register
    def _(self, _moment: moments.Releasing) -> None:
        return

    @_tell.register
    def _(self, moment: moments.Released) -> None:
        if not self._quiet:
            _OUT.line("released", f"{moment.lease.slug}: the machine is gone, its key removed")

    @_tell.register
    def _(self, moment: moments.Stuck) -> None:
        _OUT.line("NOT GONE", f"{moment.lease.slug} could not be released: {moment.problem}", "bad")
        _OUT.more("The next assay command tries again by itself. To insist:")
        _OUT.more(f"assay lease stop {moment.lease.slug}", "strong")

    @_tell.register
    def _(self, moment: moments.Noted) -> None:
        _OUT.line("note", moment.text, "warn")


def shown_end(reason: str, code: int | None, signal: int | None) -> str:
    """Return how a workload ended, in a word or two."""
    if reason == "exited":
        return f"{code}"
    told = reason.replace("_", " ")
    return told if signal is None else f"{told} (signal {signal})"


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def show_log(told: tuple[int, int]) -> None:
    """Print where the log entries of a command are, and how to verify them."""
    first, last = told
    _OUT.line("log", f"entries {first} to {last} of this installation's log; verify them with")
    _OUT.command("assay audit export --out DIR && assay audit verify DIR")


def show_plan(plan: Plan, out: Lines = _OUT, *, brief: bool = True) -> None:
    """Print a plan.

    Args:
        plan: The plan.
        out: Where.
        brief: Only count what ``assay plan`` lists.
    """
    offer = plan.offer
    where = f"{offer.provider}:{offer.machine}/{offer.platform}"
    if offer.simulated:
        out.line("machine", f"{where}: SIMULATED hardware, nothing physical protects the workload", "warn")
    else:
        out.line("machine", where)
    words = _ISOLATION.get(offer.isolation, "")
    out.more(f"isolation: {offer.isolation}{words}", "warn" if offer.isolation == "none" else None)
    if plan.attack:
        out.more(f"its host plays the attack {plan.attack}", "warn")
    price = offer.price_per_hour
    cost = "free" if price is None else f"${price}/h, at most ${plan.most_dollars}"
    ends = (
        f"ends after {show_duration(plan.terms.ttl_seconds)} or {show_duration(plan.terms.idle_seconds)} idle"
    )
    out.line("plan", f"{cost}; {ends}; policy {plan.policy.name}, {len(plan.checks())} checks")
    if plan.source.root is None:
        out.more("no files go in (not in a git repository, and no --sync DIR)")
    else:
        root = str(plan.source.root)
        out.more(f"{counted(plan.files, 'file')}, {sized(plan.size)} go in, from {root}")
    if plan.environment:
        out.more(f"environment: {', '.join(plan.environment)}")
    if brief:
        out.more(f"leaves {counted(len(plan.not_proven()), 'thing')} unproven: assay plan lists them")


def show_full_plan(plan: Plan, paths: Iterable[bytes]) -> None:
    """Print a plan to stdout with every file, every check and everything that it leaves unproven."""
    out = Lines(answer=True)
    show_plan(plan, out, brief=False)
    for path in paths:
        out.more(path.decode("utf-8", "backslashreplace"), "dim")
    if plan.settings.repository is not None:
        out.line("settings", f"tightened by {plan.settings.repository!s}")
    out.line("proof", "the machine must pass each of these before anything is sent:")
    for check_id, title in plan.checks():
        out.more(f"{check_id}: {title}")
    for text in plan.not_proven():
        out.line("unproven", text)
