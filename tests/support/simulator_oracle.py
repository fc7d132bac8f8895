"""A second opinion on simulated evidence: another verifier, given the simulated root."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dcap_qvl

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap.collateral import Collateral
    from assay.simulator.intel import Installation


def opinion(
    quote: bytes, collateral: Collateral, installation: Installation, now: datetime
) -> tuple[str, list]:
    """Return its status and advisories; it raises ValueError for evidence that it refuses."""
    bundle = {
        "root_ca_crl": collateral.root_ca_crl.hex(),
        "pck_crl": collateral.pck_crl.hex(),
        "pck_crl_issuer_chain": collateral.pck_crl_issuer_chain.decode(),
        "tcb_info": collateral.tcb_info.decode(),
        "tcb_info_signature": collateral.tcb_info_signature.hex(),
        "tcb_info_issuer_chain": collateral.tcb_info_issuer_chain.decode(),
        "qe_identity": collateral.qe_identity.decode(),
        "qe_identity_signature": collateral.qe_identity_signature.hex(),
        "qe_identity_issuer_chain": collateral.qe_identity_issuer_chain.decode(),
    }
    given = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(bundle))
    found = dcap_qvl.verify_with_root_ca(quote, given, installation.root_der, int(now.timestamp()))
    return found.status, list(found.advisory_ids)
