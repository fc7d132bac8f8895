"""An attestation document in the making: everything in it may be changed before, or after, it is signed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.evidence.decoding.cbor import Tag, encode, head
from assay.simulator.nitro.pki import sign_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.simulator.nitro.pki import Issued, PrivateKey

ES384 = -35


@dataclass(slots=True)
class DocumentDraft:
    """A document before it is signed.

    Attributes:
        members: The payload: member -> value, written in the order of a security module; certificate and
            cabundle are put in from ``chain`` unless they stand here.
        chain: Root, region, zone, instance, leaf.
        key: What signs; the leaf's.
        protected: The protected header.
        unprotected: The unprotected header.
        indefinite: Whether the payload is a map of indefinite length, as newer modules write it.
        tagged: Whether COSE's tag 18 stands before the document.
        context: The context string of what is signed.
        after_payload: Changes the payload before it is signed.
        after: Changes the finished document.
    """

    members: dict[str, Any]
    chain: list[Issued]
    key: PrivateKey = field(repr=False)
    protected: bytes = field(default_factory=lambda: encode({1: ES384}))
    unprotected: dict[Any, Any] = field(default_factory=dict)
    indefinite: bool = True
    tagged: bool = False
    context: str = "Signature1"
    after_payload: Callable[[bytes], bytes] = field(default=bytes)
    after: Callable[[bytes], bytes] = field(default=bytes)

    def payload(self) -> bytes:
        """Return the payload that is signed."""
        members = {
            "certificate": self.chain[-1].der,
            "cabundle": [issued.der for issued in self.chain[:-1]],
        } | self.members
        order = [name for name in _ORDER if name in members]
        order += [name for name in members if name not in order]
        content = b"".join(encode(name) + _value(members[name]) for name in order)
        opened = b"\xbf" if self.indefinite else head(5, len(order))
        return self.after_payload(opened + content + (b"\xff" if self.indefinite else b""))

    def encode(self) -> bytes:
        """Sign the document as it stands and return it."""
        payload = self.payload()
        signature = sign_raw(self.key, encode([self.context, self.protected, b"", payload]))
        parts = [self.protected, self.unprotected, payload, signature]
        return self.after(encode(Tag(18, parts) if self.tagged else parts))


_ORDER = (
    "module_id",
    "digest",
    "timestamp",
    "pcrs",
    "nitrotpm_pcrs",
    "certificate",
    "cabundle",
    "public_key",
    "user_data",
    "nonce",
)


def _value(value: Any) -> bytes:
    """Encode a member; registers stand in the order of their numbers."""
    if isinstance(value, dict):
        entries: Mapping[Any, Any] = value
        return head(5, len(entries)) + b"".join(encode(key) + encode(item) for key, item in entries.items())
    return encode(value)
