"""``python -m assay``: the command line."""

from __future__ import annotations

import sys

from assay.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
