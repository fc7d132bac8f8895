"""snpguest says the same of real reports and certificates as we do, or differs for a reason that is named.

``foreign/snpguest`` has the command that installs it. It is a whole program with a client for HTTP in it, so
nothing here builds it: without it these tests are skipped.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.snp import Product, SnpEndorsements, checks
from assay.evidence.snp.report import REPORT_BYTES, SIGNED_BYTES, SnpReport
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from support import vectors
from support.snp_peers import (
    BEHIND,
    NO_CHIP,
    SIGNATURE_BYTES,
    UNKEPT,
    Pair,
    as_shown,
    chain_holds,
    compared,
    flipped,
    found_in_vectors,
    pairs,
    passed,
    readable,
    shown,
    unkept,
)
from support.snp_scenes import judge, scene
from support.snp_vectors import window_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PROGRAM = Path(__file__).parents[2] / "foreign" / "snpguest" / "target" / "bin" / "snpguest"
VERSION = "snpguest 0.11.0"
CHIP_AT = 0x1A0
OFTEN = 64  # one of so many bytes is changed: each answer is a process of its own


class Answer(NamedTuple):
    """What the program said, and whether it was content."""

    good: bool
    text: str

    @property
    def verdict(self) -> str:
        return "accepted" if self.good else f"refused: {self.text[-200:]}"


@pytest.fixture(scope="module")
def guest():
    if not PROGRAM.is_file():
        pytest.skip("snpguest is not installed; foreign/snpguest/README.md has the command")

    def run(*words) -> Answer:
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False, env={})
        return Answer(done.returncode == 0, done.stdout or done.stderr)

    assert run("--version").text.strip() == VERSION
    return run


@pytest.fixture
def certs(guest, tmp_path):
    """Ask of a chain."""

    def ask(ark: bytes, issuer: bytes, vek: bytes, kind: str) -> Answer:
        issued, signed = ("vlek", "asvk") if kind == "SEV-VLEK" else ("vcek", "ask")
        return guest("verify", "certs", keys(tmp_path, {"ark": ark, signed: issuer, issued: vek}))

    return ask


@pytest.fixture
def attestation(guest, tmp_path):
    """Ask of a report under a key."""

    def ask(report: bytes, vek: bytes, product: Product, *options: str) -> Answer:
        directory = keys(tmp_path, {"vlek" if kind_named(vek) == "SEV-VLEK" else "vcek": vek})
        (tmp_path / "report").write_bytes(report)
        model = product.name.lower()
        return guest("verify", "attestation", "-p", model, *options, directory, tmp_path / "report")

    return ask


def kind_named(vek: bytes) -> str:
    return GeneralCertificate.parse(vek).common_name


def keys(where: Path, certificates: dict[str, bytes]) -> Path:
    """Write certificates under the names that it looks for, and no others."""
    directory = where / "certs"
    directory.mkdir(exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    for name, der in certificates.items():
        (directory / f"{name}.der").write_bytes(der)
    return directory


def ours(pair: Pair, report: bytes, facts: FactCache) -> bool:
    """Tell what we say of what it looks at: the layout, the TCB that the key is of, and the signature."""
    looked_at = (*checks.LAYOUT_CHECKS, checks.TCB_VEK, checks.SNP_SIGNATURE)
    return passed(pair.judge(report, facts), looked_at)


def test_reports_whole_and_with_one_bit_changed(attestation):
    answers, own, kinds = [], [], []
    facts = FactCache()
    for number, pair in enumerate(pairs()):
        changes = range(number % OFTEN, REPORT_BYTES, OFTEN)
        altered = [(flipped(pair.report, at, (at + number) % 8), at) for at in changes]
        for data, at in ((pair.report, None), *altered):
            answers.append(attestation(data, pair.given.vek, pair.product).verdict)
            own.append(ours(pair, data, facts))
            if not readable(SnpReport.parse(pair.report)):
                kinds.append(NO_CHIP)
            elif at is not None and at >= SIGNED_BYTES + SIGNATURE_BYTES:
                kinds.append(BEHIND)
            else:
                kinds.append(UNKEPT if at is not None and unkept(pair.product, at) else None)
    assert compared("snpguest", "reports", answers, own, kinds) == {BEHIND, UNKEPT, NO_CHIP}


def test_every_key_against_every_report(attestation):
    answers, own, kinds = [], [], []
    facts = FactCache()
    by_key = {pair.given.vek: pair for pair in pairs()}
    for data in found_in_vectors()[0]:
        for pair in by_key.values():
            answers.append(attestation(data, pair.given.vek, pair.product).verdict)
            own.append(ours(pair, data, facts))
            kinds.append(None if readable(SnpReport.parse(data)) else NO_CHIP)
    assert compared("snpguest", "reports under every key", answers, own, kinds) == {NO_CHIP}


def test_chains_whole_crossed_and_with_one_bit_changed(certs):
    answers, own = [], []

    def add(ark, issuer, vek):
        answers.append(certs(ark, issuer, vek, pair.kind).verdict)
        own.append(chain_holds(ark, SnpEndorsements(vek=vek, authority=issuer), pair.at))

    arks = sorted({pair.root for pair in pairs()})
    issuers = sorted({pair.given.authority for pair in pairs()})
    shapes = set()
    for pair in pairs():
        if (pair.root, pair.given.authority) in shapes:
            continue
        shapes.add((pair.root, pair.given.authority))
        for ark in arks:
            for issuer in issuers:
                add(ark, issuer, pair.given.vek)
        whole = [pair.root, pair.given.authority, pair.given.vek]
        for place, der in enumerate(whole):
            for at in range(place, len(der), OFTEN):
                add(*whole[:place], flipped(der, at, at % 8), *whole[place + 1 :])
    assert len(shapes) >= 4
    assert not compared("snpguest", "chains", answers, own, [None] * len(own))


def test_the_chip_is_not_compared_and_we_compare_it(attestation):
    """A certificate called SEV-VCEK is taken for AMD's own, and a chip is compared for a VCEK alone."""
    pair = next(
        pair for pair in pairs() if pair.kind == "SEV-VCEK" and readable(SnpReport.parse(pair.report))
    )
    other = flipped(pair.report, CHIP_AT, 0)
    whole = attestation(pair.report, pair.given.vek, pair.product)
    assert whole.good
    assert "Microcode from certificate matches" in whole.text
    assert "Chip ID" not in whole.text
    assert attestation(other, pair.given.vek, pair.product, "--tcb").good
    assert pair.judge(other, FactCache()).ledger[checks.CHIP_ID.id].outcome is Outcome.FAILED
    vectors.note("snpguest does not compare the chip of report and VCEK; we do")


def test_what_the_reader_states_is_compared_by_both(attestation):
    pair = next(pair for pair in pairs() if readable(SnpReport.parse(pair.report)))
    report = SnpReport.parse(pair.report)
    stated = {
        "--report-data": report.report_data,
        "--measurement": report.measurement,
        "--host-data": report.host_data,
    }
    for option, value in stated.items():
        right = attestation(pair.report, pair.given.vek, pair.product, option, f"0x{value.hex()}")
        wrong = attestation(
            pair.report, pair.given.vek, pair.product, option, f"0x{flipped(value, 0, 0).hex()}"
        )
        assert (right.good, wrong.good) == (True, False)
    made = scene().finish()
    assert judge(made).bound
    assert not judge(made, binding=Expected(flipped(made.report_data, 0, 0))).bound


def test_what_it_leaves_to_its_caller_we_refuse(certs):
    """A chain that is no longer valid, and one under a root that nobody knows."""
    pair = pairs()[0]
    after = window_of(pair.given).end.replace(year=window_of(pair.given).end.year + 1)
    made = scene().finish()
    for ark, given, at in ((pair.root, pair.given, after), (made.root, made.endorsements, made.at)):
        assert certs(ark, given.authority, given.vek, kind_named(given.vek)).good
        assert not chain_holds(ark, given, at)


def test_every_field_of_every_report(guest, tmp_path):
    products = {pair.report: pair.product for pair in pairs()}
    read = 0
    for data in found_in_vectors()[0]:
        report = SnpReport.parse(data)
        (tmp_path / "report").write_bytes(data)
        answer = guest("display", "report", tmp_path / "report")
        if not answer.good:
            assert not readable(report), answer.text
            continue
        assert shown(answer.text) == as_shown(report, products.get(data, Product.MILAN))
        read += 1
    assert read
    vectors.note(f"snpguest shows {read} reports alike, field by field")
