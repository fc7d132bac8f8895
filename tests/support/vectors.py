"""Real evidence, found through ASSAY_VECTORS (default: ../shared/vectors beside the project)."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("ASSAY_VECTORS") or Path(__file__).parents[2].parent / "shared" / "vectors")
used: Counter[tuple[str, str]] = Counter()


def read(name: str) -> bytes:
    """Return the bytes of one file, named as in MANIFEST.json."""
    return (ROOT / name).read_bytes()


@cache
def _entries() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(read("MANIFEST.json"))["entries"])


@cache
def _cases() -> tuple[dict[str, Any], ...]:
    found = json.loads(read("CASES.json"))
    return tuple(found["cases"] if isinstance(found, dict) else found)


def entries(family: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the entries of MANIFEST.json, optionally of one family and one kind."""
    return [e for e in _entries() if family in (None, e["family"]) and kind in (None, e["kind"])]


def cases(kind: str) -> list[dict[str, Any]]:
    """Return the cases of CASES.json of one kind."""
    return [case for case in _cases() if case["kind"] == kind]


def record(family: str, kind: str) -> None:
    """Count a vector whose stated result was reached."""
    used[family, kind] += 1


def pinned(entry: dict[str, Any]) -> bool:
    """Tell whether the file of an entry still has the stated digest."""
    return hashlib.sha256(read(entry["file"])).hexdigest() == entry["sha256"]
