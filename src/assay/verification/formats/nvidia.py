"""Reports of NVIDIA GPUs and switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.endorsements.nvidia import NONCE_PART, OCSP, RESPONSE_PART, chain_of
from assay.errors import EndorsementError
from assay.evidence.decoding.pem import PemError
from assay.evidence.nvidia import NvidiaEndorsements, verify_nvidia
from assay.evidence.nvidia.chains import device_certificates
from assay.evidence.ocsp import HoldPolicy, OcspReply
from assay.evidence.roots import NVIDIA
from assay.evidence.verification import Expected
from assay.reference.rim import verify_rim
from assay.reference.rim.manifest import RimError, read_manifest
from assay.verification.formats import Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assay.evidence.nvidia.golden import GoldenMeasurements
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

MAX_MANIFESTS: Final = 64
MAX_REPLIES: Final = 512
_XML: Final = (b"<?xml", b"<SoftwareIdentity", b"<ns0:SoftwareIdentity")


def _verify(evidence: bytes, endorsements: NvidiaEndorsements | None, given: Given) -> EvidenceResult[Any]:
    return verify_nvidia(
        evidence,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        facts=given.facts,
    )


def _endorse(materials: Materials, first: EvidenceResult[Any], given: Given) -> NvidiaEndorsements | None:
    """Return the answers about certificates, and the manifests that verify with them."""
    kinds = {need.kind for need in first.needs}
    if kinds.isdisjoint(("ocsp", "rim", "chain")):
        return None
    replies = _replies(materials)
    golden = tuple(_golden(materials, replies, given))
    chain = _chain(materials, given) if "chain" in kinds else b""
    if not replies and not chain:  # without answers no manifest verifies either
        return None
    # A manifest does not say in one word what it is about: it is chosen by version, which only one can have.
    return NvidiaEndorsements(
        chain=chain, ocsp=tuple(replies.values())[:MAX_REPLIES], drivers=golden, firmware=golden
    )


def _chain(materials: Materials, given: Given) -> bytes:
    """Return the file that holds a device's certificates up to a root of devices; empty without one."""
    anchors = {root.der for root in given.roots.of(NVIDIA)}
    for _, data in sorted(materials.files.items()):
        try:
            found = device_certificates(data)
        except PemError:
            continue
        if found[-1] in anchors:
            return data
    return b""


def _replies(materials: Materials) -> dict[bytes, OcspReply]:
    """Return the answers about certificates, by the certificate in question."""
    found: dict[bytes, OcspReply] = {}
    for each in materials.endorsements(OCSP):
        try:
            subject = chain_of(each.wanted)[0].der
            nonce = Expected(each.parts[NONCE_PART])
            found[subject] = OcspReply(each.parts[RESPONSE_PART], nonce)
        except (EndorsementError, KeyError):
            continue
    return found


def _golden(
    materials: Materials, replies: Mapping[bytes, OcspReply], given: Given
) -> Iterator[GoldenMeasurements]:
    """Return the values of every manifest that verifies with the answers about its own certificates."""
    manifests = [data for _, data in sorted(materials.files.items()) if data.lstrip().startswith(_XML)]
    for data in manifests[:MAX_MANIFESTS]:
        try:
            signers = read_manifest(data).certificates
        except RimError:
            continue
        found = verify_rim(
            data,
            ocsp=[replies[der] for der in signers if der in replies],
            roots=given.roots,
            now=given.now,
            hold=HoldPolicy.REFUSE,
            facts=given.facts,
        )
        if found.verified:
            yield found.golden


FORMATS: Final = {"nvidia-gpu": Format("NVIDIA GPU report", None, _verify, _endorse)}
