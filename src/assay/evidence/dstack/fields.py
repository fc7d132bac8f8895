"""Strict readers of the members of dstack's JSON documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from assay.errors import EvidenceError
from assay.evidence.decoding.canonical import canonical_base64

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def refuse(what: str, why: str) -> NoReturn:
    """Raise the ``EvidenceError`` with code ``dstack.<what>``."""
    raise EvidenceError(f"dstack.{what}", why)


def unhex(text: Any, name: str, code: str) -> bytes:
    """Return the bytes that lower-case hexadecimal stands for.

    Raises:
        EvidenceError: ``dstack.<code>`` for anything else.
    """
    if type(text) is not str or _HEX.fullmatch(text) is None:
        refuse(code, f"{name} is not lower-case hexadecimal.")
    return bytes.fromhex(text)


def unbase64(text: Any, name: str, code: str) -> bytes:
    """Return the bytes that canonical base64 with padding stands for.

    Raises:
        EvidenceError: ``dstack.<code>`` for anything else.
    """
    found = canonical_base64(text) if type(text) is str else None
    if found is None:
        refuse(code, f"{name} is not canonical base64.")
    return found


def text_member(document: Mapping[str, Any], name: str, code: str) -> str | None:
    """Return a member that is a string, None when it is absent or null or the empty string.

    Raises:
        EvidenceError: ``dstack.<code>`` when it is something else.
    """
    found = document.get(name)
    if found is None or found == "":
        return None
    if type(found) is not str:
        refuse(code, f"Member {name} is not a string.")
    return found


def natural_member(document: Mapping[str, Any], name: str, code: str) -> int | None:
    """Return a member that is a whole number below 2^64, None when it is absent.

    Raises:
        EvidenceError: ``dstack.<code>`` when it is something else.
    """
    found = document.get(name)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found < 1 << 64:
        refuse(code, f"Member {name} is not a number of 64 bits.")
    return found
