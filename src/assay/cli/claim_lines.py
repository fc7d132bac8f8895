"""Claims as a person reads them: nested ones by dotted names, long ones bounded, registers in columns.

Whoever needs every byte takes ``--json``; what is left out here is counted, and said so.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from assay.cli.output import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INDENT: Final = "  "
WIDEST_NAME: Final = 28
MOST_CHARACTERS: Final = 480
MOST_ENTRIES: Final = 4
MOST_DEPTH: Final = 6
MOST_INLINE: Final = 16
MOST_ROWS: Final = 200
_SHORT: Final = 24
_LONGEST_NUMBER: Final = 4
_LONGEST_WHOLE_HEX: Final = 64
_HEX_CHUNKS: Final = (48, 32)
_WORDS: Final = {None: "none", True: "yes", False: "no"}
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){9,}")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:\+00:00|Z)")


def claim_lines(found: Mapping[str, Any], columns: int) -> Iterator[str]:
    """Return claims line by line; everything that a peer wrote is escaped.

    Args:
        found: Claims, JSON-ready.
        columns: How many the output may use.
    """
    flat = list(_flattened(found, "", MOST_DEPTH))
    wide = min(WIDEST_NAME, max((len(name) for name, _ in flat), default=0))
    for name, value in flat[:MOST_ROWS]:
        yield from _row(name, value, wide, columns)
    if len(flat) > MOST_ROWS:
        yield f"{INDENT}{len(flat) - MOST_ROWS} claims more, which --json shows"


def _row(name: str, value: str, wide: int, columns: int) -> Iterator[str]:
    """Return a name and its value: beside it, or below it where it needs the room."""
    head = f"{INDENT}{name:<{wide}}  "
    room = columns - len(head)
    if len(value) <= room:
        yield f"{head}{value}"
        return
    hexadecimal = _HEX.fullmatch(value) is not None
    if len(name) > wide or (hexadecimal and len(value) <= _LONGEST_WHOLE_HEX):
        yield f"{INDENT}{name}"
        head, room = INDENT * 2, columns - len(INDENT * 2)
    for chunk in (
        _hex_chunks(value, room) if hexadecimal else textwrap.wrap(value, room, break_on_hyphens=False)
    ):
        yield f"{head}{chunk}"
        head = " " * len(head)


def _hex_chunks(value: str, room: int) -> list[str]:
    """Return hexadecimal digits in lines of a width that divides the usual digests."""
    if len(value) <= min(room, _LONGEST_WHOLE_HEX):
        return [value]
    size = next((size for size in _HEX_CHUNKS if size <= room), _HEX_CHUNKS[-1])
    return [value[at : at + size] for at in range(0, len(value), size)]


def _flattened(found: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        yield from _entry(f"{prefix}{escape(str(name), limit=60)}", value, depth)


def _entry(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the rows of one claim."""
    if isinstance(value, Mapping):
        if value and all(len(key) <= _LONGEST_NUMBER and key.isdecimal() for key in value):
            yield from _registers(name, value)
        elif depth and not _fits_a_line(value):
            yield from _flattened(value, f"{name}.", depth - 1)
        else:
            yield name, _inline(value)
    elif isinstance(value, list):
        yield from _list(name, value, depth)
    else:
        yield name, _scalar(value)


def _list(name: str, value: list[Any], depth: int) -> Iterator[tuple[str, str]]:
    if any(isinstance(entry, (Mapping, list)) for entry in value):
        if not depth or len(value) > MOST_ENTRIES:
            yield name, f"{len(value)} entries, which --json shows"
            return
        for index, entry in enumerate(value):
            yield from _entry(f"{name}[{index}]", entry, depth - 1)
    elif value and all(isinstance(entry, str) and _HEX.fullmatch(entry) for entry in value):
        numbered = {str(index): entry for index, entry in enumerate(value)}
        yield from _registers(name.removesuffix("s"), numbered)
    else:
        yield name, _joined(value)


def _registers(name: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield registers by number; neighbours that hold the same value share a row."""
    runs: list[tuple[int, int, Any]] = []
    # By the number alone: names may be two ways to write one, and values of any kind.
    for key, value in sorted(values.items(), key=lambda entry: int(entry[0])):
        index = int(key)
        if runs and runs[-1][1] == index - 1 and runs[-1][2] == value:
            runs[-1] = (runs[-1][0], index, value)
        else:
            runs.append((index, index, value))
    stem = name.removesuffix("s") if name.endswith("pcrs") else name
    for first, last, value in runs:
        yield (f"{stem}{first}" if first == last else f"{stem}{first}-{last}"), _scalar(value)


def _fits_a_line(value: Mapping[str, Any]) -> bool:
    return len(value) <= MOST_INLINE and all(
        not isinstance(entry, Mapping)
        and not (isinstance(entry, list) and entry)
        and len(str(entry)) <= _SHORT
        for entry in value.values()
    )


def _inline(value: Mapping[str, Any]) -> str:
    """Return small claims in one row: flags that are set by their names, others with their values."""
    said = [
        escape(str(name), limit=60) if entry is True else f"{escape(str(name), limit=60)} {_scalar(entry)}"
        for name, entry in value.items()
        if entry is not False and entry is not None and entry != []
    ]
    unset = [escape(str(name), limit=60) for name, entry in value.items() if entry is False]
    if unset:
        said.append(f"not {', '.join(unset)}")
    return _bounded("; ".join(said)) or "none"


def _joined(value: Sequence[Any]) -> str:
    numbers = [entry for entry in value if type(entry) is int]
    # Whether as many lie between them is asked first: a peer's last number may be any.
    ends = len(numbers) == len(value) > 2 and numbers[-1] - numbers[0] == len(value) - 1
    if ends and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return _bounded(", ".join(_scalar(entry) for entry in value)) or "none"


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, (list, Mapping)):
        return f"{len(value)} entries, which --json shows" if value else "none"
    return _text(str(value))


def _text(text: str) -> str:
    moment = _TIME.fullmatch(text)
    if moment is not None:
        return f"{moment.group(1)} {moment.group(2)} UTC"
    if _HEX.fullmatch(text) and not text.strip("0"):
        return f"zero ({len(text) // 2} bytes)"
    return escape(text, limit=MOST_CHARACTERS) or "empty"


def _bounded(text: str) -> str:
    """Return a text of at most as many characters as a person reads of one claim."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} ... and more, which --json shows"
