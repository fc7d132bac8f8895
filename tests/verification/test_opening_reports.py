"""The attestation reports of inference services, made by a simulated guest and simulated GPUs."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Policy, Verdict
from assay.appraisal import Context
from assay.errors import EvidenceError
from assay.evidence.dstack import Expectations, checks, verify_identity
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Unchecked, fingerprint
from assay.simulator.nvidia import Scene
from assay.verification.composite import Held, Part, verify_together
from assay.verification.opened import MAX_UNVERIFIED, Bundle
from assay.verification.opening import open_bundle
from support import vectors
from support.dstack_guest import APP_ID, COMPOSE, COMPOSE_HASH, INSTANCE_ID, PROVIDER, Guest, installation
from support.dstack_quotes import taken_as_verified
from support.nvidia_scenes import NONCE, NOW, NVIDIA, endorsements, roots

ADDRESS = bytes.fromhex("ad" * 20)
FINGERPRINT = hashlib.sha256(b"a certificate").digest()
REPORT_DATA = ADDRESS.ljust(32, b"\0") + NONCE
OTHER = bytes(reversed(NONCE))
POLICY = Policy.load(
    b'version = 1\nplatforms = ["tdx", "nvidia-gpu"]\nsimulated = "only"\naccept = ["simulated"]\n'
    b'together = ["tdx", "nvidia-gpu"]\n',
    name="machine and GPUs",
)
GUEST = Guest()
KNOWN = Context(
    installation_roots=frozenset(
        fingerprint(der) for der in (installation().root_der, *(der for _, der, _ in NVIDIA.anchors))
    )
)


@cache
def devices(nonce: bytes = NONCE):
    return Scene(NVIDIA, NOW, nonce).finish()


def payload(nonce: bytes = NONCE) -> dict[str, Any]:
    """Return what NVIDIA's service is asked with."""
    (entry,) = json.loads(devices(nonce).evidence)
    listed = [{name: entry[name] for name in ("certificate", "evidence")}]
    return {"nonce": nonce.hex(), "evidence_list": listed, "arch": "HOPPER"}


@cache
def quote(report_data: bytes = REPORT_DATA) -> bytes:
    return GUEST.quote(report_data)


def info(**changed: Any) -> dict[str, Any]:
    tcb = {
        **{f"rtmr{at}": GUEST.rtmr(at).hex() for at in range(4)},
        "compose_hash": COMPOSE_HASH.hex(),
        "app_compose": COMPOSE.decode(),
        "os_image_hash": "00" * 32,
    }
    return {
        "app_id": APP_ID.hex(),
        "instance_id": INSTANCE_ID.hex(),
        "app_name": "model",
        "app_cert": "-----BEGIN CERTIFICATE-----",
        "key_provider_info": PROVIDER.decode(),
        "vm_config": "",
        "tcb_info": json.dumps(tcb),
        **changed,
    }


def report(carried: bytes = REPORT_DATA, /, *, answered: bytes = NONCE, **changed: Any) -> dict[str, Any]:
    whole = {
        "signing_address": "0x" + ADDRESS.hex(),
        "signing_algo": "ecdsa",
        "request_nonce": NONCE.hex(),
        "intel_quote": quote(carried).hex(),
        "nvidia_payload": json.dumps(payload(answered)),
        "event_log": GUEST.presented().log.decode(),
        "info": info(),
    } | changed
    return {name: value for name, value in whole.items() if value is not ...}


def opened(document: Any) -> Bundle:
    return open_bundle(json.dumps(document).encode())


def code(document: Any) -> str:
    with pytest.raises(EvidenceError) as refused:
        opened(document)
    return refused.value.code


def judged(bundle: Bundle, tie: Any, nonce: bytes = NONCE):
    """Verify and appraise what a report holds, with all that vouches for it."""
    made = installation()
    vouching = {
        "tdx": made.collateral(NOW, platform="tdx"),
        "nvidia-gpu": endorsements(devices(nonce)),
    }
    parts = [
        Part(each.name, each.evidence, each.platform, vouching[each.platform], each.presented)
        for each in bundle.parts
    ]
    trusted = roots().with_anchor(made.anchor_name, made.root_der)
    return verify_together(parts, policy=POLICY, tie=tie, roots=trusted, now=NOW, context=KNOWN)


def failures(result) -> set[str]:
    pieces = [check.code for piece in result.pieces for check in piece.result.ledger.failed()]
    return {*pieces, *(check.code for check in result.ledger.failed())}


# --- what is true


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"nvidia_payload": payload()},
        {"event_log": json.loads(GUEST.presented().log)},
        {"info": json.dumps(info())},
        {"info": info(tcb_info=json.loads(info()["tcb_info"]))},
        {"intel_quote": "0x" + quote().hex().upper()},
        {"report_data": REPORT_DATA.hex(), "vm_config": ""},
    ],
    ids=["texts", "payload", "log", "info", "tcb_info", "hex", "answer"],
)
def test_machine_and_gpus_are_accepted_together(changed):
    bundle = opened(report(**changed))
    assert [(part.name, part.platform) for part in bundle.parts] == [
        ("intel_quote", "tdx"),
        ("nvidia_payload", "nvidia-gpu"),
    ]
    result = judged(bundle, Held(REPORT_DATA, NONCE))
    assert result.accepted, (failures(result), result.ledger.unmet())
    log = result.pieces[0].result.workload_log
    assert log.authentic
    assert log.claims.compose_hash == COMPOSE_HASH
    assert log.ledger[checks.COMPOSE.id].outcome is Outcome.PASSED
    assert log.ledger[checks.STATED.id].outcome is Outcome.PASSED


def test_the_address_may_stand_there_with_the_services_certificate():
    first = hashlib.sha256(ADDRESS + FINGERPRINT).digest()
    bundle = opened(report(first + NONCE, tls_cert_fingerprint=FINGERPRINT.hex()))
    assert "signing_address" not in bundle.unverified
    assert "tls_cert_fingerprint" not in bundle.unverified
    assert judged(bundle, Held(first + NONCE, NONCE)).accepted


def test_a_machine_without_gpus_is_one_piece():
    for empty in (None, "", {}, [], ...):
        bundle = opened(report(nvidia_payload=empty))
        assert [part.platform for part in bundle.parts] == ["tdx"]
        assert ("nvidia_payload" in bundle.unverified) is (empty is not ...)
        assert bundle.parts[0].presented is not None


def test_the_log_below_info_explains_the_quote_where_there_is_no_other():
    tcb = json.loads(info()["tcb_info"]) | {"event_log": json.loads(GUEST.presented().log)}
    bundle = opened(report(event_log=..., info=info(tcb_info=tcb)))
    assert judged(bundle, Held(REPORT_DATA, NONCE)).pieces[0].result.workload_log.authentic
    assert "info.tcb_info.event_log" not in bundle.unverified
    # With both the answer's own is taken, and the other one is not passed over in silence.
    assert "info.tcb_info.event_log" in opened(report(info=info(tcb_info=tcb))).unverified


@pytest.mark.parametrize("name", ["gateway_attestation", "model_attestations"])
def test_the_one_report_among_several_places_is_opened(name):
    alone = report() if name == "gateway_attestation" else [report()]
    bundle = opened({name: alone, "tls_certificate": "a certificate"})
    assert [part.platform for part in bundle.parts] == ["tdx", "nvidia-gpu"]
    assert "tls_certificate" in bundle.unverified
    empty = {"gateway_attestation": None, "model_attestations": []} | {name: alone}
    assert opened(empty).parts == opened({name: alone}).parts


def test_what_a_real_guest_says_of_itself_is_held_against_its_quote():
    """No published report comes with a quote of this kind, so the parts of real answers are put together."""
    said = json.loads(vectors.read("dstack/crabbox-phala/real_attestation_info.json"))
    real = vectors.read("dstack/crabbox-phala/real_tdx_quote.bin")
    bundle = opened({"intel_quote": real.hex(), "info": said, "signing_address": "0x" + ADDRESS.hex()})
    (part,) = bundle.parts
    log = verify_identity(
        taken_as_verified(real), part.presented, expected=Expectations.nothing("a test of what is stated")
    )
    assert log.authentic, log.ledger.unmet()
    assert log.ledger[checks.STATED.id].outcome is Outcome.PASSED
    assert log.ledger[checks.COMPOSE.id].outcome is Outcome.PASSED
    assert "signing_address" in bundle.unverified
    assert {"info.app_cert", "info.device_id", "info.os_image_hash"} <= set(bundle.unverified)


@pytest.mark.parametrize("address", [ADDRESS, bytes(range(32))])
def test_the_report_data_may_hold_the_address_itself(address):
    """Of a key on secp256k1, filled up with zeros, or an Ed25519 key."""
    for text in (address.hex(), "0x" + address.hex()):
        bundle = opened(report(address.ljust(32, b"\0") + NONCE, signing_address=text))
        assert "signing_address" not in bundle.unverified


@pytest.mark.parametrize("tail", [b"", b"X", b"\0", FINGERPRINT])
def test_without_the_fingerprint_the_address_is_not_told(tail):
    first = hashlib.sha256(ADDRESS + tail).digest()
    assert "signing_address" in opened(report(first + NONCE)).unverified
    for stated in ("", "no fingerprint", hashlib.sha256(b"another").hexdigest()):
        names = opened(report(first + NONCE, tls_cert_fingerprint=stated)).unverified
        assert {"signing_address", "tls_cert_fingerprint"} <= set(names)


def test_the_fingerprint_is_looked_at_where_the_address_does_not_stand_alone():
    bundle = opened(report(tls_cert_fingerprint=FINGERPRINT.hex()))
    assert "signing_address" not in bundle.unverified
    assert "tls_cert_fingerprint" in bundle.unverified


@pytest.mark.parametrize("at", [0, 63])
def test_of_so_many_places_for_reports_one_may_be_filled(at):
    models = [None] * at + [report()] + [{}] * (63 - at)
    bundle = opened({"model_attestations": models, "gateway_attestation": {}})
    assert [part.platform for part in bundle.parts] == ["tdx", "nvidia-gpu"]


def test_answers_of_nvidias_service_stand_for_gpus_as_well():
    answer = [["JWT", "a.b.c"], {"GPU-0": "a.b.c"}]
    for stated in (answer, json.dumps(answer)):
        bundle = opened(report(nvidia_payload=stated))
        assert [(part.name, part.platform) for part in bundle.parts] == [
            ("intel_quote", "tdx"),
            ("nvidia_payload", "nras"),
        ]
        assert bundle.parts[1].form == f"{len(bundle.parts[1].evidence)} bytes, from an attestation report"
        assert json.loads(bundle.parts[1].evidence) == answer


def test_everything_that_explains_the_quote_is_taken():
    tcb = json.loads(info()["tcb_info"]) | {"mrtd": "11" * 48, "report_data": REPORT_DATA.hex()}
    whole = {"mr_aggregated": "22" * 32, "vm_config": "{ }", "key_provider_info": "a provider"}
    document = report(
        info=info(tcb_info=tcb, **whole), report_data=REPORT_DATA.hex(), vm_config="{ }", nonce=NONCE.hex()
    )
    bundle = opened(document)
    presented = bundle.parts[0].presented
    assert presented is not None
    assert presented.stated == {
        **{f"rtmr{at}": GUEST.rtmr(at) for at in range(4)},
        "mr_td": b"\x11" * 48,
        "mr_aggregated": b"\x22" * 32,
        "app_id": APP_ID,
        "instance_id": INSTANCE_ID,
        "compose_hash": COMPOSE_HASH,
        "report_data": REPORT_DATA,
        "key_provider_info": b"a provider",
    }
    assert (presented.vm_config, presented.app_compose) == (b"{ }", COMPOSE)
    assert bundle.unverified == (
        "info.app_cert",
        "info.app_name",
        "info.tcb_info.os_image_hash",
        "signing_algo",
    )
    assert bundle.parts[0].form == f"{len(quote())} bytes, from an attestation report"


@pytest.mark.parametrize("config", ["{}", "\ud800"])
def test_a_configuration_below_info_is_taken_where_there_is_no_other(config):
    for beside in (..., "", "{}"):
        if beside == config or not beside or beside is ...:
            presented = opened(report(info=info(vm_config=config), vm_config=beside)).parts[0].presented
            assert presented is not None
            assert presented.vm_config == config.encode("utf-8", "surrogatepass")
    presented = opened(report(info=info(vm_config=None), vm_config="{}")).parts[0].presented
    assert presented is not None
    assert presented.vm_config == b"{}"


def test_without_anything_below_info_the_log_alone_is_taken():
    for empty in (None, "", ...):
        bundle = opened(report(info=empty))
        presented = bundle.parts[0].presented
        assert presented is not None
        assert presented.stated == {}
        assert ("info" in bundle.unverified) is (empty is not ...)
    bundle = opened(report(info=info(tcb_info="", key_provider_info=None)))
    assert bundle.parts[0].presented.stated.keys() == {"app_id", "instance_id"}


# --- what is not verified is said


def test_members_that_no_verifier_looks_at_are_named():
    bundle = opened(report(all_attestations=[report()], server_verification={"tdx": True}))
    assert bundle.unverified == (
        "all_attestations",
        "info.app_cert",
        "info.app_name",
        "info.tcb_info.os_image_hash",
        "server_verification",
        "signing_algo",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"signing_address": "0x" + "ae" * 20},
        {"signing_address": "0x" + "ad" * 19},
        {"signing_address": ADDRESS.hex() + "0" * 24 + "00"},
        {"signing_address": "an address"},
        {"signing_address": 7},
    ],
)
def test_an_address_that_the_report_data_do_not_hold_is_named(changed):
    assert "signing_address" in opened(report(**changed)).unverified


@pytest.mark.parametrize("name", ["request_nonce", "nonce"])
def test_a_nonce_that_the_report_data_do_not_hold_is_named(name):
    assert name in opened(report(**{name: OTHER.hex()})).unverified
    assert name not in opened(report(**{name: NONCE.hex()})).unverified
    short = opened(report(intel_quote=quote()[:700].hex()))
    assert {"request_nonce", "signing_address"} <= set(short.unverified)


def test_without_a_log_nothing_below_info_is_believed():
    bundle = opened(report(event_log=None))
    assert bundle.parts[0].presented is None
    assert {"info", "event_log"} <= set(bundle.unverified)


def test_names_are_bounded():
    many = {f"{at:03}{'x' * 200}": at for at in range(2 * MAX_UNVERIFIED)}
    names = opened(report() | many).unverified
    assert len(names) == MAX_UNVERIFIED
    assert max(map(len, names)) == 67
    assert names[-1] == f"{2 * MAX_UNVERIFIED + 4 - (MAX_UNVERIFIED - 1)} more"


# --- what is not true


def test_a_gpu_that_answered_another_nonce_is_refused():
    result = judged(opened(report(answered=OTHER)), Held(REPORT_DATA, NONCE), OTHER)
    assert result.verdict is Verdict.REFUSED
    assert "composite.appraised.refused" in failures(result)
    # The GPU's own nonce asked for instead: it is not the one that the machine commits to.
    apart = judged(opened(report(answered=OTHER)), Held(REPORT_DATA, OTHER), OTHER)
    assert failures(apart) == {"nvidia.composite.nonce.mismatch"}


def test_report_data_of_another_session_are_refused():
    for other in (REPORT_DATA[:32] + OTHER, b"\1" * 32 + NONCE):
        result = judged(opened(report(other)), Held(REPORT_DATA, NONCE))
        assert result.verdict is Verdict.REFUSED
        assert "composite.appraised.refused" in failures(result)


def test_report_data_alone_do_not_say_what_the_gpus_answered():
    result = judged(opened(report()), Held(REPORT_DATA))
    assert result.verdict is Verdict.GENUINE_NOT_BOUND
    assert judged(opened(report()), Unchecked("a test")).verdict is Verdict.GENUINE_NOT_BOUND


def test_another_log_compose_document_or_statement_refuses_the_whole():
    tcb = json.loads(info()["tcb_info"])
    events = json.loads(GUEST.presented().log)
    wrong = {
        "dstack.compose.hash": {"info": info(tcb_info=tcb | {"app_compose": "{}"})},
        "dstack.stated.app_id": {"info": info(app_id="00" * 20)},
        "dstack.stated.mr_td": {"info": info(tcb_info=tcb | {"mrtd": "11" * 48})},
        "dstack.stated.report_data": {"report_data": "00" * 64},
        "dstack.log.replay.mismatch": {"event_log": events[:-1]},
    }
    for expected, changed in wrong.items():
        result = judged(opened(report(**changed)), Held(REPORT_DATA, NONCE))
        assert failures(result) == {expected, "composite.appraised.refused"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"intel_quote": quote().hex() + "0"}, "verification.report.quote"),
        ({"intel_quote": None}, "verification.report.quote"),
        ({"intel_quote": {"quote": quote().hex()}}, "verification.report.quote"),
        ({"intel_quote": "03000200" + "00" * 700}, "verification.report.quote"),
        ({"nvidia_payload": "{}"}, "verification.report.gpu"),
        ({"nvidia_payload": 7}, "verification.report.gpu"),
        ({"nvidia_payload": json.dumps({"evidence_list": []})}, "verification.report.gpu"),
        ({"nvidia_payload": "\ud800"}, "verification.report.gpu"),
        ({"nvidia_payload": quote().hex()}, "verification.report.gpu"),
        ({"event_log": {"a": 1}}, "verification.report.member"),
        ({"info": 7}, "verification.report.member"),
        ({"info": info(tcb_info=[7])}, "verification.report.member"),
        ({"info": info(vm_config=7)}, "verification.report.member"),
        ({"info": info(app_id="AD")}, "dstack.answer.member"),
        ({"info": "[]"}, "json.type"),
        ({"info": "\ud800"}, "json.malformed"),
        ({"info": info(tcb_info="\ud800")}, "json.malformed"),
        ({"info": info(tcb_info=7)}, "verification.report.member"),
        ({"info": info(key_provider_info=["x"])}, "verification.report.member"),
        ({"event_log": 7}, "verification.report.member"),
        ({"event_log": "\ud800"}, "dstack.answer.member"),
        ({"intel_quote": ""}, "verification.report.quote"),
        ({"intel_quote": "\ud800"}, "verification.report.quote"),
        ({"nvidia_payload": [7]}, "verification.report.gpu"),
        ({"nvidia_payload": payload(), "info": info(tcb_info={"app_id": 7})}, "dstack.answer.member"),
        ({"info": '{"a":1,"a":1}'}, "json.duplicate_member"),
        ({"info": info(compose_hash="00" * 32)}, "verification.report.contradiction"),
        ({"info": info(vm_config="{}"), "vm_config": "{ }"}, "verification.report.contradiction"),
    ],
)
def test_reports_that_are_none_are_refused(changed, expected):
    assert code(report(**changed)) == expected


@pytest.mark.parametrize(
    ("changed", "member"), [({"info": 7}, "info"), ({"info": info(tcb_info=[7])}, "info.tcb_info")]
)
def test_a_member_that_is_no_object_is_named(changed, member):
    with pytest.raises(EvidenceError, match=rf"^Member {member} of the report is neither"):
        opened(report(**changed))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"gateway_attestation": report(), "model_attestations": [report()]}, "verification.report.several"),
        ({"model_attestations": [report(), report()]}, "verification.report.several"),
        ({"model_attestations": report()}, "verification.report.member"),
        ({"model_attestations": [None] * 65}, "verification.report.member"),
        ({"model_attestations": [7]}, "verification.report.member"),
        ({"gateway_attestation": {"model_attestations": []}}, "verification.report.member"),
        ({"gateway_attestation": None}, "verification.evidence.unrecognised"),
        ({"model_attestations": []}, "verification.evidence.unrecognised"),
        ({"model_attestations": [None] * 64}, "verification.evidence.unrecognised"),
        ({"model_attestations": ["x"]}, "verification.report.member"),
        ({"gateway_attestation": {"quote": "x"}}, "verification.report.member"),
        ({"gateway_attestation": [report()]}, "verification.report.member"),
    ],
)
def test_several_machines_in_one_file_are_not_mixed(document, expected):
    assert code(document) == expected


def test_a_device_list_that_is_empty_is_refused_by_its_own_verifier():
    bundle = opened(report(nvidia_payload=payload() | {"evidence_list": []}))
    assert "nvidia.container" in failures(judged(bundle, Held(REPORT_DATA, NONCE)))


@given(
    st.dictionaries(
        st.sampled_from(sorted(report())),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2),
        max_size=4,
    )
)
def test_any_member_of_another_kind_is_opened_or_refused(changed):
    try:
        bundle = opened(report(**changed))
    except EvidenceError:
        return
    assert bundle.parts[0].platform == "tdx"


# --- Statements with the address of their form


PREDICATE = "https://tinfoil.sh/predicate/"


def statement(**members: Any) -> bytes:
    return json.dumps({"format": PREDICATE + "attestation/v3", **members}).encode()


def refused(data: bytes) -> str:
    with pytest.raises(EvidenceError) as error:
        open_bundle(data)
    return error.value.code


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_body_of_a_statement_is_evidence_packed_or_not(pack):
    body = base64.b64encode(pack(quote())).decode()
    data = statement(format=PREDICATE + "tdx-guest/v2", body=body, nonce="00")
    (found,) = open_bundle(data).parts
    assert (found.evidence, found.platform, found.unverified) == (quote(), "tdx", ("nonce",))


@pytest.mark.parametrize(
    ("packed", "expected"),
    [
        (gzip.compress(quote(), mtime=0)[:-1], "verification.report.member"),
        (gzip.compress(quote(), mtime=0) + b"\0", "verification.report.member"),
        (gzip.compress(quote().ljust((1 << 20) + 1, b"\0"), mtime=0), "verification.report.member"),
        (b"\x1f\x8b" + quote(), "verification.report.member"),
        (gzip.compress(b"no evidence", mtime=0), "verification.evidence.unrecognised"),
        (b"", "verification.evidence.unrecognised"),
    ],
)
def test_a_body_that_is_no_evidence_is_refused(packed, expected):
    assert refused(statement(body=base64.b64encode(packed).decode())) == expected
    assert refused(statement(body=7)) == "verification.evidence.unrecognised"


def test_a_body_of_a_mebibyte_is_the_longest():
    large = quote().ljust(1 << 20, b"\0")
    (found,) = open_bundle(statement(body=base64.b64encode(gzip.compress(large, mtime=0)).decode())).parts
    assert found.evidence == large


def test_a_statement_names_the_platform_of_its_machine_and_holds_its_gpus():
    machine = {"platform": "tdx", "report": base64.b64encode(quote()).decode(), "more": 1}
    gpus = {"evidences": json.loads(devices().evidence), "other": 2}
    bundle = open_bundle(statement(cpu=machine, gpu=gpus, report_data={}, signature="AA"))
    assert [(part.name, part.platform) for part in bundle.parts] == [("cpu", "tdx"), ("gpu", "nvidia-gpu")]
    assert bundle.parts[0].evidence == quote()
    assert set(bundle.unverified) == {"cpu.more", "gpu.other", "report_data", "signature"}
    for gpu in (None, {}):
        assert [part.platform for part in open_bundle(statement(cpu=machine, gpu=gpu)).parts] == ["tdx"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"cpu": None}, "verification.report.member"),
        ({"cpu": []}, "verification.report.member"),
        ({"cpu": {"platform": "tdx"}}, "verification.report.member"),
        ({"cpu": {"report": "AA"}}, "verification.report.member"),
        ({"cpu": {"platform": "tdx", "report": 1}}, "verification.report.member"),
        ({"cpu": {"platform": "tdx", "report": "AA"}}, "verification.evidence.unrecognised"),
        ({"cpu": {"platform": "sev-snp", "report": "QUOTE"}}, "verification.envelope.platform"),
        ({"cpu": {"platform": "tdx", "report": "QUOTE"}, "gpu": 1}, "verification.report.member"),
        ({"cpu": {"platform": "tdx", "report": "QUOTE"}, "gpu": {"a": 1}}, "verification.report.member"),
        ({"body": "QUOTE", "format": "https://tinfoil.example/"}, "verification.answer.unrecognised"),
        ({"format": PREDICATE}, "verification.answer.unrecognised"),
        ({"format": 1, "body": "QUOTE"}, "verification.answer.unrecognised"),
    ],
)
def test_statements_without_evidence_are_refused(members, expected):
    text = json.dumps(members).replace("QUOTE", base64.b64encode(quote()).decode())
    assert refused(statement(**json.loads(text))) == expected
