"""Each check of NVIDIA evidence has at least one input that it alone refuses, under its own code.

An input is a simulated scene with one defect, signed all the same. A check without such an input fails one of
the last tests of this file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import pytest

from assay.errors import EvidenceError
from assay.evidence import roots as roots_module
from assay.evidence.facts import FactCache
from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.nvidia import Architecture, DeviceKind, Mode, NvidiaEndorsements, checks, verify_nvidia
from assay.evidence.ocsp import OcspReply
from assay.evidence.roots import PinnedRoot, Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.nvidia import Scene, pki
from assay.simulator.nvidia.answers import CERTIFICATE_HOLD, KEY_COMPROMISE, UNKNOWN, answers, revoked
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
    rim,
    roots,
    scene,
)

GPUS = ("HOPPER", "BLACKWELL")
DAY = timedelta(days=1)


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    architectures: tuple[str, ...]
    spoil: Callable[[Scene], None]


DEFECTS: list[Defect] = []


def proves(spec: CheckSpec, code: str = "", *, on: tuple[str, ...] = ARCHITECTURES):
    """Register a function that spoils a scene so that ``spec``, and nothing else, refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, on, spoil))
        return spoil

    return register


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_is_wrong_without_a_defect(architecture):
    result = judge(scene(architecture).finish())
    assert result.authentic
    assert result.bound
    assert result.simulated
    assert not result.ledger.unmet()
    assert not result.needs
    (device,) = result.claims.devices
    one_mode = Outcome.NOT_APPLICABLE if architecture == "LS10" else Outcome.PASSED
    assert result.ledger[checks.SET_MODE.id].outcome is one_mode
    assert device.architecture is Architecture(architecture)
    assert device.nonce == result.claims.nonce == NONCE
    assert device.revocation.fresh
    assert len(device.references) == (1 if architecture == "LS10" else 2)
    assert all(used.simulated and used.compared > 10 for used in device.references)
    if device.kind is DeviceKind.GPU:
        assert (device.mode, device.protected_pcie) == (Mode.SPT, False)
        assert device.driver_version == "590.12"
        assert len(device.measurements) == 64
        assert result.claims.gpus == (device,)
    else:
        assert device.switch_locked
        assert device.pdi is not None
        assert device.pdi.hex().upper() in device.device_id
        assert result.claims.switches == (device,)


def test_protected_pcie_with_its_switches_is_one_set():
    result = judge(protected().finish())
    assert result.bound
    assert [len(result.claims.gpus), len(result.claims.switches)] == [2, 2]
    assert {gpu.mode for gpu in result.claims.gpus} == {Mode.PPCIE}
    assert result.ledger[checks.SET_SWITCHES.id].outcome is Outcome.PASSED
    # Of a set every device counts: the outcome of each check is the worst of all.
    assert result.ledger[checks.GOLDEN_DRIVER.id].outcome is Outcome.PASSED


def test_one_spoilt_device_spoils_the_set_and_is_named():
    stage = protected()
    stage.reports[2].after = lambda report: report[:-1] + bytes([report[-1] ^ 1])
    result = judge(stage.finish())
    assert not result.authentic
    check = result.ledger[checks.REPORT_SIGNATURE.id]
    assert check.outcome is Outcome.FAILED
    assert check.reason.startswith("device 2: ")


# --- Container and report


CONTAINERS = {
    "not_json": lambda text: text[:-1],
    "a_string": lambda text: b'{"device_evidence_list": "x"}',
    "two_lists": lambda text: b'{"device_evidence_list": ' + text + b', "evidences": ' + text + b"}",
    "no_device": lambda text: b"[]",
    "a_number": lambda text: b"[1]",
    "too_many": lambda text: json.dumps(json.loads(text) * 97).encode(),
    "no_report": lambda text: b'[{"certificate": "QQ=="}]',
    "no_chain": lambda text: b'[{"evidence": "QQ=="}]',
    "not_base64": lambda text: text.replace(b'"evidence": "E', b'"evidence": "!'),
    "base64_with_spaces": lambda text: text.replace(b'"evidence": "E', b'"evidence": "E\\n'),
    "loose_base64": lambda text: b'[{"evidence": "QR==", "certificate": "QQ=="}]',
    "number_for_text": lambda text: text.replace(b'"arch": "', b'"arch": 1, "x": "'),
    "long_text": lambda text: text.replace(b'"arch": "', b'"arch": "' + b"A" * 200),
    "oversized": lambda text: text + b" " * (2 << 20),
    "member_twice": lambda text: text.replace(b'"arch"', b'"nonce": "", "arch"'),
}
for _name, _change in CONTAINERS.items():

    def _container(stage, change=_change):
        stage.after = change

    _container.__name__ = f"container_with_{_name}"
    proves(checks.CONTAINER)(_container)


@proves(checks.REPORT_LAYOUT)
def ends_in_its_head(stage):
    stage.report.after = lambda report: report[:44]


@proves(checks.REPORT_LAYOUT)
def ends_in_its_record(stage):
    stage.report.after = lambda report: report[:500]


@proves(checks.REPORT_LAYOUT)
def ends_in_its_signature(stage):
    stage.report.after = lambda report: report[:-1]


@proves(checks.REPORT_LAYOUT)
def longer_than_any_report(stage):
    stage.report.after = lambda report: report.ljust(32769, b"\0")


@proves(checks.REPORT_MESSAGES, "nvidia.report.version")
def version_of_the_request(stage):
    stage.report.request = b"\x12\xe0\x01\xff"


@proves(checks.REPORT_MESSAGES, "nvidia.report.version")
def version_of_the_response(stage):
    stage.report.response = b"\x10\x60\x00\x00"


@proves(checks.REPORT_MESSAGES)
def another_request(stage):
    stage.report.request = b"\x11\xe1\x01\xff"


@proves(checks.REPORT_MESSAGES)
def an_error_for_an_answer(stage):
    stage.report.response = b"\x11\x7f\x00\x00"


@proves(checks.REPORT_MESSAGES)
def request_without_signature(stage):
    stage.report.request = b"\x11\xe0\x00\xff"


@proves(checks.REPORT_MESSAGES)
def request_for_one_measurement(stage):
    stage.report.request = b"\x11\xe0\x01\x01"


@proves(checks.REPORT_MESSAGES)
def another_slot(stage):
    stage.report.slot = 1


@proves(checks.REPORT_TRAILING)
def junk_behind_the_signature(stage):
    stage.report.after = lambda report: report + b"\0\0\1"


@proves(checks.REPORT_BLOCKS)
def measurement_twice(stage):
    stage.report.measurements.insert(3, stage.report.measurements[2])


@proves(checks.REPORT_BLOCKS)
def measurements_out_of_order(stage):
    stage.report.measurements[2:4] = stage.report.measurements[3:1:-1]


@proves(checks.REPORT_BLOCKS)
def measurement_left_out(stage):
    del stage.report.measurements[5]


@proves(checks.REPORT_BLOCKS)
def another_specification(stage):
    stage.report.measurements[0] = (1, 2, 1, bytes(48))


@proves(checks.REPORT_BLOCKS)
def raw_value_for_a_digest(stage):
    stage.report.measurements[0] = (1, 1, 0x81, bytes(48))


@proves(checks.REPORT_BLOCKS)
def digest_of_another_length(stage):
    stage.report.measurements[0] = (1, 1, 1, bytes(32))


@proves(checks.REPORT_BLOCKS)
def digest_at_the_end_of_another_length(stage):
    stage.report.measurements[-1] = (len(stage.report.measurements), 1, 1, bytes(32))


@proves(checks.REPORT_BLOCKS)
def block_that_says_another_size(stage):
    stage.report.after = lambda report: report[:47] + b"\x34" + report[48:]


@proves(checks.REPORT_BLOCKS)
def digest_that_says_another_size(stage):
    stage.report.after = lambda report: report[:51] + b"\x01" + report[52:]


@proves(checks.REPORT_BLOCKS)
def count_that_is_wrong(stage):
    stage.report.block_count = 3


@proves(checks.REPORT_BLOCKS)
def no_measurement(stage):
    stage.report.measurements = []


@proves(checks.REPORT_OPAQUE)
def no_firmware_version(stage):
    stage.report.drop(6)


@proves(checks.REPORT_OPAQUE, on=GPUS)
def no_driver_version(stage):
    stage.report.drop(3)


@proves(checks.REPORT_OPAQUE)
def stated_firmware_that_is_no_digest(stage):
    stage.report.set(20, bytes(47))


@proves(checks.REPORT_OPAQUE, on=("LS10",))
def no_device_id(stage):
    stage.report.drop(22)


@proves(checks.REPORT_OPAQUE)
def field_twice(stage):
    stage.report.opaque.append(stage.report.opaque[0])


@proves(checks.REPORT_OPAQUE)
def too_many_fields(stage):
    stage.report.opaque += [(number, b"") for number in range(100, 170)]


@proves(checks.REPORT_OPAQUE)
def field_of_another_size(stage):
    stage.report.set(34, b"\1")


@proves(checks.REPORT_OPAQUE)
def format_of_the_future(stage):
    stage.report.set(34, b"\2\0")


@proves(checks.REPORT_OPAQUE, on=GPUS)
def version_that_a_terminal_would_obey(stage):
    stage.report.set(3, b"\x1b[2J\0")


@proves(checks.REPORT_OPAQUE, on=GPUS)
def long_version(stage):
    stage.report.set(3, b"5" * 65)


@proves(checks.REPORT_OPAQUE, on=GPUS)
def neither_on_nor_off(stage):
    stage.report.set(11, b"\0")


@proves(checks.REPORT_OPAQUE, on=GPUS)
def half_a_device_id(stage):
    stage.report.set(22, bytes(12))


@proves(checks.REPORT_OPAQUE)
def field_that_does_not_fit(stage):
    stage.report.opaque_tail = b"\x02\x00\xff\x00"


@proves(checks.REPORT_OPAQUE)
def field_without_a_size(stage):
    stage.report.opaque_tail = b"\x02\x00\xff"


@proves(checks.REPORT_MODE, on=GPUS)
def unknown_mode(stage):
    stage.report.set(36, b"\3\0")


@proves(checks.REPORT_MODE, on=GPUS)
def mode_that_contradicts_its_state(stage):
    stage.report.set(36, b"\2\0")


# --- The chain


def reissue(stage, place: int, **changes) -> None:
    """Issue a certificate of the chain again, saying something else, and everything below it."""
    chain, device = stage.report.chain, stage.devices[0]
    profiles = [
        device.firmware_profile(),
        pki.Profile(
            f"{device.label} BROM",
            serial_number=device.chip.certificate.subject.get_attributes_for_oid(pki.SERIAL_NUMBER)[0].value,
            usage=frozenset({"key_cert_sign"}),
        ),
        pki.Profile(chain[2].certificate.subject.get_attributes_for_oid(pki.COMMON_NAME)[0].value),
        pki.Profile(chain[3].certificate.subject.get_attributes_for_oid(pki.COMMON_NAME)[0].value),
    ]
    profiles[place] = replace(profiles[place], **changes)
    for at in range(place, -1, -1):
        chain[at] = chain[at + 1].issue(profiles[at], chain[at].key)


@proves(checks.CHAIN_LAYOUT)
def four_certificates(stage):
    stage.answers = stage.device_answers()
    del stage.report.chain[3]


@proves(checks.CHAIN_LAYOUT)
def text_that_is_no_certificate(stage):
    stage.report.pem = lambda: b"-----BEGIN NOTHING-----\n"


@proves(checks.CHAIN_ROOT)
def root_of_somebody_else(stage):
    other = SimulatedDevice(STRANGER, stage.architectures[0], "0")
    stage.report.chain = other.chain()
    stage.report.key = other.firmware_key


@proves(checks.CHAIN_ROOT)
def root_of_manifests(stage):
    """A chain to the other root of the same vendor: good for manifests, for no device."""
    stage.report.chain[-1] = NVIDIA.manifest_root


@proves(checks.CHAIN_ROLE)
def firmware_that_may_issue(stage):
    reissue(stage, 0, authority=True)


@proves(checks.CHAIN_ROLE)
def firmware_that_may_not_sign(stage):
    reissue(stage, 0, usage=frozenset({"key_agreement"}))


@proves(checks.CHAIN_ROLE)
def chip_that_is_no_authority(stage):
    reissue(stage, 1, authority=False)


@proves(checks.CHAIN_ROLE)
def chip_with_another_name(stage):
    reissue(stage, 1, common_name="GH100 A01 GSP", usage=frozenset({"key_cert_sign"}))


@proves(checks.CHAIN_ROLE)
def provisioner_with_another_name(stage):
    reissue(stage, 2, common_name="NVIDIA Reference Value L3 GH100 001")


@proves(checks.CHAIN_ROLE)
def identity_with_another_name(stage):
    reissue(stage, 3, common_name="NVIDIA Provisioner ICA 1")


@proves(checks.CHAIN_ROLE, "nvidia.chain.key")
def key_that_is_no_point(stage):
    chain = stage.report.chain
    signed = chain[0].certificate.tbs_certificate_bytes
    point = pki.spki(chain[0].key)[-97:]
    assert point in signed
    spoilt = signed.replace(point, point[:-1] + bytes([point[-1] ^ 1]), 1)
    chain[0] = pki.resigned(spoilt, chain[0].key, chain[1])


@proves(checks.CHAIN_CHIP)
def firmware_of_another_chip(stage):
    reissue(stage, 0, common_name="GH200 A01 GSP FMC LF")


@proves(checks.CHAIN_CHIP, "nvidia.chain.family")
def chip_of_another_family(stage):
    chain = stage.report.chain
    chip = pki.Profile("GV100 A01 GSP BROM", serial_number="41", usage=frozenset({"key_cert_sign"}))
    leaf = replace(stage.devices[0].firmware_profile(), common_name="GV100 A01 GSP FMC LF")
    chain[1] = chain[2].issue(chip, chain[1].key)
    chain[0] = chain[1].issue(leaf, chain[0].key)


@proves(checks.CHAIN_CHIP, "nvidia.chain.number")
def chip_without_a_number(stage):
    reissue(stage, 1, serial_number="")


@proves(checks.CHAIN_SIGNATURE)
def firmware_certified_by_another_key(stage):
    chain = stage.report.chain
    profile = stage.devices[0].firmware_profile()
    chain[0] = pki.forged(profile, chain[0].key, chain[1], chain[2])


@proves(checks.CHAIN_SIGNATURE, "nvidia.chain.issuer")
def firmware_that_names_another_issuer(stage):
    reissue(stage, 0, issuer_name="GH100 A01 GSP BROM")


@proves(checks.CHAIN_VALIDITY)
def expired_firmware(stage):
    reissue(stage, 0, not_after=NOW - DAY)


@proves(checks.CHAIN_VALIDITY)
def provisioner_of_the_future(stage):
    reissue(stage, 2, not_before=NOW + DAY)


@proves(checks.CHAIN_FWID)
def certificate_without_firmware(stage):
    reissue(stage, 0, extension=None)


@proves(checks.CHAIN_FWID, on=("HOPPER", "LS10"))
def firmware_certified_for_another_chip(stage):
    device = stage.devices[0]
    reissue(stage, 0, extension=(pki.OID_COMPOSITE, pki.composite_id(NVIDIA.key("other"), device.fwid)))


@proves(checks.CHAIN_FWID)
def firmware_digest_of_another_size(stage):
    value = pki.tcb_info("GB100", (bytes(48),)).replace(b"\x04\x30", b"\x04\x2f", 1)
    reissue(stage, 0, extension=(pki.OID_TCB_INFO, value))


@proves(checks.CHAIN_FWID)
def firmware_digest_of_another_kind(stage):
    value = pki.tcb_info("GB100", (bytes(48),)).replace(
        bytes.fromhex("0304020204"), bytes.fromhex("0304020104")
    )
    reissue(stage, 0, extension=(pki.OID_TCB_INFO, value))


@proves(checks.CHAIN_FWID)
def more_firmware_digests_than_any_device(stage):
    reissue(stage, 0, extension=(pki.OID_TCB_INFO, pki.tcb_info("GB100", (bytes(48),) * 5)))


@proves(checks.CHAIN_FWID)
def tcb_info_out_of_order(stage):
    reissue(stage, 0, extension=(pki.OID_TCB_INFO, bytes.fromhex("3006810141800141")))


@proves(checks.CHAIN_FWID)
def tcb_info_without_firmware(stage):
    reissue(stage, 0, extension=(pki.OID_TCB_INFO, bytes.fromhex("3003800141")))


@proves(checks.CHAIN_FWID, "nvidia.chain.fwid_mismatch", on=GPUS)
def other_firmware_than_certified(stage):
    stage.report.set(20, b"\x77" * 48)


@proves(checks.CHAIN_FWID, "nvidia.chain.fwid_mismatch", on=("BLACKWELL",))
def second_firmware_digest_for_the_first(stage):
    stage.report.set(20, bytes(48))


@proves(checks.REPORT_SIGNATURE)
def one_bit_of_the_signature(stage):
    stage.report.after = lambda report: report[:-1] + bytes([report[-1] ^ 1])


@proves(checks.REPORT_SIGNATURE)
def one_bit_of_the_nonce(stage):
    stage.report.after = lambda report: report[:4] + bytes([report[4] ^ 1]) + report[5:]


@proves(checks.REPORT_SIGNATURE)
def signed_by_the_chip(stage):
    stage.report.key = stage.devices[0].chip.key


@proves(checks.DEVICE_PDI, on=("LS10",))
def device_id_of_another_switch(stage):
    stage.report.set(22, SimulatedDevice(NVIDIA, "LS10", "other").pdi)


@proves(checks.STATEMENT)
def container_that_states_another_nonce(stage):
    stage.stated[0]["nonce"] = "00" * 32


@proves(checks.STATEMENT)
def container_that_states_another_family(stage):
    stage.architectures[0] = "AMPERE"


@proves(checks.STATEMENT)
def container_that_states_another_driver(stage):
    stage.stated[0]["driver_version"] = "1.2.3"


@proves(checks.STATEMENT)
def container_that_states_another_firmware(stage):
    stage.stated[0]["vbios_version"] = "1.2.3"


# --- Revocation


def answer(stage, place: int = 0):
    return stage.device_answers()[place]


@proves(checks.OCSP_LAYOUT)
def answer_with_bytes_behind_it(stage):
    answer(stage).after = lambda der: der + b"\0"


@proves(checks.OCSP_LAYOUT)
def answer_that_is_an_error(stage):
    answer(stage).response_status = 3


@proves(checks.OCSP_SUBJECT)
def no_answer_about_the_chip(stage):
    del stage.device_answers()[0]


@proves(checks.OCSP_SUBJECT)
def answer_about_another_serial_number(stage):
    answer(stage, 1).serial = 4711


@proves(checks.OCSP_SUBJECT)
def answer_about_the_same_number_of_another_issuer(stage):
    answer(stage).issuer = stage.report.chain[3]


@proves(checks.OCSP_RESPONDER)
def responder_that_is_not_certified_for_it(stage):
    found = answer(stage)
    profile = pki.Profile("NVIDIA OCSP responder", authority=None, usage=pki.SIGNER_USAGE)
    found.responder = found.issuer.issue(profile, found.key)
    found.certificates = (found.responder,)


@proves(checks.OCSP_RESPONDER)
def responder_of_another_authority(stage):
    """Certified for OCSP, by an authority above the one that issued the certificate."""
    found = answer(stage)
    found.responder = NVIDIA.responder(NVIDIA.device_root)
    found.key = found.responder.key
    found.certificates = (found.responder,)


@proves(checks.OCSP_RESPONDER)
def responder_that_may_issue(stage):
    found = answer(stage)
    usage = pki.SIGNER_USAGE | pki.AUTHORITY_USAGE
    profile = pki.Profile("NVIDIA OCSP responder", authority=None, usage=usage, ocsp_signing=True)
    found.responder = found.issuer.issue(profile, found.key)
    found.certificates = (found.responder,)


@proves(checks.OCSP_RESPONDER)
def expired_responder(stage):
    found = answer(stage)
    profile = pki.Profile(
        "NVIDIA OCSP responder",
        authority=None,
        usage=pki.SIGNER_USAGE,
        ocsp_signing=True,
        not_after=NOW - DAY,
    )
    found.responder = found.issuer.issue(profile, found.key)
    found.certificates = (found.responder,)


@proves(checks.OCSP_RESPONDER)
def responder_whose_certificate_is_missing(stage):
    answer(stage).certificates = ()


@proves(checks.OCSP_RESPONDER)
def the_chip_answers_for_itself(stage):
    found = answer(stage)
    found.responder = stage.report.chain[1]
    found.key = stage.report.chain[1].key
    found.certificates = (stage.report.chain[1],)


@proves(checks.OCSP_SIGNATURE)
def answer_signed_by_another_key(stage):
    answer(stage).key = NVIDIA.key("forger")


@proves(checks.OCSP_NONCE)
def answer_to_another_question(stage):
    answer(stage).nonce = b"\x99" * 32


@proves(checks.OCSP_NONCE)
def answer_without_the_nonce(stage):
    answer(stage).nonce = None


@proves(checks.OCSP_NONCE)
def question_with_an_empty_nonce(stage):
    answer(stage).nonce, answer(stage).asked = None, b""


@proves(checks.OCSP_TIME)
def stale_answer(stage):
    found = answer(stage)
    found.this_update, found.next_update = NOW - 3 * DAY, NOW - DAY
    found.produced_at = NOW - 3 * DAY


@proves(checks.OCSP_TIME)
def answer_of_the_future(stage):
    found = answer(stage)
    found.this_update, found.produced_at = NOW + DAY / 4, NOW + DAY / 2


@proves(checks.OCSP_TIME)
def answer_signed_before_it_was_known(stage):
    answer(stage).produced_at = NOW - DAY


@proves(checks.OCSP_TIME)
def old_answer_that_does_not_say_when_the_next_is_due(stage):
    found = answer(stage)
    found.this_update = found.produced_at = NOW - 8 * DAY
    found.next_update = None


@proves(checks.OCSP_STATUS)
def revoked_chip(stage):
    answer(stage).status = revoked(NOW - DAY, KEY_COMPROMISE)


@proves(checks.OCSP_STATUS)
def revoked_without_a_reason(stage):
    answer(stage, 1).status = revoked(NOW - DAY, None)


@proves(checks.OCSP_STATUS)
def chip_on_hold(stage):
    """A device on hold is refused, whatever may be tolerated of a manifest's signer."""
    answer(stage).status = revoked(NOW - DAY, CERTIFICATE_HOLD)


@proves(checks.OCSP_STATUS)
def unknown_provisioner(stage):
    answer(stage, 1).status = UNKNOWN


# --- Golden measurements


@proves(checks.GOLDEN_DRIVER, on=GPUS)
def manifest_of_another_driver(stage):
    stage.drivers[0].draft.version = "535.86.09"


@proves(checks.GOLDEN_FIRMWARE)
def manifest_of_other_firmware(stage):
    stage.firmware[0].draft.version = "96.00.00.00.01"


@proves(checks.GOLDEN_PRODUCT)
def manifest_of_another_chip(stage):
    stage.firmware[0].draft.name = "GA102"


@proves(checks.GOLDEN_ACTIVE, "nvidia.golden.conflict", on=GPUS)
def two_manifests_for_one_measurement(stage):
    values = stage.drivers[0].draft.values
    values[40] = (True, values[40][1])


@proves(checks.MEASUREMENTS, "nvidia.measurement.mismatch")
def measurement_of_something_else(stage):
    index, specification, kind, _ = stage.report.measurements[7]
    stage.report.measurements[7] = (index, specification, kind, b"\x55" * 48)


@proves(checks.MEASUREMENTS, "nvidia.measurement.missing")
def measurement_that_was_not_made(stage):
    del stage.report.measurements[-1]


@proves(checks.MEASUREMENTS, "nvidia.measurement.extra", on=GPUS)
def measurement_that_nobody_knows(stage):
    stage.report.measurements.append((65, 1, 1, b"\x66" * 48))


@proves(checks.BINDING, "nvidia.binding.mismatch")
def nonce_of_another_session(stage):
    stage.report.nonce = b"\x0a" * 32
    stage.stated[0]["nonce"] = "0a" * 32


CASES = [
    pytest.param(defect, architecture, id=f"{defect.spec.id}-{defect.name}-{architecture}")
    for defect in DEFECTS
    for architecture in defect.architectures
]


@pytest.mark.parametrize(("defect", "architecture"), CASES)
def test_only_this_check_refuses(defect, architecture):
    stage = scene(architecture)
    defect.spoil(stage)
    result = judge(stage.finish())
    assert not result.authentic
    assert {(check.spec.id, check.code) for check in result.ledger.failed()} == {
        (defect.spec.id, defect.code)
    }
    with pytest.raises(EvidenceError, match="cannot be read"):
        _ = result.claims


# --- Sets


def only(result, spec, code=""):
    assert not result.authentic
    assert {(check.spec, check.code) for check in result.ledger.failed()} == {(spec, code or spec.id)}


def test_one_device_presented_twice_is_not_two():
    """nvidia.set.distinct."""
    device = SimulatedDevice(NVIDIA, "HOPPER", "0")
    only(judge(Scene(NVIDIA, NOW, NONCE, [device, device]).finish()), checks.SET_DISTINCT)


def test_devices_under_two_roots_are_no_set():
    """nvidia.set.anchor."""
    mine, other = scene(), Scene(STRANGER, NOW, NONCE, [SimulatedDevice(STRANGER, "HOPPER", "1")])
    other.drivers = other.firmware = []
    first, second = mine.finish(), other.finish()
    both = replace(
        first,
        evidence=json.dumps(json.loads(first.evidence) + json.loads(second.evidence)).encode(),
        ocsp=first.ocsp + second.ocsp,
    )
    found = roots()
    for name, der, vendor in STRANGER.anchors:
        found = found.with_anchor(name, der, vendor=vendor)
    result = verify_nvidia(
        both.evidence,
        endorsements=endorsements(both),
        roots=found,
        now=NOW,
        binding=Expected(NONCE),
        facts=FactCache(),
    )
    only(result, checks.SET_ANCHOR)


def test_devices_that_answered_to_several_nonces_are_no_set():
    """nvidia.set.nonce: what is not compared with a binding must still be one answer to one question."""
    stage = Scene(NVIDIA, NOW, NONCE, [SimulatedDevice(NVIDIA, "HOPPER", name) for name in "ab"])
    nonce_of_another_session(stage)
    only(judge(stage.finish(), binding=Unchecked("looking only")), checks.SET_NONCE)


def test_gpus_in_several_modes_are_no_set():
    """nvidia.set.mode."""
    stage = Scene(NVIDIA, NOW, NONCE, [SimulatedDevice(NVIDIA, "HOPPER", name) for name in "ab"])
    stage.reports[1].set(36, b"\1\0")
    only(judge(stage.finish()), checks.SET_MODE)


def test_switches_that_the_gpus_do_not_name():
    """nvidia.set.switches."""
    stage = protected()
    other = SimulatedDevice(NVIDIA, "LS10", "elsewhere", gpus=stage.devices[2].gpus)
    stage.reports[2] = other.draft(NONCE)
    only(judge(stage.finish()), checks.SET_SWITCHES)


def test_gpus_with_other_links():
    """nvidia.set.switches."""
    stage = protected()
    stage.reports[0].set(22, bytes(8) + b"\x31" * 8)
    only(judge(stage.finish()), checks.SET_SWITCHES, "nvidia.set.links")


def test_switches_that_serve_other_gpus():
    """nvidia.set.switches."""
    stage = protected()
    stage.reports[2].set(26, (b"\x41" * 8 + b"\x42" * 8).ljust(128, b"\0"))
    only(judge(stage.finish()), checks.SET_SWITCHES, "nvidia.set.ports")


def test_a_gpu_behind_the_switches_that_is_not_presented():
    """nvidia.set.switches."""
    stage = protected(gpus=3)
    del stage.reports[0], stage.architectures[0], stage.stated[0]
    only(judge(stage.finish()), checks.SET_SWITCHES, "nvidia.set.count")


def test_protected_pcie_without_the_switches_is_not_authentic():
    stage = protected()
    del stage.reports[2:], stage.architectures[2:], stage.stated[2:]
    result = judge(stage.finish())
    assert not result.authentic
    assert not result.ledger.failed()
    check = result.ledger[checks.SET_SWITCHES.id]
    assert (check.outcome, check.code) == (Outcome.NOT_CHECKED, "nvidia.set.switches.missing")
    assert [need.kind for need in result.needs] == ["evidence"]


# --- What is given beside the evidence


def test_a_device_under_a_pinned_root_needs_manifests_under_one(monkeypatch):
    """nvidia.golden.anchor: hardware is not compared with values that anybody could have signed."""
    der = NVIDIA.device_root.der
    pinned = {
        **roots_module.VENDOR_ROOTS,
        roots_module.hashlib.sha256(der).digest(): PinnedRoot("nvidia", "pinned for a test", der),
    }
    evidence = scene().finish()
    given = endorsements(evidence)
    monkeypatch.setattr(roots_module, "VENDOR_ROOTS", MappingProxyType(pinned))
    found = Roots.vendor().with_anchor("a root", der, vendor="nvidia")
    result = verify_nvidia(
        evidence.evidence,
        endorsements=given,
        roots=found,
        now=NOW,
        binding=Expected(NONCE),
        facts=FactCache(),
    )
    assert not result.simulated
    only(result, checks.GOLDEN_ANCHOR)


def test_a_manifest_that_cannot_be_relied_on_any_more():
    """nvidia.golden.time."""
    stage = scene()
    for draft in stage.device_answers():
        draft.next_update = NOW + 5 * DAY
    evidence = stage.finish()
    result = judge(evidence, given=endorsements(evidence), now=NOW + 2 * DAY)
    only(result, checks.GOLDEN_TIME)


def test_a_manifest_without_active_values():
    """nvidia.golden.active: an empty set of golden values approves nothing."""
    evidence = scene().finish()
    given = endorsements(evidence)
    empty = replace(given.firmware[0], active={})
    only(
        judge(evidence, given=replace(given, firmware=(empty,))), checks.GOLDEN_ACTIVE, "nvidia.golden.empty"
    )


@pytest.mark.parametrize("architecture", GPUS)
def test_the_decoder_counts_only_when_it_is_on(architecture):
    """Measurement 35 is left out when the device says, signed, that the decoder is off; never otherwise."""
    off = judge(scene(architecture).finish())
    assert off.claims.devices[0].nvdec0_disabled
    on = judge(scene(architecture, nvdec0=True).finish())
    assert not on.claims.devices[0].nvdec0_disabled
    assert on.claims.devices[0].references[0].compared == off.claims.devices[0].references[0].compared + 1
    stage = scene(architecture)
    stage.report.set(11, b"\xaa")
    only(judge(stage.finish()), checks.MEASUREMENTS, "nvidia.measurement.mismatch")


def test_a_second_golden_value_is_as_good():
    stage = scene(overrides={})
    values = stage.drivers[0].draft.values[5][1]
    stage.report.measurements[5] = (6, 1, 1, values[0])
    assert judge(stage.finish()).bound


def test_without_endorsements_nothing_is_authentic_and_the_needs_are_named():
    stage = scene()
    result = judge(stage.finish(), given=NvidiaEndorsements())
    assert not result.authentic
    assert not result.ledger.failed()
    unmet = {check.spec for check in result.ledger.unmet()}
    assert unmet == {*checks.OCSP_CHECKS, *checks.GOLDEN_CHECKS}
    kinds = [need.kind for need in result.needs]
    assert kinds == ["ocsp"] * 3 + ["rim"] * 2
    assert {need.key["id"] for need in result.needs if need.kind == "rim"} == {
        "NV_GPU_DRIVER_GH100_590.12",
        "NV_GPU_VBIOS_G520_0200_885_9600A50001",
    }


def test_a_question_without_a_nonce_is_said_so():
    stage = scene()
    for draft in stage.device_answers():
        draft.nonce = draft.asked = None
    result = judge(stage.finish())
    assert result.authentic
    assert result.ledger[checks.OCSP_NONCE.id].outcome is Outcome.NOT_APPLICABLE
    assert not result.claims.devices[0].revocation.fresh


def test_unchecked_binding_is_authentic_and_not_bound():
    result = judge(scene().finish(), binding=Unchecked("looking only"))
    assert result.authentic
    assert not result.bound
    assert result.ledger[checks.BINDING.id].code == "nvidia.binding.unchecked"
    assert [need.kind for need in result.needs] == ["binding"]


def test_a_bare_report_takes_its_chain_from_the_endorsements():
    stage = scene()
    evidence = stage.finish()
    given = replace(endorsements(evidence), chain=stage.report.pem())
    for padding in (b"", bytes(3)):
        result = judge(replace(evidence, evidence=stage.report.sign() + padding), given=given)
        assert result.bound
        assert [region.name for region in result.unsigned] == (["zero padding"] if padding else [])


def test_a_bare_report_without_its_chain_says_what_it_needs():
    stage = scene()
    evidence = stage.finish()
    result = judge(replace(evidence, evidence=stage.report.sign()), given=endorsements(evidence))
    assert not result.authentic
    assert not result.ledger.failed()
    assert result.ledger[checks.REPORT_LAYOUT.id].outcome is Outcome.PASSED
    assert result.ledger[checks.CHAIN_LAYOUT.id].code == "nvidia.chain.missing"
    assert [need.kind for need in result.needs] == ["chain"]
    assert result.anchor is None


def test_a_broken_chain_says_nothing_of_what_the_other_devices_lack():
    stage = protected(2, 0)
    del stage.reports[1].chain[3]
    evidence = stage.finish()
    result = judge(evidence, given=replace(endorsements(evidence), drivers=(), firmware=()))
    assert [check.code for check in result.ledger.failed()] == ["nvidia.chain.layout"]
    assert [need.key["component"] for need in result.needs] == ["driver", "vbios"]


def test_trustee_lists_devices_under_a_member():
    stage = scene()
    evidence = stage.finish()
    (device,) = json.loads(evidence.evidence)
    wrapped = {
        "device_evidence_list": [
            {
                "arch": "HOPPER",
                "uuid": "unknown",
                "evidence": device["evidence"],
                "certificate": device["certificate"],
            }
        ]
    }
    result = judge(replace(evidence, evidence=json.dumps(wrapped).encode()))
    assert result.bound
    single = judge(replace(evidence, evidence=json.dumps(device).encode()))
    assert single.bound
    assert single.signed_digest == result.signed_digest


def test_the_vendors_command_lists_devices_under_a_member():
    stage = scene()
    evidence = stage.finish()
    printed = b'{"evidences": ' + evidence.evidence + b', "result_code": 0, "result_message": "OK"}'
    result = judge(replace(evidence, evidence=printed))
    assert result.bound


def test_what_a_request_states_for_all_devices_is_compared_with_each():
    stage = protected()
    evidence = stage.finish()
    devices = [
        {"certificate": each["certificate"], "evidence": each["evidence"]}
        for each in json.loads(evidence.evidence)[:2]
    ]

    def asked(**stated):
        request = {"arch": "HOPPER", "nonce": NONCE.hex(), "evidence_list": devices} | stated
        return judge(replace(evidence, evidence=json.dumps(request).encode()))

    assert not asked().ledger.failed()
    for wrong in ({"arch": "BLACKWELL"}, {"nonce": bytes(32).hex()}):
        assert [check.id for check in asked(**wrong).ledger.failed()] == [checks.STATEMENT.id]
    assert [check.code for check in asked(nonce=1).ledger.failed()] == ["nvidia.container"]
    devices[0] |= {"arch": "Hopper", "nonce": NONCE.hex()}
    assert not asked().ledger.failed()
    # What a device states itself is no reason to leave what is stated for all of them uncompared.
    (failed,) = asked(arch="BLACKWELL").ledger.failed()
    assert (failed.code, "another arch" in failed.reason) == ("nvidia.container", True)


def test_a_container_with_json_escapes_declares_all_of_itself_unsigned():
    stage = scene()
    evidence = stage.finish()
    escaped = replace(evidence, evidence=evidence.evidence.replace(b"/", b"\\/"))
    assert escaped.evidence != evidence.evidence
    result = judge(escaped)
    assert result.bound
    assert [(region.start, region.end) for region in result.unsigned] == [(0, len(escaped.evidence))]


def test_older_firmware_does_not_state_its_mode():
    stage = scene()
    stage.report.drop(36)
    stage.report.drop(34)
    (device,) = judge(stage.finish()).claims.devices
    assert (device.mode, device.protected_pcie) == (Mode.UNSTATED, False)
    stage = protected()
    for report in stage.reports[:2]:
        report.drop(36)
    assert {gpu.mode for gpu in judge(stage.finish()).claims.gpus} == {Mode.PPCIE}


def test_warm_and_cold_say_the_same():
    facts = FactCache()
    evidence = scene().finish()
    given = endorsements(evidence)
    cold = judge(evidence, facts=facts, given=given)
    warm = judge(evidence, facts=facts, given=given)
    assert cold.ledger == warm.ledger
    assert cold.claims == warm.claims
    assert len(facts.shelf("nvidia.chains")) == len(facts.shelf("nvidia.revocation")) == 1
    later = judge(evidence, facts=facts, given=given, now=NOW + 2 * DAY)
    assert {check.spec for check in later.ledger.failed()} >= {checks.OCSP_TIME}


def test_a_known_state_spares_no_signature_and_no_nonce():
    facts = FactCache()
    stage = scene()
    evidence = stage.finish()
    given = endorsements(evidence)
    assert judge(evidence, facts=facts, given=given).bound
    assert len(facts.shelf("nvidia.states")) == 1
    for spoil, code in (
        (one_bit_of_the_signature, "nvidia.report.signature"),
        (one_bit_of_the_nonce, "nvidia.report.signature"),
        (nonce_of_another_session, "nvidia.binding.mismatch"),
        (container_that_states_another_driver, "nvidia.statement"),
        (measurement_of_something_else, "nvidia.measurement.mismatch"),
        (unknown_mode, "nvidia.report.mode"),
    ):
        stage = scene()
        spoil(stage)
        found = judge(replace(evidence, evidence=stage.finish().evidence), facts=facts, given=given)
        assert {check.code for check in found.ledger.failed()} == {code}
        assert not found.authentic
    # Another nonce is the same state, and a state that was refused is none.
    assert len(facts.shelf("nvidia.states")) == 1
    empty = replace(given, firmware=(replace(given.firmware[0], active={}),))
    assert not judge(evidence, facts=facts, given=empty).authentic


def test_a_refusal_is_not_remembered():
    facts = FactCache()
    stage = scene()
    answer(stage).status = UNKNOWN
    assert not judge(stage.finish(), facts=facts).authentic
    assert len(facts.shelf("nvidia.revocation")) == 0
    stage = scene()
    stage.report.chain[-1] = NVIDIA.manifest_root
    judge(stage.finish(), facts=facts)
    assert len(facts.shelf("nvidia.chains")) == 1


def test_errors_of_the_caller_are_exceptions():
    evidence = scene().finish()
    with pytest.raises(EvidenceError) as error:
        judge(evidence, now=NOW.replace(tzinfo=None), given=NvidiaEndorsements())
    assert error.value.code == "evidence.call.time"
    with pytest.raises(EvidenceError) as error:
        judge(replace(evidence, evidence=bytearray(evidence.evidence)), given=NvidiaEndorsements())
    assert error.value.code == "evidence.call.type"
    with pytest.raises(EvidenceError) as error:
        NvidiaEndorsements(ocsp=(OcspReply(b"", Unchecked("-")),) * 513)
    assert error.value.code == "nvidia.endorsements.oversized"


def test_answers_may_name_the_issuer_with_any_digest_and_the_issuer_may_answer_itself():
    for digest in ("sha1", "sha256", "sha384", "sha512"):
        stage = scene()
        for draft in stage.device_answers():
            draft.digest = digest
            draft.by_key = digest != "sha1"
        assert judge(stage.finish()).bound
    stage = scene()
    stage.answers = answers(NVIDIA, stage.report.chain[1:], NOW)
    for draft in stage.answers:
        draft.responder, draft.key, draft.certificates = draft.issuer, draft.issuer.key, ()
    assert judge(stage.finish()).bound


def test_every_check_has_an_input_that_only_it_refuses():
    registered = {defect.spec for defect in DEFECTS}
    elsewhere = {*checks.SET_CHECKS, checks.GOLDEN_ANCHOR, checks.GOLDEN_TIME}
    assert set(checks.NVIDIA_CHECKS) == registered | elsewhere
    assert not registered & elsewhere


def test_manifests_that_do_not_verify_are_not_reachable():
    stage = scene()
    stage.drivers[0].draft.after_digest = lambda info: info.replace("sha384", "sha256", 1)
    result = rim(stage.finish().drivers[0])
    assert not result.verified
