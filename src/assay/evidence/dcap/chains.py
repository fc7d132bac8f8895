"""The certificates of a DCAP verification: the PCK chain, the signers of documents, the revocation lists.

Each function records the checks that it makes and returns what they establish; it stops at the first that
fails.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from assay.evidence.dcap import checks
from assay.evidence.dcap.pck import (
    OID_SGX_EXTENSION,
    PCK_CA_ROLE,
    PCK_ROLE,
    ROOT_ROLE,
    TCB_SIGNER_ROLE,
    PckExtension,
)
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import PemError, certificates
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.records import record
from assay.evidence.x509.certificate import Certificate, verifies
from assay.evidence.x509.crl import RevocationList
from assay.evidence.x509.roles import issued

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import CheckSpec, Ledger
    from assay.evidence.roots import Root, Roots
    from assay.evidence.x509.roles import Role


@record
class PckChain:
    """What a verified PCK chain establishes.

    Attributes:
        root: The root it ended in.
        authority: The CA's certificate.
        leaf: The PCK certificate.
        key: The PCK key.
        extension: What the certificate says of the platform.
        window: When the whole chain is valid.
    """

    root: Root
    authority: Certificate
    leaf: Certificate
    key: ec.EllipticCurvePublicKey
    extension: PckExtension
    window: Window


class _Decoding:
    """Records what a decoder refuses as the failure of a check under a code, and stops: a context manager."""

    __slots__ = ("_code", "_ledger", "_spec")

    def __init__(self, ledger: LedgerBuilder, spec: CheckSpec, code: str) -> None:
        self._ledger = ledger
        self._spec = spec
        self._code = code

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (DerError, PemError)):
            raise self._ledger.fail(self._spec, self._code, error.message) from None


def describe(window: Window, now: datetime) -> str:
    """Return a window and a time as words."""
    return f"valid {_stamp(window.start)} to {_stamp(window.end)}, the given time is {_stamp(now)}"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_pck_chain(ledger: LedgerBuilder, text: bytes) -> tuple[Certificate, Certificate, bytes]:
    """Decode leaf and CA of a chain of exactly three, and return them with the root's DER."""
    with _Decoding(ledger, checks.PCK_LAYOUT, "dcap.pck.malformed"):
        leaf, authority, root = certificates(text, count=3)
        found = Certificate.parse(leaf), Certificate.parse(authority), root
    ledger.passed(checks.PCK_LAYOUT)
    return found


def verify_pck_chain(
    text: bytes, roots: Roots, now: datetime, facts: FactCache
) -> tuple[Ledger, PckChain | None]:
    """Verify the chain of a quote, by role, to a root of trust; remember it if all of it passed.

    Args:
        text: The chain as PEM: leaf, CA, root.
        roots: The roots that it may end in.
        now: The time at which it must be valid.
        facts: Where verified chains are remembered.

    Returns:
        The outcomes of ``PCK_CHECKS``, and the chain unless a check failed on which everything rests.
    """
    key = (hashlib.sha256(text).digest(), roots.digest)
    known: tuple[Ledger, PckChain] | None = facts.chains.get(key, now)
    if known is not None:
        return known
    ledger = LedgerBuilder(checks.PCK_CHECKS)
    try:
        chain = _pck_chain(ledger, text, roots.intel, now)
    except CheckFailedError:
        return ledger.close(), None
    closed = ledger.close()
    if not closed.unmet():
        facts.chains.put(key, chain.window, (closed, chain))
    return closed, chain


def _pck_chain(ledger: LedgerBuilder, text: bytes, roots: tuple[Root, ...], now: datetime) -> PckChain:
    leaf, authority, root_der = read_pck_chain(ledger, text)
    root = next((entry for entry in roots if entry.der == root_der), None)
    if root is None:
        mark = hashlib.sha256(root_der).hexdigest()
        raise ledger.fail(
            checks.ROOT_PINNED,
            "dcap.root.not_pinned",
            f"The chain's root, SHA-256 {mark}, is none of those given.",
        )
    ledger.passed(checks.ROOT_PINNED)
    with _Decoding(ledger, checks.PCK_CHAIN, "dcap.pck.chain"):
        top = root.certificate
        _demand(ledger, checks.PCK_CHAIN, "dcap.pck.chain", issued(authority, top, "PCK CA certificate"))
        _demand(ledger, checks.PCK_CHAIN, "dcap.pck.chain", issued(leaf, authority, "PCK certificate"))
        key = leaf.key()
    ledger.passed(checks.PCK_CHAIN)
    with _Decoding(ledger, checks.PCK_ROLE, "dcap.pck.role"):
        for role, certificate in ((ROOT_ROLE, top), (PCK_CA_ROLE, authority), (PCK_ROLE, leaf)):
            _demand(ledger, checks.PCK_ROLE, "dcap.pck.role", role.defect(certificate))
    ledger.passed(checks.PCK_ROLE)
    window = top.window & authority.window & leaf.window
    if now in window:
        ledger.passed(checks.PCK_VALIDITY)
    else:
        ledger.failed(checks.PCK_VALIDITY, "dcap.pck.validity", f"The PCK chain is {describe(window, now)}.")
    with _Decoding(ledger, checks.PCK_EXTENSION, "dcap.pck.extension"):
        extension = PckExtension.parse(leaf.extensions[OID_SGX_EXTENSION][1])
    ledger.passed(checks.PCK_EXTENSION)
    return PckChain(root, authority, leaf, key, extension, window)


@record
class Trust:
    """Under what the issuer chains of documents are verified.

    Attributes:
        root: The root that each must end in.
        known: Certificates that are verified already, by DER.
        now: The time at which they must be valid.
        facts: Where verified certificates are remembered.
    """

    root: Root
    known: Mapping[bytes, Certificate]
    now: datetime
    facts: FactCache


def verify_crl_authority(ledger: LedgerBuilder, text: bytes, trust: Trust) -> Certificate:
    """Verify the issuer chain of the PCK CRL: a PCK CA, then the pinned root; record ``PCK_CRL_CHAIN``."""
    spec, code = checks.PCK_CRL_CHAIN, "dcap.pck_crl.chain"
    found = _two(ledger, spec, code, text, PCK_CA_ROLE, trust)
    with _Decoding(ledger, spec, code):
        _demand(ledger, spec, code, PCK_CA_ROLE.defect(found))
    if trust.now not in found.window:
        raise ledger.fail(
            spec, "dcap.pck_crl.chain_validity", f"The PCK CRL's CA is {describe(found.window, trust.now)}."
        )
    ledger.passed(spec)
    return found


def verify_signers(
    ledger: LedgerBuilder, texts: tuple[bytes, bytes], trust: Trust
) -> tuple[Certificate, Certificate]:
    """Verify the signers of TCB info and QE identity: certified by the pinned root directly, for that."""
    spec, code = checks.TCB_SIGNER_CHAIN, "dcap.tcb_signer.chain"
    first = _two(ledger, spec, code, texts[0], TCB_SIGNER_ROLE, trust)
    second = first
    if texts[1] != texts[0]:
        second = _two(ledger, spec, code, texts[1], TCB_SIGNER_ROLE, trust)
    ledger.passed(spec)
    with _Decoding(ledger, checks.TCB_SIGNER_ROLE, "dcap.tcb_signer.role"):
        for certificate in {first.der: first, second.der: second}.values():
            _demand(
                ledger, checks.TCB_SIGNER_ROLE, "dcap.tcb_signer.role", TCB_SIGNER_ROLE.defect(certificate)
            )
    ledger.passed(checks.TCB_SIGNER_ROLE)
    window = first.window & second.window
    if trust.now in window:
        ledger.passed(checks.TCB_SIGNER_VALIDITY)
    else:
        ledger.failed(
            checks.TCB_SIGNER_VALIDITY,
            "dcap.tcb_signer.validity",
            f"The TCB signing certificate is {describe(window, trust.now)}.",
        )
    return first, second


def _two(
    ledger: LedgerBuilder, spec: CheckSpec, code: str, text: bytes, role: Role, trust: Trust
) -> Certificate:
    """Verify that a chain is one certificate issued by the pinned root, and that root."""
    with _Decoding(ledger, spec, code):
        der, root = certificates(_ended_once(text), count=2)
        if root != trust.root.der:
            raise ledger.fail(spec, code, "The chain does not end in the root of the PCK chain.")
        key = (trust.root.anchor.fingerprint, hashlib.sha256(der).digest())
        known = trust.known.get(der) or trust.facts.certificates.get(key, trust.now)
        if known is not None:
            return known
        found = Certificate.parse(der)
        _demand(ledger, spec, code, issued(found, trust.root.certificate, role.title))
    trust.facts.certificates.put(key, found.window & trust.root.certificate.window, found)
    return found


def _ended_once(text: bytes) -> bytes:
    """Return the text of a file without the blank lines that editors and shells leave behind a chain."""
    bare = text.rstrip(b"\r\n")
    return bare + b"\n" if bare != text else text


def read_crl(ledger: LedgerBuilder, der: bytes, spec: CheckSpec, code: str) -> RevocationList:
    """Decode a CRL and record ``spec``."""
    with _Decoding(ledger, spec, code):
        found = RevocationList.parse(der)
    ledger.passed(spec)
    return found


def crl_is_of(crl: RevocationList, issuer: Certificate) -> bool:
    """Return whether a CRL names ``issuer`` and its key."""
    return crl.issuer == issuer.subject and crl.authority == issuer.key_identifier()


def verify_crl(
    ledger: LedgerBuilder,
    crl: RevocationList,
    issuer: Certificate,
    *,
    signature: CheckSpec,
    time: CheckSpec,
    now: datetime,
) -> None:
    """Verify signature and time of a CRL; the check ids are the codes."""
    if verifies(issuer.key(), crl.signature, crl.signed):
        ledger.passed(signature)
    else:
        ledger.failed(signature, signature.id, "The signature of the CRL is not its issuer's.")
    if now in crl.window:
        ledger.passed(time)
    else:
        ledger.failed(time, time.id, f"The CRL is {describe(crl.window, now)}.")


def _demand(ledger: LedgerBuilder, spec: CheckSpec, code: str, defect: str | None) -> None:
    if defect is not None:
        raise ledger.fail(spec, code, defect)
