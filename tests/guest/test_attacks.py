"""Attacks on the opening of a session and on what a guest proves, each refused with a code of its own."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from assay.channel import tls
from assay.channel.binding import Purpose
from assay.channel.client import open_session
from assay.channel.frames import HEADER, Frame, Kind, read_frame
from assay.channel.hello import Hello
from assay.channel.identity import spki_of
from assay.channel.messages import decode_error
from assay.channel.offer import MAX_BYTES, Offered, binding_of, prove
from assay.channel.owner import OwnerKey
from assay.channel.stream import PlainStream, TlsStream
from assay.errors import AssayError, ChannelError
from assay.workload.bundle import BundleLimits
from assay.workload.snapshot import Snapshot
from support.guest_device import Body, appraiser
from support.guest_process import Collected, GuestProcess


@pytest.fixture
def guest():
    with GuestProcess() as started:
        yield started


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (root / "a").write_bytes(b"1")
    return root


def code_of(call, *arguments, **named):
    with pytest.raises(AssayError) as found:
        call(*arguments, **named)
    return found.value.code


def manifest_of(guest):
    return guest.manifest(["true"], b"b" * 32)


class Impostor:
    """Stands where the guest should be, and does with one connection what ``answer`` says."""

    def __init__(self, answer) -> None:
        self.near, self.far = socket.socketpair()
        self._answer = answer
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with self.far, suppress(AssayError, OSError):
            self._answer(PlainStream(self.far))

    def __enter__(self):
        return self.near

    def __exit__(self, *_):
        self.near.close()
        self.thread.join()


def ask(plain, allowed=None):
    return plain.read_frame(allowed or {Kind.HELLO: 4096}, time.monotonic() + 10)


def open_at(near, guest, **changes):
    values = {
        "lease": guest.config.lease,
        "owner": guest.owner,
        "nonce": secrets.token_bytes(32),
        "platform": "tdx",
        "manifest": b"m" * 32,
        "appraise": appraiser(guest.config),
        "timeout": 10.0,
        **changes,
    }
    return open_session(near, **values)


# Whom a guest serves.


def test_a_foreign_owner_is_refused_before_a_quote_is_made(guest):
    manifest = manifest_of(guest)
    assert code_of(guest.open, manifest, owner=OwnerKey.create()) == "channel.owner.foreign"
    assert guest.device.quotes == 0


def test_another_lease_is_refused_before_a_quote_is_made(guest):
    assert code_of(guest.open, manifest_of(guest), lease="lease-2") == "channel.hello.lease"
    assert guest.device.quotes == 0


def test_a_nonce_is_answered_once(guest):
    nonce = secrets.token_bytes(32)
    guest.open(manifest_of(guest), nonce=nonce).close()
    assert code_of(guest.open, manifest_of(guest), nonce=nonce) == "channel.nonce.reused"
    assert guest.device.quotes == 1


def test_two_clients_with_one_nonce_at_once(guest):
    nonce = secrets.token_bytes(32)
    gate = threading.Barrier(2)

    def attempt(_):
        gate.wait()
        try:
            guest.open(manifest_of(guest), nonce=nonce).close()
        except ChannelError as error:
            return error.code
        return "opened"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, range(2))) == ["channel.nonce.reused", "opened"]
    assert guest.device.quotes == 1


def test_a_recorded_hello_gets_no_second_answer(guest):
    hello = Hello.signed(
        guest.owner, lease=guest.config.lease, platform="tdx", nonce=b"n" * 32, manifest=b"m" * 32
    )
    for kind, code in ((Kind.EVIDENCE, None), (Kind.REFUSED, "channel.nonce.reused")):
        plain = PlainStream(guest.connect())
        plain.send_frame(Kind.HELLO, hello.encode(), time.monotonic() + 5)
        answer = plain.read_frame({Kind.EVIDENCE: MAX_BYTES, Kind.REFUSED: 8192}, time.monotonic() + 10)
        assert answer.kind is kind
        if code:
            assert decode_error(answer.body).code == code
        plain.close()


def test_who_replays_a_hello_first_still_cannot_speak(guest):
    """Whoever records a HELLO and is faster gets Evidence, and no session: that needs the owner's key."""
    hello = Hello.signed(
        guest.owner, lease=guest.config.lease, platform="tdx", nonce=b"n" * 32, manifest=b"m" * 32
    )
    plain = PlainStream(guest.connect())
    plain.send_frame(Kind.HELLO, hello.encode(), time.monotonic() + 5)
    ask(plain, {Kind.EVIDENCE: MAX_BYTES})
    context = tls.owner_context(OwnerKey.create())

    def speak():
        stream = TlsStream(plain, context, server=False, deadline=time.monotonic() + 5)
        stream.read_frame({Kind.READY: 0}, time.monotonic() + 5)

    assert code_of(speak) in ("channel.tls.handshake", "channel.tls.broken", "channel.peer.closed")
    plain.close()
    guest.open(manifest_of(guest)).close()


# Who answers.


def test_a_reflected_hello(guest):
    with Impostor(lambda plain: plain.send_frame(Kind.HELLO, ask(plain).body, None)) as near:
        assert code_of(open_at, near, guest) == "channel.peer.reflected"


def test_a_peer_that_is_no_guest(guest):
    for answer in (
        lambda plain: plain.send(b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        lambda plain: plain.send(b"\x16\x03\x01" + bytes(60), None),
        lambda plain: plain.send(b"\x02\xff\xff\xff\xff", None),
        lambda plain: plain.send(b"\x02\x00\x00\x00\x04ABCD", None),
        lambda plain: plain.send(b"\x03\x00\x00\x00\x04ABCD", None),
        lambda plain: plain.send(b"\x02\x00\x00", None),
        lambda plain: None,
    ):
        with Impostor(lambda plain, answer=answer: (ask(plain), answer(plain))) as near:
            assert code_of(open_at, near, guest) in (
                "channel.frame.unexpected",
                "channel.frame.oversized",
                "channel.message.malformed",
                "channel.peer.closed",
            )


def test_a_silent_peer_is_left(guest):
    release = threading.Event()
    with Impostor(lambda plain: release.wait(10)) as near:
        assert code_of(open_at, near, guest, timeout=0.2) == "channel.peer.timeout"
        release.set()


def relay_to(other, *, lease=None, rewrite=None):
    """Return what a relay answers: Evidence that the genuine guest ``other`` makes for the relay itself."""

    def answer(plain):
        theirs = Hello.decode(ask(plain).body)
        ours = Hello.signed(
            other.owner,
            lease=other.config.lease,
            platform=theirs.platform,
            nonce=theirs.nonce,
            manifest=theirs.manifest,
        )
        onward = PlainStream(other.connect())
        onward.send_frame(Kind.HELLO, ours.encode(), None)
        evidence = ask(onward, {Kind.EVIDENCE: MAX_BYTES}).body
        if rewrite:
            evidence = rewrite(Offered.decode(evidence)).encode()
        plain.send_frame(Kind.EVIDENCE, evidence, None)
        with suppress(ChannelError):
            plain.receive(1, time.monotonic() + 5)
        onward.close()

    return answer


def test_a_relay_through_a_second_genuine_guest(guest):
    with GuestProcess(lease="lease-2") as other, Impostor(relay_to(other)) as near:
        assert code_of(open_at, near, guest) == "channel.evidence.other_guest"


def test_a_relay_that_lies_about_the_lease_still_has_the_other_guests_binding(guest):
    def lie(made):
        return replace(made, lease="lease-1")

    with GuestProcess(lease="lease-2") as other, Impostor(relay_to(other, rewrite=lie)) as near:
        # The proof of the receipt key is over the other guest's binding.
        assert code_of(open_at, near, guest) == "channel.receipt_key.unproven"


def test_a_relay_with_a_receipt_key_of_its_own_still_has_the_other_guests_launch(guest):
    own = ed25519.Ed25519PrivateKey.generate()
    nonce = secrets.token_bytes(32)

    def rewrite(made):
        made = replace(made, lease="lease-1", receipt_key=spki_of(own.public_key()))
        hello = Hello("admission", "lease-1", "tdx", nonce, b"m" * 32, b"", b"", b"")
        return replace(made, proof=prove(own, binding_of(hello, guest.owner.spki, made)))

    with GuestProcess(lease="lease-2") as other, Impostor(relay_to(other, rewrite=rewrite)) as near:
        assert code_of(open_at, near, guest, nonce=nonce) == "test.config.mismatch"


def test_a_relay_whose_guest_has_the_same_launch_still_has_another_binding(guest):
    """Two guests of one lease: only the channel key differs, and with it the binding."""
    with GuestProcess(owner=guest.owner) as other:
        own = ed25519.Ed25519PrivateKey.generate()
        nonce = secrets.token_bytes(32)
        channel = ec.generate_private_key(ec.SECP256R1())

        def rewrite(made):
            made = replace(
                made, receipt_key=spki_of(own.public_key()), channel_key=spki_of(channel.public_key())
            )
            hello = Hello("admission", "lease-1", "tdx", nonce, b"m" * 32, b"", b"", b"")
            return replace(made, proof=prove(own, binding_of(hello, guest.owner.spki, made)))

        with Impostor(relay_to(other, rewrite=rewrite)) as near:
            assert code_of(open_at, near, guest, nonce=nonce) == "test.binding.mismatch"


def test_evidence_of_another_platform(guest):
    def answer(plain):
        ask(plain)
        plain.send_frame(Kind.EVIDENCE, made.encode(), None)

    with GuestProcess(owner=guest.owner) as other:
        made = other.open(manifest_of(other)).offered
    made = replace(made, platform="sgx")
    with Impostor(answer) as near:
        assert code_of(open_at, near, guest) == "channel.evidence.platform"


def test_a_man_in_the_middle_of_tls_has_another_key(guest):
    """The Evidence is passed on unchanged; TLS is ended by somebody who does not hold the channel key."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    seen = []

    def answer(plain):
        hello = Hello.decode(ask(plain).body)
        onward = PlainStream(guest.connect())
        onward.send_frame(Kind.HELLO, hello.encode(), None)
        plain.send_frame(Kind.EVIDENCE, ask(onward, {Kind.EVIDENCE: MAX_BYTES}).body, None)
        context = tls.guest_context(stranger, hello.certificate)
        stream = TlsStream(plain, context, server=True, deadline=time.monotonic() + 5)
        seen.append(stream.receive(time.monotonic() + 5))

    with Impostor(answer) as near:
        assert code_of(open_at, near, guest) == "channel.tls.peer_key"
    assert seen == []


# What Evidence is for.


def test_admission_evidence_offered_at_start(guest, files):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = guest.manifest(["true"], snapshot.listing.digest())
        with guest.open(manifest) as session:
            session.send_bundle(manifest.encode(), snapshot.stream(), 0)
            # A guest that answers the start with what it proved at admission.
            guest.device.report_data = session.binding.report_data()
            appraised = []
            code = code_of(session.start_evidence, b"s" * 32, lambda *_: appraised.append(1))
            assert (code, appraised) == ("channel.evidence.purpose", [])
            assert session.start is None


def test_start_evidence_offered_at_admission(guest):
    nonce = secrets.token_bytes(32)

    def answer(plain):
        ask(plain)
        plain.send_frame(Kind.EVIDENCE, made.encode(), None)

    with GuestProcess(owner=guest.owner) as other:
        session = other.open(manifest_of(other), nonce=nonce)
        start = replace(session.binding, purpose=Purpose.START)
        body = Body(guest.config.digest(), bytes(48), start.report_data())
        made = replace(session.offered, evidence=body.encode())
        with Impostor(answer) as near:
            code = code_of(open_at, near, guest, nonce=nonce, manifest=session.binding.manifest)
        assert code == "channel.evidence.purpose"
        made = replace(session.offered, purpose="start")
        with Impostor(answer) as near:
            code = code_of(open_at, near, guest, nonce=nonce, manifest=session.binding.manifest)
        assert code == "channel.evidence.purpose"


def test_start_evidence_for_another_session(guest, files):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = guest.manifest(["true"], snapshot.listing.digest())
        with guest.open(manifest) as session:
            session.send_bundle(manifest.encode(), snapshot.stream(), 0)
            session.binding = replace(session.binding, channel_key=b"of another session")
            assert code_of(session.start_evidence, b"s" * 32, lambda *_: None) == "channel.evidence.session"


def test_a_quote_with_report_data_that_a_workload_chose(guest):
    guest.device.report_data = b"chosen by a workload".ljust(64, b"\0")
    assert code_of(guest.open, manifest_of(guest)) == "test.binding.mismatch"


def test_a_history_that_is_not_that_of_the_register(guest):
    guest.device.extend(3, b"x" * 48)
    assert code_of(guest.open, manifest_of(guest)) == "test.register.mismatch"


# A guest under fire.


def garbage(guest):
    with guest.connect() as sock:
        sock.sendall(os.urandom(200))


def half_open(guest):
    guest.connect()  # stays open, says nothing


def slow(guest):
    guest.connect().sendall(b"\x01\x00")


def wrong_protocol(guest):
    with guest.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def oversized(guest):
    with guest.connect() as sock:
        sock.sendall(HEADER.pack(Kind.HELLO, 0xFFFFFFFF))


def client_hello(guest):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with guest.connect() as sock:
        sock.settimeout(5)
        with pytest.raises((ssl.SSLError, OSError)), context.wrap_socket(sock):
            pass


def foreign(guest):
    hello = Hello.signed(
        OwnerKey.create(), lease="lease-1", platform="tdx", nonce=os.urandom(32), manifest=b"m" * 32
    )
    with guest.connect() as sock:
        sock.sendall(Frame(Kind.HELLO, hello.encode()).encode())


def reset(guest):
    sock = guest.connect()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.send(b"\x01")
    sock.close()


def malformed_hello(guest):
    with guest.connect() as sock:
        sock.sendall(Frame(Kind.HELLO, os.urandom(300)).encode())


ATTACKS = [
    garbage,
    half_open,
    slow,
    wrong_protocol,
    oversized,
    client_hello,
    foreign,
    reset,
    malformed_hello,
]


def test_a_thousand_malformed_connections_while_a_session_runs(guest, files):
    session, manifest = guest.started(
        ["sh", "-c", "while [ ! -e go ]; do echo tick; sleep 0.02; done; exit 3"], files
    )
    out = Collected()
    result = []
    runner = threading.Thread(
        target=lambda: result.append(session.run({}, on_output=out, stdin=None, control=None))
    )
    runner.start()
    for number in range(1000):
        ATTACKS[number % len(ATTACKS)](guest)
        if number % 250 == 249:
            guest.open(manifest).close()  # the next owner's session starts in the middle of it
    descriptors = open_descriptors(guest)
    (next(guest.storage.glob("run-*")) / "work/go").touch()
    runner.join(20)
    assert not runner.is_alive()
    assert result[0].code == 3
    assert b"tick" in out.stdout
    guest.open(manifest).close()
    assert guest.process.poll() is None
    assert descriptors < 150


def open_descriptors(guest):
    # Only root may look into a process that has closed itself to its user.
    return len(list(Path(f"/proc/{guest.process.pid}/fd").iterdir())) if os.geteuid() == 0 else 0


def test_a_refusal_says_why(guest):
    with guest.connect() as sock:
        sock.settimeout(5)
        sock.sendall(HEADER.pack(Kind.HELLO, 0xFFFFFFFF))
        answer = read_frame(lambda size: sock.recv(size, socket.MSG_WAITALL), {Kind.REFUSED: 8192})
        assert decode_error(answer.body).code == "channel.frame.oversized"


def test_an_owner_with_too_many_sessions_is_told(guest):
    manifest = manifest_of(guest)
    opened = [guest.open(manifest) for _ in range(16)]
    assert code_of(guest.open, manifest) == "channel.sessions.full"
    opened[0].close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(ChannelError):
            guest.open(manifest).close()
            break
    else:
        pytest.fail("a closed session did not make room")


def test_a_message_out_of_place_ends_the_session_and_nothing_else(guest):
    manifest = manifest_of(guest)
    session = guest.open(manifest)
    session._stream.send_frame(Kind.EVIDENCE, b"", None)
    assert code_of(session.status) == "channel.peer.closed"
    session = guest.open(manifest)
    session._stream.send(HEADER.pack(Kind.STATUS, 1 << 31), None)
    assert code_of(session.status) == "channel.peer.closed"
    guest.open(manifest).close()


def test_a_terminal_escape_in_a_refusal_does_not_reach_the_reader(guest):
    body = b'{"code":"a.b","message":"\\u001b[2Jgone"}'

    def refuse(plain):
        ask(plain)
        plain.send_frame(Kind.REFUSED, body, None)

    with Impostor(refuse) as near, pytest.raises(ChannelError) as found:
        open_at(near, guest)
    assert "\x1b" not in str(found.value)


@pytest.mark.parametrize("changes", [{"proof": b"p" * 64}, {"receipt_key": b"none"}])
def test_an_unproven_receipt_key(guest, changes):
    def answer(plain):
        hello = Hello.decode(ask(plain).body)
        onward = PlainStream(guest.connect())
        onward.send_frame(Kind.HELLO, hello.encode(), None)
        made = Offered.decode(ask(onward, {Kind.EVIDENCE: MAX_BYTES}).body)
        plain.send_frame(Kind.EVIDENCE, replace(made, **changes).encode(), None)
        onward.close()

    with Impostor(answer) as near:
        assert code_of(open_at, near, guest) == "channel.receipt_key.unproven"
