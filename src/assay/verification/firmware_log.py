"""The firmware's event log of a trust domain, as a caller hands it over."""

from __future__ import annotations

from typing import Final

from assay.errors import EvidenceError
from assay.evidence.records import record

_FIRMWARE_REGISTERS: Final = frozenset({0, 1})
_LOADER_REGISTER: Final = 2
# Register 0, EV_NO_ACTION, a digest of zeros, 37 bytes of payload, and no signature where "Spec ID" belongs.
_AGENT_HEADER: Final = bytes(4) + b"\3\0\0\0" + bytes(20) + b"\x25\0\0\0" + bytes(16)


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

    @classmethod
    def of_guest(cls, data: bytes) -> CcelData | None:
        """Return the log that an attester of Confidential Containers sends along with its quote.

        It is the firmware's log with the events that the attester's agent extended behind it, so it explains
        RTMR0, RTMR1, and every other register that it has events for. Where there is no firmware's log the
        agent writes its events under a header that is none of a log: None for that.
        """
        from assay.evidence.eventlog.ccel import parse_ccel  # noqa: PLC0415 - most evidence comes without

        if data.startswith(_AGENT_HEADER):
            return None
        try:
            events = parse_ccel(data).events
        except EvidenceError:
            return cls(data, _FIRMWARE_REGISTERS)  # the verifier says what is wrong with it
        return cls(data, _FIRMWARE_REGISTERS | frozenset(event.register for event in events))
