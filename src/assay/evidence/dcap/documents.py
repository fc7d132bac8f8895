"""Intel's two signed JSON documents: TCB info (versions 2 and 3) and QE identity.

Decoding only; what they mean for a platform is in ``levels``. Members that no decision needs are ignored:
Intel adds some from time to time. Source: PCS API, "Get TCB Info" and "Get QE Identity".
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from assay.evidence.dcap.tcb import TcbStatus
from assay.evidence.decoding.strictjson import JsonError, member, mistyped, parse_object, strings
from assay.evidence.facts import Window
from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DOCUMENT_BYTES = 1 << 19
_MAX_LEVELS = 512
_MAX_ADVISORIES = 256
_COMPONENTS = 16
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\dZ", re.ASCII)
_ADVISORY = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MODULE = re.compile(r"TDX_[0-9A-F]{2}", re.ASCII | re.IGNORECASE)

# The statuses that Intel signs. The computed ones of TcbStatus in a signed document would be unknown ones.
SIGNED_STATUSES = {
    status.value: status
    for status in (
        TcbStatus.UP_TO_DATE,
        TcbStatus.SW_HARDENING_NEEDED,
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
        TcbStatus.REVOKED,
    )
}
_V2_COMPONENTS = tuple(f"sgxtcbcomp{n:02d}svn" for n in range(1, _COMPONENTS + 1))


@record
class Standing:
    """What a document says of one level.

    Attributes:
        status: The status as written; see ``SIGNED_STATUSES``.
        date: TCB date.
        advisories: Advisory ids, in the document's order.
    """

    status: str
    date: datetime
    advisories: tuple[str, ...]


@record
class IsvLevel:
    """A level of an enclave or module: applies from ``isv_svn`` up."""

    isv_svn: int
    standing: Standing


@record
class PlatformLevel:
    """A level of the platform: applies where every SVN is at least these.

    Attributes:
        components: 16 SVNs of the SGX TCB.
        pce_svn: SVN of the PCE.
        tdx_components: 16 SVNs of the TDX TCB; None in documents for SGX.
        standing: What is said of it.
    """

    components: tuple[int, ...]
    pce_svn: int
    tdx_components: tuple[int, ...] | None
    standing: Standing


@record
class ModuleIdentity:
    """One version of the TDX module.

    Attributes:
        version: Major version, the second byte of TEE_TCB_SVN; 0 for the base entry ``tdxModule``.
        mr_signer: Signer, 48 bytes.
        attributes: SEAM attributes, 8 bytes.
        attributes_mask: Which of their bits count, 8 bytes.
        levels: Newest first; empty for the base entry.
    """

    version: int
    mr_signer: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: tuple[IsvLevel, ...]


@record
class TcbInfo:
    """A TCB info; nothing about it is verified.

    Attributes:
        id: ``SGX`` or ``TDX``; documents of version 2 have none and are of SGX.
        version: 2 or 3 where known.
        window: issueDate to nextUpdate.
        fmspc: 6 bytes.
        pce_id: 2 bytes.
        evaluation_number: ``tcbEvaluationDataNumber``.
        levels: Newest first, in an order of our own.
        modules: The base module and the identified versions, by version; empty for SGX.
    """

    id: str
    version: int
    window: Window
    fmspc: bytes
    pce_id: bytes
    evaluation_number: int
    levels: tuple[PlatformLevel, ...]
    modules: Mapping[int, ModuleIdentity]

    def standings(self) -> list[Standing]:
        """Return what is said of every level of platform and modules."""
        found = [level.standing for level in self.levels]
        for module in self.modules.values():
            found += [level.standing for level in module.levels]
        return found


@record
class QeIdentity:
    """The identity of a quoting enclave; nothing about it is verified.

    Attributes:
        id: ``QE`` for SGX, ``TD_QE`` for TDX.
        version: 2 or 3 where known.
        window: issueDate to nextUpdate.
        evaluation_number: ``tcbEvaluationDataNumber``.
        misc_select: 4 bytes, and which of its bits count.
        misc_select_mask: 4 bytes.
        attributes: 16 bytes, and which of its bits count.
        attributes_mask: 16 bytes.
        mr_signer: 32 bytes.
        isv_prod_id: Product id.
        levels: Newest first.
    """

    id: str
    version: int
    window: Window
    evaluation_number: int
    misc_select: bytes
    misc_select_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    mr_signer: bytes
    isv_prod_id: int
    levels: tuple[IsvLevel, ...]


def parse_tcb_info(data: bytes) -> TcbInfo:
    """Decode the signed value of a TCB info.

    Raises:
        JsonError: It is no strict JSON, or a member that a decision needs is missing or malformed.
    """
    top = parse_object(data, max_bytes=MAX_DOCUMENT_BYTES)
    version = _number(top, "version", 0xFF)
    name = member(top, "id", str) if version >= 3 or "id" in top else "SGX"
    if member(top, "tcbType", int) != 0:
        raise mistyped("The tcbType is not 0: no other composition of versions exists.")
    tdx = name == "TDX"
    reader = _Reader()
    levels = [_platform_level(reader, item, version, tdx=tdx) for item in _array(top, "tcbLevels")]
    # An order of our own, newest first: the document's is not relied on.
    levels.sort(key=lambda level: (level.components, level.pce_svn, level.tdx_components or ()), reverse=True)
    return TcbInfo(
        id=name,
        version=version,
        window=reader.window(top),
        fmspc=_hex(top, "fmspc", 6),
        pce_id=_hex(top, "pceId", 2),
        evaluation_number=_number(top, "tcbEvaluationDataNumber", 0xFFFFFFFF),
        levels=tuple(levels),
        modules=_modules(reader, top) if tdx else {},
    )


def parse_qe_identity(data: bytes) -> QeIdentity:
    """Decode the signed value of a QE identity.

    Raises:
        JsonError: It is no strict JSON, or a member that a decision needs is missing or malformed.
    """
    top = parse_object(data, max_bytes=MAX_DOCUMENT_BYTES)
    reader = _Reader()
    return QeIdentity(
        id=member(top, "id", str),
        version=_number(top, "version", 0xFF),
        window=reader.window(top),
        evaluation_number=_number(top, "tcbEvaluationDataNumber", 0xFFFFFFFF),
        misc_select=_hex(top, "miscselect", 4),
        misc_select_mask=_hex(top, "miscselectMask", 4),
        attributes=_hex(top, "attributes", 16),
        attributes_mask=_hex(top, "attributesMask", 16),
        mr_signer=_hex(top, "mrsigner", 32),
        isv_prod_id=_number(top, "isvprodid", 0xFFFF),
        levels=_isv_levels(reader, top),
    )


class _Reader:
    """Reads what stands in a document many times over: the same dates, the same advisories."""

    __slots__ = ("_advisories", "_times")

    def __init__(self) -> None:
        self._times: dict[str, datetime] = {}
        self._advisories: set[str] = set()

    def time(self, top: dict[str, Any], name: str) -> datetime:
        text = member(top, name, str)
        found = self._times.get(text)
        if found is not None:
            return found
        try:
            if _TIME.fullmatch(text):
                return self._times.setdefault(text, datetime.fromisoformat(text))
        except ValueError:
            pass
        raise mistyped(f"Member {name} is no time of the form 2026-01-31T23:59:59Z.")

    def window(self, top: dict[str, Any]) -> Window:
        return Window(self.time(top, "issueDate"), self.time(top, "nextUpdate"))

    def standing(self, level: dict[str, Any]) -> Standing:
        advisories = strings(member(level, "advisoryIDs", list)) if "advisoryIDs" in level else ()
        fresh = set(advisories) - self._advisories
        if len(advisories) > _MAX_ADVISORIES or not all(map(_ADVISORY.fullmatch, fresh)):
            raise mistyped("Advisory ids are too many or malformed.")
        self._advisories |= fresh
        return Standing(member(level, "tcbStatus", str)[:64], self.time(level, "tcbDate"), advisories)


def _platform_level(reader: _Reader, item: Any, version: int, *, tdx: bool) -> PlatformLevel:
    level = _object(item)
    tcb = member(level, "tcb", dict)
    if version >= 3:
        components = _components(tcb, "sgxtcbcomponents")
    else:
        components = tuple(_number(tcb, name, 0xFF) for name in _V2_COMPONENTS)
    return PlatformLevel(
        components=components,
        pce_svn=_number(tcb, "pcesvn", 0xFFFF),
        tdx_components=_components(tcb, "tdxtcbcomponents") if tdx else None,
        standing=reader.standing(level),
    )


def _components(tcb: dict[str, Any], name: str) -> tuple[int, ...]:
    items = member(tcb, name, list)
    if len(items) != _COMPONENTS:
        raise mistyped(f"Member {name} has {len(items)} components, not {_COMPONENTS}.")
    try:
        found = [item["svn"] for item in items]
    except (TypeError, KeyError):
        found = [None]
    if set(map(type, found)) != {int} or min(found) < 0 or max(found) > 0xFF:
        raise mistyped(f"A component of {name} has no SVN from 0 to 255.")
    return tuple(found)


def _modules(reader: _Reader, top: dict[str, Any]) -> dict[int, ModuleIdentity]:
    found = {0: _module(member(top, "tdxModule", dict), 0, ())}
    for item in member(top, "tdxModuleIdentities", list) if "tdxModuleIdentities" in top else ():
        module = _object(item)
        name = member(module, "id", str)
        if not _MODULE.fullmatch(name):
            raise mistyped("The id of a TDX module is not TDX_ and two hexadecimal digits.")
        version = int(name[4:], 16)
        if version in found:
            raise JsonError("json.duplicate_member", "A TDX module identity stands twice, or has version 0.")
        found[version] = _module(module, version, _isv_levels(reader, module))
    return found


def _module(module: dict[str, Any], version: int, levels: tuple[IsvLevel, ...]) -> ModuleIdentity:
    return ModuleIdentity(
        version=version,
        mr_signer=_hex(module, "mrsigner", 48),
        attributes=_hex(module, "attributes", 8),
        attributes_mask=_hex(module, "attributesMask", 8),
        levels=levels,
    )


def _isv_levels(reader: _Reader, top: dict[str, Any]) -> tuple[IsvLevel, ...]:
    found = []
    for item in _array(top, "tcbLevels"):
        level = _object(item)
        isv_svn = _number(member(level, "tcb", dict), "isvsvn", 0xFFFF)
        found.append(IsvLevel(isv_svn, reader.standing(level)))
    found.sort(key=lambda level: level.isv_svn, reverse=True)
    return tuple(found)


def _number(top: dict[str, Any], name: str, most: int) -> int:
    value: int = member(top, name, int)
    if not 0 <= value <= most:
        raise mistyped(f"Member {name} is not from 0 to {most}.")
    return value


def _hex(top: dict[str, Any], name: str, size: int) -> bytes:
    text = member(top, name, str)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) == size and len(text) == 2 * size:
        return value
    raise mistyped(f"Member {name} is not {size} bytes in hexadecimal.")


def _array(top: dict[str, Any], name: str) -> list[Any]:
    items: list[Any] = member(top, name, list)
    if not 0 < len(items) <= _MAX_LEVELS:
        raise mistyped(f"Member {name} has no elements, or more than {_MAX_LEVELS}.")
    return items


def _object(item: Any) -> dict[str, Any]:
    if type(item) is not dict:
        raise mistyped("An array holds something else than objects.")
    return item
