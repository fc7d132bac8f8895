"""PE images, unified kernel images and kernels as QEMU fills them in."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.pe import authenticode
from assay.reference.qemu_kernel import patched_digest
from assay.reference.uki import measure
from support.reference_pe import linux_kernel, pe, uki

SEEDS = [
    pe([(".text", b"x" * 10)], certificates=b"signature"),
    pe([(".text", b"x")], plus=False),
    linux_kernel(size=512),
    uki(kernel=pe([(".text", b"kernel")])),
]


def target(data: bytes) -> None:
    """Take the input as either."""
    for work in (
        measure,
        lambda artefact: authenticode(artefact, "sha384"),
        lambda artefact: patched_digest(artefact, 4096, 1 << 30),
    ):
        try:
            work(Artefact.of(data))
        except ReferenceValueError:
            continue
