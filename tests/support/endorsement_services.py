"""Services that publish endorsements, on real sockets with real TLS, and what can be wrong with them."""

from __future__ import annotations

import ipaddress
import random
import socket
import ssl
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def _authority():
    key = ec.generate_private_key(ec.SECP256R1())
    made = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("authority of a test"))
        .issuer_name(_name("authority of a test"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(made)
        .not_valid_after(made + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def authority_pem():
    """The certificate authority that a client is given explicitly."""
    return _authority()[1].public_bytes(serialization.Encoding.PEM)


@cache
def server_context(host):
    """TLS of a server whose certificate is for ``host``."""
    key, issuer = _authority()
    own = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(host)]
    if host == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(host))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = Path(mkdtemp())
    chain = folder / "chain.pem"
    chain.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    chain.unlink()
    folder.rmdir()
    return context


@dataclass
class Reply:
    """One answer.

    ``length`` overrides Content-Length (None sends none); ``chunked`` sends the body in chunks; ``hang``
    keeps the connection open without another byte until the service stops.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: object = "right"
    chunked: bool = False
    hang: bool = False
    trickle: bool = False


class FakeService:
    """Answers ``routes`` by path and query; ``faults`` are taken first, one for each request."""

    def __init__(self, *, host="localhost", tls=True):
        self.routes = {}
        self.faults = deque()
        self.requests = []
        self.stopping = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                service.requests.append((self.command, self.path, dict(self.headers), body))
                found = service.faults.popleft() if service.faults else service.routes.get(self.path)
                if callable(found):
                    found = found(self.command, self.path, body)
                service.send(self, found or Reply(404, b"there is no such document"))
                self.close_connection = True

            do_GET = do_POST = _answer  # noqa: N815 - the names that the server looks for

            def log_message(self, *args):
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None
        if tls:
            self.server.socket = server_context(host).wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def send(self, handler, reply):
        body = reply.body
        lines = [f"HTTP/1.1 {reply.status} said"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _cut(body, 4096)) + b"0\r\n\r\n"
        elif reply.length is not None:
            lines.append(f"Content-Length: {len(body) if reply.length == 'right' else reply.length}")
        handler.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if reply.trickle:
            for byte in body:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
        else:
            handler.wfile.write(body)
        handler.wfile.flush()
        if reply.hang:
            self.stopping.wait(30)

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _cut(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@contextmanager
def running(**options):
    """A service, stopped at the end."""
    service = FakeService(**options)
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def closed_port():
    """A port of this machine that nobody listens on, held so that nobody else takes it meanwhile."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


class World:
    """Clocks that move only when somebody waits, or by ``tick`` seconds whenever they are looked at."""

    def __init__(self, now=NOW, *, tick=0.0):
        self.moment = now
        self.seconds = 1000.0
        self.tick = tick
        self.waits = []
        self.dice = random.Random(7)

    def now(self):
        return self.moment

    def monotonic(self):
        self.seconds += self.tick
        return self.seconds

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds):
        self.seconds += seconds
        self.moment += timedelta(seconds=seconds)

    def surroundings(self):
        from assay.endorsements.surroundings import Surroundings

        return Surroundings(self.now, self.monotonic, self.sleep, lambda: 0.5, self.dice.randbytes)
