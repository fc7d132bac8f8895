"""The conformance suite, and every fault of the hostile cloud, on a provider that must keep the contract."""

from __future__ import annotations

import itertools

import pytest

from assay.errors import AmbiguousError, GoneError, ProviderError
from assay.providers.interface import MachineState
from support.provider_conformance import TIMEOUT, ProviderConformance
from support.provider_hostile import Cloud, Fault, HostileProvider, request_for


@pytest.fixture
def cloud():
    return Cloud()


@pytest.fixture
def hostile(cloud):
    provider = HostileProvider(cloud)
    yield provider
    provider.close()


class TestHostile(ProviderConformance):
    @pytest.fixture
    def provider(self, hostile):
        return hostile

    def again(self, provider):
        return HostileProvider(provider.cloud)


@pytest.mark.parametrize("fault", Fault)
def test_create_never_says_no_while_a_machine_exists(cloud, hostile, fault):
    cloud.fault("create", fault)
    try:
        machine = hostile.create(request_for("a"), timeout=TIMEOUT)
    except AmbiguousError:
        pass
    except ProviderError:
        assert cloud.of_lease("a") == []
    else:
        assert machine.id in cloud.machines
    # Asking again settles it, and does not make another one.
    machine = hostile.create(request_for("a"), timeout=TIMEOUT)
    assert machine.id in cloud.machines
    assert len(cloud.of_lease("a")) == (2 if fault is Fault.DUPLICATE else 1)


def test_a_double_shows_in_the_inventory(cloud, hostile):
    cloud.fault("create", Fault.DUPLICATE)
    hostile.create(request_for("a"), timeout=TIMEOUT)
    assert len({machine.id for machine in hostile.inventory(timeout=TIMEOUT)}) == 2


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("call", range(6))
def test_the_inventory_is_whole_or_an_error(cloud, hostile, fault, call):
    for lease in "abcde":
        hostile.create(request_for(lease), timeout=TIMEOUT)
    cloud.fault("list", *itertools.repeat(Fault.DUPLICATE, call), fault)  # DUPLICATE means nothing to a list
    try:
        found = hostile.inventory(timeout=TIMEOUT)
    except AmbiguousError:
        return
    assert [machine.id for machine in found] == list(cloud.machines)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("call", ["delete", "get"])
def test_destroy_returns_only_when_it_is_gone(cloud, hostile, fault, call):
    machine = hostile.create(request_for("a"), timeout=TIMEOUT)
    hostile.create(request_for("b"), timeout=TIMEOUT)
    cloud.fault(call, fault)
    try:
        hostile.destroy(machine.id, timeout=TIMEOUT)
    except ProviderError:
        hostile.destroy(machine.id, timeout=TIMEOUT)
    assert cloud.of_lease("a") == []
    assert len(cloud.of_lease("b")) == 1


@pytest.mark.parametrize("fault", Fault)
def test_describe_says_gone_only_when_it_is(cloud, hostile, fault):
    machine = hostile.create(request_for("a"), timeout=TIMEOUT)
    hostile.create(request_for("b"), timeout=TIMEOUT)
    cloud.fault("get", fault)
    try:
        assert hostile.describe(machine.id, timeout=TIMEOUT) == machine
    except AmbiguousError:
        assert machine.id in cloud.machines
    except GoneError:
        pytest.fail("the machine exists")


def test_a_machine_that_stopped_by_itself_is_still_listed(cloud, hostile):
    machine = hostile.create(request_for("a"), timeout=TIMEOUT)
    cloud.stop(machine.id)
    assert [found.state for found in hostile.inventory(timeout=TIMEOUT)] == [MachineState.STOPPED]


def test_a_hang_costs_the_deadline_and_no_more(cloud, hostile):
    cloud.fault("create", Fault.HANG)
    with pytest.raises(AmbiguousError):
        hostile.create(request_for("a"), timeout=5)
    assert cloud.clock == 5
    assert cloud.machines == {}
