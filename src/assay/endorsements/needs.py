"""From what a verifier says it needs to what a publisher can be asked for.

The values come from evidence that nobody has authenticated. They select among known services and documents;
a value of another form than its service takes is refused before anything is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.endorsements import amd_kds, azure_thim, google, intel_pcs, jwks, nvidia, revocation_lists
from assay.endorsements.record import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.endorsements.source import Source
    from assay.evidence.verification import Need

SOURCES: Final[tuple[Source, ...]] = (
    *intel_pcs.SOURCES,
    *amd_kds.SOURCES,
    *azure_thim.SOURCES,
    *google.SOURCES,
    *jwks.SOURCES,
    *nvidia.SOURCES,
    *revocation_lists.SOURCES,
)

# A report of version 2 names no product; its layout is that of these two.
_UNNAMED: Final = ("Milan", "Genoa")
_LEVELS: Final = ("fmc", "bl", "tee", "snp", "ucode")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller decides where a need leaves it open.

    Attributes:
        update: Intel's channel: ``early``, ``standard``; empty for the service's own.
        number: Intel's TCB evaluation data number instead of a channel; empty for none.
        instance_metadata: Ask Azure's instance metadata for the certificate of this machine's chip, not AMD.
        lists: Ask for what authorities of attestation keys and token signers revoked. Evidence verifies
            without, and only a policy can demand it.
    """

    update: str = ""
    number: str = ""
    instance_metadata: bool = False
    lists: bool = True

    def unmet(self, needs: Iterable[Need]) -> tuple[Need, ...]:
        """Return the needs that somebody publishes and that the caller does not leave out."""
        asked = (need for need in needs if self.lists or need.kind != revocation_lists.LIST)
        return tuple(need for need in asked if can_be_fetched(need))


def by_kind() -> Mapping[str, Source]:
    """Return every source by each kind that it fetches."""
    return {kind: source for source in SOURCES for kind in source.kinds}


def wanted_of(needs: Iterable[Need], choices: Choices) -> tuple[Wanted, ...]:
    """Return what can be fetched for needs; those that nobody publishes (a binding, a log) are left out.

    Raises:
        EndorsementError: ``endorsements.wanted.malformed`` when a need does not say what it is about.
    """
    found: dict[Wanted, None] = {}
    for need in needs:
        for wanted in _wanted(need.kind, need.key, choices):
            found[wanted] = None
    return tuple(found)


def can_be_fetched(need: Need) -> bool:
    """Return whether a need is of a kind that somebody publishes."""
    return need.kind in _KINDS


def _wanted(kind: str, key: Mapping[str, str], choices: Choices) -> Iterable[Wanted]:
    if kind == "collateral":
        named = {name: key.get(name, "") for name in ("tee", "fmspc", "ca")}
        yield Wanted.of(intel_pcs.COLLATERAL, **named, update=choices.update, number=choices.number)
    elif kind in _SNP:
        for product in (key["product"],) if key.get("product") else _UNNAMED:
            yield from _snp(kind, key, product, choices)
    elif kind == "jwks":
        yield Wanted.of(jwks.JWKS, issuer=key.get("issuer", ""))
    elif kind == "ocsp":
        yield Wanted.of(nvidia.OCSP, chain=key.get("chain", ""))
    elif kind == "rim":
        yield Wanted.of(nvidia.RIM, id=key.get("id", ""))
    elif kind == revocation_lists.LIST and choices.lists:
        named = {name: key.get(name, "") for name in ("at", "chain", "issuer", "vendor")}
        yield Wanted.of(revocation_lists.LIST, **named)


def _snp(kind: str, key: Mapping[str, str], product: str, choices: Choices) -> Iterable[Wanted]:
    """Return certificate, chain and list for a need of one of them: each rests on the others."""
    signer = key.get("kind", "")
    if kind == "snp-vek":
        chip = {name: key.get(name, "") for name in _LEVELS}
        vek = azure_thim.THIM if choices.instance_metadata else amd_kds.VEK
        yield Wanted.of(vek, kind=signer, product=product, chip_id=key.get("chip_id", ""), **chip)
    if kind != "snp-crl":
        yield Wanted.of(amd_kds.CHAIN, kind=signer, product=product)
    yield Wanted.of(amd_kds.CRL, kind=signer, product=product)


_SNP: Final = frozenset({"snp-vek", "snp-chain", "snp-crl"})
_KINDS: Final = frozenset({"collateral", "jwks", "ocsp", "rim", revocation_lists.LIST}) | _SNP
