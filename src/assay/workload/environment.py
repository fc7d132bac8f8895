"""Which environment variables a workload may be given, by exact name.

A name that tells a loader, an interpreter or a shell what code to run before the workload's own is refused:
the manifest names the program, and nothing beside it may choose another.
"""

from __future__ import annotations

import re

from assay.errors import WorkloadError

MAX_NAMES = 256
MAX_VALUE_BYTES = 128 * 1024
MAX_TOTAL_BYTES = 512 * 1024

REFUSED_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "MALLOC_", "GCONV_", "RUBY", "PERL5", "ASSAY_")
REFUSED_NAMES = frozenset(
    {
        # what is found and run
        "PATH",
        "CDPATH",
        "IFS",
        "ENV",
        "BASH_ENV",
        "BASHOPTS",
        "SHELLOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "ZDOTDIR",
        # what the C library loads
        "GLIBC_TUNABLES",
        "GETCONF_DIR",
        "HOSTALIASES",
        "LOCALDOMAIN",
        "LOCPATH",
        "NLSPATH",
        "NIS_PATH",
        "RESOLV_HOST_CONF",
        "RES_OPTIONS",
        "TZDIR",
        # what interpreters import before the first line
        "PYTHONBREAKPOINT",
        "PYTHONEXECUTABLE",
        "PYTHONHOME",
        "PYTHONINSPECT",
        "PYTHONPATH",
        "PYTHONPLATLIBDIR",
        "PYTHONPYCACHEPREFIX",
        "PYTHONSTARTUP",
        "PYTHONUSERBASE",
        "PYTHONWARNINGS",
        "NODE_OPTIONS",
        "NODE_PATH",
        "PERLLIB",
        "LUA_INIT",
        "LUA_PATH",
        "LUA_CPATH",
        "CLASSPATH",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "TCLLIBPATH",
        "R_PROFILE",
        "R_PROFILE_USER",
        "R_ENVIRON",
        "R_ENVIRON_USER",
        # programs that other programs start by name
        "BROWSER",
        "EDITOR",
        "PAGER",
        "SHELL",
        "VISUAL",
    }
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def check_name(name: str) -> None:
    """Refuse ``name`` unless it may stand in a manifest.

    Raises:
        WorkloadError: ``workload.environment.name`` for a malformed name, ``workload.environment.loader`` for
            one that would choose code.
    """
    if not _NAME.fullmatch(name):
        raise WorkloadError(
            "workload.environment.name",
            "An environment variable is named by letters, digits and underscores, at most 128 of them.",
        )
    if name in REFUSED_NAMES or name.startswith(REFUSED_PREFIXES):
        raise WorkloadError(
            "workload.environment.loader",
            f"The environment variable {name} would choose what code runs, so it is never passed on.",
            action="Give the workload what it needs in its bundle or on its command line.",
        )


def check_values(names: tuple[str, ...], values: dict[str, bytes]) -> None:
    """Refuse ``values`` unless they are for names that the manifest has, and within bounds.

    Raises:
        WorkloadError: ``workload.environment.unnamed``, ``workload.environment.value``.
    """
    total = 0
    for name, value in values.items():
        if name not in names:
            raise WorkloadError(
                "workload.environment.unnamed", "An environment variable was sent that the manifest lacks."
            )
        total += len(name) + len(value) + 2
        if b"\0" in value or len(value) > MAX_VALUE_BYTES or total > MAX_TOTAL_BYTES:
            raise WorkloadError(
                "workload.environment.value",
                f"The value of the environment variable {name} holds a NUL byte or is too large.",
            )
