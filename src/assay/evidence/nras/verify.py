"""Verification of an answer of NVIDIA's Remote Attestation Service under the keys that it publishes.

The overall token and every device's token are verified alike, each for itself; the overall token's digests
tie them together.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.jose import claims as read
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.outcome import accepted, bind, demand_call, refused
from assay.evidence.jose.token import Given, Opened, TokenProfile, open_token, stated_limits
from assay.evidence.ledger import Check, CheckFailedError, LedgerBuilder
from assay.evidence.nras import checks
from assay.evidence.nras.bundle import Bundle, parse_bundle, submods_defect
from assay.evidence.nras.claims import DeviceClaims, NrasClaims

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.jose import JwksEndorsements, TokenLimits
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding, EvidenceResult

PLATFORM: Final = "nras"
ISSUER: Final = "https://nras.attestation.nvidia.com"
MAX_TOKEN_BYTES: Final = 65536
MEASURED: Final = frozenset({"success"})

_OVERALL: Final = TokenProfile(
    name="nras",
    specs=checks.TOKEN,
    algorithms=frozenset({"ES384"}),
    max_bytes=MAX_TOKEN_BYTES,
    anchor="published keys of NVIDIA's Remote Attestation Service",
    issuers=frozenset({ISSUER}),
)
_DEVICE: Final = replace(_OVERALL, name="nras.device", specs=checks.DEVICE)


def verify_nras(
    evidence: bytes,
    *,
    endorsements: JwksEndorsements | None,
    roots: Roots,
    limits: TokenLimits,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[NrasClaims]:
    """Verify an answer and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The answer, JSON, at most 262,144 bytes and 32 devices.
        endorsements: The key set that the service publishes, and its ``iss``.
        roots: Part of what facts are remembered under; no root anchors these tokens.
        limits: Skew and greatest age.
        now: The time of the verification; aware.
        binding: The expected bytes of the nonce, as every device answered it.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time``, ``evidence.call.type``, ``evidence.call.nonce``: errors of the
            caller.
    """
    demand_call(evidence, now, binding)
    ledger = LedgerBuilder(checks.ALL)
    overall = evidence
    try:
        bundle = _bundle(ledger, evidence)
        overall = bundle.overall
        given = Given(endorsements, roots, limits, now, facts)
        opened = open_token(ledger, overall, _OVERALL, given)
        _digests(ledger, opened.claims, bundle)
        devices = _devices(ledger, bundle, given)
        claims, nonce = _judged(ledger, opened, devices)
        bind(ledger, checks.BINDING, [nonce], binding)
    except CheckFailedError:
        return refused(PLATFORM, ledger, _OVERALL, checks.BINDING, overall, binding)
    signed = hashlib.sha256(
        opened.signed_digest + b"".join(found.signed_digest for found in devices.values())
    )
    opened = opened._replace(signed_digest=signed.digest())
    result = accepted(PLATFORM, ledger, checks.BINDING, opened, claims, binding)
    return replace(result, unsigned=bundle.unsigned)


def _bundle(ledger: LedgerBuilder, evidence: bytes) -> Bundle:
    try:
        bundle = parse_bundle(evidence)
    except JoseError as error:
        raise ledger.fail(checks.BUNDLE, f"{checks.BUNDLE.id}.{error.code}", error.message) from None
    ledger.passed(checks.BUNDLE)
    return bundle


def _digests(ledger: LedgerBuilder, claims: Mapping[str, Any], bundle: Bundle) -> None:
    defect = submods_defect(claims, bundle)
    if defect is not None:
        raise ledger.fail(checks.SUBMODS, f"{checks.SUBMODS.id}.{defect[0]}", defect[1])
    ledger.passed(checks.SUBMODS)


def _devices(ledger: LedgerBuilder, bundle: Bundle, given: Given) -> dict[str, Opened]:
    """Verify each device's token; the checks pass when they pass for every one."""
    found: dict[str, Opened] = {}
    for name, token in bundle.devices.items():
        own = LedgerBuilder(checks.DEVICE)
        try:
            found[name] = open_token(own, token, _DEVICE, given)
        except CheckFailedError as failure:
            made = [check for check in own.close() if check.spec in own]
            ledger.extend(
                Check(check.spec, check.outcome, check.code, f"{name}: {check.reason}")
                if check.code
                else check
                for check in made
            )
            raise failure from None
    ledger.passed(*(spec for spec in checks.DEVICE if spec not in _LATER))
    ledger.extend(stated_limits(checks.DEVICE, given.limits))
    return found


_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_LATER: Final = (checks.DEVICE_CLAIMS, checks.DEVICE_ISSUED, checks.DEVICE_AGE)


def _judged(ledger: LedgerBuilder, opened: Opened, devices: Mapping[str, Opened]) -> tuple[NrasClaims, bytes]:
    claims, named = opened.claims, opened.registered
    try:
        nonce = read.hexadecimal(claims, "eat_nonce", None)
        passed = read.flag(claims, "x-nvidia-overall-att-result")
        version = read.text(claims, "x-nvidia-ver", "")
    except JoseError as error:
        raise ledger.fail(checks.CLAIMS, f"{checks.CLAIMS.id}.{error.code}", error.message) from None
    ledger.passed(checks.CLAIMS)
    try:
        own = tuple(_device(name, found) for name, found in devices.items())
        nonces = [read.hexadecimal(found.claims, "eat_nonce", None) for found in devices.values()]
        results = [read.text(found.claims, "measres") for found in devices.values()]
    except JoseError as error:
        if passed is False:
            # Of a device that it did not accept, the service says why and no more.
            raise ledger.fail(checks.RESULT, "nras.token.result.refused", _refusal(devices)) from None
        spec = checks.DEVICE_CLAIMS
        raise ledger.fail(spec, f"{spec.id}.{error.code}", error.message) from None
    ledger.passed(checks.DEVICE_CLAIMS)
    if any(not hmac.compare_digest(found, nonce) for found in nonces):
        raise ledger.fail(checks.NONCES, "nras.device.nonce.mismatch", "A device answered another nonce.")
    ledger.passed(checks.NONCES)
    if passed is not True:
        raise ledger.fail(
            checks.RESULT, "nras.token.result.refused", "The service did not accept the devices."
        )
    if not MEASURED.issuperset(results):
        raise ledger.fail(
            checks.RESULT, "nras.token.result.measurements", "The measurements of a device did not match."
        )
    ledger.passed(checks.RESULT)
    return (
        NrasClaims(
            named.issuer,
            version,
            read.moment(named.issued_at),
            read.moment(named.expires_at),
            nonce,
            own,
            MappingProxyType(claims),
        ),
        nonce,
    )


def _refusal(devices: Mapping[str, Opened]) -> str:
    """Return a sentence with the first reason that the service gives for a device."""
    for name, found in devices.items():
        details = found.claims.get("x-nvidia-error-details")
        why = details.get("message") if type(details) is dict else None
        if type(why) is str and _REASON.fullmatch(why):
            return f"The service did not accept the devices; of {name} it says {why}."
    return "The service did not accept the devices."


def _device(name: str, found: Opened) -> DeviceClaims:
    claims = found.claims
    flags = {
        key: value for key, value in claims.items() if key.startswith("x-nvidia-") and type(value) is bool
    }
    kind = "switch" if any(key.startswith("x-nvidia-switch-") for key in claims) else "gpu"
    firmware = "x-nvidia-switch-bios-version" if kind == "switch" else "x-nvidia-gpu-vbios-version"
    return DeviceClaims(
        name,
        read.text(claims, "hwmodel"),
        read.text(claims, "ueid", ""),
        read.text(claims, "x-nvidia-gpu-driver-version", ""),
        read.text(claims, firmware, ""),
        read.text(claims, "dbgstat", ""),
        read.flag(claims, "secboot"),
        MappingProxyType(flags),
        _warning(claims.get("x-nvidia-attestation-warning")),
        MappingProxyType(claims),
    )


def _warning(found: Any) -> str:
    return "" if found is None else str(found)[: read.MAX_TEXT]
