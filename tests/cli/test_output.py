"""Nothing that a peer wrote reaches a terminal as it came."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cli import output


@given(st.text())
def test_escaped_text_is_printable_and_on_one_line(text):
    shown = output.escape(text)
    assert shown.isprintable()
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü", "plain ü"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\rc", "a\\x0ab\\x0dc"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0041tag", "\\U000e0041tag"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_escape(text, shown):
    assert output.escape(text) == shown


def test_escape_is_bounded_and_says_so():
    assert output.escape("x" * 30, limit=10) == "x" * 10 + "... (20 characters more)"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_only_where_they_are_wanted(stream, environ, expected):
    assert output.coloured(stream, environ) is expected


def test_style_colours_a_terminal_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.style("no", "bad", Terminal()) == "\x1b[31;1mno\x1b[0m"
    assert output.style("no", "bad", io.StringIO()) == "no"


def test_streams_are_kept_apart(capsys):
    output.progress("working")
    output.emit("answer")
    output.emit_json("assay/test/v1", {"name": "\u202ex"})
    shown = capsys.readouterr()
    assert shown.err == "working\n"
    assert shown.out.startswith("answer\n")
    assert "\u202e" not in shown.out
    assert json.loads(shown.out.removeprefix("answer\n")) == {
        "schema": "assay/test/v1",
        "name": "\u202ex",
    }


def test_a_table_is_aligned_and_escaped():
    shown = output.table(("id", "state"), [("a\x1b", "on"), ("bbbbbbb", "off")])
    assert shown.splitlines() == ["id       state", "a\\x1b    on", "bbbbbbb  off"]
