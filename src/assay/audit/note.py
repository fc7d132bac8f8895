"""Signed notes (C2SP signed-note) and the checkpoints in them (C2SP tlog-checkpoint, tlog-cosignature).

A note is its text, which ends in a newline; an empty line; and signature lines::

    — <key name> <base64 of key id (4 bytes) and signature>

The key id is the first four bytes of SHA-256 of name, newline, type, public key. A key is written as
``<name>+<key id in hexadecimal>+<base64 of type and public key>``. Types: 1 is Ed25519 over the text; 4 is an
Ed25519 cosignature: 8 bytes of time (seconds, big-endian) and the signature over two lines,
``cosignature/v1`` and ``time <seconds>``, and the text.

A checkpoint is three lines: origin, size in decimal, base64 of the root hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from assay.audit.merkle import EMPTY_ROOT, HASH_BYTES, LARGEST_SIZE
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_NOTE = 64 * 1024
MOST_SIGNATURES = 100
ED25519 = 1
COSIGNATURE = 4

_NAME = re.compile(r"[^\s+\x00-\x1f\x7f-\x9f]{1,200}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_DASH = "— "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name it signs under.

    Attributes:
        name: The key's name; that of a log is its origin.
        kind: ``ED25519`` or ``COSIGNATURE``.
        public: The raw public key, 32 bytes.
        id: The key id, 4 bytes.
    """

    name: str
    kind: int
    public: bytes
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        if (
            not _NAME.fullmatch(self.name)
            or self.kind not in {ED25519, COSIGNATURE}
            or len(self.public) != 32
        ):
            raise AuditError(
                "audit.key.malformed",
                "A verifier key is NAME+ID+KEY with a name without spaces, and an Ed25519 key (type 1 or 4).",
            )
        digest = hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()
        object.__setattr__(self, "id", digest[:4])

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``<name>+<key id>+<base64>``; white space around it is ignored.

        Raises:
            AuditError: ``audit.key.malformed``.
        """
        parts = text.strip().split("+", 2) if len(text) <= 1024 else []
        try:
            name, identity, encoded = parts
            raw = decode_base64(encoded)
            found = cls(name, raw[0], raw[1:])
            matches = identity == found.id.hex()
        except (ValueError, IndexError):
            matches = False
        if not matches:
            raise AuditError(
                "audit.key.malformed",
                "This is not the verifier key of a log: that has the form NAME+ID+KEY, as in log.vkey.",
            )
        return found

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def verify(self, text: bytes, signature: bytes) -> int | None:
        """Check a signature over a note's text; return the time that a cosignature states, in seconds.

        Raises:
            AuditError: ``audit.signature.invalid``.
        """
        stated: int | None = None
        message = text
        if self.kind == COSIGNATURE and len(signature) == 72:
            stated = struct.unpack(">Q", signature[:8])[0]
            signature = signature[8:]
            message = f"cosignature/v1\ntime {stated}\n".encode() + text
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise AuditError(
                "audit.signature.invalid", f"The signature of {self.name!r} on the checkpoint is not valid."
            ) from None
        return stated


@dataclass(frozen=True, slots=True)
class Signature:
    """A verified signature: by which key, and when, if it says so (Unix seconds, the signer's word)."""

    key: VerifierKey
    time: int | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one moment.

    Attributes:
        origin: The log's name.
        size: Number of entries.
        root: Root hash of their tree, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def encode(self) -> bytes:
        """Return the text of the note: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()

    @classmethod
    def decode(cls, text: bytes) -> Checkpoint:
        """Read the text of a note; extension lines are refused.

        Raises:
            AuditError: ``audit.format.checkpoint``.
        """
        failed = AuditError(
            "audit.format.checkpoint", "The checkpoint does not have the form origin, size, root hash."
        )
        try:
            origin, size, encoded, rest = text.decode().split("\n")
            root = decode_base64(encoded)
        except ValueError:
            raise failed from None
        if rest or not _NAME.fullmatch(origin) or not _DECIMAL.fullmatch(size):
            raise failed
        found = cls(origin, int(size), root)
        if len(root) != HASH_BYTES or found.size > LARGEST_SIZE or (found.size == 0 and root != EMPTY_ROOT):
            raise failed
        return found


def decode_base64(text: str) -> bytes:
    """Return what one spelling of base64 says; the others, which Python also reads, are refused.

    Raises:
        ValueError: when it is not base64, or not as one would write it.
    """
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def sign(text: bytes, name: str, key_id: bytes, signature: bytes) -> bytes:
    """Return the note of ``text`` with one signature line."""
    line = f"{_DASH}{name} {base64.b64encode(key_id + signature).decode()}\n"
    return text + b"\n" + line.encode()


def split(data: bytes) -> tuple[bytes, tuple[tuple[str, bytes, bytes], ...]]:
    """Return the text of a note and its signatures (name, key id, signature), nothing verified.

    Raises:
        AuditError: ``audit.format.note``.
    """
    failed = AuditError("audit.format.note", "The checkpoint is not a signed note.")
    text, separator, lines = data.rpartition(b"\n\n")
    if len(data) > LARGEST_NOTE or not separator or not text or not lines.endswith(b"\n"):
        raise failed
    try:
        text.decode()
        shown = lines.decode()[:-1].split("\n")
    except UnicodeDecodeError:
        raise failed from None
    if len(shown) > MOST_SIGNATURES or any(byte < 0x20 and byte != 0x0A for byte in data):
        raise failed
    found: list[tuple[str, bytes, bytes]] = []
    for line in shown:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            raw = decode_base64(encoded)
        except ValueError:
            raise failed from None
        if not line.startswith(_DASH) or not space or not _NAME.fullmatch(name) or len(raw) < 5:
            raise failed
        found.append((name, raw[:4], raw[4:]))
    return text + b"\n", tuple(found)


def open_note(data: bytes, keys: Iterable[VerifierKey]) -> tuple[bytes, tuple[Signature, ...]]:
    """Return the text of a note and the verified signatures of known keys; unknown keys are passed over.

    Raises:
        AuditError: ``audit.format.note``; ``audit.signature.invalid`` when any signature of a known key
        fails;
            ``audit.signature.missing`` when no known key signed.
    """
    text, lines = split(data)
    known = {(key.name, key.id): key for key in keys}
    verified: dict[VerifierKey, Signature] = {}
    for name, identity, signature in lines:
        key = known.get((name, identity))
        if key is not None and key not in verified:
            verified[key] = Signature(key, key.verify(text, signature))
    if not verified:
        raise AuditError(
            "audit.signature.missing",
            "The checkpoint is not signed by the expected key.",
            action="Check that --vkey is the key of this log.",
        )
    return text, tuple(verified.values())
