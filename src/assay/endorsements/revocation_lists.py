"""What the authorities of attestation keys and of Google's token signers revoked: their CRLs (RFC 5280).

Their certificates name places on the web, most of them in plain HTTP. What is kept is no weaker for it: a
list counts for its issuer's signature, and the issuer for a chain to a root of trust. Who sits on the way can
withhold a list, or hand out an older one that still holds; the first is reported, the second does not replace
a newer one that is at hand. A named place only chooses among those where that root's owner is known to
publish (``Services.list_place``); evidence leads to no other host.
"""

from __future__ import annotations

import base64
import binascii
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from assay.endorsements.record import Basis
from assay.endorsements.source import Fetched, Judged, SignedSource, malformed, part, swapped, unverified
from assay.errors import EndorsementError
from assay.evidence.decoding.der import DerError
from assay.evidence.roots import AZURE_VTPM, GOOGLE_CONFIDENTIAL_SPACE, GOOGLE_VTPM
from assay.evidence.x509 import need_chain
from assay.evidence.x509.crl import MAX_CRL_BYTES
from assay.evidence.x509.path import MAX_PATH, issue_defect
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.revoked import LIST_NEED, is_list_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.record import Endorsement, Wanted
    from assay.endorsements.services import Place
    from assay.endorsements.source import Access
    from assay.evidence.roots import Root
    from assay.evidence.x509.general import GeneralCertificate

LIST: Final = LIST_NEED
LIST_PART: Final = "list.der"
MAX_PLACES: Final = 3
_PUBLISHERS: Final = {
    GOOGLE_VTPM: "google-lists",
    GOOGLE_CONFIDENTIAL_SPACE: "google-lists",
    AZURE_VTPM: "microsoft-lists",
}
_MAX_ANSWER: Final = 2 * MAX_CRL_BYTES  # as PEM it is a third longer
_PEM: Final = re.compile(rb"\s*-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----\s*")


class ListSource(SignedSource):
    """The revocation list of one authority.

    Key: ``vendor``, whose root it is under; ``chain``, base64 of the authority's certificate and of every one
    above it up to the root, DER, one after the other; ``at``, the addresses that a certificate of that
    authority names, parted by commas; ``issuer``, what people call it.
    """

    __slots__ = ()
    kinds = frozenset({LIST})
    vendors = tuple(_PUBLISHERS)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask at the named places that are known, one after the other, until one answers."""
        _verified_chain(wanted, access)  # nobody is asked on the word of an unknown authority
        failure: EndorsementError | None = None
        for place in _places(wanted, access):
            try:
                answer = access.client.get(place, max_bytes=_MAX_ANSWER)
            except EndorsementError as error:
                failure = failure or error
            else:
                return Fetched({LIST_PART: _der(answer.body)}, (answer.url,))
        raise failure or EndorsementError(
            "endorsements.list.place",
            "A certificate names its issuer's list at a place where that authority is not known to publish;"
            " it was not asked.",
            action="Get the list yourself if you trust the place, and give it with --endorsements.",
        )

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:  # noqa: ARG002 - the interface
        """Verify the chain of the authority, and that the list is its own."""
        crl = _parse(parts)
        chain, root = _verified_chain(wanted, access)
        if crl.issuer != chain[0].subject:
            raise swapped("The revocation list is another authority's.")
        try:
            own = is_list_of(crl, chain[0])
        except DerError as error:
            raise unverified(f"The authority of the revocation list is unusable: {error.message}") from None
        if not own:
            raise unverified("The signature of the revocation list is not the authority's.")
        return Judged(crl.window, Basis.SIGNATURE, root.anchor.fingerprint.hex())

    def newness(self, made: Endorsement) -> tuple[Any, ...]:
        """Return day and number: two lists of one moment are told apart by their numbers."""
        crl = _parse(made.parts)
        return ((crl.window.start, crl.number),)


def _places(wanted: Wanted, access: Access) -> list[Place]:
    service = _PUBLISHERS[wanted.get("vendor")]
    found = (access.services.list_place(service, url) for url in wanted.get("at").split(","))
    return [place for place in found if place is not None][:MAX_PLACES]


def _verified_chain(wanted: Wanted, access: Access) -> tuple[tuple[GeneralCertificate, ...], Root]:
    """Return the authority with what stands above it, and the root.

    Raises:
        EndorsementError: ``endorsements.wanted.malformed``; ``endorsements.list.authority`` when the chain is
            none, or does not end in a root of trust of that vendor.
    """
    chain = _chain(wanted)
    roots = access.roots.of(wanted["vendor"])
    root = next((root for root in roots if root.der == chain[-1].der), None)
    if root is None:
        raise _stranger("It ends in no root of trust.")
    for child, issuer in pairwise(chain):
        defect = issue_defect(child, issuer, child.common_name[:40] or "certificate")
        if defect is not None:
            raise _stranger(defect.reason)
    return chain, root


def _stranger(why: str) -> EndorsementError:
    return EndorsementError(
        "endorsements.list.authority", f"The chain above a revocation list does not verify: {why}"
    )


def _chain(wanted: Wanted) -> tuple[GeneralCertificate, ...]:
    found = need_chain.decode(wanted.get("chain"), most=MAX_PATH)
    if not found or wanted.get("vendor") not in _PUBLISHERS:
        raise EndorsementError(
            "endorsements.wanted.malformed", "The evidence does not name the authority of a revocation list."
        )
    return found


def _der(answer: bytes) -> bytes:
    """Return a list in DER, which Google's authorities publish as PEM."""
    armoured = _PEM.fullmatch(answer)
    try:
        return (
            answer
            if armoured is None
            else base64.b64decode(b"".join(armoured.group(1).split()), validate=True)
        )
    except binascii.Error:
        raise malformed("The answer is no revocation list: its base64 is damaged.") from None


def _parse(parts: Mapping[str, bytes]) -> GeneralRevocationList:
    try:
        return GeneralRevocationList.parse(part(parts, LIST_PART))
    except DerError as error:
        raise malformed(f"The answer is no revocation list: {error.message}") from None


SOURCES: Final = (ListSource(),)
