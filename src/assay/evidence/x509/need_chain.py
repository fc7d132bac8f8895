"""The chain that a need names: base64 of certificates in DER, one after the other, each before its issuer."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from assay.evidence.decoding.der import SEQUENCE, DerError, DerReader
from assay.evidence.x509.general import GeneralCertificate

if TYPE_CHECKING:
    from collections.abc import Iterable


def encode(ders: Iterable[bytes]) -> str:
    """Return the text for certificates in DER: the one in question first, the root last."""
    return base64.b64encode(b"".join(ders)).decode("ascii")


def decode(text: str, *, most: int) -> tuple[GeneralCertificate, ...]:
    """Return the certificates of a text; none when it is not 1 to ``most`` of them, and nothing else."""
    try:
        reader = DerReader(base64.b64decode(text, validate=True))
        ders: list[bytes] = []
        while reader.more():
            if len(ders) == most:
                return ()
            ders.append(reader.whole(SEQUENCE))
        return tuple(map(GeneralCertificate.parse, ders))
    except (DerError, ValueError):
        return ()
