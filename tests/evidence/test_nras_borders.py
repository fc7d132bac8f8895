"""What an answer of NRAS says, field by field; its digests, names and bounds, at their limits and beyond."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest

from assay.evidence.jose import JoseError
from assay.evidence.ledger import Outcome
from assay.evidence.nras.bundle import MAX_BUNDLE_BYTES, parse_bundle
from assay.evidence.nras.verify import MAX_TOKEN_BYTES
from assay.simulator.tokens import TokenDraft
from support.token_scenes import NONCE, NOW, assert_refused, scene


def test_every_field_of_the_claims():
    stage = scene("nras")
    stage.whole.devices["GPU-1"].claims["dbgstat"] = "enabled"
    result = stage.finish()
    claims = result.claims
    overall = stage.whole.overall.claims
    assert (claims.issuer, claims.version) == ("https://nras.attestation.nvidia.com", "3.0")
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + timedelta(hours=1))
    assert claims.nonce == NONCE
    assert claims.token == overall
    assert len(claims.devices) == 2
    for device, (name, draft) in zip(claims.devices, stage.whole.devices.items(), strict=True):
        said = draft.claims
        assert (device.name, device.hardware, device.ueid) == (name, said["hwmodel"], said["ueid"])
        assert (device.driver, device.firmware) == ("580.159.03", "96.00.D9.00.01")
        assert (device.debug_status, device.secure_boot) == (said["dbgstat"], True)
        assert device.flags == {
            key: value for key, value in said.items() if value is True and key != "secboot"
        }
        assert device.warning == ""
        assert device.token == said
        assert "token=" not in repr(device)
    assert "token=" not in repr(claims)
    assert result.decoded["claims"] == overall


def test_what_a_service_does_not_state_is_empty():
    stage = scene("nras", devices=1)
    del stage.whole.overall.claims["x-nvidia-ver"]
    claims = stage.whole.devices["GPU-0"].claims
    for name in ("ueid", "dbgstat", "secboot", "x-nvidia-gpu-driver-version", "x-nvidia-gpu-vbios-version"):
        del claims[name]
    result = stage.finish()
    (device,) = result.claims.devices
    assert result.claims.version == ""
    assert (device.ueid, device.debug_status, device.secure_boot) == ("", "", None)
    assert (device.driver, device.firmware) == ("", "")


def test_only_what_the_service_states_as_true_or_false_is_a_flag():
    stage = scene("nras", devices=1)
    claims = stage.whole.devices["GPU-0"].claims
    claims |= {"x-nvidia-gpu-x": False, "x-nvidia-gpu-y": 1, "x-other": True}
    claims["x-nvidia-attestation-warning"] = "w" * 5000
    (device,) = stage.finish().claims.devices
    assert device.flags["x-nvidia-gpu-x"] is False
    assert device.flags.keys().isdisjoint({"x-nvidia-gpu-y", "x-other"})
    assert device.warning == "w" * 4096


def test_the_signed_digest_is_over_every_token():
    stage = scene("nras")
    whole = json.loads(stage.evidence())
    tokens = [whole[0][1], *whole[1].values()]
    digests = [hashlib.sha256(token.rpartition(".")[0].encode()).digest() for token in tokens]
    assert stage.judge(json.dumps(whole).encode()).signed_digest == hashlib.sha256(b"".join(digests)).digest()


class Kept(TokenDraft):
    """A token that is signed once: an ECDSA signature is another one each time."""

    def sign(self) -> bytes:
        self.__dict__.setdefault("text", TokenDraft.sign(self))
        return self.__dict__["text"]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("SHA-256", hashlib.sha256),
        ("SHA256", hashlib.sha256),
        ("SHA-384", hashlib.sha384),
        ("SHA-512", hashlib.sha512),
    ],
)
def test_each_hash_that_a_digest_may_be_made_with(name, digest):
    stage = scene("nras")
    for device, draft in stage.whole.devices.items():
        kept = stage.whole.devices[device] = Kept(draft.header, draft.claims, draft.key, draft.algorithm)
        stage.whole.submods[device] = ["DIGEST", [name, digest(kept.sign()).hexdigest().upper()]]
    assert stage.finish().bound
    stage.whole.submods["GPU-1"] = ["DIGEST", [name, digest(b"another").hexdigest()]]
    assert_refused(stage.finish(), "nras.token.submods.mismatch")


def test_a_digest_that_is_no_text_at_all():
    stage = scene("nras")
    stage.whole.submods["GPU-1"] = ["DIGEST", ["SHA-256", "\ud800" * 64]]
    assert_refused(stage.finish(), "nras.token.submods.mismatch")


@pytest.mark.parametrize(
    "stated",
    [
        ["DIGEST", ["SHA-256"]],
        ["DIGEST", ["SHA-256", 5]],
        ["DIGEST", ["sha-256", "00"]],
        ["digest", ["SHA-256", "00" * 32]],
        ["SHA-256", "00" * 32],
        "DIGEST",
    ],
)
def test_what_is_no_digest(stated):
    stage = scene("nras")
    stage.whole.submods["GPU-1"] = stated
    assert_refused(stage.finish(), "nras.token.submods.type")


def test_submods_are_an_object():
    stage = scene("nras")
    sign = stage.draft.sign

    def with_an_array():
        stage.draft.claims["submods"] = ["GPU-0", "GPU-1"]
        return sign()

    stage.draft.sign = with_an_array
    assert_refused(stage.finish(), "nras.token.submods.names")


# --- Layout


def refused(data: bytes) -> str:
    with pytest.raises(JoseError) as caught:
        parse_bundle(data)
    return caught.value.code


def answer(devices, head=("JWT", "a.b.c")) -> bytes:
    return json.dumps([list(head), devices]).encode()


@pytest.mark.parametrize(
    "devices", [{"GPU-0": "a"}, {f"GPU-{n}": "a" for n in range(32)}, {"n" * 64: "a"}, {"n": ""}, {" ~": ""}]
)
def test_the_limits_of_an_answer(devices):
    found = parse_bundle(answer(devices))
    assert found.overall == b"a.b.c"
    assert found.devices == {name: token.encode() for name, token in devices.items()}
    assert found.unsigned == ()


@pytest.mark.parametrize(
    "data",
    [
        answer({}),
        answer({f"GPU-{n}": "a" for n in range(33)}),
        answer({"": "a"}),
        answer({"n" * 65: "a"}),
        answer({"\x7f": "a"}),
        answer({"é": "a"}),
        answer({"GPU-0": "é"}),
        answer({"GPU-0": None}),
        answer({"GPU-0": {}}),
        answer(["a"]),
        answer({"GPU-0": "a"}, ("jwt", "a.b.c")),
        answer({"GPU-0": "a"}, ("JWT",)),
        answer({"GPU-0": "a"}, ("JWT", "a", "b")),
        answer({"GPU-0": "a"}, ("JWT", 1)),
        b'["JWT", {"GPU-0": "a"}]',
        b'[["JWT", "a"]]',
        b'{"JWT": "a"}',
        b'["aa", {"GPU-0": "a"}]',
    ],
)
def test_what_is_no_answer(data):
    assert refused(data) == "jose.shape"


def test_an_answer_has_at_most_262144_bytes():
    data = answer({"GPU-0": "a"})
    assert parse_bundle(data.ljust(MAX_BUNDLE_BYTES)).devices == {"GPU-0": b"a"}
    assert MAX_BUNDLE_BYTES == 262144
    assert refused(data.ljust(MAX_BUNDLE_BYTES + 1)) == "jose.oversized"


@pytest.mark.parametrize("name", ["REMOTE_GPU_CLAIMS", "REMOTE_SWITCH_CLAIMS"])
def test_either_kind_of_device_may_be_wrapped(name):
    inner = [["JWT", "a.b.c"], {"D-0": "x"}]
    data = answer({name: inner}, ("JWT", "own"))
    found = parse_bundle(data)
    assert (found.overall, found.devices) == (b"a.b.c", {"D-0": b"x"})
    assert [(region.start, region.end) for region in found.unsigned] == [(10, 13)]
    assert refused(answer({name: inner, "D-1": "x"}, ("JWT", "own"))) == "jose.shape"
    assert refused(answer({"D-1": inner}, ("JWT", "own"))) == "jose.shape"
    assert refused(answer({name: [["JWT", "a"], {}]}, ("JWT", "own"))) == "jose.shape"


def test_a_token_has_at_most_65536_bytes():
    stage = scene("nras", devices=1)
    stage.draft.claims["filling"] = ""
    stage.evidence()
    missing = MAX_TOKEN_BYTES - len(stage.draft.sign())
    stage.draft.claims["filling"] = "x" * (missing * 3 // 4 - 2)
    while len(stage.draft.sign()) < MAX_TOKEN_BYTES:
        stage.draft.claims["filling"] += "x"
    assert len(stage.draft.sign()) == MAX_TOKEN_BYTES == 65536
    assert stage.finish().bound
    stage.draft.claims["filling"] += "xx"
    assert_refused(stage.finish(), "nras.token.layout.jose.oversized")


# --- What is said of a refusal


def test_a_refused_device_is_named():
    stage = scene("nras", "device")
    stage.draft.claims["iat"] += 61
    result = stage.finish()
    failed = result.ledger["nras.device.issued"]
    assert failed.reason == "GPU-1: The token is not valid yet, 60 s of skew allowed."
    assert result.ledger["nras.device.signature"].outcome is Outcome.PASSED
    assert result.ledger["nras.device.signature"].reason == ""
    assert result.ledger["nras.device.age"].code == "ledger.not_reached"


def test_the_tokens_passed_before_the_bond_between_them_is_judged():
    stage = scene("nras")
    stage.whole.devices["GPU-1"].claims["eat_nonce"] = "00" * 32
    result = stage.finish()
    passed = {check.id for check in result.ledger if check.outcome is Outcome.PASSED}
    assert {"nras.bundle.layout", "nras.token.submods", "nras.token.claims", "nras.device.claims"} <= passed
    assert {"nras.device.issued", "nras.device.age", "nras.device.expiry"} <= passed
    assert "nras.token.result" not in passed
