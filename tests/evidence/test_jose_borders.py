"""Bounds of tokens, claims and key sets, each tried at its limit and beyond; and what a refusal says."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.jose import JoseError, JwksEndorsements, TokenLimits
from assay.evidence.jose import claims as read
from assay.evidence.jose.algorithms import ALGORITHMS, fits
from assay.evidence.jose.base64url import decode, decode_standard, encode
from assay.evidence.jose.jws import MAX_HEADER_BYTES, MAX_SIGNATURE_BYTES, read_claims, read_header, split
from assay.evidence.jose.keys import MAX_JWKS_BYTES, MAX_KEY_CERTIFICATE_BYTES, MAX_KEYS, parse_jwks, read_key
from assay.evidence.jose.x5c import ders_of
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.tokens.signing import compact, jwk, key_set
from support import token_scenes as scenes
from support.sized_certificates import certificate_for, certificate_of
from support.token_scenes import NOW, scene, stranger, stranger_p256, stranger_p384

SERVICES = {
    "confidential-space": "confidential_space",
    "maa": "maa",
    "trust-authority": "trust_authority",
    "nras": "nras",
}
KINDS = {"rsa": stranger, "p256": stranger_p256, "p384": stranger_p384}
LAST_SECOND = 253402300799  # of the year 9999


def code_of(call, *given, **named) -> str:
    """Return the code of the error that a call raises; empty when it returns."""
    try:
        call(*given, **named)
    except JoseError as error:
        return error.code
    return ""


# --- base64


@pytest.mark.parametrize(
    "text", [b"A+AA", b"A/AA", b"!!!!AAAA", b"AA\n\n\n\nAA", b"AAAA    AAAA", b"A-/A", b"A_+A"]
)
def test_no_character_is_passed_over_and_no_alphabet_taken_for_the_other(text):
    assert code_of(decode, text) == "jose.base64"


@pytest.mark.parametrize("text", [b"!!!!AAAA", b"AA\n\n\n\nAA", b"A-AA", b"A_AA", b"AB=="])
def test_no_character_of_padded_base64_is_passed_over(text):
    assert code_of(decode_standard, text) == "jose.base64"


def test_empty_texts_stand_for_nothing():
    assert decode(b"") == decode_standard(b"") == encode(b"") == b""


# --- Tokens and headers


def test_a_signature_may_have_1024_bytes():
    signature = encode(bytes(MAX_SIGNATURE_BYTES))
    assert len(split(b"AA.AA." + signature).signature) == MAX_SIGNATURE_BYTES == 1024
    assert code_of(split, b"AA.AA." + encode(bytes(1025))) == "jose.oversized"


def test_a_header_may_have_49152_characters():
    assert split(b"A" * MAX_HEADER_BYTES + b".AA.AA").head == b"A" * 49152
    assert code_of(split, b"A" * 49153 + b".AA.AA") == "jose.oversized"


def test_a_token_may_be_as_long_as_the_caller_says():
    token = b"AA.AAAA.AA"
    assert split(token, max_bytes=10).payload == bytes(3)
    assert code_of(split, token, max_bytes=9) == "jose.oversized"
    longest = b"AA." + b"A" * (131072 - 6) + b".AA"
    assert len(split(longest).payload) == (131072 - 6) * 3 // 4
    assert code_of(split, longest + b"A") == "jose.oversized"


@pytest.mark.parametrize("token", [b".AA.AA", b"AA..AA", b"AA.AA."])
def test_a_part_may_be_empty_and_is_then_for_others_to_refuse(token):
    found = split(token)
    assert b"" in (found.head, found.payload, found.signature)
    assert found.signed == token.rpartition(b".")[0]


@pytest.mark.parametrize(("kid", "code"), [("k", ""), ("k" * 512, ""), ("k" * 513, "jose.header")])
def test_a_key_id_has_1_to_512_characters(kid, code):
    assert code_of(read_header, encode(compact({"alg": "RS256", "kid": kid}))) == code


def test_every_member_that_a_header_may_have_is_read():
    names = ("alg", "cty", "jku", "kid", "typ", "x5c", "x5t", "x5t#S256", "x5u")
    header = dict.fromkeys(names, "x") | {"typ": "JwT"}
    assert read_header(encode(compact(header))) == header
    for name in ("jwk", "enc", "b64", "Alg"):
        assert code_of(read_header, encode(compact(header | {name: "x"}))) == "jose.header"


def test_claims_are_one_object_within_the_size_of_a_token():
    assert read_claims(b'{"a":1}') == {"a": 1}
    assert read_claims(b"{}".ljust(131072)) == {}
    assert code_of(read_claims, b"{}".ljust(131073)) == "jose.claims"


# --- Limits


def test_the_limits_of_limits():
    for skew, age in ((timedelta(), timedelta(microseconds=1)), (timedelta(minutes=10), timedelta(days=9))):
        limits = TokenLimits(skew, age)
        assert limits.seconds == (skew.total_seconds(), age.total_seconds())
    for skew, age in (
        (timedelta(microseconds=-1), timedelta(1)),
        (timedelta(minutes=10, microseconds=1), timedelta(1)),
        (timedelta(), timedelta()),
    ):
        with pytest.raises(EvidenceError) as caught:
            TokenLimits(skew, age)
        assert caught.value.code == "evidence.call.limits"


def test_limits_are_equal_when_skew_and_age_are():
    one, two = (TokenLimits(timedelta(seconds=5), timedelta(hours=1)) for _ in range(2))
    assert one == two
    assert one != TokenLimits(timedelta(seconds=6), timedelta(hours=1))
    assert repr(one) == f"TokenLimits(skew={one.skew!r}, max_age={one.max_age!r})"


@pytest.mark.parametrize("service", SERVICES)
def test_the_limits_stand_in_the_ledger(service):
    stage = scene(service)
    stage.limits = TokenLimits(timedelta(seconds=7.5), timedelta(minutes=2))
    result = stage.finish()
    prefixes = ["nras.token", "nras.device"] if service == "nras" else [f"{SERVICES[service]}.token"]
    for prefix in prefixes:
        assert result.ledger[f"{prefix}.issued"].reason == "skew allowed: 7.5 s"
        assert result.ledger[f"{prefix}.age"].reason == "greatest age allowed: 120 s"


# --- Registered claims


def times(**changed):
    return {"iss": "https://issuer.example", "iat": 10, "nbf": 11, "exp": 12} | changed


@pytest.mark.parametrize("name", ["iat", "nbf", "exp"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0, ""),
        (LAST_SECOND, ""),
        (-1, "jose.claims"),
        (LAST_SECOND + 1, "jose.claims"),
        (1.0, "jose.claims"),
        (True, "jose.claims"),
        ("1", "jose.claims"),
    ],
)
def test_each_time_lies_within_the_calendar(name, value, code):
    assert code_of(read.registered, times(**{name: value})) == code


@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [None, 1, ["x"]])
def test_each_name_is_text(name, value):
    assert code_of(read.registered, times(**{name: value})) == "jose.claims"


def test_registered_claims_that_are_not_stated():
    named = read.registered({"iss": "i", "iat": 10, "exp": 12})
    assert tuple(named) == ("i", 10, 10, 12, "", "")
    assert tuple(read.registered(times(sub="s", jti="j"))) == ("https://issuer.example", 10, 11, 12, "s", "j")
    assert code_of(read.registered, {"iss": "", "iat": 10, "exp": 12}) == "jose.claims"
    assert read.moment(LAST_SECOND) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


# --- Other claims


def test_text_has_at_most_4096_characters():
    assert read.text({"a": "x" * 4096}, "a") == "x" * 4096
    assert code_of(read.text, {"a": "x" * 4097}, "a") == "jose.claims"
    assert code_of(read.text, {}, "a") == "jose.claims"
    assert code_of(read.text, {"a": None}, "a") == "jose.claims"
    assert read.text({}, "a", None) is None
    assert read.text({}, "a", "") == ""
    assert code_of(read.text, {"a": 5}, "a", "") == "jose.claims"


def test_a_flag_is_true_or_false_or_not_there():
    assert read.flag({"a": False}, "a") is False
    assert read.flag({"a": True}, "a") is True
    assert read.flag({}, "a") is None
    assert read.flag({}, "a", default=True) is True
    for value in (0, 1, "true", []):
        assert code_of(read.flag, {"a": value}, "a") == "jose.claims"
    assert code_of(read.flag, {"a": None}, "a", default=False) == "jose.claims"


def test_an_array_has_at_most_1024_texts():
    assert read.texts({"a": ["x"] * 1024}, "a") == ("x",) * 1024
    assert read.texts({"a": []}, "a") == read.texts({}, "a") == ()
    for value in (["x"] * 1025, ["x", 1], [1, "x"], "x", {"x": 1}):
        assert code_of(read.texts, {"a": value}, "a") == "jose.claims"


def test_an_object_has_at_most_1024_members():
    many = {str(number): "x" for number in range(1025)}
    few = dict(list(many.items())[:1024])
    assert read.mapping({"a": few}, "a") == read.text_map({"a": few}, "a") == few
    for call in (read.mapping, read.text_map):
        assert code_of(call, {"a": many}, "a") == "jose.claims"
        assert code_of(call, {"a": ["x"]}, "a") == "jose.claims"
        for empty in ({}, {"a": {}}, {"a": None}):
            assert call(empty, "a") == {}
    assert code_of(read.text_map, {"a": {"x": "y", "z": 1}}, "a") == "jose.claims"
    assert type(read.text_map({"a": few}, "a")) is MappingProxyType


@pytest.mark.parametrize(
    ("text", "size", "code"),
    [
        ("aB01", 2, ""),
        ("aB01", None, ""),
        ("", 0, ""),
        ("", None, ""),
        ("aB01", 1, "jose.claims"),
        ("aB01", 3, "jose.claims"),
        ("aB 01", 2, "jose.claims"),
        ("aB0", None, "jose.claims"),
        ("zz", None, "jose.claims"),
    ],
)
def test_hexadecimal_is_exactly_that(text, size, code):
    assert code_of(read.hexadecimal, {"a": text}, "a", size) == code
    if not code:
        assert read.hexadecimal({"a": text}, "a", size) == bytes.fromhex(text)


# --- Keys


def modulus(bits: int) -> int:
    return (1 << (bits - 1)) + 1


def rsa_entry(bits: int = 2048, exponent: int = 65537) -> dict[str, str]:
    n, e = modulus(bits), exponent
    return {
        "kid": "a",
        "kty": "RSA",
        "n": encode(n.to_bytes((n.bit_length() + 7) // 8, "big")).decode(),
        "e": encode(e.to_bytes(8, "big")).decode(),
    }


@pytest.mark.parametrize(
    ("bits", "usable"), [(2047, False), (2048, True), (4096, True), (8192, True), (8193, False)]
)
def test_rsa_keys_have_2048_to_8192_bits(bits, usable):
    found = parse_jwks(key_set([rsa_entry(bits)]))
    assert ("a" in found.keys) is usable
    # By its numbers: the library never sees one of another size.
    assert usable or "and a usual exponent" in found.unusable["a"]


@pytest.mark.parametrize("exponent", [0, 1, 2, 1 << 32, (1 << 32) + 1])
def test_an_exponent_is_3_to_32_bits_of_ones(exponent):
    for usable in (3, 65537, (1 << 32) - 1):
        assert "a" in parse_jwks(key_set([rsa_entry(exponent=usable)])).keys
    # Of a size that nobody uses, which is looked at before the library sees the numbers.
    refused = parse_jwks(key_set([rsa_entry(exponent=exponent)]))
    assert "usual exponent" in refused.unusable["a"]


def test_an_even_exponent_is_refused_by_the_library():
    assert parse_jwks(key_set([rsa_entry(exponent=65536)])).unusable["a"] == "The RSA key cannot be used."


def test_a_set_has_at_most_64_keys():
    entries = [jwk(stranger_p256(), "ES256", f"k{number}") for number in range(MAX_KEYS + 1)]
    assert len(parse_jwks(key_set(entries[:-1])).keys) == MAX_KEYS == 64
    assert code_of(parse_jwks, key_set(entries)) == "jwks.too_many"


def test_a_set_has_at_most_262144_bytes():
    entries = key_set([jwk(stranger_p256(), "ES256", "k")])
    assert list(parse_jwks(entries.ljust(MAX_JWKS_BYTES)).keys) == ["k"]
    assert MAX_JWKS_BYTES == 262144
    assert code_of(parse_jwks, entries.ljust(MAX_JWKS_BYTES + 1)) == "jwks.malformed"


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_no_member_of_a_secret_key_may_be_published(name):
    entry = jwk(stranger_p256(), "ES256", "b") | {name: []}
    assert code_of(parse_jwks, key_set([entry])) == "jwks.private"


def certificate(kind: str) -> bytes:
    """Return a certificate for a key of this kind, as DER."""
    return certificate_for(KINDS[kind]().public_key())


def in_certificate(der: bytes, family: str = "RSA") -> dict[str, object]:
    return {"kid": "a", "kty": family, "x5c": [base64.b64encode(der).decode()]}


@pytest.mark.parametrize(("kind", "family"), [("rsa", "RSA"), ("p256", "EC"), ("p384", "EC")])
def test_each_kind_of_key_may_stand_in_a_certificate(kind, family):
    found = parse_jwks(key_set([in_certificate(certificate(kind), family)])).keys["a"]
    key = KINDS[kind]().public_key()
    assert found.key == key
    assert found.kid == "a"
    assert found.spki == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert found.fingerprint == hashlib.sha256(found.spki).digest()


def test_the_certificate_of_a_key_has_at_most_16384_bytes():
    longest, longer = certificate_of(16384), certificate_of(16385)
    assert (len(longest), len(longer)) == (MAX_KEY_CERTIFICATE_BYTES, MAX_KEY_CERTIFICATE_BYTES + 1)
    assert "a" in parse_jwks(key_set([in_certificate(longest)])).keys
    assert "a" in parse_jwks(key_set([in_certificate(longer)])).unusable


def point(**changed) -> dict[str, object]:
    return jwk(stranger_p256(), "ES256", "a") | changed


SHORT, LONG = (encode(bytes(size)).decode() for size in (31, 33))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (point(use="enc"), "not for verifying"),
        (point(key_ops=["sign"]), "not for verifying"),
        (point(kty="OKP"), "neither RSA nor of a curve"),
        (point(kty="RSA"), "neither numbers nor a certificate"),
        (point(kty="RSA", x5c=5), "neither numbers nor a certificate"),
        (point(kty="RSA", x5c={"a": "b"}), "neither numbers nor a certificate"),
        (point(kty="RSA", x5c="AAAA"), "neither numbers nor a certificate"),
        (point(kty="RSA", x5c=[]), "neither numbers nor a certificate"),
        (point(kty="RSA", x5c=[1]), "neither numbers nor a certificate"),
        (point(kty="RSA", n=1), "no n"),
        (point(kty="RSA", n="AQAB"), "no e"),
        (point(crv="P-521"), "no point"),
        (point(x=1), "no point"),
        (point(y=None), "no point"),
        (point(x=SHORT), "size of its curve"),
        (point(y=SHORT), "size of its curve"),
        (point(x=LONG), "size of its curve"),
        (point(y=LONG), "size of its curve"),
        (point(crv="P-384"), "size of its curve"),
        (point(x=encode(bytes(32)).decode()), "not on its curve"),
        (rsa_entry(2047), "2048 to 8192 bits"),
        (rsa_entry(exponent=65536), "cannot be used"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_is_said_of_a_key_that_cannot_be_used(entry, said):
    with pytest.raises(JoseError) as caught:
        read_key("a", entry)
    assert caught.value.code == "jwks.malformed"
    assert said in caught.value.message
    assert parse_jwks(key_set([entry])).unusable == {"a": caught.value.message}


def test_what_is_no_base64_in_a_key():
    assert code_of(read_key, "a", point(x="=")) == "jose.base64"
    assert code_of(read_key, "a", point(y="=")) == "jose.base64"
    assert code_of(read_key, "a", rsa_entry() | {"n": "="}) == "jose.base64"
    with pytest.raises(DerError):
        read_key("a", in_certificate(b"\x30\x00"))


def test_keys_are_read_whole():
    for key, name in ((stranger_p256(), "ES256"), (stranger_p384(), "ES384"), (stranger(), "RS256")):
        found = read_key("a", jwk(key, name, "a"))
        assert found.key == key.public_key()
        assert found.algorithms == {name}
        assert isinstance(found.key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    for fields in ({}, {"use": "sig"}, {"key_ops": ["verify", "encrypt"]}):
        assert read_key("a", point() | fields).kid == "a"


def test_a_set_says_whose_digest_it_has():
    given = JwksEndorsements(b'{"keys":[]}', "issuer")
    assert given.digest == hashlib.sha256(b'{"keys":[]}').digest()


def test_the_text_of_a_certificate_in_a_header_has_at_most_16384_characters():
    assert ders_of(["A" * 16384]) == (bytes(12288),)
    assert code_of(ders_of, ["A" * 16388]) == "jose.chain"
    assert code_of(ders_of, [b"AAAA"]) == "jose.chain"


# --- What a result says of a token that was refused, or not compared


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_not_compared_is_said_to_be_so(service):
    stage = scene(service)
    stage.binding = Unchecked("nobody asked")
    result = stage.finish()
    assert result.authentic
    assert not result.bound
    check = result.ledger[result.binding_check]
    assert check.outcome is Outcome.NOT_CHECKED
    assert check.code == f"{check.id}.unchecked"
    assert check.reason == "not checked: nobody asked"
    assert [need.kind for need in result.needs] == ["binding"]
    assert result.unsigned == ()


@pytest.mark.parametrize("service", ["confidential-space", "maa", "trust-authority"])
def test_a_token_that_cannot_be_read_is_unsigned_from_end_to_end(service):
    stage = scene(service)
    token = stage.evidence()[:-1] + b"="
    result = stage.judge(token)
    assert [(region.start, region.end) for region in result.unsigned] == [(0, len(token))]
    assert result.signed_digest == hashlib.sha256(token).digest()
    assert result.decoded == {}
    assert result.anchor is None
    assert result.needs == ()


@pytest.mark.parametrize("service", SERVICES)
def test_without_its_key_a_token_says_whose_key_it_needs(service):
    stage = scene(service)
    stage.endorsements = None
    stage.binding = Unchecked("nobody asked")
    result = stage.finish()
    (missing,) = [check for check in result.ledger if check.code.endswith(".missing")]
    assert missing.outcome is Outcome.NOT_CHECKED
    assert missing.code == f"{missing.id}.missing"
    assert "key" in missing.id
    assert not result.authentic
    assert result.unsigned == ()
    jwks, binding = result.needs
    assert (jwks.kind, binding.kind) == ("jwks", "binding")
    assert jwks.key == {"issuer": stage.draft.claims["iss"], "kid": stage.draft.header["kid"]}
    assert result.decoded["claims"]["iss"] == stage.draft.claims["iss"]
    assert result.decoded["header"] == stage.draft.header


def test_a_need_is_short_and_names_what_is_there():
    stage = scene("maa")
    stage.endorsements = None
    stage.draft.claims["iss"] = "i" * 300
    del stage.draft.header["kid"]
    (need,) = stage.finish().needs
    assert need.key == {"issuer": "i" * 256, "kid": ""}
    stage.draft.header["kid"] = "k" * 512
    del stage.draft.claims["iss"]
    (need,) = stage.finish().needs
    assert need.key == {"issuer": "", "kid": "k" * 512}


STEPS = ("layout", "header", "algorithm", "key", "signature", "claims", "issuer", "issued", "expiry", "age")


@pytest.mark.parametrize(
    ("defect", "failed", "passed"),
    [
        ("padded", "layout", 0),
        ("no_algorithm", "header", 1),
        ("algorithm_none", "algorithm", 2),
        ("unknown_key_id", "key", 2),
        ("signed_by_a_stranger", "signature", 4),
    ],
)
def test_what_passed_before_a_token_was_refused_stands_in_the_ledger(defect, failed, passed):
    stage = scene("maa")
    getattr(scenes, defect)(stage)
    ledger = stage.finish().ledger
    expected = {step: "passed" if place < passed else "not_checked" for place, step in enumerate(STEPS)}
    assert {step: ledger[f"maa.token.{step}"].outcome.value for step in STEPS} == expected | {
        failed: "failed"
    }


@pytest.mark.parametrize(
    ("defect", "failed", "passed"),
    [
        ("issuer_is_another", "issuer", {"signature"}),
        ("issued_in_the_future", "issued", {"signature", "issuer"}),
        ("has_expired", "expiry", {"signature", "issuer"}),
        ("is_old", "age", {"signature", "issuer"}),
    ],
)
def test_a_signature_that_was_right_stands_in_the_ledger(defect, failed, passed):
    stage = scene("maa")
    getattr(scenes, defect)(stage)
    ledger = stage.finish().ledger
    found = {step for step in STEPS[4:] if ledger[f"maa.token.{step}"].outcome is Outcome.PASSED}
    assert (found, ledger[f"maa.token.{failed}"].outcome) == (passed, Outcome.FAILED)


def test_a_token_that_ends_as_it_begins_is_none():
    """Both a little ahead, within the skew: it is neither future nor expired."""
    for ahead, code in ((0, "inverted"), (1, "")):
        stage = scene("maa")
        at = stage.draft.claims["iat"] + 30
        stage.draft.claims |= {"iat": at, "nbf": at, "exp": at + ahead}
        failed = [check.code for check in stage.finish().ledger.failed()]
        assert failed == ([f"maa.token.expiry.{code}"] if code else [])


def test_one_text_holds_one_certificate():
    pem = x509.load_der_x509_certificate(certificate("p256")).public_bytes(Encoding.PEM).decode()
    assert ders_of([pem]) == (certificate("p256"),)
    for wrong in (pem + pem, pem[:-30], "-----BEGIN CERTIFICATE-----"):
        assert code_of(ders_of, [wrong]) == "jose.chain"


# --- Calls


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"now": NOW.replace(tzinfo=None)}, "evidence.call.time"),
        ({"binding": Expected(b"")}, "evidence.call.nonce"),
        ({"binding": Expected("text")}, "evidence.call.type"),
        ({"binding": b"bytes"}, "evidence.call.type"),
        ({"binding": None}, "evidence.call.type"),
    ],
)
def test_errors_of_the_caller_are_exceptions(service, changed, code):
    stage = scene(service)
    evidence = stage.evidence()
    for name, value in changed.items():
        setattr(stage, name, value)
    with pytest.raises(EvidenceError) as caught:
        stage.judge(evidence)
    assert caught.value.code == code


@pytest.mark.parametrize("service", SERVICES)
def test_a_token_is_bytes_and_a_time_has_any_zone(service):
    stage = scene(service)
    evidence = stage.evidence()
    for wrong in (bytearray(evidence), evidence.decode(), None):
        with pytest.raises(EvidenceError) as caught:
            stage.judge(wrong)
        assert caught.value.code == "evidence.call.type"
    stage.now = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert stage.judge(evidence).bound


def test_a_key_that_is_unknown_is_asked_for_and_one_that_is_useless_is_not():
    for defect, kinds in (("unknown_key_id", ["jwks"]), ("weak_key", []), ("signed_by_a_stranger", [])):
        stage = scene("maa")
        getattr(scenes, defect)(stage)
        assert [need.kind for need in stage.finish().needs] == kinds


def test_half_a_character_is_no_base64():
    half = "\ud800"
    for entry in (
        point(x=half),
        point(y=half),
        rsa_entry() | {"n": half},
        rsa_entry() | {"e": half},
        {"kid": "a", "kty": "RSA", "x5c": [half]},
    ):
        assert code_of(read_key, "a", entry) == "jose.base64"


def test_what_keys_show_of_themselves():
    given = JwksEndorsements(b"{}", "issuer")
    assert repr(given) == "JwksEndorsements(jwks=b'{}', issuer='issuer')"
    one, two = (read_key("a", point()) for _ in range(2))
    assert one == two
    assert "key=" not in repr(one)
    assert one != read_key("b", point())


# --- Texts and keys, all of a kind


@pytest.mark.parametrize(("before", "accepted"), [(b"", 0), (b"A", 4), (b"AA", 16), (b"AAA", 64)])
def test_the_last_character_has_no_bits_behind_the_last_byte(before, accepted):
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    texts = [before + bytes([last]) for last in range(256)]
    read_texts = [text for text in texts if not code_of(decode, text)]
    assert len(read_texts) == accepted
    assert all(text[-1] in alphabet and encode(decode(text)) == text for text in read_texts)


@pytest.mark.parametrize(
    ("token", "code"),
    [(b"AA.AA..", "jose.shape"), (b"AA...", "jose.shape"), (b"AA.AA", "jose.shape"), (b"AA", "jose.shape")],
)
def test_a_token_has_two_dots(token, code):
    assert code_of(split, token) == code


def test_a_key_fits_the_algorithms_of_its_kind_alone():
    kinds = {
        "RS256": stranger(),
        "PS256": stranger(),
        "PS384": stranger(),
        "ES256": stranger_p256(),
        "ES384": stranger_p384(),
    }
    for name, key in kinds.items():
        for other, algorithm in ALGORITHMS.items():
            fitting = type(key) is type(kinds[other]) and key.key_size == kinds[other].key_size
            assert fits(key.public_key(), algorithm) is fitting, (name, other)
