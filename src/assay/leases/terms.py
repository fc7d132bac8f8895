"""What a lease is to be: where, for how long, under which policy. Decided before anything is created."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.appraisal.policy import SHIPPED, Policy
from assay.errors import LeaseError, PolicyError, SettingsError, UsageError
from assay.workload.manifest import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.providers.interface import Offer, Provider
    from assay.settings.resolve import Settings

_TARGET: Final = re.compile(
    r"(?P<provider>[a-z][a-z0-9-]{0,31})(?::(?P<machine>[A-Za-z0-9][\w.-]{0,63}))?(?:/(?P<platform>[a-z][a-z0-9_]{0,31}))?\Z"
)
MAX_POLICY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """What ``--on`` names.

    Attributes:
        provider: Name of the provider.
        machine: Machine kind; None for the provider's first.
        platform: Attestation platform; None for that of the offer.
    """

    provider: str
    machine: str | None
    platform: str | None


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of one lease and of what runs on it.

    Attributes:
        ttl_seconds: Time to live.
        idle_seconds: Idle limit.
        limits: Limits of the workload.
        gate_seconds: How long a check that could not be made is tried again.
    """

    ttl_seconds: int
    idle_seconds: int
    limits: Limits
    gate_seconds: int


def parse_target(text: str | None, known: Iterable[str]) -> Target:
    """Return what ``--on`` names.

    Args:
        text: The setting; None when nobody chose.
        known: Names of the providers that are built.

    Raises:
        UsageError: ``lease.on.missing``, ``lease.on.malformed``.
    """
    names = ", ".join(known)
    if text is None:
        raise UsageError(
            "lease.on.missing",
            f"Nothing says where to lease a machine. Providers: {names}.",
            action="--on PROVIDER[:MACHINE][/PLATFORM], or 'on' in your own settings file.",
        )
    match = _TARGET.match(text)
    if match is None:
        raise UsageError(
            "lease.on.malformed",
            f"{text[:80]!r} does not say where: PROVIDER[:MACHINE][/PLATFORM]. Providers: {names}.",
        )
    return Target(match["provider"], match["machine"], match["platform"])


def choose(provider: Provider, target: Target) -> Offer:
    """Return the provider's offer that the target names: its first when it names none.

    Raises:
        LeaseError: ``lease.offer.none``.
    """
    offers = provider.offers()
    for offer in offers:
        if target.machine in (None, offer.machine) and target.platform in (None, offer.platform):
            return offer
    listed = ", ".join(f"{offer.provider}:{offer.machine}/{offer.platform}" for offer in offers)
    raise LeaseError(
        "lease.offer.none",
        f"{target.provider} does not offer what was asked for. It offers: {listed or 'nothing now'}.",
    )


def of_settings(settings: Settings) -> Terms:
    """Return the terms that the settings name; a time limit is never longer than the lease."""
    ttl = settings.number("ttl")
    limit = settings.number_or_none("time_limit")
    return Terms(
        ttl_seconds=ttl,
        idle_seconds=min(settings.number("idle"), ttl),
        limits=Limits(
            time_seconds=min(limit or ttl, ttl),
            memory_bytes=settings.number("limits.memory"),
            output_bytes=settings.number("limits.output"),
            ttl_seconds=ttl,
            disk_bytes=settings.number("limits.disk"),
            processes=settings.number("limits.processes"),
        ),
        gate_seconds=settings.number("gate.budget"),
    )


def _policy_file(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise PolicyError(
            "policy.file.unreadable", f"The policy {path} cannot be read: {error.strerror}."
        ) from None
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError("policy.file.size", f"The policy {path} is longer than {MAX_POLICY_BYTES} bytes.")
    return Policy.load(data, name=path.stem)


def _repository_policy(root: Path, path: Path) -> Policy:
    """Return a policy of a repository's own, read from a regular file inside it.

    Raises:
        SettingsError: ``settings.repository.policy`` for one that a link leads out to, or that is no file: a
            terminal or a pipe would be read from, and wait for ever.
    """
    if not (path.resolve().is_relative_to(root.resolve()) and (path.is_file() or not path.exists())):
        raise SettingsError(
            "settings.repository.policy",
            f"The policy {path}, which the repository adds, is not a file inside of it.",
            action="Look at what the repository's assay.toml names; nothing was created.",
        )
    return _policy_file(path)


def policy(settings: Settings, default: str) -> Policy:
    """Return everything that must hold: the chosen policy, and each added one as well.

    Args:
        settings: ``policy``, ``require.policies``, and the repository's own policies.
        default: The provider's policy, for when none was chosen.

    Raises:
        PolicyError: When one cannot be loaded, or the chosen one does not say what code may run.
        SettingsError: ``settings.repository.policy``.
    """
    name = settings.text("policy") or default
    chosen = Policy.shipped(name) if name in SHIPPED else _policy_file(Path(name))
    chosen = chosen.for_gate()
    for name in settings.names("require.policies"):
        chosen = chosen.tighten(_policy_file(Path(name)))
    if settings.repository is not None:
        for path in settings.repository_policies:
            chosen = chosen.tighten(_repository_policy(settings.repository.parent, path))
    return chosen
