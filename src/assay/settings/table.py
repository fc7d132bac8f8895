"""Every setting, in one table: the reference page is generated from it and the resolver reads nothing else.

What a repository's ``assay.toml`` may do with a setting is part of the table (law 13: it only tightens).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from assay.settings.values import Kind, Value

MAX_TTL_SECONDS: Final = 24 * 3600


class Repository(StrEnum):
    """What a repository's file may do with a setting."""

    NEVER = "never"
    LOWERS = "only lower it"
    ADDS = "only add to it"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        key: Dotted name in TOML: ``sync.max_files``.
        kind: What it holds.
        default: The built-in value; None when there is none.
        repository: What a repository may do with it.
        refusal: Last part of the code that refuses a repository's attempt: ``settings.repository.<refusal>``.
        what: What it does, as a sentence for the reference.
        ceiling: The largest value of a number; None when it has none.
        flag: The flag of ``assay run`` that sets it; empty when none does.
    """

    key: str
    kind: Kind
    default: Value
    repository: Repository
    refusal: str
    what: str
    ceiling: int | None = None
    flag: str = ""

    @property
    def variable(self) -> str:
        """The environment variable: ``ASSAY_SYNC_MAX_FILES``."""
        return "ASSAY_" + self.key.upper().replace(".", "_")


SETTINGS: Final = (
    Setting(
        "on",
        Kind.TEXT,
        None,
        Repository.NEVER,
        "provider",
        "Where machines come from: `PROVIDER[:MACHINE][/PLATFORM]`. There is no built-in value: without one,"
        " `run` stops before anything is created.",
        flag="--on",
    ),
    Setting(
        "policy",
        Kind.TEXT,
        None,
        Repository.NEVER,
        "policy",
        "The appraisal policy that admits machines: a shipped name or a path. Default: the provider's own.",
        flag="--policy",
    ),
    Setting(
        "ttl",
        Kind.DURATION,
        90 * 60,
        Repository.LOWERS,
        "ttl",
        "Longest life of a lease, enforced in the guest, at the provider and by the next command.",
        ceiling=MAX_TTL_SECONDS,
        flag="--ttl",
    ),
    Setting(
        "idle",
        Kind.DURATION,
        30 * 60,
        Repository.LOWERS,
        "idle",
        "A lease without a session or a running workload ends after this long.",
        ceiling=MAX_TTL_SECONDS,
        flag="--idle",
    ),
    Setting(
        "time_limit",
        Kind.DURATION,
        None,
        Repository.LOWERS,
        "time_limit",
        "Longest time that the workload may run; then it is ended and the exit code is 124. Default: the life"
        " of the lease.",
        ceiling=MAX_TTL_SECONDS,
        flag="--time-limit",
    ),
    Setting(
        "environment",
        Kind.NAMES,
        (),
        Repository.NEVER,
        "environment",
        "Names of environment variables that are sent to the workload, exactly these.",
        flag="--env",
    ),
    Setting(
        "limits.memory",
        Kind.SIZE,
        4 << 30,
        Repository.LOWERS,
        "limit",
        "Memory of the workload.",
        ceiling=1 << 42,
    ),
    Setting(
        "limits.output",
        Kind.SIZE,
        1 << 30,
        Repository.LOWERS,
        "limit",
        "Bytes of standard output and standard error together that the workload may write.",
        ceiling=1 << 40,
    ),
    Setting(
        "limits.disk",
        Kind.SIZE,
        8 << 30,
        Repository.LOWERS,
        "limit",
        "Bytes that the workload may write into its work directory.",
        ceiling=1 << 42,
    ),
    Setting(
        "limits.processes",
        Kind.COUNT,
        512,
        Repository.LOWERS,
        "limit",
        "Processes and threads of the workload at one time.",
        ceiling=1 << 16,
    ),
    Setting(
        "sync.include",
        Kind.NAMES,
        (),
        Repository.NEVER,
        "include",
        "Paths that are sent although they look like secrets.",
        flag="--include",
    ),
    Setting(
        "sync.exclude",
        Kind.NAMES,
        (),
        Repository.ADDS,
        "limit",
        "Patterns of paths that are not sent.",
        flag="--exclude",
    ),
    Setting(
        "sync.max_files",
        Kind.COUNT,
        50_000,
        Repository.LOWERS,
        "limit",
        "Most files that are sent.",
        ceiling=1_000_000,
    ),
    Setting(
        "sync.max_bytes",
        Kind.SIZE,
        5 << 30,
        Repository.LOWERS,
        "limit",
        "Most bytes that are sent.",
        ceiling=1 << 40,
    ),
    Setting(
        "download.max_files",
        Kind.COUNT,
        10_000,
        Repository.LOWERS,
        "limit",
        "Most files that are taken back with `--download`.",
        ceiling=1_000_000,
    ),
    Setting(
        "download.max_bytes",
        Kind.SIZE,
        5 << 30,
        Repository.LOWERS,
        "limit",
        "Most bytes that are taken back with `--download`.",
        ceiling=1 << 40,
    ),
    Setting(
        "gate.budget",
        Kind.DURATION,
        60,
        Repository.LOWERS,
        "limit",
        "How long a check that could not be made is tried again, with nothing sent, before the machine is"
        " destroyed and refused as `gate.unverifiable`.",
        ceiling=3600,
    ),
    Setting(
        "require.policies",
        Kind.NAMES,
        (),
        Repository.ADDS,
        "policy",
        "Paths of further policies: evidence must satisfy each of them as well. A repository's paths are"
        " relative to it and stay inside it.",
    ),
    Setting(
        "require.checks",
        Kind.NAMES,
        (),
        Repository.ADDS,
        "require",
        "Ids of further checks that must have passed, as `assay verify` names them.",
    ),
)

BY_KEY: Final = {setting.key: setting for setting in SETTINGS}

# What a stranger's repository might try and no file can set there. Each has a code of its own, so that the
# refusal says what was attempted; the same words in a user's file are simply unknown.
NEVER_IN_A_REPOSITORY: Final = {
    "provider": "provider",
    "providers": "provider",
    "machine": "provider",
    "platform": "provider",
    "binary": "binary",
    "cli": "binary",
    "command": "binary",
    "helper": "binary",
    "url": "url",
    "endpoint": "url",
    "server": "url",
    "broker": "url",
    "roots": "roots",
    "anchors": "roots",
    "trust": "roots",
    "env": "environment",
    "simulated": "simulated",
    "simulator": "simulated",
    "attack": "simulated",
    "attest": "gate",
    "attestation": "gate",
    "skip_attestation": "gate",
    "references": "references",
    "state_dir": "state",
    "keep": "keep",
    "keep_on_failure": "keep",
}

# Variables that begin with ASSAY_ and are not settings: read by other rooms.
OTHER_VARIABLES: Final = {
    "ASSAY_DEBUG": "With any value but 0, errors come with where they were raised.",
    "ASSAY_COMPLETE": "Set by the shell's completion of `assay`.",
    "ASSAY_CONFIG": "Path of the user's settings file, instead of the one under the XDG directory.",
    "ASSAY_STATE_DIR": "Directory of the state database, keys and evidence, instead of the XDG one.",
    "ASSAY_VECTORS": "Directory of recorded evidence that the test suite uses.",
}
