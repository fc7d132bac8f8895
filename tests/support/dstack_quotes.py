"""Quotes that a test takes as verified, so that what rests on them is tested alone.

Most published dstack quotes come without collateral for their time, and no verifier can call those authentic.
``taken_as_verified`` reads their registers as if one had. Tests that need the whole way use the simulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.ledger import CheckSpec, Ledger
from assay.evidence.tdx.claims import TdxClaims
from assay.evidence.verification import Anchor, EvidenceResult

if TYPE_CHECKING:
    from assay.evidence.dcap.tcb import TcbClaims

TAKEN = CheckSpec("test.taken_as_verified", "the test takes this quote as verified", "none")
BINDING = CheckSpec("test.binding", "the test does not look at the binding", "none")
_HEADER = 48
_FIELDS = {
    "tee_tcb_svn": (0, 16),
    "mr_seam": (16, 48),
    "mr_signer_seam": (64, 48),
    "seam_attributes": (112, 8),
    "td_attributes": (120, 8),
    "xfam": (128, 8),
    "mr_td": (136, 48),
    "mr_config_id": (184, 48),
    "mr_owner": (232, 48),
    "mr_owner_config": (280, 48),
    "report_data": (520, 64),
}


def registers(quote: bytes) -> dict[str, bytes]:
    """Return the fields of a version 4 TDX quote's body by name, RTMRs as rtmr0 to rtmr3."""
    body = quote[_HEADER : _HEADER + 584]
    found = {name: body[at : at + size] for name, (at, size) in _FIELDS.items()}
    return found | {f"rtmr{index}": body[328 + 48 * index : 376 + 48 * index] for index in range(4)}


def taken_as_verified(
    quote: bytes = b"", *, authentic: bool = True, tcb: TcbClaims | None = None, **fields: bytes
) -> EvidenceResult[TdxClaims]:
    """Return a result as the TDX verifier would give it for a quote that it accepts."""
    found = registers(quote or bytes(_HEADER + 584)) | fields
    claims = TdxClaims(
        **{name: found[name] for name in _FIELDS},
        rtmrs=(found["rtmr0"], found["rtmr1"], found["rtmr2"], found["rtmr3"]),
        tee_tcb_svn_2=None,
        mr_service_td=fields.get("mr_service_td"),
        debug=bool(found["td_attributes"][0] & 1),
        tcb=tcb,
    )
    return EvidenceResult(
        platform="tdx",
        ledger=Ledger((TAKEN.passed, BINDING.passed)),
        binding_check=BINDING.id,
        anchor=Anchor(bytes(32), "taken as verified by a test", simulated=True) if authentic else None,
        signed_digest=bytes(32),
        unsigned=(),
        needs=(),
        decoded={},
        _claims=claims,
    )
