"""What every provider must pass: subclass ``ProviderConformance`` and give it a ``provider`` fixture.

class TestLocal(ProviderConformance):
    @pytest.fixture
    def provider(self, tmp_path): ...

    def again(self, provider):              # another instance that sees the same machines
        return ...
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from datetime import UTC

import pytest

from assay.channel.launch import LaunchConfig
from assay.errors import AmbiguousError, GoneError, ProviderError
from assay.providers.interface import MachineState, Provider, SupportsExpiry
from support.provider_hostile import request_for

TIMEOUT = 30.0


class ProviderConformance:
    """The contract of ``assay.providers.interface``, as tests."""

    @pytest.fixture
    def provider(self) -> Provider:
        raise NotImplementedError

    def again(self, provider: Provider) -> Provider:
        """Return another instance that sees the same machines, as another process would have."""
        raise NotImplementedError

    @pytest.fixture
    def request_(self):
        return request_for("lease-one")

    @pytest.fixture
    def machine(self, provider, request_):
        return provider.create(request_, timeout=TIMEOUT)

    def test_offers_say_what_can_be_leased(self, provider):
        offers = provider.offers()
        assert offers
        for offer in offers:
            assert offer.provider == provider.name
            assert offer.machine
            assert offer.platform == offer.platform.lower()
            assert offer.isolation in {"firecracker", "qemu", "gvisor", "bubblewrap", "none", "hardware"}

    def test_a_machine_lives_from_create_to_destroy(self, provider, request_):
        assert provider.inventory(timeout=TIMEOUT) == ()
        machine = provider.create(request_, timeout=TIMEOUT)
        assert machine.lease == request_.lease
        assert machine.state in (MachineState.STARTING, MachineState.RUNNING)
        assert machine.created_at.tzinfo is not None
        assert [found.id for found in provider.inventory(timeout=TIMEOUT)] == [machine.id]
        found = provider.describe(machine.id, timeout=TIMEOUT)
        assert (found.id, found.lease, found.created_at) == (machine.id, machine.lease, machine.created_at)
        provider.destroy(machine.id, timeout=TIMEOUT)
        assert provider.inventory(timeout=TIMEOUT) == ()
        with pytest.raises(GoneError):
            provider.describe(machine.id, timeout=TIMEOUT)

    def test_create_is_idempotent_under_the_lease(self, provider, request_, machine):
        assert provider.create(request_, timeout=TIMEOUT).id == machine.id
        assert len(provider.inventory(timeout=TIMEOUT)) == 1

    def test_two_creates_at_once_make_one_machine(self, provider, request_):
        barrier = threading.Barrier(4)
        found: list[str] = []

        def create() -> None:
            barrier.wait()
            found.append(self.again(provider).create(request_, timeout=TIMEOUT).id)

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
        assert [machine.id for machine in provider.inventory(timeout=TIMEOUT)] == found[:1]

    def test_another_request_for_the_same_lease_is_refused(self, provider, request_, machine):
        other = replace(request_, config=LaunchConfig(request_.lease, b"another owner", 600, 300))
        with pytest.raises(ProviderError) as caught:
            provider.create(other, timeout=TIMEOUT)
        assert not isinstance(caught.value, AmbiguousError)
        assert [found.id for found in provider.inventory(timeout=TIMEOUT)] == [machine.id]

    @pytest.mark.parametrize("change", [{"machine": "no-such-machine"}, {"platform": "no-such-platform"}])
    def test_what_is_not_offered_is_refused_and_nothing_is_created(self, provider, request_, change):
        with pytest.raises(ProviderError) as caught:
            provider.create(replace(request_, **change), timeout=TIMEOUT)
        assert not isinstance(caught.value, AmbiguousError)
        assert provider.inventory(timeout=TIMEOUT) == ()

    def test_destroy_is_idempotent(self, provider, machine):
        provider.destroy(machine.id, timeout=TIMEOUT)
        provider.destroy(machine.id, timeout=TIMEOUT)
        self.again(provider).destroy(machine.id, timeout=TIMEOUT)

    def test_destroying_what_never_was_succeeds(self, provider):
        provider.destroy("never-was", timeout=TIMEOUT)

    def test_what_never_was_is_gone(self, provider):
        with pytest.raises(GoneError):
            provider.describe("never-was", timeout=TIMEOUT)

    def test_destroying_one_leaves_the_other(self, provider, machine):
        other = provider.create(request_for("lease-two"), timeout=TIMEOUT)
        provider.destroy(machine.id, timeout=TIMEOUT)
        assert [found.id for found in provider.inventory(timeout=TIMEOUT)] == [other.id]

    def test_another_process_sees_and_destroys_the_machine(self, provider, machine):
        other = self.again(provider)
        assert [found.id for found in other.inventory(timeout=TIMEOUT)] == [machine.id]
        other.destroy(machine.id, timeout=TIMEOUT)
        assert provider.inventory(timeout=TIMEOUT) == ()

    def test_two_destroys_at_once_both_succeed(self, provider, machine):
        done: list[bool] = []

        def destroy() -> None:
            self.again(provider).destroy(machine.id, timeout=TIMEOUT)
            done.append(True)

        threads = [threading.Thread(target=destroy) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 4
        assert provider.inventory(timeout=TIMEOUT) == ()

    def test_connect_gives_a_stream_to_the_guest(self, provider, machine):
        with provider.connect(machine, timeout=TIMEOUT) as connection:
            assert connection.type == socket.SOCK_STREAM
            assert connection.getpeername() is not None

    def test_connecting_to_a_destroyed_machine_says_gone(self, provider, machine):
        provider.destroy(machine.id, timeout=TIMEOUT)
        with pytest.raises(GoneError):
            provider.connect(machine, timeout=TIMEOUT)

    def test_trust_is_known_before_the_machine_and_does_not_change_with_it(self, provider, request_):
        before = provider.trust(request_)
        assert before.references["mr_config_id"] == frozenset({request_.config.digest()})
        assert before.references["mr_td"]
        assert before.policy
        provider.create(request_, timeout=TIMEOUT)
        assert provider.trust(request_).references == before.references

    def test_no_deadline_is_overrun_silently(self, provider, request_):
        with contextlib.suppress(AmbiguousError):
            provider.create(request_, timeout=0.0)
        machine = provider.create(request_, timeout=TIMEOUT)
        assert [found.id for found in provider.inventory(timeout=TIMEOUT)] == [machine.id]
        with contextlib.suppress(AmbiguousError):
            provider.destroy(machine.id, timeout=0.0)
        provider.destroy(machine.id, timeout=TIMEOUT)
        assert provider.inventory(timeout=TIMEOUT) == ()

    def test_expiry_is_what_was_asked(self, provider, request_, machine):
        if not isinstance(provider, SupportsExpiry):
            pytest.skip("this provider does not end machines by itself")
        found = provider.expiry(machine.id, timeout=TIMEOUT)
        assert found.astimezone(UTC) == request_.expires_at
