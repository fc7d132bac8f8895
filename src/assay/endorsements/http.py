"""One HTTP client for every source: verified TLS, one allowed host, everything bounded before it is read.

A request ends in an ``Answer`` or in one ``EndorsementError`` with a code of its own. What may pass by itself
(a busy or broken service, a lost connection) is tried again: with exponential back-off and full jitter, never
before the service's own ``Retry-After``, never beyond the time for all of it. Nothing is taken from the
environment: no proxy, no credentials, no certificates.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import certifi
import httpcore
import httpx

from assay.endorsements.services import authority
from assay.errors import EndorsementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from assay.endorsements.services import Place
    from assay.endorsements.surroundings import Surroundings
    from assay.endorsements.turns import Turns

MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({500, 502, 503, 504})
_FOR_EVER: Final = 1e9
_AGENT: Final = "assay"
_CUT_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a request may take, and how often it is tried.

    Attributes:
        seconds: For one try, from the first packet to the last byte. Looking up the host's address comes
            before, and takes as long as the system's resolver lets it.
        total_seconds: For all tries and the waiting between them.
        tries: How many tries.
        first_wait: Upper bound of the first wait, seconds; each further one is twice as long.
        longest_wait: No wait of ours is longer; a ``Retry-After`` may be.
    """

    seconds: float = 20.0
    total_seconds: float = 90.0
    tries: int = 4
    first_wait: float = 0.5
    longest_wait: float = 8.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered with status 200.

    Attributes:
        url: Where it came from, after redirects on the same host.
        headers: By lower-case name; the values of equal names are joined by a comma.
        body: The whole body.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes


def tls_context(ca_pem: bytes | None = None) -> ssl.SSLContext:
    """Return what TLS is verified with: the public authorities of certifi, or the caller's own instead.

    Raises:
        EndorsementError: ``endorsements.http.authorities`` when ``ca_pem`` holds no certificates.
    """
    try:
        if ca_pem is None:
            context = ssl.create_default_context(cafile=certifi.where())
        else:
            # For no text at all the system's authorities would be taken.
            context = ssl.create_default_context(cadata=ca_pem.decode("ascii") or "none")
    except (ssl.SSLError, ValueError):
        raise EndorsementError(
            "endorsements.http.authorities",
            "The file of certificate authorities holds no certificates in PEM.",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.keylog_filename = None  # type: ignore[assignment]  # only its getter is typed
    return context


class _PassingError(Exception):
    """A failure that another try may not meet."""

    def __init__(self, error: EndorsementError, after: float | None = None) -> None:
        self.error = error
        self.after = after


@dataclass(slots=True)
class Client:
    """Sends requests. Safe to share between threads.

    Attributes:
        tls: What server certificates are verified with.
        surroundings: Clocks, waiting, chance.
        turns: When a host may be asked.
        limits: Bounds of each request.
        proxy: An HTTP proxy to go through, as the caller named it; it sees host names, and no content but of
            signed lists in plain HTTP. What is asked of this very machine never goes through it.
    """

    tls: ssl.SSLContext
    surroundings: Surroundings
    turns: Turns
    limits: Limits = field(default_factory=Limits)
    proxy: str = ""

    def get(self, place: Place, *, max_bytes: int, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a document.

        Args:
            place: Where.
            max_bytes: How long the body may be.
            headers: Sent besides our own.

        Raises:
            EndorsementError: ``endorsements.http.*``; ``detail`` has the host, and the status where there was
                one.
        """
        return self._send("GET", place, dict(headers or {}), None, max_bytes)

    def post(self, place: Place, body: bytes, *, media_type: str, max_bytes: int) -> Answer:
        """Send a body and return the answer; redirects are refused. Raises as ``get`` does."""
        return self._send("POST", place, {"Content-Type": media_type}, body, max_bytes)

    def _send(
        self, method: str, place: Place, headers: dict[str, str], body: bytes | None, max_bytes: int
    ) -> Answer:
        world = self.surroundings
        end = world.monotonic() + self.limits.total_seconds
        attempt = 0
        while True:
            self._wait_for_turn(place, end)
            try:
                return self._follow(method, place, headers, body, max_bytes, end)
            except _PassingError as failed:
                attempt += 1
                bound = min(self.limits.longest_wait, self.limits.first_wait * 2.0 ** (attempt - 1))
                wait = max(bound * world.chance(), failed.after or 0.0)
                if failed.after is not None:
                    self.turns.hold(place.authority, failed.after)
                if attempt >= self.limits.tries or world.monotonic() + wait >= end:
                    raise failed.error from None
                world.sleep(wait)

    def _wait_for_turn(self, place: Place, end: float) -> None:
        """Wait until the host may be asked again."""
        patience = end - self.surroundings.monotonic()
        wait = self.turns.take(place.authority, pace=place.pace, patience=patience)
        if wait > 0:
            self.surroundings.sleep(wait)

    def _follow(
        self,
        method: str,
        place: Place,
        headers: dict[str, str],
        body: bytes | None,
        max_bytes: int,
        end: float,
    ) -> Answer:
        deadline = min(self.surroundings.monotonic() + self.limits.seconds, end)
        url = place.url
        for _ in range(MAX_REDIRECTS + 1):
            found = self._once(method, url, place, headers, body, max_bytes, deadline)
            if isinstance(found, Answer):
                return found
            target, host = _target(url, found, place)
            same = host == place.authority
            if body is not None or not same or target.startswith("http://") is not place.plain:
                raise _error(
                    "redirect",
                    place,
                    f"{place.authority} sends us to another host than its own.",
                )
            url = target
        raise _error("redirect", place, f"{place.authority} redirects more than {MAX_REDIRECTS} times.")

    def _once(
        self,
        method: str,
        url: str,
        place: Place,
        headers: dict[str, str],
        body: bytes | None,
        max_bytes: int,
        deadline: float,
    ) -> Answer | str:
        """Send one request; return its answer, or where it redirects to."""
        proxy = "" if place.own else self.proxy
        transport = _Transport(self.tls, _Deadline(self.surroundings, deadline), proxy)
        ours = {"Accept-Encoding": "identity", "User-Agent": _AGENT, "Connection": "close", **headers}
        try:
            with (
                httpx.Client(transport=transport, trust_env=False, timeout=self.limits.seconds) as client,
                client.stream(method, url, headers=ours, content=body) as response,
            ):
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    return str(response.headers["location"])[:2048]
                self._check_head(response, place, max_bytes)
                content = _read(response.iter_raw(), place, max_bytes)
                return Answer(url, {name: response.headers[name] for name in response.headers}, content)
        except httpcore.TimeoutException:
            raise _PassingError(
                _error("timeout", place, f"{place.authority} did not answer in the time that it has.")
            ) from None
        except httpcore.ProtocolError:
            raise _PassingError(
                _error("truncated", place, f"The answer of {place.authority} was cut off, or is no HTTP.")
            ) from None
        except httpcore.NetworkError as error:
            raise _network(error, place) from None
        except httpcore.ProxyError:
            raise _error("proxy", place, f"The proxy does not lead to {place.authority}.") from None
        except (httpx.InvalidURL, httpx.HTTPError, httpcore.UnsupportedProtocol, ValueError):
            raise _error(
                "protocol", place, f"{place.authority} answered with something else than HTTP."
            ) from None

    def _check_head(self, response: httpx.Response, place: Place, max_bytes: int) -> None:
        """Refuse by status and headers, before the body is read."""
        status, host = response.status_code, place.authority
        if status == httpx.codes.TOO_MANY_REQUESTS or status in _PASSING:
            after = self._retry_after(response.headers.get("retry-after"))
            limited = status == httpx.codes.TOO_MANY_REQUESTS
            raise _PassingError(
                _error(
                    "rate_limited" if limited else "unavailable",
                    place,
                    f"{host} answered {status}: "
                    + ("too many requests." if limited else "it does not work now."),
                    status=status,
                    retry_after=None if after is None else int(after),
                ),
                after,
            )
        if status != httpx.codes.OK:
            missing = status in (httpx.codes.NOT_FOUND, httpx.codes.GONE)
            raise _error(
                "not_found" if missing else "status",
                place,
                f"{host} has no such document." if missing else f"{host} answered {status}.",
                status=status,
            )
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _error("encoding", place, f"{host} compressed an answer although we asked it not to.")
        if int(response.headers.get("content-length", "0")) > max_bytes:
            raise _too_large(place, max_bytes)

    def _retry_after(self, text: str | None) -> float | None:
        """Return the seconds that ``Retry-After`` (RFC 9110, section 10.2.3) asks for."""
        if text is None:
            return None
        if text.isascii() and text.isdecimal():
            return min(float(text), _FOR_EVER)
        try:
            moment = parsedate_to_datetime(text)
            return max(0.0, (moment - self.surroundings.now()).total_seconds())
        except (ValueError, TypeError, OverflowError):
            return None


def _target(url: str, location: str, place: Place) -> tuple[str, str]:
    """Return where a redirect leads, and the host and port that it names; its text is the service's."""
    try:
        target = str(httpx.URL(url).join(location))
        return target, authority(target)
    except (httpx.InvalidURL, ValueError):
        raise _error("redirect", place, f"{place.authority} sends us to no address at all.") from None


def _read(parts: Iterator[bytes], place: Place, max_bytes: int) -> bytes:
    found = bytearray()
    for part in parts:
        if len(found) + len(part) > max_bytes:
            raise _too_large(place, max_bytes)
        found += part
    return bytes(found)


def _too_large(place: Place, max_bytes: int) -> EndorsementError:
    return _error("too_large", place, f"The answer of {place.authority} is longer than {max_bytes} bytes.")


def _error(what: str, place: Place, message: str, **detail: int | None) -> EndorsementError:
    stated: dict[str, Any] = {"host": place.authority, **detail}
    return EndorsementError(f"endorsements.http.{what}", message, **stated)


def _network(error: httpcore.NetworkError, place: Place) -> EndorsementError | _PassingError:
    """Return what a broken connection is: TLS that does not verify is final, all else may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_OFF):
            stated = (getattr(cause, name, "") for name in ("verify_message", "reason"))
            why = next(filter(None, stated), "the handshake failed")
            return _error(
                "tls", place, f"{place.authority} does not prove by TLS that it is that host: {why}."
            )
        cause = cause.__context__
    if isinstance(error, httpcore.ConnectError):
        return _PassingError(_error("unreachable", place, f"{place.authority} cannot be reached."))
    return _PassingError(_error("truncated", place, f"The connection to {place.authority} was lost."))


@dataclass(frozen=True, slots=True)
class _Deadline:
    """When a try has to be over, whatever the peer trickles."""

    surroundings: Surroundings
    end: float

    def left(self, failure: type[httpcore.TimeoutException]) -> float:
        seconds = self.end - self.surroundings.monotonic()
        if seconds <= 0:
            raise failure
        return seconds


class _Stream(httpcore.NetworkStream):
    """A connection every wait of which ends at the deadline."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore's signature
        return self._inner.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the same
        self._inner.write(buffer, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the same
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)


class _Backend(httpcore.NetworkBackend):
    """Opens connections that end at the deadline."""

    def __init__(self, deadline: _Deadline) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(httpcore.ConnectTimeout)
        return _Stream(
            self._inner.connect_tcp(host, port, left, local_address, socket_options), self._deadline
        )


class _Body(httpx.SyncByteStream):
    """The body of a response, as httpcore reads it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner


class _Transport(httpx.BaseTransport):
    """httpx over connections that end at a deadline: one request each, then all are closed."""

    def __init__(self, tls: ssl.SSLContext, deadline: _Deadline, proxy: str) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            proxy=httpcore.Proxy(proxy) if proxy else None,
            network_backend=_Backend(deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response.stream))

    def close(self) -> None:
        self._pool.close()
