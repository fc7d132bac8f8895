"""Every case and every entry of the family nitro reaches the result stated for it.

A result is stated in words and fields. Each word is mapped here, explicitly, to what this verifier says; a
word without an entry fails the test, and so does a kind of vector without a checker.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import certificates
from assay.evidence.dstack.nitro import compare, parse_nitro_attestation
from assay.evidence.facts import FactCache
from assay.evidence.nitro import checks
from assay.evidence.nitro.verify import verify_nitro
from assay.evidence.roots import AWS, Roots
from assay.evidence.verification import Unchecked
from assay.evidence.x509.general import GeneralCertificate
from support import vectors

if not vectors.present():
    pytest.skip("the real vectors are not here", allow_module_level=True)

# What a document is said to fail, and the code under which this verifier refuses it.
REASONS = {
    "cose_signature_ok": "nitro.cose.signature",
    "TypeError(\"'NoneType' object is not iterable\")": "nitro.cose.layout",  # CA bundle and header are null
    "ValueError('error parsing asn1 value: ParseError { kind: ShortData { needed: 47 } }')": (
        "nitro.chain.malformed"
    ),
}
DEBUG = "DEBUG MODE (PCR0-2 zero)"
ANY_TIME = "2024-01-01T00:00:00Z"


def moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text or ANY_TIME)


def judge(document: bytes, at: datetime, facts: FactCache | None = None, **options):
    return verify_nitro(
        document,
        platform="nitro",
        endorsements=None,
        roots=Roots.vendor(),
        now=at,
        binding=Unchecked("the vectors state no session"),
        facts=facts if facts is not None else FactCache(),
        **options,
    )


def codes(result) -> list[str]:
    return [check.code for check in result.ledger.failed()]


def stated_result(result, words: list[str]) -> None:
    """Assert a result as it is stated: VALID or INVALID with its reason, and the mode."""
    if words[0] == "VALID":
        assert result.authentic, result.ledger.unmet()
        assert not result.simulated
        assert result.anchor.name == "AWS Nitro Enclaves Root G1"
    else:
        kind, _, reason = words[0].partition(": ")
        assert kind == "INVALID"
        assert codes(result) == [REASONS[reason]]
    assert words[1:] in ([], [DEBUG])


def registers(result, stated: dict[str, str]) -> None:
    """Assert the registers as they are stated: those that are not zero."""
    found = {index: value for index, value in result.decoded["pcrs"].items() if value.strip("0")}
    assert found == stated


@pytest.mark.parametrize("case", vectors.cases("nitro-verify"), ids=lambda case: case["id"])
@pytest.mark.parametrize("validity", ["now", "document"])
def test_case(case, validity):
    expected = case["expected"]
    (root,) = certificates(vectors.read(case["files"]["root"]), count=1)
    assert [entry.der for entry in Roots.vendor().of(AWS)] == [root]
    verdict, _, result = expected["result"].partition(": ")
    at = moment(case["valid_at"])
    if validity == "document":
        at += timedelta(days=400)  # kept, and judged long after
    found = judge(vectors.read(case["files"]["document"]), at, validity=validity)
    assert {"ACCEPT": True, "REJECT": False}[verdict] is found.authentic
    words = result.split("; ")
    stated_result(found, words)
    if expected["pcrs"] is not None:
        registers(found, expected["pcrs"])
        assert expected["debug"] is (DEBUG in words)
    if found.authentic:
        assert found.claims.debug is expected["debug"]
        assert found.claims.validity == validity
    if validity == "now":
        vectors.record("nitro", "nitro-verify")


def check_document(entry):
    expected, document = entry["expected"], vectors.read(entry["file"])
    fields, words = expected["key_fields"], expected["result"].split("; ")
    result = judge(document, moment(expected["valid_at"]))
    stated_result(result, words)
    if not fields:
        assert expected["valid_at"] is None
        return
    decoded = result.decoded
    assert fields["trailing_bytes"] == 0
    assert fields["cose_alg"] == -35
    assert fields["sig_len"] == 96
    for name in ("module_id", "digest"):
        assert decoded[name] == fields[name]
    stamp = datetime.fromisoformat(decoded["timestamp"])
    assert round(stamp.timestamp() * 1000) == fields["timestamp_ms"]
    assert stamp.replace(microsecond=0) == moment(fields["timestamp"])
    assert fields["pcr_key"] == "pcrs"
    registers(result, fields["pcrs"])
    assert len(decoded["pcrs"]) == fields["pcr_count"]
    for name in ("public_key", "user_data", "nonce"):
        stated = fields[name]
        assert decoded[name] == stated or (stated and decoded[name].startswith(stated)), name
    outcomes = {
        "cose_signature_ok": checks.NITRO_COSE_SIGNATURE,
        "chain_signatures_ok": checks.NITRO_CHAIN_SIGNATURES,
    }
    for name, spec in outcomes.items():
        assert (result.ledger[spec.id].outcome == "passed") is fields[name]
    assert result.anchor.fingerprint.hex() == fields["root_sha256"]
    assert fields["root_is_aws"] is not result.anchor.simulated
    assert decoded["cabundle"] == fields["cabundle_len"]
    all_zero = not any(decoded["pcrs"].get(str(index), "").strip("0") for index in range(3))
    assert all_zero is fields["debug_mode_zero_pcrs"]
    assert all_zero is (DEBUG in words)
    assert fields["leaf_subject"].startswith(f"CN={decoded['module_id']}.")
    if result.authentic:
        claims = result.claims
        assert claims.debug is fields["debug_mode_zero_pcrs"]
        assert claims.chain_valid_from == moment(fields["chain_valid_from"])
        assert claims.chain_valid_until == moment(fields["chain_valid_to"])
        assert fields["leaf_subject"].startswith(f"CN={claims.module_id}.{claims.region}.aws,")
        assert claims.module_id.startswith(f"{claims.instance_id}-enc")
    for text, inside in ((fields["chain_valid_from"], True), (fields["chain_valid_to"], True)):
        found = judge(document, moment(text))
        assert (found.ledger[checks.NITRO_CHAIN_VALIDITY.id].outcome == "passed") is inside
    for second, text in ((-1, fields["chain_valid_from"]), (1, fields["chain_valid_to"])):
        at = datetime.fromtimestamp(moment(text).timestamp() + second, UTC)
        assert checks.NITRO_CHAIN_VALIDITY.id in codes(judge(document, at))


def check_certificate(entry):
    expected = entry["expected"]
    fields = expected["key_fields"]
    text = vectors.read(entry["file"])
    if expected["result"].startswith("UNPARSEABLE"):
        with pytest.raises(DerError):
            GeneralCertificate.parse(certificates(text, count=1)[0])
        return
    assert expected["result"] == "parsed"
    (der,) = certificates(text, count=1)
    found = GeneralCertificate.parse(der)
    assert fields["count"] == 1
    assert [x509.load_der_x509_certificate(der).subject.rfc4514_string()] == fields["subjects"]
    assert [hashlib.sha256(der).hexdigest()] == fields["sha256"]
    assert found.window.start == moment(fields["valid_from"])
    assert found.window.end == moment(fields["valid_to"])
    assert moment(expected["valid_at"]) in found.window
    assert fields["self_signed_last"] is found.verify(found)
    assert fields["linked"] is True
    pinned = {entry.der for entry in Roots.vendor().of(AWS)}
    assert (der in pinned) is (found.common_name == "aws.nitro-enclaves")
    if der not in pinned:
        with pytest.raises(EvidenceError) as refused:
            Roots.vendor().with_anchor("unknown", der, vendor=AWS)
        assert refused.value.code == "roots.published_test_root"


def check_wrapped(entry):
    """dstack's attestation: a document with runtime events, report data and a configuration beside it."""
    assert entry["expected"] == {
        "valid_at": None,
        "result": "data (not independently verified)",
        "key_fields": {},
    }
    wrapper = vectors.read(entry["file"])
    found = parse_nitro_attestation(wrapper)
    assert found.platform == "nitro"
    result = judge(found.document, datetime.now(UTC), validity="document")
    assert result.authentic, result.ledger.unmet()
    assert result.claims.debug is (entry["notes"] == "debug-mode enclave")
    assert not compare(found, result.claims).unmet()
    assert (
        judge(found.document, datetime.now(UTC)).ledger[checks.NITRO_CHAIN_VALIDITY.id].code
        == "nitro.chain.validity"
    )


def check_in_san(entry):
    """A TLS certificate that carries a document, in hexadecimal, as the first label of a name."""
    assert entry["expected"]["result"] == "data (not independently verified)"
    certificate = x509.load_der_x509_certificate(vectors.read(entry["file"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = [
        bytes.fromhex(match.group())
        for name in names.get_values_for_type(x509.DNSName)
        if (match := re.match(r"(?:[0-9a-f]{2}){100,}", name))
    ]
    (document,) = [data for data in found if data.startswith(bytes.fromhex("8444a1013822a0"))]
    result = judge(document, datetime.now(UTC), validity="document")
    assert result.authentic, result.ledger.unmet()
    assert certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == (
        result.claims.user_data
    )


def check_description(entry):
    """What the Nitro command line prints of a running enclave: the registers have a document's shape."""
    assert entry["expected"]["key_fields"] == {"json_keys": "list[1]"}
    (enclave,) = json.loads(vectors.read(entry["file"]))
    assert re.fullmatch(r"i-[0-9a-f]{17}-enc[0-9a-f]{15,16}", enclave["EnclaveID"])
    assert enclave["Flags"] == "NONE"
    measured = enclave["Measurements"]
    assert all(len(bytes.fromhex(measured[name])) == 48 for name in ("PCR0", "PCR1", "PCR2"))


CHECKERS = {
    "nitro-doc": check_document,
    "x509": check_certificate,
    "dstack-attestation": check_wrapped,
    "x509-nitro-in-san": check_in_san,
    "nitro-describe": check_description,
}
ELSEWHERE = {"eif", "eif-fake", "nitro-pcrs"}  # tests/reference/test_eif.py


@pytest.mark.parametrize(
    "entry",
    [entry for entry in vectors.entries("nitro") if entry["kind"] not in ELSEWHERE],
    ids=lambda entry: str(PurePosixPath(entry["file"]).relative_to("nitro")),
)
def test_entry(entry):
    assert vectors.pinned(entry)
    CHECKERS[entry["kind"]](entry)
    vectors.record("nitro", entry["kind"])


SAMPLE = "nitro/veracruz/aws_nitro_document.cbor"


def flip(choose) -> tuple[int, int]:
    """Flip chosen bits of a real document one by one; return how many were tried and accepted."""
    document, at, facts = vectors.read(SAMPLE), moment("2022-11-09T22:52:00Z"), FactCache()
    assert judge(document, at, facts).authentic
    tried = accepted = 0
    for position in range(8 * len(document)):
        if not choose(position):
            continue
        offset, bit = divmod(position, 8)
        changed = document[:offset] + bytes([document[offset] ^ (1 << bit)]) + document[offset + 1 :]
        result = judge(changed, at, facts)
        tried += 1
        if result.authentic:
            accepted += 1
        else:
            assert result.ledger.failed()
    vectors.note(f"bit flips of a real Nitro document: {tried} tried, {accepted} accepted")
    return tried, accepted


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_single_bit():
    tried, accepted = flip(lambda position: True)
    assert tried == 8 * 4461
    assert accepted == 0


def test_a_sample_of_bits():
    """About 700 of 36,000 bits, for every run; the slow test flips all."""
    chosen = random.Random(SAMPLE)  # a sample that is the same in every run
    assert flip(lambda position: chosen.random() < 0.02)[1] == 0
