"""Every case and every entry of the family azure that is evidence reaches the result stated for it.

Tokens and VCEKs of the family are tested with their own formats. A result is stated in words and fields. Each
word is mapped here to what this verifier says; a word without an entry fails the test, and so does a field.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from assay.evidence.azure import AzureEndorsements, AzureEvidence, checks, read_bincode_quote
from assay.evidence.azure.hcl import parse_hcl
from assay.evidence.azure.runtime import parse_runtime
from assay.evidence.cose.algorithms import Algorithm as CoseAlgorithm
from assay.evidence.cose.sign1 import Sign1
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import certificates
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import AZURE_VTPM, Roots
from assay.evidence.snp import SnpEndorsements, verify_snp
from assay.evidence.tpm.attest import Attest
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote import verify_quote
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.tpm.signature import TpmSignature, rsassa_signature
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from support import vectors
from support.azure_vectors import (
    SNP_TIME,
    container,
    full,
    judge,
    parts,
    platform_of,
    product_of,
    snp_endorsements,
    snp_time,
)

OF_OTHERS = {"jwt", "jwks", "maa-claims", "maa-request", "snp-vcek"}
QUOTE = QuoteSpecs.of("test.quote")
NOT_TESTED_WORDS = {"data (not independently verified)"}

# What a stated result says, and the checks that say the same here.
WORDS = {
    "vTPM quote VALID": (checks.QUOTE.signature.id, checks.QUOTE.digest.id, checks.RUNTIME_KEY.id),
    "HCL binding True": (checks.RUNTIME_BOUND.id,),
    "SNP report signature VALID": ("snp.report.signature",),
    "TD quote sig True binds HCL True": (
        "dcap.quote.signature",
        "dcap.qe_report.signature",
        "dcap.pck.chain",
        "azure.runtime.bound",
    ),
}


def _moment(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def _agrees(result, words):
    """Demand that every stated word is one of ours, and what its checks found."""
    for word in words.split("; "):
        for name in WORDS[word]:
            assert result.ledger[name].outcome is Outcome.PASSED, (name, result.ledger[name].reason)


def _attest_fields(message):
    quote = Attest.parse(message)
    return {
        "type": "0x8018",
        "qualifiedSigner": quote.qualified_signer.hex(),
        "extraData": quote.extra_data.hex(),
        "clock": quote.clock,
        "resetCount": quote.reset_count,
        "restartCount": quote.restart_count,
        "safe": int(quote.safe),
        "firmwareVersion": f"{quote.firmware_version:016x}",
        "pcrSelect": _selections(quote),
        "pcrDigest": quote.pcr_digest.hex(),
        "_len": len(message),
    }


def _selections(quote):
    return [[Algorithm(one.algorithm).name.lower(), list(one.pcrs)] for one in quote.selections]


def _shown(values):
    """PCR values as the manifest shows them: those that are zero are left out."""
    return {str(index): value.hex() for index, value in enumerate(values) if any(value)}


def _ak(hcl_file):
    data = vectors.read(hcl_file)
    return _key_of(data)


def _key_of(data):
    platform = "azure-snp" if data[1224] == 2 else "azure-tdx"
    public = parse_runtime(parse_hcl(data, platform).runtime).key()
    return AttestationKey.parse(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _hcl_fields(data):
    platform = "azure-snp" if data[1224] == 2 else "azure-tdx"
    report = parse_hcl(data, platform)
    raw = json.loads(report.runtime)
    claims = parse_runtime(report.runtime).claims
    assert claims.key_ids == tuple(key["kid"] for key in raw["keys"])
    assert claims.user_data == (bytes.fromhex(raw["user-data"]) if "user-data" in raw else None)
    at = 0x50 if platform == "azure-snp" else 128
    report_data = report.hardware[at : at + 64]
    found = {
        "hcl_version": report.version,
        "report_size": report.size,
        "request_type": report.request_type,
        "hw_report_type": "SNP" if platform == "azure-snp" else "TDX",
        "hash_type": report.hash_name,
        "var_data_size": len(report.runtime),
        "report_data_binds_var_data": report_data == report.commitment(),
        "keys": [[key["kid"], key["key_ops"]] for key in raw["keys"]],
        "vm_configuration": dict(claims.vm_configuration),
        "user_data": raw.get("user-data"),
    }
    if platform == "azure-tdx":
        found["tdreport"] = {"report_data": report_data.hex(), "mrtd": None}
        return found, report
    hardware = report.hardware
    found["snp_report"] = {
        "version": int.from_bytes(hardware[:4], "little"),
        "policy": hex(int.from_bytes(hardware[8:16], "little")),
        "policy_debug": bool(hardware[10] & 8),
        "vmpl": int.from_bytes(hardware[0x30:0x34], "little"),
        "measurement": hardware[0x90:0xC0].hex(),
        "chip_id": hardware[0x1A0:0x1E0].hex(),
        "reported_tcb": hardware[0x180:0x188].hex(),
    }
    return found, report


# --- Kinds of entries


def hcl_report(entry):
    stated = dict(entry["expected"]["key_fields"])
    signer = stated.pop("snp_signer", None)
    data = vectors.read(entry["file"])
    found, report = _hcl_fields(data)
    assert found == stated
    for word in entry["expected"]["result"].split("; "):
        if word == "HCL var data hash bound in hardware report: True":
            assert found["report_data_binds_var_data"]
        elif word.startswith("SNP report signature VALID"):
            assert signer in word
            _signed_by_chip(report, signer)
        else:
            assert word == "embedded TDREPORT is MAC-only: needs the companion TD quote"
            bare = judge(AzureEvidence(data, _no_quote()), "azure-tdx", SNP_TIME)
            assert bare.ledger["dcap.quote.layout"].code == "dcap.quote.truncated"
    _with_companion(entry, data)


def _no_quote():
    return read_bincode_quote(vectors.read("azure/coco-trustee/az-tdx-quote.bin"))


def _signed_by_chip(report, signer):
    vcek = _ders(vectors.read(signer))[0]
    given = SnpEndorsements(vek=vcek).or_else(snp_endorsements(product_of(vcek)))
    result = verify_snp(
        report.hardware,
        endorsements=given,
        roots=Roots.vendor(),
        now=snp_time(vcek),
        binding=Expected(report.commitment()),
        facts=FactCache(),
    )
    assert result.bound, result.ledger.unmet()


def _with_companion(entry, data):
    """Where the TD quote of the report is there too, its report data are the hash of the runtime claims."""
    quotes = [name for name in entry.get("related") or () if name.startswith("tdx/") and "quote" in name]
    for name in quotes:
        evidence = AzureEvidence(data, _no_quote(), td_quote=vectors.read(name))
        result = judge(evidence, "azure-tdx", SNP_TIME)
        assert result.ledger[checks.RUNTIME_BOUND.id].outcome is Outcome.PASSED


def _container_entry(entry):
    name, stated = entry["file"], entry["expected"]
    result = judge(container(name), platform_of(name), _moment(stated["valid_at"]), _given(name))
    _agrees(result, stated["result"])
    fields = dict(stated["key_fields"])
    found = parts(name)
    assert _hcl_fields(found.hcl)[0] == fields.pop("hcl")
    quote = fields.pop("vtpm_quote")
    decoded = Attest.parse(found.quote.message)
    assert quote == {
        "signature_ok": True,
        "pcr_digest_ok": True,
        "extraData": decoded.extra_data.hex(),
        "pcrSelect": _selections(decoded),
    }
    assert fields.pop("pcrs") == _shown(found.quote.pcrs)
    _hardware_fields(result, found, fields)
    _certificate_fields(name, found, fields)
    assert not fields


def _given(name):
    if platform_of(name) == "azure-tdx":
        return None
    return AzureEndorsements(snp=snp_endorsements(product_of(parts(name).vcek)))


def _hardware_fields(result, found, fields):
    passed = {check.id for check in result.ledger if check.outcome is Outcome.PASSED}
    if found.td_quote is None:
        assert fields.pop("vcek_in_evidence_verifies") is ("snp.report.signature" in passed)
        assert fields.pop("vcek_chain_ok") is ({"snp.chain.signatures", "snp.root.pinned"} <= passed)
        return
    assert fields.pop("td_quote_binds_hcl") is (checks.RUNTIME_BOUND.id in passed)
    assert fields.pop("td_quote") == {
        "version": int.from_bytes(found.td_quote[:2], "little"),
        "quote_signature_ok": "dcap.quote.signature" in passed,
        "qe_report_signature_ok": "dcap.qe_report.signature" in passed,
        "chain_signatures_ok": "dcap.pck.chain" in passed,
    }


def _certificate_fields(name, found, fields):
    if "ak_cert_subject" not in fields:
        assert found.ak_certificate is None
        return
    assert len(found.ak_certificate) - len(_der(found.ak_certificate)) == fields.pop(
        "ak_cert_trailing_zero_bytes"
    )
    leaf = GeneralCertificate.parse(_der(found.ak_certificate))
    own = x509.load_der_x509_certificate(leaf.der)
    assert own.subject.rfc4514_string() == fields.pop("ak_cert_subject")
    assert own.issuer.rfc4514_string() == fields.pop("ak_cert_issuer")
    assert [leaf.window.start, leaf.window.end] == [_moment(text) for text in fields.pop("ak_cert_valid")]
    chain = [GeneralCertificate.parse(der) for der in found.ak_intermediates]
    assert [f"CN={one.common_name}" for one in chain] == fields.pop("ak_chain")
    # The links are those of leaf, what came along, and the root: verified when all of them hold.
    result = full(name)
    links = fields.pop("ak_chain_links")
    outcome = result.ledger[checks.AK_CHAIN.id].outcome
    assert outcome is (Outcome.PASSED if all(links) else Outcome.NOT_APPLICABLE)
    assert (result.claims.ak_certificate is not None) is all(links)


def _der(data):
    return data[: 4 + int.from_bytes(data[2:4], "big")]


def _quote_outcome(quote, key):
    return verify_quote(
        quote.message,
        rsassa_signature(quote.signature, Algorithm.SHA256),
        specs=QUOTE,
        key=key,
        bank=Algorithm.SHA256,
        pcrs=dict(enumerate(quote.pcrs)),
        relied=frozenset(range(24)),
        nonce=Expected(Attest.parse(quote.message).extra_data),
    )


def bincode_quote(entry):
    stated = dict(entry["expected"]["key_fields"])
    quote = read_bincode_quote(vectors.read(entry["file"]))
    source = stated.pop("ak_source")
    key = _pem_key(source) if source.endswith(".pem") else _ak(source)
    outcome = _quote_outcome(quote, key)
    assert outcome.claims is not None
    assert entry["expected"]["result"] == f"vTPM quote signature VALID with AK from {source}; PCR digest OK"
    assert stated.pop("pcrs") == _shown(quote.pcrs)
    assert (stated.pop("signature_ok"), stated.pop("pcr_digest_ok")) == (True, True)
    text = stated.pop("nonce_text", None)
    assert text is None or bytes.fromhex(stated["extraData"]).decode() == text
    assert stated == _attest_fields(quote.message)


def _pem_key(name):
    key = load_pem_public_key(vectors.read(name))
    return AttestationKey.parse(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def tpms_attest(entry):
    stated = dict(entry["expected"]["key_fields"])
    message = vectors.read(entry["file"])
    if stated.pop("signature_ok") is None:
        assert entry["expected"]["result"] == "TPM quote: signature UNVERIFIABLE (AK public not archived)"
    else:
        assert entry["expected"]["result"] == "TPM quote: signature VALID"
        key = _ak(stated.pop("ak_source").removeprefix("HCLAkPub of "))
        signature = vectors.read(entry["file"].replace("-msg.bin", "-sig.bin").replace(".msg", ".sig"))
        assert key.verifies(TpmSignature.parse(rsassa_signature(signature, Algorithm.SHA256)), message)
    assert stated == _attest_fields(message)


def tpm_signature(entry):
    assert entry["expected"]["result"] in NOT_TESTED_WORDS
    raw = vectors.read(entry["file"])
    found = TpmSignature.parse(rsassa_signature(raw, Algorithm.SHA256))
    message = vectors.read(entry["file"].replace("-sig.bin", "-msg.bin").replace(".sig", ".msg"))
    keys = [_ak(one["file"]) for one in vectors.entries("azure", "hcl-report")]
    assert sum(key.verifies(found, message) for key in {key.spki: key for key in keys}.values()) == 1


def public_key(entry):
    assert entry["expected"]["result"] in NOT_TESTED_WORDS
    (quote,) = entry["related"]
    assert _quote_outcome(read_bincode_quote(vectors.read(quote)), _pem_key(entry["file"])).claims is not None


def runtime_data(entry):
    assert entry["expected"]["result"] in NOT_TESTED_WORDS
    found = parse_runtime(vectors.read(entry["file"])).claims
    assert found.key_ids == ("HCLAkPub", "HCLEkPub")
    assert found.setting("secure-boot") is True
    assert found.user_data == bytes(64)


def certificate(entry):
    stated = entry["expected"]["key_fields"]
    ders = _ders(vectors.read(entry["file"]))
    own = [x509.load_der_x509_certificate(der) for der in ders]
    assert entry["expected"]["result"] == "parsed"
    if own[0].public_key().key_size < 2048:
        _weak_certificate(entry, own[0])
        return
    found = [GeneralCertificate.parse(der) for der in ders]
    assert stated == {
        "count": len(ders),
        "subjects": [one.subject.rfc4514_string() for one in own],
        "sha256": [hashlib.sha256(der).hexdigest() for der in ders],
        "valid_from": max(one.window.start for one in found).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "valid_to": min(one.window.end for one in found).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "self_signed_last": found[-1].issuer == found[-1].subject and found[-1].verify(found[-1]),
        "linked": all(issuer.verify(child) for child, issuer in pairwise(found)),
    }
    assert all(_moment(entry["expected"]["valid_at"]) in one.window for one in found)
    pinned = {root.der for root in Roots.vendor().of(AZURE_VTPM)}
    for der, one in zip(ders, own, strict=True):
        assert (der in pinned) is ("Azure Virtual TPM Root" in one.subject.rfc4514_string())


def _ders(data):
    """Return the certificates of a file: one in DER, or any number in PEM."""
    if not data.startswith(b"-----"):
        return [data]
    end = b"-----END CERTIFICATE-----"
    blocks = [block + end for block in data.split(end) if block.strip()]
    return [certificates(_unwrapped(block), count=1)[0] for block in blocks]


def _weak_certificate(entry, own):
    """A certificate of 2021 with a key of 1,024 bits: it is what is stated of it, and it is refused."""
    der = own.public_bytes(Encoding.DER)
    own.verify_directly_issued_by(own)
    assert entry["expected"]["key_fields"] == {
        "count": 1,
        "subjects": [own.subject.rfc4514_string()],
        "sha256": [hashlib.sha256(der).hexdigest()],
        "valid_from": own.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "valid_to": own.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "self_signed_last": True,
        "linked": True,
    }
    with pytest.raises(DerError, match="2048"):
        GeneralCertificate.parse(der)


def _unwrapped(text):
    """Samples of other tools have lines of any length; the strict reader takes those of RFC 7468."""
    lines = text.replace(b"\r", b"").strip().split(b"\n")
    body = b"".join(lines[1:-1])
    wrapped = [body[at : at + 64] for at in range(0, len(body), 64)]
    return b"\n".join([lines[0], *wrapped, lines[-1], b""])


def uvm_endorsement(entry):
    """A signed statement of which paravisor Microsoft built: COSE with its chain inside."""
    stated = dict(entry["expected"]["key_fields"])
    message = Sign1.parse(vectors.read(entry["file"]))
    chain = [GeneralCertificate.parse(der) for der in message.headers[33]]
    algorithm = message.verify(chain[0].key(), algorithms=list(CoseAlgorithm))
    assert entry["expected"]["result"] == "COSE signature VALID"
    for child, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        assert child.issuer == issuer.subject
        assert issuer.verify(child)
    payload = json.loads(message.payload)
    leaf = chain[0].window
    report = next((name for name in entry.get("related") or () if name.endswith("report.bin")), None)
    if report is not None:
        measured = vectors.read(report)[0x90:0xC0].hex() == payload["x-ms-sevsnpvm-launchmeasurement"]
        assert stated.pop("measurement_matches_report") is measured
    assert stated == {
        "alg": int(algorithm),
        "content_type": message.headers[3],
        "iss": message.headers["iss"],
        "feed": message.headers["feed"],
        "x5chain": [x509.load_der_x509_certificate(one.der).subject.rfc4514_string() for one in chain],
        "chain_ok": True,
        "leaf_valid": [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (leaf.start, leaf.end)],
        "payload": payload,
    }
    assert _moment(entry["expected"]["valid_at"]) in leaf


def security_policy(entry):
    """The policy whose hash the host handed in at launch: the SNP report of the same group carries it."""
    assert entry["expected"]["result"] in NOT_TESTED_WORDS
    policy = b64decode(vectors.read(entry["file"]).strip(), validate=True)
    assert policy.startswith(b"package ")
    for name in entry.get("related") or ():
        if name.endswith("report.bin"):
            assert vectors.read(name)[0xC0:0xE0] == hashlib.sha256(policy).digest()


KINDS = {
    "hcl-report": hcl_report,
    "az-snp-vtpm-evidence": _container_entry,
    "az-tdx-vtpm-evidence": _container_entry,
    "azure-tdx-vtpm-bundle": _container_entry,
    "az-vtpm-quote-bincode": bincode_quote,
    "tpms-attest": tpms_attest,
    "tpm-signature": tpm_signature,
    "public-key": public_key,
    "hcl-runtime-data": runtime_data,
    "x509": certificate,
    "uvm-endorsement-cose": uvm_endorsement,
    "aci-security-policy": security_policy,
}
ENTRIES = [entry for entry in vectors.entries("azure") if entry["kind"] not in OF_OTHERS]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_entry_reaches_its_stated_result(entry):
    assert vectors.pinned(entry)
    KINDS[entry["kind"]](entry)
    vectors.record("azure", entry["kind"])


@pytest.mark.parametrize("case", vectors.cases("azure-cvm-verify"), ids=lambda case: case["id"])
def test_case_reaches_its_stated_result(case):
    (name,) = case["files"].values()
    at = _moment(case["valid_at"])
    result = judge(container(name), platform_of(name), at, _given(name))
    _agrees(result, case["expected"]["result"])
    vectors.record("azure", "azure-cvm-verify")


@pytest.mark.parametrize(
    "name", [c["files"]["evidence"] for c in vectors.cases("azure-cvm-verify")], ids=lambda name: name
)
def test_with_all_that_vouches_for_it_genuine_evidence_is_authentic(name):
    """The stated results leave collateral and CRLs out; with those in the vectors, nothing is missing."""
    nonce = Attest.parse(parts(name).quote.message).extra_data
    result = full(name, binding=Expected(nonce))
    assert result.bound, result.ledger.unmet()
    assert not result.simulated
    assert result.claims.tpm.extra_data == nonce
    assert result.claims.user_data_bound is False


def test_user_data_of_the_guest_stand_in_both_layers():
    name = "azure/coco-trustee/az-snp-evidence-v2.json"
    nonce = Attest.parse(parts(name).quote.message).extra_data
    result = full(name, binding=Expected(nonce), user_data=Expected(nonce))
    assert result.bound
    assert result.claims.user_data_bound
    for wrong in (nonce[:-1], nonce + b"\x01", bytes(48)):
        refused = full(name, binding=Expected(nonce), user_data=Expected(wrong))
        assert [check.code for check in refused.ledger.failed()] == ["azure.runtime.user_data.mismatch"]


# --- Further real material, whose results stand beside it in words


def test_a_quote_of_another_machine_is_refused():
    """Reports and a quote of different attestation keys (audit-and-sealing: cross-binding must fail)."""
    quote = read_bincode_quote(vectors.read("azure/azure-cvm-tooling/quote.bin"))
    for file, platform in (
        ("azure/azure-cvm-tooling/hcl-report-tdx.bin", "azure-tdx"),
        ("azure/coco-attestation-service/az-hcl-data.bin", "azure-snp"),
    ):
        result = judge(AzureEvidence(vectors.read(file), quote), platform, SNP_TIME)
        assert result.ledger[checks.QUOTE.signature.id].outcome is Outcome.FAILED


ELSEWHERE = "audit-and-sealing/azure-cvm-tooling"


@pytest.mark.parametrize(
    ("name", "size", "length", "version", "key_use", "user_data"),
    [
        ("hcl-report-snp.bin", 1819, 583, 1, ("encrypt",), None),
        ("hcl-report-tdx.bin", 2438, 1202, 2, ("sign",), bytes(64)),
    ],
)
def test_hcl_reports_elsewhere_have_their_stated_fields(name, size, length, version, key_use, user_data):
    data = vectors.read(f"{ELSEWHERE}/{name}")
    fields, report = _hcl_fields(data)
    claims = parse_runtime(report.runtime).claims
    assert (report.size, len(report.runtime), report.version) == (size, length, version)
    assert fields["report_data_binds_var_data"]
    assert claims.attestation_key_use == key_use
    assert claims.user_data == user_data


def test_the_quote_elsewhere_verifies_under_its_key_and_no_other():
    quote = read_bincode_quote(vectors.read(f"{ELSEWHERE}/quote.bin"))
    assert _quote_outcome(quote, _pem_key(f"{ELSEWHERE}/akpub.pem")).claims is not None
    for name in ("hcl-report-snp.bin", "hcl-report-tdx.bin"):
        assert _quote_outcome(quote, _ak(f"{ELSEWHERE}/{name}")).claims is None


def test_evidence_of_trustee_that_was_tampered_with_is_refused():
    """The single bytes that Trustee's own tests change, in the report that the TDX evidence comes from."""
    found = parts("azure/coco-trustee/az-tdx-evidence-v1.json")
    at = 0x880
    spoilt = found.hcl[:at] + bytes([found.hcl[at] + 1]) + found.hcl[at + 1 :]
    result = judge(AzureEvidence(spoilt, found.quote, td_quote=found.td_quote), "azure-tdx", SNP_TIME)
    assert result.ledger.failed()


# What Trustee's own tests say of its samples: which bytes they change, and what must follow.
TRUSTEE = "trustee/trustee/deps/verifier/test_data"
TRUSTEE_NONCE = {
    "az-snp-vtpm/evidence-v0.json": b"challenge",
    "az-snp-vtpm/evidence-v1.json": b"challenge",
    "az-snp-vtpm/evidence-v2.json": bytes.fromhex(
        "982f5c6e45df0ed3f10b6f60b02f0c8390e281300f3805e2279c16168cd6ae9aa398f647caa2338748cd0fd9f5f819ef"
    ),
    "az-snp-vtpm/evidence-genoa.json": bytes.fromhex(
        "0218488bae25d2509232bf676f1a66a30d7372add909109b36016ef136f2938ca05475f8b46094de6b64270ea35d950f"
    ),
    "az-tdx-vtpm/evidence-v0.json": b"challenge",
    "az-tdx-vtpm/evidence-v1.json": b"challenge",
}


@pytest.mark.parametrize("name", TRUSTEE_NONCE)
def test_evidence_of_trustee_is_bound_to_its_nonce_and_no_other(name):
    nonce = TRUSTEE_NONCE[name]
    assert full(f"{TRUSTEE}/{name}", binding=Expected(nonce)).bound
    refused = full(f"{TRUSTEE}/{name}", binding=Expected(nonce[::-1]))
    assert [check.code for check in refused.ledger.failed()] == ["azure.quote.nonce.mismatch"]


@pytest.mark.parametrize(
    ("offset", "change", "codes"),
    [
        (0x1A6, lambda _: 0, ["snp.tcb.vek", "snp.report.signature"]),
        (0x6E0, lambda byte: byte + 1, ["azure.runtime.bound"]),
        (0x540, lambda _: 0, ["azure.runtime.layout"]),
    ],
)
def test_a_report_of_trustee_that_was_changed_is_refused(offset, change, codes):
    """A byte of the reported TCB, one of a setting, and one that leaves no JSON."""
    folder = f"{TRUSTEE}/az-snp-vtpm"
    hcl = vectors.read(f"{folder}/hcl-report.bin")
    vcek, *_ = _ders(vectors.read(f"{folder}/vcek.pem"))
    quote = read_bincode_quote(vectors.read(f"{folder}/quote.bin"))
    given = AzureEndorsements(snp=snp_endorsements("milan"))

    def judged(report):
        evidence = AzureEvidence(report, quote, vcek=vcek)
        return judge(evidence, "azure-snp", SNP_TIME, given, binding=Expected(b"challenge"))

    assert judged(hcl).bound
    spoilt = hcl[:offset] + bytes([change(hcl[offset])]) + hcl[offset + 1 :]
    assert [check.code for check in judged(spoilt).ledger.failed()] == codes


def test_a_report_of_trustee_and_its_td_quote_belong_together():
    folder = f"{TRUSTEE}/az-tdx-vtpm"
    hcl, quote = vectors.read(f"{folder}/hcl-report.bin"), vectors.read(f"{folder}/td-quote.bin")
    lone = read_bincode_quote(vectors.read(f"{folder}/quote.bin"))
    good = judge(AzureEvidence(hcl, lone, td_quote=quote), "azure-tdx", SNP_TIME)
    assert good.ledger[checks.RUNTIME_BOUND.id].outcome is Outcome.PASSED
    assert good.ledger[checks.QUOTE.signature.id].outcome is Outcome.PASSED
    at = 0x880
    spoilt = hcl[:at] + bytes([hcl[at] + 1]) + hcl[at + 1 :]
    bad = judge(AzureEvidence(spoilt, lone, td_quote=quote), "azure-tdx", SNP_TIME)
    assert bad.ledger[checks.RUNTIME_BOUND.id].outcome is Outcome.FAILED
