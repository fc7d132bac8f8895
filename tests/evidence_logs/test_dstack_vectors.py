"""Every published dstack file that concerns TDX, and what its manifest states of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pytest

from assay.errors import EvidenceError
from assay.evidence.dcap import Collateral, verify_quote
from assay.evidence.dstack import (
    ConfigForm,
    Expectations,
    Presented,
    Tag,
    from_attestation,
    from_certificate,
    from_get_quote,
    from_info,
    from_tcb_info,
    open_attestation,
    tagged,
    verify_guest,
    verify_identity,
)
from assay.evidence.dstack.certificate import leaf_of_chain
from assay.evidence.eventlog import Algorithm, parse
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Ledger, Outcome
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from support import vectors
from support.dstack_quotes import registers, taken_as_verified
from support.snp_vectors import endorsed, window_of
from support.snp_vectors import judge as judge_report

OPEN = Expectations.nothing("the test does not look at it")
STATED = json.loads(vectors.read("dstack/expected_tdx.json"))
CRABBOX = "dstack/crabbox-phala/real_attestation_info.json"
NEAR = "dstack/near-mpc/tcb_info.json"
LITE = "dstack-main/dstack_verifier_fixtures_tdx-lite-getquote.json"
LITE_STRIPPED = "dstack-main/dstack_verifier_fixtures_tdx-lite-attestation.json"
LEGACY = "dstack-main/dstack_verifier_fixtures_quote-report.json"
HISTORY = "dstack-history/verifier_fixtures_tdx-measurement-getquote.json"
HISTORY_STRIPPED = "dstack-history/verifier_fixtures_tdx-measurement-attestation.json"
EXAMPLE = "dstack-examples/attestation_rtmr3-based_report.json"
SIMULATOR = "dstack-main/sdk_simulator_attestation.bin"


def read(name: str) -> bytes:
    return vectors.read(f"dstack/{name}")


def judge(presented: Presented, expected: Expectations = OPEN):
    return verify_identity(taken_as_verified(presented.quote), presented, expected=expected)


def old_simulator() -> Presented:
    quote = bytes.fromhex(read("dstack-history/sdk_simulator_quote.hex").decode().strip())
    return Presented(quote=quote, log=read("dstack-history/sdk_simulator_eventlog.json"))


PRESENTED = {
    "crabbox-phala/real_tdx_quote.bin": lambda: from_info(vectors.read(CRABBOX)),
    "dstack-history/sdk_simulator_quote.hex": old_simulator,
    LEGACY: lambda: from_get_quote(read(LEGACY)),
    LITE: lambda: from_get_quote(read(LITE)),
    HISTORY: lambda: from_get_quote(read(HISTORY)),
    EXAMPLE: lambda: from_get_quote(read(EXAMPLE)),
    f"{SIMULATOR} (quote@4)": lambda: from_attestation(read(SIMULATOR)),
    f"{LITE_STRIPPED} (quote@4)": lambda: from_get_quote(read(LITE_STRIPPED)),
    f"{HISTORY_STRIPPED} (quote@4)": lambda: from_get_quote(read(HISTORY_STRIPPED)),
}
STATED_TOO_SHORT = {f"{SIMULATOR} (quote@4)": 4}
"""The attestation gives its quote 5010 bytes (0x4e49 as a SCALE compact); the manifest says 5006."""
WITHOUT_LOG = {"dstack-main/dstack_ra-tls_assets_tdx_quote", "dcap-qvl/quote-from-tappd.hex"}


def test_every_stated_quote_is_covered():
    assert PRESENTED.keys() | WITHOUT_LOG == STATED.keys()


@pytest.mark.parametrize("name", PRESENTED)
def test_quotes_are_found_and_their_logs_replay_as_stated(name):
    stated = STATED[name]
    presented = PRESENTED[name]()
    found = registers(presented.quote)
    assert len(presented.quote) == stated["len"] + STATED_TOO_SHORT.get(name, 0)
    assert [found[f"rtmr{index}"].hex() for index in range(4)] == stated["rtmrs"]
    assert (found["mr_td"].hex(), found["mr_config_id"].hex()) == (stated["mrtd"], stated["mrconfigid"])
    assert found["report_data"].hex() == stated["report_data"]
    result = judge(presented)
    assert result.authentic
    assert result.ledger["dstack.log.replay.rtmr3"].outcome is Outcome.PASSED
    replayed = [result.ledger[f"dstack.log.replay.rtmr{index}"].outcome for index in range(3)]
    explained = [result.ledger[f"dstack.os_image.rtmr{index}"].outcome for index in range(3)]
    if name.startswith((LITE_STRIPPED, HISTORY_STRIPPED)):
        assert Outcome.PASSED not in replayed
    else:
        assert replayed == [Outcome.PASSED] * 3
    assert (explained == [Outcome.PASSED] * 3) == name.startswith((LITE, LITE_STRIPPED))


@pytest.mark.parametrize("case", vectors.cases("dstack-rtmr-replay"), ids=lambda case: case["id"])
def test_ready_made_cases(case):
    log, quote = (vectors.read(case["files"][name]) for name in ("log", "quote"))
    presented = from_info(log) if case["id"].startswith("dstack-openclaw") else from_tcb_info(log, quote)
    stated = case["expected"]
    assert presented.quote == quote
    assert {f"rtmr{index}": registers(quote)[f"rtmr{index}"].hex() for index in range(4)} == stated[
        "replayed"
    ]
    result = judge(presented)
    assert all(
        result.ledger[f"dstack.log.replay.rtmr{index}"].outcome is Outcome.PASSED for index in range(4)
    )
    claims = result.claims
    # The cases show at most 160 digits of a payload.
    events = {event.name: event.payload.hex()[:160] for event in presented.log if event.runtime}
    assert events == stated["events"]
    assert claims.compose_hash.hex() == stated["compose_hash"]
    assert result.ledger["dstack.compose.hash"].outcome is Outcome.PASSED
    vectors.record("dstack", "dstack-rtmr-replay")


def near() -> Presented:
    return from_tcb_info(vectors.read(NEAR), vectors.read("tdx/near-mpc/quote.bin"))


def check_replayed(entry) -> None:
    presented = near() if entry["file"] == NEAR else from_info(vectors.read(entry["file"]))
    result = judge(presented)
    stated = entry["expected"]["key_fields"]
    assert len(presented.log) == stated["events"]
    assert {f"rtmr{i}": result.ledger[f"dstack.log.replay.rtmr{i}"].outcome for i in range(4)} == {
        name: Outcome.PASSED if matches else Outcome.FAILED for name, matches in stated["rtmr_match"].items()
    }
    assert result.claims.compose_hash.hex() == stated["compose_hash_sha256"]
    assert stated["compose_hash_matches"]
    assert stated["runtime_event_digests_recomputed_ok"]


def check_compose_document(entry) -> None:
    found = replace(near(), app_compose=vectors.read(entry["file"]))
    assert judge(found).ledger["dstack.compose.hash"].outcome is Outcome.PASSED
    members = json.loads(vectors.read(entry["file"]))
    assert list(members) == entry["expected"]["key_fields"]["json_keys"]


def check_compose_file(entry) -> None:
    """The file is a member of the document that was measured."""
    document = json.loads(near().app_compose)
    assert document["docker_compose_file"].encode() == vectors.read(entry["file"])


def check_other_platform(entry) -> None:
    """SEV-SNP: the report is genuinely signed, and everything beside it agrees with what it commits to."""
    data = vectors.read(entry["file"])
    if entry["file"].endswith(".json"):
        assert list(json.loads(data)) == entry["expected"]["key_fields"]["json_keys"]
        data = bytes.fromhex(json.loads(data)["attestation"])
    assert entry["expected"]["result"] == "data (not independently verified)"
    with pytest.raises(EvidenceError, match="sev-snp") as caught:
        from_attestation(data)
    assert caught.value.code == "dstack.attestation.variant"
    found = open_attestation(data)
    assert found.evidence == vectors.read("snp/dstack/sev_snp_report.bin")
    given = endorsed(vectors.read("snp/dstack/sev_snp_vcek.pem"))
    window = window_of(given)
    result = judge_report(found.evidence, given, window.start + (window.end - window.start) / 2)
    # The archive has no list of revoked keys for a time at which this key existed: it alone is missing.
    open_ones = {check.code for check in result.ledger.unmet()}
    assert open_ones == {"snp.crl.missing", "snp.binding.unchecked"}
    fields = SimpleNamespace(report_data=found.evidence[0x50:0x90], host_data=found.evidence[0xC0:0xE0])
    passed = tuple(check.spec.passed for check in result.ledger)
    result = replace(result, ledger=Ledger(passed), _claims=fields)
    guest = verify_guest(result, found)
    assert guest.authentic, guest.ledger.unmet()
    system = guest.claims.system
    assert system.app_id == system.compose_hash[:20]
    assert system.key_provider.name == "kms"
    other = verify_guest(result, replace(found, document=found.document.replace('"kms"', '"local"')))
    assert [check.code for check in other.ledger.failed()] == ["dstack.snp.host_data"]


ENTRIES = {
    "dstack-attestation": check_other_platform,
    "dstack-app-compose": check_compose_document,
    "dstack-compose": check_compose_file,
    "dstack-tcb-info": check_replayed,
    "dstack-attestation-info": check_replayed,
}


@pytest.mark.parametrize("entry", vectors.entries(family="dstack"), ids=lambda entry: entry["file"])
def test_entries_of_the_manifest(entry):
    assert vectors.pinned(entry)
    ENTRIES[entry["kind"]](entry)
    vectors.record("dstack", entry["kind"])


def test_a_real_guest_of_phala():
    presented = from_info(vectors.read(CRABBOX))
    result = judge(presented)
    claims = result.claims
    assert claims.app_id.hex() == "944edab771280ede410e7b9e66fcaee6b2c4a12c"
    assert claims.app_id != claims.compose_hash[:20]
    assert claims.config_form is ConfigForm.V1
    assert claims.key_provider.name == "kms"
    assert claims.report_data == tagged(Tag.RATLS_CERT, presented.spki)
    assert claims.image.is_dev is None
    assert "dstack-dev-0.5.9-de9c74f0" in claims.image.is_dev_reason
    for check_id in ("dstack.certificate.key", "dstack.stated", "dstack.compose.hash", "dstack.mr_config_id"):
        assert result.ledger[check_id].outcome is Outcome.PASSED
    assert len(result.not_proven) == 3


def test_the_certificate_of_that_guest_carries_the_same_evidence():
    answer = json.loads(vectors.read(CRABBOX))
    presented = from_certificate(leaf_of_chain(answer["app_cert"].encode()))
    assert presented.quote == read("crabbox-phala/real_tdx_quote.bin")
    result = judge(presented)
    assert result.claims.compose_hash.hex() == answer["compose_hash"]
    assert result.ledger["dstack.certificate.key"].outcome is Outcome.PASSED


def test_without_collateral_that_guest_is_not_authentic():
    presented = from_info(vectors.read(CRABBOX))
    quote = verify_quote(
        presented.quote,
        platform="tdx",
        collateral=None,
        roots=Roots.vendor(),
        now=datetime.fromisoformat("2026-11-01T12:00Z"),
        binding=Unchecked("boot-time quote"),
        facts=FactCache(max_entries=1),
    )
    result = verify_identity(quote, presented, expected=OPEN)
    assert [check.code for check in result.ledger.failed()] == ["dstack.quote.unauthenticated"]


def test_a_real_guest_the_whole_way():
    """near-mpc: real silicon, collateral for its time, and the log to it."""
    case = next(
        case for case in vectors.cases("dstack-rtmr-replay") if case["id"] == "dstack-near-mpc-tcb_info"
    )
    presented = from_tcb_info(vectors.read(case["files"]["log"]), vectors.read(case["files"]["quote"]))
    quote = verify_quote(
        presented.quote,
        platform="tdx",
        collateral=Collateral.from_bundle_json(vectors.read("tdx/near-mpc/quote.collateral.json")),
        roots=Roots.vendor(),
        now=datetime.fromisoformat(case["valid_at"]),
        binding=Unchecked("the test does not know its report data"),
        facts=FactCache(max_entries=1),
    )
    assert quote.authentic
    assert not quote.simulated
    result = verify_identity(quote, presented, expected=OPEN)
    assert result.authentic
    assert [event.name for event in result.claims.app_events] == ["mpc-image-digest"]


def test_compose_documents_are_hashed_as_they_are():
    raw = read("dstack-examples/attestation_rtmr3-based_app-compose.json")
    presented = from_get_quote(read(EXAMPLE))
    found = Presented(quote=presented.quote, log=presented.log, app_compose=raw, stated=presented.stated)
    result = judge(found)
    assert result.claims.app_id == result.claims.compose_hash[:20]
    assert result.claims.image.rootfs_hash is not None
    canonical = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode()
    sorted_again = Presented(quote=presented.quote, log=presented.log, app_compose=canonical)
    assert judge(sorted_again).ledger["dstack.compose.hash"].code == "dstack.compose.hash"


def test_compose_documents_of_the_simulators_are_others():
    for name in (
        "dstack-main/sdk_simulator_app-compose.json",
        "dstack-history/sdk_simulator_app-compose.json",
    ):
        for presented in (from_attestation(read(SIMULATOR)), old_simulator()):
            claims = judge(presented).claims
            assert hashlib.sha256(read(name)).digest() != claims.compose_hash


def test_the_simulators_replayed_quote_is_for_no_nonce():
    nonce = hashlib.sha512(b"a nonce").digest()
    for presented in (from_attestation(read(SIMULATOR)), old_simulator()):
        expected = Expectations(*[Unchecked("open")] * 5, Expected(nonce))
        assert [check.code for check in judge(presented, expected).ledger.failed()] == [
            "dstack.report_data.mismatch"
        ]


def test_an_image_proven_without_the_image():
    for name in (LITE, LITE_STRIPPED):
        claims = judge(from_get_quote(read(name))).claims
        assert claims.image.os_image_hash.hex().startswith("e6f5cfec")
        assert claims.image.memory_bytes == 2 << 30
        assert claims.image.qemu_two_pass is True
        assert claims.key_attestation.startswith("dip1::secp256k1c-pk:A55pWm")


def test_that_images_names_must_all_be_accepted():
    """Its key server named it by an older document's hash; both names are the evidence's."""
    presented = from_get_quote(read(LITE))
    image = judge(presented).claims.image
    for names, code in (
        ({image.os_image_hash}, "dstack.os_image.mismatch"),
        ({image.key_server_hash}, "dstack.os_image.mismatch"),
        ({image.os_image_hash, image.key_server_hash}, ""),
    ):
        expected = Expectations(*[Unchecked("open")] * 4, frozenset(names), Unchecked("open"))
        assert judge(presented, expected).ledger["dstack.os_image"].code == code


def test_events_of_an_application():
    claims = judge(from_get_quote(read(LEGACY))).claims
    assert [event.name for event in claims.app_events] == ["LIUM_MINER_HOTKEY"]
    assert claims.key_provider.name == "local-sgx"
    assert claims.report_data[:2].hex() == "1234"


def test_an_attestation_field_takes_precedence():
    found = from_get_quote(read(HISTORY))
    inner = json.loads(read(HISTORY))["attestation"]
    assert found == from_attestation(bytes.fromhex(inner))


def test_dstacks_tpm_log_is_read_by_the_same_parser():
    log = parse(read("dstack-main/dstack_cc-eventlog_samples_tpm_eventlog.bin"), padding=frozenset())
    assert log.algorithms == (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384)
    assert len(log.events) == 45


@pytest.mark.parametrize(
    "entry", vectors.entries(kind="tcg-eventlog"), ids=lambda entry: entry["file"].rpartition("/")[2]
)
def test_crypto_agile_tpm_logs_are_parsed(entry):
    """The formats that a later verifier of TPMs adds are refused by name, never misread."""
    data = vectors.read(entry["file"])
    other = {"eventlog.header.signature", "eventlog.truncated", "eventlog.event.digests"}
    try:
        log = parse(data, padding=frozenset({0}))
    except Exception as error:  # noqa: BLE001 - the next line says which one it has to be
        assert getattr(error, "code", "") in other  # noqa: PT017
    else:
        assert log.events
        assert log.events[-1].end == log.end
