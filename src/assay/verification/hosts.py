"""What container hosts and nodes of CCF hand out in JSON: a report, and what vouches for it.

    evidence, endorsements                Azure's confidential containers
    SnpReport, VcekCertChain              the same, inside of a request to Azure Attestation
    attestation, platformCertificates     Azure's clean rooms
    raw, endorsements                     a node of CCF; all nodes of a service as ``quotes`` or
                                          ``attestations``, of which a file may hold one

Both are base64: a report, and certificates as PEM or in the JSON of Azure's metadata service. A request to
a service on CCF has the first of them as its member ``attestation``. What else stands there, Microsoft's word
on the utility VM (``uvm_endorsements``) and a measurement that a node states among it, nobody looks at.

A confidential VM of a clean room answers with ``evidence``, an object with quote and HCL report, and its
certificates as PEM: what an Azure VM of Trustee's sends, in another order.
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
_OF_VM: Final = {"tpmQuote", "hclReport"}
_CERTIFICATES: Final = "platformCertificates"
_NODES: Final = ("quotes", "attestations")
_ENCLOSED: Final = "attestation"


def open_vouched(found: dict[str, Any], again: Again) -> tuple[Opened, ...] | None:
    """Open a report that what vouches for it came with; None when the members are others.

    Raises:
        EvidenceError: ``verification.report.several`` for the nodes of a service, if there are several; or as
            ``again`` does.
    """
    if _is_clean_room(found):
        return _clean_room(found)
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


def _is_clean_room(found: Mapping[str, Any]) -> bool:
    inner = found.get("evidence")
    if type(inner) is not dict or "platform" in found:
        return False  # with a name on it, it is an envelope, and the name is looked at
    return inner.keys() >= _OF_VM and type(found.get(_CERTIFICATES)) is str


def _clean_room(found: dict[str, Any]) -> tuple[Opened, ...]:
    from assay.evidence.azure.clean_room import container_of  # noqa: PLC0415 - this form alone

    container = container_of(found)
    beside = {_CERTIFICATES: found[_CERTIFICATES].encode()}
    form = f"{len(container)} bytes, from the answer of a clean room's agent"
    left = [f"evidence.{name}" for name in found["evidence"].keys() - _OF_VM - {"pcrs"}]
    part = Opened(container, "azure-snp", form, beside=beside)
    return noted((part,), [*(found.keys() - {"evidence", _CERTIFICATES}), *left])


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
