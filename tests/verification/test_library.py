"""The library's face: three lines from bytes to a verdict, and an import that costs nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

import assay
from assay import Collateral, Expected, FactCache, Policy, Roots, Unchecked, Verdict, verify
from assay.evidence.ledger import Outcome
from assay.verification.opening import open_event_log
from support import vectors

QUOTE = vectors.read("tdx/near-mpc/quote.bin")
COLLATERAL = Collateral.from_bundle_json(vectors.read("tdx/near-mpc/quote.collateral.json"))
NOW = datetime(2026, 8, 28, 5, 21, 24, tzinfo=UTC)
REPORT_DATA = QUOTE[48 + 520 : 48 + 584]
GENUINE = Policy.shipped("genuine")


def test_three_lines_verify_a_quote() -> None:
    result = verify(
        QUOTE,
        policy=GENUINE,
        binding=Expected(REPORT_DATA),
        roots=Roots.vendor(),
        now=NOW,
        endorsements=COLLATERAL,
    )
    assert result.require().evidence.claims.report_data == REPORT_DATA
    assert result.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("missing", ["policy", "binding", "roots", "now"])
def test_what_decides_has_no_default(missing: str) -> None:
    said = {"policy": GENUINE, "binding": Unchecked("a test"), "roots": Roots.vendor(), "now": NOW}
    said.pop(missing)
    with pytest.raises(TypeError, match=missing):
        verify(QUOTE, **said)  # type: ignore[arg-type]


def test_shared_facts_do_not_change_the_answer() -> None:
    facts = FactCache(max_entries=8)
    results = [
        verify(
            QUOTE,
            policy=GENUINE,
            binding=Expected(REPORT_DATA),
            roots=Roots.vendor(),
            now=NOW,
            endorsements=COLLATERAL,
            facts=facts,
        ).to_json()
        for _ in range(3)
    ]
    assert results[0] == results[1] == results[2]


def test_bytes_that_are_nothing_are_refused_not_raised() -> None:
    for data in b"", b"nothing at all", bytes(5000):
        result = verify(
            data,
            policy=GENUINE,
            binding=Unchecked("a test"),
            roots=Roots.vendor(),
            now=NOW,
            endorsements=COLLATERAL,
        )
        assert result.verdict is Verdict.REFUSED
        assert result.not_proven


def test_a_log_is_held_against_authentic_evidence_only() -> None:
    log = open_event_log(vectors.read("dstack/near-mpc/tcb_info.json"), QUOTE)

    def judged(collateral: Collateral | None) -> assay.AttestationResult:
        return verify(
            QUOTE,
            policy=GENUINE,
            binding=Expected(REPORT_DATA),
            roots=Roots.vendor(),
            now=NOW,
            endorsements=collateral,
            event_log=log,
        )

    assert judged(COLLATERAL).ledger["dstack.log.replay.rtmr3"].outcome is Outcome.PASSED
    without = judged(None)
    assert without.workload_log is None
    assert without.indeterminate


def test_a_log_beside_an_enclave_is_left_alone() -> None:
    path = next((vectors.ROOT / "sgx/teepot").glob("*quote*.bin"))
    log = open_event_log(vectors.read("dstack/near-mpc/tcb_info.json"), QUOTE)
    result = verify(
        path.read_bytes(),
        policy=GENUINE,
        binding=Unchecked("a test"),
        roots=Roots.vendor(),
        now=NOW,
        event_log=log,
    )
    assert result.platform == "sgx"
    assert result.workload_log is None


def test_public_names_are_those_in_all_and_each_can_be_had() -> None:
    assert sorted(assay.__all__) == assay.__all__
    for name in assay.__all__:
        assert getattr(assay, name) is not None
    assert set(assay.__all__) <= set(dir(assay))
    with pytest.raises(AttributeError):
        _ = assay.nothing_of_that_name


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import assay;"
        " print(sorted(set(sys.modules) - before - {'assay', '__future__'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
