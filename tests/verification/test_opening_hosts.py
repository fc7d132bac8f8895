"""Reports with what vouches for them, as hosts and services hand them out: simulated ones, wrapped again."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from typing import Any

import pytest

from assay import Expected, Policy, verify
from assay.errors import EvidenceError
from assay.evidence.decoding.pem import encode as pem
from assay.evidence.snp import Product
from assay.simulator.amd.scene import SnpScene
from assay.verification.materials import Materials
from assay.verification.opening import open_bundle, open_evidence
from support import azure_clean_room as clean_room
from support import nitro_scenes
from support.snp_scenes import AMD, NOW, REPORT_DATA, STRANGER, roots_of

POLICY = Policy.load(b'version = 1\nplatforms = ["snp"]\n', name="t")
PAIRS = [
    ("evidence", "endorsements"),
    ("SnpReport", "VcekCertChain"),
    ("attestation", "platformCertificates"),
    ("raw", "endorsements"),
]
TDX = bytes.fromhex("0400020081000000") + bytes(range(256)) * 4


@cache
def made(amd=AMD):
    return SnpScene(amd, Product.GENOA, 3, "vcek", NOW, REPORT_DATA).finish()


def text(data: bytes) -> str:
    return b64encode(data).decode()


def certificates(given) -> bytes:
    return b"".join(pem(der) for der in (given.vek, given.authority, given.root))


def metadata(given) -> bytes:
    """Return the answer of Azure's metadata service, whose line ends are two characters."""
    chain = (pem(given.authority) + pem(given.root)).decode()
    return json.dumps({"vcekCert": pem(given.vek).decode(), "certificateChain": chain}).encode()


def wrapped(pair: tuple[str, str], endorsements: bytes = b"", **more: Any) -> dict[str, Any]:
    return {pair[0]: text(made().report), pair[1]: text(endorsements), **more}


def only(document: Any):
    return open_evidence(json.dumps(document).encode())


def code(document: Any) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_bundle(json.dumps(document).encode())
    return refused.value.code


def judged(found):
    files = Materials.of({"list": made().endorsements.crl}).with_evidence(found.beside)
    return verify(
        found.evidence,
        policy=POLICY,
        binding=Expected(REPORT_DATA),
        roots=roots_of(made()),
        now=NOW,
        materials=files,
        platform=found.platform,
    )


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("written", [certificates, metadata])
def test_what_came_with_a_report_vouches_for_it(pair, written):
    found = only(wrapped(pair, written(made().endorsements), uvm_endorsements="AA==", measurement="00"))
    assert found.unverified == ("measurement", "uvm_endorsements")
    evidence = judged(found).evidence
    assert evidence.bound, evidence.ledger.unmet()
    assert made().report == found.evidence


def test_a_strangers_certificates_vouch_for_nothing():
    found = only(wrapped(PAIRS[2], certificates(made(STRANGER).endorsements)))
    evidence = judged(found).evidence
    assert not evidence.authentic
    assert "snp-vek" in {need.kind for need in evidence.needs}


def test_the_report_in_a_request_to_a_service_on_ccf():
    found = only({"attestation": wrapped(PAIRS[0], uvm_endorsements=""), "wrappingKey": "x"})
    assert (found.evidence, found.unverified) == (made().report, ("uvm_endorsements", "wrappingKey"))
    assert found.beside.keys() == {"endorsements"}


def test_evidence_with_a_name_on_it_is_an_envelope():
    """A pair of members makes no exception: the name must be the one found."""
    named = wrapped(PAIRS[0], certificates(made().endorsements), platform="snp")
    assert only(named).unverified == ("endorsements",)
    assert code(named | {"platform": "tdx"}) == "verification.envelope.platform"


def test_what_a_vm_in_a_clean_room_answers():
    answer = clean_room.written()
    found = only(answer)
    assert (found.platform, found.beside) == (
        "azure-snp",
        {"platformCertificates": answer["platformCertificates"].encode()},
    )
    left = ("aikCert", "runtimeClaims", "snpReport")
    assert found.unverified == (*(f"evidence.{name}" for name in left), "imageReference", "nonce")
    assert found.form == f"{len(found.evidence)} bytes, from the answer of a clean room's agent"
    least = {name: answer["evidence"][name] for name in ("tpmQuote", "hclReport", "pcrs")}
    bare = only({"evidence": least, "platformCertificates": answer["platformCertificates"]})
    assert (bare.evidence, bare.unverified) == (found.evidence, ())


def test_what_is_no_whole_answer_of_a_clean_room():
    answer = clean_room.written()
    for name in ("tpmQuote", "hclReport"):
        inner = {other: value for other, value in answer["evidence"].items() if other != name}
        assert code(answer | {"evidence": inner}) == "verification.answer.unrecognised"
    for value in (None, 7, ["PEM"]):
        assert code(answer | {"platformCertificates": value}) == "verification.answer.unrecognised"
    assert code(answer | {"platform": "azure-snp"}) == "verification.answer.unrecognised"
    assert code(answer | {"platformCertificates": "\ud800"}) == "azure.container.layout"
    two = {name: answer["evidence"][name] for name in ("tpmQuote", "hclReport")}
    assert code(answer | {"evidence": two}) == "azure.container.layout"


@pytest.mark.parametrize("word", ["quotes", "attestations"])
def test_one_node_of_a_service_is_opened_and_of_several_none(word):
    node = wrapped(PAIRS[3], node_id="a", format="AMD_SEV_SNP_v1")
    found = only({word: [node], "more": 1})
    assert (found.evidence, found.unverified) == (made().report, ("format", "node_id", "more"))
    assert code({word: [node, node]}) == "verification.report.several"
    for nodes in ([], [node, 7], {"a": node}, None):
        assert code({word: nodes}) == "verification.answer.unrecognised"


@pytest.mark.parametrize("pair", PAIRS)
def test_half_a_pair_and_text_that_is_no_base64_are_refused(pair):
    whole, (evidence, endorsements) = wrapped(pair), pair
    # An answer of dstack's has a member attestation, too.
    half = "dstack.answer.member" if evidence == "attestation" else "verification.answer.unrecognised"
    none = "dstack.answer.quote" if evidence == "attestation" else half
    for name in pair:
        assert code({**whole, name: "!"}) == "verification.evidence.unrecognised"
        assert code({**whole, name: 7}) == half
    assert code({**whole, evidence: None}) == none
    assert code({**whole, endorsements: None}) == half


# --- Nitro documents


@pytest.mark.parametrize(
    "word", ["attestation", "attestation_doc", "attestation_document", "AttestationDocument"]
)
@pytest.mark.parametrize("write", [text, bytes.hex])
@pytest.mark.parametrize("platform", nitro_scenes.PLATFORMS)
def test_the_document_in_the_answer_of_an_enclaves_service(word, write, platform):
    document = nitro_scenes.module(platform).attest(nitro_scenes.NOW)
    found = only({word: write(document), "public_key": "00"})
    assert (found.evidence, found.platform) == (document, platform)
    assert found.unverified == ("public_key",)


@pytest.mark.parametrize("value", [None, 7, "", "!", {}, text(TDX), text(b"{}")])
def test_other_things_under_the_name_of_a_document_are_none(value):
    assert code({"attestation_document": value}) == "verification.answer.unrecognised"


# --- Report and certificates in base64


def test_a_report_with_its_certificates_in_base64_is_an_extended_report():
    for kind in ("vcek", "vlek"):
        own = SnpScene(AMD, Product.GENOA, 3, kind, NOW, REPORT_DATA).finish()
        given = own.endorsements
        chain = {"vcek": text(given.vek), "ask": text(given.authority), "ark": text(given.root)}
        document = {"attestation_report": text(own.report), "cert_chain": chain}
        for found in (only(document), only({"platform": "snp", "evidence": document})):
            assert found.evidence[:1184] == own.report
            assert found.unverified == ()
            result = verify(
                found.evidence,
                policy=POLICY,
                binding=Expected(REPORT_DATA),
                roots=roots_of(own),
                now=NOW,
                materials=Materials.of({"list": given.crl}),
            )
            assert result.evidence.bound, result.evidence.ledger.unmet()
    assert only({"attestation_report": text(made().report)}).evidence == made().report


def test_base64_of_json_is_opened_like_the_json():
    inner = json.dumps(wrapped(PAIRS[0])).encode()
    for data in (b64encode(inner), inner.hex().encode()):
        found = open_evidence(data)
        assert (found.evidence, found.platform) == (made().report, "snp")
        assert found.form.startswith("1184 bytes, with endorsements, from ")
    for data in (b64encode(b"[1"), b64encode(b"{}")):
        with pytest.raises(EvidenceError):
            open_evidence(data)
