"""The agent runs from an archive of its own sources, with few dependencies, and begins quickly."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import assay

ROOT = Path(assay.__file__).parent
PARTS = ("channel", "guest", "receipts", "workload")
ALLOWED = {"assay", "cryptography", "rfc8785", "_cffi_backend", "_rust", "_openssl"}
MOST_MODULES = 330  # about 120 ms here; benchmarks/bench_agent.py has the time


def run(*arguments, **named):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, **named
    )


def archive(tmp_path):
    target = tmp_path / "agent.zip"
    with zipfile.ZipFile(target, "w") as file:
        parts = [path for part in PARTS for path in (ROOT / part).rglob("*.py")]
        for path in (ROOT / "__init__.py", ROOT / "errors.py", *parts):
            file.write(path, f"assay/{path.relative_to(ROOT)}")
    return target


def loaded(code, *arguments):
    done = run("-I", *arguments, "-c", f"{code}\nimport sys\nprint(*sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_agent_runs_from_an_archive_alone(tmp_path):
    import cryptography
    import rfc8785

    places = {str(Path(module.__file__).parent.parent) for module in (cryptography, rfc8785)}
    code = (
        f"import sys; sys.path[:0] = [{str(archive(tmp_path))!r}]; sys.path += {sorted(places)!r}\n"
        "import assay.guest.__main__ as agent; assert '.zip/' in agent.__file__\n"
        "import assay.guest.quoting, assay.guest.configfs\n"
        "from pathlib import Path\n"
        f"assert all(m.__file__ is None or not m.__file__.startswith({str(ROOT)!r})"
        " for n, m in list(sys.modules.items()) if n.startswith('assay') and hasattr(m, '__file__'))"
    )
    done = run("-I", "-S", "-c", code)
    assert done.returncode == 0, done.stderr


def test_the_agent_loads_nothing_but_the_standard_library_and_two_packages():
    found = loaded("import assay.guest.__main__, assay.guest.quoting, assay.guest.configfs")
    base = loaded("pass")
    roots = {name.partition(".")[0] for name in found - base}
    assert roots - set(sys.stdlib_module_names) <= ALLOWED
    rooms = {name.split(".")[1] for name in found if name.startswith("assay.")}
    assert rooms <= {*PARTS, "errors"}
    for heavy in ("asyncio", "argparse", "http", "urllib.request", "unittest", "multiprocessing"):
        assert heavy not in found, heavy
    assert len(found) <= MOST_MODULES


def test_wrong_options_are_refused():
    for arguments in (
        [],
        ["--listen-fd"],
        ["--listen-fd", "0", "--listen-fd", "0"],
        ["--other", "1"],
        ["--listen-fd", "x", "--config-fd", "0", "--isolation", "none"],
        ["--listen-fd", "0", "--config-fd", "0", "--isolation", "none"],
    ):
        done = run("-m", "assay.guest", *arguments, stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        assert "assay.guest: " in done.stderr
        assert "Traceback" not in done.stderr
