"""What a Confidential Space token says, claim by claim, and how much it may say at most."""

from __future__ import annotations

from datetime import timedelta

import pytest

from assay.evidence.confidential_space.claims import (
    ConfidentialSpaceClaims,
    ContainerClaims,
    GceClaims,
    ImageSignature,
)
from assay.evidence.jose.base64url import encode
from assay.evidence.verification import Expected
from assay.simulator.tokens.signing import compact
from support.token_scenes import AUDIENCE, NONCE, NOW, assert_refused, scene

CLAIMS = "confidential_space.token.claims.jose.claims"
ITEMS = 1024
DIGEST = "sha256:" + "1a" * 32


def judged(changes, **given):
    """Verify a token with some of its claims replaced; None leaves one out."""
    stage = scene("confidential-space", **given)
    merged = stage.draft.claims | changes
    stage.draft.claims = {name: value for name, value in merged.items() if value is not None}
    return stage.finish()


def submods(**changes):
    """Return the modules of a token, with some of their members replaced."""
    found = scene("confidential-space").draft.claims["submods"]
    return {"submods": {name: found.get(name, {}) | changes.get(name, {}) for name in found | changes}}


def test_every_claim_stands_where_its_name_says():
    at = int(NOW.timestamp())
    stated = {
        "iat": at - 9,
        "nbf": at - 7,
        "exp": at + 5,
        "sub": "a machine",
        "eat_profile": "a profile",
        "secboot": False,
        "hwmodel": "a machine's model",
        "swversion": ["1", "2"],
        "attester_tcb": ["INTEL", "AMD"],
        "dbgstat": "disabled-since-boot",
        "tdx": {"gcp_attester_tcb_status": "a status", "gcp_attester_tcb_date": "a date"},
        "google_service_accounts": ["a@example", "b@example"],
        "submods": {
            "confidential_space": {
                "support_attributes": ["STABLE", "USABLE"],
                "monitoring_enabled": {"memory": True, "other": False},
            },
            "container": {
                "image_reference": "a reference",
                "image_digest": DIGEST,
                "image_id": "an id",
                "restart_policy": "a policy",
                "args": ["an", "argument"],
                "env": {"NAME": "value"},
                "cmd_override": ["another", "command"],
                "env_override": {"OTHER": "own"},
                "image_signatures": [
                    {"key_id": "a key", "signature": "x", "signature_algorithm": "an algorithm"},
                    {"key_id": "b key", "signature": "y", "signature_algorithm": "b algorithm"},
                ],
            },
            "gce": {
                "zone": "a zone",
                "project_id": "a project",
                "project_number": "7",
                "instance_name": "a name",
                "instance_id": "8",
            },
            "nvidia_gpu": {"cc_mode": "a mode", "more": 1},
        },
    }
    stage = scene("confidential-space")
    whole = stage.draft.claims | stated
    found = judged(stated).claims
    assert found == ConfidentialSpaceClaims(
        kind="oidc",
        issuer="https://confidentialcomputing.googleapis.com",
        audience=AUDIENCE,
        subject="a machine",
        issued_at=NOW - timedelta(seconds=9),
        not_before=NOW - timedelta(seconds=7),
        expires_at=NOW + timedelta(seconds=5),
        nonces=(NONCE.decode(),),
        bound_nonce=0,
        debug_status="disabled-since-boot",
        debug=False,
        software_name="CONFIDENTIAL_SPACE",
        software_version=("1", "2"),
        hardware="a machine's model",
        secure_boot=False,
        oem=11129,
        attester_tcb=("INTEL", "AMD"),
        profile="a profile",
        support_attributes=("STABLE", "USABLE"),
        monitoring={"memory": True, "other": False},
        container=ContainerClaims(
            image_reference="a reference",
            image_digest=DIGEST,
            image_id="an id",
            restart_policy="a policy",
            args=("an", "argument"),
            env={"NAME": "value"},
            command_override=("another", "command"),
            env_override={"OTHER": "own"},
            signatures=(ImageSignature("a key", "an algorithm"), ImageSignature("b key", "b algorithm")),
        ),
        gce=GceClaims("a zone", "a project", "7", "a name", "8"),
        gpu={"cc_mode": "a mode", "more": 1},
        gpu_mode="a mode",
        tcb_status="a status",
        tcb_date="a date",
        service_accounts=("a@example", "b@example"),
        token=whole,
        revocation_checked=False,
        named_lists_checked=False,
    )


def test_what_a_token_leaves_out_is_empty_and_never_assumed():
    """The least that a token can say: nothing in the Claims comes from anywhere else."""
    names = ("nbf", "sub", "eat_profile", "secboot", "swversion", "attester_tcb", "tdx")
    least = {"image_reference": "a reference", "image_digest": DIGEST}
    changes = dict.fromkeys((*names, "google_service_accounts"))
    found = judged(changes | {"submods": {"container": least}}).claims
    assert found == ConfidentialSpaceClaims(
        kind="oidc",
        issuer="https://confidentialcomputing.googleapis.com",
        audience=AUDIENCE,
        subject="",
        issued_at=NOW,
        not_before=NOW,
        expires_at=found.expires_at,
        nonces=(NONCE.decode(),),
        bound_nonce=0,
        debug_status="disabled-since-boot",
        debug=False,
        software_name="CONFIDENTIAL_SPACE",
        software_version=(),
        hardware="GCP_INTEL_TDX",
        secure_boot=None,
        oem=11129,
        attester_tcb=(),
        profile="",
        support_attributes=(),
        monitoring={},
        container=ContainerClaims("a reference", DIGEST, "", "", (), {}, (), {}, ()),
        gce=GceClaims("", "", "", "", ""),
        gpu=None,
        gpu_mode="",
        tcb_status="",
        tcb_date="",
        service_accounts=(),
        token=found.token,
        revocation_checked=False,
        named_lists_checked=False,
    )
    assert found.expires_at > NOW
    assert "submods" in found.token


def test_a_token_without_modules_names_no_workload_and_is_refused():
    assert_refused(judged({"submods": None}), CLAIMS)


def filled(base, count, value):
    """Return an object with further members, so that there are so many."""
    return base | {f"member {n}": value for n in range(count - len(base))}


BOUNDED = {
    "submods": lambda found, n: {"submods": filled(found, n, {})},
    "tdx": lambda _, n: {"tdx": filled({}, n, "x")},
    "confidential_space": lambda _, n: submods(confidential_space=filled({}, n - 2, 1)),
    "container": lambda found, n: submods(
        container=filled(found["container"], n, 1),
    ),
    "gce": lambda found, n: submods(gce=filled(found["gce"], n, 1)),
    "nvidia_gpu": lambda _, n: submods(nvidia_gpu=filled({"cc_mode": "ON"}, n, 1)),
    "monitoring_enabled": lambda _, n: submods(
        confidential_space={"monitoring_enabled": filled({}, n, False)}
    ),
    "image_signatures": lambda _, n: submods(
        container={"image_signatures": [{"key_id": "", "signature_algorithm": ""}] * n}
    ),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_how_many_members_a_claim_may_have(name):
    found = scene("confidential-space").draft.claims["submods"]
    assert judged(BOUNDED[name](found, ITEMS)).bound
    assert_refused(judged(BOUNDED[name](found, ITEMS + 1)), CLAIMS)


@pytest.mark.parametrize("value", [1, None, ["text"]])
@pytest.mark.parametrize(
    "path",
    [
        *(("top", name) for name in ("dbgstat", "hwmodel", "eat_profile")),
        *(("tdx", name) for name in ("gcp_attester_tcb_status", "gcp_attester_tcb_date")),
        *(("gce", name) for name in ("zone", "project_id", "project_number", "instance_name", "instance_id")),
        *(("container", name) for name in ("image_reference", "image_digest", "image_id", "restart_policy")),
    ],
    ids=".".join,
)
def test_a_claim_that_is_no_text_is_refused(path, value):
    stage = scene("confidential-space")
    group, name = path
    claims = stage.draft.claims
    place = claims if group == "top" else claims["tdx"] if group == "tdx" else claims["submods"][group]
    place[name] = value
    assert_refused(stage.finish(), CLAIMS)


@pytest.mark.parametrize(
    "changes",
    [
        {"dbgstat": ""},
        {"hwmodel": ""},
        {"tdx": []},
        submods(container={"image_reference": ""}),
        submods(container={"image_digest": ""}),
        submods(container={"image_digest": "sha256:" + "1A" * 32}),
        submods(container={"image_digest": DIGEST[:-1]}),
        submods(container={"image_digest": DIGEST + "\n"}),
        submods(container={"image_digest": "x" + DIGEST}),
        submods(container={"image_signatures": [[]]}),
        submods(container={"image_signatures": {}}),
        submods(container={"image_signatures": [{"key_id": "", "signature_algorithm": ""}, 1]}),
        submods(container={"image_signatures": [{"key_id": ""}]}),
        submods(container={"image_signatures": [{"signature_algorithm": ""}]}),
        submods(confidential_space={"monitoring_enabled": []}),
        submods(confidential_space={"monitoring_enabled": {"memory": None}}),
        submods(confidential_space={"support_attributes": [1]}),
        *(
            {"submods": scene("confidential-space").draft.claims["submods"] | {name: []}}
            for name in ("confidential_space", "container", "gce", "nvidia_gpu")
        ),
    ],
    ids=str,
)
def test_other_claims_that_are_refused(changes):
    assert_refused(judged(changes), CLAIMS)


def test_any_debug_status_but_the_one_of_production_is_debugging():
    for status in ("enabled", "disabled", "disabled-since-boot ", "Disabled-since-boot"):
        claims = judged({"dbgstat": status}).claims
        assert claims.debug
        assert claims.debug_status == status


@pytest.mark.parametrize("size", [8, 88])
def test_the_shortest_and_the_longest_nonce(size):
    nonce = "n" * size
    stage = scene("confidential-space", nonces=[nonce])
    stage.binding = Expected(nonce.encode())
    assert stage.finish().claims.nonces == (nonce,)


def test_the_longest_audience():
    stage = scene("confidential-space", audience="a" * 512)
    stage.audience = "a" * 512
    assert stage.finish().claims.audience == "a" * 512


def test_the_longest_token():
    """Spaces in the header bring the token to the byte: base64url alone has lengths that it cannot have."""
    for size, accepted in ((65536, True), (65537, False)):
        stage = scene("confidential-space")
        head = compact(stage.draft.header)
        stage.draft.claims["padding"] = ""
        bare = compact(stage.draft.claims)
        room = size - 2 - len(encode(bytes(256)))
        for spaces in range(3):
            stage.draft.raw_header = head + b" " * spaces
            left = room - len(encode(stage.draft.raw_header))
            padding = left * 3 // 4 - len(bare)
            stage.draft.claims["padding"] = "x" * padding
            if len(encode(compact(stage.draft.claims))) == left:
                break
        assert len(stage.evidence()) == size
        if accepted:
            assert stage.finish().bound
        else:
            assert_refused(stage.finish(), "confidential_space.token.layout.jose.oversized")
