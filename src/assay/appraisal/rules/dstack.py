"""Rules about a dstack guest, over the Claims of its event log.

The log was verified against the registers of the same quote. A policy with a ``[dstack]`` table requires one;
the rule about development images looks at every log that is given.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Dstack
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.evidence.ledger import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.evidence.dstack.claims import DstackClaims, ImageStatement
    from assay.evidence.ledger import CheckSpec

DEVELOPMENT: Final = "-dev-"
"""What the names of development images contain: ``dstack-dev-0.5.9``, ``dstack-nvidia-dev-0.5.4``."""


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rule about development images, always made, and those that the policy states."""
    yield _production_image(shop)
    dstack = shop.document.dstack or Dstack()
    if dstack.compose_hashes is not None:
        yield _listed(shop, "compose_hashes", "compose_hash", dstack.compose_hashes)
    if dstack.app_ids is not None:
        yield _listed(shop, "app_ids", "app_id", dstack.app_ids)
    if dstack.os_image_hashes is not None:
        yield _image(shop, frozenset(dstack.os_image_hashes))
    if dstack.key_providers is not None:
        yield _key_provider(shop, frozenset(dstack.key_providers))


def named_development(name: str | None) -> bool:
    """Return whether an image's stated name says that it is for development."""
    return name is not None and (DEVELOPMENT in name or name.endswith(DEVELOPMENT[:-1]))


def _claims(subject: Subject) -> DstackClaims | None:
    """Return the Claims of the dstack log; None when the log is of another format, or there is none."""
    log = subject.workload_log
    if log is None or not log.authentic:
        return None
    found: Any = log.claims
    return found if hasattr(found, "compose_hash") else None


def _requiring(
    spec: CheckSpec, key: str, judge: Callable[[DstackClaims], Check]
) -> Callable[[Subject], Check]:
    """Return a judge that refuses where there is no dstack log, and says whether one was given."""

    def judge_subject(subject: Subject) -> Check:
        claims = _claims(subject)
        if claims is not None:
            return judge(claims)
        log = subject.workload_log
        if log is None:
            return failed(
                spec, key, "no_event_log", "The policy needs dstack's event log, and none was given."
            )
        if not log.authentic:
            return Check(
                spec,
                Outcome.NOT_CHECKED,
                f"policy.{key}.log",
                "not reached: the event log is not authenticated",
            )
        return failed(spec, key, "no_event_log", "The event log that was given is not dstack's.")

    return judge_subject


def _listed(shop: Workshop, key: str, claim: str, values: tuple[bytes, ...]) -> Rule:
    path = f"dstack.{key}"
    spec = shop.spec(path, f"{claim} is one that the policy names")
    passed = spec.passed
    allowed = frozenset(values)
    read = attrgetter(claim)

    def judge(claims: DstackClaims) -> Check:
        found = read(claims)
        if found in allowed:
            return passed
        return failed(spec, path, "mismatch", f"{claim} is {found.hex()}, which the policy does not name.")

    return Rule(spec, _requiring(spec, path, judge))


def _image(shop: Workshop, allowed: frozenset[bytes]) -> Rule:
    path = "dstack.os_image_hashes"
    spec = shop.spec(path, "the OS image is one that the policy names")
    passed = spec.passed

    def judge(claims: DstackClaims) -> Check:
        found = claims.image.os_image_hash
        if found is None:
            return failed(
                spec,
                path,
                "unproven",
                "No measurement document proves which image makes these registers; pin tdx.mr_td and"
                " tdx.rtmr0 to tdx.rtmr2 instead.",
            )
        if found in allowed:
            return passed
        return failed(
            spec, path, "mismatch", f"The OS image is {found.hex()}, which the policy does not name."
        )

    return Rule(spec, _requiring(spec, path, judge))


def _key_provider(shop: Workshop, allowed: frozenset[tuple[str, bytes]]) -> Rule:
    path = "dstack.key_providers"
    spec = shop.spec(path, "the app's keys come from where the policy says")
    passed = spec.passed

    def judge(claims: DstackClaims) -> Check:
        found = claims.key_provider
        if (found.name, found.id) in allowed:
            return passed
        return failed(
            spec,
            path,
            "mismatch",
            f"The key provider is {ascii(found.name)[1:-1]}:{found.id.hex()}, which is not named.",
        )

    return Rule(spec, _requiring(spec, path, judge))


def _production_image(shop: Workshop) -> Rule:
    path = "dstack.development_image"
    word = "development-image"
    admitted = word in shop.accepted
    spec = shop.spec(path, "nothing says that the guest runs a development image")
    passed = spec.passed
    without_log = Check(spec, Outcome.NOT_APPLICABLE, "", "No event log of dstack was given.")

    def judge(subject: Subject) -> Check:
        claims = _claims(subject)
        if claims is None:
            return without_log
        why = _development(claims.image)
        if not why:
            return passed
        if admitted:
            subject.admitted.append(word)
            return passed
        return failed(spec, path, "found", f'{why} To admit it, name "{word}" in accept.')

    return Rule(spec, judge)


def _development(image: ImageStatement) -> str:
    """Return why the image is one for development, or nothing where it is not known to be one."""
    if image.is_dev:
        return "The guest runs a development image: its metadata says so."
    if image.is_dev is None and named_development(image.stated_name):
        return f"The host calls the image {ascii(image.stated_name)[1:-1][:80]}: a development image."
    return ""
