"""What the tests of real Azure evidence share: containers, endorsements from the vectors, ways to verify."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from assay.evidence.azure import AzureEndorsements, read_container, verify_azure
from assay.evidence.dcap import Collateral
from assay.evidence.decoding.pem import certificates
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.snp import SnpEndorsements
from assay.evidence.verification import Unchecked
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.revocation import GeneralRevocationList
from support import vectors

UNCHECKED = Unchecked("a captured quote has no session")
CHAINS = "snp/cyntrisec-transport"
# Both CRLs of the vectors and every VCEK of the Azure samples are valid at this time.
SNP_TIME = datetime(2026, 1, 15, tzinfo=UTC)


def container(name: str) -> bytes:
    """Return a container as the verifier takes it; those written as YAML become the same JSON."""
    data = vectors.read(name)
    if name.endswith(".yaml"):
        import yaml

        return json.dumps(yaml.safe_load(data)).encode()
    return data


def parts(name: str):
    """Return the parts of a container."""
    return read_container(container(name))


def platform_of(name: str) -> str:
    """Return which platform a sample is of."""
    return "azure-snp" if "vcek" in json.loads(container(name)) else "azure-tdx"


def product_of(vcek: bytes) -> str:
    """Return the product line that a VCEK was issued for: ``milan``, ``genoa`` or ``turin``."""
    issuer = GeneralCertificate.parse(vcek).issuer
    return next(name for name in ("milan", "genoa", "turin") if f"SEV-{name.title()}".encode() in issuer)


def snp_time(vcek: bytes) -> datetime:
    """Return a time at which a VCEK and the CRL of its product are both valid, as soon as they are."""
    crl = GeneralRevocationList.parse(vectors.read(f"{CHAINS}/{product_of(vcek)}_crl.der"))
    both = crl.window & GeneralCertificate.parse(vcek).window
    return max(both.start + timedelta(hours=1), SNP_TIME if SNP_TIME in both else both.start)


@cache
def snp_endorsements(product: str) -> SnpEndorsements:
    """Return AMD's certificates and CRL of one product, without a VCEK."""
    (authority,) = certificates(vectors.read(f"{CHAINS}/{product}_ask.pem"), count=1)
    return SnpEndorsements(authority=authority, crl=vectors.read(f"{CHAINS}/{product}_crl.der"))


@cache
def _collateral() -> tuple[tuple[str, datetime, Collateral], ...]:
    found = []
    for entry in vectors.entries("tdx", "dcap-collateral"):
        fields = entry["expected"]["key_fields"]
        if fields.get("tcb_fmspc") and entry["expected"].get("valid_at"):
            at = datetime.fromisoformat(entry["expected"]["valid_at"]).astimezone(UTC)
            try:
                found.append(
                    (fields["tcb_fmspc"], at, Collateral.from_bundle_json(vectors.read(entry["file"])))
                )
            except Exception:  # noqa: BLE001 - collateral of other forms is tested elsewhere
                continue
    return tuple(found)


def collateral_of(fmspc: str, *, near: datetime) -> tuple[Collateral, datetime]:
    """Return genuine collateral for a platform, and a time at which it holds: the nearest to ``near``."""
    at, found = min(
        ((at, one) for mark, at, one in _collateral() if mark == fmspc), key=lambda one: abs(one[0] - near)
    )
    return found, at


def judge(
    evidence: Any,
    platform: str,
    at: datetime,
    endorsements=None,
    *,
    binding=UNCHECKED,
    user_data=UNCHECKED,
    facts=None,
    roots=None,
):
    """Verify under the pinned roots alone."""
    return verify_azure(
        evidence,
        platform=platform,
        endorsements=endorsements,
        roots=roots or Roots.vendor(),
        now=at,
        binding=binding,
        user_data=user_data,
        facts=facts or FactCache(),
    )


def full(name: str, **changes):
    """Verify a sample at a time for which the vectors hold everything that vouches for it."""
    platform = platform_of(name)
    data = container(name)
    if platform == "azure-snp":
        vcek = parts(name).vcek
        given = AzureEndorsements(snp=snp_endorsements(product_of(vcek)))
        return judge(data, platform, snp_time(vcek), given, **changes)
    bare = judge(data, platform, SNP_TIME)
    fmspc = next(need for need in bare.needs if need.kind == "collateral").key["fmspc"]
    # The youngest attestation key certificate among the samples begins on 2026-06-08.
    found, at = collateral_of(fmspc, near=datetime(2026, 6, 23, tzinfo=UTC))
    return judge(data, platform, at, AzureEndorsements(collateral=found), **changes)
