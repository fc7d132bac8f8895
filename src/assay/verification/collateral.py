"""Finding the collateral that fits a quote among files. Selecting proves nothing; the verifier checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.errors import AssayError, EndorsementError, EvidenceError
from assay.evidence.dcap.collateral import Collateral
from assay.evidence.dcap.documents import parse_tcb_info
from assay.evidence.records import record
from assay.evidence.x509.crl import RevocationList

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from assay.evidence.dcap.documents import TcbInfo

PCS_FILES: Final = {
    "tcb_info": "tcb_info.json",
    "tcb_info_issuer_chain": "tcb_info_issuer_chain.pem",
    "qe_identity": "qe_identity.json",
    "qe_identity_issuer_chain": "qe_identity_issuer_chain.pem",
    "pck_crl": "pck_crl.der",
    "pck_crl_issuer_chain": "pck_crl_issuer_chain.pem",
    "root_ca_crl": "root_ca_crl.der",
}
"""Part of the collateral to the name of the file that holds the service's raw answer."""

_CA_WORDS: Final = {"platform": b"Platform CA", "processor": b"Processor CA"}


@record
class Candidate:
    """One bundle, as far as it was looked at.

    Attributes:
        name: Of the file it came from.
        collateral: The bundle.
        tcb_info: Its TCB info, unverified.
    """

    name: str
    collateral: Collateral
    tcb_info: TcbInfo


def choose(files: Mapping[str, bytes], key: Mapping[str, str], now: datetime) -> Candidate | None:
    """Return the bundle that fits best, or None when none fits.

    One fits when it is for the platform family, the certification authority and the kind of TEE that ``key``
    names. Of those the ones valid at ``now`` come first, then the latest TCB recovery, then the latest issue.

    Args:
        files: Contents by file name; bundles (``*.json``) and one set of raw PCS answers (``PCS_FILES``).
        key: What the evidence needs: ``fmspc``, ``ca``, ``tee``; values it does not name fit anything.
        now: The time of the verification.
    """
    fitting = [found for found in candidates(files) if _fits(found, key)]
    return max(fitting, key=lambda found: _rank(found, now), default=None)


def candidates(files: Mapping[str, bytes]) -> Iterator[Candidate]:
    """Return every readable bundle among files; what cannot be read is passed over."""
    for name in sorted(files):
        if not name.endswith(".json") or name in PCS_FILES.values():
            continue
        try:
            collateral = Collateral.from_bundle_json(files[name])
            yield Candidate(name, collateral, parse_tcb_info(collateral.tcb_info))
        except AssayError:
            continue
    if all(name in files for name in PCS_FILES.values()):
        try:
            collateral = Collateral.from_pcs(**{part: files[name] for part, name in PCS_FILES.items()})
            yield Candidate(PCS_FILES["tcb_info"], collateral, parse_tcb_info(collateral.tcb_info))
        except AssayError:
            return


_NO_BUNDLE: Final = "This is no collateral bundle: "


def read_bundle(data: bytes, name: str) -> Collateral:
    """Return the one bundle that a file holds.

    Raises:
        EndorsementError: ``endorsements.collateral.malformed``.
    """
    try:
        return Collateral.from_bundle_json(data)
    except EndorsementError as error:
        raise EndorsementError(
            "endorsements.collateral.malformed",
            f"{name} is no collateral bundle: {error.message.removeprefix(_NO_BUNDLE)}",
            action="For a quote give Intel's collateral: a bundle in JSON, one of assay endorsements bundle,"
            " or a directory with either, or with the answers of Intel's service.",
        ) from None


def _fits(found: Candidate, key: Mapping[str, str]) -> bool:
    wanted: dict[str, Any] = {"fmspc": found.tcb_info.fmspc.hex(), "tee": found.tcb_info.id.lower()}
    if any(name in key and key[name].lower() != value for name, value in wanted.items()):
        return False
    word = _CA_WORDS.get(key.get("ca", ""))
    return word is None or word in _crl_issuer(found.collateral.pck_crl)


def _crl_issuer(der: bytes) -> bytes:
    try:
        return RevocationList.parse(der).issuer
    except EvidenceError:
        return b""


def _rank(found: Candidate, now: datetime) -> tuple[bool, int, datetime]:
    info = found.tcb_info
    return now in info.window, info.evaluation_number, info.window.start
