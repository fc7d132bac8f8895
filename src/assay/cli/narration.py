"""What a person reads while a lease lives: one line for each thing that happens, on stderr."""

from __future__ import annotations

import hashlib
import shutil
import textwrap
from collections import Counter
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Final

from assay.cli.output import escape, progress, style
from assay.evidence.ledger import Check, Outcome
from assay.leases import moments
from assay.settings.values import show_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.appraisal.result import AttestationResult
    from assay.cli.output import Kind
    from assay.leases.moments import Moment
    from assay.leases.plan import Plan

_TAG: Final = 9
_WIDEST: Final = 100
_NARROWEST: Final = 50
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


def sized(count: int) -> str:
    """Return a size for people: ``34.2 KiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def counted(count: int, what: str) -> str:
    """Return ``1 file`` or ``2 files``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def line(tag: str, text: str, kind: Kind | None = None) -> None:
    """Print one thing that happened: its tag, then its text, wrapped and indented."""
    width = max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)) - _TAG - 2
    rows = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    head = style(tag.rjust(_TAG), "dim")
    for index, row in enumerate(rows):
        progress(f"{head if index == 0 else ' ' * _TAG}  {style(row, kind) if kind else row}")


def more(text: str, kind: Kind | None = None) -> None:
    """Print a further line of the thing that the last line told of."""
    line("", text, kind)


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
            more(f"{words[check.outcome.value]} {check.id}: {check.spec.title}", None if good else "bad")
    else:
        passed = Counter(group_of(check.id) for check in listed if check.outcome is Outcome.PASSED)
        more("ok  " + ", ".join(f"{name} {count}" for name, count in passed.items()))
    for check in listed:
        if check.outcome is Outcome.FAILED:
            more(f"NO  {check.id}: {escape(check.reason)}", "bad")


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
        """Print one moment."""
        self._tell(moment)

    @singledispatchmethod
    def _tell(self, moment: object) -> None:
        raise TypeError(f"an unknown moment: {moment!r}")

    @_tell.register
    def _(self, moment: moments.Recovered) -> None:
        for action in moment.actions:
            if action.problem:
                line("recover", f"{action.slug}: {escape(action.problem)}", "warn")
                more(f"assay lease stop {action.slug}")
            else:
                line("recover", f"{action.slug} was {action.before.value}: now {action.after.value}")

    @_tell.register
    def _(self, moment: moments.Planned) -> None:
        if not self._quiet:
            show_plan(moment.plan, brief=True)

    @_tell.register
    def _(self, moment: moments.Leased) -> None:
        if not self._quiet:
            line("lease", f"{moment.lease.slug}  {moment.lease.id}", "strong")

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
            line("proof", f"{purpose}: accepted on {hardware}, {met} checks passed", "good")
        else:
            word = "cannot be verified" if result.indeterminate else "REFUSED"
            line("proof", f"{purpose}: {word}, {met} of {len(checks)} checks passed", "bad")
        show_checks(checks, every=self._verbose)

    @_tell.register
    def _(self, moment: moments.Retrying) -> None:
        if moment.reason != self._last_retry:
            self._last_retry = moment.reason
            line("retry", f"{escape(moment.reason)} Trying again; nothing was sent.", "warn")

    @_tell.register
    def _(self, moment: moments.Bound) -> None:
        if not self._quiet:
            key = _short(moment.binding.channel_key)
            line("channel", f"mutual TLS 1.3, bound to the evidence by the guest's key {key}")

    @_tell.register
    def _(self, _moment: moments.Sending) -> None:
        return

    @_tell.register
    def _(self, moment: moments.Sent) -> None:
        if not self._quiet:
            line("sent", f"{counted(moment.files, 'file')}, {sized(moment.size)}")

    @_tell.register
    def _(self, _moment: moments.Started) -> None:
        if not self._quiet:
            line("run", "the workload started; what follows on stdout and stderr is its own")

    @_tell.register
    def _(self, moment: moments.Exited) -> None:
        found = moment.exit
        if found.reason == "exited":
            text = f"{found.code}"
        elif found.signal is not None:
            text = f"{found.reason.replace('_', ' ')} (signal {found.signal})"
        else:
            text = found.reason.replace("_", " ")
        if not self._quiet or found.code != 0:
            line("exit", text, "good" if found.code == 0 else "warn")

    @_tell.register
    def _(self, moment: moments.Receipted) -> None:
        if not self._quiet:
            line("receipt", "signed by the key that the start evidence names; verify it with")
            progress(f"{' ' * _TAG}  assay receipt verify {escape(str(moment.path))}")

    @_tell.register
    def _(self, moment: moments.Unreceipted) -> None:
        line("receipt", f"none that verifies; the log says so. {escape(moment.reason)}", "bad")

    @_tell.register
    def _(self, moment: moments.Downloaded) -> None:
        if not self._quiet:
            where = escape(str(moment.directory))
            line(
                "download",
                f"{counted(moment.files, 'entry').replace('entrys', 'entries')},"
                f" {sized(moment.size)} into {where}",
            )

    @_tell.register
    def _(self, moment: moments.Detached) -> None:
        slug = moment.lease.slug
        line("detached", "the workload goes on without this command")
        for words in (f"attach {slug}", f"logs {slug}", f"wait {slug}", f"stop {slug}"):
            more(f"assay lease {words}")

    @_tell.register
    def _(self, moment: moments.Kept) -> None:
        lease = moment.lease
        line(
            "kept",
            f"until it is {show_duration(lease.ttl_seconds)} old or idle for"
            f" {show_duration(lease.idle_seconds)}",
            "warn",
        )
        more(f"assay run --lease {lease.slug} -- COMMAND")
        more(f"assay lease stop {lease.slug}")

    @_tell.register
    def _(self, _moment: moments.Releasing) -> None:
        return

    @_tell.register
    def _(self, moment: moments.Released) -> None:
        if not self._quiet:
            line("released", f"{moment.lease.slug}: the machine is gone, its key removed")

    @_tell.register
    def _(self, moment: moments.Stuck) -> None:
        line("NOT GONE", f"{moment.lease.slug} could not be released: {escape(moment.problem)}", "bad")
        more("The next assay command tries again by itself. To insist:")
        more(f"assay lease stop {moment.lease.slug}", "strong")

    @_tell.register
    def _(self, moment: moments.Noted) -> None:
        line("note", escape(moment.text), "warn")
        for row in moment.detail:
            more(escape(row))


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def show_log(told: tuple[int, int]) -> None:
    """Print where the log entries of a command are, and how to verify them."""
    first, last = told
    line("log", f"entries {first} to {last} of this installation's log; verify them with")
    progress(f"{' ' * _TAG}  assay audit export --out DIR && assay audit verify DIR")


def show_plan(plan: Plan, *, brief: bool) -> None:
    """Print a plan to stderr.

    Args:
        plan: The plan.
        brief: Leave out what is the same for every run.
    """
    offer = plan.offer
    where = f"{offer.provider}:{offer.machine}/{offer.platform}"
    if offer.simulated:
        line("machine", f"{where}: SIMULATED hardware, nothing physical protects the workload", "warn")
    else:
        line("machine", where)
    more(f"isolation: {escape(offer.isolation)}", "warn" if offer.isolation == "none" else None)
    if plan.attack:
        more(f"its host plays the attack {plan.attack}", "warn")
    price = offer.price_per_hour
    cost = "free" if price is None else f"${price}/h, at most ${plan.most_dollars}"
    ends = (
        f"ends after {show_duration(plan.terms.ttl_seconds)} or {show_duration(plan.terms.idle_seconds)} idle"
    )
    line("plan", f"{cost}; {ends}; policy {plan.policy.name}, {len(plan.checks())} checks")
    if plan.source.root is None:
        more("no files go in (not in a git repository, and no --sync DIR)")
    else:
        root = escape(str(plan.source.root))
        more(f"{counted(plan.files, 'file')}, {sized(plan.size)} go in, from {root}")
    if plan.environment:
        more(f"environment: {', '.join(plan.environment)}")
    if brief:
        more(f"leaves {counted(len(plan.not_proven()), 'thing')} unproven: assay plan lists them")


def show_full_plan(plan: Plan, paths: Iterable[bytes]) -> None:
    """Print a plan to stderr with every file, every check and everything that it leaves unproven."""
    show_plan(plan, brief=False)
    for path in paths:
        more(escape(path.decode("utf-8", "backslashreplace")), "dim")
    if plan.settings.repository is not None:
        line("settings", f"tightened by {escape(str(plan.settings.repository))}")
    line("proof", "the machine must pass each of these before anything is sent:")
    for check_id, title in plan.checks():
        more(f"{check_id}: {escape(title)}")
    for text in plan.not_proven():
        line("unproven", text)
