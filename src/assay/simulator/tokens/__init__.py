"""Simulated token services: Google's attestation, Azure Attestation, Intel Trust Authority and NVIDIA's NRAS.

    services = TokenServices(ServiceKeys(installation.secret, directory))
    token = services.confidential_space(now, nonces=["..."], audience="...", kind="pki").sign()
    endorsements = services.endorsements("confidential-space")
    roots = roots.with_anchor("mine", services.root.der, vendor="google-confidential-space")

Each has its own keys, made for the installation, and issues tokens of the real layout: they differ from real
ones in nothing but the keys. A draft may be changed before it is signed, and its bytes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from assay.evidence.confidential_space.verify import ISSUER as GOOGLE
from assay.evidence.jose import JwksEndorsements
from assay.evidence.nras.verify import ISSUER as NVIDIA
from assay.simulator.tokens import chain
from assay.simulator.tokens.keys import ServiceKeys
from assay.simulator.tokens.nras import NrasDraft
from assay.simulator.tokens.payloads import (
    confidential_space_claims,
    maa_claims,
    nras_claims,
    nras_device_claims,
    trust_authority_claims,
)
from assay.simulator.tokens.signing import TokenDraft, jwk, key_id, key_set

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assay.simulator.tokens.signing import PrivateKey

Service = Literal["confidential-space", "maa", "trust-authority", "nras"]
MAA: Final = "https://simulated.weu.attest.azure.net"
INTEL: Final = "https://portal.trustauthority.intel.com"
_ISSUERS: Final[dict[Service, str]] = {
    "confidential-space": GOOGLE,
    "maa": MAA,
    "trust-authority": INTEL,
    "nras": NVIDIA,
}
_ALGORITHMS: Final[dict[Service, str]] = {
    "confidential-space": "RS256",
    "maa": "RS256",
    "trust-authority": "PS384",
    "nras": "ES384",
}


@dataclass(frozen=True)
class TokenServices:
    """The simulated services of one installation.

    Args:
        keys: Their keys.
    """

    keys: ServiceKeys

    @cached_property
    def root(self) -> chain.Issued:
        """The root of the PKI tokens."""
        return chain.self_signed(
            chain.ROOT, self.keys.rsa_key("confidential-space-root", self.keys.authority_bits)
        )

    @cached_property
    def intermediate(self) -> chain.Issued:
        """Issues the leaf certificates."""
        key = self.keys.rsa_key("confidential-space-intermediate", self.keys.authority_bits)
        return self.root.issue(chain.INTERMEDIATE, key)

    @cached_property
    def leaf(self) -> chain.Issued:
        """Signs PKI tokens."""
        return self.intermediate.issue(chain.LEAF, self.keys.rsa_key("confidential-space-leaf"))

    @property
    def has_root(self) -> bool:
        """Whether the root of the PKI tokens was made before."""
        return self.keys.has_rsa_key("confidential-space-root")

    def has_key(self, service: Service) -> bool:
        """Return whether the key that the service publishes was made before; a derived one always is."""
        return service == "nras" or self.keys.has_rsa_key(service)

    def key(self, service: Service) -> PrivateKey:
        """Return the key whose public half the service publishes."""
        if service == "nras":
            return self.keys.p384_key("nras")
        return self.keys.rsa_key(service, 3072 if service == "trust-authority" else 2048)

    def key_set(self, service: Service) -> bytes:
        """Return the key set that the service publishes."""
        key = self.key(service)
        return key_set([jwk(key, _ALGORITHMS[service], key_id(key))])

    def endorsements(self, service: Service) -> JwksEndorsements:
        """Return the key set as a verifier takes it."""
        return JwksEndorsements(self.key_set(service), _ISSUERS[service])

    def draft(self, service: Service, claims: dict[str, Any], **header: Any) -> TokenDraft:
        """Return a token of the service with these claims.

        Args:
            service: Who signs.
            claims: What it says.
            **header: Members of the header besides ``alg``, ``kid`` and ``typ``.
        """
        key, algorithm = self.key(service), _ALGORITHMS[service]
        return TokenDraft(
            {"alg": algorithm, "kid": key_id(key), "typ": "JWT"} | header, claims, key, algorithm
        )

    def confidential_space(
        self,
        now: datetime,
        *,
        nonces: Sequence[str] = (),
        audience: str = "https://assay.example",
        kind: Literal["oidc", "pki"] = "oidc",
        pem: bool = False,
    ) -> TokenDraft:
        """Return a token of a workload in Confidential Space.

        Args:
            now: When it is issued.
            nonces: One becomes a text, several an array, as the service has it.
            audience: For whom.
            kind: Whether a published key or a chain vouches for it.
            pem: Whether the chain is written as PEM texts.
        """
        claims = confidential_space_claims(int(now.timestamp()), GOOGLE, audience, nonces)
        draft = self.draft("confidential-space", claims)
        if kind == "pki":
            links = (self.leaf, self.intermediate, self.root)
            draft.header = {
                "alg": "RS256",
                "kid": key_id(self.leaf.key),
                "typ": "JWT",
                "x5c": [link.text(pem=pem) for link in links],
            }
            draft.key = self.leaf.key
        return draft

    def maa(self, now: datetime, *, nonce: bytes = b"", report_data: bytes | None = None) -> TokenDraft:
        """Return a token of an Azure guest, or of the SNP machine itself when report data are given.

        Args:
            now: When it is issued.
            nonce: What the client put into the runtime data of a guest's token.
            report_data: 64 bytes that the machine itself put in.
        """
        return self.draft(
            "maa", maa_claims(int(now.timestamp()), MAA, nonce, report_data), jku=f"{MAA}/certs"
        )

    def trust_authority(self, now: datetime, *, held: bytes = b"", version: int = 1) -> TokenDraft:
        """Return a token of a trust domain.

        Args:
            now: When it is issued.
            held: What the attester committed to besides the service's nonce.
            version: 1 has flat claims, 2 an object for each attester.
        """
        claims = trust_authority_claims(int(now.timestamp()), INTEL, held, version)
        return self.draft("trust-authority", claims, jku=f"{INTEL}/certs")

    def nras(self, now: datetime, *, nonce: bytes, devices: int = 1) -> NrasDraft:
        """Return an answer about GPUs.

        Args:
            now: When it is issued.
            nonce: What the devices answered, 32 bytes.
            devices: How many there are.
        """
        at = int(now.timestamp())
        drafts = {
            f"GPU-{index}": self.draft("nras", nras_device_claims(at, NVIDIA, nonce, index))
            for index in range(devices)
        }
        return NrasDraft(self.draft("nras", nras_claims(at, NVIDIA, nonce)), drafts)


__all__ = ["ServiceKeys", "TokenDraft", "TokenServices"]
