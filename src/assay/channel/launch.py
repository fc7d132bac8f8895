"""What a guest is launched with: the only configuration that is measured before its first instruction.

The launcher hands these bytes to the guest and puts their SHA-384 into MRCONFIGID, so a Verifier that knows
the owner's key and the lease knows the value in advance. Nothing here is secret.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from assay.errors import ChannelError

DOMAIN = b"assay/launch/v1"
MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """The measured launch configuration of one guest.

    Attributes:
        lease: The lease id, ASCII.
        owner_key: SubjectPublicKeyInfo DER of the only key that the guest serves.
        ttl_seconds: Life of the guest on its own monotonic clock; it wipes and exits at the end.
        idle_seconds: It also does so after this long without an owner's session or a running workload.
    """

    lease: str
    owner_key: bytes
    ttl_seconds: int
    idle_seconds: int

    def encode(self) -> bytes:
        """Return the encoding: each field length-prefixed (u32 big-endian), integers as u64 big-endian."""
        slots = (
            DOMAIN,
            self.lease.encode("ascii"),
            self.owner_key,
            struct.pack(">Q", self.ttl_seconds),
            struct.pack(">Q", self.idle_seconds),
        )
        return b"".join(struct.pack(">I", len(slot)) + slot for slot in slots)

    @classmethod
    def decode(cls, data: bytes) -> LaunchConfig:
        """Return the configuration that ``data`` encodes, exactly.

        Raises:
            ChannelError: ``channel.launch.malformed`` for anything but one exact encoding.
        """
        slots: list[bytes] = []
        offset = 0
        if len(data) <= MAX_BYTES:
            while offset + 4 <= len(data):
                (size,) = struct.unpack_from(">I", data, offset)
                slots.append(data[offset + 4 : offset + 4 + size])
                offset += 4 + size
        if (
            len(slots) == 5
            and offset == len(data)
            and slots[0] == DOMAIN
            and len(slots[3]) == len(slots[4]) == 8
        ):
            try:
                lease = slots[1].decode("ascii")
            except UnicodeDecodeError:
                lease = ""
            found = cls(lease, slots[2], *struct.unpack(">QQ", slots[3] + slots[4]))
            if lease and found.encode() == data:
                return found
        raise ChannelError("channel.launch.malformed", "The launch configuration is not an exact encoding.")

    def digest(self) -> bytes:
        """Return the SHA-384 of the encoding, 48 bytes: the value of MRCONFIGID."""
        return hashlib.sha384(self.encode()).digest()
