"""The launch measurement of an SEV-SNP guest, from the files that it is started from.

The hypervisor hands page after page to the firmware of the secure processor, which chains them: the digest
after a page is SHA-384 of a structure that holds the digest before, the page's own digest, its kind and its
address. Pages come in this order: the image, the sections that its metadata names, one save area for each
virtual CPU.

Source: AMD, "SEV Secure Nested Paging Firmware ABI" 1.55, section 8.17.2, table 67 (PAGE_INFO); QEMU,
``target/i386/sev.c`` (kernel hashes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final
from uuid import UUID

from assay.errors import ReferenceValueError
from assay.reference.ovmf import (
    LARGEST_FIRMWARE,
    PAGE_BYTES,
    SEV_ES_RESET_BLOCK,
    SEV_HASH_TABLE,
    SVSM_INFO,
    Firmware,
    SevSection,
    parse_firmware,
    sev_sections,
)
from assay.reference.snp_vmsa import RESET_ADDRESS, Hypervisor, svsm_page, vmsa_page
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from assay.reference.artefact import Artefact
    from assay.reference.ovmf import Section

MAX_VCPUS: Final = 4096
LARGEST_CMDLINE: Final = 64 * 1024
DIGEST_BYTES: Final = 48
_ZEROS = bytes(DIGEST_BYTES)
_PAGE_INFO = Struct("<48s48sHBBBBBBQ")
_SAVE_AREA_ADDRESS = 0xFFFFFFFFF000  # the address -1, as far as a page has address bits
_NORMAL, _SAVE_AREA, _ZERO, _UNMEASURED, _SECRETS, _CPUID = 1, 2, 3, 4, 5, 6

_HASH_TABLE = UUID("9438d606-4f22-4cc9-b479-a793d411fd21").bytes_le
_HASH_OF = {
    "cmdline": UUID("97d02dd8-bd20-4c94-aa78-e7714d36ab2a").bytes_le,
    "initrd": UUID("44baf731-3a2f-4bd7-9af1-41e29169781d").bytes_le,
    "kernel": UUID("4de79437-abd2-427f-b835-d5b172d2045b").bytes_le,
}
_HASH_ENTRY = Struct("<16sH32s")
_HASH_HEADER = Struct("<16sH")
_HASH_TABLE_BYTES = 176  # 168 and padding to a multiple of 16


@dataclass(frozen=True, slots=True)
class DirectBoot:
    """Kernel, initrd and command line that the hypervisor hands to the firmware.

    Attributes:
        kernel: SHA-256 of the kernel, 32 bytes.
        initrd: SHA-256 of the initrd, of nothing without one.
        cmdline: SHA-256 of the command line and its terminating zero byte.
    """

    kernel: bytes
    initrd: bytes
    cmdline: bytes

    @classmethod
    def of(cls, kernel: Artefact, initrd: Artefact | None, cmdline: str) -> DirectBoot:
        """Hash the files and the command line.

        Raises:
            ReferenceValueError: ``reference.snp.cmdline``; as ``Artefact.digest``.
        """
        try:
            line = cmdline.encode() + b"\0"
        except UnicodeEncodeError:
            _refuse("cmdline", "A command line is text in UTF-8.")
        if len(line) > LARGEST_CMDLINE or 0 in line[:-1]:
            _refuse("cmdline", f"A command line has no zero byte and less than {LARGEST_CMDLINE} bytes.")
        nothing = hashlib.sha256(b"").digest()
        return cls(
            kernel.digest("sha256"),
            initrd.digest("sha256") if initrd is not None else nothing,
            hashlib.sha256(line).digest(),
        )

    def page(self, offset: int) -> bytes:
        """Return the page that holds the table of hashes at ``offset``, 4096 bytes.

        Raises:
            ReferenceValueError: ``reference.snp.hash_table`` when it does not fit there.
        """
        if offset + _HASH_TABLE_BYTES > PAGE_BYTES:
            _refuse("hash_table", "The table of hashes does not fit into the page that the image names.")
        digests = {"cmdline": self.cmdline, "initrd": self.initrd, "kernel": self.kernel}
        entries = b"".join(
            _HASH_ENTRY.pack(guid, _HASH_ENTRY.size, digests[name]) for name, guid in _HASH_OF.items()
        )
        table = _HASH_HEADER.pack(_HASH_TABLE, _HASH_HEADER.size + len(entries)) + entries
        return (bytes(offset) + table).ljust(PAGE_BYTES, b"\0")


class LaunchDigest:
    """The digest, page by page.

    Attributes:
        value: 48 bytes; zero before the first page.
    """

    __slots__ = ("value",)

    def __init__(self, value: bytes = _ZEROS) -> None:
        self.value = value

    def pages(self, address: int, data: bytes, kind: int = _NORMAL) -> None:
        """Add pages with content."""
        view = memoryview(data)
        for offset in range(0, len(data), PAGE_BYTES):
            digest = hashlib.sha384(view[offset : offset + PAGE_BYTES]).digest()
            self._add(kind, address + offset, digest)

    def empty(self, address: int, size: int, kind: int) -> None:
        """Add pages whose content is not measured."""
        for offset in range(0, size, PAGE_BYTES):
            self._add(kind, address + offset, _ZEROS)

    def save_area(self, page: bytes) -> None:
        """Add the save area of a virtual CPU."""
        self._add(_SAVE_AREA, _SAVE_AREA_ADDRESS, hashlib.sha384(page).digest())

    def _add(self, kind: int, address: int, digest: bytes) -> None:
        info = _PAGE_INFO.pack(self.value, digest, _PAGE_INFO.size, kind, 0, 0, 0, 0, 0, address)
        self.value = hashlib.sha384(info).digest()


@dataclass(frozen=True, slots=True)
class Machine:
    """What the measurement depends on besides files.

    Attributes:
        vcpus: Number of virtual CPUs, at least 1.
        vcpu: Processor signature; see ``snp_vmsa.vcpu_signature``. Only QEMU measures it.
        features: SEV_FEATURES of the guest; bit 0 (SNP active) is set.
        hypervisor: Who starts it.

    Raises:
        ReferenceValueError: ``reference.snp.vcpus``, ``reference.snp.vcpu``, ``reference.snp.features``.
    """

    vcpus: int
    vcpu: int
    features: int = 1
    hypervisor: Hypervisor = Hypervisor.QEMU

    def __post_init__(self) -> None:
        if not 1 <= self.vcpus <= MAX_VCPUS:
            _refuse("vcpus", f"A guest has between 1 and {MAX_VCPUS} virtual CPUs.")
        if not 0 <= self.vcpu < 1 << 32:
            _refuse("vcpu", "A processor signature has 32 bits.")
        if self.features >> 64 or not self.features & 1:
            _refuse("features", "The guest's features have 64 bits, of which bit 0 is set for SNP.")

    def describe(self) -> dict[str, str]:
        """Return these as the parameters of a measurement."""
        return {
            "vcpus": str(self.vcpus),
            "vcpu_signature": f"{self.vcpu:#010x}",
            "guest_features": f"{self.features:#x}",
            "hypervisor": self.hypervisor.value,
        }


def firmware_digest(firmware: Firmware) -> bytes:
    """Return the digest after the image's own pages, 48 bytes; a launch continues from it."""
    launch = LaunchDigest()
    launch.pages(firmware.address(), firmware.data)
    return launch.value


def launch_digest(
    firmware: Firmware, machine: Machine, boot: DirectBoot | None, *, firmware_hash: bytes | None = None
) -> bytes:
    """Return the launch measurement, 48 bytes.

    Args:
        firmware: The image, or the last pages of it, which hold its table, with ``firmware_hash``.
        machine: The virtual machine.
        boot: Kernel, initrd and command line when the hypervisor hands them over.
        firmware_hash: What ``firmware_digest`` said of the whole image.

    Raises:
        ReferenceValueError: ``reference.ovmf.*``, ``reference.snp.*``.
    """
    if firmware_hash is not None and len(firmware_hash) != DIGEST_BYTES:
        _refuse("firmware_hash", "The digest of a firmware image has 48 bytes.")
    launch = LaunchDigest(firmware_hash if firmware_hash is not None else firmware_digest(firmware))
    _add_sections(launch, firmware, boot, machine.hypervisor)
    for page in _save_areas(firmware, machine):
        launch.save_area(page)
    return launch.value


def svsm_launch_digest(firmware: Firmware, module: Firmware, variables_bytes: int, machine: Machine) -> bytes:
    """Return the launch measurement of a guest with a service module (COCONUT-SVSM) under QEMU, 48 bytes.

    Args:
        firmware: The image that ends at 4 GiB.
        module: The service module, which ends where the image's variables begin.
        variables_bytes: Size of the store of variables below the image.
        machine: The virtual machine; its features are those of the module.

    Raises:
        ReferenceValueError: ``reference.ovmf.*``, ``reference.snp.*``.
    """
    if machine.hypervisor is not Hypervisor.QEMU or machine.features != 1:
        _refuse("svsm", "A service module is measured for QEMU alone, with the features of the module, 0x1.")
    if variables_bytes < 0 or variables_bytes % PAGE_BYTES:
        _refuse("svsm", "The store of variables has whole pages.")
    address = module.address(firmware.address() - variables_bytes)
    launch = LaunchDigest(firmware_digest(firmware))
    launch.pages(address, module.data)
    _add_sections(launch, module, None, Hypervisor.QEMU)
    page = svsm_page(module.word(SVSM_INFO, "the service module's start") + address, machine.vcpu)
    for _ in range(machine.vcpus):
        launch.save_area(page)
    return launch.value


def measure(
    firmware: Artefact,
    machine: Machine,
    *,
    kernel: Artefact | None = None,
    initrd: Artefact | None = None,
    cmdline: str = "",
    svsm: Artefact | None = None,
    variables_bytes: int = 0,
) -> Measured:
    """Measure files; the register is ``measurement``.

    Raises:
        ReferenceValueError: ``reference.artefact.*``, ``reference.ovmf.*``, ``reference.snp.*``.
    """
    if kernel is None and (initrd is not None or cmdline):
        _refuse("kernel", "Without a kernel there is neither an initrd nor a command line to measure.")
    image = parse_firmware(firmware.whole(LARGEST_FIRMWARE))
    files = [("firmware", firmware), ("kernel", kernel), ("initrd", initrd), ("svsm", svsm)]
    parameters = machine.describe()
    if svsm is not None:
        if kernel is not None:
            _refuse("svsm", "A guest with a service module has no kernel that the hypervisor hands over.")
        module = parse_firmware(svsm.whole(LARGEST_FIRMWARE))
        digest = svsm_launch_digest(image, module, variables_bytes, machine)
        parameters["variables_bytes"] = str(variables_bytes)
    else:
        boot = DirectBoot.of(kernel, initrd, cmdline) if kernel is not None else None
        digest = launch_digest(image, machine, boot)
    if kernel is not None:
        parameters["cmdline"] = cmdline
    notes = () if kernel is not None else ("What the firmware boots is not part of the measurement.",)
    described = tuple(each.describe(role) for role, each in files if each is not None)
    return Measured("snp", {"measurement": frozenset({digest})}, described, parameters, notes)


def _add_sections(
    launch: LaunchDigest, firmware: Firmware, boot: DirectBoot | None, hypervisor: Hypervisor
) -> None:
    sections = sev_sections(firmware)
    if boot is not None and all(each.kind is not SevSection.KERNEL_HASHES for each in sections):
        _refuse("hash_table", "The image has no place for the hashes of a kernel: it would not check them.")
    if hypervisor is Hypervisor.EC2:  # it adds the CPUID page behind all others
        sections = tuple(sorted(sections, key=lambda each: each.kind is SevSection.CPUID))
    for section in sections:
        _add_section(launch, section, firmware, boot, hypervisor)


def _add_section(
    launch: LaunchDigest,
    section: Section,
    firmware: Firmware,
    boot: DirectBoot | None,
    hypervisor: Hypervisor,
) -> None:
    match section.kind:
        case SevSection.SECRETS:
            launch.empty(section.address, PAGE_BYTES, _SECRETS)
        case SevSection.CPUID:
            launch.empty(section.address, PAGE_BYTES, _CPUID)
        case SevSection.KERNEL_HASHES if boot is not None:
            place = firmware.word(SEV_HASH_TABLE, "the table of hashes")
            if place - place % PAGE_BYTES != section.address or section.size != PAGE_BYTES:
                _refuse("hash_table", "The table of hashes is not in the page of its section.")
            launch.pages(section.address, boot.page(place % PAGE_BYTES))
        case SevSection.MEMORY if hypervisor is Hypervisor.GCE:
            launch.empty(section.address, section.size, _UNMEASURED)
        case _:
            launch.empty(section.address, section.size, _ZERO)


def _save_areas(firmware: Firmware, machine: Machine) -> Iterator[bytes]:
    yield vmsa_page(machine.hypervisor, RESET_ADDRESS, machine.vcpu, machine.features)
    if machine.vcpus > 1:
        start = firmware.word(SEV_ES_RESET_BLOCK, "the start of further CPUs")
        page = vmsa_page(machine.hypervisor, start, machine.vcpu, machine.features)
        yield from (page for _ in range(machine.vcpus - 1))


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.snp.{code}", message)
