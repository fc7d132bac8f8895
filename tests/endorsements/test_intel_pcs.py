"""Intel's service: what enters the cache, and that nothing wrong does."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.endorsements.fetching import Origin
from assay.endorsements.intel_pcs import COLLATERAL_PART, evaluation_numbers
from assay.endorsements.record import Basis, Wanted
from assay.evidence.dcap.collateral import Collateral
from assay.evidence.roots import Roots
from assay.simulator import pki
from assay.simulator.intel import FMSPC
from support import vectors
from support.endorsement_intel import INTEL, NOW, OTHER, ROOTS, WANTED, encoded, fetcher, numbers, publish
from support.endorsement_services import Reply, World

TCB = f"/tdx/certification/v4/tcb?fmspc={FMSPC.hex()}"
QE = "/tdx/certification/v4/qe/identity"
CRL = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"


@pytest.fixture
def service(service):
    publish(service, INTEL.collateral(NOW, platform="tdx"))
    return service


def refused(found, code, cache):
    assert found.endorsement is None
    assert found.origin is Origin.NOWHERE
    assert found.error.code == code
    assert found.error.message.isprintable()
    assert list(cache.entries()) == []


def test_collateral_is_fetched_verified_and_kept(service, cache):
    found = fetcher(cache, service).get(WANTED)
    assert found.error is None
    assert found.origin is Origin.NETWORK
    endorsement = found.endorsement
    made = Collateral.from_bundle_json(endorsement.parts[COLLATERAL_PART])
    assert made == INTEL.collateral(NOW, platform="tdx")
    assert endorsement.basis is Basis.SIGNATURE
    assert endorsement.anchor == ROOTS.intel[-1].anchor.fingerprint.hex()
    assert endorsement.window.start == datetime(2026, 11, 21, tzinfo=UTC)
    assert endorsement.window.end == datetime(2026, 12, 21, tzinfo=UTC)
    assert len(endorsement.sources) == 4
    again = fetcher(cache, service).get(WANTED)
    assert (again.origin, again.endorsement) == (Origin.CACHE, endorsement)
    assert len(service.requests) == 4


@pytest.mark.parametrize("which", ["update=early", "update=standard", "tcbEvaluationDataNumber=20"])
def test_a_channel_or_a_number_is_asked_for(cache, which, service):
    name, _, value = which.partition("=")
    collateral = INTEL.collateral(NOW, platform="tdx")
    number = json.loads(collateral.tcb_info)["tcbEvaluationDataNumber"]
    if name == "tcbEvaluationDataNumber":
        which, value = f"{name}={number}", str(number)
    service.routes.clear()
    publish(service, collateral, which=which)
    key = {"update": value} if name == "update" else {"number": value}
    wanted = Wanted.of("intel-collateral", tee="tdx", fmspc=FMSPC.hex(), ca="platform", **key)
    assert fetcher(cache, service).get(wanted).usable


def test_a_channel_and_a_number_exclude_each_other(service, cache):
    wanted = Wanted.of(
        "intel-collateral", tee="tdx", fmspc=FMSPC.hex(), ca="platform", update="early", number="19"
    )
    refused(fetcher(cache, service).get(wanted), "endorsements.wanted.malformed", cache)
    assert service.requests == []


def test_documents_of_another_number_are_refused(service, cache):
    publish(service, INTEL.collateral(NOW, platform="tdx"), which="tcbEvaluationDataNumber=5")
    wanted = Wanted.of("intel-collateral", tee="tdx", fmspc=FMSPC.hex(), ca="platform", number="5")
    refused(fetcher(cache, service).get(wanted), "endorsements.answer.swapped", cache)


@pytest.mark.parametrize(
    "key",
    [
        {"tee": "snp"},
        {"fmspc": "00806f05000"},
        {"fmspc": "00806F050000"},
        {"fmspc": "../../../../"},
        {"ca": "root"},
        {"update": "latest"},
        {"number": "1&x=2"},
    ],
)
def test_a_need_of_another_form_is_refused_before_anybody_is_asked(service, cache, key):
    wanted = Wanted.of("intel-collateral", **{"tee": "tdx", "fmspc": FMSPC.hex(), "ca": "platform", **key})
    refused(fetcher(cache, service).get(wanted), "endorsements.wanted.malformed", cache)
    assert service.requests == []


def test_another_family_is_refused(service, cache):
    publish(service, INTEL.collateral(NOW, platform="tdx", fmspc=bytes.fromhex("90c06f000000")))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.swapped", cache)


def test_another_kind_of_tee_is_refused(service, cache):
    publish(service, INTEL.collateral(NOW, platform="sgx"))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.unverified", cache)


def test_another_authority_is_refused(service, cache):
    publish(service, INTEL.collateral(NOW, platform="tdx", ca="processor"))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.swapped", cache)


def test_another_root_is_refused(service, cache):
    publish(service, OTHER.collateral(NOW, platform="tdx"))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.unverified", cache)


def test_without_the_simulated_root_nothing_of_it_is_believed(service, cache):
    refused(
        fetcher(cache, service, roots=Roots.vendor()).get(WANTED), "endorsements.answer.unverified", cache
    )


@pytest.mark.parametrize("part", ["tcb_info", "qe_identity", "tcb_info_signature", "qe_identity_signature"])
def test_an_altered_document_is_refused(service, cache, part):
    collateral = INTEL.collateral(NOW, platform="tdx")
    value = bytearray(getattr(collateral, part))
    value[-2] ^= 1
    publish(service, replace(collateral, **{part: bytes(value)}))
    found = fetcher(cache, service).get(WANTED)
    assert found.error.code in ("endorsements.answer.unverified", "endorsements.answer.malformed")
    assert list(cache.entries()) == []


@pytest.mark.parametrize("part", ["pck_crl", "root_ca_crl"])
def test_an_altered_list_is_refused(service, cache, part):
    collateral = INTEL.collateral(NOW, platform="tdx")
    value = bytearray(getattr(collateral, part))
    value[-1] ^= 1
    publish(service, replace(collateral, **{part: bytes(value)}))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.unverified", cache)


def test_a_signer_that_the_root_revoked_is_refused(service, cache):
    draft = INTEL.collateral_draft(NOW, platform="tdx")
    draft.root_crl.revoked = [INTEL.tcb_signer.certificate.serial_number]
    publish(service, draft.sign())
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.unverified", cache)


def test_a_signer_of_another_role_is_refused(service, cache):
    """An authority of PCK certificates is certified by the same root; it does not speak for patch levels."""
    draft = INTEL.collateral_draft(NOW, platform="tdx")
    draft.tcb_signer = INTEL.platform_ca
    draft.tcb_chain = [INTEL.platform_ca, INTEL.root]
    publish(service, draft.sign())
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.unverified", cache)


def test_a_root_that_names_no_list_is_refused(service, cache):
    key = INTEL.key("root")
    bare = pki.self_signed(replace(pki.ROOT, crl_url="ldap://nowhere"), key)
    signer = bare.issue(pki.TCB_SIGNING, INTEL.key("TCB signing"))
    chain = signer.pem() + bare.pem()
    headers = {"TCB-Info-Issuer-Chain": encoded(chain)}
    service.routes[TCB] = replace(service.routes[TCB], headers=headers)
    roots = Roots.vendor().with_anchor("bare", bare.der)
    refused(fetcher(cache, service, roots=roots).get(WANTED), "endorsements.answer.unverified", cache)


def test_a_kind_that_nobody_publishes_is_an_error(cache):
    found = fetcher(cache).get(Wanted.of("a-kind"))
    refused(found, "endorsements.kind.unknown", cache)
    assert not found.stale


@pytest.mark.parametrize("days", [-40, 40])
def test_documents_of_another_time_are_refused(service, cache, days):
    publish(service, INTEL.collateral(NOW + timedelta(days=days), platform="tdx"))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.stale", cache)


@pytest.mark.parametrize("late", ["root_crl", "pck_crl", "tcb_info", "qe_identity"])
def test_one_document_of_another_time_is_enough(service, cache, late):
    draft = INTEL.collateral_draft(NOW, platform="tdx")
    past = INTEL.collateral_draft(NOW - timedelta(days=40), platform="tdx")
    setattr(draft, late, getattr(past, late))
    publish(service, draft.sign())
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.stale", cache)


def test_a_wrong_document_is_not_excused_by_its_time(service, cache):
    draft = INTEL.collateral_draft(NOW - timedelta(days=40), platform="tdx")
    draft.tcb_signer = OTHER.tcb_signer
    publish(service, draft.sign())
    found = fetcher(cache, service).get(WANTED)
    refused(found, "endorsements.answer.unverified", cache)
    assert found.error.detail["check"] == "dcap.tcb_info.signature"


@pytest.mark.parametrize("path", [TCB, QE, CRL, "/IntelSGXRootCA.der"])
def test_an_error_page_is_refused(service, cache, path):
    service.routes[path] = replace(service.routes[path], body=b"<html><body>Sorry!</body></html>")
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.malformed", cache)


@pytest.mark.parametrize("path", [TCB, QE, CRL, "/IntelSGXRootCA.der"])
def test_an_answer_has_a_greatest_length(service, cache, path):
    service.routes[path] = replace(service.routes[path], body=bytes(1048576))
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.malformed", cache)
    service.routes[path] = replace(service.routes[path], body=bytes(1048577))
    refused(fetcher(cache, service).get(WANTED), "endorsements.http.too_large", cache)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0, "has no header tcb-info-issuer-chain"),
        (1, "An issuer chain is malformed"),
        (49152, "An issuer chain is malformed"),
        (49153, "has no header tcb-info-issuer-chain"),
    ],
)
def test_a_chain_in_a_header_has_a_greatest_length(service, cache, length, said):
    service.routes[TCB] = replace(service.routes[TCB], headers={"TCB-Info-Issuer-Chain": "a" * length})
    found = fetcher(cache, service).get(WANTED)
    refused(found, "endorsements.answer.malformed", cache)
    assert said in found.error.message


def test_the_chain_of_the_tcb_info_has_an_older_name(service, cache):
    chain = service.routes[TCB].headers["TCB-Info-Issuer-Chain"]
    service.routes[TCB] = replace(service.routes[TCB], headers={"SGX-TCB-Info-Issuer-Chain": chain})
    assert fetcher(cache, service).get(WANTED).usable


@pytest.mark.parametrize("path", [TCB, QE, CRL])
@pytest.mark.parametrize("value", [None, "", "%ff%00", "a" * 60_000])
def test_a_bad_chain_in_a_header_is_refused(service, cache, path, value):
    headers = {} if value is None else dict.fromkeys(service.routes[path].headers, value)
    service.routes[path] = replace(service.routes[path], headers=headers)
    found = fetcher(cache, service).get(WANTED)
    assert found.error.code in ("endorsements.answer.malformed", "endorsements.answer.unverified")
    assert list(cache.entries()) == []


def test_a_chain_in_the_wrong_order_is_refused(service, cache):
    root, signer = INTEL.root.pem(), INTEL.tcb_signer.pem()
    service.routes[TCB] = replace(
        service.routes[TCB], headers={"TCB-Info-Issuer-Chain": encoded(root + signer)}
    )
    refused(fetcher(cache, service).get(WANTED), "endorsements.answer.unverified", cache)


def test_a_stale_entry_is_kept_and_called_stale(service, cache):
    held = fetcher(cache, service).get(WANTED).endorsement
    later = World(NOW + timedelta(days=60))
    found = fetcher(cache, world=later, offline=True).get(WANTED)
    assert (found.endorsement, found.stale, found.usable, found.origin) == (held, True, False, Origin.CACHE)
    assert found.error is None
    service.routes.clear()
    asked = fetcher(cache, service, world=later).get(WANTED)
    assert (asked.endorsement, asked.stale, asked.error.code) == (held, True, "endorsements.http.not_found")


def test_an_old_entry_that_holds_is_asked_for_again_and_used_when_nobody_answers(service, cache):
    held = fetcher(cache, service).get(WANTED).endorsement
    tomorrow = World(NOW + timedelta(days=1))
    publish(service, INTEL.collateral(NOW + timedelta(days=1), platform="tdx"))
    service.faults.append(Reply(404))
    fallen_back = fetcher(cache, service, world=tomorrow).get(WANTED)
    assert (fallen_back.endorsement, fallen_back.usable) == (held, True)
    assert fallen_back.error.code == "endorsements.http.not_found"
    newer = fetcher(cache, service, world=tomorrow).get(WANTED)
    assert newer.origin is Origin.NETWORK
    assert newer.endorsement.window.start > held.window.start


TOMORROW = World(NOW + timedelta(days=1))


@pytest.mark.parametrize("back", ["number", "identity", "day", "list"])
def test_an_older_answer_that_holds_does_not_replace_a_newer_one(service, cache, back):
    """What was signed before a recovery holds for weeks, and whoever answers could go on serving it."""
    held = fetcher(cache, service).get(WANTED).endorsement
    draft = INTEL.collateral_draft(NOW, platform="tdx")
    past = INTEL.collateral_draft(NOW - timedelta(days=1), platform="tdx")
    if back == "number":
        draft.tcb_info["tcbEvaluationDataNumber"] -= 1
    elif back == "identity":
        draft.qe_identity["tcbEvaluationDataNumber"] -= 1
    elif back == "day":
        draft.tcb_info = past.tcb_info
    else:
        draft = past
    publish(service, draft.sign())
    asking = fetcher(cache, service, world=TOMORROW)
    found = asking.get(WANTED)
    assert (found.endorsement, found.origin, found.usable) == (held, Origin.CACHE, True)
    assert found.error.code == "endorsements.answer.older"
    assert "which holds and was kept" in found.error.message
    assert list(cache.entries()) == [held]
    asked = len(service.requests)
    assert asking.get(WANTED).endorsement == held
    assert len(service.requests) == asked  # one question is enough


def test_an_old_number_issued_anew_is_still_the_older_one(service, cache):
    held = fetcher(cache, service).get(WANTED).endorsement
    draft = INTEL.collateral_draft(NOW + timedelta(days=1), platform="tdx")
    draft.tcb_info["tcbEvaluationDataNumber"] -= 1
    publish(service, draft.sign())
    found = fetcher(cache, service, world=TOMORROW).get(WANTED)
    assert (found.endorsement, found.error.code) == (held, "endorsements.answer.older")


@pytest.mark.parametrize("back", ["pck_crl", "root_crl", "qe_identity", "tcb_info"])
def test_a_newer_document_does_not_bring_an_older_one_along(service, cache, back):
    """Each is signed by itself: whoever answers could join today's documents with a list of before."""
    held = fetcher(cache, service).get(WANTED).endorsement
    draft = INTEL.collateral_draft(NOW + timedelta(days=1), platform="tdx")
    past = INTEL.collateral_draft(NOW - timedelta(days=1), platform="tdx")
    setattr(draft, back, getattr(past, back))
    publish(service, draft.sign())
    found = fetcher(cache, service, world=TOMORROW).get(WANTED)
    assert (found.endorsement, found.error and found.error.code) == (held, "endorsements.answer.older")


def test_a_clock_that_went_back_does_not_let_an_older_answer_in(service, cache):
    held = fetcher(cache, service).get(WANTED).endorsement
    before = NOW - timedelta(days=3)
    publish(service, INTEL.collateral(before, platform="tdx"))
    found = fetcher(cache, service, world=World(before)).get(WANTED)
    assert (found.endorsement, found.usable, found.error.code) == (held, False, "endorsements.answer.older")
    assert "holds only from 2026-11-21 on: set the clock" in found.error.message
    assert list(cache.entries()) == [held]


def test_what_was_fetched_while_the_clock_was_ahead_is_asked_for_again_once_it_is_right(service, cache):
    """It would otherwise be used until the day on which it seems to have been fetched is over."""
    assert fetcher(cache, service, world=TOMORROW).get(WANTED).origin is Origin.NETWORK
    assert fetcher(cache, service).get(WANTED).origin is Origin.NETWORK


def test_a_higher_number_issued_before_a_lower_one_is_the_newer_one(service, cache):
    assert fetcher(cache, service).get(WANTED).usable
    draft = INTEL.collateral_draft(NOW - timedelta(days=1), platform="tdx")
    today = INTEL.collateral_draft(NOW, platform="tdx")
    draft.pck_crl, draft.root_crl = today.pck_crl, today.root_crl
    draft.tcb_info["tcbEvaluationDataNumber"] += 1
    draft.qe_identity["tcbEvaluationDataNumber"] += 1
    publish(service, draft.sign())
    found = fetcher(cache, service, world=TOMORROW).get(WANTED)
    assert (found.origin, found.error) == (Origin.NETWORK, None)


def test_the_same_answer_again_is_kept_as_the_latest(service, cache):
    held = fetcher(cache, service).get(WANTED).endorsement
    found = fetcher(cache, service, world=TOMORROW).get(WANTED)
    assert (found.origin, found.error) == (Origin.NETWORK, None)
    assert found.endorsement.parts == held.parts
    assert found.endorsement.fetched > held.fetched


def test_an_older_answer_that_holds_replaces_what_no_longer_does(service, cache):
    """What is stale helps nobody: a verifier would refuse everything until the publisher caught up."""
    held = fetcher(cache, service).get(WANTED).endorsement
    later = NOW + timedelta(days=60)
    draft = INTEL.collateral_draft(later, platform="tdx")
    draft.tcb_info["tcbEvaluationDataNumber"] -= 1
    publish(service, draft.sign())
    found = fetcher(cache, service, world=World(later)).get(WANTED)
    assert (found.origin, found.error) == (Origin.NETWORK, None)
    assert found.endorsement != held


def test_what_is_under_another_root_is_not_compared(service, cache):
    """Simulated collateral must not keep out a vendor's."""
    both = ROOTS.with_anchor("other", OTHER.root_der)
    assert fetcher(cache, service).get(WANTED).usable
    service.routes.clear()
    draft = OTHER.collateral_draft(NOW, platform="tdx")
    draft.tcb_info["tcbEvaluationDataNumber"] -= 1
    publish(service, draft.sign())
    found = fetcher(cache, service, world=TOMORROW, roots=both).get(WANTED)
    assert (found.origin, found.error) == (Origin.NETWORK, None)
    assert found.endorsement.anchor == hashlib.sha256(OTHER.root_der).hexdigest()


def test_nothing_at_hand_and_nobody_to_ask(cache):
    found = fetcher(cache, offline=True).get(WANTED)
    assert found.error.code == "endorsements.offline.missing"
    assert not found.stale


def test_what_another_root_vouched_for_is_not_used(service, cache):
    assert fetcher(cache, service).get(WANTED).usable
    found = fetcher(cache, roots=Roots.vendor(), offline=True).get(WANTED)
    assert found.endorsement is None


# --- evaluation numbers

NUMBERS = Wanted.of("intel-evaluation-numbers", tee="tdx")
NUMBERS_PATH = "/tdx/certification/v4/tcbevaluationdatanumbers"


def test_evaluation_numbers_are_fetched_and_verified(service, cache):
    service.routes[NUMBERS_PATH] = numbers()
    found = fetcher(cache, service).get(NUMBERS)
    assert found.usable
    assert evaluation_numbers(found.endorsement.parts) == (19, 18, 17)


def rewritten(**members):
    """The answer with other members, signed anew."""
    value = json.loads(numbers().body)["tcbEvaluationDataNumbers"] | members
    raw = json.dumps(value, separators=(",", ":")).encode()
    signature = pki.sign_raw(INTEL.tcb_signer.key, raw).hex().encode()
    body = b'{"tcbEvaluationDataNumbers":%b,"signature":"%b"}' % (raw, signature)
    return replace(numbers(), body=body)


def test_evaluation_numbers_hold_as_long_as_their_list(service, cache):
    service.routes[NUMBERS_PATH] = numbers()
    window = fetcher(cache, service).get(NUMBERS).endorsement.window
    assert window.start == datetime(2026, 11, 1, tzinfo=UTC)
    assert window.end == datetime(2026, 12, 1, tzinfo=UTC)


def test_evaluation_numbers_whose_signer_has_expired_are_stale(service, cache):
    service.routes[NUMBERS_PATH] = numbers(until="2090-01-01T00:00:00Z")
    world = World(datetime(2089, 1, 1, tzinfo=UTC))
    refused(fetcher(cache, service, world=world).get(NUMBERS), "endorsements.answer.stale", cache)


def test_evaluation_numbers_for_no_tee_are_not_asked_for(service, cache):
    wanted = Wanted.of("intel-evaluation-numbers", tee="snp")
    refused(fetcher(cache, service).get(wanted), "endorsements.wanted.malformed", cache)
    assert service.requests == []


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(200, bytes(1048576), numbers().headers), "malformed"),
        (rewritten(issueDate="2026-11-01T00:00:00", nextUpdate="2026-12-01T00:00:00"), "malformed"),
        (rewritten(issueDate="2026-11-01T00:00:00"), "malformed"),
        (rewritten(issueDate="2026-12-01T00:00:00Z", nextUpdate="2027-12-01T00:00:00Z"), "stale"),
        (rewritten(nextUpdate="soon"), "malformed"),
        (rewritten(tcbEvalNumbers=[1]), "malformed"),
        (rewritten(tcbEvalNumbers=[{"tcbEvaluationDataNumber": "1"}]), "malformed"),
        (rewritten(id=7), "malformed"),
        (
            replace(numbers(), body=numbers().body.replace(b'"signature":"', b'"signature":"00')),
            "unverified",
        ),
        (replace(numbers(), body=numbers().body[:-4] + b'"}'), "unverified"),
        (numbers(OTHER), "unverified"),
        (numbers(signer=INTEL.platform_ca), "unverified"),
        (numbers(signer=OTHER.tcb_signer), "unverified"),
        (numbers(tee="SGX"), "swapped"),
        (numbers(until="2026-11-02T00:00:00Z"), "stale"),
        (numbers(until="2026-12-01T00:00:00"), "malformed"),
        (replace(numbers(), body=numbers().body.replace(b"19", b"29")), "unverified"),
        (replace(numbers(), body=b"<html>"), "malformed"),
        (replace(numbers(), headers={}), "malformed"),
    ],
)
def test_wrong_evaluation_numbers_are_refused(service, cache, reply, code):
    service.routes[NUMBERS_PATH] = reply
    refused(fetcher(cache, service).get(NUMBERS), f"endorsements.answer.{code}", cache)


# --- PCK certificates

PPID = "ab" * 384
PCK = Wanted.of("intel-pck", encrypted_ppid=PPID, cpusvn="00" * 16, pcesvn="0d00", pceid="0000")
PCK_PATH = f"/sgx/certification/v4/pckcert?encrypted_ppid={PPID}&cpusvn={'00' * 16}&pcesvn=0d00&pceid=0000"


def pck_reply(installation=INTEL):
    machine = installation.machine("one", made=NOW - timedelta(days=100))
    chain = installation.platform_ca.pem() + installation.root.pem()
    return Reply(200, machine.pck.pem(), {"SGX-PCK-Certificate-Issuer-Chain": encoded(chain)})


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_pck_certificate_is_fetched_and_verified(service, cache, end):
    reply = pck_reply()
    service.routes[PCK_PATH] = replace(reply, body=reply.body.rstrip() + end)
    found = fetcher(cache, service).get(PCK)
    assert found.usable
    chain = INTEL.platform_ca.pem() + INTEL.root.pem()
    assert found.endorsement.parts["pck_chain.pem"] == reply.body.rstrip() + b"\n" + chain


@pytest.mark.parametrize(
    "change",
    [{"encrypted-ppid": PPID[:-2]}, {"cpusvn": "00" * 15}, {"pcesvn": "0D00"}, {"pceid": ""}],
)
def test_a_platform_of_another_form_is_not_asked_for(service, cache, change):
    wanted = Wanted.of("intel-pck", **(dict(PCK.key) | change))
    refused(fetcher(cache, service).get(wanted), "endorsements.wanted.malformed", cache)
    assert service.requests == []


def test_a_pck_certificate_that_has_expired_is_not_taken(service, cache):
    service.routes[PCK_PATH] = pck_reply()
    world = World(datetime(2089, 1, 1, tzinfo=UTC))
    found = fetcher(cache, service, world=world).get(PCK)
    refused(found, "endorsements.answer.unverified", cache)
    assert found.error.detail["check"].startswith("dcap.pck")


def test_a_pck_certificate_under_another_root_is_refused(service, cache):
    service.routes[PCK_PATH] = pck_reply(OTHER)
    refused(fetcher(cache, service).get(PCK), "endorsements.answer.unverified", cache)


def test_a_pck_certificate_of_another_pce_is_refused(service, cache):
    service.routes[PCK_PATH.replace("pceid=0000", "pceid=0001")] = pck_reply()
    wanted = Wanted.of("intel-pck", encrypted_ppid=PPID, cpusvn="00" * 16, pcesvn="0d00", pceid="0001")
    refused(fetcher(cache, service).get(wanted), "endorsements.answer.swapped", cache)


# --- what Intel really answered


@pytest.mark.parametrize("entry", vectors.entries("tdx", "dcap-collateral"), ids=lambda entry: entry["file"])
def test_real_collateral_is_accepted_at_its_time(service, cache, entry):
    collateral = Collateral.from_bundle_json(vectors.read(entry["file"]))
    info = json.loads(collateral.tcb_info)
    when = datetime.fromisoformat(entry["expected"]["valid_at"])
    ca = "platform" if b"Platform CA" in collateral.pck_crl else "processor"
    fmspc = info["fmspc"].lower()
    service.routes.clear()
    publish(service, collateral, fmspc=fmspc, ca=ca)
    wanted = Wanted.of("intel-collateral", tee="tdx", fmspc=fmspc, ca=ca)
    found = fetcher(cache, service, world=World(when), roots=Roots.vendor()).get(wanted)
    if entry["origin"] == "real":
        assert found.error is None
        assert found.usable
    else:  # a mock whose chains have a certificate too many, and end in no vendor's root
        refused(found, "endorsements.answer.malformed", cache)


def test_the_real_list_of_evaluation_numbers_is_accepted_at_its_time(service, cache):
    found = json.loads(vectors.read("tdx/teepot/tdx_tcb_eval_nums.json"))
    service.routes[NUMBERS_PATH] = Reply(
        200,
        found["tcb_evaluation_data_numbers_json"].encode(),
        {"TCB-Evaluation-Data-Numbers-Issuer-Chain": encoded(found["issuer_chain"].encode())},
    )
    world = World(datetime(2025, 6, 1, tzinfo=UTC))
    fetched = fetcher(cache, service, world=world, roots=Roots.vendor()).get(NUMBERS)
    assert fetched.usable
    assert evaluation_numbers(fetched.endorsement.parts) == (19, 18, 17)
