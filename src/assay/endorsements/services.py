"""Who is asked: the services by name, their addresses, and the only hosts that a request may reach.

An address can be replaced by the caller (a PCCS, a mirror of KDS); it is then the only host that its service
may reach. Nothing in evidence, in an answer or in a repository chooses a host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from assay.errors import EndorsementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LINK_LOCAL: Final = "169.254.169.254"
"""Azure's instance metadata: plain HTTP by design, reachable from the machine itself only."""
_THIS_MACHINE: Final = (LINK_LOCAL, "127.0.0.1")
_BASE: Final = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]{0,200})?")
_PROXY: Final = re.compile(r"http://[A-Za-z0-9.-]{1,253}:[0-9]{1,5}")
_LIST_PLACES: Final = {
    "google-lists": re.compile(
        r"https?://("
        r"privateca-content-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.storage\.googleapis\.com"
        r"/[0-9a-f]{8,64}/crl\.crl"
        r"|pki\.goog/cloud_integrity/[a-z0-9_]{1,64}\.crl)"
    ),
    "microsoft-lists": re.compile(
        r"https?://("
        r"www\.microsoft\.com/pkiops/crl/(?:[A-Za-z0-9._-]|%20){1,160}\.crl"
        r"|(?:(?:primary|secondary)-cdn\.pki\.core\.windows\.net|crl\.microsoft\.com)"
        r"/[a-z0-9]{1,32}/crls/azurevtpmpki/[a-z0-9]{1,64}/current\.crl)"
    ),
}
"""Host and path of the lists that each authority's certificates name; no other place is asked for one."""
_MAA_HOST: Final = re.compile(r"[a-z0-9]{3,24}\.[a-z0-9]{2,16}\.attest\.azure\.net")


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Attributes:
        name: What a caller replaces it by: ``pcs``.
        base: Scheme, host and path prefix, without a slash at the end.
        pace: The least time between two requests to its host, seconds.
        what: What it publishes, for people.
    """

    name: str
    base: str
    pace: float
    what: str


SERVICES: Final = (
    Service("pcs", "https://api.trustedservices.intel.com", 0.1, "Intel's PCK certificates and TCB info"),
    Service("intel-crl", "https://certificates.trustedservices.intel.com", 0.1, "Intel's root CRL"),
    # Its limit is not published; answers of 429 come after a few requests in a row.
    Service("kds", "https://kdsintf.amd.com", 1.0, "AMD's Key Distribution Service"),
    Service(
        "confidential-space",
        "https://confidentialcomputing.googleapis.com",
        0.1,
        "Google's token issuer",
    ),
    Service("google-keys", "https://www.googleapis.com", 0.1, "Google's published signing keys"),
    Service("imds", f"http://{LINK_LOCAL}", 0.1, "Azure's instance metadata, from inside the machine"),
    Service("maa", "", 0.1, "instances of Microsoft Azure Attestation, each at its own host"),
    Service("google-lists", "", 0.1, "lists of what Google's authorities revoked, each at its own host"),
    Service("microsoft-lists", "", 0.1, "lists of what Microsoft's authorities revoked, at several hosts"),
    Service("trust-authority", "https://portal.trustauthority.intel.com", 0.1, "Intel Trust Authority"),
    Service("nvidia-rim", "https://rim.attestation.nvidia.com", 0.1, "NVIDIA's reference manifests (RIM)"),
    Service("nvidia-ocsp", "https://ocsp.ndis.nvidia.com", 0.1, "NVIDIA's certificate status"),
    Service("nvidia-nras", "https://nras.attestation.nvidia.com", 0.1, "NVIDIA's attestation service"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """One address to ask, and the only authority (``host`` or ``host:port``) that may answer."""

    url: str
    authority: str
    pace: float

    @property
    def plain(self) -> bool:
        """True where plain HTTP is spoken: by the machine's own metadata, and for lists that are signed."""
        return self.url.startswith("http://")

    @property
    def own(self) -> bool:
        """True for what this very machine answers in plain HTTP, and no proxy can."""
        return self.plain and urlsplit(self.url).hostname in _THIS_MACHINE


@dataclass(frozen=True, slots=True)
class Services:
    """The services by name, as one caller uses them."""

    known: Mapping[str, Service]

    @classmethod
    def published(cls, replaced: Iterable[str] = ()) -> Services:
        """Return the published services, some with an address of the caller's.

        Args:
            replaced: ``NAME=URL``; https only, but for ``imds`` at its own address or on this machine.

        Raises:
            EndorsementError: ``endorsements.service.unknown``, ``endorsements.service.address``.
        """
        known = {service.name: service for service in SERVICES}
        for word in replaced:
            name, _, base = word.partition("=")
            if name not in known:
                raise EndorsementError(
                    "endorsements.service.unknown",
                    f"There is no service {name[:40]!r}.",
                    action=f"Services: {', '.join(known)}.",
                )
            plain = base.startswith("http://") and not (
                name == "imds" and urlsplit(base).hostname in _THIS_MACHINE
            )
            if not _BASE.fullmatch(base) or not _has_port(base) or plain:
                raise EndorsementError(
                    "endorsements.service.address",
                    f"The address of {name} is no https URL of a host and a path.",
                )
            known[name] = Service(name, base.rstrip("/"), 0.0, known[name].what)
        return cls(MappingProxyType(known))

    def replaced(self, name: str, path: str) -> Place | None:
        """Return where a path of a service without an address is, if the caller gave it one."""
        return self.place(name, path) if self.known[name].base else None

    def place(self, name: str, path: str) -> Place:
        """Return where a path of a service is; ``path`` begins with a slash and may hold a query."""
        service = self.known[name]
        return Place(service.base + path, authority(service.base), service.pace)

    def list_place(self, name: str, url: str) -> Place | None:
        """Return where to ask for a revocation list; None where the service's authorities publish none.

        Args:
            name: ``google-lists`` or ``microsoft-lists``.
            url: The address, as a certificate names it. It is asked as it stands, in plain HTTP if it says
                so: lists are signed. Where the caller gave the service an address, host and path follow it.
        """
        found = _LIST_PLACES[name].fullmatch(url)
        if found is None:
            return None
        return self.replaced(name, f"/{found[1]}") or Place(url, authority(url), self.known[name].pace)


def proxy_address(text: str) -> str:
    """Return the address of an HTTP proxy.

    Raises:
        EndorsementError: ``endorsements.service.proxy`` for anything but ``http://host:port``.
    """
    if not _PROXY.fullmatch(text) or not _has_port(text):
        raise EndorsementError("endorsements.service.proxy", "A proxy is named as http://HOST:PORT.")
    return text


def maa_place(issuer: str) -> Place:
    """Return where an instance of Microsoft Azure Attestation publishes its keys.

    Args:
        issuer: ``https://NAME.REGION.attest.azure.net``, as a token or the caller names it.

    Raises:
        EndorsementError: ``endorsements.maa.issuer`` for any other host.
    """
    host = issuer.removeprefix("https://").removesuffix("/")
    if not issuer.startswith("https://") or not _MAA_HOST.fullmatch(host):
        raise EndorsementError(
            "endorsements.maa.issuer",
            "The issuer is no instance of Microsoft Azure Attestation: https://NAME.REGION.attest.azure.net.",
        )
    return Place(f"https://{host}/certs", host, 0.1)


def _has_port(url: str) -> bool:
    """Return whether the port of an address, where it names one, is one that exists."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def authority(url: str) -> str:
    """Return host and, where it is not the scheme's own, port of a URL, in lower case.

    Raises:
        ValueError: It is no URL, or its port is none.
    """
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"
