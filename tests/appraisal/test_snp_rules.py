"""Rules about SEV-SNP guests: for each, the evidence that it alone refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from assay.appraisal import Policy, Verdict
from assay.errors import PolicyError
from assay.evidence.snp.claims import FirmwareVersion, GuestPolicy, PlatformInfo, TcbVersion
from assay.evidence.snp.products import Product
from assay.evidence.verification import Anchor
from support.appraisal_snp import GENOA, SNP, judged, policy, snp

OLDER = (FirmwareVersion(1, 55, 20), FirmwareVersion(1, 54, 99))
BASE = 1 << 17 | 1 << 16
CHIP = hashlib.sha256(b"c" * 64).hexdigest()


def tcb(**changed: int) -> TcbVersion:
    raw = bytearray(SNP.reported_tcb.raw)
    for name, value in changed.items():
        raw[{"bl": 0, "tee": 1, "snp": 6, "ucode": 7}[name]] = value
    return TcbVersion(Product.GENOA, bytes(raw))


def codes(result) -> list[str]:
    return [check.code for check in result.ledger.failed()]


def test_what_meets_every_rule_is_accepted():
    result = judged(SNP, policy())
    assert result.accepted
    assert result.admitted == ()


# Claims that differ from those of a good guest; the policy's lines under [snp]; the code; what admits it.
@pytest.mark.parametrize(
    ("changed", "body", "code", "word"),
    [
        (
            {"debug": True, "policy": GuestPolicy(BASE | 1 << 19)},
            "",
            "policy.attributes.debug.enabled",
            "debug",
        ),
        (
            {"policy": GuestPolicy(BASE | 1 << 18)},
            "",
            "policy.attributes.migratable.weak",
            "migratable",
        ),
        ({"alias_check_complete": False}, "", "policy.snp.alias_check.weak", "aliasing-unchecked"),
        ({"provisional": True}, "", "policy.snp.provisional.weak", "provisional-firmware"),
        ({"policy": GuestPolicy(BASE | 1 << 40)}, "", "policy.attributes.unknown.weak", "unknown-attributes"),
        ({"platform": PlatformInfo(1 << 33)}, "", "policy.attributes.unknown.weak", "unknown-attributes"),
        ({"vmpl": 2}, "", "policy.snp.vmpl.mismatch", "vmpl"),
    ],
)
def test_weaknesses(changed, body, code, word):
    claims = snp(**changed)
    refused = judged(claims, policy(body))
    assert codes(refused) == [code]
    admitted = judged(claims, policy(body, accept=f'["{word}"]'))
    assert admitted.accepted
    assert admitted.admitted == (word,)
    assert any(f"({word})" in sentence for sentence in admitted.not_proven)
    assert judged(SNP, policy(body, accept=f'["{word}"]')).admitted == ()


@pytest.mark.parametrize(
    ("changed", "body", "code"),
    [
        ({"measurement": b"x" * 48}, f'measurement = ["{(b"m" * 48).hex()}"]', "measurement.mismatch"),
        ({"host_data": b"x" * 32}, f'host_data = ["{(b"h" * 32).hex()}"]', "host_data.mismatch"),
        ({"id_key_digest": b"x" * 48}, f'id_key_digest = ["{(b"k" * 48).hex()}"]', "id_key_digest.mismatch"),
        (
            {"author_key_digest": b"x" * 48},
            f'author_key_digest = ["{(b"a" * 48).hex()}"]',
            "author_key_digest.mismatch",
        ),
        ({"family_id": b"x" * 16}, f'family_id = ["{(b"f" * 16).hex()}"]', "family_id.not_listed"),
        ({"image_id": b"x" * 16}, f'image_id = ["{(b"i" * 16).hex()}"]', "image_id.not_listed"),
        ({"guest_svn": 3}, "min_guest_svn = 4", "min_guest_svn.too_small"),
        ({"version": 2}, "min_report_version = 3", "min_report_version.too_small"),
        ({"vmpl": 1}, "vmpl = [0]", "vmpl.mismatch"),
        ({"signing_key": "vlek"}, 'signing_keys = ["vcek"]', "signing_keys.not_listed"),
        ({"chip_id": b"d" * 64}, f'chip_ids = ["{CHIP}"]', "chip_ids.not_listed"),
        ({"product": Product.TURIN}, 'products = ["genoa"]', "products.not_listed"),
        (
            {"committed_version": FirmwareVersion(1, 55, 20)},
            'min_firmware = "1.55.21"',
            "min_firmware.too_small",
        ),
        (
            {"committed_version": FirmwareVersion(1, 54, 99)},
            'min_firmware = "1.55.21"',
            "min_firmware.too_small",
        ),
        ({"policy": GuestPolicy(BASE | 1 << 8 | 54)}, 'min_abi = "1.55"', "min_abi.too_small"),
        ({"policy": GuestPolicy(BASE | 255)}, 'min_abi = "1.55"', "min_abi.too_small"),
        ({"policy": GuestPolicy(1 << 17)}, "guest_policy.smt = true", "guest_policy.smt.mismatch"),
        ({"platform": PlatformInfo(0)}, "platform_info.smt = true", "platform_info.smt.mismatch"),
        (
            {"launch_mitigations": 0b0101},
            'launch_mitigations = "0700000000000000"',
            "launch_mitigations.missing",
        ),
        (
            {"current_mitigations": 0b0101},
            'current_mitigations = "0700000000000000"',
            "current_mitigations.missing",
        ),
    ],
)
def test_requirements(changed, body, code):
    tables = GENOA + "[snp.min_tcb.turin]\nbl = 1\n"
    good = snp(launch_mitigations=7, current_mitigations=15, policy=GuestPolicy(BASE | 1 << 8 | 55))
    assert judged(good, policy(body, tcb=tables)).accepted
    found = judged(replace(good, **changed), policy(body, tcb=tables))
    assert codes(found) == [f"policy.snp.{code}"]


def test_lists_name_what_is_not_stated_nowhere():
    assert codes(judged(SNP, policy('csp_ids = ["a cloud"]'))) == ["policy.snp.csp_ids.not_listed"]
    assert judged(snp(csp_id="a cloud", signing_key="vlek"), policy('csp_ids = ["a cloud"]')).accepted
    masked = hashlib.sha256(bytes(64)).hexdigest()
    assert codes(judged(snp(chip_id=bytes(64)), policy(f'chip_ids = ["{masked}"]'))) == [
        "policy.snp.chip_ids.not_listed"
    ]


@pytest.mark.parametrize("name", ["launch_mitigations", "current_mitigations"])
def test_old_reports_do_not_name_mitigations(name):
    assert codes(judged(SNP, policy(f'{name} = "0000000000000000"'))) == [f"policy.snp.{name}.unknown"]


@pytest.mark.parametrize(("part", "least"), [("bl", 9), ("snp", 21), ("ucode", 72)])
@pytest.mark.parametrize(("key", "claim"), [("min_tcb", "reported_tcb"), ("min_launch_tcb", "launch_tcb")])
def test_security_versions_are_compared_one_by_one(part, least, key, claim):
    # A larger number elsewhere does not make up for it, as it would in a comparison of the whole.
    low = tcb(**{"bl": 99, "tee": 99, "snp": 99, "ucode": 99, part: least - 1})
    both = GENOA + GENOA.replace("min_tcb", "min_launch_tcb")
    assert judged(snp(), policy(tcb=both)).accepted
    assert codes(judged(snp(**{claim: low}), policy(tcb=both))) == [f"policy.snp.{key}.too_small"]


def test_a_component_that_the_product_does_not_have_is_never_enough():
    found = judged(SNP, policy(tcb="[snp.min_tcb.genoa]\nfmc = 1\n"))
    assert codes(found) == ["policy.snp.min_tcb.too_small"]
    turin = TcbVersion(Product.TURIN, bytes([1, 1, 1, 1, 0, 0, 0, 1]))
    assert judged(
        snp(product=Product.TURIN, reported_tcb=turin), policy(tcb="[snp.min_tcb.turin]\nfmc = 1\n")
    ).accepted


def test_firmware_is_not_judged_by_another_products_numbers():
    claims = snp(product=Product.TURIN)
    assert codes(judged(claims, policy())) == ["policy.snp.min_tcb.not_stated"]
    # A policy that states some numbers means them: the word does not stand in for those it left out.
    assert codes(judged(claims, policy(accept='["unjudged-tcb"]'))) == ["policy.snp.min_tcb.not_stated"]
    without = policy(tcb="", accept='["unjudged-tcb"]')
    assert judged(claims, without).admitted == ("unjudged-tcb",)
    assert codes(judged(claims, policy(tcb=""))) == ["policy.snp.min_tcb.not_stated"]


MILAN = {"product": Product.MILAN, "forgeable": True}
MILAN_TCB = "[snp.min_tcb.milan]\nbl = 1\n"
HARDWARE_CONTRAINDICATED = 96


def test_milan_is_refused_until_the_policy_says_that_it_can_be_forged():
    refused = judged(snp(**MILAN), policy(tcb=MILAN_TCB))
    assert codes(refused) == ["policy.accept_forgeable.milan"]
    assert refused.trust_vector["hardware"] == HARDWARE_CONTRAINDICATED
    admitted = judged(snp(**MILAN), policy(tcb=MILAN_TCB, top='accept_forgeable = ["milan"]\n'))
    assert admitted.accepted
    assert admitted.trust_vector["hardware"] == HARDWARE_CONTRAINDICATED
    assert any("forge" in sentence for sentence in admitted.not_proven)
    assert {"word": "milan"}.items() <= admitted.to_json()["admitted"][0].items()
    with pytest.raises(PolicyError) as error:
        policy(accept='["milan"]')
    assert error.value.code == "policy.value"


def test_a_policy_for_other_platforms_cannot_name_milan():
    with pytest.raises(PolicyError) as error:
        Policy.load(b'version = 1\nplatforms = ["tdx"]\naccept_forgeable = ["milan"]\n', name="x")
    assert error.value.code == "policy.contradiction"


def test_a_level_other_than_zero_needs_its_word():
    with pytest.raises(PolicyError) as error:
        policy("vmpl = [0, 2]")
    assert error.value.code == "policy.contradiction"
    allowed = policy("vmpl = [0, 2]", accept='["vmpl"]')
    assert judged(snp(vmpl=2), allowed).admitted == ("vmpl",)
    assert judged(snp(vmpl=0), allowed).admitted == ()
    assert codes(judged(snp(vmpl=1), allowed)) == ["policy.snp.vmpl.mismatch"]


def test_debug_and_migration_can_be_forbidden_or_demanded():
    forbidden = "[attributes]\ndebug = false\nmigratable = false\n" + GENOA
    assert judged(SNP, policy(tcb=forbidden, accept='["debug", "migratable"]')).accepted
    weak = snp(debug=True, policy=GuestPolicy(BASE | 1 << 18 | 1 << 19))
    assert codes(judged(weak, policy(tcb=forbidden, accept='["debug", "migratable"]'))) == [
        "policy.attributes.debug.enabled",
        "policy.attributes.migratable.weak",
    ]
    demanded = "[attributes]\ndebug = true\nmigratable = true\n" + GENOA
    by = policy(tcb=demanded, accept='["debug", "migratable"]')
    assert judged(weak, by).accepted
    assert codes(judged(SNP, by)) == [
        "policy.attributes.debug.mismatch",
        "policy.attributes.migratable.mismatch",
    ]


@pytest.mark.parametrize("text", ['"1.55"', '"1.55.256"', '"01.55.1"', '"1.55.1 "', "1.55", '"a.b.c"'])
def test_versions_that_are_refused(text):
    with pytest.raises(PolicyError) as error:
        policy(f"min_firmware = {text}")
    assert error.value.code in ("policy.value", "policy.type")
    assert "snp.min_firmware" in error.value.message


@pytest.mark.parametrize("text", ['"1"', '"1.55.0"', '"1.256"', '"01.55"', "1.55"])
def test_versions_of_the_abi_that_are_refused(text):
    with pytest.raises(PolicyError) as error:
        policy(f"min_abi = {text}")
    assert error.value.code in ("policy.value", "policy.type")
    assert "snp.min_abi" in error.value.message


def test_an_abi_of_a_later_major_version_is_enough():
    later = snp(policy=GuestPolicy(BASE | 2 << 8))
    assert judged(later, policy('min_abi = "1.55"')).accepted


def test_simulated_chips_are_refused():
    own = Anchor(b"\xaa" * 32, "a simulator", simulated=True)
    assert codes(judged(SNP, policy(), own)) == ["policy.simulated.refused"]


def test_only_a_policy_that_names_the_measurement_opens_a_gate():
    assert not policy().gate
    by = policy(f'measurement = ["{(b"m" * 48).hex()}"]')
    assert by.gate
    result = judged(SNP, by)
    assert result.verdict is Verdict.ACCEPTED
    assert result.trust_vector["executables"] == 3
    assert judged(SNP, policy()).trust_vector["executables"] == 0
    with pytest.raises(PolicyError, match=r"gate"):
        policy().for_gate()


@pytest.mark.parametrize("key", ["min_tcb", "min_launch_tcb"])
@pytest.mark.parametrize("product", ["milan", "genoa", "turin"])
def test_a_product_without_versions_judges_nothing_and_is_refused(key, product):
    path = f"snp.{key}.{product}"
    written = f'version = 1\nplatforms = ["snp"]\n[{path}]\n'
    # Zero is what every firmware has: to state it judges nothing either.
    for stated in ("", "bl = 0", "fmc = 0\nbl = 0\ntee = 0\nsnp = 0\nucode = 0"):
        with pytest.raises(PolicyError, match=r"no smallest version above 0") as caught:
            Policy.load(f"{written}{stated}\n".encode(), name="test")
        assert (caught.value.code, caught.value.detail["path"]) == ("policy.contradiction", path)
    Policy.load(f"{written}snp = 1\nbl = 0\n".encode(), name="test")


def test_a_level_below_the_most_trusted_is_named_where_its_word_is_missing():
    with pytest.raises(PolicyError) as caught:
        Policy.load(b'version = 1\nplatforms = ["snp"]\n[snp]\nvmpl = [0, 1]\n', name="test")
    assert caught.value.detail["path"] == "snp.vmpl"


@pytest.mark.parametrize(
    ("body", "claims", "title", "reason"),
    [
        (
            'products = ["turin"]',
            SNP,
            "products is one that the policy names",
            "It is 'genoa'; the policy names 1 other(s).",
        ),
        (
            f'family_id = ["{"00" * 16}", "{"01" * 16}"]',
            SNP,
            "family_id is one that the policy names",
            f"It is {(b'f' * 16).hex()}; the policy names 2 other(s).",
        ),
        (
            'csp_ids = ["somebody"]',
            SNP,
            "csp_ids is one that the policy names",
            "It is not stated; the policy names 1 other(s).",
        ),
        (
            f'chip_ids = ["{CHIP}"]',
            snp(chip_id=bytes(64)),
            "chip_ids is one that the policy names",
            "It is not stated; the policy names 1 other(s).",
        ),
        ("min_guest_svn = 5", SNP, "guest_svn is at least 5", "guest_svn is 4; 5 is required."),
    ],
)
def test_what_is_told_of_a_claim_that_no_list_names(body, claims, title, reason):
    (failed,) = judged(claims, policy(body)).ledger.failed()
    assert (failed.spec.title, failed.reason) == (title, reason)


@pytest.mark.parametrize(("wanted", "title"), [("true", "smt: yes"), ("false", "smt: no")])
def test_what_a_flag_is_called(wanted, title):
    result = judged(SNP, policy(tcb=f"[snp.guest_policy]\nsmt = {wanted}\n{GENOA}"))
    assert result.ledger["policy.snp.guest_policy.smt"].spec.title == title
