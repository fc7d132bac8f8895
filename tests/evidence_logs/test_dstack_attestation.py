"""VersionedAttestation in both versions, and certificates that carry it."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.decoding import pem
from assay.evidence.dstack import (
    Tag,
    from_attestation,
    from_certificate,
    from_get_quote,
    from_info,
    msgpack,
    tagged,
)
from assay.evidence.dstack.attestation import MAX_ATTESTATION_BYTES, parse_attestation
from assay.evidence.dstack.certificate import (
    MAX_UNPACKED_LOG_BYTES,
    Extension,
    leaf_of_chain,
    parse_certificate,
    unpack_log,
)
from assay.evidence.dstack.scale import ScaleReader
from support import vectors
from support.dstack_encodings import (
    SPKI,
    certificate,
    compact,
    compressed,
    octets,
    pack,
    vector,
    version_0,
    version_1,
)
from support.dstack_guest import acpi_events, log_json, runtime, system_events

EVENTS = acpi_events() + system_events()
QUOTE = b"\x04\x00quote" * 40

MAGIC = b"ELGZv1"


def code(work, *arguments) -> str:
    with pytest.raises(EvidenceError) as caught:
        work(*arguments)
    return caught.value.code


@pytest.mark.parametrize("data", [version_0(QUOTE, EVENTS), pack(version_1(QUOTE, EVENTS))], ids=["0", "1"])
def test_both_versions(data):
    found = parse_attestation(data)
    assert (found.quote, list(found.events), found.report_data, found.config) == (
        QUOTE,
        EVENTS,
        bytes(64),
        "{}",
    )


def test_version_1_carries_version_2_events():
    events = system_events(version=2)
    assert list(parse_attestation(pack(version_1(QUOTE, events))).events) == events


def test_version_1_with_byte_strings():
    document = version_1(QUOTE, EVENTS)
    document["platform"]["data"]["quote"] = QUOTE
    document["stack"]["data"]["report_data"] = bytes(64)
    assert parse_attestation(pack(document)).quote == QUOTE


def pod(payload, report_data):
    document = version_1(QUOTE, EVENTS, report_data=report_data)
    document["stack"]["kind"] = "dstack-pod"
    document["stack"]["data"]["report_data_payload"] = payload
    return pack(document)


def test_a_pods_report_data_is_the_hash_of_its_payload():
    assert parse_attestation(pod("{}", tagged(Tag.APP_DATA, b"{}"))).quote == QUOTE
    assert code(parse_attestation, pod("{}", bytes(64))) == "dstack.attestation.report_data"


def test_every_truncation_is_refused():
    for data in (version_0(QUOTE, EVENTS), pack(version_1(QUOTE, EVENTS))):
        for size in range(len(data)):
            assert code(parse_attestation, data[:size]).startswith("dstack.")


OTHERS = {
    "dstack/dstack-main/dstack_dstack-attest_tests_nitro_attestation.bin": "nitro-enclave",
    "dstack/dstack-main/dstack_dstack-attest_tests_nitro_attestation_dbg.bin": "nitro-enclave",
    "dstack/dstack-main/dstack_dstack-attest_tests_sev_snp_attestation.bin": "sev-snp",
    "dstack/dstack/sev_snp_attestation.bin": "sev-snp",
}


@pytest.mark.parametrize("file", OTHERS)
def test_other_platforms_are_named(file):
    with pytest.raises(EvidenceError, match=OTHERS[file]) as caught:
        parse_attestation(vectors.read(file))
    assert caught.value.code == "dstack.attestation.variant"


KNOWN = ("gcp-tdx", "nitro-enclave", "sev-snp", "aws-nitro-tpm")


@pytest.mark.parametrize("kind", [*KNOWN, "TDX", "new", 0, []])
def test_other_platforms_of_version_1(kind):
    document = version_1(QUOTE, EVENTS, platform={"kind": kind, "data": {}})
    with pytest.raises(EvidenceError, match=f"platform {kind if kind in KNOWN else 'unknown'};") as caught:
        parse_attestation(pack(document))
    assert caught.value.code == "dstack.attestation.variant"


@pytest.mark.parametrize(("variant", "kind"), list(enumerate(KNOWN, 1)))
def test_other_platforms_of_version_0(variant, kind):
    with pytest.raises(EvidenceError, match=f"platform {kind};") as caught:
        parse_attestation(version_0(QUOTE, EVENTS, variant=variant))
    assert caught.value.code == "dstack.attestation.variant"


def stack(**changes):
    document = version_1(QUOTE, EVENTS)
    document["stack"]["data"] |= changes
    return pack(document)


def platform(**changes):
    document = version_1(QUOTE, EVENTS)
    document["platform"]["data"] |= changes
    return pack(document)


LESS = EVENTS[:-1]
MORE = [*EVENTS, runtime("mine")]
MALFORMED = {
    "a number, no map": (b"\x7f", "dstack.attestation.version"),
    "an array, no map": (b"\x90", "dstack.attestation.version"),
    "an empty map": (b"\x80", "dstack.attestation.member"),
    "a long empty map": (b"\xde\0\0", "dstack.msgpack"),
    "a longer empty map": (b"\xdf\0\0\0\0", "dstack.msgpack"),
    "nothing": (b"", "dstack.attestation.version"),
    "another form": (b"\x01", "dstack.attestation.version"),
    "too large": (bytes(MAX_ATTESTATION_BYTES + 1), "dstack.attestation.size"),
    "unknown platform": (version_0(QUOTE, EVENTS, variant=5), "dstack.attestation.variant"),
    "bytes behind version 0": (version_0(QUOTE, EVENTS) + b"\0", "dstack.scale"),
    "one event less beside the log (0)": (version_0(QUOTE, EVENTS, runtime=LESS), "dstack.attestation.lists"),
    "one event more beside the log (0)": (version_0(QUOTE, EVENTS, runtime=MORE), "dstack.attestation.lists"),
    "length that is not the shortest": (b"\0\0" + b"\x05\x00" + b"x", "dstack.scale"),
    "length of four bytes that needs two": (b"\0\0" + b"\x06\x01\0\0" + b"x" * 65, "dstack.scale"),
    "length of a gigabyte": (b"\0\0" + compact((1 << 30) - 1), "dstack.scale"),
    "length beyond all": (b"\0\0\x03\xff\xff\xff\xff", "dstack.scale"),
    "vector of a billion events": (b"\0\0" + vector(QUOTE) + compact((1 << 30) - 1), "dstack.log.events"),
    "event name that is no text": (
        b"\0\0" + vector(QUOTE) + compact(1) + bytes(8) + vector(bytes(48)) + vector(b"\xff") + vector(b""),
        "dstack.scale",
    ),
    "too many events": (
        b"\0\0" + vector(b"") + compact(4097) + (bytes(8) + vector(bytes(48)) + b"\0\0") * 4097,
        "dstack.log.events",
    ),
    "bytes behind version 1": (pack(version_1(QUOTE, EVENTS)) + b"\0", "dstack.msgpack"),
    "one event less beside the log (1)": (
        pack(version_1(QUOTE, EVENTS, runtime=LESS)),
        "dstack.attestation.lists",
    ),
    "version 2": (pack(version_1(QUOTE, EVENTS, version=2)), "dstack.attestation.version"),
    "version true": (pack(version_1(QUOTE, EVENTS, version=True)), "dstack.attestation.version"),
    "a member more": (pack(version_1(QUOTE, EVENTS, more=1)), "dstack.attestation.member"),
    "a stack of another kind": (
        pack(version_1(QUOTE, EVENTS, stack={"kind": "podman", "data": {}})),
        "dstack.attestation.stack",
    ),
    "a stack whose kind is a list": (
        pack(version_1(QUOTE, EVENTS, stack={"kind": [], "data": {}})),
        "dstack.attestation.stack",
    ),
    "short report data": (stack(report_data=[0] * 63), "dstack.attestation.report_data"),
    "configuration that is no text": (stack(config=1), "dstack.attestation.member"),
    "runtime events that are no array": (stack(runtime_events={}), "dstack.attestation.member"),
    "runtime event that is no map": (stack(runtime_events=[1]), "dstack.log.member"),
    "quote of large numbers": (platform(quote=[256]), "dstack.attestation.member"),
    "quote of booleans": (platform(quote=[True]), "dstack.attestation.member"),
    "quote that is text": (platform(quote="04"), "dstack.attestation.member"),
    "event that is no map": (platform(event_log=[0]), "dstack.log.member"),
    "event with a register that is text": (
        platform(event_log=[{"imr": "3", "event_type": 1, "digest": b"", "event": "", "event_payload": b""}]),
        "dstack.attestation.member",
    ),
    "a map nested deeply": (b"\x81\xa1x" * 20 + b"\0", "dstack.msgpack"),
    "a key twice": (b"\x82\xa1x\0\xa1x\0", "dstack.msgpack"),
    "a key that is a number": (b"\x81\0\0", "dstack.msgpack"),
    "an array of four billion": (b"\x81\xa1x\xdd\xff\xff\xff\xff", "dstack.msgpack"),
    "a map of four billion": (b"\xdf\xff\xff\xff\xff", "dstack.msgpack"),
    "a negative number": (b"\x81\xa1x\xff", "dstack.msgpack"),
    "a float": (b"\x81\xa1x\xca\0\0\0\0", "dstack.msgpack"),
    "text that is none": (b"\x81\xa1\xff\0", "dstack.msgpack"),
    "a number that is not the shortest": (b"\x81\xa1x\xcc\x7f", "dstack.msgpack"),
    "text that is not the shortest": (b"\x81\xd9\x01x\0", "dstack.msgpack"),
    "a map that is not the shortest": (b"\xde\0\x01\xa1x\0", "dstack.msgpack"),
}


@pytest.mark.parametrize(("data", "expected"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_attestations(data, expected):
    assert code(parse_attestation, data) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner, max_size=20),
    max_leaves=20,
)


@given(VALUES)
def test_messagepack_is_read_as_it_was_written(value):
    try:
        found = msgpack.unpack(pack(value))
    except EvidenceError as error:
        assert "nested" in error.message  # noqa: PT017 - the only reason that a strategy cannot exclude
    else:
        assert found == value


@given(st.binary(max_size=60))
def test_messagepack_has_one_spelling(data):
    try:
        value = msgpack.unpack(data)
    except EvidenceError:
        return
    assert pack(value) == data


@given(st.integers(0, (1 << 30) - 1))
def test_compact_numbers(value):
    reader = ScaleReader(compact(value))
    assert reader.compact() == value
    reader.finish()


# -- answers


def answer(**members):
    return json.dumps(
        {"quote": QUOTE.hex(), "event_log": log_json(EVENTS).decode(), "report_data": "00" * 64} | members
    ).encode()


def test_get_quote():
    found = from_get_quote(answer(vm_config="{}"))
    assert (found.quote, found.log, found.vm_config) == (QUOTE, log_json(EVENTS), b"{}")
    assert found.stated == {"report_data": bytes(64)}


def test_an_attestation_takes_the_place_of_everything_beside_it():
    inner = version_0(QUOTE, EVENTS, config='{"image":"inner"}')
    found = from_get_quote(answer(attestation=inner.hex(), quote="zz", event_log=5, vm_config=7))
    assert found == from_attestation(inner)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[]", "json.type"),
        (answer(quote="0x04"), "dstack.answer.quote"),
        (answer(quote=None), "dstack.answer.quote"),
        (answer(event_log=[]), "dstack.answer.member"),
        (answer(event_log="\ud800"), "dstack.answer.member"),
        (answer(report_data="0"), "dstack.answer.member"),
        (answer(vm_config={}), "dstack.answer.member"),
        (answer(attestation=1), "dstack.answer.member"),
        (answer(attestation="zz"), "dstack.answer.member"),
    ],
)
def test_malformed_answers(data, expected):
    assert code(from_get_quote, data) == expected


def info(leaf=None, **members):
    tcb = {
        "event_log": json.loads(log_json(EVENTS)),
        "app_compose": "{}",
        "mrtd": "00" * 48,
        "compose_hash": "11" * 32,
    }
    leaf = certificate({Extension.QUOTE: QUOTE}) if leaf is None else leaf
    found = {"tcb_info": json.dumps(tcb), "app_cert": pem.encode(leaf, leaf).decode(), "app_id": "22" * 20}
    return json.dumps(found | members).encode()


def test_info():
    found = from_info(info(key_provider_info="{}", vm_config="{}"))
    assert (found.quote, list(found.log), found.app_compose) == (QUOTE, EVENTS, b"{}")
    assert (found.spki, found.vm_config) == (SPKI, b"{}")
    assert found.stated == {
        "mr_td": bytes(48),
        "compose_hash": b"\x11" * 32,
        "app_id": b"\x22" * 20,
        "key_provider_info": b"{}",
    }


def test_info_as_the_sdks_hand_it_on():
    answer = json.loads(info())
    answer["tcb_info"] = json.loads(answer["tcb_info"])
    assert from_info(json.dumps(answer).encode()) == from_info(info())


def test_info_with_an_attestation_in_its_certificate():
    leaf = certificate({Extension.ATTESTATION: version_0(QUOTE, EVENTS)})
    assert from_info(info(leaf)).quote == QUOTE


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (info(tcb_info=[]), "dstack.answer.member"),
        (info(tcb_info=None), "dstack.answer.member"),
        (info(tcb_info={}), "dstack.log.type"),
        (info(tcb_info="{}"), "dstack.log.type"),
        (info(tcb_info="not JSON"), "json.malformed"),
        (info(app_cert=""), "dstack.certificate.chain"),
        (info(app_cert=None), "dstack.answer.member"),
        (info(certificate({})), "dstack.certificate.no_quote"),
        (info(compose_hash="00" * 32), "dstack.answer.contradiction"),
        (info(app_id="0g"), "dstack.answer.member"),
    ],
)
def test_malformed_info(data, expected):
    assert code(from_info, data) == expected


# -- certificates


def test_a_certificate_with_quote_and_log():
    for log in (log_json(EVENTS), compressed(log_json(EVENTS))):
        found = from_certificate(certificate({Extension.QUOTE: QUOTE, Extension.EVENT_LOG: log}))
        assert (found.quote, found.log, found.spki) == (QUOTE, log_json(EVENTS), SPKI)


def test_a_certificate_with_an_attestation():
    inner = version_0(QUOTE, EVENTS)
    old = {Extension.QUOTE: b"other", Extension.EVENT_LOG: b"other"}
    found = from_certificate(certificate({Extension.ATTESTATION: inner, **old}))
    assert (found.quote, found.spki) == (QUOTE, SPKI)


def test_all_extensions_are_found():
    values = {kind: bytes([kind]) for kind in Extension}
    assert parse_certificate(certificate(values)).extensions == values


def test_strange_members_of_the_arc_are_no_concern():
    assert parse_certificate(certificate({7: b"x"}, raw=True)).extensions == {}


TRUE = certificate({Extension.QUOTE: QUOTE})


def twice() -> bytes:
    """Give a certificate the same extension twice; the library would not."""
    first = certificate({Extension.QUOTE: QUOTE, Extension.ATTESTATION: QUOTE})
    arc = bytes.fromhex("2b0601040183e73d01")
    return first.replace(arc + b"\x08", arc + b"\x01")


CERTIFICATES = {
    "nothing": (b"", "der.malformed"),
    "bytes behind it": (TRUE + b"\0", "der.malformed"),
    "as large as may be": (bytes(1024 * 1024), "der.malformed"),
    "too large": (bytes(1024 * 1024 + 1), "dstack.certificate.size"),
    "no extension of dstack": (certificate({}), "dstack.certificate.no_log"),
    "quote without log": (TRUE, "dstack.certificate.no_log"),
    "log without quote": (certificate({Extension.EVENT_LOG: b"[]"}), "dstack.certificate.no_quote"),
    "value that is not wrapped": (certificate({Extension.QUOTE: QUOTE}, raw=True), "der.malformed"),
    "bytes behind the wrapped value": (
        certificate({Extension.QUOTE: octets(QUOTE) + b"\0"}, raw=True),
        "der.malformed",
    ),
    "length that is not the shortest": (
        certificate({Extension.QUOTE: b"\x04\x81\x01x"}, raw=True),
        "der.malformed",
    ),
    "one extension twice": (twice(), "dstack.certificate.duplicate"),
}


@pytest.mark.parametrize(("data", "expected"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_malformed_certificates(data, expected):
    assert code(from_certificate, data) == expected


def test_every_truncation_of_a_certificate_is_refused():
    for size in range(len(TRUE)):
        assert code(parse_certificate, TRUE[:size]) == "der.malformed"


CHAIN = pem.encode(TRUE, certificate({}))


def test_the_leaf_is_the_first_of_the_chain():
    assert leaf_of_chain(CHAIN) == TRUE
    assert leaf_of_chain(CHAIN.rstrip()) == TRUE


@pytest.mark.parametrize(
    "chain",
    [
        b"",
        b"text\n" + CHAIN,
        CHAIN + b"text",
        CHAIN.replace(b"BEGIN", b"Begin"),
        pem.encode(*[TRUE] * 9),
        b"-----BEGIN CERTIFICATE-----\nA===\n-----END CERTIFICATE-----\n",
    ],
    ids=["nothing", "text before", "text behind", "another label", "nine", "no base64"],
)
def test_chains_that_are_none(chain):
    assert code(leaf_of_chain, chain) == "dstack.certificate.chain"


# -- compressed logs


def test_a_log_of_exactly_the_bound():
    log = b" " * MAX_UNPACKED_LOG_BYTES
    assert unpack_log(compressed(log)) == log


@pytest.mark.parametrize("size", [MAX_UNPACKED_LOG_BYTES + 1, 100 * 1024 * 1024])
def test_bombs_are_refused_before_they_unfold(size):
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20))
    bomb += packer.compress(bytes(size & 0xFFFFF)) + packer.flush()
    assert code(unpack_log, MAGIC + bomb) == "dstack.certificate.log_size"


@pytest.mark.parametrize(
    "value",
    [
        MAGIC,
        MAGIC + b"no gzip",
        compressed(b"[]")[:-1],
        compressed(b"[]") + b"\0",
        compressed(b"[]") + compressed(b"[]")[len(MAGIC) :],
        MAGIC + zlib.compress(b"[]"),
    ],
    ids=["nothing", "no gzip", "cut", "a byte more", "a second member", "zlib"],
)
def test_gzip_that_is_none(value):
    assert code(unpack_log, value) == "dstack.certificate.log_gzip"
