"""The binding: one encoding of everything that ties Evidence to one session.

Every slot is present in this order; an empty slot is explicit (length zero):

    domain          ``assay/binding/v1``
    purpose         ``admission``, ``start`` or ``release``
    role            the attester's role: ``guest``
    platform        ``tdx``, ``sgx``, ...
    nonce           32 bytes, single use
    lease           the lease id, ASCII
    owner_key       SubjectPublicKeyInfo DER of the owner
    channel_key     SubjectPublicKeyInfo DER of the session's TLS key
    receipt_key     SubjectPublicKeyInfo DER of the key that signs receipts
    ssh_host_key    SSH wire encoding of the host key, or empty
    hpke_key        the recipient's public key, or empty
    manifest        SHA-256 of the manifest, 32 bytes

Each slot is its length as unsigned 32-bit big-endian, then its bytes. ``B`` is the SHA-512 of the whole.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import astuple, dataclass
from enum import StrEnum

from assay.errors import ChannelError

DOMAIN = b"assay/binding/v1"
NONCE_BYTES = 32
MANIFEST_DIGEST_BYTES = 32


class Purpose(StrEnum):
    """What Evidence is for; Evidence for one purpose is refused for another."""

    ADMISSION = "admission"
    START = "start"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class SessionBinding:
    """The slots of one binding; see the module for their meaning and encoding.

    Raises:
        ChannelError: ``channel.binding.malformed`` when a slot of fixed size has another.
    """

    purpose: Purpose
    role: str
    platform: str
    nonce: bytes
    lease: str
    owner_key: bytes
    channel_key: bytes
    receipt_key: bytes
    ssh_host_key: bytes
    hpke_key: bytes
    manifest: bytes

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES or len(self.manifest) != MANIFEST_DIGEST_BYTES:
            raise ChannelError(
                "channel.binding.malformed",
                f"A binding needs a nonce of {NONCE_BYTES} bytes and a manifest digest of"
                f" {MANIFEST_DIGEST_BYTES} bytes, not {len(self.nonce)} and {len(self.manifest)}.",
            )

    def encode(self) -> bytes:
        """Return the length-prefixed encoding of all slots, the domain first."""
        slots = (DOMAIN, *(slot.encode() if isinstance(slot, str) else slot for slot in astuple(self)))
        return b"".join(struct.pack(">I", len(slot)) + slot for slot in slots)

    def report_data(self) -> bytes:
        """Return ``B``, 64 bytes: what 64-byte report data and Nitro ``user_data`` hold."""
        return hashlib.sha512(self.encode()).digest()

    def carried(self, carrier: str) -> bytes:
        """Return what a 32-byte carrier (TPM ``extraData``, a GPU nonce) holds.

        Args:
            carrier: ``tpm``, ``gpu`` or ``eat_nonce``.

        Returns:
            SHA-256 of the carrier's name, length-prefixed, and the encoding, 32 bytes.
        """
        name = carrier.encode()
        return hashlib.sha256(struct.pack(">I", len(name)) + name + self.encode()).digest()

    def eat_nonce(self) -> str:
        """Return what the ``eat_nonce`` of a token holds: base64url without padding, 43 characters."""
        return base64.urlsafe_b64encode(self.carried("eat_nonce")).rstrip(b"=").decode()
