"""A manifest's own content: a SWID tag with meta data, golden measurements and one enveloped signature.

SoftwareIdentity  name, tagId, version
Entity
Meta            colloquialVersion, product, edition
Payload         Resource: type Measurement, index, active, alternatives, SHA384:Hash0 .., size
Signature       SignedInfo, SignatureValue, KeyInfo
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import ReferenceValueError
from assay.reference.rim import checks
from assay.reference.rim.xml import Element, XmlError, canonical, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.evidence.ledger import CheckSpec

SWID: Final = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
SHA384: Final = "http://www.w3.org/2001/04/xmlenc#sha384"
C14N11: Final = "http://www.w3.org/2006/12/xml-c14n11"
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
ECDSA_SHA384: Final = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
DIGEST_SHA384: Final = "http://www.w3.org/2001/04/xmldsig-more#sha384"
SIGNATURE_BYTES: Final = 96
DIGEST_BYTES: Final = 48
CERTIFICATES: Final = 4
_MOST_MEASUREMENTS: Final = 256
_LONGEST_CERTIFICATE: Final = 8192
_LONGEST_TEXT: Final = 128
_HASH: Final = re.compile(r"[0-9A-Fa-f]{96}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_SPACE: Final = "\t\n\r "


class RimError(ReferenceValueError):
    """A manifest that cannot be read.

    Args:
        spec: The check that it fails; its id is the code.
        message: A sentence for a person.
    """

    def __init__(self, spec: CheckSpec, message: str) -> None:
        super().__init__(spec.id, message)
        self.spec = spec

    def __reduce__(self) -> tuple[type[RimError], tuple[CheckSpec, str]]:
        return (RimError, (self.spec, self.message))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One decoded manifest; nothing about it is verified.

    Attributes:
        name: Name of the tag, such as ``GH100``.
        tag_id: Identifies the tag.
        version: Version of the tag.
        colloquial_version: Version of what it is about.
        product: The chip.
        edition: ``GPU`` or ``SWITCH``.
        values: Index -> its values, 48 bytes each, the inactive ones included.
        active: The indices that are active.
        content: The canonical form without the signature: what is digested.
        signed_info: The canonical form of the signature's information: what is signed.
        digest: The digest that is signed, 48 bytes.
        signature: r || s, 96 bytes, big-endian.
        certificates: DER of the four certificates, signer first.
    """

    name: str
    tag_id: str
    version: str
    colloquial_version: str
    product: str
    edition: str
    values: Mapping[int, frozenset[bytes]]
    active: frozenset[int]
    content: bytes
    signed_info: bytes
    digest: bytes
    signature: bytes
    certificates: tuple[bytes, ...]


def read_manifest(data: bytes) -> Manifest:
    """Decode one manifest.

    Args:
        data: UTF-8, at most 1 MiB.

    Raises:
        RimError: It is none; says which check that fails.
    """
    try:
        root = parse(data)
        return _manifest(root)
    except XmlError as error:
        raise RimError(checks.XML, error.message) from None


def _manifest(root: Element) -> Manifest:
    if root.name != (SWID, "SoftwareIdentity"):
        raise RimError(checks.LAYOUT, "The document is no SWID tag.")
    expected = ((SWID, "Entity"), (SWID, "Meta"), (SWID, "Payload"), (DSIG, "Signature"))
    _, meta, payload, signature = _only(checks.LAYOUT, root, expected)
    name, tag_id, version = (_attribute(root, each) for each in ("name", "tagId", "version"))
    colloquial, product, edition = (
        _attribute(meta, each) for each in ("colloquialVersion", "product", "edition")
    )
    resources = _only(checks.LAYOUT, payload, [(SWID, "Resource")] * len(payload.elements()))
    # In the order of the checks: what fails one of them has passed those before it.
    info, value, keys = _only(
        checks.FORM, signature, ((DSIG, "SignedInfo"), (DSIG, "SignatureValue"), (DSIG, "KeyInfo"))
    )
    digest = _signed_info(info)
    signed = _base64(checks.FORM, value, SIGNATURE_BYTES, SIGNATURE_BYTES)
    values, active = _measurements(resources)
    return Manifest(
        name=name,
        tag_id=tag_id,
        version=version,
        colloquial_version=colloquial,
        product=product,
        edition=edition,
        values=values,
        active=active,
        content=canonical(root, without=signature),
        signed_info=canonical(info),
        digest=digest,
        signature=signed,
        certificates=_certificates(keys),
    )


def _only(spec: CheckSpec, element: Element, names: Sequence[tuple[str, str]]) -> list[Element]:
    """Return the elements directly below, which must be these, in order, with nothing but space between."""
    found = element.elements()
    space = all(not child.strip(_SPACE) for child in element.children if isinstance(child, str))
    if not space or [child.name for child in found] != list(names):
        raise RimError(spec, f"The element {element.name[1]} does not hold what it must, and only that.")
    return found


def _attribute(element: Element, name: str) -> str:
    found = element.get(name)
    if not found or len(found) > _LONGEST_TEXT or not found.isascii() or not found.isprintable():
        raise RimError(checks.LAYOUT, f"The attribute {name} is missing or no short text.")
    return found


def _algorithm(element: Element, expected: str) -> None:
    if {key: value for key, (_, value) in element.attributes.items()} != {("", "Algorithm"): expected}:
        raise RimError(checks.FORM, f"The element {element.name[1]} names another algorithm.")
    _only(checks.FORM, element, ())


def _signed_info(info: Element) -> bytes:
    """Demand the one form of signature that manifests have, and return the digest in it."""
    method, signing, reference = _only(
        checks.FORM,
        info,
        ((DSIG, "CanonicalizationMethod"), (DSIG, "SignatureMethod"), (DSIG, "Reference")),
    )
    _algorithm(method, C14N11)
    _algorithm(signing, ECDSA_SHA384)
    if {key: value for key, (_, value) in reference.attributes.items()} != {("", "URI"): ""}:
        raise RimError(checks.FORM, "The signature is about something else than the whole document.")
    transforms, digesting, digest = _only(
        checks.FORM, reference, ((DSIG, "Transforms"), (DSIG, "DigestMethod"), (DSIG, "DigestValue"))
    )
    enveloped, canonicalizing = _only(checks.FORM, transforms, ((DSIG, "Transform"),) * 2)
    _algorithm(enveloped, ENVELOPED)
    _algorithm(canonicalizing, C14N11)
    _algorithm(digesting, DIGEST_SHA384)
    return _base64(checks.FORM, digest, DIGEST_BYTES, DIGEST_BYTES)


def _certificates(keys: Element) -> tuple[bytes, ...]:
    (data,) = _only(checks.CHAIN_LAYOUT, keys, ((DSIG, "X509Data"),))
    found = _only(checks.CHAIN_LAYOUT, data, ((DSIG, "X509Certificate"),) * CERTIFICATES)
    return tuple(_base64(checks.CHAIN_LAYOUT, item, 1, _LONGEST_CERTIFICATE) for item in found)


def _base64(spec: CheckSpec, element: Element, least: int, most: int) -> bytes:
    """Return the bytes of canonical base64; line ends and spaces may stand in it."""
    text = element.text().translate({ord(space): None for space in _SPACE})
    try:
        found = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RimError(spec, f"The element {element.name[1]} is not base64.") from None
    if element.attributes or not least <= len(found) <= most or b64encode(found).decode() != text:
        raise RimError(spec, f"The element {element.name[1]} has another size, or is not canonical base64.")
    return found


def _measurements(items: Sequence[Element]) -> tuple[dict[int, frozenset[bytes]], frozenset[int]]:
    spec = checks.MEASUREMENTS
    if len(items) > _MOST_MEASUREMENTS:
        raise RimError(spec, f"A manifest lists at most {_MOST_MEASUREMENTS} measurements, not {len(items)}.")
    values: dict[int, frozenset[bytes]] = {}
    active: set[int] = set()
    for item in items:
        index = item.get("index") or ""
        state = item.get("active")
        if item.get("type") != "Measurement" or not _NUMBER.fullmatch(index) or int(index) in values:
            raise RimError(spec, "A measurement has no index of its own.")
        if state not in ("True", "False") or item.get("size") != str(DIGEST_BYTES):
            raise RimError(spec, f"Measurement {index} does not say whether it is active, or its size.")
        values[int(index)] = _alternatives(item, index)
        if state == "True":
            active.add(int(index))
    if not active:
        raise RimError(spec, "No measurement of the manifest is active.")
    return values, frozenset(active)


def _alternatives(item: Element, index: str) -> frozenset[bytes]:
    hashes = {key[1]: value for key, (_, value) in item.attributes.items() if key[0] == SHA384}
    number = item.get("alternatives") or ""
    count = int(number) if _NUMBER.fullmatch(number) else 0
    expected = {f"Hash{place}" for place in range(count)}
    if not expected or hashes.keys() != expected or not all(_HASH.fullmatch(v) for v in hashes.values()):
        raise RimError(
            checks.MEASUREMENTS, f"Measurement {index} does not have the SHA-384 values that it says."
        )
    return frozenset(bytes.fromhex(value) for value in hashes.values())
