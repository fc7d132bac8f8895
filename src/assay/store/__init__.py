"""The state database: engine, transactions, fencing, migrations.

It knows no room above it: each room brings its own ``Migration`` tuples and its own statements.
"""

from __future__ import annotations

from assay.store.database import Database, Reader, Transaction
from assay.store.fence import Hold
from assay.store.files import create_private, prepare_directory, read_private, write_private
from assay.store.migrations import Migration
from assay.store.paths import state_directory

__all__ = [
    "Database",
    "Hold",
    "Migration",
    "Reader",
    "Transaction",
    "create_private",
    "prepare_directory",
    "read_private",
    "state_directory",
    "write_private",
]
