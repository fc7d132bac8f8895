"""Receipts: three lines, one form."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from assay.errors import ReceiptError
from assay.receipts.receipt import DOMAIN, Artefacts, Outcome, Receipt, Stream

_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
_SPKI = _KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
_STREAM = Stream(b"s" * 32, 1)
_GOOD = Receipt(
    lease="lease",
    sequence=1,
    owner=b"o" * 32,
    admission_nonce=b"1" * 32,
    start_nonce=b"2" * 32,
    manifest=b"m" * 32,
    bundle=b"b" * 32,
    stdin=_STREAM,
    stdout=_STREAM,
    stderr=_STREAM,
    artefacts=Artefacts(b"a" * 32, 1, 2, 0),
    outcome=Outcome("exited", 0, None),
    isolation="none",
    admission_evidence=b"A" * 32,
    start_evidence=b"S" * 32,
    started_at=1,
    ended_at=2,
).encode(_KEY)


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return a true receipt and its statement alone."""
    return [_GOOD, _GOOD.split(b"\n")[1]]


def target(data: bytes) -> None:
    """Verify ``data``, and read it as a statement that was signed."""
    statement = DOMAIN + data + b"\n" + b"A" * 86 + b"==\n"
    for form in (data, statement):
        try:
            found = Receipt.unverified(form)
        except ReceiptError as error:
            if not error.message.isprintable():
                raise AssertionError("a message that a terminal would obey") from error
            continue
        if found.encode(_KEY).split(b"\n")[1] != form.split(b"\n")[1]:
            raise AssertionError("one statement has two encodings")
    try:
        Receipt.verify(data, key=_SPKI)
    except ReceiptError:
        return
    if data != _GOOD and Receipt.verify(data, key=_SPKI).encode(_KEY) != data:
        raise AssertionError("one receipt has two encodings")
