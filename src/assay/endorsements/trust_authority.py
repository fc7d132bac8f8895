"""Intel Trust Authority: the keys of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from assay.endorsements.services import Place
    from assay.endorsements.source import Access

ISSUER: Final = "https://portal.trustauthority.intel.com"


@dataclass(frozen=True, slots=True)
class TrustAuthority:
    """The one issuer, with its keys at ``/certs``."""

    def is_of(self, issuer: str) -> bool:
        """Return whether an issuer is Intel Trust Authority."""
        return issuer == ISSUER

    def host(self, issuer: str, access: Access) -> str:
        """Return its host."""
        return self.place(issuer, access)[0].authority

    def place(self, issuer: str, access: Access) -> tuple[Place, tuple[str, ...]]:  # noqa: ARG002 - the interface
        """Return where its keys are."""
        return access.services.place("trust-authority", "/certs"), ()
