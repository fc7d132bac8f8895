"""Certificates, revocation lists and the SGX extension, as DER from outside."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.evidence.dcap.pck import (
    OID_SGX_EXTENSION,
    PCK_CA_ROLE,
    PCK_ROLE,
    ROOT_ROLE,
    TCB_SIGNER_ROLE,
    PckExtension,
)
from assay.evidence.decoding.der import DerError
from assay.evidence.roots import Roots
from assay.evidence.x509.certificate import Certificate
from assay.evidence.x509.crl import RevocationList
from assay.evidence.x509.distribution import places_of_list
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.roles import issued
from assay.simulator.intel import Installation


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return one of each role, a list, and an extension."""
    intel = Installation(b"\x0f" * 32)
    machine = intel.machine("fuzzed")
    draft = intel.collateral_draft(datetime(2026, 11, 21, tzinfo=UTC), platform="tdx")
    draft.pck_crl.revoked += [1, 2**150]
    return [
        intel.root_der,
        intel.platform_ca.der,
        intel.tcb_signer.der,
        machine.pck.der,
        draft.pck_crl.sign(),
        machine.extension.encode(),
    ]


def target(data: bytes) -> None:
    """Decode the data as each of the three, judge a certificate for every role, and see where its list is."""
    try:
        certificate = Certificate.parse(data)
    except DerError:
        pass
    else:
        _judge(certificate)
    for decode in (RevocationList.parse, PckExtension.parse, _places):
        try:
            decode(data)
        except DerError:
            continue


def _places(data: bytes) -> None:
    if any("," in place for place in places_of_list(GeneralCertificate.parse(data))):
        raise AssertionError("a place of a list would be taken for two")


def _judge(certificate: Certificate) -> None:
    for role in (ROOT_ROLE, PCK_CA_ROLE, PCK_ROLE, TCB_SIGNER_ROLE):
        try:
            role.defect(certificate)
        except DerError:
            continue
    try:
        issued(certificate, Roots.vendor().intel[0].certificate, "certificate")
        PckExtension.parse(certificate.extensions.get(OID_SGX_EXTENSION, (False, b""))[1])
    except DerError:
        return
