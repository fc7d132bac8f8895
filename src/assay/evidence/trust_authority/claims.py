"""The authenticated Claims of an Intel Trust Authority token: Intel's own appraisal of a TEE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


class Measurements(Mapping[str, bytes]):
    """The claims under a prefix that are lower-case hexadecimal of at least one byte, as bytes.

    Each is decoded when somebody looks at it: a verification needs one of them.

    Args:
        stated: The claims of the TEE.
        prefix: What the names begin with, and have no more here.
    """

    __slots__ = ("_prefix", "_stated")

    def __init__(self, stated: Mapping[str, Any], prefix: str) -> None:
        self._stated = stated
        self._prefix = prefix

    def __getitem__(self, name: str) -> bytes:
        found = _decoded(self._stated.get(self._prefix + name))
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        for name, value in self._stated.items():
            if name.startswith(self._prefix) and _decoded(value) is not None:
                yield name.removeprefix(self._prefix)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def _decoded(value: Any) -> bytes | None:
    if type(value) is not str:
        return None
    try:
        data = bytes.fromhex(value)
    except ValueError:
        return None
    # Python also reads upper case, and blanks between bytes.
    return data if data and data.hex() == value else None


@record
class TrustAuthorityClaims:
    """What an authentic token says.

    Attributes:
        issuer: The service.
        issued_at: When.
        not_before: From when it is valid.
        expires_at: Until when.
        version: Version of the token's claims: ``1.0.0`` (flat) or ``2.0.0`` (one object for each attester).
        attester: ``TDX`` or ``SGX``.
        debug: True unless the token says that the TEE is not debuggable.
        debug_status: ``dbgstat`` as it stands there; empty without.
        tcb_status: Intel's status of the platform: ``UpToDate``, ...
        tcb_date: Its date, as text.
        advisories: Advisories that apply.
        measurements: Registers and fields that are stated in hexadecimal, under their names without the
            TEE's prefix: ``mrtd``, ``rtmr0``, ``mrenclave``, ``report_data``.
        held_data: What the attester committed to besides the service's nonce; None without.
        nonces: ``eat_nonce``, where a client asked for it.
        bound_slot: Index of the carrier that held the expected value; None when it was not checked.
        policies_matched: Ids of the service's policies that matched.
        policies_unmatched: Ids of those that did not.
        token: Every claim of the token.
    """

    issuer: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    version: str
    attester: str
    debug: bool
    debug_status: str
    tcb_status: str
    tcb_date: str
    advisories: tuple[str, ...]
    measurements: Mapping[str, bytes]
    held_data: bytes | None
    nonces: tuple[str, ...]
    bound_slot: int | None
    policies_matched: tuple[str, ...]
    policies_unmatched: tuple[str, ...]
    token: Mapping[str, Any] = field(repr=False)
