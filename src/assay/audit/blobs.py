"""Receipts and Evidence by digest: what entries name and an export takes along.

One private file for each, ``blobs/<SHA-256 in hexadecimal>`` in the state directory, durable before an entry
names it. A file that no entry came to name is harmless and stays out of every export.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from assay.errors import AuditError, StoreError
from assay.store.files import create_private, prepare_directory, read_private

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The files in ``blobs`` of one state directory; made when something is first kept."""

    __slots__ = ("_directory",)

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "blobs"

    def keep(self, data: bytes) -> str:
        """Keep ``data`` and return its SHA-256 in hexadecimal; keeping the same twice is once.

        Raises:
            StoreError: ``store.directory.*``, ``store.disk.full``, ``store.file.unusable``.
        """
        prepare_directory(self._directory)
        digest = hashlib.sha256(data).hexdigest()
        try:
            create_private(self._directory / digest, data)
        except StoreError as error:
            if error.code != "store.file.exists":
                raise
        return digest

    def read(self, digest: str, *, limit: int) -> bytes:
        """Return what was kept under a digest.

        Raises:
            StoreError: ``store.file.*``.
            AuditError: ``audit.blob.changed`` when the file is not what its name says.
        """
        data = read_private(self.path(digest), limit=limit)
        if hashlib.sha256(data).hexdigest() != digest:
            raise AuditError("audit.blob.changed", f"What was kept as {digest} was changed since.")
        return data

    def path(self, digest: str) -> Path:
        """Return where a digest is kept, if it is.

        Raises:
            AuditError: ``audit.blob.name``.
        """
        if not _DIGEST.fullmatch(digest):
            raise AuditError("audit.blob.name", "A blob is named by its SHA-256, 64 hexadecimal digits.")
        return self._directory / digest

    def digests(self) -> frozenset[str]:
        """Return the digests of everything kept."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except FileNotFoundError:
            return frozenset()
        return frozenset(name for name in names if _DIGEST.fullmatch(name))
