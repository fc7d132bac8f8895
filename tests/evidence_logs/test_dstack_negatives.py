"""The negative list of the published dstack vectors, each refused with the code of its defect.

Real evidence altered inside its signature fails at the signature; there the simulated guest signs the defect,
so that nothing but the defect is wrong. What stands outside the signature is altered in real evidence.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from assay.evidence.dstack import (
    DstackEvent,
    Expectations,
    KeyProvider,
    Presented,
    Tag,
    from_get_quote,
    from_info,
    from_tcb_info,
    tagged,
    verify_identity,
)
from assay.evidence.dstack.eventjson import read_events
from assay.evidence.verification import Expected, Unchecked
from support import vectors
from support.dstack_encodings import SPKI
from support.dstack_guest import (
    APP_ID,
    COMPOSE,
    COMPOSE_HASH,
    INSTANCE_ID,
    PROVIDER_ID,
    Guest,
    boot_events,
    runtime,
    system_events,
    verified,
)
from support.dstack_quotes import taken_as_verified

OPEN = Expectations.nothing("the test does not look at it")
NONCE = hashlib.sha512(b"this session").digest()
KNOWN = Expectations(
    app_id=Expected(APP_ID),
    compose_hash=Expected(COMPOSE_HASH),
    instance_id=Expected(INSTANCE_ID),
    key_provider=KeyProvider("kms", PROVIDER_ID),
    os_images=Unchecked("the test does not look at it"),
    report_data=Expected(NONCE),
)
CRABBOX = "dstack/crabbox-phala/real_attestation_info.json"


def codes(result) -> list[str]:
    return [check.code for check in result.ledger.failed()]


def judge(guest: Guest, *, expected: Expectations = KNOWN, report_data: bytes = NONCE) -> list[str]:
    """Verify quote and identity of a simulated guest the whole way."""
    presented = guest.presented(report_data)
    quote = verified(presented.quote, Expected(report_data))
    assert quote.authentic
    assert quote.simulated
    return codes(verify_identity(quote, presented, expected=expected))


def real() -> tuple[Presented, list[DstackEvent]]:
    presented = from_info(vectors.read(CRABBOX))
    return presented, list(presented.log)


def judge_real(presented: Presented, expected: Expectations = OPEN) -> list[str]:
    return codes(verify_identity(taken_as_verified(presented.quote), presented, expected=expected))


def place(events: list[DstackEvent], name: str) -> int:
    return [event.name for event in events].index(name)


def test_the_simulated_guest_is_otherwise_without_fault():
    assert judge(Guest()) == []


def test_the_real_guest_is_otherwise_without_fault():
    assert judge_real(real()[0]) == []


@pytest.mark.parametrize("name", ["app-id", "compose-hash", "key-provider", "system-ready"])
def test_flip_one_rtmr3_digest(name):
    presented, events = real()
    at = place(events, name)
    flipped = bytes([events[at].digest[0] ^ 1]) + events[at].digest[1:]
    events[at] = replace(events[at], digest=flipped)
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.event.digest"]


@pytest.mark.parametrize("register", [0, 1, 2])
def test_flip_one_boot_digest(register):
    presented, events = real()
    at = next(
        index
        for index, event in enumerate(events)
        if event.register == register and event.kind in (6, 0xA, 0x80000003)
    )
    events[at] = replace(events[at], digest=bytes(48))
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.log.replay.mismatch"]


@pytest.mark.parametrize("name", ["app-id", "compose-hash", "instance-id", "os-image-hash"])
def test_flip_a_payload_and_keep_its_digest(name):
    presented, events = real()
    at = place(events, name)
    payload = bytes([events[at].payload[0] ^ 1]) + events[at].payload[1:]
    events[at] = replace(events[at], payload=payload)
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.event.digest"]


def test_flip_a_payload_and_recompute_its_digest():
    presented, events = real()
    at = place(events, "compose-hash")
    events[at] = runtime("compose-hash", bytes(32))
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.log.replay.mismatch"]


def test_flip_a_payload_and_leave_its_digest_out():
    presented, events = real()
    at = place(events, "compose-hash")
    events[at] = replace(events[at], payload=bytes(32), digest=b"")
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.log.replay.mismatch"]


def test_flip_a_boot_payload_and_keep_its_digest():
    presented, events = real()
    at = next(index for index, event in enumerate(events) if event.kind == 0x80000007)
    events[at] = replace(events[at], payload=b"Calling EFI Application from Boot Optiom")
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.event.payload"]


def test_swap_quotes_between_two_fixtures():
    presented, _ = real()
    other = from_tcb_info(
        vectors.read("dstack/near-mpc/tcb_info.json"), vectors.read("tdx/near-mpc/quote.bin")
    )
    for mine, theirs in ((presented, other), (other, presented)):
        found = judge_real(replace(mine, quote=theirs.quote))
        assert set(found) == {"dstack.log.replay.mismatch"}


def test_set_the_debug_bit():
    assert judge(Guest(td={"td_attributes": 1 << 28 | 1})) == ["dstack.td.debug"]


def test_wrong_app_id():
    presented, _ = real()
    expected = replace(OPEN, app_id=Expected(APP_ID))
    assert judge_real(presented, expected) == ["dstack.app_id.mismatch"]
    assert judge(Guest(events=boot_events() + system_events(app_id=bytes(20)))) == ["dstack.app_id.mismatch"]


def test_wrong_compose():
    presented, _ = real()
    assert judge_real(replace(presented, app_compose=COMPOSE)) == ["dstack.compose.hash"]
    assert judge_real(presented, replace(OPEN, compose_hash=Expected(COMPOSE_HASH))) == [
        "dstack.compose.mismatch"
    ]
    other = b'{"name":"other"}'
    events = boot_events() + system_events(compose_hash=hashlib.sha256(other).digest())
    assert judge(Guest(events=events, others={"app_compose": other})) == ["dstack.compose.mismatch"]


def test_drop_the_key_provider():
    presented, events = real()
    del events[place(events, "key-provider")]
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.log.replay.mismatch"]
    events = [event for event in system_events() if event.name != "key-provider"]
    assert judge(Guest(events=boot_events() + events)) == ["dstack.key_provider.missing"]


def test_another_key_provider():
    provider = json.dumps({"name": "kms", "id": "00"}).encode()
    events = boot_events() + system_events(key_provider=provider)
    assert judge(Guest(events=events)) == ["dstack.key_provider.mismatch"]


def test_a_second_app_id_behind_system_ready():
    presented, events = real()
    events.append(runtime("app-id", APP_ID))
    assert judge_real(replace(presented, log=tuple(events))) == ["dstack.log.replay.mismatch"]
    events = boot_events() + system_events() + [runtime("app-id", APP_ID)]
    assert judge(Guest(events=events)) == ["dstack.events.after_ready"]


def test_a_second_app_id_before_system_ready():
    system = system_events()
    system.insert(2, runtime("app-id", APP_ID))
    assert judge(Guest(events=boot_events() + system)) == ["dstack.events.duplicate"]


def test_system_events_out_of_order():
    system = system_events()
    system[1], system[2] = system[2], system[1]
    assert judge(Guest(events=boot_events() + system)) == ["dstack.events.order"]


@pytest.mark.parametrize("keep", [0, 47, 631, 700, 2000, 4000])
def test_truncate_the_quote(keep):
    presented = Guest().presented(NONCE)
    quote = verified(presented.quote[:keep], Expected(NONCE))
    assert [code for code in codes(quote) if code.startswith("dcap.quote.")]
    assert codes(verify_identity(quote, presented, expected=KNOWN)) == ["dstack.quote.unauthenticated"]


def test_trailing_bytes_that_are_not_zero():
    presented = Guest().presented(NONCE)
    padded = verified(presented.quote + bytes(70), Expected(NONCE))
    assert codes(verify_identity(padded, presented, expected=KNOWN)) == []
    quote = verified(presented.quote + bytes(69) + b"\1", Expected(NONCE))
    assert [code.rpartition(".")[0] for code in codes(quote)] == ["dcap.quote"]
    assert codes(verify_identity(quote, presented, expected=KNOWN)) == ["dstack.quote.unauthenticated"]


def test_another_tls_key():
    presented, _ = real()
    assert judge_real(replace(presented, spki=SPKI)) == ["dstack.certificate.key"]
    bound = tagged(Tag.RATLS_CERT, SPKI)
    expected = replace(KNOWN, report_data=Expected(bound))
    assert judge(Guest(others={"spki": SPKI}), expected=expected, report_data=bound) == []
    wrong = Guest(others={"spki": SPKI[:-1] + bytes([SPKI[-1] ^ 1])})
    assert judge(wrong, expected=expected, report_data=bound) == ["dstack.certificate.key"]


def test_report_data_of_an_earlier_session():
    old = hashlib.sha512(b"an earlier session").digest()
    assert judge(Guest(), report_data=old) == ["dstack.report_data.mismatch"]
    presented = Guest().presented(old)
    quote = verified(presented.quote, Expected(NONCE))
    assert not quote.authentic
    assert codes(verify_identity(quote, presented, expected=KNOWN)) == ["dstack.quote.unauthenticated"]


def test_report_data_that_the_answer_misquotes():
    answer = json.loads(vectors.read("dstack/dstack-main/dstack_verifier_fixtures_quote-report.json"))
    answer["report_data"] = "00" * 64
    presented = from_get_quote(json.dumps(answer).encode())
    assert judge_real(presented) == ["dstack.stated.report_data"]


def test_an_altered_statement_beside_true_evidence():
    answer = json.loads(vectors.read(CRABBOX))
    tcb = json.loads(answer["tcb_info"])
    for name, code in (
        ("mrtd", "mr_td"),
        ("rtmr0", "rtmr0"),
        ("rtmr3", "rtmr3"),
        ("mr_aggregated", "mr_aggregated"),
    ):
        changed = tcb | {name: ("00" if tcb[name][:2] != "00" else "01") + tcb[name][2:]}
        others = {"mr_aggregated": changed["mr_aggregated"], "tcb_info": json.dumps(changed)}
        presented = from_info(json.dumps(answer | others).encode())
        assert judge_real(presented) == [f"dstack.stated.{code}"]


def test_a_log_whose_events_are_named_in_another_order_of_registers():
    """The order across registers is not measured; within each it is."""
    presented, events = real()
    by_register = sorted(events, key=lambda event: event.register)
    assert judge_real(replace(presented, log=tuple(by_register))) == []
    assert judge_real(replace(presented, log=tuple(reversed(events))))[-1] == "dstack.log.replay.mismatch"


def test_true_events_are_read_the_same_from_every_answer():
    answer = json.loads(vectors.read(CRABBOX))
    listed = json.loads(answer["tcb_info"])["event_log"]
    assert read_events(listed) == tuple(real()[1])
