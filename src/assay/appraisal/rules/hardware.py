"""Rules about which machine signed."""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from assay.appraisal.document import Hardware
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.vocabulary import SGX_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.evidence.ledger import Check

_FLAGS: Final = (
    ("dynamic_platform", "dynamic_platform", "packages can be added to the platform"),
    ("cached_keys", "cached_keys", "Intel's registration service keeps the platform's root keys"),
    ("smt", "smt_enabled", "hyper-threading is on"),
)


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rules about the machine, those that the policy states."""
    hardware = shop.document.hardware or Hardware()
    if hardware.ppids is not None:
        yield _listed(shop, "ppids", "ppid", "the processor (PPID)", hardware.ppids)
    if hardware.platform_instance_ids is not None:
        ids = hardware.platform_instance_ids
        yield _listed(shop, "platform_instance_ids", "platform_instance_id", "the platform instance", ids)
    if hardware.sgx_types is not None:
        yield _sgx_type(shop, hardware.sgx_types)
    for key, claim, meaning in _FLAGS:
        wanted = getattr(hardware, key)
        if wanted is not None:
            yield _flag(shop, key, claim, meaning, wanted=wanted)


def _listed(shop: Workshop, key: str, claim: str, name: str, digests: tuple[bytes, ...]) -> Rule:
    path = f"hardware.{key}"
    spec = shop.spec(path, f"{name} is on the allow-list")
    passed = spec.passed
    allowed = frozenset(digests)
    identity_of = attrgetter(claim)

    def judge(subject: Subject) -> Check:
        found = identity_of(subject.tcb)
        if found is None or not any(found):
            return failed(
                spec, path, "unknown", f"The certificate does not name {name}, so it is on no list."
            )
        digest = hashlib.sha256(found).digest()
        if digest in allowed:
            return passed
        return failed(
            spec, path, "not_listed", f"SHA-256 of {name} is {digest.hex()}, which is not on the list."
        )

    return Rule(spec, judge)


def _sgx_type(shop: Workshop, words: tuple[str, ...]) -> Rule:
    path = "hardware.sgx_types"
    spec = shop.spec(path, f"the platform protects its memory as {' or '.join(words)} SGX does")
    passed = spec.passed
    allowed = frozenset(SGX_TYPES.index(word) for word in words)

    def judge(subject: Subject) -> Check:
        found = subject.tcb.sgx_type
        if found in allowed:
            return passed
        name = SGX_TYPES[found] if 0 <= found < len(SGX_TYPES) else str(int(found))
        return failed(
            spec, path, "not_listed", f"The platform's SGX type is {name}; allowed: {', '.join(words)}."
        )

    return Rule(spec, judge)


def _flag(shop: Workshop, key: str, claim: str, meaning: str, *, wanted: bool) -> Rule:
    path = f"hardware.{key}"
    spec = shop.spec(path, f"{meaning}: {'yes' if wanted else 'no'}")
    passed = spec.passed
    flag_of = attrgetter(claim)

    def judge(subject: Subject) -> Check:
        found = flag_of(subject.tcb)
        if found is wanted:
            return passed
        if found is None:
            return failed(spec, path, "unknown", f"The certificate does not say whether {meaning}.")
        return failed(spec, path, "mismatch", f"Whether {meaning}: {found}; the policy demands {wanted}.")

    return Rule(spec, judge)
