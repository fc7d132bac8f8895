"""Whatever an issuer writes into a token: its draft says just that and accepts it, or is refused by name."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.appraisal import Policy, appraise
from assay.appraisal.draft import draft
from assay.appraisal.drafted import quoted
from assay.appraisal.rules.subject import Context
from assay.errors import EvidenceError, PolicyError
from assay.evidence.jose import JwksEndorsements
from support import token_scenes as tokens

OWN = Context(
    installation_roots=frozenset(root.anchor.fingerprint for root in tokens.roots().of(tokens.VENDOR))
)
WILD = (
    'a"b',
    "it's",
    'it\'s "both"',
    "a\\b",
    "a\\",
    "\\u0041",
    "a\nb = 1",
    '"]\naccept = ["debug"]\n#',
    "\x00",
    "\x7f",
    "\x1b[31m",
    "tab\there",
    "ä",
    "\u2028",
    "\U0001f600",
    "",
    " ",
    "a.b.c",
    "123",
    "1e5",
    "true",
    "'''",
    '"""',
    "#",
    "reference",
    "x" * 64,
    "x" * 4096,
)
TEXTS = st.one_of(st.sampled_from(WILD), st.text(max_size=80), st.text("\"'\\#=[]., ab1\n", max_size=12))


def _claims(*path: str) -> Any:
    """Return what puts a text at a place in the claims."""

    def put(scene: tokens.Scene, text: Any) -> None:
        found: Any = scene.draft.claims
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = text

    return put


def _audience(scene: tokens.Scene, text: str) -> None:
    scene.draft.claims["aud"] = scene.audience = text


def _issuer(scene: tokens.Scene, text: str) -> None:
    scene.draft.claims["iss"] = text
    scene.endorsements = JwksEndorsements(scene.endorsements.jwks, text)


def _accounts(scene: tokens.Scene, text: str) -> None:
    scene.draft.claims["google_service_accounts"] = ["a@example", text, text]


PLACES: dict[str, tuple[str, str, Any]] = {
    "confidential_space.audiences": ("confidential-space", "", _audience),
    "confidential_space.hardware": ("confidential-space", "", _claims("hwmodel")),
    "confidential_space.project_ids": (
        "confidential-space",
        "pki",
        _claims("submods", "gce", "project_id"),
    ),
    "confidential_space.service_accounts": ("confidential-space", "pki", _accounts),
    "confidential_space.image_digests": (
        "confidential-space",
        "",
        _claims("submods", "container", "image_digest"),
    ),
    "maa.issuers": ("maa", "", _issuer),
    "maa.policy_hashes": ("maa", "", _claims("x-ms-policy-hash")),
    "maa.measurement": ("maa", "", _claims("x-ms-isolation-tee", "x-ms-sevsnpvm-launchmeasurement")),
    "trust_authority.issuers": ("trust-authority", "", _issuer),
    "trust_authority.mrtd": ("trust-authority", "", _claims("tdx_mrtd")),
    "trust_authority.rtmr2": ("trust-authority", "", _claims("tdx_rtmr2")),
    "nvidia.drivers": ("nras", "device", _claims("x-nvidia-gpu-driver-version")),
    "nvidia.firmware": ("nras", "device", _claims("x-nvidia-gpu-vbios-version")),
}


REFUSALS = {
    "evidence.claims.unauthenticated": "no evidence",
    "policy.draft.unwritable": "unwritable",
    "policy.draft.inadmissible": "inadmissible",
}


def drafted(scene: tokens.Scene) -> tuple[str, Any]:
    """Return the draft of what a scene issues, and the evidence as its verifier saw it."""
    found = scene.finish()
    text = draft(found, name="d", source="x", now=tokens.NOW, context=OWN, workload_log=None)
    return text, found


def outcome(place: str, value: Any) -> str:
    """Issue, draft, load and appraise anew; return what came of it, and demand that it is as it should be."""
    service, kind, put = PLACES[place]
    scene = tokens.scene(service, kind)
    put(scene, value)
    refusal: EvidenceError | PolicyError
    try:
        text, found = drafted(scene)
    except (EvidenceError, PolicyError) as error:
        refusal = error
    else:
        return _judged(place, value, text, found)
    if refusal.code == "policy.draft.unwritable":
        assert str(refusal.detail["path"]).partition("[")[0] == place
        assert place in refusal.message
        assert refusal.message.isascii()
        assert refusal.message.isprintable()
    return REFUSALS[refusal.code]


def _judged(place: str, value: Any, text: str, found: Any) -> str:
    assert text.isascii()
    by = Policy.load(text.encode(), name="draft")
    result = appraise(found, by, now=tokens.NOW, references={}, context=OWN, workload_log=None)
    assert result.accepted, [check.code for check in result.ledger.failed()]
    table, _, key = place.partition(".")
    stated = tomllib.loads(text)[table].get(key)
    return "left out" if stated is None else "stated" if value in stated else "stated, not read"


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=15)
@given(text=TEXTS)
def test_a_draft_accepts_what_it_was_written_from_or_is_refused_by_name(place, text):
    found = outcome(place, text)
    assert found != "stated, not read" or place == "maa.measurement"


TEXT_PLACES = (
    "confidential_space.audiences",
    "confidential_space.project_ids",
    "confidential_space.service_accounts",
    "maa.issuers",
    "maa.policy_hashes",
    "trust_authority.issuers",
    "nvidia.drivers",
    "nvidia.firmware",
)


@pytest.mark.parametrize("place", TEXT_PLACES)
@pytest.mark.parametrize(
    "text", ['a"b', 'it\'s "both"', "a\\b", "a\\", "\\u0041", "'''", '"""', "#", "1e5", " "]
)
def test_what_is_printable_is_stated_as_it_is(place, text):
    assert outcome(place, text) == "stated"


@pytest.mark.parametrize("place", TEXT_PLACES)
@pytest.mark.parametrize("text", ["a\nb = 1", "\x00", "\x7f", "ä", "\U0001f600", "x" * 512])
def test_what_no_policy_can_state_is_refused_by_its_key(place, text):
    # No token of more than 512 characters of audience is authentic, and so many a policy can state.
    long = place == "confidential_space.audiences" and len(text) == 512
    assert outcome(place, text) == ("stated" if long else "unwritable")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("confidential_space.project_ids", ""),
        ("maa.policy_hashes", ""),
    ],
)
def test_what_the_token_leaves_open_is_left_out(place, value):
    assert outcome(place, value) == "left out"


def test_an_account_without_a_name_among_others_is_not_passed_over():
    assert outcome("confidential_space.service_accounts", "") == "unwritable"


@pytest.mark.parametrize("size", [1, 47, 49])
def test_a_register_of_another_size_is_refused_by_its_key(size):
    assert outcome("trust_authority.mrtd", "6f" * size) == "unwritable"


@given(TEXTS)
@example("".join(map(chr, range(256))))
def test_a_quoted_text_is_read_as_it_was(text):
    if any("\ud800" <= each <= "\udfff" for each in text):
        return
    assert tomllib.loads(f"x = {quoted(text)}") == {"x": text}
    assert quoted(text).isascii()
    assert quoted(text).isprintable()
