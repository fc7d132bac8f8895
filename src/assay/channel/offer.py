"""EVIDENCE: what a guest presents for one nonce. Nothing in it is trusted before it was appraised.

Slots, each after its length as u32 big-endian:

    domain          ``assay/evidence/v1``
    purpose         ``admission`` or ``start``
    lease           the lease id that the guest was launched for, ASCII
    platform        as the HELLO asked
    provider        what made the quote: ``tdx_guest``, ``assay_simulator``, ...
    quote           the platform's evidence, byte for byte
    auxiliary       what the quoting device added (certificates), or empty
    events          history of the runtime register, see ``runtime``
    channel_key     SubjectPublicKeyInfo DER of this session's TLS key
    receipt_key     SubjectPublicKeyInfo DER of the key that signs receipts
    proof           Ed25519 by the receipt key over ``assay/receipt-key/v1``, a newline, and the binding's
    ``B`` isolation       rung of isolation between agent and workload
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding
from assay.channel.frames import malformed, pack_slots, unpack_slots
from assay.errors import ChannelError

if TYPE_CHECKING:
    from assay.channel.hello import Hello

DOMAIN = b"assay/evidence/v1"
PROOF_DOMAIN = b"assay/receipt-key/v1\n"
ROLE = "guest"
MAX_QUOTE_BYTES = 64 * 1024
MAX_AUXILIARY_BYTES = 64 * 1024
MAX_BYTES = 512 * 1024
_BOUNDS = (
    len(DOMAIN),
    16,
    128,
    32,
    64,
    MAX_QUOTE_BYTES,
    MAX_AUXILIARY_BYTES,
    runtime.MAX_BYTES,
    512,
    512,
    64,
    32,
)


@dataclass(frozen=True, slots=True)
class Offered:
    """What a guest presented, unverified.

    Attributes:
        purpose: What it says the Evidence is for.
        lease: The lease it says it was launched for.
        platform: ``tdx``, ``sgx``, ...
        provider: What it says made the quote.
        evidence: The quote, byte for byte.
        auxiliary: What came with it.
        events: History of the runtime register, JSON.
        channel_key: SubjectPublicKeyInfo DER; TLS proves it.
        receipt_key: SubjectPublicKeyInfo DER; ``proof`` proves it.
        proof: Ed25519 signature, 64 bytes.
        isolation: Rung of isolation between agent and workload, as it says.
    """

    purpose: str
    lease: str
    platform: str
    provider: str
    evidence: bytes = field(repr=False)
    auxiliary: bytes = field(repr=False)
    events: bytes = field(repr=False)
    channel_key: bytes = field(repr=False)
    receipt_key: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    isolation: str

    @property
    def history(self) -> tuple[runtime.RuntimeEvent, ...]:
        """The events, decoded."""
        return runtime.decode_events(self.events)

    def digest(self) -> bytes:
        """Return the SHA-256 of the evidence, 32 bytes: how receipts and logs name it."""
        return hashlib.sha256(self.evidence).digest()

    def encode(self) -> bytes:
        """Return the body of the frame."""
        return pack_slots(
            (
                DOMAIN,
                self.purpose.encode(),
                self.lease.encode(),
                self.platform.encode(),
                self.provider.encode(),
                self.evidence,
                self.auxiliary,
                self.events,
                self.channel_key,
                self.receipt_key,
                self.proof,
                self.isolation.encode(),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Offered:
        """Return what is in ``data``.

        Raises:
            ChannelError: ``channel.message.malformed``.
        """
        domain, *slots = unpack_slots(data, _BOUNDS)
        if domain != DOMAIN:
            raise malformed("it is not EVIDENCE of this version")
        runtime.decode_events(slots[6])
        try:
            return cls(
                purpose=slots[0].decode("ascii"),
                lease=slots[1].decode("ascii"),
                platform=slots[2].decode("ascii"),
                provider=slots[3].decode("ascii"),
                evidence=slots[4],
                auxiliary=slots[5],
                events=slots[6],
                channel_key=slots[7],
                receipt_key=slots[8],
                proof=slots[9],
                isolation=slots[10].decode("ascii"),
            )
        except UnicodeDecodeError:
            raise malformed("a name in the EVIDENCE is not ASCII") from None


def binding_of(hello: Hello, owner_key: bytes, offered: Offered) -> SessionBinding:
    """Return the admission binding that the Evidence must carry.

    Every slot is the caller's own value, but for the two public keys of the guest.

    Args:
        hello: What this side sent (owner) or received and verified (guest).
        owner_key: SubjectPublicKeyInfo DER of the owner.
        offered: Where the guest's public keys stand.
    """
    return SessionBinding(
        purpose=Purpose.ADMISSION,
        role=ROLE,
        platform=hello.platform,
        nonce=hello.nonce,
        lease=hello.lease,
        owner_key=owner_key,
        channel_key=offered.channel_key,
        receipt_key=offered.receipt_key,
        ssh_host_key=b"",
        hpke_key=b"",
        manifest=hello.manifest,
    )


def prove(key: ed25519.Ed25519PrivateKey, binding: SessionBinding) -> bytes:
    """Return the proof that the receipt key in ``binding`` is held, 64 bytes."""
    return key.sign(PROOF_DOMAIN + binding.report_data())


def require_proof(proof: bytes, binding: SessionBinding) -> None:
    """Refuse a receipt key whose holder did not sign this very binding.

    Raises:
        ChannelError: ``channel.receipt_key.unproven``.
    """
    try:
        key = serialization.load_der_public_key(binding.receipt_key)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(proof, PROOF_DOMAIN + binding.report_data())
            return
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        pass
    raise ChannelError(
        "channel.receipt_key.unproven", "The guest did not prove that it holds its receipt key."
    )


def others_of(binding: SessionBinding) -> tuple[SessionBinding, ...]:
    """Return the bindings of the same session for every other purpose."""
    return tuple(replace(binding, purpose=purpose) for purpose in Purpose if purpose is not binding.purpose)


def require_purpose(offered: Offered, purpose: Purpose, others: tuple[SessionBinding, ...]) -> None:
    """Refuse Evidence that was made for another purpose, before it is appraised.

    The binding alone refuses it too; this gives the mistake, or the attack, its own name.

    Args:
        offered: What the guest presented.
        purpose: What it was asked for.
        others: Bindings of this session that must not stand in it.

    Raises:
        ChannelError: ``channel.evidence.purpose``.
    """
    if offered.purpose != purpose or any(other.report_data() in offered.evidence for other in others):
        raise ChannelError(
            "channel.evidence.purpose", "The guest presented Evidence that was made for another purpose."
        )
