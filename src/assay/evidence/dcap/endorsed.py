"""Collateral, verified: what Intel's documents establish under one root at one time, whatever the quote.

The result is a fact about signed bytes and can be remembered; what it means for one quote is ``verify``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from assay.evidence.dcap import checks
from assay.evidence.dcap.chains import (
    crl_is_of,
    describe,
    read_crl,
    verify_crl,
    verify_crl_authority,
    verify_signers,
)
from assay.evidence.dcap.documents import SIGNED_STATUSES, parse_qe_identity, parse_tcb_info
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.facts import Window
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.records import record
from assay.evidence.x509.certificate import raw_signature, verifies

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from assay.evidence.dcap.chains import Trust
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.dcap.documents import QeIdentity, Standing, TcbInfo
    from assay.evidence.dcap.quote import Platform
    from assay.evidence.ledger import CheckSpec, Ledger
    from assay.evidence.x509.certificate import Certificate
    from assay.evidence.x509.crl import RevocationList

StepT = TypeVar("StepT")
DocumentT = TypeVar("DocumentT", "TcbInfo", "QeIdentity")

# Which document serves which kind of TEE: its id, and the versions that exist for it.
_TCB_INFO_IDS = {"sgx": ("SGX", frozenset({2, 3})), "tdx": ("TDX", frozenset({3}))}
_QE_IDS = {"sgx": ("QE", frozenset({2})), "tdx": ("TD_QE", frozenset({2, 3}))}
_SIGNATURE_BYTES = 64


@record
class Endorsed:
    """What verified collateral consists of; a part is None when nothing can rest on it.

    Attributes:
        root_crl: Revocations by the root.
        pck_crl: Revocations by the PCK CA.
        crl_authority: The CA that issued ``pck_crl``.
        signers: Signers of TCB info and QE identity.
        tcb_info: The levels of the platform.
        qe_identity: The quoting enclave.
        window: When all of it holds.
    """

    root_crl: RevocationList | None
    pck_crl: RevocationList | None
    crl_authority: Certificate | None
    signers: tuple[Certificate, Certificate] | None
    tcb_info: TcbInfo | None
    qe_identity: QeIdentity | None
    window: Window


def verify_collateral(collateral: Collateral, platform: Platform, trust: Trust) -> tuple[Ledger, Endorsed]:
    """Verify collateral, whatever the quote; remember it if all of it passed.

    Args:
        collateral: The documents.
        platform: The kind of TEE that they must be for.
        trust: The root that they must end in, the time at which they must be valid, what is known already.

    Returns:
        The outcomes of ``DOCUMENT_CHECKS``, where a failure stops only those that rest on it, and what they
        establish.
    """
    key = (collateral.digest, trust.root.anchor.fingerprint, platform)
    known: tuple[Ledger, Endorsed] | None = trust.facts.collateral.get(key, trust.now)
    if known is not None:
        return known
    ledger = LedgerBuilder(checks.DOCUMENT_CHECKS)
    root_crl = _attempt(lambda: _root_crl(ledger, collateral, trust))
    found = _attempt(lambda: _pck_crl(ledger, collateral, trust))
    pck_crl, authority = found or (None, None)
    chains = (collateral.tcb_info_issuer_chain, collateral.qe_identity_issuer_chain)
    signers = _attempt(lambda: verify_signers(ledger, chains, trust))
    info: TcbInfo | None = None
    identity: QeIdentity | None = None
    if signers is not None:
        info = _attempt(lambda: _tcb_info(ledger, collateral, signers[0], platform, trust.now))
        identity = _attempt(lambda: _qe_identity(ledger, collateral, signers[1], platform, trust.now))
    if info is not None and identity is not None:
        _attempt(
            lambda: _statuses(ledger, [*info.standings(), *(level.standing for level in identity.levels)])
        )
    parts = (trust.root.certificate, root_crl, pck_crl, authority, *(signers or ()), info, identity)
    windows = [part.window for part in parts if part is not None]
    window = Window(max(found.start for found in windows), min(found.end for found in windows))
    closed = ledger.close()
    endorsed = Endorsed(root_crl, pck_crl, authority, signers, info, identity, window)
    if not closed.unmet():
        trust.facts.collateral.put(key, window, (closed, endorsed))
    return closed, endorsed


def _attempt(step: Callable[[], StepT]) -> StepT | None:
    """Run one step; the ledger already holds why it stopped."""
    try:
        return step()
    except CheckFailedError:
        return None


def _root_crl(ledger: LedgerBuilder, collateral: Collateral, trust: Trust) -> RevocationList:
    crl = read_crl(ledger, collateral.root_ca_crl, checks.ROOT_CRL_LAYOUT, "dcap.root_crl.malformed")
    if not crl_is_of(crl, trust.root.certificate):
        raise ledger.fail(
            checks.ROOT_CRL_ISSUER,
            "dcap.root_crl.issuer",
            "The root CRL names another issuer or key than the root.",
        )
    ledger.passed(checks.ROOT_CRL_ISSUER)
    verify_crl(
        ledger,
        crl,
        trust.root.certificate,
        signature=checks.ROOT_CRL_SIGNATURE,
        time=checks.ROOT_CRL_TIME,
        now=trust.now,
    )
    return crl


def _pck_crl(
    ledger: LedgerBuilder, collateral: Collateral, trust: Trust
) -> tuple[RevocationList, Certificate]:
    crl = read_crl(ledger, collateral.pck_crl, checks.PCK_CRL_LAYOUT, "dcap.pck_crl.malformed")
    authority = verify_crl_authority(ledger, collateral.pck_crl_issuer_chain, trust)
    verify_crl(
        ledger, crl, authority, signature=checks.PCK_CRL_SIGNATURE, time=checks.PCK_CRL_TIME, now=trust.now
    )
    return crl, authority


def _tcb_info(
    ledger: LedgerBuilder, collateral: Collateral, signer: Certificate, platform: Platform, now: datetime
) -> TcbInfo:
    return _document(
        ledger,
        collateral.tcb_info,
        collateral.tcb_info_signature,
        signer,
        parse_tcb_info,
        (checks.TCB_INFO_SIGNATURE, checks.TCB_INFO_LAYOUT, checks.TCB_INFO_ID, checks.TCB_INFO_TIME),
        _TCB_INFO_IDS[platform],
        now,
    )


def _qe_identity(
    ledger: LedgerBuilder, collateral: Collateral, signer: Certificate, platform: Platform, now: datetime
) -> QeIdentity:
    return _document(
        ledger,
        collateral.qe_identity,
        collateral.qe_identity_signature,
        signer,
        parse_qe_identity,
        (
            checks.QE_IDENTITY_SIGNATURE,
            checks.QE_IDENTITY_LAYOUT,
            checks.QE_IDENTITY_ID,
            checks.QE_IDENTITY_TIME,
        ),
        _QE_IDS[platform],
        now,
    )


def _document(
    ledger: LedgerBuilder,
    raw: bytes,
    signature: bytes,
    signer: Certificate,
    parse: Callable[[bytes], DocumentT],
    specs: tuple[CheckSpec, CheckSpec, CheckSpec, CheckSpec],
    wanted: tuple[str, frozenset[int]],
    now: datetime,
) -> DocumentT:
    """Verify one signed document, the signature over its raw bytes first; check ids are the codes."""
    signed, layout, kind, time = specs
    if len(signature) != _SIGNATURE_BYTES or not verifies(signer.key(), raw_signature(signature), raw):
        raise ledger.fail(signed, signed.id, "The signature over the raw bytes is not the TCB signer's.")
    ledger.passed(signed)
    try:
        document = parse(raw)
    except JsonError as error:
        raise ledger.fail(layout, layout.id, error.message) from None
    ledger.passed(layout)
    name, versions = wanted
    if document.id != name or document.version not in versions:
        raise ledger.fail(
            kind, kind.id, f"The document is no {name} in version {' or '.join(map(str, sorted(versions)))}."
        )
    ledger.passed(kind)
    if now in document.window:
        ledger.passed(time)
    else:
        ledger.failed(time, time.id, f"The document is {describe(document.window, now)}.")
    return document


def _statuses(ledger: LedgerBuilder, standings: list[Standing]) -> None:
    unknown = next(
        (standing.status for standing in standings if standing.status not in SIGNED_STATUSES), None
    )
    if unknown is not None:
        raise ledger.fail(
            checks.TCB_STATUS, "dcap.tcb.status_unknown", f"A document states the unknown status {unknown!r}."
        )
    ledger.passed(checks.TCB_STATUS)
