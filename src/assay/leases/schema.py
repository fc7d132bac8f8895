"""The tables of the leases. A row that is not released, with its key file, is the deed: it proves it ours."""

from __future__ import annotations

from typing import Final

from assay.store import Migration

MIGRATIONS: Final = (
    Migration(
        "leases",
        1,
        (
            """
            CREATE TABLE leases (
                id TEXT PRIMARY KEY,
                slug TEXT NOT NULL,
                state TEXT NOT NULL,
                revision INTEGER NOT NULL,
                provider TEXT NOT NULL,
                machine TEXT NOT NULL,
                platform TEXT NOT NULL,
                options TEXT NOT NULL,
                owner_key BLOB NOT NULL,
                machine_id TEXT,
                created_at REAL NOT NULL,
                expires_at REAL NOT NULL,
                used_at REAL NOT NULL,
                ttl_seconds INTEGER NOT NULL,
                idle_seconds INTEGER NOT NULL,
                care TEXT NOT NULL,
                keep TEXT NOT NULL,
                succeeded INTEGER,
                reason TEXT,
                settles_at REAL,
                attempts INTEGER NOT NULL DEFAULT 0,
                retry_at REAL,
                problem TEXT
            ) STRICT, WITHOUT ROWID
            """,
            "CREATE UNIQUE INDEX leases_live_slugs ON leases (slug) WHERE state != 'released'",
            "CREATE INDEX leases_live ON leases (id) WHERE state != 'released'",
            """
            CREATE TABLE runs (
                lease TEXT NOT NULL REFERENCES leases (id),
                sequence INTEGER NOT NULL,
                manifest BLOB NOT NULL,
                bundle BLOB NOT NULL,
                isolation TEXT NOT NULL,
                started_at REAL NOT NULL,
                admission BLOB NOT NULL,
                start BLOB NOT NULL,
                session TEXT NOT NULL,
                outcome TEXT,
                receipt BLOB,
                problem TEXT,
                PRIMARY KEY (lease, sequence)
            ) STRICT, WITHOUT ROWID
            """,
            """
            CREATE TABLE nonces (
                nonce BLOB PRIMARY KEY,
                lease TEXT NOT NULL,
                purpose TEXT NOT NULL,
                expires_at REAL NOT NULL,
                spent_at REAL
            ) STRICT, WITHOUT ROWID
            """,
            """
            CREATE TABLE verified_time (
                one INTEGER PRIMARY KEY CHECK (one = 1),
                newest REAL NOT NULL,
                source TEXT NOT NULL
            ) STRICT
            """,
        ),
    ),
)
