"""Bounds, codes and rare shapes of the evidence room's base that a mutation run found untested."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from cryptography import x509

from assay.errors import EndorsementError, EvidenceError
from assay.evidence.dcap import checks
from assay.evidence.dcap.collateral import MAX_BUNDLE_BYTES, Collateral
from assay.evidence.dcap.pck import TCB_SIGNER_ROLE
from assay.evidence.dcap.quote import QuoteError, parse_quote
from assay.evidence.decoding.der import OCTET_STRING, DerError, DerReader
from assay.evidence.decoding.pem import MAX_CHAIN_BYTES, PemError, certificates
from assay.evidence.decoding.strictjson import MAX_CONTAINERS, JsonError, parse
from assay.evidence.ledger import Check, CheckSpec, LedgerBuilder, Outcome, ledger_of
from assay.evidence.roots import MAX_ANCHOR_BYTES, Root, Roots
from assay.evidence.verification import fingerprint
from assay.evidence.x509.certificate import OID_BASIC_CONSTRAINTS, OID_SUBJECT_KEY_IDENTIFIER, Certificate
from assay.evidence.x509.crl import MAX_CRL_BYTES, RevocationList, read_serials
from assay.simulator import pki
from support.dcap_scenes import INTEL, NOW, STRANGER, encode, resigned, scene, spoilt, stand_in
from support.sized_certificates import certificate_of

FIRST, SECOND = CheckSpec("a.first", "one", "here"), CheckSpec("a.second", "two", "there")


# --- Ledger


def test_a_check_as_json():
    ledger = LedgerBuilder((FIRST, SECOND))
    ledger.passed(FIRST)
    ledger.failed(SECOND, "a.code", "A sentence.")
    assert [check.to_json() for check in ledger.close()] == [
        {"id": "a.first", "outcome": "passed", "title": "one", "source": "here"},
        {
            "id": "a.second",
            "outcome": "failed",
            "title": "two",
            "source": "there",
            "code": "a.code",
            "reason": "A sentence.",
        },
    ]


def test_what_was_not_reached_says_who_stopped_it():
    ledger = LedgerBuilder((FIRST, SECOND))
    assert FIRST not in ledger
    assert {check.reason for check in ledger.close()} == {"not reached"}
    ledger.failed(FIRST, "a.code", "A sentence.")
    assert FIRST in ledger
    assert SECOND not in ledger
    assert ledger.close()["a.second"].reason == "not reached: a.first failed"
    assert ledger.close()["a.second"].outcome is Outcome.NOT_CHECKED


@pytest.mark.parametrize(
    "again",
    [
        lambda ledger: ledger.passed(FIRST),
        lambda ledger: ledger.record(FIRST.passed),
        lambda ledger: ledger.extend([SECOND.passed, FIRST.passed]),
        lambda ledger: ledger.adopt({FIRST: FIRST.passed}),
        lambda ledger: ledger.failed(FIRST, "a.code", "A sentence."),
    ],
    ids=["passed", "record", "extend", "adopt", "failed"],
)
def test_a_check_has_one_outcome(again):
    ledger = LedgerBuilder((FIRST, SECOND))
    ledger.passed(FIRST)
    with pytest.raises(AssertionError, match="recorded twice"):
        again(ledger)


def test_a_ledger_of_one_check():
    ledger = LedgerBuilder((FIRST,))
    ledger.passed(FIRST)
    assert ledger.close().checks == (FIRST.passed,)


def test_outcomes_that_were_noted_down_are_a_ledger_in_the_declared_order():
    specs = (FIRST, SECOND)
    whole = ledger_of(specs, [FIRST.passed, SECOND.passed])
    assert whole.checks == (FIRST.passed, SECOND.passed)
    assert ledger_of(specs, [SECOND.passed, FIRST.passed]) == whole
    assert ledger_of(specs, [FIRST.passed])["a.second"].code == "ledger.not_reached"


def test_the_same_outcomes_are_the_same_ledger_and_others_are_not():
    specs, others = (FIRST, SECOND), (FIRST, SECOND)[:1]
    passed, reason = [FIRST.passed, SECOND.passed], "A sentence."
    whole = ledger_of(specs, passed)
    ledger = LedgerBuilder(specs)
    ledger.passed(FIRST, SECOND)
    assert ledger.close() is whole is ledger_of(specs, passed)
    assert whole.unmet() == ()
    failed = ledger_of(specs, [FIRST.passed, Check(SECOND, Outcome.FAILED, "a.code", reason)])
    assert failed.unmet() == failed.checks[1:]
    assert failed.unmet() is failed.unmet()
    other = ledger_of(specs, [FIRST.passed, Check(SECOND, Outcome.FAILED, "another.code", reason)])
    assert other["a.second"].code == "another.code"
    assert ledger_of(others, [FIRST.passed]).checks == (FIRST.passed,)
    assert ledger_of(specs, passed).checks == tuple(passed)


def test_no_check_is_noted_down_twice():
    with pytest.raises(AssertionError, match="recorded twice"):
        ledger_of((FIRST, SECOND), [FIRST.passed, FIRST.passed])


# --- Decoders


def test_a_length_of_four_bytes():
    content = bytes(1 << 24)
    reader = DerReader(encode(OCTET_STRING, content))
    assert reader.span(OCTET_STRING) == (6, 6 + len(content))


def test_the_bound_of_a_chain():
    for size, code in ((MAX_CHAIN_BYTES, "pem.malformed"), (MAX_CHAIN_BYTES + 1, "pem.oversized")):
        with pytest.raises(PemError) as error:
            certificates(b"x" * size, count=1)
        assert error.value.code == code
    assert MAX_CHAIN_BYTES == 16384


def test_the_bound_of_containers():
    assert MAX_CONTAINERS == 8192
    assert parse(b"[" + b",".join([b"[]"] * 8191) + b"]", max_bytes=1 << 20) == [[]] * 8191
    with pytest.raises(JsonError, match="more than 8192 objects"):
        parse(b"[" + b",".join([b"[]"] * 8192) + b"]", max_bytes=1 << 20)


# --- Certificates, lists, roles


def test_nothing_follows_the_extensions_of_a_certificate():
    der = resigned(INTEL.tcb_signer.der, INTEL.root.key, lambda content: content + b"\x05\x00")
    with pytest.raises(DerError, match="bytes follow"):
        Certificate.parse(der)


def test_a_name_whose_length_is_written_as_no_der_length():
    """0x80 announces an indefinite length; read as 128 it would be a second spelling."""
    subject = x509.load_der_x509_certificate(INTEL.tcb_signer.der).subject.public_bytes()
    value = b"\x06\x03\x55\x04\x03\x0c\x77" + b"n" * 119
    spelt = encode(0x30, b"\x31\x80\x30\x7e" + value)
    der = resigned(INTEL.tcb_signer.der, INTEL.root.key, lambda content: content.replace(subject, spelt, 1))
    with pytest.raises(DerError, match="short attributes"):
        Certificate.parse(der)


def crl(*, revoked=()) -> bytes:
    return pki.RevocationList(INTEL.platform_ca, NOW, NOW + timedelta(days=30), revoked=list(revoked)).sign()


def test_nothing_follows_the_parts_of_a_list():
    der = resigned(crl(), INTEL.platform_ca.key, lambda content: content + b"\x05\x00")
    with pytest.raises(DerError, match="bytes follow"):
        RevocationList.parse(der)
    content = DerReader(crl()).value(0x30)
    with pytest.raises(DerError, match="bytes follow"):
        RevocationList.parse(encode(0x30, content + b"\x05\x00"))


def test_the_bound_of_a_list():
    entry = encode(0x30, b"\x02\x04\x01\x02\x03\x04" + encode(0x17, b"261121000000Z"))

    def listing(size):
        def change(content):
            at = content.rindex(b"\xa0")
            number = content.rindex(bytes.fromhex("0603551d14"))
            assert at < number
            return content[:at] + encode(0x30, entry * ((size - 1000) // len(entry))) + content[at:]

        return resigned(crl(), INTEL.platform_ca.key, change)

    assert len(listing(MAX_CRL_BYTES)) <= MAX_CRL_BYTES
    assert RevocationList.parse(listing(MAX_CRL_BYTES)).revoked == {b"\1\2\3\4"}
    longer = listing(MAX_CRL_BYTES + 4000)
    assert len(longer) > MAX_CRL_BYTES == 1 << 20
    with pytest.raises(DerError, match="longer than 1048576"):
        RevocationList.parse(longer)


@pytest.mark.parametrize("size", [0x80, 0x90])
def test_an_entry_whose_length_is_written_as_no_der_length(size):
    """A first length byte from 0x80 on is no length of that many bytes."""
    extension = encode(0x30, bytes.fromhex("0603551d15") + encode(0x04, bytes(size - 29)))
    content = b"\x02\x01\x05" + encode(0x17, b"261121000000Z") + encode(0x30, extension)
    assert len(content) == size
    assert read_serials(DerReader(encode(0x30, content[:18]))) == {b"\x05"}
    with pytest.raises(DerError, match="does not end where it says"):
        read_serials(DerReader(bytes((0x30, size)) + content))


def test_constraints_that_need_not_be_minded():
    own = Certificate.parse(INTEL.tcb_signer.der)
    assert TCB_SIGNER_ROLE.defect(own) is None
    _, value = own.extensions[OID_BASIC_CONSTRAINTS]
    lax = replace(own, extensions={**own.extensions, OID_BASIC_CONSTRAINTS: (False, value)})
    assert "lacks critical" in TCB_SIGNER_ROLE.defect(lax)


def test_nothing_follows_a_key_identifier():
    own = Certificate.parse(INTEL.platform_ca.der)
    critical, value = own.extensions[OID_SUBJECT_KEY_IDENTIFIER]
    longer = replace(
        own, extensions={**own.extensions, OID_SUBJECT_KEY_IDENTIFIER: (critical, value + b"\0")}
    )
    with pytest.raises(DerError):
        longer.key_identifier()


# --- Roots


def test_the_bounds_of_an_anchor():
    roots = Roots.vendor()
    largest = roots.with_anchor("n" * 64, certificate_of(MAX_ANCHOR_BYTES), vendor="amd")
    assert largest.of("amd")[-1].name == "n" * 64
    for name, der in (
        ("of a size", certificate_of(MAX_ANCHOR_BYTES + 1)),
        ("n" * 65, INTEL.root_der),
        ("", INTEL.root_der),
        ("a\nb", INTEL.root_der),
        ("empty", b""),
    ):
        with pytest.raises(EvidenceError) as error:
            roots.with_anchor(name, der, vendor="amd" if "size" in name else "intel")
        assert error.value.code == "roots.anchor.malformed"
    assert roots.with_anchor("n", INTEL.root_der).intel[-1].name == "n"
    assert MAX_ANCHOR_BYTES == 4096


def test_roots_are_equal_whether_they_were_decoded_or_not():
    one, two = (Root("intel", "n", INTEL.root_der) for _ in range(2))
    assert one.certificate.der == INTEL.root_der
    assert one == two


def test_a_fingerprint_is_the_hash_of_the_whole():
    assert fingerprint(INTEL.root_der) == hashlib.sha256(INTEL.root_der).digest()


# --- DCAP


def test_the_bound_of_a_bundle_and_the_digest_of_collateral():
    genuine = INTEL.collateral(NOW, platform="tdx")
    bundle = genuine.to_bundle_json()
    assert MAX_BUNDLE_BYTES == 2 << 20
    assert Collateral.from_bundle_json(bundle.ljust(MAX_BUNDLE_BYTES)) == genuine
    with pytest.raises(EndorsementError):
        Collateral.from_bundle_json(bundle.ljust(MAX_BUNDLE_BYTES + 1))
    parts = [getattr(genuine, part.name) for part in fields(Collateral) if part.init]
    sealed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert genuine.digest == hashlib.sha256(sealed).digest()


def test_a_section_that_ends_behind_its_report():
    """Nothing follows, in the section or behind it: there is no byte to read a length from."""
    stage = scene("sgx", 3)
    quote = stage.finish().quote
    start = 48 + 384
    size = 128 + 384 + 64
    cut = quote[:start] + size.to_bytes(4, "little") + quote[start + 4 : start + 4 + size]
    with pytest.raises(QuoteError) as error:
        parse_quote(cut, "sgx")
    assert error.value.code == "dcap.quote.length"


def test_a_leaf_whose_issuer_key_identifier_is_malformed():
    """The chain cannot be followed: a failure of the chain's check, by its own code."""

    def spoil(stage):
        own = INTEL.platform_ca.certificate
        digest = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        stated = encode(0x80, digest)
        changed = resigned(
            stage.machine.pck.der,
            INTEL.platform_ca.key,
            lambda content: content.replace(stated, b"\x82" + stated[1:], 1),
        )
        stage.quote.certificates[0] = stand_in(changed, stage.machine.pck.key).certificate

    check = spoilt(spoil).ledger[checks.PCK_CHAIN.id]
    assert (check.outcome, check.code) == (Outcome.FAILED, "dcap.pck.chain")


def test_a_list_of_another_key_under_name_and_identifier_of_the_authority():
    """The root certified a second key under the same name and identifier; the list is not the leaf's CA's."""
    own = INTEL.platform_ca.certificate
    other = INTEL.root.issue(pki.PLATFORM_CA, STRANGER)

    def identifier(certificate):
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest

    theirs, ours = identifier(other.certificate), identifier(own)
    assert theirs != ours
    alike = resigned(other.der, INTEL.root.key, lambda content: content.replace(theirs, ours, 1))

    def spoil(stage):
        stage.collateral.pck_crl.issuer = other
        stage.collateral.pck_crl_chain[0] = stand_in(alike, STRANGER)
        stage.after_collateral = lambda given: replace(
            given,
            pck_crl=resigned(given.pck_crl, STRANGER, lambda content: content.replace(theirs, ours, 1)),
        )

    ledger = spoilt(spoil).ledger
    assert [check.id for check in ledger.failed()] == [checks.PCK_CRL_ISSUER.id]
