"""Verified evidence made by hand, for the rules about it."""

from __future__ import annotations

from datetime import timedelta

from assay.evidence.nitro.claims import NitroClaims
from assay.evidence.verification import Anchor
from support.appraisal_evidence import NOW

AWS = Anchor(bytes(32), "AWS Nitro Enclaves Root G1", simulated=False)
PCRS = {index: bytes([index]) * 48 for index in (0, 1, 2, 3, 4, 7, 8)}
CLAIMS = NitroClaims(
    module_id="i-0123456789abcdef0-enc0123456789abcdef",
    instance_id="i-0123456789abcdef0",
    region="eu-central-1",
    digest="SHA384",
    timestamp=NOW - timedelta(seconds=60),
    pcrs=PCRS,
    public_key=None,
    user_data=None,
    nonce=None,
    debug=False,
    carrier="user_data",
    validity="now",
    chain_valid_from=NOW - timedelta(hours=1),
    chain_valid_until=NOW + timedelta(hours=1),
)
