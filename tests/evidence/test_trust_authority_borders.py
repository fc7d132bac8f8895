"""What a token of Intel Trust Authority says of an enclave, in either version, to its last member."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest

from assay.evidence.ledger import Outcome
from assay.evidence.trust_authority import checks
from assay.evidence.trust_authority.claims import Measurements
from assay.evidence.verification import Expected, Unchecked
from support.token_scenes import NONCE, NOW, assert_refused, scene

NOT_BEFORE = NOW - timedelta(seconds=7)


def enclave(version: int = 1, *, held: bytes = NONCE, report_data: bytes | None = None):
    """Return a scene in which the service appraised an SGX enclave."""
    stage = scene("trust-authority", version=version)
    claims = stage.draft.claims
    old = claims.pop("tdx") if version == 2 else claims
    kept = {name: value for name, value in old.items() if not name.startswith("tdx_")}
    stamp = b"2026-11-21 00:00:00 +0000 UTC"
    if report_data is None:
        report_data = hashlib.sha256(b"simulated nonce" + stamp + held).digest() + bytes(32)
    kept |= {
        "attester_type": "SGX",
        "attester_held_data": base64.b64encode(held).decode(),
        "attester_advisory_ids": ["INTEL-SA-00001", "INTEL-SA-00002"],
        "sgx_mrenclave": "5a" * 32,
        "sgx_mrsigner": "5b" * 32,
        "sgx_isvprodid": 1,
        "sgx_is_debuggable": False,
        "sgx_report_data": report_data.hex(),
    }
    stage.draft.claims = kept if version == 1 else claims | {"sgx": kept}
    return stage


def inner(stage) -> dict:
    return stage.draft.claims.get("sgx", stage.draft.claims)


@pytest.mark.parametrize("version", [1, 2])
def test_every_claim_about_an_enclave(version):
    stage = enclave(version)
    stage.draft.claims["nbf"] = int(NOT_BEFORE.timestamp())
    stage.draft.claims["policy_ids_matched"] = [{"id": "a"}]
    stage.draft.claims["eat_nonce"] = ["one", "two"]
    result = stage.finish()
    assert result.bound, result.ledger.unmet()
    claims = result.claims
    assert claims.issuer == "https://portal.trustauthority.intel.com"
    assert (claims.issued_at, claims.not_before) == (NOW, NOT_BEFORE)
    assert claims.expires_at == NOW + timedelta(seconds=300)
    assert (claims.version, claims.attester) == (f"{version}.0.0", "SGX")
    assert (claims.debug, claims.debug_status) == (False, "disabled")
    assert (claims.tcb_status, claims.tcb_date) == ("UpToDate", "2025-11-12T00:00:00Z")
    assert claims.advisories == ("INTEL-SA-00001", "INTEL-SA-00002")
    assert dict(claims.measurements) == {
        "mrenclave": b"\x5a" * 32,
        "mrsigner": b"\x5b" * 32,
        "report_data": bytes.fromhex(inner(stage)["sgx_report_data"]),
    }
    assert claims.held_data == NONCE
    assert claims.nonces == ("one", "two")
    assert claims.bound_slot == 0
    assert (claims.policies_matched, claims.policies_unmatched) == (("a",), ())
    assert claims.token == stage.draft.claims
    assert (result.platform, result.binding_check) == ("trust-authority", "trust_authority.binding")


@pytest.mark.parametrize("version", [1, 2])
def test_the_report_data_of_an_enclave_are_a_sha256_and_zeros(version):
    held = NONCE
    parts = b"simulated nonce" + b"2026-11-21 00:00:00 +0000 UTC" + held
    wide = hashlib.sha512(parts).digest()
    narrow = hashlib.sha256(parts).digest()
    assert enclave(version, report_data=narrow + bytes(32)).finish().bound
    for wrong in (wide, narrow, narrow + b"\1" * 32, narrow + bytes(33), bytes(32) + narrow):
        stage = enclave(version, report_data=wrong)
        assert_refused(stage.finish(), "trust_authority.report_data.mismatch")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("changes", "debug"),
    [
        ({"sgx_is_debuggable": True}, True),
        ({"sgx_is_debuggable": False}, False),
        ({"sgx_td_attributes_debug": True}, True),
        ({"tdx_is_debuggable": True}, False),
    ],
)
def test_debug_of_an_enclave_is_said_under_its_own_prefix(version, changes, debug):
    stage = enclave(version)
    inner(stage).update(changes)
    assert stage.finish().claims.debug is debug


@pytest.mark.parametrize(
    ("status", "flag", "debug"),
    [
        ("disabled", None, False),
        ("disabled-since-boot", None, False),
        ("disabled-permanently", None, False),
        ("disabled-fully-and-permanently", None, True),
        ("enabled", False, True),
        ("disabled", True, True),
        ("", None, True),
        ("", False, False),
        ("", True, True),
        (None, None, True),
        (None, False, False),
    ],
)
def test_debug_is_on_unless_all_that_is_said_denies_it(status, flag, debug):
    stage = enclave()
    claims = stage.draft.claims
    del claims["sgx_is_debuggable"], claims["dbgstat"]
    if status is not None:
        claims["dbgstat"] = status
    if flag is not None:
        claims["sgx_is_debuggable"] = flag
    found = stage.finish().claims
    assert (found.debug, found.debug_status) == (debug, status or "")


def test_what_a_token_may_leave_out():
    stage = enclave()
    for name in ("attester_tcb_date", "attester_advisory_ids", "ver", "nbf"):
        del stage.draft.claims[name]
    claims = stage.finish().claims
    assert (claims.tcb_date, claims.advisories, claims.version) == ("", (), "")
    assert claims.not_before == claims.issued_at == NOW
    assert (claims.nonces, claims.policies_matched, claims.policies_unmatched) == ((), (), ())


@pytest.mark.parametrize("value", [None, 0, 1, "true", []])
def test_debug_is_true_or_false(value):
    stage = enclave()
    stage.draft.claims["sgx_is_debuggable"] = value
    assert_refused(stage.finish(), "trust_authority.token.claims.jose.claims")


def test_held_data_without_a_nonce_are_hashed_alone():
    stage = enclave(report_data=hashlib.sha256(NONCE).digest() + bytes(32))
    del stage.draft.claims["verifier_nonce"]
    result = stage.finish()
    assert result.bound
    assert result.ledger[checks.REPORT_DATA.id].outcome is Outcome.PASSED


def test_a_nonce_without_held_data_is_hashed_alone():
    stamp = b"2026-11-21 00:00:00 +0000 UTC"
    report_data = hashlib.sha256(b"simulated nonce" + stamp).digest() + bytes(32)
    stage = enclave(report_data=report_data)
    del stage.draft.claims["attester_held_data"]
    stage.binding = Expected(report_data)
    result = stage.finish()
    assert result.bound
    assert result.ledger[checks.REPORT_DATA.id].outcome is Outcome.PASSED
    assert result.claims.held_data is None


@pytest.mark.parametrize(
    ("asked", "slot"),
    [(NONCE.decode(), 1), ([NONCE.decode()], 1), (["another", NONCE.decode()], 2)],
)
def test_which_carrier_held_the_expected_value(asked, slot):
    stage = enclave(held=b"held")
    stage.draft.claims["eat_nonce"] = asked
    result = stage.finish()
    assert result.bound
    assert result.claims.bound_slot == slot


@pytest.mark.parametrize("asked", [None, 5, {}, True])
def test_a_nonce_that_is_no_text_is_no_carrier(asked):
    stage = enclave()
    stage.draft.claims["eat_nonce"] = asked
    assert stage.finish().claims.nonces == ()


def test_nothing_is_compared_without_an_expectation():
    stage = enclave()
    stage.binding = Unchecked("a test")
    result = stage.finish()
    assert result.authentic
    assert not result.bound
    assert result.claims.bound_slot is None
    assert [need.kind for need in result.needs] == ["binding"]


@pytest.mark.parametrize("name", ["policy_ids_matched", "policy_ids_unmatched"])
def test_policies_are_bounded(name):
    stage = enclave()
    stage.draft.claims[name] = ["x" * 256, "y" * 257, 7, {"id": "z"}] + ["p"] * 1020
    claims = stage.finish().claims
    found = claims.policies_matched if name == "policy_ids_matched" else claims.policies_unmatched
    assert found == ("x" * 256, "y" * 256, "7", "z", *["p"] * 1020)
    for wrong in (["p"] * 1025, {}, "p", None, [{}], [{"id": 1}]):
        stage = enclave()
        stage.draft.claims[name] = wrong
        assert_refused(stage.finish(), "trust_authority.token.claims.jose.claims")


def test_the_longest_token():
    def padded(size: int):
        stage = enclave()
        stage.draft.claims["padding"] = "x" * 40000
        short = size - len(stage.evidence())
        stage.draft.claims["padding"] += "x" * (short * 3 // 4)
        while len(stage.evidence()) < size:
            stage.draft.claims["padding"] += "x"
        return stage

    assert padded(65536).finish().bound
    assert_refused(padded(65537).finish(), "trust_authority.token.layout.jose.oversized")


@pytest.mark.parametrize("name", ["TDX", "SGX"])
def test_an_attester_is_named_as_the_service_names_it(name):
    for wrong in (name.lower(), f"{name} ", f"X{name}"):
        stage = enclave()
        stage.draft.claims["attester_type"] = wrong
        assert_refused(stage.finish(), "trust_authority.token.type.unknown")


def test_measurements_are_lower_case_hexadecimal_under_the_prefix():
    stated = {
        "sgx_a": "00ff",
        "sgx_upper": "00FF",
        "sgx_blank": "00 ff",
        "sgx_odd": "00f",
        "sgx_empty": "",
        "sgx_number": 5,
        "sgx_none": None,
        "tdx_b": "00ff",
        "sgx": "00ff",
    }
    found = Measurements(stated, "sgx_")
    assert dict(found) == {"a": b"\x00\xff"}
    assert len(found) == 1
    assert repr(found) == "{'a': b'\\x00\\xff'}"
    for name in ("upper", "blank", "odd", "empty", "number", "none", "b", "missing", "sgx_a"):
        assert name not in found
        with pytest.raises(KeyError, match=name):
            found[name]


def test_the_checks_have_these_names_in_this_order():
    """Policies and records of earlier verifications name them."""
    token = (
        *("layout", "header", "algorithm", "key", "signature"),
        *("claims", "issuer", "issued", "expiry", "age", "type"),
    )
    assert [spec.id for spec in checks.ALL] == [
        *(f"trust_authority.token.{name}" for name in token),
        "trust_authority.report_data",
        "trust_authority.binding",
    ]
