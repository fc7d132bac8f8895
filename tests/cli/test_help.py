"""The list of verbs: complete, in order, and cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assay.cli import main as entry

HEAVY = ("cryptography", "cbor2", "rich", "sqlite3", "ssl", "asyncio", "assay.evidence", "assay.leases")


def test_every_verb_of_the_table_is_a_command_with_help():
    for name in entry.root.list_commands(None):
        command = entry.root.get_command(None, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(limit=200)


@pytest.mark.parametrize("name", [verb.name for verb in entry.VERBS])
def test_the_help_of_a_group_says_what_each_verb_does_in_a_whole_sentence(capsys, name):
    assert entry.main([name, "--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_the_list_of_verbs_follows_the_table(capsys):
    assert entry.main(["--help"]) == 0
    shown = capsys.readouterr().out
    listed = [
        line.split()[0]
        for line in shown[shown.index("Verbs:") :].splitlines()[1:]
        if line[:3] == "  " + line[2:3].strip()
    ]
    built = [verb.name for verb in entry.VERBS if verb.name in entry.root.list_commands(None)]
    assert [name for name in listed if name in built] == built


def test_a_verb_without_a_module_is_neither_listed_nor_found(monkeypatch, capsys):
    monkeypatch.setattr(entry, "VERBS", (*entry.VERBS, entry.Verb("later", "assay.cli.later:later", "No.")))
    assert entry.main(["--help"]) == 0
    assert "later" not in capsys.readouterr().out
    assert entry.main(["later"]) == 2


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["doctor", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys; from assay.cli.main import main; code = main(sys.argv[1:]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[] 0"


def test_python_dash_m_is_the_same_program():
    done = subprocess.run(
        [sys.executable, "-m", "assay", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("assay ")
