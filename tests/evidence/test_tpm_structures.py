"""The structures of a TPM: public areas, signatures, quotes, and the container that holds them."""

from __future__ import annotations

import base64
import json
import re
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.tpm.attest import Attest, indices
from assay.evidence.tpm.container import TpmEvidence
from assay.evidence.tpm.public import AttestationKey, Attributes
from assay.evidence.tpm.signature import Scheme, TpmSignature, rsassa_signature
from assay.simulator.tpm.device import AK_ATTRIBUTES, bitmap, public_area, sign, sized, spki
from support.tpm_scenes import NONCE, draft, judge, keys, rsa_key

SHA256, SHA384 = Algorithm.SHA256, Algorithm.SHA384
AREAS = {
    "rsa": lambda: public_area(rsa_key()),
    "p256": lambda: public_area(keys("ak")),
    "p384": lambda: public_area(ec.derive_private_key(5, ec.SECP384R1())),
    "p521": lambda: public_area(ec.derive_private_key(5, ec.SECP521R1())),
}


def refused(parse, data: bytes) -> str:
    with pytest.raises(EvidenceError) as found:
        parse(data)
    return found.value.code


@pytest.mark.parametrize("kind", AREAS)
def test_a_public_area_is_read_to_its_last_byte(kind):
    data = AREAS[kind]()
    found = AttestationKey.parse(data)
    assert found.attributes == AK_ATTRIBUTES
    assert found.name == b"\0\x0b" + SHA256.digest(data)
    assert found.scheme == (Scheme.RSASSA if kind == "rsa" else Scheme.ECDSA, SHA256)
    assert found.lacks == ()
    assert AttestationKey.parse(sized(data)) == found
    bare = AttestationKey.parse(found.spki)
    assert (bare.digest, bare.name, bare.attributes, bare.scheme) == (found.digest, None, None, None)
    assert refused(AttestationKey.parse, data + b"\0") == "tpm.public.malformed"
    assert refused(AttestationKey.parse, found.spki + b"\0") == "tpm.public.malformed"


@pytest.mark.parametrize("kind", AREAS)
def test_a_public_area_that_is_cut_short_is_refused_everywhere(kind):
    data = AREAS[kind]()
    for size in range(len(data)):
        assert refused(AttestationKey.parse, data[:size]).startswith("tpm.public.")


def changed(at: int, new: bytes, kind: str = "p256") -> bytes:
    data = AREAS[kind]()
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda: changed(0, b"\0\x25"), "kind"),
        (lambda: changed(2, b"\0\x10"), "malformed"),
        (lambda: changed(4, b"\x80"), "malformed"),
        (lambda: changed(7, b"\x73"), "malformed"),
        (lambda: changed(16, b"\0\x10"), "kind"),
        (lambda: changed(22, b"\xff" * 32), "malformed"),
        (lambda: changed(20, b"\0\x21"), "malformed"),
        (lambda: changed(16, b"\x10\0", "rsa"), "malformed"),
        (lambda: changed(18, b"\0\0\0\x03", "rsa"), "weak"),
        (lambda: public_area(rsa.generate_private_key(65537, 1024)), "weak"),
        (lambda: spki(rsa.generate_private_key(65537, 1024)), "weak"),
        (lambda: spki(ec.derive_private_key(5, ec.SECP256K1())), "kind"),
        (lambda: b"\x30" + bytes(40), "malformed"),
        (lambda: bytes(15), "size"),
        (lambda: bytes(1025), "size"),
    ],
)
def test_a_public_key_of_another_kind_is_refused(data, code):
    assert refused(AttestationKey.parse, data()) == f"tpm.public.{code}"


def test_a_name_that_this_system_cannot_compute_is_refused(monkeypatch):
    def absent(data: bytes):
        raise ValueError("unsupported hash type sm3")

    data = changed(2, struct.pack(">H", Algorithm.SM3_256))
    monkeypatch.setattr(Algorithm.SM3_256, "_make", absent)
    assert refused(AttestationKey.parse, data) == "tpm.public.malformed"


def test_an_spki_that_is_not_encoded_as_der_says_is_refused():
    data = spki(keys("ak"))
    padded = data[:1] + b"\x81" + data[1:]
    assert refused(AttestationKey.parse, padded) == "tpm.public.malformed"


def test_optional_parts_of_a_public_area_are_stepped_over():
    data = AREAS["p256"]()
    # A symmetric algorithm with key size and mode, ECDAA with its counter, and a KDF with its hash.
    head, policy, curve, point = data[:8], sized(b"p" * 32), data[16:18], data[20:]
    found = AttestationKey.parse(
        head
        + policy
        + struct.pack(">HHH", 0x0006, 128, 0x0043)
        + struct.pack(">HHH", 0x001A, SHA256, 1)
        + curve
        + struct.pack(">HH", 0x0020, SHA256)
        + point
    )
    assert found.spki == spki(keys("ak"))
    assert found.scheme == (0x001A, SHA256)
    open_scheme = head + sized(b"") + struct.pack(">HH", 0x0010, 0x0010) + curve + data[18:]
    assert AttestationKey.parse(open_scheme).scheme is None


@pytest.mark.parametrize(
    ("attributes", "lacks"),
    [
        (AK_ATTRIBUTES, ()),
        (0, ("fixedTPM", "fixedParent", "sensitiveDataOrigin", "restricted", "sign")),
        (AK_ATTRIBUTES | Attributes.DECRYPT, ("not decrypt",)),
        (AK_ATTRIBUTES & ~Attributes.RESTRICTED, ("restricted",)),
    ],
)
def test_what_a_key_lacks_is_named(attributes, lacks):
    assert AttestationKey.parse(public_area(keys("ak"), attributes=attributes)).lacks == lacks


def test_a_signature_says_what_made_it():
    data = sign(keys("ak"), b"message", Scheme.ECDSA, SHA384)
    found = TpmSignature.parse(data)
    key = AttestationKey.parse(spki(keys("ak")))
    assert (found.scheme, found.algorithm, len(found.parts)) == (Scheme.ECDSA, SHA384, 2)
    assert key.verifies(found, b"message")
    assert not key.verifies(found, b"another")
    assert key.admits(found)
    assert not AttestationKey.parse(spki(rsa_key())).admits(found)
    assert not AttestationKey.parse(public_area(keys("ak"))).admits(found)


@pytest.mark.parametrize("part", [b"", bytes(32), b"\xff" * 32])
def test_a_signature_out_of_range_verifies_nothing(part):
    data = struct.pack(">HH", Scheme.ECDSA, SHA256) + sized(part) * 2
    key = AttestationKey.parse(spki(keys("ak")))
    assert not key.verifies(TpmSignature.parse(data), b"message")


def test_a_bare_rsa_signature_gets_its_header():
    data = sign(rsa_key(), b"message", Scheme.RSASSA, SHA256)
    assert rsassa_signature(data[6:], SHA256) == data
    key = AttestationKey.parse(spki(rsa_key()))
    assert key.verifies(TpmSignature.parse(data), b"message")
    assert not key.verifies(TpmSignature.parse(rsassa_signature(data[7:], SHA256)), b"message")


@given(st.sets(st.integers(0, 31)), st.integers(4, 4))
def test_a_bitmap_names_its_pcrs(chosen, size):
    assert indices(bitmap(chosen, size)) == tuple(sorted(chosen))


@given(st.binary(max_size=200))
def test_no_bytes_make_a_parser_raise_anything_else(data):
    for parse in (
        Attest.parse,
        TpmSignature.parse,
        AttestationKey.parse,
        TpmEvidence.parse,
        TpmEvidence.from_json,
    ):
        try:
            parse(data)
        except EvidenceError:
            continue


# --- The container


@given(st.data())
def test_a_container_is_what_was_put_in(data):
    blob = st.binary(min_size=1, max_size=40)
    bank = data.draw(st.sampled_from(list(Algorithm)))
    chosen = data.draw(st.sets(st.integers(0, 23), min_size=1))
    pieces = TpmEvidence(
        attest=data.draw(blob),
        signature=data.draw(blob),
        bank=bank,
        pcrs={
            index: data.draw(st.binary(min_size=bank.size, max_size=bank.size)) for index in sorted(chosen)
        },
        public=data.draw(st.binary(max_size=40)),
        certificates=tuple(data.draw(st.lists(blob, max_size=8))),
        event_log=data.draw(st.binary(max_size=40)),
        canonical_log=data.draw(st.binary(max_size=40)),
        ima_log=data.draw(st.binary(max_size=40)),
    )
    encoded = pieces.encode()
    found = TpmEvidence.parse(encoded)
    assert found == pieces
    for section, start in found.places.items():
        assert 0 < start < len(encoded), section


@pytest.mark.parametrize(
    "pcrs",
    [
        b"",
        b"\0\x0b",
        b"\0\x10\0",
        b"\0\x0b\0",
        b"\0\x0b\x01" + bytes(32),
        b"\0\x0b\x02" + bytes(66),
        b"\0\x0b\x02\x01" + bytes(65),
        b"\0\x0b\x01\x18" + bytes(32),
        b"\0\x0b\x19" + b"".join(bytes([index]) + bytes(32) for index in range(25)),
    ],
)
def test_pcrs_stand_in_order_and_once(pcrs):
    section = struct.pack(">HI", 5, len(pcrs)) + pcrs if pcrs else b""
    data = b"ASSAYTPM\0\x01" + b"\0\x01\0\0\0\x01a" + b"\0\x02\0\0\0\x01s" + section
    assert refused(TpmEvidence.parse, data) == f"tpm.evidence.{'pcrs' if pcrs else 'missing'}"


def evidence_json(**changes: object) -> bytes:
    found = draft("rsa")
    indices_ = range(11)
    values = {index: found.pcrs[index] for index in indices_}
    found.quote.selections = [(SHA256, bitmap(indices_))]
    found.quote.digest = SHA256.digest(b"".join(values.values()))
    quote = {
        "message": base64.b64encode(found.quote.attest()).decode(),
        "signature": base64.b64encode(found.quote.signature()).decode(),
        "pcrs": [value.hex() for value in values.values()],
    }
    return json.dumps(
        {"ak_public": base64.b64encode(found.public).decode(), "tpm_quote": quote | changes}
    ).encode()


def test_the_json_of_confidential_containers_is_read():
    data = evidence_json()
    given_key = TpmEvidence.from_json(data).public
    result = judge(data, given=given_key)
    assert result.bound, result.ledger.unmet()
    assert result.claims.quote.extra_data == NONCE
    assert result.unsigned == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pcrs": ["zz"]}, "json"),
        ({"pcrs": [1]}, "json"),
        ({"pcrs": ["00"] * 25}, "json"),
        ({"message": "!"}, "json"),
        ({"message": "AAA"}, "json"),
        ({"signature": 1}, "type"),
        ({"pcrs": {}}, "type"),
    ],
)
def test_malformed_json_is_refused_by_its_layout(changes, code):
    (failed,) = judge(evidence_json(**changes)).ledger.failed()
    assert failed.code == f"tpm.evidence.layout.{code}"


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda text: text.replace(b'{"ak_public"', b'{"note": 1, "ak_public"'),
        lambda text: text.replace(b'{"message"', b'{"note": 1, "message"'),
        lambda text: text.replace(b'"pcrs": ["', b'"pcrs": [" '),
        lambda text: text.replace(b'"pcrs": ["', b'"pcrs": ["0'),
        lambda text: text[:-100] + text[-100:].upper(),
        lambda text: text.replace(b'=="', b'="', 1),
        lambda text: re.sub(rb'[AQgw]=="', lambda end: bytes([end[0][0] + 1]) + end[0][1:], text),
    ],
)
def test_no_byte_of_the_json_can_be_another(rewritten):
    """Nothing of it is signed but what it holds: so it has one spelling, and holds nothing else."""
    data = evidence_json()
    given_key = TpmEvidence.from_json(data).public
    altered = rewritten(data)
    assert altered != data
    (failed,) = judge(altered, given=given_key).ledger.failed()
    assert failed.code == "tpm.evidence.layout.json"


@pytest.mark.parametrize("coordinates", [(b"", b"y"), (b"x", b""), (b"x" * 33, b"y"), (b"x", b"y" * 33)])
def test_a_coordinate_of_no_byte_or_of_too_many_is_refused(coordinates):
    data = AREAS["p256"]()
    with pytest.raises(EvidenceError, match="not of the curve's size"):
        AttestationKey.parse(data[:20] + b"".join(sized(value) for value in coordinates))


def test_a_coordinate_of_one_byte_is_a_coordinate():
    # The point of P-256 whose x is 5, with the smaller y; the curve is that of FIPS 186-4, D.1.2.3.
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    constant = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    y = pow(5**3 - 3 * 5 + constant, (prime + 1) // 4, prime)
    point = sized(b"\x05") + sized(y.to_bytes(32, "big"))
    found = AttestationKey.parse(AREAS["p256"]()[:20] + point)
    assert found.spki.endswith(bytes(31) + b"\x05" + y.to_bytes(32, "big"))
