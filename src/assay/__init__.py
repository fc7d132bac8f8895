"""Assay: nothing goes in until the hardware proves it.

    from assay import Expected, Materials, Policy, Roots, verify

    result = verify(evidence, policy=Policy.shipped("genuine"), binding=Expected(value),
                    materials=Materials.of(files), roots=Roots.vendor(), now=now)
    claims = result.require().evidence.claims

``evidence`` is a quote, a report, a document, a token or a container, raw; ``value``, the bytes that it must
carry for you; ``files``, what vouches for the hardware, contents by file name: collateral, certificates,
CRLs, key sets, a bundle of ``assay endorsements``. The same three lines do for every platform.

Everything here is imported when it is first used; ``import assay`` itself imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost more than everything else here

if TYPE_CHECKING:
    from assay.appraisal import AttestationResult, Context, Policy, Verdict
    from assay.errors import AssayError
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.facts import FactCache
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Expected, Unchecked
    from assay.verification import verify
    from assay.verification.materials import Materials
    from assay.verification.terms import Terms

__all__ = [
    "AssayError",
    "AttestationResult",
    "Collateral",
    "Context",
    "Expected",
    "FactCache",
    "Materials",
    "Policy",
    "Roots",
    "Terms",
    "Unchecked",
    "Verdict",
    "verify",
]

_HOMES = {
    "AssayError": "assay.errors",
    "AttestationResult": "assay.appraisal",
    "Collateral": "assay.evidence.dcap.collateral",
    "Context": "assay.appraisal",
    "Expected": "assay.evidence.verification",
    "FactCache": "assay.evidence.facts",
    "Materials": "assay.verification.materials",
    "Policy": "assay.appraisal",
    "Roots": "assay.evidence.roots",
    "Terms": "assay.verification.terms",
    "Unchecked": "assay.evidence.verification",
    "Verdict": "assay.appraisal",
    "verify": "assay.verification",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the point is that `import assay` imports nothing

    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
