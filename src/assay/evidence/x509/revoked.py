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
from assay.evidence.verification import Need
from assay.evidence.x509 import need_chain
from assay.evidence.x509.certificate import OID_KEY_USAGE
from assay.evidence.x509.distribution import names_list, places_of_list
from assay.evidence.x509.general import usage_bits
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.roles import CRL_SIGN

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from assay.evidence.ledger import CheckSpec
    from assay.evidence.x509.general import GeneralCertificate

LIST_NEED: Final = "revocation-list"
_NAMED: Final = "A certificate says where its issuer publishes what it revoked, and no such list was given."
_LONGEST_LABEL: Final = 64
_NONE_GIVEN: Final = "no CRL was given: revocation is not proven"
_NONE_OF_CHAIN: Final = "no given CRL is of an issuer of the chain: revocation is not proven"


@dataclass(frozen=True, slots=True)
class Revocation:
    """What revocation lists say of a chain.

    Attributes:
        check: The outcome: not applicable when no list of an issuer of the chain was given.
        complete: Whether every issuer of the chain had a list, and none listed the certificate below it.
        named: The same of those issuers alone whose list a certificate below them names; of none, where none
            is named.
        window: When all lists that were looked at are valid; always when there was none.
        needs: The named lists that were not given; empty where the check failed.
    """

    check: Check
    complete: bool
    named: bool
    window: Window
    needs: tuple[Need, ...]


def judge_lists(
    spec: CheckSpec, chain: Sequence[GeneralCertificate], crls: Sequence[bytes], now: datetime, *, vendor: str
) -> Revocation:
    """Look for the certificates of a chain on the lists of their issuers.

    Args:
        spec: The format's check. It fails under ``malformed`` for a list that cannot be read, ``issuer`` for
            one that names an issuer of the chain and is not that issuer's, ``time`` for one that is not valid
            now, and ``listed`` for a certificate that is revoked.
        chain: Certificates that ``verify_path`` accepted, leaf first, root last.
        crls: Lists of any issuers, DER, each of at most 1 MiB.
        now: The time at which they must be valid, aware.
        vendor: Whose root the chain ends in, for what it needs.
    """
    windows: dict[int, Window] = {}
    try:
        for der in crls:
            crl = GeneralRevocationList.parse(der)
            places = [place for place in range(1, len(chain)) if _names(crl, chain[place])]
            if not places:
                continue
            place = next((one for one in places if _signed(crl, chain[one])), None)
            if place is None:
                return _failed(spec, "issuer", "A CRL names an issuer of the chain and is not that issuer's.")
            if now not in crl.window:
                return _failed(spec, "time", "A CRL is not valid at the given time.")
            if any(one.serial in crl.revoked for one in _issued(chain, place)):
                return _failed(spec, "listed", "A certificate of the chain is revoked.")
            windows[place] = windows.get(place, ALWAYS) & crl.window
    except DerError as error:
        return _failed(spec, "malformed", error.message)
    needs = _needs(chain, windows, vendor)
    if not windows:
        none = Check(spec, Outcome.NOT_APPLICABLE, "", _NONE_OF_CHAIN if crls else _NONE_GIVEN)
        return Revocation(none, complete=False, named=not needs, window=ALWAYS, needs=needs)
    window = ALWAYS
    for one in windows.values():
        window &= one
    complete = len(windows) == len(chain) - 1
    return Revocation(spec.passed, complete, not needs, window, needs)


def is_list_of(crl: GeneralRevocationList, issuer: GeneralCertificate) -> bool:
    """Return whether a list is a certificate's: by name, key and signature, and by what its key may sign.

    Raises:
        DerError: The certificate's key or one of its extensions is unusable.
    """
    return _names(crl, issuer) and _signed(crl, issuer)


def _needs(chain: Sequence[GeneralCertificate], given: Collection[int], vendor: str) -> tuple[Need, ...]:
    """Return what is needed of issuers whose list a certificate below them names.

    Each need holds the issuer's own certificates: who fetches a list can verify it without the evidence.
    """
    return tuple(
        Need(
            LIST_NEED,
            {
                "at": ",".join(_places(chain[place - 1])),
                "chain": need_chain.encode(each.der for each in chain[place:]),
                "issuer": _label(chain[place]),
                "vendor": vendor,
            },
            _NAMED,
        )
        for place in range(1, len(chain))
        if place not in given and names_list(chain[place - 1])
    )


def _places(certificate: GeneralCertificate) -> tuple[str, ...]:
    """Return where a list is; nowhere, where the certificate says so in no form that can be read."""
    try:
        return places_of_list(certificate)
    except DerError:
        return ()


def _label(certificate: GeneralCertificate) -> str:
    """Return a certificate's common name as one word, for people."""
    word = "".join(each if "!" <= each <= "~" else "_" for each in certificate.common_name)
    return word[:_LONGEST_LABEL]


def _failed(spec: CheckSpec, kind: str, reason: str) -> Revocation:
    check = Check(spec, Outcome.FAILED, f"{spec.id}.{kind}", reason)
    return Revocation(check, complete=False, named=False, window=ALWAYS, needs=())


def _names(crl: GeneralRevocationList, issuer: GeneralCertificate) -> bool:
    """Return whether a list names this certificate as its issuer: by name, and by key where it states one."""
    return crl.issuer == issuer.subject and issuer.key_identifier() in (None, crl.authority)


def _issued(chain: Sequence[GeneralCertificate], place: int) -> Sequence[GeneralCertificate]:
    """Return what an issuer issued of its chain: the certificate below it, and a root its own as well."""
    own = place == len(chain) - 1 and chain[place].subject == chain[place].issuer
    return chain[place - 1 : place + 1] if own else chain[place - 1 : place]


def _signed(crl: GeneralRevocationList, issuer: GeneralCertificate) -> bool:
    """Return whether this certificate's key signed a list, and may sign lists (RFC 5280 section 6.3.3 f)."""
    usage = issuer.extensions.get(OID_KEY_USAGE)
    return (usage is None or usage_bits(usage[1]) & CRL_SIGN != 0) and crl.signed_by(issuer)
