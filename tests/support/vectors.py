"""Real evidence, found through ASSAY_VECTORS (default: ../shared/vectors beside the project).

Without it the tests that need it are skipped, and the summary of the run says so. Where it is, a run of the
whole suite fails unless as many results are recorded of each family and kind as are stated.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("ASSAY_VECTORS") or Path(__file__).parents[2].parent / "shared" / "vectors")
PUBLISHED = 727  # entries and cases of all families; a later collection may hold more
used: Counter[tuple[str, str]] = Counter()
notes: list[str] = []


def present() -> bool:
    """Tell whether the vectors are there."""
    return (ROOT / "MANIFEST.json").is_file()


def read(name: str) -> bytes:
    """Return the bytes of one file, named as in MANIFEST.json; skip test or module without the vectors."""
    if not present():
        pytest.skip("the real vectors are not here", allow_module_level=True)
    return (ROOT / name).read_bytes()


@cache
def _entries() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(read("MANIFEST.json"))["entries"]) if present() else ()


@cache
def _cases() -> tuple[dict[str, Any], ...]:
    if not present():
        return ()
    found = json.loads(read("CASES.json"))
    return tuple(found["cases"] if isinstance(found, dict) else found)


def entries(family: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the entries of MANIFEST.json, optionally of one family and one kind."""
    return [e for e in _entries() if family in (None, e["family"]) and kind in (None, e["kind"])]


def cases(kind: str) -> list[dict[str, Any]]:
    """Return the cases of CASES.json of one kind."""
    return [case for case in _cases() if case["kind"] == kind]


def stated() -> Counter[tuple[str, str]]:
    """Return how many entries and cases are stated, by family and kind."""
    return Counter((item["family"], item["kind"]) for item in (*_entries(), *_cases()))


def record(family: str, kind: str) -> None:
    """Count a vector whose stated result was reached."""
    used[family, kind] += 1


def unsettled(found: Counter[tuple[str, str]]) -> list[str]:
    """Return a line for each family and kind of which more or fewer results were reached than are stated."""
    of = stated()
    return [
        f"{family}/{kind}: {found[family, kind]} results recorded, {of[family, kind]} stated"
        for family, kind in sorted(found.keys() | of.keys())
        if found[family, kind] != of[family, kind]
    ]


def note(text: str) -> None:
    """Leave a line for the summary of the run."""
    notes.append(text)


def pinned(entry: dict[str, Any]) -> bool:
    """Tell whether the file of an entry still has the stated digest."""
    return hashlib.sha256(read(entry["file"])).hexdigest() == entry["sha256"]
