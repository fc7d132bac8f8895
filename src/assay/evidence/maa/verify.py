"""Verification of a Microsoft Azure Attestation token under the keys that its instance publishes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assay.evidence.jose import claims as read
from assay.evidence.jose.base64url import decode, decode_standard
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.outcome import accepted, bind, demand_call, refused
from assay.evidence.jose.token import Given, Opened, TokenProfile, open_token
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.maa import checks
from assay.evidence.maa.claims import MaaClaims, Tee

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.jose import JwksEndorsements, TokenLimits
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding, EvidenceResult

PLATFORM: Final = "maa"
AZURE_VM: Final = "azurevm"
MAX_TOKEN_BYTES: Final = 65536

_PROFILE: Final = TokenProfile(
    name="maa",
    specs=checks.TOKEN,
    algorithms=frozenset({"RS256"}),
    max_bytes=MAX_TOKEN_BYTES,
    anchor="published keys of a Microsoft Azure Attestation instance",
)


class _Names(NamedTuple):
    """What the claims of one kind of TEE are called."""

    tee: Tee
    debug: tuple[str, ...]
    measurement: str
    report_data: str


_TEES: Final[Mapping[str, _Names]] = {
    "sevsnpvm": _Names(
        "sevsnpvm",
        ("x-ms-sevsnpvm-is-debuggable",),
        "x-ms-sevsnpvm-launchmeasurement",
        "x-ms-sevsnpvm-reportdata",
    ),
    "tdxvm": _Names("tdxvm", ("tdx_td_attributes_debug",), "tdx_mrtd", "tdx_report_data"),
    "sgx": _Names(
        "sgx", ("x-ms-sgx-is-debuggable", "is-debuggable"), "x-ms-sgx-mrenclave", "x-ms-sgx-report-data"
    ),
}


def verify_maa(
    evidence: bytes,
    *,
    endorsements: JwksEndorsements | None,
    roots: Roots,
    limits: TokenLimits,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[MaaClaims]:
    """Verify a token and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The compact token, ASCII, at most 65,536 bytes.
        endorsements: The key set that the instance publishes (``/certs``), and the instance.
        roots: Part of what facts are remembered under; no root anchors these tokens.
        limits: Skew and greatest age; the service's own tokens live for eight hours.
        now: The time of the verification; aware.
        binding: The expected bytes: of the client's nonce in ``x-ms-runtime.client-payload`` after its
            base64, or, in tokens about the TEE itself, of the held data or the 64 bytes of report data.
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


def _judged(ledger: LedgerBuilder, opened: Opened, binding: Binding) -> MaaClaims:
    claims = opened.claims
    try:
        kind = read.text(claims, "x-ms-attestation-type")
        isolation = read.mapping(claims, "x-ms-isolation-tee") if kind == AZURE_VM else claims
        names = _TEES.get(read.text(isolation, "x-ms-attestation-type", ""))
        if names is None:
            raise ledger.fail(
                checks.TYPE, "maa.token.type.unknown", "The token is not about a TEE of a kind that is known."
            )
        ledger.passed(checks.TYPE)
        reported = names.report_data in isolation
        report_data = read.hexadecimal(isolation, names.report_data, None) if reported else b""
        runtime = read.mapping(claims, "x-ms-runtime")
        nonce = _client_nonce(runtime)
        slots = _slots(isolation, kind, nonce, report_data)
        slot = bind(ledger, checks.BINDING, slots, binding)
        found = _claims(opened, kind, names, isolation, runtime, report_data, nonce, slot)
    except JoseError as error:
        raise ledger.fail(checks.CLAIMS, f"{checks.CLAIMS.id}.{error.code}", error.message) from None
    ledger.passed(checks.CLAIMS)
    return found


def _client_nonce(runtime: Mapping[str, Any]) -> bytes | None:
    payload = read.mapping(runtime, "client-payload")
    if "nonce" not in payload:
        return None
    return decode_standard(read.text(payload, "nonce").encode("utf-8", "replace"))


def _slots(isolation: Mapping[str, Any], kind: str, nonce: bytes | None, report_data: bytes) -> list[bytes]:
    """Return what may hold the expected value.

    The ``nonce`` of a request, which the service only echoes, is none of them: it is not in the TEE's
    evidence, and somebody who replays old evidence chooses it. Nor are an Azure guest's report data: they are
    the paravisor's.
    """
    slots = [] if nonce is None else [nonce]
    if kind != AZURE_VM:
        held = read.text(isolation, "x-ms-sgx-ehd", "")
        slots += [decode(held.encode("utf-8", "replace"))] if held else []
        slots += [report_data] if report_data else []
    return slots


def _claims(
    opened: Opened,
    kind: str,
    names: _Names,
    isolation: Mapping[str, Any],
    runtime: Mapping[str, Any],
    report_data: bytes,
    nonce: bytes | None,
    slot: int | None,
) -> MaaClaims:
    claims, named = opened.claims, opened.registered
    stated = [read.flag(isolation, name, default=False) for name in names.debug if name in isolation]
    issued_at = read.moment(named.issued_at)
    measured = names.measurement in isolation
    return MaaClaims(
        named.issuer,
        issued_at,
        issued_at if named.not_before == named.issued_at else read.moment(named.not_before),
        read.moment(named.expires_at),
        kind,
        names.tee,
        # One statement that it is off, and none that it is on.
        not stated or any(stated),
        read.flag(claims, "secureboot"),
        read.text(isolation, "x-ms-compliance-status", ""),
        read.text(claims, "x-ms-policy-hash", ""),
        read.hexadecimal(isolation, names.measurement, None) if measured else b"",
        report_data,
        nonce,
        slot,
        MappingProxyType(isolation),
        MappingProxyType(runtime),
        MappingProxyType(claims),
    )
