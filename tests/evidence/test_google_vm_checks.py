"""Each check of a Google Cloud VM's evidence has an input that it alone refuses, under its own code.

An input is a simulated VM with one defect, signed all the same. The TD quote's own checks have theirs with
its format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.google_vm import SNP_CHECKS, TDX_CHECKS, VTPM_CHECKS, checks
from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.tpm.public import Attributes
from assay.evidence.tpm.signature import Scheme
from assay.evidence.x509.certificate import OID_AUTHORITY_KEY_IDENTIFIER
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.amd import der
from assay.simulator.google_vm import GoogleVmScene, protobuf
from assay.simulator.google_vm.scene import INSTANCE, INSTANCE_OID, instance_extension
from assay.simulator.tpm.device import AK_ATTRIBUTES, public_area
from support.google_vm_scenes import GOOGLE, NONCE, NOW, TEES, judge, scene, spoilt

TDX, SNP = ("tdx",), ("snp",)
OWN = Algorithm.SHA256


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    tees: tuple[str, ...]
    spoil: Callable[[GoogleVmScene], None]


DEFECTS: list[Defect] = []


def proves(spec: CheckSpec, code: str = "", *, tees: tuple[str, ...] = ("none",)):
    """Register a function that spoils a scene so that ``spec``, and nothing else, refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, tees, spoil))
        return spoil

    return register


@pytest.mark.parametrize("tee", TEES)
def test_nothing_is_wrong_without_a_defect(tee):
    result = judge(scene(tee).finish())
    assert result.authentic
    assert result.bound
    assert result.simulated
    assert not result.ledger.unmet()
    assert not {c.id for c in result.ledger if c.outcome is Outcome.NOT_APPLICABLE}
    claims = result.claims
    assert claims.ak.instance.instance_name == "a-vm"
    assert claims.ak.instance.production is True
    assert claims.ak.revocation_checked
    assert claims.ak.anchor == result.anchor
    assert claims.td_bound is (tee == "tdx")
    assert (claims.td is not None) is (tee == "tdx")
    assert claims.snp_bound is (tee == "snp")
    assert (claims.snp is not None) is (tee == "snp")
    assert claims.log.startup_locality == 0
    assert claims.tpm.bank is OWN


# --- The container


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_that_ends_in_a_field(stage):
    stage.after = lambda found: found[:-1]


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_a_field_that_is_not_known(stage):
    stage.after = lambda found: found + protobuf.content(17, b"x")


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_a_field_of_another_kind(stage):
    stage.after = lambda found: found + protobuf.number(3, 7)


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_two_keys(stage):
    stage.after = lambda found: found + protobuf.content(1, b"another key")


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_an_empty_field(stage):
    stage.stated = None
    stage.after = lambda found: found + protobuf.content(4, b"", always=True)


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_a_long_number(stage):
    stage.after = lambda found: found + b"\x2a\x81\x00x"


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_a_number_without_end(stage):
    stage.after = lambda found: found + b"\xff" * 11


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_a_number_of_too_many_bits(stage):
    stage.after = lambda found: found + b"\x2a" + b"\xff" * 9 + b"\x7f"


@proves(checks.CONTAINER, "google_vm.container.layout")
def container_with_too_many_quotes(stage):
    stage.after = lambda found: found + protobuf.content(2, b"", always=True) * 2


@proves(checks.CONTAINER, "google_vm.container.layout")
def instance_with_a_control_character(stage):
    stage.stated = replace(INSTANCE, zone="\x1b[2J")


@proves(checks.CONTAINER, "google_vm.container.layout")
def value_of_a_pcr_that_does_not_exist(stage):
    stage.pcrs[OWN] = {**stage.pcrs[OWN], 24: bytes(32)}
    del stage.pcrs[OWN][0]


@proves(checks.CONTAINER, "google_vm.container.layout")
def hardware_report_of_one_field(stage):
    stage.after = lambda found: found + protobuf.content(8, b"\x08\x01")


@proves(checks.CONTAINER, "google_vm.container.tees", tees=TDX)
def evidence_of_two_tees(stage):
    stage.after = lambda found: found + protobuf.content(8, b"\x08\x01")


@proves(checks.CONTAINER, "google_vm.container.bank")
def quotes_without_sha256(stage):
    del stage.quotes[OWN]


@proves(checks.CONTAINER, "google_vm.container.bank")
def two_quotes_of_one_bank(stage):
    stage.banks[Algorithm.SHA384] = int(OWN)


@proves(checks.CONTAINER, "google_vm.container.bank")
def quote_of_an_unknown_bank(stage):
    stage.banks[Algorithm.SHA1] = 0x7777


# --- The attestation key's certificate


@proves(checks.AK_LAYOUT, "google_vm.ak.layout")
def certificate_behind_which_something_stands(stage):
    stage.intermediates = (stage.authority.sign() + b"\0",)


@proves(checks.AK_CHAIN, "google_vm.ak.chain.root")
def chain_that_leads_nowhere(stage):
    stage.intermediates = ()


@proves(checks.AK_CHAIN, "google_vm.ak.chain.unused")
def certificate_that_has_no_place(stage):
    stage.intermediates = (stage.authority.sign(), GOOGLE.ak_draft(GOOGLE.key("other")).sign())


@proves(checks.AK_CHAIN, "google_vm.ak.chain.signature")
def authority_that_the_root_did_not_sign(stage):
    found = stage.authority.sign()
    stage.intermediates = (found[:-1] + bytes([found[-1] ^ 1]),)


@proves(checks.AK_CHAIN, "google_vm.ak.chain.issuer")
def certificate_that_names_another_key(stage):
    stage.certificate.issuer_key = GOOGLE.key("other")


@proves(checks.AK_CHAIN, "google_vm.ak.chain.name")
def authority_for_something_else(stage):
    stage.authority.subject = stage.certificate.issuer = "Another CA"


@proves(checks.AK_CHAIN, "google_vm.ak.chain.role")
def certificate_issued_by_an_attestation_key(stage):
    stage.authority.authority = False


@proves(checks.AK_CHAIN, "google_vm.ak.chain.role")
def certificate_that_is_an_authority(stage):
    stage.certificate.authority = True


@proves(checks.AK_CHAIN, "google_vm.ak.chain.role")
def certificate_of_an_endorsement_key(stage):
    """A key that only decrypts: its certificate vouches for no signature."""
    stage.certificate.digital_signature = False


@proves(checks.AK_CHAIN, "google_vm.ak.chain.validity")
def certificate_that_expired(stage):
    stage.certificate.days = 30


@proves(checks.AK_CHAIN, "google_vm.ak.chain.validity")
def authority_of_tomorrow(stage):
    stage.authority.not_before = NOW + timedelta(days=1)


@proves(checks.AK_CHAIN, "google_vm.ak.chain.malformed")
def certificate_that_names_its_issuers_key_in_another_form(stage):
    """A set in place of a sequence; signed all the same."""
    draft = stage.certificate
    found = GeneralCertificate.parse(draft.sign())
    named = found.extensions[OID_AUTHORITY_KEY_IDENTIFIER][1]
    signed = found.signed.replace(named, b"\x31" + named[1:])
    signature = draft.issuer_key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
    made = der.element(der.SEQUENCE, signed, algorithm, der.bits(signature))
    stage.certificate = SimpleNamespace(sign=lambda: made)


def instance(stage, value):
    stage.certificate.extensions[INSTANCE_OID] = (False, value)


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def certificate_without_an_instance(stage):
    stage.certificate.extensions.clear()


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def instance_behind_which_something_stands(stage):
    instance(stage, instance_extension(INSTANCE, tail=der.integer(1)))


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def instance_of_an_unprintable_name(stage):
    instance(stage, instance_extension(replace(INSTANCE, instance_name="a\nvm")))


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def instance_of_a_name_without_end(stage):
    instance(stage, instance_extension(replace(INSTANCE, instance_name="x" * 129)))


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def instance_of_too_large_a_number(stage):
    instance(stage, instance_extension(replace(INSTANCE, instance_id=1 << 64)))


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def properties_in_another_order(stage):
    flags = der.element(0xA2, der.TRUE) + der.element(0xA1, der.TRUE)
    instance(stage, instance_extension(INSTANCE, properties=der.element(der.SEQUENCE, flags)))


@proves(checks.AK_INSTANCE, "google_vm.ak.instance")
def property_twice(stage):
    flags = der.element(0xA1, der.TRUE) * 2
    instance(stage, instance_extension(INSTANCE, properties=der.element(der.SEQUENCE, flags)))


@proves(checks.AK_STATED, "google_vm.ak.stated")
def container_of_another_project(stage):
    stage.stated = replace(INSTANCE, project_id="another-project")


@proves(checks.AK_STATED, "google_vm.ak.stated")
def container_of_another_instance(stage):
    stage.stated = replace(INSTANCE, instance_id=7)


@proves(checks.AK_REVOKED, "google_vm.ak.revoked.listed")
def certificate_that_is_revoked(stage):
    stage.crls[1].revoked = (stage.certificate.serial,)


@proves(checks.AK_REVOKED, "google_vm.ak.revoked.listed")
def authority_that_is_revoked(stage):
    stage.crls[0].revoked = (stage.authority.serial,)


@proves(checks.AK_REVOKED, "google_vm.ak.revoked.issuer")
def list_signed_by_a_stranger(stage):
    stage.crls[0].signing_key = GOOGLE.key("other")


@proves(checks.AK_REVOKED, "google_vm.ak.revoked.time")
def list_that_is_overdue(stage):
    stage.crls[1].made -= timedelta(days=60)


@proves(checks.AK_REVOKED, "google_vm.ak.revoked.malformed")
def list_behind_which_something_stands(stage):
    stage.after_crls = lambda found: (found[0] + b"\0", *found[1:])


@proves(checks.AK_KEY, "google_vm.ak.key")
def certificate_of_another_machine(stage):
    stage.certificate.key = GOOGLE.key("other")


# --- The quotes


@proves(checks.QUOTE.layout, "google_vm.quote.layout.trailing")
def quote_behind_which_something_follows(stage):
    stage.quotes[OWN].after = lambda data: data + b"\0"


@proves(checks.QUOTE.magic, "google_vm.quote.magic")
def quote_that_no_tpm_made(stage):
    stage.quotes[OWN].magic = 0xFF544346


@proves(checks.QUOTE.kind, "google_vm.quote.type")
def certification_in_place_of_a_quote(stage):
    stage.quotes[OWN].kind = 0x8017


@proves(checks.QUOTE.key, "google_vm.quote.key.malformed")
def key_that_cannot_be_read(stage):
    stage.public = public_area(stage.key)[:-1]


@proves(checks.QUOTE.attributes, "google_vm.quote.key_attributes")
def key_that_signs_anything(stage):
    """An unrestricted key signs a forged quote as readily as a real one, certified or not."""
    stage.present(public_area(stage.key, attributes=AK_ATTRIBUTES & ~Attributes.RESTRICTED))


@proves(checks.QUOTE.attributes, "google_vm.quote.key_attributes")
def key_that_can_leave_its_tpm(stage):
    stage.present(public_area(stage.key, attributes=AK_ATTRIBUTES & ~Attributes.FIXED_TPM))


@proves(checks.QUOTE.encoding, "google_vm.quote.signature_layout.scheme")
def signature_of_an_unknown_scheme(stage):
    stage.quotes = {OWN: stage.quotes[OWN]}
    stage.quotes[OWN].scheme = 0x7777


@proves(checks.QUOTE.scheme, "google_vm.quote.scheme.mismatch")
def signature_of_another_scheme_than_the_keys(stage):
    stage.quotes[OWN].scheme = Scheme.RSAPSS


@proves(checks.QUOTE.scheme, "google_vm.quote.scheme.weak")
def signature_over_sha1(stage):
    stage.present(public_area(stage.key, scheme=(Scheme.RSASSA, Algorithm.SHA1)))
    draft = stage.quotes[OWN]
    stage.quotes = {OWN: draft}
    draft.algorithm = Algorithm.SHA1
    draft.digest = Algorithm.SHA1.digest(b"".join(stage.pcrs[OWN].values()))


@proves(checks.QUOTE.signature, "google_vm.quote.signature")
def quote_of_another_machine(stage):
    stage.quotes[OWN].key = GOOGLE.key("other")


@proves(checks.QUOTE.selection, "google_vm.quote.selection.indices")
def values_of_other_pcrs(stage):
    del stage.pcrs[OWN][23]


@proves(checks.QUOTE.selection, "google_vm.quote.selection.relied")
def quote_that_leaves_out_what_is_relied_on(stage):
    stage.quote_again(tuple(range(13)))


@proves(checks.QUOTE.selection, "google_vm.quote.selection.bank")
def quote_of_another_bank_relabelled(stage):
    stage.quotes = {OWN: stage.quotes[Algorithm.SHA384]}


@proves(checks.QUOTE.digest, "google_vm.quote.pcr_digest")
def value_that_was_not_quoted(stage):
    stage.pcrs[OWN][4] = hashlib.sha256(b"another loader").digest()


@proves(checks.QUOTE.nonce, "google_vm.quote.nonce.mismatch")
def quote_of_another_session(stage):
    stage.quotes = {OWN: stage.quotes[OWN]}
    stage.quotes[OWN].extra_data = bytes(32)


@proves(checks.QUOTE.nonce, "google_vm.quote.nonce.mismatch", tees=TDX)
def td_of_this_session_with_a_quote_of_another(stage):
    """Relayed: the TD quote is of this session, the virtual TPM's quote of an earlier one."""
    stage.quotes = {OWN: stage.quotes[OWN]}
    stage.quotes[OWN].extra_data = NONCE[::-1]


@proves(checks.AK_NAME, "google_vm.ak.name")
def public_area_that_was_edited(stage):
    """Nothing signs the public area itself: an unrestricted key's would pass for a restricted one's."""
    stage.present(public_area(stage.key, attributes=AK_ATTRIBUTES & ~Attributes.RESTRICTED))
    stage.public = None


@proves(checks.AK_NAME, "google_vm.ak.name")
def key_below_another_hierarchy(stage):
    for draft in stage.quotes.values():
        draft.qualified_signer = bytes(34)


@proves(checks.OTHER_QUOTES, "google_vm.quotes")
def value_of_another_bank_that_was_not_quoted(stage):
    stage.pcrs[Algorithm.SHA384][4] = bytes(48)


@proves(checks.OTHER_QUOTES, "google_vm.quotes")
def quote_of_another_bank_by_another_key(stage):
    stage.quotes[Algorithm.SHA1].key = GOOGLE.key("other")


@proves(checks.OTHER_QUOTES, "google_vm.quotes")
def quote_of_another_bank_of_another_session(stage):
    stage.quotes[Algorithm.SHA384].extra_data = bytes(32)


@proves(checks.OTHER_QUOTES, "google_vm.quotes")
def quote_of_the_only_other_bank_by_another_key(stage):
    stage.quotes = {OWN: stage.quotes[OWN], Algorithm.SHA1: stage.quotes[Algorithm.SHA1]}
    stage.quotes[Algorithm.SHA1].key = GOOGLE.key("other")


# --- The logs


@proves(checks.LOG.layout, "google_vm.log.layout.truncated")
def log_that_ends_in_an_event(stage):
    stage.event_log = stage.firmware.encode()[:-1]


@proves(checks.LOG.canonical, "google_vm.log.cel.register")
def launcher_that_measured_into_no_pcr(stage):
    stage.launcher.records[0].register = 24


@proves(checks.LOG.replay, "google_vm.log.replay.mismatch")
def log_without_its_last_event(stage):
    stage.firmware.events.pop()


@proves(checks.LOG.separators, "google_vm.log.separators.missing")
def boot_without_a_separator(stage):
    _reboot(stage, [event for event in stage.firmware.events if not _separates(event, 2)])


@proves(checks.LOG.payloads, "google_vm.log.payload.contradicted")
def payload_that_was_not_measured(stage):
    event = next(one for one in stage.firmware.events if one.kind == EventType.EFI_VARIABLE_DRIVER_CONFIG)
    event.payload = event.payload[:-1] + b"\0"


@proves(checks.LOG.bank, "google_vm.log.bank")
def log_without_the_quoted_bank(stage):
    stage.firmware.banks = (Algorithm.SHA1, Algorithm.SHA384)


def _separates(event, register):
    return event.register == register and event.kind == EventType.SEPARATOR


def _reboot(stage, events):
    """Boot once more with these events alone, and quote what they leave."""
    fresh = type(stage.tpm)(stage.key, banks=stage.tpm.banks)
    for event in events:
        fresh.extend(event.register, event.digests)
    for record in stage.launcher.records:
        fresh.extend(record.register, record.digests)
    stage.firmware.events = events
    stage.tpm = fresh
    stage.quote_again()


# --- The TD quote


@proves(checks.TD_BOUND, "google_vm.td.bound", tees=TDX)
def td_of_another_session(stage):
    stage.tdx.quote.body["report_data"] = hashlib.sha512(b"another session").digest()


@proves(checks.TD_BOUND, "google_vm.td.bound", tees=TDX)
def td_whose_report_data_only_begin_as_expected(stage):
    stage.tdx.quote.body["report_data"] = stage.report_data[:63] + b"\0"


# --- The SNP report


@proves(checks.SNP_BOUND, "google_vm.snp.bound", tees=SNP)
def guest_of_another_session(stage):
    stage.snp.report.report_data = hashlib.sha512(b"another session").digest()


@proves(checks.SNP_BOUND, "google_vm.snp.bound", tees=SNP)
def guest_whose_report_data_only_begin_as_expected(stage):
    stage.snp.report.report_data = stage.report_data[:63] + b"\0"


@pytest.mark.parametrize(
    ("defect", "tee"),
    [
        pytest.param(defect, tee, id=f"{defect.spec.id}-{defect.name}-{tee}")
        for defect in DEFECTS
        for tee in defect.tees
    ],
)
def test_a_defect_is_refused_by_its_check_alone(defect, tee):
    result = spoilt(defect.spoil, tee)
    assert {check.id: check.code for check in result.ledger.failed()} == {defect.spec.id: defect.code}
    assert not result.authentic
    assert not result.bound
    for check in result.ledger.unmet():
        assert check.reason.isprintable()
        assert len(check.reason) < 300
    with pytest.raises(EvidenceError, match="cannot be read"):
        _ = result.claims


def test_each_check_has_an_input_that_only_it_refuses():
    proven = {defect.spec for defect in DEFECTS}
    assert {spec.id for spec in checks.CHECKS if spec not in proven} == set()
    for spec in checks.CHECKS:
        assert spec.title
        assert spec.source


@pytest.mark.parametrize("specs", [VTPM_CHECKS, TDX_CHECKS, SNP_CHECKS])
def test_ids_are_unique(specs):
    assert len({spec.id for spec in specs}) == len(specs)
