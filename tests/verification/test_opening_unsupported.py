"""What is no evidence, or none that is verified here, is named; what merely resembles it is not."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding import cbor
from assay.evidence.decoding.pem import encode as pem
from assay.evidence.snp.table import ARK, ASK, VCEK, encode_table
from assay.verification.opening import open_bundle, open_evidence
from support import vectors
from support.dcap_scenes import INTEL
from support.snp_scenes import scene
from support.tpm_scenes import draft

UNRECOGNISED = "verification.evidence.unrecognised"


def refused(data: bytes) -> EvidenceError:
    with pytest.raises(EvidenceError) as caught:
        open_bundle(data)
    return caught.value


def counted(data: bytes, count: int | None = None) -> bytes:
    return (len(data) if count is None else count).to_bytes(8, "little") + data


def bincode(message: bytes, signature: bytes = bytes(256), pcrs: bytes = bytes(24 * 32)) -> bytes:
    return counted(signature) + counted(message) + counted(pcrs, len(pcrs) // 32)


@pytest.mark.parametrize("data", [b"\n", b"0x", b'""'])
def test_text_that_stands_for_no_bytes_is_nothing(data):
    assert refused(data).code == UNRECOGNISED


# --- A vTPM's quote


def test_a_vtpms_quote_without_the_report_that_holds_its_key():
    attest = draft().quote.attest()
    error = refused(bincode(attest))
    assert (error.code, "HCL report" in error.message) == ("verification.evidence.quote_alone", True)
    for data in (bincode(b"no quote" + attest), bincode(attest) + b"\1", bincode(attest)[:-1], bincode(b"")):
        assert refused(data).code == UNRECOGNISED


@pytest.mark.parametrize(
    "name",
    [
        "azure/coco-trustee/az-tdx-quote.bin",
        "azure/azure-cvm-tooling/quote.bin",
        "trustee/trustee/deps/verifier/test_data/az-snp-vtpm/quote.bin",
    ],
)
def test_real_quotes_of_vtpms(name):
    assert refused(vectors.read(name)).code == "verification.evidence.quote_alone"


# --- Certificates


def test_a_certificate_table_without_its_report():
    made = scene().finish()
    given = made.endorsements
    table = encode_table({ARK: given.root, ASK: given.authority, VCEK: given.vek})
    error = refused(table)
    assert (error.code, "behind its report" in error.action) == ("verification.evidence.endorsement", True)
    assert open_evidence(made.report + table).platform == "snp"
    for data in (table[:-1], table + b"\1", table + b"\0" * 65536, encode_table({bytes(15) + b"\1": b"x"})):
        assert refused(data).code == UNRECOGNISED


def test_a_real_certificate_table():
    data = vectors.read("snp/veraison-services/tsm.auxblob.bin")
    assert refused(data).code == "verification.evidence.endorsement"


PEM = pem(INTEL.root_der)


@pytest.mark.parametrize("before", [b"", b" \n", b"# VCEK\n", b"Certificate:\n    Data:\r\n\t1\n", b" a\n\n"])
def test_lines_for_people_before_a_certificate_are_passed_over(before):
    error = refused(before + PEM)
    assert (error.code, "--endorsements" in error.action) == ("verification.certificate.no_evidence", True)


@pytest.mark.parametrize(
    "before",
    [
        b"key: ",
        b"\x00\n",
        b"caf\xc3\xa9\n",
        b"<xml>\n",
        b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
        b"a\n-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
    ],
)
def test_a_certificate_in_another_file_is_not_looked_for(before):
    assert refused(before + PEM).code == UNRECOGNISED


@pytest.mark.parametrize("name", ["milan", "genoa", "genoa-v5"])
def test_real_chains_with_comments(name):
    data = vectors.read(f"snp/routex/vcek-chain-{name}.pem")
    assert refused(data).code == "verification.certificate.no_evidence"


# --- Tokens


def token(claims: Any) -> bytes:
    parts = (b'{"alg":"ES256"}', json.dumps(claims).encode(), b"signature")
    return b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def test_the_result_of_another_verifier_is_no_evidence():
    claims = {"ear.verifier-id": {"build": "1", "developer": "x"}, "submods": {}, "iat": 1}
    assert refused(token(claims)).code == "verification.evidence.result"
    assert refused(token(claims) + b"\n").code == "verification.evidence.result"


def test_a_token_of_an_unknown_service_is_called_one():
    assert refused(token({"iss": "https://example.com"})).code == "verification.evidence.token"
    assert refused(token({})).code == "verification.evidence.token"
    for data in (token([]), token({}) + b".e30", b"eyJ.e30", b"eyJ.e3.AA"):
        assert refused(data).code == UNRECOGNISED


def test_such_a_token_in_a_services_answer_is_called_the_same():
    for claims, code in (({"ear.verifier-id": {}}, "result"), ({}, "token")):
        answer = json.dumps({"token": token(claims).decode()}).encode()
        assert refused(answer).code == f"verification.evidence.{code}"
    for text in ("", "a.b.c", "00" * 8):
        assert refused(json.dumps({"token": text}).encode()).code == "verification.answer.unrecognised"


@pytest.mark.parametrize("name", ["ear_token.jwt", "tdx_ear_token.jwt"])
def test_real_results_of_another_verifier(name):
    assert refused(vectors.read(f"crypto/openanolis-trustee/{name}")).code == "verification.evidence.result"


def test_a_token_from_before_trust_authority_had_its_name_goes_to_its_verifier():
    """It is refused there, for claims that are not guessed at."""
    assert open_evidence(token({"amber_tcb_status": "OK"})).platform == "trust-authority"
    found = open_evidence(vectors.read("tdx/intel-trustauthority-client/amber_sgx.jwt"))
    assert found.platform == "trust-authority"


# --- Devices of Arm


def psa(claims: Any, *, tag: int = 18) -> bytes:
    protected = cbor.encode({1: -7})
    return cbor.encode(cbor.Tag(tag, [protected, {}, cbor.encode(claims), bytes(64)]))


def test_tokens_of_devices_that_are_not_verified_here_are_called_by_their_name():
    cca = cbor.encode(cbor.Tag(399, {44234: b"platform", 44241: b"realm"}))
    error = refused(cca)
    assert (error.code, "Arm CCA" in error.message) == ("verification.evidence.unsupported", True)
    for claims in (
        {265: "http://arm.com/psa/2.0.0"},
        {265: "tag:psacertified.org,2023:psa#tfm"},
        {-75000: "PSA_IOT_PROFILE_1"},
    ):
        error = refused(psa(claims))
        assert (error.code, "Arm PSA" in error.message) == ("verification.evidence.unsupported", True)


OTHERS = {
    "half a token of CCA": cbor.encode(cbor.Tag(399, {44234: b"platform"})),
    "more than a token of CCA": cbor.encode(cbor.Tag(399, {44234: b"", 44241: b"", 1: b""})),
    "another tag": cbor.encode(cbor.Tag(398, {44234: b"", 44241: b""})),
    "a list in place of the tokens": cbor.encode(cbor.Tag(399, [44234, 44241])),
    "another profile": psa({265: "http://example.com/psa/2.0.0"}),
    "the profile as another claim": psa({266: "http://arm.com/psa/2.0.0"}),
    "a profile alone": psa("http://arm.com/psa/2.0.0"),
    "another kind of message": psa({265: "http://arm.com/psa/2.0.0"}, tag=17),
    "a byte behind it": psa({265: "http://arm.com/psa/2.0.0"}) + b"\0",
    "no payload": cbor.encode(cbor.Tag(18, [b"", {}, None, b""])),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_what_resembles_them_is_not(data):
    assert refused(data).code == UNRECOGNISED


@pytest.mark.parametrize(
    "entry",
    [*vectors.entries(kind="cca-token"), *vectors.entries(kind="psa-token")],
    ids=lambda entry: entry["file"],
)
def test_published_tokens_of_devices(entry):
    error = refused(vectors.read(entry["file"]))
    assert error.code == "verification.evidence.unsupported"
    assert entry["kind"].removesuffix("-token").upper() in error.message
