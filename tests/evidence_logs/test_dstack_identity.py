"""Who a dstack guest is: each check refutes something that no other check does."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from assay.errors import EvidenceError
from assay.evidence.dstack import (
    ConfigForm,
    DstackEvent,
    Expectations,
    KeyProvider,
    Presented,
    Tag,
    checks,
    config_id,
    tagged,
    verify_identity,
)
from assay.evidence.dstack.os_image import parse_document
from assay.evidence.eventlog import Coverage
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Expected, Unchecked
from support.dstack_encodings import SPKI
from support.dstack_guest import (
    ACPI,
    APP_ID,
    COMPOSE,
    COMPOSE_HASH,
    IMAGE_HASH,
    INSTANCE_ID,
    PROVIDER,
    PROVIDER_ID,
    Guest,
    boot_events,
    checksums,
    image_config,
    lite_guest,
    log_json,
    measurement,
    runtime,
    system_events,
)
from support.dstack_quotes import taken_as_verified

OPEN = Expectations.nothing("the test does not look at it")
SEVEN = b"\7" * 48
LITE_HASH = hashlib.sha256(checksums(measurement_tdx_cbor=measurement())).digest()
KNOWN = Expectations(
    app_id=Expected(APP_ID),
    compose_hash=Expected(COMPOSE_HASH),
    instance_id=Expected(INSTANCE_ID),
    key_provider=KeyProvider("kms", PROVIDER_ID),
    os_images=frozenset({IMAGE_HASH, LITE_HASH}),
    report_data=Expected(bytes(64)),
)


def judge(guest: Guest, expected: Expectations = OPEN, *, report_data: bytes = bytes(64), **quote):
    presented = guest.presented(report_data)
    return verify_identity(taken_as_verified(presented.quote, **quote), presented, expected=expected)


def guest_with(*changed: DstackEvent, without: str | None = None, behind: list[DstackEvent] | None = None):
    """Return a guest that extended other system events than dstack would."""
    by_name = {event.name: event for event in changed}
    system = [by_name.get(event.name, event) for event in system_events() if event.name != without]
    return Guest(events=boot_events() + system + (behind or []))


# -- what is true


def test_a_guest_whose_every_word_is_checked():
    result = judge(lite_guest(), KNOWN)
    assert result.complete
    claims = result.claims
    assert (claims.app_id, claims.compose_hash, claims.instance_id) == (APP_ID, COMPOSE_HASH, INSTANCE_ID)
    assert claims.image.os_image_hash == LITE_HASH
    assert claims.image.memory_bytes == 4 << 30
    assert claims.image.qemu_two_pass is True
    assert claims.image.is_dev is None
    assert [sentence[:22] for sentence in result.not_proven] == [
        "The ACPI tables were m",
        "The key server named t",
        "That the image is one ",
    ]


def test_the_single_pass_register_is_accepted_too():
    guest = lite_guest()
    guest.td["mr_td"] = hashlib.sha384(b"single").digest()
    assert judge(guest, KNOWN).claims.image.qemu_two_pass is False


@pytest.mark.parametrize("version", [1, 2])
def test_a_guest_of_either_event_version(version):
    result = judge(Guest(events=boot_events() + system_events(version=version)))
    assert result.authentic
    assert not result.complete
    assert {check.code for check in result.ledger.unmet()} == {"dstack.unchecked"}


def test_what_the_application_wrote():
    result = judge(guest_with(behind=[runtime("mine", b"1"), runtime("mine", b"2"), runtime("\x1b[2J\0é")]))
    found = [(event.name, event.payload) for event in result.claims.app_events]
    assert found == [("mine", b"1"), ("mine", b"2"), ("\x1b[2J\0é", b"")]


def test_boot_events_say_what_is_bound_of_them():
    events = judge(Guest()).claims.boot_events
    assert [(event.register, event.binding.coverage) for event in events] == [
        (0, Coverage.WHOLE),
        (1, Coverage.WHOLE),
        (2, Coverage.CAPTION),
    ]
    assert judge(lite_guest()).claims.boot_events == ()


def test_a_stripped_payload_is_no_contradiction():
    boot = [replace(event, payload=b"") for event in boot_events()]
    events = judge(Guest(events=boot + system_events())).claims.boot_events
    assert {event.binding.coverage for event in events} == {Coverage.CAPTION}


def test_aggregates():
    guest = Guest(td={"mr_owner": b"\5" * 48})
    claims = judge(guest).claims
    quoted = taken_as_verified(guest.quote()).claims
    registers = quoted.mr_td + b"".join(quoted.rtmrs)
    configuration = quoted.mr_config_id + quoted.mr_owner + quoted.mr_owner_config
    assert claims.mr_aggregated == hashlib.sha256(registers + configuration).digest()
    assert claims.mr_system == hashlib.sha256(registers[:192] + hashlib.sha256(PROVIDER).digest()).digest()
    plain = taken_as_verified(Guest().quote()).claims
    expected = hashlib.sha256(plain.mr_td + b"".join(plain.rtmrs)).digest()
    assert judge(Guest()).claims.mr_aggregated == expected


@pytest.mark.parametrize(
    ("register", "form"),
    [
        (bytes(48), ConfigForm.UNSET),
        (COMPOSE_HASH + bytes(16), ConfigForm.BARE),
        (config_id.value_v1(COMPOSE_HASH), ConfigForm.V1),
        (config_id.value_v2(COMPOSE_HASH, APP_ID, 2, PROVIDER_ID), ConfigForm.V2),
    ],
)
def test_forms_of_the_configuration(register, form):
    result = judge(Guest(td={"mr_config_id": register}))
    assert result.claims.config_form is form
    outcome = Outcome.NOT_APPLICABLE if form is ConfigForm.UNSET else Outcome.PASSED
    assert result.ledger["dstack.mr_config_id"].outcome is outcome


def test_a_configuration_document():
    document = json.dumps({"compose_hash": COMPOSE_HASH.hex(), "key_provider": "kms"})
    guest = Guest(td={"mr_config_id": config_id.value_v3(document.encode())})
    guest.others["vm_config"] = json.dumps({"mr_config": document}).encode()
    assert judge(guest).claims.config_form is ConfigForm.V3


def test_a_configuration_document_that_is_missing_closes_the_claims():
    result = judge(Guest(td={"mr_config_id": config_id.value_v3(b"{}")}))
    assert result.ledger["dstack.mr_config_id"].code == "dstack.mr_config_id.no_document"
    with pytest.raises(EvidenceError):
        _ = result.claims


def test_a_certificates_key():
    guest = Guest(others={"spki": SPKI})
    result = judge(guest, report_data=tagged(Tag.RATLS_CERT, SPKI))
    assert result.ledger["dstack.certificate.key"].outcome is Outcome.PASSED
    assert any("not proven in this session" in sentence for sentence in result.not_proven)


def test_metadata_that_the_image_covers():
    for is_dev in (True, False):
        metadata = json.dumps({"is_dev": is_dev, "version": "0.6.0"}).encode()
        listed = checksums(measurement_tdx_cbor=measurement(), metadata_json=metadata)
        guest = lite_guest(vm_config=image_config(listed=listed), image_metadata=metadata)
        result = judge(guest)
        assert result.claims.image.is_dev is is_dev
        assert not any("production" in sentence for sentence in result.not_proven)


def test_a_development_image_is_called_so_and_not_believed():
    guest = Guest(others={"vm_config": b'{"image":"dstack-dev-0.5.9\\u001b"}'})
    image = judge(guest).claims.image
    assert image.is_dev is None
    assert image.is_dev_reason.startswith("The host calls it 'dstack-dev-0.5.9\\x1b'")


def test_metadata_that_the_image_covers_outweighs_what_the_host_calls_it():
    metadata = b'{"is_dev":false}'
    listed = checksums(measurement_tdx_cbor=measurement(), metadata_json=metadata)
    config = json.loads(image_config(listed=listed)) | {"image": "dstack-dev-0.5.9"}
    image = judge(lite_guest(vm_config=json.dumps(config).encode(), image_metadata=metadata)).claims.image
    assert (image.stated_name, image.is_dev) == ("dstack-dev-0.5.9", False)
    assert image.is_dev_reason.startswith("The image's metadata says it")


def test_an_image_of_another_name_is_not_called_one_for_development():
    image = judge(Guest(others={"vm_config": b'{"image":"dstack-0.5.9"}'})).claims.image
    assert (image.stated_name, image.is_dev) == ("dstack-0.5.9", None)
    assert "development" not in image.is_dev_reason


def test_statements_that_are_true():
    quote = taken_as_verified(Guest().quote()).claims
    stated = {"mr_td": quote.mr_td, "rtmr3": quote.rtmrs[3], "key_provider_info": PROVIDER, "app_id": APP_ID}
    result = judge(Guest(others={"stated": stated}))
    assert result.ledger["dstack.stated"].outcome is Outcome.PASSED


# -- what is left open


def test_a_log_without_boot_events_leaves_the_boot_registers_open():
    result = judge(Guest(shown=system_events()))
    assert result.authentic
    codes = {check.id: check.code for check in result.ledger.unmet()}
    assert {codes[f"dstack.log.replay.rtmr{index}"] for index in range(3)} == {"dstack.log.stripped"}


def test_a_document_of_another_form_says_nothing():
    config = {"tdx_measurement": {"version": 2}}
    result = judge(Guest(others={"vm_config": json.dumps(config).encode()}))
    assert result.authentic
    assert result.ledger["dstack.os_image.document"].code == "dstack.os_image.document_form"
    assert result.claims.image.os_image_hash is None


def test_a_stripped_log_with_a_document_of_another_form_is_unexplained():
    config = {"tdx_measurement": {"version": 2}}
    result = judge(Guest(shown=system_events(), others={"vm_config": json.dumps(config).encode()}))
    assert result.ledger["dstack.log.replay.rtmr0"].code == "dstack.log.stripped"


def test_memory_that_is_not_stated():
    result = judge(lite_guest(vm_config=image_config(memory=None)))
    assert result.ledger["dstack.os_image.rtmr0"].code == "dstack.os_image.memory"
    assert result.claims.image.memory_bytes is None
    assert result.claims.image.os_image_hash is None
    assert not result.complete


def test_another_kernel_where_the_memory_is_not_stated():
    guest = lite_guest(vm_config=image_config(memory=None))
    guest.td["rtmr1"] = SEVEN
    ledger = judge(guest).ledger
    assert ledger["dstack.os_image.rtmr1"].code == "dstack.os_image.rtmr1"
    assert ledger["dstack.os_image.rtmr0"].code == "dstack.os_image.memory"


def test_metadata_of_a_size_that_no_image_has():
    for size, expected in ((64 * 1024, ""), (64 * 1024 + 1, "json.oversized")):
        metadata = b'{"is_dev":false}'.ljust(size)
        listed = checksums(measurement_tdx_cbor=measurement(), metadata_json=metadata)
        result = judge(lite_guest(vm_config=image_config(listed=listed), image_metadata=metadata))
        assert result.ledger["dstack.os_image.metadata"].code == expected


def test_a_kernel_that_depends_on_the_memory():
    memory = 0x90000000
    metadata = b'{"is_dev":false}'
    listed = checksums(measurement_tdx_cbor=measurement(), metadata_json=metadata)
    config = image_config(listed=listed, memory=memory)
    guest = lite_guest(vm_config=config, image_metadata=metadata)
    image = parse_document(json.loads(config)["tdx_measurement"])
    guest.td |= {"rtmr0": image.rtmr0(memory, ACPI), "rtmr1": SEVEN}
    result = judge(guest, replace(OPEN, os_images=frozenset({IMAGE_HASH, image.os_image_hash})))
    assert result.authentic
    codes = {check.id: check.code for check in result.ledger.unmet()}
    assert codes["dstack.os_image.rtmr1"] == "dstack.os_image.memory"
    # An unknown kernel may hide there: three registers of four name no image.
    assert result.claims.image.os_image_hash is None
    assert result.claims.image.is_dev is None
    assert codes["dstack.os_image"] == codes["dstack.os_image.metadata"] == "dstack.os_image.unproven"


def test_a_kernel_that_happens_not_to_depend_on_the_memory():
    config = image_config(memory=0x90000000)
    guest = lite_guest(vm_config=config)
    image = parse_document(json.loads(config)["tdx_measurement"])
    guest.td["rtmr0"] = image.rtmr0(0x90000000, ACPI)
    assert judge(guest).claims.image.os_image_hash == image.os_image_hash


def test_metadata_without_a_checksum_file():
    result = judge(Guest(others={"image_metadata": b'{"is_dev":false}'}))
    assert result.ledger["dstack.os_image.metadata"].code == "dstack.os_image.unproven"
    assert result.claims.image.is_dev is None


def test_an_expected_image_without_a_document():
    result = judge(Guest(), replace(OPEN, os_images=frozenset({IMAGE_HASH})))
    assert result.ledger["dstack.os_image"].code == "dstack.os_image.unproven"
    assert not result.complete


def test_no_compose_document():
    result = judge(Guest(others={}))
    assert result.ledger["dstack.compose.hash"].code == "dstack.compose.absent"
    assert result.authentic


# -- what is refuted


def boot_contradiction() -> Guest:
    forged = DstackEvent(1, 0x80000007, "", b"Calling something else", boot_events()[1].digest)
    boot = [forged if event.register == 1 else event for event in boot_events()]
    return Guest(events=boot + system_events())


def image_guest(**fields: bytes) -> Guest:
    guest = lite_guest()
    guest.td |= fields
    return guest


WRONG_METADATA = lite_guest(
    vm_config=image_config(listed=checksums(measurement_tdx_cbor=measurement(), metadata_json=b"{}")),
    image_metadata=b'{"is_dev":false}',
)
BROKEN_METADATA = lite_guest(
    vm_config=image_config(
        listed=checksums(measurement_tdx_cbor=measurement(), metadata_json=b'{"is_dev":0}')
    ),
    image_metadata=b'{"is_dev":0}',
)
REFUTED = {
    "dstack.td.debug": (Guest(td={"td_attributes": 1 << 28 | 1}), "dstack.td.debug"),
    "dstack.td.service": (Guest(td={"mr_signer_seam": SEVEN}), "dstack.td.service"),
    "dstack.vm_config": (Guest(others={"vm_config": b"[]"}), "json.type"),
    "dstack.event.register": (
        Guest(events=[DstackEvent(3, 6, "", b"", SEVEN), *system_events()]),
        "dstack.event.opaque",
    ),
    "dstack.event.digest": (
        guest_with(replace(runtime("app-id", APP_ID), payload=bytes(20))),
        "dstack.event.digest",
    ),
    "dstack.event.payload": (boot_contradiction(), "dstack.event.payload"),
    "dstack.events.unique": (guest_with(behind=[runtime("app-id", APP_ID)]), "dstack.events.after_ready"),
    "dstack.events.order": (guest_with(without="key-provider"), "dstack.key_provider.missing"),
    "dstack.events.payload": (guest_with(runtime("instance-id", b"1")), "dstack.events.payload"),
    "dstack.mr_config_id": (
        Guest(td={"mr_config_id": config_id.value_v1(bytes(32))}),
        "dstack.mr_config_id.mismatch",
    ),
    "dstack.compose.hash": (Guest(others={"app_compose": COMPOSE + b"\n"}), "dstack.compose.hash"),
    "dstack.stated": (Guest(others={"stated": {"app_id": bytes(20)}}), "dstack.stated.app_id"),
    "dstack.certificate.key": (Guest(others={"spki": SPKI}), "dstack.certificate.key"),
    "dstack.os_image.document": (
        lite_guest(vm_config=image_config(os_image_hash="00" * 32)),
        "dstack.os_image.hash",
    ),
    "dstack.os_image.mrtd": (image_guest(mr_td=SEVEN), "dstack.os_image.mrtd"),
    "dstack.os_image.rtmr0": (image_guest(rtmr0=SEVEN), "dstack.os_image.rtmr0"),
    "dstack.os_image.rtmr1": (image_guest(rtmr1=SEVEN), "dstack.os_image.rtmr1"),
    "dstack.os_image.rtmr2": (image_guest(rtmr2=SEVEN), "dstack.os_image.rtmr2"),
    "dstack.os_image.metadata": (WRONG_METADATA, "dstack.os_image.metadata"),
} | {
    f"dstack.log.replay.rtmr{index}": (Guest(td={f"rtmr{index}": SEVEN}), "dstack.log.replay.mismatch")
    for index in range(4)
}
UNEXPECTED = {
    "dstack.os_image": {"os_images": frozenset({bytes(32)})},
    "dstack.app_id": {"app_id": Expected(bytes(20))},
    "dstack.compose": {"compose_hash": Expected(bytes(32))},
    "dstack.instance_id": {"instance_id": Expected(b"")},
    "dstack.key_provider": {"key_provider": KeyProvider("local-sgx", PROVIDER_ID)},
    "dstack.report_data": {"report_data": Expected(b"\1" + bytes(63))},
}


def refuted(result) -> list[tuple[str, str]]:
    return [(check.id, check.code) for check in result.ledger.failed()]


@pytest.mark.parametrize("check_id", REFUTED)
def test_a_check_refutes_alone(check_id):
    guest, code = REFUTED[check_id]
    result = judge(guest)
    assert refuted(result) == [(check_id, code)]
    with pytest.raises(EvidenceError, match=code) as caught:
        _ = result.claims
    assert caught.value.code == "evidence.claims.unauthenticated"


@pytest.mark.parametrize("check_id", UNEXPECTED)
def test_an_expectation_is_refuted_alone(check_id):
    result = judge(lite_guest(), replace(KNOWN, **UNEXPECTED[check_id]))
    assert refuted(result) == [(check_id, f"{check_id}.mismatch")]
    assert not result.authentic


def test_a_quote_that_is_not_authentic():
    result = judge(Guest(), authentic=False)
    assert refuted(result) == [("dstack.quote", "dstack.quote.unauthenticated")]
    assert result.not_proven == ()


def test_a_log_that_is_none():
    presented = replace(Guest().presented(), log=b"[}")
    result = verify_identity(taken_as_verified(presented.quote), presented, expected=OPEN)
    assert refuted(result) == [("dstack.log.layout", "json.malformed")]


def test_every_check_is_among_the_refuted():
    assert {spec.id for spec in checks.CHECKS} == {
        *REFUTED,
        *UNEXPECTED,
        "dstack.quote",
        "dstack.log.layout",
    }


def test_every_check_names_its_source_and_is_unique():
    assert all(spec.source and spec.title for spec in checks.CHECKS)
    assert len({spec.id for spec in checks.CHECKS}) == len(checks.CHECKS)
    assert {spec.id for spec in checks.CHECKS} >= checks.MAY_BE_OPEN


def test_metadata_that_does_not_say_what_it_must():
    assert refuted(judge(BROKEN_METADATA)) == [("dstack.os_image.metadata", "json.type")]


def test_a_service_td():
    result = judge(Guest(), mr_service_td=SEVEN)
    assert refuted(result) == [("dstack.td.service", "dstack.td.service")]


def test_acpi_events_that_are_missing():
    guest = lite_guest()
    guest.shown = system_events()
    assert refuted(judge(guest)) == [("dstack.os_image.rtmr0", "dstack.os_image.acpi_events")]


def test_statements_about_nothing_known():
    assert refuted(judge(Guest(others={"stated": {"mood": b"good"}}))) == [
        ("dstack.stated", "dstack.stated.mood")
    ]


# -- attacks


def test_a_second_set_of_system_events_behind_opaque_ones():
    """An application writes a forged set; the host shows the true set as opaque digests before it."""
    forged = system_events(compose_hash=bytes(32))
    true = system_events()
    hidden = [DstackEvent(3, 0x6, "", b"", event.digest) for event in true]
    guest = Guest(events=boot_events() + true + forged, shown=boot_events() + hidden + forged)
    assert refuted(judge(guest)) == [("dstack.event.register", "dstack.event.opaque")]


def test_a_second_set_of_system_events_in_the_open():
    guest = Guest(events=boot_events() + system_events() + system_events(compose_hash=bytes(32)))
    assert refuted(judge(guest)) == [("dstack.events.unique", "dstack.events.after_ready")]


def test_a_log_that_begins_with_the_forged_set():
    guest = Guest(
        events=boot_events() + system_events() + system_events(compose_hash=bytes(32)),
        shown=boot_events() + system_events(compose_hash=bytes(32)),
    )
    assert refuted(judge(guest)) == [("dstack.log.replay.rtmr3", "dstack.log.replay.mismatch")]


def test_ready_comes_first():
    """An application cannot make its own events the system's by writing system-ready again."""
    guest = Guest(events=[*boot_events(), runtime("system-ready"), *system_events()])
    assert refuted(judge(guest)) == [("dstack.events.unique", "dstack.events.after_ready")]


def test_a_log_of_one_guest_beside_the_quote_of_another():
    other = Guest(events=boot_events() + system_events(instance_id=bytes(20)))
    presented = replace(Guest().presented(), quote=other.quote())
    result = verify_identity(taken_as_verified(presented.quote), presented, expected=OPEN)
    assert refuted(result) == [("dstack.log.replay.rtmr3", "dstack.log.replay.mismatch")]


def test_an_empty_log():
    presented = Presented(quote=Guest().quote(), log=b"[]")
    result = verify_identity(taken_as_verified(presented.quote), presented, expected=OPEN)
    assert refuted(result) == [("dstack.log.replay.rtmr3", "dstack.log.replay.mismatch")]


def test_an_empty_log_on_a_guest_that_measured_nothing():
    presented = Presented(quote=Guest(events=[]).quote(), log=log_json([]))
    result = verify_identity(taken_as_verified(presented.quote), presented, expected=OPEN)
    assert refuted(result) == [("dstack.events.order", "dstack.events.missing")]


def test_an_expectation_left_open_is_never_complete():
    for name in ("app_id", "compose_hash", "instance_id", "key_provider", "os_images", "report_data"):
        result = judge(lite_guest(), replace(KNOWN, **{name: Unchecked("left open")}))
        assert result.authentic
        assert not result.complete
        assert [check.reason for check in result.ledger.unmet()] == ["left open"]
