"""What appraisal knows of each platform: one entry here, one module of rules in ``rules/``.

To add a platform:

1. ``vocabulary.PLATFORMS`` gets its name, ``vocabulary._WEAKNESSES`` the weaknesses that a policy may admit.
2. ``tables/<platform>.py`` declares the policy tables that speak of it alone, ``document.Document`` and
   ``vocabulary.TABLES`` name them.
3. ``rules/<platform>.py`` makes the rules, and ends with ``PLATFORMS``: name -> ``PlatformAppraisal``.
4. ``_MODULES`` below gets the module.

A module is imported when a policy or a result first names its platform, so that nobody pays for the others.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.appraisal.rules.subject import Rule, Workshop
    from assay.appraisal.trust_vector import TrustClaim
    from assay.evidence.dcap.tcb import TcbClaims

_MODULES: Final = {
    "tdx": "tdx",
    "sgx": "sgx",
    "snp": "snp",
    "nitro": "nitro",
    "nitro-tpm": "nitro",
    "azure-snp": "vtpm",
    "azure-tdx": "vtpm",
    "gcp-tdx": "vtpm",
    "gcp-snp": "vtpm",
    "gcp-vtpm": "vtpm",
    "tpm": "vtpm",
    "confidential-space": "tokens",
    "maa": "tokens",
    "trust-authority": "tokens",
    "nvidia-gpu": "nvidia",
    "nras": "nvidia",
}


def _no_tcb(_claims: Any) -> TcbClaims | None:
    return None


def _nothing(_claims: Any) -> Iterable[str]:
    return ()


@record
class PlatformAppraisal:
    """One platform, as appraisal sees it.

    Attributes:
        name: Its name in policies and results: ``snp``.
        title: How a person calls it: ``AMD SEV-SNP``.
        tables: The policy tables that speak of it alone: ``("snp",)``.
        rules: Makes its rules, those that every policy has and those that this one states; the rules that
            hold on every platform stand before them.
        names_code: Whether a policy says what code may run there; only such a policy can open a gate.
        code_keys: The policy keys that would, as words for a person: ``snp.measurement``.
        measured: Policy key (``snp.measurement``) to what it measures, for what a result leaves open.
        reference_sizes: Register (the last part of its policy key) to the sizes in bytes that it may have,
            for those that Reference Values can be given for.
        executables: What the trust vector says of what runs, once nothing about it failed.
        endorsed_since: When the newest endorsement behind the Claims was issued; None where the platform's
            evidence carries all of them itself.
        tcb: The Claims of the DCAP part; None on platforms that have none.
        unproven: What authenticated Claims leave open that others of their kind may not, one sentence each.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    rules: Callable[[Workshop], Iterable[Rule]] = field(repr=False)
    names_code: Callable[[Document], bool] = field(repr=False)
    code_keys: str
    measured: Mapping[str, str] = field(repr=False)
    reference_sizes: Mapping[str, tuple[int, ...]] = field(repr=False)
    executables: Callable[[AttestationResult], TrustClaim] = field(repr=False)
    endorsed_since: Callable[[Any], datetime | None] = field(repr=False)
    tcb: Callable[[Any], TcbClaims | None] = field(default=_no_tcb, repr=False)
    unproven: Callable[[Any], Iterable[str]] = field(default=_nothing, repr=False)


@cache
def platform_of(name: str) -> PlatformAppraisal:
    """Return what appraisal knows of a platform.

    Raises:
        KeyError: The platform is not in ``vocabulary.PLATFORMS``.
    """
    found: Mapping[str, PlatformAppraisal] = import_module(
        f"assay.appraisal.rules.{_MODULES[name]}"
    ).PLATFORMS
    return found[name]


def reference_sizes() -> Mapping[str, frozenset[int]]:
    """Return every register that a Reference Value can be given for, with its sizes in bytes anywhere."""
    found: dict[str, frozenset[int]] = {}
    for known in _MODULES:
        for name, sizes in platform_of(known).reference_sizes.items():
            found[name] = found.get(name, frozenset()) | set(sizes)
    return MappingProxyType(found)
