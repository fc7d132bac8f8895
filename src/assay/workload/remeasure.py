"""Reading a bundle again where it was stored, before what it is gets measured and run.

A bundle is hashed as it arrives. Storage can lie on a disk of the host's, which is not the guest's memory:
what is there when the workload starts is what has to be what arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Entry, Kind, Listing
from assay.workload.paths import MAX_DEPTH
from assay.workload.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path


def require_unaltered(root: Path, listing: Listing) -> None:
    """Refuse a stored bundle that is not, file by file and link by link, what its listing says.

    Directories are compared by what lies in them: parents that the listing implies exist without an entry.

    Args:
        root: Where it was stored.
        listing: What arrived.

    Raises:
        WorkloadError: ``workload.bundle.altered``.
    """
    # Every file may lie in a directory of its own that the listing does not name.
    limits = BundleLimits(entries=(len(listing.entries) + 1) * MAX_DEPTH, total_bytes=listing.total_bytes())
    try:
        with Snapshot.scan(root, [b""], limits, strict=True) as found:
            if _contents(found.listing) == _contents(listing):
                return
    except (WorkloadError, OSError) as error:
        raise _altered() from error
    raise _altered()


def _contents(listing: Listing) -> list[Entry]:
    return [entry for entry in listing.entries if entry.kind is not Kind.DIRECTORY]


def _altered() -> WorkloadError:
    return WorkloadError(
        "workload.bundle.altered",
        "What lies in the guest's storage is not the bundle that arrived: its host changed it.",
    )
