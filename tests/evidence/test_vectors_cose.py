"""Published COSE examples, attestation tokens and receipts reach the results stated for them.

Encryption, MACs and several signers are no part of this verifier: as messages with one signer they are
refused, the valid ones like the others. That they were read right shows in the last step, which is made here:
signatures and MACs of the valid ones verify over what the strict reader returned, and their ciphertexts open.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import PurePosixPath

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from assay.evidence.cose.algorithms import SCHEMES, Algorithm
from assay.evidence.cose.sign1 import ALGORITHM, TAG_SIGN1, CoseError, Sign1
from assay.evidence.decoding.cbor import CborError, Tag, decode, encode
from support import vectors
from support.cose_messages import public_key

if not vectors.present():
    pytest.skip("the real vectors are not here", allow_module_level=True)

ALL = frozenset(Algorithm)
NAMED = {"EdDSA": Algorithm.EDDSA, **{found.name: found for found in Algorithm}}
# Kinds of message by the name of the example's input: their tag, and how many parts they have.
OTHERS = {"sign": (98, 4), "enveloped": (96, 4), "encrypted": (16, 3), "mac": (97, 5), "mac0": (17, 4)}
# Why each negative is refused. "Another tag" is refused by its shape.
NEGATIVES = {
    "sign-fail-02: Change signature": "cose.signature",
    "sign-fail-03: Change Sign Algorithm": "cose.algorithm",
    "sign-fail-04: Change Sign Algorithm": "cose.algorithm",
    "sign-fail-06: Add protected attribute": "cose.signature",
    "sign-fail-07: Remove protected attribute": "cose.signature",
    "Protected header outer type is not bstr ": "cose.layout",
    "Protected header map contains duplicate entries": "cose.headers",
    "Unprotected header map contains duplicate entries": "cose.layout",
}
POSITIVE = {"upstream positive", "upstream positive; COSE_Sign1 signature VALID"}


def refusal(data: bytes, key, **options) -> str:
    with pytest.raises(CoseError) as error:
        Sign1.parse(data).verify(key, algorithms=ALL, **options)
    return error.value.code


def check_example(entry):
    expected, example = entry["expected"], json.loads(vectors.read(entry["file"]))
    fields = expected["key_fields"]
    assert fields["title"] == example["title"]
    assert fields["fail"] is bool(example.get("fail"))
    assert set(fields["input_kind"]) == example["input"].keys() - {"plaintext"}
    data = bytes.fromhex(example["output"]["cbor"])
    if "sign0" in example["input"]:
        check_one_signer(example, data, expected["result"])
    else:
        check_other(example, data, expected["result"])


def check_one_signer(example, data: bytes, result: str):
    given = example["input"]["sign0"]
    key, algorithm = public_key(given["key"]), NAMED[given["alg"]]
    external = bytes.fromhex(given.get("external", ""))
    # One example leaves the algorithm to the application: its protected header is empty.
    implicit = None if given.get("protected") else algorithm
    if result == "upstream negative: must fail":
        code = refusal(data, key, external_aad=external, implicit=implicit)
        changed = example["input"]["failures"]
        assert code == ("cose.layout" if "ChangeCBORTag" in changed else NEGATIVES[example["title"]])
        return
    assert result in POSITIVE
    message = Sign1.parse(data)
    assert message.tagged
    assert message.payload == example["input"]["plaintext"].encode()
    assert message.signed(external_aad=external) == bytes.fromhex(example["intermediates"]["ToBeSign_hex"])
    found = message.verify(key, algorithms=ALL, external_aad=external, implicit=implicit)
    assert found is algorithm
    with pytest.raises(CoseError):
        message.verify(key, algorithms=ALL - {algorithm}, external_aad=external, implicit=implicit)
    with pytest.raises(CoseError):
        message.verify(key, algorithms=ALL, external_aad=external + b"x", implicit=implicit)


def check_other(example, data: bytes, result: str):
    (kind,) = OTHERS.keys() & example["input"].keys()
    tag, count = OTHERS[kind]
    item = decode(data, max_bytes=4096)
    if type(item) is Tag:
        assert item.number == tag
        parts = item.value
    else:
        assert "RemoveCBORTag" in example["input"]["failures"]
        parts = item
    assert len(parts) == count
    assert type(parts[0]) is bytes
    assert LAST_STEP[kind](example, parts) is {"upstream negative: must fail": False}.get(
        result, result in POSITIVE
    )
    # Without its tag a MAC has the shape of a message with one signer: it states no signature algorithm.
    code = refusal(data, None)
    assert code == ("cose.layout" if type(item) is Tag else "cose.algorithm")


def covered(context: str, example, *parts: bytes) -> bytes:
    """Return the structure that a signature, MAC or cipher covers: RFC 9052 sections 4.4, 5.3 and 6.3."""
    (kind,) = OTHERS.keys() & example["input"].keys()
    external = bytes.fromhex(example["input"][kind].get("external") or "")
    headers = [b"" if part == b"\xa0" else part for part in parts]
    return encode([context, *headers, external])


def with_payload(structure: bytes, payload: bytes) -> bytes:
    """Return the structure with one more element."""
    return bytes([structure[0] + 1]) + structure[1:] + encode(payload)


def signatures_verify(example, parts) -> bool:
    signers = example["input"]["sign"]["signers"]
    steps = example["intermediates"]["signers"]
    verified = []
    for (protected, _, signature), given, step in zip(parts[3], signers, steps, strict=True):
        signed = with_payload(covered("Signature", example, parts[0], protected), parts[2])
        stated = decode(protected, max_bytes=99)[ALGORITHM]
        known = type(stated) is int and stated in set(Algorithm)
        assert example.get("fail") or signed == bytes.fromhex(step["ToBeSign_hex"])
        verified.append(known and verifies(Algorithm(stated), public_key(given["key"]), signature, signed))
    return bool(verified) and all(verified)


def verifies(algorithm: Algorithm, key, signature: bytes, signed: bytes) -> bool:
    scheme = SCHEMES[algorithm]
    try:
        scheme.verify(key, signature, signed)
    except InvalidSignature:
        return False
    return scheme.fits(key)


HS256, AES_MAC_128_64 = 5, 14
A128GCM, AES_CCM_16_64_128 = 1, 10
IV = 5


def mac_verifies(example, parts) -> bool:
    context = "MAC0" if "mac0" in example["input"] else "MAC"
    message = with_payload(covered(context, example, parts[0]), parts[2])
    key = bytes.fromhex(example["intermediates"]["CEK_hex"])
    stated = {**parts[1], **(decode(parts[0], max_bytes=99) if parts[0] else {})}[ALGORITHM]
    assert example.get("fail") or message == bytes.fromhex(example["intermediates"]["ToMac_hex"])
    if stated == HS256:
        return hmac.digest(key, message, "sha256") == parts[3]
    if stated != AES_MAC_128_64:
        return False
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    blocks = encryptor.update(message + bytes(-len(message) % 16)) + encryptor.finalize()
    return blocks[-16:-8] == parts[3]


def ciphertext_opens(example, parts) -> bool:
    context, kind = ("Encrypt0", "encrypted") if "encrypted" in example["input"] else ("Encrypt", "enveloped")
    covers = covered(context, example, parts[0])
    assert covers == bytes.fromhex(example["intermediates"]["AAD_hex"])
    key = bytes.fromhex(example["intermediates"]["CEK_hex"])
    unsent = example["input"][kind].get("unsent", {})
    nonce = parts[1].get(IV) or bytes.fromhex(unsent["IV_hex"])
    stated = decode(parts[0], max_bytes=99)[ALGORITHM]
    cipher = {A128GCM: AESGCM(key), AES_CCM_16_64_128: AESCCM(key, tag_length=8)}[stated]
    return cipher.decrypt(nonce, parts[2], covers) == example["input"]["plaintext"].encode()


LAST_STEP = {
    "sign": signatures_verify,
    "mac": mac_verifies,
    "mac0": mac_verifies,
    "encrypted": ciphertext_opens,
    "enveloped": ciphertext_opens,
}


def check_glue(entry):
    expected, example = entry["expected"], json.loads(vectors.read(entry["file"]))
    fields = expected["key_fields"]
    assert (fields["title"], fields["uuid"]) == (example["title"], example["uuid"])
    assert fields["keys"] == list(example)
    key, algorithm = public_key(example["key"]), NAMED[example["alg"]]
    if "sign1::sign" in example:
        given = example["sign1::sign"]
        assert expected["result"] == "upstream glue vector"
        message = Sign1.parse(bytes.fromhex(given["expectedOutput"]["cborHex"]))
        assert message.protected.hex() == given["protectedHeaders"]["cborHex"]
        assert message.unprotected == decode(
            bytes.fromhex(given["unprotectedHeaders"]["cborHex"]), max_bytes=999
        )
        assert message.payload == bytes.fromhex(given["payload"])
        assert message.signed().hex() == given["tbsHex"]["cborHex"]
        assert message.verify(key, algorithms={algorithm}) is algorithm
        return
    given = example["sign1::verify"]
    data = bytes.fromhex(given["taggedCOSESign1"]["cborHex"])
    if given["shouldVerify"]:
        assert expected["result"] == "upstream glue vector"
        assert Sign1.parse(data).verify(key, algorithms={algorithm}) is algorithm
    else:
        assert expected["result"] == "upstream glue vector NEGATIVE"
        assert refusal(data, key) == NEGATIVES[example["title"]]


CCA_TOKEN_TAG, PLATFORM_TOKEN, REALM_TOKEN = 399, 44234, 44241
PROFILE, NONCE = 265, 10
CCA_CHALLENGE_BYTES = 64
REALM_KEY, REALM_KEY_HASH = 44237, 44240
COSE_KEY_X, COSE_KEY_Y = -2, -3


def realm_key(content: bytes) -> ec.EllipticCurvePublicKey:
    """Return a realm's key: an uncompressed point in older tokens, a COSE_Key in newer ones."""
    if content[:1] == b"\4":
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), content)
    found = decode(content, max_bytes=999)
    point = b"\4" + found[COSE_KEY_X] + found[COSE_KEY_Y]
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)


def check_cca(entry):
    """Arm CCA: a collection of two tokens; the platform's nonce is the hash of the realm's key."""
    assert entry["expected"]["result"] == "data (not independently verified)"
    item = decode(vectors.read(entry["file"]), max_bytes=8192)
    assert type(item) is Tag
    assert item.number == CCA_TOKEN_TAG
    assert item.value.keys() == {PLATFORM_TOKEN, REALM_TOKEN}
    claims, messages = {}, {}
    for name, token in item.value.items():
        message = messages[name] = Sign1.parse(token)
        assert message.tagged
        assert Algorithm(message.headers[ALGORITHM]) in (Algorithm.ES256, Algorithm.ES384, Algorithm.ES512)
        claims[name] = decode(message.payload, max_bytes=8192)
        assert not message.unprotected
        one_bit = message.payload[:-1] + bytes([message.payload[-1] ^ 1])
        assert Sign1.of([message.protected, {}, one_bit, message.signature]).signed() != message.signed()
    assert claims[PLATFORM_TOKEN][PROFILE] == "http://arm.com/CCA-SSD/1.0.0"
    assert len(claims[PLATFORM_TOKEN][NONCE]) in (32, 48, 64)
    assert len(claims[REALM_TOKEN][NONCE]) == CCA_CHALLENGE_BYTES
    # The realm signs with the key that it states, and the platform's nonce is the hash of that key.
    content = claims[REALM_TOKEN][REALM_KEY]
    assert messages[REALM_TOKEN].verify(realm_key(content), algorithms=ALL) is Algorithm.ES384
    digest = claims[REALM_TOKEN][REALM_KEY_HASH].replace("-", "")
    assert hashlib.new(digest, content).digest() == claims[PLATFORM_TOKEN][NONCE]


def check_psa(entry):
    """Arm PSA: one token of one signer over a map of claims."""
    assert entry["expected"]["result"] == "data (not independently verified)"
    message = Sign1.parse(vectors.read(entry["file"]))
    assert Algorithm(message.headers[ALGORITHM]) is Algorithm.ES256
    assert len(message.signature) == 64
    claims = decode(message.payload, max_bytes=8192)
    assert claims
    assert all(type(label) is int for label in claims)


def readable(value):
    """Return claims as the manifest writes them: bytes in hexadecimal, keys as text."""
    if isinstance(value, dict):
        return {str(key): readable(item) for key, item in value.items()}
    return value.hex() if isinstance(value, bytes) else value


AIR_RESULTS = {
    "COSE Ed25519 signature VALID": True,
    "COSE Ed25519 signature UNVERIFIABLE (public key not archived)": False,
}


def check_receipt(entry):
    expected = entry["expected"]
    message = Sign1.parse(vectors.read(entry["file"]))
    assert message.headers[ALGORITHM] == expected["key_fields"]["alg"]
    claims = decode(message.payload, max_bytes=4096)
    assert readable(claims) == expected["key_fields"]["claims"]
    keys = [vectors.read(name) for name in entry.get("related", ())]
    assert bool(keys) is AIR_RESULTS[expected["result"]]
    for key in keys:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.decode()))
        assert message.verify(public, algorithms={Algorithm.EDDSA}) is Algorithm.EDDSA
        with pytest.raises(CoseError):
            message.verify(public, algorithms={Algorithm.EDDSA}, external_aad=b"x")


CHECKERS = {
    "cose-example": check_example,
    "cose-sign1-glue": check_glue,
    "cca-token": check_cca,
    "psa-token": check_psa,
    "air-receipt-cose": check_receipt,
}


@pytest.mark.parametrize(
    "entry",
    [entry for entry in vectors.entries("crypto") if entry["kind"] in CHECKERS],
    ids=lambda entry: str(PurePosixPath(entry["file"]).relative_to("crypto")),
)
def test_entry(entry):
    assert vectors.pinned(entry)
    CHECKERS[entry["kind"]](entry)
    vectors.record("crypto", entry["kind"])


@pytest.mark.parametrize(
    "entry",
    [entry for entry in vectors.entries("crypto") if entry["file"].endswith(".cbor")],
    ids=lambda entry: str(PurePosixPath(entry["file"]).relative_to("crypto")),
)
def test_no_bytes_may_follow_a_token(entry):
    data = vectors.read(entry["file"])
    with pytest.raises(CborError):
        decode(data + b"\0", max_bytes=len(data) + 1)
    with pytest.raises(CborError):
        decode(data[:-1], max_bytes=len(data))


def test_the_tag_of_one_signer_is_the_registered_one():
    assert TAG_SIGN1 == 18
