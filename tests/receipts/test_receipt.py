from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from assay.channel.binding import Purpose, SessionBinding
from assay.channel.identity import spki_of
from assay.errors import ReceiptError
from assay.receipts import Artefacts, Outcome, Receipt, Stream
from assay.receipts.receipt import DOMAIN, MAX_INTEGER, REASONS, SELF_ASSERTED

KEY = ed25519.Ed25519PrivateKey.generate()
SPKI = spki_of(KEY.public_key())
DIGEST = st.binary(min_size=32, max_size=32)
COUNT = st.integers(0, MAX_INTEGER)
NAME = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)
RECEIPTS = st.builds(
    Receipt,
    lease=NAME,
    sequence=COUNT,
    owner=DIGEST,
    admission_nonce=DIGEST,
    start_nonce=DIGEST,
    manifest=DIGEST,
    bundle=DIGEST,
    stdin=st.builds(Stream, DIGEST, COUNT),
    stdout=st.builds(Stream, DIGEST, COUNT),
    stderr=st.builds(Stream, DIGEST, COUNT),
    artefacts=st.builds(Artefacts, DIGEST, COUNT, COUNT, COUNT),
    outcome=st.builds(
        Outcome,
        st.sampled_from(sorted(REASONS)),
        st.none() | st.integers(0, 255),
        st.none() | st.integers(1, 64),
    ),
    isolation=NAME,
    admission_evidence=DIGEST,
    start_evidence=DIGEST,
    started_at=COUNT,
    ended_at=COUNT,
)
ADMISSION = SessionBinding(
    purpose=Purpose.ADMISSION,
    role="guest",
    platform="tdx",
    nonce=b"1" * 32,
    lease="lease-1",
    owner_key=b"owner",
    channel_key=b"channel",
    receipt_key=SPKI,
    ssh_host_key=b"",
    hpke_key=b"",
    manifest=b"m" * 32,
)
START = replace(ADMISSION, purpose=Purpose.START, nonce=b"2" * 32)
STREAM = Stream(b"s" * 32, 3)
GOOD = Receipt(
    lease="lease-1",
    sequence=1,
    owner=hashlib.sha256(b"owner").digest(),
    admission_nonce=b"1" * 32,
    start_nonce=b"2" * 32,
    manifest=b"m" * 32,
    bundle=b"b" * 32,
    stdin=STREAM,
    stdout=STREAM,
    stderr=STREAM,
    artefacts=Artefacts(b"a" * 32, 1, 2, 0),
    outcome=Outcome("exited", 0, None),
    isolation="bubblewrap",
    admission_evidence=hashlib.sha256(b"admission").digest(),
    start_evidence=hashlib.sha256(b"start").digest(),
    started_at=1,
    ended_at=2,
)
SESSION = {
    "admission": ADMISSION,
    "admission_evidence": b"admission",
    "start": START,
    "start_evidence": b"start",
    "bundle": b"b" * 32,
}


def code_of(call, *arguments, **named):
    with pytest.raises(ReceiptError) as found:
        call(*arguments, **named)
    return found.value.code


def signed(payload: bytes) -> bytes:
    return DOMAIN + payload + b"\n" + base64.b64encode(KEY.sign(DOMAIN + payload)) + b"\n"


@given(RECEIPTS)
def test_a_receipt_comes_back_as_it_was_signed(receipt):
    data = receipt.encode(KEY)
    assert Receipt.verify(data, key=SPKI) == receipt
    assert Receipt.unverified(data) == receipt


@given(RECEIPTS, st.integers(0, 100_000), st.integers(1, 255))
def test_no_byte_can_be_changed(receipt, position, difference):
    data = bytearray(receipt.encode(KEY))
    data[position % len(data)] ^= difference
    assert code_of(Receipt.verify, bytes(data), key=SPKI) in ("receipt.malformed", "receipt.signature")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    assert code_of(Receipt.verify, data, key=SPKI) == "receipt.malformed"
    assert code_of(Receipt.verify, DOMAIN + data, key=SPKI) == "receipt.malformed"


def test_another_key_is_refused():
    other = ed25519.Ed25519PrivateKey.generate()
    assert code_of(Receipt.verify, GOOD.encode(other), key=SPKI) == "receipt.signature"
    p256 = spki_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert code_of(Receipt.verify, GOOD.encode(KEY), key=p256) == "receipt.key"
    assert code_of(Receipt.verify, GOOD.encode(KEY), key=b"") == "receipt.key"


def test_the_form_is_exact():
    data = GOOD.encode(KEY)
    for wrong in (data + b"\n", data[:-1], data.replace(b"\n", b"\r\n"), b"\n" + data, data + data):
        assert code_of(Receipt.verify, wrong, key=SPKI) == "receipt.malformed"
    head, body, signature, _ = data.split(b"\n")
    unpadded = b"\n".join([head, body, signature.rstrip(b"="), b""])
    assert code_of(Receipt.verify, unpadded, key=SPKI) == "receipt.malformed"
    # The last base64 character has two bits that decoding ignores.
    loose = bytearray(signature)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose[-3] = alphabet[alphabet.index(loose[-3]) + 1]
    assert (
        code_of(Receipt.verify, b"\n".join([head, body, bytes(loose), b""]), key=SPKI) == "receipt.malformed"
    )
    assert code_of(Receipt.verify, DOMAIN + b"x" * 70_000, key=SPKI) == "receipt.malformed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace(":", ": ", 1), "receipt.not_canonical"),
        (lambda text: text.replace('"sequence":1', '"sequence":1,"sequence":1'), "receipt.not_canonical"),
        (lambda text: text.replace('"sequence":1', '"sequence":2,"sequence":1'), "receipt.not_canonical"),
        (lambda text: text.replace("6d6d", "6D6D"), "receipt.not_canonical"),
        (lambda text: text.replace('"lease-1"', '"\\u006cease-1"'), "receipt.not_canonical"),
        (lambda text: text.replace('"sequence":1', '"sequence":1,"zz":1'), "receipt.malformed"),
        (lambda text: text.replace('"sequence":1,', ""), "receipt.malformed"),
        (lambda text: text.replace('"sequence":1', '"sequence":1.0'), "receipt.malformed"),
        (lambda text: text.replace('"sequence":1', '"sequence":true'), "receipt.malformed"),
        (lambda text: text.replace('"sequence":1', '"sequence":-1'), "receipt.malformed"),
        (lambda text: text.replace('"sequence":1', '"sequence":1e999'), "receipt.malformed"),
        (lambda text: text.replace('"exited"', '"fine"'), "receipt.malformed"),
        (lambda text: text.replace('"code":0', '"code":"0"'), "receipt.malformed"),
        (lambda text: text.replace('"lease-1"', '""'), "receipt.malformed"),
        (lambda text: text.replace('"lease-1"', '"' + "l" * 200 + '"'), "receipt.malformed"),
        (lambda text: text.replace("6d6d", "6d", 1), "receipt.malformed"),
        (lambda text: text.replace('"skipped":0', '"skipped":0,"z":0'), "receipt.malformed"),
        (lambda text: "[]", "receipt.malformed"),
        (lambda text: "[" * 60_000, "receipt.malformed"),
    ],
)
def test_a_signed_statement_in_any_other_form_is_refused(change, code):
    text = GOOD.encode(KEY).split(b"\n")[1].decode()
    changed = change(text)
    assert changed != text
    assert code_of(Receipt.verify, signed(changed.encode()), key=SPKI) == code


def test_a_receipt_is_of_one_session():
    GOOD.require_session(**SESSION)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"start": replace(START, lease="lease-2")}, "lease"),
        ({"start": replace(START, owner_key=b"other")}, "owner"),
        ({"start": replace(START, nonce=b"3" * 32)}, "nonce"),
        ({"admission": replace(ADMISSION, nonce=b"3" * 32)}, "nonce"),
        ({"start": replace(START, manifest=b"n" * 32)}, "manifest"),
        ({"bundle": b"c" * 32}, "bundle"),
        ({"admission_evidence": b"other"}, "evidence"),
        ({"start_evidence": b"admission"}, "evidence"),
    ],
)
def test_a_receipt_of_another_execution_is_refused_by_name(changes, code):
    assert code_of(GOOD.require_session, **{**SESSION, **changes}) == f"receipt.session.{code}"


def test_every_field_is_either_stated_or_self_asserted():
    stated, asserted = GOOD.stated(), GOOD.self_asserted()
    assert not set(stated) & set(asserted)
    assert set(stated) | set(asserted) == {field.name for field in fields(Receipt)}
    assert set(asserted) == set(SELF_ASSERTED)
    json.dumps(stated | asserted)
