"""What a CoRIM says, the numbers of its form that reader and writer share, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import ReferenceValueError

if TYPE_CHECKING:
    from datetime import datetime
    from typing import NoReturn

LARGEST: Final = 1 << 20
CORIM: Final = 501
COMID: Final = 506
CONTENT: Final = ("application/rim+cbor", "application/corim-unsigned+cbor")
META: Final = 8
DIGESTS: Final = 2
"""The member of a measurement's values that holds digests."""
VALIDITY: Final = 4
NOT_AFTER: Final = 1
TIME: Final = 1
"""The CBOR tag of seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One measurement of a reference triple.

    Attributes:
        environment: Class and instance that it is of, as text.
        key: What is measured, as text; empty when there is no key.
        digests: Algorithm and digest.
        others: Names of what else the measurement demands; none of it is read here.
        place: The environment as the CoRIM has it (CBOR): two of them may be the same as text.
        name: The same of key and register.
        bound: Whether it is of one instance or group, and not of every one of a class.
    """

    environment: str
    key: str
    digests: tuple[tuple[int | str, bytes], ...]
    others: tuple[str, ...]
    place: bytes
    name: bytes
    bound: bool


@dataclass(frozen=True, slots=True)
class Corim:
    """What a CoRIM says.

    Attributes:
        tag_id: Its name.
        profile: URI or OID of the profile that gives its keys their meaning; empty when there is none.
        not_before: From when on it holds; None when it does not say.
        not_after: Until when; None when it does not say.
        references: Measurements of its reference triples, in order.
        ignored: What else it holds, one name for each.
    """

    tag_id: str
    profile: str
    not_before: datetime | None
    not_after: datetime | None
    references: tuple[Reference, ...]
    ignored: tuple[str, ...]


def check_window(start: datetime | None, end: datetime | None, now: datetime) -> None:
    """Refuse a moment outside of a window; raises ``reference.corim.expired`` or ``.not_yet``."""
    if end is not None and now > end:
        refuse("expired", f"The CoRIM, or its signature, expired on {end:%Y-%m-%d}.")
    if start is not None and now < start:
        refuse("not_yet", f"The CoRIM, or its signature, does not hold before {start:%Y-%m-%d}.")


def refuse(code: str, message: str) -> NoReturn:
    """Raise ``reference.corim.`` and the code."""
    raise ReferenceValueError(f"reference.corim.{code}", message)
