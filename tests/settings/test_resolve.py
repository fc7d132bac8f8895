from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import SettingsError
from assay.settings import files, reference
from assay.settings.resolve import resolve
from assay.settings.table import NEVER_IN_A_REPOSITORY, SETTINGS, Repository
from assay.settings.values import Kind, decode, parse_duration, parse_size, show_duration, show_size


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config" / "assay").mkdir(parents=True)
    (tmp_path / "repository").mkdir()
    return tmp_path


def settle(home: Path, *, user: str = "", repository: str | None = None, environ=(), flags=()):
    if user:
        path = home / "config" / "assay" / "config.toml"
        path.write_text(user)
        path.chmod(0o600)
    if repository is not None:
        (home / "repository" / "assay.toml").write_text(repository)
    return resolve(
        environ={"XDG_CONFIG_HOME": str(home / "config"), "HOME": str(home), **dict(environ)},
        flags=dict(flags),
        repository=home / "repository",
    )


def refused(home: Path, **given) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        settle(home, **given)
    return caught.value


def test_nothing_chooses_a_provider_by_itself(home):
    settings = settle(home)
    assert settings.text("on") is None
    assert settings.number("ttl") == 5400
    assert settings.number("idle") == 1800
    assert settings.repository is None


def test_each_layer_overrides_the_one_below_and_says_so(home):
    user = 'on = "local"\nttl = "20m"\nidle = "19m"\ntime_limit = 60\n[sync]\nexclude = ["a"]\n'
    settings = settle(
        home, user=user, environ={"ASSAY_IDLE": "18m", "ASSAY_TIME_LIMIT": "50"}, flags={"time_limit": "40"}
    )
    assert (settings.text("on"), settings.number("ttl"), settings.number("idle")) == ("local", 1200, 1080)
    assert settings.number("time_limit") == 40
    assert settings.origins["ttl"].endswith("config.toml")
    assert (settings.origins["idle"], settings.origins["time_limit"]) == ("ASSAY_IDLE", "flag")
    assert settings.to_json()["policy"] == {"value": None, "from": "built-in"}


def test_lists_on_flags_add_to_the_users_own(home):
    settings = settle(home, user='environment = ["A"]', flags={"environment": ("B",), "sync.exclude": ()})
    assert settings.names("environment") == ("A", "B")
    assert settings.names("sync.exclude") == ()


def test_a_repository_tightens(home):
    settings = settle(
        home,
        user='[sync]\nexclude = ["mine"]\n',
        repository=(
            'ttl = "10m"\nidle = "5m"\ntime_limit = "1m"\n[limits]\nmemory = "1GiB"\n'
            '[sync]\nexclude = ["theirs", "mine"]\nmax_files = 10\n'
            '[require]\nchecks = ["policy.tdx.debug"]\npolicies = ["policies/ours.toml"]\n'
        ),
    )
    assert (settings.number("ttl"), settings.number("idle"), settings.number("time_limit")) == (600, 300, 60)
    assert settings.names("sync.exclude") == ("mine", "theirs")
    assert settings.number("sync.max_files") == 10
    assert settings.names("require.checks") == ("policy.tdx.debug",)
    assert settings.repository_policies == (home / "repository" / "policies" / "ours.toml",)
    assert settings.names("require.policies") == ()
    assert settings.origins["ttl"] == str(home / "repository" / "assay.toml")


def test_a_repositorys_ceiling_holds_against_a_flag(home):
    settings = settle(home, repository='ttl = "10m"', flags={"ttl": "1h"})
    assert settings.number("ttl") == 600
    assert settle(home, repository='ttl = "10m"', flags={"ttl": "5m"}).number("ttl") == 300


def _relaxations():
    for setting in SETTINGS:
        if setting.repository is Repository.NEVER:
            value = '["X"]' if setting.kind is Kind.NAMES else '"x"'
            yield pytest.param(f"{setting.key} = {value}", setting.key, setting.refusal, id=setting.key)
        elif setting.repository is Repository.LOWERS and setting.default is not None:
            yield pytest.param(
                f"{setting.key} = {int(setting.default) + 1}", setting.key, setting.refusal, id=setting.key
            )
    for key, code in NEVER_IN_A_REPOSITORY.items():
        yield pytest.param(f'{key} = "x"', key, code, id=key)
        yield pytest.param(f'[{key}]\ninner = "x"', f"{key}.inner", code, id=f"{key}-table")


@pytest.mark.parametrize(("text", "key", "code"), list(_relaxations()))
def test_a_repository_that_relaxes_is_refused_by_name(home, text, key, code):
    error = refused(home, repository=text)
    assert error.code == f"settings.repository.{code}"
    assert error.detail["key"] == key
    assert key in error.message


def test_a_repository_may_not_raise_what_the_user_lowered(home):
    assert refused(home, user='ttl = "5m"', repository='ttl = "6m"').code == "settings.repository.ttl"
    assert (
        refused(home, user="time_limit = 5", repository="time_limit = 6").code
        == "settings.repository.time_limit"
    )
    assert refused(home, environ={"ASSAY_SYNC_MAX_FILES": "5"}, repository="sync.max_files = 6").code == (
        "settings.repository.limit"
    )


@pytest.mark.parametrize("name", ["/etc/policy.toml", "../policy.toml", "a/../../b"])
def test_a_repositorys_policy_stays_inside_it(home, name):
    assert refused(home, repository=f'[require]\npolicies = ["{name}"]').code == "settings.repository.policy"


def test_an_unknown_key_names_the_nearest(home):
    error = refused(home, user='tll = "1h"')
    assert error.code == "settings.key.unknown"
    assert "Did you mean ttl?" in error.message
    assert refused(home, repository="max_speed = 1").code == "settings.key.unknown"
    assert refused(home, repository='"sync.max_files" = 1').code == "settings.key.unknown"


def test_an_unknown_variable_names_the_nearest(home):
    error = refused(home, environ={"ASSAY_POLCY": "strict"})
    assert error.code == "settings.variable.unknown"
    assert "ASSAY_POLICY" in error.message
    settle(home, environ={"ASSAY_STATE_DIR": "/x", "OTHER": "1"})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ttl = 0", "settings.value.duration"),
        ("ttl = true", "settings.value.text"),
        ('ttl = "25h"', "settings.value.ceiling"),
        ('limits.memory = "x"', "settings.value.size"),
        ("sync.max_files = 0", "settings.value.count"),
        ('on = ""', "settings.value.text"),
        ('on = "a\\u0007"', "settings.value.text"),
        ("environment = 3", "settings.value.names"),
        ("environment = [3]", "settings.value.text"),
        ("= 3", "settings.file.syntax"),
        ("x = " + "[" * 20000, "settings.file.syntax"),
        ("ttl = " + "1" * 5000, "settings.file.syntax"),
        ("ttl = 0x" + "f" * 5000, "settings.value.ceiling"),
        ("# " + "x" * files.MAX_FILE_BYTES, "settings.file.size"),
    ],
)
def test_a_wrong_value_names_its_file(home, text, code):
    error = refused(home, user=text)
    assert error.code == code
    assert "config.toml" in error.message


def test_a_users_file_that_others_can_write_is_refused(home):
    path = home / "config" / "assay" / "config.toml"
    path.write_text('on = "local"')
    path.chmod(0o622)
    assert refused(home).code == "settings.file.owner"


def test_a_repositorys_file_is_not_followed_out_of_it(home):
    (home / "elsewhere.toml").write_text("ttl = 1")
    (home / "repository" / "assay.toml").symlink_to(home / "elsewhere.toml")
    assert refused(home).code == "settings.file.unreadable"


def test_a_settings_file_must_be_a_file(home):
    os.mkfifo(home / "repository" / "assay.toml")
    assert refused(home).code == "settings.file.kind"


def test_assay_config_names_the_users_file(home):
    (home / "mine.toml").write_text('on = "local:small"')
    assert settle(home, environ={"ASSAY_CONFIG": str(home / "mine.toml")}).text("on") == "local:small"


@given(st.integers(1, 10**7))
def test_durations_and_sizes_survive_display(number):
    assert parse_duration(show_duration(number)) == number
    assert parse_size(show_size(number)) == number


@given(st.text(max_size=12), st.sampled_from(list(Kind)))
def test_any_text_is_a_value_or_a_settings_error(text, kind):
    try:
        decode("key", kind, text)
    except SettingsError as error:
        code = error.code
    else:
        return
    assert code.startswith("settings.value.")


def test_the_reference_page_is_current():
    path = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
    assert path.read_text() == reference.page()
