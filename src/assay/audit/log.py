"""The log in the state database: append in the caller's transaction, sign only what is committed.

One row says how the log stands; an append reads it under the write lock, so that two writers follow each
other and never fork. A checkpoint leaves only after its state is committed and remembered outside of the
database. When what is remembered there does not agree with the database (a restored backup, another database,
another key), the log does not go on: it starts under a new origin whose first entry names the old one and how
far it is known to reach.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.audit import entry as entries
from assay.audit import salted as commitments
from assay.audit.export import named_digests, write_log
from assay.audit.head import Head, HeadFile
from assay.audit.key import LogKey
from assay.audit.merkle import CompactRange, leaf_hash, root_at
from assay.audit.note import Checkpoint
from assay.audit.rows import RowTree, place
from assay.audit.target import new_export
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from assay.audit.entry import Entry, Fact
    from assay.store.database import Database, Reader, Transaction

_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,119}")
_LOGS = "SELECT number, origin, public, closed FROM audit_logs"
_INSERT_AFTER = (  # without a leaf hash, when the log does not end there, no row is made
    "INSERT OR IGNORE INTO audit_entries VALUES (?, (SELECT ? FROM audit_entries AS e, audit_logs AS l"
    " WHERE e.place = ? AND e.leaf = ? AND l.number = ? AND l.closed IS NULL), ?)"
)
_STATE = (
    "SELECT l.closed, e.seq, e.leaf FROM audit_logs AS l"
    " LEFT JOIN audit_entries AS e ON e.place >= ? AND e.place < ?"
    " WHERE l.number = ? ORDER BY e.place DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to be recorded; see ``Log.append``."""

    kind: str
    lease: str
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class _Tip:
    """Where the log ends: its compact range, not to be changed, and the leaf hash of its last entry."""

    tree: CompactRange
    last: bytes | None


@dataclass(frozen=True, slots=True)
class _Continued:
    """Why a new log starts, and the last known state of the one before it, if there was one."""

    installation: str
    last: Head | None
    reason: str

    def first_entry(self) -> Event:
        facts: dict[str, Fact] = {"installation": self.installation}
        if self.last is None:
            return Event("log.opened", "", facts)
        facts["previous_origin"] = self.last.origin
        facts["previous_root"] = self.last.root.hex()
        facts["previous_size"] = self.last.size
        facts["reason"] = self.reason
        return Event("log.continued", "", facts)


class Log:
    """The log that this installation writes. Make it with ``open``.

    Attributes:
        origin: The full name of the log: what it was opened with, a slash, and 16 hexadecimal digits of its
        own.
    """

    def __init__(self, db: Database, key: LogKey, number: int, origin: str, *, final: bool = False) -> None:
        self._db = db
        self._key = key
        self._number = number
        self._head = HeadFile(db.directory)
        self._tip: _Tip | None = None
        self._final = final
        self.origin = origin

    @classmethod
    def open(
        cls, db: Database, key: LogKey, origin: str, *, draw: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> Log:
        """Return the log of this database; started when there is none or when the last one cannot go on.

        Args:
            db: Opened with ``assay.audit.MIGRATIONS`` among its migrations.
            key: Signs the checkpoints.
            origin: Name under which new logs start; one that exists keeps its own.
            draw: Gives the part of a new log's name that no other log has.

        Raises:
            AuditError: ``audit.log.origin`` for a name with other characters than letters, digits, ``._/-``.
            StoreError: as any transaction.
        """
        if not _ORIGIN.fullmatch(origin):
            raise AuditError(
                "audit.log.origin", f"{origin!r} cannot name a log: letters, digits and ._/- only."
            )
        head_file = HeadFile(db.directory)
        head = head_file.read()  # before the database: what is read later can only be newer
        with db.read() as view:
            row = _current(view)
            if head and row and _judge(view, row, head, db.installation, key) is None:
                return cls(db, key, row["number"], row["origin"])
        with db.transaction() as tx:
            head = head_file.read()
            row = _current(tx)
            reason = "database_replaced" if row is None else _judge(tx, row, head, db.installation, key)
            if reason is not None:
                last = head if head or row is None else _head(tx, db.installation, row)
                row = _start(tx, key.public, f"{origin}/{draw()}", _Continued(db.installation, last, reason))
            begun = _head(tx, db.installation, row)
            tx.after_commit(lambda: _remembered(head_file.begin, begun))
        return cls(db, key, row["number"], row["origin"])

    @classmethod
    def own(cls, db: Database) -> Log:
        """Return the log of this installation, under its own key and a name that says which it is.

        Raises:
            AuditError: ``audit.key.unreadable``.
            StoreError: as any transaction; ``store.directory.*``, ``store.file.*``.
        """
        return cls.open(db, LogKey.open(db.directory), f"assay.local/{db.installation}")

    @classmethod
    def closed(cls, db: Database, key: LogKey) -> tuple[Log, ...]:
        """Return the logs before the present one that may still be exported, oldest first.

        They are appended to no more. One that was rewritten, or is of another key, is left out: a checkpoint
        of it could contradict one that was signed before.
        """
        with db.read() as view:
            rows = view.execute(
                f"{_LOGS} WHERE closed IN ('restored_backup', 'head_missing') AND public = ? ORDER BY number",
                (key.public,),
            ).fetchall()
        return tuple(cls(db, key, row["number"], row["origin"], final=True) for row in rows)

    def append(
        self,
        tx: Transaction,
        kind: str,
        lease: str,
        facts: Mapping[str, Fact],
        *,
        salted: Mapping[str, bytes] | None = None,
    ) -> int:
        """Append one entry in the caller's transaction and return its index.

        Args:
            tx: The transaction of the change that the entry records.
            kind: Dotted, lower case: ``lease.intended``.
            lease: The lease's id; empty when it concerns none.
            facts: Digests, codes and counts; see ``assay.audit.entry`` for the limits.
            salted: Guessable values by fact name: their salted digest becomes the fact, and the salt is kept.

        Raises:
            AuditError: ``audit.entry.*``; ``audit.log.superseded`` when another process started a new origin;
                ``audit.log.replaced`` when the database was exchanged, or set back, under this process.
        """
        if not salted:
            return self._append_one(tx, Event(kind, lease, facts))
        told = dict(facts)
        salts: dict[str, bytes] = {}
        for name, value in salted.items():
            salts[name], digest = commitments.commit(value)
            told[name] = f"salted-sha256:{digest.hex()}"
        first = self._append_one(tx, Event(kind, lease, told))
        tx.executemany(
            "INSERT INTO audit_salts (log, seq, name, lease, salt) VALUES (?, ?, ?, ?, ?)",
            [(self._number, first, name, lease, salt) for name, salt in salts.items()],
        )
        return first

    def append_many(self, tx: Transaction, events: Iterable[Event]) -> int:
        """Append several entries in order; return the index of the first. Raises as ``append``."""
        number = self._number
        row = tx.one(_STATE, (place(number, 0), place(number + 1, 0), number))
        if row is None or row["closed"] is not None:
            raise self._superseded()
        size = 0 if row["seq"] is None else row["seq"] + 1
        tip = self._tip
        if tip is None or tip.tree.size != size or tip.last != row["leaf"]:
            # Another writer, an undone change, or another database where this one was.
            if (known := self._head.read()) is not None:
                self._require(tx, known)
            tip = _Tip(RowTree(tx, self._number).compact(size), row["leaf"])
        self._keep(tx, _append(tx, number, tip, events))
        return size

    def _append_one(self, tx: Transaction, event: Event) -> int:
        # Nearly always the log still ends where this object left it, and then one statement finds that out
        # and appends.
        tip = self._tip
        if tip is not None and tip.last is not None:
            grown, rows, nodes = _grow(self._number, tip, (event,), tx.now())
            key, leaf, data = rows[0]
            if tx.execute(_INSERT_AFTER, (key, leaf, key - 1, tip.last, self._number, data)).rowcount == 1:
                _insert_nodes(tx, nodes)
                self._keep(tx, grown)
                return tip.tree.size
        return self.append_many(tx, (event,))

    def _keep(self, tx: Transaction, grown: _Tip) -> None:
        self._tip = grown
        tx.after_commit(lambda: self._remember(grown), instead_of=self)

    def checkpoint(self) -> bytes:
        """Return the signed checkpoint of the committed log, once it is remembered outside of the database.

        Raises:
            StoreError: ``store.transaction.nested`` inside a transaction of this thread.
            AuditError: ``audit.log.superseded``; ``audit.log.replaced``; ``audit.log.head`` when it cannot be
                remembered.
        """
        known = self._head.read()  # before the database: what is read later can only be newer
        with self._db.read() as view:
            state = self._state(view, known)
        return self._sign(state)

    def export(
        self, target: Path, *, tar: bool, attachments: Mapping[str, bytes | Path] | None = None
    ) -> Checkpoint:
        """Write the committed log to a new directory or a new, deterministic tar; return its checkpoint.

        Args:
            target: Must not exist (for a directory, it may exist empty).
            tar: Whether to write one file; the same log gives the same bytes.
            attachments: Receipts and Evidence that entries name, as bytes or path, by SHA-256 in hexadecimal.

        Raises:
            AuditError: ``audit.export.*``; ``audit.log.damaged``; as ``checkpoint``.
        """
        known = self._head.read()  # before the database, as above
        with self._db.read() as view:
            tree = RowTree(view, self._number)
            state = self._state(view, known)
            found = view.one(
                "SELECT max(size) FROM audit_exports WHERE log = ? AND size < ?", (self._number, state.size)
            )
            checkpoint = Checkpoint(state.origin, state.size, state.root)
            with new_export(target, tar=tar) as writer:
                write_log(
                    writer,
                    tree,
                    checkpoint=checkpoint,
                    note=self._sign(state),
                    key=self._key.verifier(state.origin),
                    since=found[0] or 0,
                    attachments=attachments or {},
                )
        with self._db.transaction() as tx:
            tx.execute("INSERT OR IGNORE INTO audit_exports VALUES (?, ?)", (self._number, state.size))
        return checkpoint

    def size(self) -> int:
        """Return how many entries are committed."""
        with self._db.read() as view:
            return RowTree(view, self._number).size()

    def entry(self, index: int) -> bytes:
        """Return the canonical bytes of one committed entry.

        Raises:
            AuditError: ``audit.proof.range``.
        """
        with self._db.read() as view:
            return RowTree(view, self._number).entry(index)

    def named(self, digests: frozenset[str], facts: Collection[str]) -> frozenset[str]:
        """Return those of ``digests`` (SHA-256 in hexadecimal) that one of these facts names in an entry."""
        found: set[str] = set()
        with self._db.read() as view:
            tree = RowTree(view, self._number)
            for _, bundle in tree.bundles(tree.size()):
                found |= digests & named_digests(bundle, facts)
        return frozenset(found)

    def search(self, fact: str, value: str) -> tuple[Entry, ...]:
        """Return every entry of this log in which the fact has that value, a string, in order."""
        mark = f'"{fact}":'.encode()
        hits: list[Entry] = []
        with self._db.read() as view:
            tree = RowTree(view, self._number)
            for _, bundle in tree.bundles(tree.size()):
                hits += [entries.decode(data) for data in bundle if mark in data]
        return tuple(entry for entry in hits if entry.facts.get(fact) == value)

    def salt(self, index: int, name: str) -> bytes | None:
        """Return the salt of a salted fact, 32 bytes; None when there is none or it was dropped."""
        with self._db.read() as view:
            row = view.one(
                "SELECT salt FROM audit_salts WHERE log = ? AND seq = ? AND name = ?",
                (self._number, index, name),
            )
        return None if row is None else bytes(row["salt"])

    def redact(self, lease: str) -> int:
        """Drop the salts of all entries of one lease, for good; return how many.

        Their digests stay in the log and its proofs hold, but nobody can test a guess against them any more.
        """
        with self._db.transaction() as tx:
            dropped = tx.execute(
                "DELETE FROM audit_salts WHERE log = ? AND lease = ?", (self._number, lease)
            ).rowcount
        self._db.flush()
        return dropped

    def _state(self, view: Reader, known: Head | None) -> Head:
        row = view.one(f"{_LOGS} WHERE number = ?", (self._number,))
        if row is None or (row["closed"] is not None and not self._final):
            raise self._superseded()
        if not self._final:
            self._require(view, known)
        return _head(view, self._db.installation, row)

    def _require(self, view: Reader, known: Head | None) -> None:
        """Go on only if the database is still the one that the head is of."""
        if _judge(view, _current(view), known, self._db.installation, self._key) is not None:
            raise AuditError(
                "audit.log.replaced",
                f"The log {self.origin!r} is not the one known a moment ago: a backup was restored, or a file"
                " of the state directory was exchanged, while this command ran.",
                action="Run the command again: the log goes on under a new origin that says so.",
            )

    def _sign(self, state: Head) -> bytes:
        if not self._final:
            _remembered(self._head.sync, state)
        return self._key.sign(Checkpoint(state.origin, state.size, state.root))

    def _superseded(self) -> AuditError:
        return AuditError(
            "audit.log.superseded",
            f"The log {self.origin!r} was closed by another process, which went on under a new origin.",
            action="Run the command again.",
        )

    def _remember(self, tip: _Tip) -> None:
        # A head that stays behind does no harm; the commit that it follows must not seem to have failed.
        with suppress(OSError):
            state = Head(self._db.installation, self._number, self.origin, tip.tree.size, tip.tree.root())
            self._head.advance(state)


def _current(view: Reader) -> Any:
    return view.one(f"{_LOGS} ORDER BY number DESC LIMIT 1")


def _head(view: Reader, installation: str, row: Any) -> Head:
    tree = RowTree(view, row["number"])
    size = tree.size()
    return Head(installation, row["number"], row["origin"], size, root_at(tree, size))


def _judge(view: Reader, row: Any, head: Head | None, installation: str, key: LogKey) -> str | None:
    """Return why the newest log of the database cannot go on, or None when it can."""
    if row["public"] != key.public:
        return "key_changed"
    if head is None:  # one entry and no head: a crash in between, and no checkpoint left without a head
        return None if RowTree(view, row["number"]).size() == 1 else "head_missing"
    if head.installation != installation:
        return "database_replaced"
    if (head.number, head.size) > (row["number"], RowTree(view, row["number"]).size()):
        return "restored_backup"
    return None if _extends(view, row, head) else "log_rewritten"


def _extends(view: Reader, row: Any, head: Head) -> bool:
    known = view.one(f"{_LOGS} WHERE number = ?", (head.number,))
    if known is None or known["origin"] != head.origin:
        return False
    # Of a log that was closed the head may know more than the database: its successor says so.
    return known["number"] < row["number"] or root_at(RowTree(view, head.number), head.size) == head.root


def _start(tx: Transaction, public: bytes, origin: str, story: _Continued) -> Any:
    newest = tx.one("SELECT max(number) FROM audit_logs")[0] or 0
    number = 1 + max(newest, story.last.number if story.last else 0)
    tx.execute("UPDATE audit_logs SET closed = ? WHERE closed IS NULL", (story.reason,))
    tx.execute("INSERT INTO audit_logs (number, origin, public) VALUES (?, ?, ?)", (number, origin, public))
    _append(tx, number, _Tip(CompactRange(), None), (story.first_entry(),))
    return _current(tx)


def _remembered(write: Callable[[Head], None], state: Head) -> None:
    try:
        write(state)
    except OSError as error:
        raise AuditError(
            "audit.log.head",
            f"The log's state cannot be remembered outside of the database: {error.strerror}.",
            action="Free some space, or correct the rights of log.head, then run the command again.",
        ) from error


def _append(tx: Transaction, number: int, tip: _Tip, events: Iterable[Event]) -> _Tip:
    grown, rows, nodes = _grow(number, tip, events, tx.now())
    tx.executemany("INSERT INTO audit_entries VALUES (?, ?, ?)", rows)
    _insert_nodes(tx, nodes)
    return grown


def _grow(
    number: int, tip: _Tip, events: Iterable[Event], now: float
) -> tuple[_Tip, list[tuple[int, bytes, bytes]], list[tuple[int, int, int, bytes]]]:
    """Return the tip behind these events, and the rows of their entries and of the subtrees they end."""
    tree, last = tip.tree.copy(), tip.last
    rows: list[tuple[int, bytes, bytes]] = []
    nodes: list[tuple[int, int, int, bytes]] = []
    for event in events:
        data = entries.encode(
            seq=tree.size, prev=last, time=now, kind=event.kind, lease=event.lease, facts=event.facts
        )
        last = leaf_hash(data)
        rows.append((place(number, tree.size), last, data))
        nodes += [(number, *completed) for completed in tree.append_leaf(last)]
    return _Tip(tree, last), rows, nodes


def _insert_nodes(tx: Transaction, nodes: list[tuple[int, int, int, bytes]]) -> None:
    if nodes:
        tx.executemany("INSERT INTO audit_nodes VALUES (?, ?, ?, ?)", nodes)
