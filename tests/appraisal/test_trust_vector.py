"""The AR4SI vector follows from the ledger, and never says more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.appraisal import Context, Policy
from assay.appraisal.trust_vector import NAMES, TrustClaim, tier
from assay.evidence.dcap.tcb import TcbStatus
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import (
    FOREIGN,
    NOW,
    OWN_ROOT,
    SIMULATED,
    TDX_WORDS,
    attributes,
    evidence,
    failures,
    judged,
    policy,
    register,
    sgx,
    tdx,
)
from support.appraisal_nvidia import CLAIMS as DEVICES
from support.appraisal_vtpm import QUOTE

EVERY = "[" + ", ".join(f'"{word}"' for word in TDX_WORDS if word != "simulated") + "]"
LAX = policy(platforms='["tdx"]', accept=EVERY)
OUT = TcbStatus.OUT_OF_DATE
PINNED = {
    "mr_td": f'mr_td = ["{"02" * 48}"]',
    "rtmr1": f'rtmr1 = ["{"11" * 48}"]',
    "rtmr2": f'rtmr2 = ["{"12" * 48}"]',
    "rtmr3": f'rtmr3 = ["{"13" * 48}"]',
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-97, "contraindicated"),
        (-96, "warning"),
        (-33, "warning"),
        (-32, "affirming"),
        (-2, "affirming"),
        (-1, "none"),
        (0, "none"),
        (1, "none"),
        (2, "affirming"),
        (31, "affirming"),
        (32, "warning"),
        (95, "warning"),
        (96, "contraindicated"),
        (127, "contraindicated"),
    ],
)
def test_tiers_are_the_drafts(value: int, expected: str) -> None:
    assert tier(value) == expected
    assert TrustClaim(value, "why").to_json() == {"value": value, "tier": expected, "reason": "why"}


def test_the_claims_are_the_drafts_in_its_order() -> None:
    assert NAMES == (
        "instance-identity",
        "configuration",
        "executables",
        "file-system",
        "hardware",
        "runtime-opaque",
        "storage-opaque",
        "sourced-data",
    )
    for made in tdx(), sgx(), evidence(signature=Outcome.FAILED):
        assert tuple(judged(made, policy()).trust_vector) == NAMES


def vector(claims: Any, by: Policy = LAX) -> dict[str, int]:
    return judged(claims, by).trust_vector


NOTHING = dict.fromkeys(NAMES, 0)
GOOD = {**NOTHING, "configuration": 3, "hardware": 2, "runtime-opaque": 2}


@pytest.mark.parametrize(
    ("changed", "different"),
    [
        ({}, {}),
        ({"debug": True, "td_attributes": attributes(0, 28)}, {"configuration": 96, "runtime-opaque": 96}),
        ({"td_attributes": attributes(28, 29)}, {"configuration": 32}),
        ({"td_attributes": attributes()}, {"configuration": 32}),
        ({"td_attributes": attributes(28, 63)}, {"configuration": 32}),
        ({"td_attributes": attributes(28, 9)}, {"configuration": 32}),
        ({"mr_service_td": register(7)}, {"configuration": 32}),
        ({"platform_status": TcbStatus.CONFIGURATION_NEEDED}, {"configuration": 32, "hardware": 32}),
        ({"platform_status": TcbStatus.SW_HARDENING_NEEDED}, {"hardware": 32}),
        ({"platform_status": OUT}, {"hardware": 32}),
        ({"module_status": OUT}, {"hardware": 32}),
        ({"qe_status": OUT}, {"hardware": 32}),
        ({"status": TcbStatus.TD_RELAUNCH_ADVISED}, {"hardware": 32}),
        ({"qe_evaluation_number": 19}, {}),
        ({"platform_status": TcbStatus.REVOKED}, {"hardware": 96}),
    ],
)
def test_an_admitted_weakness_is_a_warning(changed: dict[str, Any], different: dict[str, int]) -> None:
    assert vector(tdx(**changed)) == {**GOOD, **different}


@pytest.mark.parametrize(
    ("changed", "different"),
    [
        ({"debug": True}, {"configuration": 96, "runtime-opaque": 96}),
        ({"td_attributes": attributes(28, 29)}, {"configuration": 96}),
        ({"platform_status": OUT}, {"hardware": 96}),
        ({"qe_evaluation_number": 19}, {"hardware": 96}),
    ],
)
def test_a_refused_weakness_is_contraindicated(changed: dict[str, Any], different: dict[str, int]) -> None:
    assert vector(tdx(**changed), policy()) == {**GOOD, **different}


@pytest.mark.parametrize(
    ("pinned", "changed", "value"),
    [
        ("mr_td", {}, 0),
        ("mr_td rtmr1", {}, 0),
        ("mr_td rtmr2", {}, 0),
        ("rtmr1 rtmr2", {}, 0),
        ("rtmr1 rtmr2 rtmr3", {}, 0),
        ("mr_td rtmr1 rtmr2", {}, 3),
        ("mr_td rtmr1 rtmr2 rtmr3", {}, 2),
        ("mr_td", {"rtmrs": (register(1), bytes(48), bytes(48), register(1))}, 3),
        ("mr_td rtmr2", {"rtmrs": (register(1), bytes(48), register(0x12), register(1))}, 3),
        ("mr_td rtmr1", {"rtmrs": (register(1), bytes(48), register(0x12), register(1))}, 33),
        ("mr_td rtmr1 rtmr2", {"mr_td": register(9)}, 33),
    ],
)
def test_executables_of_a_trust_domain(pinned: str, changed: dict[str, Any], value: int) -> None:
    lines = "\n".join(PINNED[name] for name in pinned.split())
    assert vector(tdx(**changed), policy(f"[tdx]\n{lines}"))["executables"] == value


@pytest.mark.parametrize(
    ("text", "changed", "value"),
    [
        ("", {}, 0),
        (f'[sgx]\nmr_enclave = ["{"20" * 32}"]', {}, 3),
        (f'[sgx]\nmr_enclave = ["{"20" * 32}"]', {"mr_enclave": register(9, 32)}, 33),
        (f'[sgx]\nmr_signer = ["{"21" * 32}"]\nisv_prod_id = [7]\nmin_isv_svn = 3', {}, 3),
        (f'[sgx]\nmr_signer = ["{"21" * 32}"]\nisv_prod_id = [7]\nmin_isv_svn = 4', {}, 33),
        (f'[sgx]\nconfig_id = ["{"22" * 64}"]', {}, 0),
    ],
)
def test_executables_of_an_enclave(text: str, changed: dict[str, Any], value: int) -> None:
    assert vector(sgx(**changed), policy(text))["executables"] == value


@pytest.mark.parametrize(
    ("ppid", "instance", "value"),
    [("right", "", 2), ("wrong", "", 97), ("right", "wrong", 97), ("", "right", 2)],
)
def test_instances_are_recognised_by_allow_lists(ppid: str, instance: str, value: int) -> None:
    import hashlib

    claims = tdx()
    digests = {
        "right": lambda found: hashlib.sha256(found).hexdigest(),
        "wrong": lambda _: "00" * 32,
    }
    lines = ["[hardware]"]
    if ppid:
        lines.append(f'ppids = ["{digests[ppid](claims.tcb.ppid)}"]')
    if instance:
        lines.append(f'platform_instance_ids = ["{digests[instance](claims.tcb.platform_instance_id)}"]')
    found = vector(claims, policy("\n".join(lines)))
    assert found["instance-identity"] == value
    assert found["hardware"] == (2 if value == 2 else 96)


def test_another_kind_of_platform_than_demanded_is_contraindicated_hardware() -> None:
    found = vector(tdx(smt_enabled=True), policy("[hardware]\nsmt = false"))
    assert found == {**GOOD, "hardware": 96}


@pytest.mark.parametrize("anchor", [SIMULATED, FOREIGN])
def test_simulated_hardware_is_never_affirmed(anchor: Any) -> None:
    only = policy('simulated = "only"\n', accept='["simulated"]')
    context = Context(installation_roots=frozenset({OWN_ROOT}))
    for by in only, policy():
        found = judged(evidence(anchor=anchor), by, context=context).trust_vector
        assert (found["hardware"], found["runtime-opaque"]) == (97, 96)


@pytest.mark.parametrize(("outcome", "value"), [(Outcome.FAILED, 99), (Outcome.NOT_CHECKED, 0)])
def test_unauthentic_evidence_affirms_nothing(outcome: Outcome, value: int) -> None:
    found = judged(evidence(signature=outcome), policy()).trust_vector
    assert found == {**NOTHING, "instance-identity": value, "hardware": value}


def test_a_policy_applied_as_well_counts_for_the_vector() -> None:
    both = policy().tighten(policy(f'[tdx]\nmr_td = ["{"09" * 48}"]'))
    assert vector(tdx(), both)["executables"] == 33
    lines = "\n".join(PINNED[name] for name in ("mr_td", "rtmr1", "rtmr2"))
    assert vector(tdx(), policy().tighten(policy(f"[tdx]\n{lines}")))["executables"] == 3


def test_a_development_image_is_a_warning() -> None:
    from support.appraisal_logs import CLAIMS, IMAGE, log

    claims = replace(CLAIMS, image=replace(IMAGE, is_dev=True))
    by = policy(accept='["development-image"]', platforms='["tdx"]')
    assert judged(tdx(), by, workload_log=log(claims)).trust_vector["executables"] == 32
    assert judged(tdx(), policy(), workload_log=log(claims)).trust_vector["executables"] == 33


def test_executables_are_not_affirmed_while_a_line_about_them_is_open() -> None:
    """policy.dstack.compose_hashes.log: the registers are named, and the log is not authentic."""
    from support.appraisal_logs import log

    lines = "\n".join(PINNED[name] for name in ("mr_td", "rtmr1", "rtmr2"))
    by = policy(f'[tdx]\n{lines}\n[dstack]\ncompose_hashes = ["{"0c" * 32}"]', platforms='["tdx"]')
    broken = judged(tdx(), by, workload_log=log(outcome=Outcome.FAILED))
    assert "policy.dstack.compose_hashes.log" in [check.code for check in broken.ledger.unmet()]
    assert broken.trust_vector["executables"] == 0
    assert judged(tdx(), by, workload_log=log()).trust_vector["executables"] == 3
    assert judged(tdx(), by).trust_vector["executables"] == 33


def test_a_policy_for_other_platforms_affirms_nothing() -> None:
    """It never looked: the TD could be in debug mode, as this one is, and out of date."""
    by = policy(platforms='["snp"]')
    assert vector(tdx(debug=True, platform_status=OUT), by) == NOTHING
    assert vector(tdx(), by.tighten(policy())) == GOOD
    simulated = judged(evidence(anchor=SIMULATED), by).trust_vector
    assert (simulated["configuration"], simulated["hardware"], simulated["runtime-opaque"]) == (0, 97, 96)


@pytest.mark.parametrize(
    ("changed", "body", "different"),
    [
        ({}, "", {}),
        ({}, "[snp.min_tcb.genoa]\nsnp = 99", {"hardware": 96}),
        ({}, "[snp.min_launch_tcb.genoa]\nsnp = 99", {"hardware": 96}),
        ({}, 'min_firmware = "255.0.0"', {"hardware": 96}),
        ({"alias_check_complete": False}, "", {"hardware": 96}),
        ({"provisional": True}, "", {"hardware": 96}),
        ({}, 'products = ["turin"]', {"hardware": 96}),
        ({}, f'chip_ids = ["{"00" * 32}"]', {"hardware": 96}),
        ({}, 'signing_keys = ["vlek"]', {"hardware": 96}),
        ({}, 'csp_ids = ["somebody"]', {"hardware": 96}),
        ({}, "[snp.platform_info]\nsmt = false", {"hardware": 96}),
        ({"launch_mitigations": 0}, 'launch_mitigations = "0100000000000000"', {"hardware": 96}),
        ({"current_mitigations": 0}, 'current_mitigations = "0100000000000000"', {"hardware": 96}),
        ({}, "[snp.guest_policy]\nsmt = false", {"configuration": 96}),
        ({}, 'min_abi = "255.255"', {"configuration": 96}),
        ({"vmpl": 2}, "", {"configuration": 96}),
    ],
)
def test_a_refused_state_of_snp_is_contraindicated(
    changed: dict[str, Any], body: str, different: dict[str, int]
) -> None:
    from support import appraisal_snp as snp

    stated = {"tcb": ""} if "[snp.min_tcb" in body else {}
    found = snp.judged(snp.snp(**changed), snp.policy("" if stated else body, **(stated and {"tcb": body})))
    assert found.trust_vector == {**GOOD, **different}


UNSAFE = replace(QUOTE, safe=False)
STALE = tuple(replace(each, revocation=replace(each.revocation, fresh=False)) for each in DEVICES.devices)
CIRCUMSTANCES = [
    ("azure-snp", "[azure]\nak_certificate = true", {"ak_certificate": None}),
    ("azure-snp", '[azure]\nvm_ids = ["another"]', {}),
    ("azure-snp", '[azure]\nrevocation = "every-issuer"', {}),
    ("azure-snp", "[azure]\nuser_data = true", {"user_data_bound": False}),
    ("confidential-space", '[confidential_space]\naudiences = ["another"]', {}),
    ("confidential-space", '[confidential_space]\ngpu_modes = ["OFF"]', {}),
    ("confidential-space", '[confidential_space]\nhardware = ["another"]', {}),
    ("confidential-space", "[confidential_space]\nmonitoring = false", {"monitoring": {"memory": True}}),
    ("confidential-space", '[confidential_space]\nproject_ids = ["another"]', {}),
    ("confidential-space", '[confidential_space]\nrevocation = "every-issuer"', {}),
    ("confidential-space", '[confidential_space]\nservice_accounts = ["another"]', {}),
    ("confidential-space", '[confidential_space]\nzones = ["another"]', {}),
    ("gcp-vtpm", '[google]\nrevocation = "every-issuer"\nzones = ["another"]', {}),
    ("gcp-vtpm", "[vtpm]\nmin_firmware_version = 18446744073709551615", {}),
    ("gcp-vtpm", "[vtpm]\nclock_safe = true", {"tpm": UNSAFE}),
    ("maa", '[maa]\nattestation_types = ["another"]', {}),
    ("maa", '[maa]\ncompliance = ["another"]', {}),
    ("maa", '[maa]\nissuers = ["https://another.attest.azure.net"]', {}),
    ("maa", '[maa]\npolicy_hashes = ["another"]', {}),
    ("maa", '[maa]\ntees = ["another"]', {}),
    ("nitro", '[nitro]\ninstance_ids = ["i-0"]', {}),
    ("nitro", "[nitro]\nmax_age_seconds = 1", {"timestamp": NOW - timedelta(days=1)}),
    ("nitro", '[nitro]\nregions = ["another"]', {}),
    ("nvidia-gpu", "[nvidia]\nfresh_revocation = true", {"devices": STALE}),
    ("nvidia-gpu", "[nvidia]\ngpus = 9", {}),
    ("nvidia-gpu", '[nvidia]\nmodes = ["ppcie"]', {}),
    ("nvidia-gpu", "[nvidia]\nswitches = 9", {}),
    ("snp", "[snp]\nmin_report_version = 5", {"version": 2}),
    ("tpm", f'[tpm]\nak_digests = ["{"09" * 32}"]', {}),
    ("tpm", "[tpm]\nak_certified = true", {"ak_certified": False}),
    ("tpm", '[tpm]\nrevocation = "every-issuer"', {}),
    ("trust-authority", '[trust_authority]\nattesters = ["SGX"]', {}),
    ("trust-authority", '[trust_authority]\nissuers = ["https://another"]', {}),
    ("trust-authority", '[trust_authority]\npolicies = ["another"]', {}),
]


def executables(platform: str, body: str, changed: dict[str, Any]) -> int:
    """What is said of executables where a policy refuses for what its lines say, and for nothing else."""
    from support.appraisal_nitro import CLAIMS as NITRO
    from support.appraisal_snp import SNP
    from support.appraisal_tokens import MAA, SPACE, TRUST
    from support.appraisal_vtpm import GOOD as MACHINES

    known: dict[str, Any] = {**MACHINES, "nitro": NITRO, "nvidia-gpu": DEVICES, "snp": SNP}
    known |= {"maa": MAA, "confidential-space": SPACE, "trust-authority": TRUST}
    made = replace(evidence(), platform=platform, _claims=replace(known[platform], **changed))
    words = {"gcp-vtpm": "host-tpm", "tpm": "host-tpm", "azure-snp": "unjudged-tcb", "snp": "unjudged-tcb"}
    accept = f'["{words[platform]}"]' if platform in words else "[]"
    found = judged(made, policy(body, platforms=f'["{platform}"]', accept=accept))
    assert failures(found)
    assert all(code.startswith(f"policy.{body[1 : body.index(']')]}.") for code in failures(found))
    return found.trust_vector["executables"]


@pytest.mark.parametrize(("platform", "body", "changed"), CIRCUMSTANCES)
def test_executables_are_not_called_unrecognised_for_whose_machine_it_is(
    platform: str, body: str, changed: dict[str, Any]
) -> None:
    assert executables(platform, body, changed) == 0


@pytest.mark.parametrize(
    ("platform", "body"),
    [
        ("nitro", f'[nitro]\npcr0 = ["{"09" * 48}"]'),
        ("nitro", f'[nitro]\nregions = ["elsewhere"]\npcr0 = ["{"09" * 48}"]'),
        ("gcp-vtpm", f'[vtpm]\npcr4 = ["{"09" * 32}"]'),
        ("tpm", '[ima]\nrequired = ["/nowhere"]'),
        ("confidential-space", f'[confidential_space]\nimage_digests = ["sha256:{"09" * 32}"]'),
    ],
)
def test_executables_are_unrecognised_where_a_line_about_them_failed(platform: str, body: str) -> None:
    assert executables(platform, body, {}) == 33


def test_where_a_guests_keys_come_from_is_not_what_it_runs() -> None:
    from support.appraisal_logs import log

    by = policy('[dstack]\nkey_providers = ["kms:00"]', platforms='["tdx"]')
    found = judged(tdx(), by, workload_log=log())
    assert failures(found) == ["policy.dstack.key_providers.mismatch"]
    assert found.trust_vector["executables"] == 0


def test_overrides_of_a_container_are_its_configuration() -> None:
    from support.appraisal_tokens import CONTAINER, SPACE

    claims = replace(SPACE, container=replace(CONTAINER, command_override=("another",)))
    made = replace(evidence(), platform="confidential-space", _claims=claims)
    found = judged(made, policy(platforms='["confidential-space"]', accept="[]"))
    assert failures(found) == ["policy.confidential_space.overrides.weak"]
    assert (found.trust_vector["configuration"], found.trust_vector["executables"]) == (96, 0)


@pytest.mark.parametrize("platform", ["gcp-vtpm", "tpm", "nitro-tpm"])
@pytest.mark.parametrize(("accept", "hardware"), [('["host-tpm"]', 32), ("[]", 96)])
def test_a_tpm_of_the_host_keeps_nothing_from_it(platform: str, accept: str, hardware: int) -> None:
    from support.appraisal_nitro import CLAIMS as NITRO
    from support.appraisal_vtpm import GOOD as MACHINES

    made = replace(evidence(), platform=platform, _claims={**MACHINES, "nitro-tpm": NITRO}[platform])
    found = judged(made, policy(platforms=f'["{platform}"]', accept=accept))
    assert found.accepted is (hardware == 32)
    assert (found.trust_vector["hardware"], found.trust_vector["runtime-opaque"]) == (hardware, 96)


@pytest.mark.parametrize(
    ("platform", "value"), [("nitro", 32), ("nvidia-gpu", 32), ("snp", 2), ("azure-tdx", 2), ("gcp-snp", 2)]
)
def test_encrypted_memory_is_affirmed_only_where_evidence_shows_it(platform: str, value: int) -> None:
    from support.appraisal_nitro import CLAIMS as NITRO
    from support.appraisal_snp import SNP
    from support.appraisal_vtpm import GOOD as MACHINES

    known = {**MACHINES, "nitro": NITRO, "nvidia-gpu": DEVICES, "snp": SNP}
    made = replace(evidence(), platform=platform, _claims=known[platform])
    words = '["unjudged-tcb"]' if platform.endswith("snp") else "[]"
    found = judged(made, policy(platforms=f'["{platform}"]', accept=words))
    assert found.accepted, failures(found)
    assert found.trust_vector["runtime-opaque"] == value


@pytest.mark.parametrize(
    ("platform", "body", "claim"),
    [
        ("azure-snp", "[azure]\nsecure_boot = {}", "configuration"),
        ("azure-snp", "[azure]\ntpm_enabled = {}", "configuration"),
        ("azure-snp", "[azure]\nconsole_enabled = {}", "configuration"),
        ("confidential-space", "[confidential_space]\nsecure_boot = {}", "configuration"),
        ("maa", "[maa]\nsecure_boot = {}", "configuration"),
        ("nvidia-gpu", '[nvidia]\nfirmware = ["0"]', "hardware"),
        ("nvidia-gpu", '[nvidia]\narchitectures = ["LS10"]', "hardware"),
        ("nvidia-gpu", f'[nvidia]\ndevice_ids = ["{"00" * 8}"]', "hardware"),
    ],
)
def test_a_refused_state_of_another_platform_is_contraindicated(platform: str, body: str, claim: str) -> None:
    from support.appraisal_tokens import GOOD as TOKENS
    from support.appraisal_vtpm import GOOD as MACHINES

    made = replace(
        evidence(), platform=platform, _claims={**MACHINES, **TOKENS, "nvidia-gpu": DEVICES}[platform]
    )
    refused = []
    for stated in ("true", "false"):
        found = judged(made, policy(body.format(stated), platforms=f'["{platform}"]'))
        if any(
            check.id.startswith(f"policy.{body[1:].partition(']')[0]}.") for check in found.ledger.failed()
        ):
            refused.append(found.trust_vector[claim])
    assert refused
    assert set(refused) == {96}


@pytest.mark.parametrize("changed", [{"held": True}, None], ids=["hold", "manifests"])
def test_devices_without_good_manifests_are_contraindicated(changed: dict[str, Any] | None) -> None:
    from support.appraisal_nvidia import GPU, USED

    gpu = replace(GPU, references=() if changed is None else (replace(USED, **changed),))
    made = replace(evidence(), platform="nvidia-gpu", _claims=replace(DEVICES, devices=(gpu,)))
    found = judged(made, policy(platforms='["nvidia-gpu"]'))
    assert found.trust_vector["hardware"] == 96
