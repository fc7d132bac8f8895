"""The identity of a dstack operating system image without the image: its measurement document.

An image's name is ``os_image_hash``, the SHA-256 of its checksum file (``sha256sum.txt``). The checksum file
lists ``measurement.tdx.cbor``, which holds what the image makes a TD measure: MRTD for both orders in which
QEMU adds pages, digests of kernel, command line and initrd, and a witness for the hand-off blocks. From
these, the memory size and three ACPI digests of the log, MRTD and RTMR0 to RTMR2 are recomputed.

Whoever presents a document can have written it. It proves that *these* registers belong to *this* image hash;
whether the hash is one to trust is the caller's to say.

Source: dstack 0.6.0, ``dstack-types/src/lib.rs`` (TdxOsImageMeasurementDocument), ``dstack-mr/src/tdx.rs``
and ``dstack-mr/src/tdvf.rs`` (Pre202505).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cbor2

from assay.errors import EvidenceError
from assay.evidence.dstack.fields import refuse, unbase64
from assay.evidence.dstack.td_hob import HIGH_MEMORY_BYTES, td_hob_digest
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.eventlog.replay import DIGEST_BYTES, replay_rtmrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.evidence.dstack.events import DstackEvent

MEASUREMENT_FILE = "measurement.tdx.cbor"
METADATA_FILE = "metadata.json"
MAX_CHECKSUM_BYTES = 64 * 1024
MAX_MEASUREMENT_BYTES = 16 * 1024
ACPI_EVENTS = ("acpi-loader", "acpi-rsdp", "acpi-tables")
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([!-~]{1,255})")
_VERSION = 3
_DOCUMENT_MEMBERS = {"checksum_file", "measurement"}
_SAME_AS_HIGH_MEMORY = 0x80000000
_GLOBAL = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
_SECURITY = bytes.fromhex("cbb219d73a3d9645a3bcdad00e67656f")
_FIRMWARE_VOLUME = bytes.fromhex(
    "344bc51c980ba621aaa00da3ed7436f7d6e549197dfe699515dfa2c6583d95e6412af21c097d473155875ffd561d6790"
)
_BOOT_0000 = bytes.fromhex(
    "23ada07f5261f12f34a0bd8e46760962d6b4d576a416f1fea1c64bc656b1d28eacf7047ae6e967c58fd2a98bfa74c298"
)


@dataclass(frozen=True, slots=True)
class ImageMeasurement:
    """What an image makes a TD measure.

    Attributes:
        os_image_hash: SHA-256 of the checksum file, 32 bytes: the image's name.
        files: SHA-256 of each file that the checksum file lists.
        cmdline: SHA-384 of the kernel command line as it is measured.
        kernel: Authenticode SHA-384 of the kernel as QEMU patches it for memory sizes that ``fixed_kernel``
            accepts.
        initrd: SHA-384 of the initrd.
        ovmf: Layout of the firmware's RTMR0 events.
        mrtd_single_pass: MRTD under QEMU 9 and newer.
        mrtd_two_pass: MRTD under QEMU 8.
        td_hob_witness: See ``td_hob``.
    """

    os_image_hash: bytes
    files: Mapping[str, bytes]
    cmdline: bytes
    kernel: bytes
    initrd: bytes
    ovmf: str
    mrtd_single_pass: bytes
    mrtd_two_pass: bytes
    td_hob_witness: bytes

    def rtmr1(self) -> bytes:
        """Return RTMR1 of a TD that booted this image."""
        return _register(
            self.kernel,
            _sha384(b"Calling EFI Application from Boot Option"),
            _sha384(bytes(4)),
            _sha384(b"Exit Boot Services Invocation"),
            _sha384(b"Exit Boot Services Returned with Success"),
        )

    def rtmr2(self) -> bytes:
        """Return RTMR2 of a TD that booted this image."""
        return _register(self.cmdline, self.initrd)

    def rtmr0(self, memory_bytes: int, acpi: tuple[bytes, bytes, bytes]) -> bytes:
        """Return RTMR0 of a TD with this firmware.

        Args:
            memory_bytes: Size of the TD's memory.
            acpi: Digests of table loader, root pointer and tables. They depend on the virtual machine and
                are taken from the log: a matching RTMR0 proves that they were measured, not that they are
                harmless.

        Raises:
            EvidenceError: ``dstack.os_image.td_hob``.
        """
        return _register(
            td_hob_digest(self.td_hob_witness, memory_bytes),
            _FIRMWARE_VOLUME,
            _empty_variable(_GLOBAL, "SecureBoot"),
            _empty_variable(_GLOBAL, "PK"),
            _empty_variable(_GLOBAL, "KEK"),
            _empty_variable(_SECURITY, "db"),
            _empty_variable(_SECURITY, "dbx"),
            _sha384(bytes(4)),
            *acpi,
            _sha384(bytes(2)),
            _BOOT_0000,
        )


def fixed_kernel(memory_bytes: int) -> bool:
    """Tell whether QEMU patches the kernel for this memory size as the measurement document assumes."""
    return memory_bytes == _SAME_AS_HIGH_MEMORY or memory_bytes >= HIGH_MEMORY_BYTES


def known_form(document: Any) -> bool:
    """Tell whether a measurement document has the form that ``parse_document`` reads.

    Builds before 0.6.0 wrote others under the same name; they are not refused, they say nothing.
    """
    return type(document) is dict and document.keys() == _DOCUMENT_MEMBERS


def parse_document(document: Any) -> ImageMeasurement:
    """Parse the ``tdx_measurement`` member of a VM configuration.

    Raises:
        EvidenceError: ``dstack.os_image.*``.
    """
    if not known_form(document):
        refuse("os_image.document_form", "The measurement document is of a form that is not known.")
    checksums = unbase64(document["checksum_file"], "The checksum file", "os_image.document")
    measurement = unbase64(document["measurement"], "The measurement", "os_image.document")
    if len(measurement) > MAX_MEASUREMENT_BYTES:
        refuse("os_image.measurement", f"The measurement has more than {MAX_MEASUREMENT_BYTES} bytes.")
    files = parse_checksums(checksums)
    listed = files.get(MEASUREMENT_FILE)
    if listed is None:
        refuse("os_image.unlisted", f"The checksum file does not list {MEASUREMENT_FILE}.")
    if listed != hashlib.sha256(measurement).digest():
        refuse("os_image.measurement_hash", "The measurement is not the one that the checksum file lists.")
    return _measurement(measurement, hashlib.sha256(checksums).digest(), files)


def parse_checksums(data: bytes) -> dict[str, bytes]:
    """Parse the output of ``sha256sum``.

    Raises:
        EvidenceError: ``dstack.os_image.checksums`` for anything else, a file listed twice included.
    """
    if len(data) > MAX_CHECKSUM_BYTES:
        refuse("os_image.checksums", f"The checksum file has more than {MAX_CHECKSUM_BYTES} bytes.")
    if not data.isascii() or not data.endswith(b"\n"):
        refuse("os_image.checksums", "The checksum file is not the output of sha256sum.")
    found: dict[str, bytes] = {}
    for line in data.decode("ascii")[:-1].split("\n"):
        entry = _LINE.fullmatch(line)
        if entry is None or entry[2] in found:
            refuse("os_image.checksums", "The checksum file is malformed or lists a file twice.")
        found[entry[2]] = bytes.fromhex(entry[1])
    return found


def acpi_digests(events: Iterable[DstackEvent]) -> tuple[bytes, bytes, bytes]:
    """Return the three ACPI digests of a log, found by the names that the guest gave them.

    Raises:
        EvidenceError: ``dstack.os_image.acpi_events`` unless there is exactly one event of each name.
    """
    found = [
        event
        for event in events
        if event.register == 0 and event.kind == EventType.PLATFORM_CONFIG_FLAGS and event.name in ACPI_EVENTS
    ]
    if tuple(event.name for event in found) != ACPI_EVENTS:
        refuse(
            "os_image.acpi_events", "The log does not have exactly one event for each ACPI table, in order."
        )
    return found[0].digest, found[1].digest, found[2].digest


def _measurement(data: bytes, name: bytes, files: Mapping[str, bytes]) -> ImageMeasurement:
    document = _cbor(data)
    top = _map(document, {"version", "image", "tdvf"})
    if type(top["version"]) is not int or top["version"] != _VERSION:
        refuse("os_image.version", f"The measurement is not of version {_VERSION}.")
    image = _map(top["image"], {"cmdline_sha384", "kernel_authenticode", "initrd_sha384"})
    tdvf = _map(top["tdvf"], {"ovmf", "mrtd", "td_hob"})
    mrtd = _map(tdvf["mrtd"], {"single_pass", "two_pass"})
    if tdvf["ovmf"] != "pre202505":
        refuse("os_image.ovmf", "The firmware of the image has a layout of RTMR0 that is not known.")
    if type(tdvf["td_hob"]) is not bytes:
        refuse("os_image.measurement", "The TD HOB witness is not a byte string.")
    return ImageMeasurement(
        os_image_hash=name,
        files=files,
        cmdline=_digest(image["cmdline_sha384"]),
        kernel=_digest(image["kernel_authenticode"]),
        initrd=_digest(image["initrd_sha384"]),
        ovmf="pre202505",
        mrtd_single_pass=_digest(mrtd["single_pass"]),
        mrtd_two_pass=_digest(mrtd["two_pass"]),
        td_hob_witness=tdvf["td_hob"],
    )


def _cbor(data: bytes) -> Any:
    """Decode CBOR that has only one spelling: what is written again is what came in."""
    try:
        document = cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False, max_depth=4)
        again = cbor2.dumps(document)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise EvidenceError("dstack.os_image.measurement", "The measurement is not strict CBOR.") from error
    if again != data:
        refuse("os_image.measurement", "The measurement is CBOR in more words than it needs.")
    return document


def _map(value: Any, keys: set[str]) -> dict[str, Any]:
    if type(value) is not dict or value.keys() != keys:
        refuse("os_image.measurement", "The measurement does not have the members of its version.")
    return value


def _digest(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != DIGEST_BYTES:
        refuse("os_image.measurement", "A digest of the measurement does not have 48 bytes.")
    return value


def _empty_variable(vendor: bytes, name: str) -> bytes:
    """Return the digest of a UEFI variable without content, as TDVF measures it."""
    return _sha384(vendor + len(name).to_bytes(8, "little") + bytes(8) + name.encode("utf-16-le"))


def _sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def _register(*digests: bytes) -> bytes:
    return replay_rtmrs((0, digest) for digest in digests)[0]
