"""Google's Confidential Space: where its token keys are, and the root of its PKI tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from assay.endorsements.record import Basis
from assay.endorsements.source import Fetched, Judged, SignedSource, malformed, part, unverified
from assay.errors import AssayError
from assay.evidence.decoding import pem, strictjson
from assay.evidence.roots import GOOGLE_CONFIDENTIAL_SPACE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.record import Wanted
    from assay.endorsements.services import Place
    from assay.endorsements.source import Access

ISSUER: Final = "https://confidentialcomputing.googleapis.com"
ROOT: Final = "confidential-space-root"
ROOT_PART: Final = "root.crt"
_KEYS_HOST: Final = "www.googleapis.com"
_DISCOVERY: Final = "/.well-known/openid-configuration"
_ROOT_PATH: Final = "/.well-known/confidential_space_root.crt"
_MAX_DOCUMENT: Final = 65536


@dataclass(frozen=True, slots=True)
class ConfidentialSpace:
    """The keys of Confidential Space tokens, found by OpenID Connect discovery."""

    def is_of(self, issuer: str) -> bool:
        """Return whether an issuer is Confidential Space."""
        return issuer == ISSUER

    def host(self, issuer: str, access: Access) -> str:  # noqa: ARG002 - the interface
        """Return the host of Google's published keys, and before it another one that says where on it."""
        hosts = [access.services.place(name, "/").authority for name in ("confidential-space", "google-keys")]
        return ",".join(dict.fromkeys(hosts))

    def place(self, issuer: str, access: Access) -> tuple[Place, tuple[str, ...]]:
        """Ask for the discovery document and return where it says that the keys are: on one host only."""
        asked = access.services.place("confidential-space", _DISCOVERY)
        answer = access.client.get(asked, max_bytes=_MAX_DOCUMENT)
        try:
            top = strictjson.parse_object(answer.body, max_bytes=_MAX_DOCUMENT)
            stated = strictjson.member(top, "issuer", str)
            address = urlsplit(strictjson.member(top, "jwks_uri", str))
        except (AssayError, ValueError):
            raise malformed("The answer is no OpenID Connect discovery document.") from None
        if stated != issuer:
            raise malformed("The discovery document is another issuer's.")
        plain = address.query or address.fragment or not address.path.startswith("/")
        if address.scheme != "https" or address.netloc != _KEYS_HOST or plain:
            raise malformed("The discovery document names keys at another host than Google's.")
        return access.services.place("google-keys", address.path), (answer.url,)


class RootSource(SignedSource):
    """The root that Google publishes for PKI tokens: to learn whether the pinned one is still it."""

    __slots__ = ()
    kinds = frozenset({ROOT})
    vendors = (GOOGLE_CONFIDENTIAL_SPACE,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:  # noqa: ARG002 - there is one
        """Ask for the certificate."""
        answer = access.client.get(
            access.services.place("confidential-space", _ROOT_PATH), max_bytes=_MAX_DOCUMENT
        )
        return Fetched({ROOT_PART: answer.body}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:  # noqa: ARG002 - the interface
        """Check that it is, byte for byte, a root of trust."""
        data = part(parts, ROOT_PART)
        try:
            der = pem.certificates(data, count=1)[0] if data.startswith(b"-----") else data
        except AssayError as error:
            raise malformed(f"The answer is no certificate: {error.message}") from None
        found = next((root for root in access.roots.of(GOOGLE_CONFIDENTIAL_SPACE) if root.der == der), None)
        if found is None:
            raise unverified(
                "The published root is not the pinned one: it was replaced, or the answer is false."
            )
        return Judged(found.general.window, Basis.SIGNATURE, found.anchor.fingerprint.hex())


SOURCES: Final = (RootSource(),)
