"""One piece of simulated SNP evidence in the making, to be spoilt in one place before signing or after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.report import REPORT_BYTES
from assay.evidence.snp.table import ARK, ASK, CRL, VCEK, VLEK, encode_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.evidence.snp.products import Product
    from assay.simulator.amd.installation import Kind, SimulatedAmd, SimulatedChip
    from assay.simulator.amd.pki import CertificateDraft, CrlDraft
    from assay.simulator.amd.report import ReportDraft

CHIP = "the chip of a scene"


@dataclass(frozen=True, slots=True)
class SnpEvidence:
    """What a Relying Party is given, and what it knows.

    Attributes:
        report: The report.
        endorsements: Certificates and CRL for its time.
        root: The root to trust, DER.
        report_data: What the report is expected to carry, 64 bytes.
        at: When.
    """

    report: bytes
    endorsements: SnpEndorsements
    root: bytes
    report_data: bytes
    at: datetime

    def extended(self) -> bytes:
        """Return the report and a certificate table that holds all that vouches for it; a stump alone."""
        if len(self.report) < REPORT_BYTES:
            return self.report
        own = self.endorsements
        vlek = bool(self.report[0x48] >> 2 & 1)
        parts = {ARK: own.root, ASK: own.authority, VLEK if vlek else VCEK: own.vek, CRL: own.crl}
        return self.report + encode_table({guid: part for guid, part in parts.items() if part is not None})


@dataclass(slots=True)
class SnpScene:
    """A chip, its report and its certificates before they are signed; an attack changes any of them.

    Attributes:
        amd: The simulated AMD that the Relying Party trusts.
        product: Of the chip.
        version: Of the report.
        kind: The kind of key that signs.
        at: The time of everything.
        report_data: What the Relying Party expects, 64 bytes.
        chip: The chip.
        report: The report.
        key: Signs the report.
        vek: The certificate of the key.
        authority: The certificate of its issuer.
        crl: The root's CRL.
        after_report: Changes the report after it was signed.
        after_endorsements: Changes certificates and CRL after they were signed.
    """

    amd: SimulatedAmd
    product: Product
    version: int
    kind: Kind
    at: datetime
    report_data: bytes
    chip: SimulatedChip = field(init=False)
    report: ReportDraft = field(init=False)
    key: ec.EllipticCurvePrivateKey = field(init=False)
    vek: CertificateDraft = field(init=False)
    authority: CertificateDraft = field(init=False)
    crl: CrlDraft = field(init=False)
    after_report: Callable[[bytes], bytes] = field(default=bytes)
    after_endorsements: Callable[[SnpEndorsements], SnpEndorsements] | None = None

    def __post_init__(self) -> None:
        self.chip = self.amd.chip(CHIP, self.product)
        self.report = self.chip.draft(self.report_data, version=self.version, kind=self.kind)
        self.key = self.chip.key(self.kind)
        self.vek = self.chip.vek_draft(self.kind, self.at)
        self.authority = self.amd.authority_draft(self.product, self.kind)
        self.crl = self.amd.crl_draft(self.product, self.at)

    def finish(self) -> SnpEvidence:
        """Sign everything as it stands, then apply what comes after signing."""
        root = self.amd.root_der(self.product)
        endorsements = SnpEndorsements(
            vek=self.vek.sign(), authority=self.authority.sign(), root=root, crl=self.crl.sign()
        )
        if self.after_endorsements is not None:
            endorsements = self.after_endorsements(endorsements)
        return SnpEvidence(
            report=self.after_report(self.report.sign(self.key)),
            endorsements=endorsements,
            root=root,
            report_data=self.report_data,
            at=self.at,
        )
