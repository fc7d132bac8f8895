"""HELLO: what an owner asks of a guest before anything is secret, signed by the owner's key.

Slots, each after its length as u32 big-endian:

    domain          ``assay/hello/v1``
    purpose         ``admission``
    lease           the lease id, ASCII
    platform        ``tdx``, ``sgx``, ... as the Relying Party chose it
    nonce           32 bytes, single use
    manifest        SHA-256 of the manifest, 32 bytes
    owner_key       the owner's SubjectPublicKeyInfo, DER
    certificate     the owner's self-signed certificate, DER
    signature       ECDSA-SHA256 by the owner's key over all slots before it, as encoded

There is no time in it: a guest's clock belongs to its host. A guest remembers every nonce of its life
instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.channel.binding import MANIFEST_DIGEST_BYTES, NONCE_BYTES, Purpose
from assay.channel.frames import malformed, pack_slots, unpack_slots
from assay.channel.identity import MAX_CERTIFICATE_BYTES, spki_of_certificate
from assay.channel.owner import OwnerKey, verify_signature
from assay.errors import ChannelError

if TYPE_CHECKING:
    from assay.channel.launch import LaunchConfig

DOMAIN = b"assay/hello/v1"
MAX_BYTES = 4096
_BOUNDS = (len(DOMAIN), 16, 128, 32, NONCE_BYTES, MANIFEST_DIGEST_BYTES, 512, MAX_CERTIFICATE_BYTES, 128)


@dataclass(frozen=True, slots=True)
class Hello:
    """A HELLO; see the module for the meaning and encoding of each field."""

    purpose: str
    lease: str
    platform: str
    nonce: bytes
    manifest: bytes
    owner_key: bytes
    certificate: bytes
    signature: bytes

    @classmethod
    def signed(cls, owner: OwnerKey, *, lease: str, platform: str, nonce: bytes, manifest: bytes) -> Hello:
        """Return a HELLO of ``owner`` for an admission."""
        unsigned = cls(
            purpose=Purpose.ADMISSION,
            lease=lease,
            platform=platform,
            nonce=nonce,
            manifest=manifest,
            owner_key=owner.spki,
            certificate=owner.certificate(),
            signature=b"",
        )
        return replace(unsigned, signature=owner.sign(unsigned.signed_bytes()))

    def signed_bytes(self) -> bytes:
        """Return what the signature is over."""
        return pack_slots(
            (
                DOMAIN,
                self.purpose.encode(),
                self.lease.encode(),
                self.platform.encode(),
                self.nonce,
                self.manifest,
                self.owner_key,
                self.certificate,
            )
        )

    def encode(self) -> bytes:
        """Return the body of the frame."""
        return self.signed_bytes() + pack_slots((self.signature,))

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Return the HELLO in ``data``; nothing of it is verified.

        Raises:
            ChannelError: ``channel.message.malformed``.
        """
        domain, purpose, lease, platform, nonce, manifest, *keys = unpack_slots(data, _BOUNDS)
        if domain != DOMAIN or len(nonce) != NONCE_BYTES or len(manifest) != MANIFEST_DIGEST_BYTES:
            raise malformed("it is not a HELLO of this version")
        try:
            return cls(
                purpose.decode("ascii"),
                lease.decode("ascii"),
                platform.decode("ascii"),
                nonce,
                manifest,
                *keys,
            )
        except UnicodeDecodeError:
            raise malformed("a name in the HELLO is not ASCII") from None

    def require_from_owner(self, config: LaunchConfig) -> None:
        """Refuse the HELLO unless it was made for this guest by the owner in its measured configuration.

        Raises:
            ChannelError: ``channel.hello.purpose``, ``channel.hello.lease``, ``channel.owner.foreign``,
                ``channel.hello.signature``, ``channel.hello.certificate``, ``channel.certificate.malformed``.
        """
        if self.purpose != Purpose.ADMISSION:
            raise ChannelError("channel.hello.purpose", "A session begins with an admission, nothing else.")
        if self.lease != config.lease:
            raise ChannelError("channel.hello.lease", "The HELLO is for another lease than this guest's.")
        if self.owner_key != config.owner_key:
            raise ChannelError(
                "channel.owner.foreign", "This guest serves one owner, and that is another key."
            )
        if not verify_signature(config.owner_key, self.signature, self.signed_bytes()):
            raise ChannelError("channel.hello.signature", "The HELLO was not signed by the owner's key.")
        # A certificate is parsed only now: no stranger's bytes ever get as far as that.
        if spki_of_certificate(self.certificate) != config.owner_key:
            raise ChannelError("channel.hello.certificate", "The certificate in the HELLO is of another key.")
