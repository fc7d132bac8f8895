"""What the agent proves, and refuses to, without a process around it."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from assay.channel import runtime
from assay.channel.binding import Purpose
from assay.channel.hello import Hello
from assay.channel.launch import LaunchConfig
from assay.channel.offer import require_proof
from assay.channel.owner import OwnerKey
from assay.errors import AssayError, GuestError
from assay.guest.attester import Attester
from assay.guest.nonces import Nonces
from support.guest_device import Body, FakeDevice

OWNER = OwnerKey.create()
CONFIG = LaunchConfig("lease-1", OWNER.spki, 60, 60)


@pytest.fixture
def device():
    return FakeDevice(CONFIG)


@pytest.fixture
def attester(device):
    return Attester(device, lease=CONFIG.lease, owner_key=OWNER.spki, isolation="none")


def hello(**changes):
    values = {"lease": "lease-1", "platform": "tdx", "nonce": secrets.token_bytes(32), "manifest": b"m" * 32}
    return Hello.signed(OWNER, **{**values, **changes})


def code_of(call, *arguments):
    with pytest.raises(AssayError) as found:
        call(*arguments)
    return found.value.code


def test_every_admission_has_a_channel_key_of_its_own_and_one_receipt_key(attester):
    first, second = attester.admit(hello()), attester.admit(hello())
    assert first.offered.channel_key != second.offered.channel_key
    assert first.offered.receipt_key == second.offered.receipt_key
    assert first.binding.purpose is Purpose.ADMISSION
    assert Body.decode(first.offered.evidence).report_data == first.binding.report_data()
    require_proof(first.offered.proof, first.binding)
    assert code_of(require_proof, first.offered.proof, second.binding) == "channel.receipt_key.unproven"


def test_no_key_is_shown(attester):
    shown = repr(attester.admit(hello()))
    assert "PrivateKey" not in shown


def test_a_start_measures_first_and_proves_that(attester, device):
    admission = attester.admit(hello())
    binding, offered = attester.start(admission, b"s" * 32, b"b" * 32)
    events = runtime.events_of_start("none", b"m" * 32, b"b" * 32)
    assert offered.history == events
    assert Body.decode(offered.evidence) == Body(
        CONFIG.digest(), runtime.replay(events), binding.report_data()
    )
    assert binding == replace(admission.binding, purpose=Purpose.START, nonce=b"s" * 32)
    # A later admission shows the same history.
    assert attester.admit(hello()).offered.history == events


def test_a_failure_between_two_extensions_leaves_a_history_that_still_replays(attester, device):
    admission = attester.admit(hello())
    extend, done = device.extend, []

    def failing(index, digest):
        if len(done) == 2:
            raise GuestError("guest.quoting.refused", "no")
        done.append(digest)
        extend(index, digest)

    device.extend = failing
    assert code_of(attester.start, admission, b"s" * 32, b"b" * 32) == "guest.quoting.refused"
    device.extend = extend
    offered = attester.admit(hello()).offered
    assert len(offered.history) == 2
    assert runtime.replay(offered.history) == device.register


def test_the_history_is_bounded(attester):
    admission = attester.admit(hello())
    for _ in range(runtime.MAX_EVENTS // 3):
        attester.start(admission, b"s" * 32, b"b" * 32)
    assert code_of(attester.start, admission, b"s" * 32, b"b" * 32) == "guest.history.full"


def test_another_platform_than_the_hardwares_is_refused(attester, device):
    quote = device.quote
    device.quote = lambda inblob: replace(quote(inblob), provider="tdx_guest")
    assert code_of(attester.admit, hello(platform="sgx")) == "guest.platform.unsupported"
    attester.admit(hello(platform="tdx"))
    device.quote = lambda inblob: replace(quote(inblob), provider="unknown")
    assert code_of(attester.admit, hello(platform="tdx")) == "guest.platform.unsupported"


def test_nonces_are_bounded_and_none_is_forgotten():
    nonces = Nonces(3)
    for number in range(3):
        nonces.use(bytes([number]))
    assert code_of(nonces.use, b"\x03") == "channel.nonce.exhausted"
    assert code_of(nonces.use, b"\x00") == "channel.nonce.reused"
