"""The table of real evidence at the end of a run: how many vectors of each kind reached their result."""

from __future__ import annotations

from collections import Counter

import pytest

from support import vectors

_FROM_WORKERS: pytest.StashKey[Counter] = pytest.StashKey()


def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["vectors"] = [[*key, count] for key, count in vectors.used.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    found = node.config.stash.setdefault(_FROM_WORKERS, Counter())
    for family, kind, count in getattr(node, "workeroutput", {}).get("vectors", ()):
        found[family, kind] += count


def pytest_terminal_summary(terminalreporter, config):
    used = vectors.used + config.stash.get(_FROM_WORKERS, Counter())
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
