"""Each check of a TPM's evidence has at least one input that it alone refuses, under its own code.

An input is the evidence of a simulated machine with one defect, signed all the same. A check without such an
input fails one of the last tests of this file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import TPM, Roots
from assay.evidence.tpm import checks
from assay.evidence.tpm.container import Section, TpmEvidence
from assay.evidence.tpm.public import Attributes
from assay.evidence.tpm.signature import Scheme
from assay.evidence.tpm.verify import TpmEndorsements, verify_tpm
from assay.evidence.verification import Expected, Unchecked, UnsignedRegion
from assay.simulator.tpm.device import AK_ATTRIBUTES, SoftwareTpm, bitmap, public_area, sized, spki
from assay.simulator.tpm.logs import FirmwareLog, KernelLog, LauncherLog, LoggedEvent, file_data
from assay.simulator.tpm.machine import EvidenceDraft, Machine, certificate
from assay.simulator.vtpm_pki import CrlDraft
from support.revocation import demand_said
from support.tpm_scenes import (
    AK_NAME,
    ISSUER_NAME,
    KINDS,
    NONCE,
    NOW,
    ROOT_NAME,
    ak,
    chain,
    draft,
    judge,
    keys,
    machine,
    root,
    roots,
)

SHA1, SHA256, SHA384 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384


class Defect(NamedTuple):
    code: str
    name: str
    spoil: Callable[[EvidenceDraft], object]
    options: dict


DEFECTS: list[Defect] = []
PROVED = {spec.id for spec in checks.CHECKS}


def proves(code: str, **options):
    """Register a function that spoils evidence so that the check of ``code`` alone refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(code, spoil.__name__, spoil, options))
        return spoil

    return register


def spec_of(code: str) -> str:
    """Return the id of the check that a code belongs to."""
    return max((check for check in PROVED if code == check or code.startswith(f"{check}.")), key=len)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("certified", [False, True])
def test_nothing_is_wrong_without_a_defect(kind, certified):
    found = draft(kind, certified=certified)
    result = judge(found.encode(), given=b"" if certified else found.public)
    assert result.authentic, result.ledger.unmet()
    assert result.bound
    assert result.simulated
    assert result.platform == "tpm"
    assert [check.id for check in result.ledger] == [spec.id for spec in checks.CHECKS]
    claims = result.claims
    assert claims.quote.extra_data == NONCE
    assert claims.quote.selection == tuple(sorted(found.pcrs))
    assert dict(claims.quote.pcrs) == found.pcrs
    assert claims.ak_certified is certified
    assert claims.ak_common_name == (AK_NAME if certified else "")
    assert claims.boot.explained == frozenset(found.pcrs) - {10}
    assert claims.boot.startup_locality == 0
    assert [entry.file().path for entry in claims.ima.entries] == [
        "boot_aggregate",
        "/usr/bin/agent",
        "/usr/lib/libc.so",
    ]
    assert claims.quote.ak_name == (None if certified else b"\0\x0b" + SHA256.digest(found.public))


# --- The container


@proves("tpm.evidence.layout.magic")
def another_version(found):
    found.after = lambda data: data[:9] + b"\x02" + data[10:]


@proves("tpm.evidence.layout.truncated")
def the_last_section_is_cut_short(found):
    found.after = lambda data: data[:-1]


@proves("tpm.evidence.layout.truncated")
def half_a_head_of_a_section_follows(found):
    found.after = lambda data: data + b"\0\x09\0"


@proves("tpm.evidence.layout.section")
def an_unknown_section_follows(found):
    found.after = lambda data: data + b"\0\x09\0\0\0\x01x"


@proves("tpm.evidence.layout.order")
def a_section_stands_twice(found):
    found.after = lambda data: data + b"\0\x08\0\0\0\x01x"


@proves("tpm.evidence.layout.size")
def a_section_is_too_long(found):
    found.signature = bytes(1025)


@proves("tpm.evidence.layout.missing")
def there_is_no_signature(found):
    found.signature = b""


@proves("tpm.evidence.layout.certificates")
def there_are_nine_certificates(found):
    found.certificates = (root(),) * 9


@proves("tpm.evidence.layout.pcrs")
def there_is_no_pcr(found):
    found.pcrs = {}


# --- Whose key it is


@proves("tpm.ak.trust.malformed", given=lambda found: found.public[:-1])
def the_key_given_is_malformed(found):
    pass


@proves("tpm.ak.certificate", certified=True)
def the_certificate_is_cut_short(found):
    found.certificates = (found.certificates[0][:-1], found.certificates[1])


@proves("tpm.ak.certificate", certified=True)
def the_certificate_is_for_a_key_that_is_too_weak(found):
    weak = rsa.generate_private_key(65537, 1024)
    leaf = certificate(AK_NAME, weak, ISSUER_NAME, keys("issuer"), authority=False)
    found.certificates = (leaf, found.certificates[1])


@proves("tpm.ak.root", certified=True)
def the_chain_ends_elsewhere(found):
    other = certificate(ISSUER_NAME, keys("issuer"), "Another Root", keys("root"), authority=True)
    found.certificates = (found.certificates[0], other)


@proves("tpm.ak.chain", certified=True)
def a_stranger_signed_the_ak_certificate(found):
    leaf = certificate(AK_NAME, ak("p256"), ISSUER_NAME, keys("stranger"), authority=False)
    found.certificates = (leaf, found.certificates[1])


@proves("tpm.ak.chain", certified=True)
def a_stranger_of_the_roots_name_signed_the_issuer(found):
    issuer = certificate(ISSUER_NAME, keys("issuer"), ROOT_NAME, keys("stranger"), authority=True)
    found.certificates = (found.certificates[0], issuer)


@proves("tpm.ak.chain", certified=True)
def the_leaf_names_another_issuer(found):
    leaf = certificate(AK_NAME, ak("p256"), "Somebody", keys("issuer"), authority=False)
    found.certificates = (leaf, found.certificates[1])


@proves("tpm.ak.role", certified=True)
def the_certificate_is_not_for_an_attestation_key(found):
    server = (ObjectIdentifier("1.3.6.1.5.5.7.3.1"),)
    leaf = certificate(AK_NAME, ak("p256"), ISSUER_NAME, keys("issuer"), authority=False, usages=server)
    found.certificates = (leaf, found.certificates[1])


@proves("tpm.ak.role", certified=True)
def the_certificate_says_no_usage(found):
    leaf = certificate(AK_NAME, ak("p256"), ISSUER_NAME, keys("issuer"), authority=False, usages=())
    found.certificates = (leaf, found.certificates[1])


@proves("tpm.ak.role", certified=True)
def an_attestation_key_issued_the_certificate(found):
    issuer = certificate(ISSUER_NAME, keys("issuer"), ROOT_NAME, keys("root"), authority=False)
    found.certificates = (found.certificates[0], issuer)


@proves("tpm.ak.validity", certified=True, now=NOW + timedelta(days=10_000))
def the_certificates_have_expired(found):
    pass


@proves("tpm.ak.validity", certified=True)
def the_certificate_is_of_the_future(found):
    leaf = certificate(
        AK_NAME, ak("p256"), ISSUER_NAME, keys("issuer"), authority=False, made=NOW + timedelta(days=1)
    )
    found.certificates = (leaf, found.certificates[1])


def serial(place: int) -> int:
    """Return the serial number of a certificate of the chain, leaf first."""
    return x509.load_der_x509_certificate(chain("p256")[place]).serial_number


def crl(issuer: str, key: str, *revoked: int, **changed: object) -> bytes:
    """Return a list of an authority, valid now."""
    return replace(CrlDraft(issuer, keys(key), NOW - timedelta(days=1), revoked=revoked), **changed).sign()


@proves("tpm.ak.revoked.listed", certified=True, crls=lambda: crl(ISSUER_NAME, "issuer", 7, serial(0)))
def the_attestation_key_is_revoked(found):
    pass


@proves("tpm.ak.revoked.listed", certified=True, crls=lambda: crl(ROOT_NAME, "root", serial(1)))
def the_issuer_is_revoked(found):
    pass


@proves("tpm.ak.revoked.issuer", certified=True, crls=lambda: crl(ISSUER_NAME, "stranger"))
def a_stranger_signed_the_list(found):
    pass


@proves(
    "tpm.ak.revoked.time", certified=True, crls=lambda: crl(ROOT_NAME, "root", made=NOW - timedelta(days=31))
)
def the_list_is_overdue(found):
    pass


@proves("tpm.ak.revoked.malformed", certified=True, crls=lambda: crl(ROOT_NAME, "root")[:-1])
def the_list_is_cut_off(found):
    pass


@proves("tpm.ak.match", given=lambda found: public_area(ak("p256")))
def another_public_area_is_presented(found):
    found.public = public_area(keys("stranger"))


@proves("tpm.ak.match.malformed", given=lambda found: public_area(ak("p256")))
def what_is_presented_is_no_public_area(found):
    found.public = bytes(60)


# --- The quote


@proves("tpm.quote.layout.trailing")
def a_byte_follows_the_quote(found):
    found.quote.after = lambda data: data + b"\0"


@proves("tpm.quote.layout.truncated")
def the_quote_is_cut_short(found):
    found.quote.after = lambda data: data[:-1]


@proves("tpm.quote.layout.truncated")
def the_quote_ends_before_its_clock(found):
    found.quote.after = lambda data: data[:90]


@proves("tpm.quote.layout.truncated")
def the_signers_name_is_too_long(found):
    found.quote.qualified_signer = bytes(69)


@proves("tpm.quote.layout.truncated")
def the_qualifying_data_are_too_long(found):
    found.quote.extra_data = bytes(65)


@proves("tpm.quote.layout.truncated")
def the_quote_ends_in_its_selection(found):
    found.quote.after = lambda data: data[:-38]


@proves("tpm.quote.layout.safe")
def the_clock_is_neither_safe_nor_not(found):
    found.quote.safe = 2


@proves("tpm.quote.layout.banks")
def there_are_nine_selections(found):
    found.quote.selections = [(SHA256, bitmap([0]))] * 9


@proves("tpm.quote.layout.selection")
def the_selection_has_five_bytes(found):
    found.quote.selections = [(SHA256, bitmap(found.pcrs, 5))]


@proves("tpm.quote.layout.selection")
def the_selection_has_no_byte(found):
    found.quote.selections = [(SHA256, b"")]


@proves("tpm.quote.layout.size")
def the_quote_is_empty_but_for_its_magic(found):
    found.quote.after = lambda data: data[:7]


@proves("tpm.quote.magic")
def no_tpm_made_the_structure(found):
    # A restricted key never signs it; an unrestricted one signs anything (CVE-2024-29038).
    found.quote.magic = 0xFF544348


@proves("tpm.quote.type")
def the_structure_certifies_a_key(found):
    found.quote.kind = 0x8017


@proves("tpm.quote.key.kind", given=lambda found: b"")
def the_evidence_has_a_key_of_no_kind(found):
    found.public = (
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


@proves("tpm.quote.key_attributes")
def the_key_signs_anything(found):
    found.public = public_area(ak("p256"), attributes=AK_ATTRIBUTES & ~Attributes.RESTRICTED)


@proves("tpm.quote.key_attributes")
def the_key_can_leave_its_tpm(found):
    found.public = public_area(ak("p256"), attributes=AK_ATTRIBUTES & ~Attributes.FIXED_TPM)


@proves("tpm.quote.key_attributes")
def the_key_can_leave_its_parent(found):
    found.public = public_area(ak("p256"), attributes=AK_ATTRIBUTES & ~Attributes.FIXED_PARENT)


@proves("tpm.quote.key_attributes")
def the_key_was_made_elsewhere(found):
    found.public = public_area(ak("p256"), attributes=AK_ATTRIBUTES & ~Attributes.SENSITIVE_DATA_ORIGIN)


@proves("tpm.quote.key_attributes")
def the_key_does_not_sign(found):
    found.public = public_area(ak("p256"), attributes=AK_ATTRIBUTES & ~Attributes.SIGN)


@proves("tpm.quote.key_attributes")
def the_key_decrypts_too(found):
    found.public = public_area(ak("p256"), attributes=AK_ATTRIBUTES | Attributes.DECRYPT)


@proves("tpm.quote.signature_layout.trailing")
def a_byte_follows_the_signature(found):
    found.signature = found.quote.signature() + b"\0"


@proves("tpm.quote.signature_layout.truncated")
def the_signature_is_cut_short(found):
    found.signature = found.quote.signature()[:-1]


@proves("tpm.quote.signature_layout.truncated")
def the_signature_has_no_second_half(found):
    found.signature = found.quote.signature()[:38]


@proves("tpm.quote.signature_layout.size")
def the_signature_is_a_head_without_a_body(found):
    found.signature = found.quote.signature()[:5]


@proves("tpm.quote.signature_layout.scheme")
def the_signature_is_an_hmac(found):
    found.signature = b"\0\x05" + found.quote.signature()[2:]


@proves("tpm.quote.signature_layout.hash")
def the_signatures_hash_is_unknown(found):
    found.signature = found.quote.signature()[:2] + b"\0\x12" + found.quote.signature()[4:]


@proves("tpm.quote.scheme.mismatch")
def the_signature_is_of_another_kind_of_key(found):
    found.signature = struct.pack(">HH", Scheme.RSASSA, SHA256) + sized(bytes(256))


@proves("tpm.quote.scheme.mismatch")
def the_key_is_for_another_hash(found):
    found.quote.algorithm = SHA384
    found.quote.digest = SHA384.digest(b"".join(found.pcrs[index] for index in sorted(found.pcrs)))


@proves("tpm.quote.scheme.weak")
def the_signature_is_over_a_sha1_hash(found):
    found.quote.algorithm = SHA1
    found.public = public_area(ak("p256"), scheme=(Scheme.ECDSA, SHA1))
    found.quote.digest = SHA1.digest(b"".join(found.pcrs[index] for index in sorted(found.pcrs)))


@proves("tpm.quote.signature")
def a_stranger_signed_the_quote(found):
    found.quote.key = keys("stranger")


@proves("tpm.quote.signature")
def the_signature_is_of_another_quote(found):
    found.signature = found.quote.signature()
    found.quote.clock += 1


@proves("tpm.quote.selection.indices")
def the_values_are_relabelled(found):
    # The digest of the values is right; they are presented as other PCRs than were signed.
    del found.pcrs[14]
    found.pcrs[23] = machine().tpm.values[SHA256][14]


@proves("tpm.quote.selection.indices")
def more_is_presented_than_was_signed(found):
    found.pcrs[23] = bytes(32)


@proves("tpm.quote.selection.indices")
def less_is_presented_than_was_signed(found):
    del found.pcrs[14]


@proves("tpm.quote.selection.bank")
def the_values_are_presented_as_another_bank(found):
    found.quote.selections = [(SHA384, bitmap(found.pcrs))]


@proves("tpm.quote.selection.banks")
def two_banks_are_quoted(found):
    found.quote.selections.append((SHA384, bitmap([0])))


@proves("tpm.quote.selection.duplicate")
def one_bank_is_quoted_twice(found):
    found.quote.selections.append((SHA256, bitmap([0])))


@proves("tpm.quote.selection.empty")
def no_pcr_is_quoted(found):
    found.quote.selections = [(SHA256, bitmap([]))]


@proves("tpm.quote.bank", bank=SHA1, indices=(*range(10), 14))
def the_bank_is_sha1(found):
    found.kernel = None


@proves("tpm.quote.pcr_digest")
def a_pcr_value_is_another(found):
    found.pcrs[14] = bytes(32)


@proves("tpm.quote.pcr_digest", bank=SHA384)
def the_digest_is_of_the_banks_hash_and_not_the_signatures(found):
    found.quote.digest = SHA384.digest(b"".join(found.pcrs[index] for index in sorted(found.pcrs)))


@proves("tpm.quote.nonce.mismatch")
def the_nonce_is_another(found):
    found.quote.extra_data = bytes(32)


@proves("tpm.quote.nonce.mismatch")
def the_nonce_is_a_prefix_only(found):
    found.quote.extra_data = NONCE + b"\0"


@proves("tpm.quote.nonce.mismatch")
def the_nonce_is_absent(found):
    found.quote.extra_data = b""


# --- The event logs


def separates(event, register):
    return event.register == register and event.kind == EventType.SEPARATOR


def failing(event):
    payload = b"\x01\0\0\0"
    digests = {bank: bank.digest(payload) for bank in event.digests}
    return LoggedEvent(event.register, event.kind, payload, digests)


def event_of(found, register, kind=None):
    return next(e for e in found.firmware.events if e.register == register and kind in (None, e.kind))


@proves("tpm.log.layout.truncated")
def the_log_is_cut_short(found):
    found.event_log = found.firmware.encode()[:-1]


@proves("tpm.log.layout.register")
def an_event_extends_no_pcr(found):
    found.firmware.events[-1].register = 24


@proves("tpm.log.layout.locality")
def the_startup_locality_stands_twice(found):
    for _ in range(2):
        found.firmware.note(b"StartupLocality\0\0")


@proves("tpm.log.layout.empty")
def the_log_is_padding(found):
    found.event_log = bytes(64)


@proves("tpm.log.cel.number")
def the_launchers_log_begins_late(found):
    found.canonical_log = found.launcher.encode(first=1)


@proves("tpm.log.bank")
def an_event_lacks_the_quoted_bank(found):
    del found.firmware.events[-1].digests[SHA256]


@proves("tpm.log.bank")
def a_record_lacks_the_quoted_bank(found):
    del found.launcher.records[0].digests[SHA256]


@proves("tpm.log.replay.mismatch")
def an_event_is_missing(found):
    del found.firmware.events[-1]


@proves("tpm.log.replay.mismatch")
def an_event_was_added(found):
    found.firmware.events.append(found.firmware.events[-1])


@proves("tpm.log.replay.mismatch")
def two_events_change_places(found):
    events = [e for e in found.firmware.events if e.register == 4]
    one, two = (found.firmware.events.index(e) for e in events)
    found.firmware.events[one], found.firmware.events[two] = events[1], events[0]


@proves("tpm.log.replay.mismatch")
def a_record_was_added(found):
    found.launcher.measure(machine().tpm, 14, 1, b"more")


@proves("tpm.log.replay.silent")
def the_log_says_nothing_of_a_pcr(found):
    # A PCR whose events are all left out passes where only those with events are compared.
    found.firmware.events = [e for e in found.firmware.events if e.register != 9]


@proves("tpm.log.separators.missing", events=lambda events: [e for e in events if not separates(e, 3)])
def a_separator_is_missing(found):
    pass


@proves("tpm.log.separators.repeated", events=lambda events: events + [e for e in events if separates(e, 3)])
def a_separator_is_repeated(found):
    pass


@proves(
    "tpm.log.separators.error", events=lambda events: [failing(e) if separates(e, 3) else e for e in events]
)
def a_separator_reports_an_error(found):
    pass


@proves("tpm.log.payload.contradicted")
def a_payload_is_not_what_was_hashed(found):
    event_of(found, 7, 0x80000001).payload = bytes(40)


@proves("tpm.log.payload.contradicted")
def a_records_content_is_not_what_was_hashed(found):
    found.launcher.records[0].content = b"\0\0\0\0\x01x"


# --- The IMA log


@proves("tpm.ima.layout.truncated")
def the_ima_log_is_cut_short(found):
    found.ima_log = found.kernel.encode()[:-1]


@proves("tpm.ima.layout.template")
def the_template_is_unknown(found):
    found.kernel.entries[0].template = "ima-unknown"


@proves("tpm.ima.template")
def an_entry_is_not_what_its_digest_says(found):
    found.ima_log = found.kernel.encode().replace(b"/usr/bin/agent", b"/usr/bin/other")


@proves("tpm.ima.bank", indices=(*range(10), 14))
def pcr_10_is_not_quoted(found):
    pass


@proves("tpm.ima.replay")
def a_file_is_renamed(found):
    found.kernel.entries[1].data = file_data("/usr/bin/other", SHA256.digest(b"agent"))


@proves("tpm.ima.replay")
def a_file_is_left_out(found):
    del found.kernel.entries[1]


@proves("tpm.ima.replay")
def a_violation_is_made_of_a_file(found):
    found.kernel.entries[1].violation = True


@proves("tpm.ima.replay")
def an_entry_extends_another_pcr(found):
    found.kernel.entries[1].register = 11


@proves("tpm.ima.hash", padded=True)
def the_bank_holds_padded_digests(found):
    pass


@proves("tpm.ima.pending")
def the_log_runs_far_ahead_of_the_quote(found):
    found.kernel.entries += [found.kernel.entries[-1]] * 65


@proves("tpm.ima.boot_aggregate.mismatch", aggregate=b"another boot")
def the_log_begins_with_another_boot(found):
    pass


@proves("tpm.ima.boot_aggregate.missing", aggregate=None)
def the_log_begins_with_no_boot(found):
    pass


@proves("tpm.ima.boot_aggregate.unreadable", aggregate=b"")
def the_boot_aggregate_is_no_file(found):
    pass


def host_of(options: dict) -> Machine:
    """Make the machine that a case needs: with other firmware events, or another kernel."""
    tpm = SoftwareTpm(ak("p256"))
    firmware, launcher, kernel = FirmwareLog(tpm.banks), LauncherLog(), KernelLog(padded="padded" in options)
    firmware.boot(SoftwareTpm(ak("p256")))
    firmware.events = options.get("events", list)(firmware.events)
    for event in firmware.events:
        tpm.extend(event.register, event.digests)
    launcher.measure(tpm, 14, 0, b"registry.example/agent:1")
    aggregate = options.get("aggregate", "the right one")
    if aggregate == "the right one":
        kernel.begin(tpm)
    elif aggregate is not None:
        data = file_data("boot_aggregate", SHA256.digest(aggregate)) if aggregate else b"no fields"
        kernel.measure(tpm, "ima-ng", data)
    host = Machine(tpm, firmware, launcher, kernel)
    host.run("/usr/bin/agent", b"agent")
    host.run("/usr/lib/libc.so", b"libc")
    return host


def run(case: Defect):
    """Judge the evidence of a case."""
    options = case.options
    asked = {name: options[name] for name in ("bank", "indices") if name in options}
    found = host_of(options).evidence(NONCE, **asked)
    if options.get("certified"):
        found.certificates = chain("p256")
    case.spoil(found)
    if "crls" in options:
        return judge_with_lists(found.encode(), options["crls"]())
    given = options.get("given", lambda found: b"" if options.get("certified") else found.public)
    return judge(found.encode(), given=given(found), now=options.get("now", NOW))


def judge_with_lists(data: bytes, *crls: bytes, given: bytes = b"", now=NOW, facts: FactCache | None = None):
    """Verify evidence with the lists that the caller has."""
    return verify_tpm(
        data,
        endorsements=TpmEndorsements(given, crls=crls),
        roots=roots(),
        now=now,
        binding=Expected(NONCE),
        facts=facts or FactCache(),
    )


@pytest.mark.parametrize("case", DEFECTS, ids=lambda case: case.name)
def test_only_one_check_refuses(case):
    result = run(case)
    assert [(check.id, check.code) for check in result.ledger.failed()] == [(spec_of(case.code), case.code)]
    assert not result.authentic or spec_of(case.code) == "tpm.quote.nonce"
    assert not result.bound
    with pytest.raises(EvidenceError):
        _ = result.claims


def test_every_check_has_an_input_that_it_alone_refuses():
    assert {spec_of(case.code) for case in DEFECTS} == PROVED


def test_no_two_inputs_are_the_same():
    assert len({case.name for case in DEFECTS}) == len(DEFECTS)


def test_a_key_that_nobody_vouches_for_leaves_the_evidence_unproven():
    result = judge(draft().encode())
    assert result.ledger["tpm.ak.trust"].code == "tpm.ak.trust.missing"
    assert result.ledger["tpm.ak.trust"].outcome is Outcome.NOT_CHECKED
    assert [need.kind for need in result.needs] == ["ak"]
    assert result.anchor is None
    assert not result.authentic


def test_a_quote_without_any_key_is_not_checked_and_not_refused():
    found = draft()
    found.public = b""
    result = judge(found.encode())
    assert result.ledger["tpm.quote.key"].outcome is Outcome.NOT_CHECKED
    assert result.ledger["tpm.quote.key"].code == "tpm.quote.key.missing"
    assert result.ledger["tpm.quote.signature"].outcome is Outcome.NOT_CHECKED
    assert not result.ledger.failed()
    assert [need.kind for need in result.needs] == ["ak"]
    assert not result.authentic


def test_what_nothing_proves_of_the_logs_is_named_where_it_stands_in_the_container():
    found = draft()
    data = found.encode()
    places = TpmEvidence.parse(data).places
    log, canonical, ima = (places[one] for one in (Section.EVENT_LOG, Section.CANONICAL_LOG, Section.IMA_LOG))
    regions = [one for one in judge(data, given=found.public).unsigned if one.start >= log]
    assert regions[0] == UnsignedRegion(log, log + 73, "header of the event log")
    assert all(one.start < one.end for one in regions)
    captions = {data[one.start : one.end] for one in regions if one.name == "caption of an event"}
    assert captions & {event.payload for event in found.firmware.events}
    behind = [one for one in regions if one.start >= canonical]
    assert behind
    assert all(one.name == "digest of another bank" and one.end < ima for one in behind)


def test_a_key_of_a_certificate_has_attributes_that_nobody_states():
    for certified in (True, False):
        found = draft(certified=certified)
        for facts in (FactCache(),) * 2:
            result = judge(found.encode(), given=b"" if certified else found.public, facts=facts)
            outcomes = {check.id: check.outcome for check in result.ledger}
            expected = Outcome.NOT_APPLICABLE if certified else Outcome.PASSED
            assert outcomes["tpm.quote.key_attributes"] is expected
            assert outcomes["tpm.quote.signature"] is outcomes["tpm.quote.nonce"] is Outcome.PASSED
            assert result.claims.ak_revocation_checked is False


def test_an_unchecked_nonce_leaves_the_evidence_unbound():
    found = draft()
    result = judge(found.encode(), given=found.public, binding=Unchecked("to look at it"))
    assert result.authentic
    assert not result.bound
    assert result.ledger["tpm.quote.nonce"].code == "tpm.quote.nonce.unchecked"
    assert [need.kind for need in result.needs] == ["binding"]
    assert result.claims.quote.extra_data == NONCE


def test_evidence_without_logs_proves_its_quote_alone():
    found = draft()
    found.firmware = found.launcher = found.kernel = None
    facts = FactCache()
    result = judge(found.encode(), given=found.public, facts=facts)
    assert result.bound
    assert result.claims.boot is None
    assert result.claims.ima is None
    again = judge(found.encode(), given=found.public, facts=facts)
    with_logs = judge(draft().encode(), given=found.public, facts=facts)
    order = [check.id for check in with_logs.ledger]
    assert [check.id for check in result.ledger] == [check.id for check in again.ledger] == order


@pytest.mark.parametrize("form", ["public", "sized", "spki"])
def test_the_attestation_key_may_be_given_in_three_forms(form):
    found = draft()
    given = {"public": found.public, "sized": sized(found.public), "spki": spki(ak("p256"))}[form]
    result = judge(found.encode(), given=given)
    assert result.bound
    assert (result.claims.quote.ak_name is None) is (form == "spki")


def test_the_issuer_may_come_from_the_caller():
    found = draft(certified=True)
    issuer = found.certificates[1]
    found.certificates = found.certificates[:1]
    assert judge(found.encode(), issuers=(issuer,)).bound
    assert judge(found.encode()).ledger["tpm.ak.root"].outcome is Outcome.FAILED


def test_the_certificates_of_the_caller_come_in_any_order():
    found = draft(certified=True)
    leaf, issuer = found.certificates
    found.certificates = ()
    stranger = certificate("A Stranger", keys("stranger"), ROOT_NAME, keys("root"), authority=True)
    result = judge(found.encode(), issuers=(stranger, issuer, leaf))
    assert result.bound, result.ledger.unmet()
    assert result.claims.ak_common_name == AK_NAME
    assert judge(found.encode(), issuers=(issuer,)).ledger["tpm.ak.trust"].outcome is Outcome.NOT_CHECKED


def test_issuers_that_name_each_other_end():
    one = certificate("One", keys("one"), "Two", keys("two"), authority=True)
    two = certificate("Two", keys("two"), "One", keys("one"), authority=True)
    found = draft()
    found.certificates = (certificate(AK_NAME, ak("p256"), "One", keys("one"), authority=False),)
    assert [check.id for check in judge(found.encode(), issuers=(one, two)).ledger.failed()] == [
        "tpm.ak.root"
    ]


def test_a_root_may_certify_an_attestation_key_itself():
    found = draft()
    found.certificates = (certificate(AK_NAME, ak("p256"), ROOT_NAME, keys("root"), authority=False),)
    assert judge(found.encode()).bound


def test_what_a_violation_says_is_unsigned():
    one = machine()
    data = file_data("/usr/bin/busy", bytes(32))
    one.kernel.measure(one.tpm, "ima-ng", data, violation=True)
    found = one.evidence(NONCE)
    container = found.encode()
    result = judge(container, given=found.public)
    assert result.bound
    declared = [container[region.start : region.end] for region in result.unsigned]
    assert any(data in text for text in declared)


def test_the_chain_may_carry_its_root():
    found = draft(certified=True)
    found.certificates = (*found.certificates, root())
    assert judge(found.encode()).bound


def test_sha1_is_accepted_by_a_policys_word_alone():
    found = machine().evidence(NONCE, bank=SHA1, indices=(*range(10), 14))
    found.kernel = None
    result = judge(found.encode(), given=found.public, banks=frozenset({SHA1}))
    assert result.bound
    assert result.claims.quote.bank is SHA1


@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_scheme_verifies(scheme):
    kind = "p256" if scheme is Scheme.ECDSA else "rsa"
    found = draft(kind)
    found.quote.scheme = scheme
    found.public = public_area(ak(kind), scheme=(scheme, SHA256))
    assert judge(found.encode(), given=found.public).bound


@pytest.mark.parametrize("algorithm", [SHA256, SHA384, Algorithm.SHA512])
@pytest.mark.parametrize("bank", [SHA256, SHA384])
def test_the_digest_is_of_the_signatures_hash_whatever_the_bank(algorithm, bank):
    found = machine().evidence(NONCE, bank=bank)
    found.quote.algorithm = algorithm
    found.public = public_area(ak("p256"), scheme=(Scheme.ECDSA, algorithm))
    found.quote.digest = algorithm.digest(b"".join(found.pcrs[index] for index in sorted(found.pcrs)))
    result = judge(found.encode(), given=found.public)
    assert result.bound, result.ledger.unmet()
    assert result.claims.quote.signature_hash is algorithm


def test_another_selection_without_pcrs_does_no_harm():
    found = draft()
    found.quote.selections.insert(0, (SHA1, bitmap([])))
    assert judge(found.encode(), given=found.public).bound


def test_a_call_that_is_wrong_is_an_error_of_the_caller():
    data = draft().encode()
    with pytest.raises(EvidenceError, match="time zone"):
        judge(data, now=NOW.replace(tzinfo=None))
    with pytest.raises(EvidenceError, match="empty nonce"):
        judge(data, binding=Expected(b""))
    with pytest.raises(EvidenceError, match="bytes"):
        judge(bytearray(data))


def test_a_verified_key_is_remembered_for_the_time_it_is_valid():
    found, facts = draft(certified=True), FactCache()
    data = found.encode()
    assert judge(data, facts=facts).bound
    assert len(facts.shelf("tpm.keys")) == 1
    assert judge(data, facts=facts).bound
    late = judge(data, facts=facts, now=NOW + timedelta(days=10_000))
    assert [check.id for check in late.ledger.failed()] == ["tpm.ak.validity"]


def test_a_refused_key_is_not_remembered():
    found, facts = draft(certified=True), FactCache()
    assert not judge(found.encode(), facts=facts, now=NOW + timedelta(days=10_000)).authentic
    assert len(facts.shelf("tpm.keys")) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"clock": 2}, "clock"),
        ({"clock": 2, "safe": False}, None),
        ({"reset_count": 3, "clock": 20}, "reset count"),
        ({"restart_count": 1, "clock": 20}, "restart count"),
        ({"reset_count": 5, "restart_count": 0, "clock": 20}, None),
        ({"ak_digest": bytes(32)}, "different attestation keys"),
    ],
)
def test_a_quote_that_was_made_before_the_last_one_is_recognised(change, said):
    found = draft()
    claims = judge(found.encode(), given=found.public).claims.quote
    before = replace(claims, clock=10, reset_count=4, restart_count=2, safe=True)
    found = replace(before, **change).gone_back(before)
    assert found is None if said is None else said in found


LISTS = {"issuer": lambda: crl(ISSUER_NAME, "issuer", 7), "root": lambda: crl(ROOT_NAME, "root", 7)}


@pytest.mark.parametrize("left", [(), ("issuer",), ("root",), ("root", "issuer")])
@pytest.mark.parametrize("foreign", [False, True])
def test_revocation_is_checked_where_every_issuer_has_a_list(left, foreign):
    """A list of another authority says nothing, whatever stands on it."""
    lists = [LISTS[name]() for name in left]
    if foreign:
        lists.insert(0, crl("Another CA", "stranger", serial(0), serial(1)))
    result = judge_with_lists(draft(certified=True).encode(), *lists)
    assert result.bound
    assert result.claims.ak_revocation_checked is (len(left) == 2)
    demand_said(result.ledger["tpm.ak.revoked"], lists=len(left), foreign=foreign)


def test_a_key_that_the_caller_gave_is_on_no_list():
    found = draft()
    result = judge_with_lists(found.encode(), LISTS["root"](), given=found.public)
    assert result.bound
    assert result.ledger["tpm.ak.revoked"].outcome is Outcome.NOT_APPLICABLE
    assert not result.claims.ak_revocation_checked


def test_a_remembered_key_is_judged_again_under_other_lists_and_after_their_end():
    data, facts = draft(certified=True).encode(), FactCache()
    lists = [made() for made in LISTS.values()]
    for _ in range(2):
        assert judge_with_lists(data, *lists, facts=facts).claims.ak_revocation_checked
    late = judge_with_lists(data, *lists, facts=facts, now=NOW + timedelta(days=30))
    assert late.ledger["tpm.ak.revoked"].code == "tpm.ak.revoked.time"
    assert not judge_with_lists(data, facts=facts).claims.ak_revocation_checked
    listed = judge_with_lists(data, crl(ISSUER_NAME, "issuer", serial(0)), facts=facts)
    assert listed.ledger["tpm.ak.revoked"].code == "tpm.ak.revoked.listed"


@cache
def whole_evidence() -> bytes:
    """Return evidence with certificates, every log, and entries of a PCR that is not quoted."""
    host = machine()
    host.kernel.measure(host.tpm, "ima-ng", file_data("/elsewhere", bytes(32)), register=16)
    host.run("/usr/bin/another", b"another")
    host.launcher.measure(host.tpm, 15, 0, b"not quoted")
    found = host.evidence(NONCE)
    found.certificates = chain("p256")
    found.ima_log = host.kernel.encode()
    host.run("/usr/bin/late", b"late")
    return found.encode()


@given(st.integers(0, 10**9), st.integers(0, 7))
def test_every_accepted_flip_of_whole_evidence_is_in_a_declared_region(place, bit):
    data = whole_evidence()
    facts = FactCache()
    assert judge(data, facts=facts).bound, judge(data).ledger.unmet()
    at = place % len(data)
    spoilt = bytearray(data)
    spoilt[at] ^= 1 << bit
    result = judge(bytes(spoilt), facts=facts)
    if result.bound:
        assert any(region.start <= at < region.end for region in result.unsigned)


@pytest.mark.parametrize("first", [True, False])
def test_two_roots_of_one_name_are_told_apart_by_their_keys(first):
    other = certificate(ROOT_NAME, keys("another root"), ROOT_NAME, keys("another root"), authority=True)
    both = [("own", root()), ("another", other)]
    trusted = Roots.vendor()
    for name, der in both if first else reversed(both):
        trusted = trusted.with_anchor(name, der, vendor=TPM)
    found = verify_tpm(
        draft(certified=True).encode(),
        endorsements=None,
        roots=trusted,
        now=NOW,
        binding=Expected(NONCE),
        facts=FactCache(),
    )
    assert found.authentic
    assert found.anchor.name == "own"
