"""Rules about AWS Nitro: an enclave's image and place, or what an instance booted."""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Attributes
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules import dstack
from assay.appraisal.rules.lists import listed_rule
from assay.appraisal.rules.registers import register_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.rules.weaknesses import weakness_rule
from assay.appraisal.tables.nitro import PCR_BYTES, PCRS, default
from assay.appraisal.trust_vector import EXECUTABLES_BOOT_APPROVED, NO_CLAIM, TrustClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check
    from assay.evidence.nitro.claims import NitroClaims


_SKEW: Final = timedelta(seconds=60)
"""How far ahead of ours the clock of AWS may be, by which a document says when it was made."""


def _pcr(index: int) -> Callable[[NitroClaims], bytes]:
    def read(claims: NitroClaims) -> bytes:
        return claims.pcrs.get(index, b"")

    return read


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rules that every policy for an enclave has, and those that this one states."""
    yield weakness_rule(
        shop,
        "attributes.debug",
        "debug",
        "the enclave is not in debug mode",
        lambda claims: "The enclave is in debug mode: its console is open." if claims.debug else "",
        wanted=(shop.document.attributes or Attributes()).debug,
    )
    yield from _stated(shop)


def _instance(shop: Workshop) -> Iterator[Rule]:
    yield weakness_rule(
        shop,
        "nitro.host_tpm",
        "host-tpm",
        "the evidence is that of a TEE",
        lambda _: "The TPM is the host's: it shows what booted, not that nobody can look inside.",
    )
    yield from _stated(shop)


def _stated(shop: Workshop) -> Iterator[Rule]:
    table = shop.document.nitro or default()
    yield weakness_rule(
        shop,
        "nitro.validity",
        "archived-chain",
        "the chain was judged at the time of the appraisal",
        lambda claims: (
            "The chain was judged at the time that the document itself states."
            if claims.validity == "document"
            else ""
        ),
    )
    for index in range(PCRS):
        allowed = getattr(table, f"pcr{index}")
        if allowed is not None:
            yield register_rule(shop, f"nitro.pcr{index}", _pcr(index), allowed)
    if table.instance_ids is not None:
        yield listed_rule(shop, "nitro.instance_ids", attrgetter("instance_id"), table.instance_ids)
    if table.regions is not None:
        yield listed_rule(shop, "nitro.regions", attrgetter("region"), table.regions)
    if table.max_age_seconds is not None:
        yield _age(shop, table.max_age_seconds)
    yield from dstack.stated(shop)


def _age(shop: Workshop, seconds: int) -> Rule:
    path = "nitro.max_age_seconds"
    spec = shop.spec(path, f"the document says that it was made at most {seconds} seconds ago")
    passed = spec.passed
    limit = timedelta(seconds=seconds)

    def judge(subject: Subject) -> Check:
        age = subject.now - subject.claims.timestamp
        if -_SKEW <= age <= limit:
            return passed
        found = abs(age) // timedelta(seconds=1)
        side = "before" if age > limit else "after"
        return failed(
            spec, path, "too_old", f"It was made {found} seconds {side} now; {seconds} before now pass."
        )

    return Rule(spec, judge)


def _enclave(result: AttestationResult) -> TrustClaim:
    if result.passed("nitro.pcr0") or (result.passed("nitro.pcr1") and result.passed("nitro.pcr2")):
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "The enclave image is one that was named.")
    return TrustClaim(NO_CLAIM, "The policy does not name the enclave image.")


def _booted(result: AttestationResult) -> TrustClaim:
    if result.passed("nitro.pcr4") and result.passed("nitro.pcr7"):
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What the instance booted is named.")
    return TrustClaim(NO_CLAIM, "The policy does not name what the instance booted.")


def _names_enclave(document: Document) -> bool:
    table: Any = document.nitro or default()
    return table.pcr0 is not None or (table.pcr1 is not None and table.pcr2 is not None)


def _names_boot(document: Document) -> bool:
    table: Any = document.nitro or default()
    return table.pcr4 is not None and table.pcr7 is not None


_SIZES: Final = {f"pcr{index}": (PCR_BYTES,) for index in range(PCRS)}


def _own_chain(_claims: NitroClaims) -> None:
    return


def _old_key(claims: NitroClaims) -> Iterable[str]:
    if claims.carrier == "public_key":
        yield (
            "That the document is new: it binds a public key, and is as old as that key may be. Whoever talks"
            " to the enclave has to see that key used."
        )


PLATFORMS: Final = {
    "nitro": PlatformAppraisal(
        name="nitro",
        title="AWS Nitro Enclave",
        tables=("nitro", "dstack"),
        rules=rules,
        names_code=_names_enclave,
        code_keys="nitro.pcr0 (or nitro.pcr1 and nitro.pcr2)",
        measured={"nitro.pcr0": "its image", "nitro.pcr3": "its parent's role", "nitro.pcr4": "its parent"},
        reference_sizes=_SIZES,
        executables=_enclave,
        endorsed_since=_own_chain,
        unproven=_old_key,
    ),
    "nitro-tpm": PlatformAppraisal(
        name="nitro-tpm",
        title="AWS instance with NitroTPM",
        tables=("nitro", "dstack"),
        rules=_instance,
        names_code=_names_boot,
        code_keys="nitro.pcr4 and nitro.pcr7",
        measured={"nitro.pcr4": "its boot loader or kernel", "nitro.pcr7": "its secure-boot configuration"},
        reference_sizes=_SIZES,
        executables=_booted,
        endorsed_since=_own_chain,
        unproven=_old_key,
    ),
}
