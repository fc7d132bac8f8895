"""A mixed fleet: 100,000 pieces of evidence from 1,000 platforms, verified and appraised by two processes.

Of a hundred platforms 70 are TDX, 15 SEV-SNP, 5 Nitro, 5 TPM (P-256 keys) and 5 workloads with Confidential
Space tokens. Each process sees half of the pieces and every platform. Each platform has two pieces with
different bindings, which take turns: no piece is remembered, only what vouches for its platform. Making them
is not measured.

Times are processor times of one process. Each platform's is that of its quickest later piece, which came
after a piece of every other platform: what the processor forgot meanwhile is in it. A whole round takes half
a second, in which a busy machine never leaves a process alone: the quickest and the mean stand beside it.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.appraisal import Context, Policy
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.snp import Product, SnpEndorsements
from assay.evidence.tpm.verify import TpmEndorsements
from assay.evidence.verification import Expected
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.intel import Installation
from assay.simulator.nitro.hypervisor import SimulatedAws
from assay.simulator.tokens import ServiceKeys, TokenServices
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.machine import Machine, derived_key
from assay.verification import verify
from assay.verification.terms import Terms
from table import Row, smoke

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
CORES = 2
SHARES = {"tdx": 70, "snp": 15, "nitro": 5, "tpm": 5, "confidential-space": 5}
AUDIENCE = "https://assay.example"
NONCES = (b"n" * 43, b"m" * 43)
REPORTS = (b"\1" * 64, b"\2" * 64)
TARGET = 8000
"""TDX verifications a second that one core must reach."""
FLAT = 2 << 20
"""Bytes by which a process may grow after the last new platform: an allocator's slack, not a leak."""
POLICY = b"""
version = 1
platforms = ["tdx", "snp", "nitro", "tpm", "confidential-space"]
simulated = "only"
accept = ["simulated"]
[tcb]
platform = ["UpToDate"]
module = ["UpToDate"]
qe = ["UpToDate"]
[attributes]
debug = false
sept_ve_disable = true
migratable = false
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of evidence, and what its verifier needs."""

    platform: str
    data: bytes
    binding: Expected
    endorsements: Any


class Makers:
    """The manufacturers and services of the fleet."""

    def __init__(self) -> None:
        self.intel = Installation(bytes(32))
        self.amd = SimulatedAmd(bytes(32))
        self.aws = SimulatedAws(self.intel)
        self.tokens = TokenServices(ServiceKeys(bytes(32), None, 2048))
        self.collateral = self.intel.collateral(AT, platform="tdx")
        self.shared = self.amd.endorsements(self.amd.chip("first", Product.GENOA), AT)
        self.published = self.tokens.endorsements("confidential-space")

    def roots(self) -> Roots:
        roots = Roots.vendor().with_anchor("fleet intel", self.intel.root_der)
        roots = roots.with_anchor("fleet amd", self.amd.root_der(Product.GENOA), vendor="amd")
        return self.aws.trusted_by(roots)

    def pieces(self, platform: str, number: int) -> tuple[Piece, ...]:
        """Return the two pieces of one platform."""
        made = getattr(self, f"_{platform.replace('-', '_')}")(f"fleet {number}", number)
        return tuple(Piece(platform, data, Expected(held), given) for data, held, given in made)

    def _tdx(self, name: str, _: int) -> Iterator[tuple[bytes, bytes, Any]]:
        domain = self.intel.machine(name).trust_domain()
        for data in REPORTS:
            yield domain.quote(data), data, self.collateral

    def _snp(self, name: str, _: int) -> Iterator[tuple[bytes, bytes, Any]]:
        chip, shared = self.amd.chip(name, Product.GENOA), self.shared
        own = chip.vek_draft("vcek", AT).sign()
        given = SnpEndorsements(own, shared.authority, shared.root, shared.crl)
        for data in REPORTS:
            yield chip.draft(data, version=5).sign(chip.key("vcek")), data, given

    def _nitro(self, name: str, _: int) -> Iterator[tuple[bytes, bytes, Any]]:
        registers = {index: bytes([index + 1]) * 48 for index in range(3)}
        enclave = self.aws.instance(name).enclave(registers, started=AT)
        for data in REPORTS:
            yield enclave.attest(AT, user_data=data), data, None

    def _tpm(self, name: str, _: int) -> Iterator[tuple[bytes, bytes, Any]]:
        machine = Machine.booted(SoftwareTpm(derived_key(bytes(32), name)))
        for data in NONCES:
            draft = machine.evidence(data[:32], indices=range(24))
            draft.firmware = draft.launcher = draft.kernel = None
            yield draft.encode(), draft.quote.extra_data, TpmEndorsements(draft.public)

    def _confidential_space(self, _: str, number: int) -> Iterator[tuple[bytes, bytes, Any]]:
        issued = AT - timedelta(seconds=number % 600)
        for nonce in NONCES:
            token = self.tokens.confidential_space(issued, nonces=[nonce.decode()], audience=AUDIENCE)
            yield token.sign(), nonce, self.published


class Desk:
    """A Relying Party's process: one policy, one cache of verified facts."""

    def __init__(self, roots: Roots) -> None:
        self.roots, self.facts = roots, FactCache(max_entries=4096)
        self.policy = Policy.load(POLICY, name="fleet")
        self.context = Context(
            installation_roots=frozenset(
                each.anchor.fingerprint for each in roots.intel if each.anchor.simulated
            )
        )
        self.terms = Terms(audience=AUDIENCE)

    def verify(self, piece: Piece) -> None:
        result = verify(
            piece.data,
            policy=self.policy,
            binding=piece.binding,
            roots=self.roots,
            now=AT,
            endorsements=piece.endorsements,
            context=self.context,
            facts=self.facts,
            platform=piece.platform,
            terms=self.terms,
        )
        assert result.evidence.bound
        assert result.accepted or piece.platform != "tdx"


@dataclass(slots=True)
class Tally:
    """What one process measured; sizes in bytes, times in processor seconds.

    Attributes:
        began: Memory before the first platform.
        known: Memory after each platform was seen once.
        ended: Memory at the end.
        rounds: For each round, by kind of platform: what its pieces took.
        quickest: By kind of platform, for each platform: what its quickest piece after the first took.
    """

    began: int = 0
    known: int = 0
    ended: int = 0
    rounds: list[dict[str, float]] = field(default_factory=list)
    quickest: dict[str, list[float]] = field(default_factory=dict)

    def first(self, platform: str) -> float:
        """Return what the first pieces of these platforms took."""
        return self.rounds[0][platform]

    def least(self, platform: str) -> float:
        """Return what the quickest later round took: the one that was disturbed least."""
        return min(taken[platform] for taken in self.rounds[1:])

    def each(self, platform: str) -> float:
        """Return what a platform's quickest later piece took, the mean of all such platforms."""
        return sum(self.quickest[platform]) / len(self.quickest[platform])

    def mean(self, platform: str) -> float:
        """Return what a later round took."""
        return sum(taken[platform] for taken in self.rounds[1:]) / (len(self.rounds) - 1)


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def work(fleet: list[tuple[Piece, ...]], roots: Roots, rounds: int, results: Any) -> None:
    """Verify each platform's pieces in turn, so many rounds, and report."""
    gc.collect()
    gc.freeze()  # pieces were made by the parent; counting them would not be our work
    for pieces in {each[0].platform: each for each in fleet}.values():
        Desk(roots).verify(pieces[0])  # loads modules, which are no platform's
    desk, tally, order = Desk(roots), Tally(), list(fleet)
    quickest: dict[int, float] = {}
    tally.began = resident()
    for turn in range(rounds):
        random.Random(turn).shuffle(order)
        spent: dict[str, float] = {}
        tally.rounds.append(spent)
        for pieces in order:
            piece = pieces[turn % len(pieces)]
            before = time.thread_time_ns()
            desk.verify(piece)
            taken = (time.thread_time_ns() - before) * 1e-9
            spent[piece.platform] = spent.get(piece.platform, 0.0) + taken
            if turn:
                quickest[id(pieces)] = min(taken, quickest.get(id(pieces), taken))
        if not turn:
            tally.known = resident()
    tally.ended = resident()
    for pieces in fleet:
        tally.quickest.setdefault(pieces[0].platform, []).append(quickest[id(pieces)])
    results.put(tally)


def measure(fleet: list[tuple[Piece, ...]], roots: Roots, *, rounds: int, processes: int) -> list[Tally]:
    """Let so many new processes work through the fleet at once."""
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    workers = [context.Process(target=work, args=(fleet, roots, rounds, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return found


def rows() -> Iterable[Row]:
    platforms, pieces = (100, 2000) if smoke() else (1000, 100_000)
    makers = Makers()
    roots = makers.roots()
    fleet = [
        makers.pieces(platform, number)
        for platform, share in SHARES.items()
        for number in range(share * platforms // 100)
    ]
    rounds = pieces // (CORES * platforms)
    tallies = measure(fleet, roots, rounds=rounds, processes=CORES)
    for platform, share in SHARES.items():
        count = share * platforms // 100
        each = min(tally.each(platform) for tally in tallies)
        least = min(tally.least(platform) for tally in tallies) / count
        mean = sum(tally.mean(platform) for tally in tallies) / len(tallies) / count
        first = sum(tally.first(platform) for tally in tallies) / len(tallies) / count
        shown = f"round {least * 1e6:,.0f} us, mean {mean * 1e6:,.0f} us, first {first * 1e6:,.0f} us"
        note = f"{count} platforms; {shown}"
        limit = 1 / TARGET if platform == "tdx" else None
        yield Row(f"fleet, {platform}", each, rounds, limit=limit, note=note)
    yield grown(tallies, platforms)
    tdx = [entry for entry in fleet if entry[0].platform == "tdx"]
    tdx += [makers.pieces("tdx", number) for number in range(len(tdx), platforms)]
    yield from growth(tdx, roots)


def grown(tallies: list[Tally], platforms: int) -> Row:
    """Return the row about memory: what the platforms took, and that nothing came after them.

    Raises:
        AssertionError: A process grew after the last new platform.
    """
    later = max(tally.ended - tally.known for tally in tallies)
    assert later <= FLAT or smoke(), f"grew by {later:,} bytes after the last new platform"
    taken = max(tally.known - tally.began for tally in tallies)
    each = sum(sum(map(tally.mean, SHARES)) for tally in tallies) / len(tallies) / platforms
    note = f"{taken / 1024 / platforms:.1f} KiB for each platform, {later / 1024:,.0f} KiB after the last"
    return Row("fleet, whole", each, len(tallies), note=note)


def growth(tdx: list[tuple[Piece, ...]], roots: Roots) -> Iterator[Row]:
    """Yield how time and memory go with the number of TDX platforms."""
    sizes = [size for size in (10, 100, 1000) if size <= len(tdx)]
    for size in sizes:
        (tally,) = measure(tdx[:size], roots, rounds=3 if smoke() else 21, processes=1)
        each = tally.each("tdx")
        memory = (tally.known - tally.began) / 1024 / size
        least, first = tally.least("tdx") / size, tally.first("tdx") / size
        note = f"round {least * 1e6:,.0f} us, new platform {first * 1e6:,.0f} us, {memory:,.1f} KiB"
        smallest = f"{sizes[0]} TDX platforms, known"
        against, most = (smallest, 1.5) if size > sizes[0] else ("", None)
        yield Row(
            f"{size} TDX platforms, known",
            each,
            len(tally.rounds),
            against=against,
            at_most=most,
            note=note,
        )
