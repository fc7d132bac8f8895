"""Signed manifests: form, signature, time, and no way back to an older one."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.reference.artefact import ArtefactDigest
from assay.reference.difference import compare
from assay.reference.manifest import (
    MAX_VERSION,
    Manifest,
    TrustedKey,
    is_envelope,
    load_signing_key,
    open_manifest,
    read_unverified,
    sign,
)
from assay.reference.memory import Seen, admit, decode_memory, encode_memory, references
from assay.reference.values import Measured, canonical, read_measured, union, write_measured

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ED = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
EC = ec.derive_private_key(11, ec.SECP256R1())
TRUSTED = TrustedKey.of(ED.public_key())
VALUES = Measured(
    "snp",
    {"measurement": frozenset({b"\1" * 48, b"\2" * 48})},
    (ArtefactDigest("firmware", "OVMF.fd", 4096, b"\3" * 32),),
    {"vcpus": "4"},
    ("Something is not covered.",),
)
MANIFEST = Manifest("web-tier", 7, NOW, NOW + timedelta(days=30), VALUES, "assay 1")
SIGNED = sign(MANIFEST, ED)


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def opened(data: bytes, *trusted: TrustedKey):
    return open_manifest(data, trusted or (TRUSTED,))


def resigned(change) -> bytes:
    """Sign a payload that ``change`` made from the document of a good one."""
    document = json.loads(base64.b64decode(json.loads(SIGNED)["payload"]))
    payload = change(document)
    payload = canonical(document) if payload is None else payload
    kind = b"application/vnd.assay.reference+json"
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    return envelope(payload, ED.sign(message))


def envelope(payload: bytes, signature: bytes, **changes) -> bytes:
    whole = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": "application/vnd.assay.reference+json",
        "signatures": [{"keyid": TRUSTED.key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(whole | changes).encode()


def altered(**changes) -> bytes:
    return json.dumps(json.loads(SIGNED) | changes).encode()


@pytest.mark.parametrize("key", [ED, EC])
def test_what_was_signed_is_read(key):
    trusted = TrustedKey.of(key.public_key())
    found = opened(sign(MANIFEST, key), TRUSTED, trusted)
    assert (found.manifest, found.key_id) == (MANIFEST, trusted.key_id)
    assert read_unverified(sign(MANIFEST, key)) == MANIFEST


def test_keys_are_loaded_from_their_usual_forms():
    for key in (ED, EC):
        public = key.public_key()
        for encoding in (Encoding.PEM, Encoding.DER):
            data = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
            assert TrustedKey.load(data).key_id == TrustedKey.of(public).key_id
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert TrustedKey.of(load_signing_key(pem).public_key()).key_id == TrustedKey.of(public).key_id


def test_keys_of_other_kinds_are_refused():
    other = ec.derive_private_key(5, ec.SECP384R1())
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert code(lambda: TrustedKey.load(public)) == "reference.key.kind"
    assert code(lambda: load_signing_key(private)) == "reference.key.kind"
    assert code(lambda: sign(MANIFEST, other)) == "reference.key.kind"
    assert code(lambda: TrustedKey.of(rsa.RSAPublicNumbers(65537, (1 << 1024) + 1).public_key())) == (
        "reference.key.kind"
    )
    exchange = x25519.X25519PrivateKey.from_private_bytes(b"k" * 32)
    private = exchange.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert code(lambda: load_signing_key(private)) == "reference.key.kind"
    locked = ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for data in (b"", b"-----BEGIN PUBLIC KEY-----\n", b"\x30\x00"):
        assert code(lambda data=data: TrustedKey.load(data)) == "reference.key.unreadable"
    for data in (b"", locked):
        assert code(lambda data=data: load_signing_key(data)) == "reference.key.unreadable"


def test_a_key_says_yes_or_no():
    for key in (ED, EC):
        trusted = TrustedKey.of(key.public_key())
        signature = ED.sign(b"a") if key is ED else EC.sign(b"a", ec.ECDSA(SHA256()))
        assert trusted.verifies(signature, b"a") is True
        assert trusted.verifies(signature, b"b") is False


def test_only_a_trusted_key_counts():
    stranger = TrustedKey.of(EC.public_key())
    assert code(lambda: opened(SIGNED, stranger)) == "reference.manifest.untrusted"
    assert code(lambda: open_manifest(SIGNED, ())) == "reference.manifest.untrusted"
    signatures = json.loads(SIGNED)["signatures"]
    extra = {"keyid": "somebody else", "sig": "AAAA"}
    assert opened(altered(signatures=[extra, *signatures])).manifest == MANIFEST


def test_every_signature_under_a_trusted_name_must_be_right():
    signatures = json.loads(SIGNED)["signatures"]
    wrong = {"keyid": TRUSTED.key_id, "sig": base64.b64encode(bytes(64)).decode()}
    for listed in ([wrong], [*signatures, wrong]):
        assert code(lambda listed=listed: opened(altered(signatures=listed))) == (
            "reference.manifest.signature"
        )
    payload = base64.b64encode(replace(MANIFEST, version=8).encode()).decode()
    assert code(lambda: opened(altered(payload=payload))) == "reference.manifest.signature"
    named = [{"keyid": TrustedKey.of(EC.public_key()).key_id, "sig": signatures[0]["sig"]}]
    assert code(lambda: opened(altered(signatures=named), TrustedKey.of(EC.public_key()))) == (
        "reference.manifest.signature"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        b" " * (2 << 21),
        altered(more=1),
        altered(payloadType="application/json"),
        altered(payload=1),
        altered(payload="!"),
        altered(payload="AB=="),
        altered(signatures=[]),
        altered(signatures={}),
        altered(signatures=[{"keyid": "a", "sig": "AAAA"}] * 9),
        altered(signatures=[1]),
        altered(signatures=[{"keyid": "a"}]),
        altered(signatures=[{"keyid": 1, "sig": "AAAA"}]),
        altered(signatures=[{"keyid": "a", "sig": "A"}]),
    ],
)
def test_an_envelope_that_is_none(data):
    assert code(lambda: opened(data)) == "reference.manifest.envelope"


def test_an_envelope_has_a_bound():
    largest = SIGNED.ljust(2 << 20)
    assert opened(largest).manifest == MANIFEST
    assert is_envelope(largest)
    assert code(lambda: opened(largest + b" ")) == "reference.manifest.envelope"


def test_eight_signatures_are_as_many_as_are_read():
    others = [{"keyid": "a", "sig": "AAAA"}] * 7
    assert opened(altered(signatures=[*others, *json.loads(SIGNED)["signatures"]])).manifest == MANIFEST


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: json.dumps(d).encode(), "manifest.not_canonical"),
        (lambda d: b"\xff", "values.malformed"),
        (lambda d: d.update(more=1), "manifest.malformed"),
        (lambda d: d.update(format="assay/reference/v2"), "manifest.malformed"),
        (lambda d: d.update(name=""), "manifest.malformed"),
        (lambda d: d.update(name="A"), "manifest.malformed"),
        (lambda d: d.update(name="../x"), "manifest.malformed"),
        (lambda d: d.update(name="a" * 129), "manifest.malformed"),
        (lambda d: d.update(name=1), "manifest.malformed"),
        (lambda d: d.update(version=0), "manifest.malformed"),
        (lambda d: d.update(version=True), "manifest.malformed"),
        (lambda d: d.update(version="1"), "manifest.malformed"),
        (lambda d: d.update(tool=1), "manifest.malformed"),
        (lambda d: d.update(tool="t" * 129), "manifest.malformed"),
        (lambda d: d.update(values=[]), "manifest.malformed"),
        (lambda d: d.update(issued=1), "manifest.malformed"),
        (lambda d: d.update(issued="2026-05-01"), "manifest.malformed"),
        (lambda d: d.update(issued="2026-5-1T00:00:00Z"), "manifest.malformed"),
        (lambda d: d.update(expires=d["issued"]), "manifest.malformed"),
        (lambda d: d["values"].pop("notes"), "values.malformed"),
        (lambda d: d["values"].update(platform="SNP"), "values.malformed"),
        (lambda d: d["values"].update(registers={}), "values.malformed"),
        (lambda d: d["values"]["artefacts"].append({}), "values.malformed"),
        (lambda d: d["values"].update(registers={"A": ["00"]}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": []}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": "00"}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": ["0"]}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": ["AA"]}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": [1]}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": ["00" * 65]}), "values.malformed"),
        (lambda d: d["values"].update(registers={"a": ["00", "00"]}), "values.malformed"),
        (lambda d: d["values"].update(registers={f"r{i}": ["00"] for i in range(65)}), "values.too_many"),
        (
            lambda d: d["values"].update(registers={"a": [f"{i:04x}" for i in range(257)]}),
            "values.too_many",
        ),
        (lambda d: d["values"].update(notes=["n"] * 33), "values.too_many"),
        (lambda d: d["values"].update(notes=[1]), "values.malformed"),
        (lambda d: d["values"].update(notes=["n" * 65537]), "values.malformed"),
        (lambda d: d["values"].update(parameters=[]), "values.malformed"),
        (lambda d: d["values"].update(parameters={"a": 1}), "values.malformed"),
        (lambda d: d["values"].update(parameters={f"p{i}": "" for i in range(65)}), "values.too_many"),
        (lambda d: d["values"]["artefacts"][0].update(size=-1), "values.malformed"),
        (lambda d: d["values"]["artefacts"][0].update(size=True), "values.malformed"),
        (lambda d: d["values"]["artefacts"][0].update(sha256="00"), "values.malformed"),
        (lambda d: d["values"]["artefacts"][0].update(role="R"), "values.malformed"),
        (lambda d: d["values"]["artefacts"][0].update(name="n" * 256), "values.malformed"),
        (lambda d: d["values"]["artefacts"][0].pop("name"), "values.malformed"),
        (lambda d: d["values"].update(artefacts=[1]), "values.malformed"),
        (lambda d: d["values"].update(artefacts=d["values"]["artefacts"] * 321), "values.too_many"),
        (lambda d: d["values"].update(parameters={"a": "t" * 65537}), "values.malformed"),
        (lambda d: d["values"].update(parameters={"n" * 65537: ""}), "values.malformed"),
        (lambda d: d["values"].update(more=1), "values.malformed"),
    ],
)
def test_a_signed_payload_that_is_wrong_in_one_place(change, expected):
    assert code(lambda: opened(resigned(lambda d: _ignored(change(d))))) == f"reference.{expected}"


def _ignored(value):
    return value if isinstance(value, bytes) else None


def test_nobody_signs_what_nobody_could_read():
    assert code(lambda: sign(replace(MANIFEST, version=0), ED)) == "reference.manifest.malformed"
    assert code(lambda: sign(replace(MANIFEST, version=MAX_VERSION + 1), ED)) == (
        "reference.manifest.malformed"
    )
    assert opened(sign(replace(MANIFEST, version=MAX_VERSION), ED)).manifest.version == MAX_VERSION
    assert code(lambda: canonical({"n": 1 << 60})) == "reference.values.malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"version": 9007199254740991},
        {"name": "a" * 128},
        {"name": "a"},
        {"tool": "t" * 128},
        {"tool": ""},
        {"expires": NOW + timedelta(seconds=1)},
    ],
)
def test_a_manifest_at_a_bound_is_signed_and_read(changes):
    manifest = replace(MANIFEST, **changes)
    assert opened(sign(manifest, ED)).manifest == manifest


def test_a_manifest_holds_from_its_issue_until_it_expires():
    signed = opened(SIGNED)
    for moment in (NOW, NOW + timedelta(days=30, seconds=-1)):
        assert admit(signed, now=moment, memory={})
    assert code(lambda: admit(signed, now=NOW - timedelta(seconds=1), memory={})) == (
        "reference.manifest.not_yet"
    )
    assert code(lambda: admit(signed, now=NOW + timedelta(days=30), memory={})) == (
        "reference.manifest.expired"
    )


def test_there_is_no_way_back_to_an_older_version():
    older, same = opened(sign(replace(MANIFEST, version=6), ED)), opened(SIGNED)
    memory = admit(same, now=NOW, memory={"other": Seen(9, bytes(32))})
    assert memory == {"other": Seen(9, bytes(32)), "web-tier": Seen(7, same.digest)}
    assert admit(same, now=NOW, memory=memory) == memory
    assert code(lambda: admit(older, now=NOW, memory=memory)) == "reference.manifest.rollback"
    fork = opened(sign(replace(MANIFEST, tool="assay 2"), ED))
    assert code(lambda: admit(fork, now=NOW, memory=memory)) == "reference.manifest.fork"
    newer = opened(sign(replace(MANIFEST, version=8), ED))
    assert admit(newer, now=NOW, memory=memory)["web-tier"].version == 8


def test_references_are_those_of_the_platform_that_was_asked_for():
    allowed, memory = references(opened(SIGNED), platform="snp", now=NOW, memory={})
    assert allowed == {"measurement": {b"\1" * 48, b"\2" * 48}}
    assert memory["web-tier"].version == 7
    assert code(lambda: references(opened(SIGNED), platform="tdx", now=NOW, memory={})) == (
        "reference.manifest.platform"
    )


def test_a_manifest_of_another_name_is_none_of_the_one_that_was_asked_for():
    """Its versions count by themselves, so nothing else keeps a test's values from standing for it."""

    def asked(name: str | None):
        return references(opened(SIGNED), platform="snp", now=NOW, memory={}, name=name)

    assert asked("web-tier") == asked(None)
    for name in ("web", "web-tier-2", ""):
        assert code(lambda name=name: asked(name)) == "reference.manifest.name"


def test_the_memory_is_written_and_read():
    memory = {"a": Seen(1, b"\1" * 32), "b": Seen(2, b"\2" * 32)}
    assert decode_memory(encode_memory(memory)) == memory
    assert decode_memory(encode_memory({})) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"seen":{},"v":2}',
        b'{"seen":[],"v":1}',
        b'{"seen":{},"v":1,"w":1}',
        b'{"seen":{"a":1},"v":1}',
        b'{"seen":{"a":{"version":1}},"v":1}',
        b'{"seen":{"a":{"version":0,"digest":"%s"}},"v":1}' % (b"0" * 64),
        b'{"seen":{"a":{"version":true,"digest":"%s"}},"v":1}' % (b"0" * 64),
        b'{"seen":{"a":{"version":1,"digest":"%s"}},"v":1}' % (b"0" * 63),
        b'{"seen":{"a":{"version":1,"digest":1}},"v":1}',
    ],
)
def test_a_damaged_memory_is_not_an_empty_one(data):
    assert code(lambda: decode_memory(data)) == "reference.memory.unreadable"


def test_measured_values_go_through_their_file():
    assert read_measured(write_measured(VALUES)) == VALUES
    assert code(lambda: read_measured(b'{"schema":"x"}')) == "reference.values.malformed"
    other = write_measured(VALUES).replace(b"assay/measured/v1", b"assay/measured/v2")
    assert code(lambda: read_measured(other)) == "reference.values.malformed"
    assert not is_envelope(write_measured(VALUES))
    assert is_envelope(SIGNED)


FILE = ArtefactDigest("a", "n" * 255, 0, b"\3" * 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"registers": {f"r{at}": frozenset({b"\0"}) for at in range(64)}},
        {"registers": {"a": frozenset(at.to_bytes(2, "big") for at in range(256))}},
        {"registers": {"a" * 64: frozenset({bytes(64)})}},
        {"artefacts": (FILE,) * 320},
        {"parameters": {f"p{at}": "t" * (1 << 13) for at in range(64)}},
        {"parameters": {"n" * 65536: "t" * 65536}},
        {"notes": ("n",) * 32},
        {"notes": ("n" * 65536,)},
    ],
)
def test_values_at_a_bound_go_through_their_file(changes):
    values = replace(VALUES, **changes)
    assert read_measured(write_measured(values)) == values


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"artefacts": (FILE,) * 321}, "too_many"),
        ({"notes": ("\udcff",)}, "malformed"),
        ({"parameters": {f"p{at}": "t" * (1 << 14) for at in range(64)}}, "malformed"),
    ],
)
def test_what_could_not_be_read_is_not_written(changes, expected):
    assert code(lambda: write_measured(replace(VALUES, **changes))) == f"reference.values.{expected}"


def test_a_file_of_values_has_a_bound():
    largest = write_measured(VALUES).ljust(1 << 20)
    assert read_measured(largest) == VALUES
    assert code(lambda: read_measured(largest + b" ")) == "reference.values.malformed"


def test_values_of_too_many_artefacts_are_not_put_together():
    files = [ArtefactDigest("a", str(at), 0, b"\3" * 32) for at in range(321)]
    found = [Measured("snp", VALUES.registers, (file,)) for file in files]
    assert union(found[:320]).artefacts == tuple(files[:320])
    assert code(lambda: union(found)) == "reference.values.too_many"
    assert code(lambda: union([])) == "reference.values.platforms"


def test_values_of_one_platform_are_put_together():
    other = Measured("snp", {"measurement": frozenset({b"\4" * 48})}, (), {"vcpus": "8"}, VALUES.notes)
    found = union([VALUES, other])
    assert found.registers == {"measurement": {b"\1" * 48, b"\2" * 48, b"\4" * 48}}
    assert found.parameters == {"0.vcpus": "4", "1.vcpus": "8"}
    assert (found.artefacts, found.notes) == (VALUES.artefacts, VALUES.notes)
    assert union([VALUES]) is VALUES
    tdx = Measured("tdx", {"mr_td": frozenset({bytes(48)})})
    assert code(lambda: union([VALUES, tdx])) == "reference.values.platforms"


def test_a_difference_names_what_went_and_what_came():
    after = Measured(
        "snp", {"measurement": frozenset({b"\2" * 48, b"\0" * 48}), "host_data": frozenset({b"h" * 32})}
    )
    assert compare(VALUES, after) == [
        ("host_data", "added", b"h" * 32),
        ("measurement", "removed", b"\1" * 48),
        ("measurement", "added", b"\0" * 48),
    ]
    assert compare(VALUES, VALUES) == []


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_no_single_bit_of_a_signed_manifest_can_be_changed_unnoticed(at, bit):
    data = SIGNED[:at] + bytes([SIGNED[at] ^ 1 << bit]) + SIGNED[at + 1 :]
    with suppress(ReferenceValueError):
        assert opened(data).manifest == MANIFEST
