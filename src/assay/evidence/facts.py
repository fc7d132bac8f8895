"""Verified facts, remembered: what was proven about signed bytes need not be proven again while it is valid.

Only facts that were verified enter, under keys made of the signed bytes that prove them or of their hashes
(and of the roots they were proven under). Each carries the intersection of the validity windows it rests on,
tested at every hit. A refusal is never remembered, and no fact is ever keyed by the hash of a whole input:
bytes outside the signed regions would then choose the answer.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

FactT = TypeVar("FactT")

DEFAULT_MAX_ENTRIES = 1024


@record
class Window:
    """A span of time in which a fact holds, both ends included, aware UTC."""

    start: datetime
    end: datetime

    def __and__(self, other: Window) -> Window:
        return Window(max(self.start, other.start), min(self.end, other.end))

    def __contains__(self, now: datetime) -> bool:
        return self.start <= now <= self.end


def digest_of(parts: Sequence[bytes]) -> bytes:
    """Return what stands in a key for parts that are too long to be kept in it; empty for none.

    Args:
        parts: Any number of them, in an order that counts.
    """
    if not parts:
        return b""
    return hashlib.sha256(b"".join([hashlib.sha256(part).digest() for part in parts])).digest()


ALWAYS: Final = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""For what no time changes: bytes that were read."""


class FactShelf(Generic[FactT]):
    """Facts of one kind: bounded, least recently used first out, safe to share between threads.

    Which fact was used when is noted only while the shelf is more than three quarters full: before that none
    has to go soon, and noting it touches the memory of facts that nobody asked for.

    Args:
        max_entries: How many facts are kept.
    """

    __slots__ = ("_entries", "_lock", "_max", "_noted")

    def __init__(self, max_entries: int) -> None:
        self._entries: OrderedDict[Hashable, tuple[datetime, datetime, FactT]] = OrderedDict()
        self._lock = threading.Lock()
        self._max = max_entries
        self._noted = max_entries * 3 // 4

    def get(self, key: Hashable, now: datetime) -> FactT | None:
        """Return the fact under ``key`` if it is known and holds at ``now``."""
        entries = self._entries
        found = entries.get(key)
        if found is None:
            return None
        if len(entries) > self._noted:
            with self._lock:
                if key in entries:  # another thread may have pushed it out since
                    entries.move_to_end(key)
        start, end, fact = found
        return fact if start <= now <= end else None

    def put(self, key: Hashable, window: Window, fact: FactT) -> None:
        """Remember a verified fact for the time in which it holds."""
        with self._lock:
            self._entries[key] = (window.start, window.end, fact)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class FactCache:
    """The shelves of verified facts; an object that the caller makes and passes in, never a global.

    One cache may serve many threads, callers and tenants: its keys and facts hold public data only.

    Args:
        max_entries: How many facts of each kind are kept.

    Attributes:
        platforms: What a quote rests on besides its own signature.
        chains: Verified PCK chains.
        collateral: Verified collateral.
        certificates: Certificates whose issuer and signature were verified; their role is judged at each use.
    """

    __slots__ = ("_max", "_named", "certificates", "chains", "collateral", "platforms")

    def __init__(self, *, max_entries: int = DEFAULT_MAX_ENTRIES) -> None:
        self.platforms: FactShelf[Any] = FactShelf(max_entries)
        self.chains: FactShelf[Any] = FactShelf(max_entries)
        self.collateral: FactShelf[Any] = FactShelf(max(1, max_entries // 8))
        self.certificates: FactShelf[Any] = FactShelf(max_entries)
        self._max = max_entries
        self._named: dict[str, FactShelf[Any]] = {}

    def shelf(self, name: str) -> FactShelf[Any]:
        """Return the shelf of one kind of fact of one format, such as ``snp.chains``.

        Args:
            name: A constant of the format; never taken from evidence.
        """
        found = self._named.get(name)
        # setdefault is atomic: two threads that come first at once get the same shelf.
        return found if found is not None else self._named.setdefault(name, FactShelf(self._max))
