"""The parts of the local provider: image, device, identities, the guest's view of its sandbox."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AmbiguousError, ProviderError, StoreError
from assay.providers.local import directory as files
from assay.providers.local import image, isolation, starting
from assay.providers.local import provider as provider_module
from assay.providers.local.device import MAX_MESSAGE, QuotingDevice, Wire
from assay.providers.local.isolation import Rung
from assay.providers.local.processes import ProcessIdentity
from assay.simulator.intel import Installation
from assay.simulator.quote import TD10_FIELDS
from support.provider_hostile import request_for
from support.provider_local import BEST, local

# --- the image


def test_the_image_is_the_same_whoever_builds_it():
    code = "import sys; from assay.providers.local import image; sys.stdout.buffer.write(image.build())"
    built = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo", "LANG": "C"},
        cwd="/",
        capture_output=True,
        check=True,
    )
    assert built.stdout == image.build()


def test_the_image_holds_the_agent_and_nothing_else():
    with zipfile.ZipFile(io.BytesIO(image.build())) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert names == sorted(names)
        rooms = {name.split("/")[1] for name in names if name.count("/") > 1}
        assert rooms == {"channel", "guest", "receipts", "workload"}
        assert {name for name in names if name.count("/") < 2} == {
            "__main__.py",
            "assay/__init__.py",
            "assay/errors.py",
        }
        for entry in opened.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.external_attr >> 16 == 0o100644


def test_one_byte_makes_another_measurement():
    genuine, altered = image.build(), image.build(altered=True)
    assert len(genuine) == len(altered)
    with zipfile.ZipFile(io.BytesIO(altered)) as opened:
        assert opened.testzip() is None
    assert image.measurement(genuine) != image.measurement(altered)


def test_what_was_measured_cannot_change():
    descriptor = image.seal(b"the agent")
    try:
        assert image.measure(descriptor) == hashlib.sha384(b"the agent").digest()
        for change in (lambda: os.write(descriptor, b"x"), lambda: os.ftruncate(descriptor, 0)):
            with pytest.raises(PermissionError):
                change()
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


# --- the device


@pytest.fixture
def domain():
    return Installation(b"\x05" * 32).machine("a").trust_domain(mr_td=b"\x09" * 48)


def ask(device, **request):
    return json.loads(device.answer(json.dumps(request).encode()))


def field(quote, name):
    offset, size = TD10_FIELDS[name]
    return quote[48 + offset : 48 + offset + size]


def test_the_device_quotes_and_extends(domain):
    device = QuotingDevice(domain)
    answer = ask(device, op="quote", inblob="07" * 64)
    quote = base64.b64decode(answer["outblob"])
    assert field(quote, "report_data") == b"\x07" * 64
    assert (answer["auxblob"], answer["provider"]) == ("", "assay_simulator")
    assert ask(device, op="extend", index=3, digest="05" * 48) == {}
    later = ask(device, op="quote", inblob="07" * 64)
    assert later["generation"] > answer["generation"]
    expected = hashlib.sha384(bytes(48) + b"\x05" * 48).digest()
    assert field(base64.b64decode(later["outblob"]), "rtmr3") == expected


def test_a_replaying_device_answers_for_an_earlier_session(domain):
    device = QuotingDevice(domain, replays=True)
    answers = [ask(device, op="quote", inblob=f"{n:02}" * 64)["outblob"] for n in (1, 2)]
    assert answers[0] == answers[1]
    assert field(base64.b64decode(answers[0]), "report_data") != b"\x01" * 64


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 60_000,
        b'{"op": "quote"}',
        b'{"op": "quote", "inblob": 7}',
        b'{"op": "quote", "inblob": "07"}',
        b'{"op": "quote", "inblob": "' + b"zz" * 64 + b'"}',
        b'{"op": "extend", "index": 4, "digest": "' + b"00" * 48 + b'"}',
        b'{"op": "extend", "index": -1, "digest": "' + b"00" * 48 + b'"}',
        b'{"op": "extend", "index": true, "digest": "' + b"00" * 48 + b'"}',
        b'{"op": "extend", "index": 3, "digest": "00"}',
        b'{"op": "erase"}',
    ],
)
def test_a_request_that_is_none_changes_nothing(domain, request_):
    device = QuotingDevice(domain)
    assert json.loads(device.answer(request_))["error"] == "device.request.malformed"
    assert domain.body["rtmr3"] == bytes(48)


@given(st.binary(max_size=300))
def test_the_device_answers_anything_with_json(request_):
    device = QuotingDevice(Installation(b"\x05" * 32).machine("a").trust_domain())
    assert isinstance(json.loads(device.answer(request_)), dict)


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 7))
def test_messages_are_cut_as_they_were_framed(messages, step):
    near, far = socket.socketpair()

    class Echo:
        def answer(self, request):
            return request

    with near, far:
        wire = Wire(far, Echo())
        sent = b"".join(struct.pack(">I", len(message)) + message for message in messages)
        for start in range(0, len(sent), step):
            near.sendall(sent[start : start + step])
            assert wire.pump()
        near.shutdown(socket.SHUT_WR)
        assert not wire.pump()
        assert b"".join(iter(lambda: near.recv(65536), b"")) == sent


def test_a_message_that_is_too_long_ends_the_connection(domain):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(struct.pack(">I", MAX_MESSAGE + 1))
        assert not Wire(far, QuotingDevice(domain)).pump()
        assert near.recv(1) == b""


# --- identities


def test_a_process_is_more_than_its_number():
    own = ProcessIdentity.of(os.getpid())
    assert own.alive
    assert ProcessIdentity.from_json(json.loads(json.dumps(own.to_json()))) == own
    for other in (
        ProcessIdentity(own.boot_id, own.pid, own.start_time + 1),
        ProcessIdentity("another boot", own.pid, own.start_time),
    ):
        assert not other.alive
        assert other.hold() is None


def test_the_remains_of_a_process_are_not_alive():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ProcessIdentity.of(child.pid) is None
    child.wait()
    assert ProcessIdentity.of(child.pid) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"boot_id": "b", "pid": "2", "start_time": 3},
        {"boot_id": "b", "pid": 1, "start_time": 3},
        {"boot_id": "b", "pid": -5, "start_time": 3},
        {"boot_id": "b", "pid": True, "start_time": 3},
        {"boot_id": 7, "pid": 2, "start_time": 3},
    ],
)
def test_what_is_no_identity_is_none(value):
    assert ProcessIdentity.from_json(value) is None


# --- the guest's view

LOOK = """
import json, os, socket, subprocess, sys
def readable(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False
nested = subprocess.run(
    ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"],
    stderr=subprocess.PIPE,
)
try:
    open("/usr/mine", "w")
    writes = True
except OSError:
    writes = False
print(json.dumps({
    "interfaces": [name for _, name in socket.if_nameindex()],
    "environment": dict(os.environ),
    "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "user": os.getuid(),
    "storage": oct(os.stat("/storage").st_mode & 0o777),
    "secret": [path for path in sys.argv[1:] if readable(path)],
    "nested": nested.returncode,
    "writes": writes,
    "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff")][0],
}))
"""


@pytest.mark.skipif(BEST.name != "bubblewrap", reason="bubblewrap does not work here")
def test_the_guest_sees_neither_network_nor_our_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    near, far = os.pipe()
    try:
        argv = isolation.guest_argv(
            BEST,
            ["-I", "-S", "-c", LOOK, str(secret), str(Path.home() / ".bashrc"), str(Path(__file__))],
            lease="lease-one",
            storage=tmp_path,
            lent=False,
            sync_fd=far,
            status_fd=far,
        )
        done = subprocess.run(argv, capture_output=True, pass_fds=(far,), env={"LEAK": "x"}, check=True)
    finally:
        os.close(near)
        os.close(far)
    view = json.loads(done.stdout)
    assert view["interfaces"] == ["lo"]
    assert set(view["environment"]) <= {"PATH", "LANG", "PWD", "LC_CTYPE"}
    assert view["pids"][:2] == [1, 2]
    assert len(view["pids"]) < 5
    assert view["secret"] == []
    assert view["storage"] == "0o700"
    assert view["nested"] == 0
    assert not view["writes"]
    assert int(view["capabilities"], 16) == 0
    assert view["user"] != 0


def test_without_bubblewrap_the_rung_is_none_and_says_why(tmp_path):
    assert isolation.probe({"PATH": str(tmp_path)}) == Rung("none", reason="bubblewrap is not installed")


def test_a_bubblewrap_that_does_not_work_is_not_used(tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no \x1b[31m user namespaces' >&2\nexit 1\n")
    broken.chmod(0o755)
    tmp_path.chmod(0o755)
    found = isolation.probe({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert found.name == "none"
    assert found.reason.isprintable()


# --- the directory


@given(st.binary(max_size=400))
def test_no_bytes_make_a_record_or_an_intent_by_accident(data):
    assert files.Record.decode(data) is None
    with pytest.raises(ProviderError):
        files.Intent.decode(data)


def test_an_intent_reads_back(tmp_path):
    provider = local(tmp_path / "state", Rung("none"))
    intent = provider._intent(request_for("lease-one", options={"attack": "debug"}))
    assert files.Intent.decode(intent.encode()) == intent


def test_the_lock_of_a_directory_made_anew_is_another_lock(tmp_path, monkeypatch):
    place = tmp_path / "machine"
    place.mkdir()
    (place / files.LOCK).touch()
    genuine = files.fcntl.flock

    def replaced(descriptor, operation):
        (place / files.LOCK).unlink()
        (place / files.LOCK).touch()
        genuine(descriptor, operation)

    monkeypatch.setattr(files.fcntl, "flock", replaced)
    assert files.take_lock(place) is None


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), StoreError("store.disk.full", "Full.")]
)
def test_a_full_disk_creates_nothing(tmp_path, monkeypatch, error):
    def full(*_):
        raise error

    provider = local(tmp_path / "state", Rung("none"))
    _ = provider.installation
    monkeypatch.setattr(provider_module, "create_private", full)
    with pytest.raises(ProviderError) as caught:
        provider.create(request_for("lease-one"), timeout=5)
    assert caught.value.code == "provider.local.storage"
    assert list((tmp_path / "state" / "local").iterdir()) == []


@pytest.mark.parametrize("word", [b"", b"ready"])
def test_a_starter_that_does_not_end_is_ended_at_the_deadline(tmp_path, monkeypatch, word):
    """Whatever it said: ``create`` has a deadline, and waits for no process beyond it."""
    (tmp_path / "stays.py").write_text(
        "import os, sys, time\n"
        "open(sys.argv[1] + '/pid', 'w').write(str(os.getpid()))\n"
        f"os.write(int(sys.argv[2]), {word!r})\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(starting, "MODULE", "stays")
    monkeypatch.setattr(starting, "import_path", lambda: [str(tmp_path)])
    with pytest.raises(AmbiguousError) as caught:
        starting.start(tmp_path, time.monotonic() + 3)
    assert caught.value.code == "provider.local.ambiguous"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
