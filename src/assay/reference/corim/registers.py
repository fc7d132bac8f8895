"""From what a CoRIM says to Reference Values: each register named after a key."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from assay.reference.corim.model import check_window, refuse
from assay.reference.values import MAX_NOTES, VALID_UNTIL, Measured

if TYPE_CHECKING:
    from datetime import datetime

    from assay.reference.corim.model import Corim

_REGISTER = re.compile(r"[a-z][a-z0-9_]{0,63}")


def values(corim: Corim, *, platform: str, now: datetime | None, environment: str | None = None) -> Measured:
    """Return the digests of a CoRIM as Reference Values, each register named after its key.

    Args:
        corim: What was read.
        platform: Whose registers these are; a CoRIM does not say it in our words.
        now: The moment of use; None to look at values that nothing rests on.
        environment: Whose measurements, when it holds those of several environments, or of one instance or
            group: to name it is the caller's word that no evidence of another one is held against them.

    Raises:
        ReferenceValueError: ``reference.corim.expired``, ``reference.corim.not_yet``,
            ``reference.corim.environment``, ``reference.corim.bound`` for values of one instance or group
            that the caller did not name, ``reference.corim.empty``, ``reference.corim.key`` when two keys
            would be the same register; ``reference.values.*``.
    """
    if now is not None:
        check_window(corim.not_before, corim.not_after, now)
    chosen = [each for each in corim.references if environment in (None, each.environment)]
    names = {each.place: each.environment for each in chosen}
    if len(names) > 1:
        shown = "; ".join(list(names.values())[:8])
        refuse(
            "environment", f"The CoRIM has values of several environments, of which one is needed: {shown}."
        )
    bound = any(each.bound for each in chosen)
    if bound and environment is None and now is not None:
        refuse(
            "bound",
            f"The CoRIM's values are of one instance or group alone ({chosen[0].environment}); as Reference"
            " Values they would count for every one.",
        )
    registers: dict[str, frozenset[bytes]] = {}
    keys: dict[str, bytes] = {}
    notes = [f"The values are of {chosen[0].environment} alone; nothing here compares that."] if bound else []
    notes += [f"The CoRIM also holds {each}; that is not appraised." for each in dict.fromkeys(corim.ignored)]
    for each in chosen:
        notes += [f"Of {each.key or 'a measurement'}: its {name} is not appraised." for name in each.others]
        if not each.digests:
            continue
        register = _register(each.key)
        if keys.setdefault(register, each.name) != each.name:
            refuse("key", f"Two keys of the CoRIM would both be the register {register}.")
        found = frozenset(digest for _, digest in each.digests)
        registers[register] = registers.get(register, frozenset()) | found
    if not registers:
        refuse("empty", "The CoRIM holds no digest of this environment.")
    parameters = {"corim": corim.tag_id, "environment": chosen[0].environment}
    if corim.profile:
        parameters["profile"] = corim.profile
    if corim.not_after is not None:
        parameters[VALID_UNTIL] = corim.not_after.isoformat()
    measured = Measured(platform, registers, (), parameters, _bounded(list(dict.fromkeys(notes))))
    return Measured.from_json(measured.to_json())


def _bounded(notes: list[str]) -> tuple[str, ...]:
    """Return notes of which the last says how many there was no room for."""
    over = len(notes) - MAX_NOTES + 1
    if over <= 1:
        return tuple(notes)
    return (*notes[: MAX_NOTES - 1], f"The CoRIM holds {over} things more that are not appraised.")


def _register(key: str) -> str:
    """Return the name of a register for a key: itself, or what is left of it in our alphabet."""
    if _REGISTER.fullmatch(key):
        return key
    name = re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")
    if not name:
        return "digest"
    name = name if name[:1].isalpha() else f"m_{name}"
    return name if len(name) <= 64 else f"{name[:47]}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
