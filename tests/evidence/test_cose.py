"""COSE_Sign1: what is verified is what was signed, and only under an algorithm that the caller accepts."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CoseError, Sign1
from assay.evidence.decoding.cbor import Tag, decode, encode
from support.cose_messages import message, sign

ALL = frozenset(Algorithm)
ES256 = Algorithm.ES256


@cache
def private(name: str):
    match name:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "small-rsa":
            return rsa.generate_private_key(65537, 1024)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
        case "k256":
            return ec.generate_private_key(ec.SECP256K1())
    return ec.generate_private_key(
        {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}[name]
    )


def verify(data: bytes, key="p256", algorithms=ALL, **options) -> Algorithm:
    return Sign1.parse(data).verify(private(key).public_key(), algorithms=algorithms, **options)


def refused(call, *args, **options) -> str:
    with pytest.raises(CoseError) as error:
        call(*args, **options)
    assert error.value.message.isprintable()
    return error.value.code


FITTING = [
    (ES256, "p256"),
    (Algorithm.ES384, "p384"),
    (Algorithm.ES512, "p521"),
    (Algorithm.ES512, "p256"),
    (ES256, "p521"),
    (Algorithm.EDDSA, "ed25519"),
    (Algorithm.EDDSA, "ed448"),
    (Algorithm.PS256, "rsa"),
    (Algorithm.PS384, "rsa"),
    (Algorithm.PS512, "rsa"),
]


@pytest.mark.parametrize(("algorithm", "key"), FITTING)
@pytest.mark.parametrize("tagged", [True, False])
def test_every_algorithm_verifies_what_it_signed_and_nothing_else(algorithm, key, tagged):
    data = message(private(key), algorithm, tagged=tagged)
    found = Sign1.parse(data)
    assert found.tagged is tagged
    assert found.payload == b"payload"
    assert found.protected == encode({1: int(algorithm)})
    assert verify(data, key) is algorithm
    assert refused(verify, data, key, ALL - {algorithm}) == "cose.algorithm"
    for changed in (found.signature[:-1], found.signature + b"\0", bytes(len(found.signature)), b""):
        parts = [found.protected, {}, found.payload, changed]
        assert refused(verify, encode(parts), key) == "cose.signature"
    assert refused(verify, data.replace(b"payload", b"paywall"), key) == "cose.signature"


@pytest.mark.parametrize(("algorithm", "key"), FITTING)
def test_a_key_of_another_kind_never_verifies(algorithm, key):
    data = message(private(key), algorithm)
    fitting = {name for found, name in FITTING if found is algorithm} | (
        {"p256", "p384", "p521"} if key.startswith("p") else set()
    )
    for other in {"p256", "rsa", "ed25519", "k256", "small-rsa"} - fitting:
        assert refused(verify, data, other) == "cose.key"


@pytest.mark.parametrize("key", ["p256", "p384", "p521"])
def test_r_and_s_have_one_length_each(key):
    """A zero in front of either changes no number, so only the length tells such a signature from its own."""
    found = Sign1.parse(message(private(key), ES256))
    half = len(found.signature) // 2
    r, s = found.signature[:half], found.signature[half:]
    for changed in (r + b"\0" + s, b"\0" + r + s, b"\0" + r + b"\0" + s):
        parts = [found.protected, {}, found.payload, changed]
        assert refused(verify, encode(parts), key) == "cose.signature"


def test_a_signature_in_der_is_refused():
    """COSE signatures are r and s, not DER: a reader of both would have two encodings of one signature."""
    key = private("p256")
    protected = encode({1: int(ES256)})
    der = key.sign(encode(["Signature1", protected, b"", b"payload"]), ec.ECDSA(SHA256()))
    assert refused(verify, encode([protected, {}, b"payload", der])) == "cose.signature"


def test_one_bit_anywhere_breaks_it_or_changes_only_what_is_not_signed():
    data = message(private("p256"), ES256, unprotected={4: b"11"})
    unprotected = data.index(encode({4: b"11"}))
    accepted = []
    for position in range(8 * len(data)):
        offset, bit = divmod(position, 8)
        changed = data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]
        try:
            verify(changed)
        except CoseError:
            continue
        accepted.append(offset)
    assert set(accepted) <= set(range(unprotected + 1, unprotected + 5))


def test_a_detached_payload_is_given_by_the_caller_and_by_nobody_else():
    data = message(private("p256"), ES256, b"away", detached=True)
    assert Sign1.parse(data).payload is None
    assert verify(data, payload=b"away") is ES256
    assert refused(verify, data, payload=b"else") == "cose.signature"
    assert refused(verify, data) == "cose.payload"
    assert refused(verify, message(private("p256"), ES256), payload=b"payload") == "cose.payload"
    empty = message(private("p256"), ES256, b"")
    assert verify(empty) is ES256
    assert verify(message(private("p256"), ES256, b"", detached=True), payload=b"") is ES256


def test_external_data_are_part_of_what_is_signed():
    data = message(private("p256"), ES256, external_aad=b"context")
    assert verify(data, external_aad=b"context") is ES256
    assert refused(verify, data) == "cose.signature"
    assert refused(verify, data, external_aad=b"contexT") == "cose.signature"


def test_a_signature_for_another_kind_of_message_is_refused():
    assert refused(verify, message(private("p256"), ES256, context="Signature")) == "cose.signature"


@pytest.mark.parametrize(
    "item",
    [
        Tag(98, [b"", {}, b"", b""]),
        Tag(17, [b"", {}, b"", b""]),
        Tag(18, Tag(18, [b"", {}, b"", b""])),
        [b"", {}, b""],
        [b"", {}, b"", b"", b""],
        [{1: -7}, {}, b"", b""],
        [b"", b"", b"", b""],
        [b"", None, b"", b""],
        [b"", {}, "text", b""],
        [b"", {}, b"", None],
        [b"", {}, b"", "text"],
        {1: 2},
        7,
    ],
)
def test_another_shape_is_refused(item):
    assert refused(Sign1.parse, encode(item)) == "cose.layout"


def test_other_encodings_of_a_message_are_refused():
    data = message(private("p256"), ES256, tagged=False)
    assert refused(Sign1.parse, data + b"\0") == "cose.layout"
    assert refused(Sign1.parse, data[:-1]) == "cose.layout"
    assert refused(Sign1.parse, b"\x9f" + data[1:] + b"\xff") == "cose.layout"
    assert refused(Sign1.parse, b"\x98\x04" + data[1:]) == "cose.layout"
    assert refused(Sign1.parse, data, max_bytes=len(data) - 1) == "cose.layout"


@pytest.mark.parametrize(
    "protected",
    [
        encode([1, -7]),
        b"\xa2\x01\x26\x01\x26",
        b"\xa1\x01\x26\x00",
        b"\xa1\x01\x38\x06",
        b"\xbf\x01\x26\xff",
        b"\xa1\xf5\x26",
        b"\xa1\x41\x01\x26",
        b"\xf6",
    ],
)
def test_a_malformed_protected_header_is_refused(protected):
    data = message(private("p256"), ES256, protected=protected)
    assert refused(Sign1.parse, data) == "cose.headers"


def test_a_parameter_stands_in_one_header_only():
    data = message(private("p256"), ES256, unprotected={1: -7})
    assert refused(Sign1.parse, data) == "cose.headers"
    assert refused(Sign1.parse, message(private("p256"), ES256, unprotected={b"x": 1})) == "cose.headers"


@pytest.mark.parametrize("stated", [-999, "ES256", None, True, [], -7.5, -7.0, 0])
def test_an_unknown_algorithm_is_refused(stated):
    data = message(private("p256"), ES256, protected=encode({1: stated}))
    assert refused(verify, data) == "cose.algorithm"


def test_an_algorithm_that_nothing_covers_counts_only_when_the_caller_agreed_on_it():
    data = message(private("p256"), ES256, protected=b"", unprotected={1: int(ES256)})
    assert refused(verify, data) == "cose.algorithm"
    assert verify(data, implicit=ES256) is ES256
    assert refused(verify, data, implicit=ES256, algorithms={Algorithm.ES384}) == "cose.algorithm"
    stated = message(private("p256"), ES256)
    assert verify(stated, implicit=Algorithm.ES384) is ES256


def test_an_empty_header_is_signed_as_no_bytes_in_both_of_its_forms():
    signature = sign(private("p256"), ES256, encode(["Signature1", b"", b"", b"payload"]))
    for protected in (b"", b"\xa0"):
        assert verify(encode([protected, {}, b"payload", signature]), implicit=ES256) is ES256


def test_critical_parameters_must_be_understood():
    key = private("p256")
    data = message(key, ES256, headers={2: [100], 100: b"x"})
    assert refused(verify, data) == "cose.critical"
    assert verify(data, understood={100}) is ES256
    assert verify(message(key, ES256, headers={2: [1, "reserved"], "reserved": 1}), understood={"reserved"})
    for headers in ({2: []}, {2: 100}, {2: None}, {2: [100]}, {2: [[1]]}, {2: [True]}, {2: [b"1"]}):
        assert refused(verify, message(key, ES256, headers=headers), understood={100}) == "cose.critical"
    assert refused(verify, message(key, ES256, unprotected={2: [1]})) == "cose.critical"


def test_which_parameters_every_reader_understands():
    """Algorithm, content type and key id (RFC 9052 section 3.1); any other one only where it is named."""
    key = private("p256")
    common = {2: [1, 3, 4], 3: "text/plain", 4: b"11"}
    assert verify(message(key, ES256, headers=common)) is ES256
    for label in (0, 2, 5, 6):
        data = message(key, ES256, headers={label: [label], 2: [label]})
        assert refused(verify, data) == "cose.critical"


def test_how_long_a_message_and_its_header_may_be():
    empty = encode([b"", {}, bytes(1 << 17), b""])
    room = (1 << 20) - len(empty) + (1 << 17)
    whole = encode([b"", {}, bytes(room), b""])
    assert len(whole) == 1 << 20
    assert Sign1.parse(whole).payload == bytes(room)
    assert refused(Sign1.parse, encode([b"", {}, bytes(room + 1), b""])) == "cose.layout"
    for size, accepted in ((16384, True), (16385, False)):
        protected = encode({4: bytes(size - 5)})
        assert len(protected) == size
        data = encode([protected, {}, b"", b""])
        if accepted:
            assert Sign1.parse(data).headers == {4: bytes(size - 5)}
        else:
            assert refused(Sign1.parse, data) == "cose.headers"


def nested(depth: int):
    return [nested(depth - 1)] if depth else 0


def test_how_deep_and_how_full_a_header_may_be():
    def protected(value):
        return encode([encode({4: value}), {}, b"", b""])

    def unprotected(value):
        return encode([b"", {4: value}, b"", b""])

    assert Sign1.parse(protected(nested(7))).headers == {4: nested(7)}
    assert refused(Sign1.parse, protected(nested(8))) == "cose.headers"
    assert Sign1.parse(protected([0] * 253)).headers == {4: [0] * 253}
    assert refused(Sign1.parse, protected([0] * 254)) == "cose.headers"
    assert Sign1.parse(unprotected(nested(6))).unprotected == {4: nested(6)}
    assert refused(Sign1.parse, unprotected(nested(7))) == "cose.layout"
    assert Sign1.parse(unprotected([0] * 249)).unprotected == {4: [0] * 249}
    assert refused(Sign1.parse, unprotected([0] * 250)) == "cose.layout"


def test_a_message_inside_another_item_is_taken_as_it_stood_there():
    inner = decode(message(private("p256"), ES256), max_bytes=1000)
    assert Sign1.of(inner).verify(private("p256").public_key(), algorithms={ES256}) is ES256
