"""TPMS_ATTEST, TPMT_SIGNATURE and TPMT_PUBLIC, each by its own parser."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.tpm.attest import Attest
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.signature import TpmSignature
from assay.simulator.tpm.device import public_area, spki
from support.tpm_scenes import draft, keys

SEEDS = [
    draft().quote.attest(),
    draft().quote.signature(),
    public_area(keys("ak")),
    spki(keys("ak")),
]
PARSERS = (Attest.parse, TpmSignature.parse, AttestationKey.parse)


def target(data: bytes) -> None:
    """Parse as each of the three; a key that was read is read again from its own encoding."""
    for parse in PARSERS:
        try:
            found = parse(data)
        except AssayError:
            continue
        if isinstance(found, AttestationKey) and AttestationKey.parse(found.spki).spki != found.spki:
            raise RuntimeError("a key does not survive its own encoding")
