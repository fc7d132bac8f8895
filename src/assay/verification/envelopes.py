"""Envelopes: evidence in JSON with the name of a platform on it.

    {"platform": "tdx", "evidence": {...}}

The name decides nothing. What is inside is recognised by itself; a name that is another's is refused, and one
that names no platform is listed as not verified.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.verification import whole_of
from assay.verification.formats import platforms
from assay.verification.opened import Opened, noted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Again = Callable[[bytes], tuple[Opened, ...]]

_DEVICES: Final = ("nvidia-gpu", "nras")
_LONGEST_WORD: Final = 64

_WORDS: Final = {
    "inteltdx": ("tdx",),
    "intelsgx": ("sgx",),
    "sevsnp": ("snp",),
    "amdsevsnp": ("snp",),
    "amdsnp": ("snp",),
    "awsnitro": ("nitro",),
    "nitroenclave": ("nitro",),
    "nitroenclaves": ("nitro",),
    "awsnitroenclave": ("nitro",),
    "awsnitroenclaves": ("nitro",),
    "awsnitrotpm": ("nitro-tpm",),
    "azsnp": ("azure-snp",),
    "azsnpvtpm": ("azure-snp",),
    "aztdx": ("azure-tdx",),
    "aztdxvtpm": ("azure-tdx",),
    "gcptdx": ("gcp-tdx", "tdx"),
    "gcpsnp": ("gcp-snp", "snp"),
    "gcpconfidentialspace": ("confidential-space",),
    "azureattestation": ("maa",),
    "nvidia": _DEVICES,
    "nvidiagpu": _DEVICES,
    "gpu": _DEVICES,
}
"""Other spellings of platforms, and what evidence of them is recognised as."""


def looks_like_envelope(found: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is evidence with the name of a platform on it."""
    return type(found.get("platform")) is str and type(found.get("evidence")) in (str, dict, list)


def open_envelope(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    """Open evidence with the name of a platform on it; the name decides nothing.

    Args:
        found: The envelope.
        again: Opens what is inside.

    Raises:
        EvidenceError: ``verification.envelope.platform`` when the name is that of another platform than
            what is inside; or as ``again`` does.
    """
    inner = found["evidence"]
    parts = again(
        inner.encode("utf-8", "surrogatepass") if type(inner) is str else json.dumps(inner).encode()
    )
    known = demand_named(found["platform"], parts)
    left = found.keys() - {"evidence", *(["platform"] if known else [])}
    return noted(tuple(replace(part, form=f"{part.form}, in an envelope") for part in parts), left)


def demand_named(word: str, parts: tuple[Opened, ...]) -> bool:
    """Demand that a name is not another platform's than what it names; return whether it names any.

    Raises:
        EvidenceError: ``verification.envelope.platform``.
    """
    named = _named(word)
    held = {name for part in parts for name in (part.platform, whole_of(part.evidence, part.platform))}
    if named and held.isdisjoint(named):
        raise EvidenceError(
            "verification.envelope.platform",
            f"The file names the platform {named[0]}, and holds evidence of {', '.join(sorted(held))}.",
            action="Ask its sender which it is, or give the inner evidence alone.",
        )
    return bool(named)


def _named(word: str) -> tuple[str, ...]:
    """Return what evidence of a platform is recognised as; nothing for a word that names none."""
    if len(word) > _LONGEST_WORD:
        return ()
    plain = "".join(letter for letter in word.lower() if letter.isalnum())
    own = {name.replace("-", ""): (name,) for name in platforms()}
    return _WORDS.get(plain, own.get(plain, ()))
