"""A policy written from evidence: what it takes to accept this very evidence again, each line explained.

The author reads it and strikes what is not meant: every line makes trusted what stood in that evidence.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.appraiser import appraise
from assay.appraisal.drafted import DRAFTS, quoted
from assay.appraisal.platforms import platform_of
from assay.appraisal.policy import Policy
from assay.appraisal.rules import tdx
from assay.appraisal.rules.dstack import Identity, identity_of
from assay.appraisal.vocabulary import GRACE_NEEDS, SGX_TYPES, WEAKNESSES, component_needs
from assay.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from assay.appraisal.result import AttestationResult
    from assay.appraisal.rules.subject import Context
    from assay.evidence.dcap.tcb import TcbClaims
    from assay.evidence.eventlog.result import LogResult
    from assay.evidence.sgx.claims import SgxClaims
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.verification import EvidenceResult

SPARE_GRACE_DAYS: Final = 30
"""Days of grace that a draft leaves an out-of-date component after the day it was written."""

_TRUSTING: Final[Mapping[str, str]] = {
    "mr_td": "you trust the firmware (or, with direct boot, the image) that the TD started from",
    "rtmr0": "you trust this shape of virtual machine: another size of memory or disks changes it",
    "rtmr1": "you trust this boot loader or kernel",
    "rtmr2": "you trust this kernel command line and initrd",
    "rtmr3": "you trust what the guest had extended by then; it grows while the guest runs",
    "mr_config_id": "you trust the configuration that the launcher chose",
    "mr_owner": "you trust the owner that the launcher named",
    "mr_owner_config": "you trust the owner's configuration that the launcher named",
}

_COMPOSED: Final = (
    "You trust the containers that this app-compose document names, down to the digests it pins."
)
_BY_TABLES: Final = frozenset({"ima-violations"})
_DOCUMENTED: Final = "its measurement document proves"


def draft(
    evidence: EvidenceResult[Any],
    *,
    name: str,
    source: str,
    now: datetime,
    context: Context,
    workload_log: LogResult[Any] | None,
) -> str:
    """Return a policy that accepts this evidence, as TOML with a comment at each value.

    Args:
        evidence: Authentic evidence.
        name: What the policy shall be called: printable ASCII, at most 64 characters.
        source: Where the evidence came from, printable; it stands in the first comment.
        now: The time at which it was verified.
        context: What is known besides; decides whether simulated evidence is this installation's own.
        workload_log: The verified event log, or None.

    Raises:
        EvidenceError: ``evidence.claims.unauthenticated`` when the evidence is not authentic.
        PolicyError: ``policy.draft.inadmissible`` when no policy could accept it, ``policy.draft.unwritable``
            when it says something that no policy can state; its path is the key that would have to.
    """
    tcb = platform_of(evidence.platform).tcb(evidence.claims)
    log = workload_log if workload_log is not None and workload_log.authentic else None
    words = _words(evidence, now, context, log)
    drafted = _Draft(evidence, name, source, now, words, log.claims if log else None)
    text, used = _written(drafted, tcb, context, log)
    if used != words:
        # A line of the draft states what the policy without it had to go without: smallest TCB versions.
        text, _ = _written(replace(drafted, words=used), tcb, context, log)
    return text


def _written(
    drafted: _Draft, tcb: TcbClaims | None, context: Context, log: LogResult[Any] | None
) -> tuple[str, tuple[str, ...]]:
    """Return the text of a draft that accepts its evidence, and those of its words that it takes for that."""
    intel = [] if tcb is None else [*drafted.tcb(tcb), *drafted.hardware(tcb)]
    text = "\n".join([*drafted.head(), *intel, *drafted.body()]) + "\n"
    try:
        policy = Policy.load(text.encode(), name=drafted.name)
    except PolicyError as error:
        raise PolicyError(
            "policy.draft.unwritable",
            f"No policy can state what this evidence says: {error.message}",
            action="Write a policy without that key, if you can do without it.",
            **error.detail,
        ) from None
    result = _demand_accepted(drafted.evidence, policy, drafted.now, context, log)
    return text, tuple(word for word in drafted.words if word in result.admitted)


def _words(
    evidence: EvidenceResult[Any], now: datetime, context: Context, log: LogResult[Any] | None
) -> tuple[str, ...]:
    """Return the words that ``accept`` needs for this evidence, in the vocabulary's order.

    Those that a table of the draft may ask for are among them: the policy here has no tables.
    """
    own = _own_hardware(evidence)
    every = [
        word
        for word, weakness in WEAKNESSES.items()
        if evidence.platform in weakness.platforms and (word != "simulated" or own)
    ]
    lines = [
        f"{key} = [{', '.join(quoted)}]"
        for key in dict.fromkeys(weakness.key for weakness in WEAKNESSES.values())
        if (quoted := [f'"{word}"' for word in every if WEAKNESSES[word].key == key])
    ]
    simulated = 'simulated = "only"' if own else ""
    lax = "\n".join(["version = 1", f'platforms = ["{evidence.platform}"]', *lines, simulated])
    result = _demand_accepted(evidence, Policy.load(lax.encode(), name="lax"), now, context, log)
    return tuple(word for word in every if word in result.admitted or word in _BY_TABLES)


def _demand_accepted(
    evidence: EvidenceResult[Any],
    policy: Policy,
    now: datetime,
    context: Context,
    log: LogResult[Any] | None,
) -> AttestationResult:
    """Return the result under a policy that refuses nothing of this evidence."""
    result = appraise(evidence, policy, now=now, references={}, context=context, workload_log=log)
    refused = result.ledger.failed()
    if refused:
        raise PolicyError(
            "policy.draft.inadmissible", f"No policy can accept this evidence: {refused[0].reason}"
        )
    return result


def _own_hardware(evidence: EvidenceResult[Any]) -> bool:
    """Return whether the hardware is simulated: no root is a vendor's, and no key is a published one."""
    return evidence.simulated and not (evidence.anchor is not None and evidence.anchor.published_keys)


@dataclass(frozen=True, slots=True)
class _Draft:
    """One policy in the making."""

    evidence: EvidenceResult[Any]
    name: str
    source: str
    now: datetime
    words: tuple[str, ...]
    log: Any

    def head(self) -> Iterator[str]:
        platform = self.evidence.platform
        yield f"# Written from {self.source}, verified at {self.now:%Y-%m-%d %H:%M} UTC."
        yield "#"
        yield "# Every line below makes trusted what stood in that one piece of evidence. Strike what you do"
        yield "# not mean; what you cannot judge, compare with values that you computed yourself."
        yield ""
        yield "version = 1"
        yield f"name = {quoted(self.name)}"
        yield ""
        yield "# Evidence of any other platform is refused."
        yield f'platforms = ["{platform}"]'
        yield ""
        if _own_hardware(self.evidence):
            yield "# Simulated hardware, under this installation's own root only. It protects nothing."
            yield 'simulated = "only"'
            yield ""
        yield from self._accept()

    def _accept(self) -> Iterator[str]:
        if not self.words:
            yield "# The evidence has no weakness that would have to be admitted."
            yield "accept = []"
            return
        yield "# Weaknesses that the evidence has. Each line admits one, from anybody, at any time."
        for key in ("accept", "accept_forgeable"):
            words = [word for word in self.words if WEAKNESSES[word].key == key]
            if words or key == "accept":
                yield f"{key} = ["
                for word in words:
                    yield f'  "{word}", # {WEAKNESSES[word].meaning}'
                yield "]"

    def tcb(self, tcb: TcbClaims) -> Iterator[str]:
        yield ""
        yield "[tcb]"
        yield "# You trust platforms in this state of patches."
        for component in GRACE_NEEDS:
            status = getattr(tcb, f"{component}_status")
            # Where a relaunch is advised another word admits the status, and a list would ask for its own.
            if status is not None and (component_needs(component, status) or frozenset()) <= set(self.words):
                yield f'{component} = ["{status}"]'
        number = min(tcb.tcb_evaluation_number, tcb.qe_evaluation_number)
        if number:
            yield "# Judging by older collateral than this would not know what was known then."
            yield f"min_evaluation_number = {number}"
        yield "# The only advisories that may apply: you have read them, and they do not concern you."
        listed = ", ".join(map(quoted, dict.fromkeys(tcb.advisories)))
        yield f"accepted_advisories = [{listed}]"
        yield from self._grace(tcb)

    def _grace(self, tcb: TcbClaims) -> Iterator[str]:
        late = [component for component, word in GRACE_NEEDS.items() if word in self.words]
        if not late:
            return
        yield ""
        yield "[tcb.grace]"
        yield f"# Days since the component's TCB date: {SPARE_GRACE_DAYS} days from now this ends."
        for component in late:
            date = getattr(tcb, f"{component}_date")
            yield f"{component} = {max(0, (self.now - date).days) + SPARE_GRACE_DAYS}"

    def hardware(self, tcb: TcbClaims) -> Iterator[str]:
        yield ""
        yield "[hardware]"
        yield "# How the platform protects its memory; scalable alone does not notice altered memory."
        yield f'sgx_types = ["{SGX_TYPES[tcb.sgx_type]}"]'
        yield "# Uncomment to accept this machine alone (SHA-256 of its PPID): a key taken from any other"
        yield "# machine is then of no use."
        digest = hashlib.sha256(tcb.ppid).hexdigest()
        yield f'# ppids = ["{digest}"]' if any(tcb.ppid) else "# (the certificate conceals the PPID)"
        if tcb.platform_instance_id is not None:
            digest = hashlib.sha256(tcb.platform_instance_id).hexdigest()
            yield f'# platform_instance_ids = ["{digest}"]'

    def body(self) -> Iterator[str]:
        if self.evidence.platform == "tdx":
            yield from self._tdx(self.evidence.claims)
        elif self.evidence.platform == "sgx":
            yield from self._sgx(self.evidence.claims)
        else:
            domain = _DOMAINS.get(self.evidence.platform)
            if domain is not None:
                yield from self._tdx(domain(self.evidence.claims))
            yield from DRAFTS[self.evidence.platform](self.evidence.claims)
        found = identity_of(self.log)
        if found is not None:
            yield from self._dstack(found)

    def _tdx(self, claims: TdxClaims) -> Iterator[str]:
        yield ""
        yield "[attributes]"
        yield "# How the TD was launched. These are properties of the launch, not of the code."
        bits = int.from_bytes(claims.td_attributes, "little")
        yield f"debug = {_WORDS[bool(claims.debug or claims.td_attributes[0])]}"
        for bit in ("sept_ve_disable", "migratable", "perfmon", "pks", "kl"):
            yield f"{bit} = {_WORDS[bool(bits >> tdx.BITS[bit] & 1)]}"
        if claims.mr_service_td is not None:
            if any(claims.mr_service_td):
                yield "# You trust this service TD, which can for example migrate the TD."
            yield f'mr_service_td = ["{claims.mr_service_td.hex()}"]'
        yield ""
        yield "[tdx]"
        for name, trusting in _TRUSTING.items():
            value = tdx.REGISTERS[name](claims)
            yield f"# {name}: {trusting}."
            commented = "# " if name == "rtmr3" and self.log is not None else ""
            if commented:
                yield "# Left out: it names one instance of the app. The event log explains it, see [dstack]."
            yield f'{commented}{name} = ["{value.hex()}"]'
        yield "# Uncomment to accept this very build of the TDX module; [tcb] already demands a known one."
        yield f'# mr_seam = ["{claims.mr_seam.hex()}"]'

    def _dstack(self, found: Identity) -> Iterator[str]:
        yield ""
        yield "[dstack]"
        if found.compose_hash is not None:
            yield f"# {_COMPOSED}"
            yield f'compose_hashes = ["{found.compose_hash.hex()}"]'
        if found.app_id is not None:
            yield "# Which app; it says nothing about code, and decides which keys it gets."
            yield f'app_ids = ["{found.app_id.hex()}"]'
        if found.key_provider is not None:
            provider = found.key_provider
            yield "# You trust whoever runs this key provider: it knows the app's keys."
            yield f"key_providers = [{quoted(f'{provider.name}:{provider.id.hex()}')}]"
        if found.os_image_hash is not None:
            by = "the enclave's registers show" if found.variant == "nitro-enclave" else _DOCUMENTED
            yield f"# You trust this OS image, as {by} it."
            yield f'os_image_hashes = ["{found.os_image_hash.hex()}"]'

    def _sgx(self, claims: SgxClaims) -> Iterator[str]:
        yield ""
        yield "[attributes]"
        yield "# In debug mode the host reads and writes the enclave."
        yield f"debug = {_WORDS[claims.debug]}"
        yield ""
        yield "[sgx]"
        yield "# mr_enclave: you trust this very enclave, its code and initial data."
        yield f'mr_enclave = ["{claims.mr_enclave.hex()}"]'
        yield "# Or replace it by the next three: you trust whoever holds the signer's key with every enclave"
        yield "# of this product that they will ever sign, from this security version on."
        yield f'# mr_signer = ["{claims.mr_signer.hex()}"]'
        yield f"# isv_prod_id = [{claims.isv_prod_id}]"
        yield f"# min_isv_svn = {claims.isv_svn}"
        yield "# config_id: you trust the configuration that the launcher named; zero where there is none."
        yield f'config_id = ["{claims.config_id.hex()}"]'


_DOMAINS: Final[Mapping[str, Callable[[Any], TdxClaims]]] = {
    "azure-tdx": attrgetter("hardware"),
    "gcp-tdx": attrgetter("td"),
}
"""Composite platform to what takes the trust domain's Claims out of its own."""
_WORDS: Final = {True: "true", False: "false"}
