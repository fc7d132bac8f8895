"""``[nvidia]``: what a policy says of NVIDIA devices, by their own reports or by NVIDIA's service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from assay.appraisal.fields import Choice, Flag, Integer, Key, ListOf, Text

ARCHITECTURES: Final = ("HOPPER", "BLACKWELL", "LS10")
MODES: Final = ("spt", "mpt", "ppcie")
MOST_DEVICES: Final = 96


@dataclass(frozen=True, slots=True)
class Nvidia:
    """``[nvidia]``."""

    architectures: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Choice(ARCHITECTURES)), "Families of devices; own reports alone."),
    ] = None
    drivers: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Versions of the driver that every GPU may run.")
    ] = None
    firmware: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Versions of VBIOS or switch BIOS that are accepted.")
    ] = None
    modes: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Choice(MODES)), "How GPUs may be passed on; own reports alone."),
    ] = None
    device_ids: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(128)), "The devices that are meant, by id or ueid.")
    ] = None
    gpus: Annotated[
        int | None, Key(Integer(1, MOST_DEVICES), "How many GPUs there must be: no more, no fewer.")
    ] = None
    switches: Annotated[
        int | None, Key(Integer(0, MOST_DEVICES), "How many switches there must be; only for own reports.")
    ] = None
    fresh_revocation: Annotated[
        bool | None,
        Key(
            Flag(),
            "true demands that revocation answers, of manifests too, carried the nonce of their question.",
        ),
    ] = None
