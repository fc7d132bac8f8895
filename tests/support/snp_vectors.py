"""Real SEV-SNP reports, certificates and CRLs: found among the vectors, judged under the vendors' roots."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from functools import cache

from assay.evidence.decoding.pem import certificates
from assay.evidence.facts import FactCache
from assay.evidence.roots import AMD, Roots
from assay.evidence.snp import SnpEndorsements, verify_snp
from assay.evidence.snp.report import REPORT_BYTES, ReportError, SnpReport
from assay.evidence.verification import Unchecked
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.revocation import GeneralRevocationList
from support import vectors

BEGIN = b"-----BEGIN CERTIFICATE-----"
END = b"-----END CERTIFICATE-----"


def moment(text: str) -> datetime:
    """Return a stated time, aware UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def ders(data: bytes) -> list[bytes]:
    """Return the certificates of a file: DER, or PEM with whatever stands around it."""
    if data[:1] == b"0":
        return [data]
    blocks = re.findall(BEGIN + b".*?" + END, data, re.DOTALL)
    return [certificates(block + b"\n", count=1)[0] for block in blocks]


@cache
def authorities() -> dict[bytes, GeneralCertificate]:
    """Return every archived ASK and ASVK by its name."""
    kinds = ("snp-chain", "snp-ask", "snp-vcek-chain")
    found = [
        GeneralCertificate.parse(der)
        for kind in kinds
        for entry in vectors.entries("snp", kind)
        for der in ders(vectors.read(entry["file"]))
    ]
    return {one.subject: one for one in found if one.common_name.startswith(("SEV-", "SEV-VLEK-"))}


@cache
def crls() -> dict[bytes, bytes]:
    """Return every archived CRL by its issuer's name."""
    found = [vectors.read(entry["file"]) for entry in vectors.entries("snp", "snp-crl")]
    return {GeneralRevocationList.parse(der).issuer: der for der in found}


def root_named(subject: bytes) -> GeneralCertificate:
    """Return the pinned root of this name."""
    return next(r.general for r in Roots.vendor().of(AMD) if r.general.subject == subject)


def endorsed(data: bytes) -> SnpEndorsements:
    """Return what vouches for a key, from a file that holds its certificate; the archive has its issuer."""
    found = SnpEndorsements.from_table(data) if data[:1] not in b"0-#" else None
    if found is None:
        found = SnpEndorsements.from_certificates(ders(data))
    leaf = GeneralCertificate.parse(found.vek)
    issuer = authorities()[leaf.issuer]
    return found.or_else(SnpEndorsements(authority=issuer.der))


def window_of(endorsements: SnpEndorsements):
    """Return when a chain is valid, its root included."""
    leaf = GeneralCertificate.parse(endorsements.vek)
    issuer = GeneralCertificate.parse(endorsements.authority)
    return leaf.window & issuer.window & root_named(issuer.issuer).window


def with_crl(endorsements: SnpEndorsements) -> tuple[SnpEndorsements, datetime] | None:
    """Add the archived CRL and choose a time at which everything is valid; None when there is none."""
    issuer = GeneralCertificate.parse(endorsements.authority)
    crl = crls()[issuer.issuer]
    window = window_of(endorsements) & GeneralRevocationList.parse(crl).window
    if window.start >= window.end:
        return None
    at = window.start + (window.end - window.start) / 2
    return endorsements.or_else(SnpEndorsements(crl=crl)), at


def judge(report: bytes, endorsements, at: datetime, facts=None, binding=None):
    """Verify a report under the vendors' roots."""
    return verify_snp(
        report,
        endorsements=endorsements,
        roots=Roots.vendor(),
        now=at,
        binding=binding or Unchecked("a vector"),
        facts=facts or FactCache(),
    )


def embedded_reports(data: bytes) -> list[bytes]:
    """Return everything in a wrapping that decodes as a report."""
    found = []
    for version in (2, 3, 4, 5):
        mark = version.to_bytes(4, "little")
        at = data.find(mark)
        while at >= 0:
            piece = data[at : at + REPORT_BYTES]
            try:
                SnpReport.parse(piece)
                found.append(piece)
            except ReportError:
                pass
            at = data.find(mark, at + 1)
    return found


def embedded_certificates(data: bytes) -> list[GeneralCertificate]:
    """Return every AMD key certificate that stands somewhere in a wrapping, as DER."""
    found = []
    at = data.find(b"\x30\x82")
    while at >= 0:
        size = 4 + int.from_bytes(data[at + 2 : at + 4], "big")
        piece = data[at : at + size]
        if b"SEV-V" in piece and b"ARK-" not in piece and len(piece) == size:
            try:
                found.append(GeneralCertificate.parse(piece))
                at += size - 1
            except Exception:  # noqa: BLE001 - a chance match inside something else
                at += 1
        at = data.find(b"\x30\x82", at + 1)
    return found


def unpacked(text: bytes, depth: int = 3) -> bytes:
    """Return a text and everything that base64 hides in it."""
    found = text
    if depth:
        for piece in re.findall(rb"[A-Za-z0-9_+/-]{200,}", text):
            plain = piece.replace(b"+", b"-").replace(b"/", b"_")
            found += unpacked(urlsafe_b64decode(plain + b"=" * (-len(plain) % 4)), depth - 1)
    return found
