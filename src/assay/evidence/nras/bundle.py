"""The layout of an answer: one overall token and the devices' tokens, as JSON.

    [["JWT", overall], {"GPU-0": token, ...}]

Client software wraps it once more, with a token of its own in front that it signs with a secret that nobody
else has:

    [["JWT", own], {"REMOTE_GPU_CLAIMS": [["JWT", overall], {"GPU-0": token, ...}]}]

That own token says nothing and is declared unsigned.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.decoding import strictjson
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.jose.errors import JoseError
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BUNDLE_BYTES: Final = 262144
MAX_DEVICES: Final = 32
MAX_NAME: Final = 64
_WRAPPED: Final = frozenset({"REMOTE_GPU_CLAIMS", "REMOTE_SWITCH_CLAIMS"})
_WORD: Final = b'"JWT"'
_HASHES: Final = {"SHA-256": "sha256", "SHA256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """An answer taken apart; nothing about it is verified.

    Attributes:
        overall: The overall token.
        devices: Name of each device -> its token.
        unsigned: The wrapper's own token, where there is one.
    """

    overall: bytes
    devices: Mapping[str, bytes]
    unsigned: tuple[UnsignedRegion, ...]


def parse_bundle(data: bytes) -> Bundle:
    """Take an answer apart.

    Raises:
        JoseError: ``jose.oversized``, ``jose.shape`` when it is no such JSON.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise JoseError("jose.oversized", f"An answer is longer than {MAX_BUNDLE_BYTES} bytes.")
    try:
        found = strictjson.parse(data, max_bytes=MAX_BUNDLE_BYTES)
    except JsonError as error:
        raise JoseError("jose.shape", f"An answer is not JSON: {error.message}") from None
    overall, devices = _pair(found)
    unsigned: tuple[UnsignedRegion, ...] = ()
    if any(type(token) is list for token in devices.values()):
        if len(devices) != 1 or not _WRAPPED.issuperset(devices):
            raise JoseError("jose.shape", "An answer wraps more than one answer, or under an unknown name.")
        unsigned = (_region(data, overall),)
        overall, devices = _pair(next(iter(devices.values())))
    if not 0 < len(devices) <= MAX_DEVICES:
        raise JoseError("jose.shape", f"An answer has no tokens of devices, or more than {MAX_DEVICES}.")
    return Bundle(overall, {_name(name): _token(token) for name, token in devices.items()}, unsigned)


def _region(data: bytes, token: bytes) -> UnsignedRegion:
    """Return where the wrapper's own token stands: behind the word that begins its pair."""
    at = data.find(b'"' + token + b'"', data.find(_WORD) + len(_WORD)) + 1
    if at == 0:
        raise JoseError("jose.shape", "An answer writes a token in escapes, so that it stands nowhere.")
    return UnsignedRegion(at, at + len(token), "token of the client's own software")


def submods_defect(claims: Mapping[str, Any], bundle: Bundle) -> tuple[str, str] | None:
    """Return why an overall token is not about exactly the devices' tokens beside it; None when it is.

    Args:
        claims: The overall token's claims; ``submods`` holds ``["DIGEST", [algorithm, hexadecimal]]`` over
            the compact text of each token.
        bundle: The answer.

    Returns:
        The last part of a code, and a sentence.
    """
    stated = claims.get("submods")
    if type(stated) is not dict or stated.keys() != bundle.devices.keys():
        return "names", "The overall token is not about exactly these devices."
    for name, token in bundle.devices.items():
        match stated[name]:
            case ["DIGEST", [str(algorithm), str(digest)]] if algorithm in _HASHES:
                own = hashlib.new(_HASHES[algorithm], token).hexdigest()
                if not hmac.compare_digest(own.encode(), digest.lower().encode("utf-8", "replace")):
                    return "mismatch", f"The digest of {name}'s token is another."
            case _:
                return "type", f"There is no digest of {name}'s token."
    return None


def _pair(found: Any) -> tuple[bytes, dict[str, Any]]:
    if type(found) is not list or len(found) != 2 or type(found[1]) is not dict:
        raise JoseError("jose.shape", "An answer is no pair of a token and an object of tokens.")
    head = found[0]
    if type(head) is not list or len(head) != 2 or head[0] != "JWT":
        raise JoseError("jose.shape", "An answer does not begin with a JWT.")
    return _token(head[1]), found[1]


def _token(value: Any) -> bytes:
    if type(value) is not str or not value.isascii():
        raise JoseError("jose.shape", "An answer holds something else than tokens.")
    return value.encode("ascii")


def _name(value: str) -> str:
    if not 0 < len(value) <= MAX_NAME or not value.isascii() or not value.isprintable():
        raise JoseError("jose.shape", "The name of a device is not printable, or too long.")
    return value
