"""Paths below one root, as bytes, in their only accepted spelling."""

from __future__ import annotations

from assay.errors import WorkloadError

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
MAX_DEPTH = 64


def shown(path: bytes) -> str:
    """Return at most 200 bytes of a path for an error sentence, with nothing in it that a terminal obeys."""
    text = path[:200].decode("utf-8", "backslashreplace")
    return "".join([letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text])


def check_relative(path: bytes) -> None:
    """Refuse ``path`` unless it names something below a root, in its only spelling.

    Raises:
        WorkloadError: ``workload.path.unsafe`` for an absolute or empty path, ``.``, ``..``, an empty part, a
            NUL byte, or more than ``MAX_PATH_BYTES``, ``MAX_NAME_BYTES`` or ``MAX_DEPTH``.
    """
    parts = path.split(b"/", MAX_DEPTH)
    if (
        not path
        or len(path) > MAX_PATH_BYTES
        or len(parts) > MAX_DEPTH
        or b"\0" in path
        or any(part in (b"", b".", b"..") or len(part) > MAX_NAME_BYTES for part in parts)
    ):
        raise WorkloadError(
            "workload.path.unsafe",
            f"The path {shown(path)} is not a plain one below its root, or has over {MAX_DEPTH} parts.",
        )


def check_link(path: bytes, target: bytes) -> None:
    """Refuse the symbolic link ``path`` unless its ``target`` stays below the root, through whatever links.

    ``..`` is accepted only at the front of the target, where every directory above the link is a real one:
    behind another name it would step out of wherever that name, perhaps a link itself, leads.

    Raises:
        WorkloadError: ``workload.link.leaves_tree``.
    """
    parts = target.split(b"/")
    climbs = 0
    while climbs < len(parts) and parts[climbs] == b"..":
        climbs += 1
    if (
        not target
        or len(target) > MAX_PATH_BYTES
        or b"\0" in target
        or climbs > path.count(b"/")
        or b".." in parts[climbs:]
        or b"" in parts
    ):
        raise WorkloadError(
            "workload.link.leaves_tree",
            f"The link {shown(path)} leads out of its tree.",
            action="Leave it out (--exclude), or put in its place what it leads to.",
        )
