"""Bounds, offsets, digests and shown fields of NVIDIA evidence, compared with values worked out by hand."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from assay.errors import EvidenceError
from assay.evidence.facts import FactCache, Window
from assay.evidence.ledger import LedgerBuilder, Outcome
from assay.evidence.nvidia import Architecture, DeviceKind, Mode, NvidiaEndorsements, checks, verify_nvidia
from assay.evidence.nvidia.chains import verify_device_chain
from assay.evidence.nvidia.compare import Subject, compare, manifest_ids, same_chip
from assay.evidence.nvidia.containers import ContainerError, is_container, read_container
from assay.evidence.nvidia.golden import GoldenMeasurements
from assay.evidence.nvidia.opaque import OpaqueData
from assay.evidence.nvidia.spdm import SpdmError, parse_report
from assay.evidence.ocsp import OcspReply
from assay.evidence.verification import Anchor, Expected, Unchecked
from assay.simulator.nvidia import Scene, pki
from assay.simulator.nvidia.device import SimulatedDevice
from support.nvidia_scenes import (
    ARCHITECTURES,
    NONCE,
    NOW,
    NVIDIA,
    STRANGER,
    endorsements,
    judge,
    protected,
    roots,
    scene,
)
from support.ocsp_responders import certified

DAY = timedelta(days=1)
IDS = """
    nvidia.container
    nvidia.report.layout nvidia.report.messages nvidia.report.trailing nvidia.report.blocks
    nvidia.chain.layout nvidia.chain.root nvidia.chain.role nvidia.chain.chip nvidia.chain.signature
    nvidia.chain.validity nvidia.report.opaque nvidia.report.mode nvidia.chain.fwid nvidia.report.signature
    nvidia.device.pdi nvidia.statement
    nvidia.ocsp.layout nvidia.ocsp.subject nvidia.ocsp.responder nvidia.ocsp.signature nvidia.ocsp.nonce
    nvidia.ocsp.time nvidia.ocsp.status
    nvidia.golden.driver nvidia.golden.firmware nvidia.golden.product nvidia.golden.anchor nvidia.golden.time
    nvidia.golden.active nvidia.measurements
    nvidia.set.anchor nvidia.set.distinct nvidia.set.nonce nvidia.set.mode nvidia.set.switches
    nvidia.binding
"""


def test_the_checks_are_made_under_these_names():
    """Policies and ledgers name them: a name that changes breaks both."""
    assert [check.id for check in judge(scene().finish()).ledger] == IDS.split()


# --- Reports


def report(**changes) -> bytes:
    draft = scene().report
    for name, value in changes.items():
        setattr(draft, name, value)
    return draft.sign()


def refused(data: bytes) -> str:
    with pytest.raises(SpdmError) as caught:
        parse_report(data)
    return caught.value.code


def blocks(count: int, kind: int = 1) -> list[tuple[int, int, int, bytes]]:
    return [(number, 1, kind, bytes([number]) * 48) for number in range(1, count + 1)]


def test_every_part_of_a_report_is_where_the_layout_says():
    data = report(measurements=blocks(2), opaque=[(3, b"abc"), (34, b"\1\0")])
    # 45 bytes of heads, two blocks of 55, a nonce of 32, a size of 2, fields of 4 + 3 and 4 + 2.
    record, opaque = (45, 155), (189, 202)
    assert len(data) == 202 + 96
    found = parse_report(data)
    assert found.nonce == data[4:36] == NONCE
    assert found.measurements == {1: b"\1" * 48, 2: b"\2" * 48}
    assert found.opaque == opaque
    assert found.signed == data[:202]
    assert found.signature == data[202:298]
    # The count of blocks, the size of the record and the record itself; then the fields.
    assert found.content == data[41 : record[1]] + data[opaque[0] : opaque[1]]
    assert found.end == 298
    padded = parse_report(data + bytes(7))
    assert (padded.end, padded.signature, padded.content) == (298, found.signature, found.content)


def test_a_report_has_at_most_32768_bytes():
    assert parse_report(report().ljust(32768, b"\0")).measurements
    assert refused(report().ljust(32769, b"\0")) == "nvidia.report.layout"


def test_every_cut_of_a_report_is_refused():
    data = report(measurements=blocks(1), opaque=[(3, b"a")])
    assert parse_report(data).measurements == {1: b"\1" * 48}
    for length in range(len(data)):
        assert refused(data[:length]) == "nvidia.report.layout"
    assert refused(data + b"\1") == "nvidia.report.trailing"


@pytest.mark.parametrize(
    ("kind", "accepted"), [(0, True), (3, True), (4, False), (0x81, False), (255, False)]
)
def test_a_measurement_is_one_of_four_kinds_of_digest(kind, accepted):
    data = report(measurements=[*blocks(1), (2, 1, kind, bytes(48))])
    if accepted:
        assert len(parse_report(data).measurements) == 2
    else:
        assert refused(data) == "nvidia.report.blocks"


def test_there_may_be_255_measurements():
    assert len(parse_report(report(measurements=blocks(255))).measurements) == 255
    data = report(measurements=[*blocks(255), (0, 1, 1, bytes(48))])
    assert refused(data) == "nvidia.report.blocks"
    assert refused(report(measurements=blocks(2)[1:])) == "nvidia.report.blocks"


@pytest.mark.parametrize(("asked", "answered", "code"), [
    (b"\x00", b"\x10", ""),
    (b"\x13", b"\x03", ""),
    (b"\x0f", b"\x0f", ""),
    (b"\x01", b"\x00", "nvidia.report.messages"),
    (b"\x08", b"\x00", "nvidia.report.messages"),
])  # fmt: skip
def test_four_bits_name_the_slot(asked, answered, code):
    data = report(slot=asked[0], response=b"\x11\x60\x00" + answered)
    if code:
        assert refused(data) == code
    else:
        assert parse_report(data).nonce == NONCE


# --- Opaque data


def field(number: int, value: bytes) -> bytes:
    return number.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


def opaque(data: bytes) -> OpaqueData:
    return OpaqueData(data, 0, len(data))


def test_opaque_data_end_with_a_field():
    data = field(3, b"abc") + field(500, b"") + field(6, b"x" * 300)
    assert opaque(data).fields == {3: b"abc", 500: b"", 6: b"x" * 300}
    assert OpaqueData(b"??" + data + b"??", 2, 2 + len(data)).fields == opaque(data).fields
    whole = {0, 7, 11, len(data)}
    for length in range(len(data)):
        if length in whole:
            assert len(opaque(data[:length]).fields) == sorted(whole).index(length)
            continue
        with pytest.raises(SpdmError) as caught:
            opaque(data[:length])
        assert (caught.value.code, caught.value.spec) == ("nvidia.report.opaque", checks.REPORT_OPAQUE)


def test_there_are_at_most_64_fields():
    data = b"".join(field(number, b"") for number in range(64))
    assert len(opaque(data).fields) == 64
    with pytest.raises(SpdmError):
        opaque(data + field(64, b""))


LEAST = {3: b"1.2\0", 6: bytes([4, 3, 2, 0xAB, 5, 0, 0, 0]), 11: b"\x55"}
GPU = LEAST | {20: b"\x20" * 48}
SWITCH = {6: b"96.10\0", 22: bytes(range(8))}


def decoded(fields, kind=DeviceKind.GPU):
    return opaque(b"".join(field(number, value) for number, value in fields.items())).decode(kind)


def test_what_a_gpu_must_state_is_all_it_must_state():
    found = decoded(LEAST)
    assert (found.driver_version, found.vbios_version) == ("1.2", "AB.02.03.04.05")
    assert (found.project, found.project_sku, found.chip_sku, found.chip_info) == ("", "", "", "")
    assert found.fwid == b""
    assert (found.mode, found.protected_pcie, found.nvdec0_disabled) == (Mode.UNSTATED, None, True)
    assert (found.pdi, found.switch_pdis, found.gpu_pdis) == (None, frozenset(), ())
    assert found.switch_locked is None


def test_every_field_that_a_gpu_may_state():
    links = bytes(8) + bytes(range(8)) + b"\x31" * 8
    found = decoded(
        GPU
        | {15: b"885\0", 17: b"G520", 18: b"0200\0\0", 34: b"\1\0", 35: b"GB100\0", 21: b"\xaa", 36: b"\2\0"}
        | {11: b"\xaa", 22: links, 25: b"\1\0"}
    )
    assert (found.chip_sku, found.project, found.project_sku) == ("885", "G520", "0200")
    assert found.chip_info == "GB100"
    assert (found.mode, found.protected_pcie, found.nvdec0_disabled) == (Mode.PPCIE, True, False)
    assert found.switch_pdis == {bytes(range(7, -1, -1)), b"\x31" * 8}
    assert found.switch_locked is True


def test_every_field_that_a_switch_may_state():
    assert decoded(SWITCH, DeviceKind.SWITCH).gpu_pdis == ()
    ports = b"".join(bytes([number]) * 8 for number in range(12))
    found = decoded(SWITCH | {25: b"\2\0", 26: ports, 36: b"\2\0"}, DeviceKind.SWITCH)
    assert (found.driver_version, found.vbios_version, found.fwid) == ("", "96.10", b"")
    assert (found.mode, found.pdi, found.switch_pdis) == (Mode.UNSTATED, bytes(range(8)), frozenset())
    # Eight ports stand there, and the first of them is empty.
    assert found.gpu_pdis == tuple(bytes([number]) * 8 for number in range(1, 8))
    assert found.switch_locked is False


@pytest.mark.parametrize("mode", [(0, Mode.SPT), (1, Mode.MPT)])
def test_a_mode_beside_protected_pcie(mode):
    number, name = mode
    for state in ({}, {21: b"\x55"}):
        assert decoded(GPU | state | {36: bytes([number, 0])}).mode is name
    with pytest.raises(SpdmError) as caught:
        decoded(GPU | {21: b"\xaa", 36: bytes([number, 0])})
    assert (caught.value.code, caught.value.spec) == ("nvidia.report.mode", checks.REPORT_MODE)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({34: b"\0\0"}, ""),
        ({34: b"\1\0"}, ""),
        ({34: b"\2\0"}, "opaque"),
        ({34: b"\1\1"}, "opaque"),
        ({34: b"\1"}, "opaque"),
        ({34: b"\1\0\0"}, "opaque"),
        ({3: b"x" * 64 + b"\0\0"}, ""),
        ({3: b"x" * 65}, "opaque"),
        ({3: b"\xe9"}, "opaque"),
        ({3: b"a\0b"}, "opaque"),
        ({3: b""}, "opaque"),
        ({6: bytes(7)}, "opaque"),
        ({6: bytes(9)}, "opaque"),
        ({20: b""}, "opaque"),
        ({20: bytes(47)}, "opaque"),
        ({20: bytes(49)}, "opaque"),
        ({11: b"\xaa\xaa"}, "opaque"),
        ({11: b"\x54"}, "opaque"),
        ({21: b"\x56"}, "opaque"),
        ({22: bytes(7)}, "opaque"),
        ({22: bytes(9)}, "opaque"),
        ({26: bytes(4)}, "opaque"),
        ({25: b"\1"}, "opaque"),
        ({36: b"\0"}, "opaque"),
        ({36: b"\3\0"}, "mode"),
        ({36: b"\0\1"}, "mode"),
    ],
    ids=str,
)
def test_the_bounds_of_each_field(changed, code):
    if not code:
        assert decoded(GPU | changed).fwid == b"\x20" * 48
        return
    with pytest.raises(SpdmError) as caught:
        decoded(GPU | changed)
    assert caught.value.code == f"nvidia.report.{code}"


@pytest.mark.parametrize("number", sorted(LEAST))
def test_a_gpu_without_a_field_that_it_must_state(number):
    with pytest.raises(SpdmError, match=f"Field {number} "):
        decoded({kept: value for kept, value in GPU.items() if kept != number})


# --- Chains


def verified(stage: Scene, now=NOW, facts=None):
    return verify_device_chain(stage.report.pem(), roots(), now, facts or FactCache())


def certify(stage: Scene, extension: tuple[str, bytes] | None, **changes) -> Scene:
    """Issue the firmware's certificate again with another extension."""
    chain = stage.report.chain
    profile = replace(stage.devices[0].firmware_profile(), extension=extension, **changes)
    chain[0] = chain[1].issue(profile, chain[0].key)
    return stage


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_everything_that_a_chain_establishes(architecture):
    stage = scene(architecture)
    ledger, found = verified(stage)
    assert all(check.outcome is Outcome.PASSED for check in ledger)
    device = stage.devices[0]
    ders = [issued.der for issued in stage.report.chain]
    digests = [hashlib.sha256(der).digest() for der in ders]
    assert [certificate.der for certificate in found.certificates] == ders
    assert found.leaf_digest == hashlib.sha256(b"".join(digests)).digest()
    assert found.digest == hashlib.sha256(b"".join(digests[1:])).digest()
    assert found.architecture is Architecture(architecture)
    assert (found.chip, found.revision) == (device.label.split()[0], "A01")
    assert found.device_id.endswith(device.pdi.hex().upper())
    assert (found.fwid, found.fwid_defect) == (device.fwid, "")
    assert found.root.der == ders[-1]
    assert found.key == device.firmware_key.public_key()


@pytest.mark.parametrize(
    "extension",
    [
        None,
        (pki.OID_COMPOSITE, pki.composite_id(NVIDIA.key("other"), bytes(48))),
        (pki.OID_TCB_INFO, pki.tcb_info("GB100", ())),
        (pki.OID_TCB_INFO, pki.tcb_info("GB100", (bytes(48),)) + b"\0"),
        (pki.OID_TCB_INFO, bytes.fromhex("3003a00100")),
        (pki.OID_TCB_INFO, bytes.fromhex("3003020101")),
    ],
)
def test_a_chain_without_a_firmware_digest_has_none(extension):
    ledger, found = verified(certify(scene(), extension))
    assert all(check.outcome is Outcome.PASSED for check in ledger)
    assert found.fwid == b""
    assert found.fwid_defect
    facts = FactCache()
    verified(certify(scene(), extension), facts=facts)
    assert len(facts.shelf("nvidia.chains")) == 0


def test_the_first_of_four_firmware_digests_counts():
    fwids = tuple(bytes([number]) * 48 for number in range(1, 6))
    assert (
        verified(certify(scene(), (pki.OID_TCB_INFO, pki.tcb_info("GH100", fwids[:4]))))[1].fwid == fwids[0]
    )
    assert verified(certify(scene(), (pki.OID_TCB_INFO, pki.tcb_info("GH100", fwids))))[1].fwid == b""


def test_a_composite_id_is_version_key_and_digest():
    stage = scene()
    right = pki.composite_id(stage.report.chain[1].key, b"\x07" * 48)
    assert verified(certify(stage, (pki.OID_COMPOSITE, right)))[1].fwid == b"\x07" * 48
    for wrong in (
        right.replace(b"\x02\x01\x01", b"\x02\x01\x02", 1),
        right + b"\0",
        right[:-1],
    ):
        assert verified(certify(stage, (pki.OID_COMPOSITE, wrong)))[1].fwid == b""


@pytest.mark.parametrize(
    ("filling", "good"),
    [
        (b"\0", True),
        (b"\0" * 5, True),
        (b"\n", True),
        (b"\r\n\n\n", True),
        (b"\n\0\0", True),
        (b"\0\n\0", False),
        (b"\0\n", False),
        (b" \n", False),
        (b"\0x", False),
    ],
)
def test_a_chain_may_end_in_blank_lines_and_nuls(filling, good):
    outcomes, found = verify_device_chain(scene().report.pem() + filling, roots(), NOW, FactCache())
    assert (found is not None) is good
    assert good or [check.code for check in outcomes.failed()] == ["nvidia.chain.layout"]


@pytest.mark.parametrize("size", [2048, 2049])
def test_a_certificate_of_a_device_has_at_most_2048_bytes(size):
    fwid = pki.tagged(0x30, bytes.fromhex("0609608648016503040202") + b"\x04\x30" + b"\x07" * 48)

    def padded(filling: bytes) -> Scene:
        fields = pki.tagged(0x80, filling) + pki.tagged(0xA6, fwid)
        return certify(scene(), (pki.OID_TCB_INFO, pki.tagged(0x30, fields)))

    # A signature has 102 to 104 bytes, by chance: another filling gives another one.
    length = 1000 + size - len(padded(bytes(1000)).report.chain[0].der)
    stages = (padded(bytes([byte]) * (length + change)) for byte in range(9) for change in (0, -1, 1))
    stage = next(found for found in stages if len(found.report.chain[0].der) == size)
    ledger, found = verified(stage)
    assert (found is not None) is (size == 2048)
    assert found is None or found.fwid == b"\x07" * 48
    assert ledger["nvidia.chain.layout"].outcome is (Outcome.PASSED if size == 2048 else Outcome.FAILED)


def outcomes(ledger) -> dict[str, str]:
    return {check.id.removeprefix("nvidia.chain."): check.outcome.value for check in ledger}


def test_what_passed_before_a_chain_was_refused_stands_in_the_ledger():
    reached = {"layout": "passed", "root": "passed"}
    ledger, found = verified(certify(scene(), None, not_after=NOW - DAY))
    assert found is None
    later = {"role": "passed", "signature": "passed", "validity": "failed", "chip": "not_checked"}
    assert outcomes(ledger) == reached | later
    stage = scene()
    chain = stage.report.chain
    chain[0] = pki.forged(stage.devices[0].firmware_profile(), chain[0].key, chain[1], chain[2])
    later = {"role": "passed", "signature": "failed", "validity": "not_checked", "chip": "not_checked"}
    assert outcomes(verified(stage)[0]) == reached | later
    ledger, _ = verified(certify(scene(), None, authority=True))
    later = {"role": "failed", "signature": "not_checked", "validity": "not_checked", "chip": "not_checked"}
    assert outcomes(ledger) == reached | later


# --- Containers


def container(*devices: tuple[bytes, bytes], **more) -> bytes:
    return json.dumps(
        [
            {"evidence": b64encode(one).decode(), "certificate": b64encode(two).decode(), **more}
            for one, two in devices
        ]
    ).encode()


def spans(data: bytes) -> list[tuple[int, int]]:
    return [(region.start, region.end) for region in read_container(data)[1]]


def test_what_lies_around_reports_and_chains_is_unsigned():
    one, two, three = b"\x11" * 30, b"\x22" * 60, b"\x33" * 90
    data = container((one, two), (three, two), nonce="00")
    expected, at = [], 0
    for part in (one, two, three, two):
        text = b64encode(part)
        start = data.index(text, at)
        expected.append((at, start))
        at = start + len(text)
    assert spans(data) == [*expected, (at, len(data))]
    assert {region.name for region in read_container(data)[1]} == {"the container around a device"}


def test_what_stands_in_several_places_is_covered_in_each():
    # The report's text is twice in the chain's, end to end: nothing lies between.
    data = container((bytes(3), bytes(6)))
    first, second = data.index(b"AAAA"), data.index(b"AAAAAAAA")
    assert spans(data) == [(0, first), (first + 4, second), (second + 8, len(data))]
    data = container((bytes(3), b"\xff" * 3 + bytes(3)))
    first, second = data.index(b"AAAA"), data.index(b"////AAAA")
    assert spans(data) == [(0, first), (first + 4, second), (second + 8, len(data))]


def test_nothing_lies_between_what_stands_side_by_side():
    data = container((b"one", b"two"), uuid="b25ldHdv")
    one, two, both = data.index(b"b25l"), data.index(b"dHdv"), data.index(b"b25ldHdv")
    ends = [(0, one), (one + 4, two), (two + 4, both), (both + 8, len(data))]
    assert spans(data) == ends


def test_an_escaped_container_is_unsigned_from_end_to_end():
    data = container((b"\xff" * 3, bytes(3))).replace(b"/", b"\\/")
    assert spans(data) == [(0, len(data))]


def code_of(data: bytes) -> str:
    try:
        read_container(data)
    except ContainerError as error:
        return error.code
    return ""


def test_the_limits_of_a_container():
    one = (b"r", b"c")
    assert len(read_container(container(*[one] * 96))[0]) == 96
    assert code_of(container(*[one] * 97)) == "nvidia.container"
    assert code_of(container()) == "nvidia.container"
    assert code_of(container(one).ljust(2 << 20)) == ""
    assert code_of(container(one).ljust((2 << 20) + 1)) == "nvidia.container"
    for name in ("arch", "nonce", "driver_version", "vbios_version"):
        (device,) = read_container(container(one, **{name: "x" * 128}))[0]
        assert device.stated == {name: "x" * 128}
        assert code_of(container(one, **{name: "x" * 129})) == "nvidia.container"
        assert read_container(container(one, **{name: None}))[0][0].stated == {}
    assert read_container(container(one, other="x" * 500))[0][0].stated == {}
    assert (device.report, device.chain) == one


@pytest.mark.parametrize(("name", "limit"), [("evidence", 32768), ("certificate", 16384)])
def test_the_longest_report_and_chain(name, limit):
    text = "A" * (limit * 4 // 3 + 4 & ~3)
    data = json.dumps({"evidence": "QQ==", "certificate": "QQ=="} | {name: text}).encode()
    (device,) = read_container(data)[0]
    assert len(device.report if name == "evidence" else device.chain) == len(text) * 3 // 4
    for wrong in (text + "AAAA", "", 5, None):
        data = json.dumps({"evidence": "QQ==", "certificate": "QQ=="} | {name: wrong}).encode()
        assert code_of(data) == "nvidia.container"


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b" \t\r\n[", True), (b"{", True), (b"\x11\xe0", False), (b"", False), (b"\v[", False)],
)
def test_a_container_is_known_by_its_first_byte(data, expected):
    assert is_container(data) is expected


# --- Endorsements and manifests


def golden(**changes) -> GoldenMeasurements:
    anchor = Anchor(b"\1" * 32, "a root", simulated=True)
    values = {
        "product": "GH100",
        "version": "1",
        "manifest_id": "id",
        "active": {1: frozenset({bytes(48)})},
        "listed": frozenset({1}),
        "anchor": anchor,
        "window": Window(NOW, NOW + DAY),
        "held": False,
        "digest": bytes(32),
        "responder_unasked": False,
        "fresh": False,
    }
    return GoldenMeasurements(**{**values, **changes})


def test_a_set_has_at_most_512_answers_and_64_manifests_of_a_kind():
    replies, manifests = (OcspReply(b"", Unchecked("-")),) * 512, (golden(),) * 64
    NvidiaEndorsements(ocsp=replies, drivers=manifests, firmware=manifests)
    for many in (
        {"ocsp": replies + replies[:1]},
        {"drivers": manifests + manifests[:1]},
        {"firmware": manifests + manifests[:1]},
    ):
        with pytest.raises(EvidenceError) as caught:
            NvidiaEndorsements(**many)
        assert caught.value.code == "nvidia.endorsements.oversized"


def test_each_difference_gives_endorsements_another_name():
    """What was established with some is remembered under their digests, and must not serve others."""
    nonce = Expected(b"n")
    variants = [
        (),
        (OcspReply(b"a", nonce),),
        (OcspReply(b"b", nonce),),
        (OcspReply(b"a", Expected(b"m")),),
        (OcspReply(b"a", Unchecked("-")),),
        (OcspReply(b"an", Expected(b"")),),
        (OcspReply(b"a", nonce), OcspReply(b"b", nonce)),
        (OcspReply(b"b", nonce), OcspReply(b"a", nonce)),
    ]
    assert len({NvidiaEndorsements(ocsp=each).digest for each in variants}) == len(variants)
    one = golden()
    others = [
        golden(digest=b"\1" * 32),
        golden(held=True),
        golden(anchor=Anchor(b"\2" * 32, "a root", simulated=True)),
        golden(anchor=Anchor(b"\1" * 32, "a root", simulated=False)),
        golden(window=Window(NOW, NOW + 2 * DAY)),
        golden(window=Window(NOW - DAY, NOW + DAY)),
        golden(active={}),
    ]
    groups = [
        {},
        {"drivers": (one,)},
        {"firmware": (one,)},
        {"drivers": (one, one)},
        {"drivers": (one,), "firmware": (one,)},
        *({"drivers": (other,)} for other in others),
    ]
    assert len({NvidiaEndorsements(**each).references for each in groups}) == len(groups)
    assert NvidiaEndorsements(drivers=(golden(),)).references == NvidiaEndorsements(drivers=(one,)).references


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("GH100", "GH100", True),
        ("LS_10", "LS10", True),
        ("gh100", "GH100", True),
        ("GB10X", "GB102", True),
        ("GB102", "GB1XX", True),
        ("GH100", "GH200", False),
        ("GH100", "GH10", False),
        ("GH1000", "GH100", False),
        ("", "", False),
        ("_", "", False),
        ("", "GH100", False),
        ("A", "X", True),
    ],
)
def test_names_of_one_chip(one, other, same):
    assert same_chip(one, other) is same


@pytest.mark.parametrize(
    ("architecture", "chips", "names"),
    [
        (
            Architecture.HOPPER,
            ("GH100", ""),
            {"driver": "NV_GPU_DRIVER_GH100_590.12", "vbios": "NV_GPU_VBIOS_1010_0200_88A_9600A50001"},
        ),
        (
            Architecture.BLACKWELL,
            ("GB100", "GB102"),
            {"driver": "NV_GPU_CC_DRIVER_GB102_590.12", "vbios": "NV_GPU_VBIOS_1010_0200_88A_9600A50001"},
        ),
        (
            Architecture.BLACKWELL,
            ("GB100", ""),
            {"driver": "NV_GPU_CC_DRIVER_GB100_590.12", "vbios": "NV_GPU_VBIOS_1010_0200_88A_9600A50001"},
        ),
        (Architecture.LS10, ("LS_10", ""), {"vbios": "NV_SWITCH_BIOS_5612_0002_890_9600A50001"}),
    ],
)
def test_the_names_of_manifests(architecture, chips, names):
    board = ("1010", "0200", "88a")
    assert manifest_ids(architecture, chips, "590.12", "96.00.a5.00.01", board) == names


# --- Results


def pair() -> Scene:
    return Scene(NVIDIA, NOW, NONCE, [SimulatedDevice(NVIDIA, "HOPPER", name) for name in "ab"])


def test_the_signed_digest_is_over_every_report():
    evidence = pair().finish()
    reports, ends = [], []
    for entry in json.loads(evidence.evidence):
        device = read_container(json.dumps(entry).encode())[0][0]
        reports.append(hashlib.sha256(device.report[:-96]).digest())
        ends.append(len(device.report))
    assert judge(evidence).signed_digest == hashlib.sha256(b"".join(reports)).digest()
    alone = replace(evidence, evidence=json.dumps(json.loads(evidence.evidence)[:1]).encode())
    assert judge(alone).signed_digest == reports[0]


def test_evidence_of_which_a_report_cannot_be_read_is_named_whole():
    stage = pair()
    stage.reports[1].after = lambda report: report[:-1]
    evidence = stage.finish()
    result = judge(evidence)
    assert result.signed_digest == hashlib.sha256(evidence.evidence).digest()
    assert [entry["nonce"] for entry in result.decoded["devices"]] == [NONCE.hex()]
    stage = scene()
    stage.report.after = lambda report: report[:-1]
    evidence = stage.finish()
    result = judge(evidence)
    assert [(region.start, region.end) for region in result.unsigned] == [(0, len(evidence.evidence))]
    assert result.signed_digest == hashlib.sha256(evidence.evidence).digest()
    assert (result.decoded, result.needs, result.anchor) == ({"devices": []}, (), None)
    result = judge(replace(evidence, evidence=b"[1]"))
    assert [(region.start, region.end) for region in result.unsigned] == [(0, 3)]
    assert (result.decoded, result.needs, result.anchor) == ({}, (), None)
    assert result.signed_digest == hashlib.sha256(b"[1]").digest()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_field_that_is_shown(architecture):
    stage = scene(architecture)
    result = judge(stage.finish())
    (claims,) = result.claims.devices
    assert result.decoded == {
        "devices": [
            {
                "nonce": NONCE.hex(),
                "chip": claims.chip,
                "device_id": claims.device_id,
                "driver_version": claims.driver_version,
                "vbios_version": claims.vbios_version,
                "mode": claims.mode.value,
            }
        ]
    }
    assert claims.device_id.endswith(stage.devices[0].pdi.hex().upper())


def test_what_is_shown_of_a_device_whose_chain_is_refused():
    stage = scene()
    stage.report.chain[-1] = NVIDIA.manifest_root
    assert judge(stage.finish()).decoded == {"devices": [{"nonce": NONCE.hex()}]}


def test_what_is_asked_about_the_status_of_each_certificate():
    stage = scene()
    result = judge(stage.finish(), given=NvidiaEndorsements())
    chain = stage.report.chain
    expected = []
    for place in (1, 2, 3):
        serial = chain[place].certificate.serial_number
        above = b"".join(issued.der for issued in chain[place:])
        content = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
        expected.append({"serial": content.hex(), "chain": b64encode(above).decode()})
    assert [need.key for need in result.needs if need.kind == "ocsp"] == expected
    manifests = [need.key for need in result.needs if need.kind == "rim"]
    assert manifests == [
        {"component": "driver", "id": "NV_GPU_DRIVER_GH100_590.12"},
        {"component": "vbios", "id": "NV_GPU_VBIOS_G520_0200_885_9600A50001"},
    ]


def test_answers_that_are_stale_are_asked_for_again():
    stage = scene()
    for draft in stage.device_answers():
        draft.this_update = draft.produced_at = NOW - 3 * DAY
        draft.next_update = NOW - DAY
    assert [need.kind for need in judge(stage.finish()).needs] == ["ocsp"] * 3


@pytest.mark.parametrize("change", ["missing", "driver", "firmware", "time"])
def test_manifests_that_do_not_serve_are_asked_for(change):
    evidence = scene().finish()
    given = endorsements(evidence)
    if change == "missing":
        given = replace(given, drivers=())
    elif change == "time":
        old = replace(given.drivers[0], window=Window(NOW - 2 * DAY, NOW - DAY))
        given = replace(given, drivers=(old,))
    else:
        name = "drivers" if change == "driver" else "firmware"
        given = replace(given, **{name: (replace(getattr(given, name)[0], version="another"),)})
    result = judge(evidence, given=given)
    assert f"nvidia.golden.{change}" in {check.code for check in result.ledger}
    assert [need.kind for need in result.needs] == ["rim", "rim"]


def test_a_set_without_its_switches_asks_for_them():
    stage = protected()
    del stage.reports[2:], stage.architectures[2:], stage.stated[2:]
    (need,) = judge(stage.finish()).needs
    assert (need.kind, need.key) == ("evidence", {"arch": "LS10"})


def test_a_bare_report_is_unsigned_behind_its_end():
    stage = scene()
    evidence = stage.finish()
    given = replace(endorsements(evidence), chain=stage.report.pem())
    data = stage.report.sign()
    result = judge(replace(evidence, evidence=data + bytes(5)), given=given)
    assert [(region.start, region.end) for region in result.unsigned] == [(len(data), len(data) + 5)]
    assert result.signed_digest == hashlib.sha256(data[:-96]).digest()


def test_measurements_are_counted_from_0():
    stage = scene()
    (device,) = judge(stage.finish()).claims.devices
    assert device.measurements == {index - 1: value for index, _, _, value in stage.report.measurements}
    assert device.opaque == dict(stage.report.opaque)


def test_what_a_manifest_was_used_for():
    evidence = scene().finish()
    given = endorsements(evidence)
    driver, firmware = judge(evidence, given=given).claims.devices[0].references
    for used, manifest, component in (
        (driver, given.drivers[0], "driver"),
        (firmware, given.firmware[0], "vbios"),
    ):
        assert (used.component, used.version, used.manifest_id) == (
            component,
            manifest.version,
            manifest.manifest_id,
        )
        assert (used.anchor, used.simulated, used.held) == (manifest.anchor.name, True, False)
        assert used.window == manifest.window
        # The decoder is off, and its measurement is the driver's.
        assert used.compared == len(manifest.active) - (35 in manifest.active)


def test_what_holds_of_revocation():
    stage = scene()
    first, second, third = stage.device_answers()
    first.this_update = first.produced_at = NOW - timedelta(hours=3)
    second.next_update = NOW + timedelta(hours=2)
    third.nonce = third.asked = None
    (device,) = judge(stage.finish()).claims.devices
    found = device.revocation
    assert (found.next_update, found.fresh) == (NOW + timedelta(hours=2), False)
    assert found.this_update == max(first.produced_at, second.produced_at, third.produced_at)


def test_the_worst_outcome_of_a_set_counts_with_its_device():
    stage = pair()
    stage.reports[0].after = lambda report: report[:-1] + bytes([report[-1] ^ 1])
    stage.reports[1].after = stage.reports[0].after
    result = judge(stage.finish())
    assert result.ledger[checks.REPORT_SIGNATURE.id].reason.startswith("device 0: ")
    assert result.ledger[checks.CHAIN_ROLE.id].outcome is Outcome.PASSED
    assert result.ledger[checks.SET_NONCE.id].outcome is Outcome.NOT_CHECKED
    mixed = protected(gpus=1, switches=1)
    result = judge(mixed.finish())
    # A driver belongs to the GPU alone, a device id to the switch alone.
    assert result.ledger[checks.GOLDEN_DRIVER.id].outcome is Outcome.PASSED
    assert result.ledger[checks.DEVICE_PDI.id].outcome is Outcome.PASSED


# --- What is remembered, and until when


@pytest.mark.parametrize("shortest", ["driver", "firmware", "answer", "leaf"])
def test_a_known_state_is_known_as_long_as_all_of_it_holds(shortest):
    stage = scene()
    end = NOW + timedelta(hours=1)
    if shortest == "leaf":
        device, chain = stage.devices[0], stage.report.chain
        chain[0] = chain[1].issue(replace(device.firmware_profile(), not_after=end), chain[0].key)
    for draft in stage.device_answers():
        draft.next_update = NOW + 2 * DAY
    if shortest == "answer":
        stage.device_answers()[1].next_update = end
    evidence = stage.finish()
    given = endorsements(evidence)
    windows = {
        name: Window(NOW - DAY, end if shortest == name else NOW + 2 * DAY) for name in ("driver", "firmware")
    }
    given = replace(
        given,
        drivers=(replace(given.drivers[0], window=windows["driver"]),),
        firmware=(replace(given.firmware[0], window=windows["firmware"]),),
    )
    facts = FactCache()
    codes = {
        "driver": "nvidia.golden.time",
        "firmware": "nvidia.golden.time",
        "answer": "nvidia.ocsp.time",
        "leaf": "nvidia.chain.validity",
    }
    for _ in range(2):
        assert judge(evidence, facts=facts, given=given, now=end).bound
    late = judge(evidence, facts=facts, given=given, now=end + timedelta(seconds=1))
    assert [check.code for check in late.ledger.failed()] == [codes[shortest]]


def test_what_passed_before_an_answer_was_refused_stands_in_the_ledger():
    steps = [spec.id for spec in checks.OCSP_CHECKS]

    def outcomes_of(stage: Scene) -> list[str]:
        ledger = judge(stage.finish()).ledger
        return [ledger[step].outcome.value for step in steps]

    stage = scene()
    stage.device_answers()[0].next_update = NOW - timedelta(minutes=1)
    assert outcomes_of(stage) == ["passed"] * 5 + ["failed", "not_checked"]
    stage = scene()
    del stage.device_answers()[0]
    assert outcomes_of(stage) == ["passed", "failed"] + ["not_checked"] * 5


# --- The chip and its firmware, once more


@pytest.mark.parametrize(
    ("number", "accepted"),
    [("4F", True), ("4", False), ("4f", False), ("4G", False), ("4F" * 32, True), ("4F" * 32 + "0", False)],
)
def test_the_number_of_a_chip_is_hexadecimal(number, accepted):
    stage = scene()
    device, chain = stage.devices[0], stage.report.chain
    profile = pki.Profile(f"{device.label} BROM", serial_number=number, usage=frozenset({"key_cert_sign"}))
    chain[1] = chain[2].issue(profile, chain[1].key)
    chain[0] = chain[1].issue(device.firmware_profile(), chain[0].key)
    ledger, found = verified(stage)
    assert (found is not None) is accepted
    if accepted:
        assert found.device_id == number
    else:
        assert [check.code for check in ledger.failed()] == ["nvidia.chain.number"]


FWID = pki.tagged(0x30, bytes.fromhex("0609608648016503040202") + b"\x04\x30" + b"\x07" * 48)
NUMBERED = {number: bytes([0x80 | number, 1, 0x41]) for number in range(10)}


@pytest.mark.parametrize(
    ("content", "stated"),
    [
        (pki.tagged(0xA6, FWID), True),
        (NUMBERED[0] + NUMBERED[5] + pki.tagged(0xA6, FWID) + NUMBERED[9], True),
        (NUMBERED[0] * 2 + pki.tagged(0xA6, FWID), False),
        (NUMBERED[5] + NUMBERED[0] + pki.tagged(0xA6, FWID), False),
        (pki.tagged(0xA6, FWID) * 2, False),
        (pki.tagged(0xA6, FWID) + NUMBERED[5], False),
        (b"\x05\x00" + pki.tagged(0xA6, FWID), False),
        (pki.tagged(0xA6, b"") + NUMBERED[9], False),
        (pki.tagged(0xA6, FWID[:1] + bytes([FWID[1] + 2]) + FWID[2:] + b"\x05\x00"), False),
    ],
)
def test_the_fields_of_tcb_info_stand_in_order(content, stated):
    found = verified(certify(scene(), (pki.OID_TCB_INFO, pki.tagged(0x30, content))))[1]
    assert found.fwid == (b"\x07" * 48 if stated else b"")


def test_nothing_more_stands_in_a_composite_id():
    stage = scene()
    parts = b"\x02\x01\x01" + pki.spki(stage.report.chain[1].key) + FWID
    for content, stated in ((parts, True), (parts + b"\x05\x00", False), (parts[3:], False)):
        found = verified(certify(stage, (pki.OID_COMPOSITE, pki.tagged(0x30, content))))[1]
        assert found.fwid == (b"\x07" * 48 if stated else b"")


@pytest.mark.parametrize("family", ["HOPPER", "BLACKWELL"])
def test_a_gpu_of_older_firmware_does_not_repeat_what_its_certificate_states(family):
    stage = scene(family)
    stage.report.drop(20)
    found = judge(stage.finish())
    assert found.bound
    assert found.claims.devices[0].fwid == stage.devices[0].fwid


def test_a_switch_that_states_its_firmware_states_the_certified_one():
    stage = scene("LS10")
    stage.report.set(20, stage.devices[0].fwid)
    assert judge(stage.finish()).bound
    stage.report.set(20, b"\x77" * 48)
    failed = judge(stage.finish()).ledger.failed()
    assert [check.code for check in failed] == ["nvidia.chain.fwid_mismatch"]


def test_protected_gpus_that_name_no_switch_are_no_set():
    stage = scene()
    stage.report.set(21, b"\xaa")
    stage.report.set(36, b"\2\0")
    failed = judge(stage.finish()).ledger.failed()
    assert [check.code for check in failed] == ["nvidia.set.links"]


# --- Golden values


def compared(drivers, firmware, measurements, *, off: bool = True, architecture=Architecture.HOPPER):
    ledger = LedgerBuilder(checks.GOLDEN_CHECKS)
    subject = Subject(
        architecture,
        ("GH100", ""),
        "590.12",
        "96.00.A5.00.01",
        measurements,
        nvdec0_disabled=off,
        anchor=Anchor(b"\1" * 32, "a root", simulated=True),
    )
    used = compare(ledger, subject, drivers, firmware, NOW)
    closed = ledger.close()
    return used, [check.code for check in closed if check.code], closed


ONE, TWO = b"\1" * 48, b"\2" * 48


def driver(active, **changes) -> GoldenMeasurements:
    values = {index: frozenset({value}) for index, value in active.items()}
    named = {"version": "590.12", "active": values, "listed": frozenset(active)}
    return golden(**{**named, **changes})


def firmware(active, **changes) -> GoldenMeasurements:
    return driver(active, **{"version": "96.00.a5.00.01", **changes})


@pytest.mark.parametrize(
    ("values", "measured", "off", "codes"),
    [
        ({34: ONE, 35: ONE, 36: ONE}, {34: ONE, 35: TWO, 36: ONE}, True, []),
        ({34: ONE, 35: ONE, 36: ONE}, {34: ONE, 35: TWO, 36: ONE}, False, ["nvidia.measurement.mismatch"]),
        ({34: ONE, 35: ONE, 36: ONE}, {34: ONE, 35: TWO, 36: TWO}, True, ["nvidia.measurement.mismatch"]),
        ({34: ONE, 35: ONE, 36: ONE}, {34: TWO, 35: ONE, 36: ONE}, True, ["nvidia.measurement.mismatch"]),
        ({34: ONE, 35: ONE, 36: ONE}, {34: ONE, 35: ONE}, True, ["nvidia.measurement.missing"]),
        ({34: ONE, 35: ONE}, {34: ONE, 35: ONE, 36: ONE}, True, ["nvidia.measurement.extra"]),
    ],
)
def test_every_active_value_is_compared(values, measured, off, codes):
    used, found, ledger = compared([driver(values)], [firmware({1: ONE})], measured | {1: ONE}, off=off)
    assert found == codes
    assert [use.component for use in used] == ["driver", "vbios"]
    assert used[0].compared == len(values) - off
    assert used[1].compared == 1
    assert ledger["nvidia.golden.driver"].outcome is Outcome.PASSED


def test_of_several_manifests_the_one_for_the_chip_is_taken():
    other = driver({2: TWO}, product="GA102", manifest_id="other")
    right = driver({2: ONE}, manifest_id="right")
    used, codes, _ = compared([other, right], [firmware({1: ONE})], {1: ONE, 2: ONE})
    assert (used[0].manifest_id, codes) == ("right", [])
    used, codes, _ = compared([other], [firmware({1: ONE})], {1: ONE, 2: TWO})
    assert (used[0].manifest_id, codes) == ("other", ["nvidia.golden.product"])


def test_without_a_manifest_nothing_is_compared():
    for drivers, code in (
        ([], "nvidia.golden.missing"),
        ([driver({2: ONE}, version="1")], "nvidia.golden.driver"),
    ):
        used, codes, ledger = compared(drivers, [firmware({1: ONE})], {1: ONE})
        assert used == ()
        assert codes == [code] + ["nvidia.golden.missing"] * 5
        assert ledger["nvidia.golden.firmware"].outcome is Outcome.PASSED
    used, codes, ledger = compared([], [firmware({1: ONE})], {1: ONE}, architecture=Architecture.LS10)
    assert ([use.component for use in used], codes) == (["vbios"], [])
    assert ledger["nvidia.golden.driver"].outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("at", [NOW, NOW + DAY])
def test_a_manifest_serves_in_its_first_and_last_second(at):
    inside = Window(at, at + DAY) if at == NOW else Window(NOW - DAY, NOW)
    outside = Window(NOW + timedelta(seconds=1), NOW + DAY)
    for window, codes in ((inside, []), (outside, ["nvidia.golden.time"])):
        drivers = [driver({2: ONE}, window=window)]
        assert compared(drivers, [firmware({1: ONE})], {1: ONE, 2: ONE})[1] == codes


def test_a_container_of_one_device_declares_what_lies_around_it():
    evidence = scene().finish()
    result = judge(evidence)
    assert result.unsigned == read_container(evidence.evidence)[1]
    assert len(result.unsigned) == 3


def test_a_bare_report_that_cannot_be_read_is_unsigned_from_end_to_end():
    stage = scene()
    evidence = stage.finish()
    given = replace(endorsements(evidence), chain=stage.report.pem())
    data = stage.report.sign()[:-1]
    result = judge(replace(evidence, evidence=data), given=given)
    assert [check.code for check in result.ledger.failed()] == ["nvidia.report.layout"]
    assert [(region.start, region.end) for region in result.unsigned] == [(0, len(data))]
    assert result.signed_digest == hashlib.sha256(data).digest()


def test_evidence_without_endorsements_is_judged_all_the_same():
    evidence = scene().finish()
    result = verify_nvidia(
        evidence.evidence,
        endorsements=None,
        roots=roots(),
        now=NOW,
        binding=Expected(NONCE),
        facts=FactCache(),
    )
    assert not result.ledger.failed()
    assert result.ledger[checks.REPORT_SIGNATURE.id].outcome is Outcome.PASSED
    assert result.ledger[checks.OCSP_STATUS.id].code == "nvidia.ocsp.missing"


def test_what_a_container_states_may_be_in_other_letters():
    stage = scene()
    stage.stated[0] |= {"nonce": NONCE.hex().upper(), "vbios_version": "96.00.a5.00.01"}
    stage.architectures[0] = "Hopper"
    assert judge(stage.finish()).bound


def test_what_endorsements_show_of_themselves():
    assert repr(NvidiaEndorsements()) == "NvidiaEndorsements(chain=b'', ocsp=(), drivers=(), firmware=())"


def test_what_is_said_of_a_report_that_ends_too_early():
    data = report(measurements=blocks(1), opaque=[(3, b"a")])
    # Heads of 45 bytes, a block of 55, nonce and size of 34: the opaque data begin at 134.
    ends = {0: "has 45 to 32768 bytes", 44: "has 45 to 32768 bytes"}
    ends |= {45: "inside its measurement record", 133: "inside its measurement record"}
    ends |= {134: "inside its opaque data or its signature", len(data) - 1: "inside its opaque data"}
    for length, said in ends.items():
        with pytest.raises(SpdmError, match=said):
            parse_report(data[:length])
    longer = [*blocks(1), (2, 1, 1, bytes(3))]
    with pytest.raises(SpdmError, match="says 1 measurements, which are not what its record holds"):
        parse_report(report(measurements=longer, block_count=1))


def test_an_unknown_root_is_named_by_its_digest():
    stage = scene()
    other = SimulatedDevice(STRANGER, "HOPPER", "0")
    stage.report.chain, stage.report.key = other.chain(), other.firmware_key
    (failed,) = judge(stage.finish()).ledger.failed()
    assert failed.id == "nvidia.chain.root"
    assert hashlib.sha256(other.chain()[-1].der).hexdigest() in failed.reason


def answers_by_subject(stage):
    """Return the drafts of all answers, by what they are about."""
    return {
        "device": stage.device_answers(),
        "driver": stage.manifest_answers(stage.drivers[0]),
        "firmware": stage.manifest_answers(stage.firmware[0]),
    }


EXEMPT = (
    (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]), False),
    (x509.OCSPNoCheck(), False),
)


@pytest.mark.parametrize(
    ("plain", "device", "manifests"),
    [
        (None, False, [False, False]),
        ("device", True, [False, False]),
        ("driver", False, [True, False]),
        ("firmware", False, [False, True]),
    ],
)
def test_what_holds_of_responders_that_nobody_asked_about(plain, device, manifests):
    """One answer of a delegate without id-pkix-ocsp-nocheck is enough to say so, where it is about."""
    stage = scene()
    answered = answers_by_subject(stage)
    for name, drafts in answered.items():
        for draft in drafts[1:] if name == plain else drafts:
            certified(draft, *EXEMPT)
    result = judge(stage.finish())
    assert result.authentic, result.ledger.unmet()
    (found,) = result.claims.devices
    assert found.revocation.responder_unasked is device
    assert [used.responder_unasked for used in found.references] == manifests


@pytest.mark.parametrize(
    ("plain", "device", "manifests"),
    [
        (None, True, [True, True]),
        ("device", False, [True, True]),
        ("driver", True, [False, True]),
        ("firmware", True, [True, False]),
    ],
)
def test_what_holds_of_answers_that_were_asked_for_without_a_nonce(plain, device, manifests):
    """One such answer is enough to say so, where it is about."""
    stage = scene()
    answered = answers_by_subject(stage)
    if plain is not None:
        answered[plain][-1].nonce = answered[plain][-1].asked = None
    result = judge(stage.finish())
    assert result.authentic, result.ledger.unmet()
    (found,) = result.claims.devices
    assert found.revocation.fresh is device
    assert [used.fresh for used in found.references] == manifests


def test_golden_values_are_told_apart_by_who_vouches_for_them():
    assert golden().name() != golden(responder_unasked=True).name()
    assert golden().name() != golden(fresh=True).name()
