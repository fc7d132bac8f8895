"""A result as a terminal sees it: whatever a peer wrote, names as well as values, is shown and not obeyed."""

from __future__ import annotations

import json
import shlex
import tracemalloc
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.appraisal import Policy
from assay.cli.main import main
from assay.cli.missing import missing_endorsement
from assay.cli.showing import lines
from assay.evidence.roots import Roots
from assay.evidence.verification import Need, Unchecked
from assay.verification import verify

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def part(members: dict[str, object]) -> bytes:
    return urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=")


def shown(claims: dict[str, object]) -> list[str]:
    """Return what is shown of a token that nobody signed."""
    token = part({"alg": "RS256", "kid": "k"}) + b"." + part({"x-ms-ver": "1.0"} | claims) + b".AAAA"
    result = verify(
        token,
        policy=Policy.load(b'version = 1\nplatforms = ["maa"]', name="test"),
        binding=Unchecked("test"),
        roots=Roots.vendor(),
        now=NOW,
        platform="maa",
    )
    return list(lines(result, title="token", missing=(), as_of=False))


def test_the_name_of_a_claim_cannot_command_a_terminal() -> None:
    text = "\n".join(shown({"\x1b]0;title\x07\x1b[2J\nVerdict: accepted\u202e": "value"}))
    assert "\\x1b]0;title\\x07\\x1b[2J\\x0aVerdict: accepted\\u202e" in text
    assert "value" in text
    assert all(line.isprintable() for line in text.split("\n"))
    assert not any(line.startswith("Verdict: accepted") for line in text.split("\n"))


def test_the_name_of_a_claim_cannot_flood_a_terminal() -> None:
    found = shown({"n" * 30_000: "value"} | {f"other{index}": index for index in range(100)})
    assert max(map(len, found)) < 400
    assert any(line.startswith("  claims.nnn") and "characters more" in line for line in found)


def test_deeply_nested_claims_are_not_followed() -> None:
    deep: object = "value"
    for _ in range(400):
        deep = [deep]
    assert "Verdict: refused" in shown({"deep": deep})


@pytest.mark.parametrize(
    "claim", [{"9" * 5000: "v"}, {"1": {}, "01": "v"}, {"\u0661": [], "1": 1}, {"": {"": ""}}, {"0": [[]]}]
)
def test_odd_names_are_shown_and_not_counted_on(claim: dict[str, object]) -> None:
    found = shown({"claim": claim})
    assert "Verdict: refused" in found
    assert max(map(len, found)) < 400


@pytest.mark.parametrize("last", [3, 10**7, 2**40, 10**30])
def test_numbers_of_a_peer_are_not_counted_to(last: int) -> None:
    tracemalloc.start()
    try:
        text = "\n".join(shown({"claim": [0, 1, last], "run": [1, 2, 3, 4]}))
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert f"0, 1, {last}" in text
    assert "1 to 4" in text


def test_published_keys_are_shown_as_what_they_are(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))
    assert main(["simulate", "nras", "--out", str(tmp_path / "made"), "--throw-away"]) == 0
    command = shlex.split(capsys.readouterr().out)[1:]
    policy = tmp_path / "made" / "policy.toml"
    text = policy.read_text().replace('simulated = "only"\n', "")
    policy.write_text(text.replace('["simulated"]', '["published-keys"]'))
    assert main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "no root: a token under keys that its issuer publishes" in out
    assert "Verdict: accepted (under published keys)" in out
    assert "simulated hardware" not in out
    for heading in ("Token", "Tokens of the devices", "Binding"):
        assert f"{heading} ok nras." in out


@pytest.mark.parametrize(
    ("selected", "whole_chains", "shown_as"),
    [
        (3, 0, " (serial 0; serial 1; serial 2)"),
        (5, 0, " (serial 0; serial 1; serial 2; 2 more)"),
        (2, 2, " (serial 0; serial 1; 2 more)"),
        (4, 2, " (serial 0; serial 1; serial 2; 3 more)"),
        (0, 2, ""),
    ],
)
def test_what_is_missing_is_counted_whether_or_not_it_is_shown(selected, whole_chains, shown_as):
    needs = [Need("ocsp", {"serial": str(at)}, "r") for at in range(selected)]
    needs += [Need("ocsp", {"chain": f"{at}" + "0" * 300}, "r") for at in range(whole_chains)]
    assert (
        missing_endorsement(needs, "", Path("evidence"), as_of=False).what
        == f"answer about a certificate's status{shown_as}"
    )
