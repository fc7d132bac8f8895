"""Rules about a trust domain: how it was launched, and what was measured into it.

Bits of TDATTRIBUTES: Intel TDX module base architecture specification, "ATTRIBUTES"; the low eight (TUD) make
a TD untrusted whichever of them is set. XFAM: the same, "XFAM"; 0x6DBE7 holds every bit that a TD may set;
every TD sets those of 0x3.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Attributes, Tdx
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules import dstack, hardware, tcb
from assay.appraisal.rules.registers import register_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.trust_vector import (
    EXECUTABLES_BOOT_APPROVED,
    EXECUTABLES_RUNTIME_APPROVED,
    NO_CLAIM,
    TrustClaim,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check
    from assay.evidence.tdx.claims import TdxClaims

UNDER_DEBUG: Final = 0xFF
BITS: Final = {"sept_ve_disable": 28, "migratable": 29, "pks": 30, "kl": 31, "perfmon": 63}
KNOWN_ATTRIBUTES: Final = UNDER_DEBUG | sum(1 << bit for bit in (16, 27, 28, 29, 30, 31, 62, 63))
KNOWN_XFAM: Final = 0x6DBE7
FIXED_XFAM: Final = 0x3


def _rtmr(index: int) -> Callable[[TdxClaims], bytes]:
    def read(claims: TdxClaims) -> bytes:
        return claims.rtmrs[index]

    return read


REGISTERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "mr_td": attrgetter("mr_td"),
    **{f"rtmr{index}": _rtmr(index) for index in range(4)},
    "mr_config_id": attrgetter("mr_config_id"),
    "mr_owner": attrgetter("mr_owner"),
    "mr_owner_config": attrgetter("mr_owner_config"),
    "mr_seam": attrgetter("mr_seam"),
}
"""Name of each measured register to the function that reads it from TdxClaims."""


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rules about attributes, always made, and those about registers that the policy states."""
    attributes = shop.document.attributes or Attributes()
    yield _debug(shop, wanted=attributes.debug)
    for name, word, weak in (
        ("migratable", "migratable", True),
        ("sept_ve_disable", "sept-ve-enabled", False),
        ("perfmon", "perfmon", True),
    ):
        yield _weak_bit(shop, name, word, wanted=getattr(attributes, name), weak=weak)
    yield _service_td(shop, attributes.mr_service_td)
    yield _unknown_bits(shop)
    for name in ("pks", "kl"):
        wanted = getattr(attributes, name)
        if wanted is not None:
            yield _bit(shop, name, wanted=wanted)
    for name in ("td_attributes", "xfam"):
        values = getattr(attributes, name)
        if values is not None:
            yield _whole(shop, name, frozenset(values))
    tdx = shop.document.tdx or Tdx()
    for name, read in REGISTERS.items():
        allowed = getattr(tdx, name)
        if allowed is not None:
            yield register_rule(shop, f"tdx.{name}", read, allowed)


def _debug(shop: Workshop, *, wanted: bool | None) -> Rule:
    path = "attributes.debug"
    admitted = wanted is not False and "debug" in shop.accepted
    spec = shop.spec(path, "the TD is not under debug or profiling by its host")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        claims = subject.claims
        under_debug = claims.debug or claims.td_attributes[0]
        if not under_debug:
            if wanted is True:
                return failed(
                    spec, path, "mismatch", "The TD is not in debug mode, which the policy demands."
                )
            return passed
        if admitted:
            subject.admitted.append("debug")
            return passed
        what = "is in debug mode" if claims.debug else "can be profiled"
        return failed(
            spec,
            path,
            "enabled",
            f"The TD {what}: its host can look into it (TDATTRIBUTES bits 7:0 are not zero).",
        )

    return Rule(spec, judge)


def _weak_bit(shop: Workshop, name: str, word: str, *, wanted: bool | None, weak: bool) -> Rule:
    path = f"attributes.{name}"
    index, mask = divmod(BITS[name], 8)
    mask = 1 << mask
    admitted = wanted is not (not weak) and word in shop.accepted
    spec = shop.spec(path, f"{name} is {'not set' if weak else 'set'}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = subject.claims.td_attributes[index] & mask != 0
        if found is not weak:
            if wanted is weak:
                return failed(spec, path, "mismatch", f"{name} is {found}; the policy demands {wanted}.")
            return passed
        if admitted:
            subject.admitted.append(word)
            return passed
        return failed(
            spec, path, "weak", f'{name} is {str(found).lower()}. To admit it, name "{word}" in accept.'
        )

    return Rule(spec, judge)


def _bit(shop: Workshop, name: str, *, wanted: bool) -> Rule:
    path = f"attributes.{name}"
    index, mask = divmod(BITS[name], 8)
    mask = 1 << mask
    spec = shop.spec(path, f"{name} is {'set' if wanted else 'not set'}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        if (subject.claims.td_attributes[index] & mask != 0) is wanted:
            return passed
        return failed(spec, path, "mismatch", f"{name} is {not wanted}; the policy demands {wanted}.")

    return Rule(spec, judge)


def _service_td(shop: Workshop, values: tuple[bytes, ...] | None) -> Rule:
    path = "attributes.mr_service_td"
    word = "service-td"
    spec = shop.spec(path, "no service TD is bound but those that the policy names")
    passed = spec.passed
    none = bytes(48)
    allowed = frozenset(values or ())
    none_passes = values is None or none in allowed
    any_passes = values is None and word in shop.accepted

    def judge(subject: Subject) -> Check:
        found = subject.claims.mr_service_td or none
        if found == none:
            if none_passes:
                return passed
            return failed(spec, path, "mismatch", "No service TD is bound; the policy demands one.")
        if any_passes or found in allowed:
            subject.admitted.append(word)
            return passed
        if values is not None:
            return failed(
                spec, path, "mismatch", f"The service TD is {found.hex()}, which the policy does not name."
            )
        return failed(
            spec, path, "bound", f'The service TD is {found.hex()}. To admit it, name "{word}" in accept.'
        )

    return Rule(spec, judge)


def _unknown_bits(shop: Workshop) -> Rule:
    path = "attributes.unknown"
    word = "unknown-attributes"
    admitted = word in shop.accepted
    spec = shop.spec(path, "no attribute is set that this Assay does not know, or lacking that every TD has")
    passed = spec.passed
    unknown_attributes = ~KNOWN_ATTRIBUTES
    unknown_xfam = ~KNOWN_XFAM

    def judge(subject: Subject) -> Check:
        claims = subject.claims
        attributes = int.from_bytes(claims.td_attributes, "little") & unknown_attributes
        features = int.from_bytes(claims.xfam, "little")
        if features & FIXED_XFAM != FIXED_XFAM:
            return failed(
                spec,
                path,
                "cleared",
                f"XFAM is {features:#x}: bits are missing that every TD has ({FIXED_XFAM:#x}).",
            )
        xfam = features & unknown_xfam
        if not attributes and not xfam:
            return passed
        if admitted:
            subject.admitted.append(word)
            return passed
        return failed(
            spec,
            path,
            "set",
            f"Unknown bits are set: {attributes:#x} of TDATTRIBUTES, {xfam:#x} of XFAM."
            f' To admit them, name "{word}" in accept.',
        )

    return Rule(spec, judge)


def _whole(shop: Workshop, name: str, values: frozenset[bytes]) -> Rule:
    path = f"attributes.{name}"
    spec = shop.spec(path, f"{name} has a value that the policy names")
    passed = spec.passed
    read = attrgetter(name)

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found in values:
            return passed
        return failed(spec, path, "mismatch", f"{name} is {found.hex()}, which the policy does not name.")

    return Rule(spec, judge)


def every(shop: Workshop) -> Iterator[Rule]:
    """Return all rules about a trust domain: patches, machine, attributes, measurements, its event log."""
    yield from tcb.rules(shop, "tdx")
    yield from hardware.rules(shop)
    yield from rules(shop)
    yield from dstack.rules(shop)


def _executables(result: AttestationResult) -> TrustClaim:
    registers = result.evidence.claims.rtmrs
    booted = all(result.passed(f"tdx.rtmr{index}") or not any(registers[index]) for index in (1, 2))
    if not result.passed("tdx.mr_td") or not booted:
        return TrustClaim(NO_CLAIM, "The policy does not name everything that was booted.")
    if result.passed("tdx.rtmr3"):
        return TrustClaim(
            EXECUTABLES_RUNTIME_APPROVED, "What was booted and what was extended later are named."
        )
    return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What was booted is named.")


_PLATFORM: Final = PlatformAppraisal(
    name="tdx",
    title="Intel TDX",
    tables=("tdx", "dstack"),
    rules=every,
    names_code=lambda document: (document.tdx or Tdx()).mr_td is not None,
    code_keys="tdx.mr_td",
    measured={
        "tdx.mr_td": "the firmware it started from",
        "tdx.rtmr0": "its virtual machine's shape",
        "tdx.rtmr1": "its boot loader or kernel",
        "tdx.rtmr2": "its command line and initrd",
        "tdx.rtmr3": "what it extended at run time",
        "tdx.mr_config_id": "its configuration",
        "tdx.mr_owner": "its owner",
        "tdx.mr_owner_config": "its owner's configuration",
    },
    reference_sizes=dict.fromkeys(REGISTERS, (48,)),
    executables=_executables,
    endorsed_since=attrgetter("tcb.collateral_valid_from"),
    tcb=attrgetter("tcb"),
)
PLATFORMS: Final = {"tdx": _PLATFORM}
