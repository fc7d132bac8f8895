"""What attestation services are asked with, and what they answer: evidence in the JSON of an interface.

    Trustee's key broker   ``{"tee-evidence": {"primary_evidence": ..., "additional_evidence": text}, ...}``,
                           the composite alone, and before there were composites the evidence of the TEE there
    Trustee's verifier     ``{"verification_requests": [{"tee": ..., "evidence": base64url of JSON}, ...]}``,
                           and one of the list alone
    Trust Authority        ``{"tdx": {"quote": ...}, "nvgpu": {"gpu_nonce": ..., "arch": ...,
                           "evidence_list": [...]}, "policy_ids": [...]}``: one of them, or both
    an answer              ``{"token": ...}``: what a service signed

Additional evidence is the text of a JSON object, of evidence by the name of a TEE or a kind of device. A name
decides nothing; one that is another platform's than what it names is refused. Runtime data, init data, nonces
of a service and policies are listed as not verified: whoever relies on the evidence states what binds it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson
from assay.verification.envelopes import demand_named
from assay.verification.opened import MAX_PARTS, Opened, noted
from assay.verification.recognition import recognise
from assay.verification.unsupported import refuse_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Again = Callable[[bytes], tuple[Opened, ...]]

_BROKERED: Final = "tee-evidence"
_PRIMARY: Final = "primary_evidence"
_ADDITIONAL: Final = "additional_evidence"
_REQUESTS: Final = "verification_requests"
_NAMED: Final = {"tee", "evidence"}
_TEES: Final = ("tdx", "sgx")
_DEVICES: Final = "nvgpu"
_OF_DEVICES: Final = {"gpu_nonce": "nonce", "arch": "arch", "evidence_list": "evidence_list"}
_TOKEN: Final = "token"  # noqa: S105 - a member's name
_TOKENS: Final = ("maa", "trust-authority", "confidential-space")
_MAX_ADDITIONAL: Final = 1 << 20
_TEXT_OR_JSON: Final = (str, dict, list)


def open_service(found: dict[str, Any], again: Again) -> tuple[Opened, ...] | None:
    """Open what a service is asked with, or answers; None when the members are others.

    Raises:
        EvidenceError: ``verification.envelope.platform``, ``verification.evidence.several``,
            ``verification.service.member``; ``json.*``; or as ``again`` and ``refuse_token`` do.
    """
    if type(found.get(_BROKERED)) in _TEXT_OR_JSON:
        inner = again(_written(found[_BROKERED]))
        return noted(inner, found.keys() - {_BROKERED})
    if _PRIMARY in found:
        return _composite(found, again)
    if type(found.get(_REQUESTS)) is list:
        return _requests(found, again)
    if _is_named(found):
        return _of_tee(found, again)
    if any(_holds(found, word, "quote") for word in _TEES) or _holds(found, _DEVICES, "evidence_list"):
        return _of_trust_authority(found, again)
    return _answer(found)


def _composite(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    parts = [*again(_written(found[_PRIMARY]))]
    left = [*(found.keys() - {_PRIMARY, _ADDITIONAL})]
    for word, inner in _additional(found.get(_ADDITIONAL)).items():
        more = again(_written(inner))
        known = demand_named(word, more)
        parts += [replace(each, name=word if known else each.name) for each in more]
        left += [] if known else [f"{_ADDITIONAL}.{word}"]
        _bounded(parts)
    return noted(tuple(parts), left)


def _additional(text: Any) -> dict[str, Any]:
    if text in (None, ""):
        return {}
    if type(text) is not str:
        raise _member(f"Member {_ADDITIONAL} is not the text of a JSON object.")
    return strictjson.parse_object(text.encode("utf-8", "surrogatepass"), max_bytes=_MAX_ADDITIONAL)


def _requests(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    """Open several as the pieces of one guest, which a service takes them for; what ties them is a check."""
    requests = found[_REQUESTS]
    if not requests or not all(type(each) is dict and _is_named(each) for each in requests):
        raise _member(f"Member {_REQUESTS} is no list of evidence with the name of a TEE on it.")
    parts: list[Opened] = []
    for each in requests[: MAX_PARTS + 1]:
        parts += _of_tee(each, again)
        _bounded(parts)
    return noted(tuple(parts), found.keys() - {_REQUESTS})


def _is_named(found: Mapping[str, Any]) -> bool:
    return type(found.get("tee")) is str and type(found.get("evidence")) in _TEXT_OR_JSON


def _of_tee(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    parts = again(_written(found["evidence"]))
    known = demand_named(found["tee"], parts)
    left = [name for name, value in found.items() if name not in _NAMED and value is not None]
    return noted(
        tuple([replace(each, name=found["tee"] if known else each.name) for each in parts]),
        left if known else [*left, "tee"],
    )


def _holds(found: Mapping[str, Any], word: str, member: str) -> bool:
    return type(found.get(word)) is dict and member in found[word]


def _of_trust_authority(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    parts: list[Opened] = []
    left: list[str] = []
    for word in (word for word in _TEES if _holds(found, word, "quote")):
        machine = again(_written(found[word]))
        demand_named(word, machine)
        parts += [replace(each, name=word) for each in machine]
    if _holds(found, _DEVICES, "evidence_list"):
        asked = found[_DEVICES]
        devices = again(
            _written({plain: asked[name] for name, plain in _OF_DEVICES.items() if name in asked})
        )
        parts += [replace(each, name=_DEVICES) for each in devices]
        left = [f"{_DEVICES}.{name}" for name in asked.keys() - _OF_DEVICES.keys()]
    opened = {part.name for part in parts}
    left += [name for name, value in found.items() if name not in opened and value is not None]
    return noted(tuple(parts), left)


def _answer(found: dict[str, Any]) -> tuple[Opened, ...] | None:
    text = found.get(_TOKEN)
    token = text.encode("utf-8", "surrogatepass") if type(text) is str else b""
    platform = recognise(token)
    if platform not in _TOKENS:
        refuse_token(token)
        return None
    form = f"{len(token)} bytes, from a service's answer"
    return noted((Opened(token, platform, form),), found.keys() - {_TOKEN})


def _written(inner: Any) -> bytes:
    """Return evidence as it is opened: text as it stands, anything else as JSON once more."""
    return inner.encode("utf-8", "surrogatepass") if type(inner) is str else json.dumps(inner).encode()


def _bounded(parts: list[Opened]) -> None:
    if len(parts) > MAX_PARTS:
        raise EvidenceError(
            "verification.evidence.several", f"The file holds more than {MAX_PARTS} pieces of evidence."
        )


def _member(why: str) -> EvidenceError:
    return EvidenceError("verification.service.member", why, action="Give the evidence inside of it alone.")
