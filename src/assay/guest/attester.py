"""What the agent proves: keys made for a nonce, quotes over bindings, the runtime register's history."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding
from assay.channel.identity import spki_of
from assay.channel.offer import Offered, binding_of, prove
from assay.errors import GuestError

if TYPE_CHECKING:
    from assay.channel.hello import Hello
    from assay.guest.quoting import QuotingDevice

# What a provider of quotes can make; a simulated device makes what it is asked for.
_PLATFORMS = {"tdx_guest": ("tdx",), "sev_guest": ("snp",), "assay_simulator": ("tdx", "sgx")}


@dataclass(frozen=True, slots=True)
class Admission:
    """One admission: a nonce that was answered.

    Attributes:
        hello: What was asked.
        binding: What the Evidence is bound to.
        offered: The Evidence.
        channel_key: Private key of the session.
    """

    hello: Hello
    binding: SessionBinding
    offered: Offered
    channel_key: ec.EllipticCurvePrivateKey = field(repr=False)


class Attester:
    """Proves what this guest is.

    Args:
        device: The quoting device.
        lease: The lease id of the measured configuration.
        owner_key: The owner's SubjectPublicKeyInfo DER of the measured configuration.
        isolation: Rung of isolation between agent and workload.
    """

    def __init__(self, device: QuotingDevice, *, lease: str, owner_key: bytes, isolation: str) -> None:
        self._device = device
        self._lease = lease
        self._owner_key = owner_key
        self._isolation = isolation
        self._history: tuple[runtime.RuntimeEvent, ...] = ()
        self._receipt_key: ed25519.Ed25519PrivateKey | None = None
        # Quoting and extending exclude each other: the history that is sent is the one that the quote shows.
        self._lock = threading.Lock()
        # Another one, so that a receipt never waits for the device.
        self._key_lock = threading.Lock()

    def admit(self, hello: Hello) -> Admission:
        """Answer a HELLO that was checked, with a channel key made now.

        Raises:
            GuestError: ``guest.platform.unsupported``, ``guest.quoting.*``.
        """
        channel_key = ec.generate_private_key(ec.SECP256R1())
        bare = Offered(
            purpose=Purpose.ADMISSION,
            lease=self._lease,
            platform=hello.platform,
            provider="",
            evidence=b"",
            auxiliary=b"",
            events=b"",
            channel_key=spki_of(channel_key.public_key()),
            receipt_key=spki_of(self.signer().public_key()),
            proof=b"",
            isolation=self._isolation,
        )
        binding = binding_of(hello, self._owner_key, bare)
        with self._lock:
            return Admission(hello, binding, self._quoted(bare, binding), channel_key)

    def start(self, admission: Admission, nonce: bytes, bundle: bytes) -> tuple[SessionBinding, Offered]:
        """Measure manifest and bundle into the runtime register and prove it under ``nonce``.

        Raises:
            GuestError: ``guest.history.full``, ``guest.quoting.*``.
        """
        binding = replace(admission.binding, purpose=Purpose.START, nonce=nonce)
        with self._lock:
            events = runtime.events_of_start(self._isolation, binding.manifest, bundle)
            if len(self._history) + len(events) > runtime.MAX_EVENTS:
                raise GuestError("guest.history.full", "This guest has started too many workloads.")
            for event in events:
                # The history grows with the register, event by event, even if a later step fails.
                self._device.extend(runtime.REGISTER, event.digest())
                self._history += (event,)
            bare = replace(admission.offered, purpose=Purpose.START)
            return binding, self._quoted(bare, binding)

    def signer(self) -> ed25519.Ed25519PrivateKey:
        """Return the key that signs receipts, made when it is first needed."""
        with self._key_lock:
            if self._receipt_key is None:
                self._receipt_key = ed25519.Ed25519PrivateKey.generate()
            return self._receipt_key

    def hardware_gone(self) -> bool:
        """Tell whether there is nothing left to prove with."""
        return self._device.gone()

    def forget(self) -> None:
        """Drop the receipt key."""
        self._receipt_key = None

    def _quoted(self, bare: Offered, binding: SessionBinding) -> Offered:
        quote = self._device.quote(binding.report_data())
        if binding.platform not in _PLATFORMS.get(quote.provider, ()):
            raise GuestError(
                "guest.platform.unsupported",
                "This guest's hardware is of another platform than was asked for.",
            )
        return replace(
            bare,
            provider=quote.provider,
            evidence=quote.outblob,
            auxiliary=quote.auxblob,
            events=runtime.encode_events(self._history),
            proof=prove(self.signer(), binding),
        )
