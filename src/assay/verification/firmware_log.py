"""The firmware's event log of a trust domain, as a caller hands it over."""

from __future__ import annotations

from typing import Final

from assay.errors import EvidenceError
from assay.evidence.records import record

_FIRMWARE_REGISTERS: Final = frozenset({0, 1})
_LOADER_REGISTER: Final = 2


@record
class CcelData:
    """A firmware event log (CCEL).

    Attributes:
        data: The table's data area.
        registers: RTMRs that it has to explain.
    """

    data: bytes
    registers: frozenset[int]

    @classmethod
    def whole(cls, data: bytes) -> CcelData:
        """Return a log that explains RTMR0 and RTMR1, and RTMR2 where it has events for it.

        Firmware fills RTMR0 and RTMR1 and logs all of it; a boot loader that extends RTMR2 may do so through
        the firmware, and then logs it here, or by itself.
        """
        from assay.evidence.eventlog.ccel import parse_ccel  # noqa: PLC0415 - most evidence comes without

        try:
            events = parse_ccel(data).events
        except EvidenceError:
            return cls(data, _FIRMWARE_REGISTERS)  # the verifier says what is wrong with it
        loader = frozenset(event.register for event in events) & {_LOADER_REGISTER}
        return cls(data, _FIRMWARE_REGISTERS | loader)
