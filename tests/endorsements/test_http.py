"""The one HTTP client against everything that a service or a network can do to it."""

from __future__ import annotations

import contextlib
import fcntl
import resource
import socket
import socketserver
import ssl
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from assay.endorsements.http import Client, Limits, tls_context
from assay.endorsements.services import Place, Services, authority, maa_place, proxy_address
from assay.endorsements.surroundings import Surroundings
from assay.endorsements.turns import LONGEST_SECONDS, Turns
from assay.errors import EndorsementError
from support.endorsement_services import (
    Reply,
    World,
    authority_pem,
    closed_port,
    running,
)

LIMIT = 10_000


def client(world=None, **limits):
    surroundings = (world or World()).surroundings()
    return Client(tls_context(authority_pem()), surroundings, Turns(surroundings, None), Limits(**limits))


def place(service, path="/x"):
    return Place(service.url + path, authority(service.url), 0.0)


def fails(code, call, *arguments, **named):
    with pytest.raises(EndorsementError) as caught:
        call(*arguments, **named)
    assert caught.value.code == code
    assert caught.value.message.isprintable()
    return caught.value


def test_an_answer_comes_back_whole(service):
    service.routes["/x?a=b"] = Reply(200, b"body", {"X-Chain": "a%20b"})
    found = client().get(place(service, "/x?a=b"), max_bytes=LIMIT, headers={"Metadata": "true"})
    assert (found.body, found.headers["x-chain"]) == (b"body", "a%20b")
    _, path, headers, _ = service.requests[0]
    assert path == "/x?a=b"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Metadata"] == "true"
    assert headers["User-Agent"] == "assay"
    assert headers["Connection"] == "close"


def test_a_body_can_be_posted(service):
    service.routes["/x"] = lambda method, path, body: Reply(200, method.encode() + body)
    found = client().post(place(service), b"question", media_type="application/x", max_bytes=LIMIT)
    assert found.body == b"POSTquestion"


@pytest.mark.parametrize("reply", [Reply(200, b"a" * LIMIT), Reply(200, b"a" * LIMIT, chunked=True)])
def test_a_body_may_have_the_greatest_length(service, reply):
    service.routes["/x"] = reply
    assert len(client().get(place(service), max_bytes=LIMIT).body) == LIMIT


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"a" * (LIMIT + 1)),
        Reply(200, b"a" * (LIMIT + 1), chunked=True),
        Reply(200, b"a" * (LIMIT + 1), length=None),
        Reply(200, b"", length=10**11),
    ],
)
def test_a_longer_body_is_refused(service, reply):
    service.routes["/x"] = reply
    fails("endorsements.http.too_large", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == 1


def test_a_cut_off_body_is_asked_for_again(service):
    service.routes["/x"] = Reply(200, b"whole")
    service.faults.append(Reply(200, b"who", length=5))
    assert client().get(place(service), max_bytes=LIMIT).body == b"whole"


def test_a_body_that_is_always_cut_off_is_an_error(service):
    service.routes["/x"] = Reply(200, b"who", length=5)
    fails("endorsements.http.truncated", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == Limits().tries


def test_too_many_requests_are_answered_with_patience(service):
    world = World()
    service.routes["/x"] = Reply(200, b"body")
    service.faults.append(Reply(429, headers={"Retry-After": "7"}))
    assert client(world).get(place(service), max_bytes=LIMIT).body == b"body"
    assert world.waits == [7.0]


@pytest.mark.parametrize(
    ("text", "wait"), [("Sat, 21 Nov 2026 12:00:09 GMT", 9.0), ("Sat, 21 Nov 2026 11:00:00 GMT", 0.25)]
)
def test_retry_after_can_be_a_date(service, text, wait):
    world = World()
    service.routes["/x"] = Reply(200, b"body")
    service.faults.append(Reply(503, headers={"Retry-After": text}))
    client(world).get(place(service), max_bytes=LIMIT)
    assert world.waits == [wait]


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "-5",
        "1e3",
        "\N{ARABIC-INDIC DIGIT THREE}".encode().decode("latin-1"),
        "Sat, 99 Nov 2026 12:00:09 GMT",
    ],
)
def test_a_retry_after_that_says_nothing_leaves_our_own_wait(service, text):
    world = World()
    service.routes["/x"] = Reply(200, b"body")
    service.faults.append(Reply(503, headers={"Retry-After": text}))
    client(world).get(place(service), max_bytes=LIMIT)
    assert world.waits == [0.25]


def test_a_wait_that_would_take_all_of_the_time_is_not_begun(service):
    world = World()
    service.routes["/x"] = Reply(429, headers={"Retry-After": "90"})
    fails("endorsements.http.rate_limited", client(world).get, place(service), max_bytes=LIMIT)
    assert world.waits == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("91", 91), ("3600", 3600), ("9" * 9, 10**9 - 1), ("9" * 10, 10**9), ("9" * 4000, 10**9)],
)
def test_a_longer_retry_after_than_the_time_for_all_is_an_error(service, text, seconds):
    world = World()
    service.routes["/x"] = Reply(429, headers={"Retry-After": text})
    one = client(world)
    error = fails("endorsements.http.rate_limited", one.get, place(service), max_bytes=LIMIT)
    assert error.detail == {"host": f"localhost:{service.port}", "status": 429, "retry_after": seconds}
    assert "too many requests" in error.message
    assert world.waits == []
    # The host is left alone until then, whoever asks next.
    fails("endorsements.http.rate_limited", one.get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == 1
    world.pass_by(3600)
    service.routes["/x"] = Reply(200, b"body")
    assert one.get(place(service), max_bytes=LIMIT).body == b"body"


def test_a_broken_service_is_asked_with_growing_waits(service):
    world = World()
    service.routes["/x"] = Reply(500, b"broken")
    error = fails("endorsements.http.unavailable", client(world).get, place(service), max_bytes=LIMIT)
    assert error.detail["status"] == 500
    assert "does not work now" in error.message
    assert world.waits == [0.25, 0.5, 1.0]
    assert len(service.requests) == 4


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_may_pass_is_asked_for_again(service, status):
    service.routes["/x"] = Reply(200, b"body")
    service.faults.append(Reply(status))
    assert client().get(place(service), max_bytes=LIMIT).body == b"body"


def test_waits_stop_growing(service):
    world = World()
    service.routes["/x"] = Reply(500)
    fails("endorsements.http.unavailable", client(world, tries=7).get, place(service), max_bytes=LIMIT)
    assert world.waits == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "not_found", "no such document"),
        (410, "not_found", "no such document"),
        (400, "status", "answered 400"),
        (401, "status", "answered 401"),
        (501, "status", "answered 501"),
        (505, "status", "answered 505"),
        (204, "status", "answered 204"),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(service, status, code, said):
    service.routes["/x"] = Reply(status)
    error = fails(f"endorsements.http.{code}", client().get, place(service), max_bytes=LIMIT)
    assert error.detail["status"] == status
    assert said in error.message
    assert len(service.requests) == 1


def test_a_service_that_never_answers_runs_out_of_time(service):
    service.routes["/x"] = Reply(200, b"a", length=2, hang=True)
    world = World()
    world.monotonic = time.monotonic
    fails(
        "endorsements.http.timeout", client(world, seconds=0.3, tries=1).get, place(service), max_bytes=LIMIT
    )


def test_a_service_that_trickles_cannot_stretch_its_time(service):
    service.routes["/x"] = Reply(200, b"a" * 2000, trickle=True)
    world = World(tick=1.0)  # every look at the clock takes a second
    fails(
        "endorsements.http.timeout", client(world, seconds=19, tries=1).get, place(service), max_bytes=LIMIT
    )


def test_the_last_try_ends_with_the_time_for_all(service):
    service.routes["/x"] = Reply(200, b"a" * 2000, trickle=True)
    world = World(tick=1.0)
    began = world.seconds
    one = client(world, seconds=30, total_seconds=40)
    fails("endorsements.http.timeout", one.get, place(service), max_bytes=LIMIT)
    assert 40 <= world.seconds - began <= 46


@pytest.mark.parametrize(("seconds", "enough"), [(0.0, False), (1.0, True)])
def test_a_try_has_its_time_and_not_a_moment_more(service, seconds, enough):
    """The clock of this world stands still, so that all of the time is left until something waits."""
    service.routes["/x"] = Reply(200, b"body")
    one = client(seconds=seconds)
    if enough:
        assert one.get(place(service), max_bytes=LIMIT).body == b"body"
    else:
        fails("endorsements.http.timeout", one.get, place(service), max_bytes=LIMIT)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_followed(service, status):
    service.routes["/x"] = Reply(status, headers={"Location": "/y"})
    service.routes["/y"] = Reply(200, b"moved")
    found = client().get(place(service), max_bytes=LIMIT)
    assert found.body == b"moved"
    assert found.url.endswith("/y")


@pytest.mark.parametrize(
    ("status", "headers"),
    [(300, {"Location": "/y"}), (304, {"Location": "/y"}), (305, {"Location": "/y"}), (302, {})],
)
def test_what_leads_nowhere_is_no_redirect(service, status, headers):
    service.routes["/x"] = Reply(status, headers=headers)
    fails("endorsements.http.status", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == 1


def test_an_answer_may_name_a_location(service):
    service.routes["/x"] = Reply(200, b"body", {"Location": "/y"})
    assert client().get(place(service), max_bytes=LIMIT).body == b"body"


@pytest.mark.parametrize(("hops", "asked"), [(3, 4), (4, 4)])
def test_three_redirects_are_followed_and_no_more(service, hops, asked):
    service.routes["/x"] = Reply(302, headers={"Location": "/1"})
    for hop in range(1, hops):
        service.routes[f"/{hop}"] = Reply(302, headers={"Location": f"/{hop + 1}"})
    service.routes[f"/{hops}"] = Reply(200, b"body")
    if hops == 3:
        assert client().get(place(service), max_bytes=LIMIT).body == b"body"
    else:
        fails("endorsements.http.redirect", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == asked


def test_no_more_than_two_thousand_characters_of_a_location_are_read(service):
    service.routes["/x"] = Reply(302, headers={"Location": "/" + "y" * 3000})
    fails("endorsements.http.not_found", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests[1][1]) == 2048


def test_a_redirect_to_another_protocol_is_refused(service):
    service.routes["/x"] = Reply(302, headers={"Location": f"ftp://localhost:{service.port}/x"})
    fails("endorsements.http.protocol", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "target",
    [
        "https://example.org/x",
        "//example.org/x",
        "http://localhost/x",
        "https://localhost:1/x",
        "ftp://localhost/",
        "https://localhost:99999/x",
        "https://localhost:-1/x",
    ],
)
def test_a_redirect_elsewhere_is_refused(service, target):
    service.routes["/x"] = Reply(302, headers={"Location": target})
    fails("endorsements.http.redirect", client().get, place(service), max_bytes=LIMIT)
    assert len(service.requests) == 1


def test_a_redirect_from_tls_to_plain_http_is_refused(service):
    service.routes["/x"] = Reply(302, headers={"Location": service.url.replace("https", "http") + "/y"})
    fails("endorsements.http.redirect", client().get, place(service), max_bytes=LIMIT)


def test_a_circle_of_redirects_ends(service):
    service.routes["/x"] = Reply(302, headers={"Location": "/x"})
    fails("endorsements.http.redirect", client().get, place(service), max_bytes=LIMIT)


def test_a_question_is_not_sent_on(service):
    service.routes["/x"] = Reply(307, headers={"Location": "/y"})
    post = client().post
    fails("endorsements.http.redirect", post, place(service), b"q", media_type="a/b", max_bytes=LIMIT)


def test_a_compressed_answer_is_refused(service):
    service.routes["/x"] = Reply(200, b"body", {"Content-Encoding": "gzip"})
    fails("endorsements.http.encoding", client().get, place(service), max_bytes=LIMIT)


def test_an_answer_may_say_that_it_is_not_compressed(service):
    service.routes["/x"] = Reply(200, b"body", {"Content-Encoding": "Identity"})
    assert client().get(place(service), max_bytes=LIMIT).body == b"body"


def test_a_certificate_for_another_name_is_refused():
    with running(host="other.example") as service:
        service.routes["/x"] = Reply(200, b"body")
        error = fails("endorsements.http.tls", client().get, place(service), max_bytes=LIMIT)
        assert "mismatch" in error.message
        assert error.detail["host"] == f"localhost:{service.port}"
        assert service.requests == []


class Speechless(ssl.SSLContext):
    """Fails without a word."""

    def wrap_socket(self, *args, **named):
        raise ssl.SSLError


def test_tls_that_fails_without_a_reason_has_failed():
    with running() as service:
        one = client()
        one.tls = Speechless(ssl.PROTOCOL_TLS_CLIENT)
        error = fails("endorsements.http.tls", one.get, place(service), max_bytes=LIMIT)
        assert "the handshake failed" in error.message


def test_an_authority_that_was_not_given_is_refused(service):
    world = World()
    one = Client(tls_context(), world.surroundings(), Turns(world.surroundings(), None))
    fails("endorsements.http.tls", one.get, place(service), max_bytes=LIMIT)
    assert service.requests == []
    assert world.waits == []


def test_nobody_there_is_an_error_after_some_tries():
    world = World()
    with closed_port() as port:
        where = Place(f"https://localhost:{port}/x", "localhost", 0.0)
        fails("endorsements.http.unreachable", client(world).get, where, max_bytes=LIMIT)
    assert len(world.waits) == 3


def test_something_else_than_http_is_an_error():
    with running(tls=False) as service:
        where = Place(
            service.url.replace("http:", "https:").replace("127.0.0.1", "localhost"), "localhost", 0.0
        )
        error = fails("endorsements.http.tls", client().get, where, max_bytes=LIMIT)
        assert "WRONG_VERSION_NUMBER" in error.message


@contextlib.contextmanager
def listening(handler):
    """A server of our own making; its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as found:
        found.daemon_threads = True
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found.server_address[1]
        finally:
            found.shutdown()
            thread.join()


class HangsUp(socketserver.BaseRequestHandler):
    """Takes the first words and says nothing."""

    def handle(self):
        self.request.recv(4096)


def test_a_handshake_that_is_cut_off_is_tried_again():
    world = World()
    with listening(HangsUp) as port:
        where = Place(f"https://localhost:{port}/x", "localhost", 0.0)
        fails("endorsements.http.unreachable", client(world).get, where, max_bytes=LIMIT)
    assert len(world.waits) == 3


class Resets(socketserver.BaseRequestHandler):
    """Breaks the connection in the middle of an answer."""

    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwho")
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()


def test_a_connection_that_breaks_is_tried_again():
    world = World()
    with listening(Resets) as port:
        where = Place(f"http://127.0.0.1:{port}/x", f"127.0.0.1:{port}", 0.0)
        fails("endorsements.http.truncated", client(world).get, where, max_bytes=LIMIT)
    assert len(world.waits) == 3


def test_no_proxy_is_taken_from_the_environment(service, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    service.routes["/x"] = Reply(200, b"body")
    assert client().get(place(service), max_bytes=LIMIT).body == b"body"


class Proxy(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT; ``answer`` is its first line."""

    answer = b"200 OK"
    asked: ClassVar[list] = []

    def handle(self):
        line = self.request.recv(4096).split(b"\r\n")[0].decode()
        self.asked.append(line)
        self.request.sendall(b"HTTP/1.1 " + self.answer + b"\r\n\r\n")
        if self.answer != b"200 OK":
            return
        host, _, port = line.split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as target:
            threading.Thread(target=_copy, args=(target, self.request), daemon=True).start()
            _copy(self.request, target)


def _copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.mark.parametrize("answer", [b"200 OK", b"403 Forbidden"])
def test_a_proxy_is_used_when_it_is_named(service, answer):
    handler = type("Handler", (Proxy,), {"answer": answer, "asked": []})
    service.routes["/x"] = Reply(200, b"body")
    with listening(handler) as port:
        one = client()
        one.proxy = proxy_address(f"http://127.0.0.1:{port}")
        if answer == b"200 OK":
            assert one.get(place(service), max_bytes=LIMIT).body == b"body"
        else:
            fails("endorsements.http.proxy", one.get, place(service), max_bytes=LIMIT)
    assert handler.asked == [f"CONNECT localhost:{service.port} HTTP/1.1"]


def test_this_machines_metadata_is_not_asked_through_a_proxy():
    with running(tls=False) as service, closed_port() as port:
        service.routes["/x"] = Reply(200, b"body")
        one = client()
        one.proxy = f"http://127.0.0.1:{port}"
        assert one.get(place(service), max_bytes=LIMIT).body == b"body"


@pytest.mark.parametrize(
    "text",
    [
        "proxy:80",
        "https://p:80",
        "http://p",
        "http://u:x@p:80",
        "http://p:80/x",
        "http://p:65536",
        "socks5://p:1",
    ],
)
def test_a_proxy_is_named_in_one_way(text):
    fails("endorsements.service.proxy", proxy_address, text)


@pytest.mark.parametrize("pace", [0.5, 2.0])
def test_a_host_is_asked_no_faster_than_its_pace(service, pace):
    world = World()
    service.routes["/x"] = Reply(200, b"body")
    one = client(world)
    where = Place(service.url + "/x", authority(service.url), pace)
    for _ in range(3):
        one.get(where, max_bytes=LIMIT)
    assert world.waits == [pace, pace]


@pytest.mark.parametrize("shared", [False, True])
def test_turns_are_those_of_all_who_share_them(tmp_path, shared):
    world = World()
    directory = tmp_path / "hosts" if shared else None
    one = Turns(world.surroundings(), directory)
    other = Turns(world.surroundings(), directory) if shared else one
    waits = [each.take("a.example", pace=2.0, patience=60) for each in (one, other, one, other)]
    assert waits == [0.0, 2.0, 4.0, 6.0]
    assert other.take("b.example", pace=2.0, patience=60) == 0.0
    other.hold("a.example", 30)
    fails("endorsements.http.rate_limited", one.take, "a.example", pace=2.0, patience=29)
    assert one.take("a.example", pace=0.0, patience=30) == 30.0
    one.hold("a.example", 10**9)
    world.pass_by(LONGEST_SECONDS)
    assert other.take("a.example", pace=0.0, patience=0) == 0.0


@pytest.mark.parametrize("shared", [False, True])
def test_a_host_is_left_alone_for_an_hour_at_most_and_no_shorter_for_being_told_again(tmp_path, shared):
    one = Turns(World().surroundings(), tmp_path / "hosts" if shared else None)
    one.hold("a.example", 10**9)
    one.hold("a.example", 5)
    assert one.take("a.example", pace=0.0, patience=LONGEST_SECONDS) == 3600.0


NINE_SECONDS_ON = int(World().now().timestamp() * 1000) + 9000


@pytest.mark.parametrize(
    "text", [b"", b"soon", b"9" * 20, b"9" * 400, b"-5", b"\xff", b"%032d" % NINE_SECONDS_ON]
)
def test_a_turn_that_cannot_be_believed_is_now(tmp_path, text):
    one = Turns(World().surroundings(), tmp_path / "hosts")
    one.take("a.example", pace=9.0, patience=0)
    (file,) = (tmp_path / "hosts").iterdir()
    file.write_bytes(text)
    assert one.take("a.example", pace=9.0, patience=0) == 0.0
    assert one.take("a.example", pace=9.0, patience=60) == 9.0


def test_a_turn_is_a_number_of_milliseconds(tmp_path):
    one = Turns(World().surroundings(), tmp_path / "hosts")
    one.take("a.example", pace=2.5, patience=0)
    (file,) = (tmp_path / "hosts").iterdir()
    assert file.read_bytes() == b"%d" % (NINE_SECONDS_ON - 6500)
    file.write_bytes(b"%031d" % NINE_SECONDS_ON)
    assert one.take("a.example", pace=0.0, patience=60) == 9.0


def test_a_turn_is_taken_when_no_other_process_is_taking_one(tmp_path):
    one = Turns(World().surroundings(), tmp_path / "hosts")
    one.take("a.example", pace=9.0, patience=0)
    (file,) = (tmp_path / "hosts").iterdir()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(one.take("a.example", pace=9.0, patience=60)))
    with file.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread.start()
        thread.join(0.3)
        assert taken == []
    thread.join()
    assert taken == [9.0]


def test_turns_are_kept_in_a_directory_of_ours_alone(tmp_path):
    (tmp_path / "hosts").mkdir(mode=0o755)
    fails("endorsements.cache.exposed", Turns, World().surroundings(), tmp_path / "hosts")
    (tmp_path / "hosts").chmod(0o700)
    one = Turns(World().surroundings(), tmp_path / "hosts")
    one.take("a.example", pace=9.0, patience=0)
    (file,) = (tmp_path / "hosts").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    fails("endorsements.cache.unusable", one.take, "a.example", pace=9.0, patience=0)


@contextlib.contextmanager
def no_room():
    """Let no file grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_turns_to_this_process(tmp_path):
    one = Turns(World().surroundings(), tmp_path / "hosts")
    with no_room():
        assert one.take("a.example", pace=9.0, patience=0) == 0.0
        assert one.take("a.example", pace=9.0, patience=60) == 9.0
    assert one.take("a.example", pace=9.0, patience=60) == 18.0
    assert Turns(World().surroundings(), tmp_path / "hosts").take("a.example", pace=0.0, patience=60) == 27.0


@pytest.mark.parametrize("text", [b"no PEM", b"", b"\n", b"\xff"])
def test_authorities_must_be_certificates(text):
    fails("endorsements.http.authorities", tls_context, text)


@pytest.mark.parametrize("own", [True, False])
def test_keys_of_sessions_are_not_written_where_the_environment_says(service, monkeypatch, tmp_path, own):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert tls_context(authority_pem() if own else None).keylog_filename is None
    service.routes["/x"] = Reply(200, b"body")
    assert client().get(place(service), max_bytes=LIMIT).body == b"body"
    assert b"SECRET" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_the_world_is_that_of_this_machine():
    world = Surroundings.real()
    before, start = datetime.now(UTC), time.monotonic()
    assert before <= world.now() <= before + timedelta(minutes=5)
    world.sleep(0.01)
    assert start + 0.01 <= world.monotonic() <= start + 300
    assert 0.0 <= world.chance() < 1.0
    assert len(world.nonce(32)) == 32
    assert world.nonce(32) != world.nonce(32)
    assert "nonce" not in repr(world)


# --- services


def test_only_known_services_have_another_address():
    fails("endorsements.service.unknown", Services.published, ["nobody=https://a.example"])


@pytest.mark.parametrize(
    "address",
    [
        "http://pccs.example",
        "https://user@pccs.example",
        "https://pccs.example/?a=b",
        "https://pccs.example/#a",
        "ftp://pccs.example",
        "https://",
        "https://a b",
        "https://pccs.example:65536",
        "https://pccs.example:0/x",
        "",
    ],
)
def test_an_address_is_https_and_nothing_else(address):
    fails("endorsements.service.address", Services.published, [f"pcs={address}"])


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("imds=http://169.254.169.254:8080", "http://169.254.169.254:8080/m"),
        ("imds=http://127.0.0.1", "http://127.0.0.1/m"),
        ("imds=https://metadata.example", "https://metadata.example/m"),
        ("imds=https://metadata.example:1", "https://metadata.example:1/m"),
    ],
)
def test_instance_metadata_can_have_another_address(word, path):
    assert Services.published([word]).place("imds", "/m").url == path


def test_instance_metadata_is_plain_http_at_its_own_address_only():
    assert Services.published().place("imds", "/m") == Place(
        "http://169.254.169.254/m", "169.254.169.254", 0.1
    )
    assert Services.published().place("imds", "/m").plain
    fails("endorsements.service.address", Services.published, ["imds=http://metadata.example"])
    fails("endorsements.service.address", Services.published, ["kds=http://127.0.0.1"])
    fails("endorsements.service.address", Services.published, ["kds=http://169.254.169.254"])


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://A.example/x", "a.example"),
        ("https://a.example:443/x", "a.example"),
        ("https://a.example:444/x", "a.example:444"),
        ("https://a.example:80", "a.example:80"),
        ("http://a.example:80", "a.example"),
        ("http://a.example:81", "a.example:81"),
        ("http://a.example:443", "a.example:443"),
    ],
)
def test_a_port_is_named_where_it_is_not_the_usual_one(url, named):
    assert authority(url) == named


def test_a_replaced_service_keeps_its_prefix():
    found = Services.published(["pcs=https://pccs.example:8081/cache/"]).place("pcs", "/sgx")
    assert (found.url, found.authority) == ("https://pccs.example:8081/cache/sgx", "pccs.example:8081")


@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example",
        "https://name.region.attest.azure.net.evil.example",
        "https://evil.example/name.region.attest.azure.net",
        "https://a@name.region.attest.azure.net",
        "http://name.region.attest.azure.net",
        "https://name.region.attest.azure.net:444",
        "name.region.attest.azure.net",
        "",
    ],
)
def test_an_issuer_that_is_no_instance_of_maa_is_refused(issuer):
    fails("endorsements.maa.issuer", maa_place, issuer)


def test_an_instance_of_maa_is_asked_at_its_host():
    host = "sharedeus2.eus2.attest.azure.net"
    assert maa_place(f"https://{host}") == Place(f"https://{host}/certs", host, 0.1)
