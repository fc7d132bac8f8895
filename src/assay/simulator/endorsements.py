"""Collateral before it is signed: every JSON member, signer, chain and revocation can be changed.

The JSON is what Intel's Provisioning Certification Service answers (API version 4; version 2 TCB info as its
version 3 gave for SGX): compact, and signed over exactly these bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from assay.simulator.pki import sign_raw
from assay.simulator.recoveries import Recovery, advisories, in_force

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assay.evidence.dcap.collateral import Collateral
    from assay.simulator.pki import Issued, RevocationList

Tee = Literal["tdx", "sgx"]

VALIDITY = timedelta(days=30)
TD_QE_SIGNER = "DC9E2A7C6F948F17474E34A7FC43ED030F7C1563F1BABDDF6340C82E0E54A8C5"
QE_SIGNER = "8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF"
_MODULE = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
_SGX_NOTES: dict[int, dict[str, str]] = {
    0: {"category": "BIOS", "type": "Early Microcode Update"},
    1: {"category": "OS/VMM", "type": "SGX Late Microcode Update"},
    2: {"category": "OS/VMM", "type": "TXT SINIT"},
    3: {"category": "BIOS"},
    4: {"category": "BIOS"},
    5: {"category": "BIOS"},
    7: {"category": "OS/VMM", "type": "SEAMLDR ACM"},
}
_TDX_NOTES: dict[int, dict[str, str]] = {
    0: {"category": "OS/VMM", "type": "TDX Module"},
    1: {"category": "OS/VMM", "type": "TDX Module"},
    2: {"category": "OS/VMM", "type": "TDX Late Microcode Update"},
}


def timestamp(moment: datetime) -> str:
    """Return a time as Intel's JSON writes it: ``2026-02-11T00:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def compact(value: Any) -> bytes:
    """Return JSON without spaces, members in their order."""
    return json.dumps(value, separators=(",", ":")).encode()


def _components(svns: Sequence[int], notes: dict[int, dict[str, str]]) -> list[dict[str, Any]]:
    return [{"svn": svn, **notes.get(index, {})} for index, svn in enumerate(svns)]


def _level(recovery: Recovery, current: Sequence[Recovery], tcb: dict[str, Any]) -> dict[str, Any]:
    newest = recovery is current[0]
    level: dict[str, Any] = {
        "tcb": tcb,
        "tcbDate": timestamp(recovery.date),
        "tcbStatus": "UpToDate" if newest else "OutOfDate",
    }
    if not newest:
        level["advisoryIDs"] = advisories(recovery, current)
    return level


def _svn_levels(svns: Sequence[tuple[Recovery, int]], current: Sequence[Recovery]) -> list[dict[str, Any]]:
    """Return levels by ISVSVN, newest first; an SVN that several recoveries share counts as the newest's."""
    levels: dict[int, dict[str, Any]] = {}
    for recovery, svn in svns:
        if svn not in levels:
            levels[svn] = _level(recovery, current, {"isvsvn": svn})
    return list(levels.values())


def _platform_tcb(recovery: Recovery, tee: Tee, version: int) -> dict[str, Any]:
    if version == 2:
        named: dict[str, Any] = {f"sgxtcbcomp{index:02}svn": svn for index, svn in enumerate(recovery.sgx, 1)}
        return named | {"pcesvn": recovery.pce_svn}
    tcb: dict[str, Any] = {
        "sgxtcbcomponents": _components(recovery.sgx, _SGX_NOTES),
        "pcesvn": recovery.pce_svn,
    }
    if tee == "tdx":
        tcb["tdxtcbcomponents"] = _components(recovery.tdx, _TDX_NOTES)
    return tcb


def tcb_info(
    tee: Tee, *, issued: datetime, fmspc: bytes, recoveries: Sequence[Recovery], version: int
) -> dict[str, Any]:
    """Return the ``tcbInfo`` of a platform family as it is published at a time.

    Args:
        tee: ``tdx`` or ``sgx``.
        issued: ``issueDate``; it is due again after 30 days.
        fmspc: The family, 6 bytes.
        recoveries: All recoveries; those in force at ``issued`` count.
        version: 3, or 2 for SGX.
    """
    current = in_force(issued, recoveries)
    info: dict[str, Any] = {"id": tee.upper()} if version >= 3 else {}
    info |= {
        "version": version,
        "issueDate": timestamp(issued),
        "nextUpdate": timestamp(issued + VALIDITY),
        "fmspc": fmspc.hex().upper(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": current[0].number,
    }
    if tee == "tdx":
        majors = sorted({major for recovery in current for major in recovery.modules}, reverse=True)
        info["tdxModule"] = dict(_MODULE)
        info["tdxModuleIdentities"] = [
            {
                "id": f"TDX_{major:02X}",
                **_MODULE,
                "tcbLevels": _svn_levels(
                    [(r, r.modules[major]) for r in current if major in r.modules], current
                ),
            }
            for major in majors
        ]
    info["tcbLevels"] = [_level(r, current, _platform_tcb(r, tee, version)) for r in current]
    return info


def qe_identity(tee: Tee, *, issued: datetime, recoveries: Sequence[Recovery]) -> dict[str, Any]:
    """Return the ``enclaveIdentity`` of the Quoting Enclave of a TEE as it is published at a time."""
    current = in_force(issued, recoveries)
    tdx = tee == "tdx"
    return {
        "id": "TD_QE" if tdx else "QE",
        "version": 2,
        "issueDate": timestamp(issued),
        "nextUpdate": timestamp(issued + VALIDITY),
        "tcbEvaluationDataNumber": current[0].number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": TD_QE_SIGNER if tdx else QE_SIGNER,
        "isvprodid": 2 if tdx else 1,
        "tcbLevels": _svn_levels([(r, r.td_qe_svn if tdx else r.qe_svn) for r in current], current),
    }


@dataclass(slots=True)
class CollateralDraft:
    """Everything that makes up collateral; change what is to be wrong, then ``sign``.

    Attributes:
        root_crl: The root's revocation list.
        pck_crl: The revocation list of the authority that issued the PCK certificate.
        pck_crl_chain: Issuer chain of the latter.
        tcb_info: The JSON value, in order.
        tcb_signer: Who signs it.
        tcb_chain: Its issuer chain.
        qe_identity: The JSON value, in order.
        qe_signer: Who signs it.
        qe_chain: Its issuer chain.
        tcb_info_bytes: Replaces the encoding of ``tcb_info``, for what no dictionary can hold.
    """

    root_crl: RevocationList
    pck_crl: RevocationList
    pck_crl_chain: list[Issued]
    tcb_info: dict[str, Any]
    tcb_signer: Issued
    tcb_chain: list[Issued]
    qe_identity: dict[str, Any]
    qe_signer: Issued
    qe_chain: list[Issued] = field(default_factory=list)
    tcb_info_bytes: bytes | None = None

    def sign(self) -> Collateral:
        """Return the collateral, signed as it stands."""
        # A simulated machine quotes without ever loading the verifier's package.
        from assay.evidence.dcap.collateral import Collateral  # noqa: PLC0415 - see above

        info = compact(self.tcb_info) if self.tcb_info_bytes is None else self.tcb_info_bytes
        identity = compact(self.qe_identity)
        return Collateral(
            root_ca_crl=self.root_crl.sign(),
            pck_crl=self.pck_crl.sign(),
            pck_crl_issuer_chain=_pem(self.pck_crl_chain),
            tcb_info=info,
            tcb_info_signature=sign_raw(self.tcb_signer.key, info),
            tcb_info_issuer_chain=_pem(self.tcb_chain),
            qe_identity=identity,
            qe_identity_signature=sign_raw(self.qe_signer.key, identity),
            qe_identity_issuer_chain=_pem(self.qe_chain),
        )


def _pem(chain: Sequence[Issued]) -> bytes:
    return b"".join(issued.pem() for issued in chain)
