"""Certificates of any vendor: what is read, what is refused, and what each position of a chain demands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding.der import DerError
from assay.evidence.facts import Window
from assay.evidence.x509.general import GeneralCertificate, KeyKind, key_kind, read_name, usage_bits
from assay.evidence.x509.path import (
    MAX_PATH,
    DefectKind,
    PathDefect,
    PathLength,
    Position,
    verify_path,
)
from assay.evidence.x509.signature import SignatureAlgorithm, load_key, verify_signature
from assay.evidence.x509.spki import usual_rsa

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


@cache
def rsa_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


@cache
def curve_key(kind="p384", number=0):
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common.split("/") if each])


def usage(*, signs=False, issues=False, lists=False, agrees=False):
    return x509.KeyUsage(signs, False, False, False, agrees, issues, lists, False, agrees)


def build(
    common="leaf",
    issuer="root",
    key=None,
    issuer_key=None,
    digest="sha384",
    pss=None,
    constraints=(False, None),
    key_usage=None,
    window=(NOW - DAY, NOW + DAY),
    serial=0x1234,
    authority=None,
    identifier=None,
    extra=(),
):
    key = key or curve_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(window[0])
        .not_valid_after(window[1])
    )
    if constraints is not None:
        builder = builder.add_extension(x509.BasicConstraints(*constraints), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if authority is not None:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(authority, None, None), critical=False)
    if identifier is not None:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    for oid, value, critical in extra:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=critical)
    signer = issuer_key or key
    made = builder.sign(signer, HASHES[digest], rsa_padding=pss)
    return made.public_bytes(Encoding.DER)


def parsed(**how):
    return GeneralCertificate.parse(build(**how))


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("digest", HASHES)
@pytest.mark.parametrize("family", ["rsa-pkcs1", "rsa-pss", "ecdsa"])
def test_every_algorithm_is_read_and_verifies_under_its_own_key_alone(family, digest):
    signer = curve_key() if family == "ecdsa" else rsa_key()
    salt = HASHES[digest].digest_size
    pss = padding.PSS(padding.MGF1(HASHES[digest]), salt) if family == "rsa-pss" else None
    found = parsed(issuer_key=signer, digest=digest, pss=pss)
    assert found.algorithm == SignatureAlgorithm(f"{family}-{digest}")
    own, other = load_key(spki(signer)), load_key(spki(rsa_key() if family == "ecdsa" else curve_key()))
    assert verify_signature(own, found.algorithm, found.signature, found.signed)
    assert not verify_signature(own, found.algorithm, found.signature, found.signed + b"\0")
    assert not verify_signature(other, found.algorithm, found.signature, found.signed)
    for algorithm in SignatureAlgorithm:
        if algorithm is not found.algorithm:
            assert not verify_signature(own, algorithm, found.signature, found.signed)


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_fields(kind):
    der = build(common="a name", key=curve_key(kind), issuer_key=curve_key(), identifier=b"id" * 10, serial=1)
    found = GeneralCertificate.parse(der)
    assert found.key_kind == kind
    assert found.der == der
    assert found.signed in der
    assert found.common_name == "a name"
    assert [text for _, text in found.names] == ["a name"]
    assert found.serial == b"\x01"
    assert found.key_identifier() == b"id" * 10
    assert found.window == Window(NOW - DAY, NOW + DAY)
    assert found.spki == spki(curve_key(kind))
    assert found.key() is found.key()


def test_an_rsa_key_and_a_certificate_without_name_or_identifier():
    found = parsed(common="", key=rsa_key(), issuer_key=curve_key())
    assert (found.key_kind, found.common_name, found.names) == (KeyKind.RSA, "", ())
    assert found.key_identifier() is None


def swapped(old, new, **how):
    der = build(**how)
    assert der.count(old) >= 1
    return der.replace(old, new)


SHA384_RSA = bytes.fromhex("06092a864886f70d01010c0500")
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)


@pytest.mark.parametrize(
    ("der", "why"),
    [
        (lambda: build() + b"\0", "follow"),
        (lambda: build()[:-1], "longer than what contains it"),
        (lambda: build(common="a/b"), "more than one common name"),
        (
            lambda: build(key=curve_key(), digest="sha384").replace(b"\x04\x03\x03", b"\x04\x03\x01"),
            "algorithm",
        ),
        (lambda: build().replace(b"\x04\x03\x03", b"\x04\x03\x02", 1), "differ"),
        (lambda: build().replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101")), "version 3"),
        (
            lambda: build(
                issuer_key=rsa_key(), pss=padding.PSS(padding.MGF1(hashes.SHA384()), 32), digest="sha384"
            ),
            "algorithm",
        ),
        (
            lambda: build(
                issuer_key=rsa_key(), pss=padding.PSS(padding.MGF1(hashes.SHA256()), 48), digest="sha384"
            ),
            "algorithm",
        ),
        (lambda: swapped(SHA384_RSA, SHA384_RSA[:-2] + b"\x04\x00", issuer_key=rsa_key()), "algorithm"),
        (lambda: build(key=ec.generate_private_key(ec.SECP256K1()), issuer_key=curve_key()), "known curve"),
        (lambda: build(key=rsa.generate_private_key(65537, 1024), issuer_key=curve_key()), "2048"),
    ],
)
def test_what_is_refused(der, why):
    with pytest.raises(DerError, match=why):
        GeneralCertificate.parse(der())


def test_bounds():
    filler = ("1.2.3.4", b"\x04\x01x" * 1500, False)
    longest = build(extra=[filler])
    assert GeneralCertificate.parse(longest, max_bytes=len(longest)).der == longest
    with pytest.raises(DerError, match="longer than"):
        GeneralCertificate.parse(longest, max_bytes=len(longest) - 1)


@pytest.mark.parametrize("bits", [2048, 2056, 3072, 4096])
def test_rsa_keys_of_usual_and_of_other_sizes_are_read_alike(bits):
    good = spki(rsa_key(bits))
    assert key_kind(good) is KeyKind.RSA
    assert key_kind(good[:-1] + b"\3") is KeyKind.RSA  # an exponent that is not the usual one
    first = len(good) - 5 - bits // 8  # of the modulus; a zero stands in front of it
    longer = good[: first - 1] + b"\1" + good[first:]
    assert key_kind(longer) is KeyKind.RSA
    # A modulus whose first bit is not set needs no zero in front.
    for place, byte in ((first, good[first] & 0x7F), (first - 5, 0x03), (-5, 0x03), (1, 0x83)):
        altered = bytearray(good)
        altered[place] = byte
        with pytest.raises(DerError):
            key_kind(bytes(altered))


@pytest.mark.parametrize("bits", [2048, 2056, 3072, 4096])
def test_a_modulus_of_a_usual_size_is_written_as_the_library_writes_its_key(bits):
    modulus = rsa_key(bits).public_key().public_numbers().n.to_bytes(bits // 8, "big")
    assert usual_rsa(modulus) == (None if bits == 2056 else spki(rsa_key(bits)))
    for first in (0x01, 0x7F):
        assert usual_rsa(bytes([first]) + modulus[1:]) is None
    assert usual_rsa(b"") is None


def test_a_key_of_another_kind_is_none():
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(DerError, match="neither RSA nor of a NIST curve"):
        load_key(spki(key))


def test_a_point_that_is_not_on_its_curve():
    good = spki(curve_key())
    bad = good[:-1] + bytes([good[-1] ^ 1])
    assert key_kind(bad) is KeyKind.P384
    with pytest.raises(DerError):
        load_key(bad)
    with pytest.raises(DerError):
        key_kind(good[:-96] + good[-97:])
    compressed = curve_key().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert len(compressed) == 49
    with pytest.raises(DerError, match="uncompressed"):
        key_kind(
            good[:26].replace(b"\x30\x76", b"\x30\x46").replace(b"\x03\x62", b"\x03\x32")[:23] + compressed
        )


def encode(tag, content):
    size = len(content)
    assert size < 0x80 or 0x100 <= size < 0x10000
    return bytes([tag]) + (bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")) + content


def test_nothing_stands_behind_what_a_certificate_is_made_of():
    """A NULL behind the signature, behind the last extension, or behind the second date."""
    whole = build(common="a name of some length", issuer="a name of some length")
    size = 4 + int.from_bytes(whole[6:8], "big")
    tbs, rest = whole[8 : 4 + size], whole[4 + size :]
    assert encode(0x30, encode(0x30, tbs) + rest) == whole
    at = tbs.index(b"\x30\x1e\x17\x0d")
    window = encode(0x30, tbs[at + 2 : at + 32] + b"\x05\0")
    for longer in (
        encode(0x30, encode(0x30, tbs) + rest + b"\x05\0"),
        encode(0x30, encode(0x30, tbs + b"\x05\0") + rest),
        encode(0x30, encode(0x30, tbs[:at] + window + tbs[at + 32 :]) + rest),
    ):
        with pytest.raises(DerError):
            GeneralCertificate.parse(longer)


def attribute(tag, value):
    return encode(0x31, encode(0x30, encode(0x06, b"\x55\x04\x03") + encode(tag, value)))


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (0x0C, "ä".encode(), "ä"),
        (0x13, b"a", "a"),
        (0x14, b"\xe4", "ä"),
        (0x16, b"a", "a"),
        (0x1E, b"\0a", "a"),
    ],
)
def test_text_of_names(tag, value, text):
    assert read_name(encode(0x30, attribute(tag, value))) == ((b"\x55\x04\x03", text),)


@pytest.mark.parametrize(
    "content",
    [
        attribute(0x04, b"a"),
        attribute(0x0C, b"\xff"),
        attribute(0x13, b"\x80"),
        attribute(0x1E, b"a"),
        attribute(0x0C, b"a")[:-1],
        b"\x30" + attribute(0x0C, b"a")[1:],
        encode(0x31, encode(0x30, encode(0x06, b"\x55\x04\x03") + encode(0x0C, b"a") + b"\x05\x00")),
    ],
)
def test_names_that_are_refused(content):
    with pytest.raises(DerError):
        read_name(encode(0x30, content))


def test_a_name_has_sixteen_attributes_at_most():
    sixteen = b"".join(attribute(0x13, b"") for _ in range(8)) * 2
    long = bytes([0x30, 0x81, len(sixteen)]) + sixteen
    assert len(read_name(long)) == 16
    more = sixteen + attribute(0x13, b"")
    with pytest.raises(DerError, match="too much"):
        read_name(bytes([0x30, 0x81, len(more)]) + more)


@pytest.mark.parametrize(
    ("extension", "bits"),
    [
        ("03020780", 0x80),
        ("03020106", 0x06),
        ("0303078000", 0x80),
        ("030307e080", 0x80E0),
        ("03020186", 0x86),
        ("03020004", 0x04),  # as in every ASK of AMD
    ],
)
def test_usage_bits(extension, bits):
    assert usage_bits(bytes.fromhex(extension)) == bits


@pytest.mark.parametrize(
    "extension", ["0301", "030100", "03020881", "03020181", "03040780808000"[:12], "0302078000", "04020780"]
)
def test_usage_bits_that_are_refused(extension):
    with pytest.raises(DerError):
        usage_bits(bytes.fromhex(extension))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_else(data):
    for read in (GeneralCertificate.parse, read_name, usage_bits, key_kind):
        try:
            read(data)
        except DerError:
            continue


# --- Positions --------------------------------------------------------------------------------------------

ANY_KEY = frozenset(KeyKind)
ANY_ALGORITHM = frozenset(SignatureAlgorithm)


def position(title, authority, names, **how):
    how.setdefault("keys", ANY_KEY)
    how.setdefault("algorithms", ANY_ALGORITHM)
    how.setdefault("usage", 0 if authority else 0x80)
    return Position(title, authority, frozenset(names.split("/")), **how)


LEAF = {"key_usage": usage(signs=True), "issuer": "middle", "issuer_key": curve_key(number=1)}
MIDDLE = {
    "common": "middle",
    "key": curve_key(number=1),
    "issuer_key": curve_key(number=2),
    "constraints": (True, 0),
    "key_usage": usage(issues=True),
}
ROOT = {
    "common": "root",
    "key": curve_key(number=2),
    "constraints": (True, None),
    "key_usage": usage(issues=True, lists=True),
}
POSITIONS = (
    position("leaf", False, "leaf"),
    position("middle", True, "middle", path_length=0),
    position("root", True, "root", path_length=PathLength.NONE),
)


def judged(leaf=None, middle=None, root=None, positions=POSITIONS, now=NOW):
    chain = [parsed(**LEAF | (leaf or {})), parsed(**MIDDLE | (middle or {})), parsed(**ROOT | (root or {}))]
    return verify_path(chain, positions, now)


def test_a_good_chain_has_the_window_that_its_certificates_share():
    assert judged(
        leaf={"window": (NOW - 3 * DAY, NOW + DAY)},
        middle={"window": (NOW - 2 * DAY, NOW + 3 * DAY)},
        root={"window": (NOW - 9 * DAY, NOW + 2 * DAY)},
    ) == Window(NOW - 2 * DAY, NOW + DAY)


def replaced(place, **how):
    fields = {"title": ("leaf", "middle", "root")[place], "authority": place > 0}
    names = how.pop("names", fields["title"])
    lengths = ({}, {"path_length": 0}, {"path_length": PathLength.NONE})[place]
    own = position(fields["title"], how.pop("authority", fields["authority"]), names, **lengths | how)
    return (*POSITIONS[:place], own, *POSITIONS[place + 1 :])


OTHER = ("1.2.3.4", b"\x05\x00", True)
QUIET = ("1.2.3.4", b"\x05\x00", False)
OTHER_OID = bytes.fromhex("2a0304")


@pytest.mark.parametrize(
    ("changes", "kind", "title"),
    [
        ({"leaf": {"common": "stranger"}}, "name", "leaf"),
        ({"positions": replaced(0, keys=frozenset({KeyKind.P256}))}, "key", "leaf"),
        (
            {"positions": replaced(1, algorithms=frozenset({SignatureAlgorithm.ECDSA_SHA256}))},
            "key",
            "middle",
        ),
        ({"leaf": {"constraints": None}}, "role", "leaf"),
        ({"leaf": {"constraints": (True, None)}}, "role", "leaf"),
        ({"leaf": {"key_usage": None}}, "role", "leaf"),
        ({"leaf": {"key_usage": usage(agrees=True)}}, "role", "leaf"),
        ({"leaf": {"key_usage": usage(signs=True, issues=True)}}, "role", "leaf"),
        ({"leaf": {"key_usage": usage(signs=True, lists=True)}}, "role", "leaf"),
        ({"leaf": {"extra": [OTHER]}}, "role", "leaf"),
        ({"positions": replaced(0, required=frozenset({OTHER_OID}))}, "role", "leaf"),
        ({"middle": {"constraints": (False, None)}}, "role", "middle"),
        ({"middle": {"constraints": None}}, "role", "middle"),
        ({"middle": {"constraints": (True, 1)}}, "role", "middle"),
        ({"middle": {"constraints": (True, None)}}, "role", "middle"),
        ({"middle": {"key_usage": usage(signs=True)}}, "role", "middle"),
        (
            {"root": {"constraints": (True, 0)}, "positions": replaced(2, path_length=PathLength.ANY)},
            "role",
            "root",
        ),
        ({"root": {"constraints": (True, 5)}}, "role", "root"),
        ({"leaf": {"issuer": "root"}}, "issuer", "leaf"),
        ({"leaf": {"authority": b"a" * 20}, "middle": {"identifier": b"b" * 20}}, "issuer", "leaf"),
        ({"leaf": {"issuer_key": curve_key(number=9)}}, "signature", "leaf"),
        ({"middle": {"issuer_key": curve_key(number=9)}}, "signature", "middle"),
        ({"leaf": {"window": (NOW - 2 * DAY, NOW - DAY)}}, "validity", "leaf"),
        ({"leaf": {"window": (NOW + DAY, NOW + 2 * DAY)}}, "validity", "leaf"),
        ({"middle": {"window": (NOW - 2 * DAY, NOW - DAY)}}, "validity", "middle"),
        ({"root": {"window": (NOW + DAY, NOW + 2 * DAY)}}, "validity", "root"),
    ],
)
def test_what_is_wrong_with_a_chain(changes, kind, title):
    found = judged(**changes)
    assert isinstance(found, PathDefect)
    assert (found.kind, found.title) == (kind, title)
    assert found.reason.startswith("The ")


@pytest.mark.parametrize(
    "changes",
    [
        {"leaf": {"extra": [QUIET]}},
        {"leaf": {"extra": [OTHER]}, "positions": replaced(0, known=frozenset({OTHER_OID}))},
        {"leaf": {"extra": [QUIET]}, "positions": replaced(0, required=frozenset({OTHER_OID}))},
        {"leaf": {"key_usage": None}, "positions": replaced(0, usage_required=False)},
        {"leaf": {"constraints": None}, "positions": replaced(0, constraints_required=False)},
        {"leaf": {"authority": b"a" * 20}, "middle": {"identifier": b"a" * 20}},
        {"leaf": {"authority": b"a" * 20}},
        {"middle": {"identifier": b"a" * 20}},
        {"middle": {"constraints": (True, 3)}, "positions": replaced(1, path_length=PathLength.ANY)},
        {"root": {"constraints": (True, 1)}, "positions": replaced(2, path_length=1)},
        {"leaf": {"common": "stranger"}, "positions": replaced(0, names="leaf/stranger")},
        {"leaf": {"window": (NOW, NOW)}},
    ],
)
def test_what_a_position_can_allow(changes):
    assert isinstance(judged(**changes), Window)


def test_names_can_be_judged_by_a_function():
    def other(certificate):
        return None if certificate.common_name.startswith("le") else "The leaf is called otherwise."

    positions = (Position("leaf", False, other, ANY_KEY, ANY_ALGORITHM, usage=0x80), *POSITIONS[1:])
    assert isinstance(judged(positions=positions), Window)
    assert judged(leaf={"common": "x"}, positions=positions) == PathDefect(
        DefectKind.NAME, "leaf", "The leaf is called otherwise."
    )


def test_what_else_an_authority_may_do_with_its_key_is_its_own_business():
    enciphers = x509.KeyUsage(False, False, False, False, True, True, False, True, False)
    assert isinstance(judged(middle={"key_usage": enciphers}), Window)


def test_the_number_of_certificates_is_compared_first():
    leaf = parsed(**LEAF)
    for chain, positions in (([leaf], POSITIONS), ([], ()), ([leaf] * 11, (POSITIONS[0],) * 11)):
        found = verify_path(chain, positions, NOW)
        assert isinstance(found, PathDefect)
        assert found.kind == "length"
    assert MAX_PATH == 10


@pytest.mark.parametrize(
    ("oid", "value"),
    [("2.5.29.19", b"\x30\x03\x01\x01"), ("2.5.29.15", b"\x03\x02\x08\x80"), ("2.5.29.35", b"\x30")],
)
def test_malformed_extensions_are_defects(oid, value):
    how = dict(LEAF, constraints=None, key_usage=None)
    if oid != "2.5.29.19":
        how["constraints"] = (False, None)
    if oid != "2.5.29.15":
        how["key_usage"] = usage(signs=True)
    how["extra"] = [(oid, value, oid != "2.5.29.35")]
    found = verify_path([parsed(**how), parsed(**MIDDLE), parsed(**ROOT)], POSITIONS, NOW)
    assert isinstance(found, PathDefect)
    assert found.kind == ("issuer" if oid == "2.5.29.35" else "role")
