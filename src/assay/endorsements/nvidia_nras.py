"""NVIDIA's Remote Attestation Service: the keys of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from assay.endorsements.services import Place
    from assay.endorsements.source import Access

ISSUER: Final = "https://nras.attestation.nvidia.com"


@dataclass(frozen=True, slots=True)
class RemoteAttestation:
    """The one issuer, with its keys at ``/.well-known/jwks.json``."""

    def is_of(self, issuer: str) -> bool:
        """Return whether an issuer is the Remote Attestation Service."""
        return issuer == ISSUER

    def host(self, issuer: str, access: Access) -> str:
        """Return its host."""
        return self.place(issuer, access)[0].authority

    def place(self, issuer: str, access: Access) -> tuple[Place, tuple[str, ...]]:  # noqa: ARG002 - the interface
        """Return where its keys are."""
        return access.services.place("nvidia-nras", "/.well-known/jwks.json"), ()
