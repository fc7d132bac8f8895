"""The JSON of vaportpm: a simulated Google VM with an attestation key on P-256, as vaportpm writes it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from assay.errors import EvidenceError
from assay.evidence.decoding.pem import encode as pem
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.google_vm import read_container
from assay.evidence.google_vm.coordinates import container_of
from assay.simulator.google_vm.scene import BANKS
from assay.simulator.tpm.device import SoftwareTpm
from assay.verification.opening import open_evidence
from support import vectors
from support.documents import put
from support.google_vm_scenes import NONCE, judge, scene

KEY = ec.derive_private_key(0xA5A5, ec.SECP256R1())
BANK = Algorithm.SHA256


@cache
def made():
    """Return a VM whose attestation key is on P-256, which quotes one bank and has no logs."""
    stage = scene("none")
    stage.tpm = SoftwareTpm(KEY, banks=BANKS)
    stage.certificate = stage.google.ak_draft(KEY)
    stage.event_log = b""
    stage.quote_again()
    return stage.finish()


def written() -> dict[str, Any]:
    parts = made().parts
    quote, _ = parts.quotes_of(BANK)
    point = KEY.public_key().public_numbers()
    return {
        "nonce": NONCE.hex(),
        "pcrs": {"sha256": {str(index): value.hex() for index, value in quote.pcrs.items()}},
        "ak_pubkeys": {"ecc_p256": {"x": f"{point.x:064x}", "y": f"{point.y:064x}"}},
        "attestation": {
            "tpm": {
                "ecc_p256": {"attest_data": quote.message.hex(), "signature": der(quote.signature).hex()}
            },
            "gcp": {
                "ak_cert_chain": b"".join(map(pem, (parts.ak_certificate, *parts.ak_intermediates))).decode()
            },
        },
    }


def der(signature: bytes) -> bytes:
    """Return a TPMT_SIGNATURE as ECDSA signatures are written elsewhere."""
    size = int.from_bytes(signature[4:6], "big")
    r, s = signature[6 : 6 + size], signature[8 + size :]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def opened(document: Any):
    return open_evidence(json.dumps(document).encode())


def judged(document: Any):
    return judge(made(), evidence=opened(document).evidence)


def test_the_quote_verifies_and_what_stands_beside_it_is_named():
    found = opened({**written(), "more": 1})
    assert (found.platform, found.unverified) == ("gcp-vtpm", ("more", "nonce"))
    result = judged(written())
    assert result.bound, result.ledger.unmet()
    parts = read_container(found.evidence)
    assert (parts.event_log, parts.instance, len(parts.quotes)) == (b"", None, 1)


def test_a_nonce_beside_the_quote_is_no_claim():
    document = written() | {"nonce": "00"}
    assert judged(document).bound
    assert "nonce" in opened(document).unverified


OTHER = ec.derive_private_key(0x5A5A, ec.SECP256R1()).public_key().public_numbers()


@pytest.mark.parametrize(
    ("path", "value", "codes"),
    [
        ("pcrs.sha256.7", "11" * 32, {"google_vm.quote.pcr_digest"}),
        (
            "ak_pubkeys.ecc_p256",
            {"x": f"{OTHER.x:064x}", "y": f"{OTHER.y:064x}"},
            {"google_vm.ak.key", "google_vm.quote.signature"},
        ),
        (
            "attestation.tpm.ecc_p256.signature",
            encode_dss_signature(1, 1).hex(),
            {"google_vm.quote.signature"},
        ),
    ],
)
def test_what_the_quote_does_not_hold_is_refused(path, value, codes):
    assert {check.code for check in judged(put(written(), path, value)).ledger.failed()} == codes


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("pcrs", [], "json.type"),
        ("pcrs.sha256", {"24": "00"}, "json.type"),
        ("pcrs.sha256", {"07": "00"}, "json.type"),
        ("pcrs.sha256.7", "00" * 33, "json.type"),
        ("pcrs.sha256.7", "", "json.type"),
        ("pcrs.sha256.7", "zz", "json.type"),
        ("pcrs.sha256.7", "AB", "json.type"),
        ("pcrs.sha256.7", "00 00", "json.type"),
        ("pcrs.sha256.7", None, "json.type"),
        ("pcrs", {"sha384": {}}, "json.missing_member"),
        ("ak_pubkeys.ecc_p256.x", "00" * 33, "json.type"),
        ("ak_pubkeys.ecc_p256.x", "01", "json.type"),
        ("ak_pubkeys", {"rsa": {}}, "json.missing_member"),
        ("attestation.tpm", {"rsa": {}}, "json.missing_member"),
        ("attestation.tpm.ecc_p256.signature", "00", "json.type"),
        ("attestation.tpm.ecc_p256.signature", encode_dss_signature(1, 1 << 256).hex(), "json.type"),
        ("attestation.tpm.ecc_p256.attest_data", "00" * 1025, "json.type"),
        ("attestation.gcp", None, "json.type"),
        ("attestation.gcp.ak_cert_chain", "", "pem.count"),
        ("attestation.gcp.ak_cert_chain", pem(b"0").decode() * 6, "pem.count"),
        ("attestation.gcp.ak_cert_chain", "-----BEGIN CERTIFICATE-----\u00e9", "pem.malformed"),
    ],
)
def test_what_is_malformed_is_refused(path, value, code):
    document = put(written(), path, value)
    with pytest.raises(EvidenceError) as refused:
        container_of(document)
    assert refused.value.code == code
    with pytest.raises(EvidenceError) as refused:
        opened(document)
    assert refused.value.code == code


def test_a_chain_has_up_to_five_certificates():
    longest = b"".join(pem(bytes([number])) for number in range(5)).decode()
    parts = read_container(container_of(put(written(), "attestation.gcp.ak_cert_chain", longest)))
    assert parts.ak_certificate == b"\0"
    assert parts.ak_intermediates == (b"\1", b"\2", b"\3", b"\4")


def test_a_quote_has_up_to_1024_bytes():
    longest = bytes(range(256)) * 4
    parts = read_container(
        container_of(put(written(), "attestation.tpm.ecc_p256.attest_data", longest.hex()))
    )
    assert parts.quotes[0].message == longest


def test_a_nitrotpms_document_is_opened_and_its_quote_is_not_verified():
    signed = vectors.read("nitro/evervault/valid-attestation.cbor")
    document = {
        "nonce": "00",
        "pcrs": {"sha384": {}},
        "ak_pubkeys": {},
        "attestation": {"tpm": {"ecc_p256": {}}, "nitro": {"document": signed.hex()}},
    }
    found = opened(document)
    assert (found.platform, found.evidence) == ("nitro", signed)
    assert found.unverified == ("ak_pubkeys", "attestation.tpm", "nonce", "pcrs")


@pytest.mark.parametrize(
    "inner", [{}, {"tpm": 7}, {"tpm": {}}, {"tpm": {}, "nitro": 7}, {"tpm": {}, "nitro": {"document": "00"}}]
)
def test_other_attestations_are_not_taken_for_one(inner):
    with pytest.raises(EvidenceError) as refused:
        opened({"attestation": inner})
    assert refused.value.code == "dstack.answer.member"
