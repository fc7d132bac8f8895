"""Rules about the files that the kernel measured: one for each key of ``[ima]``, over proven entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.rules.subject import Rule, Subject, Workshop, admit, failed
from assay.appraisal.tables.ima import LISTED, SIGNER
from assay.evidence.ima.files import (
    ALLOWED,
    READABLE,
    REQUIRED,
    UNKNOWN,
    VIOLATIONS,
    FilePolicy,
    appraise_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from assay.appraisal.tables.ima import Ima
    from assay.evidence.ima.verify import ImaClaims
    from assay.evidence.ledger import Check, CheckSpec

_NONE: Final[frozenset[str]] = frozenset()
_VIOLATED: Final = frozenset({"ima-violations"})
_COUNTS: Final[Mapping[str, frozenset[CheckSpec]]] = {
    "files": frozenset({READABLE, VIOLATIONS, ALLOWED}),
    "required": frozenset({READABLE, REQUIRED}),
    "known": frozenset({READABLE, VIOLATIONS, UNKNOWN}),
    "violations": frozenset({READABLE, VIOLATIONS}),
}
"""Key to those checks of a log's files that decide about it."""


def rules(shop: Workshop, table: Ima, log_of: Callable[[Any], ImaClaims | None]) -> Iterator[Rule]:
    """Return one rule for each key of the table.

    Args:
        shop: The policy.
        table: What it says.
        log_of: Takes the Claims, returns those of the kernel's log.
    """
    allowed = _allowed(table.files or ())

    def rule(key: str, what: str, title: str, policy: FilePolicy) -> Rule:
        return _rule(shop, key, what, title, policy, log_of)

    if table.files is not None:
        yield _unless_violated(
            shop,
            rule(
                "files",
                "mismatch",
                "every file of the list that was measured had one of the digests listed for it",
                FilePolicy(allowed, _NONE, refuse_unknown=False, admit_violations=True),
            ),
            log_of,
        )
    if table.required is not None:
        yield rule(
            "required",
            "missing",
            "every file that must be measured was",
            FilePolicy({}, frozenset(table.required), refuse_unknown=False, admit_violations=True),
        )
    if table.known is not None:
        yield rule(
            "known",
            "unknown",
            "no file was measured that the policy does not know",
            FilePolicy(
                allowed if LISTED in table.known else {},
                _NONE,
                refuse_unknown=True,
                ignored=tuple(source for source in table.known if source.startswith("/")),
                signers=tuple(signers(table.known)),
            ),
        )
    if table.violations is not None:
        yield rule(
            "violations",
            "found",
            "no file could change while it was measured",
            FilePolicy({}, _NONE, refuse_unknown=False),
        )


def _unless_violated(shop: Workshop, rule: Rule, log_of: Callable[[Any], ImaClaims | None]) -> Rule:
    """Return the rule about listed files, which a violation fails too unless the policy admits violations.

    Nothing covers the name that the log gives a violation: that of a listed file can be renamed.
    """
    spec = rule.spec

    def judge(subject: Subject) -> Check:
        found = rule.judge(subject)
        log = log_of(subject.claims)
        if found is not spec.passed or log is None or not log.violations:
            return found
        reason = (
            f"{log.violations} files could change while the kernel measured them, and nothing proves that no"
            " file of the list is among them."
        )
        return admit(subject, shop.accepted, _VIOLATED, spec, key="ima.files", found=reason)

    return Rule(spec, judge)


def signers(known: Iterable[str]) -> Iterator[bytes]:
    """Yield the public keys among what is known: SubjectPublicKeyInfo, DER."""
    for source in known:
        if source.startswith(SIGNER):
            yield bytes.fromhex(source.removeprefix(SIGNER))


def _allowed(files: Iterable[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in files:
        digest, _, path = line.partition(" ")
        found.setdefault(path, set()).add(digest.lower())
    return {path: frozenset(digests) for path, digests in found.items()}


def _rule(
    shop: Workshop,
    key: str,
    what: str,
    title: str,
    policy: FilePolicy,
    log_of: Callable[[Any], ImaClaims | None],
) -> Rule:
    path = f"ima.{key}"
    counts = _COUNTS[key]
    spec = shop.spec(path, title)
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        log = log_of(subject.claims)
        if log is None:
            return failed(spec, path, "no_log", "The evidence has no log of what the kernel measured.")
        for check in appraise_files(log, policy).failed():
            if check.spec not in counts:
                continue
            return failed(spec, path, "unreadable" if check.spec is READABLE else what, check.reason)
        return passed

    return Rule(spec, judge)
