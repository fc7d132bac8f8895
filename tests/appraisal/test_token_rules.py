"""Rules about tokens: for each, the evidence that it alone refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from assay.appraisal import AttestationResult, Policy
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Anchor
from support.appraisal_evidence import NOW, authentic, failures
from support.appraisal_evidence import judged as appraised
from support.appraisal_tokens import (
    CONTAINER,
    DEVICE,
    DIGEST,
    GOOD,
    MAA,
    NRAS,
    PINNED,
    PUBLISHED,
    SPACE,
    TRUST,
    changed,
)

LAUNCH = f'[maa]\nmeasurement = ["{(b"m" * 48).hex()}"]'


def policy(platform: str, body: str = "", *, accept: tuple[str, ...] = (), keys: bool = True) -> Policy:
    quoted = ", ".join(f'"{word}"' for word in (*accept, *(["published-keys"] if keys else [])))
    text = f'version = 1\nplatforms = ["{platform}"]\naccept = [{quoted}]\n{body}\n'
    return Policy.load(text.encode(), name="test")


def judged(platform: str, by: Policy, claims: Any = None, anchor: Anchor = PUBLISHED) -> AttestationResult:
    return appraised(authentic(platform, GOOD[platform] if claims is None else claims, anchor), by)


@pytest.mark.parametrize("platform", GOOD)
def test_a_published_key_has_to_be_admitted(platform):
    assert failures(judged(platform, policy(platform, keys=False))) == ["policy.simulated.published_keys"]
    result = judged(platform, policy(platform))
    assert result.accepted
    assert result.admitted == ("published-keys",)
    assert result.simulated
    assert result.trust_vector["hardware"] == 0
    assert result.trust_vector["runtime-opaque"] == 0


def test_a_chain_under_a_pinned_root_needs_no_word():
    result = judged("confidential-space", policy("confidential-space", keys=False), anchor=PINNED)
    assert result.accepted
    assert result.admitted == ()
    assert not result.simulated
    # Google appraised the hardware, whatever key it signed with: that is its word, not the hardware's.
    assert result.trust_vector["hardware"] == 0
    assert result.trust_vector["runtime-opaque"] == 0


def test_a_simulated_root_is_no_published_key():
    own = Anchor(b"\x02" * 32, "own", simulated=True)
    assert failures(judged("confidential-space", policy("confidential-space"), anchor=own)) == [
        "policy.simulated.refused"
    ]


def overridden(**how: Any) -> Any:
    return changed(SPACE, container=changed(CONTAINER, **how))


@pytest.mark.parametrize(
    ("platform", "claims", "code", "word"),
    [
        ("confidential-space", changed(SPACE, debug=True), "attributes.debug.weak", "debug"),
        ("maa", changed(MAA, debug=True), "attributes.debug.weak", "debug"),
        ("trust-authority", changed(TRUST, debug=True), "attributes.debug.weak", "debug"),
        (
            "nras",
            changed(NRAS, devices=(DEVICE, changed(DEVICE, debug_status="enabled"))),
            "attributes.debug.weak",
            "debug",
        ),
        (
            "nras",
            changed(NRAS, devices=(changed(DEVICE, debug_status=""),)),
            "attributes.debug.weak",
            "debug",
        ),
        (
            "nras",
            changed(NRAS, devices=(changed(DEVICE, warning="w"),)),
            "nvidia.warnings.weak",
            "service-warning",
        ),
        (
            "confidential-space",
            changed(SPACE, hardware="GCP_SHIELDED_VM"),
            "confidential_space.tee.weak",
            "no-tee",
        ),
        (
            "confidential-space",
            overridden(env_override={"A": "b"}),
            "confidential_space.overrides.weak",
            "operator-overrides",
        ),
        (
            "confidential-space",
            overridden(command_override=("x",)),
            "confidential_space.overrides.weak",
            "operator-overrides",
        ),
        (
            "confidential-space",
            changed(SPACE, tcb_status="OutOfDate"),
            "confidential_space.tcb.weak",
            "out-of-date-platform",
        ),
        (
            "trust-authority",
            changed(TRUST, tcb_status="SWHardeningNeeded"),
            "trust_authority.tcb.weak",
            "sw-hardening-needed",
        ),
    ],
)
def test_weaknesses(platform, claims, code, word):
    assert failures(judged(platform, policy(platform), claims)) == [f"policy.{code}"]
    admitted = judged(platform, policy(platform, accept=(word,)), claims)
    assert admitted.accepted
    assert set(admitted.admitted) == {word, "published-keys"}


@pytest.mark.parametrize(
    ("platform", "claims", "code"),
    [
        ("confidential-space", changed(SPACE, tcb_status="Revoked"), "confidential_space.tcb.unknown"),
        ("trust-authority", changed(TRUST, tcb_status=""), "trust_authority.tcb.unknown"),
        ("trust-authority", changed(TRUST, tcb_status="Splendid"), "trust_authority.tcb.unknown"),
    ],
)
def test_states_that_nothing_admits(platform, claims, code):
    words = ("sw-hardening-needed", "configuration-needed", "out-of-date-platform")
    assert failures(judged(platform, policy(platform, accept=words), claims)) == [f"policy.{code}"]


def test_a_machine_without_intels_status_has_none_to_judge():
    silent = judged("confidential-space", policy("confidential-space"), changed(SPACE, tcb_status=""))
    assert silent.accepted
    assert silent.ledger["policy.confidential_space.tcb"].outcome is Outcome.NOT_APPLICABLE


GCE = SPACE.gce


@pytest.mark.parametrize(
    ("body", "claims", "code"),
    [
        (f'image_digests = ["{DIGEST}"]', overridden(image_digest="sha256:00"), "image_digests.not_listed"),
        ('image_references = ["an image"]', overridden(image_reference="x"), "image_references.not_listed"),
        ('audiences = ["us"]', changed(SPACE, audience="them"), "audiences.not_listed"),
        ('hardware = ["GCP_INTEL_TDX"]', changed(SPACE, hardware="GCP_AMD_SEV"), "hardware.not_listed"),
        (
            'project_ids = ["a-project"]',
            changed(SPACE, gce=changed(GCE, project_id="x")),
            "project_ids.not_listed",
        ),
        ('zones = ["us-central1-a"]', changed(SPACE, gce=changed(GCE, zone="x")), "zones.not_listed"),
        ('gpu_modes = ["ON"]', changed(SPACE, gpu_mode=""), "gpu_modes.not_listed"),
        (
            'service_accounts = ["one@a-project"]',
            changed(SPACE, service_accounts=("one@a-project", "two@a-project")),
            "service_accounts.not_listed",
        ),
        (
            'service_accounts = ["one@a-project"]',
            changed(SPACE, service_accounts=()),
            "service_accounts.not_listed",
        ),
        ('support = "STABLE"', changed(SPACE, support_attributes=("USABLE",)), "support.mismatch"),
        ("secure_boot = true", changed(SPACE, secure_boot=False), "secure_boot.mismatch"),
        ("secure_boot = true", changed(SPACE, secure_boot=None), "secure_boot.unknown"),
        ("monitoring = false", changed(SPACE, monitoring={"memory": True}), "monitoring.mismatch"),
        ("monitoring = false", changed(SPACE, monitoring={}), "monitoring.unknown"),
    ],
)
def test_requirements_of_confidential_space(body, claims, code):
    by = policy("confidential-space", f"[confidential_space]\n{body}")
    assert judged("confidential-space", by).accepted
    assert failures(judged("confidential-space", by, claims)) == [f"policy.confidential_space.{code}"]


@pytest.mark.parametrize(
    ("body", "how", "code"),
    [
        (f'measurement = ["{(b"m" * 48).hex()}"]', {"measurement": b"m" * 32}, "measurement.mismatch"),
        ('issuers = ["https://shared.attest.azure.net"]', {"issuer": "https://x"}, "issuers.not_listed"),
        ('attestation_types = ["azurevm"]', {"attestation_type": "sgx"}, "attestation_types.not_listed"),
        ('tees = ["sevsnpvm"]', {"tee": "tdxvm"}, "tees.not_listed"),
        ('compliance = ["azure-compliant-cvm"]', {"compliance": ""}, "compliance.not_listed"),
        ('policy_hashes = ["hash"]', {"policy_hash": "x"}, "policy_hashes.not_listed"),
        ("secure_boot = true", {"secure_boot": False}, "secure_boot.mismatch"),
    ],
)
def test_requirements_of_azure_attestation(body, how, code):
    by = policy("maa", f"[maa]\n{body}")
    assert judged("maa", by).accepted
    assert failures(judged("maa", by, changed(MAA, **how))) == [f"policy.maa.{code}"]


@pytest.mark.parametrize("name", TRUST.measurements)
def test_registers_of_trust_authority(name):
    by = policy("trust-authority", f'[trust_authority]\n{name} = ["{TRUST.measurements[name].hex()}"]')
    assert judged("trust-authority", by).accepted
    for other in ({**TRUST.measurements, name: b"x" * 48}, {}):
        found = judged("trust-authority", by, changed(TRUST, measurements=other))
        assert failures(found) == [f"policy.trust_authority.{name}.mismatch"]


@pytest.mark.parametrize(
    ("body", "how", "code"),
    [
        (
            'issuers = ["https://portal.trustauthority.intel.com"]',
            {"issuer": "https://x"},
            "issuers.not_listed",
        ),
        ('attesters = ["TDX"]', {"attester": "SGX"}, "attesters.not_listed"),
        ('policies = ["one"]', {"policies_matched": ("two",)}, "policies.mismatch"),
    ],
)
def test_requirements_of_trust_authority(body, how, code):
    by = policy("trust-authority", f"[trust_authority]\n{body}")
    assert judged("trust-authority", by).accepted
    refused = judged("trust-authority", by, changed(TRUST, **how))
    assert failures(refused) == [f"policy.trust_authority.{code}"]


def test_the_policies_that_matched_may_be_those_that_were_named_and_no_more():
    by = policy("trust-authority", '[trust_authority]\npolicies = ["two", "one"]')
    assert judged("trust-authority", by).accepted


def test_a_switch_is_no_gpu_and_has_no_driver():
    switch = changed(DEVICE, ueid="s", driver="", token={"x-nvidia-switch-bios-version": "1"})
    by = policy("nras", '[nvidia]\ngpus = 2\ndrivers = ["550.90"]')
    assert judged("nras", by, changed(NRAS, devices=(*NRAS.devices, switch))).accepted


@pytest.mark.parametrize(
    ("body", "devices", "code"),
    [
        ('drivers = ["550.90"]', (DEVICE, changed(DEVICE, driver="1")), "drivers.not_listed"),
        ('drivers = ["550.90"]', (changed(DEVICE, driver=""),), "drivers.not_listed"),
        ('firmware = ["96.00"]', (changed(DEVICE, firmware="1"), DEVICE), "firmware.not_listed"),
        ('device_ids = ["ueid-0", "ueid-1"]', (changed(DEVICE, ueid="x"),), "device_ids.not_listed"),
        ("gpus = 2", (DEVICE,), "gpus.count"),
        ("gpus = 2", (DEVICE,) * 3, "gpus.count"),
        ("gpus = 2", (DEVICE, changed(DEVICE, name="GPU-1")), "gpus.count"),
        ("gpus = 2", (changed(DEVICE, ueid=""), changed(DEVICE, name="GPU-1", ueid="")), "gpus.count"),
        ("gpus = 2", (*NRAS.devices, changed(DEVICE, name="GPU-2", ueid="ueid-2", driver="")), "gpus.count"),
        ('drivers = ["550.90"]', (DEVICE, changed(DEVICE, driver="")), "drivers.not_listed"),
    ],
)
def test_requirements_of_the_remote_attestation_service(body, devices, code):
    by = policy("nras", f"[nvidia]\n{body}")
    assert judged("nras", by).accepted
    assert failures(judged("nras", by, changed(NRAS, devices=devices))) == [f"policy.nvidia.{code}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("architectures", '["HOPPER"]'), ("modes", '["spt"]'), ("switches", "1"), ("fresh_revocation", "true")],
)
def test_what_the_service_does_not_state_cannot_be_demanded_of_it(name, value):
    assert failures(judged("nras", policy("nras", f"[nvidia]\n{name} = {value}"))) == [
        f"policy.nvidia.{name}.unstated"
    ]


@pytest.mark.parametrize(
    ("platform", "body", "gate"),
    [
        ("confidential-space", "", False),
        ("confidential-space", f'[confidential_space]\nimage_digests = ["{DIGEST}"]', True),
        ("maa", "", False),
        ("maa", LAUNCH, False),
        ("maa", f'{LAUNCH}\nissuers = ["{MAA.issuer}"]', False),
        ("maa", f'{LAUNCH}\nissuers = ["{MAA.issuer}"]\nattestation_types = ["sevsnpvm"]', True),
        ("maa", f'{LAUNCH}\nissuers = ["{MAA.issuer}"]\nattestation_types = ["sevsnpvm", "azurevm"]', False),
        ("maa", f'{LAUNCH}\nattestation_types = ["sevsnpvm"]', False),
        ("trust-authority", "", False),
        ("trust-authority", f'[trust_authority]\nrtmr1 = ["{TRUST.measurements["rtmr1"].hex()}"]', False),
        *[
            ("trust-authority", f'[trust_authority]\n{name} = ["{TRUST.measurements[name].hex()}"]', named)
            for name, named in (("mrtd", True), ("mrenclave", True), ("mrsigner", False))
        ],
        ("nras", '[nvidia]\ndrivers = ["550.90"]', False),
    ],
)
def test_which_policies_name_the_code(platform, body, gate):
    by = policy(platform, body)
    assert by.gate is gate
    launched = changed(MAA, attestation_type="sevsnpvm") if platform == "maa" else None
    named = gate or LAUNCH in body
    assert judged(platform, by, launched).trust_vector["executables"] == (3 if named else 0)


def test_the_measurement_of_an_azure_guest_is_its_paravisors():
    guest = changed(MAA, attestation_type="azurevm")
    result = judged("maa", policy("maa", LAUNCH), guest)
    assert result.accepted
    assert result.trust_vector["executables"] == 0


def test_old_tokens_are_too_old_for_a_policy_that_says_so():
    body = "[freshness]\ncollateral_max_age_hours = 1"
    for platform, claims in GOOD.items():
        assert judged(platform, policy(platform, body)).accepted
        late = changed(claims, issued_at=NOW - timedelta(hours=2))
        assert failures(judged(platform, policy(platform, body), late)) == [
            "policy.freshness.collateral_max_age_hours.too_old"
        ]


@pytest.mark.parametrize(
    ("hardware", "accepted"),
    [
        ("GCP_INTEL_TDX", True),
        ("GCP_AMD_SEV", True),
        ("GCP_AMD_SEV_ES", True),
        ("GCP_AMD_SEV_SNP", True),
        ("GCP_SHIELDED_VM", False),
        ("GCP_PLAIN_VM", False),
        ("gcp_intel_tdx", False),
        ("\x1b[2J", False),
    ],
)
def test_only_hardware_that_is_known_to_be_a_tee_is_one(hardware, accepted):
    claims = changed(SPACE, hardware=hardware)
    plain, admitting = (policy("confidential-space", accept=words) for words in ((), ("no-tee",)))
    result = judged("confidential-space", plain, claims)
    assert result.accepted is accepted
    assert accepted or failures(result) == ["policy.confidential_space.tee.weak"]
    assert result.ledger["policy.confidential_space.tee"].reason.isprintable()
    assert judged("confidential-space", admitting, claims).accepted


@pytest.mark.parametrize(
    "word", ["disabled", "disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently"]
)
def test_a_device_whose_debugging_is_off_is_not_in_debug_mode(word):
    claims = changed(NRAS, devices=(changed(DEVICE, debug_status=word),))
    result = judged("nras", policy("nras"), claims)
    assert result.ledger["policy.attributes.debug"].outcome is Outcome.PASSED


def test_a_status_that_nobody_knows_is_shown():
    for stated, shown in (("Strange", "Strange"), ("", "not stated")):
        result = judged("trust-authority", policy("trust-authority"), changed(TRUST, tcb_status=stated))
        reasons = [check.reason for check in result.ledger.failed()]
        assert f"The status of the platform is {shown}." in reasons


def test_accounts_that_the_policy_does_not_name_are_told():
    names = [f"{letter}@example" for letter in "fedcba"]
    body = '[confidential_space]\nservice_accounts = ["a@example"]'
    for accounts, shown in (
        ((), "none at all"),
        (("x" * 81,), "x" * 80),
        (tuple(names), "b@example, c@example, d@example, e@example"),
    ):
        claims = changed(SPACE, service_accounts=accounts)
        failed = judged("confidential-space", policy("confidential-space", body), claims).ledger.failed()
        told = [check.reason for check in failed if check.id == "policy.confidential_space.service_accounts"]
        assert told == [f"The workload runs as {shown}."]


def test_what_the_operator_set_is_told():
    names = {f"NAME_{number}": "" for number in range(9)}
    for overrides, command, shown in (
        ({"A'B": ""}, (), "A'B"),
        ({"X" * 41: ""}, ("sh",), f"{'X' * 40}, arguments"),
        (names, (), ", ".join(list(names)[:8])),
    ):
        container = changed(CONTAINER, env_override=overrides, command_override=command)
        result = judged(
            "confidential-space", policy("confidential-space"), changed(SPACE, container=container)
        )
        told = [check.reason for check in result.ledger.failed() if "operator" in check.reason]
        assert len(told) == 1
        assert f"no digest covers: {shown}." in told[0]


def test_a_measurement_that_the_token_lacks_is_not_there():
    body = f'[trust_authority]\nmrtd = ["{"11" * 48}"]'
    result = judged("trust-authority", policy("trust-authority", body), changed(TRUST, measurements={}))
    told = [check.reason for check in result.ledger.failed() if check.id == "policy.trust_authority.mrtd"]
    assert told == [f"It is not there; the policy has {'11' * 48}."]


@pytest.mark.parametrize(
    ("platform", "what"), [("maa", "TEE"), ("trust-authority", "TEE"), ("confidential-space", "workload")]
)
def test_what_is_not_in_debug_mode_is_named(platform, what):
    found = judged(platform, policy(platform)).ledger["policy.attributes.debug"]
    assert found.spec.title == f"the {what} is not in debug mode"
    demanding = policy(platform, "[attributes]\ndebug = false")
    assert judged(platform, demanding).ledger["policy.attributes.debug"].outcome is Outcome.PASSED


@pytest.mark.parametrize("wanted", ["named", "every-issuer"])
@pytest.mark.parametrize(("named", "every"), [(False, False), (True, False), (True, True)])
def test_lists_of_revoked_certificates_that_a_policy_demands(wanted, named, every):
    by = policy("confidential-space", f'[confidential_space]\nrevocation = "{wanted}"')
    claims = changed(SPACE, kind="pki", revocation_checked=every, named_lists_checked=named)
    enough = every if wanted == "every-issuer" else named
    found = judged("confidential-space", by, claims, PINNED)
    assert failures(found) == ([] if enough else ["policy.confidential_space.revocation.incomplete"])
    oidc = changed(claims, kind="oidc")
    assert failures(judged("confidential-space", by, oidc)) == [
        "policy.confidential_space.revocation.no_chain"
    ]
