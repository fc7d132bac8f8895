"""Evidence inside of other things: attestations, certificates, wrappers and bundles, real and made."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from assay import Policy, Verdict, verify
from assay.errors import EvidenceError
from assay.evidence.dstack import Attestation
from assay.evidence.dstack.certificate import Extension
from assay.evidence.dstack.report_data import Tag, tagged
from assay.evidence.eat.cmw import Collection, Record, encode_cbor, encode_json
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.verification.composite import Held, Part, verify_together
from assay.verification.materials import Materials
from assay.verification.opened import MAX_PARTS
from assay.verification.opening import MAX_DEPTH, open_bundle, open_evidence
from assay.verification.terms import Terms
from support import vectors
from support.dstack_attested import EVENTS, REPORT_DATA, bare, packed, scale
from support.dstack_attested import MAKERS as ATTESTED
from support.dstack_encodings import KEY, SPKI, certificate, octets

BUNDLES = (
    "nvidia/sparkdistill/2026-07-11-qwen3.5-4b-mining-001.json",
    "nvidia/sparkdistill/2026-07-15-magicrails-hopper-v2.json",
)
QUOTE = vectors.read("tdx/phala-dcap-qvl/quote_v4.bin")
SNP_REPORT = vectors.read("snp/dstack/sev_snp_report.bin")
DOCUMENT = vectors.read("nitro/evervault/ra-tls-cert.attestation.cbor")
OPEN_ENCLAVE = "1.2.840.113556.10.1.1"
RA_TLS = "2.23.133.5.4.9"
EVIDENCE, ENDORSEMENTS, RESULTS = 4, 2, 8
TD = Attestation("tdx", QUOTE, tuple(EVENTS), bare(EVENTS), REPORT_DATA, "{}")
TEXT = base64.b64encode(QUOTE).decode()
NOTHING = Unchecked("a test")


def code(data: bytes) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_bundle(data)
    return refused.value.code


def only(data: bytes):
    bundle = open_bundle(data)
    assert bundle.form == bundle.parts[0].form
    (found,) = bundle.parts
    assert found == open_evidence(data)
    return found


# --- dstack's attestations


@pytest.mark.parametrize("variant", ATTESTED)
@pytest.mark.parametrize("write", [scale, packed])
def test_attestations_of_every_platform_open_and_verify(variant, write):
    made = ATTESTED[variant]()
    data = write(made.found)
    for form in (data, data.hex().encode(), base64.b64encode(data)):
        found = only(form)
        assert found.platform == made.platform
        assert found.attestation == made.found
    assert only(json.dumps({"attestation": data.hex()}).encode()).attestation == made.found
    result = verify(
        found.evidence,
        policy=Policy.shipped("genuine"),
        binding=Expected(made.found.report_data),
        roots=made.roots,
        now=made.now,
        endorsements=made.endorsements,
        event_log=found.attestation,
        platform=found.platform,
    )
    assert result.evidence.bound, result.evidence.ledger.unmet()
    assert result.workload_log is not None
    assert result.workload_log.authentic
    assert result.ledger["dstack.guest.evidence"].outcome is Outcome.PASSED


@pytest.mark.parametrize("variant", ATTESTED)
def test_an_attestation_that_does_not_agree_refuses_the_whole(variant):
    made = ATTESTED[variant]()
    other = replace(made.found, report_data=bytes(64))
    by = (
        f"version = 1\nplatforms = ['{made.platform}']\nsimulated = 'only'\naccept = ['simulated']\n".encode()
    )
    result = verify(
        scale(made.found) if variant == "gcp-tdx" else made.found.evidence,
        policy=Policy.load(by, name="t"),
        binding=Expected(made.found.report_data),
        roots=made.roots,
        now=made.now,
        endorsements=made.endorsements,
        event_log=other,
        platform=made.platform,
    )
    assert result.evidence.bound
    assert result.verdict is Verdict.REFUSED
    assert any(check.code.startswith("dstack.") for check in result.ledger.failed())


def test_googles_part_alone_is_its_virtual_tpm():
    made = ATTESTED["gcp-tdx"]()
    data = scale(made.found)
    result = verify(
        data,
        policy=Policy.load(b'version = 1\nplatforms = ["gcp-vtpm"]\naccept = ["host-tpm"]\n', name="t"),
        binding=NOTHING,
        roots=made.roots,
        now=made.now,
        endorsements=made.endorsements,
        platform="gcp-vtpm",
    )
    assert result.evidence.authentic, result.evidence.ledger.unmet()
    spoilt = verify(
        data[:-1],
        policy=result.policy,
        binding=NOTHING,
        roots=made.roots,
        now=made.now,
        platform="gcp-vtpm",
    )
    assert spoilt.verdict is Verdict.REFUSED


def test_an_expectation_of_nothing_is_not_filled_up_with_zeros():
    """Report data of zeros would fit it."""
    made = ATTESTED["gcp-tdx"]()
    with pytest.raises(EvidenceError) as error:
        verify(
            scale(made.found),
            policy=Policy.shipped("genuine"),
            binding=Expected(b""),
            roots=made.roots,
            now=made.now,
            endorsements=made.endorsements,
            event_log=made.found,
            platform="gcp-tdx",
        )
    assert error.value.code == "evidence.call.nonce"


def test_an_unbound_attestation_of_google_is_never_accepted():
    made = ATTESTED["gcp-tdx"]()
    by = b'version = 1\nplatforms = ["gcp-tdx"]\nsimulated = "only"\naccept = ["simulated"]\n'
    result = verify(
        scale(made.found),
        policy=Policy.load(by, name="t"),
        binding=NOTHING,
        roots=made.roots,
        now=made.now,
        endorsements=made.endorsements,
        event_log=made.found,
        platform="gcp-tdx",
    )
    assert result.evidence.authentic
    assert not result.evidence.bound
    assert not result.accepted


@pytest.mark.parametrize(
    "file",
    [
        "dstack/dstack/sev_snp_attestation.bin",
        "dstack/dstack/sev-snp-attestation.json",
        "nitro/dstack/nitro_attestation.bin",
        "nitro/dstack/nitro_attestation_dbg.bin",
    ],
)
def test_real_attestations_agree_with_their_evidence(file):
    """Milan's list of revoked keys is not archived for the report's time, so its own check stays open."""
    found = only(vectors.read(file))
    at = "2026-06-20T00:00Z" if found.platform == "snp" else "2025-12-25T16:10Z"
    files = {name: vectors.read(f"snp/dstack/{name}") for name in ("sev_snp_vcek.pem", "sev_snp_ask.pem")}
    result = verify(
        found.evidence,
        policy=Policy.shipped("genuine"),
        binding=NOTHING,
        roots=Roots.vendor(),
        now=datetime.fromisoformat(at),
        materials=Materials.of(files),
        event_log=found.attestation,
        platform=found.platform,
        terms=Terms(nitro_validity="document"),
    )
    if found.platform == "snp":
        assert result.ledger["snp.report.signature"].outcome is Outcome.PASSED
        assert not result.evidence.ledger.failed()
        return
    assert result.evidence.authentic, result.evidence.ledger.unmet()
    assert result.workload_log.authentic, result.workload_log.ledger.unmet()


@pytest.mark.parametrize("write", [scale, packed])
def test_an_attestation_of_a_td_is_opened_with_its_log(write):
    found = only(write(TD))
    assert (found.evidence, found.platform, found.attestation) == (QUOTE, "tdx", None)
    assert found.form == f"{len(QUOTE)} bytes, from a dstack attestation"
    assert found.presented.log == TD.log
    assert found.presented.stated == {"report_data": TD.report_data}
    enclosed = only(certificate({Extension.ATTESTATION: write(TD)}))
    assert (enclosed.evidence, enclosed.platform, enclosed.presented.spki) == (QUOTE, "tdx", SPKI)
    assert enclosed.form == f"{len(QUOTE)} bytes, from a dstack attestation in a certificate"


@pytest.mark.parametrize("variant", [*ATTESTED, "tdx"])
def test_another_machines_quote_beside_an_attestation_is_named(variant):
    data = scale(TD if variant == "tdx" else ATTESTED[variant]().found).hex()
    answer = {"attestation": data, "quote": QUOTE.hex(), "event_log": None, "vm_config": ""}
    assert only(json.dumps(answer).encode()).unverified == ("quote",)


def test_a_machines_quote_beside_an_attestation_too_short_to_be_known_is_named():
    answer = {"attestation": scale(replace(TD, evidence=QUOTE[:40])).hex(), "quote": QUOTE.hex()}
    found = only(json.dumps(answer).encode())
    assert (found.evidence, found.unverified) == (QUOTE[:40], ("quote",))


@pytest.mark.parametrize("empty", [None, ""])
def test_beside_an_empty_attestation_the_quote_is_what_is_read(empty):
    answer = {"attestation": empty, "quote": QUOTE.hex(), "event_log": "[]", "vm_config": "{}"}
    found = only(json.dumps(answer | {"more": "x"}).encode())
    assert (found.evidence, found.unverified) == (QUOTE, ("more",))


def test_what_is_not_read_of_a_guests_answer_is_named():
    answer = {"quote": QUOTE.hex(), "event_log": "[]", "report_data": "", "vm_config": "{}"}
    assert only(json.dumps(answer).encode()).unverified == ()
    found = only(json.dumps(answer | {"gpu_evidence": "x", "hash_algorithm": "", "more": None}).encode())
    assert found.unverified == ("gpu_evidence",)
    info = vectors.read("dstack/crabbox-phala/real_attestation_info.json")
    left = ("cloud_product", "cloud_vendor", "device_id", "os_image_hash")
    assert only(info).unverified == left
    assert only(json.dumps(json.loads(info) | {"z": "x"}).encode()).unverified == (*left, "z")


def test_certificates_that_came_along_are_looked_through():
    found = only(vectors.read("dstack/dstack/sev-snp-attestation.json"))
    assert list(found.beside) == ["certificate 1", "certificate 2"]
    result = verify_together(
        [Part("snp", found.evidence, "snp", event_log=found.attestation, beside=found.beside)],
        policy=Policy.shipped("genuine"),
        tie=NOTHING,
        roots=Roots.vendor(),
        now=datetime(2026, 6, 20, tzinfo=UTC),
    )
    ledger = result.pieces[0].result.ledger
    assert ledger["snp.report.signature"].outcome is Outcome.PASSED


def test_truncated_attestations_say_what_is_wrong():
    data = vectors.read("dstack/dstack/sev_snp_attestation.bin")
    assert code(data[:-1]) == "dstack.scale"
    assert code(data + b"\0") == "dstack.scale"
    assert code(packed(ATTESTED["nitro-enclave"]().found)[:-1]) == "dstack.msgpack"


# --- certificates


def unsigned() -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "guest")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    )


def made_certificate(*extensions: x509.ExtensionType) -> x509.Certificate:
    builder = unsigned()
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def enclave_extension(value: bytes) -> bytes:
    found = x509.UnrecognizedExtension(x509.ObjectIdentifier(OPEN_ENCLAVE), value)
    return made_certificate(found).public_bytes(Encoding.DER)


def header(size: int) -> bytes:
    return (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + size.to_bytes(8, "little")


def test_a_certificate_with_an_attestation_holds_its_key_to_it():
    """dstack.certificate.key"""
    made = ATTESTED["aws-nitro-tpm"]()
    found = only(certificate({Extension.ATTESTATION: scale(made.found)}))
    assert (found.platform, found.attestation.spki) == ("nitro-tpm", SPKI)
    assert found.attestation.report_data != tagged(Tag.RATLS_CERT, SPKI)
    result = verify(
        found.evidence,
        policy=Policy.shipped("genuine"),
        binding=NOTHING,
        roots=made.roots,
        now=made.now,
        event_log=found.attestation,
        platform=found.platform,
    )
    assert "dstack.certificate.key" in [check.code for check in result.ledger.failed()]


def test_a_certificate_of_a_td_is_opened_with_its_log():
    found = only(certificate({Extension.QUOTE: QUOTE, Extension.EVENT_LOG: b"[]"}))
    assert (found.evidence, found.platform, found.presented.spki) == (QUOTE, "tdx", SPKI)
    answer = json.loads(vectors.read("dstack/openclaw-crabbox/real_attestation_info.json"))
    chain = only(answer["app_cert"].encode())
    assert chain.evidence == vectors.read("dstack/crabbox-phala/real_tdx_quote.bin")
    assert chain.presented is not None


@pytest.mark.parametrize(
    "value", [QUOTE, octets(QUOTE), header(len(QUOTE)) + QUOTE], ids=["bare", "octets", "header"]
)
def test_quotes_in_open_enclaves_extension(value):
    found = only(enclave_extension(value))
    assert found.evidence == QUOTE
    assert "not compared" in found.form


def other_extension(oid: str, value: bytes) -> bytes:
    found = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
    return made_certificate(found).public_bytes(Encoding.DER)


@pytest.mark.parametrize("oid", ["1.2.840.113741.1337.6", "0.6.9.42.840.113741.1337.6"])
def test_quotes_in_gramines_extension(oid):
    found = only(other_extension(oid, QUOTE))
    assert (found.evidence, found.platform) == (QUOTE, "tdx")
    assert "not compared" in found.form
    assert code(other_extension(oid, b"no quote")) == "verification.certificate.no_evidence"


def test_the_quote_of_interoperable_ra_tls_is_tagged_and_has_claims_beside_it():
    found = only(other_extension(RA_TLS, cbor2.dumps(cbor2.CBORTag(60000, [QUOTE, b"claims"]))))
    assert (found.evidence, found.platform) == (QUOTE, "tdx")
    assert "not compared" in found.form


@pytest.mark.parametrize(
    "value",
    [
        b"",
        QUOTE,
        cbor2.dumps([QUOTE, b"claims"]),
        cbor2.dumps(cbor2.CBORTag(60001, [QUOTE, b"claims"])),
        cbor2.dumps(cbor2.CBORTag(60000, QUOTE)),
        cbor2.dumps(cbor2.CBORTag(60000, [QUOTE])),
        cbor2.dumps(cbor2.CBORTag(60000, [QUOTE, "claims"])),
        cbor2.dumps(cbor2.CBORTag(60000, [QUOTE, b"claims", b""])),
        cbor2.dumps(cbor2.CBORTag(60000, [b"no quote", b"claims"])),
        cbor2.dumps(cbor2.CBORTag(60000, [QUOTE, b"claims"])) + b"\0",
        cbor2.dumps(cbor2.CBORTag(60000, [QUOTE, bytes(1 << 16)])),
    ],
)
def test_other_content_of_that_extension_is_no_evidence(value):
    pem = base64.encodebytes(other_extension(RA_TLS, value))
    armoured = b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % pem
    assert code(armoured) == "verification.certificate.no_evidence"


def test_a_document_among_the_names():
    names = [x509.DNSName("a.example"), x509.DNSName(DOCUMENT.hex())]
    found = only(made_certificate(x509.SubjectAlternativeName(names)).public_bytes(Encoding.DER))
    assert (found.evidence, found.platform) == (DOCUMENT, "nitro")


@pytest.mark.parametrize(
    ("file", "platform"),
    [
        ("nitro/evervault/ra-tls-cert.der", "nitro"),
        ("sgx/openenclave/sgx_cert_ec_bad.der", "sgx"),
        ("azure/azure-maa-samples/maa.prod.uks.signing.cert.pem", "sgx"),
    ],
)
def test_real_certificates_with_evidence_inside(file, platform):
    found = only(vectors.read(file))
    assert found.platform == platform
    if platform == "nitro":
        assert found.evidence == DOCUMENT


def test_a_name_of_another_kind_holds_no_document():
    """Nor does one in which something stands before the document."""
    uri = x509.UniformResourceIdentifier(DOCUMENT.hex())
    later = x509.DNSName("a." + DOCUMENT.hex())
    for names in ([uri], [later], [uri, later]):
        der = made_certificate(x509.SubjectAlternativeName(names)).public_bytes(Encoding.DER)
        assert code(der) == "verification.certificate.no_evidence"
    named = [uri, later, x509.DNSName(DOCUMENT.hex() + ".example")]
    der = made_certificate(x509.SubjectAlternativeName(named)).public_bytes(Encoding.DER)
    assert only(der).evidence == DOCUMENT


def with_extension(value: bytes, *, critical: bool = False) -> bytes:
    """Return a certificate with Open Enclave's extension behind others."""
    usage = x509.BasicConstraints(ca=False, path_length=None)
    builder = unsigned().add_extension(usage, critical=True)
    found = x509.UnrecognizedExtension(x509.ObjectIdentifier(OPEN_ENCLAVE), value)
    signed = builder.add_extension(found, critical=critical).sign(KEY, hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


@pytest.mark.parametrize("critical", [False, True])
def test_an_extension_may_be_critical_and_stand_behind_another(critical):
    assert only(with_extension(QUOTE, critical=critical)).evidence == QUOTE


def test_an_extension_that_stands_there_twice_is_refused():
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.840.113556.10.1.2"), QUOTE)
    ours = x509.UnrecognizedExtension(x509.ObjectIdentifier(OPEN_ENCLAVE), QUOTE)
    der = made_certificate(ours, other).public_bytes(Encoding.DER)
    assert only(der).evidence == QUOTE
    twice = der.replace(bytes.fromhex("2a864886f7140a0102"), bytes.fromhex("2a864886f7140a0101"))
    assert code(twice) == "verification.certificate.malformed"


def test_a_certificate_has_sixty_four_extensions_at_most():
    others = [x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{n}"), b"") for n in range(64)]
    ours = x509.UnrecognizedExtension(x509.ObjectIdentifier(OPEN_ENCLAVE), QUOTE)
    assert only(made_certificate(ours, *others[1:]).public_bytes(Encoding.DER)).evidence == QUOTE
    der = made_certificate(ours, *others).public_bytes(Encoding.DER)
    assert code(der) == "dstack.certificate.extensions"


def test_what_follows_the_quote_in_an_extension_is_refused():
    assert code(enclave_extension(octets(QUOTE) + b"\0")) == "der.malformed"
    assert code(enclave_extension(header(len(QUOTE)) + QUOTE + b"\0")) == "verification.certificate.malformed"
    assert code(enclave_extension(header(len(QUOTE)) + QUOTE[:-1])) == "verification.certificate.malformed"


def test_a_large_quote_is_found_in_a_certificate_of_pem_alone():
    large = QUOTE.ljust(1 << 16, b"\0")
    der = enclave_extension(octets(large))
    armoured = base64.encodebytes(der)
    pem = b"\n-----BEGIN CERTIFICATE-----\n" + armoured + b"-----END CERTIFICATE-----\n"
    assert only(pem).evidence == large
    assert code(der) == "verification.evidence.unrecognised"


def test_a_certificate_is_looked_at_up_to_its_limit():
    assert only(enclosing_quote(1 << 16)).platform == "tdx"
    assert code(enclosing_quote((1 << 16) + 1)) == "verification.evidence.unrecognised"


def enclosing_quote(size: int) -> bytes:
    """Return a certificate of a size: signatures differ in theirs, so some are made."""
    around = len(enclave_extension(bytes(60_000))) - 60_000
    made = (enclave_extension(QUOTE.ljust(size - around, b"\0")) for _ in range(1000))
    return next(der for der in made if len(der) == size)


def test_of_a_chain_the_first_certificate_is_looked_at():
    leaf, other = enclave_extension(QUOTE), made_certificate().public_bytes(Encoding.PEM)
    pem = b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % base64.encodebytes(leaf)
    assert only(pem + other).evidence == QUOTE
    assert code(other + pem) == "verification.certificate.no_evidence"


BAD_CERTIFICATES = {
    "nothing in it": (made_certificate().public_bytes(Encoding.DER), "verification.certificate.no_evidence"),
    "no document among the names": (
        made_certificate(x509.SubjectAlternativeName([x509.DNSName("a.example")])).public_bytes(Encoding.DER),
        "verification.certificate.no_evidence",
    ),
    "a quote that is none": (enclave_extension(b"no quote"), "verification.certificate.no_evidence"),
    "a quote of another size": (
        enclave_extension(header(7) + QUOTE),
        "verification.certificate.malformed",
    ),
    "damaged PEM": (b"-----BEGIN CERTIFICATE-----\n!\n", "verification.certificate.malformed"),
    "PEM with a letter between": (
        made_certificate().public_bytes(Encoding.PEM).replace(b"\nMII", b"\n!MII"),
        "verification.certificate.malformed",
    ),
    "a certificate cut short": (made_certificate().public_bytes(Encoding.DER)[:-1], "der.malformed"),
}


@pytest.mark.parametrize(("data", "expected"), BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES)
def test_certificates_without_evidence_are_refused(data, expected):
    assert code(data) == expected


# --- Open Enclave's reports, lists of numbers, evidence with endorsements


def test_a_quote_behind_open_enclaves_header():
    report = header(len(QUOTE)) + QUOTE
    url_safe = base64.urlsafe_b64encode(report).decode().rstrip("=")
    asked = json.dumps({"quote": url_safe, "runtimeData": {"data": "", "dataType": "Binary"}}).encode()
    for data in (report, report.hex().encode(), base64.b64encode(report), asked):
        found = only(data)
        assert (found.evidence, found.platform) == (QUOTE, "tdx")
    assert only(asked).unverified == ("runtimeData",)


@pytest.mark.parametrize(
    "data",
    [
        header(len(QUOTE)) + QUOTE + b"\0",
        header(len(QUOTE)) + QUOTE[:-1],
        header(len(SNP_REPORT)) + SNP_REPORT,
        header(0),
        bytes(4) + header(len(QUOTE))[4:] + QUOTE,
    ],
)
def test_another_header_or_another_size_is_no_report(data):
    assert code(data) == "verification.evidence.unrecognised"


def test_a_list_of_numbers_is_the_bytes_of_evidence():
    for inner in (QUOTE, QUOTE.hex().encode(), json.dumps({"quote": TEXT}).encode()):
        found = only(json.dumps(list(inner)).encode())
        assert (found.evidence, found.platform) == (QUOTE, "tdx")
        assert found.form.endswith(", from a list of numbers")


@pytest.mark.parametrize(
    "values", [[], [1, 2, 3], [*QUOTE, 256], [*QUOTE, -1], [*QUOTE, True], [*QUOTE, 1.0]]
)
def test_other_lists_hold_no_evidence(values):
    assert code(json.dumps(values).encode()) == "verification.evidence.unrecognised"


@pytest.mark.parametrize(
    ("evidence", "endorsements"), [("evidence", "endorsements"), ("SnpReport", "VcekCertChain")]
)
def test_endorsements_that_came_with_a_report_vouch_for_it(evidence, endorsements):
    chain = made_certificate().public_bytes(Encoding.PEM)
    whole = {
        evidence: base64.urlsafe_b64encode(SNP_REPORT).decode().rstrip("="),
        endorsements: base64.b64encode(chain).decode(),
        "endorsed_tcb": "00",
    }
    asked = {
        "report": base64.urlsafe_b64encode(json.dumps(whole).encode()).decode(),
        "nonce": "a",
        "policy": None,
    }
    for data, left in ((whole, ()), (asked, ("nonce",))):
        found = only(json.dumps(data).encode())
        assert (found.evidence, found.platform) == (SNP_REPORT, "snp")
        assert found.beside == {endorsements: chain}
        assert found.unverified == ("endorsed_tcb", *left)
    for name, value in ((evidence, 1), (endorsements, None), (evidence, "!"), (endorsements, "!")):
        assert code(json.dumps({**whole, name: value}).encode()) in {
            "verification.answer.unrecognised",
            "verification.evidence.unrecognised",
        }


@pytest.mark.parametrize("report", [None, 7, "", "!", "AAAA", base64.b64encode(b"[1]").decode()])
def test_a_request_without_a_report_in_json_is_not_opened(report):
    assert code(json.dumps({"report": report}).encode()) == "verification.answer.unrecognised"


# --- wrappers


WRAPPED = Collection(
    {
        "cpu": Record("application/vnd.quote", QUOTE, EVIDENCE),
        "other": Collection({"snp": Record(30001, SNP_REPORT)}),
        "chain": Record("application/pkix-cert", b"0", ENDORSEMENTS),
        "verdict": Record("application/eat+jwt", b"x.y.z", RESULTS),
    },
    "tag:example.com,2026:a",
)


@pytest.mark.parametrize(
    "data",
    [
        encode_json(WRAPPED),
        encode_cbor(WRAPPED),
        encode_cbor(WRAPPED, tagged=True),
        encode_cbor(WRAPPED).hex().encode(),
    ],
    ids=["json", "cbor", "tagged", "hex"],
)
def test_collections_are_opened_to_their_last_piece_of_evidence(data):
    bundle = open_bundle(data)
    assert [(part.name, part.platform) for part in bundle.parts] == [("cpu", "tdx"), ("other/snp", "snp")]
    assert [part.evidence for part in bundle.parts] == [QUOTE, SNP_REPORT]
    assert all(part.beside == {"chain": b"0"} for part in bundle.parts)
    assert bundle.unverified == ("verdict",)
    with pytest.raises(EvidenceError) as several:
        open_evidence(data)
    assert several.value.code == "verification.evidence.several"


@pytest.mark.parametrize("value", [QUOTE, QUOTE.hex().encode(), encode_cbor(Record(30002, QUOTE, EVIDENCE))])
@pytest.mark.parametrize("write", [encode_json, encode_cbor])
def test_a_record_is_opened_whatever_it_holds(value, write):
    assert only(write(Record("application/octet-stream", value, EVIDENCE))).evidence == QUOTE


def test_a_tag_around_evidence_is_opened():
    assert only(encode_cbor(Record(30001, SNP_REPORT), tagged=True)).platform == "snp"


def test_pieces_of_one_platform_have_names_of_their_own():
    twice = Collection({"a": WRAPPED, "b": WRAPPED})
    assert [part.name for part in open_bundle(encode_cbor(twice)).parts] == [
        "a/cpu",
        "a/other/snp",
        "b/cpu",
        "b/other/snp",
    ]
    numbered = Collection({1: Record(30001, QUOTE), 2: Record(30001, QUOTE)})
    assert [part.name for part in open_bundle(encode_cbor(numbered)).parts] == ["1", "2"]


def test_a_real_token_of_ratsd():
    found = only(vectors.read("snp/veraison-services/sevsnp-ratsd-token"))
    assert found.platform == "snp"
    assert len(found.evidence) > 1184
    assert {"eat_profile", "eat_nonce"} & set(found.unverified)


@pytest.mark.parametrize("write", [encode_json, encode_cbor])
def test_a_collection_of_one_piece_is_that_piece(write):
    one = Collection({"cpu": Record(30001, QUOTE)})
    found = only(write(one))
    assert (found.evidence, found.name) == (QUOTE, "cpu")
    assert found.form == f"{len(QUOTE)} bytes, from a message wrapper"
    assert only(write(Collection({"a": one}, "tag:example.com,2026:a"))).name == "a/cpu"


@pytest.mark.parametrize("kind", [30001, "application/vnd.quote"])
@pytest.mark.parametrize("indicator", [0, EVIDENCE, EVIDENCE | ENDORSEMENTS, EVIDENCE | RESULTS])
def test_what_is_evidence_among_other_things_is_opened(kind, indicator):
    for write in (encode_json, encode_cbor):
        found = only(write(Record(kind, QUOTE, indicator)))
        assert (found.evidence, found.name, found.unverified) == (QUOTE, "", ())


def test_endorsements_vouch_for_every_piece_and_other_records_are_named():
    cpu, snp = Record(30001, QUOTE), Record(30002, SNP_REPORT)
    found = {
        "a": Record("application/x", b"0", ENDORSEMENTS),
        "b": cpu,
        "c": Record("application/x", b"1", RESULTS),
        "d": Record("application/x", b"2", ENDORSEMENTS | RESULTS),
        "e": snp,
        "f": Record("application/x", b"3", 16),
    }
    bundle = open_bundle(encode_cbor(Collection(found)))
    assert [part.name for part in bundle.parts] == ["b", "e"]
    assert [part.beside for part in bundle.parts] == [{"a": b"0", "d": b"2"}] * 2
    assert bundle.unverified == ("c", "f")
    own = encode_cbor(Collection({"b": cpu, "a": Record("application/x", b"own", ENDORSEMENTS)}))
    outer = Collection({"x": Record(30003, own), "a": found["a"]})
    assert only(encode_cbor(outer)).beside == {"a": b"own"}


def test_each_of_several_pieces_has_a_name_of_its_own():
    """Whatever their senders call them."""
    labels = Collection({1: Record(1, QUOTE), "1": Record(1, QUOTE), "1 (2)": Record(1, QUOTE)})
    inner = Collection({"b": Record(1, QUOTE)})
    again = Collection({"a/b (2)": Record(1, QUOTE), "a/b": Record(1, QUOTE), "a": inner}, "tag:a,2026:b")
    assert [part.name for part in open_bundle(encode_cbor(labels)).parts] == ["1", "1 (2)", "1 (2) (2)"]
    assert [part.name for part in open_bundle(encode_json(again)).parts] == ["a/b (2)", "a/b", "a/b (3)"]
    thrice = {"token": open_answers(), "tdx": {"quote_b64": base64.b64encode(QUOTE).decode()}}
    bundle = open_bundle(json.dumps(thrice).encode())
    assert [part.name for part in bundle.parts] == ["tdx", "token", "token (2)", "token (3)"]
    assert bundle.form == f"4 pieces of evidence in {len(json.dumps(thrice))} bytes"


def open_answers() -> str:
    """Return a wrapper of three pieces, as text."""
    return encode_json(Collection({str(at): Record(1, QUOTE) for at in range(3)})).decode()


def nested(times: int) -> bytes:
    data = QUOTE
    for _ in range(times):
        data = encode_json(Record("application/octet-stream", data, EVIDENCE))
    return data


def test_bounds_of_wrappings():
    assert only(nested(MAX_DEPTH)).evidence == QUOTE
    assert code(nested(MAX_DEPTH + 1)) == "verification.evidence.unrecognised"
    assert (MAX_DEPTH, MAX_PARTS) == (3, 16)
    many = {str(at): Record(30001, SNP_REPORT) for at in range(MAX_PARTS + 1)}
    assert code(encode_cbor(Collection(many))) == "verification.evidence.several"
    many.popitem()
    most = encode_cbor(Collection(many))
    assert len(open_bundle(most).parts) == MAX_PARTS
    one_more = {"tdx": {"quote_b64": base64.b64encode(most).decode()}, "token": QUOTE.hex()}
    assert code(json.dumps(one_more).encode()) == "verification.evidence.several"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode_json(Record("application/eat+jwt", b"x", RESULTS)), "verification.evidence.unrecognised"),
        (encode_cbor(Record("application/x", QUOTE, ENDORSEMENTS)), "verification.evidence.unrecognised"),
        (encode_json(Record("application/eat+jwt", b"x", EVIDENCE)), "verification.evidence.unrecognised"),
        (b'["application/x","!"]', "cmw.malformed"),
        (b'[7,"!"]', "cmw.malformed"),
        (b'["application/x","!",4]', "cmw.malformed"),
        (b'["application/x","!",4,4]', "verification.evidence.unrecognised"),
        (b'["application/x"]', "verification.evidence.unrecognised"),
        (b'["application/x",7]', "verification.evidence.unrecognised"),
        (b'[null,"!"]', "verification.evidence.unrecognised"),
        (b'[null,"!","!"]', "verification.evidence.unrecognised"),
        (b'["application/x",7,"!"]', "verification.evidence.unrecognised"),
        (b'{"cmw":"!"}', "verification.evidence.unrecognised"),
        (b'{"cmw":7}', "verification.answer.unrecognised"),
        (b'{"cmw":"\xc3\xa9"}', "verification.evidence.unrecognised"),
        (b'{"__cmwc_t":"tag:a","x":7}', "cmw.malformed"),
        (b'{"x":["application/x","!"]}', "cmw.malformed"),
        (b'{"x":["application/x","!",4]}', "cmw.malformed"),
        (b'{"x":[7,"!"]}', "cmw.malformed"),
        (b'{"x":[7,"!"],"y":7}', "verification.answer.unrecognised"),
        (b'{"x":["application/x","!",4,4]}', "verification.answer.unrecognised"),
        (b'{"x":["application/x"]}', "verification.answer.unrecognised"),
        (b'{"x":["application/x",7]}', "verification.answer.unrecognised"),
        (b'{"x":["application/x",7,"!"]}', "verification.answer.unrecognised"),
        (b'{"x":[null,"!"]}', "verification.answer.unrecognised"),
        (b'{"x":[null,"!","!"]}', "verification.answer.unrecognised"),
        (b'{"x":"ab"}', "verification.answer.unrecognised"),
        (b'{"x":{"0":7,"1":7}}', "verification.answer.unrecognised"),
        (cbor2.dumps({"a": 1}), "verification.evidence.unrecognised"),
        (b"[]", "verification.evidence.unrecognised"),
        (b"7", "verification.evidence.unrecognised"),
        (b"{}", "verification.answer.unrecognised"),
    ],
)
def test_wrappers_without_evidence_are_refused(data, expected):
    assert code(data) == expected


# --- bundles


@pytest.mark.parametrize("file", BUNDLES)
def test_real_bundles_of_gpu_and_tdx_are_two_pieces(file):
    bundle = open_bundle(vectors.read(file))
    assert [(part.name, part.platform) for part in bundle.parts] == [("tdx", "tdx"), ("token", "nras")]
    value = json.loads(vectors.read(file))
    assert {"tdx.report_data", *(value.keys() - {"tdx", "token"})} <= set(bundle.unverified)
    report_data = bytes.fromhex(value["tdx"]["report_data"])
    result = verify_together(
        [Part(part.name, part.evidence, part.platform) for part in bundle.parts],
        policy=Policy.load(
            b'version = 1\nplatforms = ["tdx", "nras"]\naccept = ["published-keys"]\n'
            b'together = ["tdx", "nras"]\n',
            name="t",
        ),
        tie=Held(report_data),
        roots=Roots.vendor(),
        now=datetime(2026, 7, 15, 8, tzinfo=UTC),
    )
    # Keys and collateral are not archived: nothing failed, and nothing is accepted.
    assert result.verdict is Verdict.REFUSED
    assert result.ledger["composite.together"].outcome is Outcome.PASSED
    assert not result.ledger.failed()
    assert result.indeterminate


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"tdx": {"quote_b64": TEXT}, "token": 7}, "verification.evidence.unrecognised"),
        ({"tdx": {"quote_b64": TEXT}, "token": "x"}, "verification.evidence.unrecognised"),
        ({"tdx": {"quote_b64": TEXT}, "token": "\ud800"}, "verification.evidence.unrecognised"),
        ({"tdx": {"quote_b64": "!"}, "token": QUOTE.hex()}, "verification.evidence.unrecognised"),
        ({"tdx": {"quote_b64": "\ud800"}, "token": QUOTE.hex()}, "verification.evidence.unrecognised"),
        ({"tdx": {"quote_b64": "e30="}, "token": QUOTE.hex()}, "verification.answer.unrecognised"),
        ({"tdx": {"quote_b64": TEXT}}, "verification.answer.unrecognised"),
        ({"tdx": {"quote_b64": 7}, "token": QUOTE.hex()}, "verification.answer.unrecognised"),
        ({"tdx": [TEXT], "token": QUOTE.hex()}, "verification.answer.unrecognised"),
        ({"token": QUOTE.hex()}, "verification.answer.unrecognised"),
        ({"attestation": 7}, "dstack.answer.member"),
        ({"attestation": "7"}, "dstack.answer.member"),
        ({"attestation": "00"}, "dstack.scale"),
    ],
)
def test_bundles_that_are_none_are_refused(value, expected):
    assert code(json.dumps(value).encode()) == expected


def test_what_stands_beside_the_pieces_of_a_bundle_is_named():
    value = {"tdx": {"quote_b64": TEXT, "more": 1}, "token": QUOTE.hex(), "x": 1}
    bundle = open_bundle(json.dumps(value).encode())
    assert bundle.unverified == ("tdx.more", "x")
    wrapped = {"cmw": base64.urlsafe_b64encode(encode_json(Record(1, QUOTE))).decode().rstrip("="), "y": 1}
    found = only(json.dumps(wrapped).encode())
    assert (found.evidence, found.unverified) == (QUOTE, ("y",))
    assert found.form.endswith(", in a token of ratsd")


def test_what_pieces_leave_out_is_counted_together_and_alike_names_stand_there_once():
    long = {f"{'x' * 64}{at}": 1 for at in range(2)}
    same = "s" * 64  # as long as a name may be without being shortened
    first = {"quote": TEXT, same: 1} | {f"a{at:03}": 1 for at in range(80)}
    second = {"quote": TEXT, same: 1} | long
    records = {
        str(at): Record(1, json.dumps(each).encode()) for at, each in enumerate((first, second, first))
    }
    bundle = open_bundle(encode_cbor(Collection(records)))
    assert [part.unnamed for part in bundle.parts] == [18, 0, 18]
    named = [f"a{at:03}" for at in range(63)]
    assert bundle.unverified == (*named, same, "x" * 64 + "...", "x" * 64 + "...", "36 more")


@given(st.binary(max_size=300))
def test_anything_is_opened_or_refused(data):
    try:
        bundle = open_bundle(data)
    except EvidenceError:
        return
    assert 0 < len(bundle.parts) <= MAX_PARTS
