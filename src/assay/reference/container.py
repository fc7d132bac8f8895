"""Container images and compose files: what names them in evidence.

An image is named by the digest of its manifest. An image layout (a directory with ``index.json``) holds it,
the configuration and the layers under their digests; all of them are hashed, since a digest that nobody
checked names nothing.

Source: OCI Image Format Specification 1.1, ``image-layout.md``, ``manifest.md``, ``image-index.md``;
dstack 0.6.0 (a compose file is named by the SHA-256 of its raw bytes).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.decoding import strictjson
from assay.reference.artefact import ArtefactDigest, open_artefact
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import NoReturn

    from assay.reference.artefact import Artefact

LARGEST_DOCUMENT: Final = 4 << 20
LARGEST_COMPOSE: Final = 2 << 20
MAX_MANIFESTS: Final = 128
MAX_LAYERS: Final = 256
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
_NAME = "org.opencontainers.image.ref.name"
MR_CONFIG_ID_BYTES: Final = 48
_COMPOSE_NOTE: Final = (
    "MRCONFIGID is that of guests that commit to the compose file alone; later forms commit to the"
    " application and its key provider too."
)


def measure_layout(directory: Path, *, name: str | None, system: str) -> Measured:
    """Measure an image in an image layout; the register is ``image_digest``, 32 bytes.

    Args:
        directory: The layout.
        name: Reference name of the image in ``index.json``; None when there is only one.
        system: Operating system and architecture: ``linux/amd64``.

    Raises:
        ReferenceValueError: ``reference.artefact.*``; ``reference.oci.layout``, ``reference.oci.choice``,
            ``reference.oci.digest`` when a blob is not what its name says.
    """
    index = _document(directory / "index.json")
    descriptor = _choose(_manifests(index), name, system)
    if descriptor.get("mediaType") in _INDEXES:
        inner = _blob_document(directory, descriptor)
        descriptor = _choose(_manifests(inner), None, system)
    if descriptor.get("mediaType") not in _MANIFESTS:
        _refuse("layout", "The image layout holds something else than a container image.")
    manifest = _blob_document(directory, descriptor)
    described = tuple(_check_blobs(directory, manifest))
    digest = _digest(descriptor)
    head = ArtefactDigest("manifest", digest.hex(), _size(descriptor), digest)
    return Measured(
        "confidential-space", {"image_digest": frozenset({digest})}, (head, *described), {"system": system}
    )


def measure_compose(compose: Artefact) -> Measured:
    """Measure an app-compose file of dstack; the registers are ``compose_hash`` and ``mr_config_id``.

    Raises:
        ReferenceValueError: ``reference.artefact.*``; ``reference.compose.malformed`` for what is no JSON
            object.
    """
    raw = compose.whole(LARGEST_COMPOSE)
    try:
        strictjson.parse_object(raw, max_bytes=LARGEST_COMPOSE)
    except EvidenceError as error:
        raise ReferenceValueError("reference.compose.malformed", error.message) from error
    digest = hashlib.sha256(raw).digest()
    committed = {form.ljust(MR_CONFIG_ID_BYTES, b"\0") for form in (digest, b"\1" + digest)}
    return Measured(
        "tdx",
        {"compose_hash": frozenset({digest}), "mr_config_id": frozenset(committed)},
        (compose.describe("compose"),),
        {},
        (_COMPOSE_NOTE,),
    )


def _check_blobs(directory: Path, manifest: dict[str, Any]) -> Iterator[ArtefactDigest]:
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        _refuse("layout", f"The image has no list of layers, or more than {MAX_LAYERS}.")
    for role, descriptor in (("config", manifest.get("config")), *(("layer", each) for each in layers)):
        digest, size = _digest(descriptor), _size(descriptor)
        with open_artefact(_blob(directory, digest)) as blob:
            found = blob.describe(role)
        if found.sha256 != digest or found.size != size:
            _refuse("digest", f"A {role} of the image is not what its name and size say.")
        yield found


def _choose(manifests: list[Any], name: str | None, system: str) -> dict[str, Any]:
    found = [each for each in manifests if isinstance(each, dict) and _fits(each, name, system)]
    if len(found) != 1:
        _refuse("choice", f"{len(found)} images of the layout fit the name and {system!a}; one has to.")
    return found[0]


def _fits(descriptor: dict[str, Any], name: str | None, system: str) -> bool:
    annotations = descriptor.get("annotations")
    if name is not None and (not isinstance(annotations, dict) or annotations.get(_NAME) != name):
        return False
    platform = descriptor.get("platform")
    if not isinstance(platform, dict):
        return True
    return f"{platform.get('os')}/{platform.get('architecture')}" == system


def _manifests(index: dict[str, Any]) -> list[Any]:
    manifests = index.get("manifests")
    if not isinstance(manifests, list) or not 1 <= len(manifests) <= MAX_MANIFESTS:
        _refuse("layout", f"The index names no image, or more than {MAX_MANIFESTS}.")
    return manifests


def _blob_document(directory: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    digest = _digest(descriptor)
    with open_artefact(_blob(directory, digest)) as blob:
        raw = blob.whole(LARGEST_DOCUMENT)
    if hashlib.sha256(raw).digest() != digest or len(raw) != _size(descriptor):
        _refuse("digest", "A manifest of the image is not what its name and size say.")
    return _parse(raw)


def _document(path: Path) -> dict[str, Any]:
    with open_artefact(path) as artefact:
        return _parse(artefact.whole(LARGEST_DOCUMENT))


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        return strictjson.parse_object(raw, max_bytes=LARGEST_DOCUMENT)
    except EvidenceError as error:
        raise ReferenceValueError("reference.oci.layout", error.message) from error


def _blob(directory: Path, digest: bytes) -> Path:
    return directory / "blobs" / "sha256" / digest.hex()


def _digest(descriptor: Any) -> bytes:
    text = descriptor.get("digest") if isinstance(descriptor, dict) else None
    match = _DIGEST.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        _refuse("layout", "A descriptor of the image does not name a SHA-256 digest.")
    return bytes.fromhex(match[1])


def _size(descriptor: dict[str, Any]) -> int:
    size = descriptor.get("size")
    if type(size) is not int or size < 0:
        _refuse("layout", "A descriptor of the image names no size.")
    return size


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.oci.{code}", message)
