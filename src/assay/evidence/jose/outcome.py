"""What every verifier of tokens does around ``open_token``: refuse wrong calls, bind, and make the result."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from assay.errors import EvidenceError
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.jws import read_claims, read_header, split
from assay.evidence.ledger import Check, CheckSpec, LedgerBuilder, Outcome
from assay.evidence.verification import (
    Binding,
    EvidenceResult,
    Expected,
    Need,
    Unchecked,
    UnsignedRegion,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from assay.evidence.jose.token import Opened, TokenProfile

ClaimsT = TypeVar("ClaimsT")

_BINDING_NEED: Final = Need("binding", {}, "What the token must carry to belong to this session.")
_NONE: Final = b"-"  # where nothing is expected


def demand_call(evidence: bytes, now: datetime, binding: Binding) -> None:
    """Refuse a call that is wrong whatever the evidence is.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.type`` when token or
            expectation are no ``bytes``, ``evidence.call.nonce`` for an empty expectation.
    """
    if now.tzinfo is not UTC and now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if isinstance(binding, Expected):
        expected = binding.value
    elif isinstance(binding, Unchecked):
        expected = _NONE
    else:
        raise EvidenceError("evidence.call.type", "A binding is expected or, with a reason, unchecked.")
    if type(evidence) is not bytes or type(expected) is not bytes:
        raise EvidenceError("evidence.call.type", "A token and what is expected are bytes, and nothing else.")
    if not expected:
        raise EvidenceError("evidence.call.nonce", "An empty nonce is expected: it would bind nothing.")


def bind(ledger: LedgerBuilder, spec: CheckSpec, slots: Sequence[bytes], binding: Binding) -> int | None:
    """Record the binding check and return the index of the slot that holds what was expected.

    Args:
        ledger: Of the verification.
        spec: The format's binding check.
        slots: What the token carries, in its order; each is compared whole.
        binding: What was expected.
    """
    if isinstance(binding, Unchecked):
        ledger.not_checked(spec, f"{spec.id}.unchecked", f"not checked: {binding.reason}")
        return None
    expected = binding.value
    for index, slot in enumerate(slots):
        if hmac.compare_digest(slot, expected):
            ledger.record(_held(spec, index, len(slots)))
            return index
    code = f"{spec.id}.mismatch" if slots else f"{spec.id}.absent"
    ledger.failed(spec, code, "The token does not carry the expected value.")
    return None


@lru_cache(maxsize=64)
def _held(spec: CheckSpec, index: int, count: int) -> Check:
    """Return the passed binding check of one slot; shared, because it carries nothing of the token."""
    return Check(spec, Outcome.PASSED, "", f"slot {index + 1} of {count} holds the expected value")


def accepted(
    platform: str,
    ledger: LedgerBuilder,
    spec: CheckSpec,
    opened: Opened,
    claims: ClaimsT,
    binding: Binding,
) -> EvidenceResult[ClaimsT]:
    """Return the result of a token that was opened; a binding that failed stands in the ledger.

    Args:
        platform: The result's platform.
        ledger: With an outcome for every check.
        spec: The binding check.
        opened: The token.
        claims: Its Claims.
        binding: What was expected.
    """
    revocation = opened.signer.revocation
    lists = () if revocation is None else revocation.needs
    return EvidenceResult(
        platform,
        ledger.close(),
        spec.id,
        opened.signer.anchor,
        opened.signed_digest,
        (),
        (*lists, _BINDING_NEED) if isinstance(binding, Unchecked) else lists,
        {"header": opened.signer.header, "claims": opened.claims},
        claims,
    )


def refused(
    platform: str,
    ledger: LedgerBuilder,
    profile: TokenProfile,
    spec: CheckSpec,
    evidence: bytes,
    binding: Binding,
) -> EvidenceResult[Any]:
    """Return the result of a token that a check stopped, with what would be needed to go on.

    Args:
        platform: The result's platform.
        ledger: As far as it came.
        profile: What is accepted.
        spec: The binding check.
        evidence: The token.
        binding: What was expected.
    """
    decoded = undecided(evidence, profile.max_bytes)
    closed = ledger.close()
    key = closed[profile.specs.key.id]
    needs: tuple[Need, ...] = ()
    if key.code.endswith((".missing", ".unknown")):
        needs = (key_need(decoded),)
    if isinstance(binding, Unchecked):
        needs = (*needs, _BINDING_NEED)
    unread = UnsignedRegion(0, len(evidence), "all of it: the token cannot be read")
    return EvidenceResult(
        platform,
        closed,
        spec.id,
        None,
        hashlib.sha256(evidence).digest(),
        () if decoded else (unread,),
        needs,
        decoded,
        None,
    )


def undecided(token: bytes, max_bytes: int) -> dict[str, Any]:
    """Return header and claims of a token that is not authenticated, for display; empty when unreadable."""
    try:
        jws = split(token, max_bytes=max_bytes)
        return {"header": read_header(jws.head), "claims": read_claims(jws.payload)}
    except JoseError:
        return {}


def key_need(decoded: Mapping[str, Any]) -> Need:
    """Return the need for the published keys of the issuer that an unauthenticated token names."""
    header, claims = decoded.get("header", {}), decoded.get("claims", {})
    selected = {"issuer": str(claims.get("iss", ""))[:256], "kid": str(header.get("kid", ""))[:512]}
    return Need("jwks", selected, "The issuer's published keys, current when the token was issued.")
