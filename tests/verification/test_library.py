"""The library's face: three lines from bytes to a verdict, and an import that costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import assay
from assay import (
    Collateral,
    Context,
    Expected,
    FactCache,
    Materials,
    Policy,
    Roots,
    Unchecked,
    Verdict,
    verify,
)
from assay.cli.anchors import installation_roots
from assay.cli.anchors import roots_of as roots_of_files
from assay.cli.main import main as command_line
from assay.cli.typed import binding_of, terms_of
from assay.evidence.dstack import Attestation, Presented
from assay.evidence.ledger import Outcome
from assay.verification.firmware_log import CcelData
from assay.verification.formats import format_of, platforms
from assay.verification.opening import open_event_log
from support import vectors
from support.snp_scenes import roots_of
from support.snp_scenes import scene as snp_scene

if TYPE_CHECKING:
    from assay.simulator.amd.scene import SnpEvidence

QUOTE = vectors.read("tdx/near-mpc/quote.bin")
COLLATERAL = Collateral.from_bundle_json(vectors.read("tdx/near-mpc/quote.collateral.json"))
NOW = datetime(2026, 8, 28, 5, 21, 24, tzinfo=UTC)
REPORT_DATA = QUOTE[48 + 520 : 48 + 584]
GENUINE = Policy.shipped("genuine")


def judged(data: bytes = QUOTE, **otherwise: Any) -> assay.AttestationResult:
    """Verify the quote with all that it needs, or what is said otherwise."""
    usual = {"policy": GENUINE, "binding": Expected(REPORT_DATA), "endorsements": COLLATERAL}
    return verify(data, **{"roots": Roots.vendor(), "now": NOW, **usual, **otherwise})


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


@pytest.mark.parametrize("platform", platforms())
def test_the_same_three_lines_verify_evidence_of_every_platform(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever vouches for it is given as files, and nothing says which is which."""
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))
    assert command_line(["simulate", platform, "--out", str(tmp_path / "made"), "--json"]) == 0
    words = json.loads(capsys.readouterr().out)["command"]
    told = dict(zip(words[3::2], words[4::2], strict=True))
    own = installation_roots(os.environ)
    given = Path(told.get("--endorsements", tmp_path / "none"))
    files = sorted(given.iterdir()) if given.is_dir() else [given] if given.exists() else []
    asked = binding_of(told.get("--report-data"), told.get("--nonce"))
    result = verify(
        Path(words[2]).read_bytes(),
        policy=Policy.load(Path(told["--policy"]).read_bytes(), name="test"),
        binding=asked.of(format_of(platform)),
        roots=roots_of_files((), own),
        now=datetime.now(UTC),
        materials=Materials.of({each.name: each.read_bytes() for each in files}),
        context=Context(installation_roots=own.fingerprints),
        terms=terms_of(told.get("--audience"), told.get("--user-data"), "user_data"),
    )
    assert result.verdict is Verdict.ACCEPTED, [check.id for check in result.ledger.unmet()]


@pytest.mark.parametrize("missing", ["policy", "binding", "roots", "now"])
def test_what_decides_has_no_default(missing: str) -> None:
    said = {"policy": GENUINE, "binding": Unchecked("a test"), "roots": Roots.vendor(), "now": NOW}
    said.pop(missing)
    with pytest.raises(TypeError, match=missing):
        verify(QUOTE, **said)  # type: ignore[arg-type]


def test_shared_facts_do_not_change_the_answer() -> None:
    facts = FactCache(max_entries=8)
    results = [judged(facts=facts).to_json() for _ in range(3)]
    assert results[0] == results[1] == results[2]


def test_facts_of_a_call_are_the_callers_to_keep() -> None:
    facts = FactCache(max_entries=8)
    judged(binding=Unchecked("a test"), facts=facts)
    assert (len(facts.chains), len(facts.collateral)) == (1, 1)


@pytest.mark.parametrize(
    ("said", "platforms", "platform"),
    [
        (None, "'snp', 'tdx'", "snp"),
        (None, "'tdx', 'snp'", "tdx"),
        ("sgx", "'snp', 'tdx'", "sgx"),
    ],
)
def test_bytes_of_no_platform_are_judged_as_the_first_that_the_policy_names(
    said: str | None, platforms: str, platform: str
) -> None:
    policy = Policy.load(f"version = 1\nplatforms = [{platforms}]\n".encode(), name="test")
    result = judged(
        b"nothing at all", policy=policy, binding=Unchecked("a test"), platform=said, endorsements=None
    )
    assert result.platform == platform
    assert result.verdict is Verdict.REFUSED


def test_what_the_caller_gives_goes_before_what_lies_at_hand() -> None:
    """Nothing else is looked for, even where what was given does not fit."""
    materials = Materials({"a.json": vectors.read("tdx/near-mpc/quote.collateral.json")})
    other = Collateral.from_bundle_json(vectors.read("tdx/phala-dcap-qvl/quote_v4.collateral.json"))
    found = [
        judged(endorsements=given, materials=at_hand)
        for given, at_hand in ((None, materials), (other, materials), (None, None))
    ]
    assert [result.accepted for result in found] == [True, False, False]


def test_reference_values_reach_the_policy() -> None:
    mr_td = QUOTE[48 + 136 : 48 + 184]
    policy = Policy.load(b"version = 1\nplatforms = ['tdx']\n[tdx]\nmr_td = 'reference'\n", name="test")
    codes = [
        [
            check.code
            for check in judged(policy=policy, references=references).ledger.failed()
            if check.id == "policy.tdx.mr_td"
        ]
        for references in ({"mr_td": frozenset({mr_td})}, {"mr_td": frozenset({bytes(48)})}, {}, None)
    ]
    assert codes == [
        [],
        ["policy.tdx.mr_td.mismatch"],
        ["policy.tdx.mr_td.no_reference"],
        ["policy.tdx.mr_td.no_reference"],
    ]


def test_bytes_that_are_nothing_are_refused_not_raised() -> None:
    for data in b"", b"nothing at all", bytes(5000):
        result = judged(data, binding=Unchecked("a test"))
        assert result.verdict is Verdict.REFUSED
        assert result.not_proven


def test_a_log_is_held_against_authentic_evidence_only() -> None:
    log = open_event_log(vectors.read("dstack/near-mpc/tcb_info.json"), QUOTE)

    assert judged(event_log=log).ledger["dstack.log.replay.rtmr3"].outcome is Outcome.PASSED
    without = judged(endorsements=None, event_log=log)
    assert without.workload_log is None
    assert without.indeterminate


def test_a_log_beside_an_enclave_is_left_alone() -> None:
    path = next((vectors.ROOT / "sgx/teepot").glob("*quote*.bin"))
    log = open_event_log(vectors.read("dstack/near-mpc/tcb_info.json"), QUOTE)
    result = judged(path.read_bytes(), binding=Unchecked("a test"), event_log=log, endorsements=None)
    assert result.platform == "sgx"
    assert result.workload_log is None


@cache
def hardware(version: int = 3) -> SnpEvidence:
    return snp_scene(version=version).finish()


def attested(variant: str) -> Attestation:
    return Attestation(variant, hardware().report, (), (), bytes(64), "{}")


@pytest.mark.parametrize(
    ("log", "looked_at"),
    [
        (CcelData(b"no log", frozenset({0, 1})), False),
        (open_event_log(vectors.read("dstack/near-mpc/tcb_info.json"), QUOTE), False),
        (attested("tdx"), False),
        (attested("sev-snp"), True),
        (None, False),
    ],
)
def test_beside_a_report_an_attestation_of_its_guest_alone_is_looked_at(log: Any, looked_at: bool) -> None:
    made = hardware()
    result = judged(
        made.report,
        binding=Expected(made.report_data),
        roots=roots_of(made),
        now=made.at,
        endorsements=made.endorsements,
        event_log=log,
    )
    assert result.evidence.authentic
    assert (result.workload_log is not None) is looked_at


@pytest.mark.parametrize(
    ("log", "looked_at"),
    [
        (CcelData(b"no log", frozenset({0, 1})), "ccel.layout"),
        (attested("tdx"), ""),
        (attested("sev-snp"), ""),
        (Presented(QUOTE, b"[]"), "dstack.log.replay.rtmr3"),
    ],
)
def test_beside_a_quote_logs_of_its_registers_alone_are_looked_at(log: Any, looked_at: str) -> None:
    result = judged(event_log=log)
    assert result.evidence.authentic
    assert (result.workload_log is not None) is bool(looked_at)
    if looked_at:
        assert result.ledger[looked_at].outcome is Outcome.FAILED


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
