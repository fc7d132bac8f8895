"""Rules about machines with a TPM: for each, the evidence that it alone refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay.appraisal import AttestationResult, Policy
from assay.errors import PolicyError
from assay.evidence.snp.claims import GuestPolicy
from support.appraisal_evidence import TDX, authentic, failures, tdx
from support.appraisal_evidence import judged as appraised
from support.appraisal_snp import GENOA, SNP, snp
from support.appraisal_vtpm import (
    AK,
    AZURE_SNP,
    AZURE_TDX,
    GOOD,
    GOOGLE,
    GOOGLE_SNP,
    GOOGLE_TDX,
    HOST,
    INSTANCE,
    KEY,
    OWN,
    PCRS,
    QUOTE,
    RUNTIME,
    TPM,
    VENDOR,
)


def policy(platform: str, body: str = "", *, accept: tuple[str, ...] = ()) -> Policy:
    words = [*accept, *(["host-tpm"] if platform in HOST else [])]
    quoted = ", ".join(f'"{word}"' for word in words)
    tcb = GENOA if platform in ("azure-snp", "gcp-snp") else ""
    return Policy.load(
        f'version = 1\nplatforms = ["{platform}"]\naccept = [{quoted}]\n{body}\n{tcb}'.encode(), name="test"
    )


def judged(platform: str, by: Policy, claims: Any = None) -> AttestationResult:
    return appraised(authentic(platform, GOOD[platform] if claims is None else claims, VENDOR), by)


def quoted(platform: str, **changed: Any) -> Any:
    quote = replace(QUOTE, **changed)
    good = GOOD[platform]
    return replace(good, quote=quote) if platform == "tpm" else replace(good, tpm=quote)


@pytest.mark.parametrize("platform", GOOD)
def test_what_meets_every_rule_is_accepted(platform):
    result = judged(platform, policy(platform))
    assert result.accepted, failures(result)
    assert result.admitted == (("host-tpm",) if platform in HOST else ())


@pytest.mark.parametrize("platform", GOOD)
@pytest.mark.parametrize("index", PCRS)
def test_registers(platform, index):
    by = policy(platform, f'[vtpm]\npcr{index} = ["{PCRS[index].hex()}"]')
    assert judged(platform, by).accepted
    other = quoted(platform, pcrs=PCRS | {index: b"x" * 32})
    missing = quoted(platform, pcrs={at: value for at, value in PCRS.items() if at != index})
    for claims in (other, missing):
        assert failures(judged(platform, by, claims)) == [f"policy.vtpm.pcr{index}.mismatch"]


@pytest.mark.parametrize("platform", GOOD)
def test_the_firmware_of_the_tpm(platform):
    by = policy(platform, "[vtpm]\nmin_firmware_version = 7")
    assert judged(platform, by).accepted
    old = quoted(platform, firmware_version=6)
    assert failures(judged(platform, by, old)) == ["policy.vtpm.min_firmware_version.too_small"]
    assert policy(platform, "[vtpm]\nmin_firmware_version = 0")
    for number in (-1, 2**64):
        with pytest.raises(PolicyError) as caught:
            policy(platform, f"[vtpm]\nmin_firmware_version = {number}")
        assert caught.value.code == "policy.value"


@pytest.mark.parametrize("platform", GOOD)
def test_a_clock_that_may_have_gone_back(platform):
    by = policy(platform, "[vtpm]\nclock_safe = true")
    assert judged(platform, by).accepted
    unsafe = quoted(platform, safe=False)
    refused = judged(platform, by, unsafe)
    assert failures(refused) == ["policy.vtpm.clock_safe.mismatch"]
    assert refused.ledger["policy.vtpm.clock_safe"].spec.title == "the TPM's clock cannot have gone back"
    accepted = judged(platform, policy(platform, "[vtpm]\nclock_safe = false"), unsafe)
    assert accepted.accepted
    assert accepted.ledger["policy.vtpm.clock_safe"].spec.title == "the TPM's clock may have gone back"


@pytest.mark.parametrize(
    ("platform", "without"),
    [
        ("azure-snp", replace(AZURE_SNP, log=None)),
        ("azure-tdx", replace(AZURE_TDX, log=None)),
        ("gcp-tdx", replace(GOOGLE_TDX, log=None)),
        ("gcp-snp", replace(GOOGLE_SNP, log=None)),
        ("gcp-vtpm", replace(GOOGLE, log=None)),
        ("tpm", replace(TPM, boot=None)),
    ],
)
def test_event_logs(platform, without):
    by = policy(platform, "[vtpm]\nevent_log = true")
    assert judged(platform, by).accepted
    assert failures(judged(platform, by, without)) == ["policy.vtpm.event_log.mismatch"]
    assert (
        judged(platform, by).ledger["policy.vtpm.event_log"].spec.title == "event logs explain the registers"
    )
    none = policy(platform, "[vtpm]\nevent_log = false")
    assert judged(platform, none, without).accepted
    assert failures(judged(platform, none)) == ["policy.vtpm.event_log.mismatch"]


SETTINGS = {"secure_boot": True, "tpm_enabled": True, "console_enabled": False}


def running(**changed: Any) -> Any:
    settings = {**RUNTIME.vm_configuration, **changed}
    return replace(AZURE_SNP, runtime=replace(RUNTIME, vm_configuration=settings))


@pytest.mark.parametrize(("key", "value"), SETTINGS.items())
def test_settings_of_an_azure_vm(key, value):
    by = policy("azure-snp", f"[azure]\n{key} = {str(value).lower()}")
    name = key.replace("_", "-")
    assert judged("azure-snp", by).accepted
    wrong = judged("azure-snp", by, running(**{name: not value}))
    assert failures(wrong) == [f"policy.azure.{key}.mismatch"]
    silent = {at: found for at, found in RUNTIME.vm_configuration.items() if at != name}
    claims = replace(AZURE_SNP, runtime=replace(RUNTIME, vm_configuration=silent))
    assert failures(judged("azure-snp", by, claims)) == [f"policy.azure.{key}.unknown"]


@pytest.mark.parametrize(
    ("body", "claims", "code"),
    [
        ('vm_ids = ["a VM"]', running(vmUniqueId="another"), "vm_ids.not_listed"),
        ('vm_ids = ["a VM"]', running(vmUniqueId=5), "vm_ids.not_listed"),
        ("user_data = true", replace(AZURE_SNP, user_data_bound=False), "user_data.mismatch"),
        ("ak_certificate = true", replace(AZURE_SNP, ak_certificate=None), "ak_certificate.mismatch"),
        (
            "ak_certificate = true",
            replace(AZURE_SNP, ak_certificate=replace(AK, anchor=OWN)),
            "ak_certificate.mismatch",
        ),
    ],
)
def test_requirements_of_azure(body, claims, code):
    by = policy("azure-snp", f"[azure]\n{body}")
    assert judged("azure-snp", by).accepted
    assert failures(judged("azure-snp", by, claims)) == [f"policy.azure.{code}"]


def located(**changed: Any) -> Any:
    return replace(GOOGLE, ak=replace(KEY, instance=replace(INSTANCE, **changed)))


@pytest.mark.parametrize(
    ("body", "claims", "code"),
    [
        ('project_ids = ["a-project"]', located(project_id="x"), "project_ids.not_listed"),
        ("project_numbers = [12]", located(project_number=1), "project_numbers.not_listed"),
        ('zones = ["us-central1-a"]', located(zone="x"), "zones.not_listed"),
        ("instance_ids = [34]", located(instance_id=1), "instance_ids.not_listed"),
        ('instance_names = ["a-name"]', located(instance_name="x"), "instance_names.not_listed"),
        ("production = true", located(production=False), "production.mismatch"),
        ("production = true", located(production=None), "production.unknown"),
    ],
)
def test_requirements_of_google(body, claims, code):
    by = policy("gcp-vtpm", f"[google]\n{body}")
    assert judged("gcp-vtpm", by).accepted
    assert failures(judged("gcp-vtpm", by, claims)) == [f"policy.google.{code}"]


@pytest.mark.parametrize("wanted", ["named", "every-issuer"])
@pytest.mark.parametrize(("named", "every"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("table", ["azure", "google", "tpm"])
def test_lists_of_revoked_keys_that_a_policy_demands(table, wanted, named, every):
    platform, claims = {
        "azure": (
            "azure-snp",
            replace(
                AZURE_SNP,
                ak_certificate=replace(AK, revocation_checked=every, named_lists_checked=named),
            ),
        ),
        "google": (
            "gcp-vtpm",
            replace(GOOGLE, ak=replace(KEY, revocation_checked=every, named_lists_checked=named)),
        ),
        "tpm": ("tpm", replace(TPM, ak_revocation_checked=every, ak_named_lists_checked=named)),
    }[table]
    result = judged(platform, policy(platform, f'[{table}]\nrevocation = "{wanted}"'), claims)
    enough = every if wanted == "every-issuer" else named
    assert failures(result) == ([] if enough else [f"policy.{table}.revocation.incomplete"])
    assert judged(platform, policy(platform), claims).accepted


@pytest.mark.parametrize("wanted", ["named", "every-issuer"])
def test_where_no_chain_vouches_for_the_key_no_list_can_show_anything(wanted):
    by = policy("azure-snp", f'[azure]\nrevocation = "{wanted}"')
    uncertified = replace(AZURE_SNP, ak_certificate=None)
    assert failures(judged("azure-snp", by, uncertified)) == ["policy.azure.revocation.no_chain"]
    given = replace(TPM, ak_certified=False, ak_revocation_checked=True, ak_named_lists_checked=True)
    by = policy("tpm", f'[tpm]\nrevocation = "{wanted}"')
    assert failures(judged("tpm", by, given)) == ["policy.tpm.revocation.no_chain"]


@pytest.mark.parametrize(
    ("body", "claims", "code"),
    [
        (
            f'ak_digests = ["{(b"k" * 32).hex()}"]',
            quoted("tpm", ak_digest=b"x" * 32),
            "ak_digests.not_listed",
        ),
        ("ak_certified = true", replace(TPM, ak_certified=False), "ak_certified.mismatch"),
        ("ima = true", replace(TPM, ima=None), "ima.mismatch"),
    ],
)
def test_requirements_of_a_tpm(body, claims, code):
    by = policy("tpm", f"[tpm]\n{body}")
    assert judged("tpm", by).accepted
    assert failures(judged("tpm", by, claims)) == [f"policy.tpm.{code}"]


@pytest.mark.parametrize("platform", HOST)
def test_the_hosts_tpm_is_no_tee(platform):
    by = Policy.load(f'version = 1\nplatforms = ["{platform}"]\n'.encode(), name="test")
    table = "tpm" if platform == "tpm" else "google"
    assert failures(judged(platform, by)) == [f"policy.{table}.host_tpm.weak"]


def test_both_parts_of_a_google_vm_answer_one_session():
    by = policy("gcp-tdx")
    apart = replace(GOOGLE_TDX, td_bound=False)
    assert failures(judged("gcp-tdx", by, apart)) == ["policy.google.td_bound.mismatch"]
    alone = replace(GOOGLE_SNP, snp_bound=False)
    assert failures(judged("gcp-snp", policy("gcp-snp"), alone)) == ["policy.google.snp_bound.mismatch"]


def test_nothing_about_an_snp_guest_at_google_names_its_code():
    pcrs = "\n".join(f'pcr{index} = ["{PCRS[index].hex()}"]' for index in (4, 7, 11))
    by = policy("gcp-snp", f'[vtpm]\n{pcrs}\n[snp]\nmeasurement = ["{(b"m" * 48).hex()}"]')
    assert not by.gate
    with pytest.raises(PolicyError, match="what code may run"):
        by.for_gate()
    result = judged("gcp-snp", by)
    assert result.accepted
    assert result.trust_vector["executables"] == 0


def test_what_the_hardware_says_is_judged_by_its_own_rules():
    weak = replace(AZURE_SNP, hardware=snp(debug=True, policy=GuestPolicy(1 << 17 | 1 << 19)))
    assert failures(judged("azure-snp", policy("azure-snp"), weak)) == ["policy.attributes.debug.enabled"]
    guest = replace(GOOGLE_SNP, snp=snp(debug=True, policy=GuestPolicy(1 << 17 | 1 << 19)))
    assert failures(judged("gcp-snp", policy("gcp-snp"), guest)) == ["policy.attributes.debug.enabled"]
    admitted = judged("azure-snp", policy("azure-snp", accept=("debug",)), weak)
    assert admitted.accepted
    assert admitted.admitted == ("debug",)
    for platform, part in (("azure-tdx", "hardware"), ("gcp-tdx", "td")):
        claims = replace(GOOD[platform], **{part: tdx(debug=True)})
        assert failures(judged(platform, policy(platform), claims)) == ["policy.attributes.debug.enabled"]
        old = replace(TDX, tcb=replace(TDX.tcb, platform_status="OutOfDate", status="OutOfDate"))
        stale = judged(platform, policy(platform), replace(GOOD[platform], **{part: old}))
        assert failures(stale) == ["policy.tcb.platform.weak"]


def test_the_paravisor_can_be_named():
    by = policy("azure-snp", f'[snp]\nmeasurement = ["{(b"m" * 48).hex()}"]')
    assert judged("azure-snp", by).accepted
    other = replace(AZURE_SNP, hardware=snp(measurement=b"x" * 48))
    assert failures(judged("azure-snp", by, other)) == ["policy.snp.measurement.mismatch"]


WHOSE = {
    "azure-snp": ("", "[azure]\nak_certificate = true", f'[snp]\nmeasurement = ["{SNP.measurement.hex()}"]'),
    "azure-tdx": ("", "[azure]\nak_certificate = true", f'[tdx]\nmr_td = ["{TDX.mr_td.hex()}"]'),
    "gcp-vtpm": (None, ""),
    "tpm": (None, ""),
}
"""What says whose word the registers are: first what does not, None where nothing need."""


@pytest.mark.parametrize(("platform", "whose"), [(name, said) for name in WHOSE for said in WHOSE[name]])
@pytest.mark.parametrize(
    ("named", "gate", "executables"),
    [
        ((), False, 0),
        ((4,), False, 0),
        ((7,), False, 0),
        ((4, 7), True, 3),
        ((11,), True, 3),
        ((4, 7, 10), True, 2),
    ],
)
def test_which_registers_name_the_code(platform, whose, named, gate, executables):
    lines = "\n".join(f'pcr{index} = ["{PCRS[index].hex()}"]' for index in named)
    by = policy(platform, f"{whose or ''}\n[vtpm]\n{lines}")
    # Any guest of the same hardware can name a key of its own as the virtual TPM's, and sign registers.
    anybodys = whose == "" and platform.startswith("azure")
    assert by.gate is (gate and not anybodys)
    assert judged(platform, by).trust_vector["executables"] == (0 if anybodys else executables)


@pytest.mark.parametrize("said", ["false", "true"])
def test_an_absent_certificate_of_the_key_does_not_say_whose_it_is(said):
    by = policy("azure-snp", f'[azure]\nak_certificate = {said}\n[vtpm]\npcr11 = ["{PCRS[11].hex()}"]')
    assert by.gate is (said == "true")
    bare = judged("azure-snp", by, replace(AZURE_SNP, ak_certificate=None))
    assert bare.accepted is (said == "false")
    assert bare.trust_vector["executables"] in (0, 33)


@pytest.mark.parametrize(
    ("named", "gate", "executables"),
    [
        ((), False, 0),
        (("mr_td",), False, 0),
        (("mr_td", "rtmr1"), False, 0),
        (("mr_td", "rtmr1", "rtmr2"), True, 3),
        (("mr_td", "rtmr1", "rtmr2", "rtmr3"), True, 2),
    ],
)
def test_the_registers_of_googles_host_do_not_name_the_code_of_a_td(named, gate, executables):
    values = {"mr_td": TDX.mr_td, **{f"rtmr{index}": TDX.rtmrs[index] for index in range(4)}}
    lines = "\n".join(f'{name} = ["{values[name].hex()}"]' for name in named)
    pcrs = "\n".join(f'pcr{index} = ["{PCRS[index].hex()}"]' for index in (4, 7, 11))
    by = policy("gcp-tdx", f"[tdx]\n{lines}\n[vtpm]\n{pcrs}")
    assert by.gate is gate
    assert judged("gcp-tdx", by).trust_vector["executables"] == executables


@pytest.mark.parametrize("size", [32, 48, 64])
def test_registers_have_the_size_of_a_hash(size):
    policy("tpm", f'[vtpm]\npcr0 = ["{bytes(size).hex()}"]')
    for wrong in (
        f'["{bytes(size + 1).hex()}"]',
        f'["{bytes(size).hex()}", "{bytes(20).hex()}"]',
        "[5]",
        '"x"',
        "[]",
    ):
        with pytest.raises(PolicyError):
            policy("tpm", f"[vtpm]\npcr0 = {wrong}")


def test_old_collateral_is_too_old_on_composite_platforms_too():
    body = "[freshness]\ncollateral_max_age_hours = 1"
    for platform in ("azure-snp", "azure-tdx", "gcp-tdx"):
        assert failures(judged(platform, policy(platform, body))) == [
            "policy.freshness.collateral_max_age_hours.too_old"
        ]


@pytest.mark.parametrize("platform", ["tpm", "gcp-vtpm"])
def test_the_age_of_collateral_is_not_asked_of_what_has_none(platform):
    with pytest.raises(PolicyError, match="collateral_max_age_hours is about tdx or") as caught:
        policy(platform, "[freshness]\ncollateral_max_age_hours = 1")
    assert caught.value.code == "policy.contradiction"
    assert caught.value.detail == {"path": "freshness.collateral_max_age_hours"}
