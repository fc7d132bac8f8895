"""PCRs of a machine that boots a unified kernel image (UKI), or a kernel with its own EFI stub.

A UKI is a PE image with the kernel, its command line and its initrd as sections. PCR 4 gets the Authenticode
digest of each image that firmware starts. PCR 11 gets, for each section, a digest of its name (with a zero
byte) and one of its content, then a digest of the name of each phase of the boot that was reached. PCR 9
gets what the kernel's stub measures: the command line in UTF-16 with its terminator, and the initrd, which
the image's own stub makes of several sections (see ``stub_initrd``). A section of no size is none. Each
register starts with zeros; a step is the digest of the value before and the measured digest.

Source: UAPI Group, "Unified Kernel Image" and "TPM PCR Registry"; systemd 258, ``src/boot/stub.c`` and
systemd-measure(1); TCG, "PC Client Platform Firmware Profile" 1.06, section 3.3.4; Linux,
``drivers/firmware/efi/libstub``.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from assay.errors import ReferenceValueError
from assay.reference.pe import authenticode, parse_pe
from assay.reference.stub_initrd import BEFORE_257, SINCE_257, in_memory, initrd_digest
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assay.reference.artefact import Artefact
    from assay.reference.pe import PeImage

SECTIONS: Final = (
    ".linux",
    ".osrel",
    ".cmdline",
    ".initrd",
    ".ucode",
    ".splash",
    ".dtb",
    ".uname",
    ".sbat",
    ".pcrpkey",
    ".profile",
    ".dtbauto",
    ".hwids",
    ".efifw",
)
"""Sections that PCR 11 covers, in the order in which they are measured. ``.pcrsig`` signs it and is not."""
PHASES: Final = ("enter-initrd", "leave-initrd", "sysinit", "ready")
"""The phases of a boot in the order in which they are reached."""
MAX_PHASES: Final = 64
LARGEST_COMMAND_LINE: Final = 64 * 1024
ALGORITHMS: Final = ("sha256", "sha384")
_CALLING = b"Calling EFI Application from Boot Option"
_SEPARATOR = bytes(4)
_SPACE = re.compile(r"[\x01-\x20\x7f]")
_NOT_UCS_2 = re.compile(r"[^\x00-\uffff]")  # the stub knows no others and leaves them out
_PHASE = re.compile(r"[!-9;-~]{1,64}")  # all but the colon, which stands between them


class Register:
    """A register that is extended from zeros.

    Attributes:
        value: What it holds.
    """

    __slots__ = ("_algorithm", "value")

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self.value = bytes(hashlib.new(algorithm).digest_size)

    def extend(self, digest: bytes) -> None:
        """Extend it by a digest."""
        self.value = hashlib.new(self._algorithm, self.value + digest).digest()

    def measure(self, data: bytes) -> None:
        """Extend it by the digest of data."""
        self.extend(hashlib.new(self._algorithm, data).digest())


def pcr4(applications: Iterable[bytes], algorithm: str) -> bytes:
    """Return PCR 4 of a machine whose firmware started EFI images.

    Args:
        applications: Their Authenticode digests, in order: boot manager or UKI first.
        algorithm: ``sha256`` or ``sha384``, that of the digests.
    """
    register = Register(algorithm)
    register.measure(_CALLING)
    register.measure(_SEPARATOR)
    for digest in applications:
        register.extend(digest)
    return register.value


def pcr9(command_line: str, initrd: Artefact | None, algorithm: str) -> bytes:
    """Return PCR 9 as the stub of a Linux kernel leaves it.

    Args:
        command_line: What the kernel is given.
        initrd: What it is given as initrd, in one piece.
        algorithm: ``sha256`` or ``sha384``.
    """
    return _pcr9(command_line, None if initrd is None else initrd.digest(algorithm), algorithm)


def _pcr9(command_line: str, initrd: bytes | None, algorithm: str) -> bytes:
    register = Register(algorithm)
    register.measure(command_line.encode("utf-16-le") + bytes(2))
    if initrd is not None:
        register.extend(initrd)
    return register.value


def pcr11(uki: Artefact, phases: Sequence[str], algorithm: str) -> bytes:
    """Return PCR 11 of a machine that booted an image, after these phases.

    Args:
        uki: The image.
        phases: Names of phases, each reached after the one before it; none for the stub alone.
        algorithm: ``sha256`` or ``sha384``.

    Raises:
        ReferenceValueError: ``reference.pe.*``; ``reference.uki.section``, ``reference.uki.not_unified``.
    """
    register = Register(algorithm)
    for name, digest in section_digests(uki, algorithm):
        register.measure(name.encode() + b"\0")
        register.extend(digest)
    for phase in phases:
        register.measure(phase.encode())
    return register.value


def section_digests(uki: Artefact, algorithm: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and digest of each section of an image that PCR 11 covers, in order.

    Raises:
        ReferenceValueError: as ``pcr11``.
    """
    image = _unified(uki)
    for name in SECTIONS:
        section = image.section(name)
        if section is not None and section.size:
            content, zeros = in_memory(uki, section)
            yield name, content.digest(algorithm, [(0, content.size)], padding=zeros)


def measure(
    uki: Artefact,
    *,
    phases: Sequence[str] = PHASES,
    algorithm: str = "sha256",
    started_before: Sequence[Artefact] = (),
) -> Measured:
    """Measure a unified kernel image; the registers are ``pcr4``, ``pcr9`` and ``pcr11``.

    Args:
        uki: The image.
        phases: Phases of the boot that have been reached.
        algorithm: ``sha256`` or ``sha384``: the bank.
        started_before: EFI images that firmware starts before it: shim, a boot manager.

    Raises:
        ReferenceValueError: ``reference.artefact.*``, ``reference.pe.*``, ``reference.uki.*``.
    """
    _demand_bank(algorithm)
    if len(phases) > MAX_PHASES or not all(map(_PHASE.fullmatch, phases)):
        raise ReferenceValueError(
            "reference.uki.phase", f"A phase is a word of at most 64 letters; there are at most {MAX_PHASES}."
        )
    image = _unified(uki)
    before = [authenticode(each, algorithm) for each in started_before]
    before.append(uki.digest(algorithm, image.hashed()))
    registers = {
        "pcr4": frozenset(pcr4([*before, *more], algorithm) for more in _kernel(uki, image, algorithm)),
        "pcr11": frozenset({pcr11(uki, phases, algorithm)}),
    }
    command_line = _command_line(uki, image)
    if command_line is not None:
        initrds = [initrd_digest(uki, image, packed, algorithm) for packed in (BEFORE_257, SINCE_257)]
        registers["pcr9"] = frozenset(_pcr9(command_line, initrd, algorithm) for initrd in initrds)
    described = [each.describe("efi") for each in started_before]
    return Measured(
        "tpm",
        registers,
        (*described, uki.describe("uki")),
        {"phases": ":".join(phases), "bank": algorithm},
        _NOTES,
    )


def measure_boot(
    kernel: Artefact,
    *,
    initrd: Artefact | None,
    command_line: str,
    algorithm: str = "sha256",
    started_before: Sequence[Artefact] = (),
) -> Measured:
    """Measure a kernel that firmware starts by its own EFI stub; the registers are ``pcr4`` and ``pcr9``.

    Args:
        kernel: The kernel, a PE image.
        initrd: What it is given as initrd, in one piece.
        command_line: What it is given, as the boot manager hands it over.
        algorithm: ``sha256`` or ``sha384``: the bank.
        started_before: EFI images that firmware starts before it: shim, a boot manager.

    Raises:
        ReferenceValueError: ``reference.artefact.*``, ``reference.pe.*``, ``reference.uki.algorithm``,
            ``reference.uki.command_line``.
    """
    _demand_bank(algorithm)
    unpaired = any("\ud800" <= character <= "\udfff" for character in command_line)
    if unpaired or "\0" in command_line or len(command_line) > LARGEST_COMMAND_LINE:
        raise ReferenceValueError(
            "reference.uki.command_line",
            f"A command line is text without a zero character, of at most {LARGEST_COMMAND_LINE}.",
        )
    started = [authenticode(each, algorithm) for each in (*started_before, kernel)]
    registers = {
        "pcr4": frozenset({pcr4(started, algorithm)}),
        "pcr9": frozenset({pcr9(command_line, initrd, algorithm)}),
    }
    described = [each.describe("efi") for each in started_before]
    described.append(kernel.describe("kernel"))
    if initrd is not None:
        described.append(initrd.describe("initrd"))
    parameters = {"bank": algorithm, "cmdline": command_line}
    return Measured("tpm", registers, tuple(described), parameters, _BOOT_NOTES)


_MACHINE_NOTE = (
    "PCR 0 to 3 and 7 hold firmware, its settings and its keys: they are the machine's, not the image's."
)
_BOOT_NOTES = (
    _MACHINE_NOTE,
    "A boot manager that measures into PCR 4 or 9 itself, as GRUB does, makes other values.",
)
_NOTES = (
    _MACHINE_NOTE,
    "PCR 4 has two values: newer stubs start the kernel without firmware, which then does not measure it.",
    "PCR 11 is that of stubs of systemd 254 and newer; older ones do not measure every section.",
    "PCR 9 has two values: stubs of systemd 257 and newer hand .osrel and .profile to the kernel too.",
    "PCR 9 holds for an image that is given neither addons, nor credentials, nor another command line.",
)


def _demand_bank(algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        raise ReferenceValueError("reference.uki.algorithm", f"A bank is one of {', '.join(ALGORITHMS)}.")


def _unified(uki: Artefact) -> PeImage:
    image = parse_pe(uki)
    kernel = image.section(".linux")
    if kernel is None or not kernel.size:
        raise ReferenceValueError(
            "reference.uki.not_unified",
            f"{uki.name!a} has no kernel in it: it is not a unified kernel image.",
        )
    return image


def _kernel(uki: Artefact, image: PeImage, algorithm: str) -> Iterator[list[bytes]]:
    """Yield what firmware measures of the kernel within: nothing, or its Authenticode digest."""
    yield []
    section = image.section(".linux")
    if section is None or section.size > section.raw_size:
        return
    inner = uki.part(section.offset, section.size, section.name)
    try:
        yield [authenticode(inner, algorithm)]
    except ReferenceValueError:  # a kernel without a stub of its own cannot be started by firmware
        return


def _command_line(uki: Artefact, image: PeImage) -> str | None:
    """Return the command line as the stub hands it on; None without one."""
    section = image.section(".cmdline")
    if section is None or not section.size:
        return None
    if section.size > LARGEST_COMMAND_LINE or section.size > section.raw_size:
        raise ReferenceValueError("reference.uki.section", "The image's command line is too long.")
    try:
        text = uki.read(section.offset, section.size).partition(b"\0")[0].decode()
    except UnicodeDecodeError as error:
        raise ReferenceValueError(
            "reference.uki.section", "The image's command line is not UTF-8."
        ) from error
    return _NOT_UCS_2.sub("", _SPACE.sub(" ", text)).strip(" ")
