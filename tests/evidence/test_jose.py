"""Tokens and key sets by themselves: reading, algorithms, keys, and what is remembered between tokens."""

from __future__ import annotations

import base64
import json
import random
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.jose import JoseError, JwksEndorsements, TokenLimits
from assay.evidence.jose.algorithms import ALGORITHMS, verify
from assay.evidence.jose.base64url import decode, decode_standard, encode
from assay.evidence.jose.jws import MAX_HEADER_BYTES, read_header, split
from assay.evidence.jose.keys import MAX_KEYS, parse_jwks
from assay.evidence.jose.x5c import chain_of, ders_of
from assay.evidence.verification import Expected
from assay.simulator.tokens.signing import compact, jwk, key_set, signature
from support import token_scenes as scenes
from support.token_scenes import (
    NONCE,
    NOW,
    assert_refused,
    scene,
    services,
    stranger,
    stranger_p256,
    stranger_p384,
)

SERVICES = ("confidential-space", "maa", "trust-authority", "nras")

# --- base64url


@given(st.binary(max_size=100))
def test_one_text_for_each_value(data):
    text = encode(data)
    assert decode(text) == data
    assert decode_standard(base64.b64encode(data)) == data
    assert b"=" not in text


@given(st.binary(max_size=12))
def test_no_other_text_for_any_value(text):
    try:
        data = decode(text)
    except JoseError:
        return
    assert encode(data) == text


@pytest.mark.parametrize(
    "text", [b"A", b"AB==", b"AB=", b"AB", b"AAB", b"A+A/", b"AA AA", b"AA\nA", b"\xff\xff"]
)
def test_what_is_no_base64url(text):
    with pytest.raises(JoseError) as caught:
        decode(text)
    assert caught.value.code == "jose.base64"


@pytest.mark.parametrize("text", [b"AA", b"AB==", b"AA==\n", b"A-A=", b"AA=A"])
def test_what_is_no_base64(text):
    with pytest.raises(JoseError) as caught:
        decode_standard(text)
    assert caught.value.code == "jose.base64"


# --- Tokens


def test_what_is_signed_is_a_slice_of_the_token():
    token = scene("maa").evidence()
    jws = split(token)
    assert token.startswith(jws.signed + b".")
    assert jws.signed.count(b".") == 1


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (b"", "jose.shape"),
        (b".", "jose.shape"),
        (b"...", "jose.shape"),
        (b"AA.AA.A", "jose.base64"),
        (b"AA.A.AA", "jose.base64"),
        (b"A" * 131073, "jose.oversized"),
        (b"A" * (MAX_HEADER_BYTES + 1) + b".AA.AA", "jose.oversized"),
        (b"AA.AA." + b"A" * 1367, "jose.oversized"),
    ],
    ids=lambda item: str(item)[:20],
)
def test_what_is_no_token(token, code):
    with pytest.raises(JoseError) as caught:
        split(token)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"alg": 1}, "jose.header"),
        ({"alg": "RS256", "kid": 1}, "jose.header"),
        ({"alg": "RS256", "kid": "k" * 513}, "jose.header"),
        ({"alg": "RS256", "typ": 1}, "jose.header"),
        ({"alg": "RS256", "typ": "JOSE"}, "jose.header"),
        ({"alg": "RS256", "typ": "eat+jwt"}, "jose.header"),
        ({"alg": "RS256", "zip": "DEF"}, "jose.header"),
        ({"alg": "RS256", "crit": []}, "jose.critical"),
        ({"alg": "RS256", "crit": ["alg"], "jwk": {}}, "jose.critical"),
    ],
)
def test_what_is_no_header(header, code):
    with pytest.raises(JoseError) as caught:
        read_header(encode(compact(header)))
    assert caught.value.code == code


def test_where_to_fetch_a_key_is_read_and_not_followed():
    header = {"alg": "RS256", "jku": "https://evil.example", "x5u": "https://evil.example", "typ": "jwt"}
    assert read_header(encode(compact(header))) == header


# --- Algorithms

KEYS = {"RS256": "rsa", "PS256": "rsa", "PS384": "rsa", "ES256": "p256", "ES384": "p384"}


def keys():
    return {"rsa": stranger(), "p256": stranger_p256(), "p384": stranger_p384()}


@pytest.mark.parametrize("name", KEYS)
def test_each_algorithm_is_for_its_own_kind_of_key(name):
    own = KEYS[name]
    made = signature(keys()[own], name, b"signed")
    for kind, key in keys().items():
        for other in ALGORITHMS:
            expected = kind == own and other == name
            assert verify(key.public_key(), ALGORITHMS[other], made, b"signed") is expected
    assert not verify(keys()[own].public_key(), ALGORITHMS[name], made, b"signed.")
    assert not verify(keys()[own].public_key(), ALGORITHMS[name], made + b"\0", b"signed")
    assert not verify(keys()[own].public_key(), ALGORITHMS[name], b"", b"signed")


def test_there_is_no_algorithm_without_a_key():
    assert sorted(ALGORITHMS) == ["ES256", "ES384", "PS256", "PS384", "RS256"]


def test_an_encoded_ecdsa_signature_is_refused():
    der = stranger_p256().sign(b"signed", ec.ECDSA(ALGORITHMS["ES256"].digest))
    assert not verify(stranger_p256().public_key(), ALGORITHMS["ES256"], der, b"signed")


# --- Key sets


def entry(**changed):
    return jwk(stranger(), "RS256", "a") | changed


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "jwks.malformed"),
        (b"[]", "jwks.malformed"),
        (b"{}", "jwks.malformed"),
        (b'{"keys":{}}', "jwks.malformed"),
        (b'{"keys":[1]}', "jwks.malformed"),
        (b'{"keys":[{}]}', "jwks.malformed"),
        (b'{"keys":[{"kid":""}]}', "jwks.malformed"),
        (b'{"keys":[],"keys":[]}', "jwks.malformed"),
        (b" " * 262145, "jwks.malformed"),
        (key_set([{"kid": f"{n}"} for n in range(MAX_KEYS + 1)]), "jwks.too_many"),
        (key_set([{"kid": "a", "kty": "oct", "k": "AAAA"}]), "jwks.private"),
    ],
    ids=lambda item: str(item)[:30],
)
def test_what_is_no_key_set(data, code):
    with pytest.raises(JoseError) as caught:
        parse_jwks(data)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi"])
def test_a_published_private_key_spoils_the_set(name):
    with pytest.raises(JoseError) as caught:
        parse_jwks(key_set([jwk(stranger_p256(), "ES256", "b"), entry(**{name: "AQAB"})]))
    assert caught.value.code == "jwks.private"


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"kty": "OKP"},
        {"kty": "oct"},
        {"n": "AQAB"},
        {"n": 5},
        {"n": "=="},
        {"e": "AQ"},
        {"e": "AQAAAAAA"},
        {"e": None},
        {"n": encode(b"\xff" * 1025).decode()},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": ["P-256"], "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": 2},
        {"kty": "EC", "crv": "P-256", "x": encode(bytes(32)).decode(), "y": encode(bytes(32)).decode()},
    ],
    ids=lambda changed: json.dumps(changed)[:40],
)
def test_what_is_no_usable_key(changed):
    found = parse_jwks(key_set([entry(**changed), jwk(stranger_p384(), "ES384", "b")]))
    assert list(found.unusable) == ["a"]
    assert list(found.keys) == ["b"]
    assert found.unusable["a"]


@pytest.mark.parametrize("chain", [[], "AAAA", [1], ["AAAA"], ["#"]])
def test_a_key_in_no_certificate(chain):
    found = parse_jwks(key_set([{"kid": "a", "kty": "RSA", "x5c": chain}]))
    assert list(found.unusable) == ["a"]


def test_a_key_in_a_certificate():
    leaf = services().leaf
    found = parse_jwks(key_set([{"kid": "a", "kty": "RSA", "x5c": [leaf.text(pem=False)]}]))
    assert found.keys["a"].key == leaf.key.public_key()


def test_a_key_twice_is_one_key():
    assert list(parse_jwks(key_set([entry(), entry()])).keys) == ["a"]


def test_a_key_is_for_the_algorithm_it_was_published_for():
    assert parse_jwks(key_set([entry()])).keys["a"].algorithms == {"RS256"}
    free = {name: value for name, value in entry().items() if name != "alg"}
    assert parse_jwks(key_set([free])).keys["a"].algorithms == {"RS256", "PS256", "PS384"}
    assert not parse_jwks(key_set([entry(alg="none")])).keys["a"].algorithms


# --- Chains in headers


def test_certificates_in_both_forms():
    made = services()
    links = (made.leaf, made.intermediate, made.root)
    plain, pem = ([link.text(pem=form) for link in links] for form in (False, True))
    assert chain_of(plain) == chain_of(pem, count=3)
    assert chain_of([plain[0], pem[1]]) == chain_of(plain[:2])


@pytest.mark.parametrize(
    "x5c", [[], "AAAA", None, ["AAAA"] * 7, ["é"], ["A" * 16385], ["AAAA"], ["-----BEGIN"]]
)
def test_what_is_no_chain(x5c):
    with pytest.raises(JoseError) as caught:
        chain_of(x5c)
    assert caught.value.code == "jose.chain"


# --- Limits


@pytest.mark.parametrize(("skew", "age"), [(-1, 60), (601, 60), (0, 0), (0, -1)])
def test_limits_have_limits(skew, age):
    with pytest.raises(EvidenceError) as caught:
        TokenLimits(timedelta(seconds=skew), timedelta(seconds=age))
    assert caught.value.code == "evidence.call.limits"


def test_limits_that_were_used_are_still_the_same():
    stage = scene(SERVICES[0])
    stage.limits = TokenLimits(timedelta(seconds=60), timedelta(seconds=600))
    assert stage.finish().authentic
    assert stage.limits == TokenLimits(timedelta(seconds=60), timedelta(seconds=600))


@pytest.mark.parametrize("service", SERVICES)
def test_each_limit_is_the_last_second(service):
    """Issued a skew ahead, or as old as allowed: accepted. One second more: refused. Expiry has no grace."""
    for seconds, accepted in ((-60, True), (-61, False), (299, True), (600, True), (601, False)):
        stage = scene(service)
        stage.now = NOW + timedelta(seconds=seconds)
        for draft in drafts(stage):
            draft.claims["exp"] = draft.claims["iat"] + 601
        assert stage.finish().authentic is accepted, seconds
    stage = scene(service)
    for draft in drafts(stage):
        draft.claims["exp"] = draft.claims["iat"] + 10
    stage.now = NOW + timedelta(seconds=10)
    assert not stage.finish().authentic
    stage.now = NOW + timedelta(seconds=9)
    assert stage.judge(stage.evidence()).authentic


def drafts(stage):
    return [stage.whole.overall, *stage.whole.devices.values()] if stage.service == "nras" else [stage.draft]


# --- Every bit


@pytest.mark.parametrize("service", [*SERVICES, "wrapped"])
def test_what_is_accepted_of_flipped_bits_is_declared_unsigned(service):
    """About 500 bits of a simulated token of each service: nothing but a wrapper's own token may change."""
    stage = scene("nras" if service == "wrapped" else service)
    if service == "wrapped":
        stage.whole.wrapped = True
    evidence = stage.evidence()
    original = stage.judge(evidence)
    assert original.bound
    chosen = random.Random(service)  # a sample that is the same in every run
    accepted = 0
    for position in chosen.sample(range(8 * len(evidence)), 500):
        offset, bit = divmod(position, 8)
        changed = evidence[:offset] + bytes([evidence[offset] ^ (1 << bit)]) + evidence[offset + 1 :]
        result = stage.judge(changed)
        if result.authentic:
            accepted += 1
            assert any(region.start <= offset < region.end for region in result.unsigned)
            assert result.signed_digest == original.signed_digest
    assert (accepted > 0) <= (service == "wrapped")


# --- What is remembered


@pytest.mark.parametrize("service", SERVICES)
def test_a_second_token_costs_no_second_look_at_its_header(service, monkeypatch):
    stage = scene(service)
    assert stage.finish().bound
    monkeypatch.setattr("assay.evidence.jose.token.read_header", None)
    monkeypatch.setattr("assay.evidence.jose.token.parse_jwks", None)
    warm = stage.finish()
    assert warm.bound
    fresh = scene(service)
    monkeypatch.undo()
    assert [check.to_json() for check in warm.ledger] == [check.to_json() for check in fresh.finish().ledger]


@pytest.mark.parametrize("service", SERVICES)
def test_a_remembered_header_vouches_for_no_other_key_set(service):
    stage = scene(service)
    assert stage.finish().authentic
    other = jwk(stranger(), "RS256", "other")
    stage.endorsements = JwksEndorsements(key_set([other]), stage.endorsements.issuer)
    assert stage.finish().ledger.failed()[0].code.endswith(".unknown")


@pytest.mark.parametrize("service", SERVICES)
def test_a_remembered_header_spares_no_signature(service):
    stage = scene(service)
    assert stage.finish().authentic
    scenes.signed_by_a_stranger(stage)
    assert stage.finish().ledger.failed()[0].code.endswith(".signature")


def test_a_header_of_one_format_is_not_another_formats():
    """The same key signs for two services: what was established for one says nothing to the other."""
    stage = scene("maa")
    assert stage.finish().authentic
    stage.service = "trust-authority"
    stage.binding = Expected(NONCE)
    assert_refused(stage.finish(), "trust_authority.token.type.unknown")


def test_refusals_are_not_remembered():
    stage = scene("confidential-space")
    right = stage.endorsements
    stage.endorsements = JwksEndorsements(key_set([]), right.issuer)
    assert not stage.finish().authentic
    stage.endorsements = right
    assert stage.finish().authentic


def test_keys_of_a_stranger_are_keys_of_a_stranger():
    assert isinstance(stranger(), rsa.RSAPrivateKey)
    stage = scene("confidential-space")
    stage.draft.key = stranger()
    stage.endorsements = JwksEndorsements(
        key_set([jwk(stranger(), "RS256", stage.draft.header["kid"])]), stage.endorsements.issuer
    )
    result = stage.finish()
    # Whoever gives the key set decides whom to believe: the result says so, and is never hardware.
    assert result.bound
    assert result.simulated
    assert result.anchor.published_keys


def test_the_bounds_of_a_chain_of_certificates():
    text = base64.b64encode(b"\x30\x00").decode()
    for count in (1, 6):
        assert ders_of([text] * count) == (b"\x30\x00",) * count
    for count in (0, 7):
        with pytest.raises(JoseError) as caught:
            ders_of([text] * count)
        assert caught.value.code == "jose.chain"
    assert ders_of([text] * 6, count=6)
    with pytest.raises(JoseError):
        ders_of([text] * 5, count=6)
