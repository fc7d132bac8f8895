from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from assay.audit import note, salted
from assay.audit.note import COSIGNATURE, Checkpoint, VerifierKey
from assay.errors import AuditError
from support.audit_logs import KEY, ORIGIN, OTHER_KEY

ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(ORIGIN, 7, ROOT)
SIGNED = KEY.sign(CHECKPOINT)
VKEY = KEY.verifier(ORIGIN)


def code(call, *arguments):
    with pytest.raises(AuditError) as caught:
        call(*arguments)
    return caught.value.code


def cosigned(
    data: bytes, seed: int, name: str = "w.example/1", time: int = 1_790_000_000, *, spoil: bool = False
):
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    key = VerifierKey(name, COSIGNATURE, private.public_key().public_bytes_raw())
    text = data.rpartition(b"\n\n")[0] + b"\n"
    signature = private.sign(f"cosignature/v1\ntime {time + spoil}\n".encode() + text)
    line = base64.b64encode(key.id + time.to_bytes(8, "big") + signature).decode()
    return data + f"— {name} {line}\n".encode(), key


def test_a_checkpoint_comes_back():
    text, signatures = note.open_note(SIGNED, [VKEY])
    assert Checkpoint.decode(text) == CHECKPOINT
    assert [(item.key, item.time) for item in signatures] == [(VKEY, None)]


def test_a_published_example():
    assert str(VKEY) == "log.example/assay+" + VKEY.id.hex() + "+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert SIGNED.startswith(
        b"log.example/assay\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\xe2\x80\x94 log.example"
    )
    assert VerifierKey.parse(f" {VKEY}\n") == VKEY


def test_a_key_that_signed_under_another_name_is_another_key():
    assert code(note.open_note, SIGNED, [KEY.verifier("log.example/other")]) == "audit.signature.missing"
    assert code(note.open_note, SIGNED, [OTHER_KEY.verifier(ORIGIN)]) == "audit.signature.missing"


def test_signatures_of_strangers_are_passed_over():
    data, witness = cosigned(SIGNED, 1)
    assert [item.key for item in note.open_note(data, [VKEY])[1]] == [VKEY]
    assert [item.key for item in note.open_note(data, [witness])[1]] == [witness]
    assert [item.time for item in note.open_note(data, [VKEY, witness])[1]] == [None, 1_790_000_000]


def test_one_bad_signature_of_a_known_key_condemns_the_note():
    data, witness = cosigned(SIGNED, 1, spoil=True)
    note.open_note(data, [VKEY])
    assert code(note.open_note, data, [VKEY, witness]) == "audit.signature.invalid"


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_no_single_bit_can_change(place, bit):
    data = bytearray(SIGNED)
    data[place] ^= 1 << bit
    with pytest.raises(AuditError) as caught:
        Checkpoint.decode(note.open_note(bytes(data), [VKEY])[0])
    assert caught.value.code in {"audit.signature.invalid", "audit.signature.missing", "audit.format.note"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"text\n",
        SIGNED.rstrip(b"\n"),
        SIGNED + b"\n",
        SIGNED + b"trailing\n",
        SIGNED.replace(b"\n\n", b"\n"),
        SIGNED.replace("— ".encode(), b"- "),
        SIGNED[:-6] + b"!===\n",
        b"\xff" + SIGNED,
        b"\x01" + SIGNED,
        SIGNED + SIGNED.rpartition(b"\n\n")[2] * 100,
        b"x" * note.LARGEST_NOTE + SIGNED,
        b"text\n\n" + "— name AAAA\n".encode(),
        b"text\n\n" + "— na+me AAAAAAAA\n".encode(),
    ],
)
def test_what_is_not_a_note(data):
    assert code(note.split, data) == "audit.format.note"


def test_a_signature_has_one_spelling():
    """Python's base64 ignores the bits that the last character does not need."""
    last = SIGNED.rstrip(b"=\n")[-1:]
    twin = bytes([b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(last) ^ 1])
    letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[twin[0] : twin[0] + 1]
    body, padding = SIGNED.rstrip(b"=\n")[:-1], SIGNED[len(SIGNED.rstrip(b"=\n")) :]
    assert code(note.split, body + letter + padding) == "audit.format.note"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a\n1\n",
        b"a\n01\n" + base64.b64encode(ROOT) + b"\n",
        b"a\n-1\n" + base64.b64encode(ROOT) + b"\n",
        b"a\n+1\n" + base64.b64encode(ROOT) + b"\n",
        b"a\n9223372036854775808\n" + base64.b64encode(ROOT) + b"\n",
        b"a\n0\n" + base64.b64encode(ROOT) + b"\n",
        b"\n1\n" + base64.b64encode(ROOT) + b"\n",
        b"a b\n1\n" + base64.b64encode(ROOT) + b"\n",
        b"a\n1\n" + base64.b64encode(ROOT[1:]) + b"\n",
        b"a\n1\n" + base64.b64encode(ROOT)[:-2] + b"9=\n",
        b"a\n1\n" + base64.b64encode(ROOT) + b"\nextension\n",
        b"a\n1\n" + base64.b64encode(ROOT),
        b"a\n1\n\xff\n",
    ],
)
def test_what_is_not_a_checkpoint(text):
    assert code(Checkpoint.decode, text) == "audit.format.checkpoint"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+",
        f"{VKEY}x",
        str(VKEY).replace(VKEY.id.hex(), "00000000"),
        str(VKEY).replace("log.example", "log example"),
        str(VKEY).replace("+AQ", "+Ag"),
        str(VKEY).replace(VKEY.id.hex(), VKEY.id.hex().upper()),
        "x" * 2000,
    ],
)
def test_what_is_not_a_key(text):
    assert code(VerifierKey.parse, text) == "audit.key.malformed"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data):
    with pytest.raises(AuditError):
        note.open_note(data, [VKEY])


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_commitment_fits_its_value_only(value, other):
    made = salted.commit(value)
    assert salted.matches(value, made)
    assert value == other or not salted.matches(other, made)
    assert salted.commit(value).digest != made.digest


def test_a_published_commitment():
    made = salted.commit(b"yes", draw=bytes)
    assert made.salt == bytes(32)
    assert made.digest.hex() == "39adeb3e95f693acc62c451cabe970d06f05913ae208dac2410041304b4d9df2"
