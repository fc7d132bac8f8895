"""Each check of an Intel Trust Authority token has an input that it alone refuses, under its own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.evidence.ledger import Outcome
from assay.evidence.trust_authority import checks
from assay.evidence.verification import Expected
from support import token_scenes as scenes
from support.token_scenes import NONCE, assert_refused, scene


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("two_parts", "trust_authority.token.layout.jose.shape"),
        ("four_parts", "trust_authority.token.layout.jose.shape"),
        ("padded", "trust_authority.token.layout.jose.base64"),
        ("another_alphabet", "trust_authority.token.layout.jose.base64"),
        ("bits_behind_the_last_byte", "trust_authority.token.layout.jose.base64"),
        ("line_end_behind", "trust_authority.token.layout.jose.base64"),
        ("oversized", "trust_authority.token.layout.jose.oversized"),
        ("demands_an_extension", "trust_authority.token.header.jose.critical"),
        ("unencoded_payload", "trust_authority.token.header.jose.header"),
        ("brings_its_own_key", "trust_authority.token.header.jose.header"),
        ("names_its_algorithm_twice", "trust_authority.token.header.jose.header"),
        ("header_is_an_array", "trust_authority.token.header.jose.header"),
        ("is_no_jwt", "trust_authority.token.header.jose.header"),
        ("no_algorithm", "trust_authority.token.header.jose.header"),
        ("empty_key_id", "trust_authority.token.header.jose.header"),
        ("algorithm_none", "trust_authority.token.algorithm.refused"),
        ("public_key_as_hmac_secret", "trust_authority.token.algorithm.refused"),
        ("algorithm_of_another_kind", "trust_authority.token.algorithm.refused"),
        ("key_published_for_another_algorithm", "trust_authority.token.algorithm.key"),
        ("unknown_key_id", "trust_authority.token.key.unknown"),
        ("no_key_id", "trust_authority.token.key.unknown"),
        ("weak_key", "trust_authority.token.key.unusable"),
        ("private_key_published", "trust_authority.token.key.jwks.private"),
        ("one_id_for_two_keys", "trust_authority.token.key.jwks.duplicate"),
        ("no_key_set", "trust_authority.token.key.jwks.malformed"),
        ("signed_by_a_stranger", "trust_authority.token.signature"),
        ("claims_changed", "trust_authority.token.signature"),
        ("claims_are_an_array", "trust_authority.token.claims.jose.claims"),
        ("says_it_twice", "trust_authority.token.claims.jose.claims"),
        ("not_a_number", "trust_authority.token.claims.jose.claims"),
        ("no_expiry", "trust_authority.token.claims.jose.claims"),
        ("expiry_is_true", "trust_authority.token.claims.jose.claims"),
        ("no_issue_time", "trust_authority.token.claims.jose.claims"),
        ("no_issuer", "trust_authority.token.claims.jose.claims"),
        ("issuer_is_another", "trust_authority.token.issuer.other"),
        ("keys_of_another_issuer", "trust_authority.token.issuer.other"),
        ("issued_in_the_future", "trust_authority.token.issued.future"),
        ("not_valid_yet", "trust_authority.token.issued.future"),
        ("has_expired", "trust_authority.token.expiry.expired"),
        ("ends_before_it_begins", "trust_authority.token.expiry.inverted"),
        ("is_old", "trust_authority.token.age.old"),
    ],
)
def test_what_every_token_format_refuses(defect, code):
    stage = scene("trust-authority")
    getattr(scenes, defect)(stage)
    assert_refused(stage.finish(), code)


def claim(name, value):
    def spoil(stage):
        stage.draft.claims[name] = value

    return spoil


def without(name):
    return lambda stage: stage.draft.claims.pop(name)


def other_nonce(stage):
    stage.draft.claims["verifier_nonce"]["val"] = "AAAA"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(*row[1:], id=row[0])
        for row in (
            ("an unknown TEE", claim("attester_type", "TPM"), "trust_authority.token.type.unknown"),
            ("no TEE", without("attester_type"), "trust_authority.token.type.unknown"),
            ("no status", without("attester_tcb_status"), "trust_authority.token.claims.jose.claims"),
            (
                "held data not in base64",
                claim("attester_held_data", "#"),
                "trust_authority.token.claims.jose.base64",
            ),
            (
                "policies that are text",
                claim("policy_ids_matched", "x"),
                "trust_authority.token.claims.jose.claims",
            ),
            (
                "debug in text",
                claim("tdx_is_debuggable", "false"),
                "trust_authority.token.claims.jose.claims",
            ),
            ("another nonce of the service", other_nonce, "trust_authority.report_data.mismatch"),
            ("other held data", claim("attester_held_data", "AAAA"), "trust_authority.report_data.mismatch"),
            ("no held data", without("attester_held_data"), "trust_authority.report_data.mismatch"),
            (
                "other report data",
                claim("tdx_report_data", "00" * 64),
                "trust_authority.report_data.mismatch",
            ),
            ("no report data", without("tdx_report_data"), "trust_authority.report_data.mismatch"),
        )
    ],
)
def test_what_the_claims_must_be(spoil, code):
    stage = scene("trust-authority")
    spoil(stage)
    assert_refused(stage.finish(), code)


@pytest.mark.parametrize("version", [1, 2])
def test_nothing_is_wrong_without_a_defect(version):
    result = scene("trust-authority", version=version).finish()
    assert result.bound
    assert result.simulated
    assert result.anchor.published_keys
    claims = result.claims
    assert claims.attester == "TDX"
    assert claims.version == f"{version}.0.0"
    assert claims.held_data == NONCE
    assert claims.measurements["mrtd"] == b"\x6f" * 48
    assert claims.tcb_status == "UpToDate"
    assert not claims.debug


def test_another_session_is_not_this_one():
    stage = scene("trust-authority")
    stage.binding = Expected(b"other")
    assert_refused(stage.finish(), "trust_authority.binding.mismatch")


def test_report_data_bind_where_nothing_is_held():
    stage = scene("trust-authority", held=b"")
    report_data = bytes(range(64))
    stage.draft.claims["tdx_report_data"] = report_data.hex()
    del stage.draft.claims["verifier_nonce"]
    stage.binding = Expected(report_data)
    result = stage.finish()
    assert result.bound
    assert result.ledger["trust_authority.report_data"].outcome is Outcome.NOT_APPLICABLE


def test_a_hash_of_held_data_is_no_carrier():
    stage = scene("trust-authority")
    stage.binding = Expected(bytes.fromhex(stage.draft.claims["tdx_report_data"]))
    assert_refused(stage.finish(), "trust_authority.binding.mismatch")


@pytest.mark.parametrize("nonce", ["n" * 43, ["m" * 43, "n" * 43]])
def test_a_nonce_of_the_client(nonce):
    stage = scene("trust-authority", held=b"held")
    stage.draft.claims["eat_nonce"] = nonce
    assert stage.finish().bound


def test_two_attesters_are_none():
    stage = scene("trust-authority", version=2)
    stage.draft.claims["sgx"] = {"attester_type": "SGX"}
    assert_refused(stage.finish(), "trust_authority.token.type.unknown")


def test_an_attester_under_another_name_is_none():
    stage = scene("trust-authority", version=2)
    stage.draft.claims["tdx"]["attester_type"] = "SGX"
    assert_refused(stage.finish(), "trust_authority.token.type.unknown")


@pytest.mark.parametrize(
    ("changed", "debug"),
    [
        ({"dbgstat": "enabled"}, True),
        ({"tdx_is_debuggable": True}, True),
        ({"tdx_td_attributes_debug": True}, True),
        ({"dbgstat": "disabled-since-boot"}, False),
        ({"dbgstat": ""}, False),
    ],
)
def test_debug_is_on_unless_it_is_said_to_be_off(changed, debug):
    stage = scene("trust-authority")
    stage.draft.claims |= changed
    assert stage.finish().claims.debug is debug


def test_policies_are_claims():
    stage = scene("trust-authority")
    stage.draft.claims["policy_ids_matched"] = [{"id": "a", "version": "v1"}, "b"]
    stage.draft.claims["policy_ids_unmatched"] = [{"id": "c"}]
    claims = stage.finish().claims
    assert claims.policies_matched == ("a", "b")
    assert claims.policies_unmatched == ("c",)


def test_every_check_is_proven_here():
    text = Path(__file__).read_text()
    assert all(f'"{spec.id}' in text for spec in checks.ALL)
