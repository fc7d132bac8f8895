"""Where a log's firmware ends: the one separator of each of PCRs 0 to 7, known by digest as by type.

A type is never measured: firmware's own separator under another one, and a second that the operating system
extended, would make what stands between them look like the firmware's. Parts of an S-CRTM are no separators
even so (``could_separate``).

Firmware measures one separator per PCR and boot. Some firmware measures them anew when the first boot entry
failed and it tries the next; anybody who runs between both could have extended the second as well, so such a
log is refused, and told apart from one that lacks a separator.

Source: TCG PC Client Platform Firmware Profile 1.06, sections 3.3.1 and 10.4.1 (EV_SEPARATOR).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from assay.evidence.eventlog.kinds import EventType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.evidence.eventlog.algorithms import Algorithm
    from assay.evidence.eventlog.tcg import TcgEvent

SEPARATED_PCRS = range(8)
"""PCRs in which a separator ends what firmware measured."""
_SEPARATORS = frozenset({bytes(4), b"\xff" * 4, b"\xff"})
_ERRORS = frozenset({b"\x01\0\0\0", b"\0\0\0\x01"})
"""What firmware measures in place of a separator that it could not reach, in either byte order."""
_BOOT_VARIABLES = frozenset({1, 5})
"""PCRs in which the order of boot entries, measured without its name, can be the very bytes of an error."""
_REPEATED = (
    "Firmware measures one per PCR and boot; some measures them anew when a boot entry failed and it tries"
    " the next, and nothing tells that from an operating system that added them. Boot so that the"
    " first entry succeeds, and quote again."
)


class SeparatorDefect(NamedTuple):
    """Why a log's separators do not end what firmware measured.

    Attributes:
        what: In one word: ``missing``, ``repeated``, ``relabelled`` or ``error``.
        reason: A sentence for a person.
    """

    what: str
    reason: str


def separator_digests(bank: Algorithm) -> frozenset[bytes]:
    """Return the digests of separators that report no error."""
    return frozenset(map(bank.digest, _SEPARATORS))


def could_separate(event: TcgEvent, digest: bytes, ends: frozenset[bytes]) -> bool:
    """Tell whether a part of the S-CRTM has the digest of a separator, so that it could be one relabelled.

    Of a part of four zeros (seen in the records that Boot Guard's table lists) it is the honest digest. What
    follows one therefore counts as behind the separator, and nothing rests on which of both it is.
    """
    return event.register == 0 and event.kind == EventType.S_CRTM_CONTENTS and digest in ends


def separator_defect(
    events: Sequence[TcgEvent], column: int, bank: Algorithm, demanded: Sequence[int]
) -> SeparatorDefect | None:
    """Return why PCRs do not have one separator each that reports no error; None when all have.

    Args:
        events: The extended events of the firmware's log, in order.
        column: Which of their digests are the bank's.
        bank: The bank.
        demanded: The PCRs, ascending.
    """
    ends = separator_digests(bank)
    errors = frozenset(map(bank.digest, _ERRORS))
    found = {
        register: [
            event
            for event in events
            if event.register == register
            and (
                event.kind == EventType.SEPARATOR
                or event.digests[column] in ends
                or (event.digests[column] in errors and register not in _BOOT_VARIABLES)
            )
            and not could_separate(event, event.digests[column], ends)
        ]
        for register in demanded
    }
    for register, separators in found.items():
        defect = _defect(register, separators, found)
        if defect is not None:
            return defect
    return None


def _defect(
    register: int, separators: Sequence[TcgEvent], found: Mapping[int, Sequence[TcgEvent]]
) -> SeparatorDefect | None:
    """Return why these are not the one separator of a PCR; None when they are."""
    if not separators:
        reason = f"PCR {register} has no separator, so nothing tells what in it is the firmware's."
        return SeparatorDefect("missing", reason)
    if len(separators) > 1:
        others = [index for index, several in found.items() if len(several) > 1]
        which = f"PCR {register} has" if len(others) == 1 else f"Each of the PCRs {others} has"
        return SeparatorDefect("repeated", f"{which} more than one separator. {_REPEATED}")
    (only,) = separators
    if only.kind != EventType.SEPARATOR:
        return SeparatorDefect("relabelled", f"The separator of PCR {register} stands under another type.")
    if only.payload not in _SEPARATORS:
        return SeparatorDefect("error", f"The separator of PCR {register} reports an error of the firmware.")
    return None
