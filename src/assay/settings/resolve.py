"""Which value holds: built-in < user file < environment < flags; then the repository tightens what is left.

The repository never sees a value that it could raise: its numbers are ceilings, its lists are additions, and
an attempt at anything else stops the command before anything is created.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from assay.errors import SettingsError
from assay.settings import files
from assay.settings.table import (
    BY_KEY,
    NEVER_IN_A_REPOSITORY,
    OTHER_VARIABLES,
    SETTINGS,
    Repository,
    Setting,
)
from assay.settings.values import Kind, Value, decode, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BUILT_IN = "built-in"
FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one command.

    Attributes:
        values: Value of every setting, by key.
        origins: Where each value came from: ``built-in``, a path, a variable, ``flag``.
        repository: The repository's file that was applied, or None.
        repository_policies: Absolute paths of the repository's own policies, applied as well.
    """

    values: Mapping[str, Value]
    origins: Mapping[str, str]
    repository: Path | None = None
    repository_policies: tuple[Path, ...] = field(default=())

    def text(self, key: str) -> str | None:
        """Return a setting that holds text, or None when it is not set."""
        return cast("str | None", self.values[key])

    def number(self, key: str) -> int:
        """Return a setting that holds a number: seconds, bytes or a count."""
        return cast("int", self.values[key])

    def number_or_none(self, key: str) -> int | None:
        """Return a setting that holds a number, or None when it is not set."""
        return cast("int | None", self.values[key])

    def names(self, key: str) -> tuple[str, ...]:
        """Return a setting that holds a list of names."""
        return cast("tuple[str, ...]", self.values[key])

    def to_json(self) -> dict[str, Any]:
        """Return each setting with its value and where it came from."""
        return {
            setting.key: {
                "value": list(value) if isinstance(value := self.values[setting.key], tuple) else value,
                "from": self.origins[setting.key],
            }
            for setting in SETTINGS
        }


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _unknown(key: str, where: str) -> SettingsError:
    return SettingsError(
        "settings.key.unknown",
        f"{where} sets {key[:80]!r}, which is not a setting.{_nearest(key, BY_KEY)}",
        key=key[:80],
    )


def _checked(setting: Setting, raw: object, where: str) -> Value:
    try:
        value = decode(setting.key, setting.kind, raw)
    except SettingsError as error:
        raise SettingsError(error.code, f"{where}: {error.message}", key=setting.key) from None
    if setting.ceiling is not None and isinstance(value, int) and value > setting.ceiling:
        raise SettingsError(
            "settings.value.ceiling",
            f"{where} sets {setting.key} to {show(setting.kind, value)}; the most is"
            f" {show(setting.kind, setting.ceiling)}.",
            key=setting.key,
        )
    return value


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[Setting, str]]:
    by_variable = {setting.variable: setting for setting in SETTINGS}
    found = {}
    for name, value in environ.items():
        if not name.startswith("ASSAY_") or name in OTHER_VARIABLES:
            continue
        if name not in by_variable:
            known = (*by_variable, *OTHER_VARIABLES)
            raise SettingsError(
                "settings.variable.unknown",
                f"The environment sets {name[:80]}, which Assay does not know.{_nearest(name, known)}",
                key=name[:80],
            )
        found[by_variable[name].key] = (by_variable[name], value)
    return found


class _Resolver:
    def __init__(self) -> None:
        self.values: dict[str, Value] = {setting.key: setting.default for setting in SETTINGS}
        self.origins: dict[str, str] = {setting.key: BUILT_IN for setting in SETTINGS}

    def put(self, setting: Setting, value: Value, where: str) -> None:
        self.values[setting.key] = value
        self.origins[setting.key] = where


def _refusal(code: str, key: str, path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"settings.repository.{code}",
        f"{path} sets {key!r}: {why}. A repository can only tighten.",
        action=f"Remove {key} from {path}; nothing was created.",
        key=key,
    )


def _inside(path: Path, key: str, names: tuple[str, ...]) -> tuple[Path, ...]:
    root = path.parent
    found = []
    for name in names:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise _refusal("policy", key, path, f"{name[:80]!r} lies outside the repository")
        found.append(root / parts)
    return tuple(found)


def _tighten(
    found: _Resolver, ceilings: Mapping[str, Value], path: Path, table: Mapping[str, Any]
) -> tuple[Path, ...]:
    policies: tuple[Path, ...] = ()
    for key, raw in table.items():
        setting = BY_KEY.get(key)
        if setting is None:
            head = next((part for part in (key, key.split(".")[0]) if part in NEVER_IN_A_REPOSITORY), None)
            if head is None:
                raise _unknown(key, str(path))
            raise _refusal(NEVER_IN_A_REPOSITORY[head], key, path, "that is for you to choose")
        if setting.repository is Repository.NEVER:
            raise _refusal(setting.refusal, key, path, "that is for you to choose")
        value = _checked(setting, raw, str(path))
        if setting.repository is Repository.ADDS:
            names = cast("tuple[str, ...]", value)
            if key == "require.policies":
                policies = _inside(path, key, names)
            else:
                held = cast("tuple[str, ...]", found.values[key])
                found.put(setting, held + tuple(name for name in names if name not in held), str(path))
            continue
        ceiling, held_value = ceilings[key], found.values[key]
        number = cast("int", value)
        if ceiling is not None and number > cast("int", ceiling):
            raise _refusal(
                setting.refusal,
                key,
                path,
                f"{show(setting.kind, number)} is more than the {show(setting.kind, ceiling)} in force",
            )
        if held_value is None or number < cast("int", held_value):
            found.put(setting, number, str(path))
    return policies


def resolve(*, environ: Mapping[str, str], flags: Mapping[str, object], repository: Path | None) -> Settings:
    """Return the settings of one command.

    Args:
        environ: The environment.
        flags: What flags set, by key; absent keys, None and empty lists are not set. A list on a flag is
            added to what the user's file and the environment name.
        repository: Directory whose ``assay.toml`` tightens, or None.

    Raises:
        SettingsError: ``settings.key.unknown``, ``settings.variable.unknown``, ``settings.value.*``,
            ``settings.file.*``, or ``settings.repository.*`` when the repository tries to relax.
    """
    found = _Resolver()
    path = files.user_file(environ)
    for key, raw in (files.load(path, ours=True) or {}).items():
        if key not in BY_KEY:
            raise _unknown(key, str(path))
        found.put(BY_KEY[key], _checked(BY_KEY[key], raw, str(path)), str(path))
    for setting, text in _variables(environ).values():
        found.put(setting, _checked(setting, text, setting.variable), setting.variable)
    ceilings = dict(found.values)
    for key, given in flags.items():
        if given is None or given in ((), []):
            continue
        setting = BY_KEY[key]
        value = _checked(setting, given, setting.flag or FLAG)
        if setting.kind is Kind.NAMES:
            value = (*cast("tuple[str, ...]", found.values[key]), *cast("tuple[str, ...]", value))
        found.put(setting, value, FLAG)
    table = None
    if repository is not None:
        repository = repository / files.REPOSITORY_FILE
        table = files.load(repository, ours=False)
    policies = _tighten(found, ceilings, repository, table) if repository and table is not None else ()
    return Settings(
        MappingProxyType(found.values),
        MappingProxyType(found.origins),
        repository if table is not None else None,
        policies,
    )
