"""Completion scripts for three shells, and what they complete."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from assay.cli import main as entry


@pytest.mark.parametrize(
    ("shell", "expected"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_the_script_of_each_shell(shell, expected, capsys):
    assert entry.main(["completion", shell]) == 0
    assert expected in capsys.readouterr().out


def test_an_unknown_shell_is_wrong_usage(capsys):
    assert entry.main(["completion", "csh"]) == 2
    assert "csh" in capsys.readouterr().err


def _complete(words, position):
    script = "import sys; sys.argv[0] = 'assay'; from assay.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {"_ASSAY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)},
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_verbs_are_completed():
    assert _complete("assay do", 1) == ["doctor"]
    assert _complete("assay ", 1) == entry.root.list_commands(None)


def test_options_of_a_verb_are_completed():
    assert _complete("assay doctor --js", 2) == ["--json"]


def test_options_of_the_program_are_completed():
    assert _complete("assay --ver", 1) == ["--version"]


@pytest.mark.parametrize(
    "words", ["verify --policy", "verify --also", "run --policy", "policy explain", "policy diff"]
)
def test_policies_are_completed_by_name_and_by_file(words):
    position = len(words.split()) + 1
    assert _complete(f"assay {words} ", position) == ["genuine", "strict", "local", ""]
    assert _complete(f"assay {words} prod", position) == ["prod"]  # of which the shell makes files
