"""A document's fields for display, unauthenticated, made only when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.evidence.nitro.document import Document


class DecodedDocument(Mapping[str, Any]):
    """The fields of a document as texts, numbers and hexadecimal.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self._document = document

    @cached_property
    def _fields(self) -> dict[str, Any]:
        document = self._document
        return {
            "module_id": document.module_id,
            "digest": document.digest,
            "timestamp": document.timestamp.isoformat(timespec="milliseconds"),
            "pcrs": {str(index): value.hex() for index, value in sorted(document.pcrs.items())},
            "public_key": _hex(document.public_key),
            "user_data": _hex(document.user_data),
            "nonce": _hex(document.nonce),
            "cabundle": len(document.cabundle),
            "tagged": document.message.tagged,
        }

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
