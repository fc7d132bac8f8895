"""The answer of a clean room's agent: a simulated Azure VM, written as the agent writes it."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from assay.errors import EvidenceError
from assay.evidence.azure.clean_room import container_of
from assay.evidence.decoding.pem import encode as pem
from assay.simulator.tpm.device import sized
from assay.verification.opening import open_evidence
from support.azure_clean_room import made, text, written
from support.azure_scenes import judge
from support.documents import put

QUOTED = b64decode(written()["evidence"]["tpmQuote"])
QUOTE_OF_OTHERS = text(QUOTED[:-1] + bytes([QUOTED[-1] ^ 1]))


def opened(document: Any):
    return open_evidence(json.dumps(document).encode())


def test_the_answer_is_the_container_of_trustees_attester():
    found = opened(written())
    assert json.loads(found.evidence) == json.loads(made().container) | {"version": 2}
    assert found.platform == "azure-snp"
    assert found.beside == {"platformCertificates": written()["platformCertificates"].encode()}
    assert found.unverified == (
        *("evidence.aikCert", "evidence.runtimeClaims", "evidence.snpReport", "imageReference", "nonce"),
    )
    result = judge(made(), evidence=found.evidence)
    assert result.bound, result.ledger.unmet()


def test_the_issuers_certificates_follow_the_chips():
    chain = written()["platformCertificates"] + (pem(b"issuer") + pem(b"root")).decode()
    assert opened(put(written(), "platformCertificates", chain)).evidence == opened(written()).evidence


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("evidence.pcrs.7", text(b"\x11" * 32), "azure.quote.pcr_digest"),
        ("evidence.tpmQuote", QUOTE_OF_OTHERS, "azure.quote.signature"),
    ],
)
def test_what_the_vms_key_did_not_sign_is_refused(path, value, code):
    result = judge(made(), evidence=opened(put(written(), path, value)).evidence)
    assert [check.code for check in result.ledger.failed()] == [code]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("evidence.tpmQuote", ""),
        ("evidence.tpmQuote", "!"),
        ("evidence.tpmQuote", 7),
        ("evidence.tpmQuote", text(bytes(2))),
        ("evidence.tpmQuote", text(sized(b"m") + bytes.fromhex("0018000b") + sized(b"s"))),
        ("evidence.tpmQuote", text(sized(b"m") + bytes.fromhex("0014000b") + sized(b"s") + b"\0")),
        ("evidence.tpmQuote", text(sized(b"m") + bytes.fromhex("0014000b") + sized(b"s")[:-1])),
        ("evidence.hclReport", ""),
        ("evidence.pcrs", []),
        ("evidence.pcrs", {"24": "AAAA"}),
        ("evidence.pcrs", {"07": "AAAA"}),
        ("evidence.pcrs", {"7": "*"}),
        ("platformCertificates", ""),
        ("platformCertificates", pem(b"0").decode() * 4),
        ("platformCertificates", "-----BEGIN CERTIFICATE-----\u00e9"),
    ],
)
def test_what_is_malformed_is_refused(path, value):
    document = put(written(), path, value)
    for read in (container_of, opened):
        with pytest.raises(EvidenceError) as refused:
            read(document)
        assert refused.value.code == "azure.container.layout"


@pytest.mark.parametrize("path", ["evidence.tpmQuote", "evidence.hclReport", "platformCertificates"])
def test_without_a_part_it_is_not_taken_for_one(path):
    document = written()
    *above, last = path.split(".")
    del (document[above[0]] if above else document)[last]
    with pytest.raises(EvidenceError) as refused:
        opened(document)
    assert refused.value.code == "verification.answer.unrecognised"


def test_with_a_platforms_name_on_it_it_is_an_envelope():
    with pytest.raises(EvidenceError) as refused:
        opened(written() | {"platform": "tdx"})
    assert refused.value.code == "verification.answer.unrecognised"
