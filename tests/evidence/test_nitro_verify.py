"""What a verified Nitro document says, what is remembered between calls, and what a caller may get wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.facts import FactCache
from assay.evidence.nitro import chains
from assay.evidence.nitro.verify import verify_nitro
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.nitro import pki
from support.nitro_scenes import (
    AWS,
    BINDING,
    HOUR,
    NOW,
    PCRS,
    ROOTS,
    STRANGER,
    draft,
    judge,
    module,
    reissue,
)


def codes(result) -> list[str]:
    return [check.code for check in result.ledger.failed()]


def test_the_claims_are_what_the_document_and_the_chain_say():
    enclave = module()
    at = NOW + timedelta(milliseconds=345)
    result = judge(enclave.attest(at, user_data=BINDING, nonce=b"n", public_key=b"k"), now=at)
    claims = result.claims
    assert claims.module_id == enclave.module_id
    assert claims.instance_id == AWS.instance("tested").instance_id
    assert claims.region == "eu-central-1"
    assert claims.digest == "SHA384"
    assert claims.timestamp == at
    assert {index: claims.pcrs[index] for index in PCRS} == PCRS
    assert (claims.public_key, claims.user_data, claims.nonce) == (b"k", BINDING, b"n")
    assert claims.debug is False
    assert (claims.carrier, claims.validity) == ("user_data", "now")
    assert claims.chain_valid_from <= at <= claims.chain_valid_until
    assert result.anchor.name == AWS.anchor_name
    with pytest.raises(TypeError):
        claims.pcrs[0] = b""


def test_the_fields_for_display_are_there_whatever_was_refused():
    found = draft()
    found.key = STRANGER.root.key
    decoded = judge(found.encode()).decoded
    assert decoded["module_id"] == module().module_id
    assert decoded["timestamp"] == "2026-11-10T09:30:00.000+00:00"
    assert decoded["pcrs"]["0"] == "10" * 48
    assert decoded["user_data"] == BINDING.hex()
    assert decoded["nonce"] is None
    assert len(decoded) == len(list(decoded))
    json.dumps(dict(decoded))
    unread = judge(b"\x84")
    assert dict(unread.decoded) == {}
    assert [(region.start, region.end) for region in unread.unsigned] == [(0, 1)]


@pytest.mark.parametrize("carrier", ["user_data", "nonce", "public_key"])
def test_the_binding_rides_on_the_carrier_that_was_named(carrier):
    other = {"user_data": "nonce", "nonce": "public_key", "public_key": "user_data"}[carrier]
    data = module().attest(NOW, **{carrier: BINDING})
    assert judge(data, carrier=carrier).claims.carrier == carrier
    assert codes(judge(data, carrier=other)) == ["nitro.binding.absent"]
    both = module().attest(NOW, **{carrier: bytes(64), other: BINDING})
    assert codes(judge(both, carrier=carrier)) == ["nitro.binding.mismatch"]


def test_bound_evidence_needs_nothing():
    result = judge(draft().encode())
    assert result.bound
    assert result.needs == ()


def test_unchecked_evidence_is_genuine_and_not_bound():
    result = judge(draft().encode(), binding=None)
    assert result.authentic
    assert not result.bound
    assert [need.kind for need in result.needs] == ["binding"]
    assert result.ledger["nitro.binding"].code == "nitro.binding.unchecked"


@pytest.mark.parametrize(
    ("pcrs", "debug"), [({0: bytes(48)}, True), ({0: bytes(32)}, True), ({1: b"\1" * 48}, True)]
)
def test_an_enclave_that_does_not_show_its_image_counts_as_debugged(pcrs, debug):
    found = draft()
    found.members["pcrs"] = pcrs
    assert judge(found.encode()).claims.debug is debug


def test_a_tpm_has_no_debug_mode():
    found = draft("nitro-tpm")
    found.members["nitrotpm_pcrs"] = {0: bytes(48)}
    assert judge(found.encode(), "nitro-tpm").claims.debug is False


def test_a_kept_document_is_judged_at_its_own_time_only_when_the_caller_says_so():
    data = draft().encode()
    later = NOW + timedelta(days=700)
    assert codes(judge(data, now=later)) == ["nitro.chain.validity"]
    kept = judge(data, now=later, validity="document")
    assert kept.bound
    assert kept.claims.validity == "document"
    assert codes(judge(data, now=NOW - timedelta(seconds=1), validity="document")) == ["nitro.chain.future"]


# --- What is remembered


class Counting:
    """Counts the signatures that certificates are verified with."""

    def __init__(self, monkeypatch):
        self.count = 0
        genuine = GeneralCertificate.verify

        def verify(issuer, child):
            self.count += 1
            return genuine(issuer, child)

        monkeypatch.setattr(GeneralCertificate, "verify", verify)


def test_a_second_document_of_a_module_verifies_no_certificate(monkeypatch):
    facts, counted, enclave = FactCache(), Counting(monkeypatch), module()
    assert judge(enclave.attest(NOW, user_data=BINDING), facts=facts).bound
    assert counted.count == 4
    at = NOW + timedelta(minutes=1)
    result = judge(enclave.attest(at, user_data=bytes(64)), now=at, binding=bytes(64), facts=facts)
    assert result.bound
    assert counted.count == 4
    assert len(facts.shelf(chains.SHELF)) == 1


def test_a_remembered_chain_is_not_remembered_beyond_its_time(monkeypatch):
    facts = FactCache()
    data = draft().encode()
    assert judge(data, facts=facts).bound
    assert codes(judge(data, now=NOW + 5 * HOUR, facts=facts)) == ["nitro.chain.validity"]
    assert codes(judge(data, now=NOW - 5 * HOUR, facts=facts)) == ["nitro.chain.validity"]
    assert judge(data, facts=facts).bound


def test_a_remembered_chain_serves_its_roots_only():
    facts, data = FactCache(), draft().encode()
    assert judge(data, facts=facts).bound
    assert codes(judge(data, facts=facts, roots=Roots.vendor())) == ["nitro.root.not_pinned"]
    assert codes(judge(data, facts=facts, roots=STRANGER.trusted_by(Roots.vendor()))) == [
        "nitro.root.not_pinned"
    ]


def test_a_root_of_another_family_anchors_no_document():
    roots = Roots.vendor().with_anchor("nvidia", AWS.root_der, vendor="nvidia")
    assert codes(judge(draft().encode(), roots=roots)) == ["nitro.root.not_pinned"]


def test_a_remembered_chain_hides_nothing_of_a_later_document():
    facts = FactCache()
    assert judge(draft().encode(), facts=facts).bound
    found = draft()
    found.key = STRANGER.root.key
    assert codes(judge(found.encode(), facts=facts)) == ["nitro.cose.signature"]
    found = draft()
    found.members["module_id"] = "i-0123456789abcdef0-enc0123456789abcdef"
    assert codes(judge(found.encode(), facts=facts)) == ["nitro.chain.module"]
    found = draft()
    chain = [issued.der for issued in found.chain]
    # The same bytes, cut elsewhere: one certificate with another's beginning behind it.
    found.members["cabundle"] = [chain[0], chain[1] + chain[2][:4], chain[2][4:], chain[3]]
    assert codes(judge(found.encode(), facts=facts)) == ["nitro.chain.malformed"]


def test_a_refused_chain_is_not_remembered():
    facts, found = FactCache(), draft()
    reissue(found, 4, issuer=pki.Issued(STRANGER.root.key, found.chain[3].certificate))
    assert judge(found.encode(), facts=facts).ledger.failed()
    assert len(facts.shelf(chains.SHELF)) == 0


def test_the_signed_digest_names_the_document_with_and_without_its_tag():
    one, two = draft(), draft()
    two.tagged = True
    results = [judge(found.encode()) for found in (one, two)]
    assert results[0].signed_digest == results[1].signed_digest
    two.members["nonce"] = b"another"
    assert judge(two.encode()).signed_digest != results[0].signed_digest


# --- Callers, and anything at all


def call(**changes):
    given = {
        "platform": "nitro",
        "endorsements": None,
        "roots": ROOTS,
        "now": NOW,
        "binding": Expected(BINDING),
        "facts": FactCache(),
    }
    data = changes.pop("evidence", b"")
    return verify_nitro(data, **{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"now": datetime(2026, 1, 1)}, "evidence.call.time"),  # noqa: DTZ001 - what is refused
        ({"platform": "tdx"}, "evidence.call.platform"),
        ({"carrier": "module_id"}, "evidence.call.platform"),
        ({"validity": "never"}, "evidence.call.platform"),
        ({"binding": BINDING}, "evidence.call.type"),
        ({"binding": Expected("text")}, "evidence.call.type"),
        ({"binding": Expected(b"")}, "evidence.call.nonce"),
        ({"evidence": bytearray(4)}, "evidence.call.type"),
        ({"evidence": "text"}, "evidence.call.type"),
    ],
)
def test_errors_of_the_caller_are_exceptions(changes, code):
    with pytest.raises(EvidenceError) as error:
        call(**changes)
    assert error.value.code == code


@given(st.binary(max_size=200))
def test_no_input_is_an_exception(data):
    assert not judge(data).authentic


@given(st.data())
def test_no_change_of_a_genuine_document_is_accepted_or_an_exception(data):
    document = draft().encode()
    at = data.draw(st.integers(0, len(document) - 1))
    size = data.draw(st.integers(0, 8))
    changed = document[:at] + data.draw(st.binary(max_size=8)) + document[at + size :]
    if changed != document:
        assert not judge(changed, now=datetime(2026, 11, 10, 9, 30, tzinfo=UTC)).authentic


def test_a_certificate_whose_issuer_cannot_be_read_is_refused():
    der = draft().chain[-1].der
    issuer = draft().chain[3].certificate.subject.public_bytes()
    assert der.count(issuer) == 1
    with pytest.raises(DerError):
        GeneralCertificate.parse(der.replace(issuer, issuer[:-1] + b"\xff"))
