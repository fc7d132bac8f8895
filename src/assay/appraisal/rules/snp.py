"""Rules about an AMD SEV-SNP guest: the chip that signed, its firmware, how the guest was launched.

AMD publishes no list of vulnerable firmware that could be checked like Intel's TCB info. So a policy states
the smallest security versions itself (``snp.min_tcb``), or says that it goes without (``unjudged-tcb``).
"""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Attributes
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules import dstack
from assay.appraisal.rules.lists import flag_rule, least_rule, listed_rule
from assay.appraisal.rules.registers import register_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.rules.weaknesses import weakness_rule
from assay.appraisal.tables.snp import LeastTcb, Snp
from assay.appraisal.trust_vector import EXECUTABLES_BOOT_APPROVED, NO_CLAIM, TrustClaim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check
    from assay.evidence.snp.claims import SnpClaims

REGISTERS: Final = {"measurement": 48, "host_data": 32, "id_key_digest": 48, "author_key_digest": 48}
"""Measured registers of a guest, by the name of their claim, with their size in bytes."""

_FIRMWARE_PARTS: Final = ("major", "minor", "build")


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rules that every policy for SNP has, and those that this one states."""
    snp = shop.document.snp or Snp()
    yield _forgeable(shop)
    yield _debug(shop)
    yield from _weaknesses(shop)
    yield _vmpl(shop, snp.vmpl)
    yield _tcb(shop, "min_tcb", "reported_tcb", snp.min_tcb)
    yield from _versions(shop, snp)
    for name in REGISTERS:
        allowed = getattr(snp, name)
        if allowed is not None:
            yield register_rule(shop, f"snp.{name}", attrgetter(name), allowed)
    yield from _lists(shop, snp)
    if snp.min_guest_svn is not None:
        yield least_rule(shop, "snp.min_guest_svn", attrgetter("guest_svn"), snp.min_guest_svn)
    if snp.min_report_version is not None:
        yield least_rule(shop, "snp.min_report_version", attrgetter("version"), snp.min_report_version)
    for table, part in (("guest_policy", "policy"), ("platform_info", "platform")):
        yield from _bits(shop, table, part, getattr(snp, table))
    for name in ("launch_mitigations", "current_mitigations"):
        wanted = getattr(snp, name)
        if wanted is not None:
            yield _mitigations(shop, name, wanted)
    yield from dstack.stated(shop)


def _versions(shop: Workshop, snp: Snp) -> Iterator[Rule]:
    if snp.min_launch_tcb is not None:
        yield _tcb(shop, "min_launch_tcb", "launch_tcb", snp.min_launch_tcb)
    if snp.min_firmware is not None:
        yield _firmware(shop, snp.min_firmware)
    if snp.min_abi is not None:
        yield _abi(shop, snp.min_abi)


def _forgeable(shop: Workshop) -> Rule:
    path = "accept_forgeable"
    spec = shop.spec(path, "nobody but the chip can make this evidence")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        claims: SnpClaims = subject.claims
        if not claims.forgeable:
            return passed
        word = claims.product.value.lower()
        if word in shop.accepted:
            subject.admitted.append(word)
            return passed
        return failed(
            spec,
            path,
            word,
            f"Any report of a {claims.product.value} chip can be forged: the root of its keys was extracted."
            f' To admit it all the same, say accept_forgeable = ["{word}"].',
        )

    return Rule(spec, judge)


def _debug(shop: Workshop) -> Rule:
    wanted = (shop.document.attributes or Attributes()).debug
    path = "attributes.debug"
    admitted = wanted is not False and "debug" in shop.accepted
    spec = shop.spec(path, "the guest cannot be debugged")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        if not subject.claims.debug:
            if wanted is True:
                return failed(
                    spec, path, "mismatch", "The guest cannot be debugged, which the policy demands."
                )
            return passed
        if admitted:
            subject.admitted.append("debug")
            return passed
        return failed(
            spec, path, "enabled", "The guest can be debugged: its host reads and writes its memory."
        )

    return Rule(spec, judge)


def _weaknesses(shop: Workshop) -> Iterator[Rule]:
    wanted = (shop.document.attributes or Attributes()).migratable
    yield weakness_rule(
        shop,
        "attributes.migratable",
        "migratable",
        "the guest cannot be moved to another machine",
        lambda claims: "A migration agent may move the guest." if claims.policy.migrate_ma else "",
        wanted=wanted,
    )
    yield weakness_rule(
        shop,
        "snp.alias_check",
        "aliasing-unchecked",
        "the firmware found no aliased memory",
        lambda claims: (
            "" if claims.alias_check_complete else "The firmware does not say that no memory is aliased."
        ),
    )
    yield weakness_rule(
        shop,
        "snp.provisional",
        "provisional-firmware",
        "the firmware that runs is committed",
        lambda claims: (
            "The firmware that runs is not committed and can be rolled back." if claims.provisional else ""
        ),
    )
    yield weakness_rule(
        shop,
        "attributes.unknown",
        "unknown-attributes",
        "no bit is set that this Assay does not know",
        _unknown_bits,
    )


def _unknown_bits(claims: SnpClaims) -> str:
    policy, platform = claims.policy.unknown, claims.platform.unknown
    if not policy and not platform:
        return ""
    return f"Unknown bits are set: {list(policy)} of the guest policy, {list(platform)} of the platform info."


def _vmpl(shop: Workshop, levels: tuple[int, ...] | None) -> Rule:
    path = "snp.vmpl"
    word = "vmpl"
    allowed = frozenset((0,) if levels is None else levels)
    any_level = levels is None and word in shop.accepted
    spec = shop.spec(path, f"the report was asked for at VMPL {' or '.join(map(str, sorted(allowed)))}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        level = subject.claims.vmpl
        if level not in allowed and not any_level:
            return failed(spec, path, "mismatch", f"The report was asked for at VMPL {level}.")
        if level:
            subject.admitted.append(word)
        return passed

    return Rule(spec, judge)


def _tcb(shop: Workshop, key: str, claim: str, tables: Any) -> Rule:
    path = f"snp.{key}"
    word = "unjudged-tcb"
    unjudged = tables is None and word in shop.accepted
    spec = shop.spec(path, f"every component of {claim} is at least what the policy states for the product")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        claims: SnpClaims = subject.claims
        product = claims.product.value.lower()
        least: LeastTcb | None = None if tables is None else getattr(tables, product, None)
        if least is None:
            if unjudged:
                subject.admitted.append(word)
                return passed
            return failed(
                spec,
                path,
                "not_stated",
                f"The policy states no smallest security versions for {product}, so old firmware would pass."
                f' Say them in [{path}.{product}], or name "{word}" in accept.',
            )
        components = getattr(claims, claim).components
        for name in ("fmc", "bl", "tee", "snp", "ucode"):
            wanted = getattr(least, name)
            if wanted is not None and components.get(name, -1) < wanted:
                found = components.get(name, "not there")
                return failed(spec, path, "too_small", f"{name} of {claim} is {found}; {wanted} is required.")
        return passed

    return Rule(spec, judge)


def _firmware(shop: Workshop, text: str) -> Rule:
    path = "snp.min_firmware"
    least = tuple(int(part) for part in text.split("."))
    spec = shop.spec(path, f"the SNP firmware that is committed is at least {text}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = subject.claims.committed_version
        if tuple(getattr(found, part) for part in _FIRMWARE_PARTS) >= least:
            return passed
        return failed(spec, path, "too_small", f"The SNP firmware is {found}; {text} is required.")

    return Rule(spec, judge)


def _abi(shop: Workshop, text: str) -> Rule:
    path = "snp.min_abi"
    major, minor = (int(part) for part in text.split("."))
    spec = shop.spec(path, f"no firmware with an ABI below {text} runs the guest, by its launch policy")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = subject.claims.policy
        if (found.abi_major, found.abi_minor) >= (major, minor):
            return passed
        stated = f"{found.abi_major}.{found.abi_minor}"
        return failed(
            spec, path, "too_small", f"The guest's launch policy demands ABI {stated}; {text} is required."
        )

    return Rule(spec, judge)


def _lists(shop: Workshop, snp: Snp) -> Iterator[Rule]:
    for name in ("family_id", "image_id"):
        values = getattr(snp, name)
        if values is not None:
            yield listed_rule(shop, f"snp.{name}", attrgetter(name), values)
    if snp.products is not None:
        yield listed_rule(shop, "snp.products", lambda claims: claims.product.value.lower(), snp.products)
    if snp.signing_keys is not None:
        yield listed_rule(shop, "snp.signing_keys", attrgetter("signing_key"), snp.signing_keys)
    if snp.csp_ids is not None:
        yield listed_rule(shop, "snp.csp_ids", attrgetter("csp_id"), snp.csp_ids)
    if snp.chip_ids is not None:
        yield listed_rule(shop, "snp.chip_ids", _chip_digest, snp.chip_ids)


def _chip_digest(claims: SnpClaims) -> bytes:
    # A masked id names no chip: its digest would stand for every machine that hides its own.
    return hashlib.sha256(claims.chip_id).digest() if any(claims.chip_id) else b""


def _bits(shop: Workshop, table: str, part: str, wanted: Any) -> Iterator[Rule]:
    if wanted is None:
        return
    for name in type(wanted).__dataclass_fields__:
        value = getattr(wanted, name)
        if value is not None:
            yield flag_rule(shop, f"snp.{table}.{name}", attrgetter(f"{part}.{name}"), wanted=value)


def _mitigations(shop: Workshop, name: str, wanted: bytes) -> Rule:
    path = f"snp.{name}"
    spec = shop.spec(path, "every mitigation that the policy names is on")
    passed = spec.passed
    bits = int.from_bytes(wanted, "little")

    def judge(subject: Subject) -> Check:
        found = getattr(subject.claims, name)
        if found is None:
            return failed(spec, path, "unknown", "The report is older than version 5 and does not say.")
        if found & bits == bits:
            return passed
        return failed(spec, path, "missing", f"The bits are {found:#x}; {bits:#x} are demanded.")

    return Rule(spec, judge)


def _executables(result: AttestationResult) -> TrustClaim:
    if result.passed("snp.measurement"):
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What was launched is named.")
    return TrustClaim(NO_CLAIM, "The policy does not name what was launched.")


def _names_code(document: Document) -> bool:
    return (document.snp or Snp()).measurement is not None


_PLATFORM: Final = PlatformAppraisal(
    name="snp",
    title="AMD SEV-SNP",
    tables=("snp", "dstack"),
    rules=rules,
    names_code=_names_code,
    code_keys="snp.measurement",
    measured={"snp.measurement": "what it was launched with", "snp.host_data": "its configuration"},
    reference_sizes={name: (size,) for name, size in REGISTERS.items()},
    executables=_executables,
    endorsed_since=attrgetter("endorsed_from"),
)
PLATFORMS: Final = {"snp": _PLATFORM}
