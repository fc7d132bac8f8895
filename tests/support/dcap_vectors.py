"""What the tests of real DCAP evidence share: the genuine certificates in the vectors, and ways to verify."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache

from assay.evidence.dcap import Collateral, verify_quote
from assay.evidence.dcap.pck import PCK_CA_ROLE, TCB_SIGNER_ROLE
from assay.evidence.dcap.quote import QE_VENDOR_INTEL
from assay.evidence.decoding.pem import certificates
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Unchecked
from assay.evidence.x509.certificate import Certificate, raw_signature, verifies
from assay.evidence.x509.roles import issued
from support import vectors

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*?-----END CERTIFICATE-----")
UNCHECKED = Unchecked("a captured quote has no session")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@cache
def collateral_of(name: str) -> Collateral:
    return Collateral.from_bundle_json(vectors.read(name))


def judge(quote: bytes, platform: str, at: datetime, collateral: Collateral | None, facts=None):
    """Verify under the pinned roots alone."""
    return verify_quote(
        quote,
        platform=platform,
        collateral=collateral,
        roots=Roots.vendor(),
        now=at,
        binding=UNCHECKED,
        facts=facts or FactCache(),
    )


@cache
def _genuine() -> tuple[Certificate, ...]:
    """Every certificate in collateral and PEM files that Intel's root issued directly."""
    root = Roots.vendor().intel[0].certificate
    found: dict[bytes, Certificate] = {}
    for entry in vectors.entries():
        if entry["family"] not in ("tdx", "sgx") or entry["kind"] not in (
            "dcap-collateral",
            "x509",
            "x509-chain",
        ):
            continue
        text = vectors.read(entry["file"]).replace(b"\\n", b"\n")
        for block in _BLOCK.findall(text):
            try:
                certificate = Certificate.parse(certificates(block, count=1)[0])
                if issued(certificate, root, "certificate") is None:
                    found[certificate.der] = certificate
            except Exception:  # noqa: BLE001 - mocks and samples are among the files
                continue
    return tuple(found.values())


def tcb_signers() -> list[Certificate]:
    return [certificate for certificate in _genuine() if TCB_SIGNER_ROLE.defect(certificate) is None]


def pck_authorities() -> list[Certificate]:
    return [certificate for certificate in _genuine() if PCK_CA_ROLE.defect(certificate) is None]


def intel_signed(raw: bytes, signature: bytes) -> bool:
    """Tell whether a genuine TCB signer signed these bytes (raw r and s)."""
    return any(verifies(signer.key(), raw_signature(signature), raw) for signer in tcb_signers())


def compacted(raw: bytes) -> bytes:
    """Return JSON without the white space that somebody put in."""
    return json.dumps(json.loads(raw), separators=(",", ":")).encode()


def embedded_quotes(data: bytes) -> list[bytes]:
    """Return what begins with a quote header somewhere in other formats."""
    found = []
    at = data.find(QE_VENDOR_INTEL)
    while at >= 0:
        if at >= 12 and data[at - 10 : at - 8] == b"\x02\x00" and data[at - 12] in (3, 4, 5):
            found.append(data[at - 12 :])
        at = data.find(QE_VENDOR_INTEL, at + 1)
    return found


def declared(quote: bytes) -> bytes:
    """Cut a quote out of what follows it, by its own lengths."""
    version = quote[0]
    body = {3: 384, 4: 584 if quote[4] == 0x81 else 384}.get(version) or int.from_bytes(
        quote[50:54], "little"
    ) + 6
    start = 48 + body
    return quote[: start + 4 + int.from_bytes(quote[start : start + 4], "little")]
