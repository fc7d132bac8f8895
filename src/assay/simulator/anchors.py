"""The roots that an installation's simulated hardware ends in, one for each family of formats."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from assay.simulator.intel import Installation


@dataclass(frozen=True, slots=True)
class SimulatedAnchor:
    """One root of an installation.

    Attributes:
        vendor: The family of formats that it anchors, as ``assay.evidence.roots`` names it.
        name: A name that cannot be taken for a vendor's.
        der: The certificate, DER.
    """

    vendor: str
    name: str
    der: bytes


_VENDORS: Final = {
    "tdx": "intel",
    "sgx": "intel",
    "nitro": "aws",
    "nitro-tpm": "aws",
    "snp": "amd",
    "nvidia-gpu": "nvidia",
    "tpm": "tpm",
}


def anchors(
    installation: Installation, platforms: Collection[str] = tuple(_VENDORS)
) -> tuple[SimulatedAnchor, ...]:
    """Return the roots behind an installation's simulated evidence of these platforms, Intel's first.

    Args:
        installation: Whose.
        platforms: Names of platforms; those without a derived root are left out.
    """
    wanted = {_VENDORS[platform] for platform in platforms if platform in _VENDORS}
    found = []
    if "intel" in wanted:
        found.append(SimulatedAnchor("intel", installation.anchor_name, installation.root_der))
    if "aws" in wanted:
        from assay.simulator.nitro.hypervisor import SimulatedAws  # noqa: PLC0415 - for its platforms alone

        aws = SimulatedAws(installation)
        found.append(SimulatedAnchor("aws", aws.anchor_name, aws.root_der))
    if "amd" in wanted:
        from assay.simulator.amd.installation import SimulatedAmd  # noqa: PLC0415 - for its platforms alone

        for product, der in SimulatedAmd.of(installation).known_roots().items():
            mark = hashlib.sha256(der).hexdigest()[:16]
            found.append(SimulatedAnchor("amd", f"simulated AMD root for {product} {mark}", der))
    if "nvidia" in wanted:
        from assay.simulator.nvidia import SimulatedNvidia  # noqa: PLC0415 - for its platform alone

        nvidia = SimulatedNvidia.of(installation).anchors
        found += [SimulatedAnchor(vendor, name, der) for name, der, vendor in nvidia]
    if "tpm" in wanted:
        from assay.simulator.tpm.attacks import root_der  # noqa: PLC0415 - for its platform alone

        der = root_der(installation.secret)
        mark = hashlib.sha256(der).hexdigest()[:16]
        found.append(SimulatedAnchor("tpm", f"simulated TPM root {mark}", der))
    return tuple(found)
