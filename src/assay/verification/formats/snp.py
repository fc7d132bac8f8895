"""Reports of AMD SEV-SNP, alone or with the certificate table of an extended report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

from assay.evidence.decoding.der import DerError
from assay.evidence.roots import AMD
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import LAYOUTS, Product
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.snp.verify import verify_snp
from assay.verification.formats import REPORT_DATA_BYTES, Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from assay.evidence.verification import EvidenceResult
    from assay.evidence.x509.general import GeneralCertificate
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

_NEEDS: Final = frozenset({"snp-vek", "snp-chain", "snp-crl"})
_NAMES: Final = {"vcek": "SEV-VCEK", "vlek": "SEV-VLEK"}


def _verify(evidence: bytes, endorsements: SnpEndorsements | None, given: Given) -> EvidenceResult[Any]:
    return verify_snp(
        evidence,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        facts=given.facts,
    )


def endorse(
    materials: Materials,
    first: EvidenceResult[Any],
    given: Given,
) -> SnpEndorsements | None:
    """Return certificate, chain and list for the key of a report, as far as they are at hand.

    What stands in the evidence's own certificate table is not looked for: the verifier takes it from there.
    """
    needs = {need.kind: need.key for need in first.needs if need.kind in _NEEDS}
    if not needs:
        return None
    vek = _vek(materials, needs["snp-vek"], given.now) if "snp-vek" in needs else None
    authority = materials.issuer_of(vek) if vek is not None else _authority(materials, needs)
    root = materials.issuer_of(authority) if authority is not None else None
    lists = [root] if root is not None else _roots(materials, needs, given)
    crl = next((found for each in lists if (found := materials.crl_of(each)) is not None), None)
    if vek is None and authority is None and crl is None:
        return None
    return SnpEndorsements(vek=_der(vek), authority=_der(authority), root=_der(root), crl=crl)


def _der(found: GeneralCertificate | None) -> bytes | None:
    return None if found is None else found.der


def _vek(materials: Materials, key: Mapping[str, str], now: datetime) -> GeneralCertificate | None:
    """Return the certificate of this chip (or provider) at exactly this TCB version.

    A key is certified anew now and then, a VLEK each year: one that is valid at the time is meant.
    """
    fitting = list(_fitting(materials, key))
    return next((found for found in fitting if now in found.window), fitting[0] if fitting else None)


def _fitting(materials: Materials, key: Mapping[str, str]) -> Iterator[GeneralCertificate]:
    kind = cast("Literal['vcek', 'vlek']", key["kind"])
    for found in materials.certificates:
        if found.common_name != _NAMES[kind]:
            continue
        try:
            said = VekExtensions.parse(found.extensions, kind)
        except DerError:
            continue
        if key["chip_id"] and said.hwid != bytes.fromhex(key["chip_id"]):
            continue
        if said.product is not None and _tcb_fits(said.product, said.tcb, key):
            yield found


def _tcb_fits(product: Product, tcb: bytes, key: Mapping[str, str]) -> bool:
    named = {name: value for name, value in zip(LAYOUTS[product].components, tcb, strict=True) if name}
    return all(str(value) == key.get(name) for name, value in named.items())


def _authority(materials: Materials, needs: Mapping[str, Mapping[str, str]]) -> GeneralCertificate | None:
    """Return the ASK or ASVK of the product, where the evidence itself brought the certificate below it."""
    key = needs.get("snp-chain")
    if key is None:
        return None
    name = "SEV-VLEK-" if key["kind"] == "vlek" else "SEV-"
    names = [f"{name}{product}" for product in ([key["product"]] if key["product"] else Product)]
    return next((found for found in materials.certificates if found.common_name in names), None)


def _roots(
    materials: Materials, needs: Mapping[str, Mapping[str, str]], given: Given
) -> list[GeneralCertificate]:
    """Return the roots of a product, whose CRL may be at hand without them: those to trust are known."""
    products = {key["product"] for key in needs.values()}
    names = {f"ARK-{product}" for product in (Product if "" in products else products)}
    known = (*materials.certificates, *(root.general for root in given.roots.of(AMD)))
    return [found for found in known if found.common_name in names]


FORMATS: Final = {"snp": Format("SEV-SNP report", REPORT_DATA_BYTES, _verify, endorse)}
