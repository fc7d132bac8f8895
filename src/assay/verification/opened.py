"""What was found in a file: pieces of evidence, and what came along with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assay.evidence.dstack import Attestation, Presented
    from assay.verification.firmware_log import CcelData

MAX_PARTS: Final = 16
"""Pieces of evidence in one file, at most."""
MAX_UNVERIFIED: Final = 64
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """One piece of evidence as it was found in a file.

    Attributes:
        evidence: The evidence itself, as its format's verifier takes it.
        platform: Whose evidence it looks like.
        form: What the file holds, for people.
        presented: A dstack guest's answer, when a quote came in one.
        attestation: A dstack guest's attestation of another platform than TDX, when it came in one.
        name: What a bundle of several calls it; its platform where the bundle has no word.
        beside: Files that came with it and may vouch for it, by name.
        firmware_log: The firmware's event log, when a quote came with it.
        unverified: Names of what stands beside it and no verifier looks at, as its sender wrote them; at most
            64, each of at most 67 characters.
        unnamed: How much more stands there, of which no name is kept.
    """

    evidence: bytes
    platform: str
    form: str
    presented: Presented | None = None
    attestation: Attestation | None = None
    name: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    firmware_log: CcelData | None = None
    unverified: tuple[str, ...] = ()
    unnamed: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that one file holds.

    Attributes:
        form: What the file is, for people.
        parts: The pieces of evidence, at least one; each has a name of its own where there are several.
    """

    form: str
    parts: tuple[Opened, ...]

    @property
    def unverified(self) -> tuple[str, ...]:
        """Names of what the file holds besides, and no verifier looks at; last how much has no name here.

        What several pieces have beside them under one name stands there once. Shortened names that are alike
        may be of different things, and stay.
        """
        named: list[str] = []
        for name in (name for part in self.parts for name in part.unverified):
            if len(name) > _LONGEST_NAME or name not in named:
                named.append(name)
        unnamed = sum(part.unnamed for part in self.parts)
        return (*named, f"{unnamed} more") if unnamed else tuple(named)


def noted(parts: tuple[Opened, ...], names: Iterable[str]) -> tuple[Opened, ...]:
    """Return pieces of evidence, the first of them with the names of what stands beside it unverified.

    How much was left out is kept apart from the names: wrappings lie in each other, and each adds to what the
    one inside of it left out.
    """
    short = sorted(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in names)
    first = parts[0]
    found = (*first.unverified, *short)
    left_out = 0
    if len(found) > MAX_UNVERIFIED or first.unnamed:
        left_out = len(found[MAX_UNVERIFIED - 1 :])  # the last line says how many
    return (
        replace(first, unverified=found[: len(found) - left_out], unnamed=first.unnamed + left_out),
        *parts[1:],
    )


def unrecognised(message: str = "The file holds no evidence that Assay knows.") -> EvidenceError:
    """Return the error that says so."""
    return EvidenceError(
        "verification.evidence.unrecognised",
        message,
        action="Give the raw evidence, its hexadecimal text or base64, a certificate or wrapper with evidence"
        " inside, or the answer of a dstack guest.",
    )


def several_machines(names: Sequence[str]) -> EvidenceError:
    """Return the error that a file holds evidence of several machines, by where it stands.

    Each is a machine of its own, and nothing ties them to each other.
    """
    return EvidenceError(
        "verification.report.several",
        f"The file holds the attestation reports of {len(names)} machines.",
        action=f"Give each as a file of its own: {', '.join(names[:4])}.",
    )
