"""Rules about a dstack guest, over the Claims of its event log or attestation.

It was verified against the evidence that it came with. A policy with a ``[dstack]`` table requires one; the
rule about development images looks at every log of a trust domain that is given.

What vouches for the guest differs by platform (``evidence.dstack.guest``). Where nothing vouches for what a
line of the policy is about, the line refuses and says so.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Dstack
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.evidence.ledger import Check, Outcome
from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.evidence.dstack.claims import DstackClaims, ImageStatement
    from assay.evidence.dstack.key_provider import KeyProvider
    from assay.evidence.ledger import CheckSpec

DEVELOPMENT: Final = "-dev-"
"""What the names of development images contain: ``dstack-dev-0.5.9``, ``dstack-nvidia-dev-0.5.4``."""


_OF_EVENTS: Final = ("app_id", "compose_hash", "key_provider")
_NO_EVENTS: Final = {
    "sev-snp": "no register holds the guest's events, and the configuration document that HOST_DATA commits"
    " to does not name it.",
    "nitro-enclave": "an enclave has no register that dstack measures its events into; pin nitro.pcr0 to"
    " nitro.pcr2 instead.",
}
"""Variant to why nothing vouches for what its guest's events say."""
_NO_IMAGE: Final = {
    "tdx": "No measurement document proves which image makes these registers; pin tdx.mr_td and tdx.rtmr0 to"
    " tdx.rtmr2 instead.",
    "sev-snp": "Nothing ties the launch measurement to a name of dstack's; pin snp.measurement instead.",
    "aws-nitro-tpm": "No measurement document proves which image makes PCR4, PCR7 and PCR12; pin nitro.pcr4,"
    " nitro.pcr7 and nitro.pcr12 instead.",
    "gcp-tdx": "Nothing names the image of a guest on Google's cloud; pin tdx.mr_td and tdx.rtmr0 to"
    " tdx.rtmr2, or vtpm.pcr2, instead.",
}
"""Variant to why nothing vouches for the name of its image."""


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rule about development images, always made, and those that the policy states."""
    yield _production_image(shop)
    yield from stated(shop)


def stated(shop: Workshop) -> Iterator[Rule]:
    """Return the rules that the policy states; none where it has no ``[dstack]`` table."""
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


@record
class Identity:
    """Who a guest is, whatever its platform; None stands for what nothing on it vouches for.

    Attributes:
        variant: dstack's word for the platform.
        app_id: 20 bytes.
        compose_hash: 32 bytes.
        key_provider: Who gave the guest its keys.
        os_image_hash: 32 bytes.
    """

    variant: str
    app_id: bytes | None
    compose_hash: bytes | None
    key_provider: KeyProvider | None
    os_image_hash: bytes | None


def identity_of(claims: Any) -> Identity | None:
    """Return who a guest is by the Claims of a log or an attestation; None when they are not dstack's."""
    if hasattr(claims, "compose_hash"):
        return Identity(
            "tdx", claims.app_id, claims.compose_hash, claims.key_provider, claims.image.os_image_hash
        )
    if not hasattr(claims, "proven"):
        return None
    said = {name: getattr(claims.system, name) if name in claims.proven else None for name in _OF_EVENTS}
    return Identity(claims.variant, os_image_hash=claims.os_image_hash, **said)


def _identity(subject: Subject) -> Identity | None:
    log = subject.workload_log
    return None if log is None or not log.authentic else identity_of(log.claims)


def _claims(subject: Subject) -> DstackClaims | None:
    """Return the Claims of a trust domain's dstack log; None for another log, or where there is none."""
    log = subject.workload_log
    if log is None or not log.authentic:
        return None
    found: Any = log.claims
    return found if hasattr(found, "compose_hash") else None


def _requiring(spec: CheckSpec, key: str, judge: Callable[[Identity], Check]) -> Callable[[Subject], Check]:
    """Return a judge that refuses where there is no dstack log, and says whether one was given."""

    def judge_subject(subject: Subject) -> Check:
        found = _identity(subject)
        if found is not None:
            return judge(found)
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


def _unproven(spec: CheckSpec, path: str, variant: str, what: str) -> Check:
    """Return the refusal of a line about what nothing on this platform vouches for."""
    by_image = what == "os_image_hash"
    reason = (_NO_IMAGE if by_image else _NO_EVENTS)[variant]
    return failed(spec, path, "unproven", reason if by_image else f"Nothing proves the {what}: {reason}")


def _listed(shop: Workshop, key: str, claim: str, values: tuple[bytes, ...]) -> Rule:
    path = f"dstack.{key}"
    spec = shop.spec(path, f"{claim} is one that the policy names")
    passed = spec.passed
    allowed = frozenset(values)
    read = attrgetter(claim)

    def judge(identity: Identity) -> Check:
        found = read(identity)
        if found is None:
            return _unproven(spec, path, identity.variant, claim)
        if found in allowed:
            return passed
        return failed(spec, path, "mismatch", f"{claim} is {found.hex()}, which the policy does not name.")

    return Rule(spec, _requiring(spec, path, judge))


def _image(shop: Workshop, allowed: frozenset[bytes]) -> Rule:
    path = "dstack.os_image_hashes"
    spec = shop.spec(path, "the OS image is one that the policy names")
    passed = spec.passed

    def judge(identity: Identity) -> Check:
        found = identity.os_image_hash
        if found is None:
            return _unproven(spec, path, identity.variant, "os_image_hash")
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

    def judge(identity: Identity) -> Check:
        found = identity.key_provider
        if found is None:
            return _unproven(spec, path, identity.variant, "key provider")
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
    without_log = Check(spec, Outcome.NOT_APPLICABLE, "", "No event log of a dstack guest was given.")
    elsewhere = Check(
        spec, Outcome.NOT_APPLICABLE, "", "Nothing on this platform says what its image is for."
    )

    def judge(subject: Subject) -> Check:
        claims = _claims(subject)
        if claims is None:
            return without_log if _identity(subject) is None else elsewhere
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
