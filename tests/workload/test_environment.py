from __future__ import annotations

import pytest

from assay.errors import WorkloadError
from assay.workload.environment import MAX_VALUE_BYTES, REFUSED_NAMES, check_name, check_values


def code_of(call, *arguments):
    with pytest.raises(WorkloadError) as found:
        call(*arguments)
    return found.value.code


@pytest.mark.parametrize(
    "name",
    [
        *sorted(REFUSED_NAMES),
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_", "DYLD_INSERT_LIBRARIES", "RUBYOPT", "PERL5OPT"),
        *("BASH_FUNC_x", "MALLOC_CONF", "GCONV_PATH", "ASSAY_STATE_DIR"),
    ],
)
def test_names_that_choose_code_are_refused(name):
    assert code_of(check_name, name) == "workload.environment.loader"


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A\0", "A\n", "Ä", "A" * 129, "A*"])
def test_names_that_are_none_are_refused(name):
    assert code_of(check_name, name) == "workload.environment.name"


@pytest.mark.parametrize("name", ["A", "_", "HOME", "TERM", "PYTHONUNBUFFERED", "API_KEY", "LD", "LDX"])
def test_other_names_are_accepted(name):
    check_name(name)


def test_only_named_values_are_accepted():
    check_values(("A", "B"), {"A": b"1"})
    assert code_of(check_values, ("A",), {"B": b"1"}) == "workload.environment.unnamed"
    assert code_of(check_values, ("A",), {"A": b"1\0"}) == "workload.environment.value"
    assert code_of(check_values, ("A",), {"A": b"1" * (MAX_VALUE_BYTES + 1)}) == "workload.environment.value"
    many = {f"A{n}": b"1" * MAX_VALUE_BYTES for n in range(5)}
    assert code_of(check_values, tuple(many), many) == "workload.environment.value"
