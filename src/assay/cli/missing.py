"""What a stronger answer would need, in words, with the command that gets it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.cli.output import escape
from assay.cli.showing import heading, width, wrapped
from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from assay.appraisal.result import AttestationResult
    from assay.evidence.dstack import Attestation, Presented
    from assay.evidence.verification import Need
    from assay.verification.firmware_log import CcelData

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
    "revocation-list": "list of what an authority revoked",
    "ak": "certificates above the attestation key's",
    "evidence": "evidence of another device",
}
_PUBLISHED: Final = frozenset(
    {"collateral", "jwks", "ocsp", "revocation-list", "rim", "snp-vek", "snp-chain", "snp-crl"}
)
_ONCE_FETCHED: Final = "Then verify with --cached. Or give what you have: --endorsements FILE or DIR."
_THEN_OR_NOW: Final = f"{_ONCE_FETCHED} What is published now need not have held at the time of --at."
_HOW_TO_GIVE: Final = {
    "ak": "Type --endorsements FILE or DIR, and --roots tpm=FILE for the root that they lead to.",
    "chain": "Type --endorsements FILE or DIR.",
}
_HOW_TO_BIND: Final = {
    "nitro": "Type --report-data HEX for its user_data, or --nonce HEX --carrier nonce for its nonce.",
    "nitro-tpm": "Type --report-data HEX for its user_data, or --nonce HEX --carrier nonce for its nonce.",
    "confidential-space": "Type --nonce text:NONCE.",
}
_TIMES: Final = (".time", ".validity", ".expiry", ".age")


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a stronger answer would need.

    Attributes:
        what: Its name.
        why: A clause.
        action: What to do, as sentences; empty when there is nothing.
        command: A command to type before that; empty for none.
    """

    what: str
    why: str
    action: str
    command: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as JSON-ready values."""
        found = {"what": self.what, "why": self.why, "action": self.action}
        return found | {"command": self.command} if self.command else found


def missing_lines(found: Sequence[Missing]) -> Iterator[str]:
    """Return what is missing line by line; a command stands in a line of its own, to be copied.

    Of neighbours that one command and action get, the last shows them for all.
    """
    columns = width()
    if found:
        yield from heading("Missing")
    for at, each in enumerate(found):
        text = f"{each.what}: {each.why}"
        how = (each.command, each.action)
        if not each.command:
            yield from wrapped(f"{text} {each.action}".rstrip(), columns, "  - ", "    ")
            continue
        yield from wrapped(text, columns, "  - ", "    ")
        if [(after.command, after.action) for after in found[at + 1 : at + 2]] != [how]:
            yield f"    {each.command}"
            yield from wrapped(each.action, columns, "    ", "    ")


def fetching(file: Path) -> str:
    """Return the command that fetches what evidence needs."""
    return f"assay endorsements fetch {typed_name(file, word='EVIDENCE')}"


def typed_name(file: Path, *, word: str) -> str:
    """Return a file's name as it is typed in a shell; ``word`` in its place where it cannot be."""
    name = str(file)
    if not name.isprintable():
        return word
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def once_fetched(*, as_of: bool) -> str:
    """Return what to do with what was fetched, which for a time that was asked for may be of no use."""
    return _THEN_OR_NOW if as_of else _ONCE_FETCHED


def missing_collateral(
    key: Mapping[str, str], now: datetime, note: str, file: Path, *, as_of: bool
) -> Missing:
    """Say which collateral is missing, and how to get it."""
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
        once_fetched(as_of=as_of),
        fetching(file),
    )


def missing_endorsement(alike: Sequence[Need], note: str, file: Path, *, as_of: bool) -> Missing:
    """Return what needs of one kind and reason ask for, of which a rack of GPUs has dozens."""
    kind = alike[0].kind
    each = [text for need in alike if (text := _selected(need))]
    left_out = len(alike) - len(each[:_SHOWN_ALIKE])
    shown = "; ".join(each[:_SHOWN_ALIKE]) + (f"; {left_out} more" if each and left_out else "")
    what = f"{_NAMES.get(kind, kind)} ({shown})" if shown else _NAMES.get(kind, kind)
    why = escape(alike[0].reason, limit=300)
    why = f"{why.rstrip('.')}; {note}." if note else why
    if kind in _PUBLISHED:
        return Missing(what, why, once_fetched(as_of=as_of), fetching(file))
    return Missing(what, why, _HOW_TO_GIVE.get(kind, ""))


def missing_freshness(platform: str) -> Missing:
    """Say that nothing ties the evidence to a session, and what would."""
    return Missing(
        "freshness",
        "no nonce was compared, so the evidence may be old, or made for somebody else.",
        _HOW_TO_BIND.get(platform, "Type --nonce HEX or --report-data HEX."),
    )


def missing_terms(result: AttestationResult, file: Path) -> Iterator[Missing]:
    """Say what a person would have to ask differently, where nothing else stands against the evidence."""
    failed = result.ledger.failed()
    if failed and all(check.id.endswith(_TIMES) for check in failed):
        yield Missing(
            "a time at which all of it holds",
            f"nothing but the time is wrong, {result.now:%Y-%m-%d %H:%M} UTC.",
            "To judge what was kept as of then, type --at TIME; the answer says nothing about now.",
        )
    if result.platform == "tpm" and result.policy.document.simulated != "only":
        yield Missing(
            "a root of the TPM's maker that is pinned",
            "none is, so no policy accepts a stand-alone TPM under a key or root of yours; the checks say"
            " what holds.",
            "",
        )
    elif any(check.code == "policy.platforms.other" for check in failed):
        cached = " --cached" if any(need.kind in _PUBLISHED for need in result.evidence.needs) else ""
        yield Missing(
            f"a policy that accepts {result.platform}",
            f"{escape(result.policy.name)} does not. Once the evidence is authenticated, a draft can be had:",
            "Then verify with --policy NEW.toml.",
            f"assay policy new --from {typed_name(file, word='EVIDENCE')}{cached} --out NEW.toml",
        )
    asked_for = [check.id.rpartition(".")[2] for check in failed if check.code.endswith(".no_reference")]
    if asked_for:
        yield Missing(
            f"Reference Values for {', '.join(asked_for)}",
            f"the policy {escape(result.policy.name)} compares with them.",
            f"Type --reference {asked_for[0]}=HEX, or --reference-manifest FILE --reference-trust PEM.",
        )


def _selected(need: Need) -> str:
    """Return what selects one of a kind; whole chains, which no person compares, are left out."""
    return ", ".join(
        f"{name} {escape(value, limit=80)}"
        for name, value in need.key.items()
        if value and len(value) <= _LONGEST_SHOWN_KEY
    )


def missing_image(
    result: AttestationResult, log: Presented | CcelData | Attestation | None
) -> Iterator[Missing]:
    """Say what would show that a guest booted a production image."""
    from assay.evidence.dstack import Presented

    what = "a production image"
    if log is None:
        yield Missing(what, "no event log says which image booted.", "Type --event-log FILE.")
        return
    if not isinstance(log, Presented):  # a firmware's log, or no guest of dstack
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
