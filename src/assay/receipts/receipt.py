"""The receipt: the guest's signed statement about one execution.

Encoding, three lines:

    assay/receipt/v1
    <one JSON object in the canonical form of RFC 8785>
    <base64 of the Ed25519 signature over everything before the second newline>

The signing key is the receipt key of the guest. It means something only when it was taken from the binding of
verified start Evidence: ``Receipt.verify`` therefore has no default for it, and no way to take it from the
receipt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from assay.errors import ReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.channel.binding import SessionBinding

DOMAIN = b"assay/receipt/v1\n"
MAX_BYTES = 64 * 1024
SIGNATURE_BYTES = 64
MAX_TEXT = 128
MAX_INTEGER = (1 << 53) - 1
REASONS = frozenset(
    {
        "exited",
        "signalled",
        "time_limit",
        "output_limit",
        "memory_limit",
        "disk_limit",
        "process_limit",
        "client_gone",
        "stopped",
        "deadline",
        "not_found",
        "not_executable",
        "failed",
    }
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Digest and length of one stream of the workload.

    Attributes:
        sha256: Of all its bytes, 32 bytes.
        size: In bytes.
    """

    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The wanted outputs, named by the listing of a bundle.

    Attributes:
        sha256: Digest of that listing, 32 bytes.
        entries: How many entries it has.
        size: Sum of the sizes of its files in bytes.
        skipped: How many things were found that cannot be sent back, such as links.
    """

    sha256: bytes
    entries: int
    size: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the workload ended.

    Attributes:
        reason: One of ``REASONS``.
        code: Its exit code; None when it has none.
        signal: The signal that ended it; None when none did.
    """

    reason: str
    code: int | None
    signal: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One execution, as the guest states it.

    Attributes:
        lease: The lease id.
        sequence: Number of the execution within the lease, from 1.
        owner: SHA-256 of the owner's SubjectPublicKeyInfo.
        admission_nonce: Nonce of the admission, 32 bytes.
        start_nonce: Nonce of the start, 32 bytes.
        manifest: Digest of the manifest.
        bundle: Digest of the bundle.
        stdin: What the workload could read. Sent bytes count, whether or not it read them.
        stdout: What it wrote.
        stderr: What it wrote.
        artefacts: Its wanted outputs.
        outcome: How it ended.
        isolation: Rung of isolation between workload and agent.
        admission_evidence: SHA-256 of the admission Evidence.
        start_evidence: SHA-256 of the start Evidence.
        started_at: Milliseconds since 1970 by the guest's clock, which its host controls: self-asserted.
        ended_at: Likewise.
    """

    lease: str
    sequence: int
    owner: bytes
    admission_nonce: bytes
    start_nonce: bytes
    manifest: bytes
    bundle: bytes
    stdin: Stream
    stdout: Stream
    stderr: Stream
    artefacts: Artefacts
    outcome: Outcome
    isolation: str
    admission_evidence: bytes
    start_evidence: bytes
    started_at: int
    ended_at: int

    def encode(self, key: ed25519.Ed25519PrivateKey) -> bytes:
        """Return the receipt's bytes, signed with ``key``."""
        signed = DOMAIN + rfc8785.dumps(_to_json(self))
        return signed + b"\n" + base64.b64encode(key.sign(signed)) + b"\n"

    @classmethod
    def verify(cls, data: bytes, *, key: bytes) -> Receipt:
        """Return the receipt in ``data`` after checking its form and its signature.

        Args:
            data: The whole receipt.
            key: SubjectPublicKeyInfo DER of the receipt key, from the binding of verified start Evidence.

        Raises:
            ReceiptError: ``receipt.malformed``, ``receipt.not_canonical``, ``receipt.key``,
                ``receipt.signature``.
        """
        payload, signature = _split(data)
        try:
            public = serialization.load_der_public_key(key)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ReceiptError("receipt.key", "The receipt key cannot be read.") from error
        if not isinstance(public, ed25519.Ed25519PublicKey):
            raise ReceiptError("receipt.key", "The receipt key is not an Ed25519 key.")
        try:
            public.verify(signature, data[: len(DOMAIN) + len(payload)])
        except InvalidSignature as error:
            raise ReceiptError(
                "receipt.signature", "The receipt was not signed by the key that the start Evidence names."
            ) from error
        return _parse(payload)

    @classmethod
    def unverified(cls, data: bytes) -> Receipt:
        """Return the receipt in ``data`` for display, with its signature not checked: it proves nothing.

        Raises:
            ReceiptError: ``receipt.malformed``, ``receipt.not_canonical``.
        """
        return _parse(_split(data)[0])

    def require_session(
        self,
        *,
        admission: SessionBinding,
        admission_evidence: bytes,
        start: SessionBinding,
        start_evidence: bytes,
        bundle: bytes,
    ) -> None:
        """Refuse the receipt unless it is of exactly this execution.

        Args:
            admission: Binding of the verified admission Evidence.
            admission_evidence: That Evidence.
            start: Binding of the verified start Evidence.
            start_evidence: That Evidence.
            bundle: Digest of the bundle that was sent.

        Raises:
            ReceiptError: ``receipt.session.lease``, ``.owner``, ``.nonce``, ``.manifest``, ``.bundle`` or
                ``.evidence``: what it names is another one's.
        """
        for name, named, expected in (
            ("lease", self.lease.encode(), start.lease.encode()),
            ("owner", self.owner, hashlib.sha256(start.owner_key).digest()),
            ("nonce", self.admission_nonce + self.start_nonce, admission.nonce + start.nonce),
            ("manifest", self.manifest, start.manifest),
            ("bundle", self.bundle, bundle),
            (
                "evidence",
                self.admission_evidence + self.start_evidence,
                hashlib.sha256(admission_evidence).digest() + hashlib.sha256(start_evidence).digest(),
            ),
        ):
            if named != expected:
                raise ReceiptError(
                    f"receipt.session.{name}", f"The receipt is of another execution: its {name} differs."
                )

    def stated(self) -> dict[str, Any]:
        """Return what the receipt establishes on the word of the agent that its Evidence measures."""
        return {name: value for name, value in _to_json(self).items() if name not in SELF_ASSERTED}

    def self_asserted(self) -> dict[str, Any]:
        """Return what nothing vouches for: times by a clock that belongs to the guest's host."""
        return {name: value for name, value in _to_json(self).items() if name in SELF_ASSERTED}


SELF_ASSERTED = ("started_at", "ended_at")
_DIGESTS = (
    "owner",
    "admission_nonce",
    "start_nonce",
    "manifest",
    "bundle",
    "admission_evidence",
    "start_evidence",
)


def _to_json(receipt: Receipt) -> dict[str, Any]:
    found = asdict(receipt)
    for name in _DIGESTS:
        found[name] = found[name].hex()
    for name in ("stdin", "stdout", "stderr", "artefacts"):
        found[name]["sha256"] = found[name]["sha256"].hex()
    return found


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return payload and signature of the three lines of ``data``."""
    lines = data.split(b"\n", 4) if len(data) <= MAX_BYTES else []
    if len(lines) == 4 and lines[0] + b"\n" == DOMAIN and not lines[3]:
        try:
            signature = base64.b64decode(lines[2], validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        if len(signature) == SIGNATURE_BYTES and base64.b64encode(signature) == lines[2]:
            return lines[1], signature
    raise _malformed("it does not have its three lines, or is too large")


def _parse(payload: bytes) -> Receipt:
    try:
        found = json.loads(payload.decode("utf-8"))
        receipt = _from_json(found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _malformed("its statement has a member missing, added, or of the wrong kind") from error
    # One statement has one encoding: this also refuses a key that stands twice, of which JSON keeps the last.
    if rfc8785.dumps(_to_json(receipt)) != payload:
        raise ReceiptError("receipt.not_canonical", "The receipt's statement is not in its canonical form.")
    return receipt


def _from_json(found: Any) -> Receipt:
    if type(found) is not dict or set(found) != {field.name for field in fields(Receipt)}:
        raise KeyError("members")
    outcome = Outcome(**found["outcome"])
    if outcome.reason not in REASONS:
        raise ValueError("reason")
    return Receipt(
        lease=_text(found["lease"]),
        sequence=_integer(found["sequence"]),
        **{name: _digest(found[name]) for name in _DIGESTS},
        stdin=_stream(found["stdin"]),
        stdout=_stream(found["stdout"]),
        stderr=_stream(found["stderr"]),
        artefacts=_artefacts(found["artefacts"]),
        outcome=Outcome(outcome.reason, _optional(outcome.code), _optional(outcome.signal)),
        isolation=_text(found["isolation"]),
        started_at=_integer(found["started_at"]),
        ended_at=_integer(found["ended_at"]),
    )


def _stream(found: Mapping[str, Any]) -> Stream:
    if set(found) != {"sha256", "size"}:
        raise KeyError("stream")
    return Stream(_digest(found["sha256"]), _integer(found["size"]))


def _artefacts(found: Mapping[str, Any]) -> Artefacts:
    if set(found) != {"sha256", "entries", "size", "skipped"}:
        raise KeyError("artefacts")
    counts = (_integer(found[name]) for name in ("entries", "size", "skipped"))
    return Artefacts(_digest(found["sha256"]), *counts)


def _digest(value: Any) -> bytes:
    digest = bytes.fromhex(value)
    if len(digest) != 32:
        raise ValueError("digest")
    return digest


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise ValueError("integer")
    return value


def _optional(value: Any) -> int | None:
    return None if value is None else _integer(value)


def _text(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_TEXT or not value.isascii():
        raise ValueError("text")
    return value


def _malformed(why: str) -> ReceiptError:
    return ReceiptError("receipt.malformed", f"The receipt is malformed: {why}.")
