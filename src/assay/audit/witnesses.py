"""Which witnesses must have seen a log (C2SP tlog-policy), and whether they did.

::

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<number> <member>...
    quorum <name>|none

A comment starts with ``#``. A group is satisfied by the stated number of its members, witnesses or groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.audit.note import VerifierKey
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_POLICY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Group:
    """How many of which members are needed."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """The logs that are trusted and the witnesses that must have signed.

    Attributes:
        logs: Keys of logs.
        witnesses: Keys of witnesses by their name in the policy.
        groups: By name; a group only names what stands above it.
        quorum: The witness or group that must be satisfied; None when no witness is asked for.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str | None

    @classmethod
    def parse(cls, text: str) -> WitnessPolicy:
        """Read a policy; an unknown word, a name twice or a missing ``quorum`` line is refused.

        Raises:
            AuditError: ``audit.policy.malformed``, ``audit.key.malformed``.
        """
        reader = _PolicyReader()
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                reader.take(number, words)
        if not reader.quorum:
            raise AuditError("audit.policy.malformed", "The witness policy has no quorum line.")
        quorum = None if reader.quorum == ["none"] else reader.quorum[0]
        return cls(tuple(reader.logs), reader.witnesses, reader.groups, quorum)

    def satisfied(self, signed: frozenset[VerifierKey]) -> bool:
        """Return whether the keys that signed make up the quorum."""
        return self.quorum is None or self._satisfies(self.quorum, signed)

    def _satisfies(self, name: str, signed: frozenset[VerifierKey]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in signed
        group = self.groups[name]
        return sum(self._satisfies(member, signed) for member in group.members) >= group.needed


class _PolicyReader:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: list[str] = []
        self._used: set[str] = set()

    def take(self, number: int, words: list[str]) -> None:
        failed = AuditError(
            "audit.policy.malformed", f"Line {number} of the witness policy cannot be understood."
        )
        match words:
            case ["log", key, *rest] if len(rest) <= 1:
                self.logs.append(VerifierKey.parse(key))
            case ["witness", name, key, *rest] if len(rest) <= 1 and self._is_new(name):
                self.witnesses[name] = VerifierKey.parse(key)
            case ["group", name, count, *members] if members and self._is_new(name):
                self.groups[name] = Group(_needed(count, members, failed), self._members(members, failed))
            case ["quorum", name] if not self.quorum and (name == "none" or not self._is_new(name)):
                self.quorum = [name]
            case _:
                raise failed

    def _is_new(self, name: str) -> bool:
        return name != "none" and name not in self.witnesses and name not in self.groups

    def _members(self, members: list[str], failed: AuditError) -> tuple[str, ...]:
        # Each witness or group stands in one group only (tlog-policy): none counts twice, and no cycle is.
        if len(set(members)) != len(members) or self._used & set(members) or any(map(self._is_new, members)):
            raise failed
        self._used.update(members)
        return tuple(members)


def _needed(count: str, members: list[str], failed: AuditError) -> int:
    if count in {"all", "any"}:
        return len(members) if count == "all" else 1
    if not (count.isascii() and count.isdigit() and len(count) <= 4 and 1 <= int(count) <= len(members)):
        raise failed
    return int(count)
