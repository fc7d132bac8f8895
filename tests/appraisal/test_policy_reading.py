"""Reading policy files: every mistake is refused by its path."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.appraisal import Policy, document
from assay.appraisal.document import Document
from assay.appraisal.policy import SHIPPED, shipped_text
from assay.appraisal.reading import MAX_BYTES, read
from assay.appraisal.vocabulary import KEYS, PLATFORMS, TABLES
from assay.errors import PolicyError

HEAD = 'version = 1\nplatforms = ["tdx", "sgx"]\n'


def refused(text: str | bytes) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        read(text if isinstance(text, bytes) else text.encode())
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "path", "says"),
    [
        ("", "policy.empty", None, "empty"),
        ("# only a comment\n", "policy.empty", None, "empty"),
        ("version = 1\n", "policy.missing", "platforms", "platforms"),
        ('platforms = ["tdx"]\n', "policy.missing", "version", "version"),
        ("version = \n", "policy.toml", None, "not TOML"),
        ('version = 2\nplatforms = ["tdx"]\n', "policy.value", "version", "only version"),
        ('version = true\nplatforms = ["tdx"]\n', "policy.type", "version", "boolean"),
        ("version = 1\nplatforms = []\n", "policy.list", "platforms", "1 to"),
        ('version = 1\nplatforms = "tdx"\n', "policy.type", "platforms", "a list"),
        ('version = 1\nplatforms = ["tdx", "tdx"]\n', "policy.value", "platforms[1]", "different"),
        ('version = 1\nplatforms = ["tdxx"]\n', "policy.value", "platforms[0]", "did you mean 'tdx'"),
        (HEAD + "tcb = 3\n", "policy.type", "tcb", "a table"),
        (HEAD + "[tdx]\nmr_td = 5\n", "policy.type", "tdx.mr_td", "reference"),
        (HEAD + "[tdx]\nmr_td = [5]\n", "policy.type", "tdx.mr_td[0]", "integer"),
        (HEAD + '[tdx]\nmr_td = ["00"]\n', "policy.hex", "tdx.mr_td[0]", "48 bytes"),
        (HEAD + f'[tdx]\nmr_td = ["{"0g" * 48}"]\n', "policy.hex", "tdx.mr_td[0]", "48 bytes"),
        (HEAD + f'[tdx]\nmr_td = ["{" 0" * 48}"]\n', "policy.hex", "tdx.mr_td[0]", "48 bytes"),
        (HEAD + '[tdx]\nmr_td = ["' + "\u0660" * 96 + '"]\n', "policy.hex", "tdx.mr_td[0]", "48 bytes"),
        (HEAD + "[tdx]\nmr_td = []\n", "policy.list", "tdx.mr_td", "1 to"),
        (HEAD + '[tdx]\nmr_td = "references"\n', "policy.type", "tdx.mr_td", "reference"),
        (HEAD + "[tdx]\nmr_dt = []\n", "policy.unknown_key", "tdx.mr_dt", "not a key"),
        (HEAD + "[tcb]\ngrac = {}\n", "policy.unknown_key", "tcb.grac", "not a key"),
        (HEAD + "[tcb]\nmin_evaluation_number = 0\n", "policy.value", "tcb.min_evaluation_number", "1 to"),
        (HEAD + '[tcb]\nplatform = ["Revoked"]\n', "policy.value", "tcb.platform[0]", "UpToDate"),
        (HEAD + '[tcb]\nplatform = ["NotSupported"]\n', "policy.value", "tcb.platform[0]", "UpToDate"),
        (HEAD + '[tcb]\nmodule = ["Revoked"]\n', "policy.value", "tcb.module[0]", "UpToDate"),
        (HEAD + '[tcb]\nqe = ["SWHardeningNeeded"]\n', "policy.value", "tcb.qe[0]", "UpToDate"),
        (HEAD + 'accept = ["dbug"]\n', "policy.value", "accept[0]", "did you mean 'debug'"),
        (HEAD + 'accept = ["everything"]\n', "policy.value", "accept[0]", "must be"),
        (HEAD + 'simulated = "yes"\n', "policy.value", "simulated", "refused"),
        (HEAD + 'name = "\\u001b[31m"\n', "policy.value", "name", "printable"),
        (HEAD + "[attributes]\ndebug = 1\n", "policy.type", "attributes.debug", "true or false"),
        (HEAD + '[hardware]\nppids = ["00"]\n', "policy.hex", "hardware.ppids[0]", "32 bytes"),
        (HEAD + '[hardware]\nsgx_types = ["big"]\n', "policy.value", "hardware.sgx_types[0]", "standard"),
        (HEAD + '[isolation]\nmin = "docker"\n', "policy.value", "isolation.min", "bubblewrap"),
        (
            HEAD + '[dstack]\nkey_providers = ["kms"]\n',
            "policy.value",
            "dstack.key_providers[0]",
            "a colon",
        ),
        (
            HEAD + '[dstack]\nkey_providers = ["aws:00"]\n',
            "policy.value",
            "dstack.key_providers[0]",
            "local-sgx",
        ),
        *(
            (
                HEAD + f'[tcb]\nrejected_advisories = ["INTEL-SA-00001", "{word}"]\n',
                "policy.value",
                "tcb.rejected_advisories[1]",
                "five digits",
            )
            for word in (
                "intel-sa-01036",
                "INTEL-SA-1036",
                "INTEL-SA-010360",
                "INTEL-SA-01036 ",
                "INTEL-SA-01036,INTEL-SA-01079",
            )
        ),
        (
            HEAD + "[tcb]\nrejected_advisories = [1036]\n",
            "policy.type",
            "tcb.rejected_advisories[0]",
            "string",
        ),
        (HEAD + "d = 2020-01-01\n", "policy.unknown_key", "d", "not a key"),
        (HEAD + "[tdx]\nmr_td = 2020-01-01\n", "policy.type", "tdx.mr_td", "date"),
    ],
)
def test_a_mistake_is_refused_with_its_path(text: str, code: str, path: str | None, says: str) -> None:
    error = refused(text)
    assert error.code == code
    assert error.detail.get("path") == path
    assert says in error.message


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("[tdx]\nmrtd = []", "tdx.mr_td"),
        ("[tdx]\nmr_dt = []", "tdx.mr_td"),
        ("[tcb]\nmin_eval_number = 3", "tcb.min_evaluation_number"),
        ("acept = []", "accept"),
        ("[harware]", "hardware"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(key: str, nearest: str) -> None:
    assert refused(HEAD + key).action == f"Did you mean {nearest}?"


def test_an_unknown_key_without_a_near_one_lists_what_is_known() -> None:
    assert "mr_td" in refused(HEAD + "[tdx]\nxyzzy = []").action


def test_a_hostile_key_is_escaped() -> None:
    message = refused(HEAD + '"\\u001b[2J" = 1').message
    assert "\x1b" not in message
    assert message.startswith("\\x1b[2J is not a key")
    assert refused(HEAD + "x" * 41 + " = 1").message.startswith("x" * 40 + " is not a key")
    assert refused(HEAD + '"" = 1').message.startswith('"" is not a key')


@pytest.mark.parametrize(
    ("text", "path", "action"),
    [
        ('[tcb]\nplatform = ["OutOfDate"]', "tcb.platform", '"out-of-date-platform"'),
        (
            '[tcb]\nplatform = ["OutOfDateConfigurationNeeded"]',
            "tcb.platform",
            '"configuration-needed", "out-of-date-platform"',
        ),
        ('[tcb]\nmodule = ["OutOfDate"]', "tcb.module", '"out-of-date-module"'),
        ('[tcb]\nqe = ["OutOfDate"]', "tcb.qe", '"out-of-date-qe"'),
        ("[tcb.grace]\nplatform = 3", "tcb.grace.platform", '"out-of-date-platform"'),
        ("[tcb.grace]\nmodule = 3", "tcb.grace.module", '"out-of-date-module"'),
        ("[tcb.grace]\nqe = 3", "tcb.grace.qe", '"out-of-date-qe"'),
        (
            '[tcb]\nrejected_advisories = ["INTEL-SA-00001"]\naccepted_advisories = ["INTEL-SA-00001"]',
            "tcb.rejected_advisories",
            "Remove",
        ),
        ("[attributes]\ndebug = true", "attributes.debug", '"debug"'),
        ("[attributes]\nsept_ve_disable = false", "attributes.sept_ve_disable", '"sept-ve-enabled"'),
        ("[attributes]\nmigratable = true", "attributes.migratable", '"migratable"'),
        ("[attributes]\nperfmon = true", "attributes.perfmon", '"perfmon"'),
        (f'[attributes]\nmr_service_td = ["{"01" * 48}"]', "attributes.mr_service_td", '"service-td"'),
        ('simulated = "only"', "simulated", '"simulated"'),
        ('accept = ["simulated"]', "accept", "only"),
        (f'[sgx]\nmr_signer = ["{"01" * 32}"]', "sgx.mr_signer", "isv_prod_id"),
        (f'[sgx]\nmr_signer = ["{"01" * 32}"]\nmin_isv_svn = 1', "sgx.mr_signer", "isv_prod_id"),
        (f'[sgx]\nmr_signer = ["{"01" * 32}"]\nisv_prod_id = [1]', "sgx.mr_signer", "sgx.mr_enclave, or"),
        (f'[sgx]\nattributes = "{"01" * 16}"', "sgx.attributes", "both"),
        (
            f'[sgx]\nattributes = "{"03" * 16}"\nattributes_mask = "{"01" * 16}"',
            "sgx.attributes",
            "mask",
        ),
        (
            f'[sgx]\nattributes = "{"00" * 16}"\nattributes_mask = "{"00" * 16}"',
            "sgx.attributes_mask",
            "Set the bits",
        ),
    ],
)
def test_a_contradiction_is_refused_and_says_what_to_do(text: str, path: str, action: str) -> None:
    error = refused(HEAD + text)
    assert error.code == "policy.contradiction"
    assert error.detail["path"] == path
    assert action in error.action
    assert error.action.endswith(('".', "well.", "none.", "mask.", "lists.", "attributes_mask."))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('platforms = ["sgx"]\n[tdx]\nmr_td = "reference"', "tdx"),
        ('platforms = ["sgx"]\n[dstack]\napp_ids = ["' + "00" * 20 + '"]', "dstack"),
        ('platforms = ["tdx"]\n[sgx]\nmr_enclave = "reference"', "sgx"),
        ('platforms = ["sgx"]\naccept = ["migratable"]', "accept"),
    ],
)
def test_a_line_without_effect_is_refused(text: str, path: str) -> None:
    error = refused("version = 1\n" + text)
    assert (error.code, error.detail["path"]) == ("policy.contradiction", path)


SHARED = {
    "attributes": {
        "debug": "false",
        "sept_ve_disable": "true",
        "migratable": "false",
        "perfmon": "false",
        "pks": "false",
        "kl": "false",
        "td_attributes": f'["{"00" * 8}"]',
        "xfam": f'["{"00" * 8}"]',
        "mr_service_td": f'["{"00" * 48}"]',
    },
    "hardware": {
        "ppids": f'["{"00" * 32}"]',
        "platform_instance_ids": f'["{"00" * 32}"]',
        "sgx_types": '["scalable"]',
        "dynamic_platform": "false",
        "cached_keys": "false",
        "smt": "false",
    },
    "tcb": {
        "platform": '["UpToDate"]',
        "module": '["UpToDate"]',
        "qe": '["UpToDate"]',
        "rejected_advisories": '["INTEL-SA-00001"]',
        "min_evaluation_number": "1",
    },
    "freshness": {"collateral_max_age_hours": "1", "evidence_max_age_seconds": "1"},
    "isolation": {"min": '"qemu"'},
}
"""Tables that are about several platforms, each key with a value that needs no word in accept."""
RELAXING = {"accepted_advisories", "grace"}
SHARED_KEYS = [(table, key) for table, keys in SHARED.items() for key in keys]


@pytest.mark.parametrize("table", SHARED)
def test_every_shared_key_has_a_value_to_try(table: str) -> None:
    kind = {field.name: field.type for field in fields(Document)}[table].partition("[")[2].partition(" ")[0]
    names = {field.name for field in fields(getattr(document, kind))}
    assert names - RELAXING == set(SHARED[table])


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("table", "key"), SHARED_KEYS)
def test_a_shared_key_makes_a_check_or_is_refused(platform: str, table: str, key: str) -> None:
    text = f'version = 1\nplatforms = ["{platform}"]\n[{table}]\n{key} = {SHARED[table][key]}'
    about = KEYS.get(f"{table}.{key}", TABLES.get(table, PLATFORMS))
    if platform in TABLES.get(table, PLATFORMS) and platform in about:
        found = Policy.load(text.encode(), name="shared")
        assert f"policy.{table}.{key}" in {rule.spec.id for rule in found.platforms[platform].rules}
    else:
        error = refused(text)
        assert error.code == "policy.contradiction"
        assert error.detail["path"] in (table, f"{table}.{key}")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f'platforms = ["snp"]\n[hardware]\nppids = ["{"00" * 32}"]', "hardware.ppids"),
        ('platforms = ["nvidia-gpu"]\n[attributes]\ndebug = false', "attributes.debug"),
        ('platforms = ["nitro", "snp"]\n[attributes]\nperfmon = false', "attributes.perfmon"),
        (
            'platforms = ["sgx"]\naccept = ["out-of-date-platform"]\n[tcb.grace]\nmodule = 1',
            "tcb.grace.module",
        ),
    ],
)
def test_a_key_that_nothing_is_compared_with_is_refused(text: str, path: str) -> None:
    error = refused("version = 1\n" + text)
    assert (error.code, error.detail["path"]) == ("policy.contradiction", path)
    assert path in error.action


def test_a_policy_of_zero_service_tds_needs_no_word() -> None:
    assert read((HEAD + f'[attributes]\nmr_service_td = ["{"00" * 48}"]').encode())


def test_size_and_encoding_are_bounded_before_parsing() -> None:
    assert refused(b"#" * (MAX_BYTES + 1)).code == "policy.size"
    assert MAX_BYTES == 1_048_576
    assert read((HEAD.encode() + b"#").ljust(MAX_BYTES, b"x")).version == 1
    assert refused(b"\xff").code == "policy.toml"
    assert refused(b"a = " + b"[" * 100_000).code == "policy.toml"
    assert refused(b"a = " + b"9" * 5000).code == "policy.toml"
    assert refused(b"a = 2020-99-99").code == "policy.toml"


def test_a_list_has_a_bound() -> None:
    many = ",".join(f'"{index:064x}"' for index in range(4097))
    assert refused(HEAD + f"[hardware]\nppids = [{many}]").code == "policy.list"


def complaint(data: bytes) -> PolicyError | None:
    """Return why ``data`` is no policy; anything but a PolicyError passes through."""
    try:
        Policy.load(data, name="fuzzed")
    except PolicyError as error:
        return error
    return None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_a_policy_error(data: bytes) -> None:
    error = complaint(data)
    assert error is None or (error.code.startswith("policy.") and error.message.isprintable())


_VALUES = st.recursive(
    st.booleans() | st.integers(-5, 2**40) | st.text(max_size=12) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(
    st.sampled_from(
        ["tcb", "attributes", "hardware", "tdx", "sgx", "dstack", "freshness", "isolation", "tcb.grace"]
    ),
    st.sampled_from(["platform", "debug", "mr_td", "mr_enclave", "min", "ppids", "app_ids", "qe", "zzz"]),
    _VALUES,
)
def test_any_value_under_any_key_is_read_or_refused(table: str, key: str, value: object) -> None:
    error = complaint(f"{HEAD}[{table}]\n{key} = {json.dumps(value)}\n".encode())
    assert error is None or (error.code.startswith("policy.") and error.message.isprintable())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_load_and_carry_their_own_name(name: str) -> None:
    policy = Policy.shipped(name)
    assert policy.name == name
    assert tomllib.loads(shipped_text(name).decode())["version"] == 1


def test_an_unknown_shipped_name_says_the_nearest() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.shipped("genuin")
    assert caught.value.code == "policy.unknown_name"
    assert caught.value.action == "Did you mean genuine?"


def test_a_shipped_name_cannot_leave_the_package() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.shipped("../shipped/genuine")
    assert caught.value.code == "policy.unknown_name"
