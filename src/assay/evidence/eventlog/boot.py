"""The event logs of a boot against the PCRs of an authenticated TPM quote, for every format that has both.

As with the quote (``tpm.quote``) a format declares the checks once under its own prefix, makes them with
``verify_boot_log`` and extends its ledger with the outcomes.

Every PCR that the caller wants explained must be the replay of the log's events: one without events must
still have the value that it had at reset. Events of other PCRs are proven by nothing and are no claims.

Source: TCG PC Client Platform Firmware Profile 1.06, sections 3.3 (PCR usage), 10.4; TCG PC Client Platform
TPM Profile 1.05, section 4.6 (PCR initial values).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.eventlog import kinds
from assay.evidence.eventlog.cel import CelRecord, parse_cel
from assay.evidence.eventlog.cel_json import SEPARATOR, parse_cel_json
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.eventlog.legacy import parse_boot_log
from assay.evidence.eventlog.payload import FIRMWARE_HASHED_TYPES, Coverage, PayloadBinding, binding
from assay.evidence.eventlog.regions import unsigned_records, unsigned_regions
from assay.evidence.eventlog.replay import LOCALITIES, initial, replay_pcrs
from assay.evidence.eventlog.separators import (
    SEPARATED_PCRS,
    could_separate,
    separator_defect,
    separator_digests,
)
from assay.evidence.ledger import Check, CheckFailedError, LedgerBuilder, Outcome
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assay.evidence.eventlog.algorithms import Algorithm
    from assay.evidence.eventlog.boot_checks import LogSpecs
    from assay.evidence.eventlog.tcg import TcgEvent, TcgLog

PCR_COUNT = 24
LOCALITY = b"StartupLocality\0"


@dataclass(frozen=True, slots=True)
class PcrEvent:
    """An event of the firmware's log that made a quoted PCR.

    Attributes:
        register: The PCR.
        kind: Event type; never measured, see ``kinds``.
        digest: What was extended; authenticated.
        payload: The event's data; only what ``binding`` covers is authenticated.
        binding: What of the payload the digest proves.
        late: True behind the separator of PCRs 0 to 7, or behind what could be one in PCR 0: then the
            operating system may have written it.
    """

    register: int
    kind: int
    digest: bytes
    payload: bytes
    binding: PayloadBinding
    late: bool

    @property
    def bound(self) -> bytes:
        """The bytes of the payload that the PCR proves; empty for a caption."""
        return self.payload[self.binding.start : self.binding.end]


@dataclass(frozen=True, slots=True)
class BootLogClaims:
    """What the logs say once the quoted PCRs prove it.

    Attributes:
        bank: The bank in which they were replayed.
        explained: The PCRs that were replayed.
        startup_locality: Locality of TPM2_Startup as PCR 0 proves it; None when PCR 0 is not among them.
        events: Events of the firmware's log, in order.
        records: Records of the canonical log, in order; ``CelRecord.proven`` tells whether content is.
    """

    bank: Algorithm
    explained: frozenset[int]
    startup_locality: int | None
    events: tuple[PcrEvent, ...]
    records: tuple[CelRecord, ...]


@dataclass(frozen=True, slots=True)
class LogOutcome:
    """What became of the logs.

    Attributes:
        checks: One outcome for each check of the specs, in their order.
        claims: What the logs say; None unless every check passed or did not apply.
        unsigned: Regions of the firmware's log that no quoted PCR covers.
        unsigned_canonical: The same of the canonical log.
    """

    checks: tuple[Check, ...]
    claims: BootLogClaims | None
    unsigned: tuple[UnsignedRegion, ...]
    unsigned_canonical: tuple[UnsignedRegion, ...] = ()


@dataclass(frozen=True, slots=True)
class _Logs:
    """The logs as parsed, with the column of the bank."""

    events: tuple[TcgEvent, ...]
    records: tuple[CelRecord, ...]
    column: int | None
    locality: int | None
    log: TcgLog | None


def verify_boot_log(
    log: bytes,
    canonical: bytes,
    *,
    specs: LogSpecs,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    explained: frozenset[int],
) -> LogOutcome:
    """Verify a boot's logs against quoted PCRs and return every check. Never raises for bad evidence.

    Args:
        log: The firmware's log, crypto-agile or in the old format; empty when there is none.
        canonical: A canonical log of what was extended after it, in TLVs or in systemd's JSON text sequence;
            empty when there is none.
        specs: The checks under the format's names.
        bank: The quoted bank.
        pcrs: The authenticated PCRs.
        explained: PCRs that the logs have to explain, each of them quoted. What a PCR holds that is explained
            elsewhere, such as IMA's, must not be named.

    Raises:
        EvidenceError: ``evidence.call.registers`` when a PCR is to be explained that is not quoted, or none:
            an error of the caller.
    """
    if not explained or not explained.issubset(pcrs):
        raise EvidenceError("evidence.call.registers", "A log explains some of the PCRs that are quoted.")
    if not log and not canonical:
        return LogOutcome(specs.absent, None, ())
    ledger = LedgerBuilder(specs.all)
    claims: BootLogClaims | None = None
    unsigned, unsigned_canonical = _everything(log), _everything(canonical)
    try:
        logs = _read(ledger, specs, log, canonical, bank)
        _bank(ledger, specs, logs, bank, explained)
        locality = _replay(ledger, specs, logs, bank, pcrs, explained)
        _separators(ledger, specs, logs, bank, explained)
        claims = _claims(ledger, specs, logs, bank, explained, locality)
    except CheckFailedError:
        pass
    checks = ledger.close().checks
    if any(check.outcome in (Outcome.FAILED, Outcome.NOT_CHECKED) for check in checks):
        return LogOutcome(checks, None, unsigned, unsigned_canonical)
    if logs.log is not None:
        unsigned = unsigned_regions(log, logs.log, bank, explained)
    return LogOutcome(checks, claims, unsigned, unsigned_records(logs.records, bank, explained))


def _everything(log: bytes) -> tuple[UnsignedRegion, ...]:
    return (UnsignedRegion(0, len(log), "all of it: nothing proves the log"),) if log else ()


def _read(ledger: LedgerBuilder, specs: LogSpecs, log: bytes, canonical: bytes, bank: Algorithm) -> _Logs:
    parsed: TcgLog | None = None
    locality: int | None = None
    if log:
        try:
            parsed = parse_boot_log(log)
            locality = startup_locality(parsed.events)
            _demand_pcrs(event.register for event in parsed.events if event.extended)
        except EvidenceError as error:
            raise ledger.fail(
                specs.layout, f"{specs.layout.id}.{error.code.rpartition('.')[2]}", error.message
            ) from error
        ledger.passed(specs.layout)
    else:
        ledger.not_applicable(specs.layout, "the evidence has no log of its firmware")
    records: tuple[CelRecord, ...] = ()
    if canonical:
        try:
            records = (parse_cel_json if canonical.startswith(SEPARATOR) else parse_cel)(canonical)
            _demand_pcrs(record.register if record.pcr else PCR_COUNT for record in records)
        except EvidenceError as error:
            raise ledger.fail(
                specs.canonical, f"{specs.canonical.id}.{error.code.rpartition('.')[2]}", error.message
            ) from error
        ledger.passed(specs.canonical)
    else:
        ledger.not_applicable(specs.canonical, "the evidence has no canonical log")
    events = tuple(event for event in parsed.events if event.extended) if parsed else ()
    column = parsed.algorithms.index(bank) if parsed and bank in parsed.algorithms else None
    return _Logs(events, records, column, locality, parsed)


def _demand_pcrs(registers: Iterable[int]) -> None:
    for register in registers:
        if register >= PCR_COUNT:
            raise EvidenceError(
                "eventlog.register", f"An event extends register {register}, which is no PCR."
            )


def startup_locality(events: Sequence[TcgEvent]) -> int | None:
    """Return the locality that an event of the log states; None when none does.

    Raises:
        EvidenceError: ``eventlog.locality`` when it is stated twice, late, elsewhere or is impossible.
    """
    found: int | None = None
    extended = False
    for event in events:
        if event.extended:
            extended = extended or event.register == 0
        elif event.payload.startswith(LOCALITY):
            stated = event.payload[len(LOCALITY) :]
            if found is not None or extended or event.register != 0 or tuple(stated) not in _STATED:
                raise EvidenceError(
                    "eventlog.locality", "The log's startup locality is doubled, late or impossible."
                )
            found = stated[0]
    return found


_STATED = frozenset((locality,) for locality in LOCALITIES)


def _bank(
    ledger: LedgerBuilder, specs: LogSpecs, logs: _Logs, bank: Algorithm, explained: frozenset[int]
) -> None:
    events = [event for event in logs.events if event.register in explained]
    if not bank.offered:
        reason = f"This system cannot compute {bank.name}, in which the PCRs are quoted."
        raise ledger.fail(specs.bank, f"{specs.bank.id}.not_offered", reason)
    without = logs.column is None or any(not event.digests[logs.column] for event in events)
    if (events and without) or any(
        not record.digest(bank) for record in logs.records if record.register in explained
    ):
        raise ledger.fail(
            specs.bank, specs.bank.id, f"An event of a quoted PCR has no {bank.name} digest, which is quoted."
        )
    ledger.passed(specs.bank)


def _replay(
    ledger: LedgerBuilder,
    specs: LogSpecs,
    logs: _Logs,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    explained: frozenset[int],
) -> int | None:
    """Record the replay, and return the startup locality that PCR 0 proves."""
    column = logs.column or 0
    extensions = [
        (event.register, event.digests[column]) for event in logs.events if event.register in explained
    ]
    extensions += [
        (record.register, record.digest(bank)) for record in logs.records if record.register in explained
    ]
    locality = logs.locality or 0
    values = replay_pcrs(extensions, bank, locality=locality)
    if 0 in values and values[0] != pcrs[0] and logs.locality is None:
        # Some firmware starts the TPM at another locality and does not log it: the PCR itself tells.
        first = [extension for extension in extensions if extension[0] == 0]
        for guess in LOCALITIES[1:]:
            if (found := replay_pcrs(first, bank, locality=guess)[0]) == pcrs[0]:
                values[0], locality = found, guess
    silent = [index for index in sorted(explained) if index not in values and not initial(index, pcrs[index])]
    wrong = [index for index in sorted(values) if values[index] != pcrs[index]]
    if wrong:
        ledger.failed(
            specs.replay, f"{specs.replay.id}.mismatch", f"The logs make other values of the PCRs {wrong}."
        )
    elif silent:
        ledger.failed(
            specs.replay,
            f"{specs.replay.id}.silent",
            f"The PCRs {silent} were extended, by nothing in the logs.",
        )
    else:
        ledger.passed(specs.replay)
    if 0 not in explained:
        return None
    return locality if 0 in values else pcrs[0][-1]


def _separators(
    ledger: LedgerBuilder, specs: LogSpecs, logs: _Logs, bank: Algorithm, explained: frozenset[int]
) -> None:
    """Record whether each PCR of the firmware has the one separator that ends it."""
    demanded = [register for register in SEPARATED_PCRS if register in explained]
    if not logs.events and not any(record.register in demanded for record in logs.records):
        ledger.not_applicable(specs.separators, "the evidence has no log of its firmware")
        return
    defect = separator_defect(logs.events, logs.column or 0, bank, demanded)
    if defect is None:
        ledger.passed(specs.separators)
    else:
        ledger.failed(specs.separators, f"{specs.separators.id}.{defect.what}", defect.reason)


def _claims(
    ledger: LedgerBuilder,
    specs: LogSpecs,
    logs: _Logs,
    bank: Algorithm,
    explained: frozenset[int],
    locality: int | None,
) -> BootLogClaims:
    events: list[PcrEvent] = []
    separated: set[int] = set()
    column, ends = logs.column or 0, separator_digests(bank)
    for event in logs.events:
        register, digest = event.register, event.digests[column]
        if register not in explained:
            continue
        proven = binding(event.kind, event.payload, digest, bank, hashed=FIRMWARE_HASHED_TYPES)
        if proven.coverage is Coverage.CONTRADICTED:
            raise ledger.fail(
                specs.payloads,
                f"{specs.payloads.id}.contradicted",
                f"An event of type {kinds.name(event.kind)} in PCR {register} has a payload that its digest"
                " is not the hash of.",
            )
        events.append(PcrEvent(register, event.kind, digest, event.payload, proven, register in separated))
        if event.kind == EventType.SEPARATOR or could_separate(event, digest, ends):
            separated.add(register)
    records = tuple(record for record in logs.records if record.register in explained)
    for record in records:
        if record.contradicts(bank):
            raise ledger.fail(
                specs.payloads,
                f"{specs.payloads.id}.contradicted",
                f"Record {record.number} of the canonical log has content that its digest is not of.",
            )
    ledger.passed(specs.payloads)
    return BootLogClaims(bank, explained, locality, tuple(events), records)
