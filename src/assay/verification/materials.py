"""What a caller has at hand to vouch for evidence: loose files, and bundles that were made for it.

Looking through it proves nothing. What is picked is verified by the format that asked for it, under the
roots of trust, like everything else.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from assay.endorsements.bundle import Bundle, is_bundle
from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson
from assay.evidence.decoding.der import DerError
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.revocation import GeneralRevocationList

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from assay.endorsements.record import Endorsement

MAX_CERTIFICATES: Final = 256
"""Certificates that are looked at, at most: a directory of a fleet's, not a flood."""

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]{1,16384}?)-----END CERTIFICATE-----")
_PEM_CRL: Final = re.compile(rb"-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]{1,1500000}?)-----END X509 CRL-----")
_MAX_JWKS: Final = 1 << 18


@dataclass(frozen=True)
class Materials:
    """Files by name, and bundles.

    Attributes:
        files: Contents by file name, those inside of bundles included.
        bundles: The bundles among them.
    """

    files: Mapping[str, bytes]
    bundles: tuple[Bundle, ...] = field(default=())

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Materials:
        """Open the bundles among files.

        Raises:
            EndorsementError: ``endorsements.bundle.*`` for a file that begins like a bundle and is none.
        """
        bundles = tuple(Bundle.decode(data) for data in files.values() if is_bundle(data))
        loose = {name: data for name, data in files.items() if not is_bundle(data)}
        for bundle in bundles:
            loose |= bundle.files()
        return cls(loose, bundles)

    def __bool__(self) -> bool:
        return bool(self.files)

    def with_evidence(self, beside: Mapping[str, bytes]) -> Materials:
        """Return these, and files that came along with evidence; of equal names the caller's is meant.

        What comes with evidence is its sender's. Certificates and lists prove themselves under the roots of
        trust; a key set does not: whoever chose it chose whom to believe, and that is never the sender.
        """
        proven = {name: data for name, data in beside.items() if not _is_key_set(data)}
        return Materials({**proven, **self.files}, self.bundles)

    def endorsements(self, kind: str) -> Iterator[Endorsement]:
        """Return the endorsements of a kind in the bundles."""
        for bundle in self.bundles:
            yield from (each for each in bundle.endorsements if each.wanted.kind == kind)

    @cached_property
    def certificates(self) -> tuple[GeneralCertificate, ...]:
        """Every certificate in the files, DER or PEM, once; what cannot be read is passed over."""
        found: dict[bytes, GeneralCertificate] = {}
        for der in self._certificate_bytes():
            if len(found) == MAX_CERTIFICATES:
                break
            try:
                found.setdefault(der, GeneralCertificate.parse(der))
            except DerError:
                continue
        return tuple(found.values())

    def _certificate_bytes(self) -> Iterator[bytes]:
        for _, data in sorted(self.files.items()):
            if data[:1] == b"\x30":
                yield data
            # Services answer with PEM inside of JSON strings, where a line end is two characters.
            for block in _PEM.finditer(data.replace(b"\\n", b"\n") if data[:1] == b"{" else data):
                try:
                    yield b64decode(b"".join(block.group(1).split()), validate=True)
                except ValueError:
                    continue

    @cached_property
    def revocation_lists(self) -> tuple[tuple[bytes, GeneralRevocationList], ...]:
        """Every CRL in the files, DER, with what it says; what cannot be read is passed over."""
        found: list[tuple[bytes, GeneralRevocationList]] = []
        for der in self._list_bytes():
            try:
                found.append((der, GeneralRevocationList.parse(der)))
            except DerError:
                continue
        return tuple(found)

    def _list_bytes(self) -> Iterator[bytes]:
        for _, data in sorted(self.files.items()):
            if data[:1] == b"\x30":
                yield data
            for block in _PEM_CRL.finditer(data):  # Google's authorities publish their lists so
                try:
                    yield b64decode(b"".join(block.group(1).split()), validate=True)
                except ValueError:
                    continue

    def lists_of(self, names: Collection[bytes], now: datetime) -> tuple[bytes, ...]:
        """Return a CRL of each issuer's key: the newest that is valid, or the newest where none is.

        It needs no certificate of the issuer, which may come with the evidence; a verifier passes over the
        lists of authorities that are not in the chain.

        Args:
            names: What stands in the name of the issuers that are meant: any one of these.
            now: The time of the verification.
        """
        found: dict[tuple[bytes, bytes], tuple[bytes, GeneralRevocationList]] = {}
        for pair in self.revocation_lists:
            crl = pair[1]
            if not any(name in crl.issuer for name in names):
                continue
            best = found.setdefault((crl.issuer, crl.authority), pair)[1]
            if (now in crl.window, _age(crl)) > (now in best.window, _age(best)):
                found[crl.issuer, crl.authority] = pair
        return tuple(der for der, _ in found.values())

    def issuer_of(self, certificate: GeneralCertificate) -> GeneralCertificate | None:
        """Return the certificate that is named as another's issuer and whose key made its signature."""
        for found in self.certificates:
            try:
                if found.subject == certificate.issuer and found.verify(certificate):
                    return found
            except DerError:
                continue
        return None

    def crl_of(self, issuer: GeneralCertificate) -> bytes | None:
        """Return the newest CRL that names a certificate as its issuer."""
        fitting: list[tuple[bytes, GeneralRevocationList]] = []
        for data, found in self.revocation_lists:
            try:
                if found.names(issuer):
                    fitting.append((data, found))
            except DerError:
                continue
        return max(fitting, key=lambda pair: _age(pair[1]))[0] if fitting else None

    def key_set(self, issuer: str, now: datetime) -> bytes | None:
        """Return the JSON Web Key Set of an issuer of tokens.

        A bundle says whose set it holds, and until when: nothing in the set does, and a key that its issuer
        withdrew since would count for ever. Of loose files, which say neither, there must be one alone: then
        the caller's choice of it is the word that it is this issuer's.

        Args:
            issuer: As the token names it.
            now: The time of the verification. One before the set was fetched is no obstacle.
        """
        for found in self.endorsements("jwks"):
            if found.wanted.get("issuer") == issuer and now <= found.window.end:
                return next(iter(found.parts.values()))
        loose = [data for name, data in sorted(self.files.items()) if _is_key_set(data)]
        return loose[0] if len(loose) == 1 and not self.bundles else None


def _age(crl: GeneralRevocationList) -> tuple[datetime, int]:
    """Return what is greater of an issuer's later list; two of one moment are told apart by their numbers."""
    return crl.window.start, crl.number


def _is_key_set(data: bytes) -> bool:
    if data.lstrip()[:1] != b"{":
        return False
    try:
        return type(strictjson.parse_object(data, max_bytes=_MAX_JWKS).get("keys")) is list
    except EvidenceError:
        return False
