"""``[vtpm]``, ``[azure]``, ``[google]`` and ``[tpm]``: what a policy says of machines with a TPM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from assay.appraisal.fields import Flag, Hex, Integer, Key, ListOf, Text
from assay.appraisal.register_fields import AnyRegister
from assay.appraisal.revocation_field import REVOCATION
from assay.appraisal.tables.registers import pcr_fields, table

PCRS: Final = 24
PCR_SIZES: Final = (32, 48, 64)

_RESETTABLE: Final = "software resets it at any time and extends what it likes, so it proves no history."
_MEANING: Final = {
    0: "The firmware's code.",
    1: "Firmware configuration.",
    2: "Code of option ROMs and drivers.",
    4: "Boot loader, or a kernel that the firmware starts.",
    5: "Boot loader configuration and partition table.",
    7: "Secure-boot policy: which keys the firmware trusts.",
    8: "Kernel command line, as boot loaders measure it.",
    9: "Kernel, initrd and what else a boot loader reads.",
    10: "What the kernel measured with IMA; it grows while the machine runs.",
    11: "Unified kernel image and boot phases.",
    12: "Kernel command line of a unified kernel image.",
    16: f"Debugging: {_RESETTABLE}",
    23: f"Applications: {_RESETTABLE}",
}

Vtpm: Final = table(
    "Vtpm",
    "``[vtpm]``: registers of the TPM, SHA-256 or longer.",
    [
        *pcr_fields(PCRS, AnyRegister(PCR_SIZES), _MEANING),
        (
            "event_log",
            Annotated[bool | None, Key(Flag(), "Whether event logs must explain the registers.")],
            field(default=None),
        ),
        (
            "min_firmware_version",
            Annotated[
                int | None, Key(Integer(0, 2**64 - 1), "Smallest version that the TPM's firmware states.")
            ],
            field(default=None),
        ),
        (
            "clock_safe",
            Annotated[
                bool | None,
                Key(
                    Flag(),
                    "true demands a clock that the TPM calls safe: it never reported a later time, so quotes"
                    " of one key can be put in order by it.",
                ),
            ],
            field(default=None),
        ),
    ],
)


@dataclass(frozen=True, slots=True)
class Azure:
    """``[azure]``: what the paravisor of an Azure confidential VM states."""

    secure_boot: Annotated[bool | None, Key(Flag(), "Whether the VM boots with secure boot.")] = None
    tpm_enabled: Annotated[bool | None, Key(Flag(), "Whether the VM has its virtual TPM.")] = None
    console_enabled: Annotated[bool | None, Key(Flag(), "Whether the VM has a serial console.")] = None
    vm_ids: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Unique ids of the VMs (vmUniqueId) that are meant.")
    ] = None
    user_data: Annotated[
        bool | None,
        Key(Flag(), "true demands that the hardware's own layer was shown to be fresh too, by user data."),
    ] = None
    ak_certificate: Annotated[
        bool | None,
        Key(Flag(), "true demands Azure's certificate for the attestation key, besides the hardware's word."),
    ] = None
    revocation: Annotated[str | None, REVOCATION] = None


@dataclass(frozen=True, slots=True)
class Google:
    """``[google]``: to which VM Google certified the attestation key."""

    project_ids: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Projects that the VM may belong to.")
    ] = None
    project_numbers: Annotated[
        tuple[int, ...] | None, Key(ListOf(Integer(0, 2**63 - 1)), "Numbers of those projects.")
    ] = None
    zones: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Zones that it may run in: us-central1-a.")
    ] = None
    instance_ids: Annotated[
        tuple[int, ...] | None, Key(ListOf(Integer(0, 2**64 - 1)), "Numbers of the instances that are meant.")
    ] = None
    instance_names: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Names of instances; a name can be used again.")
    ] = None
    production: Annotated[
        bool | None, Key(Flag(), "true demands that Google calls the platform a production one.")
    ] = None
    revocation: Annotated[str | None, REVOCATION] = None


@dataclass(frozen=True, slots=True)
class Tpm:
    """``[tpm]``: a stand-alone TPM."""

    ak_digests: Annotated[
        tuple[bytes, ...] | None,
        Key(ListOf(Hex(32)), "SHA-256 of the attestation keys (SubjectPublicKeyInfo, DER) that may sign."),
    ] = None
    ak_certified: Annotated[
        bool | None, Key(Flag(), "true demands a certificate for the attestation key, under a root of trust.")
    ] = None
    ima: Annotated[bool | None, Key(Flag(), "true demands a log of what the kernel measured.")] = None
    revocation: Annotated[str | None, REVOCATION] = None


def no_registers() -> Any:
    """Return ``[vtpm]`` of a policy that does not have it."""
    return Vtpm()
