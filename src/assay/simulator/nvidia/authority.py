"""The authorities of a simulated NVIDIA: for devices, for manifests, and the OCSP responder of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from assay.simulator.nvidia import pki
from assay.simulator.pki import derive_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.simulator.intel import Installation

SECRET_BYTES = 32


@dataclass(frozen=True)
class SimulatedNvidia:
    """One simulated NVIDIA: a root for devices, a root for manifests, and everything below them.

    Args:
        secret: 32 random bytes from which every key is derived.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, installation: Installation) -> SimulatedNvidia:
        """Return the simulated NVIDIA of an installation."""
        return cls(derive_bytes(installation.secret, "nvidia", SECRET_BYTES))

    def key(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Return the key of this name."""
        return pki.derive_key(self.secret, label)

    @cached_property
    def device_root(self) -> pki.Issued:
        """The root of device certificates."""
        return pki.self_signed(pki.Profile("NVIDIA Device Identity CA"), self.key("device root"))

    @cached_property
    def manifest_root(self) -> pki.Issued:
        """The root of manifests' signers."""
        return pki.self_signed(pki.Profile("NVIDIA CoRIM signing Root CA"), self.key("manifest root"))

    @lru_cache(maxsize=64)  # noqa: B019 - a few installations in one process, and the values are theirs alone
    def authorities(self, chip: str) -> tuple[pki.Issued, pki.Issued]:
        """Return identity and provisioning authority for a chip."""
        identity = self.device_root.issue(
            pki.Profile(f"NVIDIA {chip} Identity"), self.key(f"identity {chip}")
        )
        return identity, identity.issue(
            pki.Profile(f"NVIDIA {chip} Provisioner ICA 1"), self.key(f"provisioner {chip}")
        )

    @lru_cache(maxsize=64)  # noqa: B019 - the same
    def manifest_authorities(self, product: str) -> tuple[pki.Issued, pki.Issued]:
        """Return family's and issuing authority for the manifests of a product."""
        family = self.manifest_root.issue(
            pki.Profile(f"NVIDIA Reference Value {product} CA"), self.key(f"family {product}")
        )
        return family, family.issue(
            pki.Profile(f"NVIDIA Reference Value L3 {product} 001"), self.key(f"issuing {product}")
        )

    @lru_cache(maxsize=256)  # noqa: B019 - the same
    def responder(self, issuer: pki.Issued) -> pki.Issued:
        """Return the OCSP responder that an authority certified."""
        label = hashlib.sha256(issuer.der).hexdigest()
        profile = pki.Profile(
            "NVIDIA OCSP responder", authority=None, usage=pki.SIGNER_USAGE, ocsp_signing=True
        )
        return issuer.issue(profile, self.key(f"responder {label}"))

    @property
    def anchors(self) -> Sequence[tuple[str, bytes, str]]:
        """Name, DER and vendor of both roots, for ``Roots.with_anchor``."""
        return tuple(
            (f"simulated {title} root {hashlib.sha256(root.der).hexdigest()[:16]}", root.der, vendor)
            for title, root, vendor in (
                ("NVIDIA device", self.device_root, "nvidia"),
                ("NVIDIA manifest", self.manifest_root, "nvidia-rim"),
            )
        )
