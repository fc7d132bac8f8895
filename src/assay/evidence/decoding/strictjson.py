"""Strict JSON: one value, UTF-8, no member twice, no NaN, bounded; and the raw bytes of a signed member.

Python's decoder keeps the last of two equal members, reads NaN, and lets a caller forget that what is signed
is bytes, not values. Here duplicates and NaN are errors, and ``raw_members`` gives the slices of the input
over which signatures are checked: nothing is parsed, written again and then verified.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_CONTAINERS = 8192  # objects and arrays
MAX_DEPTH = 64  # of objects and arrays in each other: whoever walks a value may do so by recursion
_WHITESPACE = " \t\n\r"
_NO_BRACKETS = bytes(set(range(256)).difference(b"[]{}"))
_TOO_DEEP = "A JSON document is nested too deeply."


class JsonError(EvidenceError):
    """The bytes are not the JSON that was expected.

    Codes: ``json.oversized``, ``json.malformed``, ``json.duplicate_member``, ``json.type``,
        ``json.missing_member``.
    """


def mistyped(why: str) -> JsonError:
    """Return the error ``json.type`` for a value that is JSON, but not the value that should stand there."""
    return JsonError("json.type", why)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("json.duplicate_member", "An object has the same member twice.")
    return found


def _constant(name: str) -> NoReturn:
    raise JsonError("json.malformed", f"{name} is not JSON.")


def _finite(text: str) -> float:
    """Return a number with a fraction or an exponent; one beyond every float would become infinity."""
    value = float(text)
    if not math.isfinite(value):
        raise JsonError("json.malformed", "A number is too large.")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
# One value at a place, without looking at what surrounds it; the stubs do not know it.
_scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]


def _text(data: bytes, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise JsonError("json.oversized", f"A JSON document is longer than {max_bytes} bytes.")
    # A container has a byte of its own: what is short cannot hold too many.
    if len(data) > MAX_CONTAINERS and data.count(b"{") + data.count(b"[") > MAX_CONTAINERS:
        raise JsonError(
            "json.oversized", f"A JSON document has more than {MAX_CONTAINERS} objects and arrays."
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonError("json.malformed", "A JSON document is not UTF-8.") from None


def _decode(text: str) -> Any:
    try:
        # Most documents are one object and nothing around it; any other takes the long way.
        if text[:1] == "{":
            value, end = _scan(text, 0)
            if end == len(text) or not text[end:].strip(_WHITESPACE):
                return value
        value = _DECODER.decode(text)
    except JsonError:
        raise
    except StopIteration as stop:
        raise JsonError(
            "json.malformed", f"A document is not JSON: Expecting value: char {stop.value}."
        ) from None
    except RecursionError:
        raise JsonError("json.oversized", _TOO_DEEP) from None
    except ValueError as error:
        raise JsonError("json.malformed", f"A document is not JSON: {error}.") from None
    return value


def _bounded(data: bytes, text: str) -> Any:
    """Return the value of a document that is not nested too deeply."""
    value = _decode(text)
    if _brackets_left(data) and _deeper(value):
        raise JsonError("json.oversized", _TOO_DEEP)
    return value


def _brackets_left(data: bytes) -> bool:
    """Tell whether a document may be too deep: pairs of brackets, taken away from the inside, leave some.

    Brackets in texts may leave some as well; then the value itself is looked at, which takes longer.
    """
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:  # as in most documents: too few to be too deep
        return False
    left = data.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH // 2):  # each takes two levels where objects and arrays alternate
        if not left:
            return False
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return bool(left)


def _deeper(value: Any) -> bool:
    """Tell whether more objects and arrays stand in each other than may, level by level."""
    level = [[value]]
    for _ in range(MAX_DEPTH):
        level = [
            list(found.values()) if type(found) is dict else found
            for items in level
            for found in items
            if type(found) in (dict, list)
        ]
        if not level:
            return False
    return any(type(found) in (dict, list) for items in level for found in items)


def parse(data: bytes, *, max_bytes: int) -> Any:
    """Return the one JSON value that ``data`` is.

    Raises:
        JsonError: ``json.oversized``, ``json.malformed`` or ``json.duplicate_member``.
    """
    return _bounded(data, _text(data, max_bytes))


def parse_object(data: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Return the members of the one JSON object that ``data`` is; other values are ``json.type``."""
    value = _bounded(data, _text(data, max_bytes))
    if type(value) is not dict:
        raise mistyped("A JSON document is not an object.")
    return value


def raw_members(data: bytes, *, max_bytes: int) -> dict[str, bytes]:
    """Return for each member of an object the exact bytes of its value, as they stand in ``data``.

    Raises:
        JsonError: As ``parse_object``.
    """
    text = _text(data, max_bytes)
    if type(_bounded(data, text)) is not dict:
        raise mistyped("A JSON document is not an object.")
    # The text is one valid object without duplicates: what follows only finds where its values begin and end.
    found: dict[str, bytes] = {}
    pos = _skip(text, text.index("{") + 1)
    while text[pos] != "}":
        name, pos = _DECODER.raw_decode(text, pos)
        start = _skip(text, _skip(text, pos) + 1)
        _, pos = _DECODER.raw_decode(text, start)
        found[name] = text[start:pos].encode("utf-8")
        pos = _skip(text, pos)
        if text[pos] == ",":
            pos = _skip(text, pos + 1)
    return found


def _skip(text: str, pos: int) -> int:
    while text[pos] in _WHITESPACE:
        pos += 1
    return pos


def member(value: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """Return a member that must be there and be exactly of ``kind``; a bool is no int.

    Raises:
        JsonError: ``json.missing_member`` or ``json.type``.
    """
    found = value.get(name, _DECODER)
    if type(found) is not kind:
        if found is _DECODER:
            raise JsonError("json.missing_member", f"Member {name} is missing.")
        raise mistyped(f"Member {name} is not of type {kind.__name__}.")
    return found


def octets(value: Any, most: int) -> bytes:
    """Return bytes that are written as an array of numbers, as Rust's serde writes them.

    Args:
        value: The decoded array.
        most: How many bytes there may be.

    Raises:
        JsonError: ``json.type``.
    """
    if type(value) is not list or len(value) > most or not {int}.issuperset(map(type, value)):
        raise mistyped(f"Bytes are no array of at most {most} numbers.")
    try:
        return bytes(value)
    except ValueError:
        raise mistyped("A number is not that of a byte.") from None


def strings(values: Sequence[Any]) -> tuple[str, ...]:
    """Return an array of strings as a tuple; anything else in it is ``json.type``."""
    if not all(type(item) is str for item in values):
        raise mistyped("An array holds something else than strings.")
    return tuple(values)
