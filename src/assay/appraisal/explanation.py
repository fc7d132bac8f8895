"""What a policy demands, admits and leaves open, in plain sentences; and how two policies differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import DOCUMENT
from assay.appraisal.fields import Table, keys_of
from assay.appraisal.platforms import platform_of
from assay.appraisal.register_fields import IF_MEASURED, REFERENCE, Allowed
from assay.appraisal.vocabulary import KEYS, WEAKNESSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.appraisal.document import Document
    from assay.appraisal.policy import Policy

_RELAXING: Final = ("accept", "accept_forgeable")
"""The two keys that let something pass; every other one can only refuse more."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a policy means.

    Attributes:
        demands: Platform to the clauses that must hold, one for each check.
        admits: What is let pass, one sentence for each word of ``accept`` and ``accept_forgeable``.
        leaves_open: What the policy does not look at, one sentence each.
        gate: Whether it names the code that may run, so that a gate can open under it.
    """

    demands: dict[str, tuple[str, ...]]
    admits: tuple[str, ...]
    leaves_open: tuple[str, ...]
    gate: bool

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON-ready values."""
        return {
            "demands": {platform: list(clauses) for platform, clauses in self.demands.items()},
            "admits": list(self.admits),
            "leaves_open": list(self.leaves_open),
            "gate": self.gate,
        }


def explain(policy: Policy) -> Explanation:
    """Return what a policy means, without the policies that are applied as well."""
    return Explanation(
        {
            platform: tuple(rule.spec.title for rule in compiled.rules)
            for platform, compiled in policy.platforms.items()
        },
        tuple(
            f"{word}: {WEAKNESSES[word].meaning}"
            for key in _RELAXING
            for word in getattr(policy.document, key) or ()
        ),
        tuple(_leaves_open(policy.document)),
        policy.gate,
    )


def _leaves_open(document: Document) -> Iterator[str]:
    for platform in document.platforms:
        left = [
            f"{path.rpartition('.')[2]} ({meaning})"
            for path, meaning in platform_of(platform).measured.items()
            if not _says(document, path)
        ]
        if platform == "sgx" and _says(document, "sgx.mr_signer"):
            left = [entry for entry in left if not entry.startswith("mr_enclave")]
        if left:
            yield f"On {platform}, shown and compared with nothing: {', '.join(left)}."
    if document.hardware is None or not (document.hardware.ppids or document.hardware.platform_instance_ids):
        yield "Which machine it is: any machine of the platform will do."
    if document.isolation is None:
        yield "What isolates the workload from its agent."
    dated = set(KEYS["freshness.collateral_max_age_hours"]) & set(document.platforms)
    if dated and not _says(document, "freshness.collateral_max_age_hours"):
        yield "How old the collateral is, as long as it is valid."


def _says(document: Document, path: str) -> bool:
    """Return whether a policy has the key ``table.name``."""
    table, _, name = path.partition(".")
    section = getattr(document, table)
    return section is not None and getattr(section, name) is not None


@dataclass(frozen=True, slots=True)
class Difference:
    """One key in which two policies differ.

    Attributes:
        path: The key: ``tcb.grace.qe``.
        before: What the first says, as text; None when it does not say it.
        after: What the second says.
    """

    path: str
    before: str | None
    after: str | None

    @property
    def effect(self) -> str:
        """What the second refuses compared with the first: ``stricter``, ``laxer`` or ``different``."""
        if self.path in _NAMES or self.path.startswith(_STATED):
            return "different"
        if self.path.partition(": ")[0] in _RELAXING:
            return "laxer" if self.before is None else "stricter"
        if self.before is None:
            return "stricter"
        return "laxer" if self.after is None else "different"

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON-ready values."""
        return {"path": self.path, "before": self.before, "after": self.after, "effect": self.effect}


_NAMES: Final = ("name", "simulated")
_STATED: Final = "snp.min_tcb."
"""A product of which nothing is stated is refused, or passes as unjudged: stating more can mean either."""


def differences(first: Document, second: Document) -> tuple[Difference, ...]:
    """Return the keys in which two policies differ, in the order of the language."""
    before, after = (dict(_said(document, DOCUMENT, "")) for document in (first, second))
    paths = dict.fromkeys((*before, *after))
    return tuple(
        Difference(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    )


def _said(section: Any, table: Table, prefix: str) -> Iterator[tuple[str, str]]:
    for name, key in keys_of(table.row).items():
        value = getattr(section, name)
        if value is None:
            continue
        if isinstance(key.kind, Table):
            yield from _said(value, key.kind, f"{prefix}{name}.")
        elif not prefix and name in _RELAXING:
            yield from ((f"{name}: {word}", "admitted") for word in value)
        else:
            yield f"{prefix}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, Allowed):
        word = IF_MEASURED if value.if_measured else REFERENCE
        return word if value.by_reference else _text(tuple(sorted(value.values)))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.hex()
    if (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], bytes)
    ):
        return f"{value[0]}:{value[1].hex()}"
    if isinstance(value, tuple):
        return ", ".join(sorted(_text(entry) for entry in value)) or "none"
    return str(value)
