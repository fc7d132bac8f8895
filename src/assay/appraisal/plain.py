"""Claims as JSON-ready values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any


def ready(value: Any) -> Any:
    """Return ``value`` with bytes as hexadecimal, times in ISO 8601, and dataclasses as objects.

    An ``IntEnum`` becomes its name in lower case with hyphens, any other enumeration its value.
    """
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-") if isinstance(value, int) else value.value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return _composed(value)


def _composed(value: Any) -> Any:
    from dataclasses import fields, is_dataclass  # noqa: PLC0415 - costly, and most results are never shown

    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: ready(getattr(value, field.name)) for field in fields(value) if field.repr}
    if isinstance(value, Mapping):
        return {str(name): ready(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, frozenset, set)):
        entries = sorted(value) if isinstance(value, (frozenset, set)) else value
        return [ready(entry) for entry in entries]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
