"""The authenticated Claims of an SEV-SNP guest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from assay.evidence.records import record
from assay.evidence.snp.products import LAYOUTS

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.snp.products import Product

_KNOWN_POLICY = (1 << 26) - 1
_KNOWN_PLATFORM = 0b1011_1111


def _bits(value: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(64) if value >> bit & 1) if value else ()


@dataclass(frozen=True, slots=True)
class TcbVersion:
    """Security versions of the firmware components (ABI, TCB_VERSION), 8 bytes, never compared as a number.

    Args:
        product: Which decides where each component stands.
        raw: The 8 bytes.

    Attributes:
        fmc: Firmware of the FMC; None before Turin.
        bl: Boot loader of the secure processor.
        tee: Operating system of the secure processor.
        snp: SNP firmware.
        ucode: Lowest microcode patch level of all cores.
        reserved: The bytes without a meaning, lowest first; zero in every known report.
    """

    product: Product
    raw: bytes
    fmc: int | None = field(init=False)
    bl: int = field(init=False)
    tee: int = field(init=False)
    snp: int = field(init=False)
    ucode: int = field(init=False)
    reserved: bytes = field(init=False)

    def __post_init__(self) -> None:
        raw = self.raw
        write = object.__setattr__
        if LAYOUTS[self.product].struct_version:
            write(self, "fmc", raw[0])
            write(self, "bl", raw[1])
            write(self, "tee", raw[2])
            write(self, "snp", raw[3])
            write(self, "reserved", raw[4:7])
        else:
            write(self, "fmc", None)
            write(self, "bl", raw[0])
            write(self, "tee", raw[1])
            write(self, "snp", raw[6])
            write(self, "reserved", raw[2:6])
        write(self, "ucode", raw[7])

    @property
    def components(self) -> dict[str, int]:
        """The components by name: ``fmc`` (Turin), ``bl``, ``tee``, ``snp``, ``ucode``."""
        names = LAYOUTS[self.product].components
        return {name: value for name, value in zip(names, self.raw, strict=True) if name}


@dataclass(frozen=True, slots=True, order=True)
class FirmwareVersion:
    """Version of the SNP firmware, compared by major, minor, build in this order."""

    major: int
    minor: int
    build: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"


@dataclass(frozen=True, slots=True)
class GuestPolicy:
    """What the guest's owner demanded at launch (ABI, Guest Policy).

    Args:
        raw: The 64 bits.

    Attributes:
        abi_minor: Least ABI minor version, bits 7:0.
        abi_major: Least ABI major version, bits 15:8.
        smt: SMT is allowed (16).
        migrate_ma: A migration agent may be associated (18).
        debug: The host may read and write the guest's memory (19): nothing in it is secret then.
        single_socket: The guest may run on one socket only (20).
        cxl: CXL devices may be used (21).
        aes_256_xts: Memory must be encrypted with AES-256-XTS (22).
        rapl_disabled: Running average power limit must be off (23).
        ciphertext_hiding: DRAM ciphertext must be hidden from the host (24).
        page_swap_disabled: Page swapping commands are not allowed for this guest (25).
        unknown: Numbers of the bits that are set and have no meaning here; for a policy to judge.
    """

    raw: int
    abi_minor: int = field(init=False)
    abi_major: int = field(init=False)
    smt: bool = field(init=False)
    migrate_ma: bool = field(init=False)
    debug: bool = field(init=False)
    single_socket: bool = field(init=False)
    cxl: bool = field(init=False)
    aes_256_xts: bool = field(init=False)
    rapl_disabled: bool = field(init=False)
    ciphertext_hiding: bool = field(init=False)
    page_swap_disabled: bool = field(init=False)
    unknown: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        raw, write = self.raw, object.__setattr__
        write(self, "abi_minor", raw & 0xFF)
        write(self, "abi_major", raw >> 8 & 0xFF)
        for name, bit in _POLICY_BITS:
            write(self, name, bool(raw >> bit & 1))
        write(self, "unknown", _bits(raw & ~_KNOWN_POLICY))


_POLICY_BITS = (
    ("smt", 16),
    ("migrate_ma", 18),
    ("debug", 19),
    ("single_socket", 20),
    ("cxl", 21),
    ("aes_256_xts", 22),
    ("rapl_disabled", 23),
    ("ciphertext_hiding", 24),
    ("page_swap_disabled", 25),
)


@dataclass(frozen=True, slots=True)
class PlatformInfo:
    """How the platform is configured (ABI, PLATFORM_INFO).

    Args:
        raw: The 64 bits.

    Attributes:
        smt: SMT is on (0).
        tsme: Transparent memory encryption is on (1).
        ecc: The memory has error correction (2).
        rapl_disabled: Running average power limit is off (3).
        ciphertext_hiding: DRAM ciphertext is hidden from the host (4).
        alias_check_complete: No memory aliasing was found since the last reset (5): the answer to
            CVE-2024-21944. Firmware that cannot say leaves it off.
        tio: Trusted I/O is on (7).
        unknown: Numbers of the bits that are set and have no meaning here; for a policy to judge.
    """

    raw: int
    smt: bool = field(init=False)
    tsme: bool = field(init=False)
    ecc: bool = field(init=False)
    rapl_disabled: bool = field(init=False)
    ciphertext_hiding: bool = field(init=False)
    alias_check_complete: bool = field(init=False)
    tio: bool = field(init=False)
    unknown: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        raw, write = self.raw, object.__setattr__
        for name, bit in _PLATFORM_BITS:
            write(self, name, bool(raw >> bit & 1))
        write(self, "unknown", _bits(raw & ~_KNOWN_PLATFORM))


_PLATFORM_BITS = (
    ("smt", 0),
    ("tsme", 1),
    ("ecc", 2),
    ("rapl_disabled", 3),
    ("ciphertext_hiding", 4),
    ("alias_check_complete", 5),
    ("tio", 7),
)


@record
class SnpClaims:
    """The fields of an attestation report (ABI, ATTESTATION_REPORT), and the platform that signed it.

    Attributes:
        version: Version of the report: 2, 3, 4 or 5.
        guest_svn: The guest's own security version.
        policy: What the guest's owner demanded at launch.
        family_id: Family of the guest, from its ID block, 16 bytes.
        image_id: Image of the guest, from its ID block, 16 bytes.
        vmpl: Privilege level (0 to 3) of the guest software that asked for the report.
        platform: How the platform is configured.
        signing_key: Which kind of key signed: the chip's (``vcek``) or the cloud provider's (``vlek``).
        author_key: Whether ``author_key_digest`` names an author key.
        mask_chip_key: MASK_CHIP_KEY of the platform.
        report_data: What the guest put in, 64 bytes.
        measurement: Measurement of the guest at launch, 48 bytes.
        host_data: What the host put in at launch, 32 bytes.
        id_key_digest: SHA-384 of the key that signed the ID block, 48 bytes; zero without one.
        author_key_digest: SHA-384 of the key that certified the ID key, 48 bytes; zero without one.
        report_id: Names this guest while it lives, 32 bytes.
        report_id_ma: Names its migration agent, 32 bytes of 0xff without one.
        product: The product line of the chip.
        product_name: What the certificate calls the product: ``Milan-B0``.
        cpuid: CPUID family, model and stepping; None in version 2.
        reported_tcb: What the VCEK or VLEK was derived from: the TCB that the platform owner vouches for.
        current_tcb: What runs.
        committed_tcb: What cannot be rolled back any more.
        launch_tcb: What ran when the guest was launched or imported.
        current_version: Version of the firmware that runs.
        committed_version: Version of the firmware that cannot be rolled back any more.
        provisional: Whether the firmware that runs is not committed yet and can be rolled back.
        chip_id: The chip, 64 bytes (8 and zeros on Turin); zero when it is masked or a VLEK signed.
        chip_id_masked: Whether the platform hides which chip it is.
        csp_id: The provider that a VLEK was issued to; None for a VCEK.
        launch_mitigations: Mitigation bits when the guest was launched; None before version 5.
        current_mitigations: Mitigation bits now; None before version 5.
        debug: Whether the guest is debuggable (``policy.debug``): nothing in it is secret then.
        forgeable: Whether anyone can forge reports of this product: true for Milan, whose root seed was
            extracted. No other Claim of such a report proves anything about hardware.
        alias_check_complete: ``platform.alias_check_complete``.
        endorsed_from: When the certificates and the CRL began to be valid together.
        endorsed_until: When the first of them stops.
    """

    version: int
    guest_svn: int
    policy: GuestPolicy
    family_id: bytes
    image_id: bytes
    vmpl: int
    platform: PlatformInfo
    signing_key: Literal["vcek", "vlek"]
    author_key: bool
    mask_chip_key: bool
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    product: Product
    product_name: str
    cpuid: tuple[int, int, int] | None
    reported_tcb: TcbVersion
    current_tcb: TcbVersion
    committed_tcb: TcbVersion
    launch_tcb: TcbVersion
    current_version: FirmwareVersion
    committed_version: FirmwareVersion
    provisional: bool
    chip_id: bytes
    chip_id_masked: bool
    csp_id: str | None
    launch_mitigations: int | None
    current_mitigations: int | None
    debug: bool
    forgeable: bool
    alias_check_complete: bool
    endorsed_from: datetime
    endorsed_until: datetime
