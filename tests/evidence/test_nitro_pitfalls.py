"""Mistakes that verifiers of Nitro documents and of CBOR have made, each as evidence that must not pass."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CoseError, Sign1
from assay.evidence.decoding.cbor import CborError, decode, encode
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.nitro import checks
from assay.reference.artefact import Artefact
from assay.reference.eif import measure_image
from support.cose_messages import message
from support.eif_images import METADATA, PARTS, ImageDraft
from support.nitro_scenes import BINDING, HOUR, NOW, draft, judge, module, reissue

P521 = ec.derive_private_key(7, ec.SECP521R1())


def codes(result) -> list[str]:
    return [check.code for check in result.ledger.failed()]


# --- Nitro


@pytest.mark.parametrize("size", [96, 132])
def test_a_leaf_on_p521_is_refused_and_breaks_nothing(size):
    """A buffer made for P-384 does not hold its signatures."""
    found = draft()
    reissue(found, 4, key=P521)
    data = found.encode()
    parts = decode(data, max_bytes=1 << 16)
    parts[3] = parts[3][:size].ljust(size, b"\0")
    expected = {96: "nitro.chain.keys", 132: "nitro.cose.signature_length"}[size]
    assert codes(judge(encode(parts))) == [expected]


def test_no_signature_is_judged_under_a_chain_that_failed():
    found = draft()
    reissue(found, 3, authority=False, path_length=None)
    ledger = judge(found.encode()).ledger
    assert ledger[checks.NITRO_CHAIN_ROLES.id].outcome is Outcome.FAILED
    assert ledger[checks.NITRO_COSE_SIGNATURE.id].outcome is Outcome.NOT_CHECKED
    assert ledger[checks.NITRO_BINDING.id].outcome is Outcome.NOT_CHECKED


def test_the_hash_is_the_headers_and_not_the_curves():
    """A P-384 key can make an ES256 signature; the header decides, and only ES384 is accepted."""
    key = ec.derive_private_key(9, ec.SECP384R1())
    data = message(key, Algorithm.ES256)
    parsed = Sign1.parse(data)
    assert parsed.verify(key.public_key(), algorithms={Algorithm.ES256}) is Algorithm.ES256
    lied = Sign1.of([encode({1: -35}), {}, parsed.payload, parsed.signature])
    with pytest.raises(CoseError):
        lied.verify(key.public_key(), algorithms=tuple(Algorithm))
    found = draft()
    found.protected = encode({1: -7})
    assert codes(judge(found.encode())) == ["nitro.cose.algorithm"]


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 1, 3, 2), (0, 3, 2, 1), (1, 0, 2, 3), (3, 2, 1, 0)])
def test_the_order_of_the_bundle_matters(order):
    found = draft()
    found.members["cabundle"] = [found.chain[place].der for place in order]
    expected = "nitro.root.not_pinned" if order[0] else "nitro.chain.names"
    assert codes(judge(found.encode())) == [expected]


def test_a_register_that_stands_twice_is_refused():
    """Whoever keeps the last sees other registers than whoever keeps the first."""
    for index in (0, 8):
        found = draft()
        entries = found.members["pcrs"]
        shown = b"".join(encode(key) + encode(value) for key, value in entries.items())
        twice = shown.replace(encode(15) + encode(entries[15]), encode(index) + encode(b"\x66" * 48))
        found.after_payload = lambda payload, shown=shown, twice=twice: payload.replace(shown, twice)
        assert codes(judge(found.encode())) == ["nitro.payload.layout"]


def test_an_issuer_that_is_no_authority_is_refused():
    """The leaf of an enclave signs for another one: its chain to the root is genuine."""
    theirs = module(seed="another")
    leaf = theirs.draft(NOW).chain[4]
    found = draft()
    found.chain[3] = leaf
    reissue(found, 4, issuer=leaf)
    assert codes(judge(found.encode())) in (["nitro.chain.names"], ["nitro.chain.roles"])


def test_a_signature_in_der_is_refused():
    data = draft().encode()
    parts = decode(data, max_bytes=1 << 16)
    r, s = (int.from_bytes(parts[3][at : at + 48], "big") for at in (0, 48))
    parts[3] = encode_dss_signature(r, s)
    assert codes(judge(encode(parts))) == ["nitro.cose.signature_length"]


def test_a_stale_document_is_refused_whatever_is_remembered():
    facts, data = FactCache(), draft().encode()
    assert judge(data, facts=facts).bound
    assert codes(judge(data, facts=facts, now=NOW + 24 * HOUR)) == ["nitro.chain.validity"]


def test_a_nonce_that_nobody_compared_binds_nothing():
    result = judge(module().attest(NOW, nonce=b"fresh"), binding=None)
    assert result.authentic
    assert not result.bound
    assert codes(judge(module().attest(NOW, nonce=b"stale"), binding=b"fresh", carrier="nonce")) == [
        "nitro.binding.mismatch"
    ]


def test_metadata_of_an_image_attest_nothing():
    """They can say anything: the registers stay the same, so that nothing may rest on them."""
    registers = set()
    for content in (b'{"ImageName": "good"}', b'{"ImageName": "evil"}'):
        parts = [(kind, content if kind == METADATA else body) for kind, body in PARTS]
        found = measure_image(Artefact.of(ImageDraft(parts).encode()))
        registers.add((found.pcr0, found.pcr1, found.pcr2))
    assert len(registers) == 1


def test_the_first_registers_are_claims_of_their_own():
    """A policy can compare PCR 1 and 2 as well as PCR 0: all of them are there, none is folded away."""
    claims = judge(draft().encode()).claims
    assert [claims.pcrs[index][:1] for index in (0, 1, 2)] == [b"\x10", b"\x11", b"\x12"]
    assert claims.user_data == BINDING


# --- CBOR


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("duplicate keys", "a201020103"),
        ("one and true as keys", "a30101f50203f93c0003"),
        ("one and 1.0 as keys", "a20101f93c0002"),
        ("indefinite length of a map", "bf0102ff"),
        ("indefinite length of an array", "9f01ff"),
        ("indefinite length of a string", "5f4101ff"),
        ("trailing byte", "0000"),
        ("number in a longer form", "1801"),
        ("length in a longer form", "580100"),
        ("depth without end", "81" * 400 + "00"),
        ("length without end", "9bffffffffffffffff"),
        ("undefined", "f7"),
    ],
)
def test_what_lax_readers_of_cbor_accept_is_refused(name, text):
    with pytest.raises(CborError):
        decode(bytes.fromhex(text), max_bytes=1024)
