from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from assay.channel.client import Detach, Resize, Signal
from assay.errors import ChannelError, LeaseError, StoreError
from assay.leases import names
from assay.leases.ending import Overtime, Received
from assay.leases.holder import Holder, is_dead, this_process
from assay.leases.keys import Keyring
from assay.leases.signals import Relay, SignalledError
from assay.leases.vault import Vault


def test_ids_and_slugs():
    assert all(names.is_lease_id(names.new_lease_id()) for _ in range(20))
    assert not names.is_lease_id("asy-../../etc")
    assert not names.is_lease_id("asy-0123456789ab\n")
    taken = set()
    for _ in range(200):
        slug = names.new_slug(taken.__contains__)
        assert slug not in taken
        taken.add(slug)
    with pytest.raises(LeaseError) as caught:
        names.new_slug(lambda _: True)
    assert caught.value.code == "lease.slug.exhausted"


def test_a_process_is_known_for_ever():
    own = this_process()
    assert Holder.decode(own.encode()) == own
    assert not is_dead(own)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        other = Holder(own.boot, own.namespace, child.pid, own.started)
        assert is_dead(other)  # that pid, but not that process
        child.kill()
    assert is_dead(Holder(own.boot, own.namespace, child.pid, 0))
    # Of another boot or namespace this kernel knows nothing.
    assert not is_dead(Holder("another", own.namespace, 1 << 22, 1))
    assert not is_dead(Holder(own.boot, "pid:[1]", 1 << 22, 1))


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "[1,2,3,4]", '["a","b",true,1]', '{"a":1}', "null", "[" * 5000]
)
def test_what_is_no_holder_is_nobody(text):
    assert Holder.decode(text) is None


def test_output_is_counted_and_hashed_as_it_comes():
    seen = []
    received = Received(lambda stream, data: seen.append((stream, data)), 10)
    received.take("stdout", 0, b"abc")
    received.take("stderr", 0, b"x")
    received.take("stdout", 3, b"de")
    assert seen == [("stdout", b"abc"), ("stderr", b"x"), ("stdout", b"de")]
    assert received.digest("stdout") == hashlib.sha256(b"abcde").digest()
    assert received.sizes == (5, 1)
    for offset in (0, 4, 6):
        with pytest.raises(ChannelError) as caught:
            received.take("stdout", offset, b"x")
        assert caught.value.code == "lease.output.gap"
    with pytest.raises(ChannelError) as caught:
        received.take("stdout", 5, b"12345")
    assert caught.value.code == "lease.output.limit"


def test_output_that_was_not_seen_whole_has_no_digest():
    received = Received(lambda *_: None, 100, (5, 0))
    assert received.digest("stdout") is None
    stream = SimpleNamespace(sha256=hashlib.sha256(b"").digest())
    assert received.agrees(SimpleNamespace(stdout=stream, stderr=stream)) is None


def test_a_guest_that_says_nothing_after_the_limit_is_hung_up_on():
    hung_up = threading.Event()

    def follow():
        with Overtime(SimpleNamespace(hang_up=hung_up.set), 0.01):
            assert hung_up.wait(10)
            raise ChannelError("channel.peer.closed", "The peer closed the connection.")

    with pytest.raises(LeaseError) as caught:
        follow()
    assert caught.value.code == "lease.overtime"


def test_a_connection_that_breaks_in_time_is_no_overtime():
    with pytest.raises(ChannelError), Overtime(SimpleNamespace(hang_up=lambda: None), 60):
        raise ChannelError("channel.peer.closed", "The peer closed the connection.")


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Relay(None) as relay:
            relay.arm()
            signal.raise_signal(signal.SIGHUP)
            assert relay.received is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_before_during_and_after():
    with Relay(lambda: (33, 77)) as relay:
        os.kill(os.getpid(), signal.SIGUSR1)
        relay.arm()
        with pytest.raises(SignalledError) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.number == signal.SIGTERM
    with Relay(lambda: (33, 77)) as relay:
        relay.forward()
        for number in (signal.SIGUSR1, signal.SIGWINCH, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert list(relay.take()) == [Signal(signal.SIGUSR1), Resize(33, 77), Signal(signal.SIGINT)]
        assert relay.take() == []
        assert not relay.release
        hung_up = []
        relay.hang_up = lambda: hung_up.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        assert list(relay.take()) == [Signal(signal.SIGKILL)]
        assert relay.release
        assert hung_up == []
        os.kill(os.getpid(), signal.SIGINT)
        assert hung_up == [1]
        relay.take()
        relay.hold()
        os.kill(os.getpid(), signal.SIGINT)
        assert relay.take() == []
        assert relay.received == signal.SIGINT


def test_a_signal_that_came_too_early_is_not_lost():
    with Relay(None) as relay:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(SignalledError):
            relay.arm()


def test_a_closed_terminal_detaches_what_ran_without_one():
    with Relay(None) as relay:
        relay.leaves = True
        relay.forward()
        os.kill(os.getpid(), signal.SIGHUP)
        assert list(relay.take()) == [Detach()]


def test_the_vault_gives_back_what_it_was_given(tmp_path):
    vault = Vault(tmp_path / "state")
    digest = vault.put(b"evidence")
    assert vault.put(b"evidence") == digest == hashlib.sha256(b"evidence").digest()
    assert vault.get(digest) == b"evidence"
    assert vault.path(digest).stat().st_mode & 0o777 == 0o600
    vault.path(digest).write_bytes(b"evil")
    with pytest.raises(LeaseError) as caught:
        vault.get(digest)
    assert caught.value.code == "lease.vault.altered"
    with pytest.raises(StoreError):
        vault.get(b"\0" * 32)


def test_keys_are_private_and_stay_in_their_place(tmp_path):
    from assay.channel.owner import OwnerKey

    keys, key, lease = Keyring(tmp_path / "state"), OwnerKey.create(), names.new_lease_id()
    assert keys.held() == frozenset()
    keys.add(lease, key)
    assert keys.load(lease).spki == key.spki
    path = tmp_path / "state" / "keys" / lease
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "owner.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError):
        keys.add(lease, key)
    (path / "owner.pem").chmod(0o644)
    with pytest.raises(StoreError) as caught:
        keys.load(lease)
    assert caught.value.code == "store.file.mode"
    keys.remove(lease)
    keys.remove(lease)
    assert keys.held() == frozenset()
    for name in ("../..", "log.key", ""):
        with pytest.raises(LeaseError) as caught:
            keys.remove(name)
        assert caught.value.code == "lease.id.malformed"
