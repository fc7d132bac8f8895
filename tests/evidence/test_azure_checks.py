"""Each check of an Azure VM's evidence has at least one input that it alone refuses, under its own code.

An input is a simulated VM with one defect, signed all the same: hardware, paravisor and virtual TPM are those
of an installation that the Relying Party trusts. The hardware's own checks have theirs with its format.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest

from assay.errors import EvidenceError
from assay.evidence.azure import SNP_CHECKS, TDX_CHECKS, checks
from assay.evidence.azure.forms import MAX_CONTAINER_BYTES
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.tpm.signature import Scheme
from assay.simulator.azure import AzureScene
from assay.simulator.azure.scene import runtime_claims
from support.azure_scenes import AZURE, NONCE, NOW, PLATFORMS, changed, judge, scene

SNP, TDX = ("azure-snp",), ("azure-tdx",)


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    platforms: tuple[str, ...]
    spoil: Callable[[AzureScene], None]


DEFECTS: list[Defect] = []


def proves(spec: CheckSpec, code: str = "", *, platforms: tuple[str, ...] = PLATFORMS):
    """Register a function that spoils a scene so that ``spec``, and nothing else, refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, platforms, spoil))
        return spoil

    return register


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_is_wrong_without_a_defect(platform):
    stage = scene(platform)
    stage.certify()
    stage.log = stage.boot()
    stage.form = "bundle" if platform == "azure-tdx" else "v1"
    scenario = stage.finish()
    result = judge(scenario, evidence=scenario.parts)
    assert result.authentic
    assert result.bound
    assert result.simulated
    assert not result.ledger.unmet()
    assert result.claims.user_data_bound
    assert result.claims.ak_certificate.anchor.simulated
    assert result.claims.ak_certificate.revocation_checked
    assert result.claims.runtime.setting("secure-boot") is True
    assert result.claims.runtime.setting("vmUniqueId") is None
    assert result.claims.tpm.selection == tuple(range(24))
    assert result.claims.log.explained == frozenset(range(8))
    assert not result.claims.debug
    not_applicable = {c.id for c in result.ledger if c.outcome is Outcome.NOT_APPLICABLE}
    assert not_applicable == set()


# --- The container


def members(change):
    def spoil(stage):
        stage.after_members = change

    return spoil


@proves(checks.CONTAINER, "azure.container.layout")
def container_with_a_member_too_many(stage):
    stage.after_members = lambda found: {**found, "more": 1}


@proves(checks.CONTAINER, "azure.container.layout")
def container_without_its_quote(stage):
    stage.after_members = lambda found: {name: found[name] for name in found if name != "tpm_quote"}


@proves(checks.CONTAINER, "azure.container.layout")
def container_with_a_member_twice(stage):
    stage.after = lambda data: data[:-1] + b', "version": 1}'


@proves(checks.CONTAINER, "azure.container.layout")
def container_of_a_version_to_come(stage):
    stage.after_members = lambda found: {**found, "version": 3}


@proves(checks.CONTAINER, "azure.container.layout")
def container_whose_version_is_a_truth_value(stage):
    stage.after_members = lambda found: {**found, "version": True}


@proves(checks.CONTAINER, "azure.container.layout")
def quote_in_upper_case(stage):
    stage.after_members = lambda found: {
        **found,
        "tpm_quote": {**found["tpm_quote"], "message": found["tpm_quote"]["message"].upper()},
    }


@proves(checks.CONTAINER, "azure.container.layout")
def quote_with_a_member_too_many(stage):
    stage.after_members = lambda found: {**found, "tpm_quote": {**found["tpm_quote"], "pcr": []}}


@proves(checks.CONTAINER, "azure.container.layout")
def quote_of_too_many_values(stage):
    stage.after_members = lambda found: {
        **found,
        "tpm_quote": {**found["tpm_quote"], "pcrs": ["00" * 32] * 25},
    }


@proves(checks.CONTAINER, "azure.container.layout")
def quote_value_of_another_size(stage):
    stage.after_members = lambda found: {**found, "tpm_quote": {**found["tpm_quote"], "pcrs": ["00" * 33]}}


@proves(checks.CONTAINER, "azure.container.layout")
def report_in_plain_base64(stage):
    stage.after_members = lambda found: {**found, "hcl_report": found["hcl_report"].replace("A", "+")}


@proves(checks.CONTAINER, "azure.container.layout")
def report_with_stray_bits(stage):
    stage.after_members = lambda found: {**found, "hcl_report": "SENMQT"}


@proves(checks.CONTAINER, "azure.container.layout")
def numbers_that_are_no_bytes(stage):
    stage.form = "v0"

    def change(found):
        quote = found.get("quote") or found["tpm_quote"]
        quote["message"][3] = 256
        return found

    stage.after_members = change


@proves(checks.CONTAINER, "azure.container.layout")
def numbers_that_are_truth_values(stage):
    stage.form = "v0"

    def change(found):
        quote = found.get("quote") or found["tpm_quote"]
        quote["signature"][0] = True
        return found

    stage.after_members = change


@proves(checks.CONTAINER, "azure.container.layout")
def container_longer_than_any(stage):
    stage.after = lambda data: data + b" " * (MAX_CONTAINER_BYTES)


@proves(checks.CONTAINER, "azure.container.layout", platforms=TDX)
def bundle_of_a_google_instance(stage):
    stage.certify()
    stage.form = "bundle"

    def change(found):
        found["tpm_attestation"]["instance_info"] = {"zone": "nowhere"}
        return found

    stage.after_members = change


@proves(checks.CONTAINER, "azure.container.layout", platforms=TDX)
def bundle_with_too_many_certificates(stage):
    stage.certify()
    stage.form = "bundle"
    stage.intermediates = (stage.authority.sign(),) * 5


# --- The HCL report


def word(stage, offset, value):
    stage.words[offset] = value


@proves(checks.HCL_LAYOUT, "azure.hcl.truncated")
def report_that_ends_in_its_header(stage):
    stage.after_hcl = lambda data: data[:1235]


@proves(checks.HCL_LAYOUT, "azure.hcl.truncated")
def report_that_ends_in_its_claims(stage):
    stage.after_hcl = lambda data: data.rstrip(b"\0")[:-1]


@proves(checks.HCL_LAYOUT, "azure.hcl.truncated")
def report_of_nothing(stage):
    stage.after_hcl = lambda data: b""


@proves(checks.HCL_LAYOUT, "azure.hcl.magic")
def report_of_another_kind(stage):
    stage.after_hcl = lambda data: b"HCLB" + data[4:]


@proves(checks.HCL_LAYOUT, "azure.hcl.status")
def report_of_a_failure(stage):
    word(stage, 16, 1)


@proves(checks.HCL_LAYOUT, "azure.hcl.status")
def report_that_uses_its_last_reserved_word(stage):
    word(stage, 28, 1)


@proves(checks.HCL_LAYOUT, "azure.hcl.length")
def claims_of_no_bytes(stage):
    word(stage, 1232, 0)


@proves(checks.HCL_LAYOUT, "azure.hcl.length")
def claims_longer_than_any(stage):
    word(stage, 1232, 2049)


@proves(checks.HCL_LAYOUT, "azure.hcl.length")
def size_of_data_that_contradicts(stage):
    word(stage, 1216, 999)


@proves(checks.HCL_LAYOUT, "azure.hcl.length")
def size_of_report_that_contradicts(stage):
    word(stage, 8, 2599)


@proves(checks.HCL_LAYOUT, "azure.hcl.hash_type")
def hash_that_is_not_known(stage):
    word(stage, 1228, 4)


@proves(checks.HCL_VERSION, "azure.hcl.version")
def report_of_version_three(stage):
    word(stage, 4, 3)


@proves(checks.HCL_VERSION, "azure.hcl.version")
def report_of_version_zero(stage):
    word(stage, 4, 0)


@proves(checks.HCL_VERSION, "azure.hcl.request_type")
def report_for_a_key_release(stage):
    word(stage, 12, 1)


@proves(checks.HCL_VERSION, "azure.hcl.data_version")
def request_data_with_an_extension(stage):
    word(stage, 1220, 2)


@proves(checks.HCL_PLATFORM, "azure.hcl.platform")
def report_of_the_other_tee(stage):
    word(stage, 1224, 4 if stage.platform == "azure-snp" else 2)


@proves(checks.HCL_PLATFORM, "azure.hcl.platform")
def report_of_a_vm_without_tee(stage):
    word(stage, 1224, 3)


@proves(checks.HCL_PLATFORM, "azure.hcl.platform")
def report_of_virtualization_based_security(stage):
    word(stage, 1224, 1)


@proves(checks.HCL_PLATFORM, "azure.hcl.platform")
def report_of_an_unknown_type(stage):
    word(stage, 1224, 77)


@proves(checks.HCL_TRAILING, "azure.hcl.trailing")
def byte_behind_the_claims(stage):
    stage.after_hcl = lambda data: data[:-1] + b"\1"


@proves(checks.HCL_TRAILING, "azure.hcl.trailing", platforms=TDX)
def byte_behind_the_td_report(stage):
    stage.after_hcl = lambda data: changed(data, 32 + 1024, b"\1")


@proves(checks.HCL_TRAILING, "azure.hcl.trailing", platforms=TDX)
def byte_at_the_end_of_the_hardware_room(stage):
    stage.after_hcl = lambda data: changed(data, 1215, b"\1")


# --- The runtime claims, hashed and signed as they stand


def raw(stage, change):
    """Replace the claims by bytes that the hardware vouches for all the same."""
    stage.runtime = change(json.dumps(stage.claims, separators=(",", ":")).encode())


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_with_a_member_twice(stage):
    raw(stage, lambda data: data[:-1] + b',"user-data":"' + b"00" * 64 + b'"}')


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_with_keys_twice(stage):
    other = json.dumps({"keys": runtime_claims(AZURE.ak_key(" of another VM"), None)["keys"]})
    raw(stage, lambda data: data[:-1] + b"," + other[1:].encode())


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_with_a_setting_twice(stage):
    raw(stage, lambda data: data.replace(b'"secure-boot":true', b'"secure-boot":false,"secure-boot":true'))


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_with_a_member_that_is_not_known(stage):
    stage.claims["more"] = 1


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_without_keys(stage):
    del stage.claims["keys"]


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_without_a_configuration(stage):
    del stage.claims["vm-configuration"]


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_that_are_no_object(stage):
    stage.runtime = b"[]"


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_that_are_no_text(stage):
    stage.runtime = b"\xff"


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_behind_which_something_follows(stage):
    raw(stage, lambda data: data + b"{}")


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_of_too_many_keys(stage):
    stage.claims["keys"] += [{"kid": str(i)} for i in range(8)]


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def claims_of_too_many_settings(stage):
    stage.claims["vm-configuration"] |= {f"setting-{i}": True for i in range(33)}


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def setting_that_is_a_list(stage):
    stage.claims["vm-configuration"]["secure-boot"] = [True]


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def setting_with_a_control_character(stage):
    stage.claims["vm-configuration"]["vmUniqueId"] = "\x1b[2J"


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def setting_of_too_many_characters(stage):
    stage.claims["vm-configuration"]["vmUniqueId"] = "x" * 129


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def key_that_is_no_object(stage):
    stage.claims["keys"].append("HCLAkPub")


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def key_without_an_id(stage):
    del stage.claims["keys"][1]["kid"]


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def user_data_of_half_the_size(stage):
    stage.claims["user-data"] = "00" * 32


@proves(checks.RUNTIME_LAYOUT, "azure.runtime.layout")
def user_data_with_spaces(stage):
    stage.claims["user-data"] = stage.claims["user-data"][:-4] + " 00 "


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.absent")
def claims_without_an_attestation_key(stage):
    del stage.claims["keys"][0]


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.ambiguous")
def claims_with_two_attestation_keys(stage):
    other = runtime_claims(AZURE.ak_key(" of another VM"), None)["keys"][0]
    stage.claims["keys"].append(other)


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_of_an_elliptic_curve(stage):
    stage.claims["keys"][0]["kty"] = "EC"


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_of_exponent_three(stage):
    stage.claims["keys"][0]["e"] = "Aw"


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_for_wrapping(stage):
    stage.claims["keys"][0]["key_ops"] = ["wrapKey"]


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_for_nothing(stage):
    stage.claims["keys"][0]["key_ops"] = []


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_with_a_member_that_is_not_known(stage):
    stage.claims["keys"][0]["x5c"] = []


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_with_padding(stage):
    stage.claims["keys"][0]["n"] += "=="


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_of_1024_bits(stage):
    stage.claims["keys"][0]["n"] = stage.claims["keys"][0]["n"][:171]


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_that_begins_with_zeros(stage):
    number = base64.urlsafe_b64decode(stage.claims["keys"][0]["n"] + "==")
    stage.claims["keys"][0]["n"] = base64.urlsafe_b64encode(b"\0" + number[1:]).rstrip(b"=").decode()


@proves(checks.RUNTIME_KEY, "azure.runtime.attestation_key.malformed")
def key_that_is_even(stage):
    number = base64.urlsafe_b64decode(stage.claims["keys"][0]["n"] + "==")
    stage.claims["keys"][0]["n"] = base64.urlsafe_b64encode(number[:-1] + b"\0").rstrip(b"=").decode()


# --- From layer to layer


@proves(checks.RUNTIME_BOUND, "azure.runtime.bound")
def claims_that_the_hardware_did_not_see(stage):
    """The configuration changed after the hardware signed: one letter, everything else as it was."""
    stage.after_hcl = lambda data: data.replace(b'"secure-boot":true', b'"secure-boot":TRUE').replace(
        b'"secure-boot":TRUE', b'"Secure-boot":true'
    )


@proves(checks.RUNTIME_BOUND, "azure.runtime.bound")
def claims_written_again(stage):
    """The same values in other bytes: what was hashed are the bytes."""
    ordered = json.dumps(stage.claims, separators=(",", ":"), sort_keys=True).encode()
    stage.report_data = hashlib.sha256(ordered).digest().ljust(64, b"\0")


@proves(checks.RUNTIME_BOUND, "azure.runtime.bound")
def hash_in_the_wrong_half(stage):
    stage.report_data = bytes(32) + _commitment(stage)


@proves(checks.RUNTIME_BOUND, "azure.runtime.bound")
def hash_behind_which_something_stands(stage):
    stage.report_data = _commitment(stage) + bytes(31) + b"\1"


@proves(checks.RUNTIME_BOUND, "azure.runtime.bound")
def hash_of_another_function(stage):
    """The report says SHA-512, the hardware signed SHA-256."""
    stage.report_data = _commitment(stage).ljust(64, b"\0")
    stage.hash_name = "sha512"


@proves(checks.RUNTIME_BOUND, "azure.runtime.bound", platforms=TDX)
def td_report_in_place_of_the_quote(stage):
    """The TDREPORT carries the hash, the TD quote that of another VM: only the quote is signed."""
    stage.tdx.after_quote = lambda quote: quote
    other = scene("azure-tdx", user_data=None)
    other.key = AZURE.ak_key(" of another VM")
    other.claims = runtime_claims(other.key, None)
    quote = other.finish().parts.td_quote
    stage.tdx.after_quote = lambda _: quote


def _commitment(stage):
    return hashlib.sha256(json.dumps(stage.claims, separators=(",", ":")).encode()).digest()


@proves(checks.VMPL, "azure.snp.vmpl", platforms=SNP)
def report_that_the_guest_asked_for(stage):
    stage.snp.report.vmpl = 2


@proves(checks.USER_DATA, "azure.runtime.user_data.mismatch")
def user_data_of_another_session(stage):
    stage.claims["user-data"] = hashlib.sha512(b"another session").hexdigest()


@proves(checks.USER_DATA, "azure.runtime.user_data.mismatch")
def user_data_that_only_begin_as_expected(stage):
    given = stage.claims["user-data"]
    stage.claims["user-data"] = given[:-2] + "01"


@proves(checks.USER_DATA, "azure.runtime.user_data.absent")
def user_data_that_are_missing(stage):
    del stage.claims["user-data"]


# --- The quote of the virtual TPM


@proves(checks.QUOTE.layout, "azure.quote.layout.trailing")
def quote_behind_which_something_follows(stage):
    stage.quote.after = lambda data: data + b"\0"


@proves(checks.QUOTE.magic, "azure.quote.magic")
def quote_that_no_tpm_made(stage):
    stage.quote.magic = 0xFF544346


@proves(checks.QUOTE.kind, "azure.quote.type")
def certification_in_place_of_a_quote(stage):
    stage.quote.kind = 0x8017


@proves(checks.QUOTE.signature, "azure.quote.signature")
def quote_of_another_machine(stage):
    """Genuine, fresh, of the same cloud: under the attestation key of another VM."""
    stage.tpm.key = AZURE.ak_key(" of another VM")
    stage.quote_again()


@proves(checks.QUOTE.signature, "azure.quote.signature")
def attestation_key_swapped_in_the_claims(stage):
    """The claims name another key than signed; hardware and claims agree."""
    other = runtime_claims(AZURE.ak_key(" of another VM"), None)["keys"][0]
    stage.claims["keys"][0] = other


@proves(checks.QUOTE.signature, "azure.quote.signature")
def quote_signed_with_the_other_scheme(stage):
    stage.quote.scheme = Scheme.RSAPSS


@proves(checks.QUOTE.signature, "azure.quote.signature")
def quote_signed_over_another_hash(stage):
    stage.quote.algorithm = Algorithm.SHA384


@proves(checks.QUOTE.signature, "azure.quote.signature")
def signature_backwards(stage):
    stage.after_signature = lambda data: data[::-1]


@proves(checks.QUOTE.encoding, "azure.quote.signature_layout.size")
def signature_longer_than_any(stage):
    stage.after_signature = lambda data: data.ljust(700, b"\0")


@proves(checks.QUOTE.selection, "azure.quote.selection.indices")
def selection_that_was_relabelled(stage):
    """The values of PCRs 0 to 15 and 17 to 23, presented as if PCR 16 had not been left out."""
    stage.indices = (*range(16), *range(17, 24))
    stage.quote_again()
    stage.pcrs.append(bytes(32))


@proves(checks.QUOTE.selection, "azure.quote.selection.empty")
def selection_of_nothing(stage):
    stage.indices = ()
    stage.quote_again()


@proves(checks.QUOTE.selection, "azure.quote.selection.banks")
def selection_of_two_banks(stage):
    stage.quote.selections.append((Algorithm.SHA1, b"\1\0\0"))


@proves(checks.QUOTE.selection, "azure.quote.selection.bank")
def selection_of_another_bank(stage):
    stage.quote.selections[0] = (Algorithm.SHA3_256, stage.quote.selections[0][1])


@proves(checks.QUOTE.digest, "azure.quote.pcr_digest")
def value_that_was_not_quoted(stage):
    stage.pcrs[11] = hashlib.sha256(b"another kernel").digest()


@proves(checks.QUOTE.digest, "azure.quote.pcr_digest")
def values_that_changed_places(stage):
    stage.pcrs[4], stage.pcrs[11] = stage.pcrs[11], stage.pcrs[4]


@proves(checks.QUOTE.nonce, "azure.quote.nonce.mismatch")
def quote_of_another_session(stage):
    stage.quote.extra_data = hashlib.sha256(b"another session").digest()


@proves(checks.QUOTE.nonce, "azure.quote.nonce.mismatch")
def nonce_that_only_begins_as_expected(stage):
    stage.quote.extra_data = NONCE + b"\0"


# --- The event log; a bundle carries it, and so do parts


def logged(stage):
    stage.log = stage.boot()
    return stage.log


def _separates(event, register):
    return event.register == register and event.kind == EventType.SEPARATOR


@proves(checks.QUOTE.selection, "azure.quote.selection.relied")
def quote_that_leaves_out_what_the_log_explains(stage):
    logged(stage)
    stage.indices = (0, 1, 2, 3, 4, 5, 7, 11)
    stage.quote_again()


@proves(checks.LOG.layout, "azure.log.layout.truncated")
def log_that_ends_in_an_event(stage):
    logged(stage)
    stage.after_log = lambda data: data[:-1]


@proves(checks.LOG.layout, "azure.log.layout.register")
def log_of_a_register_that_is_no_pcr(stage):
    logged(stage).events[-1].register = 24


@proves(checks.LOG.bank, "azure.log.bank")
def log_of_another_bank(stage):
    log = logged(stage)
    log.banks = (Algorithm.SHA384,)
    for event in log.events:
        event.digests = {Algorithm.SHA384: hashlib.sha384(event.payload).digest()}


@proves(checks.LOG.replay, "azure.log.replay.mismatch")
def log_without_its_last_event(stage):
    logged(stage).events.pop()


@proves(checks.LOG.replay, "azure.log.replay.mismatch")
def log_of_another_loader(stage):
    log = logged(stage)
    event = next(one for one in log.events if one.kind == EventType.EFI_BOOT_SERVICES_APPLICATION)
    event.digests = {Algorithm.SHA256: hashlib.sha256(b"the loader that was meant").digest()}


@proves(checks.LOG.separators, "azure.log.separators.missing")
def boot_without_a_separator(stage):
    stage.log = stage.boot([one for one in stage.boot().events if not _separates(one, 2)])


@proves(checks.LOG.separators, "azure.log.separators.repeated")
def boot_that_separates_twice(stage):
    events = stage.boot().events
    stage.log = stage.boot([*events, next(one for one in events if _separates(one, 4))])


@proves(checks.LOG.payloads, "azure.log.payload.contradicted")
def payload_that_was_not_measured(stage):
    log = logged(stage)
    event = next(one for one in log.events if one.kind == EventType.EFI_VARIABLE_DRIVER_CONFIG)
    event.payload = event.payload[:-1] + b"\0"


# --- The certificate of the attestation key; a bundle carries it, and so do parts


@proves(checks.AK_CERTIFICATE, "azure.ak.layout")
def certificate_behind_which_something_stands(stage):
    stage.certify()
    stage.behind_certificate = bytes(7) + b"\1"


@proves(checks.AK_CERTIFICATE, "azure.ak.layout")
def issuer_that_is_no_certificate(stage):
    stage.certify()
    stage.intermediates = (b"\x30\x00",)


@proves(checks.AK_KEY, "azure.ak.key")
def certificate_of_another_machine(stage):
    stage.certificate = AZURE.ak_draft(AZURE.ak_key(" of another VM"))


@proves(checks.AK_CHAIN, "azure.ak.chain.signature")
def authority_that_the_root_did_not_sign(stage):
    stage.certify()
    der = stage.authority.sign()
    stage.intermediates = (der[:-1] + bytes([der[-1] ^ 1]),)


@proves(checks.AK_CHAIN, "azure.ak.chain.issuer")
def certificate_that_names_another_key(stage):
    stage.certify()
    stage.certificate.issuer_key = AZURE.root_key


@proves(checks.AK_CHAIN, "azure.ak.chain.name")
def certificate_of_no_confidential_vm(stage):
    stage.certify()
    stage.certificate.subject = "0123456789ab.TrustedVM.Azure.windows.net"


@proves(checks.AK_CHAIN, "azure.ak.chain.name")
def authority_for_something_else(stage):
    stage.certify()
    stage.authority.subject = stage.certificate.issuer = "Global Device CA - 01"


@proves(checks.AK_CHAIN, "azure.ak.chain.role")
def certificate_issued_by_a_virtual_tpm(stage):
    """An attestation key that certifies another: its certificate is no authority's."""
    stage.certify()
    stage.authority = replace(stage.authority, authority=False)


@proves(checks.AK_CHAIN, "azure.ak.chain.role")
def certificate_that_is_an_authority(stage):
    stage.certify()
    stage.certificate.authority = True


@proves(checks.AK_CHAIN, "azure.ak.chain.role")
def certificate_that_may_not_sign(stage):
    stage.certify()
    stage.certificate.digital_signature = False


@proves(checks.AK_CHAIN, "azure.ak.chain.role")
def certificate_with_an_unknown_critical_extension(stage):
    stage.certify()
    stage.certificate.extensions["1.2.3.4"] = (True, b"\x05\x00")


@proves(checks.AK_CHAIN, "azure.ak.chain.malformed")
def certificate_for_another_use(stage):
    stage.certify()
    stage.certificate.usages = ("1.3.6.1.5.5.7.3.1",)


@proves(checks.AK_CHAIN, "azure.ak.chain.malformed")
def certificate_for_no_stated_use(stage):
    stage.certify()
    stage.certificate.usages = ()


@proves(checks.AK_CHAIN, "azure.ak.chain.validity")
def certificate_that_expired(stage):
    stage.certify()
    stage.certificate.days = 30


@proves(checks.AK_CHAIN, "azure.ak.chain.validity")
def authority_of_tomorrow(stage):
    stage.certify()
    stage.authority.not_before = NOW + timedelta(days=1)


@proves(checks.AK_CHAIN, "azure.ak.chain.unused")
def certificate_that_has_no_place(stage):
    stage.certify()
    stage.intermediates = (stage.authority.sign(), AZURE.ak_draft(stage.key).sign())


@proves(checks.AK_REVOKED, "azure.ak.revoked.listed")
def certificate_that_is_revoked(stage):
    stage.certify()
    stage.crls[1].revoked = (stage.certificate.serial,)


@proves(checks.AK_REVOKED, "azure.ak.revoked.listed")
def authority_that_is_revoked(stage):
    stage.certify()
    stage.crls[0].revoked = (stage.authority.serial,)


@proves(checks.AK_REVOKED, "azure.ak.revoked.issuer")
def list_signed_by_a_stranger(stage):
    stage.certify()
    stage.crls[0].signing_key = AZURE.authority_key


@proves(checks.AK_REVOKED, "azure.ak.revoked.time")
def list_that_is_overdue(stage):
    stage.certify()
    stage.crls[1].made -= timedelta(days=60)


@proves(checks.AK_REVOKED, "azure.ak.revoked.time")
def list_of_tomorrow(stage):
    stage.certify()
    stage.crls[1].made += timedelta(days=2)


def _refused(defect, platform):
    """Verify a scene with one defect: as a container where one holds it, as parts where none does."""
    stage = scene(platform)
    defect.spoil(stage)
    if stage.certificate is None and stage.log is None:
        return judge(stage.finish())
    if platform == "azure-snp":
        scenario = stage.finish()
        return judge(scenario, evidence=scenario.parts)
    stage.form = "bundle"
    return judge(stage.finish())


@pytest.mark.parametrize(
    ("defect", "platform"),
    [
        pytest.param(defect, platform, id=f"{defect.spec.id}-{defect.name}-{platform}")
        for defect in DEFECTS
        for platform in defect.platforms
    ],
)
def test_a_defect_is_refused_by_its_check_alone(defect, platform):
    result = _refused(defect, platform)
    assert {check.id: check.code for check in result.ledger.failed()} == {defect.spec.id: defect.code}
    assert not result.authentic
    assert not result.bound
    for check in result.ledger.unmet():
        assert check.reason.isprintable()
        assert len(check.reason) < 300
        if check.outcome is Outcome.NOT_CHECKED and check.reason.startswith("not reached: "):
            assert check.reason.split()[2] in {defect.spec.id, defect.code}
    with pytest.raises(EvidenceError, match="cannot be read"):
        _ = result.claims


def test_each_check_has_an_input_that_only_it_refuses():
    proven = {defect.spec for defect in DEFECTS}
    assert {spec.id for spec in checks.CHECKS if spec not in proven} == set()
    for spec in checks.CHECKS:
        assert spec.title
        assert spec.source


@pytest.mark.parametrize("specs", [SNP_CHECKS, TDX_CHECKS])
def test_ids_are_unique(specs):
    assert len({spec.id for spec in specs}) == len(specs)
