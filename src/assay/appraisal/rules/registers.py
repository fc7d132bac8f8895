"""Rules that compare a register with the values a policy lists, or with Reference Values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.appraisal.register_fields import Allowed
    from assay.evidence.ledger import Check, CheckSpec


def register_rule(shop: Workshop, path: str, read: Callable[[Any], bytes], allowed: Allowed) -> Rule:
    """Return the rule for one register.

    Args:
        shop: The policy.
        path: Path of the key: ``tdx.mr_td``. Its last part is the name under which References hold values.
        read: Takes the Claims, returns the register.
        allowed: What the policy says of it.
    """
    name = path.partition(".")[2]
    if allowed.if_measured:
        return _if_measured(shop, path, name, read)
    spec = shop.spec(path, f"{name} holds a value that the Relying Party named")
    return (
        _by_reference(spec, path, name, read) if allowed.by_reference else _by_list(spec, path, read, allowed)
    )


def _if_measured(shop: Workshop, path: str, name: str, read: Callable[[Any], bytes]) -> Rule:
    spec = shop.spec(path, f"{name} holds a value that the Relying Party named, or nothing was measured")
    named = _by_reference(spec, path, name, read).judge
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        # Whoever gave a Reference Value wants it there. A register that the evidence lacks is not zero.
        if found and not any(found) and not subject.references.get(name):
            return passed
        return named(subject)

    return Rule(spec, judge)


def _by_list(spec: CheckSpec, path: str, read: Callable[[Any], bytes], allowed: Allowed) -> Rule:
    passed = spec.passed
    values = allowed.values

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found in values:
            return passed
        return failed(spec, path, "mismatch", _differs(found, values, "the policy"))

    return Rule(spec, judge)


def _by_reference(spec: CheckSpec, path: str, name: str, read: Callable[[Any], bytes]) -> Rule:
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        values = subject.references.get(name)
        if not values:
            given = ", ".join(sorted(subject.references)) or "none at all"
            return failed(
                spec, path, "no_reference", f"No Reference Value was given for {name} (given: {given})."
            )
        found = read(subject.claims)
        if found in values:
            return passed
        return failed(spec, path, "mismatch", _differs(found, values, "the set of Reference Values"))

    return Rule(spec, judge)


def _differs(found: bytes, values: frozenset[bytes], source: str) -> str:
    shown = found.hex() or "not there"
    if len(values) == 1:
        return f"It is {shown}; {source} has {next(iter(values)).hex()}."
    return f"It is {shown}, which is none of the {len(values)} values of {source}."
