"""The kinds of value that a setting can have, and how each is written."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from assay.errors import SettingsError

_DURATION_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?\Z")
_SIZE_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE: Final = re.compile(r"(\d{1,15})\s?(KiB|MiB|GiB|TiB)?\Z")
_COUNT: Final = re.compile(r"\d{1,9}\Z")
_MAX_TEXT = 4096
_MAX_NAMES = 256
_MAX_BITS = 63

Value = str | int | tuple[str, ...] | None


class Kind(StrEnum):
    """What a setting holds."""

    TEXT = "text"
    DURATION = "duration"
    SIZE = "size"
    COUNT = "count"
    NAMES = "names"


def parse_duration(text: str) -> int:
    """Return the seconds that ``90``, ``90s``, ``1h30m`` or ``2d`` mean.

    Raises:
        SettingsError: ``settings.value.duration`` for anything else, and for zero.
    """
    if _COUNT.match(text):
        seconds = int(text)
    else:
        match = _DURATION.match(text)
        parts = match.groups() if match else ()
        seconds = sum(
            int(part) * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=False) if part
        )
    if seconds <= 0:
        raise SettingsError(
            "settings.value.duration", f"{text[:40]!r} is not a duration: write 90s, 30m, 1h30m or 2d."
        )
    return seconds


def parse_size(text: str) -> int:
    """Return the bytes that ``4096``, ``64MiB`` or ``2 GiB`` mean.

    Raises:
        SettingsError: ``settings.value.size`` for anything else, and for zero.
    """
    match = _SIZE.match(text)
    size = int(match[1]) * _SIZE_UNITS[match[2] or ""] if match else 0
    if size <= 0:
        raise SettingsError("settings.value.size", f"{text[:40]!r} is not a size: write 4096, 64MiB or 2GiB.")
    return size


def show_duration(seconds: int) -> str:
    """Return the shortest exact spelling of a duration: ``90m`` is ``1h30m``."""
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _DURATION_UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def show_size(size: int) -> str:
    """Return an exact spelling of a size in the largest unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}"


def show(kind: Kind, value: Value) -> str:
    """Return a value as a person would write it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(value)
    if kind is Kind.DURATION:
        return show_duration(int(value))
    if kind is Kind.SIZE:
        return show_size(int(value))
    return str(value)


def _text(key: str, raw: object) -> str:
    if not isinstance(raw, str) or not raw or len(raw) > _MAX_TEXT or not raw.isprintable():
        raise SettingsError("settings.value.text", f"{key} must be printable text, not empty.", key=key)
    return raw


def decode(key: str, kind: Kind, raw: object) -> Value:
    """Return the value that a file, a variable or a flag gives for one setting.

    Args:
        key: The setting, for the error.
        kind: What it holds.
        raw: A string from a variable or a flag, or a TOML value.

    Raises:
        SettingsError: ``settings.value.*`` naming the key, when ``raw`` is not of that kind.
    """
    if kind is Kind.NAMES:
        items = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(items, list | tuple) or len(items) > _MAX_NAMES:
            raise SettingsError(
                "settings.value.names", f"{key} must be a list of at most {_MAX_NAMES} names.", key=key
            )
        return tuple(_text(key, item.strip() if isinstance(item, str) else item) for item in items)
    if kind is Kind.TEXT:
        return _text(key, raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        if raw.bit_length() > _MAX_BITS:  # more digits than Python writes, perhaps
            raise SettingsError("settings.value.ceiling", f"{key} is far too large a number.", key=key)
        raw = str(raw)
    text = _text(key, raw)
    try:
        if kind is Kind.DURATION:
            return parse_duration(text)
        if kind is Kind.SIZE:
            return parse_size(text)
    except SettingsError as error:
        raise SettingsError(error.code, f"{key}: {error.message}", key=key) from None
    if not _COUNT.match(text) or int(text) == 0:
        raise SettingsError("settings.value.count", f"{key} must be a whole number above zero.", key=key)
    return int(text)
