"""CoRIMs: written, read, signed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.evidence.decoding.cbor import Tag
from assay.evidence.decoding.cbor import decode as decode_cbor
from assay.evidence.decoding.cbor import encode as encode_cbor
from assay.reference import corim
from assay.reference.manifest import TrustedKey
from assay.reference.values import Measured

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = ec.derive_private_key(12, ec.SECP256R1())
TRUSTED = [TrustedKey.of(KEY.public_key())]
VALUES = Measured(
    "tdx", {"mr_td": frozenset({b"\1" * 48, b"\2" * 48}), "compose_hash": frozenset({b"\3" * 32})}
)
PLAIN = corim.encode(VALUES, tag_id="tag", vendor="Vendor", model="Model")
SIGNED = corim.sign(PLAIN, KEY, signer="Vendor")
ENVIRONMENT = {0: {1: "Vendor", 2: "Model"}}
DIGEST = [1, b"d" * 32]


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def made(*measurements, environment=None, more=None, triples=None) -> bytes:
    triple = [ENVIRONMENT if environment is None else environment, list(measurements)]
    comid = {1: {0: "c"}, 4: {0: [triple]} if triples is None else triples}
    return encode_cbor(Tag(501, {0: "id", 1: [Tag(506, encode_cbor(comid))], **(more or {})}))


def read(data: bytes, **given) -> Measured:
    return corim.values(corim.decode(data), platform="tdx", now=NOW, **given)


def window(start: int | None, end: int) -> dict:
    return {} if start is None else {0: Tag(1, start), 1: Tag(1, end)}


def test_what_was_written_is_read():
    found = read(PLAIN)
    assert found.registers == VALUES.registers
    assert found.parameters == {"corim": "tag", "environment": "vendor Vendor, model Model"}
    assert found.notes == ()


def test_what_is_written_is_as_the_specification_says():
    plain = corim.encode(VALUES, tag_id="tag", vendor="Vendor", model="Model")
    tag = decode_cbor(plain, max_bytes=10_000)
    assert (tag.number, tag.value.keys(), tag.value[0]) == (501, {0, 1}, "tag")
    (module,) = tag.value[1]
    assert module.number == 506
    assert decode_cbor(module.value, max_bytes=10_000) == {
        1: {0: "tag/comid"},
        4: {
            0: [
                [
                    {0: {1: "Vendor", 2: "Model"}},
                    [
                        {0: "compose_hash", 1: {2: [[1, b"\3" * 32]]}},
                        {0: "mr_td", 1: {2: [[7, b"\1" * 48]]}},
                        {0: "mr_td", 1: {2: [[7, b"\2" * 48]]}},
                    ],
                ]
            ]
        },
    }
    signed = corim.sign(plain, KEY, signer="Vendor")
    protected, unprotected, payload, _ = decode_cbor(signed, max_bytes=10_000).value
    headers = decode_cbor(protected, max_bytes=1000)
    assert (unprotected, payload) == ({}, plain)
    assert headers == {1: -7, 3: "application/rim+cbor", 8: encode_cbor({0: {0: "Vendor"}})}


@pytest.mark.parametrize("key", [KEY, ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)])
def test_what_was_signed_is_verified(key):
    signed = corim.sign(PLAIN, key, signer="Vendor")
    trusted = [*TRUSTED, TrustedKey.of(key.public_key())]
    assert corim.verify(signed, trusted, now=NOW) == corim.decode(PLAIN) == corim.decode(signed)


def test_only_a_trusted_signature_counts():
    stranger = [TrustedKey.of(ec.derive_private_key(13, ec.SECP256R1()).public_key())]
    assert code(lambda: corim.verify(SIGNED, stranger, now=NOW)) == "reference.corim.signature"
    assert code(lambda: corim.verify(SIGNED, [], now=NOW)) == "reference.corim.signature"
    assert code(lambda: corim.verify(PLAIN, TRUSTED, now=NOW)) == "reference.corim.unsigned"
    assert code(lambda: corim.verify(b"\xff", TRUSTED, now=NOW)) == "reference.corim.malformed"
    changed = SIGNED.replace(b"\1" * 48, b"\5" * 48)
    assert code(lambda: corim.verify(changed, TRUSTED, now=NOW)) == "reference.corim.signature"


def test_a_signed_message_says_what_it_holds():
    tag = decode_cbor(SIGNED, max_bytes=10_000)
    protected = decode_cbor(tag.value[0], max_bytes=1000)
    for headers in ({**protected, 3: "text/plain"}, {1: -7}):
        message = encode_cbor(Tag(18, [encode_cbor(headers), *tag.value[1:]]))
        assert code(lambda message=message: corim.verify(message, TRUSTED, now=NOW)) == (
            "reference.corim.malformed"
        )
    detached = encode_cbor(Tag(18, [tag.value[0], {}, None, tag.value[3]]))
    assert code(lambda: corim.verify(detached, TRUSTED, now=NOW)) == "reference.corim.malformed"


def test_validity_of_the_corim_is_kept():
    at = int(NOW.timestamp())
    measurement = {0: "mr_td", 1: {2: [DIGEST]}}
    for start, end in ((at, at), (at - 1, at + 1), (0, (1 << 37) - 1)):
        assert read(made(measurement, more={4: window(start, end)}))
    assert read(made(measurement, more={4: {1: Tag(1, at)}}))
    late = made(measurement, more={4: window(at + 1, at + 2)})
    over = made(measurement, more={4: window(at - 2, at - 1)})
    assert code(lambda: read(late)) == "reference.corim.not_yet"
    assert code(lambda: read(over)) == "reference.corim.expired"
    assert corim.values(corim.decode(over), platform="tdx", now=None).registers
    signed = corim.sign(over, KEY, signer="x")
    assert code(lambda: corim.verify(signed, TRUSTED, now=NOW)) == "reference.corim.expired"
    for validity in (
        {},
        {0: Tag(1, at)},
        {1: at},
        {1: Tag(2, at)},
        {1: Tag(1, -1)},
        {1: Tag(1, 1 << 37)},
        1,
        {1: Tag(1, "x")},
    ):
        data = made(measurement, more={4: validity})
        assert code(lambda data=data: corim.decode(data)) == "reference.corim.malformed"


def test_validity_of_the_signature_is_kept():
    at = int(NOW.timestamp())
    for meta, expected in (
        (encode_cbor({0: {0: "x"}, 1: window(at - 2, at - 1)}), "expired"),
        (encode_cbor({0: {0: "x"}, 1: window(at + 1, at + 2)}), "not_yet"),
        ("text", "malformed"),
        (b"\xff", "malformed"),
    ):
        signed = resigned({8: meta})
        assert code(lambda signed=signed: corim.verify(signed, TRUSTED, now=NOW)) == (
            f"reference.corim.{expected}"
        )
    assert corim.verify(resigned({}), TRUSTED, now=NOW).not_after is None
    assert corim.verify(resigned({2: [8], 8: encode_cbor({0: {0: "x"}})}), TRUSTED, now=NOW)


def resigned(more: dict, plain: bytes = PLAIN) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    protected = encode_cbor({1: -7, 3: "application/rim+cbor", **more})
    message = encode_cbor(["Signature1", protected, b"", plain])
    r, s = decode_dss_signature(KEY.sign(message, ec.ECDSA(SHA256())))
    return encode_cbor(Tag(18, [protected, {}, plain, r.to_bytes(32, "big") + s.to_bytes(32, "big")]))


def test_keys_become_names_of_registers():
    uuid = UUID("31fb5abf-023e-4992-aa4e-95f9c1503bfa")
    found = read(
        made(
            {0: "cca.rim", 1: {2: [["sha-256", b"a" * 32]]}},
            {0: Tag(37, uuid.bytes), 1: {2: [[7, b"b" * 48]]}},
            {0: 7, 1: {2: DIGEST}},
            {0: Tag(111, b"\x2a\x03"), 1: {2: [DIGEST]}},
            {1: {2: [DIGEST]}},
            {0: "pcrs", 1: {14: {4: [DIGEST], "nine": [DIGEST]}}},
        )
    )
    assert found.registers.keys() == {
        "cca_rim",
        "m_31fb5abf_023e_4992_aa4e_95f9c1503bfa",
        "m_7",
        "m_2a03",
        "digest",
        "pcrs_4",
        "pcrs_nine",
    }
    plain = {0: "A" * 64, 1: {2: [DIGEST]}}, {0: "A1", 1: {2: [DIGEST]}}, {0: Tag(32, "u:v"), 1: {2: DIGEST}}
    assert read(made(*plain)).registers.keys() == {"a" * 64, "a1", "u_v"}
    assert read(made({0: Tag(560, b"\xab" * 16), 1: {2: DIGEST}})).registers.keys() == {"ab" * 16}
    long = {0: Tag(600, b"x" * 100), 1: {2: [DIGEST]}}
    (name,) = read(made(long)).registers
    assert (len(name), name[:16]) == (64, "tag_600_58647878")
    (name,) = read(made({0: "A" * 65, 1: {2: [DIGEST]}})).registers
    assert (len(name), name[:48]) == (64, "a" * 47 + "_")
    clash = made({0: "a b", 1: {2: [DIGEST]}}, {0: "a-b", 1: {2: [DIGEST]}})
    assert code(lambda: read(clash)) == "reference.corim.key"


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [
        *((1, 32), (7, 48), (8, 64), (10, 32), (11, 48), (12, 64)),
        *(("sha-256", 32), ("sha-384", 48), ("sha-512", 64)),
    ],
)
def test_a_digest_has_the_size_of_its_algorithm(algorithm, size):
    digest = b"d" * size
    assert read(made({0: "fw", 1: {2: [[algorithm, digest]]}})).registers == {"fw": {digest}}
    for wrong in {32, 48, 64} - {size}:
        data = made({0: "fw", 1: {2: [[algorithm, b"d" * wrong]]}})
        assert code(lambda data=data: corim.decode(data)) == "reference.corim.digest"


OTHER = [1, b"e" * 32]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({0: "a/b", 1: {2: [DIGEST]}}, {0: "a", 1: {14: {"b": [OTHER]}}}),
        ({0: 0, 1: {2: [DIGEST]}}, {0: "0", 1: {2: [OTHER]}}),
        ({0: "x", 1: {2: [DIGEST]}}, {1: {14: {"x": [OTHER]}}}),
        ({0: "p", 1: {14: {4: [DIGEST]}}}, {0: "p", 1: {14: {"4": [OTHER]}}}),
        ({0: Tag(111, b"\x2a\x03"), 1: {2: [DIGEST]}}, {0: Tag(560, b"\x2a\x03"), 1: {2: [OTHER]}}),
        ({0: "k" * 1025, 1: {2: [DIGEST]}}, {0: "k" * 1026, 1: {2: [OTHER]}}),
        ({0: "", 1: {2: [DIGEST]}}, {1: {2: [OTHER]}}),
        ({0: "k" * 1024, 1: {2: [DIGEST]}}, {0: "k" * 1025, 1: {2: [OTHER]}}),
        ({0: bytes(512), 1: {2: [DIGEST]}}, {0: bytes(513), 1: {2: [OTHER]}}),
        ({0: Tag(560, bytes(512)), 1: {2: [DIGEST]}}, {0: Tag(560, bytes(513)), 1: {2: [OTHER]}}),
        ({0: Tag(32, "k" * 1024), 1: {2: [DIGEST]}}, {0: Tag(32, "k" * 1025), 1: {2: [OTHER]}}),
        (
            {0: Tag(600, [bytes(508), 1]), 1: {2: [DIGEST]}},
            {0: Tag(600, [bytes(508), "x"]), 1: {2: [OTHER]}},
        ),
    ],
)
def test_keys_that_only_look_the_same_are_not_one_register(first, second):
    """Each would allow the other's digest where it is not meant."""
    assert code(lambda: read(made(first, second))) == "reference.corim.key"
    assert code(lambda: read(made(second, first))) == "reference.corim.key"
    assert read(made(first)).registers.keys() == read(made(second)).registers.keys()
    again = {**first, 1: second[1]} if first[1].keys() == second[1].keys() == {2} else first
    (allowed,) = read(made(first, again)).registers.values()
    assert b"d" * 32 in allowed


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({0: {0: Tag(560, b"\xab")}}, {0: {0: "ab"}}),
        ({0: {1: "V, model M"}}, {0: {1: "V", 2: "M"}}),
        ({0: {1: "V", 3: 1}}, {0: {1: "V, layer 1"}}),
        ({0: {1: "V"}, 1: Tag(550, b"\1")}, {0: {1: "V, instance 01"}}),
    ],
)
def test_environments_that_only_look_the_same_are_two(first, second):
    data = made(triples={0: [[each, [{0: "fw", 1: {2: [DIGEST]}}]] for each in (first, second)]})
    assert code(lambda: read(data)) == "reference.corim.environment"
    text = read(made({0: "fw", 1: {2: [DIGEST]}}, environment=second)).parameters["environment"]
    assert code(lambda: read(data, environment=text)) == "reference.corim.environment"


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({0: {1: "V"}, 1: Tag(550, b"\1\2")}, "vendor V, instance 0102"),
        ({0: {1: "V"}, 2: Tag(560, b"g")}, "vendor V, group 67"),
        ({1: Tag(550, b"\1\2")}, "instance 0102"),
        (
            {0: {0: Tag(37, bytes(16)), 1: "V", 2: "M", 3: 7, 4: 9}, 1: Tag(550, b"\1"), 2: "g"},
            f"class {UUID(int=0)}, vendor V, model M, layer 7, index 9, instance 01, group g",
        ),
    ],
)
def test_values_of_one_instance_are_none_of_every_other(environment, text):
    data = made({0: "fw", 1: {2: [DIGEST]}}, environment=environment)
    assert code(lambda: read(data)) == "reference.corim.bound"
    named = read(data, environment=text)
    assert named.registers == {"fw": {b"d" * 32}}
    assert named.notes == (f"The values are of {text} alone; nothing here compares that.",)
    assert corim.values(corim.decode(data), platform="tdx", now=None).notes == named.notes


def test_what_else_is_demanded_is_said():
    data = made(
        {0: "fw", 1: {0: {0: "1.2"}, 1: Tag(552, 3), 2: [DIGEST], 99: 1}},
        {0: "svn", 1: {1: Tag(552, 3)}},
        triples={0: [[ENVIRONMENT, [{0: "fw", 1: {1: 3, 2: [DIGEST]}}]]], 1: [], 3: [], 9: []},
    )
    assert read(data).notes == (
        "The CoRIM also holds endorsed values; that is not appraised.",
        "The CoRIM also holds attestation keys; that is not appraised.",
        "The CoRIM also holds triples of kind 9; that is not appraised.",
        "Of fw: its svn is not appraised.",
    )
    plain = read(made({0: "fw", 1: {0: {0: "1.2"}, 1: 3, 2: [DIGEST], 99: 1}}, {0: "only", 1: {4: b"x"}}))
    assert plain.notes == (
        "Of fw: its svn is not appraised.",
        "Of fw: its member 99 is not appraised.",
        "Of only: its raw value is not appraised.",
    )
    assert plain.registers == {"fw": {b"d" * 32}}


def test_what_is_not_appraised_has_a_name():
    names = {
        1: "svn",
        3: "flags",
        4: "raw value",
        5: "mask of a raw value",
        6: "MAC address",
        7: "IP address",
        8: "serial number",
        9: "UEID",
        10: "UUID",
        13: "keys",
        15: "range",
    }
    said = read(made({0: "fw", 1: {2: [DIGEST], 0: {0: "1"}, 11: "name", **dict.fromkeys(names, 1)}})).notes
    assert said == tuple(f"Of fw: its {name} is not appraised." for name in names.values())
    kinds = made(triples={0: [[ENVIRONMENT, [{1: {2: [DIGEST]}}]]], 1: [], 2: [], 3: []})
    assert [note.split(";")[0] for note in read(kinds).notes] == [
        "The CoRIM also holds endorsed values",
        "The CoRIM also holds identity keys",
        "The CoRIM also holds attestation keys",
    ]


def test_who_wrote_a_corim_is_not_said():
    comid = {0: "en", 1: {0: "c"}, 2: [{0: "x"}], 4: {0: [[ENVIRONMENT, [{1: {2: [DIGEST]}}]]]}, 5: 1}
    data = encode_cbor(Tag(501, {0: "id", 1: [Tag(506, encode_cbor(comid))], 5: [{0: "x"}]}))
    assert read(data).notes == ("The CoRIM also holds member 5; that is not appraised.",)


def test_what_a_measurement_demands_beside_its_values_is_said():
    data = made({0: "fw", 1: {2: [DIGEST]}, 2: [Tag(554, "key")], 7: 1}, more={2: [{0: "x"}], 5: [], 9: 0})
    assert read(data).notes == (
        "The CoRIM also holds dependencies on other CoRIMs; that is not appraised.",
        "The CoRIM also holds member 9; that is not appraised.",
        "Of fw: its authorization is not appraised.",
        "Of fw: its member 7 is not appraised.",
    )


def test_what_there_is_no_room_to_say_is_counted():
    many = [{0: f"fw{at}", 1: {1: 3, 2: [DIGEST]}} for at in range(40)]
    *said, last = read(made(*many)).notes
    assert (len(said), last) == (31, "The CoRIM holds 9 things more that are not appraised.")
    *said, last = read(made(*many[:33])).notes
    assert (len(said), last) == (31, "The CoRIM holds 2 things more that are not appraised.")
    assert len(read(made(*many[:32])).notes) == 32
    assert read(made(*many[:32])).notes[-1] == "Of fw31: its svn is not appraised."


def module(digest: bytes, identity: dict | None, links: list | None = None) -> Tag:
    triples = {0: [[ENVIRONMENT, [{0: "fw", 1: {2: [[1, digest]]}}]]]}
    named = {} if identity is None else {1: identity}
    linked = {} if links is None else {3: links}
    return Tag(506, encode_cbor({**named, **linked, 4: triples}))


OLD, NEW = b"o" * 32, b"n" * 32


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ([module(OLD, {0: "a"}), module(NEW, {0: "b"}, [{0: "a", 1: 1}])], {NEW}),
        ([module(NEW, {0: "b"}, [{0: "a", 1: 1}]), module(OLD, {0: "a"})], {NEW}),
        ([module(OLD, {0: "a", 1: 1}), module(NEW, {0: "a", 1: 2})], {NEW}),
        ([module(NEW, {0: "a", 1: 2}), module(OLD, {0: "a"})], {NEW}),
        ([module(NEW, {0: "a", 1: 1}), module(OLD, {0: "a"})], {NEW}),
        ([module(NEW, {0: "a", 1: 0}), module(OLD, {0: "a"})], {NEW, OLD}),
        ([module(OLD, {0: "a"}), module(NEW, {0: "b"}, [{0: "a", 1: 0}])], {OLD, NEW}),
        ([module(OLD, {0: "a"}), module(NEW, {0: "b"}, [{0: "c", 1: 1}])], {OLD, NEW}),
        ([module(NEW, {0: "a", 1: 2}, [{0: "a", 1: 1}])], {NEW}),
        ([module(OLD, None), module(NEW, None)], {OLD, NEW}),
    ],
)
def test_a_module_that_another_one_replaces_has_no_say(modules, expected):
    """Its values are those that its author no longer stands by."""
    found = read(encode_cbor(Tag(501, {0: "id", 1: modules})))
    assert found.registers == {"fw": expected}
    gone = "The CoRIM also holds modules that others of it replace; that is not appraised."
    assert found.notes == ((gone,) if len(modules) > len(expected) else ())


@pytest.mark.parametrize(
    "bad",
    [
        module(OLD, {0: "a", 1: -1}),
        module(OLD, {0: "a", 1: True}),
        module(OLD, {0: "a", 1: "1"}),
        module(OLD, {0: 1.5}),
        module(OLD, {0: "a"}, [{0: "b"}]),
        module(OLD, {0: "a"}, [{0: "b", 1: 2}]),
        module(OLD, {0: "a"}, [{1: 1}]),
        module(OLD, {0: "a"}, []),
    ],
)
def test_a_module_whose_name_or_links_make_no_sense(bad):
    data = encode_cbor(Tag(501, {0: "id", 1: [bad]}))
    assert code(lambda: corim.decode(data)) == "reference.corim.malformed"


def test_the_earlier_end_goes_with_the_values():
    at = int(NOW.timestamp())
    measurement = {0: "mr_td", 1: {2: [DIGEST]}}
    plain = made(measurement, more={4: window(at, at + 20)})
    assert read(plain).parameters["valid_until"] == "2026-05-01T00:00:20+00:00"
    for meta, end in ((None, 20), (10, 10), (30, 20)):
        signer = {0: {0: "x"}} if meta is None else {0: {0: "x"}, 1: window(at, at + meta)}
        found = corim.verify(resigned({8: encode_cbor(signer)}, plain), TRUSTED, now=NOW)
        assert found.not_after == datetime.fromtimestamp(at + end, UTC)
    found = corim.verify(resigned({8: encode_cbor({1: window(at, at + 5)})}), TRUSTED, now=NOW)
    assert found.not_after == datetime.fromtimestamp(at + 5, UTC)


@pytest.mark.parametrize(
    ("stated", "end"),
    [
        ({}, None),
        ({"valid_until": "2026-05-01T00:00:20.9+00:00"}, 20),
        ({"0.valid_until": "2026-05-01T01:00:30+01:00", "1.valid_until": "2026-05-01T00:00:40Z"}, 30),
    ],
)
def test_a_written_corim_ends_when_the_values_do(stated, end):
    values = Measured("tdx", VALUES.registers, parameters=stated)
    found = corim.decode(corim.encode(values, tag_id="t", vendor="v", model="m"))
    assert found.not_after == (None if end is None else NOW + timedelta(seconds=end))
    if end is None:
        return
    late = NOW + timedelta(seconds=end + 1)
    assert code(lambda: corim.values(found, platform="tdx", now=late)) == "reference.corim.expired"


def test_other_tags_are_named():
    data = encode_cbor(
        Tag(
            501,
            {
                0: Tag(37, bytes(16)),
                1: [
                    Tag(505, b"coswid"),
                    Tag(506, encode_cbor({4: {0: [[ENVIRONMENT, [{1: {2: [DIGEST]}}]]]}})),
                ],
                3: Tag(32, "https://profile.example"),
            },
        )
    )
    found = read(data)
    assert found.notes == ("The CoRIM also holds a tag 505; that is not appraised.",)
    assert found.parameters["profile"] == "https://profile.example"
    assert found.parameters["corim"] == "00000000-0000-0000-0000-000000000000"


def test_one_environment_is_chosen():
    first, second = {0: {1: "A"}}, {1: Tag(550, b"\x01\x02"), 2: Tag(560, b"g")}
    triples = {0: [[each, [{0: "fw", 1: {2: [DIGEST]}}]] for each in (first, second)]}
    data = made(triples=triples)
    assert code(lambda: read(data)) == "reference.corim.environment"
    assert read(data, environment="vendor A").parameters["environment"] == "vendor A"
    assert read(data, environment="instance 0102, group 67").registers
    assert code(lambda: read(data, environment="vendor B")) == "reference.corim.empty"
    many = [[{0: {1: f"V{at}"}}, [{0: "fw", 1: {2: [DIGEST]}}]] for at in range(9)]
    with pytest.raises(ReferenceValueError) as caught:
        read(made(triples={0: many}))
    assert "vendor V7" in caught.value.message
    assert "V8" not in caught.value.message
    assert code(lambda: read(made({0: "a", 1: {4: b""}}))) == "reference.corim.empty"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "malformed"),
        (b"\xff", "malformed"),
        (encode_cbor({}), "malformed"),
        (encode_cbor(Tag(500, {})), "malformed"),
        (encode_cbor(Tag(500, decode_cbor(PLAIN, max_bytes=10_000).value)), "malformed"),
        (encode_cbor(Tag(501, [])), "malformed"),
        (encode_cbor(Tag(501, {0: "a"})), "malformed"),
        (encode_cbor(Tag(501, {0: "a", 1: []})), "malformed"),
        (encode_cbor(Tag(501, {0: "a", 1: [1]})), "malformed"),
        (encode_cbor(Tag(501, {0: "a", 1: [Tag(506, {})]})), "malformed"),
        (encode_cbor(Tag(501, {0: "a", 1: [Tag(505, b"")] * 257})), "too_many"),
        (encode_cbor(Tag(501, {1: [Tag(505, b"")]})), "malformed"),
        (encode_cbor(Tag(501, {0: 1.5, 1: [Tag(505, b"")]})), "malformed"),
        (encode_cbor(Tag(501, {0: Tag(37, b"short"), 1: [Tag(505, b"")]})), "malformed"),
        (encode_cbor(Tag(18, 1)), "malformed"),
        (made(triples=1), "malformed"),
        (made(triples={0: []}), "malformed"),
        (made(triples={0: [1]}), "malformed"),
        (made(triples={0: [[ENVIRONMENT]]}), "malformed"),
        (made(triples={0: [[1, [{}]]]}), "malformed"),
        (made({0: "a", 1: {2: [DIGEST]}}, environment={}), "malformed"),
        (made({0: "a", 1: {2: [DIGEST]}}, environment={0: {}}), "malformed"),
        (made({0: "a", 1: {2: [DIGEST]}}, environment={0: 1}), "malformed"),
        (made({0: "a", 1: {2: [DIGEST]}}, environment={0: {1: "V", 5: "x"}}), "malformed"),
        (made({0: "a", 1: {2: [DIGEST]}}, environment={0: {1: "V"}, 3: "x"}), "malformed"),
        (made({0: "a"}), "malformed"),
        (made({0: "a", 1: {2: []}}), "malformed"),
        (made({0: "a", 1: {2: [1]}}), "malformed"),
        (made({0: "a", 1: {2: 1}}), "malformed"),
        (made({0: "a", 1: {2: {1: b"d" * 32}}}), "malformed"),
        (made({0: "a", 1: {2: [{1: b"d" * 32, b"d" * 32: 1}]}}), "malformed"),
        (made({0: "a", 1: {2: [DIGEST] * 257}}), "too_many"),
        (made({0: "a", 1: {2: [True, b"d" * 32]}}), "malformed"),
        (made({0: "a", 1: {2: [[1, b"d" * 32, 1]]}}), "malformed"),
        (made({0: Tag(111, "text"), 1: {2: [DIGEST]}}), "malformed"),
        (made({0: Tag(550, 1), 1: {2: [DIGEST]}}), "malformed"),
        (made({0: Tag(560, "text"), 1: {2: [DIGEST]}}), "malformed"),
        (made({0: Tag(32, b"bytes"), 1: {2: [DIGEST]}}), "malformed"),
        (made({0: Tag(37, "t" * 16), 1: {2: [DIGEST]}}), "malformed"),
        (made({0: "a", 1: {2: [[b"x", b"y"]]}}), "malformed"),
        (made({0: "a", 1: {2: [[[], b"y"]]}}), "malformed"),
        (made({0: "a", 1: {2: [[1, "text"]]}}), "malformed"),
        (made({0: "a", 1: {2: [[1, b"d" * 48]]}}), "digest"),
        (made({0: "a", 1: {2: [[2, b"d" * 16]]}}), "digest"),
        (made({0: "a", 1: {2: [["md5", b"d" * 16]]}}), "digest"),
        (made({0: "a", 1: {14: 1}}), "malformed"),
        (made(*[{0: 1, 1: {}}] * 4097), "too_many"),
    ],
)
def test_a_corim_that_is_none(data, expected):
    assert code(lambda: corim.decode(data)) == f"reference.corim.{expected}"


def sized(size: int) -> bytes:
    """Return a CoRIM of so many bytes."""
    padding = size - len(made({0: "a", 1: {2: [DIGEST]}}, more={9: bytes(70_000)})) + 70_000
    return made({0: "a", 1: {2: [DIGEST]}}, more={9: bytes(padding)})


def with_items(count: int) -> bytes:
    """Return a CoRIM of so many items of CBOR, without those of its module."""
    return encode_cbor(Tag(501, {0: "id", 1: [Tag(505, b"")], 9: [0] * (count - 10)}))


def test_a_corim_at_its_bounds_is_read():
    assert len(sized(1 << 20)) == 1 << 20
    assert corim.decode(sized(1 << 20)).tag_id == "id"
    assert code(lambda: corim.decode(sized((1 << 20) + 1))) == "reference.corim.malformed"
    assert corim.decode(with_items(1 << 16)).tag_id == "id"
    assert code(lambda: corim.decode(with_items((1 << 16) + 1))) == "reference.corim.malformed"
    tags = encode_cbor(Tag(501, {0: "id", 1: [Tag(505, b"")] * 256}))
    assert len(corim.decode(tags).ignored) == 256
    assert len(corim.decode(made(*[{0: 1, 1: {}}] * 4096)).references) == 4096
    assert read(made({0: "a", 1: {2: [DIGEST] * 256}})).registers == {"a": {b"d" * 32}}


def test_modules_together_have_a_bound():
    module = Tag(506, encode_cbor({4: {0: [[ENVIRONMENT, [{0: 1, 1: {}}] * 2049]]}}))
    data = encode_cbor(Tag(501, {0: "id", 1: [module, module]}))
    assert code(lambda: corim.decode(data)) == "reference.corim.too_many"


@pytest.mark.parametrize(("size", "algorithm"), [(32, 1), (48, 7), (64, 8)])
def test_a_digest_is_written_under_the_algorithm_of_its_size(size, algorithm):
    values = Measured("tdx", {"a": frozenset({b"x" * size})})
    (written,) = corim.decode(corim.encode(values, tag_id="t", vendor="v", model="m")).references
    assert written.digests == ((algorithm, b"x" * size),)


def test_a_value_that_is_no_digest_cannot_be_written():
    odd = Measured("tdx", {"a": frozenset({b"x" * 20})})
    assert code(lambda: corim.encode(odd, tag_id="t", vendor="v", model="m")) == "reference.corim.digest"


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_no_single_bit_of_a_signed_corim_can_be_changed_unnoticed(at, bit):
    data = SIGNED[:at] + bytes([SIGNED[at] ^ 1 << bit]) + SIGNED[at + 1 :]
    with suppress(ReferenceValueError):
        corim.verify(data, TRUSTED, now=NOW)
        pytest.fail("a changed CoRIM was verified")
