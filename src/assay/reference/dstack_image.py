"""The registers of a TD that boots a dstack operating system image, from the image's directory.

The image's own measurement document says what it makes a TD measure, and its checksum file, whose SHA-256
names the image, lists that document. Here both are compared with the files: every listed file must have its
digest, MRTD and the witness of the hand-off blocks are computed again from the firmware, and the digests of
kernel, initrd and command line from theirs.

Source: dstack 0.6.0, ``dstack-mr`` and the layout of its image archives; see ``evidence.dstack.os_image``.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.decoding import strictjson
from assay.evidence.dstack.os_image import (
    MAX_CHECKSUM_BYTES,
    MAX_MEASUREMENT_BYTES,
    MEASUREMENT_FILE,
    METADATA_FILE,
    parse_document,
)
from assay.reference.artefact import open_artefact
from assay.reference.ovmf import LARGEST_FIRMWARE, parse_firmware
from assay.reference.qemu_kernel import HIGH_MEMORY_BYTES, patched_digest
from assay.reference.tdvf import hand_off_witness, mrtd
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import NoReturn

    from assay.evidence.dstack.os_image import ImageMeasurement
    from assay.reference.artefact import ArtefactDigest

CHECKSUM_FILE: Final = "sha256sum.txt"
MAX_METADATA_BYTES: Final = 64 * 1024
MAX_FILES: Final = 32


def measure(
    directory: Path, *, memory_bytes: int | None, acpi: tuple[bytes, bytes, bytes] | None
) -> Measured:
    """Measure an image; the registers are ``mr_td``, ``rtmr1``, ``rtmr2`` and, where it can be, ``rtmr0``.

    Args:
        directory: The unpacked image.
        memory_bytes: Memory of the TD; RTMR0 depends on it.
        acpi: Digests of table loader, root pointer and tables of the virtual machine, 48 bytes each; RTMR0
            depends on them too.

    Raises:
        ReferenceValueError: ``reference.artefact.*``; ``reference.dstack.file`` for a file that is not the
            listed one; ``reference.dstack.firmware``, ``.kernel``, ``.initrd`` or
            ``.cmdline`` when the measurement document says something else than the file.
        EvidenceError: ``dstack.os_image.*`` for checksum file, measurement document or memory size.
    """
    checksums = _read(directory / CHECKSUM_FILE, MAX_CHECKSUM_BYTES)
    document = _read(directory / MEASUREMENT_FILE, MAX_MEASUREMENT_BYTES)
    image = parse_document(
        {
            "checksum_file": base64.b64encode(checksums).decode(),
            "measurement": base64.b64encode(document).decode(),
        }
    )
    described = _check_files(directory, image.files)
    image = _check_contents(directory, image, memory_bytes)
    registers = {
        "mr_td": frozenset({image.mrtd_single_pass, image.mrtd_two_pass}),
        "rtmr1": frozenset({image.rtmr1()}),
        "rtmr2": frozenset({image.rtmr2()}),
    }
    parameters = {"os_image_hash": image.os_image_hash.hex()}
    notes = []
    if memory_bytes is None:
        notes.append("RTMR1 holds for 2 GiB of memory and for 2816 MiB and more: QEMU patches the kernel.")
    if memory_bytes is not None and acpi is not None:
        registers["rtmr0"] = frozenset({image.rtmr0(memory_bytes, acpi)})
        parameters["memory_bytes"] = str(memory_bytes)
    else:
        notes.append("RTMR0 depends on memory and ACPI tables of the virtual machine, which were not given.")
    notes.append("RTMR3 is extended at run time: by the compose file, the application and its key provider.")
    return Measured("tdx", registers, described, parameters, tuple(notes))


def _check_files(directory: Path, files: Mapping[str, bytes]) -> tuple[ArtefactDigest, ...]:
    if len(files) > MAX_FILES:
        _refuse("file", f"The checksum file lists more than {MAX_FILES} files.")
    found = []
    for name, digest in sorted(files.items()):
        if "/" in name or name.startswith("."):
            _refuse("file", f"The checksum file lists {name!a}, which is not a file of the image.")
        with open_artefact(directory / name) as artefact:
            described = artefact.describe("file")
        if described.sha256 != digest:
            _refuse("file", f"{name!a} is not the file that the checksum file lists.")
        found.append(described)
    return tuple(found)


def _check_contents(directory: Path, image: ImageMeasurement, memory_bytes: int | None) -> ImageMeasurement:
    """Compare what the measurement document says with the files; return it for this amount of memory."""
    if METADATA_FILE not in image.files:
        _refuse("file", f"The checksum file does not list {METADATA_FILE}.")
    metadata = _metadata(directory)
    _check_firmware(directory / _listed(image, metadata, "bios"), image)
    with open_artefact(directory / _listed(image, metadata, "initrd")) as initrd:
        initrd_bytes = initrd.size
        if initrd.digest("sha384") != image.initrd:
            _refuse("initrd", "The measurement document states another digest than the initrd has.")
    if image.cmdline != command_line_digest(_text(metadata, "cmdline")):
        _refuse("cmdline", "The measurement document states another digest than the command line has.")
    with open_artefact(directory / _listed(image, metadata, "kernel")) as kernel:
        if patched_digest(kernel, initrd_bytes, HIGH_MEMORY_BYTES) != image.kernel:
            _refuse("kernel", "The measurement document states another digest than the kernel has.")
        if memory_bytes is None:
            return image
        return replace(image, kernel=patched_digest(kernel, initrd_bytes, memory_bytes))


def _check_firmware(path: Path, image: ImageMeasurement) -> None:
    firmware = parse_firmware(_read(path, LARGEST_FIRMWARE))
    computed = (
        mrtd(firmware, two_pass=False),
        mrtd(firmware, two_pass=True),
        hand_off_witness(firmware),
    )
    if computed != (image.mrtd_single_pass, image.mrtd_two_pass, image.td_hob_witness):
        _refuse(
            "firmware", "The measurement document states another MRTD or witness than the firmware makes."
        )


def command_line_digest(command_line: str) -> bytes:
    """Return SHA-384 of a command line as the kernel's stub measures it under QEMU, 48 bytes."""
    return hashlib.sha384(f"{command_line} initrd=initrd\0".encode("utf-16-le")).digest()


def _metadata(directory: Path) -> dict[str, Any]:
    try:
        return strictjson.parse_object(
            _read(directory / METADATA_FILE, MAX_METADATA_BYTES), max_bytes=MAX_METADATA_BYTES
        )
    except EvidenceError as error:
        raise ReferenceValueError("reference.dstack.metadata", error.message) from error


def _listed(image: ImageMeasurement, metadata: dict[str, Any], member: str) -> str:
    name = _text(metadata, member)
    if name not in image.files:
        _refuse("file", f"The checksum file does not list {name!a}, the image's {member}.")
    return name


def _text(metadata: dict[str, Any], member: str) -> str:
    value = metadata.get(member)
    if not isinstance(value, str):
        _refuse("metadata", f"The image's metadata has no text {member}.")
    return value


def _read(path: Path, limit: int) -> bytes:
    with open_artefact(path) as artefact:
        return artefact.whole(limit)


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.dstack.{code}", message)
