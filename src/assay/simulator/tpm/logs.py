"""Writers of the logs of what was extended: the firmware's in both formats, a launcher's, and IMA's."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.kinds import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.simulator.tpm.device import SoftwareTpm

GLOBAL_VARIABLE = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")


def variable(name: str, data: bytes) -> bytes:
    """Return a UEFI_VARIABLE_DATA of the global namespace."""
    return GLOBAL_VARIABLE + struct.pack("<QQ", len(name), len(data)) + name.encode("utf-16-le") + data


def image_load() -> bytes:
    """Return a UEFI_IMAGE_LOAD_EVENT: where an image was loaded, and a device path that ends at once."""
    path = bytes.fromhex("7fff0400")
    return struct.pack("<QQQQ", 0x7E000000, 0x1000, 0, len(path)) + path


@dataclass(slots=True)
class LoggedEvent:
    """One event of a firmware's log.

    Attributes:
        register: The PCR.
        kind: Event type.
        payload: Its data.
        digests: What was extended, by bank.
    """

    register: int
    kind: int
    payload: bytes
    digests: dict[Algorithm, bytes]


@dataclass(slots=True)
class FirmwareLog:
    """The events of a boot; changing them afterwards leaves the PCRs as they are.

    Attributes:
        banks: The algorithms that the header declares.
        events: The events in order.
        padding: What follows the last event.
    """

    banks: tuple[Algorithm, ...]
    events: list[LoggedEvent] = field(default_factory=list)
    padding: bytes = b""

    def note(self, payload: bytes, register: int = 0) -> None:
        """Add an event that measures nothing."""
        empty = {bank: bytes(bank.size) for bank in self.banks}
        self.events.append(LoggedEvent(register, EventType.NO_ACTION, payload, empty))

    def measure(
        self, tpm: SoftwareTpm, register: int, kind: int, payload: bytes, measured: bytes | None = None
    ) -> None:
        """Extend a PCR with the hashes of the payload, or of what was really measured, and log it."""
        digests = tpm.measure(register, payload if measured is None else measured)
        self.events.append(LoggedEvent(register, kind, payload, digests))

    def boot(self, tpm: SoftwareTpm) -> None:
        """Boot as a machine with secure boot does: firmware, variables, separators, loader, kernel."""
        if tpm.locality:
            self.note(b"StartupLocality\0" + bytes([tpm.locality]))
        self.measure(tpm, 0, EventType.S_CRTM_VERSION, "1.0\0".encode("utf-16-le"))
        self.measure(tpm, 7, EventType.EFI_VARIABLE_DRIVER_CONFIG, variable("SecureBoot", b"\x01"))
        self.measure(tpm, 1, EventType.EFI_VARIABLE_BOOT, variable("BootOrder", b"\0\0"))
        for register in range(8):
            self.measure(tpm, register, EventType.SEPARATOR, bytes(4))
        self.measure(tpm, 4, EventType.EFI_BOOT_SERVICES_APPLICATION, image_load(), b"a loader")
        command = b"linux /vmlinuz root=/dev/mapper/root"
        self.measure(tpm, 8, EventType.IPL, b"grub_cmd: " + command + b"\0", command)
        self.measure(tpm, 9, EventType.IPL, b"/vmlinuz\0", b"a kernel")
        self.measure(tpm, 5, EventType.EFI_ACTION, b"Exit Boot Services Invocation")

    def encode(self) -> bytes:
        """Return the log in the crypto-agile format."""
        sizes = b"".join(struct.pack("<HH", bank, bank.size) for bank in self.banks)
        spec = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(self.banks)) + sizes + b"\0"
        first = struct.pack("<II20sI", 0, EventType.NO_ACTION, bytes(20), len(spec)) + spec
        return first + b"".join(self._event(event) for event in self.events) + self.padding

    def _event(self, event: LoggedEvent) -> bytes:
        digests = [(bank, event.digests[bank]) for bank in self.banks if bank in event.digests]
        return (
            struct.pack("<III", event.register, event.kind, len(digests))
            + b"".join(struct.pack("<H", bank) + digest for bank, digest in digests)
            + struct.pack("<I", len(event.payload))
            + event.payload
        )

    def encode_legacy(self) -> bytes:
        """Return the log in the old format: SHA-1 alone, no header."""
        return (
            b"".join(
                struct.pack(
                    "<II20sI",
                    event.register,
                    event.kind,
                    event.digests[Algorithm.SHA1],
                    len(event.payload),
                )
                + event.payload
                for event in self.events
            )
            + self.padding
        )


@dataclass(slots=True)
class LauncherRecord:
    """One record of a launcher's canonical log.

    Attributes:
        register: The PCR.
        kind: Type of the content.
        content: The content.
        digests: What was extended, by bank.
    """

    register: int
    kind: int
    content: bytes
    digests: dict[Algorithm, bytes]


@dataclass(slots=True)
class LauncherLog:
    """A canonical log in TLVs; changing it afterwards leaves the PCRs as they are."""

    records: list[LauncherRecord] = field(default_factory=list)

    def measure(self, tpm: SoftwareTpm, register: int, nested: int, value: bytes, kind: int = 80) -> None:
        """Extend a PCR with one nested TLV as content, and log it."""
        content = tlv(nested, value)
        digests = tpm.measure(register, tlv(kind, content))
        self.records.append(LauncherRecord(register, kind, content, digests))

    def encode(self, *, first: int = 0) -> bytes:
        """Return the log, its records numbered from ``first``."""
        return b"".join(
            tlv(0, struct.pack(">Q", number))
            + tlv(1, bytes([record.register]))
            + tlv(3, b"".join(tlv(bank, digest) for bank, digest in record.digests.items()))
            + tlv(record.kind, record.content)
            for number, record in enumerate(self.records, first)
        )


@dataclass(slots=True)
class SystemLog:
    """The log of what systemd measured, as JSON text sequence; changing it leaves the PCRs as they are.

    Attributes:
        records: PCR, digests by bank, and text of each record.
    """

    records: list[tuple[int, dict[Algorithm, bytes], str]] = field(default_factory=list)

    def measure(self, tpm: SoftwareTpm, register: int, text: str, measured: bytes | None = None) -> None:
        """Extend a PCR with the hashes of a text, or of what was really measured, and log it."""
        digests = tpm.measure(register, text.encode() if measured is None else measured)
        self.records.append((register, digests, text))

    def encode(self) -> bytes:
        """Return the log."""
        return b"".join(
            b"\x1e"
            + json.dumps(
                {
                    "pcr": register,
                    "digests": [
                        {"hashAlg": bank.name.lower(), "digest": digest.hex()}
                        for bank, digest in digests.items()
                    ],
                    "content_type": "systemd",
                    "content": {"string": text, "bootId": "0" * 32, "timestamp": 1, "eventType": "phase"},
                }
            ).encode()
            + b"\n"
            for register, digests, text in self.records
        )


def tlv(kind: int, value: bytes) -> bytes:
    """Return type (1 byte), length (4 bytes, big-endian) and value."""
    return struct.pack(">BI", kind, len(value)) + value


def fields(*values: bytes) -> bytes:
    """Return template fields: each behind its length."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def file_data(path: str, digest: bytes, *more: bytes, kind: str = "", algorithm: str = "sha256") -> bytes:
    """Return the data of a template of digest and name, and what other fields follow.

    Args:
        path: The file.
        digest: Its digest.
        more: The fields behind the name: a signature, a buffer.
        kind: ``ima`` or ``verity`` for the templates whose digest says what it is over.
        algorithm: Name of the hash.
    """
    head = f"{kind}:{algorithm}" if kind else algorithm
    return fields(head.encode() + b":\0" + digest, path.encode() + b"\0", *more)


@dataclass(slots=True)
class MeasuredFile:
    """One entry of an IMA log.

    Attributes:
        register: The PCR.
        template: The template's name.
        data: The template data.
        violation: Whether the kernel could not measure.
    """

    register: int
    template: str
    data: bytes
    violation: bool = False


@dataclass(slots=True)
class KernelLog:
    """An IMA log; changing it afterwards leaves the PCRs as they are.

    Attributes:
        entries: The entries in order.
        padded: Extend padded SHA-1 digests into every bank, as kernels before 5.8 do.
    """

    entries: list[MeasuredFile] = field(default_factory=list)
    padded: bool = False

    def begin(self, tpm: SoftwareTpm, bank: Algorithm = Algorithm.SHA256) -> None:
        """Measure the boot aggregate over PCRs 0 to 9."""
        digest = bank.digest(b"".join(tpm.values[bank][index] for index in range(10)))
        name = bank.name.lower()
        self.measure(tpm, "ima-ng", file_data("boot_aggregate", digest, algorithm=name))

    def measure(
        self, tpm: SoftwareTpm, template: str, data: bytes, *, violation: bool = False, register: int = 10
    ) -> None:
        """Extend the PCR of IMA with one entry, and log it."""
        entry = MeasuredFile(register, template, data, violation)
        self.entries.append(entry)
        tpm.extend(register, {bank: self._digest(entry, bank) for bank in tpm.banks})

    def _digest(self, entry: MeasuredFile, bank: Algorithm) -> bytes:
        own = Algorithm.SHA1 if self.padded else bank
        digest = b"\xff" * own.size if entry.violation else _hashed(entry, own)
        return digest.ljust(bank.size, b"\0")

    def encode(self, algorithm: Algorithm = Algorithm.SHA1) -> bytes:
        """Return the log in binary form, its entries with digests of one algorithm."""
        return b"".join(
            struct.pack("<I", entry.register)
            + (bytes(algorithm.size) if entry.violation else _hashed(entry, algorithm))
            + fields(entry.template.encode())
            + (entry.data if entry.template == "ima" else fields(entry.data))
            for entry in self.entries
        )


def _hashed(entry: MeasuredFile, algorithm: Algorithm) -> bytes:
    if entry.template == "ima":
        return algorithm.digest(entry.data[:20] + entry.data[24:].ljust(256, b"\0"))
    return algorithm.digest(entry.data)


def legacy_data(path: str, digest: bytes) -> bytes:
    """Return the data of the oldest template: SHA-1 digest, and the name behind its length."""
    return digest + fields(path.encode())


def ascii_log(entries: Iterable[MeasuredFile], lines: Iterable[str]) -> bytes:
    """Return a log in text form: PCR, template digest and template, then the text of each entry's fields."""
    return b"".join(
        f"{entry.register} {_hashed(entry, Algorithm.SHA1).hex()} {entry.template} {line}\n".encode()
        for entry, line in zip(entries, lines, strict=True)
    )
