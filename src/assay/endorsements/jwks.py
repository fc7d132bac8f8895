"""Key sets that token services publish. Nobody signs them: they are what a host answered over verified TLS.

Only issuers in the table of ``PUBLISHERS`` are asked. An issuer's name comes out of a token that nobody has
authenticated, so it chooses among known addresses and makes none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from assay.endorsements import google, microsoft_maa, nvidia_nras, trust_authority
from assay.endorsements.record import Basis
from assay.endorsements.source import Fetched, Judged, Source, malformed, part
from assay.errors import AssayError, EndorsementError
from assay.evidence.facts import Window
from assay.evidence.jose.keys import MAX_JWKS_BYTES, parse_jwks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.record import Wanted
    from assay.endorsements.services import Place
    from assay.endorsements.source import Access

JWKS: Final = "jwks"
JWKS_PART: Final = "jwks.json"
HOLDS: Final = timedelta(days=7)
"""How long a key set is taken for current: nothing in it says so, and services change keys without notice."""


class Publisher(Protocol):
    """Where the keys of some issuers are."""

    def is_of(self, issuer: str) -> bool:
        """Return whether this publisher is that issuer."""

    def host(self, issuer: str, access: Access) -> str:
        """Return the host that must prove itself by TLS to publish the keys; several joined by commas."""

    def place(self, issuer: str, access: Access) -> tuple[Place, tuple[str, ...]]:
        """Return where the keys are, and the addresses that were asked to find out.

        Raises:
            EndorsementError: ``endorsements.http.*``, ``endorsements.answer.malformed``.
        """


PUBLISHERS: Final[tuple[Publisher, ...]] = (
    google.ConfidentialSpace(),
    microsoft_maa.Instance(),
    trust_authority.TrustAuthority(),
    nvidia_nras.RemoteAttestation(),
)


class JwksSource(Source):
    """The published keys of one issuer; key: ``issuer``, as tokens name it."""

    __slots__ = ()
    kinds = frozenset({JWKS})

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask the issuer for its keys."""
        issuer = wanted.get("issuer")
        place, before = publisher(issuer).place(issuer, access)
        answer = access.client.get(place, max_bytes=MAX_JWKS_BYTES, headers={"Accept": "application/json"})
        return Fetched({JWKS_PART: answer.body}, (*before, answer.url))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Check that it is a set of public keys with at least one that can be used."""
        try:
            keys = parse_jwks(part(parts, JWKS_PART))
        except AssayError as error:
            raise malformed(f"The answer is no key set: {error.message}") from None
        if not keys.keys:
            raise malformed("The key set holds no key that can verify anything.")
        return Judged(Window(now, now + HOLDS), Basis.TLS, _anchor(wanted, access))

    def anchors(self, wanted: Wanted, access: Access) -> frozenset[str]:
        """Return the host that this caller would ask, under the authorities that it would believe."""
        return frozenset({_anchor(wanted, access)})


def publisher(issuer: str) -> Publisher:
    """Return the publisher of an issuer.

    Raises:
        EndorsementError: ``endorsements.issuer.unknown``.
    """
    found = next((each for each in PUBLISHERS if each.is_of(issuer)), None)
    if found is None:
        raise EndorsementError(
            "endorsements.issuer.unknown",
            "The token names an issuer whose keys are not fetched: it is in no table of known services.",
        )
    return found


def _anchor(wanted: Wanted, access: Access) -> str:
    issuer = wanted.get("issuer")
    host = publisher(issuer).host(issuer, access)
    return f"{host}#{access.authorities}" if access.authorities else host


SOURCES: Final = (JwksSource(),)
