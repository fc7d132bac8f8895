"""From verified documents to the status of one platform: level selection, merge, relaunch advice, dates.

Source: PCS API, "TCB recovery" and Intel's quote verification library where the document is silent. Nothing
here refuses: a platform that matches no level has the status ``NotSupported``, which no policy may admit.
"""

from __future__ import annotations

from operator import ge
from typing import TYPE_CHECKING

from assay.evidence.dcap.documents import SIGNED_STATUSES
from assay.evidence.dcap.tcb import TcbStatus
from assay.evidence.records import record

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap.documents import IsvLevel, ModuleIdentity, PlatformLevel, Standing, TcbInfo
    from assay.evidence.dcap.pck import PckExtension

_S = TcbStatus
_CONFIGURATION = frozenset(
    {
        _S.CONFIGURATION_NEEDED,
        _S.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        _S.OUT_OF_DATE_CONFIGURATION_NEEDED,
        _S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    }
)
_HARDENING = frozenset({_S.SW_HARDENING_NEEDED, _S.CONFIGURATION_AND_SW_HARDENING_NEEDED})
_OUTDATED = frozenset({_S.OUT_OF_DATE, _S.OUT_OF_DATE_CONFIGURATION_NEEDED})
_RELAUNCH = frozenset({_S.TD_RELAUNCH_ADVISED, _S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED})
_CURRENT = frozenset(
    {
        _S.UP_TO_DATE,
        _S.SW_HARDENING_NEEDED,
        _S.CONFIGURATION_NEEDED,
        _S.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
)


@record
class Level:
    """The level that one component matched.

    Attributes:
        status: Its status; ``NOT_SUPPORTED`` when none matched.
        date: Its TCB date; None when none matched.
        advisories: Its advisories, in the document's order.
    """

    status: TcbStatus
    date: datetime | None
    advisories: tuple[str, ...]


UNMATCHED = Level(TcbStatus.NOT_SUPPORTED, None, ())


def level_of(standing: Standing | None) -> Level:
    """Return the level of a matched standing whose status is known, or ``UNMATCHED``."""
    if standing is None:
        return UNMATCHED
    return Level(SIGNED_STATUSES[standing.status], standing.date, standing.advisories)


def isv_level(levels: tuple[IsvLevel, ...], isv_svn: int) -> Level:
    """Return the newest level that an enclave or module with ``isv_svn`` reaches."""
    return level_of(next((level.standing for level in levels if isv_svn >= level.isv_svn), None))


def platform_level(info: TcbInfo, pck: PckExtension, tee_tcb_svn: bytes | None) -> tuple[Level, Level]:
    """Return the newest level that the platform reaches, and the one that its SGX part alone reaches.

    Args:
        info: The TCB info of the platform.
        pck: Its component SVNs and PCE SVN.
        tee_tcb_svn: The TDX component SVNs, 16 bytes; None for SGX. Where its second byte is not zero, the
            module is versioned and appraised by its own identity, and the first two bytes do not count here.
    """
    sgx: PlatformLevel | None = None
    first = 2 if tee_tcb_svn is not None and tee_tcb_svn[1] > 0 else 0
    for level in info.levels:
        if not _reaches(pck.components, level.components) or pck.pce_svn < level.pce_svn:
            continue
        sgx = sgx or level
        if tee_tcb_svn is None:
            return level_of(level.standing), level_of(level.standing)
        if level.tdx_components is not None and _reaches(tee_tcb_svn[first:], level.tdx_components[first:]):
            return level_of(level.standing), level_of(sgx.standing)
    return UNMATCHED, level_of(sgx.standing if sgx else None)


def _reaches(svns: tuple[int, ...] | bytes, needed: tuple[int, ...]) -> bool:
    return len(svns) == len(needed) and all(map(ge, svns, needed))


def merge(first: TcbStatus, second: TcbStatus) -> TcbStatus:
    """Return the status of the whole from those of two components: the weaknesses of both.

    ``Revoked`` wins over everything, then ``NotSupported``; ``OutOfDate`` absorbs a need for software
    hardening and keeps a need for configuration.
    """
    both = {first, second}
    for final in (_S.REVOKED, _S.NOT_SUPPORTED):
        if final in both:
            return final
    configuration = bool(both & _CONFIGURATION)
    if both & _OUTDATED:
        return _S.OUT_OF_DATE_CONFIGURATION_NEEDED if configuration else _S.OUT_OF_DATE
    if both & _RELAUNCH:
        return _S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED if configuration else _S.TD_RELAUNCH_ADVISED
    if both & _HARDENING:
        return _S.CONFIGURATION_AND_SW_HARDENING_NEEDED if configuration else _S.SW_HARDENING_NEEDED
    return _S.CONFIGURATION_NEEDED if configuration else _S.UP_TO_DATE


def relaunch(
    info: TcbInfo,
    *,
    sgx: TcbStatus,
    tdx: TcbStatus,
    module: TcbStatus,
    qe: TcbStatus,
    tee_tcb_svn_2: bytes,
) -> TcbStatus:
    """Return the status of a TD 1.5, the QE's not yet merged: would launching it anew make it current?

    The TD was launched under components that are out of date by now; the ones that run since (TEE_TCB_SVN_2)
    are the newest known. Source: QVL 4.1.2.4.17.4.3.

    Args:
        info: The TCB info of the platform.
        sgx: Status of the level that the SGX part alone reaches.
        tdx: Platform and module, merged.
        module: Status of the module's level.
        qe: Status of the QE's level.
        tee_tcb_svn_2: The component SVNs that run now, 16 bytes.
    """
    if qe not in _CURRENT or sgx not in _CURRENT or tdx not in _OUTDATED or module is not _S.OUT_OF_DATE:
        return tdx
    newest = info.levels[0].tdx_components
    if newest is None or tee_tcb_svn_2[2] < newest[2]:
        return tdx
    version = tee_tcb_svn_2[1]
    if version == 0:
        least = newest[0]
    else:
        identity = info.modules.get(version)
        if identity is None:
            return tdx
        least = identity.levels[0].isv_svn
    if tee_tcb_svn_2[0] < least:
        return tdx
    if {sgx, tdx} & _CONFIGURATION:
        return _S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
    return _S.TD_RELAUNCH_ADVISED


def module_level(identity: ModuleIdentity, tee_tcb_svn: bytes) -> Level | None:
    """Return the level of the TDX module; None for the base entry, whose SVN counts among the platform's."""
    return isv_level(identity.levels, tee_tcb_svn[0]) if identity.version else None


def earliest(*dates: datetime | None) -> datetime | None:
    """Return the earliest date: what the whole is as old as; None when a component matched no level."""
    known = [date for date in dates if date is not None]
    return min(known) if len(known) == len(dates) else None
