"""Reference Values as every measurement here returns them, and as appraisal takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.reference.artefact import ArtefactDigest


@dataclass(frozen=True, slots=True)
class Measured:
    """What artefacts make a platform measure.

    Attributes:
        platform: Name of the platform, as policies write it: ``snp``, ``tdx``, ``tpm``.
        registers: Allowed values of each register, by the name that policies and Claims use: ``mr_td``,
            ``measurement``, ``pcr4``. More than one where the artefacts leave it open.
        artefacts: What was measured.
        parameters: What else decided, as short text: the number of vCPUs, the hypervisor.
        notes: What these values do not cover, one sentence each.
    """

    platform: str
    registers: Mapping[str, frozenset[bytes]]
    artefacts: tuple[ArtefactDigest, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
