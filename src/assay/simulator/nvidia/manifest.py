"""Simulated reference integrity manifests: a SWID tag, signed as NVIDIA signs its own.

The tag is written in its canonical form to begin with, so that what is signed here owes nothing to the code
that canonicalizes when it is verified.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.simulator.nvidia import pki
from assay.simulator.nvidia.device import BLOCKS, CHIPS, FIRMWARE, measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.simulator.nvidia.authority import SimulatedNvidia

_SWID: Final = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
_DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_SHA384: Final = "http://www.w3.org/2001/04/xmlenc#sha384"
_C14N: Final = "http://www.w3.org/2006/12/xml-c14n11"
_ECDSA: Final = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
_DIGEST: Final = "http://www.w3.org/2001/04/xmldsig-more#sha384"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
# Measurements that the driver's manifest knows; the firmware's knows the others.
_DRIVER_INDICES: Final = frozenset(range(1, 22)) | {35}
SIZE: Final = 64


@dataclass(slots=True)
class ManifestDraft:
    """A manifest before it is signed; each field may be changed.

    Attributes:
        name: Name of the tag, and the product.
        version: Version of what it is about.
        edition: ``GPU`` or ``SWITCH``.
        values: Index -> whether it is active, and its values.
        chain: Certificates, signer first.
        algorithms: Canonicalization, signature, the two transforms, digest.
        reference: The URI that the signature refers to.
        before_signing: Changes the canonical tag before it is digested.
        after_digest: Changes the canonical information before it is signed.
        after: Changes the signed document.
    """

    name: str
    version: str
    edition: str
    values: dict[int, tuple[bool, tuple[bytes, ...]]]
    chain: list[pki.Issued]
    algorithms: tuple[str, str, str, str, str] = (_C14N, _ECDSA, _ENVELOPED, _C14N, _DIGEST)
    reference: str = ""
    before_signing: Callable[[str], str] = str
    after_digest: Callable[[str], str] = str
    after: Callable[[bytes], bytes] = bytes

    def _resources(self) -> str:
        lines = []
        for index, (active, values) in self.values.items():
            hashes = "".join(f' ns2:Hash{place}="{value.hex()}"' for place, value in enumerate(values))
            lines.append(
                f'<ns0:Resource active="{active}" alternatives="{len(values)}" index="{index}"'
                f' name="Measurement_{index}" size="48" type="Measurement"{hashes}></ns0:Resource>'
            )
        return "\n".join(lines)

    def _scope(self) -> str:
        return f' xmlns="{_SWID}" xmlns:ns0="{_SWID}" xmlns:ns2="{_SHA384}"'

    def tag(self) -> str:
        """Return the canonical tag without its signature."""
        tag_id = hashlib.sha384(f"{self.name} {self.version}".encode()).hexdigest()
        return (
            f'<SoftwareIdentity{self._scope()} corpus="false" name="{self.name}" tagId="{tag_id}"'
            f' version="1.0">\n<ns0:Entity name="NVIDIA Corporation" role="softwareCreator tagCreator">'
            f'</ns0:Entity>\n<ns0:Meta colloquialVersion="{self.version}" edition="{self.edition}"'
            f' product="{self.name}"></ns0:Meta>\n<ns0:Payload>\n{self._resources()}\n</ns0:Payload>\n'
            "</SoftwareIdentity>"
        )

    def sign(self) -> bytes:
        """Return the signed document."""
        tag = self.before_signing(self.tag())
        digest = b64encode(hashlib.sha384(tag.encode()).digest()).decode()
        method, signing, first, second, digesting = self.algorithms
        content = (
            f'<ds:CanonicalizationMethod Algorithm="{method}"></ds:CanonicalizationMethod>'
            f'<ds:SignatureMethod Algorithm="{signing}"></ds:SignatureMethod>'
            f'<ds:Reference URI="{self.reference}"><ds:Transforms><ds:Transform Algorithm="{first}">'
            f'</ds:Transform><ds:Transform Algorithm="{second}"></ds:Transform></ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{digesting}"></ds:DigestMethod>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
        )
        content = self.after_digest(content)
        scope = f' xmlns="{_SWID}" xmlns:ds="{_DSIG}" xmlns:ns0="{_SWID}" xmlns:ns2="{_SHA384}"'
        signed = f"<ds:SignedInfo{scope}>{content}</ds:SignedInfo>"
        value = b64encode(pki.sign_raw(self.chain[0].key, signed.encode())).decode()
        keys = "".join(
            f"<ds:X509Certificate>{b64encode(issued.der).decode()}</ds:X509Certificate>"
            for issued in self.chain
        )
        signature = (
            f'<ds:Signature xmlns:ds="{_DSIG}"><ds:SignedInfo>{content}</ds:SignedInfo>'
            f"<ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>{keys}</ds:X509Data>"
            "</ds:KeyInfo></ds:Signature>"
        )
        end = "</SoftwareIdentity>"
        return self.after((tag.removesuffix(end) + signature + end).encode())


def signer_chain(
    nvidia: SimulatedNvidia, product: str, profile: pki.Profile | None = None
) -> list[pki.Issued]:
    """Return the chain of a product's signer."""
    family, issuing = nvidia.manifest_authorities(product)
    own = profile or signer_profile(product)
    signer = issuing.issue(own, nvidia.key(f"signer {product}"))
    return [signer, issuing, family, nvidia.manifest_root]


def signer_profile(product: str) -> pki.Profile:
    """Return what the certificate of a product's signer says."""
    return pki.Profile(f"NVIDIA Reference Value L4 {product}", authority=False, usage=pki.SIGNER_USAGE)


def manifest(nvidia: SimulatedNvidia, architecture: str, component: str, version: str = "") -> ManifestDraft:
    """Return the manifest of a component of simulated devices, before it is signed.

    Args:
        nvidia: Who signs it.
        architecture: ``HOPPER``, ``BLACKWELL`` or ``LS10``.
        component: ``driver`` or ``vbios``.
        version: Of the component; empty for the firmware that simulated devices have.
    """
    product = CHIPS[architecture].replace("_", "")
    mine = _DRIVER_INDICES if component == "driver" else frozenset(range(SIZE)) - _DRIVER_INDICES
    if architecture == "LS10":
        mine = frozenset(range(BLOCKS["LS10"]))
    values: dict[int, tuple[bool, tuple[bytes, ...]]] = {}
    for index in range(SIZE):
        value = measured(architecture, index) if index < BLOCKS[architecture] else bytes(48)
        values[index] = (index in mine and any(value), (hashlib.sha384(value).digest(), value))
    return ManifestDraft(
        name=product,
        version=version or FIRMWARE[architecture],
        edition="SWITCH" if architecture == "LS10" else "GPU",
        values=values,
        chain=signer_chain(nvidia, product),
    )
