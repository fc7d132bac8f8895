"""Entity Attestation Tokens in both encodings, signed and not."""

from __future__ import annotations

import json
from dataclasses import fields

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.decoding import cbor
from assay.evidence.decoding.cbor import Tag
from assay.evidence.eat import DebugStatus, Eat, EatError, IntendedUse, open_cwt, open_jwt
from assay.evidence.eat.claims import Digest, Nested
from assay.simulator.tokens.signing import TokenDraft

KEY = ec.derive_private_key(11, ec.SECP256R1())
OTHER = ec.derive_private_key(12, ec.SECP256R1())

WHOLE = Eat(
    nonces=(b"n" * 8, b"m" * 64),
    ueid=b"\1" + b"u" * 16,
    oemid=11129,
    hwmodel=b"model",
    hwversion="1.2",
    oemboot=True,
    dbgstat=DebugStatus.DISABLED_SINCE_BOOT,
    profile="tag:example.com,2026:profile",
    submods={
        "inner": Eat(swname="firmware", dbgstat=DebugStatus.ENABLED),
        "token": Nested("JWT", b"a.b.c"),
        "elsewhere": Digest("SHA-256", b"d" * 32),
    },
    bootcount=7,
    bootseed=b"s" * 32,
    swname="agent",
    swversion="0.1.0",
    manifests=((258, b"\xa0"),),
    measurements=((273, b"m"), (274, b"n")),
    intuse=IntendedUse.PROVISIONING,
    issuer="issuer",
    subject="subject",
    audience="audience",
    expires_at=2,
    not_before=0,
    issued_at=1,
    token_id=b"id",
    other={"x-more": [1, "two", None]},
)
ENCODINGS = ("json", "cbor")
# IANA's registries of JWT and CWT claims: a reader and a writer that agree with each other can both be wrong.
REGISTERED = {
    "iss": 1,
    "sub": 2,
    "aud": 3,
    "exp": 4,
    "nbf": 5,
    "iat": 6,
    "jti": 7,
    "eat_nonce": 10,
    "ueid": 256,
    "oemid": 258,
    "hwmodel": 259,
    "hwversion": 260,
    "oemboot": 262,
    "dbgstat": 263,
    "eat_profile": 265,
    "submods": 266,
    "bootcount": 267,
    "bootseed": 268,
    "swname": 270,
    "swversion": 271,
    "manifests": 272,
    "measurements": 273,
    "intuse": 275,
}


def write(eat: Eat, encoding: str) -> bytes:
    return eat.to_json() if encoding == "json" else eat.to_cbor()


def read(data: bytes, encoding: str) -> Eat:
    return Eat.from_json(data) if encoding == "json" else Eat.from_cbor(data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_claim_survives(encoding):
    assert read(write(WHOLE, encoding), encoding) == WHOLE
    assert all(getattr(WHOLE, f.name) not in (None, (), {}) for f in fields(Eat))


def test_labels_are_those_of_the_registries():
    found = cbor.decode(WHOLE.to_cbor(), max_bytes=4096)
    # RFC 9711, section 10.2, and RFC 8392, section 3.1: a peer's verifier swapped some of these numbers.
    assert found[10] == [b"n" * 8, b"m" * 64]
    assert found[256] == WHOLE.ueid
    assert found[258] == 11129
    assert found[259] == b"model"
    assert found[260] == ["1.2"]
    assert found[262] is True
    assert found[263] == 2
    assert found[265] == WHOLE.profile
    assert found[266]["inner"] == {263: 0, 270: "firmware"}
    # Sections 7.3.2 and 7.3.3: CBOR tells a digest by its array and a token of JSON by its text.
    assert found[266]["elsewhere"] == ["SHA-256", b"d" * 32]
    assert found[266]["token"] == '["JWT","a.b.c"]'
    assert found[267] == 7
    assert found[268] == b"s" * 32
    assert found[270] == "agent"
    assert found[271] == ["0.1.0"]
    assert found[272] == [[258, b"\xa0"]]
    assert found[273] == [[273, b"m"], [274, b"n"]]
    assert found[275] == 3
    assert {n: found[n] for n in range(1, 8)} == {
        1: "issuer", 2: "subject", 3: "audience", 4: 2, 5: 0, 6: 1, 7: b"id"
    }  # fmt: skip


def test_json_has_words_and_base64url():
    found = json.loads(WHOLE.to_json())
    assert found["dbgstat"] == "disabled-since-boot"
    assert found["intuse"] == "provisioning"
    assert found["eat_nonce"][0] == "bm5ubm5ubm4"
    assert found["oemid"] == 11129
    assert found["x-more"] == [1, "two", None]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_nonce_stands_alone(encoding):
    eat = Eat(nonces=(b"n" * 32,))
    assert read(write(eat, encoding), encoding) == eat
    stated = json.loads(eat.to_json())["eat_nonce"]
    assert type(stated) is str


@pytest.mark.parametrize(
    "dotted", ["1.2.3.4", "2.999.1", "0.9.2342.19200300.100", "1.3.6.1.4.1.11129", "2.16.840.1.101"]
)
def test_profiles_that_are_object_identifiers(dotted):
    eat = Eat(profile=dotted)
    assert type(cbor.decode(eat.to_cbor(), max_bytes=99)[265]) is bytes
    assert Eat.from_cbor(eat.to_cbor()) == eat
    assert Eat.from_json(eat.to_json()) == eat


@pytest.mark.parametrize(
    "claims",
    [
        {"eat_nonce": "bm5ubm5ubg"},
        {"eat_nonce": ["bm5ubm5ubm4"]},
        {"eat_nonce": []},
        {"eat_nonce": ["bm5ubm5ubm4"] * 17},
        {"eat_nonce": 12345678},
        {"eat_nonce": "bm5ubm5ubm4="},
        {"ueid": "AAAA"},
        {"oemid": "AAAAAA"},
        {"oemid": True},
        {"oemid": -1},
        {"hwmodel": ""},
        {"hwversion": "1.2"},
        {"hwversion": ["1", 2, 3]},
        {"oemboot": 1},
        {"dbgstat": 2},
        {"dbgstat": "off"},
        {"dbgstat": "DISABLED"},
        {"intuse": "anything"},
        {"eat_profile": 1},
        {"submods": {}},
        {"submods": []},
        {"submods": {"": {}}},
        {"submods": {"a": 1}},
        {"submods": {"a": ["DIGEST", ["SHA-256"]]}},
        {"submods": {"a": ["DIGEST", [True, "AAAA"]]}},
        {
            "submods": {
                "a": {"submods": {"a": {"submods": {"a": {"submods": {"a": {"submods": {"a": {}}}}}}}}}
            }
        },
        {"submods": {f"{n}": {} for n in range(65)}},
        {"measurements": []},
        {"measurements": [[1]]},
        {"measurements": [["a", "AAAA"]]},
        {"bootcount": 1.5},
        {"exp": "tomorrow"},
        {"exp": 1 << 63},
        {"iss": 7},
        {"swname": "x" * 4097},
    ],
    ids=lambda claims: json.dumps(claims)[:40],
)
def test_what_json_claims_must_be(claims):
    with pytest.raises(EatError) as caught:
        Eat.from_json(json.dumps(claims).encode())
    assert caught.value.code == "eat.claim"


@pytest.mark.parametrize(
    "claims",
    [
        {10: "n" * 8},
        {10: b"n" * 7},
        {10: b"n" * 65},
        {256: b"u" * 6},
        {256: b"u" * 34},
        {258: b"oem!"},
        {263: 5},
        {263: True},
        {263: "disabled"},
        {265: b"\x80\x01"},
        {265: b"\x81"},
        {265: b""},
        {265: b"\x01" * 65},
        {266: {1: {}}},
        {273: [[273, "m"]]},
        {275: 0},
        {7: "text"},
        {b"label": 1},
    ],
    ids=str,
)
def test_what_cbor_claims_must_be(claims):
    with pytest.raises(EatError) as caught:
        Eat.from_cbor(cbor.encode(claims))
    assert caught.value.code == "eat.claim"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"\xa0", b"{}" * 200000])
def test_what_is_no_json(data):
    with pytest.raises(EatError) as caught:
        Eat.from_json(data)
    assert caught.value.code == "eat.malformed"


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xa2\x01\x61a\x01\x61b", b"\xbf\xff", b"\xa0\x00"])
def test_what_is_no_cbor(data):
    """A label twice, an indefinite length, bytes behind: the usual reader takes them all."""
    with pytest.raises(EatError) as caught:
        Eat.from_cbor(data)
    assert caught.value.code == "eat.malformed"


def test_a_token_inside_is_kept_whole():
    assert Eat.from_cbor(cbor.encode({266: {"a": b"\xd2\x84"}})).submods["a"] == Nested("CBOR", b"\xd2\x84")
    assert Eat.from_json(b'{"submods":{"a":["CBOR","0oQ"]}}').submods["a"] == Nested("CBOR", b"\xd2\x84")
    both = Eat(submods={"a": Nested("CBOR", b"\xd2\x84")})
    assert Eat.from_json(both.to_json()) == Eat.from_cbor(both.to_cbor()) == both


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_survive(data):
    for encoding in ENCODINGS:
        try:
            eat = read(data, encoding)
        except EatError:
            continue
        assert read(write(eat, encoding), encoding) == eat


# --- Signed


def jwt(**header) -> bytes:
    return TokenDraft({"alg": "ES256"} | header, json.loads(WHOLE.to_json()), KEY, "ES256").sign()


def cwt(algorithm: int = -7, payload: bytes | None = None, unprotected: dict | None = None) -> bytes:
    protected = cbor.encode({1: algorithm})
    content = WHOLE.to_cbor() if payload is None else payload
    signed = cbor.encode(["Signature1", protected, b"", content])
    r, s = decode_dss_signature(KEY.sign(signed, ec.ECDSA(SHA256(), deterministic_signing=True)))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor.encode(Tag(61, Tag(18, [protected, unprotected or {}, content, signature])))


def test_a_signed_token_in_json():
    assert open_jwt(jwt(), KEY.public_key(), algorithms=["ES256"]) == WHOLE


@pytest.mark.parametrize("kind", ["JWT", "eat+jwt", "EAT+JWT", "application/eat+jwt"])
def test_a_signed_token_may_say_of_itself_that_it_is_one(kind):
    """RFC 7515, section 4.1.9, with the media type of RFC 9782."""
    assert open_jwt(jwt(typ=kind), KEY.public_key(), algorithms=["ES256"]) == WHOLE


@pytest.mark.parametrize("kind", ["eat+cwt", "at+jwt", "secevent+jwt", "application/jwt+eat", ""])
def test_a_signed_token_of_another_type_is_refused(kind):
    with pytest.raises(EvidenceError) as caught:
        open_jwt(jwt(typ=kind), KEY.public_key(), algorithms=["ES256"])
    assert caught.value.code == "eat.malformed"


def test_a_signed_token_in_cbor():
    assert open_cwt(cwt(), KEY.public_key(), algorithms=[Algorithm.ES256]) == WHOLE
    inner = cbor.decode(cwt(), max_bytes=9999).value
    assert open_cwt(cbor.encode(inner), KEY.public_key(), algorithms=[Algorithm.ES256]) == WHOLE


@pytest.mark.parametrize(
    ("token", "key", "algorithms", "code"),
    [
        (jwt(), OTHER, ["ES256"], "eat.signature"),
        (jwt(), KEY, ["ES384"], "eat.signature"),
        (jwt(alg="none"), KEY, ["ES256"], "eat.signature"),
        (jwt(alg="none"), KEY, ["none"], "eat.signature"),
        (jwt(crit=["b64"]), KEY, ["ES256"], "eat.malformed"),
        (jwt()[:-1], KEY, ["ES256"], "eat.malformed"),
        (b"a.b", KEY, ["ES256"], "eat.malformed"),
    ],
)
def test_what_a_signed_token_in_json_must_be(token, key, algorithms, code):
    with pytest.raises(EvidenceError) as caught:
        open_jwt(token, key.public_key(), algorithms=algorithms)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("token", "key", "code"),
    [
        (cwt(), OTHER, "eat.signature"),
        (cwt(-35), KEY, "eat.signature"),
        (cwt()[:-1] + b"\0", KEY, "eat.signature"),
        (cwt()[:-1], KEY, "eat.malformed"),
        (cwt() + b"\0", KEY, "eat.malformed"),
        (b"\xa0", KEY, "eat.malformed"),
        (cbor.encode(Tag(61, [b"", {}, None, b""])), KEY, "eat.malformed"),
        (cwt(payload=b"\x80"), KEY, "eat.malformed"),
    ],
)
def test_what_a_signed_token_in_cbor_must_be(token, key, code):
    with pytest.raises(EvidenceError) as caught:
        open_cwt(token, key.public_key(), algorithms=[Algorithm.ES256])
    assert caught.value.code == code


def test_claims_have_the_names_and_numbers_that_are_registered():
    assert json.loads(WHOLE.to_json()).keys() == REGISTERED.keys() | {"x-more"}
    assert cbor2.loads(WHOLE.to_cbor()).keys() == {*REGISTERED.values(), "x-more"}
