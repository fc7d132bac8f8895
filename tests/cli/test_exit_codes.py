"""Each way in which a verb can end has its number, its sentence, and its row in the documentation."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from assay.cli import exit_codes
from assay.cli import main as entry
from assay.errors import AssayError, EvidenceError, PolicyError, SettingsError, UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ends_with(monkeypatch):
    """Make ``assay probe`` do one thing, and return how the program ends."""

    def install(action):
        @click.command()
        @click.option("--json", "as_json", is_flag=True)
        @click.argument("words", nargs=-1)
        def probe(as_json, words):
            return action()

        monkeypatch.setattr(entry.VerbGroup, "get_command", lambda self, ctx, name: probe)
        return lambda *words: entry.main(["probe", *words])

    return install


def _raise(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AssayError("a.b", "It failed."), exit_codes.REFUSED),
        (EvidenceError("a.b", "It failed."), exit_codes.REFUSED),
        (UsageError("a.b", "It failed."), exit_codes.USAGE),
        (SettingsError("a.b", "It failed."), exit_codes.USAGE),
        (PolicyError("a.b", "It failed."), exit_codes.USAGE),
        (click.UsageError("It failed."), exit_codes.USAGE),
        (KeyboardInterrupt(), exit_codes.INTERRUPTED),
        (ZeroDivisionError("division"), exit_codes.INTERNAL),
    ],
)
def test_an_error_gives_the_code_of_its_family(ends_with, error, code):
    assert ends_with(_raise(error))() == code


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3), (124, 124)])
def test_a_verb_gives_its_own_code(ends_with, returned, code):
    assert ends_with(lambda: returned)() == code


def test_an_error_says_what_failed_why_and_what_to_do(ends_with, capsys):
    error = AssayError("room.thing", "The thing is \x1b[31mred\u202e.", action="Paint it.")
    assert ends_with(_raise(error))() == 1
    assert capsys.readouterr() == (
        "",
        "error: The thing is \\x1b[31mred\\u202e. [room.thing]\ndo: Paint it.\n",
    )


def test_an_error_is_json_where_json_was_asked_for(ends_with, capsys):
    run = ends_with(_raise(AssayError("room.thing", "No.", action="Wait.", limit=3)))
    run("--json")
    wanted = {"code": "room.thing", "message": "No.", "action": "Wait.", "detail": {"limit": 3}}
    assert json.loads(capsys.readouterr().out) == {"schema": "assay/error/v1", "error": wanted}
    run("--", "--json")
    assert capsys.readouterr().out == ""


def test_a_defect_is_one_sentence_and_a_traceback_on_request(ends_with, capsys, monkeypatch):
    run = ends_with(_raise(RuntimeError("odd\x07")))
    monkeypatch.delenv("ASSAY_DEBUG", raising=False)
    run()
    shown = capsys.readouterr().err
    assert "RuntimeError: odd\\x07 [cli.internal]" in shown
    assert "ASSAY_DEBUG=1" in shown
    assert "Traceback" not in shown
    monkeypatch.setenv("ASSAY_DEBUG", "1")
    run()
    assert "Traceback" in capsys.readouterr().err


def unread(argv):
    """Return exit code and stderr of a process whose standard output nobody reads, from the beginning on."""
    near, far = os.pipe()
    os.close(near)
    try:
        done = subprocess.run(argv, stdout=far, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(far)
    return done.returncode, done.stderr


def test_a_reader_that_goes_away_is_no_defect():
    program = (
        "import sys, click; from assay.cli import main, output\n"
        "def write(): [output.emit('x' * 9999) for _ in range(200)]\n"
        "probe = click.Command('probe', callback=write)\n"
        "main.VerbGroup.get_command = lambda self, ctx, name: probe\n"
        "sys.exit(main.main(['probe']))"
    )
    code, said = unread([sys.executable, "-c", program])
    assert code == exit_codes.BROKEN_PIPE == 128 + signal.SIGPIPE
    assert said == ""


def test_an_unknown_verb_is_wrong_usage():
    done = subprocess.run(
        [sys.executable, "-m", "assay", "frobnicate"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == exit_codes.USAGE
    assert "frobnicate" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "message", "about"),
    [
        (["frobnicate"], "No such command 'frobnicate'.", "assay"),
        (["verify", "--frobnicate"], "No such option '--frobnicate'.", "assay verify"),
        (
            ["measure", "tdx", "--firmware", "."],
            "Invalid value for '--firmware': File '.' is a directory.",
            "assay measure tdx",
        ),
        (
            ["measure", "gcp", "x", "--root", "y"],
            "Missing option '--platform'. Choose from: snp, tdx",
            "assay measure gcp",
        ),
    ],
)
def test_words_that_are_none_are_an_error_like_any_other(capsys, words, message, about):
    """cli.usage"""
    assert entry.main([*words, "--json"]) == exit_codes.USAGE
    out, err = capsys.readouterr()
    shown = json.loads(out)
    wanted = {"code": "cli.usage", "message": message, "action": f"Type {about} --help."}
    assert shown == {"schema": "assay/error/v1", "error": wanted}
    usage, *told = err.splitlines()
    assert usage.startswith(f"Usage: {about} ")
    assert told == [f"error: {message} [cli.usage]", f"do: Type {about} --help."]


# --- Streams that take nothing


def ended(*words: str, stdout: str = "/dev/null", stderr: str = "") -> tuple[int, str]:
    """Return exit code and stderr of a process of its own, with its streams in these files."""
    with Path(stdout).open("w") as out, Path(stderr or os.devnull).open("w") as err:
        done = subprocess.run(
            [sys.executable, "-m", "assay", *words],
            stdout=out,
            stderr=err if stderr else subprocess.PIPE,
            text=True,
            check=False,
        )
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--help"),
        ("policy", "explain", "genuine"),
        ("frobnicate", "--json"),
        ("verify", "absent", "--json"),
    ],
    ids=" ".join,
)
def test_an_answer_that_cannot_be_written_is_no_verdict_and_no_defect(words):
    """cli.output.unwritable: 0 and 1 would say what the evidence is, or how two files compare."""
    code, said = ended(*words, stdout="/dev/full")
    assert code == exit_codes.USAGE
    assert "[cli.output.unwritable]" in said
    assert "No space left on device" in said
    assert "Traceback" not in said


def test_an_error_that_nobody_can_read_keeps_its_exit_code(tmp_path):
    assert ended("verify", "absent", "--report-data", "unchecked", stderr="/dev/full")[0] == exit_codes.USAGE
    out = tmp_path / "out"
    assert (
        ended("verify", "--frobnicate", "--json", stdout=str(out), stderr="/dev/full")[0] == exit_codes.USAGE
    )
    assert json.loads(out.read_text())["error"]["code"] == "cli.usage"


def test_an_error_in_json_whose_reader_went_away_is_no_traceback():
    code, said = unread([sys.executable, "-m", "assay", "frobnicate", "--json"])
    assert code == exit_codes.BROKEN_PIPE
    assert said.splitlines()[1:] == [
        "error: No such command 'frobnicate'. [cli.usage]",
        "do: Type assay --help.",
    ]


def test_a_name_that_the_output_cannot_spell_is_shown_all_the_same(tmp_path):
    policy = tmp_path / "日.toml"
    policy.write_text('version = 1\nplatforms = ["tdx"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "assay", "policy", "explain", str(policy)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (exit_codes.OK, b"")
    assert rb"\u65e5.toml" in done.stdout


def test_a_defect_is_json_where_json_was_asked_for(ends_with, capsys):
    ends_with(_raise(RuntimeError("odd")))("--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["error"] == {"code": "cli.internal", "message": "Assay itself failed: RuntimeError: odd"}
    # A file that fails under the program is not taken for a standard output that does.
    assert ends_with(_raise(OSError(5, "odd")))() == exit_codes.INTERNAL


def test_the_table_has_no_number_twice_for_one_verb():
    shown = [(row.verb, row.text) for row in exit_codes.TABLE]
    assert len(set(shown)) == len(shown)


def test_the_documented_table_is_the_table():
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    documented = re.findall(r"^\| `(.+?)` \| `(.+?)` \| (.+) \|$", page, re.MULTILINE)
    assert documented == [(row.verb, row.text, row.meaning) for row in exit_codes.TABLE]


@pytest.mark.parametrize(("disposition", "code"), [(signal.SIG_DFL, -signal.SIGINT), (signal.SIG_IGN, 0)])
def test_an_interrupt_while_the_command_line_is_imported_leaves_no_trace(tmp_path, disposition, code):
    """The library that it begins with is replaced by one that is interrupted, and then goes on."""
    (tmp_path / "click.py").write_text(
        "import os, signal, sys\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')\nos._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "assay", "--version"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))},
        preexec_fn=lambda: signal.signal(signal.SIGINT, disposition),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, b"")
