"""What every publisher's module provides: how to ask for an endorsement, and how its answer is verified."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from assay.errors import EndorsementError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from assay.endorsements.http import Client
    from assay.endorsements.record import Basis, Endorsement, Wanted
    from assay.endorsements.services import Services
    from assay.endorsements.surroundings import Surroundings
    from assay.evidence.facts import Window
    from assay.evidence.roots import Roots


def _nothing_else(wanted: Wanted) -> Endorsement:
    raise EndorsementError("endorsements.offline.missing", f"{wanted.kind} is not at hand.")


@dataclass(frozen=True, slots=True)
class Access:
    """What a source may use.

    Attributes:
        client: The HTTP client.
        services: The addresses.
        roots: The roots in which signatures may end.
        authorities: Names the certificate authorities of TLS where they are not the public ones; part of the
            anchor of what rests on TLS alone.
        surroundings: Clocks and dice.
        also: Gets another endorsement on which this one rests, such as an issuer's chain; from the cache
            where it can. Raises EndorsementError when there is none that holds. A fetcher puts itself here.
    """

    client: Client
    services: Services
    roots: Roots
    authorities: str
    surroundings: Surroundings
    also: Callable[[Wanted], Endorsement] = _nothing_else


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, not verified.

    Attributes:
        parts: The documents by name.
        sources: The addresses that they came from.
    """

    parts: Mapping[str, bytes]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was verified about an answer.

    Attributes:
        window: When it holds.
        basis: What proves it.
        anchor: The root's SHA-256 in hexadecimal, or the host.
    """

    window: Window
    basis: Basis
    anchor: str


class Source(ABC):
    """One kind of endorsement.

    Attributes:
        kinds: The kinds that this source fetches.
    """

    __slots__ = ()
    kinds: ClassVar[frozenset[str]]

    @abstractmethod
    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask the publisher.

        Raises:
            EndorsementError: ``endorsements.http.*``, ``endorsements.answer.malformed``,
                ``endorsements.wanted.malformed``.
        """

    @abstractmethod
    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify parts under the roots, and that they are about what was wanted.

        Whether all of it holds at ``now`` is for the caller to see, by the window.

        Raises:
            EndorsementError: ``endorsements.answer.malformed``; ``endorsements.answer.unverified`` when a
                signature, chain or role is wrong; ``endorsements.answer.stale`` when a part of it
                does not hold at ``now``; ``endorsements.answer.swapped`` when it is about something else.
        """

    @abstractmethod
    def anchors(self, wanted: Wanted, access: Access) -> frozenset[str]:
        """Return the anchors under which this caller accepts what was verified before."""

    def newness(self, made: Endorsement) -> tuple[Any, ...]:
        """Return what no later answer of a publisher has less of, document by document in a fixed order.

        Args:
            made: A verified endorsement.

        Raises:
            AssayError: The parts cannot be read.
        """
        return (made.window.start,)

    def rests_on(self, wanted: Wanted, parts: Mapping[str, bytes]) -> tuple[Wanted, ...]:  # noqa: ARG002 - most rest on nothing
        """Return what a verifier needs besides these parts: a chain, the status of its certificates.

        Raises:
            EndorsementError: ``endorsements.answer.malformed``.
        """
        return ()


class SignedSource(Source):
    """A kind of endorsement whose signatures end in roots of trust.

    Attributes:
        vendors: Whose roots.
    """

    __slots__ = ()
    vendors: ClassVar[tuple[str, ...]]

    def anchors(self, wanted: Wanted, access: Access) -> frozenset[str]:  # noqa: ARG002 - the same for all
        """Return the fingerprints of the vendors' roots, hexadecimal."""
        found = (root for vendor in self.vendors for root in access.roots.of(vendor))
        return frozenset(root.anchor.fingerprint.hex() for root in found)


def part(parts: Mapping[str, bytes], name: str) -> bytes:
    """Return a document by its name.

    Raises:
        EndorsementError: ``endorsements.answer.malformed`` when there is none.
    """
    if name not in parts:
        raise malformed(f"The endorsement has no part {name}.")
    return parts[name]


def malformed(message: str) -> EndorsementError:
    """Return the error for an answer that is not what its service publishes."""
    return EndorsementError("endorsements.answer.malformed", message)


def unverified(message: str, *, check: str = "") -> EndorsementError:
    """Return the error for an answer whose signature, chain or role is wrong."""
    return EndorsementError("endorsements.answer.unverified", message, check=check or None)


def stale(message: str) -> EndorsementError:
    """Return the error for an answer that does not hold now."""
    return EndorsementError("endorsements.answer.stale", message)


def older(message: str) -> EndorsementError:
    """Return the error for an answer that is older than what is at hand and has not ended."""
    return EndorsementError("endorsements.answer.older", message)


def swapped(message: str) -> EndorsementError:
    """Return the error for an answer about something else than was asked for."""
    return EndorsementError("endorsements.answer.swapped", message)
