"""Rules about an enclave: debug mode, attributes, and what was measured into it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

from assay.appraisal.document import Attributes, Sgx
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules import hardware, tcb
from assay.appraisal.rules.registers import register_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.trust_vector import EXECUTABLES_BOOT_APPROVED, NO_CLAIM, TrustClaim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check

REGISTERS = ("mr_enclave", "mr_signer", "config_id")
"""Measured registers of an enclave, by the name of their claim."""


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the debug rule, always made, and those that the policy states."""
    yield _debug(shop, wanted=(shop.document.attributes or Attributes()).debug)
    sgx = shop.document.sgx or Sgx()
    for name in REGISTERS:
        allowed = getattr(sgx, name)
        if allowed is not None:
            yield register_rule(shop, f"sgx.{name}", attrgetter(name), allowed)
    if sgx.isv_prod_id is not None:
        yield _product(shop, frozenset(sgx.isv_prod_id))
    if sgx.min_isv_svn is not None:
        yield _least(shop, "min_isv_svn", "isv_svn", sgx.min_isv_svn)
    if sgx.min_config_svn is not None:
        yield _least(shop, "min_config_svn", "config_svn", sgx.min_config_svn)
    if sgx.attributes is not None:
        yield _attributes(shop, sgx.attributes, sgx.attributes_mask or b"")


def _debug(shop: Workshop, *, wanted: bool | None) -> Rule:
    path = "attributes.debug"
    admitted = wanted is not False and "debug" in shop.accepted
    spec = shop.spec(path, "the enclave is not in debug mode")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        if not subject.claims.debug:
            if wanted is True:
                return failed(
                    spec, path, "mismatch", "The enclave is not in debug mode, which the policy demands."
                )
            return passed
        if admitted:
            subject.admitted.append("debug")
            return passed
        return failed(spec, path, "enabled", "The enclave is in debug mode: its host can look into it.")

    return Rule(spec, judge)


def _product(shop: Workshop, values: frozenset[int]) -> Rule:
    path = "sgx.isv_prod_id"
    spec = shop.spec(path, "the enclave is a product that the policy names")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = subject.claims.isv_prod_id
        if found in values:
            return passed
        return failed(spec, path, "mismatch", f"isv_prod_id is {found}, which the policy does not name.")

    return Rule(spec, judge)


def _least(shop: Workshop, key: str, claim: str, least: int) -> Rule:
    path = f"sgx.{key}"
    spec = shop.spec(path, f"{claim} is at least {least}")
    passed = spec.passed
    read = attrgetter(claim)

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found >= least:
            return passed
        return failed(spec, path, "too_small", f"{claim} is {found}; {least} is required.")

    return Rule(spec, judge)


def _attributes(shop: Workshop, wanted: bytes, mask: bytes) -> Rule:
    path = "sgx.attributes"
    spec = shop.spec(path, "ATTRIBUTES are as the policy demands")
    passed = spec.passed
    bits = int.from_bytes(mask, "little")
    value = int.from_bytes(wanted, "little")

    def judge(subject: Subject) -> Check:
        found = subject.claims.attributes
        if int.from_bytes(found, "little") & bits == value:
            return passed
        return failed(
            spec,
            path,
            "mismatch",
            f"ATTRIBUTES are {found.hex()}; {wanted.hex()} is demanded under {mask.hex()}.",
        )

    return Rule(spec, judge)


def _every(shop: Workshop) -> Iterator[Rule]:
    yield from tcb.rules(shop, "sgx")
    yield from hardware.rules(shop)
    yield from rules(shop)


def _names_code(document: Document) -> bool:
    enclave = document.sgx or Sgx()
    return enclave.mr_enclave is not None or enclave.mr_signer is not None


def _executables(result: AttestationResult) -> TrustClaim:
    if result.passed("sgx.mr_enclave") or result.passed("sgx.mr_signer"):
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "The enclave is one that the Relying Party named.")
    return TrustClaim(NO_CLAIM, "The policy names no enclave.")


_PLATFORM: Final = PlatformAppraisal(
    name="sgx",
    title="Intel SGX",
    tables=("sgx",),
    rules=_every,
    names_code=_names_code,
    code_keys="sgx.mr_enclave or sgx.mr_signer",
    measured={"sgx.mr_enclave": "its code", "sgx.config_id": "its configuration"},
    reference_sizes={"mr_enclave": (32,), "mr_signer": (32,), "config_id": (64,)},
    executables=_executables,
    endorsed_since=attrgetter("tcb.collateral_valid_from"),
    tcb=attrgetter("tcb"),
)
PLATFORMS: Final = {"sgx": _PLATFORM}
