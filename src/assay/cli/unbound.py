"""What ``assay verify`` says where nobody said what the evidence must carry: what it is, and what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.cli.output import escape
from assay.errors import UsageError
from assay.verification.formats import format_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assay.verification.opened import Bundle

_MOST_NAMED: Final = 4
_UNCHECKED: Final = "or, where nothing can be compared, --report-data unchecked."
_FIXED: Final = f"Type --report-data HEX (all {{size}} bytes), --nonce HEX, {_UNCHECKED}"
_VARIED: Final = f"Type --nonce HEX, --report-data HEX, {_UNCHECKED}"


def binding_required(found: Sequence[tuple[Path, Bundle]]) -> UsageError:
    """Return the error that names each file's evidence and asks what it must carry.

    Args:
        found: What was opened, at least one.
    """
    named = [f"{escape(str(path), limit=300)}: {_called(bundle)}." for path, bundle in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        named.append(f"And {len(found) - _MOST_NAMED} more.")
    sizes = {format_of(part.platform).binding_bytes for _, bundle in found for part in bundle.parts}
    size = sizes.pop() if len(sizes) == 1 else None
    return UsageError(
        "cli.verify.binding_required",
        f"{' '.join(named)} What must it carry? Until that is compared it may be old, or another's.",
        action=_VARIED if size is None else _FIXED.format(size=size),
    )


def _called(bundle: Bundle) -> str:
    if len(bundle.parts) > 1:
        return bundle.form
    return f"{format_of(bundle.parts[0].platform).title}, {bundle.form}"
