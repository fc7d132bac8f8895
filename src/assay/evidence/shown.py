"""Fields for the eye: decoded, unauthenticated, made only when somebody looks. Nothing decides on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any


class ShownFields(Mapping[str, Any]):
    """Names to JSON-ready values, bytes as lower-case hexadecimal; made at the first look."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, Any] | None = None

    @abstractmethod
    def _make(self) -> dict[str, Any]:
        """Return the fields."""

    def _made(self) -> dict[str, Any]:
        if self._values is None:
            self._values = self._make()
        return self._values

    def __getitem__(self, name: str) -> Any:
        return self._made()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._made()!r})"
