"""Intel's Provisioning Certification Service, version 4: collateral, evaluation numbers, PCK certificates.

Source: Intel SGX and Intel TDX Provisioning Certification Service API documentation, version 4. Whatever
server answers (Intel's, or a PCCS of the caller's), everything is verified up to a root before it is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote_to_bytes, urlsplit

from assay.endorsements.record import Basis
from assay.endorsements.source import (
    Fetched,
    Judged,
    SignedSource,
    malformed,
    part,
    stale,
    swapped,
    unverified,
)
from assay.errors import AssayError, EndorsementError
from assay.evidence.dcap import checks
from assay.evidence.dcap.chains import Trust, verify_pck_chain, verify_signers
from assay.evidence.dcap.collateral import Collateral, signed_member
from assay.evidence.dcap.documents import parse_qe_identity, parse_tcb_info
from assay.evidence.dcap.endorsed import verify_collateral
from assay.evidence.decoding import strictjson
from assay.evidence.decoding.pem import certificates
from assay.evidence.facts import FactCache, Window
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.roots import INTEL
from assay.evidence.x509.certificate import raw_signature, verifies
from assay.evidence.x509.crl import RevocationList

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.http import Answer
    from assay.endorsements.record import Endorsement, Wanted
    from assay.endorsements.source import Access
    from assay.evidence.dcap.quote import Platform
    from assay.evidence.ledger import Ledger
    from assay.evidence.roots import Root

COLLATERAL: Final = "intel-collateral"
NUMBERS: Final = "intel-evaluation-numbers"
PCK: Final = "intel-pck"
COLLATERAL_PART: Final = "collateral.json"
PCK_CHAIN_PART: Final = "pck_chain.pem"
_ANSWER_PART: Final = "answer.json"
_CHAIN_PART: Final = "issuer_chain.pem"
_MAX_DOCUMENT: Final = 1 << 20
_MAX_CHAIN: Final = 16384
_TEE: Final = re.compile("sgx|tdx")
_FMSPC: Final = re.compile("[0-9a-f]{12}")
_CA: Final = re.compile("platform|processor")
_UPDATE: Final = re.compile("early|standard")
_NUMBER: Final = re.compile("[0-9]{1,9}")
_CDP: Final = re.compile(rb"https://[A-Za-z0-9./_-]{1,200}")
_TCB_CHAIN: Final = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_QE_CHAIN: Final = ("sgx-enclave-identity-issuer-chain",)
_CRL_CHAIN: Final = ("sgx-pck-crl-issuer-chain",)
_NUMBERS_CHAIN: Final = ("tcb-evaluation-data-numbers-issuer-chain",)
_PCK_CHAIN: Final = ("sgx-pck-certificate-issuer-chain",)
_TIME_CHECKS: Final = frozenset(
    {
        checks.ROOT_CRL_TIME.id,
        checks.PCK_CRL_TIME.id,
        checks.TCB_INFO_TIME.id,
        checks.QE_IDENTITY_TIME.id,
        checks.TCB_SIGNER_VALIDITY.id,
    }
)


class CollateralSource(SignedSource):
    """TCB info, QE identity and revocation lists of one family of processors, as one endorsement.

    Key: ``tee``, ``fmspc``, ``ca``, and either ``update`` (``early``, ``standard``; the service takes
    standard) or ``number``, the TCB evaluation data number.
    """

    __slots__ = ()
    kinds = frozenset({COLLATERAL})
    vendors = (INTEL,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the four documents and their issuer chains."""
        tee = wanted.demand("tee", _TEE)
        fmspc = wanted.demand("fmspc", _FMSPC)
        authority = wanted.demand("ca", _CA)
        which = _which(wanted)
        info = _ask(access, f"/{tee}/certification/v4/tcb?fmspc={fmspc}{which.replace('?', '&')}")
        identity = _ask(access, f"/{tee}/certification/v4/qe/identity{which}")
        crl = _ask(access, f"/sgx/certification/v4/pckcrl?ca={authority}&encoding=der")
        chain = _chain(info, _TCB_CHAIN)
        root_crl = _root_crl(access, _root_of(chain, access))
        try:
            found = Collateral.from_pcs(
                tcb_info=info.body,
                tcb_info_issuer_chain=chain,
                qe_identity=identity.body,
                qe_identity_issuer_chain=_chain(identity, _QE_CHAIN),
                pck_crl=crl.body,
                pck_crl_issuer_chain=_chain(crl, _CRL_CHAIN),
                root_ca_crl=root_crl.body,
            )
            parts = {COLLATERAL_PART: found.to_bundle_json()}
        except (AssayError, UnicodeDecodeError) as error:
            why = error.message if isinstance(error, AssayError) else "A chain is no text."
            raise malformed(f"The service did not answer with collateral: {why}") from None
        return Fetched(parts, tuple(answer.url for answer in (info, identity, crl, root_crl)))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify every signature and role, and that it is for the wanted family, authority and number."""
        found = Collateral.from_bundle_json(part(parts, COLLATERAL_PART))
        root = _root_of(found.tcb_info_issuer_chain, access)
        trust = Trust(root, {}, now, FactCache())
        tee = cast("Platform", wanted.demand("tee", _TEE))
        ledger, endorsed = verify_collateral(found, tee, trust)
        _demand_all(ledger)
        info, identity = endorsed.tcb_info, endorsed.qe_identity
        # Every check passed, so every part is there; the conditions tell the type checker.
        if info is None or identity is None or endorsed.root_crl is None or endorsed.crl_authority is None:
            raise unverified("The collateral is incomplete.")
        signers = endorsed.signers or ()
        if any(each.serial in endorsed.root_crl.revoked for each in (endorsed.crl_authority, *signers)):
            raise unverified("The root revoked an authority or a signer of this collateral.")
        if info.fmspc.hex() != wanted["fmspc"]:
            raise swapped(f"The TCB info is for FMSPC {info.fmspc.hex()}, not {wanted['fmspc']}.")
        if wanted["ca"] not in endorsed.crl_authority.common_name.lower():
            raise swapped(f"The revocation list is not of the {wanted['ca']} authority.")
        number = wanted.get("number")
        if number and {str(info.evaluation_number), str(identity.evaluation_number)} != {number}:
            raise swapped(f"The documents are not those of TCB evaluation data number {number}.")
        return Judged(endorsed.window, Basis.SIGNATURE, root.anchor.fingerprint.hex())

    def newness(self, made: Endorsement) -> tuple[Any, ...]:
        """Return what dates each document: old evaluation numbers are issued anew for a year."""
        found = Collateral.from_bundle_json(part(made.parts, COLLATERAL_PART))
        numbered = (parse_tcb_info(found.tcb_info), parse_qe_identity(found.qe_identity))
        lists = (RevocationList.parse(found.pck_crl), RevocationList.parse(found.root_ca_crl))
        return (
            *((each.evaluation_number, each.window.start) for each in numbered),
            *(each.window.start for each in lists),
        )


class NumbersSource(SignedSource):
    """The list of TCB evaluation data numbers of a kind of TEE; key: ``tee``."""

    __slots__ = ()
    kinds = frozenset({NUMBERS})
    vendors = (INTEL,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the list and its issuer chain."""
        tee = wanted.demand("tee", _TEE)
        answer = _ask(access, f"/{tee}/certification/v4/tcbevaluationdatanumbers")
        return Fetched(
            {_ANSWER_PART: answer.body, _CHAIN_PART: _chain(answer, _NUMBERS_CHAIN)}, (answer.url,)
        )

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify the signature over the list by a TCB signer under a root."""
        chain = part(parts, _CHAIN_PART)
        root = _root_of(chain, access)
        try:
            raw, signature = signed_member(part(parts, _ANSWER_PART), "tcbEvaluationDataNumbers")
        except EndorsementError as error:
            raise malformed(error.message) from None
        ledger = LedgerBuilder(checks.DOCUMENT_CHECKS)
        try:
            signer, _ = verify_signers(ledger, (chain, chain), Trust(root, {}, now, FactCache()))
        except CheckFailedError as error:
            raise unverified(error.message, check=error.code) from None
        if len(signature) != 64 or not verifies(signer.key(), raw_signature(signature), raw):
            raise unverified("The signature over the evaluation numbers is not the TCB signer's.")
        tee, window, _ = _numbers(raw)
        if tee != wanted["tee"].upper():
            raise swapped(f"The evaluation numbers are for {tee}.")
        return Judged(
            window & signer.window & root.certificate.window, Basis.SIGNATURE, root.anchor.fingerprint.hex()
        )


class PckSource(SignedSource):
    """The PCK certificate of one platform, for quotes that name their platform only by its encrypted PPID.

    Key: ``encrypted-ppid`` (384 bytes), ``cpusvn`` (16 bytes), ``pcesvn`` (2 bytes, little-endian), ``pceid``
    (2 bytes), each in lower-case hexadecimal.
    """

    __slots__ = ()
    kinds = frozenset({PCK})
    vendors = (INTEL,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the certificate and its issuer chain."""
        sizes = {"encrypted-ppid": 768, "cpusvn": 32, "pcesvn": 4, "pceid": 4}
        values = {
            name: wanted.demand(name, re.compile(f"[0-9a-f]{{{size}}}")) for name, size in sizes.items()
        }
        query = "&".join(f"{name.replace('-', '_')}={value}" for name, value in values.items())
        answer = _ask(access, f"/sgx/certification/v4/pckcert?{query}")
        leaf = answer.body if answer.body.endswith(b"\n") else answer.body + b"\n"
        return Fetched({PCK_CHAIN_PART: leaf + _chain(answer, _PCK_CHAIN)}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify the chain by role; its PCE id must be the wanted one."""
        ledger, chain = verify_pck_chain(part(parts, PCK_CHAIN_PART), access.roots, now, FactCache())
        _demand_all(ledger)
        if chain is None:
            raise unverified("The PCK chain is incomplete.")
        if chain.extension.pce_id.hex() != wanted["pceid"]:
            raise swapped("The PCK certificate is for another PCE.")
        return Judged(chain.window, Basis.SIGNATURE, chain.root.anchor.fingerprint.hex())


def evaluation_numbers(parts: Mapping[str, bytes]) -> tuple[int, ...]:
    """Return the numbers of a verified list, newest first.

    Raises:
        EndorsementError: ``endorsements.answer.malformed``.
    """
    raw, _ = signed_member(part(parts, _ANSWER_PART), "tcbEvaluationDataNumbers")
    return _numbers(raw)[2]


def _numbers(raw: bytes) -> tuple[str, Window, tuple[int, ...]]:
    from datetime import datetime  # noqa: PLC0415 - needed here alone

    try:
        top = strictjson.parse_object(raw, max_bytes=_MAX_DOCUMENT)
        window = Window(
            *(
                datetime.fromisoformat(strictjson.member(top, name, str))
                for name in ("issueDate", "nextUpdate")
            )
        )
        if window.start.tzinfo is None or window.end.tzinfo is None:
            raise malformed("The list of evaluation numbers has no time zone.")
        found = [
            strictjson.member(item, "tcbEvaluationDataNumber", int)
            for item in strictjson.member(top, "tcbEvalNumbers", list)
        ]
        return strictjson.member(top, "id", str), window, tuple(sorted(found, reverse=True))
    except (AssayError, ValueError, TypeError, AttributeError):
        raise malformed("The answer is no list of TCB evaluation data numbers.") from None


def _which(wanted: Wanted) -> str:
    """Return the query that chooses a recovery: an update channel, or one number; never both."""
    update, number = wanted.get("update"), wanted.get("number")
    if update and number:
        raise EndorsementError(
            "endorsements.wanted.malformed", "An update channel and an evaluation number exclude each other."
        )
    if number:
        return f"?tcbEvaluationDataNumber={wanted.demand('number', _NUMBER)}"
    return f"?update={wanted.demand('update', _UPDATE)}" if update else ""


def _ask(access: Access, path: str) -> Answer:
    return access.client.get(access.services.place("pcs", path), max_bytes=_MAX_DOCUMENT)


def _chain(answer: Answer, names: tuple[str, ...]) -> bytes:
    """Return an issuer chain out of its header: URL-encoded PEM."""
    text = next((answer.headers[name] for name in names if name in answer.headers), "")
    if not 0 < len(text) <= _MAX_CHAIN * 3:
        raise malformed(f"The answer has no header {names[0]}.")
    return unquote_to_bytes(text)


def _root_of(chain: bytes, access: Access) -> Root:
    """Return the root of trust in which a signer's chain of two ends."""
    try:
        _, der = certificates(chain, count=2)
    except AssayError as error:
        raise malformed(f"An issuer chain is malformed: {error.message}") from None
    found = next((root for root in access.roots.intel if root.der == der), None)
    if found is None:
        raise unverified("The issuer chain does not end in a root of trust.")
    return found


def _root_crl(access: Access, root: Root) -> Answer:
    """Ask for the root's CRL at its distribution point, under the one host that publishes it."""
    from cryptography import x509  # noqa: PLC0415 - needed for this extension of a root alone

    certificate = x509.load_der_x509_certificate(root.der)
    try:
        value = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        names = [name.value for point in value for name in point.full_name or ()]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    url = next((name for name in names if isinstance(name, str) and _CDP.fullmatch(name.encode())), "")
    if not url:
        raise unverified("The root names no place where it publishes its revocation list.")
    return access.client.get(access.services.place("intel-crl", urlsplit(url).path), max_bytes=_MAX_DOCUMENT)


def _demand_all(ledger: Ledger) -> None:
    """Demand that every check passed; one that only says "not now" is staleness."""
    unmet = [*ledger.failed(), *ledger.unmet()]
    grave = next((check for check in unmet if check.id not in _TIME_CHECKS), None)
    if grave is not None:
        raise unverified(grave.reason, check=grave.id)
    if unmet:
        raise stale(unmet[0].reason)


SOURCES: Final = (CollateralSource(), NumbersSource(), PckSource())
