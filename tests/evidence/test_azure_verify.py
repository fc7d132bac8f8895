"""How the verification of an Azure VM behaves as a whole: arguments, layers, forms, memory, decoders."""

from __future__ import annotations

import contextlib
import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.azure import (
    AzureEndorsements,
    AzureEvidence,
    VtpmQuote,
    checks,
    read_bincode_quote,
    read_container,
)
from assay.evidence.azure.hcl import AzureError, parse_hcl
from assay.evidence.azure.runtime import parse_runtime
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.azure.scene import container_members
from support import vectors
from support.azure_scenes import AZURE, NONCE, NOW, PLATFORMS, USER_DATA, judge, roots_of, scene, without
from support.revocation import demand_said

FORMS = [("azure-snp", form) for form in ("v0", "v1", "v2")] + [
    ("azure-tdx", form) for form in ("v0", "v1", "bundle")
]


@pytest.mark.parametrize(("platform", "form"), FORMS)
def test_every_form_of_a_container_holds_the_same_parts(platform, form):
    stage = scene(platform)
    if form == "bundle":
        stage.certify()
        stage.log = stage.boot()
    stage.form = form
    scenario = stage.finish()
    assert read_container(scenario.container) == scenario.parts
    assert judge(scenario).bound
    assert judge(scenario, evidence=scenario.parts).bound


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_log_explains_the_registers_of_the_boot_and_no_others(platform):
    stage = scene(platform)
    assert judge(stage.finish()).claims.log is None
    stage.log = stage.boot()
    scenario = stage.finish()
    result = judge(scenario, evidence=scenario.parts)
    log = result.claims.log
    assert log.explained == frozenset(range(8))
    loaded = [event for event in log.events if event.kind == EventType.EFI_BOOT_SERVICES_APPLICATION]
    assert [(one.register, one.digest) for one in loaded] == [(4, hashlib.sha256(b"a loader").digest())]
    names = {region.name for region in result.unsigned}
    assert "event_log: event of a PCR that is not explained" in names
    named = [
        parts for region in result.unsigned if (parts := scenario.parts.event_log[region.start : region.end])
    ]
    assert any(b"grub_cmd" in one for one in named)
    assert not any(b"Exit Boot Services" in one for one in named)


def test_what_no_register_covers_of_a_log_is_declared_where_it_stands():
    """Every number of the log is changed by one: those that are accepted lie in declared regions."""
    stage = scene("azure-tdx")
    stage.form, stage.log = "bundle", stage.boot()
    scenario = stage.finish()
    facts = FactCache()
    numbers = list(scenario.parts.event_log)
    text = json.dumps(numbers).encode()
    start = scenario.container.find(text)
    offsets = [start + len(json.dumps(numbers[:at])) - 1 + 2 * bool(at) for at in range(len(numbers))]
    offsets[0] = start + 1
    accepted = 0
    for at in range(0, len(numbers), 7):
        changed = json.dumps([*numbers[:at], numbers[at] ^ 1, *numbers[at + 1 :]]).encode()
        result = judge(scenario, evidence=scenario.container.replace(text, changed), facts=facts)
        declared = any(region.start <= offsets[at] < region.end for region in result.unsigned)
        accepted += result.authentic
        assert declared or not result.authentic, (at, result.ledger.unmet())
    assert 0 < accepted < len(numbers) // 7


def test_a_log_beside_a_quote_that_fails_is_all_unsigned():
    stage = scene("azure-tdx")
    stage.form, stage.log = "bundle", stage.boot()
    stage.quote.magic = 0
    scenario = stage.finish()
    (_, region) = judge(scenario).unsigned
    assert json.loads(scenario.container[region.start : region.end]) == list(scenario.parts.event_log)


def test_the_certificate_of_a_bundle_may_be_missing():
    stage = scene("azure-tdx")
    stage.form = "bundle"
    result = judge(stage.finish())
    assert result.bound
    assert result.claims.ak_certificate is None


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_stated_hash_is_honoured(platform, name):
    stage = scene(platform)
    stage.hash_name = name
    assert judge(stage.finish()).bound


@pytest.mark.parametrize("platform", PLATFORMS)
def test_without_a_session_evidence_is_authentic_and_not_bound(platform):
    scenario = scene(platform).finish()
    result = judge(scenario, binding=Unchecked("an archived container"))
    assert result.authentic
    assert not result.bound
    assert result.ledger[checks.QUOTE.nonce.id].code == "azure.quote.nonce.unchecked"
    assert {need.kind for need in result.needs} == {"binding"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_user_data_that_are_not_compared_stand_in_the_claims(platform):
    scenario = scene(platform).finish()
    result = judge(scenario, user_data=Unchecked("this guest writes none"))
    assert result.bound
    assert result.claims.user_data_bound is False
    check = result.ledger[checks.USER_DATA.id]
    assert check.outcome is Outcome.NOT_APPLICABLE
    assert "this guest writes none" in check.reason


def test_user_data_are_filled_up_with_zeros():
    scenario = scene(user_data=b"\x07").finish()
    assert judge(scenario, user_data=Expected(b"\x07")).claims.user_data_bound
    assert judge(scenario, user_data=Expected(b"\x07".ljust(64, b"\0"))).claims.user_data_bound
    assert judge(scenario, user_data=Expected(b"\x07\x00\x01")).ledger.failed()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"at": NOW.replace(tzinfo=None)}, "evidence.call.time"),
        ({"platform": "snp"}, "evidence.call.platform"),
        ({"binding": NONCE}, "evidence.call.type"),
        ({"user_data": USER_DATA}, "evidence.call.type"),
        ({"evidence": "{}"}, "evidence.call.type"),
        ({"evidence": bytearray(b"{}")}, "evidence.call.type"),
        ({"binding": Expected(b"")}, "evidence.call.nonce"),
        ({"binding": Expected(bytes(65))}, "evidence.call.nonce"),
        ({"user_data": Expected(b"")}, "evidence.call.nonce"),
        ({"user_data": Expected(bytes(65))}, "evidence.call.nonce"),
        ({"user_data": Expected("text")}, "evidence.call.nonce"),
    ],
)
def test_errors_of_the_caller_are_exceptions(changes, code):
    with pytest.raises(EvidenceError) as caught:
        judge(scene().finish(), **changes)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("platform", "lacking", "needs"),
    [
        ("azure-snp", {"snp": None}, {"snp-chain", "snp-crl"}),
        ("azure-tdx", {"collateral": None}, {"collateral"}),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_authentic_without_it(platform, lacking, needs):
    result = judge(without(scene(platform).finish(), **lacking))
    assert not result.authentic
    assert not result.ledger.failed()
    assert {need.kind for need in result.needs} == needs
    assert result.ledger[checks.QUOTE.signature.id].outcome is Outcome.PASSED


def test_no_endorsements_at_all_are_the_same_as_empty_ones():
    scenario = scene().finish()
    assert (
        judge(scenario, endorsements=None).ledger == judge(scenario, endorsements=AzureEndorsements()).ledger
    )


def test_a_certificate_whose_issuer_is_unknown_proves_nothing_and_breaks_nothing():
    stage = scene("azure-tdx")
    stage.certify()
    stage.form, stage.intermediates = "bundle", ()
    scenario = stage.finish()
    result = judge(scenario)
    assert result.bound
    assert result.claims.ak_certificate is None
    assert result.ledger[checks.AK_CHAIN.id].outcome is Outcome.NOT_APPLICABLE
    assert result.ledger[checks.AK_REVOKED.id].outcome is Outcome.NOT_APPLICABLE
    assert [need.kind for need in result.needs] == ["ak-intermediates"]
    named = {region.name: region for region in result.unsigned}
    region = named["ak_certificate_pem"]
    assert b"BEGIN CERTIFICATE" in scenario.container[region.start : region.end]
    given = AzureEndorsements(
        collateral=scenario.endorsements.collateral, ak_intermediates=(stage.authority.sign(),)
    )
    assert judge(scenario, endorsements=given).claims.ak_certificate is not None


@pytest.mark.parametrize("left", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("foreign", [False, True])
def test_revocation_is_checked_where_every_issuer_has_a_list(left, foreign):
    """A list of another authority says nothing, whatever stands on it."""
    stage = scene("azure-tdx")
    stage.certify()
    lists = [stage.crls[place] for place in left]
    if foreign:
        serials = (stage.certificate.serial, stage.authority.serial)
        lists.insert(0, replace(stage.crls[1], issuer_key=AZURE.ak_key(), revoked=serials))
    stage.crls, stage.form = lists, "bundle"
    result = judge(stage.finish())
    assert result.bound
    assert result.claims.ak_certificate.revocation_checked is (len(left) == 2)
    demand_said(result.ledger["azure.ak.revoked"], lists=len(left), foreign=foreign)


def test_a_chain_that_is_broken_is_looked_for_on_no_list():
    stage = scene("azure-tdx")
    stage.certify()
    stage.certificate.days, stage.form = 30, "bundle"
    check = judge(stage.finish()).ledger["azure.ak.revoked"]
    assert (check.outcome, check.code) == (Outcome.NOT_CHECKED, "ledger.not_reached")
    assert check.reason == "not reached: azure.ak.chain failed"


def test_a_remembered_certificate_is_judged_again_under_other_lists_and_after_their_end():
    stage, facts = scene("azure-tdx"), FactCache()
    stage.certify()
    stage.form = "bundle"
    for draft in stage.crls:
        draft.days = 2
    scenario = stage.finish()
    for _ in range(2):
        assert judge(scenario, facts=facts).claims.ak_certificate.revocation_checked
    late = judge(scenario, facts=facts, at=NOW + timedelta(days=1, seconds=1))
    assert late.ledger["azure.ak.revoked"].code == "azure.ak.revoked.time"
    bare = replace(scenario, endorsements=replace(scenario.endorsements, ak_crls=()))
    assert not judge(bare, facts=facts).claims.ak_certificate.revocation_checked
    stage.crls[1].revoked = (stage.certificate.serial,)
    listed = judge(stage.finish(), facts=facts)
    assert listed.ledger["azure.ak.revoked"].code == "azure.ak.revoked.listed"
    assert not listed.authentic


def test_a_certificate_under_a_root_for_something_else_leads_nowhere():
    """The root for virtual TPMs, given as one of AMD's: it anchors nothing of this kind."""
    stage = scene("azure-tdx")
    stage.certify()
    scenario = stage.finish()
    roots = Roots.vendor()
    for family, der in scenario.anchors:
        roots = roots.with_anchor(family, der, vendor="amd" if family == "azure-vtpm" else family)
    result = judge(scenario, evidence=scenario.parts, roots=roots)
    assert result.claims.ak_certificate is None


@pytest.mark.parametrize("platform", PLATFORMS)
def test_under_the_vendors_roots_alone_simulated_hardware_is_refused(platform):
    result = judge(scene(platform).finish(), roots=Roots.vendor())
    assert not result.authentic
    assert result.simulated
    assert result.ledger.failed()


def test_another_machines_claims_do_not_fit_a_remembered_one():
    """What was read is remembered by its bytes; other bytes are read again."""
    facts = FactCache()
    first = scene().finish()
    assert judge(first, facts=facts).bound
    stage = scene(user_data=b"another")
    other = stage.finish()
    second = judge(other, facts=facts)
    assert second.bound
    assert second.claims.runtime.user_data == b"another".ljust(64, b"\0")
    assert judge(first, facts=facts).claims.runtime.user_data == USER_DATA.ljust(64, b"\0")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_remembered_facts_change_no_outcome(platform):
    facts = FactCache()
    stage = scene(platform)
    stage.certify()
    scenario = stage.finish()
    cold = judge(scenario, evidence=scenario.parts, facts=facts)
    warm = judge(scenario, evidence=scenario.parts, facts=facts)
    assert warm.ledger == cold.ledger
    assert warm.claims == cold.claims
    late = NOW + timedelta(days=4000)
    assert not judge(scenario, evidence=scenario.parts, facts=facts, at=late).authentic


def test_two_containers_of_the_same_evidence_have_the_same_digest():
    stage = scene("azure-tdx")
    results = []
    for form in ("v0", "v1"):
        stage.form = form
        results.append(judge(stage.finish()))
    assert results[0].signed_digest == results[1].signed_digest
    assert len({result.unsigned for result in results}) == 2


@pytest.mark.parametrize("form", ["v0", "v1", "bundle"])
def test_the_td_report_is_declared_unsigned(form):
    """Any byte of it may be anything: the region that says so is exactly where it stands."""
    stage = scene("azure-tdx")
    stage.form = form
    scenario = stage.finish()
    (region,) = judge(scenario).unsigned
    spoilt = scenario.parts.hcl[:32] + bytes(range(256)) * 4 + scenario.parts.hcl[32 + 1024 :]
    evidence = AzureEvidence(spoilt, scenario.parts.quote, td_quote=scenario.parts.td_quote)
    other = json.dumps(container_members(evidence, form)).encode()
    assert judge(scenario, evidence=other).bound
    if form != "v0":
        assert len(other) == len(scenario.container)
        differing = [
            i for i, pair in enumerate(zip(other, scenario.container, strict=True)) if len(set(pair)) > 1
        ]
        assert region.start <= min(differing)
        assert max(differing) < region.end <= max(differing) + 3


@pytest.mark.parametrize("form", ["v1", "bundle"])
@pytest.mark.parametrize("place", [-42, 20, 1300])
def test_a_report_that_is_written_with_escapes_is_unsigned_whole(form, place):
    """JSON may write any character as an escape: what is looked for then stands nowhere, or elsewhere."""
    stage = scene("azure-tdx")
    stage.form = form
    scenario = stage.finish()
    (plain,) = judge(scenario).unsigned
    at = plain.start + place
    escape = f"\\u{scenario.container[at]:04x}".encode()
    written = scenario.container[:at] + escape + scenario.container[at + 1 :]
    result = judge(scenario, evidence=written)
    assert result.bound
    (region,) = result.unsigned
    assert json.loads(written[region.start : region.end]).startswith("SENMQ")


@pytest.mark.parametrize("form", ["v1", "bundle"])
def test_a_part_of_the_td_quote_is_not_taken_for_a_report_that_is_written_with_escapes(form):
    """Whoever writes the container chooses the TDREPORT and how it is written; the quote is signed."""
    stage = scene("azure-tdx")
    stage.form = form
    scenario = stage.finish()
    parts = scenario.parts
    at = next(at for at in range(0, len(parts.td_quote), 3) if not any(parts.td_quote[at : at + 2]))
    content = parts.td_quote[at + 2 :][:1024]
    hcl = parts.hcl[:32] + content + parts.hcl[32 + 1024 :]
    written = json.dumps(container_members(AzureEvidence(hcl, parts.quote, td_quote=parts.td_quote), form))
    place = written.index("SENMQ") + 43
    written = f"{written[:place]}\\u{ord(written[place]):04x}{written[place + 1 :]}"
    result = judge(scenario, evidence=written.encode())
    assert result.bound
    (region,) = result.unsigned
    assert json.loads(written[region.start : region.end]).startswith("SENMQ")


@pytest.mark.parametrize("form", ["v0", "v1", "bundle"])
def test_the_td_report_is_found_where_it_stands_whatever_it_holds(form):
    """Its writer chooses it: like the zeros in front of it, or like a part of the TD quote."""
    stage = scene("azure-tdx")
    stage.form = form
    scenario = stage.finish()
    (plain,) = judge(scenario).unsigned
    parts = scenario.parts
    quote = parts.td_quote[600:][: 1024 + 30]
    for content in (bytes(1024), quote[32 - 30 :][:1024]):
        hcl = parts.hcl[:32] + content + parts.hcl[32 + 1024 :]
        evidence = AzureEvidence(hcl, parts.quote, td_quote=parts.td_quote)
        members = container_members(evidence, form)
        first_the_quote = dict(sorted(members.items(), key=lambda member: "td" not in member[0]))
        written = json.dumps(first_the_quote).encode()
        (region,) = judge(scenario, evidence=written).unsigned
        found = written[region.start : region.end]
        if form == "v0":
            assert bytes(map(int, found.strip(b", ").split(b","))) == content
        else:
            assert region.end - region.start == plain.end - plain.start
            name = next(name for name in members if name.startswith("hcl_report"))
            assert region.start == written.index(members[name].encode()) + 42


def test_a_quote_of_fewer_pcrs_has_its_labels_from_what_was_signed():
    stage = scene()
    stage.indices = (4, 7, 11)
    stage.quote_again()
    claims = judge(stage.finish()).claims
    assert dict(claims.tpm.pcrs) == stage.tpm.pcrs(Algorithm.SHA256, (4, 7, 11))


def test_a_tpm_of_another_make_quotes_for_a_simulated_paravisor():
    """A quote that swtpm made, with its key in the runtime claims: two makers of the format agree."""
    folder = "audit-and-sealing/derived/swtpm-quote"
    public = load_pem_public_key(vectors.read(f"{folder}/ak.pem")).public_numbers()
    values = vectors.read(f"{folder}/pcrs")
    stage = scene(user_data=None)
    number = stage.claims["keys"][0]["n"]
    modulus = public.n.to_bytes(256, "big")
    stage.claims["keys"][0]["n"] = urlsafe_b64encode(modulus).rstrip(b"=").decode()
    assert stage.claims["keys"][0]["n"] != number
    scenario = stage.finish()
    quote = VtpmQuote(
        vectors.read(f"{folder}/msg"),
        vectors.read(f"{folder}/sig")[6:],
        tuple(values[i : i + 32] for i in range(0, len(values), 32)),
    )
    evidence = AzureEvidence(scenario.parts.hcl, quote, vcek=scenario.parts.vcek)
    result = judge(scenario, evidence=evidence, binding=Expected(b"challenge"))
    assert result.bound, result.ledger.unmet()
    assert len(result.claims.tpm.pcrs) == 24


def test_settings_that_are_not_known_are_claims():
    stage = scene()
    stage.claims["vm-configuration"]["a-setting-to-come"] = 7
    claims = judge(stage.finish()).claims
    assert claims.runtime.vm_configuration["a-setting-to-come"] == 7
    assert claims.runtime.setting("a-setting-to-come") is None


# --- Decoders, from outside


@given(st.binary(max_size=3000))
def test_no_bytes_break_the_reader_of_reports(data):
    for platform in PLATFORMS:
        with contextlib.suppress(AzureError):
            assert parse_hcl(data, platform).end <= len(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEY = st.fixed_dictionaries(
    {},
    optional={
        "kid": st.sampled_from(["HCLAkPub", "HCLEkPub"]) | _JSON,
        "kty": st.just("RSA") | _JSON,
        "key_ops": st.just(["sign"]) | _JSON,
        "e": st.just("AQAB") | _JSON,
        "n": _JSON,
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "keys": st.lists(_KEY | _JSON, max_size=4) | _JSON,
            "vm-configuration": st.dictionaries(st.text(max_size=8), _JSON, max_size=3) | _JSON,
            "user-data": _JSON,
        },
    )
)
def test_no_json_breaks_the_reader_of_claims(value):
    with pytest.raises(AzureError, match=r"azure\.runtime"):
        parse_runtime(json.dumps(value).encode())


@given(
    st.dictionaries(
        st.sampled_from(["version", "tpm_quote", "quote", "hcl_report", "report", "vcek", "td_quote"]),
        _JSON | st.fixed_dictionaries({"signature": _JSON, "message": _JSON, "pcrs": _JSON}),
    )
)
def test_no_json_breaks_the_reader_of_containers(value):
    with pytest.raises(AzureError, match=r"azure\.container\.layout"):
        read_container(json.dumps(value).encode())


@given(st.binary(max_size=1400))
def test_no_bytes_break_the_reader_of_quotes(data):
    with pytest.raises(AzureError, match=r"azure\.container\.layout"):
        read_bincode_quote(data + b"\xff" * 8)


@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=256), st.integers(0, 24))
def test_a_quote_in_bincode_is_read_as_it_was_written(message, signature, count):
    pcrs = tuple(hashlib.sha256(bytes([i])).digest() for i in range(count))
    data = b"".join(
        [
            len(signature).to_bytes(8, "little"),
            signature,
            len(message).to_bytes(8, "little"),
            message,
            count.to_bytes(8, "little"),
            *pcrs,
        ]
    )
    assert read_bincode_quote(data) == VtpmQuote(message, signature, pcrs)
    for spoilt in (data[:-1], data + b"\0"):
        with pytest.raises(AzureError):
            read_bincode_quote(spoilt)


def test_results_say_who_anchors_them():
    scenario = scene().finish()
    result = judge(scenario)
    assert result.platform == "azure-snp"
    assert result.anchor.name == "simulated amd"
    assert roots_of(scenario).of("azure-vtpm")[-1].anchor.simulated
    assert AZURE.root_der == dict(scenario.anchors)["azure-vtpm"]
