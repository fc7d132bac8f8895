"""Fields for the eye: decoded, unauthenticated, made only when somebody looks. Nothing decides on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any


class ShownFields(Mapping[str, Any]):
    """Names to JSON-ready values, bytes as lower-case hexadecimal; made at the first look."""

    __slots__ = ("_values",)

    _values: dict[str, Any]  # absent before the first look: nearly all evidence is never looked at

    @abstractmethod
    def _make(self) -> dict[str, Any]:
        """Return the fields."""

    def _made(self) -> dict[str, Any]:
        try:
            return self._values
        except AttributeError:
            pass
        found = self._values = self._make()
        return found

    def __getitem__(self, name: str) -> Any:
        return self._made()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._made()!r})"
