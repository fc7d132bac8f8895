"""Names of leases: an id that every provider's tags can hold, and a slug for people."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from assay.errors import LeaseError

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE_ID: Final = re.compile(r"asy-[a-f0-9]{12}\Z")
_TRIES = 20
_ADJECTIVES: Final = (
    "amber", "ample", "brisk", "calm", "candid", "clear", "crisp", "deft", "eager", "early", "even",
    "exact", "fair", "firm", "fleet", "fresh", "frank", "glad", "grand", "hale", "honest", "ideal",
    "just", "keen", "kind", "level", "light", "lively", "lucid", "mellow", "merry", "mild", "neat",
    "noble", "plain", "proud", "pure", "quick", "quiet", "rapid", "ready", "sharp", "sober", "solid",
    "sound", "stable", "steady", "sunny", "sure", "swift", "tidy", "true", "valid", "vivid", "warm",
    "whole", "wise", "witty",
)  # fmt: skip
_NOUNS: Final = (
    "alloy", "anvil", "argent", "assay", "auger", "balance", "basalt", "beaker", "bellows", "beryl",
    "bullion", "carat", "chisel", "cobalt", "copper", "crucible", "crystal", "cupel", "ember",
    "feldspar", "flask", "flint", "flux", "forge", "funnel", "furnace", "galena", "garnet", "gauge",
    "gold", "granite", "hammer", "indium", "ingot", "iridium", "jasper", "kiln", "ladle", "lodestone",
    "marble", "mica", "mint", "mortar", "nickel", "nugget", "onyx", "opal", "osmium", "pestle",
    "platinum", "pyrite", "quartz", "retort", "scale", "silver", "slate", "spinel", "tongs", "topaz",
    "touchstone", "zinc", "zircon",
)  # fmt: skip


def new_lease_id() -> str:
    """Return a fresh id: ``asy-`` and 12 hexadecimal digits. Ids are used once, released ones included."""
    return f"asy-{secrets.token_hex(6)}"


def new_slug(taken: Callable[[str], bool]) -> str:
    """Return an adjective and a noun that no live lease carries.

    Args:
        taken: Tells whether a live lease has that slug.

    Raises:
        LeaseError: ``lease.slug.exhausted`` when every try was taken.
    """
    for attempt in range(_TRIES):
        slug = f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}"
        if attempt >= _TRIES // 4:
            slug += f"-{secrets.token_hex(2)}"
        if not taken(slug):
            return slug
    raise LeaseError("lease.slug.exhausted", f"No free slug was found in {_TRIES} tries.")


def is_lease_id(text: str) -> bool:
    """Return whether ``text`` has the form of a lease id."""
    return LEASE_ID.match(text) is not None
