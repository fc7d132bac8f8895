"""Each check of a reference integrity manifest has inputs that it alone refuses; XML keeps to its bounds."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import random
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.facts import FactCache
from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.ocsp import HoldPolicy, OcspReply
from assay.evidence.verification import Expected, Unchecked
from assay.reference.rim import checks, verify_rim
from assay.reference.rim.manifest import read_manifest
from assay.reference.rim.xml import XmlError, canonical, parse
from assay.simulator.nvidia import Scene, pki
from assay.simulator.nvidia.answers import CERTIFICATE_HOLD, KEY_COMPROMISE, UNKNOWN, revoked
from assay.simulator.nvidia.manifest import signer_chain, signer_profile
from support import vectors
from support.nvidia_scenes import NOW, NVIDIA, STRANGER, rim, roots, scene
from support.nvidia_vectors import manifest, moment

DAY = timedelta(days=1)
REAL = "nvidia/nv-attestation-sdk/NV_GPU_DRIVER_GH100_550.144.03.xml"
REAL_AT = "2025-12-30T16:56:50Z"


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    spoil: Callable[[Scene], None]


DEFECTS: list[Defect] = []


def proves(spec: CheckSpec, code: str = ""):
    """Register a function that spoils the driver's manifest so that only ``spec`` refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, spoil))
        return spoil

    return register


def draft(stage):
    return stage.drivers[0].draft


def replied(stage, place: int = 0):
    return stage.manifest_answers(stage.drivers[0])[place]


def textual(spec: CheckSpec, name: str, before: str, after: str, *, signed: bool = True) -> None:
    """Register the replacement of a piece of text, before the tag is signed or after."""

    def spoil(stage):
        if signed:
            draft(stage).before_signing = lambda tag: changed(tag, before, after)
        else:
            draft(stage).after = lambda data: changed(data.decode(), before, after).encode()

    spoil.__name__ = name
    proves(spec)(spoil)


def changed(text: str, before: str, after: str) -> str:
    assert before in text
    return text.replace(before, after, 1)


def test_nothing_is_wrong_without_a_defect():
    stage = scene()
    evidence = stage.finish()
    made = (*stage.drivers, *stage.firmware)
    for signed, presented in zip((*evidence.drivers, *evidence.firmware), made, strict=True):
        found = rim(signed)
        assert found.verified
        assert found.anchor.simulated
        assert found.golden.product == "GH100"
        assert found.golden.active == {
            index: frozenset(values) for index, (active, values) in presented.draft.values.items() if active
        }
        assert (found.manifest.name, found.manifest.edition) == ("GH100", "GPU")
        assert found.golden.version == presented.draft.version == found.manifest.colloquial_version
        assert found.golden.manifest_id == found.manifest.tag_id
        assert found.golden.digest == hashlib.sha256(presented.draft.tag().encode()).digest()
        assert len(found.golden.active) > 10
        assert found.golden.listed == frozenset(range(64))
        assert not found.golden.held
        assert "golden" not in repr(found)


# --- XML

DOCTYPE = '<!DOCTYPE SoftwareIdentity [<!ENTITY x "y">]>'
EXTERNAL = '<!DOCTYPE SoftwareIdentity SYSTEM "http://127.0.0.1/x.dtd">'
HEAD = "<SoftwareIdentity"
for _name, _before, _after in (
    ("document_type", HEAD, DOCTYPE + HEAD),
    ("external_document_type", HEAD, EXTERNAL + HEAD),
    ("undeclared_entity", "</ns0:Payload>", "&x;</ns0:Payload>"),
    ("comment", "</ns0:Payload>", "<!-- 1 --></ns0:Payload>"),
    ("comment_before", HEAD, "<!-- 1 -->" + HEAD),
    ("processing_instruction", "</ns0:Payload>", "<?php 1?></ns0:Payload>"),
    ("cdata", "</ns0:Payload>", "<![CDATA[ ]]></ns0:Payload>"),
    ("byte_order_mark", HEAD, "\ufeff" + HEAD),
    ("xml_1_1", HEAD, '<?xml version="1.1"?>' + HEAD),
    ("another_encoding", HEAD, '<?xml version="1.0" encoding="ISO-8859-1"?>' + HEAD),
    ("xml_attribute", "<ns0:Payload>", '<ns0:Payload xml:base="x">'),
    ("prefix_that_is_not_declared", "<ns0:Payload>", '<ns0:Payload n9:a="x">'),
    ("prefix_that_is_xml", "<ns0:Payload>", '<ns0:Payload xmlns:xml="x">'),
    ("attribute_twice", "<ns0:Payload>", '<ns0:Payload a="1" a="2">'),
    ("element_that_does_not_end", "</ns0:Payload>", "<a></ns0:Payload>"),
    ("nul", "</ns0:Payload>", "\0</ns0:Payload>"),
    ("two_roots", "</SoftwareIdentity>", "</SoftwareIdentity><a></a>"),
):
    textual(checks.XML, _name, _before, _after, signed=False)


@proves(checks.XML)
def attribute_twice_under_two_prefixes(stage):
    draft(stage).after = lambda data: data.replace(
        b"<ns0:Payload>", b'<ns0:Payload xmlns:a="u" xmlns:b="u" a:x="1" b:x="2">'
    )


@proves(checks.XML)
def too_deep(stage):
    nested = b"<a>" * 20 + b"</a>" * 20
    draft(stage).after = lambda data: data.replace(b"<ns0:Payload>", b"<ns0:Payload>" + nested)


@proves(checks.XML)
def too_many_elements(stage):
    draft(stage).after = lambda data: data.replace(b"<ns0:Payload>", b"<ns0:Payload>" + b"<a/>" * 5000)


@proves(checks.XML)
def too_many_attributes(stage):
    many = " ".join(f'a{n}="1"' for n in range(70)).encode()
    draft(stage).after = lambda data: data.replace(b"<ns0:Payload>", b"<ns0:Payload " + many + b">")


@proves(checks.XML)
def oversized(stage):
    draft(stage).after = lambda data: data + b" " * (1 << 20)


@proves(checks.XML)
def not_utf8(stage):
    draft(stage).after = lambda data: data.replace(b"NVIDIA", b"NVIDI\xff", 1)


@proves(checks.XML)
def nothing(stage):
    draft(stage).after = lambda data: b""


# --- The tag

textual(checks.LAYOUT, "another_namespace", "<ns0:Payload>", '<ns0:Payload xmlns:ns0="urn:x">', signed=False)
textual(checks.LAYOUT, "two_payloads", "<ns0:Payload>", "<ns0:Payload></ns0:Payload><ns0:Payload>")
textual(checks.LAYOUT, "text_in_the_tag", "<ns0:Payload>", "x<ns0:Payload>")
textual(checks.LAYOUT, "no_version", ' colloquialVersion="590.12"', "")
textual(checks.LAYOUT, "version_that_a_terminal_would_obey", "590.12", "590\u202e12")
textual(checks.LAYOUT, "version_of_two_lines", "590.12", "590&#xA;12")
textual(checks.LAYOUT, "version_that_is_not_ascii", "590.12", "590.\u00e9")
textual(checks.LAYOUT, "version_that_is_too_long", "590.12", "5" * 129)
textual(checks.LAYOUT, "no_tag_id", " tagId=", " tag=")
textual(checks.LAYOUT, "no_product", ' product="GH100"', ' product=""')
textual(checks.LAYOUT, "something_else_in_the_payload", "<ns0:Payload>", "<ns0:Payload><ns0:File></ns0:File>")


@proves(checks.LAYOUT)
def two_signatures(stage):
    def double(data):
        at, end = data.index(b"<ds:Signature "), data.index(b"</SoftwareIdentity>")
        return data[:end] + data[at:end] + data[end:]

    draft(stage).after = double


@proves(checks.LAYOUT)
def signature_inside_of_another_element(stage):
    """The wrapped form: a genuine signed tag inside of a tag that says something else."""

    def wrap(data):
        return data.replace(b"</ns0:Payload>", b"</ns0:Payload>" + data, 1)

    draft(stage).after = wrap


@proves(checks.LAYOUT)
def another_document(stage):
    draft(stage).after = lambda data: b"<a></a>"


# --- The form of the signature


@proves(checks.FORM)
def another_canonicalization(stage):
    first = draft(stage).algorithms
    draft(stage).algorithms = ("http://www.w3.org/2001/10/xml-exc-c14n#", *first[1:])


@proves(checks.FORM)
def another_signature_algorithm(stage):
    first = draft(stage).algorithms
    draft(stage).algorithms = (
        first[0],
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha384",
        *first[2:],
    )


@proves(checks.FORM)
def another_transform(stage):
    first = draft(stage).algorithms
    draft(stage).algorithms = (*first[:3], "http://www.w3.org/TR/1999/REC-xslt-19991116", first[4])


@proves(checks.FORM)
def another_digest(stage):
    draft(stage).algorithms = (*draft(stage).algorithms[:4], "http://www.w3.org/2000/09/xmldsig#sha1")


@proves(checks.FORM)
def reference_to_a_part(stage):
    draft(stage).reference = "#payload"


@proves(checks.FORM)
def no_reference(stage):
    draft(stage).after_digest = lambda info: info[: info.index("<ds:Reference")]


@proves(checks.FORM)
def two_references(stage):
    draft(stage).after_digest = lambda info: info + info[info.index("<ds:Reference") :]


@proves(checks.FORM)
def parameters_of_an_algorithm(stage):
    draft(stage).after_digest = lambda info: changed(
        info, "</ds:SignatureMethod>", "<ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>"
    )


textual(
    checks.FORM,
    "signature_with_an_attribute",
    "<ds:SignatureValue>",
    '<ds:SignatureValue a="1">',
    signed=False,
)
textual(
    checks.XML,
    "element_within_the_signature",
    "<ds:SignatureValue>",
    "<ds:SignatureValue><a></a>",
    signed=False,
)
textual(checks.FORM, "short_signature", "<ds:SignatureValue>", "<ds:SignatureValue>AAAA", signed=False)
textual(
    checks.FORM, "signature_that_is_no_base64", "<ds:SignatureValue>", "<ds:SignatureValue>!", signed=False
)

# --- The measurements

INDEX = 'index="3"'
textual(checks.MEASUREMENTS, "index_twice", INDEX, 'index="4"')
textual(checks.MEASUREMENTS, "index_with_a_zero", INDEX, 'index="03"')
textual(checks.MEASUREMENTS, "no_index", INDEX, 'place="3"')
textual(checks.MEASUREMENTS, "state_that_is_none", 'active="False"', 'active="false"')
textual(checks.MEASUREMENTS, "another_size", 'size="48"', 'size="32"')
textual(checks.MEASUREMENTS, "fewer_values", 'alternatives="2"', 'alternatives="3"')
textual(checks.MEASUREMENTS, "more_values", 'alternatives="2"', 'alternatives="1"')
textual(checks.MEASUREMENTS, "no_values", 'alternatives="2"', 'alternatives="0"')
textual(checks.MEASUREMENTS, "another_type", 'type="Measurement"', 'type="File"')
textual(checks.MEASUREMENTS, "value_that_is_no_digest", 'ns2:Hash0="', 'ns2:Hash0="0')


@proves(checks.MEASUREMENTS)
def nothing_is_active(stage):
    """An empty set of golden values approves everything where it is not refused."""
    values = draft(stage).values
    for index, (_, alternatives) in values.items():
        values[index] = (False, alternatives)


@proves(checks.MEASUREMENTS)
def no_values_at_all(stage):
    draft(stage).values[3] = (True, ())


@proves(checks.MEASUREMENTS)
def number_of_values_with_a_zero(stage):
    draft(stage).values[3] = (True, (bytes(48),))
    draft(stage).before_signing = lambda tag: changed(tag, 'alternatives="1"', 'alternatives="01"')


@proves(checks.MEASUREMENTS)
def no_measurements(stage):
    draft(stage).values = {}


@proves(checks.MEASUREMENTS)
def too_many_measurements(stage):
    draft(stage).values = {index: (True, (bytes(48),)) for index in range(257)}


# --- Chain, digest, signature


def reissued(stage, place: int, **changes) -> None:
    product = draft(stage).name
    chain = draft(stage).chain
    profiles = [
        signer_profile(product),
        pki.Profile(f"NVIDIA Reference Value L3 {product} 001"),
        pki.Profile(f"NVIDIA Reference Value {product} CA"),
    ]
    profiles[place] = replace(profiles[place], **changes)
    for at in range(place, -1, -1):
        chain[at] = chain[at + 1].issue(profiles[at], chain[at].key)


@proves(checks.CHAIN_LAYOUT)
def three_certificates(stage):
    replied(stage)
    del draft(stage).chain[2]


@proves(checks.CHAIN_LAYOUT)
def certificate_that_is_none(stage):
    draft(stage).after = lambda data: data.replace(b"<ds:X509Certificate>MII", b"<ds:X509Certificate>MIA", 1)


@proves(checks.CHAIN_LAYOUT)
def certificate_that_is_no_base64(stage):
    draft(stage).after = lambda data: data.replace(b"<ds:X509Certificate>", b"<ds:X509Certificate>!", 1)


def rooted(stage, root: bytes) -> None:
    """Write another root, in base64; none of the signatures covers it."""

    def after(data):
        at, end = (
            data.rindex(b"<ds:X509Certificate>") + len("<ds:X509Certificate>"),
            data.rindex(b"</ds:X509Certificate>"),
        )
        return data[:at] + root + data[end:]

    draft(stage).after = after


@proves(checks.CHAIN_LAYOUT)
def root_without_a_byte(stage):
    rooted(stage, b"")


@proves(checks.CHAIN_LAYOUT)
def root_whose_base64_has_bits_left_over(stage):
    rooted(stage, b"QR==")


@proves(checks.CHAIN_LAYOUT)
def root_longer_than_certificates_are(stage):
    rooted(stage, b64encode(bytes(8193)))


@proves(checks.CHAIN_LAYOUT)
def signer_whose_key_is_no_point(stage):
    der = draft(stage).chain[0].der
    point = pki.spki(draft(stage).chain[0].key)[-96:]
    assert point in der
    broken = der.replace(point, point[:-1] + bytes([point[-1] ^ 1]))
    draft(stage).after = lambda data: data.replace(b64encode(der), b64encode(broken))


@proves(checks.CHAIN_LAYOUT)
def signer_longer_than_signers_are(stage):
    sized(stage, 2049)


def sized(stage, size: int) -> None:
    """Issue the signer's certificate anew, of this size."""
    padding = 1000
    for fill in range(64):  # signatures differ in size by a byte or two
        reissued(stage, 0, extension=("1.3.6.1.4.1.99999.1", bytes([fill]) * padding))
        found = len(draft(stage).chain[0].der)
        if found == size:
            return
        padding += size - found if fill == 0 else 0
    pytest.fail("no certificate of this size")


@proves(checks.CHAIN_ROOT)
def root_of_one_byte(stage):
    rooted(stage, b"QQ==")


@proves(checks.CHAIN_ROOT)
def root_as_long_as_certificates_are(stage):
    rooted(stage, b64encode(bytes(8192)))


@proves(checks.CHAIN_ROOT)
def root_of_somebody_else(stage):
    draft(stage).chain = signer_chain(STRANGER, "GH100")


@proves(checks.CHAIN_ROOT)
def root_of_devices(stage):
    """A chain to the other root of the same vendor: good for devices, for no manifest."""
    draft(stage).chain[-1] = NVIDIA.device_root


@proves(checks.CHAIN_ROLE)
def signer_that_may_issue(stage):
    reissued(stage, 0, authority=True)


@proves(checks.CHAIN_ROLE)
def signer_with_another_usage(stage):
    reissued(stage, 0, usage=frozenset({"key_agreement"}))


@proves(checks.CHAIN_ROLE)
def signer_with_the_name_of_a_device(stage):
    reissued(stage, 0, common_name="GH100 A01 GSP FMC LF")


@proves(checks.CHAIN_ROLE)
def authority_that_is_none(stage):
    reissued(stage, 1, authority=False)


@proves(checks.CHAIN_ROLE)
def authority_with_another_name(stage):
    reissued(stage, 2, common_name="NVIDIA GH100 Identity")


@proves(checks.CHAIN_SIGNATURE)
def signer_certified_by_another_key(stage):
    chain = draft(stage).chain
    chain[0] = pki.forged(signer_profile("GH100"), chain[0].key, chain[1], chain[2])


@proves(checks.CHAIN_SIGNATURE, "rim.chain.issuer")
def signer_that_names_another_issuer(stage):
    reissued(stage, 0, issuer_name="NVIDIA Reference Value L3 GB100 001")


@proves(checks.CHAIN_VALIDITY)
def expired_signer(stage):
    reissued(stage, 0, not_after=NOW - DAY)


textual(checks.DIGEST, "another_version_than_signed", '"590.12"', '"590.13"', signed=False)
textual(checks.DIGEST, "measurement_made_active", 'active="False"', 'active="True"', signed=False)
textual(checks.DIGEST, "space_that_was_not_signed", "</ns0:Payload>", " </ns0:Payload>", signed=False)


@proves(checks.SIGNATURE)
def signed_by_somebody_else(stage):
    chain = draft(stage).chain
    chain[0] = pki.Issued(NVIDIA.key("forger"), chain[0].certificate)


# --- Revocation


@proves(checks.REVOCATION, "rim.revocation.status")
def revoked_signer(stage):
    replied(stage).status = revoked(NOW - DAY, KEY_COMPROMISE)


@proves(checks.REVOCATION, "rim.revocation.status")
def signer_on_hold(stage):
    replied(stage).status = revoked(NOW - DAY, CERTIFICATE_HOLD)


@proves(checks.REVOCATION, "rim.revocation.status")
def unknown_authority(stage):
    replied(stage, 2).status = UNKNOWN


@proves(checks.REVOCATION, "rim.revocation.time")
def stale_answer(stage):
    found = replied(stage)
    found.this_update = found.produced_at = NOW - 3 * DAY
    found.next_update = NOW - DAY


@proves(checks.REVOCATION, "rim.revocation.time")
def answer_that_does_not_say_when_the_next_is_due(stage):
    undated(stage, 7 * DAY + timedelta(seconds=1))


def undated(stage, age: timedelta) -> None:
    found = replied(stage)
    found.this_update = found.produced_at = NOW - age
    found.next_update = None


@proves(checks.REVOCATION, "rim.revocation.subject")
def answer_about_another_certificate(stage):
    replied(stage).serial = 4711


@proves(checks.REVOCATION, "rim.revocation.nonce")
def answer_to_another_question(stage):
    replied(stage).nonce = bytes(32)


@proves(checks.REVOCATION, "rim.revocation.signature")
def answer_signed_by_somebody_else(stage):
    replied(stage).key = NVIDIA.key("forger")


@proves(checks.REVOCATION, "rim.revocation.responder")
def answer_of_no_responder(stage):
    replied(stage).certificates = ()


@proves(checks.REVOCATION, "rim.revocation.layout")
def answer_that_is_none(stage):
    replied(stage).after = lambda der: der[:-1]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.spec.id}-{defect.name}")
def test_only_this_check_refuses(defect):
    stage = scene()
    defect.spoil(stage)
    found = rim(stage.finish().drivers[0])
    assert not found.verified
    assert {(check.spec.id, check.code) for check in found.ledger.failed()} == {(defect.spec.id, defect.code)}
    before = checks.RIM_CHECKS[: checks.RIM_CHECKS.index(defect.spec)]
    assert {check.spec for check in found.ledger if check.outcome is Outcome.PASSED} >= set(before)
    with pytest.raises(ReferenceValueError) as error:
        _ = found.golden
    assert error.value.code == "rim.unverified"


def values_of(count: int):
    return {index: (True, (bytes(48),)) for index in range(count)}


@pytest.mark.parametrize(
    "change",
    [
        lambda stage: setattr(draft(stage), "values", values_of(256)),
        lambda stage: setattr(
            draft(stage), "values", {999: (True, tuple(bytes([at]) * 48 for at in range(10)))}
        ),
        lambda stage: setattr(draft(stage), "version", "5" * 128),
        lambda stage: sized(stage, 2048),
        lambda stage: undated(stage, 7 * DAY),
    ],
    ids=["measurements", "alternatives", "text", "certificate", "age"],
)
def test_a_manifest_at_a_bound_is_verified(change):
    stage = scene()
    change(stage)
    found = rim(stage.finish().drivers[0])
    assert found.ledger.unmet() == ()
    assert found.golden.version == draft(stage).version


@pytest.mark.parametrize(
    ("first", "second"),
    [("no_product", "another_digest"), ("short_signature", "no_measurements")],
)
def test_of_two_defects_the_one_that_is_looked_for_first_is_named(first, second):
    """A check counts as passed only where all of it was made."""
    by_name = {defect.name: defect for defect in DEFECTS}
    stage = scene()
    for name in (second, first):
        by_name[name].spoil(stage)
    found = rim(stage.finish().drivers[0])
    assert [check.spec for check in found.ledger.failed()] == [by_name[first].spec]


def test_every_check_has_an_input_that_only_it_refuses():
    assert {defect.spec for defect in DEFECTS} == set(checks.RIM_CHECKS)


def test_hold_is_admitted_by_its_own_word_only_and_said():
    stage = scene()
    signer_on_hold(stage)
    signed = stage.finish().drivers[0]
    facts = FactCache()
    admitted = rim(signed, hold=HoldPolicy.ADMIT, facts=facts)
    assert admitted.verified
    assert admitted.golden.held
    # What one caller admits, another does not find in the cache.
    assert not rim(signed, facts=facts).verified
    stage = scene()
    revoked_signer(stage)
    assert not rim(stage.finish().drivers[0], hold=HoldPolicy.ADMIT).verified


def test_without_answers_the_values_are_not_reachable():
    signed = scene().finish().drivers[0]
    found = rim(replace(signed, ocsp=()))
    assert not found.verified
    assert [check.code for check in found.ledger.unmet()] == ["rim.revocation.missing"]


def test_a_verified_manifest_is_remembered_while_it_holds():
    facts = FactCache()
    signed = scene().finish().drivers[0]
    first = rim(signed, facts=facts)
    assert rim(signed, facts=facts) is first
    assert not rim(signed, facts=facts, now=NOW + 2 * DAY).verified
    assert len(facts.shelf("rim.manifests")) == 1
    # What is remembered is of these answers, to these questions, and under these roots.
    reply, *others = signed.ocsp
    for ocsp in ((), (replace(reply, nonce=Expected(b"n" * 32)), *others), tuple(others)):
        assert not rim(replace(signed, ocsp=ocsp), facts=facts).verified
    other = verify_rim(
        signed.document,
        ocsp=signed.ocsp,
        roots=roots(STRANGER),
        now=NOW,
        hold=HoldPolicy.REFUSE,
        facts=facts,
    )
    assert [check.code for check in other.ledger.failed()] == ["rim.chain.root"]


def test_a_manifest_that_is_not_verified_is_not_remembered():
    facts = FactCache()
    stage = scene()
    draft(stage).after = lambda data: changed(data.decode(), '"590.12"', '"590.13"').encode()
    assert not rim(stage.finish().drivers[0], facts=facts).verified
    assert len(facts.shelf("rim.manifests")) == 0


def test_errors_of_the_caller_are_exceptions():
    signed = scene().finish().drivers[0]
    with pytest.raises(EvidenceError) as error:
        rim(signed, now=NOW.replace(tzinfo=None))
    assert error.value.code == "evidence.call.time"
    replies = (OcspReply(b"", Unchecked("-")),) * 17
    with pytest.raises(ReferenceValueError) as error:
        rim(replace(signed, ocsp=replies))
    assert error.value.code == "rim.replies.oversized"
    assert [check.code for check in rim(replace(signed, ocsp=replies[1:])).ledger.failed()] == [
        "rim.revocation.layout"
    ]


@pytest.mark.parametrize("data", [b"<a>", b"<a></a>"])
def test_an_error_stays_the_same_in_another_process(data):
    with pytest.raises(ReferenceValueError) as caught:
        read_manifest(data)
    with pytest.raises(XmlError) as xml:
        parse(b"<a>")
    for error in (caught.value, xml.value):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.code, copy.message) == (type(error), error.code, error.message)


# --- Canonical XML


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ('<a b="2" a="1"/>', '<a a="1" b="2"></a>'),
        ("<a  >x\r\ny</a >", "<a>x\ny</a>"),
        ("<a>&#13;&lt;&gt;&amp;&#x41;</a>", "<a>&#xD;&lt;&gt;&amp;A</a>"),
        ("<a b='\"&#9;&#10;&#13;'/>", '<a b="&quot;&#x9;&#xA;&#xD;"></a>'),
        ("<a b=' x\ty '/>", '<a b=" x y "></a>'),
        ('<?xml version="1.0"?>\n<a/>\n', "<a></a>"),
        ('<a xmlns="u"><b xmlns="u"/><c xmlns=""/></a>', '<a xmlns="u"><b></b><c xmlns=""></c></a>'),
        (
            '<x:a xmlns:x="u" xmlns:b="v" b:z="1" y="2" x:y="3"/>',
            '<x:a xmlns:b="v" xmlns:x="u" y="2" x:y="3" b:z="1"></x:a>',
        ),
        ('<a xmlns:p="u"><p:b xmlns:p="u"/></a>', '<a xmlns:p="u"><p:b></p:b></a>'),
        ("<a>ä €</a>", "<a>ä €</a>"),
    ],
)
def test_the_canonical_form(document, form):
    assert canonical(parse(document.encode())).decode() == form


def with_attributes(count: int) -> bytes:
    return b"<a " + b" ".join(b'a%d="1"' % at for at in range(count)) + b"/>"


@pytest.mark.parametrize(
    ("largest", "larger"),
    [
        (b"<a/>" + b" " * ((1 << 20) - 4), b"<a/>" + b" " * ((1 << 20) - 3)),
        (b"<a>" + b"<b/>" * 4095 + b"</a>", b"<a>" + b"<b/>" * 4096 + b"</a>"),
        (b"<a>" * 16 + b"</a>" * 16, b"<a>" * 17 + b"</a>" * 17),
        (with_attributes(64), with_attributes(65)),
    ],
    ids=["bytes", "elements", "depth", "attributes"],
)
def test_documents_have_bounds(largest, larger):
    assert parse(largest).tag == "a"
    with pytest.raises(XmlError):
        parse(larger)


@pytest.mark.parametrize(
    "document",
    [
        "<:a/>",
        '<a: xmlns:a="u"/>',
        '<a:b:c xmlns:a="u"/>',
        '<a xmlns:b="u" b:c:d="1"/>',
        '<a :b="1"/>',
        '<a xmlns:xmlns="u"/>',
        '<a xmlns:xml="u"/>',
        '<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>',
        '<a xmlns="http://www.w3.org/XML/1998/namespace"/>',
        '<a xmlns:p=""/>',
        "\ufeff<a/>",
        "<a>",
    ],
)
def test_names_and_namespaces_that_cannot_be(document):
    with pytest.raises(XmlError):
        parse(document.encode())


@pytest.mark.parametrize(
    "data", [b"<a>\xed\xa0\x80</a>", b"<a>\xc0\x80</a>", b"<a>\xff</a>", "<a/>".encode("utf-16")]
)
def test_bytes_that_are_not_utf8(data):
    with pytest.raises(XmlError):
        parse(data)


def test_a_part_takes_the_namespaces_in_scope():
    root = parse(b'<a xmlns="u" xmlns:p="v"><b><c/></b></a>')
    assert canonical(root.elements()[0]) == b'<b xmlns="u" xmlns:p="v"><c></c></b>'
    assert canonical(root, without=root.elements()[0]) == b'<a xmlns="u" xmlns:p="v"></a>'


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20)


@given(TEXT, TEXT, st.integers(0, 5))
def test_what_is_canonical_stays_as_it_is(value, text, depth):
    def escaped(raw):
        return raw.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")

    document = f'<a b="{escaped(value)}">{"<c>" * depth}{escaped(text)}{"</c>" * depth}</a>'
    once = canonical(parse(document.encode()))
    assert canonical(parse(once)) == once


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(data):
    with contextlib.suppress(XmlError):
        root = parse(data)
        assert canonical(parse(canonical(root))) == canonical(root)


# --- Bit flips


def flips(choose) -> tuple[int, int]:
    """Flip chosen bits of a real manifest; return how many were tried, and how many passed all but OCSP."""
    data, at = vectors.read(REAL), moment(REAL_AT)
    original = manifest(data, at)
    assert not original.ledger.failed()
    tried = accepted = 0
    for position in range(8 * len(data)):
        if not choose(position):
            continue
        offset, bit = divmod(position, 8)
        spoilt = data[:offset] + bytes([data[offset] ^ (1 << bit)]) + data[offset + 1 :]
        found = manifest(spoilt, at)
        tried += 1
        if not found.ledger.failed():
            accepted += 1
            assert found.manifest == original.manifest
    return tried, accepted


def report(counts: tuple[int, int]) -> None:
    tried, accepted = counts
    vectors.note(f"bit flips of a real manifest: {tried} tried, {accepted} accepted")
    assert accepted == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_bit_of_every_byte():
    """A manifest has 170,000 bits, and each costs four signatures: one bit of each byte, in turn."""
    report(flips(lambda position: position % 8 == position // 8 % 8))


def test_a_sample_of_bits():
    """About 1,000 of 170,000 bits, for every run; the slow test flips one of every byte."""
    chosen = random.Random("rim")  # a sample that is the same in every run
    report(flips(lambda position: chosen.random() < 0.006))
