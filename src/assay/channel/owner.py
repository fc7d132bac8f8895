"""The owner's key: the one key that a guest serves.

A P-256 key pair. Its public half is in the measured launch configuration of the guest; its private half signs
every HELLO and is the client's key in the mutual TLS session. It never leaves the owner's machine.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.channel import identity
from assay.errors import ChannelError

if TYPE_CHECKING:
    from pathlib import Path

MAX_PEM_BYTES = 4096


class OwnerKey:
    """A P-256 key pair of an owner.

    Attributes:
        spki: SubjectPublicKeyInfo DER of the public key, 91 bytes.
    """

    __slots__ = ("_certificate", "_certifying", "_key", "spki")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise ChannelError("channel.owner.malformed", "An owner's key must be on the curve P-256.")
        self._key = key
        self._certificate = b""
        self._certifying = threading.Lock()
        self.spki = identity.spki_of(key.public_key())

    def __repr__(self) -> str:
        return f"OwnerKey(spki={self.spki.hex()[-16:]})"

    @classmethod
    def create(cls) -> OwnerKey:
        """Return a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, data: bytes) -> OwnerKey:
        """Return the key in ``data`` (PKCS#8 PEM without a password).

        Raises:
            ChannelError: ``channel.owner.malformed`` when it is anything else.
        """
        try:
            key = serialization.load_pem_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ChannelError("channel.owner.malformed", "The owner's key file is not a PEM key.") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ChannelError("channel.owner.malformed", "An owner's key must be on the curve P-256.")
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> OwnerKey:
        """Return the key in the file ``path``, which must be ours alone.

        Raises:
            ChannelError: ``channel.owner.unreadable``, ``channel.owner.mode`` when others could read or
                replace the file, ``channel.owner.malformed``.
        """
        try:
            # Not waiting: a pipe in the place of the file would otherwise hold us for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise ChannelError(
                "channel.owner.unreadable", f"The owner's key cannot be opened: {error.strerror}."
            ) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise ChannelError(
                    "channel.owner.mode",
                    "The owner's key must be a regular file of this user with mode 0600.",
                    action=f"chmod 600 {path}",
                )
            return cls.from_pem(os.read(descriptor, MAX_PEM_BYTES))
        finally:
            os.close(descriptor)

    def store(self, path: Path) -> None:
        """Write the key to the new file ``path``, mode 0600, durably.

        Raises:
            FileExistsError: The file is there; a key is never overwritten.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.pem())
            file.flush()
            os.fsync(file.fileno())

    def pem(self) -> bytes:
        """Return the private key as PKCS#8 PEM: a secret."""
        return identity.private_pem(self._key)

    def sign(self, data: bytes) -> bytes:
        """Return the ECDSA-SHA256 signature of ``data``, DER."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    def certificate(self) -> bytes:
        """Return the self-signed certificate of the key, DER; the same bytes for the life of this object."""
        with self._certifying:  # a HELLO and its handshake must show one certificate
            if not self._certificate:
                self._certificate = identity.self_signed(self._key, "assay owner")
            return self._certificate


def verify_signature(spki: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether ``signature`` (DER, ECDSA-SHA256) over ``data`` was made with the P-256 key ``spki``."""
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return False
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
