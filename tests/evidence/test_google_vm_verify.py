"""How the verification of a Google Cloud VM behaves as a whole: arguments, layers, memory, decoders."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.facts import FactCache
from assay.evidence.google_vm import GoogleVmEndorsements, checks, read_container
from assay.evidence.google_vm.ak import read_instance
from assay.evidence.google_vm.container import tee_span
from assay.evidence.google_vm.errors import GoogleVmError
from assay.evidence.google_vm.protobuf import ProtobufError, encode_varint, read_message
from assay.evidence.google_vm.snp_report import (
    BLOBS,
    CPUID_AT,
    NUMBERS,
    SnpPart,
    pack_processor,
    snp_part,
)
from assay.evidence.google_vm.td_quote import td_quote
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import Product
from assay.evidence.verification import Expected, Unchecked, UnsignedRegion
from assay.simulator.amd.scene import SnpScene
from assay.simulator.google_vm import protobuf
from assay.simulator.google_vm.scene import INSTANCE, instance_extension
from assay.simulator.tpm.device import spki
from support import vectors
from support.google_vm_scenes import GOOGLE, NONCE, NOW, REPORT_DATA, TEES, judge, scene
from support.snp_scenes import AMD


@pytest.mark.parametrize("tee", TEES)
def test_container_and_parts_are_the_same_evidence(tee):
    scenario = scene(tee).finish()
    assert read_container(scenario.container) == scenario.parts
    whole, parts = judge(scenario), judge(scenario, evidence=scenario.parts)
    assert whole.bound
    assert parts.bound
    assert whole.claims == parts.claims
    assert whole.signed_digest == parts.signed_digest
    assert whole.platform == {"none": "gcp-vtpm"}.get(tee, f"gcp-{tee}")


def test_a_quote_in_fields_is_the_quote():
    quote = scene("tdx").finish().parts.td_quote
    assert td_quote(protobuf.td_quote(quote)) == quote
    assert td_quote(protobuf.td_quote(quote + bytes(70))) == quote + bytes(70)


def test_genuine_quotes_in_fields_are_the_same_quotes():
    count = 0
    for entry in vectors.entries("tdx"):
        if entry["kind"] == "quote" or entry["file"].endswith(".quote.bin"):
            data = vectors.read(entry["file"])
            if data[:2] == b"\x04\x00":
                assert td_quote(protobuf.td_quote(data)) == data
                count += 1
    if vectors.present():
        assert count > 10


@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_a_field_of_another_size_is_refused(number):
    header = {1: protobuf.number(1, 4), 2: protobuf.number(2, 2), 3: protobuf.number(3, 0x81)}
    header |= {4: protobuf.content(4, bytes(2)), 5: protobuf.content(5, bytes(2))}
    header |= {6: protobuf.content(6, bytes(16)), 7: protobuf.content(7, bytes(20))}
    wrong = protobuf.number(number, 1 << 16) if number < 4 else protobuf.content(number, bytes(17))
    message = protobuf.content(1, b"".join((header | {number: wrong}).values()))
    with pytest.raises(ProtobufError):
        td_quote(message)


@pytest.mark.parametrize(
    ("tee", "check", "code", "what"),
    [
        ("tdx", "dcap.quote.layout", "dcap.quote.truncated", "TD quote"),
        ("snp", "snp.report.layout", "snp.report.length", "SNP report"),
    ],
)
def test_a_virtual_tpm_alone_is_no_confidential_vm(tee, check, code, what):
    scenario = scene().finish()
    result = judge(scenario, tee=tee, report_data=Expected(REPORT_DATA))
    assert not result.authentic
    assert [(failed.id, failed.code, failed.reason) for failed in result.ledger.failed()] == [
        (check, code, f"The attestation holds no {what}.")
    ]


def test_a_td_quote_that_nobody_asked_for_changes_nothing():
    result = judge(scene("tdx").finish(), tee="none", report_data=Unchecked("no TD is asked for"))
    assert result.bound
    assert result.claims.td is None
    assert result.platform == "gcp-vtpm"
    scenario = scene("tdx").finish()
    (region,) = [one for one in result.unsigned if one.name == "TEE's evidence that was not asked for"]
    assert td_quote(scenario.container[region.start : region.end]) == scenario.parts.td_quote


def test_report_data_that_are_not_compared_stand_in_the_claims():
    result = judge(scene("tdx").finish(), report_data=Unchecked("an archived container"))
    assert result.bound
    assert result.claims.td is not None
    assert result.claims.td_bound is False
    assert result.ledger[checks.TD_BOUND.id].outcome is Outcome.NOT_APPLICABLE


def test_without_a_session_evidence_is_authentic_and_not_bound():
    result = judge(scene().finish(), binding=Unchecked("an archived container"))
    assert result.authentic
    assert not result.bound
    assert [need.kind for need in result.needs] == ["binding"]


def test_the_root_may_come_along_as_it_was_fetched():
    stage = scene()
    authority, root = stage.authority.sign(), stage.google.root_der
    stage.intermediates = (authority, root)
    assert judge(stage.finish()).bound
    stage.intermediates = (authority, root[:-1] + bytes([root[-1] ^ 1]))
    failed = judge(stage.finish()).ledger.failed()
    assert [check.code for check in failed] == ["google_vm.ak.chain.unused"]


def test_without_lists_revocation_is_not_proven():
    scenario = scene().finish()
    result = judge(scenario, endorsements=None)
    assert result.bound
    assert result.claims.ak.revocation_checked is False
    assert result.ledger[checks.AK_REVOKED.id].outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("left", [(0,), (1,), (0, 1), (1, 0), (0, 0, 1)])
def test_revocation_is_checked_where_every_issuer_has_a_list(left):
    stage = scene("none")
    stage.after_crls = lambda found: tuple(found[place] for place in left)
    result = judge(stage.finish())
    assert result.authentic
    assert result.claims.ak.revocation_checked is ({0, 1} <= set(left))


@pytest.mark.parametrize("beside", [(), (0,), (0, 1)])
@pytest.mark.parametrize("another", ["name", "key"])
def test_a_list_of_an_authority_that_is_not_in_the_chain_says_nothing(beside, another):
    """Whatever stands on it."""
    stage = scene("none")
    draft = replace(stage.crls[1], revoked=(stage.certificate.serial, stage.authority.serial))
    if another == "name":
        draft.issuer = "Another CA"
    else:
        draft.issuer_key = GOOGLE.key("other")
    foreign = draft.sign()
    stage.after_crls = lambda found: (foreign, *(found[place] for place in beside))
    result = judge(stage.finish())
    assert result.authentic
    assert result.claims.ak.revocation_checked is (len(beside) == 2)
    check = result.ledger["google_vm.ak.revoked"]
    assert check.outcome is (Outcome.PASSED if beside else Outcome.NOT_APPLICABLE)
    assert beside or check.reason == "no given CRL is of an issuer of the chain: revocation is not proven"


def test_a_remembered_key_is_judged_again_under_other_lists_and_after_their_end():
    stage, facts = scene("none"), FactCache()
    assert judge(stage.finish(), facts=facts).authentic
    late = stage.crls[0].made + timedelta(days=31)
    assert judge(stage.finish(), facts=facts, at=late).ledger["google_vm.ak.revoked"].code == (
        "google_vm.ak.revoked.time"
    )
    stage.crls[1].revoked = (stage.certificate.serial,)
    assert judge(stage.finish(), facts=facts).ledger["google_vm.ak.revoked"].code == (
        "google_vm.ak.revoked.listed"
    )


def test_without_a_certificate_nothing_vouches_for_the_key():
    stage = scene()
    certificate, authority = stage.certificate.sign(), stage.authority.sign()
    stage.certificate = None
    scenario = stage.finish()
    result = judge(scenario)
    assert not result.authentic
    assert not result.ledger.failed()
    assert [need.kind for need in result.needs] == ["ak-certificate"]
    given = GoogleVmEndorsements(ak_certificate=certificate, ak_intermediates=(authority,))
    assert judge(scenario, endorsements=given).bound


def test_without_logs_the_pcrs_stand_unexplained():
    scenario = scene().finish()
    evidence = replace(scenario.parts, event_log=b"", canonical_log=b"")
    result = judge(scenario, evidence=evidence)
    assert result.bound
    assert result.claims.log is None
    assert result.unsigned == ()
    assert {result.ledger[spec.id].outcome for spec in checks.LOG.all} == {Outcome.NOT_APPLICABLE}


def test_a_canonical_log_alone_is_not_passed_over():
    scenario = scene().finish()
    result = judge(scenario, evidence=replace(scenario.parts, event_log=b""))
    assert not result.authentic
    assert {check.id for check in result.ledger.failed()} & {spec.id for spec in checks.LOG.all}


def test_a_quote_of_one_bank_is_enough():
    scenario = scene().finish()
    own = tuple(one for one in scenario.parts.quotes if one.bank == Algorithm.SHA256)
    result = judge(scenario, evidence=replace(scenario.parts, quotes=own))
    assert result.bound
    assert result.ledger[checks.OTHER_QUOTES.id].outcome is Outcome.NOT_APPLICABLE


def test_under_the_vendors_roots_alone_a_simulated_vm_is_refused():
    result = judge(scene().finish(), roots=Roots.vendor())
    assert not result.authentic
    assert [check.code for check in result.ledger.failed()] == ["google_vm.ak.chain.root"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"at": NOW.replace(tzinfo=None)}, "evidence.call.time"),
        ({"tee": "sev"}, "evidence.call.platform"),
        ({"binding": NONCE}, "evidence.call.type"),
        ({"report_data": NONCE}, "evidence.call.type"),
        ({"evidence": bytearray(b"")}, "evidence.call.type"),
        ({"binding": Expected(b"")}, "evidence.call.nonce"),
        ({"binding": Expected(bytes(65))}, "evidence.call.nonce"),
        ({"report_data": Expected(bytes(63))}, "evidence.call.nonce"),
        ({"explained": frozenset()}, "evidence.call.registers"),
    ],
)
def test_errors_of_the_caller_are_exceptions(changes, code):
    with pytest.raises(EvidenceError) as caught:
        judge(scene().finish(), **changes)
    assert caught.value.code == code


@pytest.mark.parametrize("tee", TEES)
def test_remembered_facts_change_no_outcome(tee):
    facts = FactCache()
    scenario = scene(tee).finish()
    cold, warm = judge(scenario, facts=facts), judge(scenario, facts=facts)
    assert warm.ledger == cold.ledger
    assert warm.claims == cold.claims
    assert not judge(scenario, facts=facts, at=NOW + timedelta(days=4000)).authentic
    stage = scene(tee)
    stage.stated = replace(INSTANCE, zone="europe-west1-b")
    refused = judge(stage.finish(), facts=facts)
    assert [check.code for check in refused.ledger.failed()] == ["google_vm.ak.stated"]


def test_the_key_may_be_given_as_a_plain_public_key():
    """Then nothing but its certificate says that it is restricted; the check does not apply."""
    scenario = scene().finish()
    ak = judge(scenario).claims
    assert ak.tpm.ak_name is not None
    evidence = replace(scenario.parts, ak_public=spki(scene().key))
    result = judge(scenario, evidence=evidence)
    assert result.bound
    assert result.claims.tpm.ak_name is None


# --- Decoders, from outside


def test_an_instance_is_read_as_it_was_written():
    found = read_instance(instance_extension(INSTANCE))
    assert found.instance_id == INSTANCE.instance_id
    assert found.security_version == 0
    assert found.production is True
    assert dict(found.flags) == {2: True, 3: False, 4: False, 5: False}


def test_an_instance_may_say_nothing_of_its_platform():
    found = read_instance(instance_extension(INSTANCE, properties=b"\x30\x00"))
    assert found.security_version is None
    assert found.production is None
    assert not found.flags


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_instances(data):
    with contextlib.suppress(DerError):
        read_instance(data)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader_of_containers(data):
    with contextlib.suppress(GoogleVmError):
        read_container(data)


@given(st.integers(0, (1 << 64) - 1))
def test_numbers_are_read_as_they_were_written(value):
    assert read_message(protobuf.number(3, value, always=True), {3: int}) == {3: [value]}


@given(st.integers(0, (1 << 63) - 1))
def test_a_number_has_one_spelling(value):
    spelt = encode_varint(value)
    longer = spelt[:-1] + bytes([spelt[-1] | 0x80, 0])
    with pytest.raises(ProtobufError):
        read_message(encode_varint(3 << 3) + longer, {3: int})


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_repeated_bytes_are_read_as_they_were_written(values):
    data = b"".join(protobuf.content(2, value, always=True) for value in values)
    assert read_message(data, {2: bytes}).get(2, []) == values


def test_what_no_register_covers_of_the_canonical_log_is_declared():
    """Its digests of other banks, and records of PCRs that nobody wants explained, where they stand."""
    stage = scene()
    record = stage.launcher.records[0]
    scenario = stage.finish()
    result = judge(scenario)
    at = scenario.container.find(scenario.parts.canonical_log)
    regions = [region for region in result.unsigned if region.start >= at]
    named = [scenario.container[region.start : region.end] for region in regions]
    for bank, digest in record.digests.items():
        assert any(one.endswith(digest) for one in named) is (bank is not Algorithm.SHA256)
    assert not any(b"registry.example" in one for one in named)
    fewer = judge(scenario, explained=frozenset(range(8)))
    whole = [region for region in fewer.unsigned if region.name == "record of a PCR that is not explained"]
    assert [scenario.container[one.start : one.end] for one in whole] == [scenario.parts.canonical_log]
    in_parts = judge(scenario, evidence=scenario.parts, explained=frozenset(range(8)))
    assert UnsignedRegion(0, len(scenario.parts.canonical_log), whole[0].name) in in_parts.unsigned


# --- The SNP report


@pytest.mark.parametrize(("product", "version"), [(Product.GENOA, 3), (Product.GENOA, 5), (Product.TURIN, 4)])
@pytest.mark.parametrize("kind", ["vcek", "vlek"])
def test_a_report_that_was_taken_apart_is_the_signed_one(product, version, kind):
    stage = scene("snp")
    stage.snp = SnpScene(AMD, product, version, kind, NOW, REPORT_DATA)
    scenario = stage.finish()
    assert read_container(scenario.container).snp == scenario.parts.snp
    result = judge(scenario)
    assert result.bound, result.ledger.unmet()
    assert result.claims.snp.product is product
    assert result.claims.snp.signing_key == kind
    assert result.claims.td is None


def test_a_report_of_version_2_has_no_processor():
    stage = scene("snp")
    stage.snp = SnpScene(AMD, Product.GENOA, 2, "vcek", NOW, REPORT_DATA)
    assert judge(stage.finish()).bound


def test_what_the_container_lacks_is_taken_from_what_the_caller_has():
    scenario = scene("snp").finish()
    part = scenario.parts.snp
    bare = replace(scenario.parts, snp=SnpPart(part.report, SnpEndorsements()))
    container = protobuf.encode(bare)
    lacking = judge(scenario, evidence=container)
    assert not lacking.authentic
    assert "snp-vek" in {need.kind for need in lacking.needs}
    given = replace(scenario.endorsements, snp=part.endorsements.or_else(scenario.endorsements.snp))
    assert judge(scenario, evidence=container, endorsements=given).bound


def test_a_virtual_tpm_alone_is_no_snp_guest():
    scenario = scene().finish()
    result = judge(scenario, tee="snp", report_data=Expected(REPORT_DATA))
    assert not result.authentic
    assert [check.code for check in result.ledger.failed()] == ["snp.report.length"]


@pytest.mark.parametrize("tee", ["none", "tdx"])
def test_an_snp_report_that_nobody_asked_for_is_declared(tee):
    scenario = scene("snp").finish()
    result = judge(scenario, tee=tee)
    assert result.authentic is (tee == "none")
    (region,) = [one for one in result.unsigned if one.name == "TEE's evidence that was not asked for"]
    assert snp_part(scenario.container[region.start : region.end]) == scenario.parts.snp


def test_what_stands_beside_a_report_is_declared():
    """The certificate of another key, Google's own additions, and what the guest thinks of its processor."""
    scenario = scene("snp").finish()
    message = protobuf.snp_attestation(scenario.parts.snp)
    chain = read_message(message, {1: bytes, 2: bytes})[2][0]
    beside = [protobuf.content(6, b"a VLEK"), protobuf.content(7, b"an extra"), b"\x1a\x02\x08\x02"]
    more = protobuf.content(2, chain + beside[0] + beside[1]) + beside[2]
    other = message.replace(protobuf.content(2, chain), more)
    container = scenario.container.replace(protobuf.content(8, message), protobuf.content(8, other))
    result = judge(scenario, evidence=container)
    assert result.bound
    named = [one for one in result.unsigned if one.name == "what stands beside the SNP report"]
    assert [container[one.start : one.end] for one in named] == beside
    start = container.find(other)
    assert all(start < one.start < start + len(other) for one in named)


def _field(number, value):
    """Return an SNP report as fields, with one of them changed."""
    part = scene("snp").finish().parts.snp
    fields = read_message(protobuf.snp_attestation(part), {1: bytes, 2: bytes})
    kinds = {n: int for n, _, _ in NUMBERS} | {n: bytes for n, _, _ in BLOBS} | {29: int}
    report = {n: values[0] for n, values in read_message(fields[1][0], kinds).items()} | {number: value}
    write = {int: protobuf.number, bytes: protobuf.content}
    return protobuf.content(1, b"".join(write[type(v)](n, v) for n, v in report.items()))


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (1, 1 << 32),
        (21, 256),
        (31, 1 << 64),
        (11, bytes(63)),
        (28, b"x" * 513),
        (29, 0x00100000),  # a family that CPUID does not write with an extension
        (29, 0x00A00F11 | 1 << 12),
        (29, 0x0FF00F00),
        (29, 1 << 32),
    ],
)
def test_a_field_that_no_report_could_hold_is_refused(number, value):
    with pytest.raises(ProtobufError):
        snp_part(_field(number, value))


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 15))
def test_a_processor_is_packed_in_one_way(family, model, stepping):
    packed = pack_processor(family, model, stepping)
    assert packed & ~0x0FFF0FFF == 0
    blobs = b"".join(protobuf.content(n, b"x" * size) for n, _, size in BLOBS)
    report = snp_part(protobuf.content(1, blobs + protobuf.number(29, packed))).report
    assert tuple(report[CPUID_AT : CPUID_AT + 3]) == (family, model, stepping)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader_of_reports(data):
    with contextlib.suppress(ProtobufError):
        snp_part(data)


def test_no_bit_of_a_report_or_of_its_certificates_means_nothing():
    """Single bits of the message that holds them, one in sixty: what is accepted lies in declared regions."""
    scenario, facts = scene("snp").finish(), FactCache()
    message = protobuf.snp_attestation(scenario.parts.snp)
    other = message + b"\x1a\x02\x08\x02"
    container = scenario.container.replace(protobuf.content(8, message), protobuf.content(8, other))
    start, end = tee_span(container)
    chosen = random.Random("an SNP guest at Google")  # a sample that is the same in every run
    accepted = 0
    for position in [*range(8 * end - 32, 8 * end), *range(8 * start, 8 * end)]:
        if position < 8 * end - 32 and chosen.random() > 1 / 60:
            continue
        at, bit = divmod(position, 8)
        spoilt = container[:at] + bytes([container[at] ^ 1 << bit]) + container[at + 1 :]
        result = judge(scenario, evidence=spoilt, facts=facts)
        accepted += result.authentic
        declared = any(region.start <= at < region.end for region in result.unsigned)
        assert declared or not result.authentic, (at - start, bit)
    assert accepted
