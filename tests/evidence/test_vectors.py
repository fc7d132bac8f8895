"""Every case and every entry of the families tdx and sgx reaches the result stated for it.

A result is stated in words and fields. Each word is mapped here, explicitly, to what this verifier says; a
word without an entry fails the test, and so does a kind of vector without a checker.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from assay.errors import AssayError, EndorsementError
from assay.evidence.dcap import checks
from assay.evidence.dcap.chains import Trust
from assay.evidence.dcap.collateral import Collateral, signed_member
from assay.evidence.dcap.documents import parse_qe_identity, parse_tcb_info
from assay.evidence.dcap.endorsed import verify_collateral
from assay.evidence.dcap.pck import OID_SGX_EXTENSION, PCK_CA_ROLE, PckExtension
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import certificates
from assay.evidence.decoding.strictjson import JsonError, raw_members
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.x509.certificate import Certificate, verifies
from assay.evidence.x509.crl import RevocationList
from support import vectors
from support.dcap_vectors import (
    collateral_of,
    compacted,
    declared,
    embedded_quotes,
    intel_signed,
    judge,
    moment,
    pck_authorities,
    tcb_signers,
)

# The other verifier's word for a platform that matches no level, and ours.
STATUS = {"NoMatchingTcbLevel": "NotSupported"}

# What a quote is said to fail, and the codes under which this verifier may refuse it first: a chain in the
# wrong order does not end in the pinned root; an encrypted PPID in place of a chain is refused by its type.
REASONS = {
    "quote_signature_ok": {"dcap.quote.signature"},
    "qe_report_signature_ok": {"dcap.qe_report.signature", "dcap.quote.certification_type"},
    "chain_signatures_ok": {
        "dcap.pck.chain",
        "dcap.pck.malformed",
        "dcap.root.not_pinned",
        "dcap.quote.certification_type",
    },
}
SGX_TYPES = {"standard": 0, "scalable": 1, "scalable_with_integrity": 2, "scalable with integrity": 2}

# The checks that a genuine quote passes without collateral.
OWN_CHECKS = (*checks.LAYOUT_CHECKS, *checks.PCK_CHECKS, *checks.ENCLAVE_CHECKS, checks.QUOTE_SIGNATURE)


def collateral_named(name: str) -> Collateral | None:
    """Return collateral by the last part of its path; None when it is not among the vectors here."""
    found = [
        e["file"] for e in vectors.entries(kind="dcap-collateral") if PurePosixPath(e["file"]).name == name
    ]
    return collateral_of(found[0]) if found else None


def codes(result) -> set[str]:
    return {check.code for check in result.ledger.failed()}


# --- Cases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", vectors.cases("dcap-verify"), ids=lambda case: case["id"])
def test_case(case):
    expected = case["expected"]
    result = judge(
        vectors.read(case["files"]["quote"]),
        case["family"],
        moment(case["valid_at"]),
        collateral_of(case["files"]["collateral"]),
    )
    assert result.authentic, result.ledger.unmet()
    assert not result.simulated
    claims, tcb = result.claims, result.claims.tcb
    overall = expected["overall_tcb_status"]
    assert tcb.status == STATUS.get(overall, overall)
    assert tcb.platform_status == (expected["platform_tcb_status"] or "NotSupported")
    assert tcb.module_status == expected["tdx_module_status"]
    assert tcb.qe_status == expected["qe_tcb_status"]
    assert list(tcb.platform_advisories) == expected["advisories"]
    assert set(expected["advisories"]) <= set(tcb.advisories)
    assert claims.debug is expected["debug"]
    assert (result.ledger[checks.TCB_INFO_FMSPC.id].outcome is Outcome.PASSED) is expected["fmspc_match"]
    assert (result.ledger[checks.PCK_CRL_REVOKED.id].outcome is Outcome.FAILED) is expected["pck_revoked"]
    assert expected["result"] == f"crypto-valid; TCB {overall}" + ("; DEBUG enabled" if claims.debug else "")
    window = case["evaluation"]
    assert tcb.tcb_evaluation_number == window["tcb_eval_number"]
    assert tcb.qe_evaluation_number == window["qe_eval_number"]
    assert tcb.collateral_valid_from <= moment(case["valid_at"]) <= tcb.collateral_valid_until
    if window.get("tcb_date"):
        assert tcb.platform_date == moment(window["tcb_date"])
        assert tcb.effective_date <= tcb.platform_date
    agrees_with_the_second_opinion(case, tcb)
    vectors.record(case["family"], "dcap-verify")


# Where the other verifier gives another answer, and why ours is the one that is stated.
EXPLAINED = (
    "Failed to decode TcbInfo",  # does not read TCB info version 2
    "SEPT_VE_DISABLE is not enabled",  # refuses attributes as if they were authenticity: appraisal here
    "Invalid MR service TD",  # the same
    "Debug mode is enabled",  # the same
    "No matching TCB level found",  # a status here, which no policy admits
)


def agrees_with_the_second_opinion(case, tcb):
    other = (case["second_opinion"] or {}).get("dcap-qvl==0.7.0")
    if other is None:
        return
    if other["ok"]:
        assert tcb.status == other["status"]
        assert set(tcb.advisories) == set(other["advisories"])
    else:
        assert any(reason in other["error"] for reason in EXPLAINED), other["error"]


# --- Quotes -----------------------------------------------------------------------------------------------


def check_quote(entry):
    expected, quote, platform = entry["expected"], vectors.read(entry["file"]), entry["family"]
    words = [word.strip() for word in expected["result"].split(";")]
    at = moment(expected["valid_at"]) if expected["valid_at"] else moment("2025-06-01T00:00:00Z")
    own = judge(quote, platform, at, None)
    assert not own.authentic
    assert_fields(own, quote, expected["key_fields"], platform)
    for word in words:
        assert_word(word, own, quote, platform, entry)


def assert_word(word, own, quote, platform, entry):
    for pattern, check in WORDS:
        found = re.fullmatch(pattern, word)
        if found:
            check(found, own, quote, platform, entry)
            return
    pytest.fail(f"no meaning for {word!r}")


def chain_is_valid(found, own, quote, platform, entry):
    for spec in OWN_CHECKS:
        assert own.ledger[spec.id].outcome is Outcome.PASSED, own.ledger[spec.id]
    for spec in checks.COLLATERAL_CHECKS:
        assert own.ledger[spec.id].code == "dcap.collateral.missing"
    need = next(need for need in own.needs if need.kind == "collateral")
    assert need.key["fmspc"] == entry["expected"]["key_fields"]["pck_ext"]["fmspc"]
    assert need.key["ca"] in entry["expected"]["key_fields"]["pck_issuer"].lower()
    assert need.key["tee"] == platform


def root_is_another(found, own, quote, platform, entry):
    assert codes(own) == {"dcap.root.not_pinned"}


def is_invalid(found, own, quote, platform, entry):
    reasons = found[1].split(",")
    for reason in reasons:
        assert codes(own) & REASONS[reason], (reason, codes(own))
    assert codes(own) <= set().union(*(REASONS[reason] for reason in reasons)), codes(own)


def is_debug(found, own, quote, platform, entry):
    assert own.decoded == {} or own.decoded["debug"] is True


def has_padding(found, own, quote, platform, entry):
    region = (len(quote) - int(found[1]), len(quote), "zero padding")
    assert [(r.start, r.end, r.name) for r in own.unsigned] == [region]


def has_status(found, own, quote, platform, entry):
    collateral = collateral_named(found[3])
    if collateral is not None:
        result = judge(quote, platform, moment(found[2]), collateral)
        assert result.claims.tcb.status == STATUS.get(found[1], found[1])


def only_the_chain(found, own, quote, platform, entry):
    """No collateral was archived; the result without it is already compared."""


WORDS = (
    (r"signature chain VALID", chain_is_valid),
    (r"signature chain VALID but root is NOT the Intel production root \(\w+\)", root_is_another),
    (r"INVALID/UNVERIFIABLE: (\S+)", is_invalid),
    (r"DEBUG attribute set", is_debug),
    (r"(\d+) trailing bytes after declared length", has_padding),
    (r"(?:TCB )?(\w+) @ (\S+) \((\S+)\)", has_status),
    (r"no matching collateral archived: valid_at only covers the PCK chain", only_the_chain),
)


def assert_fields(result, quote, fields, platform):
    """Compare the decoded fields with the stated ones, under our names."""
    if not result.decoded:
        return
    decoded = dict(result.decoded)
    assert decoded["version"] == fields["version"]
    assert decoded["user_data"] == fields["user_data"]
    assert decoded["trailing_bytes"] == fields["trailing_bytes"]
    stated = dict(fields["body"])
    for name in list(stated):
        ours = FIELD_NAMES.get(name, name)
        value = stated.pop(name)
        if isinstance(value, list):
            value = tuple(value)
            assert tuple(decoded[f"rtmr{index}"] for index in range(len(value))) == value
        else:
            assert decoded[ours] == value, name
    if "pck_ext" in fields and "fmspc" in decoded:
        for name, ours in (("fmspc", "fmspc"), ("pceid", "pce_id"), ("ppid", "ppid")):
            assert decoded[ours] == fields["pck_ext"][name]


WITHDRAWN_ROOT = "fc64f8076d79a4fee9d1d473d74c89eb8d8fd55c5abafeabeba7366d20429404"

FIELD_NAMES = {
    "cpusvn": "cpu_svn",
    "miscselect": "misc_select",
    "mrenclave": "mr_enclave",
    "mrsigner": "mr_signer",
    "isvprodid": "isv_prod_id",
    "isvsvn": "isv_svn",
    "mrseam": "mr_seam",
    "mrsignerseam": "mr_signer_seam",
    "seamattributes": "seam_attributes",
    "tdattributes": "td_attributes",
    "seam_attributes": "seam_attributes",
    "mrtd": "mr_td",
    "mrconfigid": "mr_config_id",
    "mrowner": "mr_owner",
    "mrownerconfig": "mr_owner_config",
    "mr_seamsigner": "mr_signer_seam",
    "mrsigner_seam": "mr_signer_seam",
    "reportdata": "report_data",
    "tee_tcb_svn2": "tee_tcb_svn_2",
    "mrservicetd": "mr_service_td",
    "mr_servicetd": "mr_service_td",
}


def check_fake_quote(entry):
    result = judge(vectors.read(entry["file"]), entry["family"], moment("2025-06-01T00:00:00Z"), None)
    assert entry["expected"]["result"].startswith("FAKE: must be rejected")
    assert codes(result) & {
        "dcap.quote.vendor",
        "dcap.quote.truncated",
        "dcap.quote.version",
        "dcap.quote.key_type",
    }


def check_embedded(entry):
    """Formats of others around a genuine quote: the quote inside is verified, the wrapping is not ours."""
    found = embedded_quotes(vectors.read(entry["file"]))
    assert len(found) == 1
    version, tee = found[0][0], found[0][4]
    platform = "tdx" if version > 3 and tee == 0x81 else "sgx"
    quote = declared(found[0])
    result = judge(quote, platform, moment("2025-06-01T00:00:00Z"), None)
    for check in result.ledger.failed():
        # The time of the capture is not stated; some are older than the present issue of Intel's root.
        assert check.id == checks.PCK_VALIDITY.id or WITHDRAWN_ROOT in check.reason, check
    assert result.ledger[checks.QE_REPORT_DATA.id].outcome is Outcome.PASSED
    assert result.ledger[checks.QUOTE_SIGNATURE.id].outcome is Outcome.PASSED


def check_negative(entry):
    """Samples that must fail: a report whose quote was spoilt, a certificate with a quote in it."""
    data = vectors.read(entry["file"])
    with pytest.raises(DerError):
        Certificate.parse(data)
    for found in embedded_quotes(data):
        for quote in (found, declared(found)):
            for platform in ("sgx", "tdx"):
                assert judge(quote, platform, moment("2022-06-01T00:00:00Z"), None).ledger.failed()


# --- Documents --------------------------------------------------------------------------------------------


def assert_document(raw: bytes, fields):
    """Compare a decoded TCB info or QE identity with the stated fields."""
    info = "fmspc" in fields
    document = parse_tcb_info(raw) if info else parse_qe_identity(raw)
    assert document.version == fields["version"]
    assert document.window.start == moment(fields["issueDate"])
    assert document.window.end == moment(fields["nextUpdate"])
    assert document.evaluation_number == fields["tcbEvaluationDataNumber"]
    if "id" in fields:
        assert document.id == fields["id"]
    statuses: dict[str, int] = {}
    for level in document.levels:
        statuses[level.standing.status] = statuses.get(level.standing.status, 0) + 1
    assert statuses == fields["tcb_statuses"]
    if info:
        assert document.fmspc.hex() == fields["fmspc"].lower()
        assert document.pce_id.hex() == fields["pceId"]
    else:
        assert document.mr_signer.hex().upper() == fields["mrsigner"]
        assert document.isv_prod_id == fields["isvprodid"]


def assert_signed(answer: bytes, name: str, fields):
    """An answer verifies over its raw bytes; one that was indented is refused, and its original verifies."""
    raw, signature = signed_member(answer, name)
    if not intel_signed(raw, signature):
        assert raw != compacted(raw)
        raw = compacted(raw)
        assert intel_signed(raw, signature)
    assert_document(raw, fields)


def check_answer(entry):
    """An answer of the PCS as it was received: ``{tcbInfo | enclaveIdentity, signature}``."""
    expected, answer = entry["expected"], vectors.read(entry["file"])
    name = "tcbInfo" if entry["kind"] == "tcb-info" else "enclaveIdentity"
    if expected["result"] == "Intel TCB-signing signature VALID":
        assert_signed(answer, name, expected["key_fields"])
    elif expected["result"].startswith("signature not verified"):
        try:
            raw, signature = signed_member(answer, name)
        except EndorsementError:
            return
        assert not any(intel_signed(form, signature) for form in (raw, compacted(raw)))
    elif expected["result"].startswith("NOT VALID JSON"):
        with pytest.raises(EndorsementError, match="not JSON"):
            signed_member(answer, name)
    else:
        assert expected["result"] == "data"
        with pytest.raises(EndorsementError):
            signed_member(answer, name)


def check_wrapped_answer(entry):
    """An answer of the PCS as text in a member beside its issuer chain."""
    expected = entry["expected"]
    members = json.loads(vectors.read(entry["file"]))
    chain = members["issuer_chain"].encode()
    signer = Certificate.parse(certificates(chain, count=2)[0])
    if "crl_data" in members:
        assert signer in pck_authorities()
        assert_crl(pem_crl(members["crl_data"]), signer)
    elif "tcb_evaluation_data_numbers_json" in members:
        answer = members["tcb_evaluation_data_numbers_json"].encode()
        assert signer in tcb_signers()
        assert intel_signed(*signed_member(answer, "tcbEvaluationDataNumbers"))
    else:
        name, inner = (
            ("tcbInfo", "tcb_info_json")
            if "tcb_info_json" in members
            else ("enclaveIdentity", "enclave_identity_json")
        )
        assert expected["result"] == "Intel TCB-signing signature VALID"
        assert signer in tcb_signers()
        assert_signed(members[inner].encode(), name, expected["key_fields"])


def check_evaluation_numbers(entry):
    """Not used by a verification; signed by the same signer over raw bytes all the same."""
    assert intel_signed(*signed_member(vectors.read(entry["file"]), "tcbEvaluationDataNumbers"))


def check_artifact(entry):
    """Fortanix's form: the raw signed text as a string, the signature as DER in a list of numbers."""
    expected, data = entry["expected"], vectors.read(entry["file"])
    if data.startswith(b"-----BEGIN X509 CRL-----"):
        assert_crl(pem_crl(data.decode()), Roots.vendor().intel[0].certificate, expected["key_fields"])
        return
    members = json.loads(data)
    if "crl" in members:
        issuer = Certificate.parse(certificates(members["ca_chain"][0].encode(), count=1)[0])
        assert issuer in pck_authorities()
        assert_crl(pem_crl(members["crl"]), issuer)
        return
    raw = (members.get("raw_tcb_info") or members["raw_enclave_identity"]).encode()
    signature = bytes(members["signature"])
    valid = any(verifies(signer.key(), signature, raw) for signer in tcb_signers())
    assert expected["result"] == f"signature over raw_* string {'VALID' if valid else 'INVALID (corrupted)'}"
    if valid:
        assert_document(raw, expected["key_fields"])


def check_collateral(entry):
    """All documents verify at the stated time under Intel's root, or none does under a mock of it."""
    expected = entry["expected"]
    fields = expected["key_fields"]
    trust = Trust(Roots.vendor().intel[0], {}, moment(expected["valid_at"]), FactCache())
    ledger, endorsed = verify_collateral(collateral_of(entry["file"]), entry["family"], trust)
    if "root is NOT Intel production" in expected["result"]:
        assert ledger[checks.ROOT_CRL_ISSUER.id].outcome is Outcome.FAILED
        assert ledger[checks.TCB_SIGNER_CHAIN.id].outcome is Outcome.FAILED
        assert ledger[checks.PCK_CRL_CHAIN.id].outcome is Outcome.FAILED
        assert endorsed.tcb_info is None
        return
    assert expected["result"] == "all collateral signatures VALID"
    assert not ledger.unmet()
    assert endorsed.tcb_info.fmspc.hex() == fields["tcb_fmspc"]
    assert endorsed.tcb_info.version == fields["tcb_version"]
    assert endorsed.tcb_info.evaluation_number == fields["tcb_eval_number"]
    assert endorsed.qe_identity.evaluation_number == fields["qe_eval_number"]
    assert endorsed.tcb_info.window.start == moment(fields["tcb_issue"])
    assert len(endorsed.pck_crl.revoked) == fields["pck_crl_revoked_count"]
    assert endorsed.window.start == moment(fields["collateral_valid_from"])
    assert endorsed.window.end == moment(fields["collateral_valid_to"])


def check_scale_collateral(entry):
    """SCALE: vectors with a compact length. Cut apart, the documents verify over their raw bytes."""
    data = vectors.read(entry["file"])
    parts, at = [], 0
    while at < len(data):
        size, at = scale_length(data, at)
        parts.append(data[at : at + size])
        at += size
    pck_chain, root_crl, pck_crl, info_chain, info, info_signature, qe_chain, identity, qe_signature = parts
    collateral = Collateral(
        root_ca_crl=bytes.fromhex(root_crl.decode()),
        pck_crl=bytes.fromhex(pck_crl.decode()),
        pck_crl_issuer_chain=pck_chain,
        tcb_info=info,
        tcb_info_signature=info_signature,
        tcb_info_issuer_chain=info_chain,
        qe_identity=identity,
        qe_identity_signature=qe_signature,
        qe_identity_issuer_chain=qe_chain,
    )
    trust = Trust(Roots.vendor().intel[0], {}, moment("2023-12-10T00:00:00Z"), FactCache())
    ledger, endorsed = verify_collateral(collateral, "sgx", trust)
    assert not ledger.unmet()
    assert endorsed.tcb_info.fmspc.hex() == "00a067110000"


def scale_length(data: bytes, at: int) -> tuple[int, int]:
    """Return a SCALE compact length and where its vector begins."""
    width = {0: 1, 1: 2, 2: 4}.get(data[at] & 3)
    if width is None:
        raise ValueError("a length of more than four bytes")
    return int.from_bytes(data[at : at + width], "little") >> 2, at + width


def check_open_enclave_endorsements(entry):
    """Open Enclave's form is not ours; the two signed answers in it verify over their raw bytes."""
    data = vectors.read(entry["file"])
    for name, start in (("tcbInfo", b'{"tcbInfo":'), ("enclaveIdentity", b'{"enclaveIdentity":')):
        text = data[data.index(start) :].decode("latin-1")
        _, end = json.JSONDecoder().raw_decode(text)
        assert intel_signed(*signed_member(text[:end].encode(), name))


# --- Certificates and CRLs --------------------------------------------------------------------------------


def pem_crl(text: str) -> bytes:
    return b64decode("".join(line for line in text.splitlines() if line and not line.startswith("-----")))


def assert_crl(der: bytes, issuer: Certificate, fields=None):
    crl = RevocationList.parse(der)
    assert crl.issuer == issuer.subject
    assert crl.authority == issuer.key_identifier()
    assert verifies(issuer.key(), crl.signature, crl.signed)
    other = x509.load_der_x509_crl(der)
    assert {int.from_bytes(serial, "big") for serial in crl.revoked} == {item.serial_number for item in other}
    if fields is not None:
        assert crl.window.start == moment(fields["last_update"])
        assert crl.window.end == moment(fields["next_update"])
        assert len(crl.revoked) == fields["revoked_count"]
        serials = {f"{int.from_bytes(serial, 'big'):x}" for serial in crl.revoked}
        assert set(fields["revoked_serials"]) <= serials
        assert x509.Name.from_rfc4514_string(fields["issuer"]) == other.issuer


def check_crl(entry):
    expected = entry["expected"]
    assert expected["result"] == "CRL signature VALID"
    der = vectors.read(entry["file"])
    issuers = [Roots.vendor().intel[0].certificate, *pck_authorities()]
    issuer = next(issuer for issuer in issuers if issuer.subject == RevocationList.parse(der).issuer)
    assert_crl(der, issuer, expected["key_fields"])


def check_certificates(entry):
    """Certificates decode to the stated fields; what the strict decoder refuses is no genuine one."""
    expected, data = entry["expected"], vectors.read(entry["file"])
    fields = expected["key_fields"]
    ders = (data,) if data[:1] == b"0" else certificates(data, count=fields["count"])
    assert [x509_digest(der) for der in ders] == fields["sha256"]
    if entry["origin"] == "simulated":
        with pytest.raises(AssayError) as refused:
            Roots.vendor().with_anchor("mock", ders[-1])
        assert refused.value.code == "roots.published_test_root"
        return
    if any(x509.load_der_x509_certificate(der).public_key().curve.name != "secp256r1" for der in ders):
        check_foreign_curve(ders, fields)
        return
    found = [Certificate.parse(der) for der in ders]
    for certificate, subject in zip(found, fields["subjects"], strict=True):
        assert f"CN={certificate.common_name}" in subject
    assert max(certificate.window.start for certificate in found) == moment(fields["valid_from"])
    assert min(certificate.window.end for certificate in found) == moment(fields["valid_to"])
    if "pck_ext" in fields:
        assert_extension(found[0].extensions[OID_SGX_EXTENSION][1], fields["pck_ext"])
    if "NEGATIVE" in (entry.get("notes") or ""):
        # A chain of the wrong role in the place of a TCB signer's.
        assert found[0] not in tcb_signers()
        assert PCK_CA_ROLE.defect(found[0]) is None


def check_foreign_curve(ders, fields):
    """Samples with P-384 keys, which Intel never issued: refused, though their extension is readable."""
    for der in ders:
        with pytest.raises(DerError):
            Certificate.parse(der)
    oid = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
    extension = x509.load_der_x509_certificate(ders[0]).extensions.get_extension_for_oid(oid)
    assert_extension(extension.value.value, fields["pck_ext"])


def assert_extension(value: bytes, stated):
    extension = PckExtension.parse(value)
    assert extension.ppid.hex() == stated["ppid"]
    assert list(extension.components) == stated["tcb"]
    assert extension.pce_svn == stated["pcesvn"]
    assert extension.cpu_svn.hex() == stated["cpusvn"]
    assert extension.pce_id.hex() == stated["pceid"]
    assert extension.fmspc.hex() == stated["fmspc"]
    assert extension.sgx_type == SGX_TYPES[stated["sgx_type"]]


def x509_digest(der: bytes) -> str:
    import hashlib

    return hashlib.sha256(der).hexdigest()


# --- Kinds that this verifier does not verify -------------------------------------------------------------


def check_avr(entry):
    """EPID reports of the retired IAS: not verified by Assay; the result is reached by bare RSA here."""
    expected = entry["expected"]
    if expected["result"] == "companion file":
        return
    assert expected["result"] == "IAS report signature VALID"
    signature = b64decode(vectors.read(expected["key_fields"]["signature_file"]))
    folder = PurePosixPath(entry["file"]).parent
    chain = unquote_to_bytes(vectors.read(f"{folder}/avr_certificates_urlencoded.pem"))
    signer = x509.load_pem_x509_certificates(chain)[0]
    signer.public_key().verify(signature, vectors.read(entry["file"]), padding.PKCS1v15(), SHA256())


def check_pinned_only(entry):
    """Not a format of this verifier: its digest is all that is checked, and that it is refused as a quote."""
    result = judge(vectors.read(entry["file"]), "tdx", moment("2025-06-01T00:00:00Z"), None)
    assert result.ledger.failed()


def check_elsewhere(entry):
    """Checked by the tests of event logs."""


CHECKERS = {
    "tdx-quote": check_quote,
    "sgx-quote": check_quote,
    "tdx-quote-fake": check_fake_quote,
    "tdx-quote-borsh": check_embedded,
    "oe-report": check_embedded,
    "oe-evidence": check_embedded,
    "oasis-quote-bundle": check_embedded,
    "oasis-sgx-attestation": check_embedded,
    "oak-evidence": check_embedded,
    "sgx-negative": check_negative,
    "tcb-info": check_answer,
    "qe-identity": check_answer,
    "pcs-response": check_wrapped_answer,
    "pcs-artifact": check_artifact,
    "tcb-eval-numbers": check_evaluation_numbers,
    "dcap-collateral": check_collateral,
    "dcap-collateral-scale": check_scale_collateral,
    "oe-endorsements": check_open_enclave_endorsements,
    "crl": check_crl,
    "x509": check_certificates,
    "x509-chain": check_certificates,
    "pck-chain": check_certificates,
    "ias-avr": check_avr,
    "ita-jwt": check_pinned_only,
    "tdx-report": check_pinned_only,
    "expected-claims": check_pinned_only,
    "ccel": check_elsewhere,
}
COUNTED_ELSEWHERE = {"ccel", "ita-jwt"}  # by the tests of event logs and of tokens


@pytest.mark.parametrize(
    "entry",
    [*vectors.entries(family="tdx"), *vectors.entries(family="sgx")],
    ids=lambda entry: entry["file"],
)
def test_entry(entry):
    assert vectors.pinned(entry)
    CHECKERS[entry["kind"]](entry)
    if entry["kind"] not in COUNTED_ELSEWHERE:
        vectors.record(entry["family"], entry["kind"])


def test_an_indented_answer_is_refused_over_its_raw_bytes():
    """The signature of an answer that was re-indented fails; nothing is compacted on the way."""
    answer = vectors.read("sgx/teekit/tcbInfo-sgx-b0c06f000000.json")
    raw, signature = signed_member(answer, "tcbInfo")
    indented = json.dumps(json.loads(answer), indent=2).encode()
    altered, _ = signed_member(indented, "tcbInfo")
    assert altered == raw_members(indented, max_bytes=1 << 20)["tcbInfo"] != raw
    assert not intel_signed(altered, signature)
    with pytest.raises(JsonError):
        parse_tcb_info(raw + b" {}")
