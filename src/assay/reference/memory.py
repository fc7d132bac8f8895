"""What a Relying Party remembers of each manifest: the newest version that it admitted.

Without it, whoever hands over the manifest can hand over last year's, which admits what was fixed since.
It is a value: whoever keeps it writes it, under a lock, before anything rests on the manifest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import ReferenceValueError
from assay.reference.values import canonical, parse_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.reference.manifest import SignedManifest

NAME: Final = "reference-memory.json"
LARGEST_FILE: Final = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest admitted version of one manifest.

    Attributes:
        version: Its number.
        digest: SHA-256 of its payload, 32 bytes.
    """

    version: int
    digest: bytes


def references(
    signed: SignedManifest,
    *,
    platform: str,
    now: datetime,
    memory: Mapping[str, Seen],
    name: str | None = None,
) -> tuple[Mapping[str, frozenset[bytes]], Mapping[str, Seen]]:
    """Return what a verified manifest allows for each register, and the memory after it.

    Args:
        signed: What ``open_manifest`` returned.
        platform: The platform that the Relying Party's policy names.
        now: The moment of use.
        memory: What is remembered; empty on first use.
        name: What the manifest is called that the Relying Party means; None takes any of the trusted keys.
            Versions count up below a name: whoever hands over a manifest could hand over one of another name
            that the same key signed, be it of a test or of what came before.

    Returns:
        Values by register, as ``verify`` takes them, and what to remember from now on. Write that first.

    Raises:
        ReferenceValueError: ``reference.manifest.name``, ``reference.manifest.platform``; as ``admit``.
    """
    if name is not None and signed.manifest.name != name:
        raise ReferenceValueError(
            "reference.manifest.name",
            f"The manifest is called {signed.manifest.name}; another one was asked for.",
            action="Give the manifest that is meant, or its right name.",
        )
    after = admit(signed, now=now, memory=memory)
    values = signed.manifest.values
    if values.platform != platform:
        raise ReferenceValueError(
            "reference.manifest.platform",
            f"The manifest {signed.manifest.name} holds values for {values.platform}, not for {platform}.",
        )
    return values.registers, after


def admit(signed: SignedManifest, *, now: datetime, memory: Mapping[str, Seen]) -> Mapping[str, Seen]:
    """Return the memory with a manifest in it.

    Raises:
        ReferenceValueError: ``reference.manifest.expired``, ``reference.manifest.not_yet``;
            ``reference.manifest.rollback`` for a version older than one that was admitted;
            ``reference.manifest.fork`` for another manifest of the same version.
    """
    manifest = signed.manifest
    if now >= manifest.expires:
        raise ReferenceValueError(
            "reference.manifest.expired",
            f"The Reference Values {manifest.name} expired on {manifest.expires:%Y-%m-%d}.",
            action="Ask whoever signs them for a newer version.",
        )
    if now < manifest.issued:
        raise ReferenceValueError(
            "reference.manifest.not_yet",
            f"The Reference Values {manifest.name} were issued later than the time of this use.",
        )
    seen = memory.get(manifest.name)
    if seen is not None and manifest.version < seen.version:
        raise ReferenceValueError(
            "reference.manifest.rollback",
            f"Version {manifest.version} of {manifest.name} is older than version {seen.version}.",
            action="Use the newest version. If the newer one was a mistake, sign its successor.",
        )
    if seen is not None and manifest.version == seen.version and signed.digest != seen.digest:
        raise ReferenceValueError(
            "reference.manifest.fork",
            f"This is not the version {manifest.version} of {manifest.name} that was seen before.",
            action="Two manifests of one version were signed: find out why before you rely on either.",
        )
    return {**memory, manifest.name: Seen(manifest.version, signed.digest)}


def encode_memory(memory: Mapping[str, Seen]) -> bytes:
    """Return the memory as canonical JSON."""
    seen = {name: {"version": each.version, "digest": each.digest.hex()} for name, each in memory.items()}
    return canonical({"v": 1, "seen": seen}) + b"\n"


def decode_memory(data: bytes) -> dict[str, Seen]:
    """Read what ``encode_memory`` wrote.

    Raises:
        ReferenceValueError: ``reference.memory.unreadable``: a damaged memory is not taken for an empty one.
    """
    try:
        document = parse_document(data)
    except ReferenceValueError:
        document = {}
    seen = document.get("seen")
    if document.keys() != {"v", "seen"} or document["v"] != 1 or not isinstance(seen, dict):
        raise _unreadable()
    return {name: _seen(each) for name, each in seen.items()}


def _seen(document: Any) -> Seen:
    if not isinstance(document, dict) or document.keys() != {"version", "digest"}:
        raise _unreadable()
    version, digest = document["version"], document["digest"]
    if type(version) is not int or version < 1:
        raise _unreadable()
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _unreadable()
    return Seen(version, bytes.fromhex(digest))


def _unreadable() -> ReferenceValueError:
    return ReferenceValueError(
        "reference.memory.unreadable",
        "The file that remembers the newest Reference Values is damaged.",
        action="Restore it from a backup; without it a rollback to before today cannot be noticed.",
    )
