"""OCSP answers over given bytes: what other implementations write is read, what is wrong is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding.der import DerError
from assay.evidence.ocsp import (
    HoldPolicy,
    OcspAnswer,
    OcspDefect,
    OcspQuestion,
    OcspReply,
    verify_reply,
)
from assay.evidence.ocsp.response import CertificateStatus, OcspResponse, ResponseStatusError
from assay.evidence.verification import Expected, Unchecked
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.nvidia import pki
from assay.simulator.nvidia.answers import CERTIFICATE_HOLD, answers, revoked
from support.nvidia_scenes import NOW, NVIDIA, scene
from support.ocsp_responders import certified

WEEK = timedelta(days=7)


@cache
def chain():
    return scene().report.chain


def question(*, now=NOW, hold=HoldPolicy.REFUSE, place: int = 1, max_age=WEEK) -> OcspQuestion:
    subject, issuer = (GeneralCertificate.parse(issued.der) for issued in chain()[place : place + 2])
    return OcspQuestion(subject, issuer, now, max_age, hold)


def drafted(place: int = 1):
    return answers(NVIDIA, chain()[place : place + 2], NOW)[0]


def step(reply: OcspReply, asked: OcspQuestion | None = None) -> str:
    found = verify_reply(reply, asked or question())
    assert isinstance(found, OcspDefect)
    assert found.reason.isprintable()
    return found.step.value


def test_a_good_answer_says_until_when():
    found = verify_reply(drafted().sign(), question())
    assert isinstance(found, OcspAnswer)
    assert found.fresh
    assert not found.held
    assert NOW in found.window
    assert found.window.end == NOW + timedelta(days=1)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("encoding", list(ocsp.OCSPResponderEncoding))
def test_answers_that_another_implementation_writes_are_read(algorithm, encoding):
    subject, issuer = chain()[1:3]
    responder = NVIDIA.responder(issuer)
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            subject.certificate,
            issuer.certificate,
            algorithm,
            ocsp.OCSPCertStatus.GOOD,
            now - timedelta(hours=1),
            now + timedelta(hours=1),
            None,
            None,
        )
        .responder_id(encoding, responder.certificate)
        .certificates([responder.certificate])
        .add_extension(x509.OCSPNonce(b"n" * 32), critical=False)
    )
    der = builder.sign(responder.key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)
    asked = question(now=now + timedelta(minutes=1))
    assert isinstance(verify_reply(OcspReply(der, Expected(b"n" * 32)), asked), OcspAnswer)
    assert step(OcspReply(der, Expected(b"m" * 32)), asked) == "nonce"


def test_what_the_simulator_writes_another_implementation_reads():
    draft = drafted()
    draft.status = revoked(NOW, CERTIFICATE_HOLD)
    found = ocsp.load_der_ocsp_response(draft.sign().response)
    assert found.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert found.revocation_reason is x509.ReasonFlags.certificate_hold
    assert found.serial_number == draft.subject.certificate.serial_number
    assert found.this_update_utc == draft.this_update
    own = OcspResponse.parse(draft.sign().response)
    assert (own.status, own.reason) == (CertificateStatus.REVOKED, 6)
    assert own.signed == found.tbs_response_bytes


def test_hold_is_admitted_by_its_own_word_only():
    draft = drafted()
    draft.status = revoked(NOW, CERTIFICATE_HOLD)
    assert step(draft.sign()) == "status"
    found = verify_reply(draft.sign(), question(hold=HoldPolicy.ADMIT))
    assert isinstance(found, OcspAnswer)
    assert found.held
    draft.status = revoked(NOW, 1)
    assert step(draft.sign(), question(hold=HoldPolicy.ADMIT)) == "status"


def test_an_answer_is_about_one_certificate_of_one_issuer():
    reply = drafted(place=2).sign()
    assert step(reply) == "subject"
    assert isinstance(verify_reply(reply, question(place=2)), OcspAnswer)


def test_a_question_without_a_nonce_gives_an_answer_that_is_not_fresh():
    reply = replace(drafted().sign(), nonce=Unchecked("asked without"))
    found = verify_reply(reply, question())
    assert isinstance(found, OcspAnswer)
    assert not found.fresh


def test_an_answer_without_a_next_date_has_an_age():
    draft = drafted()
    draft.next_update = None
    found = verify_reply(draft.sign(), question())
    assert isinstance(found, OcspAnswer)
    assert found.window.end == draft.this_update + WEEK
    assert step(draft.sign(), question(max_age=timedelta(minutes=1))) == "time"


@pytest.mark.parametrize("moment", [NOW + timedelta(days=2), NOW - timedelta(days=2)])
def test_outside_of_its_window_an_answer_is_none(moment):
    assert step(drafted().sign(), question(now=moment)) == "time"


def test_a_responder_with_a_critical_extension_that_is_unknown_is_refused():
    draft = drafted()
    usage = pki.SIGNER_USAGE
    profile = pki.Profile("NVIDIA OCSP responder", authority=None, usage=usage, ocsp_signing=True)
    plain = draft.issuer.issue(profile, draft.key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(plain.certificate.subject)
        .issuer_name(draft.issuer.certificate.subject)
        .public_key(draft.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - WEEK)
        .not_valid_after(NOW + WEEK)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]), critical=True)
        .add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True
        )
    )
    draft.responder = pki.Issued(draft.key, builder.sign(draft.issuer.key, hashes.SHA384()))
    draft.certificates = (draft.responder,)
    assert step(draft.sign()) == "responder"


def test_a_certificate_that_cannot_be_read_is_no_responder():
    draft = drafted()
    reply = draft.sign()
    der = draft.responder.der
    spoilt = reply.response.replace(der, der[:-200] + bytes(200))
    assert spoilt != reply.response
    assert step(replace(reply, response=spoilt)) == "responder"


def test_what_is_out_of_bounds_or_critical_and_unknown_is_refused():
    draft = drafted()
    draft.nonce = draft.asked = bytes(129)
    assert step(draft.sign()) == "layout"
    draft = drafted()
    draft.certificates = (draft.responder,) * 5
    assert step(draft.sign()) == "layout"
    draft = drafted()
    draft.critical = True
    assert step(draft.sign()) == "layout"


def test_a_responder_whose_key_is_no_point_is_none():
    draft = drafted()
    signed = draft.responder.certificate.tbs_certificate_bytes
    point = pki.spki(draft.key)[-97:]
    spoilt = signed.replace(point, point[:-1] + bytes([point[-1] ^ 1]), 1)
    draft.responder = pki.resigned(spoilt, draft.key, draft.issuer)
    draft.certificates = (draft.responder,)
    assert step(draft.sign()) == "responder"


def test_a_responder_with_more_purposes_than_any_is_none():
    draft = drafted()
    many = [x509.ObjectIdentifier(f"1.3.6.1.5.5.7.3.{number}") for number in range(1, 12)]
    certified(draft, (x509.ExtendedKeyUsage(many), False))
    assert step(draft.sign()) == "responder"


def test_errors_of_the_service_are_no_status():
    draft = drafted()
    for status in (1, 2, 3, 5, 6):
        draft.response_status = status
        with pytest.raises(ResponseStatusError):
            OcspResponse.parse(draft.sign().response)
        assert step(draft.sign()) == "layout"


def test_every_cut_is_refused():
    der = drafted().sign().response
    for length in range(len(der)):
        with pytest.raises(DerError):
            OcspResponse.parse(der[:length])
    with pytest.raises(DerError):
        OcspResponse.parse(der + b"\0")
    with pytest.raises(DerError):
        OcspResponse.parse(bytes(16385))


def test_every_flipped_bit_is_refused_or_nobody_signed_it():
    """Whatever is still accepted was not signed, and no claim rests on it: a certificate that came along."""
    reply = drafted().sign()
    tried = accepted = 0
    for position in range(0, 8 * len(reply.response), 7):
        offset, bit = divmod(position, 8)
        spoilt = bytearray(reply.response)
        spoilt[offset] ^= 1 << bit
        found = verify_reply(replace(reply, response=bytes(spoilt)), question())
        tried += 1
        accepted += isinstance(found, OcspAnswer)
    assert tried > 1000
    assert accepted == 0


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_defect_and_no_exception(data):
    assert step(OcspReply(data, Expected(b"n"))) == "layout"
