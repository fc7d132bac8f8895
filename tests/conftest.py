"""The table of real evidence at the end of a run: how many vectors of each kind reached their result."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from hypothesis import settings

from support import vectors

# A busy machine is no defect: nothing may fail for taking long.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")

# Under nohup, or in the background of a shell, some of these are ignored; the programs that are tested would
# then ignore them as well, as they should.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

_FROM_WORKERS: pytest.StashKey[tuple[Counter, list[str]]] = pytest.StashKey()


def _recorded(config) -> tuple[Counter, list[str]]:
    elsewhere, notes = config.stash.get(_FROM_WORKERS, (Counter(), []))
    return vectors.used + elsewhere, [*vectors.notes, *notes]


def _whole(config) -> bool:
    """Tell whether every test that is not slow was asked for."""
    options, root = config.option, config.rootpath.resolve()
    asked = {(config.invocation_params.dir / argument).resolve() for argument in config.args}
    narrowed = ("keyword", "deselect", "ignore", "ignore_glob", "lf", "stepwise", "collectonly")
    return (
        asked <= {root, root / "tests"}
        and options.markexpr in ("", "not slow")
        and not any(getattr(options, name, None) for name in narrowed)
    )


# Workers hand their counts over before the session of the process that started them finishes, and the summary
# of the terminal comes after everything else that looks at the end of a session.
def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["vectors"] = [[*key, count] for key, count in vectors.used.items()]
        output["notes"] = vectors.notes
    elif session.exitstatus == pytest.ExitCode.OK and vectors.present() and _whole(session.config):
        used, _ = _recorded(session.config)
        if vectors.unsettled(used):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    used, notes = node.config.stash.setdefault(_FROM_WORKERS, (Counter(), []))
    output = getattr(node, "workeroutput", {})
    for family, kind, count in output.get("vectors", ()):
        used[family, kind] += count
    notes += output.get("notes", ())


def pytest_terminal_summary(terminalreporter, config):
    used, notes = _recorded(config)
    for line in sorted(notes):
        terminalreporter.write_line(line)
    stated = vectors.stated()
    if not vectors.present():
        terminalreporter.write_line(
            f"real vectors: 0 of {vectors.PUBLISHED}; set ASSAY_VECTORS to their directory"
        )
        return
    whole = _whole(config)
    if not used and not whole:
        return
    terminalreporter.section("real vectors: reached their stated result, of those stated")
    for family, kind in sorted(used.keys() | (stated.keys() if whole else ())):
        of = stated.get((family, kind), "-")
        terminalreporter.write_line(f"{family:<8} {kind:<26} {used[family, kind]:>5} of {of}")
    families = {family for family, _ in (stated if whole else used)}
    total = sum(count for (family, _), count in stated.items() if family in families)
    reached = sum(min(used[key], count) for key, count in stated.items())
    terminalreporter.write_line(f"{reached} of {total} real vectors of {', '.join(sorted(families))}")
    for line in vectors.unsettled(used) if whole else ():
        terminalreporter.write_line(f"FAILED real vectors: {line}", red=True)
