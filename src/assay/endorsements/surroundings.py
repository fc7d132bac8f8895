"""What fetching takes from the world besides the network: time, waiting and chance, all of them given."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The clocks, the waiting and the dice of one fetch.

    Attributes:
        now: The time of day, aware UTC; validity windows are held against it.
        monotonic: Seconds of a clock that never goes back; deadlines are held against it.
        sleep: Waits so many seconds.
        chance: A number from 0 up to 1, for jitter.
        nonce: So many unpredictable bytes, for OCSP.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Callable[[], float]
    nonce: Callable[[int], bytes] = field(repr=False)

    @classmethod
    def real(cls) -> Surroundings:
        """Return those of this machine."""
        generator = random.SystemRandom()
        return cls(_now, time.monotonic, time.sleep, generator.random, generator.randbytes)
