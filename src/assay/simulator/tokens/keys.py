"""Keys of simulated token services: derived where that is cheap, made once and kept where it is not."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from assay.errors import SimulatorError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE: Final = 16384
_P384_ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)


@dataclass(frozen=True)
class ServiceKeys:
    """The private keys of an installation's token services.

    RSA keys cannot be derived cheaply: they are made at their first use and kept in ``directory``, readable
    by its owner alone, or in memory when there is none.

    Args:
        secret: The installation's secret, 32 bytes.
        directory: The installation's directory; None keeps everything in memory.
        authority_bits: Size of the keys of certificate authorities; the real ones have 4,096 bits.
    """

    secret: bytes = field(repr=False)
    directory: Path | None = None
    authority_bits: int = 4096
    _made: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rsa_key(self, label: str, bits: int = 2048) -> rsa.RSAPrivateKey:
        """Return the RSA key of this name, made if there is none yet.

        Raises:
            SimulatorError: ``simulator.tokens.key`` when the kept key is another user's or cannot be read.
        """
        if label not in self._made:
            self._made[label] = self._kept(label, bits) if self.directory else _generate(bits)
        return self._made[label]

    def has_rsa_key(self, label: str) -> bool:
        """Return whether the RSA key of this name was made before."""
        return label in self._made or (self.directory is not None and self._path(label).exists())

    def p384_key(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Return the P-384 key of this name: SHA-512 of secret and name, reduced into 1..n-1."""
        digest = hashlib.sha512(len(self.secret).to_bytes(4, "big") + self.secret + label.encode()).digest()
        return ec.derive_private_key(int.from_bytes(digest, "big") % (_P384_ORDER - 1) + 1, ec.SECP384R1())

    def _path(self, label: str) -> Path:
        assert self.directory is not None
        return self.directory / f"simulated-{label}.pem"

    def _kept(self, label: str, bits: int) -> rsa.RSAPrivateKey:
        path = self._path(label)
        if not path.exists():
            pem = _generate(bits).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(pem)
                    file.flush()
                    os.fsync(file.fileno())
                # A hard link neither replaces a key that exists nor shows a half-written one.
                with contextlib.suppress(FileExistsError):
                    os.link(fresh, path)
            finally:
                fresh.unlink()
        return _read(path)


def _generate(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _read(path: Path) -> rsa.RSAPrivateKey:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise SimulatorError("simulator.tokens.key", "A kept key does not belong to you alone.")
            key = load_pem_private_key(file.read(_MAX_FILE), None)
    except (OSError, ValueError, TypeError) as error:
        raise SimulatorError("simulator.tokens.key", "A kept key cannot be read.") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SimulatorError("simulator.tokens.key", "A kept key is no RSA key.")
    return key
