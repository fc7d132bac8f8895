"""Entity Attestation Tokens and message wrappers, in JSON and in CBOR."""

from __future__ import annotations

import base64

from assay.errors import AssayError
from assay.evidence.eat import DebugStatus, Eat, IntendedUse, decode_cmw
from assay.evidence.eat.claims import Digest, Nested
from assay.evidence.eat.cmw import Collection, Record, encode_cbor, encode_json


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return claims with every kind of submodule and wrappers of every form, in both encodings."""
    eat = Eat(
        nonces=(b"n" * 8, b"m" * 32),
        ueid=b"\1" * 17,
        oemid=b"oem",
        hwmodel=b"model",
        dbgstat=DebugStatus.DISABLED,
        profile="1.2.840.1",
        submods={"a": Eat(swname="inner"), "b": Nested("JWT", b"a.b.c"), "c": Digest("SHA-256", bytes(32))},
        measurements=((273, b"m"),),
        intuse=IntendedUse.CSR,
        expires_at=1,
        other={"x": [1.5, None]},
    )
    cmw = Collection(
        {"a": Record(263, b"x", 4), "b": Collection({"c": Record("a/b", b"")}, "tag:x")}, "1.2.3"
    )
    tunnel = b"g3gYYXBwbGljYXRpb24vZWF0LXVjcytjYm9yQaAE"
    return [
        eat.to_json(),
        eat.to_cbor(),
        encode_json(cmw),
        encode_cbor(cmw),
        encode_cbor(Record(60, b"\xa0"), tagged=True),
        b'{"t":["#cmw-c2j-tunnel","' + tunnel + b'"]}',
        base64.b64decode(tunnel),
    ]


def target(data: bytes) -> None:
    """Read the data in every way; what is read survives being written."""
    for read in (Eat.from_json, Eat.from_cbor):
        try:
            eat = read(data)
            written = eat.to_json() if read == Eat.from_json else eat.to_cbor()
        except AssayError:
            continue
        if read(written) != eat:
            raise AssertionError("claims changed by being written")
    try:
        cmw = decode_cmw(data)
    except AssayError:
        return
    if decode_cmw(encode_cbor(cmw)) != cmw:
        raise AssertionError("a wrapper changed by being written")
