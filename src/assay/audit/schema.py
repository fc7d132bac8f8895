"""The tables of the log.

``audit_logs`` has one row for each origin: the newest (greatest number) is written to, the others are closed.
``nodes`` is the compact range: 32 bytes for each bit set in ``size``. ``audit_nodes`` holds the complete
subtrees of height ``8 * level``, one for each 256 of the level below: with them a proof needs no more than
256 entries.
"""

from __future__ import annotations

from assay.store.migrations import Migration

MIGRATIONS = (
    Migration(
        "audit",
        1,
        (
            """
            CREATE TABLE audit_logs (
                number INTEGER PRIMARY KEY,
                origin TEXT NOT NULL UNIQUE,
                public BLOB NOT NULL,
                closed TEXT,
                size INTEGER NOT NULL,
                nodes BLOB NOT NULL,
                last BLOB,
                exported INTEGER NOT NULL DEFAULT 0
            ) STRICT
            """,
            """
            CREATE TABLE audit_entries (
                log INTEGER NOT NULL REFERENCES audit_logs,
                seq INTEGER NOT NULL,
                entry BLOB NOT NULL,
                PRIMARY KEY (log, seq)
            ) STRICT, WITHOUT ROWID
            """,
            """
            CREATE TABLE audit_nodes (
                log INTEGER NOT NULL REFERENCES audit_logs,
                level INTEGER NOT NULL,
                place INTEGER NOT NULL,
                hash BLOB NOT NULL,
                PRIMARY KEY (log, level, place)
            ) STRICT, WITHOUT ROWID
            """,
            """
            CREATE TABLE audit_salts (
                log INTEGER NOT NULL REFERENCES audit_logs,
                seq INTEGER NOT NULL,
                name TEXT NOT NULL,
                lease TEXT NOT NULL,
                salt BLOB NOT NULL,
                PRIMARY KEY (log, seq, name)
            ) STRICT, WITHOUT ROWID
            """,
        ),
    ),
)
