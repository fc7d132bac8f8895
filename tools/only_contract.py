"""A contract for import-linter: what a room may import, as a list of what is allowed.

The contracts that come with import-linter forbid by name; a verifier that others must trust needs the
opposite, so that a dependency that nobody thought of is a violation too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from grimp import ImportGraph


class OnlyContract(Contract):
    """``source_modules`` and all below them import only themselves, ``allowed`` and the standard library."""

    type_name = "only"

    source_modules = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - its signature
        """Look at every direct import of every module of the sources."""
        sources = tuple(cast("list[str]", self.source_modules))  # a field gives its value, not itself
        allowed = (*sources, *cast("list[str]", self.allowed), *sys.stdlib_module_names)
        strays = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if _within(importer, sources)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not _within(imported, allowed)
        ]
        return ContractCheck(kept=not strays, metadata={"strays": strays})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each import that is not allowed."""
        for importer, imported in check.metadata["strays"]:
            output.print_error(f"{importer} imports {imported}", bold=False)


def _within(module: str, roots: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)
