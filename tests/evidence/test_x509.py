"""Certificates, lists and roles; a second decoder agrees on everything that is accepted."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.evidence.dcap.pck import PCK_CA_ROLE, PCK_ROLE, ROOT_ROLE, TCB_SIGNER_ROLE
from assay.evidence.decoding.der import DerError
from assay.evidence.x509.certificate import (
    MAX_CERTIFICATE_BYTES,
    Certificate,
    authority_key,
    key_usage,
    load_point,
    raw_signature,
    verifies,
)
from assay.evidence.x509.crl import MAX_CRL_BYTES, RevocationList
from assay.evidence.x509.roles import Role, issued
from assay.simulator import pki
from support.dcap_scenes import INTEL, STRANGER, encode, resigned, with_extension

NOW = datetime(2026, 11, 21, tzinfo=UTC)
_SHA256 = SHA256()
ISSUED = {
    "root": INTEL.root,
    "platform": INTEL.platform_ca,
    "processor": INTEL.processor_ca,
    "signer": INTEL.tcb_signer,
    "pck": INTEL.machine("one").pck,
}
ROLES = {
    "root": ROOT_ROLE,
    "platform": PCK_CA_ROLE,
    "processor": PCK_CA_ROLE,
    "signer": TCB_SIGNER_ROLE,
    "pck": PCK_ROLE,
}


def refused(der: bytes, decode=Certificate.parse) -> str:
    with pytest.raises(DerError) as error:
        decode(der)
    return error.value.message


@pytest.mark.parametrize("name", ISSUED)
def test_fields_are_those_that_another_decoder_reads(name):
    other = ISSUED[name].certificate
    found = Certificate.parse(ISSUED[name].der)
    assert found.signed == other.tbs_certificate_bytes
    assert found.signature == other.signature
    assert int.from_bytes(found.serial, "big") == other.serial_number
    assert found.issuer == other.issuer.public_bytes()
    assert found.subject == other.subject.public_bytes()
    assert found.window.start == other.not_valid_before_utc
    assert found.window.end == other.not_valid_after_utc
    public = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert found.point == public
    assert found.key().public_numbers() == other.public_key().public_numbers()
    assert found.key() is found.key()
    assert len(found.extensions) == len(other.extensions)
    identifier = other.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert found.key_identifier() == identifier.value.digest


@pytest.mark.parametrize("name", ISSUED)
def test_each_fits_its_own_role_alone(name):
    certificate = Certificate.parse(ISSUED[name].der)
    for other, role in ROLES.items():
        assert (role.defect(certificate) is None) == (ROLES[name] is role), other


@pytest.mark.parametrize("name", ISSUED)
def test_each_bit_matters(name):
    """A flipped bit is refused by the decoder or by the signature: no bit of a certificate is free."""
    der, issuer = ISSUED[name].der, ISSUED["root" if name != "pck" else "platform"]
    parent, chosen = Certificate.parse(issuer.der), random.Random(name)
    assert issued(Certificate.parse(der), parent, "certificate") is None
    for position in range(8 * len(der)):
        if chosen.random() > 0.15:
            continue
        changed = bytearray(der)
        changed[position // 8] ^= 1 << position % 8
        try:
            certificate = Certificate.parse(bytes(changed))
            assert issued(certificate, parent, "certificate") is not None
        except DerError:
            continue


def build(
    key=None, *, signer=None, algorithm=_SHA256, version3=True, name="Intel SGX TCB Signing", public=None
):
    names = name if isinstance(name, list) else [name]
    attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, text) for text in names]
    key = key or STRANGER
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(INTEL.root.certificate.subject)
        .public_key(public or key.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if version3:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return builder.sign(signer or key, algorithm).public_bytes(Encoding.DER)


def test_other_algorithms_and_shapes_are_refused():
    assert Certificate.parse(build())
    assert "ECDSA and SHA-256" in refused(build(algorithm=SHA384()))
    assert "P-256" in refused(build(public=ec.generate_private_key(ec.SECP384R1()).public_key()))
    assert "P-256" in refused(build(public=ec.derive_private_key(7, ec.SECP256K1()).public_key()))
    weak = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "ECDSA and SHA-256" in refused(build(signer=weak))
    assert "P-256" in refused(build(public=weak.public_key()))
    assert "common name" in refused(build(name=["a", "b"]))
    assert "common name" in refused(build(name=[]))
    assert refused(build(version3=False))
    assert "longer than" in refused(bytes(MAX_CERTIFICATE_BYTES + 1))
    assert "bytes follow" in refused(build() + b"\0")
    for data in (b"", b"\x30\x00", b"\x30\x80\x00\x00"):
        refused(data)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("a003020102", "a003020101", "version 3"),
        ("300a06082a8648ce3d040302", "300a06082a8648ce3d040303", "algorithms of a certificate differ"),
        (
            "301306072a8648ce3d020106082a8648ce3d03010703420004",
            "301306072a8648ce3d020106082a8648ce3d03010703420002",
            "P-256",
        ),
        ("0101ff0404", "0101fe0404", "neither"),
        ("170d", "160d", "neither UTCTime"),
    ],
)
def test_a_signed_part_that_is_refused(old, new, why):
    der = resigned(
        INTEL.tcb_signer.der, INTEL.root.key, lambda c: c.replace(bytes.fromhex(old), bytes.fromhex(new), 1)
    )
    assert why in refused(der)


def attribute(oid: str, value: bytes, tag: int = 0x0C) -> bytes:
    return encode(0x31, encode(0x30, encode(0x06, bytes.fromhex(oid)) + encode(tag, value)))


CN, ORGANIZATION = "550403", "55040a"
NAMED = attribute(CN, b"a name")


def with_subject(name: bytes) -> bytes:
    """Return a self-signed certificate whose subject is this content of a SEQUENCE."""
    subject = x509.load_der_x509_certificate(build(name="a name")).subject.public_bytes()
    return resigned(build(name="a name"), STRANGER, lambda c: c.replace(subject, encode(0x30, name)))


@pytest.mark.parametrize(
    "name",
    [
        NAMED,
        attribute(ORGANIZATION, b"x") + NAMED,
        NAMED + attribute(ORGANIZATION, b"x" * 100),
        attribute(CN, b"a name", 0x13),
        attribute(ORGANIZATION, b"") + NAMED,
    ],
)
def test_names(name):
    assert Certificate.parse(with_subject(name)).common_name == "a name"


@pytest.mark.parametrize(
    "name",
    [
        b"",
        NAMED + NAMED,
        attribute(ORGANIZATION, b"x"),
        attribute(CN, b"a name", 0x16),
        attribute(CN, b"\xff"),
        b"\x30" + NAMED[1:],
        NAMED[:2] + b"\x31" + NAMED[3:],
        NAMED[:4] + b"\x04" + NAMED[5:],
        attribute(ORGANIZATION, b"x" * 130) + NAMED,
        NAMED[:3] + bytes([NAMED[3] - 1]) + NAMED[4:],
        NAMED[:3] + bytes([NAMED[3] + 1]) + NAMED[4:],
        NAMED[:10] + bytes([NAMED[10] - 1]) + NAMED[11:],
        NAMED[:10] + bytes([NAMED[10] + 1]) + NAMED[11:],
        NAMED[:5] + b"\x7f" + NAMED[6:],
        NAMED + NAMED[:1],
        NAMED + NAMED[:5],
        NAMED[:-1],
        encode(0x31, NAMED[2:] + NAMED[2:]),
        NAMED + b"\x31\x00",
    ],
)
def test_names_that_are_refused(name):
    refused(with_subject(name))


def test_nothing_follows_inside_validity_and_extensions():
    der = build()
    window = der[der.index(b"\x30\x1e\x17\x0d") :][:32]
    longer = encode(0x30, window[2:] + b"\x05\x00")
    assert "bytes follow" in refused(resigned(der, STRANGER, lambda c: c.replace(window, longer, 1)))

    def wrap(content):
        at = content.rindex(b"\xa3")
        return content[:at] + encode(0xA3, content[at + 2 :] + b"\x05\x00")

    assert "bytes follow" in refused(resigned(der, STRANGER, wrap))


def test_the_two_names_of_the_algorithm_must_agree():
    der = INTEL.tcb_signer.der
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    at = der.rindex(algorithm)
    changed = der[:at] + algorithm[:-1] + b"\x03" + der[at + 12 :]
    assert "ECDSA and SHA-256" in refused(changed)


def test_a_negative_serial_number_is_refused():
    der = resigned(build(), STRANGER, lambda c: c.replace(b"\x02\x01\x05", b"\x02\x01\x85", 1))
    assert "negative" in refused(der)


def test_a_default_written_out_is_refused():
    """DER leaves out what is default; a second spelling would be a second certificate for one content."""

    def spell_out(content):
        plain = bytes.fromhex("0603551d23")
        at = content.index(plain)
        size = content[at - 1]
        item = content[at - 2 : at + size]
        spelt = encode(0x30, item[2 : 2 + 5] + b"\x01\x01\x00" + item[7:])
        inner = content[: at - 2].rindex(b"\xa3")
        items = content[inner:]
        header = 4 if items[1] == 0x82 else 3
        listed = items[header:]
        listing = listed[4:] if listed[1] == 0x82 else listed[3:]
        return content[:inner] + encode(0xA3, encode(0x30, listing.replace(item, spelt, 1)))

    assert "default value" in refused(resigned(INTEL.tcb_signer.der, INTEL.root.key, spell_out))


def test_extensions_are_few():
    many = build()
    wanted = INTEL.tcb_signer
    for number in range(12):
        wanted = with_extension(wanted, INTEL.root, f"1.2.3.{number}", critical=False)
    assert "too many" in refused(wanted.der)
    assert Certificate.parse(many)


def test_points_and_signatures():
    with pytest.raises(DerError, match="not on the curve"):
        load_point(b"\x04" + bytes(64))
    message = b"message"
    signature = STRANGER.sign(message, ec.ECDSA(SHA256()))
    assert verifies(STRANGER.public_key(), signature, message)
    assert verifies(STRANGER.public_key(), signature, message + b"x") is False
    assert not verifies(INTEL.root.key.public_key(), signature, message)
    assert verifies(STRANGER.public_key(), raw_signature(pki.sign_raw(STRANGER, message)), message)
    for raw in (bytes(64), b"\xff" * 64, b"\0" * 32 + b"\1" * 32):
        assert not verifies(STRANGER.public_key(), raw_signature(raw), message)
    assert not verifies(STRANGER.public_key(), b"no DER", message)


@pytest.mark.parametrize(
    ("content", "usage"),
    [(b"\x07\x80", 0x80), (b"\x06\xc0", 0xC0), (b"\x01\x06", 0x06), (b"\x00\x01", 0x01), (b"\x05\xa0", 0xA0)],
)
def test_key_usages(content, usage):
    assert key_usage(encode(0x03, content)) == usage


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x07\x00",
        b"\x00\x80",
        b"\x06\x80",
        b"\x07\xc0",
        b"\x08\x80",
        b"\x07\x00\x80",
    ],
)
def test_key_usages_that_are_refused(content):
    with pytest.raises(DerError):
        key_usage(encode(0x03, content))


@pytest.mark.parametrize(
    "extension",
    [encode(0x03, b"\x07\x80") + b"\0", encode(0x04, b"\x07\x80"), b"\x03\x03\x07\x80"],
    ids=["bytes follow", "another type", "another length"],
)
def test_a_key_usage_is_one_bit_string_of_one_byte(extension):
    with pytest.raises(DerError, match="bit string of one byte"):
        key_usage(extension)


def test_an_authority_key_identifier_is_a_key_alone():
    assert authority_key(encode(0x30, encode(0x80, b"key"))) == b"key"
    for value in (
        b"",
        encode(0x30, b""),
        encode(0x30, encode(0x81, b"key")),
        encode(0x30, encode(0x80, b"key") + encode(0x82, b"\x01")),
        encode(0x30, encode(0x80, b"key")) + b"\0",
    ):
        with pytest.raises(DerError):
            authority_key(value)


# --- Roles


def certificate(profile, **changes) -> Certificate:
    return Certificate.parse(INTEL.root.issue(replace(profile, **changes), STRANGER).der)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"common_name": "Intel SGX TCB Signing "}, "another name"),
        ({"authority": True}, "basic constraints"),
        ({"usage": frozenset({"content_commitment"})}, "key usage"),
        ({"usage": frozenset({"digital_signature", "crl_sign"})}, "key usage"),
        ({"usage": frozenset({"digital_signature", "key_cert_sign"})}, "key usage"),
        ({"criticality": False}, "critical"),
    ],
)
def test_a_signer_that_is_refused(changes, why):
    assert TCB_SIGNER_ROLE.defect(certificate(pki.TCB_SIGNING)) is None
    assert why in TCB_SIGNER_ROLE.defect(certificate(pki.TCB_SIGNING, **changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"common_name": "Intel SGX Root CA"}, "another name"),
        ({"authority": False, "path_length": None}, "basic constraints"),
        ({"path_length": None}, "basic constraints"),
        ({"path_length": 1}, "basic constraints"),
        ({"usage": frozenset({"crl_sign"})}, "key usage"),
        ({"usage": frozenset({"key_cert_sign"})}, "key usage"),
    ],
)
def test_an_authority_that_is_refused(changes, why):
    assert PCK_CA_ROLE.defect(certificate(pki.PLATFORM_CA)) is None
    assert why in PCK_CA_ROLE.defect(certificate(pki.PLATFORM_CA, **changes))


def test_extensions_of_a_role():
    signer = INTEL.tcb_signer
    known = Certificate.parse(with_extension(signer, INTEL.root, "1.2.3.4", critical=False).der)
    critical = Certificate.parse(with_extension(signer, INTEL.root, "1.2.3.4", critical=True).der)
    assert TCB_SIGNER_ROLE.defect(known) is None
    assert "critical extension" in TCB_SIGNER_ROLE.defect(critical)
    wanting = Role("signer", TCB_SIGNER_ROLE.common_names, False, None, b"\x2a\x03\x04")
    assert wanting.defect(critical) is None
    assert "lacks the extension" in wanting.defect(Certificate.parse(signer.der))


def without(der: bytes, key, oid: str) -> Certificate:
    """Return the certificate without one extension, signed again."""

    def change(content):
        at = content.index(bytes.fromhex(oid)) - 2
        item = content[at : at + 2 + content[at + 1]]
        outer = content[:at].rindex(b"\xa3")
        items = content[outer:]
        body = items[4:] if items[1] == 0x82 else items[3:]
        listing = body[4:] if body[1] == 0x82 else body[3:] if body[1] == 0x81 else body[2:]
        return content[:outer] + encode(0xA3, encode(0x30, listing.replace(item, b"", 1)))

    return Certificate.parse(resigned(der, key, change))


def test_extensions_that_must_be_there():
    for oid in ("0603551d0f", "0603551d13"):
        found = without(INTEL.tcb_signer.der, INTEL.root.key, oid)
        assert "lacks critical" in TCB_SIGNER_ROLE.defect(found)
    root = Certificate.parse(INTEL.root_der)
    assert "another key" in issued(
        without(INTEL.tcb_signer.der, INTEL.root.key, "0603551d23"), root, "signer"
    )
    nameless = without(INTEL.root_der, INTEL.root.key, "0603551d0e")
    assert nameless.key_identifier() is None
    assert "another key" in issued(Certificate.parse(INTEL.tcb_signer.der), nameless, "signer")


def test_who_issued_what():
    root, authority = Certificate.parse(INTEL.root_der), Certificate.parse(INTEL.platform_ca.der)
    pck = Certificate.parse(ISSUED["pck"].der)
    assert issued(root, root, "root") is None
    assert issued(authority, root, "CA") is None
    assert issued(pck, authority, "PCK") is None
    assert issued(pck, root, "PCK") == "The PCK names another issuer."
    forged = Certificate.parse(replace(INTEL.root, key=STRANGER).issue(pki.PLATFORM_CA, STRANGER).der)
    assert issued(forged, root, "CA") == "The signature of the CA is not its issuer's."
    assert issued(pck, forged, "PCK") == "The PCK names another key of its issuer."


# --- Lists


def draft(**changes) -> pki.RevocationList:
    found = pki.RevocationList(INTEL.platform_ca, NOW, NOW + timedelta(days=30))
    return replace(found, **changes)


@pytest.mark.parametrize("revoked", [[], [1], [127, 128, 255, 256], list(range(1, 2000)), [2**158 - 1]])
def test_lists_are_read_as_another_decoder_reads_them(revoked):
    der = draft(revoked=revoked, number=2**40).sign()
    found, other = RevocationList.parse(der), x509.load_der_x509_crl(der)
    assert {int.from_bytes(serial, "big") for serial in found.revoked} == set(revoked)
    assert found.signed == other.tbs_certlist_bytes
    assert found.signature == other.signature
    assert found.issuer == other.issuer.public_bytes()
    assert (found.window.start, found.window.end) == (other.last_update_utc, other.next_update_utc)
    assert found.number == 2**40
    assert found.authority == Certificate.parse(INTEL.platform_ca.der).key_identifier()


def test_a_revoked_serial_is_found_in_the_form_of_a_certificate():
    pck = ISSUED["pck"]
    found = RevocationList.parse(draft(revoked=[3, pck.certificate.serial_number, 4]).sign())
    assert Certificate.parse(pck.der).serial in found.revoked


def test_each_bit_of_a_list_matters():
    der = draft(revoked=[5, 6, 2**100]).sign()
    authority, chosen = Certificate.parse(INTEL.platform_ca.der), random.Random(1)
    for position in range(8 * len(der)):
        if chosen.random() > 0.3:
            continue
        changed = bytearray(der)
        changed[position // 8] ^= 1 << position % 8
        try:
            found = RevocationList.parse(bytes(changed))
        except DerError:
            continue
        assert not verifies(authority.key(), found.signature, found.signed)


def entry(serial=b"\x05", time=b"\x17\x0d261121000000Z", rest=b"") -> bytes:
    return encode(0x30, encode(0x02, serial) + time + rest)


def listed(entries: bytes) -> bytes:
    """Return a list with these entries, signed."""

    def change(content):
        at = content.rindex(b"\xa0")
        return content[:at] + encode(0x30, entries) + content[at:]

    return resigned(draft().sign(), INTEL.platform_ca.key, change)


REASON = encode(0x30, encode(0x30, bytes.fromhex("0603551d15") + encode(0x04, b"\x0a\x01\x01")))
CRITICAL = encode(0x30, encode(0x30, bytes.fromhex("0603551d1d0101ff") + encode(0x04, b"\x30\x00")))


@pytest.mark.parametrize(
    "good",
    [
        entry(),
        entry() + entry(b"\x06"),
        entry(rest=REASON) + entry(b"\x06", rest=REASON),
        entry(time=encode(0x18, b"20261121000000Z")),
        entry(b"\0\x80"),
        entry(bytes([1] * 20)),
    ],
)
def test_entries(good):
    other = {item.serial_number for item in x509.load_der_x509_crl(listed(good))}
    assert {int.from_bytes(serial, "big") for serial in RevocationList.parse(listed(good)).revoked} == other


@pytest.mark.parametrize(
    "bad",
    [
        entry(b""),
        entry(b"\x80"),
        entry(b"\0\x05"),
        entry(time=b""),
        entry(time=b"\x04\x0d261121000000Z"),
        entry(rest=b"\x05\x00"),
        entry(rest=CRITICAL),
        entry(rest=REASON + b"\0"),
        entry(rest=encode(0x30, encode(0x30, bytes.fromhex("0603551d15")))),
        entry(rest=REASON) + entry(b"\x06", rest=CRITICAL),
        entry() + b"\x30",
        entry() + b"\x30\x05",
        entry() + b"\x31" + entry()[1:],
        entry()[:-1],
        b"\x30\x02\x02\x00",
        b"\x30\x03\x02\x7f\x01",
        encode(0x30, encode(0x04, b"\x05") + b"\x17\x0d261121000000Z"),
        encode(0x30, encode(0x02, b"\x05") + b"\x17\x7f261121000000Z"),
        entry(rest=encode(0x30, bytes(200))),
    ],
)
def test_entries_that_are_refused(bad):
    refused(listed(bad), RevocationList.parse)


def test_lists_that_are_refused():
    def change(old, new):
        return resigned(draft().sign(), INTEL.platform_ca.key, lambda c: c.replace(old, new, 1))

    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    assert "number" in refused(draft(number=None).sign(), RevocationList.parse)
    assert "key identifier" in refused(draft(names_key=False).sign(), RevocationList.parse)
    assert "version 2" in refused(change(b"\x02\x01\x01", b"\x02\x01\x00"), RevocationList.parse)
    assert "algorithms of a CRL differ" in refused(
        change(algorithm, algorithm[:-1] + b"\x03"), RevocationList.parse
    )
    der = draft().sign()
    at = der.rindex(algorithm)
    assert "SHA-256" in refused(der[:at] + algorithm[:-1] + b"\x03" + der[at + 12 :], RevocationList.parse)
    assert "longer than" in refused(bytes(MAX_CRL_BYTES + 1), RevocationList.parse)
    assert "bytes follow" in refused(der + b"\0", RevocationList.parse)
    number = encode(0x30, bytes.fromhex("0603551d14") + encode(0x04, b"\x02\x01\x01"))
    critical = encode(0x30, bytes.fromhex("0603551d14") + b"\x01\x01\xff" + encode(0x04, b"\x02\x01\x01"))

    def mark(content):
        at = content.rindex(b"\xa0")
        body = content[at:]
        listing = body[4:] if body[1] < 0x80 else body[5:]
        return content[:at] + encode(0xA0, encode(0x30, listing.replace(number, critical, 1)))

    assert "critical" in refused(resigned(der, INTEL.platform_ca.key, mark), RevocationList.parse)


def sized(size: int) -> bytes:
    """Return a certificate of exactly this many bytes.

    A signature's length in DER varies by a byte or two with what is signed, so serial numbers are tried too.
    """

    def made(length: int, serial: int) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(INTEL.tcb_signer.certificate.subject)
            .issuer_name(INTEL.root.certificate.subject)
            .public_key(STRANGER.public_key())
            .serial_number(serial)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(length)), critical=False
            )
        )
        return builder.sign(STRANGER, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)

    length = size - (len(made(size, 1)) - size)
    tried = (made(length + more, serial) for serial in range(1, 64) for more in (-1, 0, 1))
    return next(found for found in tried if len(found) == size)


def test_the_longest_certificate():
    assert MAX_CERTIFICATE_BYTES == 4096
    assert Certificate.parse(sized(4096)).common_name == "Intel SGX TCB Signing"
    assert "longer than 4096" in refused(sized(4097))


def test_a_loaded_key_is_no_part_of_a_certificate():
    one, other = Certificate.parse(INTEL.root_der), Certificate.parse(INTEL.root_der)
    one.key()
    assert one == other
    assert repr(one) == repr(other)
    assert "_key" not in repr(one)
