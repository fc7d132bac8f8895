"""What a person asked ``assay verify``: every piece of evidence judged by the same question."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from assay.cli.missing import (
    Missing,
    missing_collateral,
    missing_endorsement,
    missing_freshness,
    missing_image,
    missing_terms,
)
from assay.cli.output import escape
from assay.errors import UsageError
from assay.verification import routed, verify
from assay.verification.formats import format_of
from assay.verification.opening import open_event_log
from assay.verification.terms import Given, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from assay.appraisal.policy import Policy
    from assay.appraisal.result import AttestationResult
    from assay.appraisal.rules.subject import Context
    from assay.cli.at_hand import SignedValues
    from assay.cli.typed import Asked
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.dstack import Attestation, Presented
    from assay.evidence.facts import FactCache
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Need
    from assay.verification.firmware_log import CcelData
    from assay.verification.materials import Materials
    from assay.verification.opened import Opened

_DCAP: Final = ("tdx", "sgx")
_SAID_OTHERWISE: Final = frozenset({"collateral", "binding"})


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that one call of ``verify`` asks of each of its files.

    Attributes:
        policy: The policy, with those that are applied as well.
        asked: What the evidence must carry, as it was typed.
        now: The time to verify at.
        as_of: Whether that time was asked for.
        roots: The roots that a chain may end in.
        context: What this installation knows.
        references: Reference Values by register, as they were typed.
        manifest: Signed Reference Values; None for none.
        materials: What was given to vouch for the hardware.
        joined: Whether what came along with the evidence is among it: then a file that is none of use is
            passed over, where one that a person named would be an error.
        terms: What else the evidence is compared with.
        event_log: Contents of the event log's file.
        app_compose: Contents of the app-compose document.
        facts: Shared by all files.
        compared: Grows by the registers that were compared with Reference Values.
        signed: Grows by those of the platform that the manifest is for.
    """

    policy: Policy
    asked: Asked
    now: datetime
    as_of: bool
    roots: Roots
    context: Context
    references: Mapping[str, frozenset[bytes]]
    manifest: SignedValues | None
    materials: Materials
    terms: Terms
    event_log: bytes | None
    app_compose: bytes | None
    facts: FactCache
    joined: bool = False
    compared: set[str] = field(default_factory=set)
    signed: set[str] = field(default_factory=set)

    def judge(self, opened: Opened, file: Path) -> Answer:
        """Return what becomes of one piece of evidence, and what a stronger answer would need.

        Args:
            opened: The evidence.
            file: Where it is, for the commands that a person is told to type.
        """
        if opened.beside:
            materials = self.materials.with_evidence(opened.beside)
            return replace(self, materials=materials, joined=True).judge(replace(opened, beside={}), file)
        log = self.log_of(opened)
        first = self._verify(opened, None, log) if self.materials else None
        chosen, note = self._choose(first)
        result = self._verify(opened, chosen, log) if chosen is not None or first is None else first
        return Answer(result, tuple(self._missing(result, log, note, file)), self.as_of)

    def allowed(self, *platforms: str) -> Mapping[str, Mapping[str, frozenset[bytes]]]:
        """Return the Reference Values for evidence of each of some platforms.

        Those that were typed are for all evidence; the signed ones, for that of the manifest's platform:
        registers of two platforms may have one name, and nobody signed the values for the other.

        Raises:
            ReferenceValueError: ``reference.*`` for a manifest that must not be relied on, or is for none of
                these platforms.
        """
        found = {name: _Watched(self.references, self.compared) for name in platforms}
        if self.manifest is not None:
            platform, signed = self.manifest.of(platforms, self.now)
            both = dict(self.references)
            for name, values in signed.items():
                both[name] = both.get(name, frozenset()) | values
            found[platform] = _Watched(both, self.compared, self.signed)
        return found

    def answer(
        self, result: AttestationResult, log: Presented | CcelData | Attestation | None, file: Path
    ) -> Answer:
        """Return the answer for a result that was reached elsewhere, and the log that it was reached with."""
        return Answer(result, tuple(self._missing(result, log, "", file)), self.as_of)

    def _verify(
        self, opened: Opened, endorsements: Any, log: Presented | CcelData | Attestation | None
    ) -> AttestationResult:
        # The policy may demand more of the evidence than it looks like: values are of what is verified.
        platform = routed(opened.evidence, self.policy, opened.platform)
        return verify(
            opened.evidence,
            policy=self.policy,
            binding=self.asked.of(format_of(platform)),
            roots=self.roots,
            now=self.now,
            endorsements=endorsements,
            references=self.allowed(platform)[platform],
            context=self.context,
            event_log=log,
            facts=self.facts,
            platform=platform,
            terms=self.terms,
        )

    def log_of(self, opened: Opened) -> Presented | CcelData | Attestation | None:
        """Return what explains the registers of a piece of evidence.

        Raises:
            UsageError: ``cli.verify.compose_without_log``.
            EvidenceError: As ``open_event_log`` does.
        """
        log: Presented | CcelData | Attestation | None = (
            opened.presented or opened.attestation or opened.firmware_log
        )
        if self.event_log is not None:
            log = open_event_log(self.event_log, opened.evidence)
        if self.app_compose is None:
            return log
        from assay.evidence.dstack import Presented

        if not isinstance(log, Presented):
            raise UsageError(
                "cli.verify.compose_without_log",
                "--app-compose is compared with dstack's event log, and there is none.",
                action="Give the log with --event-log FILE.",
            )
        return replace(log, app_compose=self.app_compose)

    def _choose(self, first: AttestationResult | None) -> tuple[Any, str]:
        """Return the endorsements to use, and a clause about what was looked through in vain."""
        if first is None:
            return None, ""
        evidence = first.evidence
        if evidence.platform in _DCAP:
            return self._choose_collateral(evidence.needs)
        form = format_of(evidence.platform)
        given = Given(self.roots, self.now, self.asked.of(form), self.facts, self.terms)
        found = form.endorse(self.materials, evidence, given)
        wanted = any(need.kind != "binding" for need in evidence.needs)
        return found, self._in_vain() if wanted and found is None else ""

    def _choose_collateral(self, needs: Iterable[Need]) -> tuple[Collateral | None, str]:
        from assay.verification.collateral import choose, read_bundle

        files = self.materials.files
        if len(files) == 1 and not self.materials.bundles and not self.joined:
            name, data = next(iter(files.items()))
            return read_bundle(data, name), ""
        need = next((need for need in needs if need.kind == "collateral"), None)
        if need is None:
            return None, ""
        found = choose(files, need.key, self.now)
        if found is None:
            return None, self._in_vain()
        window = found.tcb_info.window
        return found.collateral, (
            f"{escape(found.name, limit=80)} fits; it holds from {window.start:%Y-%m-%d} to"
            f" {window.end:%Y-%m-%d}"
        )

    def _in_vain(self) -> str:
        files = len(self.materials.files)
        if self.joined:
            return "nothing that was given or came with the evidence fits"
        return (
            "the file that was given does not fit" if files == 1 else f"none of the {files} files given fits"
        )

    def _missing(
        self,
        result: AttestationResult,
        log: Presented | CcelData | Attestation | None,
        note: str,
        file: Path,
    ) -> Iterator[Missing]:
        for need in result.evidence.needs:
            if need.kind == "collateral":
                yield missing_collateral(need.key, self.now, note, file, as_of=self.as_of)
        others = [need for need in result.evidence.needs if need.kind not in _SAID_OTHERWISE]
        for kind, reason in dict.fromkeys((need.kind, need.reason) for need in others):
            alike = [need for need in others if (need.kind, need.reason) == (kind, reason)]
            yield missing_endorsement(alike, note, file, as_of=self.as_of)
        yield from missing_terms(result, file)
        if self.asked.value is None:
            yield missing_freshness(result.platform)
        if result.platform == "tdx" and not result.passed("tdx.rtmr1"):
            yield from missing_image(result, log)


class _Watched(dict[str, frozenset[bytes]]):
    """Reference Values that note which of them were looked up."""

    def __init__(self, values: Mapping[str, frozenset[bytes]], *looked_up: set[str]) -> None:
        super().__init__(values)
        self._looked_up = looked_up

    def get(self, name: str, default: Any = None, /) -> Any:
        for names in self._looked_up:
            names.add(name)
        return super().get(name, default)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one piece of evidence.

    Attributes:
        result: The result.
        missing: What a stronger answer would need.
        as_of: Whether the time was asked for.
    """

    result: AttestationResult
    missing: tuple[Missing, ...]
    as_of: bool
