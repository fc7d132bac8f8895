"""What a person asked ``assay verify``: their words, turned into the arguments of a verification."""

from __future__ import annotations

import binascii
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from assay.appraisal.platforms import reference_sizes
from assay.appraisal.policy import SHIPPED, Policy, shipped_text
from assay.cli.output import escape
from assay.cli.reading import read_directory, read_file
from assay.cli.showing import Missing
from assay.errors import EvidenceError, UsageError
from assay.evidence.ledger import Outcome
from assay.evidence.roots import TPM, VENDORS, Roots
from assay.evidence.verification import Expected, Unchecked
from assay.verification import verify
from assay.verification.formats import format_of
from assay.verification.opening import MAX_EVIDENCE_BYTES, MAX_LOG_BYTES, open_event_log
from assay.verification.terms import Given, Terms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from assay.appraisal.result import AttestationResult
    from assay.appraisal.rules.subject import Context
    from assay.cli.at_hand import SignedValues
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.dstack import Attestation, Presented
    from assay.evidence.facts import FactCache
    from assay.evidence.verification import Binding, Need
    from assay.simulator.anchors import SimulatedAnchor
    from assay.verification.firmware_log import CcelData
    from assay.verification.formats import Format
    from assay.verification.materials import Materials
    from assay.verification.opened import Opened

UNCHECKED: Final = "unchecked"
REPORT_DATA_BYTES: Final = 64
SHORTEST_NONCE_BYTES: Final = 16
LONGEST_NONCE_BYTES: Final = 1024
LONGEST_CARRIED_BYTES: Final = 1024
_TEXT: Final = "text:"
_DCAP: Final = ("tdx", "sgx")
MAX_POLICY_BYTES: Final = 1 << 20
MAX_ROOTS_BYTES: Final = 1 << 16
MAX_BUNDLE_BYTES: Final = 64 << 20
MAX_COMPOSE_BYTES: Final = 1 << 20
_SAID_OTHERWISE: Final = frozenset({"collateral", "binding"})
_SHOWN_ALIKE: Final = 3
_LONGEST_SHOWN_KEY: Final = 256
_NAMES: Final = {
    "jwks": "key set of the issuer",
    "ocsp": "answer about a certificate's status",
    "rim": "manifest of golden measurements",
    "snp-vek": "certificate of the chip's key",
    "snp-chain": "certificates above it",
    "snp-crl": "revocation list",
    "chain": "certificates of the device",
    "ak": "certificates above the attestation key's",
}
_PUBLISHED: Final = frozenset({"collateral", "jwks", "ocsp", "rim", "snp-vek", "snp-chain", "snp-crl"})
_HOW_TO_GET: Final = (
    "Type assay endorsements fetch EVIDENCE and verify with --cached, or --endorsements FILE or DIR."
)
_HOW_TO_GIVE: Final = {
    "ak": "Type --endorsements FILE or DIR.",
    "chain": "Type --endorsements FILE or DIR.",
}
_WHAT_TO_TYPE: Final = (
    "Type --report-data HEX (all 64 bytes), --nonce HEX, or, where nothing can be compared,"
    " --report-data unchecked."
)


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

    def judge(self, opened: Opened) -> Answer:
        """Return what becomes of one piece of evidence, and what a stronger answer would need."""
        if opened.beside:
            materials = self.materials.with_evidence(opened.beside)
            return replace(self, materials=materials, joined=True).judge(replace(opened, beside={}))
        log = self.log_of(opened)
        first = self._verify(opened, None, log) if self.materials else None
        chosen, note = self._choose(first)
        result = self._verify(opened, chosen, log) if chosen is not None or first is None else first
        return Answer(result, tuple(self._missing(result, log, note)), self.as_of)

    def allowed(self, *platforms: str) -> Mapping[str, frozenset[bytes]]:
        """Return the Reference Values for evidence of platforms: typed ones, and signed ones.

        Raises:
            ReferenceValueError: ``reference.*`` for a manifest that must not be relied on, or is for none of
                these platforms.
        """
        found = dict(self.references)
        if self.manifest is not None:
            for name, values in self.manifest.of(platforms, self.now).items():
                found[name] = found.get(name, frozenset()) | values
        return found

    def answer(self, result: AttestationResult, log: Presented | CcelData | Attestation | None) -> Answer:
        """Return the answer for a result that was reached elsewhere, and the log that it was reached with."""
        return Answer(result, tuple(self._missing(result, log, "")), self.as_of)

    def _verify(
        self, opened: Opened, endorsements: Any, log: Presented | CcelData | Attestation | None
    ) -> AttestationResult:
        return verify(
            opened.evidence,
            policy=self.policy,
            binding=self.asked.of(format_of(opened.platform)),
            roots=self.roots,
            now=self.now,
            endorsements=endorsements,
            references=self.allowed(opened.platform),
            context=self.context,
            event_log=log,
            facts=self.facts,
            platform=opened.platform,
            terms=self.terms,
        )

    def log_of(self, opened: Opened) -> Presented | CcelData | Attestation | None:
        """Return what explains the registers of a piece of evidence.

        Raises:
            UsageError: ``cli.verify.compose_without_log``.
            EvidenceError: As ``open_event_log`` does.
        """
        log: Presented | CcelData | Attestation | None = opened.presented or opened.attestation
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
        note = f"none of the {len(self.materials.files)} files fits" if wanted and found is None else ""
        return found, note

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
            return None, f"none of the {len(files)} files of the directory fits"
        window = found.tcb_info.window
        return found.collateral, (
            f"{escape(found.name, limit=80)} fits; it holds from {window.start:%Y-%m-%d} to"
            f" {window.end:%Y-%m-%d}"
        )

    def _missing(
        self, result: AttestationResult, log: Presented | CcelData | Attestation | None, note: str
    ) -> Iterator[Missing]:
        for need in result.evidence.needs:
            if need.kind == "collateral":
                yield _missing_collateral(need.key, self.now, note)
        others = [need for need in result.evidence.needs if need.kind not in _SAID_OTHERWISE]
        for kind, reason in dict.fromkeys((need.kind, need.reason) for need in others):
            alike = [need for need in others if (need.kind, need.reason) == (kind, reason)]
            yield _missing_endorsement(alike, note)
        if result.evidence.ledger[result.evidence.binding_check].outcome is Outcome.NOT_CHECKED:
            yield Missing(
                "freshness",
                "no nonce was compared, so the evidence may be old, or made for somebody else.",
                "Type --nonce HEX or --report-data HEX.",
            )
        if result.platform == "tdx" and not result.passed("tdx.rtmr1"):
            yield from _missing_image(result, log)


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


def _missing_collateral(key: Mapping[str, str], now: datetime, note: str) -> Missing:
    named = [
        f"FMSPC {key['fmspc']}" if "fmspc" in key else "",
        f"the {key['ca']} CA" if "ca" in key else "",
        key.get("tee", ""),
    ]
    what = ", ".join(escape(part) for part in named if part)
    why = f"it has to be valid at {now:%Y-%m-%d %H:%M} UTC"
    return Missing(
        f"collateral for {what}",
        f"{why}; {note}." if note else f"{why}.",
        _HOW_TO_GET,
    )


def _missing_endorsement(alike: Sequence[Need], note: str) -> Missing:
    """Return what needs of one kind and reason ask for, of which a rack of GPUs has dozens."""
    kind = alike[0].kind
    each = [text for need in alike if (text := _selected(need))]
    shown = "; ".join(each[:_SHOWN_ALIKE]) + (
        f"; {len(each) - _SHOWN_ALIKE} more" if each[_SHOWN_ALIKE:] else ""
    )
    what = f"{_NAMES.get(kind, kind)} ({shown})" if shown else _NAMES.get(kind, kind)
    why = escape(alike[0].reason, limit=300)
    action = _HOW_TO_GET if kind in _PUBLISHED else _HOW_TO_GIVE.get(kind, "")
    return Missing(what, f"{why} ({note})." if note else why, action)


def _selected(need: Need) -> str:
    """Return what selects one of a kind; whole chains, which no person compares, are left out."""
    return ", ".join(
        f"{name} {escape(value, limit=80)}"
        for name, value in need.key.items()
        if value and len(value) <= _LONGEST_SHOWN_KEY
    )


def _missing_image(
    result: AttestationResult, log: Presented | CcelData | Attestation | None
) -> Iterator[Missing]:
    from assay.evidence.dstack import Presented

    what = "a production image"
    if log is None:
        yield Missing(what, "no event log says which image booted.", "Type --event-log FILE.")
        return
    if not isinstance(log, Presented):
        yield Missing(what, "a firmware log does not name an image of dstack.", "")
        return
    name = _stated_image(log)
    if name is not None and "-dev" in name:
        yield Missing(what, f"the event log came with the image {name}, a development image.", "")
    elif result.workload_log is None:
        yield Missing(what, "the event log cannot be checked before the quote is authentic.", "")


def _stated_image(log: Presented) -> str | None:
    """Return the image's name as the host states it, escaped."""
    from assay.evidence.dstack.vm_config import parse_vm_config

    if log.vm_config is None:
        return None
    try:
        name = parse_vm_config(log.vm_config).image
    except EvidenceError:
        return None
    return None if name is None else escape(name, limit=80)


# --- reading what was typed


@dataclass(frozen=True, slots=True)
class Asked:
    """What the evidence must carry, as it was typed; what that means depends on the format.

    Attributes:
        value: The bytes; None when nothing is compared.
        nonce: Whether they are a nonce, which formats of a fixed size fill up with zeros.
    """

    value: bytes | None
    nonce: bool

    def of(self, form: Format) -> Binding:
        """Return the binding for evidence of a format.

        Raises:
            UsageError: ``cli.verify.report_data``, ``cli.verify.nonce`` for a size that the format cannot
                carry.
        """
        if self.value is None:
            return Unchecked("--report-data unchecked")
        if self.nonce:
            if form.binding_bytes is not None and len(self.value) > form.binding_bytes:
                raise UsageError(
                    "cli.verify.nonce", f"A {form.title} carries {form.binding_bytes} bytes at most."
                )
            return Expected(form.nonce(self.value))
        if form.binding_bytes is not None and len(self.value) != form.binding_bytes:
            raise UsageError(
                "cli.verify.report_data",
                f"For a {form.title} --report-data takes exactly {form.binding_bytes} bytes in"
                f' {2 * form.binding_bytes} hexadecimal digits, or the word "{UNCHECKED}".',
                action="For a shorter value at its beginning, use --nonce.",
            )
        return Expected(self.value)


def binding_of(report_data: str | None, nonce: str | None) -> Asked:
    """Return what was asked for.

    Raises:
        UsageError: ``cli.verify.binding_required``, ``cli.verify.binding_twice``, ``cli.verify.report_data``,
            ``cli.verify.nonce``.
    """
    if report_data is not None and nonce is not None:
        raise UsageError("cli.verify.binding_twice", "--report-data and --nonce exclude each other.")
    if nonce is not None:
        value = nonce[len(_TEXT) :].encode() if nonce.startswith(_TEXT) else _unhex(nonce)
        least = 1 if nonce.startswith(_TEXT) else SHORTEST_NONCE_BYTES
        if value is None or not least <= len(value) <= LONGEST_NONCE_BYTES:
            raise UsageError(
                "cli.verify.nonce",
                f"--nonce takes {SHORTEST_NONCE_BYTES} to {LONGEST_NONCE_BYTES} bytes in hexadecimal digits,"
                f' or, for tokens, "{_TEXT}" and the text of the nonce.',
            )
        return Asked(value, nonce=True)
    if report_data is None:
        raise UsageError(
            "cli.verify.binding_required",
            "What must the evidence carry? Until its report data is compared it may be old, or another's.",
            action=_WHAT_TO_TYPE,
        )
    if report_data == UNCHECKED:
        return Asked(None, nonce=False)
    value = _unhex(report_data)
    if not value or len(value) > LONGEST_CARRIED_BYTES:
        raise UsageError(
            "cli.verify.report_data",
            f'--report-data takes hexadecimal digits, or the word "{UNCHECKED}".',
            action="For a shorter value at its beginning, use --nonce.",
        )
    return Asked(value, nonce=False)


def terms_of(audience: str | None, user_data: str | None, carrier: str) -> Terms:
    """Return what else the evidence is compared with.

    Raises:
        UsageError: ``cli.verify.user_data`` for what is no hexadecimal text of 1 to 64 bytes.
    """
    found = Terms(nitro_carrier=cast("Any", carrier))
    if audience is not None:
        found = replace(found, audience=audience)
    if user_data is not None:
        value = _unhex(user_data)
        if not value or len(value) > REPORT_DATA_BYTES:
            raise UsageError(
                "cli.verify.user_data",
                f"--user-data takes 1 to {REPORT_DATA_BYTES} bytes in hexadecimal digits.",
            )
        found = replace(found, user_data=Expected(value))
    return found


def time_of(at: str | None) -> datetime:
    """Return the time to verify at: ``at``, or now.

    Raises:
        UsageError: ``cli.verify.time`` for what is no time, or a time without zone.
    """
    if at is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(at)
        moment = found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise UsageError(
            "cli.verify.time",
            f"--at takes a time with its zone, not {escape(at, limit=60)!r}.",
            action="For example 2025-06-25T12:00Z.",
        )
    return moment


def policy_of(name: str, also: tuple[str, ...]) -> Policy:
    """Return the policy of that name or in that file, tightened by the others.

    Raises:
        UsageError: ``cli.file.*``.
        PolicyError: As ``Policy.load`` does.
    """
    found = load_policy(name)
    for other in also:
        found = found.tighten(load_policy(other))
    return found


def load_policy(name: str) -> Policy:
    """Return a shipped policy by its name, or the one in a file."""
    return Policy.load(policy_text(name), name=name if name in SHIPPED else Path(name).name[:64] or "policy")


def policy_text(name: str) -> bytes:
    """Return the text of a shipped policy, or of a file.

    Raises:
        UsageError: ``cli.file.*``.
        PolicyError: ``policy.unknown_name`` for a bare word that is neither.
    """
    if name in SHIPPED:
        return shipped_text(name)
    try:
        return read_file(Path(name), limit=MAX_POLICY_BYTES)
    except UsageError as error:
        if error.code != "cli.file.missing" or os.sep in name or "." in name:
            raise
        return shipped_text(name)


def references_of(words: tuple[str, ...]) -> dict[str, frozenset[bytes]]:
    """Return the Reference Values that were typed as ``REGISTER=HEX``.

    Raises:
        UsageError: ``cli.verify.reference``.
    """
    found: dict[str, frozenset[bytes]] = {}
    sizes = reference_sizes() if words else {}
    for word in words:
        name, _, digits = word.partition("=")
        value = _unhex(digits)
        if name not in sizes or value is None or len(value) != sizes[name]:
            known = ", ".join(sizes)
            raise UsageError(
                "cli.verify.reference",
                f"--reference takes REGISTER=HEX of the register's size, not {escape(word, limit=60)!r}.",
                action=f"Registers: {known}.",
            )
        found[name] = found.get(name, frozenset()) | {value}
    return found


@dataclass(frozen=True, slots=True)
class Own:
    """What this installation's simulated evidence ends in.

    Attributes:
        anchors: Its roots.
        fingerprints: SHA-256 of the roots, and of the keys that its token services publish.
    """

    anchors: tuple[SimulatedAnchor, ...] = ()
    fingerprints: frozenset[bytes] = frozenset()


def roots_of(named: Iterable[str], own: Own) -> Roots:
    """Return the vendor's roots, this installation's own where they are asked for, and those of PEM files.

    A root of a file anchors the family that was typed before it (``tpm=FILE``), else that of the vendor whose
    root has its name, else stand-alone TPMs, whose makers' roots have names of their own. Evidence under it
    is simulated in any case.

    Args:
        named: ``FILE`` or ``VENDOR=FILE``.
        own: This installation's roots.

    Raises:
        UsageError: ``cli.file.*``, ``cli.verify.roots``.
        EvidenceError: ``roots.*``.
    """
    roots = Roots.vendor()
    for anchor in own.anchors:
        roots = roots.with_anchor(anchor.name, anchor.der, vendor=anchor.vendor)
    families = {root.decode().common_name: root.vendor for root in Roots.vendor().entries} if named else {}
    for word in named:
        vendor, _, rest = word.partition("=")
        path = Path(rest if vendor in VENDORS else word)
        found = _certificates(path)
        for index, (der, common_name) in enumerate(found, 1):
            name = escape(path.name, limit=40)[:50] + (f" #{index}" if len(found) > 1 else "")
            family = vendor if vendor in VENDORS else families.get(common_name, TPM)
            roots = roots.with_anchor(name, der, vendor=family)
    return roots


def _certificates(path: Path) -> list[tuple[bytes, str]]:
    """Return every certificate of a PEM file, DER, with its common name."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_certificates(read_file(path, limit=MAX_ROOTS_BYTES))
        names = [each.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME) for each in found]
    except ValueError:
        raise UsageError(
            "cli.verify.roots", f"{escape(str(path), limit=300)} holds no certificates in PEM."
        ) from None
    return [
        (each.public_bytes(Encoding.DER), str(name[0].value) if name else "")
        for each, name in zip(found, names, strict=True)
    ]


def own_roots(policy: Policy, environ: Mapping[str, str]) -> Own:
    """Return this installation's simulated roots, where the policy is for simulated machines of its kind.

    Raises:
        SimulatorError: ``simulator.installation.exposed``, ``simulator.installation.malformed``.
    """
    document = policy.document
    return installation_roots(environ, document.platforms) if document.simulated == "only" else Own()


def installation_roots(environ: Mapping[str, str], platforms: Collection[str] | None = None) -> Own:
    """Return this installation's simulated roots; none when it never made one.

    Args:
        environ: The environment, for the state directory.
        platforms: Those that roots are wanted for; None for all.

    Raises:
        SimulatorError: ``simulator.installation.exposed``, ``simulator.installation.malformed``.
    """
    from assay.errors import SimulatorError
    from assay.simulator.anchors import anchors, fingerprints
    from assay.simulator.intel import STATE_DIRECTORY, Installation
    from assay.store.paths import state_directory

    try:
        installation = Installation.open(state_directory(environ) / STATE_DIRECTORY)
    except SimulatorError as error:
        if error.code == "simulator.installation.missing":
            return Own()
        raise
    if platforms is None:
        return Own(anchors(installation), fingerprints(installation))
    return Own(anchors(installation, platforms), fingerprints(installation, platforms))


def materials_of(paths: Iterable[Path]) -> Materials:
    """Return the contents of files, and of the files of directories.

    Raises:
        UsageError: ``cli.file.*``.
        EndorsementError: ``endorsements.bundle.*``.
    """
    from assay.verification.materials import Materials

    found: dict[str, bytes] = {}
    for path in paths:
        try:
            files = {path.name: read_file(path, limit=MAX_BUNDLE_BYTES)}
        except UsageError as error:
            if error.code != "cli.file.directory":
                raise
            files = read_directory(path, limit=MAX_BUNDLE_BYTES)
        for name, data in files.items():
            # Two directories may hold files of one name; both are looked at.
            found[name if name not in found else f"{path}/{name}"] = data
    return Materials.of(found)


def evidence_of(path: Path) -> bytes:
    """Return the contents of an evidence file.

    Raises:
        UsageError: ``cli.file.*``.
    """
    return read_file(path, limit=MAX_EVIDENCE_BYTES)


def log_of(path: Path | None) -> bytes | None:
    """Return the contents of an event log's file.

    Raises:
        UsageError: ``cli.file.*``.
    """
    return None if path is None else read_file(path, limit=MAX_LOG_BYTES)


def compose_of(path: Path | None) -> bytes | None:
    """Return the contents of an app-compose document.

    Raises:
        UsageError: ``cli.file.*``.
    """
    return None if path is None else read_file(path, limit=MAX_COMPOSE_BYTES)


def _unhex(text: str) -> bytes | None:
    try:
        return binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        return None
