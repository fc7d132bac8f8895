from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from assay.audit import VerifierKey
from assay.audit.note import COSIGNATURE
from assay.audit.verify import verify_export
from assay.audit.witnesses import WitnessPolicy
from assay.errors import AuditError
from support.audit_logs import KEY, ORIGIN, START, Forged, put

VKEY = KEY.verifier(ORIGIN)
NOW = datetime.fromtimestamp(START, UTC) + timedelta(days=1)


def witness(number):
    private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return private, VerifierKey(f"w.example/{number}", COSIGNATURE, private.public_key().public_bytes_raw())


W = {number: witness(number)[1] for number in (1, 2, 3)}
NAMES = "\n".join(f"witness w{number} {key} https://w.example/{number}" for number, key in W.items())


def cosign(data, number, *, time=int(START) + 86000, wrong=False):
    private, key = witness(number)
    text = data.rpartition(b"\n\n")[0] + b"\n"
    signature = private.sign(f"cosignature/v1\ntime {time + wrong}\n".encode() + text)
    line = base64.b64encode(key.id + time.to_bytes(8, "big") + signature).decode()
    return data + f"— {key.name} {line}\n".encode()


def verify(tmp_path, policy, *numbers, **options):
    files = Forged().grow(3).files()
    for number in numbers:
        files["checkpoint"] = cosign(files["checkpoint"], number)
    path = put(files, tmp_path / f"e{len(list(tmp_path.iterdir()))}")
    return verify_export(path, vkey=VKEY, memory=None, policy=WitnessPolicy.parse(policy), **options)


def code(call, *arguments, **options):
    with pytest.raises(AuditError) as caught:
        call(*arguments, **options)
    return caught.value.code


def test_a_quorum(tmp_path):
    two_of_three = f"log {VKEY}\n# ours\n{NAMES}\ngroup g 2 w1 w2 w3\nquorum g\n"
    assert verify(tmp_path, two_of_three, 1, 3).witnesses == ("w.example/1", "w.example/3")
    found = verify(tmp_path, two_of_three, 1, 2, 3)
    assert found.quorum
    assert "witness" not in " ".join(found.not_proven)
    assert code(verify, tmp_path, two_of_three, 1) == "audit.witness.quorum"
    assert code(verify, tmp_path, two_of_three) == "audit.witness.quorum"


def test_one_witness_counts_once_however_often_it_signs(tmp_path):
    policy = f"{NAMES}\ngroup g 2 w1 w2 w3\nquorum g\n"
    assert code(verify, tmp_path, policy, 1, 1) == "audit.witness.quorum"


def test_a_wrong_signature_of_a_known_witness_condemns_the_checkpoint(tmp_path):
    files = Forged().grow(3).files()
    files["checkpoint"] = cosign(cosign(files["checkpoint"], 1), 2, wrong=True)
    path = put(files, tmp_path / "e")
    policy = WitnessPolicy.parse(f"{NAMES}\ngroup g any w1 w2\nquorum g\n")
    assert code(verify_export, path, vkey=VKEY, memory=None, policy=policy) == "audit.signature.invalid"


def test_witnesses_alone_do_not_make_a_log(tmp_path):
    files = Forged().grow(3).files()
    text, _, _ = files["checkpoint"].rpartition(b"\n\n")
    files["checkpoint"] = cosign(text + b"\n\n", 1)
    path = put(files, tmp_path / "e")
    policy = WitnessPolicy.parse(f"{NAMES}\nquorum w1\n")
    assert code(verify_export, path, vkey=VKEY, memory=None, policy=policy) == "audit.signature.missing"


def test_the_age_is_that_of_the_oldest_witness(tmp_path):
    policy = f"{NAMES}\ngroup g any w1 w2\nquorum g\n"
    verify(tmp_path, policy, 1, max_age=400, now=NOW)
    assert code(verify, tmp_path, policy, 1, max_age=399, now=NOW) == "audit.age.stale"


def test_a_witness_from_the_far_future_or_past(tmp_path):
    policy = WitnessPolicy.parse(f"{NAMES}\nquorum w1\n")
    for time, expected in ((2**64 - 1, "audit.age.future"), (0, "audit.age.stale")):
        files = Forged().grow(3).files()
        files["checkpoint"] = cosign(files["checkpoint"], 1, time=time)
        path = put(files, tmp_path / str(time))
        given = {"vkey": VKEY, "memory": None, "policy": policy, "max_age": 400, "now": NOW}
        assert code(verify_export, path, **given) == expected


def test_groups_of_groups():
    policy = WitnessPolicy.parse(f"{NAMES}\ngroup a any w1 w2\ngroup b all a w3\nquorum b\n")
    signed = {
        numbers: policy.satisfied(frozenset(W[number] for number in numbers))
        for numbers in [(), (1,), (1, 2), (3,), (1, 3), (2, 3), (1, 2, 3)]
    }
    assert [numbers for numbers, met in signed.items() if met] == [(1, 3), (2, 3), (1, 2, 3)]


def test_no_quorum_asks_for_no_witness(tmp_path):
    assert not verify(tmp_path, f"{NAMES}\nquorum none\n").quorum


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAMES,
        f"{NAMES}\nquorum w9",
        f"{NAMES}\nquorum w1\nquorum w2",
        f"{NAMES}\nquorum none\nquorum none",
        f"{NAMES}\nwitness w1 {W[1]}\nquorum w1",
        f"witness none {W[1]}\nquorum none",
        f"{NAMES}\ngroup g 4 w1 w2 w3\nquorum g",
        f"{NAMES}\ngroup g 0 w1\nquorum g",
        f"{NAMES}\ngroup g -1 w1\nquorum g",
        f"{NAMES}\ngroup g \u0663 w1 w2 w3\nquorum g",
        f"{NAMES}\ngroup g some w1\nquorum g",
        f"{NAMES}\ngroup g any\nquorum g",
        f"{NAMES}\ngroup g any w1 w1\nquorum g",
        f"{NAMES}\ngroup g any g\nquorum g",
        f"{NAMES}\ngroup a any w1\ngroup b any w1\nquorum a",
        f"{NAMES}\nwhatever\nquorum w1",
        f"log {VKEY} url url\nquorum none",
    ],
)
def test_policies_that_mean_nothing(text):
    assert code(WitnessPolicy.parse, text) == "audit.policy.malformed"


def test_a_policy_with_a_key_that_is_none():
    assert code(WitnessPolicy.parse, "log x\nquorum none") == "audit.key.malformed"


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    assert code(WitnessPolicy.parse, text) in {"audit.policy.malformed", "audit.key.malformed"}
