"""The result as JSON: a stable schema, whole and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType

from assay.appraisal import Context, Verdict
from assay.appraisal.plain import ready
from assay.appraisal.vocabulary import WEAKNESSES
from assay.evidence.verification import Need, UnsignedRegion
from support.appraisal_evidence import NOW, TDX, VENDOR, evidence, judged, policy, sgx, tdx


def test_every_member_is_there_with_its_value() -> None:
    by = policy(accept='["differing-evaluation-numbers"]')
    made = replace(
        evidence(tdx(qe_evaluation_number=19)),
        unsigned=(UnsignedRegion(3, 5, "padding"),),
        needs=(Need("collateral", {"fmspc": "00"}, "get it"),),
    )
    result = judged(made, by, context=Context(isolation="qemu"))
    found = result.to_json()
    assert list(found) == [
        "schema",
        "verdict",
        "platform",
        "simulated",
        "appraised_at",
        "policy",
        "evidence",
        "claims",
        "unauthenticated",
        "isolation",
        "checks",
        "trust_vector",
        "admitted",
        "missing",
        "not_proven",
    ]
    assert found["schema"] == "assay/attestation-result/v1"
    assert found["verdict"] == "accepted"
    assert found["platform"] == "tdx"
    assert found["simulated"] is False
    assert found["appraised_at"] == NOW.isoformat()
    assert found["policy"] == {"name": "test", "sha256": by.digest.hex(), "also": []}
    assert found["evidence"] == {
        "signed_sha256": "00" * 32,
        "authentic": True,
        "bound": True,
        "anchor": {"name": VENDOR.name, "sha256": "00" * 32, "simulated": False},
        "unsigned": [{"start": 3, "end": 5, "name": "padding"}],
    }
    assert found["unauthenticated"] is None
    assert found["isolation"] == "qemu"
    assert found["checks"] == [check.to_json() for check in result.ledger]
    assert found["trust_vector"]["hardware"]["tier"] == "affirming"
    assert found["admitted"] == [
        {
            "word": "differing-evaluation-numbers",
            "meaning": WEAKNESSES["differing-evaluation-numbers"].meaning,
        }
    ]
    assert found["missing"] == [{"kind": "collateral", "key": {"fmspc": "00"}, "reason": "get it"}]
    assert found["not_proven"] == list(result.not_proven)


def test_claims_are_hexadecimal_and_dates() -> None:
    claims = judged(TDX, policy()).to_json()["claims"]
    assert claims["mr_td"] == "02" * 48
    assert claims["rtmrs"] == ["10" * 48, "11" * 48, "12" * 48, "13" * 48]
    assert claims["debug"] is False
    assert claims["tcb"]["platform_date"] == "2026-08-01T00:00:00+00:00"
    assert claims["tcb"]["fmspc"] == "20a06f000000"
    enclave = judged(sgx(), policy()).to_json()["claims"]
    assert (enclave["isv_prod_id"], enclave["tcb"]["module_status"]) == (7, None)


def test_evidence_without_an_anchor_says_null() -> None:
    found = judged(evidence(anchor=None), policy()).to_json()
    assert found["evidence"]["anchor"] is None
    assert found["claims"] is None
    assert found["unauthenticated"] == {"mr_td": "unauthenticated"}
    assert found["verdict"] == "refused"


def test_verdicts_are_words() -> None:
    assert [verdict.value for verdict in Verdict] == ["accepted", "refused", "genuine_not_bound"]


def test_what_is_shown_is_plain() -> None:
    class Number(IntEnum):
        SOME_NAME = 3

    class Word(StrEnum):
        SOME = "some words"

    @dataclass
    class Inner:
        shown: bytes
        hidden: bytes = field(repr=False, default=b"")

    assert ready(Number.SOME_NAME) == "some-name"
    assert ready(Word.SOME) == "some words"
    assert ready(Inner(b"\x01")) == {"shown": "01"}
    assert ready({"a": (b"\xff", None, True, 1, 1.5, "x")}) == {"a": ["ff", None, True, 1, 1.5, "x"]}
    assert ready(MappingProxyType({1: b"\xff"})) == {"1": "ff"}
    assert ready(frozenset({2, 1})) == [1, 2]
    assert ready(memoryview(b"\x02")) == "02"
    assert ready(bytearray(b"\x03")) == "03"
    assert ready(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"
    assert ready(1 + 2j) == "(1+2j)"
