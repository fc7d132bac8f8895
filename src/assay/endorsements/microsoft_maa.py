"""Microsoft Azure Attestation: the keys of one instance, at the host that its tokens name as issuer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.endorsements.services import maa_place
from assay.errors import EndorsementError

if TYPE_CHECKING:
    from assay.endorsements.services import Place
    from assay.endorsements.source import Access


@dataclass(frozen=True, slots=True)
class Instance:
    """``https://NAME.REGION.attest.azure.net``; or one address that the caller put in place of all.

    Anybody can make an instance with a policy of their own. Which one is believed is the policy's word.
    """

    def is_of(self, issuer: str) -> bool:
        """Return whether an issuer is an instance."""
        try:
            return bool(maa_place(issuer))
        except EndorsementError:
            return False

    def host(self, issuer: str, access: Access) -> str:
        """Return the instance's host."""
        return self.place(issuer, access)[0].authority

    def place(self, issuer: str, access: Access) -> tuple[Place, tuple[str, ...]]:
        """Return where the instance's keys are."""
        return access.services.replaced("maa", "/certs") or maa_place(issuer), ()
