"""The published reference of policy files, made from the same table as the loader.

``python -m assay.appraisal.reference docs/reference`` writes the schema and the page; a test compares them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.appraisal.document import DOCUMENT
from assay.appraisal.fields import Choice, ListOf, Table, keys_of
from assay.appraisal.schema import json_schema_text
from assay.appraisal.vocabulary import ADMISSIBLE, PLATFORMS, WEAKNESSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.appraisal.fields import Kind

_HEAD: Final = """\
# Policy files

A policy is a TOML file of at most 1 MiB. Every key adds a requirement; the one line that lets anything pass
is `accept`. Unknown keys, wrong types and contradictions are refused by path. This page and the
[JSON Schema](policy.schema.json) are made from the loader's own table.

`version` and `platforms` must be there. Without any other key a policy demands real hardware of one of the
platforms, up to date in every component, not in debug mode and without any weakness of the last table.

"""


def reference_page() -> str:
    """Return the page, as Markdown."""
    parts = [_HEAD, *_table("", "Top level", DOCUMENT), *_weaknesses()]
    return "".join(parts)


def _table(prefix: str, title: str, table: Table) -> Iterator[str]:
    yield f"## {title}\n\n| key | value | meaning |\n|---|---|---|\n"
    nested = []
    for name, key in keys_of(table.row).items():
        if isinstance(key.kind, Table):
            nested.append((f"{prefix}{name}", key.kind))
            continue
        yield f"| `{name}` | {_values(key.kind)} | {key.doc} |\n"
    yield "\n"
    for path, inner in nested:
        yield from _table(f"{path}.", f"`[{path}]`", inner)


def _values(kind: Kind) -> str:
    if isinstance(kind, ListOf) and isinstance(kind.item, Choice) and kind.item.words == ADMISSIBLE:
        return "list of: words of [Weaknesses](#weaknesses)"
    return str(kind)


def _weaknesses() -> Iterator[str]:
    yield "## Weaknesses\n\nThe vocabulary of `accept`. Each is refused unless the policy names it;"
    yield " a result that admits one says so.\n\n| word | platforms | meaning |\n|---|---|---|\n"
    for weakness in WEAKNESSES.values():
        where = "all" if weakness.platforms == PLATFORMS else ", ".join(weakness.platforms)
        word = f"`{weakness.word}`" + (f" (in `{weakness.key}`)" if weakness.key != "accept" else "")
        yield f"| {word} | {where} | {weakness.meaning} |\n"
    yield "\n`Revoked` and `NotSupported` (no TCB level matches) have no word: no policy can admit them.\n"


def write(target: Path) -> None:
    """Write the page and the schema into a directory."""
    (target / "policy.md").write_text(reference_page(), encoding="utf-8")
    (target / "policy.schema.json").write_text(json_schema_text(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
