"""Verification of an Intel Trust Authority token under the keys that the service publishes."""

from __future__ import annotations

import hashlib
import hmac
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.jose import claims as read
from assay.evidence.jose.base64url import decode_standard
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.outcome import accepted, bind, demand_call, refused
from assay.evidence.jose.token import Given, Opened, TokenProfile, open_token
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.trust_authority import checks
from assay.evidence.trust_authority.claims import Measurements, TrustAuthorityClaims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.jose import JwksEndorsements, TokenLimits
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding, EvidenceResult

PLATFORM: Final = "trust-authority"
MAX_TOKEN_BYTES: Final = 65536

_PROFILE: Final = TokenProfile(
    name="trust-authority",
    specs=checks.TOKEN,
    algorithms=frozenset({"PS384", "RS256"}),
    max_bytes=MAX_TOKEN_BYTES,
    anchor="published keys of Intel Trust Authority",
)
# attester_type -> the prefix of its claims, and the hash of its report data.
_ATTESTERS: Final = {"TDX": ("tdx_", hashlib.sha512), "SGX": ("sgx_", hashlib.sha256)}
_OFF: Final = frozenset({"disabled", "disabled-since-boot", "disabled-permanently"})
_DEBUG: Final = ("is_debuggable", "td_attributes_debug")
_REPORT_DATA: Final = 64


def verify_trust_authority(
    evidence: bytes,
    *,
    endorsements: JwksEndorsements | None,
    roots: Roots,
    limits: TokenLimits,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[TrustAuthorityClaims]:
    """Verify a token and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The compact token, ASCII, at most 65,536 bytes.
        endorsements: The key set that the service publishes (``/certs``), and its ``iss``.
        roots: Part of what facts are remembered under; no root anchors these tokens.
        limits: Skew and greatest age.
        now: The time of the verification; aware.
        binding: The expected bytes of the held data; of the 64 bytes of report data where nothing is held;
            or of the text of an ``eat_nonce``.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time``, ``evidence.call.type``, ``evidence.call.nonce``: errors of the
            caller.
    """
    demand_call(evidence, now, binding)
    ledger = LedgerBuilder(checks.ALL)
    try:
        opened = open_token(ledger, evidence, _PROFILE, Given(endorsements, roots, limits, now, facts))
        claims = _judged(ledger, opened, binding)
    except CheckFailedError:
        return refused(PLATFORM, ledger, _PROFILE, checks.BINDING, evidence, binding)
    return accepted(PLATFORM, ledger, checks.BINDING, opened, claims, binding)


def _judged(ledger: LedgerBuilder, opened: Opened, binding: Binding) -> TrustAuthorityClaims:
    try:
        return _read(ledger, opened, binding)
    except JoseError as error:
        raise ledger.fail(checks.CLAIMS, f"{checks.CLAIMS.id}.{error.code}", error.message) from None


def _read(ledger: LedgerBuilder, opened: Opened, binding: Binding) -> TrustAuthorityClaims:
    claims, named = opened.claims, opened.registered
    found = _attester(claims)
    if found is None:
        raise ledger.fail(
            checks.TYPE,
            "trust_authority.token.type.unknown",
            "The token is not about one TDX or SGX TEE.",
        )
    ledger.passed(checks.TYPE)
    attester, stated = found
    prefix, digest = _ATTESTERS[attester]
    measurements = Measurements(stated, prefix)
    report_data = measurements.get("report_data", b"")
    held = _bytes(stated, "attester_held_data")
    _report_data(ledger, stated, report_data, held, digest)
    asked = claims.get("eat_nonce")
    nonces = read.texts(claims, "eat_nonce") if type(asked) is list else ()
    if type(asked) is str:
        nonces = (asked,)
    # Report data that hash held data are no carrier of their own: the hash holds the service's nonce too.
    slots = [held] if held is not None else [report_data]
    slots += [nonce.encode("utf-8", "replace") for nonce in nonces]
    slot = bind(ledger, checks.BINDING, slots, binding)
    flags = [read.flag(stated, prefix + name, default=False) for name in _DEBUG if prefix + name in stated]
    status = read.text(claims, "dbgstat", "")
    stated_off = status in _OFF if status else bool(flags)
    issued_at = read.moment(named.issued_at)
    result = TrustAuthorityClaims(
        named.issuer,
        issued_at,
        issued_at if named.not_before == named.issued_at else read.moment(named.not_before),
        read.moment(named.expires_at),
        read.text(claims, "ver", ""),
        attester,
        any(flags) or not stated_off,
        status,
        read.text(stated, "attester_tcb_status"),
        read.text(stated, "attester_tcb_date", ""),
        read.texts(stated, "attester_advisory_ids"),
        measurements,
        held,
        nonces,
        slot,
        _policies(claims, "policy_ids_matched") if "policy_ids_matched" in claims else (),
        _policies(claims, "policy_ids_unmatched") if "policy_ids_unmatched" in claims else (),
        MappingProxyType(claims),
    )
    ledger.passed(checks.CLAIMS)
    return result


def _attester(claims: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the one attester and where its claims stand: flat in version 1, in an object in version 2."""
    if "attester_type" in claims:
        name = read.text(claims, "attester_type")
        return (name, claims) if name in _ATTESTERS else None
    inner = [name for name in _ATTESTERS if name.lower() in claims]
    if len(inner) != 1:
        return None
    stated = read.mapping(claims, inner[0].lower())
    return (inner[0], stated) if read.text(stated, "attester_type") == inner[0] else None


def _bytes(claims: Mapping[str, Any], name: str) -> bytes | None:
    found = read.text(claims, name, "")
    return decode_standard(found.encode("utf-8", "replace")) if found else None


def _report_data(
    ledger: LedgerBuilder,
    stated: Mapping[str, Any],
    report_data: bytes,
    held: bytes | None,
    digest: Callable[[bytes], Any],
) -> None:
    """Recompute what the attester put in: the hash of the service's nonce, its time and the held data."""
    nonce = read.mapping(stated, "verifier_nonce")
    if held is None and not nonce:
        ledger.not_applicable(checks.REPORT_DATA, "the token states neither held data nor a nonce")
        return
    parts = [_bytes(nonce, "val") or b"", _bytes(nonce, "iat") or b"", held or b""]
    wanted = digest(b"".join(parts)).digest().ljust(_REPORT_DATA, b"\0")
    if hmac.compare_digest(wanted, report_data):
        ledger.passed(checks.REPORT_DATA)
    else:
        raise ledger.fail(
            checks.REPORT_DATA,
            "trust_authority.report_data.mismatch",
            "The report data are not the hash of the nonce and the held data that stand beside them.",
        )


def _policies(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = claims[name]
    if type(found) is not list or len(found) > read.MAX_ITEMS:
        raise JoseError("jose.claims", f"Claim {name} is no array of policies.")
    return tuple(read.text(item, "id") if type(item) is dict else str(item)[:256] for item in found)
