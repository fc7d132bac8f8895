"""Looking through what is at hand: what is found, what is passed over."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from assay.endorsements.bundle import Bundle
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.errors import EndorsementError
from assay.evidence.facts import Window
from assay.verification.materials import MAX_CERTIFICATES, Materials

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = {name: ec.generate_private_key(ec.SECP384R1()) for name in ("root", "leaf", "other")}


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def certificate(subject: str, issuer: str, signer: str | None = None, serial: int = 1) -> x509.Certificate:
    key = KEYS.get(subject, KEYS["leaf"])
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(KEYS[signer or issuer], hashes.SHA384())
    )


def crl(at: datetime, issuer: str = "root") -> bytes:
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer))
        .last_update(at)
        .next_update(at + 30 * DAY)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(KEYS[issuer].public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(1), critical=False)
        .sign(KEYS[issuer], hashes.SHA384())
        .public_bytes(serialization.Encoding.DER)
    )


ROOT, LEAF = certificate("root", "root"), certificate("leaf", "root")


def der(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.DER)


def pem(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "files",
    [
        {"a.der": der(ROOT), "b.der": der(LEAF)},
        {"chain.pem": pem(LEAF) + b"\n" + pem(ROOT)},
        {"answer.json": b'{"chain": "' + (pem(LEAF) + pem(ROOT)).replace(b"\n", b"\\n") + b'"}'},
        {"a.der": der(ROOT), "again.pem": pem(ROOT), "b.pem": b"text before\n" + pem(LEAF)},
        {
            "a.der": der(ROOT),
            "junk": b"\x30\x82",
            "more": pem(LEAF),
            "bad.pem": b"-----BEGIN CERTIFICATE-----\n!\n",
        },
    ],
)
def test_certificates_are_found_in_every_form_once(files):
    found = Materials.of(files).certificates
    assert {each.der for each in found} == {der(ROOT), der(LEAF)}
    assert len(found) == 2


def test_an_issuer_is_named_and_signed():
    impostor = certificate("root", "root", "other", serial=2)
    found = Materials.of({"0": der(impostor), "1": der(ROOT), "2": der(LEAF)})
    leaf = next(each for each in found.certificates if each.common_name == "leaf")
    issuer = found.issuer_of(leaf)
    assert issuer is not None
    assert issuer.der in (der(ROOT), der(impostor))  # one key has both names: both verify
    stranger = certificate("leaf", "root", "other")
    lonely = Materials.of({"1": der(ROOT), "2": der(stranger)})
    unknown = next(each for each in lonely.certificates if each.common_name == "leaf")
    assert lonely.issuer_of(unknown) is None


def test_the_newest_list_of_an_issuer_is_taken():
    old, new, foreign = crl(NOW - 5 * DAY), crl(NOW), crl(NOW + DAY, "other")
    found = Materials.of({"a": new, "b": old, "c": foreign, "d": b"\x30\x00", "root": der(ROOT)})
    (root,) = found.certificates
    assert found.crl_of(root) == new
    assert Materials.of({"root": der(ROOT), "c": foreign}).crl_of(root) is None


def test_only_so_many_certificates_are_looked_at():
    many = {
        f"{serial:04}": der(certificate("leaf", "root", serial=serial))
        for serial in range(1, MAX_CERTIFICATES + 3)
    }
    assert len(Materials.of(many).certificates) == MAX_CERTIFICATES


KEY_SET = b'{"keys": []}'
ISSUER = "https://issuer.example"


def bundled(parts: dict[str, bytes], **key: str) -> bytes:
    wanted = Wanted.of("jwks", **key)
    window = Window(NOW - DAY, NOW + DAY)
    found = Endorsement(
        wanted, parts, window, NOW, ("https://issuer.example/keys",), Basis.TLS, "issuer.example"
    )
    return Bundle.of([found], created=NOW).encode()


def test_key_sets_belong_to_their_issuer():
    bundle = bundled({"jwks.json": KEY_SET}, issuer=ISSUER)
    found = Materials.of({"bundle": bundle})
    assert found.key_set(ISSUER, NOW) == KEY_SET
    assert found.key_set("https://another.example", NOW) is None
    assert len(found.bundles) == 1
    # A loose file does not say whose it is: beside a bundle, or beside another, it is nobody's.
    assert Materials.of({"keys.json": KEY_SET}).key_set(ISSUER, NOW) == KEY_SET
    assert Materials.of({"keys.json": KEY_SET, "x.json": b"{}", "y": b"{"}).key_set(ISSUER, NOW) == KEY_SET
    assert Materials.of({"a.json": KEY_SET, "b.json": KEY_SET}).key_set(ISSUER, NOW) is None
    assert Materials.of({"bundle": bundle, "a.json": KEY_SET}).key_set("https://another.example", NOW) is None
    assert Materials.of({}).key_set(ISSUER, NOW) is None


@pytest.mark.parametrize(
    ("late", "found"), [(-9 * DAY, KEY_SET), (DAY, KEY_SET), (DAY + timedelta(seconds=1), None)]
)
def test_a_key_set_of_a_bundle_counts_no_longer_than_the_bundle_says(late, found):
    given = Materials.of({"bundle": bundled({"jwks.json": KEY_SET}, issuer=ISSUER)})
    assert given.key_set(ISSUER, NOW + late) == found


@pytest.mark.parametrize("sent", [KEY_SET, b' \n{"keys": []}', b'{"x": 1, "keys": [{}]}'])
def test_a_key_set_that_came_with_evidence_is_nobodys(sent):
    beside = {"keys.json": sent, "root.der": der(ROOT)}
    alone = Materials({}).with_evidence(beside)
    assert alone.key_set(ISSUER, NOW) is None
    assert [each.der for each in alone.certificates] == [der(ROOT)]
    own = Materials.of({"own.json": KEY_SET, "root.der": b"mine"}).with_evidence(beside)
    assert own.key_set(ISSUER, NOW) == KEY_SET
    assert own.files["root.der"] == b"mine"


def test_a_bundle_that_came_with_evidence_is_not_opened():
    bundle = bundled({"jwks.json": KEY_SET}, issuer=ISSUER)
    assert Materials({}).with_evidence({"bundle": bundle}).key_set(ISSUER, NOW) is None


def test_parts_of_a_bundle_are_files_too():
    found = Materials.of({"bundle": bundled({"root.der": der(ROOT)}, issuer=ISSUER)})
    assert [each.der for each in found.certificates] == [der(ROOT)]
    assert found
    assert not Materials.of({})


def test_a_damaged_bundle_is_an_error_and_no_loose_file():
    bundle = bytearray(bundled({"jwks.json": KEY_SET}, issuer=ISSUER))
    bundle[bundle.index(KEY_SET)] ^= 1
    with pytest.raises(EndorsementError) as error:
        Materials.of({"bundle": bytes(bundle)})
    assert error.value.code.startswith("endorsements.bundle.")


def test_digest_of_what_is_found_is_that_of_the_file():
    text = base64.b64encode(der(ROOT))
    block = b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"
    (found,) = Materials.of({"one line": block}).certificates
    assert hashlib.sha256(found.der).digest() == hashlib.sha256(der(ROOT)).digest()
