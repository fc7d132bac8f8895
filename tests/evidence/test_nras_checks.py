"""Each check of an answer of NRAS has an input that it alone refuses, under its own code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from assay.evidence.nras import checks
from assay.evidence.verification import Expected
from support import token_scenes as scenes
from support.token_scenes import NONCE, assert_refused, scene


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("two_parts", "nras.token.layout.jose.shape"),
        ("four_parts", "nras.token.layout.jose.shape"),
        ("padded", "nras.token.layout.jose.base64"),
        ("another_alphabet", "nras.token.layout.jose.base64"),
        ("bits_behind_the_last_byte", "nras.token.layout.jose.base64"),
        ("line_end_behind", "nras.token.layout.jose.base64"),
        ("oversized", "nras.token.layout.jose.oversized"),
        ("demands_an_extension", "nras.token.header.jose.critical"),
        ("unencoded_payload", "nras.token.header.jose.header"),
        ("brings_its_own_key", "nras.token.header.jose.header"),
        ("names_its_algorithm_twice", "nras.token.header.jose.header"),
        ("header_is_an_array", "nras.token.header.jose.header"),
        ("is_no_jwt", "nras.token.header.jose.header"),
        ("no_algorithm", "nras.token.header.jose.header"),
        ("empty_key_id", "nras.token.header.jose.header"),
        ("algorithm_none", "nras.token.algorithm.refused"),
        ("public_key_as_hmac_secret", "nras.token.algorithm.refused"),
        ("algorithm_of_another_kind", "nras.token.algorithm.refused"),
        ("key_published_for_another_algorithm", "nras.token.algorithm.key"),
        ("unknown_key_id", "nras.token.key.unknown"),
        ("no_key_id", "nras.token.key.unknown"),
        ("weak_key", "nras.token.key.unusable"),
        ("private_key_published", "nras.token.key.jwks.private"),
        ("one_id_for_two_keys", "nras.token.key.jwks.duplicate"),
        ("no_key_set", "nras.token.key.jwks.malformed"),
        ("signed_by_a_stranger", "nras.token.signature"),
        ("claims_changed", "nras.token.signature"),
        ("claims_are_an_array", "nras.token.claims.jose.claims"),
        ("says_it_twice", "nras.token.claims.jose.claims"),
        ("not_a_number", "nras.token.claims.jose.claims"),
        ("no_expiry", "nras.token.claims.jose.claims"),
        ("expiry_is_true", "nras.token.claims.jose.claims"),
        ("no_issue_time", "nras.token.claims.jose.claims"),
        ("no_issuer", "nras.token.claims.jose.claims"),
        ("issuer_is_another", "nras.token.issuer.unknown"),
        ("keys_of_another_issuer", "nras.token.issuer.other"),
        ("issued_in_the_future", "nras.token.issued.future"),
        ("not_valid_yet", "nras.token.issued.future"),
        ("has_expired", "nras.token.expiry.expired"),
        ("ends_before_it_begins", "nras.token.expiry.inverted"),
        ("is_old", "nras.token.age.old"),
    ],
)
def test_what_every_token_format_refuses(defect, code):
    stage = scene("nras")
    getattr(scenes, defect)(stage)
    assert_refused(stage.finish(), code)


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("two_parts", "nras.device.layout.jose.shape"),
        ("four_parts", "nras.device.layout.jose.shape"),
        ("padded", "nras.device.layout.jose.base64"),
        ("another_alphabet", "nras.device.layout.jose.base64"),
        ("bits_behind_the_last_byte", "nras.device.layout.jose.base64"),
        ("line_end_behind", "nras.device.layout.jose.base64"),
        ("oversized", "nras.device.layout.jose.oversized"),
        ("demands_an_extension", "nras.device.header.jose.critical"),
        ("unencoded_payload", "nras.device.header.jose.header"),
        ("brings_its_own_key", "nras.device.header.jose.header"),
        ("names_its_algorithm_twice", "nras.device.header.jose.header"),
        ("header_is_an_array", "nras.device.header.jose.header"),
        ("is_no_jwt", "nras.device.header.jose.header"),
        ("no_algorithm", "nras.device.header.jose.header"),
        ("empty_key_id", "nras.device.header.jose.header"),
        ("algorithm_none", "nras.device.algorithm.refused"),
        ("public_key_as_hmac_secret", "nras.device.algorithm.refused"),
        ("algorithm_of_another_kind", "nras.device.algorithm.refused"),
        ("key_published_for_another_algorithm", "nras.device.algorithm.key"),
        ("unknown_key_id", "nras.device.key.unknown"),
        ("no_key_id", "nras.device.key.unknown"),
        ("signed_by_a_stranger", "nras.device.signature"),
        ("claims_changed", "nras.device.signature"),
        ("claims_are_an_array", "nras.device.claims.jose.claims"),
        ("says_it_twice", "nras.device.claims.jose.claims"),
        ("not_a_number", "nras.device.claims.jose.claims"),
        ("no_expiry", "nras.device.claims.jose.claims"),
        ("expiry_is_true", "nras.device.claims.jose.claims"),
        ("no_issue_time", "nras.device.claims.jose.claims"),
        ("no_issuer", "nras.device.claims.jose.claims"),
        ("issuer_is_another", "nras.device.issuer.unknown"),
        ("issued_in_the_future", "nras.device.issued.future"),
        ("not_valid_yet", "nras.device.issued.future"),
        ("has_expired", "nras.device.expiry.expired"),
        ("ends_before_it_begins", "nras.device.expiry.inverted"),
        ("is_old", "nras.device.age.old"),
    ],
)
def test_what_every_token_of_a_device_is_refused_for(defect, code):
    stage = scene("nras", "device")
    getattr(scenes, defect)(stage)
    assert_refused(stage.finish(), code)


def answer(change):
    """Return a scene whose whole answer is altered after it is signed."""
    stage = scene("nras")
    whole = json.loads(stage.evidence())
    return stage, change(whole) if change else whole


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda whole: whole[0], id="only a token"),
        pytest.param(lambda whole: [*whole, {}], id="three parts"),
        pytest.param(lambda whole: [["JWS", whole[0][1]], whole[1]], id="no JWT"),
        pytest.param(lambda whole: [whole[0], {}], id="no devices"),
        pytest.param(lambda whole: [whole[0], {f"GPU-{n}": "x" for n in range(33)}], id="33 devices"),
        pytest.param(lambda whole: [whole[0], {"GPU-0": 1}], id="a number"),
        pytest.param(lambda whole: [whole[0], {"GPU\n0": "x"}], id="a name with a line end"),
        pytest.param(lambda whole: [whole[0], {"A": whole, "B": whole}], id="two answers in one"),
        pytest.param(lambda whole: [whole[0], {"A": whole}], id="wrapped under an unknown name"),
        pytest.param(
            lambda whole: [whole[0], {"REMOTE_GPU_CLAIMS": [whole[0], {"REMOTE_GPU_CLAIMS": whole}]}],
            id="wrapped twice",
        ),
        pytest.param(lambda whole: "x" * 262145, id="oversized"),
    ],
)
def test_what_an_answer_must_be(change):
    stage, whole = answer(change)
    result = stage.judge(json.dumps(whole).encode())
    code = "nras.bundle.layout.jose.oversized" if type(whole) is str else "nras.bundle.layout.jose.shape"
    assert_refused(result, code)


def test_an_answer_that_is_no_json():
    assert_refused(scene("nras").judge(b"[["), "nras.bundle.layout.jose.shape")


def test_a_device_twice():
    stage = scene("nras")
    text = stage.evidence().replace(b'"GPU-1"', b'"GPU-0"')
    assert_refused(stage.judge(text), "nras.bundle.layout.jose.shape")


def left_out(stage):
    stage.whole.submods["GPU-1"] = None


def one_more(stage):
    stage.whole.submods["GPU-2"] = ["DIGEST", ["SHA-256", "00" * 32]]


def of_another_token(stage):
    stage.whole.submods["GPU-1"] = ["DIGEST", ["SHA-256", "00" * 32]]


def with_a_weak_hash(stage):
    token = stage.whole.devices["GPU-1"].sign()
    stage.whole.submods["GPU-1"] = ["DIGEST", ["SHA-1", hashlib.sha1(token).hexdigest()]]


def no_digest(stage):
    stage.whole.submods["GPU-1"] = {}


def device_answered_another_nonce(stage):
    """A genuine token of another session, spliced in; its digest is right."""
    stage.whole.devices["GPU-1"].claims["eat_nonce"] = "00" * 32


def nonce_is_no_number(stage):
    stage.draft.claims["eat_nonce"] = "nonce"


def nonce_of_a_device_is_missing(stage):
    del stage.whole.devices["GPU-1"].claims["eat_nonce"]


def result_is_text(stage):
    stage.draft.claims["x-nvidia-overall-att-result"] = "true"


def result_is_false(stage):
    stage.draft.claims["x-nvidia-overall-att-result"] = False


def result_is_missing(stage):
    del stage.draft.claims["x-nvidia-overall-att-result"]


def measurements_differ(stage):
    stage.whole.devices["GPU-1"].claims["measres"] = "fail"


def measurements_not_compared(stage):
    stage.whole.devices["GPU-1"].claims["measres"] = "not-run"


def service_refused_a_device(stage):
    """The service then writes a token of another shape for it."""
    stage.draft.claims["x-nvidia-overall-att-result"] = False
    claims = stage.whole.devices["GPU-1"].claims
    for name in ("hwmodel", "eat_nonce", "measres"):
        del claims[name]
    claims["x-nvidia-error-details"] = {"code": 4010, "message": "NONCE_NOT_MATCHING"}


def no_measurements(stage):
    del stage.whole.devices["GPU-1"].claims["measres"]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (left_out, "nras.token.submods.names"),
        (one_more, "nras.token.submods.names"),
        (of_another_token, "nras.token.submods.mismatch"),
        (with_a_weak_hash, "nras.token.submods.type"),
        (no_digest, "nras.token.submods.type"),
        (device_answered_another_nonce, "nras.device.nonce.mismatch"),
        (nonce_is_no_number, "nras.token.claims.jose.claims"),
        (nonce_of_a_device_is_missing, "nras.device.claims.jose.claims"),
        (result_is_text, "nras.token.claims.jose.claims"),
        (result_is_false, "nras.token.result.refused"),
        (result_is_missing, "nras.token.result.refused"),
        (service_refused_a_device, "nras.token.result.refused"),
        (measurements_differ, "nras.token.result.measurements"),
        (measurements_not_compared, "nras.token.result.measurements"),
        (no_measurements, "nras.device.claims.jose.claims"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_what_holds_the_tokens_together(spoil, code):
    stage = scene("nras")
    spoil(stage)
    assert_refused(stage.finish(), code)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"message": "NONCE_NOT_MATCHING"}, "; of GPU-1 it says NONCE_NOT_MATCHING."),
        ({"message": "A" + "9" * 63}, "; of GPU-1 it says A" + "9" * 63 + "."),
        ({"message": "A" * 65}, "."),
        ({"message": "\x1b[2J"}, "."),
        ({"message": 7}, "."),
        ({}, "."),
        ("NONCE_NOT_MATCHING", "."),
        (None, "."),
    ],
)
def test_why_the_service_refused_is_said(details, said):
    stage = scene("nras")
    service_refused_a_device(stage)
    stage.whole.devices["GPU-1"].claims["x-nvidia-error-details"] = details
    (failed,) = stage.finish().ledger.failed()
    assert failed.id == "nras.token.result"
    assert failed.reason == "The service did not accept the devices" + said


def test_another_nonce_is_refused():
    stage = scene("nras")
    stage.binding = Expected(b"m" * 32)
    assert_refused(stage.finish(), "nras.binding.mismatch")


def test_nothing_is_wrong_without_a_defect():
    result = scene("nras").finish()
    assert result.bound
    assert result.simulated
    assert result.anchor.published_keys
    assert result.platform == "nras"
    claims = result.claims
    assert claims.nonce == NONCE
    assert [device.name for device in claims.devices] == ["GPU-0", "GPU-1"]
    device = claims.devices[0]
    assert device.hardware == "GH100 A01 GSP BROM"
    assert device.driver == "580.159.03"
    assert device.firmware == "96.00.D9.00.01"
    assert device.debug_status == "disabled"
    assert device.secure_boot
    assert device.warning == ""
    assert all(device.flags.values())


def test_the_client_softwares_own_token_is_declared_unsigned():
    plain, wrapped = scene("nras"), scene("nras")
    wrapped.whole.wrapped = True
    evidence = wrapped.evidence()
    result = wrapped.judge(evidence)
    assert result.bound
    (region,) = result.unsigned
    assert evidence[region.start : region.end] == b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA"
    assert result.signed_digest == plain.finish().signed_digest


@pytest.mark.parametrize("own", ["", "J", "JWT", "a.b.c", "REMOTE_GPU_CLAIMS"])
def test_the_unsigned_token_is_where_it_is_said_to_be(own):
    stage = scene("nras")
    text = json.dumps([["JWT", own], {"REMOTE_GPU_CLAIMS": json.loads(stage.evidence())}])
    (region,) = stage.judge(text.encode()).unsigned
    assert (region.start, region.end) == (10, 10 + len(own))
    assert text[region.start - 1 : region.end + 1] == f'"{own}"'


def test_an_unsigned_token_in_escapes_is_refused():
    stage = scene("nras")
    stage.whole.wrapped = True
    text = stage.evidence().replace(b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA", b"eyJhbGciOiJIUzI1NiJ9.e30.AAA\\u0041")
    assert_refused(stage.judge(text), "nras.bundle.layout.jose.shape")


def test_a_switch():
    stage = scene("nras", devices=1)
    claims = stage.whole.devices["GPU-0"].claims
    del claims["x-nvidia-gpu-driver-version"], claims["x-nvidia-gpu-vbios-version"]
    claims |= {"x-nvidia-switch-bios-version": "96.10", "x-nvidia-switch-arch-check": False}
    claims["x-nvidia-attestation-warning"] = "old"
    (device,) = stage.finish().claims.devices
    assert (device.driver, device.firmware, device.warning) == ("", "96.10", "old")
    assert device.flags["x-nvidia-switch-arch-check"] is False


def test_every_check_is_proven_here():
    text = Path(__file__).read_text()
    assert all(f'"{spec.id}' in text for spec in checks.ALL)
