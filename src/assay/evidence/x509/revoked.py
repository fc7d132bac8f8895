"""Whether a certificate of a verified chain is on a list of its issuer: one step for every format.

Who has lists at hand has those of other authorities among them. Such a list has nothing to say of a chain and
is passed over; one that names an issuer of the chain must be that issuer's, and valid now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError
from assay.evidence.facts import ALWAYS, Window
from assay.evidence.ledger import Check, Outcome
from assay.evidence.x509.certificate import OID_KEY_USAGE
from assay.evidence.x509.general import usage_bits
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.roles import CRL_SIGN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assay.evidence.ledger import CheckSpec
    from assay.evidence.x509.general import GeneralCertificate

_NONE_GIVEN: Final = "no CRL was given: revocation is not proven"
_NONE_OF_CHAIN: Final = "no given CRL is of an issuer of the chain: revocation is not proven"


@dataclass(frozen=True, slots=True)
class Revocation:
    """What revocation lists say of a chain.

    Attributes:
        check: The outcome: not applicable when no list of an issuer of the chain was given.
        complete: Whether every issuer of the chain had a list, and none listed the certificate below it.
        window: When all lists that were looked at are valid; always when there was none.
    """

    check: Check
    complete: bool
    window: Window


def judge_lists(
    spec: CheckSpec, chain: Sequence[GeneralCertificate], crls: Sequence[bytes], now: datetime
) -> Revocation:
    """Look for the certificates of a chain on the lists of their issuers.

    Args:
        spec: The format's check. It fails under ``malformed`` for a list that cannot be read, ``issuer`` for
            one that names an issuer of the chain and is not that issuer's, ``time`` for one that is not valid
            now, and ``listed`` for a certificate that is revoked.
        chain: Certificates that ``verify_path`` accepted, leaf first, root last.
        crls: Lists of any issuers, DER, each of at most 1 MiB.
        now: The time at which they must be valid, aware.
    """
    windows: dict[int, Window] = {}
    try:
        for der in crls:
            crl = GeneralRevocationList.parse(der)
            places = [place for place in range(1, len(chain)) if _names(crl, chain[place])]
            if not places:
                continue
            place = next((one for one in places if _is_of(crl, chain[one])), None)
            if place is None:
                return _failed(spec, "issuer", "A CRL names an issuer of the chain and is not that issuer's.")
            if now not in crl.window:
                return _failed(spec, "time", "A CRL is not valid at the given time.")
            if any(one.serial in crl.revoked for one in _issued(chain, place)):
                return _failed(spec, "listed", "A certificate of the chain is revoked.")
            windows[place] = windows.get(place, ALWAYS) & crl.window
    except DerError as error:
        return _failed(spec, "malformed", error.message)
    if not windows:
        reason = _NONE_OF_CHAIN if crls else _NONE_GIVEN
        return Revocation(Check(spec, Outcome.NOT_APPLICABLE, "", reason), complete=False, window=ALWAYS)
    window = ALWAYS
    for one in windows.values():
        window &= one
    return Revocation(spec.passed, len(windows) == len(chain) - 1, window)


def _failed(spec: CheckSpec, kind: str, reason: str) -> Revocation:
    return Revocation(Check(spec, Outcome.FAILED, f"{spec.id}.{kind}", reason), complete=False, window=ALWAYS)


def _names(crl: GeneralRevocationList, issuer: GeneralCertificate) -> bool:
    """Return whether a list names this certificate as its issuer: by name, and by key where it states one."""
    return crl.issuer == issuer.subject and issuer.key_identifier() in (None, crl.authority)


def _issued(chain: Sequence[GeneralCertificate], place: int) -> Sequence[GeneralCertificate]:
    """Return what an issuer issued of its chain: the certificate below it, and a root its own as well."""
    own = place == len(chain) - 1 and chain[place].subject == chain[place].issuer
    return chain[place - 1 : place + 1] if own else chain[place - 1 : place]


def _is_of(crl: GeneralRevocationList, issuer: GeneralCertificate) -> bool:
    """Return whether this certificate's key signed a list, and may sign lists (RFC 5280 section 6.3.3 f)."""
    usage = issuer.extensions.get(OID_KEY_USAGE)
    return (usage is None or usage_bits(usage[1]) & CRL_SIGN != 0) and crl.signed_by(issuer)
