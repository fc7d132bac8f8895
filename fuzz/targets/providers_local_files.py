"""Files in the directory of a local machine: somebody may have changed them."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.channel.launch import LaunchConfig
from assay.errors import AmbiguousError
from assay.providers.local.directory import Intent, Record
from assay.providers.local.isolation import Rung
from assay.providers.local.processes import ProcessIdentity


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return genuine files."""
    now = datetime(2026, 11, 21, tzinfo=UTC)
    config = LaunchConfig("lease-one", b"key", 600, 300)
    identity = ProcessIdentity("boot", 7, 9)
    intent = Intent("00000001", "lease-one", "small", "tdx", config, now, now, "debug", Rung("none"))
    return [intent.encode(), Record(identity, identity, None, "expired").encode()]


def target(data: bytes) -> None:
    """Read both kinds of files; what is read is what was written."""
    record = Record.decode(data)
    if record is not None and Record.decode(record.encode()) != record:
        raise AssertionError("a record that reads back as another one")
    try:
        intent = Intent.decode(data)
    except AmbiguousError:
        return
    if Intent.decode(intent.encode()) != intent:
        raise AssertionError("an intent that reads back as another one")
