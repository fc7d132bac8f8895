"""Typed reading of claims: what is there must be of its kind; a bool is no number, and text has bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assay.errors import EvidenceError
from assay.evidence.jose.errors import JoseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.ledger import Check, CheckSpec

MAX_TEXT: Final = 4096
MAX_ITEMS: Final = 1024
_LAST_SECOND: Final = 253402300799  # the end of the year 9999
_MOST_SKEW: Final = timedelta(minutes=10)
_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})
_MISSING: Final = object()
_NOTHING: Final[dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """How far clocks may differ, and how old a token may be; stated by the caller and in the ledger.

    Attributes:
        skew: How far in the future a token may say that it was issued, at most ten minutes. It prolongs
            nothing: an expired token is expired.
        max_age: The longest time since it was issued, whatever its own expiry says.
        seconds: Both, in seconds.
        reasons: Both, as the ledger says them.
        stated: The passed checks of a format that say them, made once.

    Raises:
        EvidenceError: ``evidence.call.limits`` when they are negative, or the skew is not small.
    """

    skew: timedelta
    max_age: timedelta
    seconds: tuple[float, float] = field(init=False, repr=False, compare=False)
    reasons: tuple[str, str] = field(init=False, repr=False, compare=False)
    stated: dict[CheckSpec, dict[CheckSpec, Check]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not timedelta() <= self.skew <= _MOST_SKEW or self.max_age <= timedelta():
            raise EvidenceError(
                "evidence.call.limits", "A token's skew is 0 to 10 minutes, and its greatest age is positive."
            )
        skew, age = self.skew.total_seconds(), self.max_age.total_seconds()
        object.__setattr__(self, "seconds", (skew, age))
        reasons = f"skew allowed: {skew:g} s", f"greatest age allowed: {age:g} s"
        object.__setattr__(self, "reasons", reasons)


class Registered(NamedTuple):
    """The registered claims (RFC 7519, section 4.1) of a token.

    Attributes:
        issuer: ``iss``.
        issued_at: ``iat``, seconds since 1970.
        not_before: ``nbf``; ``iat`` when it is not stated.
        expires_at: ``exp``.
        subject: ``sub``; empty when it is not stated.
        token_id: ``jti``; empty when it is not stated.
    """

    issuer: str
    issued_at: int
    not_before: int
    expires_at: int
    subject: str
    token_id: str


def registered(claims: Mapping[str, Any]) -> Registered:
    """Return the registered claims; ``iss``, ``iat`` and ``exp`` must be there.

    Raises:
        JoseError: ``jose.claims``.
    """
    issuer, subject, token_id = claims.get("iss", ""), claims.get("sub", ""), claims.get("jti", "")
    if not (type(issuer) is type(subject) is type(token_id) is str):
        raise JoseError("jose.claims", "One of the claims iss, sub, jti is no text.")
    if not issuer:
        raise JoseError("jose.claims", "Claim iss is missing, or empty.")
    issued, ends = claims.get("iat"), claims.get("exp")
    begins = claims.get("nbf", issued)
    if not (type(issued) is type(begins) is type(ends) is int) or not (
        0 <= issued <= _LAST_SECOND and 0 <= begins <= _LAST_SECOND and 0 <= ends <= _LAST_SECOND
    ):
        raise JoseError("jose.claims", "Claim iat, nbf or exp is missing, or no whole number of seconds.")
    return Registered(issuer, issued, begins, ends, subject, token_id)


def moment(seconds: int) -> datetime:
    """Return a NumericDate as aware UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def text(claims: Mapping[str, Any], name: str, default: Any = _MISSING) -> Any:
    """Return a claim that is text of at most 4,096 characters, or the default when it is not there.

    Raises:
        JoseError: ``jose.claims``.
    """
    found = claims.get(name, default)
    if type(found) is str:
        if len(found) <= MAX_TEXT:
            return found
        raise JoseError("jose.claims", f"Claim {name} is longer than {MAX_TEXT} characters.")
    if found is default and default is not _MISSING:
        return found
    raise JoseError("jose.claims", f"Claim {name} is missing, or no text.")


def flag(claims: Mapping[str, Any], name: str, *, default: bool | None = None) -> bool | None:
    """Return a claim that is true or false, or the default when it is not there.

    Raises:
        JoseError: ``jose.claims``.
    """
    found = claims.get(name, default)
    if found is not default and type(found) is not bool:
        raise JoseError("jose.claims", f"Claim {name} is neither true nor false.")
    return found


def texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a claim that is an array of at most 1,024 texts; empty when it is not there.

    Raises:
        JoseError: ``jose.claims``.
    """
    found = claims.get(name)
    if found is None:
        return ()
    if type(found) is list and len(found) <= MAX_ITEMS:
        for item in found:
            if type(item) is not str:
                break
        else:
            return tuple(found)
    raise JoseError("jose.claims", f"Claim {name} is no array of texts.")


def mapping(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a claim that is an object; empty when it is not there.

    Raises:
        JoseError: ``jose.claims``.
    """
    found = claims.get(name)
    if found is None:
        return _EMPTY
    if type(found) is not dict or len(found) > MAX_ITEMS:
        raise JoseError("jose.claims", f"Claim {name} is no object.")
    return found


def text_map(claims: Mapping[str, Any], name: str) -> Mapping[str, str]:
    """Return a claim that is an object of texts, read-only; empty when it is not there.

    Raises:
        JoseError: ``jose.claims``.
    """
    found = mapping(claims, name)
    if not found:
        return _EMPTY
    for value in found.values():
        if type(value) is not str:
            raise JoseError("jose.claims", f"Claim {name} holds something else than texts.")
    return MappingProxyType(dict(found))


def hexadecimal(claims: Mapping[str, Any], name: str, size: int | None) -> bytes:
    """Return a claim that is lower-case or upper-case hexadecimal of ``size`` bytes (None: any size).

    Raises:
        JoseError: ``jose.claims``.
    """
    found = text(claims, name)
    try:
        data = bytes.fromhex(found)
    except ValueError:
        data = b""
    if len(found) != 2 * len(data) or size not in (None, len(data)):
        raise JoseError("jose.claims", f"Claim {name} is no hexadecimal of its size.")
    return data
