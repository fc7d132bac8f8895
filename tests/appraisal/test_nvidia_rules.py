"""Rules about NVIDIA devices by their own reports: for each, the evidence that it alone refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.appraisal import AttestationResult, Policy
from assay.appraisal.rules.subject import Context
from assay.evidence.nvidia.claims import (
    Architecture,
    DeviceClaims,
    Mode,
    NvidiaClaims,
)
from assay.evidence.verification import Anchor
from support.appraisal_evidence import NOW, OWN_ROOT, authentic, failures
from support.appraisal_evidence import judged as appraised
from support.appraisal_nvidia import CLAIMS, GPU, NVIDIA, OWN, SWITCH, USED


def policy(body: str = "", *, accept: str = "[]", top: str = "") -> Policy:
    text = f'version = 1\nplatforms = ["nvidia-gpu"]\naccept = {accept}\n{top}[nvidia]\n{body}\n'
    return Policy.load(text.encode(), name="test")


def judged(
    by: Policy, *devices: DeviceClaims, anchor: Anchor = NVIDIA, context: Context | None = None
) -> AttestationResult:
    claims = NvidiaClaims(devices, b"n" * 32) if devices else CLAIMS
    return appraised(authentic("nvidia-gpu", claims, anchor), by, context=context)


def used(**changed: Any) -> DeviceClaims:
    return replace(GPU, references=(USED, replace(USED, **changed)))


def test_what_meets_every_rule_is_accepted_and_opens_no_gate():
    by = policy()
    result = judged(by)
    assert result.accepted
    assert not by.gate
    assert result.trust_vector["executables"] == 0
    assert result.trust_vector["hardware"] == 2


def test_a_certificate_on_hold_has_to_be_admitted():
    assert failures(judged(policy(), used(held=True))) == ["policy.nvidia.hold.weak"]
    admitted = judged(policy(accept='["certificate-hold"]'), used(held=True))
    assert admitted.accepted
    assert admitted.trust_vector["hardware"] == 32


def test_a_responder_that_nobody_asked_about_is_no_reason_to_refuse_and_is_not_proven():
    unasked = replace(GPU, revocation=replace(GPU.revocation, responder_unasked=True))
    for devices, said in ((GPU,), 0), ((GPU, unasked), 1), ((used(responder_unasked=True),), 1):
        result = judged(policy(), *devices)
        assert result.accepted
        assert sum("was not revoked itself" in sentence for sentence in result.not_proven) == said


def test_answers_without_a_nonce_are_no_reason_to_refuse_and_are_not_proven_to_be_new():
    asked = replace(GPU, revocation=replace(GPU.revocation, fresh=False))
    for devices, said in ((GPU,), 0), ((GPU, asked), 1), ((used(fresh=False),), 1):
        result = judged(policy(), *devices)
        assert result.accepted
        assert sum("without a nonce" in sentence for sentence in result.not_proven) == said


def test_manifests_are_of_the_vendor_as_the_device_is():
    assert failures(judged(policy(), used(simulated=True))) == ["policy.nvidia.manifests.simulated"]
    assert failures(judged(policy(), replace(GPU, references=()))) == ["policy.nvidia.manifests.missing"]
    own = policy(top='simulated = "only"\n', accept='["simulated"]')
    context = Context(installation_roots=frozenset({OWN_ROOT}))
    assert judged(own, used(simulated=True), anchor=OWN, context=context).accepted


@pytest.mark.parametrize(
    ("body", "devices", "code"),
    [
        (
            'architectures = ["HOPPER", "LS10"]',
            [replace(GPU, architecture=Architecture.BLACKWELL)],
            "architectures.not_listed",
        ),
        ('drivers = ["550.90.07"]', [GPU, replace(GPU, driver_version="1")], "drivers.not_listed"),
        ('drivers = ["550.90.07"]', [SWITCH], "drivers.not_listed"),
        (
            'firmware = ["96.00.9F.00.01", "96.10"]',
            [GPU, replace(SWITCH, vbios_version="1")],
            "firmware.not_listed",
        ),
        ('modes = ["spt"]', [replace(GPU, mode=Mode.PPCIE)], "modes.not_listed"),
        ('modes = ["spt"]', [replace(GPU, mode=Mode.UNSTATED)], "modes.not_listed"),
        ('device_ids = ["01", "02"]', [replace(GPU, device_id="03")], "device_ids.not_listed"),
        ("gpus = 1", [GPU, replace(GPU, device_id="03")], "gpus.count"),
        ("gpus = 1", [SWITCH], "gpus.count"),
        ("switches = 1", [GPU], "switches.count"),
        (
            "fresh_revocation = true",
            [GPU, replace(SWITCH, revocation=replace(GPU.revocation, fresh=False))],
            "fresh_revocation.mismatch",
        ),
        ("fresh_revocation = true", [used(fresh=False)], "fresh_revocation.mismatch"),
    ],
)
def test_requirements(body, devices, code):
    assert judged(policy(body)).accepted
    assert failures(judged(policy(body), *devices)) == [f"policy.nvidia.{code}"]


def test_the_oldest_status_tells_how_old_the_endorsements_are():
    by = policy(top="[freshness]\ncollateral_max_age_hours = 2\n")
    assert judged(by).accepted
    older = replace(SWITCH, revocation=replace(GPU.revocation, this_update=NOW - timedelta(hours=3)))
    assert failures(judged(by, GPU, older)) == ["policy.freshness.collateral_max_age_hours.too_old"]


@pytest.mark.parametrize(("version", "shown"), [("580.0", "580.0"), ("", "not stated")])
def test_what_a_device_is_instead_is_told(version, shown):
    by = policy('drivers = ["1.0"]')
    (failed,) = judged(by, replace(GPU, driver_version=version)).ledger.failed()
    assert failed.code.startswith("policy.nvidia.drivers.")
    assert shown in failed.reason
