"""Bounds of OCSP answers, element by element, and what is said of each that is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from assay.evidence.decoding.der import DerError
from assay.evidence.ocsp import HoldPolicy, OcspAnswer, OcspDefect, OcspQuestion, verify_reply
from assay.evidence.ocsp.response import CertificateStatus, OcspResponse, ResponseStatusError
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.nvidia import pki
from assay.simulator.nvidia.answers import CERTIFICATE_HOLD, UNKNOWN, AnswerDraft, answers, revoked
from assay.simulator.nvidia.pki import tagged
from support.nvidia_scenes import NOW, NVIDIA, scene
from support.ocsp_responders import certified

HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
CHAIN = scene().report.chain
OID_BASIC = bytes.fromhex("06092b0601050507300101")
OID_NONCE = bytes.fromhex("06092b0601050507300102")
OID_OTHER = bytes.fromhex("06032a0304")
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
NAME = tagged(0xA1, CHAIN[2].certificate.subject.public_bytes())
KEY = tagged(0xA2, tagged(0x04, b"\x07" * 20))
TRUE = b"\x01\x01\xff"


def stamp(at: datetime) -> bytes:
    return tagged(0x18, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


def sequence(*parts: bytes) -> bytes:
    return tagged(0x30, b"".join(parts))


def extension(oid: bytes, value: bytes, critical: bytes = b"") -> bytes:
    return sequence(oid, critical, tagged(0x04, value))


SHA256 = bytes.fromhex("300d06096086480165030402010500")
IDENTITY = sequence(SHA256, tagged(4, b"n" * 32), tagged(4, b"k" * 32), b"\x02\x01\x05")
SINGLE = {
    "identity": IDENTITY,
    "status": b"\x80\x00",
    "updated": stamp(NOW),
    "due": tagged(0xA0, stamp(NOW + HOUR)),
    "more": b"",
}
DATA = {"responder": NAME, "produced": stamp(NOW + HOUR), "responses": b"", "extensions": b""}
BASIC = {
    "algorithm": ECDSA_SHA384,
    "signature": b"\x03\x03\x00\x01\x02",
    "certificates": b"",
    "behind": b"",
}
OUTER = {
    "state": b"\x0a\x01\x00",
    "oid": OID_BASIC,
    "typed": b"",
    "wrapped": b"",
    "last": b"",
    "content": b"",
}


def response(**changed: bytes) -> bytes:
    """Return an answer of which each element can be replaced, or followed by something; unsigned."""
    single = sequence(*(changed.get(name, value) for name, value in SINGLE.items()))
    data = {name: changed.get(name, value) for name, value in DATA.items()}
    data["responses"] = data["responses"] or sequence(single)
    basic = sequence(sequence(*data.values()), *(changed.get(name, value) for name, value in BASIC.items()))
    outer = {name: changed.get(name, value) for name, value in OUTER.items()}
    typed = sequence(outer["oid"], tagged(0x04, basic + outer["content"]), outer["typed"])
    return sequence(outer["state"], tagged(0xA0, typed + outer["wrapped"]), outer["last"])


def test_every_element_is_read():
    found = OcspResponse.parse(response())
    assert (found.responder_name, found.responder_key) == (NAME[2:], None)
    assert (found.produced_at, found.this_update) == (NOW + HOUR, NOW)
    assert found.next_update == NOW + HOUR
    assert (found.hash_name, found.issuer_name_hash, found.issuer_key_hash) == (
        "sha256",
        b"n" * 32,
        b"k" * 32,
    )
    assert (found.serial, found.status, found.reason) == (b"\5", CertificateStatus.GOOD, None)
    assert (found.signature, found.certificates, found.nonce) == (b"\1\2", (), None)
    single = sequence(*SINGLE.values())
    assert found.signed == sequence(NAME, stamp(NOW + HOUR), sequence(single))
    assert found.algorithm.value == "ecdsa-sha384"


def test_elements_that_need_not_be_there():
    found = OcspResponse.parse(response(responder=KEY, due=b""))
    assert (found.responder_name, found.responder_key) == (None, b"\x07" * 20)
    assert found.next_update is None
    found = OcspResponse.parse(
        response(
            extensions=tagged(
                0xA1, sequence(extension(OID_NONCE, b"\x04\x02ab", TRUE), extension(OID_OTHER, b"x"))
            ),
            more=tagged(0xA1, sequence(extension(OID_OTHER, b"x"))),
        )
    )
    assert found.nonce == b"ab"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (b"\x82\x00", (CertificateStatus.UNKNOWN, None)),
        (tagged(0xA1, stamp(NOW)), (CertificateStatus.REVOKED, None)),
        (tagged(0xA1, stamp(NOW) + tagged(0xA0, b"\x0a\x01\x06")), (CertificateStatus.REVOKED, 6)),
        (tagged(0xA1, stamp(NOW) + tagged(0xA0, b"\x0a\x01\x00")), (CertificateStatus.REVOKED, 0)),
    ],
)
def test_each_status(status, expected):
    found = OcspResponse.parse(response(status=status))
    assert (found.status, found.reason) == expected


JUNK = b"\x05\x00"
REFUSED = {
    "responder under another tag": {"responder": b"\xa3" + KEY[1:]},
    "version beyond 1": {"responder": tagged(0xA0, b"\x02\x01\x01") + NAME},
    "octets under the tag of a version": {"responder": b"\xa0" + KEY[1:]},
    "name with something behind it": {"responder": tagged(0xA1, NAME[2:] + JUNK)},
    "key with something behind it": {"responder": tagged(0xA2, KEY[2:] + JUNK)},
    "two responses": {"responses": sequence(sequence(*SINGLE.values()) * 2)},
    "response with something behind it": {"responses": sequence(sequence(*SINGLE.values()), JUNK)},
    "no response": {"responses": sequence()},
    "good with content": {"status": b"\x80\x01\x00"},
    "unknown with content": {"status": b"\x82\x01\x00"},
    "status under another tag": {"status": b"\x83\x00"},
    "revoked with something behind it": {"status": tagged(0xA1, stamp(NOW) + JUNK)},
    "revoked with a reason and more": {
        "status": tagged(0xA1, stamp(NOW) + tagged(0xA0, b"\x0a\x01\x01") + JUNK)
    },
    "reason with something behind it": {
        "status": tagged(0xA1, stamp(NOW) + tagged(0xA0, b"\x0a\x01\x01" + JUNK))
    },
    "reason that is an integer": {"status": tagged(0xA1, stamp(NOW) + tagged(0xA0, b"\x02\x01\x01"))},
    "next date with something behind it": {"due": tagged(0xA0, stamp(NOW) + JUNK)},
    "single response with something behind it": {"more": JUNK},
    "single response with extensions and more": {
        "more": tagged(0xA1, sequence(extension(OID_OTHER, b"x"))) + JUNK
    },
    "critical extension of a single response": {
        "more": tagged(0xA1, sequence(extension(OID_OTHER, b"x", TRUE)))
    },
    "critical extension of the response": {
        "extensions": tagged(0xA1, sequence(extension(OID_OTHER, b"x", TRUE)))
    },
    "response data with something behind them": {"extensions": JUNK},
    "nonce with something behind it": {
        "extensions": tagged(0xA1, sequence(extension(OID_NONCE, b"\x04\x01a\x00")))
    },
    "identity with something behind it": {
        "identity": sequence(SHA256, tagged(4, b"n"), tagged(4, b"k"), b"\x02\x01\x05", JUNK)
    },
    "digest that nobody knows": {
        "identity": sequence(sequence(OID_OTHER), tagged(4, b"n"), tagged(4, b"k"), b"\x02\x01\x05")
    },
    "algorithm that nobody knows": {"algorithm": sequence(OID_OTHER)},
    "signature of half a byte": {"signature": b"\x03\x02\x04\x10"},
    "certificates with something behind them": {"certificates": tagged(0xA0, sequence() + JUNK)},
    "something behind the certificates": {"behind": JUNK},
    "something behind the basic response": {"content": JUNK},
    "something behind the typed response": {"typed": JUNK},
    "something in the wrapper": {"wrapped": JUNK},
    "something behind all of it": {"last": JUNK},
    "another type of response": {"oid": OID_NONCE},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_answer(name):
    with pytest.raises(DerError) as caught:
        OcspResponse.parse(response(**REFUSED[name]))
    assert not isinstance(caught.value, ResponseStatusError)


@pytest.mark.parametrize("state", [1, 2, 6])
def test_what_a_service_answers_instead(state):
    with pytest.raises(ResponseStatusError, match=f"error {state}\\."):
        OcspResponse.parse(response(state=bytes([0x0A, 1, state])))


@pytest.mark.parametrize(("size", "accepted"), [(0, False), (1, True), (128, True), (129, False)])
def test_a_nonce_has_1_to_128_bytes(size, accepted):
    der = response(extensions=tagged(0xA1, sequence(extension(OID_NONCE, tagged(0x04, b"x" * size)))))
    if accepted:
        assert OcspResponse.parse(der).nonce == b"x" * size
        return
    with pytest.raises(DerError, match="1 to 128 bytes"):
        OcspResponse.parse(der)


@pytest.mark.parametrize(("count", "accepted"), [(0, True), (4, True), (5, False)])
def test_an_answer_carries_at_most_four_certificates(count, accepted):
    certificate = sequence(b"\x02\x01\x07")
    der = response(certificates=tagged(0xA0, sequence(certificate * count)))
    if accepted:
        assert OcspResponse.parse(der).certificates == (certificate,) * count
        return
    with pytest.raises(DerError, match="more than 4 certificates"):
        OcspResponse.parse(der)


def test_an_answer_has_at_most_16384_bytes():
    def filled(size: int) -> bytes:
        return response(certificates=tagged(0xA0, sequence(tagged(0x30, bytes(size)))))

    size = 16384 - len(filled(10000)) + 10000
    assert len(filled(size)) == 16384
    assert OcspResponse.parse(filled(size)).certificates == (tagged(0x30, bytes(size)),)
    with pytest.raises(DerError, match="16384 bytes"):
        OcspResponse.parse(filled(size + 1))


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("06052b0e03021a", "sha1"),
        ("06052b0e03021a0500", "sha1"),
        ("0609608648016503040201", "sha256"),
        ("0609608648016503040202", "sha384"),
        ("06096086480165030402020500", "sha384"),
        ("0609608648016503040203", "sha512"),
        ("06096086480165030402030500", "sha512"),
    ],
)
def test_the_digests_that_may_name_an_issuer(algorithm, name):
    identity = sequence(
        tagged(0x30, bytes.fromhex(algorithm)), tagged(4, b"n"), tagged(4, b"k"), b"\x02\x01\x05"
    )
    assert OcspResponse.parse(response(identity=identity)).hash_name == name


# --- Verification


def drafted() -> AnswerDraft:
    return answers(NVIDIA, CHAIN[1:3], NOW)[0]


def verified(draft: AnswerDraft, *, now: datetime = NOW, hold=HoldPolicy.REFUSE, max_age=WEEK):
    subject, issuer = (GeneralCertificate.parse(issued.der) for issued in CHAIN[1:3])
    return verify_reply(draft.sign(), OcspQuestion(subject, issuer, now, max_age, hold))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (UNKNOWN, "The certificate is unknown to the OCSP service."),
        (revoked(NOW, CERTIFICATE_HOLD), "The certificate is on hold."),
        (revoked(NOW, None), "The certificate is revoked."),
        (revoked(NOW, 0), "The certificate is revoked (reason 0)."),
        (revoked(NOW, 5), "The certificate is revoked (reason 5)."),
    ],
)
def test_what_is_said_of_each_status(status, said):
    draft = drafted()
    draft.status = status
    assert verified(draft) == OcspDefect("status", said)


def test_only_hold_is_admitted():
    draft = drafted()
    for reason, held in ((CERTIFICATE_HOLD, True), (5, False), (7, False), (None, False)):
        draft.status = revoked(NOW, reason)
        found = verified(draft, hold=HoldPolicy.ADMIT)
        assert isinstance(found, OcspAnswer) is held
        assert not held or found.held
    draft.status = UNKNOWN
    assert isinstance(verified(draft, hold=HoldPolicy.ADMIT), OcspDefect)


def test_an_answer_holds_from_its_first_to_its_last_second():
    draft = drafted()
    draft.this_update, draft.produced_at, draft.next_update = NOW - HOUR, NOW, NOW + HOUR
    second = timedelta(seconds=1)
    for at in (NOW, NOW + HOUR):
        found = verified(draft, now=at)
        assert (found.window.start, found.window.end) == (NOW, NOW + HOUR)
    assert verified(draft, now=NOW - second) == OcspDefect("time", "The OCSP answer is of the future.")
    late = f"The OCSP answer was due again at {(NOW + HOUR).isoformat()}."
    assert verified(draft, now=NOW + HOUR + second) == OcspDefect("time", late)
    draft.produced_at = NOW - HOUR
    found = verified(draft, now=NOW - HOUR)
    assert (found.window.start, found.window.end) == (NOW - HOUR, NOW + HOUR)
    draft.produced_at -= second
    early = "The OCSP answer was signed before its status was known."
    assert verified(draft) == OcspDefect("time", early)


def test_an_answer_without_a_next_date_holds_as_long_as_the_caller_says():
    draft = drafted()
    draft.next_update = None
    assert verified(draft, max_age=HOUR).window.end == draft.this_update + HOUR == NOW
    assert verified(draft, max_age=HOUR - timedelta(seconds=1)).step == "time"


def test_an_answer_of_the_last_year_is_of_the_future():
    """To add the greatest age to its date would leave the years that there are."""
    draft = drafted()
    draft.next_update = None
    draft.this_update = draft.produced_at = datetime(9999, 12, 31, tzinfo=UTC)
    assert verified(draft) == OcspDefect("time", "The OCSP answer is of the future.")


def test_a_window_ends_with_the_responder():
    draft = drafted()
    profile = pki.Profile(
        "NVIDIA OCSP responder",
        authority=None,
        usage=pki.SIGNER_USAGE,
        ocsp_signing=True,
        not_before=NOW - HOUR / 4,
        not_after=NOW + HOUR / 4,
    )
    draft.responder = draft.issuer.issue(profile, draft.key)
    draft.certificates = (draft.responder,)
    window = verified(draft).window
    assert (window.start, window.end) == (NOW - HOUR / 4, NOW + HOUR / 4)
    for at in (window.start - timedelta(seconds=1), window.end + timedelta(seconds=1)):
        found = verified(draft, now=at)
        assert (found.step, "not valid at the given time" in found.reason) == ("responder", True)


def purposes(count: int, *, own: bool = True) -> tuple[x509.ExtensionType, bool]:
    oids = [x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{number}") for number in range(count - own)]
    return x509.ExtendedKeyUsage([*oids, *([x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING] * own)]), False


def usage(*names: str) -> tuple[x509.ExtensionType, bool]:
    known = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign "
        "crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: name in names for name in known.split()}), True


NOT_NULL = x509.UnrecognizedExtension(x509.oid.ExtensionOID.OCSP_NO_CHECK, b"\x04\x00")


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        ((purposes(1),), ""),
        ((purposes(8),), ""),
        ((purposes(9),), "more purposes"),
        ((purposes(1, own=False),), "not certified for that"),
        ((purposes(2, own=False),), "not certified for that"),
        ((), "not certified for that"),
        ((purposes(1), usage("digital_signature")), ""),
        ((purposes(1), usage("digital_signature", "crl_sign")), ""),
        ((purposes(1), usage("content_commitment")), "another key usage"),
        ((purposes(1), usage("digital_signature", "key_cert_sign")), "another key usage"),
        ((purposes(1), (x509.BasicConstraints(ca=False, path_length=None), True)), ""),
        ((purposes(1), (x509.OCSPNoCheck(), False)), ""),
        ((purposes(1), (x509.OCSPNoCheck(), True)), ""),
        ((purposes(1), (NOT_NULL, True)), "not certified for that"),
        ((purposes(1), (NOT_NULL, False)), ""),
    ],
)
def test_what_a_responder_is_certified_for(extensions, said):
    found = verified(certified(drafted(), *extensions))
    if not said:
        assert isinstance(found, OcspAnswer)
        return
    assert (found.step, said in found.reason) == ("responder", True)


@pytest.mark.parametrize(
    ("extensions", "unasked"),
    [
        ((), True),
        (((x509.OCSPNoCheck(), False),), False),
        (((x509.OCSPNoCheck(), True),), False),
        (((NOT_NULL, False),), True),
    ],
)
def test_a_delegate_may_be_revoked_unless_its_issuer_says_that_nobody_needs_to_ask(extensions, unasked):
    """RFC 6960 section 4.2.2.2.1; the answer counts either way, and says which it is."""
    found = verified(certified(drafted(), purposes(1), *extensions))
    assert isinstance(found, OcspAnswer)
    assert found.responder_unasked is unasked


def test_the_responder_is_found_among_those_that_come_along():
    draft = drafted()
    right = draft.certificates[0]
    draft.certificates = (CHAIN[3], right)
    assert isinstance(verified(draft), OcspAnswer)
    draft.by_key = True
    assert isinstance(verified(draft), OcspAnswer)
    draft.certificates = (CHAIN[3],)
    found = verified(draft)
    assert (found.step, "is not there" in found.reason) == ("responder", True)


@pytest.mark.parametrize("by_key", [True, False])
def test_the_issuer_may_answer_itself(by_key):
    draft = drafted()
    draft.responder, draft.key, draft.certificates = draft.issuer, draft.issuer.key, ()
    draft.by_key = by_key
    found = verified(draft)
    assert isinstance(found, OcspAnswer)
    assert found.fresh
    assert not found.responder_unasked  # its own status is the question of another answer


def test_each_digest_of_the_identity_is_compared():
    draft = drafted()
    assert isinstance(verified(draft), OcspAnswer)
    der = draft.sign().response
    name = hashlib.sha384(draft.issuer.certificate.subject.public_bytes()).digest()
    key = hashlib.sha384(pki.spki(draft.issuer.key)[23:]).digest()
    for part in (name, key):
        assert der.count(part) == 1
        changed = replace(draft.sign(), response=der.replace(part, part[:-1] + bytes([part[-1] ^ 1])))
        subject, issuer = (GeneralCertificate.parse(issued.der) for issued in CHAIN[1:3])
        found = verify_reply(changed, OcspQuestion(subject, issuer, NOW, WEEK, HoldPolicy.REFUSE))
        assert found == OcspDefect("subject", "The OCSP answer is about another certificate.")


def test_what_is_said_of_a_nonce_and_a_signature():
    draft = drafted()
    draft.nonce = b"other"
    said = "The OCSP answer does not carry the nonce of its question."
    assert verified(draft) == OcspDefect("nonce", said)
    draft = drafted()
    draft.key = CHAIN[3].key
    said = "The signature of the OCSP answer is not its responder's."
    assert verified(draft) == OcspDefect("signature", said)


@pytest.mark.parametrize("carried", [None, b"\0", b"x"])
def test_a_question_with_an_empty_nonce_has_no_fresh_answer(carried):
    draft = drafted()
    draft.asked, draft.nonce = b"", carried
    assert verified(draft).step == "nonce"


def test_an_answer_that_was_made_when_it_was_due_again_is_late():
    draft = drafted()
    draft.next_update, draft.produced_at = NOW - timedelta(seconds=1), NOW
    late = f"The OCSP answer was due again at {(NOW - timedelta(seconds=1)).isoformat()}."
    assert verified(draft) == OcspDefect("time", late)


@pytest.mark.parametrize(("behind", "accepted"), [(b"", True), (b"\0", False)])
def test_nothing_stands_behind_the_purposes_of_a_responder(behind, accepted):
    value = sequence(bytes.fromhex("06082b06010505070309")) + behind
    held = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), value)
    found = verified(certified(drafted(), (held, True)))
    assert isinstance(found, OcspAnswer) is accepted
    assert accepted or found.step == "responder"
