"""An appraisal policy: read once, compiled once, then applied to any number of pieces of evidence."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.fields import nearest
from assay.appraisal.platforms import platform_of
from assay.appraisal.reading import read
from assay.appraisal.rules import context
from assay.appraisal.rules.subject import Workshop
from assay.errors import PolicyError
from assay.evidence.ledger import Check, CheckSpec, Outcome
from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.appraisal.document import Document
    from assay.appraisal.rules.subject import Rule, Subject

SHIPPED: Final = ("genuine", "strict", "local")
_CONJUNCTION: Final = b"assay/policy/conjunction/v1\0"
_UNREACHED: Final = "policy.unauthenticated"


@record
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


@record
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
        from dataclasses import replace  # noqa: PLC0415 - costly, and most policies stand alone

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
    # The loader reads beside this module, also from an archive, and costs no further import.
    loader: Any = __spec__.loader
    text: bytes = loader.get_data(f"{__file__.rpartition(os.sep)[0]}{os.sep}shipped{os.sep}{name}.toml")
    return text


def _compiled(document: Document, name: str, digest: bytes, prefix: str) -> Policy:
    accepted = frozenset((*(document.accept or ()), *(document.accept_forgeable or ())))
    shop = Workshop(document, accepted, prefix, name)
    platform = shop.spec("platforms", f"the platform is one that was chosen: {', '.join(document.platforms)}")
    return Policy(name, digest, document, platform, _Compiled(shop))


class _Compiled(Mapping[str, CompiledPlatform]):
    """The compiled rules of a policy's platforms, each made when it is first asked for.

    A policy that accepts many platforms mostly sees evidence of one: it does not pay for the others.
    """

    __slots__ = ("_made", "_shop")

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._made: dict[str, CompiledPlatform] = {}

    def __getitem__(self, platform: str) -> CompiledPlatform:
        found = self._made.get(platform)
        if found is None:
            if platform not in self._shop.document.platforms:
                raise KeyError(platform)
            found = self._made[platform] = _compile(self._shop, platform)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._shop.document.platforms)

    def __len__(self) -> int:
        return len(self._shop.document.platforms)


def _compile(shop: Workshop, platform: str) -> CompiledPlatform:
    rules = [*context.rules(shop), *platform_of(platform).rules(shop)]
    return CompiledPlatform(
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
