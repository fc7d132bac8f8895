"""``[snp]``: what a policy says of AMD SEV-SNP guests and of the chips that they run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from assay.appraisal.fields import Choice, Flag, Hex, Integer, Key, ListOf, Table, Text, Version
from assay.appraisal.register_fields import Allowed, Register

PRODUCTS: Final = ("milan", "genoa", "turin")
MOST_VMPL: Final = 3


@dataclass(frozen=True, slots=True)
class LeastTcb:
    """``[snp.min_tcb.<product>]``: the smallest security version of each component of the firmware."""

    fmc: Annotated[int | None, Key(Integer(0, 255), "Firmware of the FMC (Turin).")] = None
    bl: Annotated[int | None, Key(Integer(0, 255), "Boot loader of the secure processor.")] = None
    tee: Annotated[int | None, Key(Integer(0, 255), "Operating system of the secure processor.")] = None
    snp: Annotated[int | None, Key(Integer(0, 255), "Firmware that implements SNP.")] = None
    ucode: Annotated[int | None, Key(Integer(0, 255), "Microcode patch level.")] = None


@dataclass(frozen=True, slots=True)
class LeastTcbs:
    """``[snp.min_tcb]``: by product, because the numbers of one say nothing about another."""

    milan: Annotated[LeastTcb | None, Key(Table(LeastTcb), "Security versions of Milan.")] = None
    genoa: Annotated[LeastTcb | None, Key(Table(LeastTcb), "Security versions of Genoa and its kin.")] = None
    turin: Annotated[LeastTcb | None, Key(Table(LeastTcb), "Security versions of Turin.")] = None


@dataclass(frozen=True, slots=True)
class GuestPolicyBits:
    """``[snp.guest_policy]``: bits of the policy under which the guest was launched."""

    smt: Annotated[bool | None, Key(Flag(), "Whether the guest may run with SMT on.")] = None
    single_socket: Annotated[bool | None, Key(Flag(), "Whether the guest must stay on one socket.")] = None
    cxl: Annotated[bool | None, Key(Flag(), "Whether CXL devices may be used.")] = None
    aes_256_xts: Annotated[bool | None, Key(Flag(), "Whether memory is encrypted with AES-256-XTS.")] = None
    rapl_disabled: Annotated[bool | None, Key(Flag(), "Whether power measurement must be off.")] = None
    ciphertext_hiding: Annotated[
        bool | None, Key(Flag(), "Whether the ciphertext must be hidden from the host.")
    ] = None
    page_swap_disabled: Annotated[bool | None, Key(Flag(), "Whether pages may not be swapped out.")] = None


@dataclass(frozen=True, slots=True)
class PlatformBits:
    """``[snp.platform_info]``: how the machine is configured."""

    smt: Annotated[bool | None, Key(Flag(), "Whether SMT is on.")] = None
    tsme: Annotated[bool | None, Key(Flag(), "Whether all memory is encrypted.")] = None
    ecc: Annotated[bool | None, Key(Flag(), "Whether the memory has error correction.")] = None
    rapl_disabled: Annotated[bool | None, Key(Flag(), "Whether power measurement is off.")] = None
    ciphertext_hiding: Annotated[
        bool | None, Key(Flag(), "Whether the ciphertext is hidden from the host.")
    ] = None
    tio: Annotated[bool | None, Key(Flag(), "Whether trusted I/O is on.")] = None


@dataclass(frozen=True, slots=True)
class Snp:
    """``[snp]``."""

    measurement: Annotated[Allowed | None, Key(Register(48), "What the guest was launched with.")] = None
    host_data: Annotated[Allowed | None, Key(Register(32), "What the launcher put in at launch.")] = None
    id_key_digest: Annotated[
        Allowed | None, Key(Register(48, may_be_zero=True), "SHA-384 of the key that signed the ID block.")
    ] = None
    author_key_digest: Annotated[
        Allowed | None, Key(Register(48, may_be_zero=True), "SHA-384 of the key that certified the ID key.")
    ] = None
    family_id: Annotated[
        tuple[bytes, ...] | None, Key(ListOf(Hex(16)), "Families of guests, from their ID block.")
    ] = None
    image_id: Annotated[
        tuple[bytes, ...] | None, Key(ListOf(Hex(16)), "Images of guests, from their ID block.")
    ] = None
    min_guest_svn: Annotated[
        int | None, Key(Integer(0, 2**32 - 1), "Smallest security version of the guest, from its ID block.")
    ] = None
    vmpl: Annotated[
        tuple[int, ...] | None,
        Key(
            ListOf(Integer(0, MOST_VMPL)),
            "Privilege levels that may have asked for the report. Any but 0 needs vmpl in accept.",
        ),
    ] = None
    products: Annotated[
        tuple[str, ...] | None, Key(ListOf(Choice(PRODUCTS)), "Product lines that are accepted.")
    ] = None
    signing_keys: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Choice(("vcek", "vlek"))), "Who may sign: the chip (vcek), the provider's key (vlek)."),
    ] = None
    chip_ids: Annotated[
        tuple[bytes, ...] | None,
        Key(ListOf(Hex(32)), "SHA-256 of the chip ids (64 bytes, as in the report) that may sign."),
    ] = None
    csp_ids: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Cloud providers whose VLEK may sign.")
    ] = None
    min_report_version: Annotated[int | None, Key(Integer(2, 5), "Smallest version of the report.")] = None
    min_tcb: Annotated[
        LeastTcbs | None,
        Key(Table(LeastTcbs), "Smallest security versions that the platform's owner vouches for."),
    ] = None
    min_launch_tcb: Annotated[
        LeastTcbs | None,
        Key(Table(LeastTcbs), "Smallest security versions under which the guest was launched."),
    ] = None
    min_firmware: Annotated[
        str | None, Key(Version(), "Smallest version of the SNP firmware that is committed.")
    ] = None
    min_abi: Annotated[
        str | None,
        Key(Version("1.55"), "Smallest ABI version that the guest was launched to demand of its firmware."),
    ] = None
    guest_policy: Annotated[
        GuestPolicyBits | None, Key(Table(GuestPolicyBits), "Bits of the guest's launch policy.")
    ] = None
    platform_info: Annotated[
        PlatformBits | None, Key(Table(PlatformBits), "How the machine is configured.")
    ] = None
    launch_mitigations: Annotated[
        bytes | None,
        Key(Hex(8), "Mitigation bits that were on at launch, little-endian; reports of version 5 alone."),
    ] = None
    current_mitigations: Annotated[bytes | None, Key(Hex(8), "Mitigation bits that are on now.")] = None
