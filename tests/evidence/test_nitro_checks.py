"""Each check of a Nitro document has at least one input that it alone refuses, under its own code.

An input is a simulated document with one defect, signed all the same. A check without such an input fails one
of the last tests of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from assay.evidence.decoding.cbor import Tag, decode, encode
from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.nitro import checks
from assay.simulator.nitro import pki
from assay.simulator.nitro.document import DocumentDraft
from support.nitro_scenes import BINDING, HOUR, NOW, PLATFORMS, STRANGER, draft, judge, module, reissue

P256 = ec.derive_private_key(7, ec.SECP256R1())
P521 = ec.derive_private_key(7, ec.SECP521R1())
OTHER = ec.derive_private_key(8, ec.SECP384R1())


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    spoil: Callable[[DocumentDraft], None]
    options: dict


DEFECTS: list[Defect] = []


def proves(spec: CheckSpec, code: str = "", **options):
    """Register a function that spoils a document so that ``spec``, and nothing else, refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, spoil, options))
        return spoil

    return register


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("indefinite", [False, True])
@pytest.mark.parametrize("validity", ["now", "document"])
def test_nothing_is_wrong_without_a_defect(platform, tagged, indefinite, validity):
    found = draft(platform)
    found.tagged, found.indefinite = tagged, indefinite
    result = judge(found.encode(), platform, validity=validity)
    assert result.authentic, result.ledger.unmet()
    assert result.bound
    assert result.simulated
    assert result.platform == platform
    assert not result.unsigned
    other = checks.NITRO_CHAIN_ARCHIVED if validity == "now" else checks.NITRO_CHAIN_VALIDITY
    assert {c.id for c in result.ledger if c.outcome is Outcome.NOT_APPLICABLE} == {other.id}


# --- The message


def parts(change):
    """Change the four parts of the finished message."""

    def after(data: bytes) -> bytes:
        found = decode(data, max_bytes=1 << 20, max_depth=4)
        return encode(change(found))

    return after


@proves(checks.NITRO_COSE_LAYOUT)
def empty(found):
    found.after = lambda data: b""


@proves(checks.NITRO_COSE_LAYOUT)
def truncated(found):
    found.after = lambda data: data[:-1]


@proves(checks.NITRO_COSE_LAYOUT)
def trailing_byte(found):
    found.after = lambda data: data + b"\0"


@proves(checks.NITRO_COSE_LAYOUT)
def array_of_indefinite_length(found):
    found.after = lambda data: b"\x9f" + data[1:] + b"\xff"


@proves(checks.NITRO_COSE_LAYOUT)
def length_in_a_longer_form(found):
    found.after = lambda data: b"\x98\x04" + data[1:]


@proves(checks.NITRO_COSE_LAYOUT)
def another_tag(found):
    found.after = lambda data: encode(Tag(98, decode(data, max_bytes=1 << 20)))


@proves(checks.NITRO_COSE_LAYOUT)
def unprotected_header_is_null(found):
    found.unprotected = None


@proves(checks.NITRO_COSE_LAYOUT)
def five_parts(found):
    found.after = parts(lambda message: [*message, b""])


@proves(checks.NITRO_COSE_LAYOUT, "nitro.cose.oversized")
def longer_than_any_document(found):
    found.after = lambda data: data.ljust(16 * 1024 + 1, b"\0")


@proves(checks.NITRO_COSE_LAYOUT, "nitro.cose.payload")
def detached_payload(found):
    found.after = parts(lambda message: [*message[:2], None, message[3]])


@proves(checks.NITRO_COSE_LAYOUT, "nitro.cose.signature_length")
def signature_in_der(found):
    """The encoding of X.509: pitfall of readers that take both."""

    def after(message):
        r, s = (int.from_bytes(message[3][at : at + 48], "big") for at in (0, 48))
        return [*message[:3], encode_dss_signature(r, s)]

    found.after = parts(after)


@proves(checks.NITRO_COSE_HEADERS, "nitro.cose.algorithm")
def another_algorithm(found):
    found.protected = encode({1: -7})


@proves(checks.NITRO_COSE_HEADERS, "nitro.cose.algorithm")
def algorithm_where_nothing_covers_it(found):
    found.protected, found.unprotected = b"", {1: -35}


@proves(checks.NITRO_COSE_HEADERS)
def second_protected_parameter(found):
    found.protected = encode({1: -35, 4: b"key"})


@proves(checks.NITRO_COSE_HEADERS)
def unprotected_parameter(found):
    found.unprotected = {4: b"key"}


@proves(checks.NITRO_COSE_HEADERS)
def algorithm_twice(found):
    found.protected = b"\xa2\x01\x38\x22\x01\x38\x22"


@proves(checks.NITRO_COSE_HEADERS)
def protected_header_with_trailing_byte(found):
    found.protected = encode({1: -35}) + b"\0"


# --- The payload


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def payload_is_no_map(found):
    found.after_payload = lambda payload: encode([payload])


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def trailing_byte_in_the_payload(found):
    found.after_payload = lambda payload: payload + b"\0"


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def member_twice(found):
    """Readers that keep the last of two would judge registers that the first hides."""
    found.after_payload = lambda payload: payload[:-1] + encode("digest") + encode("SHA384") + b"\xff"


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def registers_of_indefinite_strings(found):
    found.after_payload = lambda payload: payload.replace(encode("SHA384"), b"\x7f\x66SHA384\xff")


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def unknown_member(found):
    found.members["firmware"] = b""


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def missing_member(found):
    del found.members["digest"]


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def registers_of_both_platforms(found):
    found.members["nitrotpm_pcrs"] = found.members["pcrs"]


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def no_registers(found):
    del found.members["pcrs"]


@proves(checks.NITRO_PAYLOAD_LAYOUT)
def true_as_a_second_first_register(found):
    """1 and true are one key to Python."""
    first = encode(1) + encode(found.members["pcrs"][1])
    found.after_payload = lambda payload: payload.replace(first, encode(True) + first[1:])


@proves(checks.NITRO_PAYLOAD_PLATFORM)
def document_of_a_nitro_tpm(found):
    found.members["nitrotpm_pcrs"] = found.members.pop("pcrs")


@proves(checks.NITRO_MODULE_ID)
def empty_module_id(found):
    found.members["module_id"] = ""


@proves(checks.NITRO_MODULE_ID)
def module_id_of_bytes(found):
    found.members["module_id"] = b"i-1"


@proves(checks.NITRO_MODULE_ID)
def module_id_with_a_control_character(found):
    found.members["module_id"] += "\x1b[2J"


@proves(checks.NITRO_MODULE_ID)
def module_id_too_long(found):
    found.members["module_id"] = "i" * 129


@proves(checks.NITRO_DIGEST)
def another_digest(found):
    found.members["digest"] = "SHA256"


@proves(checks.NITRO_DIGEST)
def digest_of_bytes(found):
    found.members["digest"] = b"SHA384"


@proves(checks.NITRO_TIMESTAMP)
def timestamp_zero(found):
    found.members["timestamp"] = 0


@proves(checks.NITRO_TIMESTAMP)
def timestamp_negative(found):
    found.members["timestamp"] = -1


@proves(checks.NITRO_TIMESTAMP)
def timestamp_true(found):
    found.members["timestamp"] = True


@proves(checks.NITRO_TIMESTAMP)
def timestamp_beyond_every_calendar(found):
    found.members["timestamp"] = 253_402_300_800_000


@proves(checks.NITRO_PCRS)
def no_register_at_all(found):
    found.members["pcrs"] = {}


@proves(checks.NITRO_PCRS)
def too_many_registers(found):
    found.members["pcrs"] = {index: bytes(32) for index in range(33)}


@proves(checks.NITRO_PCRS)
def register_beyond_the_last(found):
    found.members["pcrs"][32] = bytes(48)


@proves(checks.NITRO_PCRS)
def register_below_the_first(found):
    found.members["pcrs"][-1] = bytes(48)


@proves(checks.NITRO_PCRS)
def register_named_by_text(found):
    found.members["pcrs"]["0"] = bytes(48)


@proves(checks.NITRO_PCRS)
def register_of_another_size(found):
    found.members["pcrs"][0] = bytes(47)


@proves(checks.NITRO_PCRS)
def registers_in_an_array(found):
    found.members["pcrs"] = [bytes(48)]


@proves(checks.NITRO_CERTIFICATES)
def empty_certificate(found):
    found.members["certificate"] = b""


@proves(checks.NITRO_CERTIFICATES)
def certificate_too_long(found):
    found.members["certificate"] = found.chain[-1].der.ljust(1025, b"\0")


@proves(checks.NITRO_CERTIFICATES)
def certificate_of_text(found):
    found.members["certificate"] = "certificate"


@proves(checks.NITRO_CERTIFICATES)
def cabundle_is_null(found):
    found.members["cabundle"] = None


@proves(checks.NITRO_CERTIFICATES)
def empty_cabundle(found):
    found.members["cabundle"] = []


@proves(checks.NITRO_CERTIFICATES)
def cabundle_too_long(found):
    found.members["cabundle"] = [b"c"] * 9


@proves(checks.NITRO_OPTIONAL)
def user_data_of_text(found):
    found.members["user_data"] = "text"


@proves(checks.NITRO_OPTIONAL)
def nonce_too_long(found):
    found.members["nonce"] = bytes(1025)


@proves(checks.NITRO_OPTIONAL)
def public_key_false(found):
    found.members["public_key"] = False


# --- The chain


@proves(checks.NITRO_ROOT_PINNED, "nitro.root.not_pinned")
def root_of_a_stranger(found):
    theirs = STRANGER.instance("tested")
    stranger = theirs.enclave({}, started=NOW).draft(NOW)
    found.members["module_id"] = stranger.members["module_id"]
    found.chain, found.key = stranger.chain, stranger.key


@proves(checks.NITRO_ROOT_PINNED, "nitro.root.not_pinned")
def root_reissued_with_its_own_key(found):
    reissue(found, 0, not_after=pki.FOREVER - timedelta(days=1))


@proves(checks.NITRO_ROOT_PINNED, "nitro.root.not_pinned")
def reversed_bundle(found):
    found.members["cabundle"] = [issued.der for issued in reversed(found.chain[:-1])]


@proves(checks.NITRO_ROOT_PINNED, "nitro.root.not_pinned")
def root_left_out(found):
    found.members["cabundle"] = [issued.der for issued in found.chain[1:-1]]


@proves(checks.NITRO_CHAIN_LAYOUT, "nitro.chain.length")
def zone_left_out(found):
    found.members["cabundle"] = [found.chain[place].der for place in (0, 1, 3)]


@proves(checks.NITRO_CHAIN_LAYOUT, "nitro.chain.length")
def one_authority_more(found):
    found.members["cabundle"] = [found.chain[place].der for place in (0, 1, 2, 3, 3)]


@proves(checks.NITRO_CHAIN_LAYOUT, "nitro.chain.malformed")
def byte_behind_a_certificate(found):
    found.members["certificate"] = found.chain[-1].der + b"\0"


@proves(checks.NITRO_CHAIN_LAYOUT, "nitro.chain.malformed")
def cut_certificate(found):
    found.members["cabundle"] = [found.chain[0].der, *(issued.der[:-1] for issued in found.chain[1:-1])]


@proves(checks.NITRO_CHAIN_KEYS)
def leaf_on_p256(found):
    reissue(found, 4, key=P256)
    found.key = OTHER  # a raw signature of 96 bytes all the same


@proves(checks.NITRO_CHAIN_KEYS)
def leaf_on_p521(found):
    """A verifier that sized its buffers for P-384 fell over this one."""
    reissue(found, 4, key=P521)
    found.key = OTHER


@proves(checks.NITRO_CHAIN_KEYS)
def instance_signed_with_another_hash(found):
    reissue(found, 3, digest=hashes.SHA256())


@proves(checks.NITRO_CHAIN_NAMES)
def instance_of_another_region(found):
    name = f"{found.members['module_id'].partition('-enc')[0]}.us-east-1.aws.nitro-enclaves"
    reissue(found, 3, common_name=name)


@proves(checks.NITRO_CHAIN_NAMES)
def leaf_of_another_instance(found):
    found.members["module_id"] = "i-0123456789abcdef0-enc0123456789abcdef"
    reissue(found, 4, common_name="i-0123456789abcdef0-enc0123456789abcdef.eu-central-1.aws")


@proves(checks.NITRO_CHAIN_NAMES)
def zone_named_as_a_region(found):
    reissue(found, 2, common_name="0123456789abcdef.eu-central-1.aws.nitro-enclaves")


@proves(checks.NITRO_CHAIN_NAMES)
def leaf_without_a_module(found):
    reissue(found, 4, common_name="i-0123456789abcdef0.eu-central-1.aws")


@proves(checks.NITRO_CHAIN_NAMES)
def leaf_with_a_longer_name(found):
    reissue(found, 4, common_name=f"{found.members['module_id']}.eu-central-1.aws.example")


@proves(checks.NITRO_CHAIN_NAMES, "nitro.chain.module")
def document_of_another_module_of_the_instance(found):
    found.members["module_id"] = found.members["module_id"].partition("-enc")[0] + "-enc0000000000000000"


@proves(checks.NITRO_CHAIN_ROLES)
def leaf_is_an_authority(found):
    reissue(found, 4, authority=True, path_length=0)


@proves(checks.NITRO_CHAIN_ROLES)
def leaf_without_digital_signature(found):
    reissue(found, 4, usage=frozenset({"key_agreement"}))


@proves(checks.NITRO_CHAIN_ROLES)
def leaf_that_signs_certificates(found):
    reissue(found, 4, usage=frozenset({"digital_signature", "key_cert_sign"}))


@proves(checks.NITRO_CHAIN_ROLES)
def leaf_without_key_usage(found):
    reissue(found, 4, usage=None)


@proves(checks.NITRO_CHAIN_ROLES)
def leaf_without_constraints(found):
    reissue(found, 4, authority=None)


@proves(checks.NITRO_CHAIN_ROLES)
def instance_is_no_authority(found):
    """Issuers that are no authorities were accepted by other verifiers."""
    reissue(found, 3, authority=False, path_length=None)


@proves(checks.NITRO_CHAIN_ROLES)
def instance_does_not_sign_certificates(found):
    reissue(found, 3, usage=frozenset({"digital_signature"}))


@proves(checks.NITRO_CHAIN_ROLES)
def instance_without_path_length(found):
    reissue(found, 3, path_length=None)


@proves(checks.NITRO_CHAIN_ROLES)
def zone_with_the_path_length_of_a_region(found):
    reissue(found, 2, path_length=2)


@proves(checks.NITRO_CHAIN_ROLES)
def region_that_allows_too_few_below(found):
    reissue(found, 1, path_length=1)


@proves(checks.NITRO_CHAIN_ROLES)
def unknown_critical_extension(found):
    reissue(found, 3, extra="1.3.6.1.4.1.99999.1")


@proves(checks.NITRO_CHAIN_SIGNATURES)
def leaf_signed_by_another_key(found):
    above = found.chain[3]
    reissue(found, 4, issuer=pki.Issued(OTHER, above.certificate))


@proves(checks.NITRO_CHAIN_SIGNATURES)
def leaf_that_names_another_issuer(found):
    """The zone signs for the instance: every name is right, the issuer is not."""
    reissue(found, 4, issuer=found.chain[2])


@proves(checks.NITRO_CHAIN_SIGNATURES)
def region_signed_by_another_key(found):
    reissue(found, 1, issuer=pki.Issued(OTHER, found.chain[0].certificate))


@proves(checks.NITRO_CHAIN_VALIDITY)
def leaf_expired(found):
    reissue(found, 4, not_after=NOW - HOUR)


@proves(checks.NITRO_CHAIN_VALIDITY)
def leaf_not_valid_yet(found):
    reissue(found, 4, not_before=NOW + HOUR, not_after=NOW + 2 * HOUR)


@proves(checks.NITRO_CHAIN_VALIDITY)
def region_expired(found):
    reissue(found, 1, not_after=NOW - HOUR)


@proves(checks.NITRO_CHAIN_VALIDITY, now=NOW + 5 * HOUR)
def kept_for_five_hours(found):
    """Nothing is wrong with it but its age."""


@proves(checks.NITRO_CHAIN_ARCHIVED, validity="document")
def expired_when_it_was_made(found):
    reissue(found, 4, not_after=NOW - HOUR)


@proves(checks.NITRO_CHAIN_ARCHIVED, validity="document")
def made_before_its_chain(found):
    found.members["timestamp"] -= 30 * 24 * 3600 * 1000


@proves(checks.NITRO_CHAIN_ARCHIVED, "nitro.chain.future", validity="document", now=NOW - HOUR)
def made_in_the_future(found):
    """Nothing is wrong with it but that its hour has not come."""


# --- The signature


@proves(checks.NITRO_COSE_SIGNATURE)
def signed_by_another_key(found):
    found.key = OTHER


@proves(checks.NITRO_COSE_SIGNATURE)
def signed_by_the_instance(found):
    found.key = found.chain[3].key


@proves(checks.NITRO_COSE_SIGNATURE)
def signed_for_another_purpose(found):
    found.context = "Signature"


@proves(checks.NITRO_COSE_SIGNATURE)
def register_changed_after_signing(found):
    found.after = lambda data: data.replace(b"\x10" * 48, b"\x20" * 48)


@proves(checks.NITRO_COSE_SIGNATURE)
def signature_of_zeros(found):
    found.after = lambda data: data[:-96] + bytes(96)


@proves(checks.NITRO_BINDING, "nitro.binding.mismatch")
def user_data_of_another_session(found):
    found.members["user_data"] = bytes(64)


@proves(checks.NITRO_BINDING, "nitro.binding.mismatch")
def user_data_longer_than_the_binding(found):
    found.members["user_data"] = BINDING + b"\0"


@proves(checks.NITRO_BINDING, "nitro.binding.mismatch")
def beginning_of_the_binding(found):
    found.members["user_data"] = BINDING[:32]


@proves(checks.NITRO_BINDING, "nitro.binding.absent")
def no_user_data(found):
    found.members["user_data"] = None


@proves(checks.NITRO_BINDING, "nitro.binding.absent")
def binding_in_another_field(found):
    found.members["user_data"], found.members["nonce"] = None, BINDING


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_one_check_alone_refuses(defect):
    found = draft()
    defect.spoil(found)
    result = judge(found.encode(), **defect.options)
    assert not result.bound
    failed = result.ledger.failed()
    assert [(check.id, check.code) for check in failed] == [(defect.spec.id, defect.code)]
    assert all(check.reason.isprintable() for check in failed)
    # What comes before it passed; what was not reached says why.
    order = [check.id for check in result.ledger]
    for check in result.ledger.checks[: order.index(defect.spec.id)]:
        if check.outcome is Outcome.NOT_CHECKED:
            assert check.id == checks.NITRO_COSE_LAYOUT.id
    if defect.spec is not checks.NITRO_BINDING:
        assert not result.authentic


def test_each_check_has_an_input_of_its_own():
    assert {defect.spec for defect in DEFECTS} == set(checks.NITRO_CHECKS)


def test_each_defect_has_a_name_of_its_own():
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


def test_the_checks_stand_in_their_order_in_every_ledger():
    expected = [spec.id for spec in checks.NITRO_CHECKS]
    for data in (draft().encode(), b"", b"\x84"):
        assert [check.id for check in judge(data).ledger] == expected


def test_an_enclave_is_not_taken_for_a_nitro_tpm():
    result = judge(module("nitro").attest(NOW, user_data=BINDING), "nitro-tpm")
    assert [check.code for check in result.ledger.failed()] == ["nitro.payload.platform"]
