"""Where a certificate says that its issuer publishes revocation lists (RFC 5280 section 4.2.1.13)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerReader

if TYPE_CHECKING:
    from assay.evidence.x509.general import GeneralCertificate

OID_DISTRIBUTION_POINTS: Final = bytes.fromhex("551d1f")
MAX_PLACES: Final = 8
_URL: Final = re.compile(rb"https?://[!-+\--~]{1,500}")  # no comma, which parts several
_NAME: Final = 0xA0
_URI: Final = 0x86


def names_list(certificate: GeneralCertificate) -> bool:
    """Return whether a certificate says that there is a list of its issuer, readable or not."""
    return OID_DISTRIBUTION_POINTS in certificate.extensions


def places_of_list(certificate: GeneralCertificate) -> tuple[str, ...]:
    """Return the addresses of complete lists of the issuer, at most eight, each without a comma.

    A list for some reasons alone, or of another issuer, is not complete; other protocols than HTTP are passed
    over.

    Raises:
        DerError: The extension is malformed.
    """
    extension = certificate.extensions.get(OID_DISTRIBUTION_POINTS)
    if extension is None:
        return ()
    top = DerReader(extension[1])
    points = top.enter()
    top.finish()
    found: list[str] = []
    while points.more():
        for name in _full_name(points.enter()):
            if len(found) < MAX_PLACES and _URL.fullmatch(name):
                found.append(name.decode("ascii"))
    return tuple(found)


def _full_name(point: DerReader) -> list[bytes]:
    """Return the URIs of one distribution point; none where it names no complete list."""
    if point.peek() != _NAME:
        return []
    name = point.enter(_NAME)
    if point.more() or name.peek() != _NAME:
        return []
    names = name.enter(_NAME)
    found = []
    while names.more():
        tag = names.peek()
        value = names.value(tag)
        if tag == _URI:
            found.append(value)
    return found
