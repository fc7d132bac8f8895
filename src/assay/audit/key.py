"""The key that signs checkpoints: Ed25519, one for each installation, in ``keys/log.key`` (0600)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.audit import note
from assay.errors import AuditError, StoreError
from assay.store.files import create_private, prepare_directory, read_private

if TYPE_CHECKING:
    from pathlib import Path

    from assay.audit.note import Checkpoint

_LARGEST_KEY = 4096


class LogKey:
    """An Ed25519 signing key. Its name in a note is the origin of the log that it signs for."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"LogKey(public={self.public.hex()})"

    @classmethod
    def open(cls, state_dir: Path) -> LogKey:
        """Return the key in ``state_dir``; made when there is none.

        Raises:
            StoreError: ``store.directory.*``, ``store.file.*``, ``store.disk.full``.
            AuditError: ``audit.key.unreadable``.
        """
        prepare_directory(state_dir / "keys")
        found = cls.existing(state_dir)
        if found is not None:
            return found
        path = _path(state_dir)
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            create_private(path, made)
        except StoreError as error:
            if error.code != "store.file.exists":  # else another process made it first: it counts
                raise
        return cls._load(path)

    @classmethod
    def existing(cls, state_dir: Path) -> LogKey | None:
        """Return the key in ``state_dir``, or None when there is none. Raises as ``open``."""
        try:
            return cls._load(_path(state_dir))
        except StoreError as error:
            if error.code == "store.file.missing":
                return None
            raise

    @classmethod
    def _load(cls, path: Path) -> LogKey:
        try:
            found = serialization.load_pem_private_key(read_private(path, limit=_LARGEST_KEY), password=None)
        except (ValueError, TypeError):
            found = None
        if not isinstance(found, Ed25519PrivateKey):
            raise AuditError(
                "audit.key.unreadable",
                f"{str(path)!r} does not hold an Ed25519 private key.",
                action="Restore it, or move it away: the log then goes on under a new key and origin.",
            )
        return cls(found)

    def verifier(self, origin: str) -> note.VerifierKey:
        """Return the public key under the name of a log."""
        return note.VerifierKey(origin, note.ED25519, self.public)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """Return the checkpoint as a signed note."""
        text = checkpoint.encode()
        key = self.verifier(checkpoint.origin)
        return note.sign(text, key.name, key.id, self._private.sign(text))


def _path(state_dir: Path) -> Path:
    return state_dir / "keys" / "log.key"
