"""Names of checks are an interface: dotted, lower case, each of one check, under the name of their format."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest

from assay import evidence
from assay.evidence.ledger import CheckSpec

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", re.ASCII)
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(evidence.__path__, f"{evidence.__name__}.")
    if found.name.endswith(".checks")
)


def specs(module: str) -> list[CheckSpec]:
    found: list[CheckSpec] = []
    for value in vars(import_module(module)).values():
        items = value if isinstance(value, tuple) else (value,)
        found += [item for item in items if isinstance(item, CheckSpec)]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_names(module):
    found = specs(module)
    assert found
    names = {spec.id: spec for spec in found}
    for spec in found:
        assert NAME.fullmatch(spec.id), spec.id
        assert names[spec.id] is spec, spec.id


def test_no_two_formats_share_a_name():
    owners: dict[str, CheckSpec] = {}
    for module in MODULES:
        for spec in specs(module):
            assert owners.setdefault(spec.id, spec) is spec, spec.id
