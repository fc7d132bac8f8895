"""A report as fields in JSON, put back into its 1,184 bytes: what the clients of Trustee send.

    attestation_report  the fields as the Rust crate ``sev`` (6 and later) writes its report: integers as
                        numbers, bytes as arrays of numbers, a TCB version by its components (``fmc`` is null
                        before Turin), what a version of the report does not have as null or not at all
    cert_chain          null, or {cert_type, data} each: a certificate table, its contents as numbers

What was reserved is not among the fields and becomes zero. Nothing is trusted for its place here: the
signature covers the bytes, and holds over them or does not.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from assay.evidence.decoding.strictjson import member, mistyped, octets
from assay.evidence.snp.products import LAYOUTS, Product
from assay.evidence.snp.table import ARK, ASK, CRL, MAX_ENTRIES, MAX_TABLE_BYTES, VCEK, VLEK, encode_table

_HEAD: Final = Struct("<2IQ16s16s2I8sQ2I64s48s32s48s48s32s32s8s")
_TAIL: Final = Struct("<3B21x64s8s3Bx3Bx8s2Q152x72s72s368x")
_OPTIONAL: Final = ("cpuid_fam_id", "cpuid_mod_id", "cpuid_step", "launch_mit_vector", "current_mit_vector")
_COMPONENTS: Final = {"fmc": "fmc", "bl": "bootloader", "tee": "tee", "snp": "snp", "ucode": "microcode"}
_GUIDS: Final = {"ARK": ARK, "ASK": ASK, "VCEK": VCEK, "VLEK": VLEK, "CRL": CRL}


def report_of(found: dict[str, Any]) -> bytes:
    """Return the 1,184 bytes of a report, and its certificate table behind them if it came with one.

    Args:
        found: The decoded JSON, with its members ``attestation_report`` and ``cert_chain``.

    Raises:
        JsonError: ``json.type`` or ``json.missing_member``.
    """
    if not found.keys() <= {"attestation_report", "cert_chain"}:
        raise mistyped("A report in fields has other members than it should.")
    report = member(found, "attestation_report", dict)
    chain = found.get("cert_chain")
    return _report(report) + (b"" if chain is None else _table(chain))


def _report(found: dict[str, Any]) -> bytes:
    taken = _Fields(found)
    current, committed = taken.fields("current"), taken.fields("committed")
    signature = taken.fields("signature")
    data = _HEAD.pack(
        taken.number("version", 32),
        taken.number("guest_svn", 32),
        taken.number("policy", 64),
        taken.octets("family_id", 16),
        taken.octets("image_id", 16),
        taken.number("vmpl", 32),
        taken.number("sig_algo", 32),
        taken.tcb("current_tcb"),
        taken.number("plat_info", 64),
        taken.number("key_info", 32),
        0,
        taken.octets("report_data", 64),
        taken.octets("measurement", 48),
        taken.octets("host_data", 32),
        taken.octets("id_key_digest", 48),
        taken.octets("author_key_digest", 48),
        taken.octets("report_id", 32),
        taken.octets("report_id_ma", 32),
        taken.tcb("reported_tcb"),
    ) + _TAIL.pack(
        *(taken.number_or_zero(name, 8) for name in _OPTIONAL[:3]),
        taken.octets("chip_id", 64),
        taken.tcb("committed_tcb"),
        *(current.number(name, 8) for name in ("build", "minor", "major")),
        *(committed.number(name, 8) for name in ("build", "minor", "major")),
        taken.tcb("launch_tcb"),
        *(taken.number_or_zero(name, 64) for name in _OPTIONAL[3:]),
        signature.octets("r", 72),
        signature.octets("s", 72),
    )
    for each in (taken, current, committed, signature):
        each.finish()
    return data


class _Fields:
    """An object whose members are taken one by one, to the last."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._left = dict(found)

    def number(self, name: str, bits: int) -> int:
        value: int = member(self._left, name, int)
        if not 0 <= value < 1 << bits:
            raise mistyped(f"Member {name} does not fit {bits} bits.")
        del self._left[name]
        return value

    def number_or_zero(self, name: str, bits: int) -> int:
        if self._left.get(name) is not None:
            return self.number(name, bits)
        self._left.pop(name, None)
        return 0

    def octets(self, name: str, size: int) -> bytes:
        value = octets(self._left.pop(name, None), MAX_TABLE_BYTES)
        if len(value) != size:
            raise mistyped(f"Member {name} is not {size} bytes.")
        return value

    def fields(self, name: str) -> _Fields:
        value = member(self._left, name, dict)
        del self._left[name]
        return _Fields(value)

    def tcb(self, name: str) -> bytes:
        given = member(self._left, name, dict)
        layout = LAYOUTS[Product.MILAN if given.get("fmc") is None else Product.TURIN]
        version = self.fields(name)
        value = [version.number(_COMPONENTS[each], 8) if each else 0 for each in layout.components]
        version.number_or_zero("fmc", 8)
        version.finish()
        return bytes(value)

    def finish(self) -> None:
        if self._left:
            raise mistyped("A report in fields has a member that is not known.")


def _table(found: Any) -> bytes:
    if type(found) is not list or len(found) > MAX_ENTRIES:
        raise mistyped(f"A certificate table is no array of at most {MAX_ENTRIES} entries.")
    contents: dict[bytes, bytes] = {}
    for entry in found:
        if type(entry) is not dict or entry.keys() != {"cert_type", "data"}:
            raise mistyped("An entry of a certificate table has other members than it should.")
        kind = entry["cert_type"]
        guid = _GUIDS.get(kind) if type(kind) is str else None
        if guid in contents:
            raise mistyped(f"A certificate table has two entries {kind}.")
        if guid is not None:
            contents[guid] = octets(entry["data"], MAX_TABLE_BYTES)
    return encode_table(contents) if contents else b""
