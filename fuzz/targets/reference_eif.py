"""Enclave images, and the signature section inside them."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.eif import measure_image
from support.eif_images import PARTS, SIGNATURE, ImageDraft, signature

PLAIN = ImageDraft().encode()
PCR0 = measure_image(Artefact.of(PLAIN)).pcr0
SECTION = signature(PCR0)
SEEDS = [PLAIN, ImageDraft([*PARTS, (SIGNATURE, SECTION)]).encode(), SECTION]


def target(data: bytes) -> None:
    """Take the input as an image, and as the signature of one whose CRC is right."""
    for image in (data, ImageDraft([*PARTS, (SIGNATURE, data)]).encode()):
        try:
            found = measure_image(Artefact.of(image))
        except ReferenceValueError:
            continue
        if image is not data and found.signer is not None and found.pcr0 != PCR0:
            raise AssertionError("a signature verifies for another image")
