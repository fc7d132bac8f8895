"""What takes long is said, once it does."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from assay.cli.output import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS: Final = 1.0


@contextmanager
def said_when_slow(text: str) -> Iterator[None]:
    """Print one line of progress when the block takes longer than a second.

    Args:
        text: The line. What came from a peer was escaped by the caller.
    """
    timer = threading.Timer(PATIENCE_SECONDS, lambda: progress(text))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
