"""The CCEL event log of a TDX guest, verified against the RTMRs of an authenticated quote.

CCEL is a crypto-agile log (``tcg``) with SHA-384 digests whose register field is the CC measurement register
index: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3. The ACPI table is a fixed area: what follows the last event is
filled with 0xFF (EDK II) or zeros (td-shim).

Source: UEFI 2.10, section 38.4 (EFI_CC_EVENTLOG_FORMAT_TCG_2, register index mapping for TDX); Intel
Guest-Host Communication Interface 1.5, section 4.3.3 (CCEL).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.eventlog import kinds, tcg
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.payload import Coverage, PayloadBinding, binding
from assay.evidence.eventlog.replay import RTMR_COUNT, replay_rtmrs
from assay.evidence.eventlog.result import LogResult
from assay.evidence.ledger import CheckFailedError, CheckSpec, LedgerBuilder
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.verification import EvidenceResult

PADDING = frozenset({0x00, 0xFF})

QUOTE = CheckSpec(
    "ccel.quote", "the TDX quote that holds the registers is authentic", "Intel GHCI 1.5, section 4.3.3"
)
LAYOUT = CheckSpec(
    "ccel.layout",
    "the log is one well-formed crypto-agile log for measurement registers 1 to 4, then only padding",
    "UEFI 2.10, section 38.4; TCG PFP 1.06, section 10.2",
)
REPLAY = tuple(
    CheckSpec(
        f"ccel.replay.rtmr{register}",
        f"the events of the log, and no others, made the quote's RTMR{register}",
        "UEFI 2.10, section 38.4.1; Intel TDX module base specification, TDG.MR.RTMR.EXTEND",
    )
    for register in range(RTMR_COUNT)
)
PAYLOADS = CheckSpec(
    "ccel.payload",
    "every payload whose type says that it was hashed is the one that was hashed",
    "TCG PFP 1.06, table 27",
)
CHECKS = (QUOTE, LAYOUT, *REPLAY, PAYLOADS)


@dataclass(frozen=True, slots=True)
class CcelEvent:
    """An event that was extended into an RTMR.

    Attributes:
        register: 0 to 3.
        kind: Event type; never measured, see ``kinds``.
        digest: The SHA-384 digest that was extended, 48 bytes; authenticated.
        payload: The event's data; only what ``binding`` covers is authenticated.
        binding: What of the payload the digest proves.
    """

    register: int
    kind: int
    digest: bytes
    payload: bytes
    binding: PayloadBinding

    @property
    def bound(self) -> bytes:
        """The bytes of the payload that the register proves; empty for a caption."""
        return self.payload[self.binding.start : self.binding.end]


@dataclass(frozen=True, slots=True)
class CcelLog:
    """A parsed CCEL log.

    Attributes:
        events: The extended events, in order.
        unsigned: Header, events that measure nothing, and padding.
    """

    events: tuple[CcelEvent, ...]
    unsigned: tuple[UnsignedRegion, ...]

    def replay(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Return the four RTMRs that this log makes."""
        return replay_rtmrs((event.register, event.digest) for event in self.events)


@dataclass(frozen=True, slots=True)
class CcelClaims:
    """What the log says once the quote's registers prove it.

    Attributes:
        events: Events of the registers that were replayed, in order.
        registers: Which registers these are.
    """

    events: tuple[CcelEvent, ...]
    registers: frozenset[int]


def parse_ccel(data: bytes) -> CcelLog:
    """Parse a CCEL table's data area.

    Args:
        data: The log with its padding, at most ``tcg.MAX_LOG_BYTES``.

    Raises:
        EvidenceError: ``eventlog.*``; ``eventlog.register`` when an event claims a register that TDX lacks.
    """
    log = tcg.parse(data, padding=PADDING)
    if Algorithm.SHA384 not in log.algorithms:
        raise EvidenceError(
            "eventlog.bank.absent", "The event log holds no SHA-384 digests; RTMRs have no others."
        )
    column = log.algorithms.index(Algorithm.SHA384)
    events: list[CcelEvent] = []
    unsigned = [UnsignedRegion(0, log.header_end, "header of the event log")]
    for event in log.events:
        if not event.extended:
            unsigned.append(UnsignedRegion(event.start, event.end, "event that measures nothing"))
            continue
        if not 1 <= event.register <= RTMR_COUNT:
            raise EvidenceError(
                "eventlog.register",
                f"The event at offset {event.start} extends measurement register {event.register};"
                " only 1 to 4 are RTMRs.",
            )
        digest = event.digests[column]
        bound = binding(event.kind, event.payload, digest, Algorithm.SHA384)
        events.append(CcelEvent(event.register - 1, event.kind, digest, event.payload, bound))
    if log.end < len(data):
        unsigned.append(UnsignedRegion(log.end, len(data), "padding"))
    return CcelLog(tuple(events), tuple(unsigned))


def verify_ccel(
    quote: EvidenceResult[TdxClaims], log: bytes, *, registers: frozenset[int]
) -> LogResult[CcelClaims]:
    """Verify a CCEL log against the registers of a TDX quote. Never raises for bad evidence.

    Args:
        quote: The verified quote of the same guest.
        log: The CCEL data area.
        registers: RTMRs that the log has to explain. Firmware logs end where the operating system begins: a
            register that the guest extends later is explained by another log and must not be named here.

    Raises:
        EvidenceError: ``ccel.registers`` when ``registers`` names none of the four, or something else.
    """
    if not registers or not registers <= frozenset(range(RTMR_COUNT)):
        raise EvidenceError("ccel.registers", "A log is verified against some of the registers 0 to 3.")
    ledger = LedgerBuilder(CHECKS)
    parsed: CcelLog | None = None
    claims: CcelClaims | None = None
    try:
        parsed = _layout(ledger, quote, log)
        _replays(ledger, quote.claims.rtmrs, parsed, registers)
        _payloads(ledger, parsed, registers)
        events = tuple(event for event in parsed.events if event.register in registers)
        claims = CcelClaims(events, registers)
    except CheckFailedError:
        pass
    return LogResult(
        ledger=ledger.close(),
        may_be_open=frozenset(),
        not_proven=_not_proven(claims),
        unsigned=parsed.unsigned if parsed else (),
        _claims=claims,
    )


def _layout(ledger: LedgerBuilder, quote: EvidenceResult[TdxClaims], log: bytes) -> CcelLog:
    if not quote.authentic:
        raise ledger.fail(
            QUOTE, "ccel.quote.unauthenticated", "The quote is not authentic, so its RTMRs prove nothing."
        )
    ledger.passed(QUOTE)
    try:
        parsed = parse_ccel(log)
    except EvidenceError as error:
        raise ledger.fail(LAYOUT, error.code, error.message) from error
    ledger.passed(LAYOUT)
    return parsed


def _replays(
    ledger: LedgerBuilder, quoted: tuple[bytes, ...], parsed: CcelLog, registers: frozenset[int]
) -> None:
    replayed = parsed.replay()
    for register, spec in enumerate(REPLAY):
        if register not in registers:
            ledger.not_applicable(spec, "the caller does not rest on this register")
        elif replayed[register] == quoted[register]:
            ledger.passed(spec)
        else:
            ledger.failed(
                spec,
                "ccel.replay.mismatch",
                f"The log makes another RTMR{register} than the one in the quote.",
            )


def _payloads(ledger: LedgerBuilder, parsed: CcelLog, registers: frozenset[int]) -> None:
    for event in parsed.events:
        if event.register in registers and event.binding.coverage is Coverage.CONTRADICTED:
            raise ledger.fail(
                PAYLOADS,
                "ccel.payload.contradicted",
                f"An event of type {kinds.name(event.kind)} in RTMR{event.register} has a payload that its"
                " digest is not the hash of.",
            )
    ledger.passed(PAYLOADS)


def _not_proven(claims: CcelClaims | None) -> tuple[str, ...]:
    if claims is None:
        return ()
    captions = sum(event.binding.coverage is Coverage.CAPTION for event in claims.events)
    said = ["No register covers the type of an event: it is the word of whoever kept the log."]
    if captions:
        said.append(
            f"{captions} of {len(claims.events)} payloads are captions; only their digests are measured."
        )
    return tuple(said)
