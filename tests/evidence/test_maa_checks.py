"""Each check of an Azure Attestation token has an input that it alone refuses, under its own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.evidence.jose.base64url import encode
from assay.evidence.maa import checks
from assay.evidence.verification import Expected
from support import token_scenes as scenes
from support.token_scenes import NONCE, assert_refused, scene


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("two_parts", "maa.token.layout.jose.shape"),
        ("four_parts", "maa.token.layout.jose.shape"),
        ("padded", "maa.token.layout.jose.base64"),
        ("another_alphabet", "maa.token.layout.jose.base64"),
        ("bits_behind_the_last_byte", "maa.token.layout.jose.base64"),
        ("line_end_behind", "maa.token.layout.jose.base64"),
        ("oversized", "maa.token.layout.jose.oversized"),
        ("demands_an_extension", "maa.token.header.jose.critical"),
        ("unencoded_payload", "maa.token.header.jose.header"),
        ("brings_its_own_key", "maa.token.header.jose.header"),
        ("names_its_algorithm_twice", "maa.token.header.jose.header"),
        ("header_is_an_array", "maa.token.header.jose.header"),
        ("is_no_jwt", "maa.token.header.jose.header"),
        ("no_algorithm", "maa.token.header.jose.header"),
        ("empty_key_id", "maa.token.header.jose.header"),
        ("algorithm_none", "maa.token.algorithm.refused"),
        ("public_key_as_hmac_secret", "maa.token.algorithm.refused"),
        ("algorithm_of_another_kind", "maa.token.algorithm.refused"),
        ("key_published_for_another_algorithm", "maa.token.algorithm.key"),
        ("unknown_key_id", "maa.token.key.unknown"),
        ("no_key_id", "maa.token.key.unknown"),
        ("weak_key", "maa.token.key.unusable"),
        ("private_key_published", "maa.token.key.jwks.private"),
        ("one_id_for_two_keys", "maa.token.key.jwks.duplicate"),
        ("no_key_set", "maa.token.key.jwks.malformed"),
        ("signed_by_a_stranger", "maa.token.signature"),
        ("claims_changed", "maa.token.signature"),
        ("claims_are_an_array", "maa.token.claims.jose.claims"),
        ("says_it_twice", "maa.token.claims.jose.claims"),
        ("not_a_number", "maa.token.claims.jose.claims"),
        ("no_expiry", "maa.token.claims.jose.claims"),
        ("expiry_is_true", "maa.token.claims.jose.claims"),
        ("no_issue_time", "maa.token.claims.jose.claims"),
        ("no_issuer", "maa.token.claims.jose.claims"),
        ("issuer_is_another", "maa.token.issuer.other"),
        ("keys_of_another_issuer", "maa.token.issuer.other"),
        ("issued_in_the_future", "maa.token.issued.future"),
        ("not_valid_yet", "maa.token.issued.future"),
        ("has_expired", "maa.token.expiry.expired"),
        ("ends_before_it_begins", "maa.token.expiry.inverted"),
        ("is_old", "maa.token.age.old"),
    ],
)
def test_what_every_token_format_refuses(defect, code):
    stage = scene("maa")
    getattr(scenes, defect)(stage)
    assert_refused(stage.finish(), code)


def claim(name, value):
    def spoil(stage):
        stage.draft.claims[name] = value

    return spoil


def without(name):
    return lambda stage: stage.draft.claims.pop(name)


def machine(name, value):
    def spoil(stage):
        stage.draft.claims["x-ms-isolation-tee"][name] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(*row[1:], id=row[0])
        for row in (
            ("a guest without a TEE", without("x-ms-isolation-tee"), "maa.token.type.unknown"),
            ("an unknown TEE", machine("x-ms-attestation-type", "vsm"), "maa.token.type.unknown"),
            ("an unknown kind", claim("x-ms-attestation-type", "tpm"), "maa.token.type.unknown"),
            ("no kind", without("x-ms-attestation-type"), "maa.token.claims.jose.claims"),
            ("secure boot in text", claim("secureboot", "true"), "maa.token.claims.jose.claims"),
            (
                "a measurement that is no number",
                machine("x-ms-sevsnpvm-launchmeasurement", "zz"),
                "maa.token.claims.jose.claims",
            ),
            (
                "debug in text",
                machine("x-ms-sevsnpvm-is-debuggable", "false"),
                "maa.token.claims.jose.claims",
            ),
            (
                "debug that is null",
                machine("x-ms-sevsnpvm-is-debuggable", None),
                "maa.token.claims.jose.claims",
            ),
            (
                "a nonce that is not base64",
                claim("x-ms-runtime", {"client-payload": {"nonce": "#"}}),
                "maa.token.claims.jose.base64",
            ),
            (
                "another nonce",
                claim("x-ms-runtime", {"client-payload": {"nonce": "AAAA"}}),
                "maa.binding.mismatch",
            ),
            ("no nonce", claim("x-ms-runtime", {}), "maa.binding.absent"),
        )
    ],
)
def test_what_the_claims_must_be(spoil, code):
    stage = scene("maa")
    spoil(stage)
    assert_refused(stage.finish(), code)


def test_nothing_is_wrong_without_a_defect():
    result = scene("maa").finish()
    assert result.bound
    assert result.simulated
    assert result.anchor.published_keys
    claims = result.claims
    assert (claims.attestation_type, claims.tee) == ("azurevm", "sevsnpvm")
    assert claims.client_nonce == NONCE
    assert not claims.debug
    assert claims.secure_boot
    assert claims.measurement == b"\x3c" * 48
    assert claims.compliance == "azure-compliant-cvm"
    assert claims.isolation["x-ms-sevsnpvm-vmpl"] == 0


def test_a_published_key_is_never_hardware():
    """Whatever the token says, it rests on a key set that somebody downloaded."""
    assert scene("maa").finish().simulated
    assert all(spec.id != "maa.token.chain" for spec in checks.ALL)


def test_the_machine_itself_is_bound_by_its_report_data():
    stage = scene("maa", report_data=bytes(range(64)), nonce=b"")
    stage.binding = Expected(bytes(range(64)))
    result = stage.finish()
    assert result.bound
    assert result.claims.attestation_type == "sevsnpvm"
    assert result.claims.bound_slot == 0


def test_report_data_of_a_guest_are_not_the_clients():
    stage = scene("maa")
    stage.binding = Expected(bytes.fromhex("4d" * 32 + "00" * 32))
    assert_refused(stage.finish(), "maa.binding.mismatch")


def test_a_nonce_that_the_service_only_echoes_binds_nothing():
    stage = scene("maa")
    stage.draft.claims["nonce"] = NONCE.decode()
    stage.draft.claims["x-ms-runtime"] = {}
    assert_refused(stage.finish(), "maa.binding.absent")


@pytest.mark.parametrize(
    ("claims", "debug"),
    [
        ({"x-ms-sevsnpvm-is-debuggable": True}, True),
        ({"x-ms-sevsnpvm-is-debuggable": False}, False),
        ({}, True),
    ],
)
def test_debug_is_on_unless_it_is_said_to_be_off(claims, debug):
    stage = scene("maa")
    found = stage.draft.claims["x-ms-isolation-tee"]
    del found["x-ms-sevsnpvm-is-debuggable"]
    found |= claims
    assert stage.finish().claims.debug is debug


@pytest.mark.parametrize(("extra", "debug"), [(False, False), (True, True), (None, True)])
def test_enclaves(extra, debug):
    held = {} if extra is None else {"x-ms-sgx-is-debuggable": extra}
    stage = scene("maa")
    kept = {name: stage.draft.claims[name] for name in ("iss", "iat", "nbf", "exp")}
    ehd = encode(NONCE).decode()
    stage.draft.claims = (
        kept
        | held
        | {
            "x-ms-attestation-type": "sgx",
            "x-ms-sgx-mrenclave": "ab" * 32,
            "x-ms-sgx-ehd": ehd,
        }
    )
    result = stage.finish()
    assert result.bound
    assert result.claims.debug is debug
    assert result.claims.measurement == b"\xab" * 32


def test_every_check_is_proven_here():
    text = Path(__file__).read_text()
    assert all(f'"{spec.id}' in text for spec in checks.ALL)
