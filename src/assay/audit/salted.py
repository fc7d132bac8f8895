"""Commitments to guessable values: the log holds a digest that says nothing without its salt.

The digest is SHA-256 of ``assay/salted/v1``, a zero byte, the salt (32 bytes) and the value. The salt stays
in the state database; whoever is shown value and salt can check them against the log, and once the salt is
dropped nobody can, while every proof over the log still holds.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

SALT_BYTES = 32
_DOMAIN = b"assay/salted/v1\0"


class Commitment(NamedTuple):
    """A salt (32 bytes, to be kept) and the digest (32 bytes, to be shown)."""

    salt: bytes
    digest: bytes


def commit(value: bytes, *, draw: Callable[[int], bytes] = os.urandom) -> Commitment:
    """Return a fresh salt and the digest of ``value`` under it."""
    salt = draw(SALT_BYTES)
    return Commitment(salt, digest(value, salt))


def digest(value: bytes, salt: bytes) -> bytes:
    """Return the digest of ``value`` under ``salt``; 32 bytes."""
    return hashlib.sha256(_DOMAIN + salt + value).digest()


def matches(value: bytes, commitment: Commitment) -> bool:
    """Return whether the commitment is one to ``value``."""
    return hmac.compare_digest(digest(value, commitment.salt), commitment.digest)
