"""TPM quotes, boot logs and IMA logs: against the bare cryptography and hashing of the same run.

A floor takes the same bytes apart, verifies what cannot be left out, and hashes the PCRs (``bare``). The cold
ones parse the evidence's certificates and verify them under a root that was parsed before, as ours was: one
with the strict decoders that verification uses, one with as little parsing as there can be.
"""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import load_der_x509_certificate

from assay.evidence.eventlog import Algorithm, LogSpecs, verify_boot_log
from assay.evidence.facts import FactCache
from assay.evidence.ima import FilePolicy, ImaSpecs, appraise_files, verify_ima
from assay.evidence.roots import TPM, Roots
from assay.evidence.tpm.attest import Attest
from assay.evidence.tpm.container import TpmEvidence
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote import verify_quote
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.tpm.signature import TpmSignature
from assay.evidence.tpm.verify import TpmEndorsements, verify_tpm
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import FirmwareLog, KernelLog, file_data
from assay.simulator.tpm.machine import Machine, certificate, derived_key
from bare import bare_container, bare_quote, bare_signature
from table import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
BANK = Algorithm.SHA256
QUOTES = 32
ENTRIES = 10_000
PCRS = range(24)


class Bench:
    """Quotes of one simulated TPM with an RSA-2048 key, and what is timed."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        machine = Machine.booted(SoftwareTpm(self.key))
        drafts = [machine.evidence(bytes([n]) * 32, indices=PCRS) for n in range(QUOTES)]
        for draft in drafts:
            draft.firmware = draft.launcher = draft.kernel = None
        self.pcrs = drafts[0].pcrs
        self.given = TpmEndorsements(drafts[0].public)
        self.public = self.key.public_key()
        self.ak = AttestationKey.parse(drafts[0].public)
        self.quotes = itertools.cycle(
            [(d.quote.attest(), d.quote.signature(), Expected(d.quote.extra_data)) for d in drafts]
        )
        self.containers = itertools.cycle([(d.encode(), Expected(d.quote.extra_data)) for d in drafts])
        self.specs = QuoteSpecs.of("bench.quote")
        self.roots, self.facts = Roots.vendor(), FactCache()
        self._certify(drafts)

    def _certify(self, drafts: list[Any]) -> None:
        root, issuer = (derived_key(bytes(32), name) for name in ("root", "issuer"))
        top = certificate("Root", root, "Root", root, authority=True)
        chain = (
            certificate("AK", self.key, "Issuer", issuer, authority=False),
            certificate("Issuer", issuer, "Root", root, authority=True),
        )
        for draft in drafts:
            draft.certificates = chain
        self.root, self.issuer_root = load_der_x509_certificate(top), GeneralCertificate.parse(top)
        self.certified = itertools.cycle([(d.encode(), Expected(d.quote.extra_data)) for d in drafts])
        self.trusting = self.roots.with_anchor("bench", top, vendor=TPM)

    def floor(self) -> None:
        """A quote's fields, one RSA-2048 verification and the digest over 24 PCRs."""
        attest, signature, _ = next(self.quotes)
        bare_quote(self.public, attest, bare_signature(signature), self.pcrs.values())

    def contained(self) -> None:
        """The same, of a container."""
        data, _ = next(self.containers)
        attest, signature, values, _ = bare_container(data)
        bare_quote(self.public, attest, signature, values)

    def quote(self) -> None:
        attest, signature, nonce = next(self.quotes)
        outcome = verify_quote(
            attest,
            signature,
            specs=self.specs,
            key=self.ak,
            bank=BANK,
            pcrs=self.pcrs,
            relied=frozenset(),
            nonce=nonce,
            facts=self.facts,
        )
        assert outcome.claims is not None

    def warm(self) -> None:
        data, nonce = next(self.containers)
        found = verify_tpm(
            data, endorsements=self.given, roots=self.roots, now=AT, binding=nonce, facts=self.facts
        )
        assert found.bound

    def cold_same_parsing(self) -> None:
        """The signatures of a chain of two and a quote, with everything read as verification reads it."""
        data, _ = next(self.certified)
        found = TpmEvidence.parse(data)
        leaf, issuer = (GeneralCertificate.parse(der) for der in found.certificates)
        assert issuer.verify(leaf)
        assert self.issuer_root.verify(issuer)
        ak = AttestationKey.parse(leaf.spki)
        assert AttestationKey.parse(found.public).spki == ak.spki
        attest, signature = Attest.parse(found.attest), TpmSignature.parse(found.signature)
        assert ak.verifies(signature, found.attest)
        assert BANK.digest(b"".join(found.pcrs.values())) == attest.pcr_digest

    def cold_least_parsing(self) -> None:
        """The same signatures, with certificates parsed in Rust."""
        data, _ = next(self.certified)
        attest, signature, values, certificates = bare_container(data)
        leaf, issuer = (load_der_x509_certificate(der) for der in certificates)
        leaf.verify_directly_issued_by(issuer)
        issuer.verify_directly_issued_by(self.root)
        key: Any = leaf.public_key()
        bare_quote(key, attest, signature, values)

    def cold(self) -> None:
        data, nonce = next(self.certified)
        found = verify_tpm(
            data, endorsements=None, roots=self.trusting, now=AT, binding=nonce, facts=FactCache()
        )
        assert found.bound


class Lists:
    """An IMA log of so many entries, and the log of a boot."""

    def __init__(self, entries: int) -> None:
        self.tpm = SoftwareTpm(derived_key(bytes(32), "ak"))
        self.firmware, kernel = FirmwareLog(self.tpm.banks), KernelLog()
        self.firmware.boot(self.tpm)
        kernel.begin(self.tpm)
        for number in range(entries):
            path = f"/usr/lib/python3/dist-packages/package_{number}/module.py"
            kernel.measure(self.tpm, "ima-ng", file_data(path, BANK.digest(path.encode())))
        self.log = kernel.encode()
        self.bodies = [entry.data for entry in kernel.entries]
        self.pcrs = self.tpm.pcrs(BANK, range(11))
        self.specs = ImaSpecs.of("bench.ima")
        self.claims: Any = verify_ima(self.log, specs=self.specs, bank=BANK, pcrs=self.pcrs).claims

    def bare(self) -> None:
        """The two digests of each entry and its extension."""
        value = bytes(32)
        sha1, sha256 = hashlib.sha1, hashlib.sha256
        for body in self.bodies:
            sha1(body).digest()
            value = sha256(value + sha256(body).digest()).digest()
        assert value == self.pcrs[10]

    def replay(self) -> None:
        assert verify_ima(self.log, specs=self.specs, bank=BANK, pcrs=self.pcrs).claims is not None

    def policy(self) -> None:
        appraise_files(self.claims, FilePolicy({}, frozenset(), refuse_unknown=True))

    def boot(self) -> None:
        explained = frozenset({*range(10)})
        outcome = verify_boot_log(
            self.firmware.encode(), b"", specs=LOG, bank=BANK, pcrs=self.pcrs, explained=explained
        )
        assert outcome.claims is not None


LOG = LogSpecs.of("bench.log")


def rows() -> Iterable[Row]:
    bench = Bench()
    one, quote, warm = "one RSA-2048 quote and 24 PCRs, bare", "TPM quote, known key", "TPM evidence, warm"
    contained = "the same of a container"
    calls: dict[str, Callable[[], object]] = {
        one: bench.floor,
        contained: bench.contained,
        quote: bench.quote,
        warm: bench.warm,
    }
    found = interleaved(calls, rounds=61, inner=50)
    yield row(one, found)
    yield row(contained, found)
    yield row(quote, found, against=one, at_most=1.5, note="as other formats embed it")
    yield row(warm, found, against=contained, at_most=1.7, note="key given by the caller")
    cold = "TPM evidence, cold"
    same, least = "chain of two and quote, same parsing", "chain of two and quote, least parsing"
    found = interleaved(
        {same: bench.cold_same_parsing, least: bench.cold_least_parsing, cold: bench.cold},
        rounds=201,
        untimed=1,
    )
    yield row(same, found, note="no names, roles, times or ledger")
    yield row(least, found, note="cryptography; the same left out")
    yield row(cold, found, against=same, at_most=1.35, note="empty cache")
    yield Row(f"{cold} (against least parsing)", *found[cold], against=least)
    small, large = Lists(ENTRIES), Lists(4 * ENTRIES)
    bare, replay = f"bare hashing of {ENTRIES} IMA entries", f"IMA replay, {ENTRIES} entries"
    longer, policy = f"IMA replay, {4 * ENTRIES} entries", f"file policy over {ENTRIES} entries"
    boot = "boot log of 17 events"
    found = interleaved(
        {
            bare: small.bare,
            replay: small.replay,
            longer: large.replay,
            policy: small.policy,
            boot: small.boot,
        },
        rounds=21,
    )
    yield row(bare, found, note="SHA-1 and SHA-256 of each, and its extension")
    yield row(replay, found, against=bare, at_most=2.5)
    yield row(longer, found, against=replay, at_most=5.0, note="four times as long: linear")
    yield row(policy, found, against=bare)
    yield row(boot, found)


def row(key: str, found: dict[str, tuple[float, int]], **bounds: Any) -> Row:
    seconds, samples = found[key]
    return Row(key, seconds, samples, **bounds)
