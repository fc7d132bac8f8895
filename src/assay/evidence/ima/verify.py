"""An IMA log against the PCRs of an authenticated TPM quote, for every format that has both.

As with the quote (``tpm.quote``) a format declares the checks once under its own prefix, makes them with
``verify_ima`` and extends its ledger with the outcomes.

The log is read after the quote is made or before: entries behind those that the quoted PCR proves are
pending. They are no claims, and there may be only as many as the caller allows.

Source: Linux security/integrity/ima; TCG Canonical Event Log Format 1.0, section 5.3 (IMA).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.ima.entries import (
    ImaLog,
    digest_algorithm,
    frames,
)
from assay.evidence.ledger import Check, CheckFailedError, CheckSpec, LedgerBuilder, Outcome, specs_under
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Mapping


IMA_PCR = 10
_DIGEST_AT = 4  # behind the PCR of an entry
DEFAULT_MAX_PENDING = 64
"""Entries that a busy machine adds between its quote and the reading of its log, generously."""

_HASHES = {
    Algorithm.SHA1: hashlib.sha1,
    Algorithm.SHA256: hashlib.sha256,
    Algorithm.SHA384: hashlib.sha384,
    Algorithm.SHA512: hashlib.sha512,
}
_LINUX = "Linux security/integrity/ima, "


@dataclass(frozen=True, slots=True)
class ImaSpecs:
    """The checks of an IMA log under the names of one format, in the order in which they are made.

    Attributes:
        all: All of them, for the format's own list.
        absent: Their outcomes where there is no log.
    """

    layout: CheckSpec
    template: CheckSpec
    bank: CheckSpec
    replay: CheckSpec
    hashed: CheckSpec
    pending: CheckSpec
    aggregate: CheckSpec
    all: tuple[CheckSpec, ...] = field(init=False)
    absent: tuple[Check, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = (
            self.layout,
            self.template,
            self.bank,
            self.replay,
            self.hashed,
            self.pending,
            self.aggregate,
        )
        object.__setattr__(self, "all", found)
        absent = tuple(
            Check(spec, Outcome.NOT_APPLICABLE, "", "the evidence has no IMA log") for spec in found
        )
        object.__setattr__(self, "absent", absent)

    @classmethod
    def of(cls, prefix: str) -> ImaSpecs:
        """Return the checks with ids that begin with ``prefix``, such as ``tpm.ima``."""
        spec = specs_under(prefix)
        return cls(
            layout=spec(
                "layout",
                "the IMA log is whole entries of known templates",
                _LINUX + "ima_fs.c, IMA-templates.rst",
            ),
            template=spec(
                "template", "each entry's digest is the hash of its template data", _LINUX + "ima_template.c"
            ),
            bank=spec("bank", "PCR 10 is quoted in a bank that IMA extends", _LINUX + "ima_queue.c"),
            replay=spec(
                "replay",
                "the first entries of the log, and no others, made the quoted PCR",
                _LINUX + "ima_queue.c (ima_add_template_entry)",
            ),
            hashed=spec(
                "hash",
                "the quoted bank was extended with hashes of its own algorithm, not with padded SHA-1",
                _LINUX + "ima_queue.c; padding until Linux 5.8",
            ),
            pending=spec(
                "pending",
                "no more entries follow those than a machine adds while it is quoted",
                "RFC 9334 section 10: freshness",
            ),
            aggregate=spec(
                "boot_aggregate",
                "the log begins with the boot that the quoted PCRs 0 to 7, or 0 to 9, show",
                _LINUX + "ima_init.c, ima_crypto.c (ima_calc_boot_aggregate)",
            ),
        )


@dataclass(frozen=True, slots=True)
class ImaClaims:
    """What the kernel measured, as the quoted PCR proves it.

    Attributes:
        entries: The proven entries, in order.
        pending: How many entries follow those that are proven.
        skipped: How many entries among them are of PCRs that are not quoted: nothing proves these.
        bank: The bank that proves them.
        padded: True when the bank holds padded SHA-1 digests: then it proves no more than SHA-1 does.
        violations: How many entries are violations: files that could change while they were measured.
    """

    entries: ImaLog
    pending: int
    skipped: int
    bank: Algorithm
    padded: bool
    violations: int


@dataclass(frozen=True, slots=True)
class ImaOutcome:
    """What became of an IMA log.

    Attributes:
        checks: One outcome for each check of the specs, in their order.
        claims: What the log says; None unless every check passed or did not apply.
        unsigned: The entries that no quoted PCR covers, and all but PCR and digest of violations.
    """

    checks: tuple[Check, ...]
    claims: ImaClaims | None
    unsigned: tuple[UnsignedRegion, ...]


@dataclass(slots=True)
class _Replay:
    """The result of one pass over a log."""

    bounds: list[int]
    skipped: list[UnsignedRegion]
    violated: list[UnsignedRegion]
    matched: int = 0
    matched_end: int = 0
    pending: int = 0
    violations: int = 0
    wrong_template: int | None = None


def verify_ima(
    log: bytes,
    *,
    specs: ImaSpecs,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    max_pending: int = DEFAULT_MAX_PENDING,
    accept_padded: bool = False,
) -> ImaOutcome:
    """Verify an IMA log against quoted PCRs and return every check. Never raises for bad evidence.

    Args:
        log: The log in binary form (``entries.from_ascii`` makes it of the text form), at most 64 MiB; empty
            when there is none.
        specs: The checks under the format's names.
        bank: The quoted bank.
        pcrs: The authenticated PCRs; entries of others are skipped and are no claims.
        max_pending: How many entries may follow those that the quote proves.
        accept_padded: Whether padded SHA-1 digests will do in a stronger bank: a policy's decision.
    """
    if not log:
        return ImaOutcome(specs.absent, None, ())
    ledger = LedgerBuilder(specs.all)
    claims: ImaClaims | None
    everything = (UnsignedRegion(0, len(log), "all of it: nothing proves the log"),)
    unsigned: tuple[UnsignedRegion, ...] = everything
    try:
        claims, unsigned = _claims(ledger, specs, log, bank, pcrs, max_pending, accept_padded=accept_padded)
    except CheckFailedError:
        claims = None
    checks = ledger.close().checks
    if any(check.outcome in (Outcome.FAILED, Outcome.NOT_CHECKED) for check in checks):
        claims, unsigned = None, everything
    return ImaOutcome(checks, claims, unsigned)


def _claims(
    ledger: LedgerBuilder,
    specs: ImaSpecs,
    log: bytes,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    max_pending: int,
    *,
    accept_padded: bool,
) -> tuple[ImaClaims, tuple[UnsignedRegion, ...]]:
    if IMA_PCR not in pcrs or bank not in _HASHES:
        raise ledger.fail(specs.bank, specs.bank.id, f"PCR {IMA_PCR} is not quoted, or in {bank.name}.")
    try:
        algorithm = digest_algorithm(log)
        found = _pass(log, algorithm, bank, pcrs, padded=False)
    except EvidenceError as error:
        code = f"{specs.layout.id}.{error.code.rpartition('.')[2]}"
        raise ledger.fail(specs.layout, code, error.message) from error
    ledger.passed(specs.layout)
    if found.wrong_template is not None:
        raise ledger.fail(
            specs.template,
            specs.template.id,
            f"The digest of entry {found.wrong_template} is not the hash of its template data.",
        )
    ledger.passed(specs.template, specs.bank)
    # In the bank of SHA-1 itself there is nothing to pad: this finds again what the first pass did.
    padded = not found.matched and algorithm is Algorithm.SHA1
    if padded:
        found = _pass(log, algorithm, bank, pcrs, padded=True)
    if not found.matched:
        raise ledger.fail(
            specs.replay, specs.replay.id, "No number of the log's first entries makes the quoted PCR."
        )
    ledger.passed(specs.replay)
    if padded and not accept_padded:
        ledger.failed(
            specs.hashed,
            specs.hashed.id,
            f"The {bank.name} bank holds SHA-1 digests, padded: they prove less.",
        )
    else:
        ledger.passed(specs.hashed)
    pending = found.pending
    if pending > max_pending:
        ledger.failed(specs.pending, specs.pending.id, f"{pending} entries of the log are not in the quote.")
    else:
        ledger.passed(specs.pending)
    entries = ImaLog(log, found.bounds[: found.matched], algorithm)
    _aggregate(ledger, specs, entries, bank, pcrs)
    claims = ImaClaims(entries, pending, len(found.skipped), bank, padded, found.violations)
    regions = sorted((*found.skipped, *found.violated), key=lambda region: region.start)
    if pending:
        regions.append(UnsignedRegion(found.matched_end, len(log), "pending entries"))
    return claims, tuple(regions)


def _pass(
    log: bytes, algorithm: Algorithm, bank: Algorithm, pcrs: Mapping[int, bytes], *, padded: bool
) -> _Replay:
    """Walk over the log once: bounds of every entry, and after how many the quoted PCRs are reached."""
    own, extend = _HASHES[algorithm], _HASHES[bank]
    zero, unmeasured = bytes(bank.size), bytes(algorithm.size)
    padding = bytes(bank.size - algorithm.size) if padded else b""
    ones = b"\xff" * (bank.size - len(padding)) + padding
    verbatim = padded or algorithm is bank
    values: dict[int, bytes] = {}
    found = _Replay([], [], [])
    bounds = found.bounds
    violations = 0
    for start, register, digest, body, end in frames(log, algorithm):
        if found.matched:
            found.pending += 1
            continue
        if register not in pcrs:
            found.skipped.append(UnsignedRegion(start, end, "entry of a PCR that is not quoted"))
            continue
        bounds.append(start)
        if digest == unmeasured:
            extension = ones
            violations += 1
            said = start + _DIGEST_AT + algorithm.size
            found.violated.append(UnsignedRegion(said, end, "what a violation says of itself"))
        elif own(body).digest() != digest:
            found.wrong_template = len(bounds) - 1
            break
        else:
            extension = digest + padding if verbatim else extend(body).digest()
        values[register] = value = extend(values.get(register, zero) + extension).digest()
        if value == pcrs[register] and _reached(values, pcrs):
            found.matched, found.matched_end, found.violations = len(bounds), end, violations
    return found


def _reached(values: Mapping[int, bytes], pcrs: Mapping[int, bytes]) -> bool:
    return IMA_PCR in values and all(value == pcrs.get(register) for register, value in values.items())


def _aggregate(
    ledger: LedgerBuilder, specs: ImaSpecs, entries: ImaLog, bank: Algorithm, pcrs: Mapping[int, bytes]
) -> None:
    spec = specs.aggregate
    try:
        first = entries[0].file()
    except EvidenceError as error:
        ledger.failed(spec, f"{spec.id}.unreadable", error.message)
        return
    # A violation extends ones, whatever it says: its digest would be the one that is looked for. And PCRs
    # prove no order between them: an entry of another one may be anybody's, written at any time.
    if first.path != "boot_aggregate" or entries[0].violation or entries[0].register != IMA_PCR:
        ledger.failed(spec, f"{spec.id}.missing", "The IMA log does not begin with a boot aggregate.")
    elif first.algorithm != bank.name.lower() or not pcrs.keys() >= set(range(8)):
        ledger.not_applicable(spec, "the PCRs that the boot aggregate is over are not quoted in its bank")
    elif first.digest in _aggregates(bank, pcrs):
        ledger.passed(spec)
    else:
        ledger.failed(
            spec, f"{spec.id}.mismatch", "The IMA log begins with another boot than the quote shows."
        )


def _aggregates(bank: Algorithm, pcrs: Mapping[int, bytes]) -> tuple[bytes, ...]:
    """Return the digest over PCRs 0 to 7 and, as Linux has it from 5.8 on outside SHA-1, over 0 to 9."""
    first = b"".join([pcrs[index] for index in range(8)])
    if pcrs.keys() >= {8, 9}:
        return bank.digest(first), bank.digest(first + pcrs[8] + pcrs[9])
    return (bank.digest(first),)
