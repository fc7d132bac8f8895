"""One mutant against some tests, in a process forked for it.

The parent has imported what every test needs (pytest, hypothesis, cryptography) and nothing of Assay. The
child puts the mutated source in the place of the file's, whoever imports it, and runs the tests with
``-x``.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
MEMORY_BYTES = 6 << 30
ARGUMENTS = (
    "-x",
    "-q",
    "--no-header",
    "--capture=no",
    "-Wignore::pytest.PytestAssertRewriteWarning",
    *("-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"),
)
OUTPUT = "output"
EXAMPLES = 60
RSA_KEYS = {2048: 8, 3072: 2, 4096: 6}
SURVIVED, KILLED, HARNESS = 0, 1, 9


class MutatedSource(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from other source than its file's."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self.module, self.path, self.source = module, path, source

    def find_spec(self, fullname: str, path: object, target: object = None) -> Any:  # noqa: ARG002 - its signature
        """Return a specification for the mutated module only."""
        if fullname != self.module:
            return None
        package = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=self, submodule_search_locations=package
        )

    def exec_module(self, module: ModuleType) -> None:
        """Execute the mutated source."""
        exec(compile(self.source, str(self.path), "exec"), vars(module))


class Order:
    """A pytest plugin that runs tests in a given order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.place.get(item.nodeid, len(self.place)))


@dataclass(slots=True)
class Trial:
    """A running child.

    Attributes:
        pid: The child, and its process group.
        deadline: Monotonic time after which it counts as hanging.
        folder: Its directory for temporary files.
    """

    pid: int
    deadline: float
    folder: tempfile.TemporaryDirectory[str]

    def finished(self) -> str | None:
        """Return ``survived``, ``killed`` or ``timeout``; None while the child runs.

        Raises:
            RuntimeError: The tests could not be run at all.
        """
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() < self.deadline:
                return None
            self._end()
            os.waitpid(self.pid, 0)
            self.folder.cleanup()
            return "timeout"
        self._end()
        said = (Path(self.folder.name) / OUTPUT).read_bytes()[-2000:].decode(errors="replace")
        self.folder.cleanup()
        if os.WIFSIGNALED(status):
            return "timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "killed"
        code = os.WEXITSTATUS(status)
        if code not in (SURVIVED, KILLED):
            raise RuntimeError(f"the tests of a mutant could not be run (code {code}):\n{said}")
        return "survived" if code == SURVIVED else "killed"

    def _end(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


_rsa_keys: dict[int, list[rsa.RSAPrivateKey]] = {}


def preload(*, keys: bool) -> None:
    """Import what every child would import, so that no child has to.

    Args:
        keys: Whether to make the RSA keys as well that simulators and tests ask for; takes some seconds.
    """
    for name in (
        "_pytest.assertion.rewrite",
        "cbor2",
        "cryptography.hazmat.primitives.asymmetric.ec",
        "cryptography.hazmat.primitives.serialization",
        "cryptography.x509",
        "hypothesis.strategies",
        "rfc8785",
        "tomllib",
    ):
        importlib.import_module(name)
    for bits, count in RSA_KEYS.items() if keys else ():
        _rsa_keys[bits] = [rsa.generate_private_key(65537, bits) for _ in range(count)]


def start(path: str, source: str | None, tests: Sequence[str], *, seconds: float) -> Trial:
    """Fork a child that runs ``tests`` on the mutated module.

    Args:
        path: The module's file, relative to the project.
        source: The mutated source; None leaves the module as it is.
        tests: Node ids, in the order in which they run.
        seconds: How long they take without a mutant.
    """
    folder = tempfile.TemporaryDirectory(prefix="mutant-")
    pid = os.fork()
    if pid == 0:
        _child(path, source, tests, cpu=int(4 * seconds) + 20, folder=folder.name)
    return Trial(pid, time.monotonic() + 12 * seconds + 90, folder)


def _child(path: str, source: str | None, tests: Sequence[str], *, cpu: int, folder: str) -> NoReturn:
    code = HARNESS
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        written = os.open(f"{folder}/{OUTPUT}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(written, 1)
        os.dup2(written, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        _quick_hypothesis()
        _quick_rsa()
        if source is not None:
            sys.meta_path.insert(0, MutatedSource(module_of(path), ROOT / path, source))
        found = pytest.main([*ARGUMENTS, *tests], plugins=[Order(tests)])
        code = SURVIVED if found == pytest.ExitCode.OK else KILLED
        if found in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
            code = HARNESS
    except BaseException:  # noqa: BLE001 - a child never returns to the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _quick_hypothesis() -> None:
    from hypothesis import settings

    settings.register_profile(
        "mutation", database=None, derandomize=True, deadline=None, max_examples=EXAMPLES
    )
    settings.load_profile("mutation")


def _quick_rsa() -> None:
    """Hand out the parent's keys, each once; making them anew would take most of a child's time."""
    make = rsa.generate_private_key

    def ready(public_exponent: int, key_size: int, backend: Any = None) -> rsa.RSAPrivateKey:
        kept = _rsa_keys.get(key_size)
        return kept.pop() if kept and public_exponent == 65537 else make(public_exponent, key_size, backend)

    rsa.generate_private_key = ready


def module_of(path: str) -> str:
    """Return the dotted name under which a file of ``src`` or ``tests`` is imported."""
    parts = Path(path).relative_to(Path(path).parts[0]).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
