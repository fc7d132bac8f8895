"""What the pages show works as they show it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay.appraisal.reading import read
from assay.appraisal.vocabulary import WEAKNESSES
from assay.cli.policy import policy as policy_verb
from assay.cli.verify import verify as verify_verb

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    DOCS / "how-to/verify-a-quote.md",
    DOCS / "how-to/verify-a-dstack-guest.md",
    DOCS / "how-to/write-a-policy.md",
    DOCS / "how-to/verify-a-tpm.md",
    DOCS / "explanation/results.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_policies_on_the_pages_are_policies(page: Path) -> None:
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        assert read(text.encode())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_on_the_pages_exist(page: Path) -> None:
    known = {option for parameter in verify_verb.params for option in parameter.opts}
    for command in policy_verb.commands.values():
        known |= {option for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text()))
    assert named <= known


def test_words_of_accept_on_the_pages_exist() -> None:
    for page in PAGES:
        for listed in re.findall(r"accept = \[([^\]]*)\]", page.read_text()):
            assert set(re.findall(r'"([^"]+)"', listed)) <= set(WEAKNESSES)
