"""Published keys: a JSON Web Key Set (RFC 7517) as a service publishes it, given by the caller.

A key set is an endorsement: whoever chose the set chose whom to believe. Keys that are too weak or of no use
here are listed with the reason, so that "unknown" and "refused" are different answers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.evidence.decoding import strictjson
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.jose.algorithms import ALGORITHMS
from assay.evidence.jose.base64url import decode, decode_standard
from assay.evidence.jose.errors import JoseError
from assay.evidence.x509.general import GeneralCertificate, KeyKind, key_kind
from assay.evidence.x509.signature import load_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.x509.signature import PublicKey

MAX_JWKS_BYTES: Final = 262144
MAX_KEYS: Final = 64
MAX_KEY_CERTIFICATE_BYTES: Final = 16384  # a certificate with a whole quote in an extension
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, int]]] = {
    "P-256": (ec.SECP256R1(), 32),
    "P-384": (ec.SECP384R1(), 48),
}


@dataclass(frozen=True, slots=True)
class JwksEndorsements:
    """The keys of an issuer, as the caller obtained them.

    Attributes:
        jwks: A JSON Web Key Set, at most 262,144 bytes and 64 keys.
        issuer: Whose it is, as ``iss`` has it: keys of one issuer vouch for no other.
        digest: SHA-256 of the set, 32 bytes: the name under which facts proven with it are remembered.
    """

    jwks: bytes
    issuer: str
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.jwks).digest())


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One usable public key.

    Attributes:
        kid: Its name in the set; empty for the key of a certificate.
        kind: Kind of key.
        algorithms: Names of the algorithms it may verify.
        spki: SubjectPublicKeyInfo, DER.
        key: The loaded key.
    """

    kid: str
    kind: KeyKind
    algorithms: frozenset[str]
    spki: bytes
    key: PublicKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo, 32 bytes."""
        return hashlib.sha256(self.spki).digest()


@dataclass(frozen=True, slots=True)
class Jwks:
    """A key set.

    Attributes:
        keys: Key id -> key, those that can be used.
        unusable: Key id -> why the key cannot be used.
    """

    keys: Mapping[str, VerificationKey]
    unusable: Mapping[str, str]


def parse_jwks(data: bytes) -> Jwks:
    """Return the keys of a set.

    Raises:
        JoseError: ``jwks.malformed`` when it is no key set or is oversized, ``jwks.too_many`` beyond 64 keys,
            ``jwks.duplicate`` when one id names two keys, ``jwks.private`` when a private or a symmetric key
            was published with it: anybody can then sign.
    """
    try:
        document = strictjson.parse_object(data, max_bytes=MAX_JWKS_BYTES)
        entries = strictjson.member(document, "keys", list)
    except JsonError as error:
        raise JoseError("jwks.malformed", f"A key set cannot be read: {error.message}") from None
    if len(entries) > MAX_KEYS:
        raise JoseError("jwks.too_many", f"A key set has more than {MAX_KEYS} keys.")
    keys: dict[str, VerificationKey] = {}
    unusable: dict[str, str] = {}
    for entry in entries:
        kid = entry.get("kid") if type(entry) is dict else None
        if type(kid) is not str or not kid:
            raise JoseError("jwks.malformed", "A key set holds something that is no key with an id.")
        if _PRIVATE & entry.keys():
            raise JoseError("jwks.private", "A key set holds a secret key: anybody can sign with it.")
        try:
            key = read_key(kid, entry)
        except (JoseError, DerError) as error:
            unusable[kid] = error.message
            continue
        if keys.setdefault(kid, key).spki != key.spki:
            raise JoseError("jwks.duplicate", "A key set gives one id to two keys.")
    return Jwks(MappingProxyType(keys), MappingProxyType(unusable))


def read_key(kid: str, entry: Mapping[str, Any]) -> VerificationKey:
    """Return the key that one entry of a set describes.

    Args:
        kid: Its name.
        entry: The members: ``n`` and ``e``, ``crv``, ``x`` and ``y``, or a certificate in ``x5c``.

    Raises:
        JoseError: ``jwks.malformed`` when it is of another kind or for another use.
        DerError: It is too weak, or cannot be loaded.
    """
    if entry.get("use", "sig") != "sig" or "verify" not in _operations(entry):
        raise JoseError("jwks.malformed", "The key is not for verifying signatures.")
    family = entry.get("kty")
    if family == "RSA" and "n" in entry:
        key: PublicKey = _rsa(_number(entry, "n"), _number(entry, "e"))
    elif family == "EC" and "x" in entry:
        key = _point(entry)
    elif family in ("RSA", "EC"):
        key = load_key(_certified(entry))
    else:
        raise JoseError("jwks.malformed", "The key is neither RSA nor of a curve.")
    return verification_key(kid, key, entry.get("alg"))


def certified_key(certificate: GeneralCertificate) -> VerificationKey:
    """Return the key of a certificate, for every algorithm that its kind allows.

    Raises:
        DerError: It cannot be loaded.
    """
    kind = certificate.key_kind
    names = frozenset(name for name, found in ALGORITHMS.items() if found.kind is kind)
    return VerificationKey("", kind, names, certificate.spki, certificate.key())


def _operations(entry: Mapping[str, Any]) -> list[Any]:
    found = entry.get("key_ops", ["verify"])
    return found if type(found) is list else []


def verification_key(kid: str, key: PublicKey, only: str | None = None) -> VerificationKey:
    """Return a loaded key with the algorithms that it may verify.

    Args:
        kid: Its name.
        key: The key.
        only: The one algorithm it was published for; None for every one that its kind allows.

    Raises:
        DerError: It is too weak or of no known curve.
    """
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kind = key_kind(spki)
    names = frozenset(name for name, found in ALGORITHMS.items() if found.kind is kind)
    return VerificationKey(kid, kind, names if only is None else names & {only}, spki, key)


def _number(entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if type(value) is not str:
        raise JoseError("jwks.malformed", f"The key has no {name}.")
    return int.from_bytes(decode(value.encode("utf-8", "replace")), "big")


def _rsa(n: int, e: int) -> rsa.RSAPublicKey:
    # Bounds first: the library takes time for a modulus of any size.
    if not 2048 <= n.bit_length() <= 8192 or not 3 <= e < 1 << 32:
        raise JoseError("jwks.malformed", "The RSA key does not have 2048 to 8192 bits and a usual exponent.")
    try:
        return rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError:
        raise JoseError("jwks.malformed", "The RSA key cannot be used.") from None


def _point(entry: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    name = entry.get("crv")
    curve = _CURVES.get(name) if type(name) is str else None
    halves = entry.get("x"), entry.get("y")
    if curve is None or {type(half) for half in halves} != {str}:
        raise JoseError("jwks.malformed", "The key is no point of P-256 or P-384.")
    x, y = (decode(str(half).encode("utf-8", "replace")) for half in halves)
    if len(x) != curve[1] or len(y) != curve[1]:
        raise JoseError("jwks.malformed", "The coordinates of a key do not have the size of its curve.")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve[0], b"\4" + x + y)
    except ValueError:
        raise JoseError("jwks.malformed", "The key is not on its curve.") from None


def _certified(entry: Mapping[str, Any]) -> bytes:
    """Return the key of the first certificate, which is believed as the set is believed, and no further."""
    chain = entry.get("x5c")
    if type(chain) is not list or not chain or type(chain[0]) is not str:
        raise JoseError("jwks.malformed", "The key has neither numbers nor a certificate.")
    der = decode_standard(chain[0].encode("utf-8", "replace"))
    return GeneralCertificate.parse(der, max_bytes=MAX_KEY_CERTIFICATE_BYTES).spki
