"""What was found in a file: pieces of evidence, and what came along with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.dstack import Attestation, Presented

MAX_PARTS: Final = 16
"""Pieces of evidence in one file, at most."""


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
    """

    evidence: bytes
    platform: str
    form: str
    presented: Presented | None = None
    attestation: Attestation | None = None
    name: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that one file holds.

    Attributes:
        form: What the file is, for people.
        parts: The pieces of evidence, at least one; each has a name of its own where there are several.
    """

    form: str
    parts: tuple[Opened, ...]


def unrecognised(message: str = "The file holds no evidence that Assay knows.") -> EvidenceError:
    """Return the error that says so."""
    return EvidenceError(
        "verification.evidence.unrecognised",
        message,
        action="Give the raw evidence, its hexadecimal text or base64, a certificate or wrapper with evidence"
        " inside, or the answer of a dstack guest.",
    )
