"""The logs of a TPM's boot against its PCRs: both formats, quirks of real firmware, and canonical logs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.eventlog import (
    Algorithm,
    Coverage,
    LogSpecs,
    cel,
    cel_json,
    parse,
    parse_boot_log,
    parse_cel,
    parse_cel_json,
    tcg,
    verify_boot_log,
)
from assay.evidence.eventlog.boot import startup_locality
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.eventlog.replay import initial
from assay.evidence.ledger import Outcome
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import FirmwareLog, LauncherLog, SystemLog, tlv
from support.tpm_scenes import keys

SPECS = LogSpecs.of("test.log")
SHA1, SHA256, SHA384 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384
FIRMWARE = frozenset({*range(10), 14})


def booted(**options) -> tuple[SoftwareTpm, FirmwareLog]:
    device = SoftwareTpm(keys("ak"), **options)
    log = FirmwareLog(device.banks)
    log.boot(device)
    return device, log


def judge(device, log: bytes, canonical: bytes = b"", *, bank=SHA256, explained=FIRMWARE):
    pcrs = device.pcrs(bank, range(24))
    return verify_boot_log(log, canonical, specs=SPECS, bank=bank, pcrs=pcrs, explained=frozenset(explained))


def codes(outcome) -> list[str]:
    return [check.code for check in outcome.checks if check.outcome is Outcome.FAILED]


@pytest.mark.parametrize("bank", [SHA1, SHA256, SHA384])
def test_a_boot_is_explained_in_every_bank(bank):
    device, log = booted()
    outcome = judge(device, log.encode(), bank=bank, explained=range(24))
    assert outcome.claims, outcome.checks
    assert outcome.claims.bank is bank
    assert outcome.claims.startup_locality == 0
    secure_boot = next(e for e in outcome.claims.events if e.kind == EventType.EFI_VARIABLE_DRIVER_CONFIG)
    assert secure_boot.bound.endswith(b"\x01")
    assert not secure_boot.late
    command = next(e for e in outcome.claims.events if e.kind == EventType.IPL)
    assert command.bound == b"linux /vmlinuz root=/dev/mapper/root"
    loader = next(e for e in outcome.claims.events if e.kind == EventType.EFI_BOOT_SERVICES_APPLICATION)
    assert (loader.late, loader.binding.coverage, loader.bound) == (True, Coverage.CAPTION, b"")


def test_the_old_format_is_explained_in_sha1_alone():
    device, log = booted()
    outcome = judge(device, log.encode_legacy(), bank=SHA1)
    assert outcome.claims
    assert parse_boot_log(log.encode_legacy()).algorithms == (SHA1,)
    assert codes(judge(device, log.encode_legacy())) == ["test.log.bank"]


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("legacy", [False, True])
def test_uniform_padding_is_unsigned(fill, legacy):
    device, log = booted()
    log.padding = fill * 100
    data = log.encode_legacy() if legacy else log.encode()
    outcome = judge(device, data, bank=SHA1)
    assert outcome.claims
    last = outcome.unsigned[-1]
    assert (last.end - last.start, last.end, last.name) == (100, len(data), "padding")
    spoilt = data[:-1] + b"x"
    assert codes(judge(device, spoilt, bank=SHA1))[0].startswith("test.log.layout.")


@pytest.mark.parametrize("legacy", [False, True])
def test_bytes_behind_the_last_event_are_refused(legacy):
    device, log = booted()
    data = (log.encode_legacy() if legacy else log.encode()) + b"junk"
    assert codes(judge(device, data, bank=SHA1)) == ["test.log.layout.truncated"]


def test_an_event_may_lack_banks_that_are_not_quoted():
    device, log = booted()
    log.measure(device, 14, EventType.IPL, b"an event of the operating system")
    del log.events[-1].digests[SHA1]
    assert judge(device, log.encode()).claims
    assert codes(judge(device, log.encode(), bank=SHA1)) == ["test.log.bank"]
    with pytest.raises(EvidenceError, match="digests"):
        parse(log.encode(), padding=frozenset())


@pytest.mark.parametrize("count", [0, 4])
def test_an_event_has_one_digest_at_least_and_none_twice(count):
    device, log = booted()
    data = log.encode()
    first = parse_boot_log(data).events[0].start + 8
    spoilt = data[:first] + struct.pack("<I", count) + data[first + 4 :]
    assert codes(judge(device, spoilt)) == ["test.log.layout.digests"]


# --- Where TPM2_Startup happened


@pytest.mark.parametrize("locality", [0, 3, 4])
@pytest.mark.parametrize("logged", [True, False])
def test_the_startup_locality_is_what_pcr_0_proves(locality, logged):
    device, log = booted(locality=locality)
    if not logged:
        log.events = [event for event in log.events if event.kind != EventType.NO_ACTION]
    outcome = judge(device, log.encode())
    assert outcome.claims, outcome.checks
    assert outcome.claims.startup_locality == locality


def test_a_locality_that_pcr_0_contradicts_is_refused():
    device, log = booted(locality=3)
    log.events[0].payload = b"StartupLocality\0\x04"
    assert codes(judge(device, log.encode())) == ["test.log.replay.mismatch"]


def test_the_locality_of_an_unexplained_pcr_0_is_not_known():
    device, log = booted()
    assert judge(device, log.encode(), explained=[7]).claims.startup_locality is None


@pytest.mark.parametrize("locality", [1, 2, 5])
def test_an_impossible_locality_is_refused(locality):
    _, log = booted()
    log.events.clear()
    log.note(b"StartupLocality\0" + bytes([locality]))
    with pytest.raises(EvidenceError, match="locality"):
        startup_locality(parse_boot_log(log.encode()).events)


@pytest.mark.parametrize("payload", [b"StartupLocality\0", b"StartupLocality\0\0\0"])
def test_a_locality_of_another_length_is_refused(payload):
    _, log = booted()
    log.events.clear()
    log.note(payload)
    with pytest.raises(EvidenceError, match="locality"):
        startup_locality(parse_boot_log(log.encode()).events)


def test_a_late_or_misplaced_locality_is_refused():
    device, log = booted()
    log.note(b"StartupLocality\0\0")
    assert codes(judge(device, log.encode())) == ["test.log.layout.locality"]
    device, log = booted()
    log.note(b"StartupLocality\0\0", register=1)
    assert codes(judge(device, log.encode())) == ["test.log.layout.locality"]


def test_an_untouched_pcr_0_shows_its_locality():
    device = SoftwareTpm(keys("ak"), locality=3)
    launcher = LauncherLog()
    launcher.measure(device, 14, 0, b"an image")
    outcome = judge(device, b"", launcher.encode())
    assert outcome.claims.startup_locality == 3
    assert outcome.unsigned == ()


# --- PCRs without events


@pytest.mark.parametrize(
    ("register", "value", "expected"),
    [
        (0, bytes(32), True),
        (0, bytes(31) + b"\x03", True),
        (0, bytes(31) + b"\x02", False),
        (0, bytes(30) + b"\x01\x03", False),
        (1, bytes(32), True),
        (1, bytes(31) + b"\x03", False),
        (16, b"\xff" * 32, False),
        (17, b"\xff" * 32, True),
        (22, bytes(32), True),
        (23, b"\xff" * 32, False),
        (17, b"\xff" * 31 + b"\xfe", False),
    ],
)
def test_a_pcr_has_known_values_at_reset(register, value, expected):
    assert initial(register, value) is expected


def test_a_pcr_without_events_that_was_extended_is_refused():
    device, log = booted()
    device.measure(12, b"something that nobody logged")
    assert codes(judge(device, log.encode(), explained=[*range(8), 12])) == ["test.log.replay.silent"]


def test_a_dynamic_launch_begins_with_zeros():
    device, log = booted()
    device.launch()
    log.measure(device, 17, 0x402, b"hash of the launched environment")
    outcome = judge(device, log.encode(), explained=range(24))
    assert outcome.claims, outcome.checks
    assert [event.register for event in outcome.claims.events][-1] == 17


def test_events_of_pcrs_that_are_not_explained_are_no_claims():
    device, log = booted()
    outcome = judge(device, log.encode(), explained=[7])
    assert {event.register for event in outcome.claims.events} == {7}
    assert "event of a PCR that is not explained" in {region.name for region in outcome.unsigned}


def test_what_to_explain_is_the_callers_word():
    device, log = booted()
    for explained in ([], [24]):
        with pytest.raises(EvidenceError, match="some of the PCRs"):
            judge(device, log.encode(), explained=explained)


def test_no_log_is_nothing_to_check():
    outcome = judge(SoftwareTpm(keys("ak")), b"")
    assert {check.outcome for check in outcome.checks} == {Outcome.NOT_APPLICABLE}
    assert outcome.claims is None


def test_a_version_that_firmware_logs_in_another_form_is_a_caption():
    device = SoftwareTpm(keys("ak"))
    log = FirmwareLog(device.banks)
    log.measure(device, 0, EventType.S_CRTM_VERSION, b"1.0", b"the same in another form")
    log.measure(device, 0, EventType.SEPARATOR, bytes(4))
    (version, _) = judge(device, log.encode(), explained=[0]).claims.events
    assert version.binding.coverage is Coverage.CAPTION


def test_bounds_come_first(monkeypatch):
    device, log = booted()
    monkeypatch.setattr(tcg, "MAX_LOG_BYTES", 100)
    assert codes(judge(device, log.encode_legacy(), bank=SHA1)) == ["test.log.layout.size"]
    assert codes(judge(device, log.encode(), bank=SHA1)) == ["test.log.layout.size"]
    monkeypatch.undo()
    monkeypatch.setattr(tcg, "MAX_EVENTS", 2)
    assert codes(judge(device, log.encode_legacy(), bank=SHA1)) == ["test.log.layout.events"]
    assert codes(judge(device, log.encode(), bank=SHA1)) == ["test.log.layout.events"]


# --- Canonical logs


def launched() -> tuple[SoftwareTpm, bytes, LauncherLog]:
    device, log = booted()
    launcher = LauncherLog()
    launcher.measure(device, 13, 0, b"registry.example/agent:1")
    launcher.measure(device, 13, 8, b"")
    launcher.measure(device, 15, 0, b"image", kind=82)
    return device, log.encode(), launcher


def test_a_launchers_log_stands_behind_the_firmwares():
    device, log, launcher = launched()
    explained = [*range(10), 13, 14]
    outcome = judge(device, log, launcher.encode(), explained=explained)
    assert outcome.claims, outcome.checks
    assert [record.nested() for record in outcome.claims.records] == [
        (0, b"registry.example/agent:1"),
        (8, b""),
    ]
    assert codes(judge(device, log, explained=explained)) == ["test.log.replay.silent"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (tlv(0, bytes(7)), "number"),
        (tlv(0, b"\0\0\0\0\0\0\0\1"), "number"),
        (tlv(1, bytes(8)), "number"),
        (tlv(0, bytes(8)), "truncated"),
        (tlv(0, bytes(8)) + tlv(2, b"\x0d"), "register"),
        (tlv(0, bytes(8)) + tlv(1, b"\0\x0d"), "register"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(4, b""), "digests"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, b""), "digests"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, tlv(11, bytes(31))), "digests"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, tlv(11, bytes(32)) * 2), "digests"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, tlv(9, bytes(32))), "digests"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, b"\x0b\0\0"), "truncated"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, tlv(11, bytes(32))), "truncated"),
        (tlv(0, bytes(8)) + tlv(1, b"\x0d") + tlv(3, tlv(11, bytes(32))) + tlv(80, b"")[:-1], "truncated"),
        (tlv(0, bytes(8)) + tlv(1, b"\x18") + tlv(3, tlv(11, bytes(32))) + tlv(80, b""), "register"),
        (tlv(0, bytes(8)) + tlv(108, b"\x01") + tlv(3, tlv(11, bytes(32))) + tlv(80, b""), "register"),
    ],
)
def test_a_malformed_canonical_log_is_refused(data, code):
    device, log, _ = launched()
    assert codes(judge(device, log, data)) == [f"test.log.cel.{code}"]


def test_an_empty_canonical_log_is_no_log():
    with pytest.raises(EvidenceError, match="no record"):
        parse_cel(b"")


def test_content_that_is_no_single_tlv_has_no_nested_value():
    device = SoftwareTpm(keys("ak"))
    launcher = LauncherLog()
    launcher.measure(device, 13, 0, b"x")
    for content in (b"", b"\0\0\0\0", tlv(0, b"x") + b"y"):
        launcher.records[0].content = content
        (record,) = parse_cel(launcher.encode())
        with pytest.raises(EvidenceError, match="TLV") as refused:
            record.nested()
        assert refused.value.code == "cel.content"


def test_canonical_logs_are_bounded(monkeypatch):
    _, _, launcher = launched()
    monkeypatch.setattr(cel, "MAX_RECORDS", 2)
    with pytest.raises(EvidenceError, match="more than 2 records"):
        parse_cel(launcher.encode())
    monkeypatch.setattr(cel, "MAX_CEL_BYTES", 10)
    with pytest.raises(EvidenceError, match="more than 10"):
        parse_cel(launcher.encode())


# --- What systemd measures


def running() -> tuple[SoftwareTpm, bytes, SystemLog]:
    device, log = booted()
    system = SystemLog()
    for phase in ("enter-initrd", "leave-initrd", "sysinit", "ready"):
        system.measure(device, 11, phase)
    system.measure(device, 15, "cryptsetup:root:f00", b"an HMAC under the volume's key")
    return device, log.encode(), system


def test_what_systemd_measured_explains_its_pcrs():
    device, log, system = running()
    explained = [*range(12), 14, 15]
    outcome = judge(device, log, system.encode(), explained=explained)
    assert outcome.claims, outcome.checks
    texts = [(record.content, record.proven(SHA256)) for record in outcome.claims.records]
    assert texts[0] == (b"enter-initrd", True)
    assert texts[-1] == (b"cryptsetup:root:f00", False)
    del system.records[1]
    assert codes(judge(device, log, system.encode(), explained=explained)) == ["test.log.replay.mismatch"]


def test_the_records_of_systemd_fill_their_log():
    _, _, system = running()
    data = system.encode()
    records = parse_cel_json(data)
    assert [record.number for record in records] == list(range(5))
    assert [record.start for record in records[1:]] == [record.end for record in records[:-1]]
    assert records[-1].end == len(data)
    with pytest.raises(EvidenceError, match="TLV"):
        records[0].nested()


RECORD = '{"pcr": 11, "digests": [{"hashAlg": "sha256", "digest": "%s"}], "content": {}}' % ("00" * 32)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (RECORD, "json"),
        (RECORD + " \n", "json"),
        ("[]\n", "json"),
        (RECORD.replace("11", '"11"') + "\n", "json"),
        (RECORD.replace("11", "-1") + "\n", "register"),
        (RECORD.replace("11", "24") + "\n", "register"),
        (RECORD.replace("11", "1" * 4000) + "\n", "register"),
        (RECORD.replace("sha256", "md5") + "\n", "digests"),
        (RECORD.replace("0000", "00", 1) + "\n", "digests"),
        (RECORD.replace("0000", "zz", 1) + "\n", "digests"),
        (RECORD.replace('"hashAlg"', '"alg"') + "\n", "json"),
        ('{"pcr": 11, "digests": [], "content": {}}\n', "digests"),
        ('{"pcr": 11, "digests": [1], "content": {}}\n', "digests"),
        (RECORD.replace("[{", '[{"hashAlg": "sha256", "digest": "%s"}, {' % ("00" * 32)) + "\n", "digests"),
        (RECORD.replace("{}", '{"string": 1}') + "\n", "json"),
        (RECORD.replace("{}", '{"string": "%s"}' % ("x" * 16384)) + "\n", "json"),
        (RECORD.replace("{", '{"pcr": 11, ', 1) + "\n", "json"),
    ],
)
def test_a_malformed_record_of_systemd_is_refused(text, code):
    device, log, _ = running()
    assert codes(judge(device, log, b"\x1e" + text.encode())) == [f"test.log.cel.{code}"]


def test_the_logs_of_systemd_are_bounded(monkeypatch):
    _, _, system = running()
    with pytest.raises(EvidenceError, match="separator"):
        parse_cel_json(b"{}")
    monkeypatch.setattr(cel_json, "MAX_RECORDS", 4)
    with pytest.raises(EvidenceError, match="more than 4 records"):
        parse_cel_json(system.encode())
    monkeypatch.setattr(cel_json, "MAX_CEL_BYTES", 10)
    with pytest.raises(EvidenceError, match="more than 10"):
        parse_cel_json(system.encode())


# --- Properties


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([8, 9, 11, 14]), st.sampled_from([0xD, 0x6, 0x80000003]), st.binary(max_size=12)
    ),
    max_size=6,
)


@given(EVENTS, st.data())
def test_no_change_of_a_log_is_accepted_outside_its_unsigned_regions(events, data):
    device, log = booted()
    for event in events:
        log.measure(device, *event)
    encoded = log.encode()
    explained = frozenset({*range(10), 11, 14})
    whole = judge(device, encoded, explained=explained)
    assert whole.claims, whole.checks
    at = data.draw(st.integers(0, len(encoded) - 1))
    spoilt = bytearray(encoded)
    spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    result = judge(device, bytes(spoilt), explained=explained)
    if result.claims:
        # A payload that may be a caption becomes one when it is changed, and the result says so.
        assert any(region.start <= at < region.end for region in result.unsigned)
        ours, theirs = ([(e.register, e.digest) for e in r.claims.events] for r in (result, whole))
        assert ours == theirs


@given(EVENTS, st.randoms(use_true_random=False))
def test_a_log_with_its_events_in_another_order_explains_the_same_pcrs_or_none(events, random):
    device, log = booted()
    for event in events:
        log.measure(device, *event)
    explained = frozenset({8, 9, 11, 14})
    by_register = {r: [e.digests for e in log.events if e.register == r] for r in explained}
    random.shuffle(log.events)
    same = by_register == {r: [e.digests for e in log.events if e.register == r] for r in explained}
    assert (judge(device, log.encode(), explained=explained).claims is not None) is same


@given(st.binary(max_size=300), st.binary(max_size=200))
def test_no_bytes_make_it_raise(log, canonical):
    outcome = judge(SoftwareTpm(keys("ak")), log, canonical)
    assert len(outcome.checks) == len(SPECS.all)
