"""What container hosts and nodes of CCF hand out in JSON: a report, and what vouches for it.

    evidence, endorsements                Azure's confidential containers
    SnpReport, VcekCertChain              the same, inside of a request to Azure Attestation
    attestation, platformCertificates     Azure's clean rooms
    raw, endorsements                     a node of CCF; all nodes of a service as ``quotes`` or
                                          ``attestations``, of which a file may hold one

Both are base64: a report, and certificates as PEM or in the JSON of Azure's metadata service. A request to
a service on CCF has the first of them as its member ``attestation``. What else stands there, Microsoft's word
on the utility VM (``uvm_endorsements``) and a measurement that a node states among it, nobody looks at.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.verification.containers import from_base64
from assay.verification.opened import Opened, noted, several_machines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Again = Callable[[bytes], tuple[Opened, ...]]

_PAIRS: Final = (
    ("evidence", "endorsements"),
    ("SnpReport", "VcekCertChain"),
    ("attestation", "platformCertificates"),
    ("raw", "endorsements"),
)
_NODES: Final = ("quotes", "attestations")
_ENCLOSED: Final = "attestation"


def open_vouched(found: dict[str, Any], again: Again) -> tuple[Opened, ...] | None:
    """Open a report that what vouches for it came with; None when the members are others.

    Raises:
        EvidenceError: ``verification.report.several`` for the nodes of a service, if there are several; or as
            ``again`` does.
    """
    names = _pair(found)
    if names is not None:
        return _vouched(found, names, again)
    inner = found.get(_ENCLOSED)
    if type(inner) is dict and _pair(inner):
        return noted(again(json.dumps(inner).encode()), found.keys() - {_ENCLOSED})
    for word in _NODES:
        nodes = found.get(word)
        if type(nodes) is list and nodes and all(type(each) is dict and _pair(each) for each in nodes):
            if len(nodes) > 1:
                raise several_machines([f"{word}[{at}]" for at in range(len(nodes))])
            return noted(again(json.dumps(nodes[0]).encode()), found.keys() - {word})
    return None


def _pair(found: Mapping[str, Any]) -> tuple[str, str] | None:
    if "platform" in found:
        return None  # evidence with a name on it
    return next((pair for pair in _PAIRS if {type(found.get(name)) for name in pair} == {str}), None)


def _vouched(found: dict[str, Any], names: tuple[str, str], again: Again) -> tuple[Opened, ...]:
    evidence, endorsements = (from_base64(found[name]) for name in names)
    parts = tuple(
        replace(part, form=f"{part.form}, with {names[1]}", beside={**part.beside, names[1]: endorsements})
        for part in again(evidence)
    )
    return noted(parts, found.keys() - set(names))
