"""What the frames inside TLS carry, for both ends: one encoding and one strict decoding of each.

Small structured bodies are JSON objects with exactly the members given here; output has a binary head because
it is the bulk of the traffic:

    OUTPUT      u8 stream (1 stdout, 2 stderr), u64 offset of its first byte, bytes
    CREDIT      u32 how many more bytes of stdin may be sent
    SIGNAL      u8 number
    WINDOW      u16 rows, u16 columns
    START       nonce, 32 bytes
"""

from __future__ import annotations

import base64
import json
import signal
import struct
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from assay.channel import frames, offer
from assay.channel.binding import NONCE_BYTES
from assay.channel.frames import Kind, malformed
from assay.errors import AssayError, ChannelError
from assay.workload.environment import MAX_TOTAL_BYTES
from assay.workload.manifest import MAX_BYTES as MAX_MANIFEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAMS = {1: "stdout", 2: "stderr"}
STDIN_WINDOW = 256 * 1024
STDIN_CHUNK = 32 * 1024
OUTPUT_HEAD = struct.Struct(">BQ")
CREDIT = struct.Struct(">I")
WINDOW = struct.Struct(">HH")
MAX_JSON = 8192
MAX_TERMINAL = 10_000
MAX_RECEIPT_BYTES = 64 * 1024
MAX_INTEGER = (1 << 53) - 1

# What the owner may send, by state, with the largest body of each.
_LATE = {Kind.STDIN: STDIN_CHUNK, Kind.STDIN_END: 0, Kind.SIGNAL: 1, Kind.WINDOW: WINDOW.size}
COMMANDS: Mapping[Kind, int] = {
    Kind.MANIFEST: MAX_MANIFEST_BYTES,
    Kind.START: NONCE_BYTES,
    Kind.RUN: 2 * MAX_TOTAL_BYTES,
    Kind.ATTACH: MAX_JSON,
    Kind.DETACH: 0,
    Kind.STATUS: 0,
    Kind.WAIT: 0,
    Kind.DOWNLOAD: 0,
    Kind.RECEIPT: 0,
    Kind.RELEASE: 0,
    **_LATE,  # sent before the owner could know that the workload had ended: dropped
}
UPLOADING: Mapping[Kind, int] = {Kind.CHUNK: frames.CHUNK_BYTES, Kind.BUNDLE_END: 0}
FOLLOWING: Mapping[Kind, int] = {**_LATE, Kind.DETACH: 0}

# What the guest may send, by what was asked.
ERROR = {Kind.ERROR: MAX_JSON}
DONE: Mapping[Kind, int] = {Kind.DONE: 0, **ERROR}
READY: Mapping[Kind, int] = {Kind.READY: 0, **ERROR}
OFFER: Mapping[Kind, int] = {Kind.OFFER: offer.MAX_BYTES, **ERROR}
STARTED: Mapping[Kind, int] = {Kind.STARTED: MAX_JSON, **ERROR}
EVENTS: Mapping[Kind, int] = {
    Kind.OUTPUT: OUTPUT_HEAD.size + frames.CHUNK_BYTES,
    Kind.CREDIT: CREDIT.size,
    Kind.EXIT: MAX_JSON,
    Kind.STATE: MAX_JSON,
    Kind.DONE: 0,
    **ERROR,
}
STATE: Mapping[Kind, int] = {Kind.STATE: MAX_JSON, **ERROR}
EXIT: Mapping[Kind, int] = {Kind.EXIT: MAX_JSON, **ERROR}
PARTS: Mapping[Kind, int] = {Kind.PART: frames.CHUNK_BYTES, Kind.PARTS_END: 0, **ERROR}
SIGNED: Mapping[Kind, int] = {Kind.SIGNED: MAX_RECEIPT_BYTES, **ERROR}


@dataclass(frozen=True, slots=True)
class Exit:
    """How a workload ended, as the guest says; its receipt is what it signs.

    Attributes:
        sequence: Number of the execution within the lease.
        reason: One of ``receipts.receipt.REASONS``: ``exited``, ``signalled``, ``time_limit``, ...
        code: Exit code, None when it has none.
        signal: The signal that ended it, None when none did.
        stdout_bytes: How much it wrote.
        stderr_bytes: How much it wrote.
    """

    sequence: int
    reason: str
    code: int | None
    signal: int | None
    stdout_bytes: int
    stderr_bytes: int

    @property
    def exit_code(self) -> int:
        """What ``assay run`` returns: the workload's own code, 124 for the time limit, 128+n for a signal.

        A workload that was to be ended may have ended with 0 just before. What it wrote or left is not
        whole then, so it counts as killed, which it would have been a moment later.
        """
        if self.reason == "time_limit":
            return 124
        if self.code == 0 and self.reason != "exited":
            return 128 + signal.SIGKILL
        if self.code is not None:
            return self.code
        return 128 + self.signal if self.signal is not None else 125


@dataclass(frozen=True, slots=True)
class Status:
    """What a guest is doing.

    Attributes:
        phase: One of ``guest.phases.Phase``.
        sequence: Number of the last execution, 0 before the first.
        detached: Whether the workload outlives its owner's connection.
        stdout_bytes: How much it has written.
        stderr_bytes: How much it has written.
        seconds_left: Until the guest ends itself.
        exit: How the last execution ended, None before it has.
    """

    phase: str
    sequence: int
    detached: bool
    stdout_bytes: int
    stderr_bytes: int
    seconds_left: int
    exit: Exit | None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a workload is started with, beyond its manifest.

    Attributes:
        environment: Values for names that the manifest has: secrets.
        stdin: Whether stdin will be sent; otherwise it is empty.
        rows: Height of the terminal, 0 where there is none.
        columns: Its width.
    """

    environment: Mapping[str, bytes] = field(repr=False)
    stdin: bool
    rows: int
    columns: int

    def encode(self) -> bytes:
        """Return the body of RUN."""
        values = {name: base64.b64encode(value).decode() for name, value in self.environment.items()}
        return _dump({"environment": values, "stdin": self.stdin, "rows": self.rows, "columns": self.columns})

    @classmethod
    def decode(cls, data: bytes) -> RunRequest:
        """Return what is in ``data``.

        Raises:
            ChannelError: ``channel.message.malformed``.
        """
        found = _load(data, {"environment", "stdin", "rows", "columns"})
        values = found["environment"]
        if type(values) is not dict or any(type(value) is not str for value in values.values()):
            raise malformed("the environment is not an object of texts")
        try:
            decoded = {name: base64.b64decode(value, validate=True) for name, value in values.items()}
        except ValueError:
            raise malformed("a value of the environment is not base64") from None
        return cls(
            decoded,
            _boolean(found["stdin"]),
            _integer(found["rows"], MAX_TERMINAL),
            _integer(found["columns"], MAX_TERMINAL),
        )


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """From where to send what a workload wrote.

    Attributes:
        stdout: Offset of the first byte wanted.
        stderr: Likewise.
        follow: Go on until the workload ends; otherwise only what is there.
        control: Take over stdin, signals and terminal.
    """

    stdout: int
    stderr: int
    follow: bool
    control: bool

    def encode(self) -> bytes:
        """Return the body of ATTACH."""
        return _dump(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> AttachRequest:
        """Return what is in ``data``.

        Raises:
            ChannelError: ``channel.message.malformed``.
        """
        found = _load(data, {"stdout", "stderr", "follow", "control"})
        return cls(
            _integer(found["stdout"], MAX_INTEGER),
            _integer(found["stderr"], MAX_INTEGER),
            _boolean(found["follow"]),
            _boolean(found["control"]),
        )


def encode_exit(found: Exit) -> bytes:
    """Return the body of EXIT."""
    return _dump(asdict(found))


def decode_exit(data: bytes) -> Exit:
    """Return what is in ``data``.

    Raises:
        ChannelError: ``channel.message.malformed``.
    """
    return _exit(_load(data, None))


def encode_status(found: Status) -> bytes:
    """Return the body of STATE."""
    return _dump(asdict(found))


def decode_status(data: bytes) -> Status:
    """Return what is in ``data``.

    Raises:
        ChannelError: ``channel.message.malformed``.
    """
    found = _load(
        data,
        {"phase", "sequence", "detached", "stdout_bytes", "stderr_bytes", "seconds_left", "exit"},
    )
    return Status(
        phase=_word(found["phase"]),
        sequence=_integer(found["sequence"], MAX_INTEGER),
        detached=_boolean(found["detached"]),
        stdout_bytes=_integer(found["stdout_bytes"], MAX_INTEGER),
        stderr_bytes=_integer(found["stderr_bytes"], MAX_INTEGER),
        seconds_left=_integer(found["seconds_left"], MAX_INTEGER),
        exit=None if found["exit"] is None else _exit(found["exit"]),
    )


def encode_started(sequence: int) -> bytes:
    """Return the body of STARTED."""
    return _dump({"sequence": sequence})


def decode_started(data: bytes) -> int:
    """Return the sequence number in ``data``.

    Raises:
        ChannelError: ``channel.message.malformed``.
    """
    return _integer(_load(data, {"sequence"})["sequence"], MAX_INTEGER)


def encode_error(error: AssayError) -> bytes:
    """Return the body of ERROR or REFUSED."""
    return _dump({"code": error.code[:128], "message": error.message[:1024]})


def decode_error(data: bytes) -> ChannelError:
    """Return the peer's refusal as an error of ours; the peer's words are bounded and escaped.

    The code is the peer's own where it looks like one, so that a program can tell a foreign key from a nonce
    that was used before.
    """
    found = _load(data, {"code", "message"})
    code = found["code"] if _is_code(found["code"]) else "channel.peer.refused"
    message = str(found["message"])[:1024].encode("unicode_escape").decode()
    return ChannelError(code, f"The guest refused: {message}", refused_by="guest")


def _is_code(code: Any) -> bool:
    return (
        type(code) is str
        and 0 < len(code) <= 128
        and code.isascii()
        and code.replace(".", "a").replace("_", "a").isalnum()
        and code == code.lower()
    )


def _exit(found: Any) -> Exit:
    members = {"sequence", "reason", "code", "signal", "stdout_bytes", "stderr_bytes"}
    if type(found) is not dict or set(found) != members:
        raise malformed("an exit has other members than it should")
    return Exit(
        sequence=_integer(found["sequence"], MAX_INTEGER),
        reason=_word(found["reason"]),
        code=None if found["code"] is None else _integer(found["code"], 255),
        signal=None if found["signal"] is None else _integer(found["signal"], 127),
        stdout_bytes=_integer(found["stdout_bytes"], MAX_INTEGER),
        stderr_bytes=_integer(found["stderr_bytes"], MAX_INTEGER),
    )


def _dump(found: Mapping[str, Any]) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode()


def _load(data: bytes, members: set[str] | None) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise malformed("it is not JSON") from None
    if type(found) is not dict or (members is not None and set(found) != members):
        raise malformed("it has other members than it should")
    return found


def _integer(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise malformed("a number is missing or out of range")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise malformed("a truth value is missing")
    return value


def _word(value: Any) -> str:
    if (
        type(value) is not str
        or len(value) > 64
        or not value.replace("_", "a").isalnum()
        or not value.isascii()
    ):
        raise malformed("a word is missing")
    return value
