"""Attestations of every platform at their bounds, member by member, and what a guest is shown to be."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import cbor2
import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding.der import SEQUENCE, DerReader
from assay.evidence.dstack import open_attestation, verify_guest
from assay.evidence.dstack.certificate import Extension, parse_certificate
from assay.evidence.dstack.claims import AppEvent
from assay.evidence.dstack.google import RELIED_PCRS, vm_evidence
from assay.evidence.dstack.guest import GuestClaims
from assay.evidence.dstack.nitro import os_image_hash, parse_nitro_attestation
from assay.evidence.dstack.system import read_system_events
from assay.evidence.dstack.td_hob import td_hob_digest
from assay.evidence.dstack.versioned import BootTpm, looks_versioned
from assay.evidence.dstack.vm_config import parse_vm_config
from assay.evidence.ledger import Outcome
from assay.evidence.x509.general import GeneralCertificate
from support import nitro_scenes
from support.dcap_scenes import encode
from support.dstack_attested import (
    BOOT,
    MAKERS,
    REPORT_DATA,
    aws_config,
    enclave,
    google,
    members,
    nitro_tpm,
    packed,
    scale,
    snp,
)
from support.dstack_encodings import certificate, pack, vector
from support.dstack_guest import system_events

NITRO = ("nitro-enclave", "aws-nitro-tpm")
SYSTEM = read_system_events(system_events())


def code(work, *arguments) -> str:
    with pytest.raises(EvidenceError) as caught:
        work(*arguments)
    return caught.value.code


def judged(made):
    return verify_guest(made.result(), made.found)


# -- recognising one


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("size", [1, 64, 16383, 16384])
def test_what_looks_like_an_attestation_of_version_0(number, size):
    """All evidence is 64 bytes long or more, so its length takes two bytes or four."""
    data = bytes([0, number]) + vector(bytes(size)) + bytes(80)
    assert looks_versioned(data) is (number < 5 and size >= 64)


def test_what_else_looks_like_an_attestation():
    head = b"\0\0" + (64 << 2 | 1).to_bytes(2, "little")
    assert looks_versioned(head.ljust(65, b"\0"))
    assert not looks_versioned(head.ljust(64, b"\0"))
    assert not looks_versioned(b"\0\0\x03".ljust(80, b"\0"))
    assert not looks_versioned(b"\1" + head[1:].ljust(80, b"\0"))
    for name in ("version", "platform", "stack"):
        first = bytes([0xA0 | len(name)]) + name.encode()
        assert looks_versioned(b"\x83" + first)
        assert not looks_versioned(b"\x82" + first)
        assert not looks_versioned(b"\x83" + first[:-1])


# -- bounds


@pytest.mark.parametrize("write", [scale, packed])
def test_an_attestation_of_one_mebibyte(write):
    found = snp().found
    for extra, accepted in ((0, True), (1, False)):
        short = write(replace(found, config="x" * 70000))
        room = (1 << 20) - len(short) + extra
        data = write(replace(found, config="x" * (70000 + room)))
        assert len(data) == (1 << 20) + extra
        if accepted:
            assert open_attestation(data).config == "x" * (70000 + room)
        else:
            assert code(open_attestation, data) == "dstack.attestation.size"


@pytest.mark.parametrize("write", [scale, packed])
def test_as_many_entries_as_there_may_be(write):
    found = replace(snp().found, certificates=(b"x",) * 8)
    assert open_attestation(write(found)).certificates == (b"x",) * 8
    made = google().found
    pcrs = {index: bytes([index]) * 32 for index in range(24)}
    events = ((23, bytes(32)),) * 4096
    found = replace(made, tpm=BootTpm(b"message", b"signature", pcrs, b"certificate", events))
    read = open_attestation(write(found))
    assert read.tpm == found.tpm
    more = replace(found, tpm=replace(found.tpm, events=((23, bytes(32)),) * 4097))
    assert code(open_attestation, write(more)) == "dstack.log.events"


@pytest.mark.parametrize("write", [scale, packed])
def test_as_many_runtime_events_as_there_may_be(write):
    found = snp().found
    events = (found.runtime * 500)[:4096]
    assert open_attestation(write(replace(found, runtime=events))).runtime == events
    more = replace(found, runtime=(*events, events[0]))
    assert code(open_attestation, write(more)) == "dstack.log.events"


@pytest.mark.parametrize(
    "changes",
    [
        {"pcrs": {0: bytes(31)}},
        {"pcrs": {24: bytes(32)}},
        {"events": ((24, bytes(32)),)},
        {"events": ((0, bytes(33)),)},
        {"events": ((0, bytes(32)), (1, b""))},
    ],
)
@pytest.mark.parametrize("write", [scale, packed])
def test_registers_and_digests_of_another_size(write, changes):
    found = google().found
    data = write(replace(found, tpm=replace(found.tpm, **changes)))
    assert code(open_attestation, data) == "dstack.attestation.tpm"


@pytest.mark.parametrize("write", [scale, packed])
def test_registers_of_another_bank(write):
    data = write(google().found)
    assert data.count(b"sha256") >= 1
    data = data.replace(b"sha256", b"sha384", 1)
    assert code(open_attestation, data) == "dstack.attestation.tpm"


@pytest.mark.parametrize("platform", [0, 2, 3, 4])
def test_a_tpm_of_another_cloud(platform):
    found = google().found
    data = scale(found)
    certificate = vector(found.tpm.certificate)
    at = data.index(certificate) + len(certificate)
    assert data[at] == 1
    data = data[:at] + bytes([platform]) + data[at + 1 :]
    assert code(open_attestation, data) == "dstack.attestation.tpm"


def test_the_longest_configuration_of_a_nitro_attestation():
    found = replace(enclave().found, config="x" * 65536)
    assert parse_nitro_attestation(scale(found)).config == "x" * 65536


# -- members of version 1


def data_of(variant):
    return members(MAKERS[variant]().found)["platform"]["data"]


NAMES = [(variant, name) for variant in MAKERS for name in data_of(variant)]


@pytest.mark.parametrize(("variant", "name"), NAMES)
def test_every_member_of_the_evidence_is_needed_and_has_its_type(variant, name):
    document = members(MAKERS[variant]().found)
    data = document["platform"]["data"]
    for changed in (
        {key: value for key, value in data.items() if key != name},
        data | {name: 7},
        data | {name: None},
        data | {name: [None]},
        data | {"more": 7},
    ):
        document["platform"]["data"] = changed
        expected = "dstack.log.member" if changed.get(name) == [None] and name == "event_log" else ""
        assert code(open_attestation, pack(document)) == (expected or "dstack.attestation.member")


@pytest.mark.parametrize("name", ["report_data", "runtime_events", "config"])
def test_every_member_of_the_stack_is_needed_and_has_its_type(name):
    for change in ({}, {name: 7}, {name: None}):
        document = members(snp().found)
        del document["stack"]["data"][name]
        document["stack"]["data"] |= change
        assert code(open_attestation, pack(document)) == "dstack.attestation.member"


@pytest.mark.parametrize("part", ["version", "platform", "stack"])
@pytest.mark.parametrize("inner", ["", "kind", "data"])
def test_no_part_of_an_attestation_may_be_missing(part, inner):
    if inner and part == "version":
        return
    document = members(snp().found)
    del (document[part] if inner else document)[inner or part]
    assert code(open_attestation, pack(document)) == "dstack.attestation.member"


QUOTE_MEMBERS = ("message", "signature", "pcr_values", "ak_cert", "platform", "event_log")


@pytest.mark.parametrize("name", QUOTE_MEMBERS)
def test_every_member_of_a_tpm_quote_is_needed_and_has_its_type(name):
    for change in ({}, {name: 7}):
        document = members(google().found)
        quote = document["platform"]["data"]["tpm_quote"]
        assert set(quote) == set(QUOTE_MEMBERS)
        del quote[name]
        quote |= change
        expected = "tpm" if change and name == "platform" else "member"
        assert code(open_attestation, pack(document)) == f"dstack.attestation.{expected}"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        *(("pcr_values", name) for name in ("index", "algorithm", "value")),
        *(("event_log", name) for name in ("pcr_index", "digest")),
    ],
)
def test_every_member_of_a_register_and_of_a_boot_event_is_needed_and_has_its_type(group, name):
    for change in ({}, {name: None}, {name: {}}):
        document = members(google().found)
        entry = document["platform"]["data"]["tpm_quote"][group][0]
        del entry[name]
        entry |= change
        assert code(open_attestation, pack(document)) == "dstack.attestation.member"


@pytest.mark.parametrize("name", ["imr", "event_type", "digest", "event", "event_payload"])
def test_every_member_of_an_event_is_needed_and_has_its_type(name):
    for change, expected in (({}, "log.member"), ({name: None}, "attestation.member")):
        document = members(google().found)
        event = document["platform"]["data"]["event_log"][0]
        del event[name]
        event |= change
        assert code(open_attestation, pack(document)) == f"dstack.{expected}"
    document["platform"]["data"]["event_log"][0] = {"more": 1}
    assert code(open_attestation, pack(document)) == "dstack.log.member"


@pytest.mark.parametrize("name", ["event", "payload"])
def test_every_member_of_a_runtime_event_is_needed_and_has_its_type(name):
    for change, expected in (({}, "log.member"), ({name: None}, "attestation.member")):
        document = members(snp().found)
        event = document["stack"]["data"]["runtime_events"][0]
        del event[name]
        event |= change
        assert code(open_attestation, pack(document)) == f"dstack.{expected}"
    for change, expected in (({"more": 1}, "log.member"), ({"version": "2"}, "attestation.member")):
        document = members(snp().found)
        document["stack"]["data"]["runtime_events"][0] |= change
        assert code(open_attestation, pack(document)) == f"dstack.{expected}"


def test_an_event_s_version_and_preimage_may_be_stated():
    document = members(google().found)
    document["platform"]["data"]["event_log"][0] |= {"version": 1, "preimage": None}
    assert open_attestation(pack(document)) == google().found
    document["platform"]["data"]["event_log"][0] |= {"preimage": "0a", "version": 2}
    event = open_attestation(pack(document)).log[0]
    assert (event.version, event.preimage) == (2, b"\n")


# -- who a guest is


def left_open(result):
    """Return what each sentence about what is not proven begins with."""
    return {sentence.split(":")[0] for sentence in result.not_proven}


def test_what_an_snp_guest_is_and_what_stays_open():
    result = judged(snp())
    assert result.claims == GuestClaims("sev-snp", SYSTEM, (), None)
    assert {"What the application did after boot", "Which operating system booted"} <= left_open(result)


def test_what_an_enclave_is_and_what_stays_open():
    result = judged(enclave())
    pcrs = nitro_scenes.PCRS
    image = hashlib.sha256(pcrs[0] + pcrs[1] + pcrs[2]).digest()
    assert result.claims == GuestClaims("nitro-enclave", None, (), image)
    assert "What the guest's events say" in left_open(result)


def test_what_an_instance_with_a_nitro_tpm_is():
    result = judged(nitro_tpm())
    image = bytes.fromhex(json.loads(aws_config())["os_image_hash"])
    said = (AppEvent("app", b"said"),)
    assert result.claims == GuestClaims("aws-nitro-tpm", SYSTEM, said, image)
    assert "What the guest's events say" not in left_open(result)


def test_what_a_guest_on_googles_cloud_is_and_what_stays_open():
    result = judged(google())
    assert result.claims == GuestClaims("gcp-tdx", SYSTEM, (AppEvent("app", b"said"),), None)
    assert "That the virtual TPM is this machine's" in left_open(result)


@pytest.mark.parametrize("variant", MAKERS)
def test_nothing_is_said_of_a_guest_that_is_refused(variant):
    """The evidence is authentic, and of another platform."""
    other = enclave() if variant == "sev-snp" else snp()
    result = verify_guest(other.result(), MAKERS[variant]().found)
    assert [check.code for check in result.ledger.failed()] == ["dstack.guest.unauthenticated"]
    assert result.not_proven == ()
    assert result.unsigned == ()


def tpm_document(registers, **changes):
    """Return a NitroTPM's attestation whose document holds exactly these registers of the usual ones."""
    usual = nitro_tpm()
    pcrs = usual.result().claims.pcrs
    module = nitro_scenes.AWS.instance("dstack").tpm({})
    draft = module.draft(nitro_scenes.NOW, user_data=REPORT_DATA)
    draft.members["nitrotpm_pcrs"] = {index: pcrs[index] for index in sorted(registers)}
    return usual.changed(evidence=draft.encode(), **changes)


def test_registers_that_a_document_leaves_out():
    whole = tpm_document({4, 7, 8, 12, 14})
    assert judged(whole).authentic
    without = judged(tpm_document({4, 7, 12, 14}))
    assert without.authentic
    assert without.ledger["dstack.nitro_tpm.config"].outcome is Outcome.NOT_APPLICABLE
    assert [check.code for check in judged(tpm_document({4, 7, 8, 12})).ledger.failed()] == [
        "dstack.nitro_tpm.events"
    ]


@pytest.mark.parametrize("lacking", BOOT)
def test_an_image_is_named_by_all_registers_of_the_boot(lacking):
    """A measurement of fewer registers fits a document of fewer: it names no image all the same."""
    kept = [value for index, value in BOOT.items() if index != lacking]
    fewer = aws_config(hashlib.sha256(b"".join(kept)).digest())
    made = tpm_document({4, 7, 8, 12, 14} - {lacking}, config=fewer)
    assert [check.code for check in judged(made).ledger.failed()] == ["dstack.nitro_tpm.image"]


MEASURED = hashlib.sha256(b"".join(BOOT.values())).digest()
MEASUREMENT = cbor2.dumps({"boot_pcr_digest": MEASURED})


def image(measurement=MEASUREMENT, listed=None, *, name="measurement.aws.cbor", more=None):
    """Return a configuration that names an image by its checksum file, and that file."""
    digest = hashlib.sha256(measurement if listed is None else listed).hexdigest()
    checksums = f"{digest}  {name}\n".encode()
    files = {"checksum_file": checksums, "measurement": measurement}
    said = {key: base64.b64encode(value).decode() for key, value in files.items()} | (more or {})
    return json.dumps({"os_image_hash": hashlib.sha256(checksums).hexdigest(), "aws_measurement": said})


@pytest.mark.parametrize(
    "config",
    [
        image(listed=b"another measurement"),
        image(name="measurement.tdx.cbor"),
        image(cbor2.dumps({"boot_pcr_digest": MEASURED, "more": 1})),
        image(cbor2.dumps({"boot_pcr_digest": list(MEASURED)})),
        image(cbor2.dumps({"boot_pcr_digest": None})),
        image(cbor2.dumps({"pcr_digest": MEASURED})),
        image(cbor2.dumps([MEASURED])),
        image(MEASUREMENT + b"\0"),
        image(b""),
        image(more={"more": ""}),
        image(more={"measurement": 7}),
        image(more={"checksum_file": MEASURED.hex() + "!"}),
    ],
)
def test_an_image_whose_files_do_not_fit_each_other_is_refused(config):
    """The registers are right in all of them: what is wrong is the way from them to the image's name."""
    whole = nitro_tpm()
    result = verify_guest(whole.result(), replace(whole.found, config=config))
    assert [check.code for check in result.ledger.failed()] == ["dstack.nitro_tpm.image"]
    assert verify_guest(whole.result(), replace(whole.found, config=image())).authentic


def test_how_long_an_enclaves_configuration_may_be():
    whole = enclave()
    evidence = whole.result()
    for size, accepted in ((1 << 18, True), ((1 << 18) + 1, False)):
        found = replace(whole.found, config=whole.found.config.ljust(size))
        assert verify_guest(evidence, found).authentic is accepted


def test_the_parts_that_the_verifier_of_googles_machines_is_given():
    found = google().found
    parts = vm_evidence(found)
    (quote,) = parts.quotes
    assert (quote.message, quote.signature, quote.pcrs) == (
        found.tpm.message,
        found.tpm.signature,
        found.tpm.pcrs,
    )
    assert quote.bank == 0x0B
    assert parts.ak_certificate == found.tpm.certificate
    assert parts.ak_public == GeneralCertificate.parse(found.tpm.certificate).spki
    assert parts.td_quote == found.evidence
    assert {0, 2, 14} == RELIED_PCRS


def test_an_enclaves_image_is_the_hash_of_its_three_registers():
    claims = enclave().result().claims
    pcrs = nitro_scenes.PCRS
    assert os_image_hash(claims) == hashlib.sha256(pcrs[0] + pcrs[1] + pcrs[2]).digest()
    fewer = replace(claims, pcrs={0: pcrs[0], 2: pcrs[2]})
    assert os_image_hash(fewer) == hashlib.sha256(pcrs[0] + pcrs[2]).digest()


# -- configurations and witnesses


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": 7},
        {"image": "x" * 257},
        {"os_image_hash": 7},
        {"os_image_hash": "0"},
        {"memory_size": "1"},
        {"memory_size": -1},
        {"memory_size": 1 << 64},
        {"memory_size": True},
        {"mr_config": 7},
        {"mr_config": "\ud800"},
    ],
    ids=str,
)
def test_what_is_wrong_in_a_configuration_has_one_code(wrong):
    assert code(parse_vm_config, json.dumps(wrong).encode()) == "dstack.vm_config"
    embedded = json.dumps({"vm_config": json.dumps(wrong)}).encode()
    assert code(parse_vm_config, embedded) == "dstack.vm_config"


def test_the_bounds_of_a_configuration():
    assert parse_vm_config(b'{"image":"%s"}' % (b"x" * 256)).image == "x" * 256
    assert parse_vm_config(b'{"memory_size":%d}' % ((1 << 64) - 1)).memory_bytes == (1 << 64) - 1
    assert parse_vm_config(b"{}".ljust(1 << 18)).image is None
    assert code(parse_vm_config, b"{}".ljust((1 << 18) + 1)) == "json.oversized"
    assert code(parse_vm_config, b'{"vm_config":7}') == "dstack.vm_config"


def test_a_zero_of_a_witness_is_one_byte():
    """Base page 2048, list on page 0, one range of 256 pages from the base."""
    witness = bytes.fromhex("8010 00 01 00 8002")
    assert len(td_hob_digest(witness, 4 << 30)) == 48
    for longer in ("8010 8000 01 00 8002", "8010 00 01 8000 8002", "8010 808000 01 00 8002"):
        assert code(td_hob_digest, bytes.fromhex(longer), 4 << 30) == "dstack.os_image.td_hob"


def test_nothing_follows_the_signed_part_of_a_certificate():
    outer = DerReader(certificate({Extension.QUOTE: b"quote"})).enter()
    signed = outer.value(SEQUENCE)
    rest = outer.data[outer.pos : outer.end]
    assert parse_certificate(encode(SEQUENCE, encode(SEQUENCE, signed) + rest)).extensions
    longer = encode(SEQUENCE, encode(SEQUENCE, signed + b"\x05\x00") + rest)
    assert code(parse_certificate, longer) == "der.malformed"


def test_nothing_follows_the_value_of_an_extension():
    der = certificate({Extension.QUOTE: b"quote"})
    value = b"\x04\x07\x04\x05quote"
    longer = b"\x04\x05\x04\x03quo\x05\x00"  # as long as before, so that every length around it still fits
    assert der.count(value) == 1
    assert code(parse_certificate, der.replace(value, longer)) == "der.malformed"
