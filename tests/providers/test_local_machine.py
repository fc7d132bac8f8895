"""A local machine through its life: what it proves, what it leaves, and who may kill whom when."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.channel.client import open_session
from assay.channel.owner import OwnerKey
from assay.errors import AmbiguousError, GoneError, ProviderError, StoreError
from assay.evidence.dcap import verify_quote
from assay.evidence.facts import FactCache
from assay.evidence.verification import Expected
from assay.providers.interface import MachineState
from assay.providers.local import directory as files
from assay.providers.local.ending import machine_processes
from assay.providers.local.processes import ProcessIdentity
from assay.workload.bundle import BundleLimits
from assay.workload.manifest import Limits, Manifest
from assay.workload.snapshot import Snapshot
from support.provider_hostile import request_for
from support.provider_local import RUNGS, TIMEOUT, home, local, owned_request, record, wait_gone, wait_until

NONCE = b"\x07" * 32


@pytest.fixture(params=RUNGS, ids=lambda rung: rung.name)
def rung(request):
    return request.param


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def provider(state, rung):
    provider = local(state, rung)
    yield provider
    for machine in provider.inventory(timeout=TIMEOUT):
        provider.destroy(machine.id, timeout=TIMEOUT)
    assert provider.inventory(timeout=TIMEOUT) == ()
    assert not (state / "local").exists() or list((state / "local").iterdir()) == []


@pytest.fixture
def owner():
    return OwnerKey.create()


@pytest.fixture
def machine(provider):
    return provider.create(request_for("lease-one"), timeout=TIMEOUT)


class RefusedError(Exception):
    """What a test's appraisal raises, with the codes that failed."""


def appraise(provider, request, results):
    trust = provider.trust(request)

    def judge(offered, binding):
        result = verify_quote(
            offered.evidence,
            platform="tdx",
            collateral=trust.collateral,
            roots=trust.roots,
            now=datetime.now(UTC),
            binding=Expected(binding.report_data()),
            facts=FactCache(max_entries=8),
        )
        results.append(result)
        if not (result.authentic and result.bound):
            raise RefusedError([check.code for check in result.ledger.failed()])
        if result.claims.mr_td not in trust.references["mr_td"]:
            raise RefusedError(["mr_td"])
        if result.claims.mr_config_id not in trust.references["mr_config_id"]:
            raise RefusedError(["mr_config_id"])
        if result.claims.debug:
            raise RefusedError(["debug"])

    return judge


def meet(provider, owner, **changes):
    """Create a machine, admit it, and return the session and what was verified."""
    request = owned_request(owner, **changes)
    machine = provider.create(request, timeout=TIMEOUT)
    results = []
    session = open_session(
        provider.connect(machine, timeout=TIMEOUT),
        lease=request.lease,
        owner=owner,
        nonce=NONCE,
        platform="tdx",
        manifest=bytes(32),
        appraise=appraise(provider, request, results),
        timeout=TIMEOUT,
    )
    return session, results[0]


def test_it_proves_the_agent_and_its_configuration(provider, owner, rung):
    session, result = meet(provider, owner)
    session.close()
    assert result.simulated
    assert result.anchor.name == provider.installation.anchor_name
    assert result.claims.rtmrs == (bytes(48),) * 4
    assert result.claims.tcb.status == "UpToDate"


@pytest.mark.parametrize(
    ("attack", "codes"),
    [("stale-nonce", ["tdx.binding.mismatch"]), ("debug", ["debug"]), ("changed-agent", ["mr_td"])],
)
def test_what_a_hostile_host_plays_is_noticed(provider, owner, attack, codes):
    with pytest.raises(RefusedError) as caught:
        meet(provider, owner, options={"attack": attack})
    assert caught.value.args[0] == codes


def test_a_host_that_ends_tls_itself_is_noticed(provider, owner):
    from assay.errors import ChannelError

    with pytest.raises(ChannelError) as caught:
        meet(provider, owner, options={"attack": "foreign-key"})
    assert caught.value.code == "channel.tls.peer_key"


@pytest.mark.parametrize("contents", [{}, {"one": b"1"}, {"a": b"", "deep/b": b"x" * 300_000}])
def test_a_host_that_changes_a_stored_file_is_noticed(provider, owner, tmp_path, contents):
    from assay.errors import AssayError

    files_of_bundle = tmp_path / "files"
    files_of_bundle.mkdir()
    for name, content in contents.items():
        (files_of_bundle / name).parent.mkdir(exist_ok=True)
        (files_of_bundle / name).write_bytes(content)
    request = owned_request(owner, options={"attack": "changed-bundle"})
    machine = provider.create(request, timeout=TIMEOUT)
    with Snapshot.scan(files_of_bundle, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = Manifest(
            owner_key=owner.spki,
            bundle=snapshot.listing.digest(),
            argv=("true",),
            cwd="",
            environment=(),
            limits=Limits(60, 1 << 30, 1 << 20, request.config.ttl_seconds),
            network="none",
            outputs=(),
            policy=bytes(32),
            tty=False,
        )
        session = open_session(
            provider.connect(machine, timeout=TIMEOUT),
            lease=request.lease,
            owner=owner,
            nonce=NONCE,
            platform="tdx",
            manifest=manifest.digest(),
            appraise=appraise(provider, request, []),
            timeout=TIMEOUT,
        )
        session.send_bundle(manifest.encode(), snapshot.stream(), snapshot.size())
    with pytest.raises(AssayError) as caught:
        session.start_evidence(b"\x08" * 32, lambda *_: None)
    session.close()
    assert caught.value.code == "workload.bundle.altered"


def test_two_installations_do_not_trust_each_other(provider, owner, tmp_path):
    request = owned_request(owner)
    machine = provider.create(request, timeout=TIMEOUT)
    stranger = local(tmp_path / "another")
    with pytest.raises(RefusedError) as caught:
        open_session(
            provider.connect(machine, timeout=TIMEOUT),
            lease=request.lease,
            owner=owner,
            nonce=NONCE,
            platform="tdx",
            manifest=bytes(32),
            appraise=appraise(stranger, request, []),
            timeout=TIMEOUT,
        )
    assert caught.value.args[0] == ["dcap.root.not_pinned"]


@pytest.mark.parametrize("victim", ["machine", "guest", "sandbox"])
def test_whoever_is_killed_takes_the_others_along(provider, state, machine, victim, rung):
    running = record(state, machine)
    identity = getattr(running, victim)
    if identity is None:
        pytest.skip("there is no sandbox on this rung")
    os.kill(identity.pid, signal.SIGKILL)
    wait_gone(running.identities())
    found = provider.describe(machine.id, timeout=TIMEOUT)
    assert found.state is MachineState.STOPPED
    assert found.details["ended"]
    provider.destroy(machine.id, timeout=TIMEOUT)
    with pytest.raises(GoneError):
        provider.describe(machine.id, timeout=TIMEOUT)


def test_destroy_proves_that_every_process_has_ended(provider, state, machine):
    running = record(state, machine)
    assert all(identity.alive for identity in running.identities())
    provider.destroy(machine.id, timeout=TIMEOUT)
    assert not any(identity.alive for identity in running.identities())
    assert not home(state, machine).exists()


def test_a_stopped_machine_cannot_hold_off_its_end(provider, state, machine):
    for identity in record(state, machine).identities():
        os.kill(identity.pid, signal.SIGSTOP)
    provider.destroy(machine.id, timeout=TIMEOUT)
    assert not home(state, machine).exists()


def test_it_ends_at_its_deadline_whatever_becomes_of_the_client(provider, state):
    request = request_for("lease-one", expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    machine = provider.create(request, timeout=TIMEOUT)
    wait_gone(record(state, machine).identities())
    wait_until(lambda: record(state, machine).ended)
    assert record(state, machine).ended == "expired"
    assert not (home(state, machine) / files.SOCKET).exists()
    assert provider.describe(machine.id, timeout=TIMEOUT).state is MachineState.STOPPED


def test_it_ends_when_its_directory_is_removed_and_is_listed_until_then(provider, state, machine):
    import shutil

    running = record(state, machine)
    os.kill(running.machine.pid, signal.SIGSTOP)
    shutil.rmtree(home(state, machine))
    orphans = provider.inventory(timeout=TIMEOUT)
    assert [orphan.lease for orphan in orphans] == [machine.lease]
    os.kill(running.machine.pid, signal.SIGCONT)
    wait_gone(running.identities())
    assert provider.inventory(timeout=TIMEOUT) == ()


def test_an_orphan_can_be_destroyed(provider, state, machine):
    import shutil

    running = record(state, machine)
    os.kill(running.machine.pid, signal.SIGSTOP)
    shutil.rmtree(home(state, machine))
    (orphan,) = provider.inventory(timeout=TIMEOUT)
    provider.destroy(orphan.id, timeout=TIMEOUT)
    wait_gone(running.identities())
    assert provider.inventory(timeout=TIMEOUT) == ()


def test_sigterm_ends_it_in_order(provider, state, machine):
    running = record(state, machine)
    os.kill(running.machine.pid, signal.SIGTERM)
    wait_gone(running.identities())
    assert record(state, machine).ended == "told to end"


def test_a_machine_that_ended_is_not_started_again(provider, state, machine):
    os.kill(record(state, machine).machine.pid, signal.SIGKILL)
    wait_gone(record(state, machine).identities())
    again = provider.create(request_for("lease-one", expires_at=_expiry(state, machine)), timeout=TIMEOUT)
    assert again.id == machine.id
    assert again.state is MachineState.STOPPED


def _expiry(state, machine):
    return files.Intent.decode((home(state, machine) / files.INTENT).read_bytes()).expires_at


def test_nothing_secret_is_shown_to_other_users_of_the_computer(provider, state, machine):
    pid = record(state, machine).machine.pid
    for name in ("cmdline", "environ"):
        shown = Path(f"/proc/{pid}/{name}").read_bytes()
        assert provider.installation.secret not in shown
        assert provider.installation.secret.hex().encode() not in shown
    assert stat_mode(home(state, machine)) == 0o700
    for path in home(state, machine).iterdir():
        assert stat_mode(path) & 0o077 == 0, path.name


def stat_mode(path):
    return path.stat(follow_symlinks=False).st_mode & 0o777


def open_in(pid):
    """What a process holds open, without what it closes while this looks: that was not inherited for good."""
    links = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.add(descriptor.readlink())
    return links


def test_the_machine_inherits_nothing_from_the_client(provider, state):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        machine = provider.create(request_for("lease-one"), timeout=TIMEOUT)
        pid = record(state, machine).machine.pid
        assert Path(f"/proc/self/fd/{write}").readlink() not in open_in(pid)
        assert os.getsid(pid) != os.getsid(0)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("moment", ["before start", "after start"])
def test_a_client_that_is_killed_leaves_a_machine_that_is_found(provider, state, rung, moment):
    """kill -9 of the creating process: what it created is listed, can be adopted, and can be destroyed."""
    script = """
import os, sys
from pathlib import Path
from support.provider_hostile import request_for
from support.provider_local import local
from assay.providers.local.isolation import Rung
from assay.providers.local import provider as module
import contextlib
import json
rung = Rung.from_json(json.loads(sys.argv[2]))
provider = local(Path(sys.argv[1]), rung)
if sys.argv[3] == "before start":
    module.start = lambda *_: os.kill(os.getpid(), 9)
provider.create(request_for("lease-one"), timeout=30)
os.kill(os.getpid(), 9)
"""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script, str(state), json.dumps(rung.to_json()), moment],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    (found,) = provider.inventory(timeout=TIMEOUT)
    before = moment == "before start"
    assert found.state is (MachineState.STARTING if before else MachineState.RUNNING)
    adopted = provider.create(request_for("lease-one", expires_at=_expiry(state, found)), timeout=TIMEOUT)
    assert (adopted.id, adopted.state) == (found.id, MachineState.RUNNING)


def test_leftovers_of_killed_processes_are_swept(provider, state, machine):
    dead = subprocess.Popen(["true"])
    identity = ProcessIdentity.of(dead.pid)
    dead.wait()
    start = identity.start_time if identity else 1
    for kind in ("new", "gone"):
        place = state / "local" / f".{kind}-{dead.pid}-{start}-00000000"
        place.mkdir()
        (place / "intent.json").write_text("x")
    ours = state / "local" / f".new-{os.getpid()}-{ProcessIdentity.of(os.getpid()).start_time}-00000000"
    ours.mkdir()
    assert [found.id for found in provider.inventory(timeout=TIMEOUT)] == [machine.id]
    assert sorted(path.name for path in (state / "local").iterdir()) == [ours.name, "lease-one"]
    ours.rmdir()


@pytest.mark.parametrize("exactly", [False, True])
def test_a_pid_that_another_process_has_now_is_left_alone(provider, state, machine, exactly):
    """The record names a pid whose process has ended; its number now belongs to a stranger.

    Where it names exactly this stranger, that is waited for, in vain, and never killed.
    """
    running = record(state, machine)
    os.kill(running.machine.pid, signal.SIGKILL)
    wait_gone(running.identities())
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        begun = ProcessIdentity.of(stranger.pid) if exactly else running.machine
        identity = ProcessIdentity(running.machine.boot_id, stranger.pid, begun.start_time)
        content = files.Record(identity, identity, identity)
        (home(state, machine) / files.RECORD).write_bytes(content.encode())
        with pytest.raises(AmbiguousError) if exactly else contextlib.nullcontext():
            provider.destroy(machine.id, timeout=0.2 if exactly else TIMEOUT)
        assert stranger.poll() is None
        assert home(state, machine).exists() is exactly
    finally:
        stranger.kill()
        stranger.wait()
    provider.destroy(machine.id, timeout=TIMEOUT)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b"[" * 10_000, b'{"machine": {"pid": "1"}}', b"x" * 100_000]
)
def test_a_tampered_record_is_not_believed(provider, state, machine, content):
    (home(state, machine) / files.RECORD).write_bytes(content)
    with pytest.raises(AmbiguousError) as caught:
        provider.inventory(timeout=TIMEOUT)
    assert caught.value.code == "provider.local.tampered"
    (home(state, machine) / files.RECORD).unlink()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 10_000, b"x" * 100_000])
def test_a_tampered_intent_makes_the_inventory_unknown(provider, state, machine, content):
    path = home(state, machine) / files.INTENT
    genuine = path.read_bytes()
    path.write_bytes(content)
    for ask in (
        lambda: provider.inventory(timeout=TIMEOUT),
        lambda: provider.describe(machine.id, timeout=TIMEOUT),
        lambda: provider.destroy(machine.id, timeout=TIMEOUT),
        lambda: provider.create(request_for("lease-one"), timeout=TIMEOUT),
    ):
        with pytest.raises(AmbiguousError):
            ask()
    path.write_bytes(genuine)


@pytest.mark.parametrize(
    "replace",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        os.mkfifo,
        lambda path: path.mkdir(),
    ],
)
def test_an_intent_that_is_no_file_of_ours_is_not_read(provider, state, machine, replace):
    path = home(state, machine) / files.INTENT
    genuine = path.read_bytes()
    path.unlink()
    replace(path)
    with pytest.raises(AmbiguousError):
        provider.inventory(timeout=TIMEOUT)
    path.rmdir() if path.is_dir() else path.unlink()
    path.write_bytes(genuine)


def test_a_directory_without_its_lock_proves_nothing(provider, state, machine):
    running = record(state, machine)
    (home(state, machine) / files.LOCK).unlink()
    with pytest.raises(AmbiguousError) as caught:
        provider.destroy(machine.id, timeout=3)
    assert caught.value.code == "provider.local.tampered"
    wait_gone(running.identities())  # the machine saw it, and ended
    (home(state, machine) / files.LOCK).touch()


def test_an_intent_of_another_lease_is_not_believed(provider, state, machine):
    other = provider.create(request_for("lease-two"), timeout=TIMEOUT)
    path = home(state, machine) / files.INTENT
    genuine = path.read_bytes()
    path.write_bytes((home(state, other) / files.INTENT).read_bytes())
    with pytest.raises(AmbiguousError):
        provider.inventory(timeout=TIMEOUT)
    path.write_bytes(genuine)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"lease": "../escape"}, "provider.local.lease"),
        ({"lease": ".hidden"}, "provider.local.lease"),
        ({"lease": "Upper"}, "provider.local.lease"),
        ({"lease": "a" * 64}, "provider.local.lease"),
        ({"lease": "another-lease"}, "provider.local.lease"),
        ({"options": {"attack": "unheard-of"}}, "provider.local.option"),
        ({"options": {"colour": "red"}}, "provider.local.option"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "provider.local.expired"),
    ],
)
def test_a_request_that_makes_no_sense_creates_nothing(provider, state, change, code):
    from dataclasses import replace

    with pytest.raises(ProviderError) as caught:
        provider.create(replace(request_for("lease-one"), **change), timeout=TIMEOUT)
    assert caught.value.code == code
    assert not (state / "local").exists()


@pytest.mark.parametrize(
    "machine_id", ["", "..", "../x.00000000", "lease-one", "lease-one.xyz", "a.00000000\n"]
)
def test_an_id_that_is_none_is_gone(provider, machine_id):
    provider.destroy(machine_id, timeout=TIMEOUT)
    with pytest.raises(GoneError):
        provider.describe(machine_id, timeout=TIMEOUT)


def test_an_older_machine_of_the_lease_is_gone_and_the_newer_one_stays(provider, machine):
    provider.destroy(machine.id, timeout=TIMEOUT)
    newer = provider.create(request_for("lease-one"), timeout=TIMEOUT)
    assert newer.id != machine.id
    provider.destroy(machine.id, timeout=TIMEOUT)
    assert [found.id for found in provider.inventory(timeout=TIMEOUT)] == [newer.id]


def test_creating_and_destroying_at_once_ends_in_one_or_none(provider, state, rung):
    request = request_for("lease-one")
    for _ in range(3):
        outcome = []

        def create(outcome=outcome):
            try:
                outcome.append(local(state, rung).create(request, timeout=TIMEOUT))
            except ProviderError as error:
                outcome.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        while thread.is_alive():
            for found in provider.inventory(timeout=TIMEOUT):
                provider.destroy(found.id, timeout=TIMEOUT)
        thread.join()
        for found in provider.inventory(timeout=TIMEOUT):
            provider.destroy(found.id, timeout=TIMEOUT)
        assert provider.inventory(timeout=TIMEOUT) == ()
        assert len(outcome) == 1


def test_a_state_directory_that_others_may_enter_is_refused(provider, state):
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    with pytest.raises(StoreError) as caught:
        provider.create(request_for("lease-one"), timeout=TIMEOUT)
    assert caught.value.code == "store.directory.mode"
    state.chmod(0o700)


def test_a_deep_state_directory_is_no_obstacle(tmp_path, rung):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    provider = local(deep, rung)
    machine = provider.create(request_for("lease-one"), timeout=TIMEOUT)
    provider.connect(machine, timeout=TIMEOUT).close()
    provider.destroy(machine.id, timeout=TIMEOUT)


def test_what_the_guest_prints_is_bounded(provider, state, machine, owner):
    log = home(state, machine) / files.GUEST_LOG
    wait_until(lambda: b"serving" in log.read_bytes() if log.exists() else False)
    assert log.stat().st_size < 4096
    assert stat_mode(log) == 0o600


CLIENT = """
import sys
from pathlib import Path
from support.provider_hostile import request_for
from support.provider_local import local
provider = local(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(1000):
    machine = provider.create(request_for(f"lease-{number}"), timeout=30)
    provider.connect(machine, timeout=30).close()
    provider.destroy(machine.id, timeout=30)
"""


def test_a_client_that_is_killed_at_any_moment_leaves_what_can_be_found_and_ended(state):
    provider = local(state)
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    chance = random.Random(7)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(state)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        ) as client:
            assert client.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(chance.random() * 0.6)  # any moment will do
            client.kill()
        for machine in provider.inventory(timeout=TIMEOUT):
            provider.destroy(machine.id, timeout=TIMEOUT)
        assert machine_processes(state / "local") == {}
        assert provider.inventory(timeout=TIMEOUT) == ()
        assert not (state / "local").exists() or list((state / "local").iterdir()) == []
