"""Owner keys, one for each lease, under ``keys/<lease>/owner.pem`` of the state directory (0700, 0600).

The intent is in the book before its key is on the disk, and the key is on the disk before a machine is
created: a key without a live lease is therefore always left over, and never about to be used.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from assay.channel.owner import MAX_PEM_BYTES, OwnerKey
from assay.errors import LeaseError
from assay.leases import names
from assay.store import create_private, prepare_directory, read_private
from assay.store.files import sync_directory

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "owner.pem"


class Keyring:
    """The owner keys of one state directory.

    Args:
        state_dir: The state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "keys"

    def _directory(self, lease_id: str) -> Path:
        if not names.is_lease_id(lease_id):
            raise LeaseError("lease.id.malformed", f"{lease_id[:80]!r} is not a lease id.")
        return self._root / lease_id

    def add(self, lease_id: str, key: OwnerKey) -> None:
        """Write a new lease's key durably.

        Raises:
            StoreError: ``store.directory.*``, ``store.file.*``, ``store.disk.full``.
        """
        prepare_directory(self._root)
        directory = self._directory(lease_id)
        prepare_directory(directory)
        create_private(directory / _FILE, key.pem())
        sync_directory(self._root)

    def load(self, lease_id: str) -> OwnerKey:
        """Return the key of a lease.

        Raises:
            StoreError: ``store.file.*`` when it is missing or not ours alone.
        """
        return OwnerKey.from_pem(read_private(self._directory(lease_id) / _FILE, limit=MAX_PEM_BYTES))

    def remove(self, lease_id: str) -> None:
        """Remove a lease's key durably; succeeds when there is none.

        Raises:
            LeaseError: ``lease.key.left`` when it cannot be removed.
        """
        directory = self._directory(lease_id)
        try:
            for entry in directory.iterdir():
                entry.unlink()
            directory.rmdir()
            sync_directory(self._root)
        except FileNotFoundError:
            return
        except OSError as error:
            raise LeaseError(
                "lease.key.left", f"The owner's key of {lease_id} cannot be removed: {error.strerror}."
            ) from error

    def held(self) -> frozenset[str]:
        """Return the ids of the leases that have a key directory."""
        with suppress(FileNotFoundError):
            return frozenset(entry.name for entry in self._root.iterdir() if names.is_lease_id(entry.name))
        return frozenset()
