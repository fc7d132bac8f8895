"""A document's fields for display, unauthenticated, made only when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.evidence.shown import ShownFields

if TYPE_CHECKING:
    from assay.evidence.nitro.document import Document


class DecodedDocument(ShownFields):
    """The fields of a document.

    Args:
        document: The document.
    """

    __slots__ = ("_document",)

    def __init__(self, document: Document) -> None:
        self._document = document

    def _make(self) -> dict[str, Any]:
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


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
