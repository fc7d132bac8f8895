"""Documents with one member changed."""

from __future__ import annotations

import copy
from typing import Any


def put(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of a document with another value at a path of members, parted by dots."""
    *above, last = path.split(".")
    changed = at = copy.deepcopy(document)
    for name in above:
        at = at[name]
    at[last] = value
    return changed
