"""The console command: importing it takes a tenth of a second, in which an interrupt may come already."""

from __future__ import annotations

import signal


def main() -> int:
    """Run the command line; interrupted before it has begun, the process ends as by any signal."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a shell has commands in the background ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from assay.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    return run()
