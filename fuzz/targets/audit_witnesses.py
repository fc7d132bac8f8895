"""Witness policies and verifier keys, as a person pastes them."""

from __future__ import annotations

from assay.audit import VerifierKey
from assay.audit.witnesses import WitnessPolicy
from assay.errors import AuditError

_KEY = VerifierKey("w.example/1", 4, bytes(32))
SEEDS: list[bytes] = [
    f"log {VerifierKey('log.example/1', 1, bytes(32))}\nwitness a {_KEY}\ngroup g any a\nquorum g\n".encode(),
    b"quorum none\n",
    str(_KEY).encode(),
]


def target(data: bytes) -> None:
    """Read a policy and a key; ask the policy both ways."""
    text = data.decode("utf-8", "replace")
    try:
        policy = WitnessPolicy.parse(text)
        policy.satisfied(frozenset())
        policy.satisfied(frozenset(policy.witnesses.values()))
    except AuditError:
        pass
    try:
        if str(VerifierKey.parse(text)) != text.strip():
            raise AssertionError("one key, two spellings")
    except AuditError:
        return
