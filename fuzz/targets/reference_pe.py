"""PE images and unified kernel images."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.pe import authenticode
from assay.reference.uki import measure
from support.reference_pe import pe, uki

SEEDS = [
    pe([(".text", b"x" * 10)], certificates=b"signature"),
    pe([(".text", b"x")], plus=False),
    uki(kernel=pe([(".text", b"kernel")])),
]


def target(data: bytes) -> None:
    """Take the input as either."""
    for work in (measure, lambda artefact: authenticode(artefact, "sha384")):
        try:
            work(Artefact.of(data))
        except ReferenceValueError:
            continue
