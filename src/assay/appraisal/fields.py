"""The kinds of value that a policy key can hold: each decodes strictly, and describes itself as JSON Schema.

Every refusal names the key by its path in the file (``tdx.mr_td[0]``), what stands there and what must.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from assay.errors import PolicyError
from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LIST: Final = 4096
"""Entries of one list, at most: a fleet's allow-list fits, a file of megabytes does not."""

_SHOWN: Final = 40
_LARGEST: Final = 255
_NUMBER: Final = r"(0|[1-9][0-9]{0,2})"
_COUNTS: Final = {1: "two", 2: "three"}


def _shown(value: object) -> str:
    """Return ``value`` as it may stand in a message: escaped, and short."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _kind(value: object) -> str:
    names = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


def wrong_type(path: str, value: object, wanted: str) -> PolicyError:
    """Return the error for a value of another type than ``wanted``."""
    return PolicyError(
        "policy.type", f"{path} must be {wanted}, not {_kind(value)} ({_shown(value)}).", path=path
    )


def wrong_value(path: str, value: object, wanted: str) -> PolicyError:
    """Return the error for a value of the right type that is not allowed."""
    return PolicyError("policy.value", f"{path} must be {wanted}, not {_shown(value)}.", path=path)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word nearest to ``word``, or nothing when none is near."""
    import difflib  # noqa: PLC0415 - for those who mistype only

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), "")


class Kind(ABC):
    """What a key holds."""

    __slots__ = ()

    def decode(self, value: object, path: str) -> Any:
        """Return the value as the policy uses it.

        Raises:
            PolicyError: ``policy.type``, ``policy.value``, ``policy.hex`` or ``policy.list``, with the path.
        """
        return self._decode(value, path)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the value as it stands in the file."""
        return self._schema()

    @abstractmethod
    def _decode(self, value: object, path: str) -> Any: ...

    @abstractmethod
    def _schema(self) -> dict[str, Any]: ...

    @abstractmethod
    def __str__(self) -> str:
        """Return what the reference says of the values, in Markdown."""


@record
class Text(Kind):
    """One line of printable ASCII."""

    longest: int

    def _decode(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise wrong_type(path, value, "a string")
        if not 1 <= len(value) <= self.longest or not value.isascii() or not value.isprintable():
            raise wrong_value(path, value, f"1 to {self.longest} printable ASCII characters")
        return value

    def __str__(self) -> str:
        return f"up to {self.longest} characters of ASCII"

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": "^[ -~]+$"}


@record
class Pattern(Kind):
    """A string of one form.

    Attributes:
        form: The form, as a regular expression.
        wanted: What must stand there, for whoever wrote something else.
        said: The same for the reference, in Markdown.
    """

    form: str
    wanted: str
    said: str

    def _decode(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise wrong_type(path, value, "a string")
        if not self.accepts(value):
            raise wrong_value(path, value, self.wanted)
        return value

    def accepts(self, value: str) -> bool:
        """Tell whether a string is of this form."""
        return re.fullmatch(self.form, value) is not None

    def __str__(self) -> str:
        return self.said

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({self.form})$"}


@record
class Integer(Kind):
    """A whole number in a range, both ends included."""

    least: int
    most: int

    def _decode(self, value: object, path: str) -> int:
        if type(value) is not int:
            raise wrong_type(path, value, "an integer")
        if not self.least <= value <= self.most:
            raise wrong_value(path, value, f"{self.least} to {self.most}")
        return value

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"

    def _schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@record
class Flag(Kind):
    """True or false."""

    def _decode(self, value: object, path: str) -> bool:
        if not isinstance(value, bool):
            raise wrong_type(path, value, "true or false")
        return value

    def __str__(self) -> str:
        return "`true`, `false`"

    def _schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@record
class Choice(Kind):
    """One word of a closed vocabulary."""

    words: tuple[str, ...]

    def _decode(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise wrong_type(path, value, "a string")
        if value not in self.words:
            hint = nearest(value, self.words)
            wanted = f"{either(self.words)}" + (f" (did you mean {hint!r}?)" if hint else "")
            raise wrong_value(path, value, wanted)
        return value

    def __str__(self) -> str:
        return ", ".join(f"`{word}`" for word in self.words)

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}


@record
class ListOf(Kind):
    """A list of distinct values of one kind.

    Attributes:
        item: What each entry holds.
        least: Entries, at least; an empty allow-list would allow nothing, so it is a mistake.
        counted: Whether an entry may stand there more than once, and then means that many.
    """

    item: Kind
    least: int = 1
    counted: bool = False

    def _decode(self, value: object, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise wrong_type(path, value, "a list")
        if not self.least <= len(value) <= MAX_LIST:
            raise PolicyError(
                "policy.list",
                f"{path} must have {self.least} to {MAX_LIST} entries, not {len(value)}.",
                path=path,
            )
        found: list[Any] = []
        seen: set[Any] = set()
        for index, entry in enumerate(value):
            decoded = self.item.decode(entry, f"{path}[{index}]")
            if decoded in seen and not self.counted:
                raise wrong_value(f"{path}[{index}]", entry, "different from the entries before it")
            seen.add(decoded)
            found.append(decoded)
        return tuple(found)

    def __str__(self) -> str:
        return f"list of: {self.item}"

    def _schema(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.least,
            "maxItems": MAX_LIST,
            "uniqueItems": not self.counted,
        }


@record
class Hex(Kind):
    """Exactly ``size`` bytes, as hexadecimal digits without prefix or separators."""

    size: int

    def _decode(self, value: object, path: str) -> bytes:
        if not isinstance(value, str):
            raise wrong_type(path, value, "a string of hexadecimal digits")
        if len(value) != 2 * self.size or not value.isalnum():
            raise self._refuse(value, path)
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise self._refuse(value, path) from None

    def _refuse(self, value: str, path: str) -> PolicyError:
        return PolicyError(
            "policy.hex",
            f"{path} must be {self.size} bytes ({2 * self.size} hexadecimal digits),"
            f" not {_shown(value)} of {len(value)} characters.",
            path=path,
        )

    def __str__(self) -> str:
        return f"{self.size} bytes, hexadecimal"

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^[0-9a-fA-F]{{{2 * self.size}}}$"}


@record
class Version(Kind):
    """A version of two or three numbers, each 0 to 255, without leading zeros: ``1.55.21``."""

    example: str = "1.55.21"

    @property
    def _pattern(self) -> str:
        return f"{_NUMBER}(\\.{_NUMBER}){{{self.example.count('.')}}}"

    @property
    def _form(self) -> str:
        return f"version of {_COUNTS[self.example.count('.')]} numbers"

    def _decode(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise wrong_type(path, value, "a string")
        written = re.fullmatch(self._pattern, value, re.ASCII)
        if written is None or any(int(part) > _LARGEST for part in value.split(".")):
            raise wrong_value(path, value, f'a {self._form} up to 255, such as "{self.example}"')
        return value

    def __str__(self) -> str:
        return f"{self._form}, such as `{self.example}`"

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self._pattern}$"}


@record
class Pinned(Kind):
    """A word, a colon and any number of bytes up to a bound, as hexadecimal digits: ``kms:3059...``."""

    words: tuple[str, ...]
    most: int

    def _decode(self, value: object, path: str) -> tuple[str, bytes]:
        if not isinstance(value, str):
            raise wrong_type(path, value, "a string")
        word, _, digits = value.partition(":")
        try:
            found = bytes.fromhex(digits) if digits.isalnum() or not digits else None
        except ValueError:
            found = None
        if word not in self.words or ":" not in value or found is None or len(found) > self.most:
            raise wrong_value(
                path, value, f"{either(self.words)}, a colon and up to {self.most} bytes in hexadecimal"
            )
        return word, found

    def __str__(self) -> str:
        return ", ".join(f"`{word}:`" for word in self.words) + f" and up to {self.most} bytes, hexadecimal"

    def _schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": f"^({'|'.join(self.words)}):([0-9a-fA-F]{{2}}){{0,{self.most}}}$",
        }


@record
class Key:
    """What loader and schema know of one key; stands in the ``Annotated`` type of its dataclass field.

    Attributes:
        kind: What the key holds.
        doc: What it means, for the schema and the reference.
    """

    kind: Kind
    doc: str


def keys_of(table: type[Any]) -> dict[str, Key]:
    """Return the keys of a table by name, in the order in which the dataclass declares them."""
    hints = get_type_hints(table, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


@record
class Table(Kind):
    """A table whose keys are the fields of a dataclass, each ``Annotated`` with its ``Key``.

    Attributes:
        of: The dataclass, or ``module:name`` of one that is imported when a policy first has the table.
        required: Names of the keys that must be there.
    """

    of: type[Any] | str
    required: tuple[str, ...] = ()

    @property
    def row(self) -> type[Any]:
        """The dataclass."""
        if not isinstance(self.of, str):
            return self.of
        module, _, name = self.of.partition(":")
        found: type[Any] = getattr(import_module(module), name)
        return found

    def _decode(self, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            raise wrong_type(path or "the policy", value, "a table")
        row = self.row
        known = keys_of(row)
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in known:
                raise _unknown(f"{prefix}{_plain(name)}", name, known, prefix)
        for name in self.required:
            if name not in value:
                raise PolicyError(
                    "policy.missing", f"The policy does not say {prefix}{name}.", path=f"{prefix}{name}"
                )
        return row(
            **{name: known[name].kind.decode(entry, f"{prefix}{name}") for name, entry in value.items()}
        )

    def __str__(self) -> str:
        return f"table of {', '.join(keys_of(self.row))}"

    def _schema(self) -> dict[str, Any]:
        properties = {
            name: {"description": key.doc, **key.kind.schema()} for name, key in keys_of(self.row).items()
        }
        found: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
        if self.required:
            found["required"] = list(self.required)
        return found


def _unknown(path: str, name: str, known: Iterable[str], prefix: str) -> PolicyError:
    hint = nearest(name, known)
    action = f"Did you mean {prefix}{hint}?" if hint else f"Known here: {', '.join(sorted(known))}."
    return PolicyError("policy.unknown_key", f"{path} is not a key of a policy.", action=action, path=path)


def _plain(name: str) -> str:
    """Return a key as it may stand in a path."""
    return ascii(name)[1:-1][:_SHOWN] or '""'


def either(words: tuple[str, ...]) -> str:
    """Return words in quotes as a choice: ``"a", "b" or "c"``."""
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
