"""What revocation lists say of a chain: whose lists count, and what makes one that counts a failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.evidence.decoding.der import DerError
from assay.evidence.facts import ALWAYS, Window
from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.x509.crl import MAX_CRL_BYTES
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.revoked import is_list_of, judge_lists
from support.endorsement_lists import OID, points

SPEC = CheckSpec("test.revoked", "no certificate is revoked", "a test")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LEAF, BETWEEN, ROOT = 3, 2, 1


@cache
def key(label: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common, _validate=len(common) <= 64)])


def certificate(subject, issuer, serial, *, owner="", lists=True, usage=True, identified=True, at=""):
    """Return a certificate; ``lists`` says whether its usage allows it to sign lists, ``at`` names one."""
    public = key(owner or subject).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(NOW - 9 * DAY)
        .not_valid_after(NOW + 9 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if usage:
        bits = x509.KeyUsage(False, False, False, False, False, True, lists, False, False)
        builder = builder.add_extension(bits, critical=True)
    if identified:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    if at:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(OID), points(at)), critical=False
        )
    return GeneralCertificate.parse(builder.sign(key(issuer), hashes.SHA256()).public_bytes(Encoding.DER))


def chain(**root):
    return (
        certificate("leaf", "between", LEAF),
        certificate("between", "root", BETWEEN),
        certificate("root", "root", ROOT, **root),
    )


def crl(issuer, *revoked, signer="", stated="", start=NOW - DAY, days=2):
    """Return a list; ``stated`` is whose key it names, ``signer`` whose key made its signature."""
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key(stated or issuer).public_key())
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer))
        .last_update(start)
        .next_update(start + days * DAY)
        .add_extension(identifier, critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key(signer or stated or issuer), hashes.SHA256()).public_bytes(Encoding.DER)


def judged(*crls, found=None, at=NOW):
    return judge_lists(SPEC, found or chain(), crls, at, vendor="a-vendor")


def test_a_list_that_refuses_a_chain_completes_nothing():
    found = judged(crl("root", BETWEEN), crl("between"))
    assert (found.check.code, found.complete, found.named) == ("test.revoked.listed", False, False)
    assert (found.needs, found.window) == ((), ALWAYS)


@pytest.mark.parametrize(
    ("der", "lists", "its"),
    [
        (crl("root"), True, True),
        (crl("between", stated="root"), True, False),
        (crl("root", stated="stranger", signer="root"), True, False),
        (crl("root", signer="stranger"), True, False),
        (crl("root"), False, False),
    ],
    ids=["its own", "another name", "another key named", "another key signed", "it may sign none"],
)
def test_a_list_is_an_issuers_by_name_key_signature_and_usage(der, lists, its):
    *_, root = chain(lists=lists)
    assert is_list_of(GeneralRevocationList.parse(der), root) is its


def test_without_a_list_nothing_is_known():
    found = judged()
    assert (found.check.outcome, found.complete, found.window) == (Outcome.NOT_APPLICABLE, False, ALWAYS)
    assert found.check.reason == "no CRL was given: revocation is not proven"


@pytest.mark.parametrize(
    "other",
    [crl("stranger", LEAF, BETWEEN), crl("root", BETWEEN, stated="stranger"), crl("leaf", LEAF)],
    ids=["another name", "another key", "the leaf's own"],
)
def test_a_list_of_no_issuer_of_the_chain_says_nothing(other):
    found = judged(other)
    assert (found.check.outcome, found.complete, found.window) == (Outcome.NOT_APPLICABLE, False, ALWAYS)
    assert found.check.reason == "no given CRL is of an issuer of the chain: revocation is not proven"
    both = judged(other, crl("root"), crl("between"), other)
    assert both.check is SPEC.passed
    assert both.complete


@pytest.mark.parametrize(
    ("lists", "complete"),
    [
        ((crl("root"),), False),
        ((crl("between"),), False),
        ((crl("root"), crl("root")), False),
        ((crl("between"), crl("root")), True),
        ((crl("root", LEAF, 9), crl("between", BETWEEN, ROOT)), True),
    ],
)
def test_all_is_known_where_every_issuer_has_a_list(lists, complete):
    found = judged(*lists)
    assert found.check is SPEC.passed
    assert found.complete is complete


def test_what_lists_say_holds_while_all_of_them_do():
    lists = (crl("root", start=NOW - 2 * DAY, days=3), crl("between", start=NOW - DAY, days=5))
    assert judged(*lists).window == Window(NOW - DAY, NOW + DAY)
    again = (crl("root", start=NOW - 3 * DAY, days=9), crl("root", start=NOW - DAY, days=1))
    for several in (again, again[::-1]):
        assert judged(*several).window == Window(NOW - DAY, NOW)


@pytest.mark.parametrize(
    ("issuer", "said"),
    [("between", "between"), ('a b\n\u00e9,\x7f"~', 'a_b__,_"~'), ("x" * 64, "x" * 64), ("x" * 65, "x" * 64)],
    ids=["a word", "several", "the longest", "longer"],
)
@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
def test_a_need_calls_its_issuer_by_one_printable_word_of_at_most_64_characters(issuer, said):
    *_, root = chain()
    found = (
        certificate("leaf", issuer, LEAF, at="http://a.example/a.crl"),
        certificate(issuer, "root", BETWEEN),
        root,
    )
    (need,) = judged(found=found).needs
    assert need.key["issuer"] == said


@pytest.mark.parametrize(
    ("lists", "code"),
    [
        ((crl("root", BETWEEN),), "test.revoked.listed"),
        ((crl("root"), crl("between", 7, LEAF)), "test.revoked.listed"),
        ((crl("root"), crl("root", BETWEEN)), "test.revoked.listed"),
        ((crl("root", ROOT),), "test.revoked.listed"),
        ((crl("root", signer="stranger"),), "test.revoked.issuer"),
        ((crl("between", signer="root"), crl("root")), "test.revoked.issuer"),
        ((crl("root", start=NOW - 3 * DAY),), "test.revoked.time"),
        ((crl("root"), crl("between", start=NOW + timedelta(seconds=1))), "test.revoked.time"),
        ((crl("root"), b"\x30\x00"), "test.revoked.malformed"),
        ((crl("root") + b"\0",), "test.revoked.malformed"),
        ((bytes(MAX_CRL_BYTES + 1),), "test.revoked.malformed"),
    ],
)
def test_a_list_that_counts_can_fail(lists, code):
    found = judged(*lists)
    assert (found.check.outcome, found.check.code) == (Outcome.FAILED, code)
    assert not found.complete
    assert found.check.spec is SPEC


@pytest.mark.parametrize(
    ("root", "code"), [({"lists": False}, "test.revoked.issuer"), ({"usage": False}, "")]
)
def test_an_issuer_whose_usage_forbids_it_signs_no_lists(root, code):
    assert judged(crl("root"), found=chain(**root)).check.code == code


def test_a_number_is_of_its_issuers_certificates_alone():
    """An anchor that another authority issued is not what stands on its own list under that number."""
    anchor = certificate("root", "above", ROOT)
    found = (certificate("leaf", "between", LEAF), certificate("between", "root", BETWEEN), anchor)
    assert judged(crl("root", ROOT), crl("between", BETWEEN), found=found).complete
    assert judged(crl("root", BETWEEN), found=found).check.code == "test.revoked.listed"


def test_an_issuer_that_states_no_key_is_known_by_its_name():
    unnamed = chain(identified=False)
    assert judged(crl("root"), found=unnamed).check is SPEC.passed
    assert judged(crl("root", BETWEEN), found=unnamed).check.code == "test.revoked.listed"
    assert judged(crl("root", stated="stranger"), found=unnamed).check.code == "test.revoked.issuer"


def test_of_two_issuers_of_one_name_the_one_whose_key_signed_is_meant():
    twins = (
        certificate("leaf", "root", LEAF),
        certificate("root", "root", BETWEEN, owner="old", identified=False),
        certificate("root", "root", ROOT, identified=False),
    )
    assert judged(crl("root", BETWEEN), found=twins).check.code == "test.revoked.listed"
    assert judged(crl("root", LEAF, stated="old"), found=twins).check.code == "test.revoked.listed"
    assert judged(crl("root", LEAF), crl("root", BETWEEN, stated="old"), found=twins).complete


def test_a_list_states_its_algorithm_twice():
    der = crl("root")
    stated = bytes.fromhex("300a06082a8648ce3d0403")
    at = der.index(stated) + len(stated)
    with pytest.raises(DerError, match="two signature algorithms of a CRL differ"):
        GeneralRevocationList.parse(der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :])
