"""Claims as a person reads them: nothing of a Python literal, nothing that floods, nothing that commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cli.claim_lines import MOST_CHARACTERS, MOST_ROWS, claim_lines

DIGEST = "a1" * 32
WIDE = "b2" * 48


def shown(**claims):
    return list(claim_lines(claims, 80))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (False, "no"),
        (None, "none"),
        (7, "7"),
        ("", "empty"),
        ([], "none"),
        ({}, "none"),
        ("00" * 16, "zero (16 bytes)"),
        ("00" * 8, "00" * 8),
        ("2026-11-21T16:10:47+00:00", "2026-11-21 16:10:47 UTC"),
        ("2026-11-21T16:10:47.123456Z", "2026-11-21 16:10:47 UTC"),
        (list(range(24)), "0 to 23"),
        ([1, 3], "1, 3"),
        (["a", "b"], "a, b"),
        ({"smt": True, "debug": False, "raw": 37, "csp": None}, "smt; raw 37; not debug"),
        ([{"at": 1}] * 5, "5 entries, which --json shows"),
        ("\x1b[2J\n", "\\x1b[2J\\x0a"),
    ],
)
def test_a_value_in_words(value, text):
    assert shown(name=value) == [f"  name  {text}"]


def test_nested_claims_have_dotted_names():
    assert shown(td={"tcb": {"status": "UpToDate", "id": DIGEST}, "debug": False}) == [
        "  td.tcb.status  UpToDate",
        "  td.tcb.id",
        f"    {DIGEST}",
        "  td.debug       no",
    ]
    assert shown(devices=[{"nonce": DIGEST}]) == ["  devices[0].nonce", f"    {DIGEST}"]
    assert shown(found=[["DIGEST", DIGEST]]) == ["  found[0]  DIGEST,", f"            {DIGEST}"]


def test_registers_that_agree_share_a_row():
    registers = {str(index): ("00" * 32 if index != 2 else DIGEST) for index in range(5)}
    assert shown(pcrs=registers) == [
        "  pcr0-1  zero (32 bytes)",
        f"  pcr2    {DIGEST}",
        "  pcr3-4  zero (32 bytes)",
    ]
    assert shown(pcrs={"9" * 5000: DIGEST})[0].startswith("  pcrs.999")
    assert [line.split()[0] for line in shown(rtmrs=[WIDE, "00" * 48])] == ["rtmr0", WIDE[48:], "rtmr1"]


def test_what_is_long_is_bounded_and_counted():
    (head, *rest) = shown(text="word " * 1000)
    assert len(rest) < 10
    assert all(len(line) <= 80 for line in (head, *rest))
    assert "characters more" in rest[-1]
    found = shown(**{f"claim{index}": index for index in range(MOST_ROWS + 7)})
    assert len(found) == MOST_ROWS + 1
    assert found[-1] == "  7 claims more, which --json shows"
    many = shown(names=["name"] * 1000)
    assert sum(map(len, many)) < 2 * MOST_CHARACTERS
    assert " ".join(" ".join(many).split()).endswith("... and more, which --json shows")


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.just(DIGEST)
CLAIMS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=12), inner, max_size=6),
    max_leaves=30,
)


@given(st.dictionaries(st.text(max_size=40), CLAIMS, max_size=6), st.integers(60, 100))
def test_whatever_a_peer_claims_becomes_bounded_printable_lines(claims, columns):
    found = list(claim_lines(claims, columns))
    assert all(line.isprintable() for line in found)
    assert all(line.startswith("  ") for line in found)
    assert len(found) < 40 * MOST_ROWS
