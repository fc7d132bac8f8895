"""SEV-SNP reports: warm and cold, against the bare cryptography of the same run."""

from __future__ import annotations

import itertools
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import load_der_x509_certificate, load_der_x509_crl

from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.snp import Product, SnpEndorsements, verify_snp
from assay.evidence.verification import Expected
from assay.simulator.amd.installation import SimulatedAmd
from table import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
REPORTS = 64
CHIPS = 256
ECDSA = ec.ECDSA(SHA384())
PSS = padding.PSS(padding.MGF1(SHA384()), SHA384.digest_size)


class Bench:
    """Reports of one simulated chip and of many, and what is timed."""

    def __init__(self) -> None:
        amd = SimulatedAmd(bytes(32))
        chip = amd.chip("bench", Product.GENOA)
        self.endorsements = amd.endorsements(chip, AT)
        root = amd.root_der(Product.GENOA)
        self.roots = Roots.vendor().with_anchor("bench", root, vendor="amd")
        self.root_key: Any = load_der_x509_certificate(root).public_key()
        reports = []
        for number in range(REPORTS):
            data = bytes([number]) * 64
            reports.append((chip.draft(data, version=5).sign(chip.key("vcek")), Expected(data)))
        self.reports = itertools.cycle(reports)
        self.chips = itertools.cycle([self.another(amd, number) for number in range(CHIPS)])
        self.key: Any = load_der_x509_certificate(self.endorsements.vek or b"").public_key()
        self.authority: Any = load_der_x509_certificate(self.endorsements.authority or b"").public_key()
        self.facts = FactCache()
        self.small = FactCache(max_entries=1)

    def another(self, amd: SimulatedAmd, number: int) -> tuple[bytes, SnpEndorsements]:
        chip = amd.chip(f"bench {number}", Product.GENOA)
        report = chip.draft(bytes(64), version=5).sign(chip.key("vcek"))
        own, shared = chip.vek_draft("vcek", AT).sign(), self.endorsements
        return report, SnpEndorsements(own, shared.authority, shared.root, shared.crl)

    def verify(self, report: bytes, endorsements: SnpEndorsements, binding: Any, facts: FactCache) -> Any:
        return verify_snp(
            report, endorsements=endorsements, roots=self.roots, now=AT, binding=binding, facts=facts
        )

    def warm(self) -> None:
        report, binding = next(self.reports)
        assert self.verify(report, self.endorsements, binding, self.facts).bound

    def cold(self) -> None:
        report, binding = next(self.reports)
        assert self.verify(report, self.endorsements, binding, FactCache()).bound

    def next_chip(self) -> None:
        """A chip that was not seen before, under a known ASK; the memory is too small to keep it."""
        report, endorsements = next(self.chips)
        assert self.verify(report, endorsements, Expected(bytes(64)), self.small).bound

    def floor(self) -> None:
        """One verification with the key at hand, from the raw signature."""
        report, _ = next(self.reports)
        bare(self.key, report)

    def one_chain(self) -> None:
        """A certificate under an ASK at hand, and the report under it."""
        report, endorsements = next(self.chips)
        leaf = load_der_x509_certificate(endorsements.vek or b"")
        assert leaf.extensions  # chip and TCB stand in them
        self.authority.verify(leaf.signature, leaf.tbs_certificate_bytes, PSS, SHA384())
        bare(leaf.public_key(), report)

    def everything(self) -> None:
        """ASK, CRL, VCEK and report: four verifications, parsed by a library in Rust."""
        report, _ = next(self.reports)
        given = self.endorsements
        authority = load_der_x509_certificate(given.authority or b"")
        crl = load_der_x509_crl(given.crl or b"")
        leaf = load_der_x509_certificate(given.vek or b"")
        assert leaf.extensions
        assert crl.get_revoked_certificate_by_serial_number(authority.serial_number) is None
        self.root_key.verify(authority.signature, authority.tbs_certificate_bytes, PSS, SHA384())
        self.root_key.verify(crl.signature, crl.tbs_certlist_bytes, PSS, SHA384())
        key: Any = authority.public_key()
        key.verify(leaf.signature, leaf.tbs_certificate_bytes, PSS, SHA384())
        bare(leaf.public_key(), report)


def bare(key: Any, report: bytes) -> None:
    r, s = (int.from_bytes(report[at : at + 72], "little") for at in (0x2A0, 0x2E8))
    key.verify(encode_dss_signature(r, s), report[:672], ECDSA)


def rows() -> Iterable[Row]:
    # The floors parse with the library, which says at each VCEK that it will refuse serial 0 one day.
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    bench = Bench()
    one, warm = "one ECDSA P-384 verification of a report", "SNP report, warm"
    # One call at a time and many of them: of several in a row one is always interrupted on a busy machine.
    found = interleaved({one: bench.floor, warm: bench.warm}, rounds=301, untimed=1)
    yield row(one, found, note="key at hand, raw signature")
    yield row(warm, found, against=one, at_most=1.3, note="same chip, new report each time")
    new, chip = "one RSA-4096 and one P-384 verification", "SNP report, new chip under a known ASK"
    found = interleaved({new: bench.one_chain, chip: bench.next_chip}, rounds=601, untimed=1)
    yield row(new, found, note="cryptography; no names, roles or times")
    yield row(chip, found, against=new, at_most=1.35)
    four, cold = "three RSA-4096 and one P-384 verification", "SNP report, cold"
    found = interleaved({four: bench.everything, cold: bench.cold}, rounds=601, untimed=1)
    yield row(four, found, note="ASK, CRL, VCEK, report; no names, roles or times")
    yield row(cold, found, against=four, at_most=1.35, note="empty cache")


def row(key: str, found: dict[str, tuple[float, int]], **bounds: Any) -> Row:
    seconds, samples = found[key]
    return Row(key, seconds, samples, **bounds)
