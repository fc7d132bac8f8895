"""What the Claims of an Azure Attestation token are, field by field, for each TEE; and its bounds."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any, get_args

import pytest

from assay.evidence.jose.base64url import encode
from assay.evidence.maa.claims import Tee
from assay.evidence.maa.verify import MAX_TOKEN_BYTES
from assay.evidence.verification import Expected, Unchecked
from support.token_scenes import NONCE, NOW, assert_refused, scene

REPORT_DATA = bytes(range(64))
CARRIERS = {"client-payload": {"nonce": base64.b64encode(NONCE).decode()}}
MACHINES: dict[str, dict[str, Any]] = {
    "sevsnpvm": {
        "x-ms-sevsnpvm-is-debuggable": False,
        "x-ms-sevsnpvm-launchmeasurement": "3C" * 48,
        "x-ms-sevsnpvm-reportdata": REPORT_DATA.hex(),
    },
    "tdxvm": {
        "tdx_td_attributes_debug": False,
        "tdx_mrtd": "3c" * 48,
        "tdx_report_data": REPORT_DATA.hex(),
    },
    "sgx": {
        "x-ms-sgx-is-debuggable": False,
        "x-ms-sgx-mrenclave": "3c" * 48,
        "x-ms-sgx-report-data": REPORT_DATA.hex(),
    },
}


def token_about(tee: str, *, guest: bool, **changed: Any):
    """Return a scene of a token about a guest in a TEE, or about the TEE itself."""
    stage = scene("maa")
    claims = {name: stage.draft.claims[name] for name in ("iss", "iat", "nbf", "exp")}
    machine = {"x-ms-attestation-type": tee, **MACHINES[tee], **changed}
    if guest:
        machine = {"x-ms-attestation-type": "azurevm", "x-ms-isolation-tee": machine}
    stage.draft.claims = claims | machine | {"x-ms-runtime": CARRIERS}
    return stage


def test_each_tee_that_claims_may_name_is_one_that_a_token_may_be_about():
    assert set(get_args(Tee)) == MACHINES.keys()


@pytest.mark.parametrize("guest", [True, False])
@pytest.mark.parametrize("tee", MACHINES)
def test_every_field_of_the_claims(tee, guest):
    stage = token_about(tee, guest=guest)
    result = stage.finish()
    claims = result.claims
    assert claims.issuer == stage.draft.claims["iss"]
    assert (claims.issued_at, claims.not_before, claims.expires_at) == (NOW, NOW, NOW + timedelta(hours=8))
    assert (claims.attestation_type, claims.tee) == ("azurevm" if guest else tee, tee)
    assert claims.debug is False
    assert claims.secure_boot is None
    assert (claims.compliance, claims.policy_hash) == ("", "")
    assert claims.measurement == b"\x3c" * 48
    assert claims.report_data == REPORT_DATA
    assert (claims.client_nonce, claims.bound_slot) == (NONCE, 0)
    assert claims.isolation == (stage.draft.claims["x-ms-isolation-tee"] if guest else stage.draft.claims)
    assert claims.runtime == CARRIERS
    assert claims.token == stage.draft.claims
    assert result.decoded == {"header": stage.draft.header, "claims": stage.draft.claims}
    assert result.ledger["maa.binding"].reason == f"slot 1 of {1 if guest else 2} holds the expected value"
    for held in (claims.isolation, claims.runtime, claims.token):
        with pytest.raises(TypeError):
            held["x"] = 1


@pytest.mark.parametrize("tee", MACHINES)
def test_what_is_not_stated_is_empty(tee):
    stage = token_about(tee, guest=True)
    stage.draft.claims["x-ms-isolation-tee"] = {"x-ms-attestation-type": tee}
    del stage.draft.claims["x-ms-runtime"]
    stage.binding = Unchecked("nothing carries it")
    claims = stage.finish().claims
    assert (claims.measurement, claims.report_data) == (b"", b"")
    assert (claims.client_nonce, claims.bound_slot, claims.runtime) == (None, None, {})
    assert claims.debug is True


def test_what_the_service_states_of_guest_and_policy():
    stage = token_about("sevsnpvm", guest=True, **{"x-ms-compliance-status": "azure-compliant-cvm"})
    stage.draft.claims |= {"secureboot": False, "x-ms-policy-hash": "hash", "nbf": int(NOW.timestamp()) - 5}
    claims = stage.finish().claims
    assert claims.secure_boot is False
    assert (claims.compliance, claims.policy_hash) == ("azure-compliant-cvm", "hash")
    assert (claims.issued_at, claims.not_before) == (NOW, NOW - timedelta(seconds=5))


@pytest.mark.parametrize(
    ("stated", "debug"),
    [
        ({"is-debuggable": False}, False),
        ({"is-debuggable": True}, True),
        ({"x-ms-sgx-is-debuggable": False, "is-debuggable": True}, True),
        ({"x-ms-sgx-is-debuggable": True, "is-debuggable": False}, True),
        ({}, True),
    ],
)
def test_an_enclave_is_debuggable_unless_every_statement_says_that_it_is_not(stated, debug):
    stage = token_about("sgx", guest=False)
    del stage.draft.claims["x-ms-sgx-is-debuggable"]
    stage.draft.claims |= stated
    assert stage.finish().claims.debug is debug


def test_what_carries_a_value_is_counted_from_the_clients_nonce_on():
    held = b"held by the enclave"
    stage = token_about("sgx", guest=False, **{"x-ms-sgx-ehd": encode(held).decode()})
    for slot, value in enumerate((NONCE, held, REPORT_DATA)):
        stage.binding = Expected(value)
        result = stage.finish()
        assert result.claims.bound_slot == slot
        assert result.ledger["maa.binding"].reason == f"slot {slot + 1} of 3 holds the expected value"
    stage.binding = Expected(REPORT_DATA[:-1])
    assert_refused(stage.finish(), "maa.binding.mismatch")


def test_a_token_has_at_most_65536_bytes():
    stage = scene("maa")
    stage.draft.claims["filling"] = ""
    missing = MAX_TOKEN_BYTES - len(stage.evidence())
    stage.draft.claims["filling"] = "x" * (missing * 3 // 4 - 2)
    while len(stage.evidence()) < MAX_TOKEN_BYTES:
        stage.draft.claims["filling"] += "x"
    assert len(stage.evidence()) == MAX_TOKEN_BYTES == 65536
    assert stage.finish().bound
    stage.after = lambda token: token + b"A"
    assert_refused(stage.finish(), "maa.token.layout.jose.oversized")
