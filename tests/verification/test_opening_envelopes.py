"""Evidence with the name of a platform on it, and the log that Confidential Containers guests send along."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Policy, verify
from assay.errors import EvidenceError
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.scene import Scene
from assay.simulator.tcg_log import EFI_ACTION, BootEvent
from assay.verification.firmware_log import CcelData
from assay.verification.formats import platforms
from assay.verification.opened import Opened
from assay.verification.opening import MAX_DEPTH, open_evidence
from support.dcap_scenes import INTEL, NOW, REPORT_DATA
from support.google_vm_scenes import scene as google_vm_scene

TDX = bytes.fromhex("0400020081000000") + bytes(range(256)) * 4
SGX = bytes.fromhex("0300020000000000") + bytes(range(256)) * 4
SNP = struct.pack("<I", 2) + bytes(0x30) + struct.pack("<I", 1) + bytes(1184 - 0x38)
POLICY = Policy.load(
    b'version = 1\nplatforms = ["tdx"]\nsimulated = "only"\naccept = ["simulated"]\n', name="t"
)


def text(evidence: bytes) -> str:
    return base64.b64encode(evidence).decode()


def only(document: Any) -> Opened:
    return open_evidence(json.dumps(document).encode())


def code(document: Any) -> str:
    with pytest.raises(EvidenceError) as refused:
        only(document)
    return refused.value.code


def outcome(document: Any) -> str:
    """Return the platform of what is opened, or why it is not."""
    try:
        return only(document).platform
    except EvidenceError as error:
        return error.code


# --- envelopes


@pytest.mark.parametrize(
    ("word", "inner", "evidence", "platform"),
    [
        ("tdx", {"quote": text(TDX)}, TDX, "tdx"),
        ("TDX", {"quote": text(TDX), "cc_eventlog": None}, TDX, "tdx"),
        ("intel-tdx", text(TDX), TDX, "tdx"),
        ("gcp-tdx", TDX.hex(), TDX, "tdx"),
        ("Intel SGX", {"quote": text(SGX)}, SGX, "sgx"),
        ("sev-snp", text(SNP), SNP, "snp"),
        ("AMD_SEV_SNP", SNP.hex(), SNP, "snp"),
        ("tdx", {"platform": "tdx", "evidence": text(TDX)}, TDX, "tdx"),
    ],
)
def test_what_is_in_an_envelope_is_opened(word, inner, evidence, platform):
    found = only({"platform": word, "evidence": inner})
    assert (found.evidence, found.platform) == (evidence, platform)
    assert found.form.endswith(", in an envelope")
    assert found.unverified == ()


@pytest.mark.parametrize(
    ("word", "inner"),
    [
        ("sgx", text(TDX)),
        ("tdx", text(SGX)),
        ("tdx", text(SNP)),
        ("nitro", {"quote": text(TDX)}),
        ("azure-tdx", {"quote": text(TDX)}),
        ("nvidia", {"quote": text(TDX)}),
        ("snp", {"platform": "tdx", "evidence": text(TDX)}),
        *((name, text(TDX)) for name in platforms() if name not in ("tdx", "gcp-tdx")),
    ],
)
def test_the_name_of_another_platform_is_refused(word, inner):
    assert code({"platform": word, "evidence": inner}) == "verification.envelope.platform"


HELD: dict[str, Any] = {
    "tdx": text(TDX),
    "sgx": text(SGX),
    "snp": text(SNP),
    "nitro": text(b"\xd2\x84\x44\xa1\x01\x38\x22"),
    "nitro-tpm": text(b"\xd2\x84\x44\xa1\x01\x38\x22nitrotpm_pcrs"),
    "azure-snp": {"hcl_report": "", "vcek": ""},
    "azure-tdx": {"hcl_report": "", "td_quote": ""},
    "confidential-space": "eyJhbGciOiJSUzI1NiJ9.eyJzd25hbWUiOiJDT05GSURFTlRJQUxfU1BBQ0UifQ.AAAA",
    "maa": "eyJhbGciOiJSUzI1NiJ9.eyJ4LW1zLXZlciI6IjEuMCJ9.AAAA",
    "nvidia-gpu": [{"arch": "", "evidence": "", "certificate": ""}],
    "nras": [["JWT", ""], {}],
    "tpm": text(b"ASSAYTPM"),
}
SPELLED = {
    "tdx": ["tdx", "Intel TDX", "GCP TDX"],
    "sgx": ["sgx", "intel_sgx"],
    "snp": ["snp", "SEV-SNP", "amd sev-snp", "AMD SNP", "gcp-snp"],
    "nitro": [
        *("nitro", "AWS Nitro", "nitro-enclave", "Nitro Enclaves"),
        *("AWS Nitro Enclave", "aws-nitro-enclaves"),
    ],
    "nitro-tpm": ["nitro-tpm", "NitroTPM", "aws-nitro-tpm"],
    "azure-snp": ["azure-snp", "az-snp-vtpm"],
    "azure-tdx": ["azure-tdx", "az-tdx-vtpm"],
    "confidential-space": ["confidential-space", "GCP Confidential Space"],
    "maa": ["maa", "azure-attestation"],
    "nvidia-gpu": ["nvidia-gpu", "nvidia", "NVIDIA GPU", "gpu"],
    "nras": ["nras", "nvidia-gpu", "nvidia", "NVIDIA GPU", "gpu"],
    "tpm": ["tpm"],
}


@pytest.mark.parametrize(("platform", "word"), [(held, word) for held in SPELLED for word in SPELLED[held]])
def test_a_platform_is_known_by_each_of_its_names(platform, word):
    found = only({"platform": word, "evidence": HELD[platform]})
    assert (found.platform, found.unverified) == (platform, ())
    others = [other for other in HELD if word not in SPELLED[other]]
    assert len(others) >= len(HELD) - 2
    assert {code({"platform": word, "evidence": HELD[other]}) for other in others} == {
        "verification.envelope.platform"
    }


@pytest.mark.parametrize("tee", ["tdx", "snp"])
def test_a_vm_of_google_is_known_by_all_that_it_holds(tee):
    container = google_vm_scene(tee).finish().container
    for word in (f"gcp-{tee}", "gcp-vtpm"):
        found = only({"platform": word, "evidence": text(container)})
        assert (found.evidence, found.platform) == (container, "gcp-vtpm")
    for word in ("gcp-snp" if tee == "tdx" else "gcp-tdx", tee):
        assert code({"platform": word, "evidence": text(container)}) == "verification.envelope.platform"


def test_a_name_is_read_up_to_its_limit():
    assert code({"platform": "sgx".ljust(64), "evidence": text(TDX)}) == "verification.envelope.platform"
    assert only({"platform": "sgx".ljust(65), "evidence": text(TDX)}).unverified == ("platform",)


@pytest.mark.parametrize("word", ["", "linux", "x" * 1000, "sgx" + "-" * 80, "\u2028", "sev", "tdx2"])
def test_a_name_of_no_platform_decides_nothing_and_is_named(word):
    found = only({"platform": word, "evidence": text(TDX), "time": 7})
    assert (found.evidence, found.platform) == (TDX, "tdx")
    assert found.unverified == ("platform", "time")


def test_what_is_named_inside_stays_named():
    found = only({"platform": "tdx", "evidence": {"quote": text(TDX), "signature": "x"}, "more": 1})
    assert found.unverified == ("signature", "more")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"platform": "tdx", "evidence": {}}, "verification.answer.unrecognised"),
        ({"platform": "tdx", "evidence": []}, "verification.evidence.unrecognised"),
        ({"platform": "tdx", "evidence": ""}, "verification.evidence.unrecognised"),
        ({"platform": "tdx", "evidence": "\ud800"}, "verification.evidence.unrecognised"),
        ({"platform": "tdx", "evidence": 7}, "verification.answer.unrecognised"),
        ({"platform": 7, "evidence": text(TDX)}, "verification.answer.unrecognised"),
    ],
)
def test_an_envelope_without_evidence_is_refused(document, expected):
    assert code(document) == expected


def test_envelopes_are_opened_so_deep_and_no_deeper():
    document: Any = text(TDX)
    for _ in range(MAX_DEPTH):
        document = {"platform": "tdx", "evidence": document}
    assert only(document).evidence == TDX
    assert code({"platform": "tdx", "evidence": document}) == "verification.evidence.unrecognised"


@given(st.text(max_size=80))
def test_no_word_changes_what_is_found(word):
    assert outcome({"platform": word, "evidence": text(TDX)}) in ("tdx", "verification.envelope.platform")


# --- the log of a guest


def sent(scene: Scene) -> Opened:
    """Return what is opened of the JSON that an attester sends."""
    made = scene.finish()
    return only({"cc_eventlog": text(made.event_log + b"\xff" * 8), "quote": text(made.quote)})


def judged(found: Opened):
    return verify(
        found.evidence,
        policy=POLICY,
        binding=Expected(REPORT_DATA),
        roots=Roots.vendor().with_anchor("simulated Intel", INTEL.root_der),
        now=NOW,
        endorsements=INTEL.collateral(NOW, platform="tdx"),
        event_log=found.firmware_log,
        platform=found.platform,
    )


def booted(*more: BootEvent) -> Scene:
    """Return a machine whose guest extended more after it booted."""
    scene = Scene(INTEL, "tdx", 4, NOW, REPORT_DATA)
    scene.log.events += more
    scene.quote_from(scene.machine)
    return scene


def test_the_log_explains_the_registers_that_it_has_events_for():
    for more, registers in (((), {0, 1}), ((BootEvent.of(3, EFI_ACTION, b"of the agent"),), {0, 1, 3})):
        log = judged(sent(booted(*more))).workload_log
        assert log.authentic, log.ledger.unmet()
        assert registers <= log.claims.registers
        outcome = log.ledger["ccel.replay.rtmr3"].outcome
        assert outcome is (Outcome.PASSED if more else Outcome.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("more", "whole", "guest"),
    [
        ((), {0, 1}, {0, 1}),
        ((2,), {0, 1, 2}, {0, 1, 2}),
        ((3,), {0, 1}, {0, 1, 3}),
        ((2, 3), {0, 1, 2}, {0, 1, 2, 3}),
    ],
)
def test_a_log_has_to_explain_what_its_writer_fills(more, whole, guest):
    """Firmware logs for itself and for a boot loader; an agent extends whatever it likes."""
    scene = Scene(INTEL, "tdx", 4, NOW, REPORT_DATA)
    scene.log.events = [event for event in scene.log.events if event.register < 2]
    scene.log.events += [BootEvent.of(register, EFI_ACTION, b"x") for register in more]
    data = scene.finish().event_log
    assert CcelData.whole(data) == CcelData(data, frozenset(whole))
    assert CcelData.of_guest(data) == CcelData(data, frozenset(guest))


def test_a_log_that_cannot_be_read_has_to_explain_what_firmware_fills():
    assert CcelData.whole(b"no log") == CcelData.of_guest(b"no log") == CcelData(b"no log", frozenset({0, 1}))


@pytest.mark.parametrize("register", [0, 1, 3])
def test_a_log_with_another_event_is_refused(register):
    scene = booted(BootEvent.of(3, EFI_ACTION, b"of the agent"))
    at = next(at for at, event in enumerate(scene.log.events) if event.register == register)
    scene.log.events[at] = replace(scene.log.events[at], digest=bytes(48))
    result = judged(sent(scene))
    assert "ccel.replay.mismatch" in [check.code for check in result.ledger.failed()]
    assert not result.accepted


def test_a_log_that_is_none_is_refused():
    found = only({"quote": text(booted().finish().quote), "cc_eventlog": text(b"no log at all")})
    failed = [check.id for check in judged(found).ledger.failed()]
    assert failed[0] == "ccel.layout"


@pytest.mark.parametrize("rest", [bytes(21), b"\xff" * 21, b""])
def test_the_agents_events_under_a_header_of_its_own_are_named_as_not_verified(rest):
    header = struct.pack("<II20sI16s", 0, 3, bytes(20), 37, bytes(16)) + rest
    found = only({"quote": text(TDX), "cc_eventlog": text(header)})
    assert found.firmware_log is None
    assert found.unverified == ("cc_eventlog",)
