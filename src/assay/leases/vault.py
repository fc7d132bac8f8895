"""Evidence, collateral, receipts and manifests, kept by the SHA-256 of their bytes for later audits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assay.errors import LeaseError, StoreError
from assay.store import prepare_directory, read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 16 << 20


class Vault:
    """Files named by their digest under ``evidence/`` of the state directory (0700, 0600).

    Args:
        state_dir: The state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self.root = state_dir / "evidence"

    def put(self, data: bytes) -> bytes:
        """Keep ``data`` durably and return its SHA-256, 32 bytes.

        Raises:
            StoreError: ``store.disk.full``, ``store.file.unusable``, ``store.directory.*``.
        """
        digest = hashlib.sha256(data).digest()
        if self._holds(digest):
            return digest
        prepare_directory(self.root)
        write_private(self.root / digest.hex(), data)  # also over a file that was altered
        return digest

    def _holds(self, digest: bytes) -> bool:
        try:
            self.get(digest)
        except (StoreError, LeaseError):
            return False
        return True

    def get(self, digest: bytes) -> bytes:
        """Return the bytes with that SHA-256.

        Raises:
            StoreError: ``store.file.*`` when they are not here.
            LeaseError: ``lease.vault.altered`` when the file holds other bytes.
        """
        data = read_private(self.root / digest.hex(), limit=MAX_BYTES)
        if hashlib.sha256(data).digest() != digest:
            raise LeaseError(
                "lease.vault.altered", f"{self.root / digest.hex()} does not hold the bytes of its name."
            )
        return data

    def path(self, digest: bytes) -> Path:
        """Return where the bytes with that SHA-256 are."""
        return self.root / digest.hex()
