"""What a stronger answer would need, in words, with the command that gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.cli.output import escape
from assay.cli.showing import Missing
from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

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


def missing_collateral(key: Mapping[str, str], now: datetime, note: str) -> Missing:
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
        _HOW_TO_GET,
    )


def missing_endorsement(alike: Sequence[Need], note: str) -> Missing:
    """Return what needs of one kind and reason ask for, of which a rack of GPUs has dozens."""
    kind = alike[0].kind
    each = [text for need in alike if (text := _selected(need))]
    left_out = len(alike) - len(each[:_SHOWN_ALIKE])
    shown = "; ".join(each[:_SHOWN_ALIKE]) + (f"; {left_out} more" if each and left_out else "")
    what = f"{_NAMES.get(kind, kind)} ({shown})" if shown else _NAMES.get(kind, kind)
    why = escape(alike[0].reason, limit=300)
    action = _HOW_TO_GET if kind in _PUBLISHED else _HOW_TO_GIVE.get(kind, "")
    return Missing(what, f"{why.rstrip('.')}; {note}." if note else why, action)


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
