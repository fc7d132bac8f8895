"""Attestations of Oasis nodes: the quote is opened, and what came with it counts under its own signatures."""

from __future__ import annotations

from typing import Any

import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding import cbor
from assay.verification.opening import open_bundle, open_evidence
from support import vectors
from support.opened_quotes import judged, made

DOCUMENTS = {"qe_identity.json", "qe_identity_issuer_chain.pem", "tcb_info.json", "tcb_info_issuer_chain.pem"}


def documents(platform: str = "sgx") -> dict[str, Any]:
    given = made(platform).collateral
    return {
        "certs": given.tcb_info_issuer_chain,
        "tcb_info": {"tcb_info": given.tcb_info, "signature": given.tcb_info_signature.hex()},
        "qe_id": {"enclave_identity": given.qe_identity, "signature": given.qe_identity_signature.hex()},
    }


def bundle(platform: str = "sgx", **changes: Any) -> dict[str, Any]:
    return {"tcb": documents(platform), "quote": made(platform).quote} | changes


def attestation(pcs: Any, **more: Any) -> dict[str, Any]:
    return {"v": 1, "quote": {"pcs": pcs}, "height": 41, "signature": bytes(64), **more}


def opened(document: Any):
    return open_evidence(cbor.encode(document))


def code(document: Any) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_bundle(cbor.encode(document))
    return refused.value.code


def lists(platform: str = "sgx") -> dict[str, bytes]:
    given = made(platform).collateral
    return {
        "pck_crl.der": given.pck_crl,
        "pck_crl_issuer_chain.pem": given.pck_crl_issuer_chain,
        "root_ca_crl.der": given.root_ca_crl,
    }


@pytest.mark.parametrize("platform", ["sgx", "tdx"])
def test_the_documents_beside_a_quote_vouch_for_it_with_revocation_lists_at_hand(platform):
    found = opened(bundle(platform))
    assert (found.platform, found.evidence, found.unverified) == (platform, made(platform).quote, ())
    assert found.beside.keys() == DOCUMENTS
    assert found.form == f"{len(found.evidence)} bytes, from a bundle of an Oasis node"
    evidence = judged(found, lists(platform))
    assert evidence.bound, evidence.ledger.unmet()


def test_an_attestation_names_what_nobody_looks_at():
    found = opened(attestation(bundle(), more=1))
    assert found.unverified == ("height", "more", "signature")
    assert found.form == f"{len(found.evidence)} bytes, from an attestation of an Oasis node"
    assert judged(found, lists()).bound
    both = attestation(bundle(policy={}))
    both["quote"]["ias"] = {}
    assert opened(both).unverified == ("height", "pcs.policy", "quote.ias", "signature")


def test_documents_that_were_changed_vouch_for_nothing():
    tcb = documents()
    tcb["tcb_info"]["tcb_info"] = tcb["tcb_info"]["tcb_info"].replace(b'"UpToDate"', b'"UpToDate "')
    evidence = judged(opened(bundle(tcb=tcb)), lists())
    assert "dcap.tcb_info.signature" in {check.id for check in evidence.ledger.failed()}


def test_a_document_with_members_of_its_own_is_no_document():
    """What was signed goes between two members of an answer: it cannot add one."""
    tcb = documents()
    tcb["tcb_info"]["tcb_info"] += b',"keys":[]'
    found = opened(bundle(tcb=tcb))
    evidence = judged(found, lists())
    assert "collateral" in {need.kind for need in evidence.needs}
    assert not evidence.authentic


def changed(part: str, **members: Any) -> dict[str, Any]:
    tcb = documents()
    tcb[part] = tcb[part] | members
    return bundle(tcb=tcb)


OTHERS = {
    "no quote": bundle(quote=bytes(64)),
    "a quote in text": bundle(quote=made("sgx").quote.hex()),
    "no documents": bundle(tcb=None),
    "certificates in text": bundle(tcb=documents() | {"certs": "certs"}),
    "more documents": bundle(tcb=documents() | {"crl": b""}),
    "a document in text": changed("tcb_info", tcb_info="{}"),
    "a signature in bytes": changed("qe_id", signature=b""),
    "more in a document": changed("qe_id", more=1),
    "an attestation of another version": attestation(bundle(), v=2),
    "an attestation of another service": attestation(bundle()) | {"quote": {"ias": {"certs": b""}}},
    "an attestation without a quote": attestation({"certs": b""}),
    "a bundle in bytes": attestation(b"certs"),
    "a quote without a kind": attestation(bundle()) | {"quote": b"certs"},
    "a bundle with more in it": bundle(more=1),
}


@pytest.mark.parametrize("document", OTHERS.values(), ids=OTHERS.keys())
def test_another_map_is_no_evidence(document):
    assert code(document) == "verification.evidence.unrecognised"


def test_what_is_not_strict_cbor_is_no_evidence():
    whole = cbor.encode(bundle())
    for data in (whole + b"\0", whole[:-1], b"\xbf" + whole[1:] + b"\xff"):
        with pytest.raises(EvidenceError) as refused:
            open_bundle(data)
        assert refused.value.code == "verification.evidence.unrecognised"


@pytest.mark.parametrize(
    ("name", "left"),
    [("sgx_attestation_v1.bin", ("height", "signature")), ("pcs_quote_bundle.cbor", ())],
)
def test_real_ones(name, left):
    data = vectors.read(f"sgx/oasis-core/{name}")
    found = open_evidence(data)
    assert (found.platform, found.evidence in data, found.unverified) == ("sgx", True, left)
    assert found.beside.keys() == DOCUMENTS
