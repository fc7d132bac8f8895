"""The generated page of checks shows the tests that name a check, and no others."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "generated_reference", Path(__file__).resolve().parent.parent / "tools" / "reference.py"
)
reference = sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)

PROGRAM = """
import pytest

from assay.evidence.nvidia import checks
from assay.evidence.google_vm import checks as google
from assay.reference.rim.checks import CHAIN_VALIDITY as EXPIRY

TABLE = {"a": "dcap.binding"}
UNUSED = "snp.binding"


def helper():
    return TABLE


@proves(checks.CHAIN_VALIDITY)
def registered():
    pass


registers(checks.CHAIN_ROLE, "name")

for name in TABLE:
    proves(google.QUOTE.nonce)(name)


def test_constant():
    assert EXPIRY


def test_helper():
    helper()


@pytest.mark.parametrize("code", ["nitro.chain.roles"])
def test_text(code):
    pass
"""


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "test_it.py"
    path.write_text(PROGRAM)
    return reference.named(path)


def test_a_constant_is_that_of_the_module_which_the_test_imports(words):
    assert words["registered"] == {"nvidia.chain.validity"}
    assert words["test_constant"] == {"rim.chain.validity"}


def test_what_a_test_reaches_in_its_file_is_named_by_it(words):
    assert words["test_helper"] == {"dcap.binding"}
    assert words["test_text"] == {"nitro.chain.roles"}


def test_what_registers_inputs_outside_of_functions_counts_as_a_test(words):
    assert words["TABLE"] == {"google_vm.quote.nonce"}
    assert words["registers"] == {"nvidia.chain.role"}
    assert set(words) == {"registered", "registers", "TABLE", "test_constant", "test_helper", "test_text"}
