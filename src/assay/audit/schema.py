"""The tables of the log.

``audit_logs`` has one row for each origin: the newest (greatest number) is written to, the others are closed.
``audit_entries`` holds entries and their leaf hashes under one number made of log and index, so that an
append changes one page; under a key of two columns it changed two. ``audit_nodes`` holds the complete
subtrees of height ``8 * level`` above them: with these a root or a proof needs at most 256 hashes of each
level.
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
                closed TEXT
            ) STRICT
            """,
            """
            CREATE TABLE audit_entries (
                log INTEGER NOT NULL REFERENCES audit_logs,
                seq INTEGER NOT NULL,
                leaf BLOB NOT NULL,
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
            CREATE TABLE audit_exports (
                log INTEGER NOT NULL REFERENCES audit_logs,
                size INTEGER NOT NULL,
                PRIMARY KEY (log, size)
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
    Migration(
        "audit",
        2,
        (
            "ALTER TABLE audit_entries RENAME TO audit_entries_1",
            """
            CREATE TABLE audit_entries (
                place INTEGER PRIMARY KEY,
                leaf BLOB NOT NULL,
                entry BLOB NOT NULL,
                log INTEGER NOT NULL AS (place >> 40),
                seq INTEGER NOT NULL AS (place & 0xffffffffff)
            ) STRICT
            """,
            "INSERT INTO audit_entries SELECT log << 40 | seq, leaf, entry FROM audit_entries_1 ORDER BY 1",
            "DROP TABLE audit_entries_1",
        ),
    ),
)
