"""Every case and every entry of the family snp, and Azure's VCEKs, reach the result stated for them.

A result is stated in words and fields. Each word is mapped here, explicitly, to what this verifier says; a
word or a field without an entry fails the test, and so does a kind of vector without a checker.
"""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise

import pytest
from cryptography import x509

from assay.errors import EvidenceError
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.snp import SnpEndorsements, checks
from assay.evidence.snp.carriers import unwrap
from assay.evidence.snp.claims import FirmwareVersion, GuestPolicy
from assay.evidence.snp.products import FORGEABLE, product_of_cpuid
from assay.evidence.snp.report import REPORT_BYTES
from assay.evidence.snp.table import ARK, ASK, VCEK, parse_table
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import issue_defect
from assay.evidence.x509.revocation import GeneralRevocationList
from support import vectors
from support.snp_vectors import (
    authorities,
    crls,
    ders,
    embedded_certificates,
    embedded_reports,
    endorsed,
    judge,
    moment,
    root_named,
    unpacked,
    window_of,
    with_crl,
)

AT = moment("2026-01-01T00:00:00Z")  # where no time is stated

# Why a report that is said to have an invalid signature is refused first, where it is not by its signature.
INVALID = {
    "guest_report_bad_sig.bin": "snp.table.truncated",  # one byte stands behind the report
    "fake_report_v1.bin": "snp.report.version",
    "report_2_badsig.bin": "snp.report.signature",
    "report_3_msg_badsig.bin": "snp.report.signature",
}
# An entry that one cloud's hosts add to their tables: what CPUID says.
PLATFORM_INFO = bytes.fromhex("ecae0c0f950243b1afa20ae2e0d565b6")
# The chip of these is that of this certificate.
SIGNERS = {
    "report_2_badsig.bin": "snp/fraunhofer-cmc/vcek.der",
    "report_3_msg_badsig.bin": "snp/fraunhofer-cmc/vcek.der",
}


def base(name: str) -> str:
    return name.rpartition("/")[2]


def passed(result, specs) -> bool:
    good = (Outcome.PASSED, Outcome.NOT_APPLICABLE)
    return all(result.ledger[spec.id].outcome in good for spec in specs)


def assert_valid(result, report: bytes):
    """Chain and signature hold; all that is missing is the CRL, and the result says so."""
    everything = [s for s in checks.CHECKS if s not in (*checks.CRL_CHECKS, checks.BINDING)]
    assert passed(result, everything), result.ledger.failed()
    assert {result.ledger[spec.id].code for spec in checks.CRL_CHECKS} == {"snp.crl.missing"}
    assert [need.kind for need in result.needs] == ["snp-crl", "binding"]
    assert not result.authentic
    assert not result.simulated
    assert result.signed_digest == hashlib.sha256(report[:672]).digest()


def assert_invalid(name: str, report: bytes):
    signer = SIGNERS.get(base(name))
    result = judge(report, endorsed(vectors.read(signer)) if signer else None, AT)
    assert [check.code for check in result.ledger.failed() if check.code != "snp.chain.validity"] == [
        INVALID[base(name)]
    ]


def assert_unverified(report: bytes):
    """The report decodes, and the result says which certificate it needs."""
    result = judge(report, None, AT)
    assert passed(result, checks.LAYOUT_CHECKS)
    assert result.ledger[checks.SNP_SIGNATURE.id].code == "snp.vek.missing"
    need = result.needs[0]
    assert need.kind == "snp-vek"
    assert need.key["chip_id"] == result.decoded["chip_id"]


def assert_authentic(report: bytes, endorsements: SnpEndorsements):
    """With the archived CRL of its root, at a time for all of them, the report is authentic."""
    complete = with_crl(endorsements)
    if complete is None:
        return
    given, at = complete
    facts = FactCache()
    fresh, known = (judge(report, given, at, facts) for _ in range(2))
    for result in (fresh, known):
        assert result.authentic, result.ledger.unmet()
        assert not result.simulated
        claims = result.claims
        assert claims.forgeable is (claims.product in FORGEABLE)
        assert claims.debug is result.decoded["debug"]
        assert claims.alias_check_complete is claims.platform.alias_check_complete
        assert claims.endorsed_from <= at <= claims.endorsed_until
    assert fresh.claims == known.claims
    assert fresh.ledger == known.ledger


# --- Cases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", vectors.cases("snp-verify"), ids=lambda case: case["id"])
def test_case(case):
    files, expected = case["files"], case["expected"]
    report = vectors.read(files["report"])
    words = expected["result"].split("; ")
    if words == ["REJECT: signature INVALID"]:
        assert_invalid(files["report"], report)
        vectors.record("snp", "snp-verify")
        return
    given = endorsed(vectors.read(files["signer"]))
    result = judge(report, given, moment(case["valid_at"]))
    assert words.pop(0) == f"signature VALID against {files['signer']}"
    assert words.pop(0) == "chain VALID"
    assert_valid(result, report)
    assert words == (["DEBUG policy"] if expected["debug"] else [])
    stated = {"result", "version", "measurement", "debug", "tcb_match"}
    assert set(expected) == stated
    for name in ("version", "measurement", "debug"):
        assert result.decoded[name] == expected[name]
    assert passed(result, [checks.TCB_VEK]) is expected["tcb_match"]
    assert_authentic(report, given)
    vectors.record("snp", "snp-verify")


# --- Reports -----------------------------------------------------------------------------------------------


def check_report(entry, report=None):
    expected, name = entry["expected"], entry["file"]
    evidence = vectors.read(name) if report is None else report
    fields = dict(expected["key_fields"])
    result = expected["result"]
    if result == "signature INVALID":
        assert_invalid(name, evidence)
    elif result == "signature UNVERIFIED: VCEK/VLEK not archived":
        assert_unverified(evidence)
        if fields["trailing_bytes"]:
            # Not the tail of a structure, as stated, but a table with one entry that is no certificate.
            assert list(parse_table(evidence[REPORT_BYTES:])) == [PLATFORM_INFO]
    else:
        signer = fields["signer_file"]
        words = result.split("; ")
        assert words[:2] == [f"signature VALID against {signer}", "chain VALID"]
        assert words[2:] == (["DEBUG policy"] if fields["policy_debug"] else [])
        given = endorsed(vectors.read(signer))
        assert_valid(judge(evidence, given, moment(expected["valid_at"])), evidence)
        assert_authentic(evidence, given)
        assert_signer(fields, given)
    assert_fields(evidence[:REPORT_BYTES], fields, len(evidence))


def assert_signer(fields, given: SnpEndorsements):
    """Compare what the certificate of the key says with the stated fields, and take these away."""
    leaf = GeneralCertificate.parse(given.vek)
    issuer = GeneralCertificate.parse(given.authority)
    kind = leaf.common_name.removeprefix("SEV-").lower()
    extensions = VekExtensions.parse(leaf.extensions, kind)
    assert fields.pop("signer_file")
    assert parts_of(extensions) == fields.pop("signer_tcb")
    assert (extensions.tcb.hex() == fields["reported_tcb"]) is fields.pop("signer_tcb_matches_reported")
    named = None if extensions.hwid is None else extensions.hwid.ljust(64, b"\0").hex() == fields["chip_id"]
    assert named in (None, True)
    assert fields.pop("hwid_matches_chip_id", None) is named
    assert fields.pop("csp_id") == extensions.csp_id
    window = window_of(given)
    stated = moment(fields.pop("chain_valid_from")), moment(fields.pop("chain_valid_to"))
    assert (window.start, window.end) == stated
    assert f"CN=ARK-{extensions.product}," in fields.pop("product")
    assert issuer.issuer == root_named(issuer.issuer).subject


def parts_of(extensions: VekExtensions) -> dict[str, int]:
    from assay.evidence.snp import TcbVersion

    return TcbVersion(extensions.product, extensions.tcb).components


def assert_fields(report: bytes, fields, size: int):
    """Compare every stated field with what we decode; the first byte of a version that we refuse is all."""
    assert fields.pop("trailing_bytes", 0) == size - len(report)
    if fields["version"] == 1:
        assert report[0] == 1
        return
    decoded = dict(judge(report, None, AT).decoded)
    policy = GuestPolicy(int(fields.pop("policy"), 16))
    assert decoded["policy"] == hex(policy.raw)
    assert fields.pop("policy_debug") is policy.debug is decoded["debug"]
    assert fields.pop("policy_migrate_ma") is policy.migrate_ma
    assert fields.pop("policy_smt") is policy.smt
    assert fields.pop("policy_abi") == f"{policy.abi_major}.{policy.abi_minor}"
    assert fields.pop("signature_algo") == 1
    assert fields.pop("author_key_en") is decoded["author_key"]
    assert fields.pop("signing_key").lower() == decoded["signing_key"]
    need = judge(report, None, AT).needs[0].key
    parts = {name: int(need[name]) for name in ("fmc", "bl", "tee", "snp", "ucode") if name in need}
    assert fields.pop("reported_tcb_parts") == parts
    if "cpuid_fam_id" in fields:
        cpuid = [fields.pop(f"cpuid_{name}") for name in ("fam_id", "mod_id", "step")]
        assert decoded["cpuid"] == cpuid
        assert product_of_cpuid(*cpuid[:2]) == fields.pop("product_from_cpuid")
    for name in ("launch_mit_vector", "current_mit_vector"):
        if name in fields:
            value = fields.pop(name)
            ours = decoded[name.replace("mit_vector", "mitigations")]
            assert (int(value, 16) if isinstance(value, str) else value) == ours
    for name, value in fields.items():
        assert decoded[name] == value, name


def check_negative(entry):
    report = vectors.read(entry["file"])
    assert entry["expected"]["result"] == f"INVALID: shorter than {REPORT_BYTES} bytes"
    assert entry["expected"]["key_fields"] == {"len": len(report)}
    assert [check.code for check in judge(report, None, AT).ledger.failed()] == ["snp.report.length"]


def check_response(entry):
    answer = vectors.read(entry["file"])
    check_report(entry, unwrap(answer))
    for spoilt in (answer[:-1][:1000], answer + b"\1", answer.ljust(4097, b"\0")):
        with pytest.raises(EvidenceError) as refused:
            unwrap(spoilt)
        assert refused.value.code == "snp.carrier.malformed"


def check_table(entry):
    data = vectors.read(entry["file"])
    expected = entry["expected"]
    assert expected["result"] == "parsed"
    assert_entries(data, expected["key_fields"]["entries"])


def assert_entries(data: bytes, stated):
    contents = parse_table(data)
    assert list(contents) == [ARK, ASK, VCEK]
    for guid, item in zip(contents, stated, strict=True):
        assert guid.hex() == item["guid"].replace("-", "")
        assert contents[guid] == data[item["offset"] : item["offset"] + item["length"]]
        assert item["format"] == "PEM"
        assert contents[guid].startswith(b"-----BEGIN CERTIFICATE-----")


def check_extended(entry):
    """The report brings its own certificates; only the CRL is missing."""
    data, expected = vectors.read(entry["file"]), entry["expected"]
    fields = dict(expected["key_fields"])
    assert_entries(data[REPORT_BYTES:], fields["entries"])
    result = judge(data, None, moment(expected["valid_at"]))
    assert_valid(result, data)
    assert [(r.start, r.end) for r in result.unsigned] == [(REPORT_BYTES, len(data))]
    own = dict(fields["report"])
    given = SnpEndorsements.from_table(data[REPORT_BYTES:])
    assert expected["result"] == f"signature VALID against {own['signer_file']}; chain VALID"
    assert_signer(own, given)
    assert_fields(data[:REPORT_BYTES], own, len(data))
    assert_authentic(data, with_crl(given)[0])


# --- Reports in the formats of others ----------------------------------------------------------------------


def check_tsm(entry):
    """The report and table that configfs-tsm gave are the archived ones."""
    data = vectors.read(entry["file"])
    extended = vectors.read("snp/veraison-services/tsm.extended.bin")
    if entry["file"].endswith(".json"):
        assert sorted(json.loads(data)) == entry["expected"]["key_fields"]["json_keys"]
        assert unwrap(data) == extended
    else:
        assert embedded_reports(data) == [extended[:REPORT_BYTES]]
        assert extended[REPORT_BYTES:] in data
    assert_valid(judge(extended, None, moment("2028-10-20T06:31:36Z")), extended)


def check_ratsd(entry):
    """A collection of conceptual messages: JSON in base64 in JSON in base64, with the report inside."""
    found = embedded_reports(unpacked(vectors.read(entry["file"])))
    assert found
    for report in found:
        assert_known(report)


def assert_known(report: bytes):
    """Verify a report whose certificate is archived; the archive names its chip."""
    result = judge(report, None, AT)
    chip = bytes.fromhex(result.decoded["chip_id"])
    for entry in (*vectors.entries("snp", "snp-vcek"), *vectors.entries("snp", "snp-cert-table")):
        data = vectors.read(entry["file"])
        if "DOES NOT CHAIN" in entry["expected"]["result"]:
            continue
        given = endorsed(data)
        hwid = VekExtensions.parse(GeneralCertificate.parse(given.vek).extensions, "vcek").hwid
        if hwid.ljust(64, b"\0") == chip:
            window = window_of(given)
            found = judge(report, given, window.start + (window.end - window.start) / 2)
            if passed(found, [checks.TCB_VEK]):
                assert_valid(found, report)
                return
    pytest.fail("no archived certificate is of this report's key")


def check_output(entry):
    data = vectors.read(entry["file"])
    assert sorted(json.loads(data)) == entry["expected"]["key_fields"]["json_keys"]
    (report,) = embedded_reports(unpacked(data))
    assert_known(report)


def check_oak_evidence(entry):
    data = vectors.read(entry["file"])
    found = embedded_reports(data)
    if entry["origin"] == "simulated":
        assert found == []
        assert [c.code for c in judge(data[8 : 8 + REPORT_BYTES], None, AT).ledger.failed()] == [
            "snp.report.version"
        ]
        return
    (report,) = found
    assert_known(report)


def check_oak_endorsements(entry):
    """The certificate inside is of the key that signed the report of the evidence beside it."""
    found = embedded_certificates(vectors.read(entry["file"]))
    if entry["origin"] == "simulated":
        assert found == []
        return
    leaf = found[0]
    assert {one.der for one in found} == {leaf.der}
    (report,) = embedded_reports(vectors.read(entry["file"].replace("_endorsements", "_evidence")))
    given = endorsed(leaf.der)
    window = window_of(given)
    assert_valid(judge(report, given, window.start + (window.end - window.start) / 2), report)


def check_attested_service(entry):
    data, expected = vectors.read(entry["file"]), entry["expected"]
    assert expected["result"].endswith("embedded SNP report signature VALID")
    (report,) = set(embedded_reports(data))
    fields = dict(expected["key_fields"]["snp"])
    given = endorsed(data[data.index(b"-----BEGIN") :])
    window = window_of(given)
    assert_valid(judge(report, given, window.start + (window.end - window.start) / 2), report)
    if "signer_file" in fields:
        assert_signer(fields, given)
    assert_fields(report, fields, len(report))


# --- Certificates and CRLs ---------------------------------------------------------------------------------


def assert_certificates(found: list[bytes], fields):
    """Compare decoded certificates with the stated fields."""
    assert [hashlib.sha256(der).hexdigest() for der in found] == fields["sha256"]
    assert len(found) == fields["count"]
    parsed = [GeneralCertificate.parse(der) for der in found]
    for certificate, subject in zip(parsed, fields["subjects"], strict=True):
        assert f"CN={certificate.common_name}," in subject
        other = x509.Name.from_rfc4514_string(subject)
        assert {attribute.value for attribute in other} == {text for _, text in certificate.names}
    assert max(one.window.start for one in parsed) == moment(fields["valid_from"])
    assert min(one.window.end for one in parsed) == moment(fields["valid_to"])
    linked = all(issue_defect(child, issuer, "") is None for child, issuer in pairwise(parsed))
    assert linked is fields["linked"]
    return parsed


def check_vek(entry):
    """The certificate chains to the stated root by role, or is refused where it was tampered with."""
    expected = entry["expected"]
    fields = expected["key_fields"]
    found = ders(vectors.read(entry["file"]))
    parsed = assert_certificates(found, fields)
    assert_vek(found, fields, expected)
    assert parsed[0].serial == fields.get("serial", 0).to_bytes(1, "big")


def assert_vek(found: list[bytes], fields, expected):
    leaf = GeneralCertificate.parse(found[0])
    kind = leaf.common_name.removeprefix("SEV-").lower()
    given = SnpEndorsements.from_certificates(found).or_else(
        SnpEndorsements(authority=authorities()[leaf.issuer].der)
    )
    extensions = VekExtensions.parse(leaf.extensions, kind)
    stated = dict(fields["vcek_ext"])
    assert extensions.struct_version == stated.pop("struct_version")
    assert extensions.product_name == stated.pop("product_name")
    assert (extensions.hwid.hex() if extensions.hwid else None) == stated.pop("hwid", None)
    assert extensions.csp_id == stated.pop("csp_id", None)
    parts = parts_of(extensions)
    assert {name: stated.pop(name) for name in parts} == parts
    assert set(stated) == (
        {"3.5", "3.6", "3.7"} if extensions.struct_version else {"3.4", "3.5", "3.6", "3.7"}
    )
    assert set(stated.values()) == {0}
    # Any report will do: the chain is judged before it.
    report = vectors.read("snp/virtee-sev/report_milan.bin")
    at = moment(expected["valid_at"]) if expected["valid_at"] else leaf.window.start
    result = judge(report, given, at)
    if expected["result"].startswith("DOES NOT CHAIN"):
        assert [check.code for check in result.ledger.failed()] == ["snp.chain.signature"]
        return
    assert passed(result, checks.CHAIN_CHECKS), result.ledger.failed()
    product = re.fullmatch(r"chains to ARK-(\w+)", expected["result"])[1]
    assert extensions.product == product
    assert f"CN=ARK-{product}," in fields["chain_to"]
    assert result.anchor.name == f"AMD ARK-{product}"


def check_chain(entry):
    """ASK, ASVK and ARK stand in their roles; the root is the pinned one."""
    expected = entry["expected"]
    fields = expected["key_fields"]
    found = ders(vectors.read(entry["file"]))
    parsed = assert_certificates(found, fields)
    words = {"parsed", "parsed; chain linked", "parsed; chain NOT linked in file order"}
    assert expected["result"] in words
    assert ("NOT linked" in expected["result"]) is not fields["linked"]
    at = moment(expected["valid_at"])
    for certificate in parsed:
        root = root_named(certificate.issuer)
        assert at in certificate.window
        if certificate.subject == certificate.issuer:
            assert certificate.der == root.der
        assert issue_defect(certificate, root, "") is None
    if len(parsed) == 2:
        given = SnpEndorsements.from_pem(vectors.read(entry["file"]))
        assert (given.authority, given.root) == (parsed[0].der, parsed[1].der)


def check_crl(entry):
    expected = entry["expected"]
    fields = dict(expected["key_fields"])
    assert expected["result"] == "CRL signature VALID"
    der = vectors.read(entry["file"])
    crl = GeneralRevocationList.parse(der)
    issuer = root_named(crl.issuer)
    assert crl.names(issuer)
    assert crl.signed_by(issuer)
    assert not crl.signed_by(next(iter(authorities().values())))
    assert f"CN={issuer.common_name}," in fields.pop("issuer")
    assert crl.window.start == moment(fields.pop("last_update"))
    assert crl.window.end == moment(fields.pop("next_update"))
    assert moment(expected["valid_at"]) in crl.window
    assert len(crl.revoked) == fields.pop("revoked_count")
    assert {f"{int.from_bytes(one, 'big'):x}" for one in crl.revoked} == set(fields.pop("revoked_serials"))
    assert not fields
    assert crls()[crl.issuer] == der


def check_thim(entry):
    expected = entry["expected"]
    given = SnpEndorsements.from_thim(vectors.read(entry["file"]))
    assert given.authority in {one.der for one in authorities().values()}
    assert given.root == root_named(GeneralCertificate.parse(given.authority).issuer).der
    fields = expected["key_fields"]
    assert_vek([given.vek, given.authority, given.root], fields, expected)
    assert GeneralCertificate.parse(given.vek).serial == bytes([fields["serial"]])
    assert given.or_else(None) is given


CHECKERS = {
    "snp-report": check_report,
    "snp-negative": check_negative,
    "snp-msg-report-rsp": check_response,
    "snp-cert-table": check_table,
    "snp-extended-report": check_extended,
    "tsm-report": check_tsm,
    "ratsd-token": check_ratsd,
    "tee-output-json": check_output,
    "oak-evidence": check_oak_evidence,
    "oak-endorsements": check_oak_endorsements,
    "cose-attested-svc": check_attested_service,
    "snp-vcek": check_vek,
    "snp-vlek": check_vek,
    "snp-vcek-chain": check_vek,
    "snp-chain": check_chain,
    "snp-ask": check_chain,
    "snp-ark": check_chain,
    "snp-crl": check_crl,
    "thim-certs": check_thim,
}


@pytest.mark.parametrize(
    "entry",
    [*vectors.entries(family="snp"), *vectors.entries("azure", "snp-vcek")],
    ids=lambda entry: entry["file"],
)
def test_entry(entry):
    assert vectors.pinned(entry)
    CHECKERS[entry["kind"]](entry)
    vectors.record(entry["family"], entry["kind"])


def test_the_claims_of_a_real_report():
    given = endorsed(vectors.read("snp/ms-scitt/css-20260302.snp_endorsements.pem"))
    complete, at = with_crl(given)
    claims = judge(vectors.read("snp/ms-scitt/css-20260302.report.bin"), complete, at).claims
    assert claims.product_name == "Genoa"
    assert claims.cpuid == (0x19, 0x11, 1)
    assert claims.current_version == FirmwareVersion(1, 55, 40)
    assert claims.reported_tcb.components == {"bl": 10, "tee": 0, "snp": 0x17, "ucode": 0x54}
    assert claims.platform.tsme
    assert claims.platform.alias_check_complete
    assert claims.guest_svn == 2
    assert not claims.forgeable
    assert not claims.provisional
