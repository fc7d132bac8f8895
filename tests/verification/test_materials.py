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


def crl(at: datetime, issuer: str = "root", *, number: int = 1) -> bytes:
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer))
        .last_update(at)
        .next_update(at + 30 * DAY)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(KEYS[issuer].public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(number), critical=False)
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


def named_otherwise(subject: str, key: str) -> x509.Certificate:
    """Return a certificate of a key under another name than its own."""
    return rebuilt(subject, KEYS[key].public_key())


def rebuilt(subject: str, key, *extensions: x509.ExtensionType) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name("another"))
        .public_key(key)
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEYS["other"], hashes.SHA384())


def test_a_key_under_another_name_is_no_issuer():
    found = Materials.of({"0": der(named_otherwise("alias", "root")), "1": der(LEAF)})
    assert found.issuer_of(found.certificates[1]) is None


def test_a_certificate_whose_key_cannot_be_used_is_passed_over():
    point = (
        KEYS["root"]
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    off_the_curve = der(ROOT).replace(point, point[:-1] + bytes([point[-1] ^ 1]))
    found = Materials.of({"0": off_the_curve, "1": der(ROOT), "2": der(LEAF)})
    assert len(found.certificates) == 3
    issuer = found.issuer_of(found.certificates[2])
    assert issuer is not None
    assert issuer.der == der(ROOT)


def test_a_certificate_whose_key_identifier_is_malformed_has_no_list():
    identifier = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.14"), b"\x30\x00")
    odd = rebuilt("root", KEYS["root"].public_key(), identifier)
    found = Materials.of({"a": crl(NOW), "b": crl(NOW - DAY), "root": der(odd)})
    assert found.crl_of(found.certificates[0]) is None


def test_what_is_no_list_hides_none():
    files = {"0": b"text", "1": b"\x30\x00", "2": crl(NOW, "other"), "3": crl(NOW), "4": der(ROOT)}
    found = Materials.of(files)
    assert [data for data, _ in found.revocation_lists] == [files["2"], files["3"]]
    (root,) = found.certificates
    assert found.crl_of(root) == files["3"]


def test_a_damaged_block_hides_no_other():
    """Base64 that goes on behind its padding is damaged, and its beginning is no certificate."""
    made = (certificate("leaf", "root", serial=serial) for serial in range(2, 100))
    padded = next(each for each in made if len(der(each)) % 3)
    text = base64.b64encode(der(padded)) + b"AAAA"
    block = b"-----BEGIN CERTIFICATE-----" + text + b"-----END CERTIFICATE-----\n"
    found = Materials.of({"chain.pem": block + pem(LEAF)}).certificates
    assert [each.der for each in found] == [der(LEAF)]


def test_a_line_end_in_two_characters_is_one_in_json_alone():
    text = pem(LEAF).replace(b"\n", b"\\n")
    assert len(Materials.of({"a.json": b'{"x":"' + text + b'"}'}).certificates) == 1
    assert Materials.of({"a.txt": text}).certificates == ()


def test_the_newest_list_of_an_issuer_is_taken():
    old, new, foreign = crl(NOW - 5 * DAY), crl(NOW), crl(NOW + DAY, "other")
    found = Materials.of({"a": new, "b": old, "c": foreign, "d": b"\x30\x00", "root": der(ROOT)})
    (root,) = found.certificates
    assert found.crl_of(root) == new
    assert Materials.of({"root": der(ROOT), "c": foreign}).crl_of(root) is None


@pytest.mark.parametrize("order", [(7, 8), (8, 7)])
def test_of_two_lists_of_one_moment_the_one_of_the_higher_number_is_taken(order):
    files = {str(at): crl(NOW, number=number) for at, number in enumerate(order)}
    found = Materials.of({**files, "root": der(ROOT)})
    (root,) = found.certificates
    assert found.crl_of(root) == files[str(order.index(8))]
    assert found.lists_of([b"root"], NOW) == (files[str(order.index(8))],)


def test_a_list_is_found_by_a_word_in_the_name_of_its_issuer():
    """Without the issuer's certificate; of each issuer the newest that is valid, or the newest of all."""
    of_root = {days: crl(NOW + days * DAY) for days in (-40, -35, -9, -2, 3)}
    other = crl(NOW, "other")
    found = Materials.of({str(at): data for at, data in enumerate((*of_root.values(), other))})
    assert found.lists_of([b"root"], NOW) == (of_root[-2],)
    assert set(found.lists_of([b"roo", b"oth"], NOW)) == {of_root[-2], other}
    assert found.lists_of([b"roots"], NOW) == found.lists_of([], NOW) == ()
    assert found.lists_of([b"root"], NOW - 6 * DAY) == (of_root[-9],)
    assert found.lists_of([b"root"], NOW + 90 * DAY) == (of_root[3],)


def test_a_list_may_be_written_as_pem():
    made = crl(NOW)
    text = base64.encodebytes(made)
    whole = b"-----BEGIN X509 CRL-----\n" + text + b"-----END X509 CRL-----\n"
    damaged = whole.replace(text, text.rstrip() + b"AAAA=A\n")
    found = Materials.of({"a.crl": damaged + whole, "b.crl": b"-----BEGIN X509 CRL-----\n" + text})
    assert [data for data, _ in found.revocation_lists] == [made]


def test_only_so_many_certificates_are_looked_at():
    many = {
        f"{serial:04}": der(certificate("leaf", "root", serial=serial))
        for serial in range(1, MAX_CERTIFICATES + 3)
    }
    assert len(Materials.of(many).certificates) == MAX_CERTIFICATES == 256


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
    assert Materials.of({"keys.json": KEY_SET, "a": b"text", "b": b"[]"}).key_set(ISSUER, NOW) == KEY_SET
    assert Materials.of({}).key_set(ISSUER, NOW) is None
    assert Materials.of({"bundle": bundled({"jwks.json": KEY_SET}, issuer="")}).key_set("", NOW) == KEY_SET


def test_a_key_set_is_one_up_to_its_limit():
    limit = 1 << 18
    assert Materials.of({"keys.json": KEY_SET.ljust(limit)}).key_set(ISSUER, NOW) is not None
    assert Materials.of({"keys.json": KEY_SET.ljust(limit + 1)}).key_set(ISSUER, NOW) is None


def test_a_bundle_answers_for_the_kind_that_is_asked_for():
    found = Materials.of({"bundle": bundled({"jwks.json": KEY_SET}, issuer=ISSUER)})
    assert [each.wanted.get("issuer") for each in found.endorsements("jwks")] == [ISSUER]
    assert list(found.endorsements("nvidia-ocsp")) == []


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
