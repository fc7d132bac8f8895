"""dstack attestations of every platform: what is read, and what binds it to the platform's evidence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.dstack import open_attestation, verify_guest
from assay.evidence.dstack.checks import CERTIFICATE
from assay.evidence.dstack.config_id import host_data
from assay.evidence.dstack.google import vm_evidence
from assay.evidence.dstack.guest import CHECKS, PLATFORMS
from assay.evidence.dstack.report_data import Tag, tagged
from assay.evidence.dstack.versioned import MAX_ATTESTATION_BYTES, Attestation, looks_versioned
from assay.evidence.ledger import Outcome
from support.dstack_attested import (
    BOOT,
    CONFIG_ID,
    DOCUMENT,
    EVENTS,
    MAKERS,
    REPORT_DATA,
    aws_config,
    bare,
    enclave,
    google,
    members,
    nitro_tpm,
    packed,
    scale,
    snp,
)
from support.dstack_encodings import pack
from support.dstack_guest import APP_ID, COMPOSE_HASH, runtime, system_events


def judged(made):
    return verify_guest(made.result(), made.found)


def codes(made) -> list[str]:
    return [check.code for check in judged(made).ledger.failed()]


@pytest.mark.parametrize("variant", MAKERS)
def test_both_versions_are_read_and_agree_with_the_evidence(variant):
    made = MAKERS[variant]()
    for data in (scale(made.found), packed(made.found)):
        assert looks_versioned(data)
        assert open_attestation(data) == made.found
        assert open_attestation(data, variants=[variant]) == made.found
    evidence = made.result()
    assert evidence.bound, evidence.ledger.unmet()
    result = judged(made)
    assert result.authentic, result.ledger.unmet()
    assert [check.spec for check in result.ledger] == list(CHECKS[variant])
    assert evidence.platform == PLATFORMS[variant]
    claims = result.claims
    assert claims.variant == variant
    if variant == "nitro-enclave":
        assert claims.system is None
    else:
        assert (claims.system.app_id, claims.system.compose_hash) == (APP_ID, COMPOSE_HASH)
    assert bool(claims.app_events) is (variant in ("aws-nitro-tpm", "gcp-tdx"))
    assert (claims.os_image_hash is not None) is variant.startswith(("nitro", "aws"))


def unauthentic():
    made = snp()
    report = made.found.evidence
    return made.changed(evidence=report[:0x90] + bytes(48) + report[0xC0:])


def changed_document(**said):
    document = json.dumps(json.loads(DOCUMENT) | said)
    return snp(host_data=host_data(document.encode())).changed(document=document)


def with_events(made, events):
    return made.changed(runtime=bare(events), log=tuple(events) if made.found.log else ())


OTHER_EVENTS = [*system_events(), runtime("app", b"something else")]


class Fixed:
    """An attestation beside the result of verifying what it was made with."""

    def __init__(self, made, **fields) -> None:
        self.found = replace(made.found, **fields)
        self._result = made.result()

    def result(self):
        return self._result


def snp_with_other_data():
    return Fixed(snp(), report_data=bytes(64))


def nitro_with_other_data():
    return Fixed(nitro_tpm(), report_data=bytes(64))


def google_with_other_data():
    return Fixed(google(), report_data=bytes(64))


def another_quote():
    made = google()
    assert not google(nonce=b"n" * 32).result().authentic  # the format's own check of the nonce comes before
    return Fixed(made, evidence=made.found.evidence + b"\0")


def boot_changed():
    made = google()
    return Fixed(made, tpm=replace(made.found.tpm, events=((2, bytes(32)),)))


REJECTED = {
    "dstack.guest.unauthenticated": unauthentic,
    "dstack.certificate.key": lambda: snp().changed(spki=b"another key"),
    "dstack.snp.report_data": snp_with_other_data,
    "dstack.snp.host_data": lambda: snp(host_data=bytes(32)),
    "dstack.snp.document": lambda: changed_document(compose_hash="00" * 32),
    "dstack.events.after_ready": lambda: with_events(snp(), [*EVENTS, runtime("app-id", APP_ID)]),
    "dstack.events.missing": lambda: with_events(snp(), system_events()[3:]),
    "dstack.events.order": lambda: with_events(snp(), [EVENTS[1], EVENTS[0], *EVENTS[2:]]),
    "dstack.events.payload": lambda: with_events(snp(), system_events(app_id=b"short")),
    "dstack.nitro.report_data": nitro_with_other_data,
    "dstack.nitro.image": lambda: enclave().changed(config='{"os_image_hash": "00"}'),
    "dstack.nitro_tpm.events": lambda: with_events(nitro_tpm(), OTHER_EVENTS),
    "dstack.nitro_tpm.config": lambda: nitro_tpm(config_pcr=b"\1" * 48),
    "dstack.nitro_tpm.image": lambda: nitro_tpm(config=aws_config(bytes(32))),
    "dstack.gcp.report_data": google_with_other_data,
    "dstack.gcp.quote": another_quote,
    "dstack.gcp.rtmr3": lambda: google(rtmr3=bytes(48)),
    "dstack.gcp.events": lambda: google(lane=bytes(32)),
    "dstack.gcp.boot": boot_changed,
}


@pytest.mark.parametrize("code", REJECTED)
def test_each_check_rejects_what_no_other_does(code):
    result = judged(REJECTED[code]())
    assert [check.code for check in result.ledger.failed()] == [code]
    assert not result.authentic
    with pytest.raises(EvidenceError):
        _ = result.claims


def test_a_certificates_key_has_to_be_the_attested_one():
    spki = b"a key"
    made = Fixed(nitro_tpm(), spki=spki)
    assert codes(made) == ["dstack.certificate.key"]
    report_data = tagged(Tag.RATLS_CERT, spki)
    made = Fixed(nitro_tpm(), spki=spki, report_data=report_data)
    assert judged(made).ledger[CERTIFICATE.id].outcome is Outcome.PASSED
    assert codes(made) == ["dstack.nitro.report_data"]


def test_events_of_the_second_version_are_replayed():
    events = [*system_events(version=2), runtime("a:b", b"\0", version=2)]
    made = google(lane=_lane(events), rtmr3=_rtmr3(events))
    found = replace(made.found, log=tuple(events), runtime=bare(events))
    data = pack(members(found))
    assert [event.version for event in open_attestation(data).runtime] == [2] * len(events)
    assert not codes(Fixed(made, log=tuple(events), runtime=bare(events)))


def _lane(events) -> bytes:
    value = bytes(32)
    for event in events:
        value = hashlib.sha256(value + hashlib.sha256(event.rebuilt_preimage()).digest()).digest()
    return value


def _rtmr3(events) -> bytes:
    value = bytes(48)
    for event in events:
        value = hashlib.sha384(value + hashlib.sha384(event.rebuilt_preimage()).digest()).digest()
    return value


def test_an_ambiguous_name_makes_no_register():
    made = Fixed(nitro_tpm(), runtime=bare([*EVENTS, replace(EVENTS[-1], name="a:b")]))
    assert codes(made) == ["dstack.event.name"]


def test_what_a_nitro_tpm_leaves_out_is_not_applicable():
    made = nitro_tpm(config="{}", config_pcr=bytes(48))
    result = judged(made)
    assert result.authentic
    assert result.ledger["dstack.nitro_tpm.config"].outcome is Outcome.NOT_APPLICABLE
    assert result.ledger["dstack.nitro_tpm.image"].outcome is Outcome.NOT_APPLICABLE
    assert result.claims.os_image_hash is None
    assert CONFIG_ID[0] == 2
    assert len(BOOT) == 3


@pytest.mark.parametrize(
    "config",
    [
        "not json",
        '{"aws_measurement": 7}',
        '{"aws_measurement": {"checksum_file": "", "measurement": ""}}',
        '{"vm_config": 7}',
        aws_config(os_image_hash="00" * 32),
        aws_config(b"short"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(config):
    assert codes(nitro_tpm(config=config)) == ["dstack.nitro_tpm.image"]


def test_an_embedded_configuration_is_read():
    made = nitro_tpm(config=json.dumps({"vm_config": aws_config()}))
    assert judged(made).claims.os_image_hash is not None


def test_without_boot_events_there_is_nothing_to_replay():
    made = google()
    result = judged(Fixed(made, tpm=replace(made.found.tpm, events=())))
    assert result.ledger["dstack.gcp.boot"].outcome is Outcome.NOT_APPLICABLE
    assert result.authentic


@pytest.mark.parametrize("variant", MAKERS)
def test_every_truncation_is_refused(variant):
    made = MAKERS[variant]().found
    for data in (scale(made), packed(made)):
        for size in {*range(0, len(data), 97), len(data) - 1}:
            with pytest.raises(EvidenceError) as error:
                open_attestation(data[:size])
            assert error.value.code.startswith("dstack.")
        with pytest.raises(EvidenceError):
            open_attestation(data + b"\0")


def tpm(**changes):
    document = members(google().found)
    document["platform"]["data"]["tpm_quote"] |= changes
    return pack(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"platform": "dstack"},
        {"platform": 7},
        {"pcr_values": [{"index": 0, "algorithm": "sha384", "value": bytes(48)}]},
        {"pcr_values": [{"index": 24, "algorithm": "sha256", "value": bytes(32)}]},
        {"pcr_values": [{"index": 0, "algorithm": "sha256", "value": bytes(32)}] * 2},
        {"event_log": [{"pcr_index": 0, "digest": bytes(31)}]},
        {"event_log": [{"pcr_index": 24, "digest": bytes(32)}]},
    ],
)
def test_a_tpm_quote_that_is_not_googles_is_refused(changes):
    with pytest.raises(EvidenceError) as error:
        open_attestation(tpm(**changes))
    assert error.value.code == "dstack.attestation.tpm"


def test_bounds():
    made = snp().found
    for data in (
        scale(replace(made, certificates=(b"",) * 9)),
        packed(replace(made, certificates=(b"",) * 9)),
    ):
        with pytest.raises(EvidenceError) as error:
            open_attestation(data)
        assert error.value.code == "dstack.attestation.size"
    document = members(google().found)
    document["platform"]["data"]["tpm_quote"]["pcr_values"] *= 9
    with pytest.raises(EvidenceError) as error:
        open_attestation(pack(document))
    assert error.value.code == "dstack.attestation.size"
    with pytest.raises(EvidenceError):
        open_attestation(bytes(MAX_ATTESTATION_BYTES + 1))


def test_a_tpm_part_without_certificate_or_quote_is_refused():
    found = google().found
    for wrong in (replace(found, tpm=None), replace(found, tpm=replace(found.tpm, certificate=b"none"))):
        with pytest.raises(EvidenceError) as error:
            vm_evidence(wrong)
        assert error.value.code == "dstack.attestation.tpm"


def test_plain_tdx_is_judged_elsewhere():
    found = Attestation("tdx", b"", (), (), REPORT_DATA, "{}")
    with pytest.raises(KeyError):
        verify_guest(snp().result(), found)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    assert type(looks_versioned(data)) is bool
    try:
        open_attestation(data)
    except EvidenceError as error:
        assert error.code.startswith("dstack.")  # noqa: PT017 - whatever it is, it is dstack's


@pytest.mark.parametrize(
    ("left_out", "proven"),
    [
        ((), {"app_id", "compose_hash", "key_provider"}),
        (("app_id",), {"compose_hash", "key_provider"}),
        (("key_provider_id",), {"app_id", "compose_hash"}),
        (("app_id", "key_provider_id"), {"compose_hash"}),
    ],
)
def test_a_committed_document_proves_what_it_names(left_out, proven):
    named = json.loads(DOCUMENT)
    document = json.dumps({name: value for name, value in named.items() if name not in left_out})
    made = snp(host_data=host_data(document.encode())).changed(document=document)
    assert judged(made).claims.proven == proven


@pytest.mark.parametrize("make", [google, nitro_tpm])
def test_events_in_registers_prove_what_they_name(make):
    assert judged(make()).claims.proven == {"app_id", "compose_hash", "key_provider"}


def test_the_check_of_the_platforms_own_evidence():
    ledger = judged(unauthentic()).ledger
    assert [check.id for check in ledger.failed()] == ["dstack.guest.evidence"]
