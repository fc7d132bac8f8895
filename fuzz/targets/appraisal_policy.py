"""Policy files: TOML by a stranger's hand."""

from __future__ import annotations

from assay.appraisal.explanation import differences, explain
from assay.appraisal.policy import SHIPPED, Policy, shipped_text
from assay.errors import PolicyError


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return the shipped policies."""
    return [shipped_text(name) for name in SHIPPED]


def target(data: bytes) -> None:
    """Load a policy, and read it back in every way that there is."""
    try:
        policy = Policy.load(data, name="fuzzed")
    except PolicyError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
        return
    explain(policy).to_json()
    differences(policy.document, policy.document)
    policy.tighten(policy)
