"""The table of real evidence at the end of a run: how many vectors of each kind reached their result."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings

from support import vectors

# A busy machine is no defect: nothing may fail for taking long.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")

_FROM_WORKERS: pytest.StashKey[tuple[Counter, list[str]]] = pytest.StashKey()


def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["vectors"] = [[*key, count] for key, count in vectors.used.items()]
        output["notes"] = vectors.notes


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    used, notes = node.config.stash.setdefault(_FROM_WORKERS, (Counter(), []))
    output = getattr(node, "workeroutput", {})
    for family, kind, count in output.get("vectors", ()):
        used[family, kind] += count
    notes += output.get("notes", ())


def pytest_terminal_summary(terminalreporter, config):
    elsewhere, notes = config.stash.get(_FROM_WORKERS, (Counter(), []))
    used = vectors.used + elsewhere
    for line in sorted([*vectors.notes, *notes]):
        terminalreporter.write_line(line)
    stated = vectors.stated()
    if not vectors.present():
        terminalreporter.write_line(
            f"real vectors: 0 of {vectors.PUBLISHED}; set ASSAY_VECTORS to their directory"
        )
        return
    if not used:
        return
    terminalreporter.section("real vectors: reached their stated result, of those stated")
    for family, kind in sorted(used):
        of = stated.get((family, kind), "-")
        terminalreporter.write_line(f"{family:<8} {kind:<24} {used[family, kind]:>5} of {of}")
    families = {family for family, _ in used}
    total = sum(count for (family, _), count in stated.items() if family in families)
    reached = sum(min(used[key], count) for key, count in stated.items())
    terminalreporter.write_line(f"{reached} of {total} real vectors of {', '.join(sorted(families))}")
