"""An appraisal policy: read once, compiled once, then applied to any number of pieces of evidence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING, Final

from assay.appraisal.fields import nearest
from assay.appraisal.platforms import platform_of
from assay.appraisal.reading import read
from assay.appraisal.rules import context
from assay.appraisal.rules.subject import Workshop
from assay.errors import PolicyError
from assay.evidence.ledger import Check, CheckSpec, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.appraisal.document import Document
    from assay.appraisal.rules.subject import Rule, Subject

SHIPPED: Final = ("genuine", "strict", "local")
_CONJUNCTION: Final = b"assay/policy/conjunction/v1\0"
_UNREACHED: Final = "policy.unauthenticated"


@dataclass(frozen=True, slots=True)
class CompiledPlatform:
    """What a policy does with evidence of one platform.

    Attributes:
        rules: Every rule, in the order of the ledger; none of them asks for the platform.
        judges: What the rules do, in the same order.
        unreached: The checks as they stand in the ledger when the evidence was not authenticated.
    """

    rules: tuple[Rule, ...]
    judges: tuple[Callable[[Subject], Check], ...]
    unreached: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled appraisal policy.

    Attributes:
        name: What results call it.
        digest: SHA-256 of the file's bytes, 32 bytes; of a conjunction, over the digests of its parts.
        document: What the file says.
        platform_check: The check that evidence is of a platform which the Relying Party chose.
        platforms: Compiled rules by platform.
        also: Policies that are applied as well, each in its own right.
    """

    name: str
    digest: bytes
    document: Document
    platform_check: CheckSpec = field(repr=False)
    platforms: Mapping[str, CompiledPlatform] = field(repr=False)
    also: tuple[Policy, ...] = ()

    @classmethod
    def load(cls, toml: bytes, *, name: str) -> Policy:
        """Return the policy that a file holds.

        Args:
            toml: The file's bytes.
            name: What to call it when the file does not say.

        Raises:
            PolicyError: As ``reading.read`` does.
        """
        document = read(toml)
        return _compiled(document, document.name or name, hashlib.sha256(toml).digest(), "policy")

    @classmethod
    def shipped(cls, name: str) -> Policy:
        """Return one of the policies that come with Assay: ``genuine``, ``strict`` or ``local``.

        Raises:
            PolicyError: ``policy.unknown_name``.
        """
        return cls.load(shipped_text(name), name=name)

    @property
    def gate(self) -> bool:
        """True when the policy says what code may run, on each platform that it accepts.

        A gate opens for code, so a policy that appraises hardware alone can open none. This is derived from
        the requirements and cannot be declared.
        """
        return all(platform_of(name).names_code(self.document) for name in self.document.platforms)

    @property
    def _code_keys(self) -> str:
        open_ones = [platform_of(name) for name in self.document.platforms]
        return "; ".join(each.code_keys for each in open_ones if not each.names_code(self.document))

    def for_gate(self) -> Policy:
        """Return this policy, if a gate may use it.

        Raises:
            PolicyError: ``policy.gate.no_measurements`` when it leaves open what code may run.
        """
        if not self.gate:
            raise PolicyError(
                "policy.gate.no_measurements",
                f"The policy {self.name} does not say what code may run, so no gate can open under it.",
                action=f"Require {self._code_keys}, or choose another policy.",
            )
        return self

    def tighten(self, other: Policy) -> Policy:
        """Return the policy that accepts what this policy and ``other`` both accept.

        The other's checks stand in the ledger under ``policy.added``. Its ``accept`` lines count for its own
        checks only, so it can never relax this one.
        """
        parts = (other, *other.also)
        first = len(self.also) + 1
        added = tuple(
            _compiled(part.document, part.name, part.digest, f"policy.added{'' if at == 1 else at}")
            for at, part in enumerate(parts, first)
        )
        seal = hashlib.sha256(_CONJUNCTION + self.digest + b"".join(part.digest for part in parts))
        return replace(
            self,
            name=f"{self.name} and {other.name}",
            digest=seal.digest(),
            also=self.also + added,
        )


def shipped_text(name: str) -> bytes:
    """Return the file of a shipped policy.

    Raises:
        PolicyError: ``policy.unknown_name``.
    """
    if name not in SHIPPED:
        hint = nearest(name, SHIPPED)
        raise PolicyError(
            "policy.unknown_name",
            f"There is no shipped policy {ascii(name)[:80]}.",
            action=f"Did you mean {hint}?" if hint else f"Shipped are {', '.join(SHIPPED)}.",
        )
    return resources.files("assay.appraisal").joinpath("shipped", f"{name}.toml").read_bytes()


def _compiled(document: Document, name: str, digest: bytes, prefix: str) -> Policy:
    accepted = frozenset((*(document.accept or ()), *(document.accept_forgeable or ())))
    shop = Workshop(document, accepted, prefix, name)
    platform = shop.spec("platforms", f"the platform is one that was chosen: {', '.join(document.platforms)}")
    compiled = {}
    for chosen in document.platforms:
        rules = [*context.rules(shop), *platform_of(chosen).rules(shop)]
        compiled[chosen] = CompiledPlatform(
            tuple(rules),
            tuple(rule.judge for rule in rules),
            tuple(
                Check(
                    rule.spec,
                    Outcome.NOT_CHECKED,
                    _UNREACHED,
                    "not reached: the evidence is not authenticated",
                )
                for rule in rules
            ),
        )
    return Policy(name, digest, document, platform, compiled)
