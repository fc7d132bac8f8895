"""Everything that a command about leases works with, opened once: database, log, keys, vault, providers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Final, Self

from assay import audit
from assay.errors import ProviderError
from assay.leases import schema
from assay.leases.book import Book, nothing_at
from assay.leases.keys import Keyring
from assay.leases.reconcile import Reconciler
from assay.leases.vault import Vault
from assay.store import Database, state_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from assay.providers.interface import Provider

PROVIDERS: Final = {"local": "assay.providers.local.provider:LocalProvider"}
"""Name of each provider that is built, to ``module:class``; imported when it is asked for."""


def utc_now() -> datetime:
    """Return the time of this computer's clock, aware."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Desk:
    """What a command works with. A context manager.

    Attributes:
        state_dir: The state directory.
        environ: The environment of the command.
        db: The state database.
        log: The audit log.
        book: The leases.
        keys: Their owner keys.
        vault: Evidence and receipts.
        now: This computer's clock; what verifies evidence is given its answer.
        sleep: Waits for so many seconds.
        monotonic: A clock that budgets are counted on, seconds.
        providers: Providers that were given instead of the built ones, by name.
    """

    state_dir: Path
    environ: Mapping[str, str]
    db: Database
    log: audit.Log
    book: Book
    keys: Keyring
    vault: Vault
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    providers: dict[str, Provider] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        environ: Mapping[str, str],
        *,
        now: Callable[[], datetime] = utc_now,
        at: Callable[[str], None] = nothing_at,
        providers: Mapping[str, Provider] | None = None,
    ) -> Desk:
        """Open the state directory that the environment names; made when there is none.

        Args:
            environ: The environment.
            now: The clock.
            at: Called at each fault point; see ``Book``.
            providers: Providers to use instead of the built ones.

        Raises:
            StoreError: ``store.directory.*``, ``store.schema.*``, ``store.database.*``, ``store.path.*``.
        """
        state_dir = state_directory(environ)
        db = Database.open(state_dir, migrations=(*audit.MIGRATIONS, *schema.MIGRATIONS))
        try:
            log = audit.Log.own(db)
        except BaseException:
            db.close()
            raise
        return cls(
            state_dir=state_dir,
            environ=environ,
            db=db,
            log=log,
            book=Book(db, log, at=at),
            keys=Keyring(state_dir),
            vault=Vault(state_dir),
            now=now,
            providers=dict(providers or {}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    def provider(self, name: str) -> Provider:
        """Return a provider by name.

        Raises:
            ProviderError: ``provider.unknown``.
        """
        found = self.providers.get(name)
        if found is None:
            target = PROVIDERS.get(name)
            if target is None:
                raise ProviderError(
                    "provider.unknown",
                    f"There is no provider {name[:40]!r}.",
                    action=f"Providers: {', '.join(PROVIDERS)}.",
                )
            module, _, attribute = target.partition(":")
            made: Provider = getattr(import_module(module), attribute)(self.state_dir, environ=self.environ)
            found = self.providers[name] = made
        return found

    def reconciler(self) -> Reconciler:
        """Return the loop that settles what earlier commands left."""
        return Reconciler(self.book, self.keys, self.provider)
