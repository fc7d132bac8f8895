"""Bounds, places and codes of event logs that a mutation run found untested."""

from __future__ import annotations

import hashlib
import json
import re
import struct

import pytest

from assay.errors import EvidenceError
from assay.evidence.eventlog import (
    Algorithm,
    LogSpecs,
    PcrEvent,
    extend,
    parse_boot_log,
    parse_cel,
    parse_cel_json,
    replay_rtmrs,
    verify_boot_log,
)
from assay.evidence.eventlog.boot import startup_locality
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.eventlog.legacy import parse_legacy
from assay.evidence.eventlog.payload import Coverage, PayloadBinding
from assay.evidence.ledger import Outcome

SPECS = LogSpecs.of("test.log")
SHA1, SHA256 = Algorithm.SHA1, Algorithm.SHA256
SEPARATED = bytes(4)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def logged(register: int, kind: int, payload: bytes, measured: bytes | None = None) -> bytes:
    """Return an event with digests of SHA-1 and SHA-256, byte by byte as the profile has it."""
    what = payload if measured is None else measured
    digests = struct.pack("<H", 4) + hashlib.sha1(what).digest() + struct.pack("<H", 11) + sha256(what)
    return struct.pack("<III", register, kind, 2) + digests + struct.pack("<I", len(payload)) + payload


HEADER = struct.pack("<II20sI", 0, 3, bytes(20), 37) + b"Spec ID Event03\0" + bytes.fromhex(
    "00000000 00 02 00 02 02000000 0400 1400 0b00 2000 00"
)  # fmt: skip


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">BI", kind, len(value)) + value


def record(number: int, register: int, content: bytes) -> bytes:
    """Return a record with digests of both banks, as a launcher writes it."""
    whole = tlv(80, content)
    digests = tlv(4, hashlib.sha1(whole).digest()) + tlv(11, sha256(whole))
    return tlv(0, struct.pack(">Q", number)) + tlv(1, bytes([register])) + tlv(3, digests) + whole


def pcr(*measured: bytes) -> bytes:
    value = bytes(32)
    for what in measured:
        value = sha256(value + sha256(what))
    return value


def judge(log: bytes, pcrs: dict[int, bytes], canonical: bytes = b""):
    return verify_boot_log(
        log, canonical, specs=SPECS, bank=SHA256, pcrs=pcrs, explained=frozenset(pcrs)
    )  # fmt: skip


def failures(outcome) -> dict[str, str]:
    return {check.code: check.reason for check in outcome.checks if check.outcome is Outcome.FAILED}


# --- Places, by hand


def test_what_nothing_covers_stands_where_it_stands():
    """Offsets counted by hand: an event has 12 bytes in front of its digests, these 22 and 34, its size 4."""
    log = (
        HEADER
        + logged(7, EventType.SEPARATOR, SEPARATED)
        + logged(0, EventType.NO_ACTION, b"a note")
        + logged(8, EventType.IPL, b"grub_cmd: ls\0", b"ls")
        + logged(9, EventType.IPL, b"a file's name", b"its content")
        + logged(12, EventType.IPL, b"elsewhere")
        + bytes(50)
    )
    first = len(HEADER)
    note = first + 12 + 22 + 34 + 4 + 4
    command = note + 72 + 6
    name = command + 72 + 13
    elsewhere = name + 72 + 13
    end = elsewhere + 72 + 9
    pcrs = {7: pcr(SEPARATED), 8: pcr(b"ls"), 9: pcr(b"its content")}
    canonical = record(0, 13, b"\0\0\0\0\1x") + record(1, 14, b"elsewhere")
    outcome = judge(log, pcrs | {13: pcr(tlv(80, b"\0\0\0\0\1x"))}, canonical)
    assert outcome.claims, outcome.checks
    assert [(found.start, found.end, found.name) for found in outcome.unsigned] == [
        (0, first, "header of the event log"),
        (first + 4, first + 8, "type of an event"),
        (first + 12, first + 34, "digest of another bank"),
        (note, command, "event that measures nothing"),
        (command + 4, command + 8, "type of an event"),
        (command + 12, command + 34, "digest of another bank"),
        (command + 72, command + 82, "caption of an event"),
        (command + 84, command + 85, "caption of an event"),
        (name + 4, name + 8, "type of an event"),
        (name + 12, name + 34, "digest of another bank"),
        (name + 72, elsewhere, "caption of an event"),
        (elsewhere, end, "event of a PCR that is not explained"),
        (end, end + 50, "padding"),
    ]
    second = 13 + 6 + 5 + 25 + 37 + 5 + 6
    assert [(found.start, found.end, found.name) for found in outcome.unsigned_canonical] == [
        (24, 24 + 25, "digest of another bank"),
        (second, len(canonical), "record of a PCR that is not explained"),
    ]
    whole, part = PayloadBinding(Coverage.WHOLE, 0, 4), PayloadBinding(Coverage.PART, 10, 12)
    caption = PayloadBinding(Coverage.CAPTION, 0, 0)
    assert outcome.claims.events == (
        PcrEvent(7, 4, sha256(SEPARATED), SEPARATED, whole, late=False),
        PcrEvent(8, 13, sha256(b"ls"), b"grub_cmd: ls\0", part, late=False),
        PcrEvent(9, 13, sha256(b"its content"), b"a file's name", caption, late=False),
    )
    (only,) = outcome.claims.records
    assert (only.start, only.end, only.number, only.pcr, only.register) == (0, second, 0, True, 13)
    assert (only.kind, only.content, only.nested()) == (80, b"\0\0\0\0\1x", (0, b"x"))
    assert outcome.claims.explained == frozenset({7, 8, 9, 13})
    assert outcome.claims.startup_locality is None


def test_of_the_old_format_only_types_and_captions_are_uncovered():
    first = struct.pack("<II20sI", 7, 4, hashlib.sha1(SEPARATED).digest(), 4) + SEPARATED
    second = struct.pack("<II20sI", 8, 13, hashlib.sha1(b"ls").digest(), 12) + b"grub_cmd: ls"
    pcrs = {
        7: hashlib.sha1(bytes(20) + first[8:28]).digest(),
        8: hashlib.sha1(bytes(20) + second[8:28]).digest(),
    }
    outcome = verify_boot_log(
        first + second, b"", specs=SPECS, bank=SHA1, pcrs=pcrs, explained=frozenset({7, 8})
    )
    assert [(found.start, found.end, found.name) for found in outcome.unsigned] == [
        (4, 8, "type of an event"),
        (40, 44, "type of an event"),
        (68, 78, "caption of an event"),
    ]


# --- Separators


@pytest.mark.parametrize("payload", [bytes(4), b"\xff" * 4, b"\xff"])
def test_a_separator_without_an_error(payload):
    assert judge(HEADER + logged(7, EventType.SEPARATOR, payload), {7: pcr(payload)}).claims


@pytest.mark.parametrize(
    ("payloads", "code", "said"),
    [
        ([], "missing", "PCR {} has no separator, so"),
        ([SEPARATED, SEPARATED], "repeated", "PCR {} has more than one separator. Firmware measures one"),
        ([b"\1\0\0\0"], "error", "The separator of PCR {} reports an error"),
        ([b"\0"], "error", "The separator of PCR {} reports an error"),
        ([b""], "error", "The separator of PCR {} reports an error"),
    ],
)
@pytest.mark.parametrize("register", [0, 1, 5, 7])
def test_each_explained_pcr_has_one_separator(register, payloads, code, said):
    """Also where PCRs in front of it are not explained: their separators are nobody's concern."""
    measured = [b"Exit Boot Services Invocation", *payloads]
    log = HEADER + logged(register, EventType.EFI_ACTION, measured[0])
    log += b"".join(logged(register, EventType.SEPARATOR, payload) for payload in payloads)
    ((found, reason),) = failures(judge(log, {register: pcr(*measured)})).items()
    assert found == f"test.log.separators.{code}"
    assert reason.startswith(said.format(register))


def test_a_second_attempt_to_boot_is_told_as_what_it_is():
    """Some firmware measures every separator anew when it tries the next boot entry."""
    action = b"Calling EFI Application from Boot Option"
    attempt = b"".join(logged(register, EventType.SEPARATOR, SEPARATED) for register in range(8))
    log = HEADER + attempt + logged(4, EventType.EFI_ACTION, action) + attempt
    values = {register: pcr(SEPARATED, SEPARATED) for register in range(8)}
    values[4] = pcr(SEPARATED, action, SEPARATED)
    ((code, reason),) = failures(judge(log, values)).items()
    assert code == "test.log.separators.repeated"
    assert "Each of the PCRs [0, 1, 2, 3, 4, 5, 6, 7] has more than one separator." in reason
    assert "when a boot entry failed" in reason


@pytest.mark.parametrize("part", [SEPARATED, b"\xff" * 4])
def test_a_part_of_the_s_crtm_may_hash_like_a_separator_and_what_follows_it_is_late(part):
    """Were it the firmware's separator under that type, nothing behind it would look like the firmware's."""
    events = [
        (0, EventType.S_CRTM_CONTENTS, b"Measured S-CRTM", b"a block"),
        (0, EventType.S_CRTM_CONTENTS, b"Measured S-CRTM", part),
        (0, EventType.S_CRTM_VERSION, b"1.0", b"1.0"),
        (0, EventType.SEPARATOR, SEPARATED, SEPARATED),
    ]
    log = HEADER + b"".join(logged(*event) for event in events)
    values = {0: pcr(*(measured for _, _, _, measured in events))}
    assert [event.late for event in judge(log, values).claims.events] == [False, False, True, True]
    alone = HEADER + logged(*events[1])
    assert failures(judge(alone, {0: pcr(part)})).keys() == {"test.log.separators.missing"}


def test_a_part_of_the_s_crtm_in_another_pcr_or_with_an_errors_digest_hides_no_separator():
    for register, part in ((7, SEPARATED), (0, ERROR)):
        events = logged(register, EventType.S_CRTM_CONTENTS, b"S-CRTM", part)
        events += logged(register, EventType.SEPARATOR, SEPARATED)
        found = judge(HEADER + events, {register: pcr(part, SEPARATED)})
        assert failures(found).keys() == {"test.log.separators.repeated"}


ERROR = b"\1\0\0\0"


@pytest.mark.parametrize("own", [SEPARATED, b"\xff" * 4, ERROR, ERROR[::-1]])
def test_a_separator_under_another_type_is_one_all_the_same(own):
    """What the operating system extended between it and a second one would look like the firmware's."""
    events = [
        (7, EventType.EVENT_TAG, b"SecureBoot: off"),
        (7, EventType.EVENT_TAG, own),
        (7, EventType.EFI_ACTION, b"SecureBoot: on"),
        (7, EventType.SEPARATOR, SEPARATED),
    ]
    log = HEADER + b"".join(logged(*event) for event in events)
    found = judge(log, {7: pcr(*(payload for _, _, payload in events))})
    assert failures(found).keys() == {"test.log.separators.repeated"}
    assert found.claims is None
    alone = HEADER + logged(7, EventType.EVENT_TAG, own)
    assert failures(judge(alone, {7: pcr(own)})).keys() == {"test.log.separators.relabelled"}


@pytest.mark.parametrize("register", [1, 5])
def test_an_order_of_boot_entries_is_no_error(register):
    """Firmware measures the variable without its name: first entry 1, then entry 0."""
    variable = struct.pack("<16sQQ", bytes(16), 9, 4) + "BootOrder".encode("utf-16-le") + ERROR
    log = HEADER + logged(register, EventType.EFI_VARIABLE_BOOT, variable, ERROR)
    log += logged(register, EventType.SEPARATOR, SEPARATED)
    assert judge(log, {register: pcr(ERROR, SEPARATED)}).claims


def test_a_separator_is_known_by_its_digest_and_not_by_what_stands_beside_it():
    events = logged(7, EventType.IPL, b"a caption", SEPARATED) + logged(7, EventType.SEPARATOR, SEPARATED)
    found = judge(HEADER + events, {7: pcr(SEPARATED, SEPARATED)})
    assert failures(found).keys() == {"test.log.separators.repeated"}


@pytest.mark.parametrize("log", [b"", HEADER + logged(7, EventType.NO_ACTION, b"a note")])
def test_a_canonical_log_alone_does_not_stand_for_the_firmwares(log):
    """Its records in JSON may have any text: nothing of them says where the firmware's word ended."""
    said = {"hashAlg": "sha256", "digest": sha256(SEPARATED).hex()}
    written = {"pcr": 7, "digests": [said], "content": {"string": "SecureBoot: on"}}
    canonical = b"\x1e" + json.dumps(written).encode() + b"\n"
    found = judge(log, {7: pcr(SEPARATED)}, canonical)
    assert failures(found).keys() == {"test.log.separators.missing"}
    written["pcr"] = 13
    canonical = b"\x1e" + json.dumps(written).encode() + b"\n"
    assert judge(log, {7: bytes(32), 13: pcr(SEPARATED)}, canonical).claims


def test_a_bank_that_this_system_cannot_compute_fails_a_check(monkeypatch):
    def absent(data: bytes):
        raise ValueError("unsupported hash type sm3")

    bank = Algorithm.SM3_256
    monkeypatch.setattr(bank, "_make", absent)
    outcome = verify_boot_log(
        HEADER, b"", specs=SPECS, bank=bank, pcrs={7: bytes(32)}, explained=frozenset({7})
    )
    assert failures(outcome).keys() == {"test.log.bank.not_offered"}


def test_what_only_begins_like_padding_is_read_once():
    """Each of these zeros could begin an event of 32 bytes, behind which all others would be read again."""
    with pytest.raises(EvidenceError) as refused:
        parse_legacy(bytes(1 << 20) + b"\1")
    assert refused.value.code == "eventlog.padding"


def test_a_pcr_behind_the_firmwares_needs_no_separator():
    assert judge(HEADER + logged(8, EventType.IPL, b"ls"), {8: pcr(b"ls")}).claims


def test_what_stands_behind_the_separator_of_its_own_pcr_is_late():
    events = [(7, 5, b"a"), (7, 4, SEPARATED), (6, 5, b"b"), (6, 4, SEPARATED), (7, 5, b"c"), (6, 5, b"d")]
    log = HEADER + b"".join(logged(*event) for event in events)
    values = {r: pcr(*(payload for register, _, payload in events if register == r)) for r in (6, 7)}
    found = judge(log, values).claims.events
    assert [(event.payload, event.late) for event in found] == [
        (b"a", False), (SEPARATED, False), (b"b", False), (SEPARATED, False), (b"c", True), (b"d", True)
    ]  # fmt: skip


# --- Registers and localities


@pytest.mark.parametrize("register", [23, 24])
def test_there_are_24_pcrs(register):
    pcrs = {8: pcr(b"ls")}
    log = HEADER + logged(8, EventType.IPL, b"ls") + logged(register, EventType.IPL, b"x")
    codes = ["test.log.layout.register"] if register == 24 else []
    assert list(failures(judge(log, pcrs))) == codes
    canonical = record(0, 8, b"x") + record(1, register, b"x")
    codes = ["test.log.cel.register"] if register == 24 else []
    assert list(failures(judge(b"", {8: pcr(tlv(80, b"x"))}, canonical))) == codes
    note = logged(24, EventType.NO_ACTION, b"a note that extends nothing")
    assert judge(HEADER + logged(8, EventType.IPL, b"ls") + note, pcrs).claims


@pytest.mark.parametrize(
    ("first", "stated", "behind"),
    [
        (b"", b"\5", b""),
        (b"", b"", b""),
        (b"", b"\0\0", b""),
        (logged(0, 3, b"StartupLocality\0\0"), b"\0", b""),
        (logged(0, EventType.EFI_ACTION, b"an event"), b"\0", b""),
        (b"", b"\0", logged(1, 3, b"StartupLocality\0\0")),
    ],
    ids=["impossible", "empty", "long", "twice", "late", "elsewhere"],
)
def test_the_code_of_a_wrong_locality(first, stated, behind):
    log = HEADER + first + logged(0, 3, b"StartupLocality\0" + stated) + behind
    with pytest.raises(EvidenceError) as caught:
        startup_locality(parse_boot_log(log).events)
    assert caught.value.code == "eventlog.locality"


def test_a_locality_is_stated_in_front_of_the_events_of_pcr_0_only():
    log = HEADER + logged(1, EventType.EFI_ACTION, b"an event") + logged(0, 3, b"StartupLocality\0\3")
    assert startup_locality(parse_boot_log(log).events) == 3
    assert startup_locality(parse_boot_log(log[: -72 - 17]).events) is None


# --- Canonical logs


def test_every_cut_of_a_canonical_log_is_truncated():
    log = record(0, 13, b"one") + record(1, 13, b"two")
    half = len(log) // 2
    assert [found.end for found in parse_cel(log)] == [half, 2 * half]
    assert len(parse_cel(log[:half])) == 1
    for size in {*range(1, len(log))} - {half}:
        with pytest.raises(EvidenceError) as caught:
            parse_cel(log[:size])
        assert caught.value.code == "cel.truncated", size


@pytest.mark.parametrize("size", [4, 5, 36])
def test_every_cut_of_the_digests_is_truncated(size):
    digests = tlv(11, bytes(32))[:size]
    log = tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, digests) + tlv(80, b"x")
    with pytest.raises(EvidenceError) as caught:
        parse_cel(log)
    assert caught.value.code == "cel.truncated"


def test_a_record_without_the_quoted_bank_is_refused():
    content = tlv(80, b"x")
    log = tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, tlv(4, hashlib.sha1(content).digest())) + content
    assert list(failures(judge(b"", {13: pcr(content)}, log))) == ["test.log.bank"]


def test_a_record_whose_content_was_not_measured_is_refused():
    log = record(0, 13, b"x")[:-1] + b"y"
    (reason,) = failures(judge(b"", {13: pcr(tlv(80, b"x"))}, log)).items()
    assert reason == (
        "test.log.payload.contradicted",
        "Record 0 of the canonical log has content that its digest is not of.",
    )


def text(register: int, more: str = "") -> bytes:
    digest = '{"hashAlg": "sha256", "digest": "%s"}' % ("00" * 32)
    return f'\x1e{{"pcr": {register}, "digests": [{digest}], "content": {{{more}}}}}\n'.encode()


def code(read, data: bytes) -> str:
    try:
        read(data)
    except EvidenceError as error:
        return error.code
    return "parsed"


def test_registers_of_records_in_json():
    assert [code(parse_cel_json, text(register)) for register in (-1, 0, 255, 256)] == [
        "cel.register", "parsed", "parsed", "cel.register"
    ]  # fmt: skip


def test_the_bounds_of_records_in_json():
    assert code(parse_cel_json, b"\x1e" * 16384) == "cel.json"
    assert code(parse_cel_json, b"\x1e" * 16385) == "cel.records"
    room = 16384 + 1 - len(text(11, '"string": ""'))
    assert code(parse_cel_json, text(11, f'"string": "{"x" * room}"')) == "parsed"
    assert code(parse_cel_json, text(11, f'"string": "{"x" * (room + 1)}"')) == "cel.json"


@pytest.mark.parametrize("read", [parse_cel, parse_cel_json])
def test_the_bound_of_a_canonical_log(read):
    for size in (4 * 1024 * 1024, 4 * 1024 * 1024 + 1):
        assert (code(read, b"\x1e" + bytes(size - 1)) == "cel.size") is (size > 4 * 1024 * 1024)


def test_digests_of_every_algorithm_are_named_as_systemd_names_them():
    for name, size in {
        "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64, "sm3_256": 32,
        "sha3_256": 32, "sha3_384": 48, "sha3_512": 64,
    }.items():  # fmt: skip
        other = text(11).replace(b"sha256", name.encode()).replace(b"00" * 32, b"ab" * size)
        (found,) = parse_cel_json(other)
        assert found.digests == ((Algorithm[name.upper()], b"\xab" * size),)
        assert found.start == 0
        assert found.end == len(other)
        for wrong in (size - 1, size + 1):
            assert code(parse_cel_json, other.replace(b"ab" * size, b"ab" * wrong)) == "cel.digests"


# --- Firmware's logs


@pytest.mark.parametrize("legacy", [False, True])
def test_every_cut_of_a_firmwares_log_is_truncated(legacy):
    if legacy:
        first = struct.pack("<II20sI", 7, 4, hashlib.sha1(SEPARATED).digest(), 4) + SEPARATED
        log, borders = first * 2, {len(first)}
    else:
        event = logged(7, EventType.SEPARATOR, SEPARATED)
        log, borders = HEADER + event * 2, {len(HEADER), len(HEADER + event)}
    for size in range(len(HEADER) if not legacy else 1, len(log)):
        cut = code(parse_boot_log, log[:size])
        assert cut == ("parsed" if size in borders else "eventlog.truncated"), size


def test_the_bounds_of_a_log_in_the_old_format():
    event = struct.pack("<II20sI", 7, 4, bytes(20), 0)
    assert [code(parse_boot_log, event * count) for count in (0, 16384, 16385)] == [
        "eventlog.empty", "parsed", "eventlog.events"
    ]  # fmt: skip
    for size in (4 * 1024 * 1024, 4 * 1024 * 1024 + 1):
        found = code(parse_boot_log, event + bytes(size - 32))
        assert found == ("parsed" if size == 4 * 1024 * 1024 else "eventlog.size")


@pytest.mark.parametrize("explained", [frozenset(), frozenset({9}), frozenset({8, 9})])
def test_what_to_explain_is_quoted(explained):
    log = HEADER + logged(8, EventType.IPL, b"ls")
    with pytest.raises(EvidenceError) as caught:
        verify_boot_log(log, b"", specs=SPECS, bank=SHA256, pcrs={8: pcr(b"ls")}, explained=explained)
    assert caught.value.code == "evidence.call.registers"


def test_an_event_of_another_machine_makes_another_pcr():
    log = HEADER + logged(8, EventType.IPL, b"ls")
    assert failures(judge(log, {8: pcr(b"rm"), 9: bytes(32)})) == {
        "test.log.replay.mismatch": "The logs make other values of the PCRs [8]."
    }
    assert failures(judge(log, {8: pcr(b"ls"), 9: pcr(b"rm"), 10: bytes(32)})) == {
        "test.log.replay.silent": "The PCRs [9] were extended, by nothing in the logs."
    }


def locality_pcr(locality: int, *measured: bytes) -> bytes:
    value = bytes(31) + bytes([locality])
    for what in measured:
        value = sha256(value + sha256(what))
    return value


@pytest.mark.parametrize("locality", [0, 3, 4])
def test_the_locality_is_that_of_pcr_0_alone(locality):
    """Whether PCR 0 was extended or not, and whatever the other PCRs hold."""
    log = HEADER + logged(0, EventType.SEPARATOR, SEPARATED)
    found = judge(log, {0: locality_pcr(locality, SEPARATED), 1: bytes(32), 8: bytes(32)})
    assert "mismatch" not in str(failures(found))
    extended = verify_boot_log(
        log,
        b"",
        specs=SPECS,
        bank=SHA256,
        pcrs={0: locality_pcr(locality, SEPARATED)},
        explained=frozenset({0}),
    )
    assert extended.claims.startup_locality == locality
    silent = judge(b"", {0: locality_pcr(locality), 13: pcr(tlv(80, b"x"))}, record(0, 13, b"x"))
    assert silent.claims.startup_locality == locality
    among = HEADER + logged(1, EventType.SEPARATOR, SEPARATED)
    values = {0: locality_pcr(locality), 1: pcr(SEPARATED)}
    found = judge(among, values)
    assert failures(found).keys() == {"test.log.separators.missing"}


def test_sources_of_checks_are_sections_of_the_specifications():
    assert SPECS.layout.id == "test.log.layout"
    assert {spec.id.rpartition(".")[2]: re.findall(r"\w[\w.]*\.\d+", spec.source) for spec in SPECS.all} == {
        "layout": ["1.06", "10.2"],
        "cel": ["1.0", "5.1", "5.2"],
        "bank": ["1.06", "10.2.2"],
        "replay": ["1.06", "3.3", "1.05", "4.6"],
        "separators": ["1.06", "3.3.1", "10.4.1"],
        "payload": ["1.06", "10.4.1", "1.0", "4.3"],
    }


def test_a_runtime_register_is_extended_by_sha384():
    first, second = hashlib.sha384(b"first").digest(), hashlib.sha384(b"second").digest()
    value = extend(extend(bytes(48), first), second)
    assert value == hashlib.sha384(hashlib.sha384(bytes(48) + first).digest() + second).digest()
    assert replay_rtmrs([(3, first), (3, second)]) == (bytes(48), bytes(48), bytes(48), value)
