"""Telling other people's URLs: signed, bounded, tried again, and never into the private network.

A call is one POST of a JSON object over http or https, without redirects. Every address that a name
resolves to is checked, and the one that was checked is the one that is connected to. What is in
hand is lost when the server ends: the notices in the books stay.

With a secret, the header `outlay-signature` is `t=<unix seconds>,v1=<hex>`, where `v1` is the
HMAC-SHA256 of `<t>.<body>`; receivers should refuse an old `t`. `outlay-delivery` names the call,
the same for every try of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import hmac
import ipaddress
import itertools
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from outlay import __version__

MAX_WAITING: Final = 1_000
"""Calls in hand; more are dropped and counted."""
THREADS: Final = 2
TIMEOUT_S: Final = 10.0
"""For one try, from the connection to the first line of the answer."""
PAUSES_S: Final = (1.0, 5.0, 30.0, 120.0)
"""Before the second and later tries; after the last one the call is given up."""
MAX_LINE_BYTES: Final = 1024
JOIN_S: Final = 15.0
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out; outside are site-local addresses and IPv4 in disguise."""
_SPECIAL: Final = ipaddress.ip_network("192.0.0.0/24")
"""IPv4 of protocols, a part of which counts as global."""

Done = Callable[[bool], None]


class RefusedUrlError(ValueError):
    """The URL is not one that may be called."""


@dataclass(order=True, slots=True)
class _Call:
    due: float
    number: int
    url: str
    body: bytes
    delivery: str
    done: Done | None
    tries: int = 0


class Webhooks:
    """Sends calls from threads of its own. Thread-safe.

    Args:
        secret: signs the calls; empty leaves them unsigned.
        private_hosts: lets calls go to loopback, private and other special addresses.
        clock: microseconds UTC, for the signature.
        pauses: seconds before each further try.
    """

    def __init__(
        self,
        *,
        secret: str = "",
        private_hosts: bool = False,
        clock: Callable[[], int],
        pauses: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._secret = secret.encode()
        self._private = private_hosts
        self._clock = clock
        self._pauses = pauses
        self._calls: list[_Call] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.counts = {"delivered": 0, "failed": 0, "dropped": 0}
        self.error: str | None = None
        """The last failure in words, without the URL."""

    def start(self) -> None:
        """Start the threads."""
        for number in range(THREADS):
            thread = threading.Thread(target=self._run, name=f"outlay-webhooks-{number}")
            thread.start()
            self._threads.append(thread)

    @property
    def running(self) -> bool:
        """Whether its threads live."""
        return all(thread.is_alive() for thread in self._threads)

    def send(self, url: str, payload: Mapping[str, Any], *, done: Done | None = None) -> bool:
        """Queue a call and tell whether there was room; `done` hears later whether it arrived."""
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        with self._changed:
            if self._stopping or len(self._calls) >= MAX_WAITING:
                self.counts["dropped"] += 1
                return False
            call = _Call(0.0, next(self._numbers), url, body, os.urandom(12).hex(), done)
            heapq.heappush(self._calls, call)
            self._changed.notify()
        return True

    def stop(self) -> None:
        """End after the calls that are being made; the others are dropped."""
        with self._changed:
            self._stopping = True
            self.counts["dropped"] += len(self._calls)
            self._calls.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(JOIN_S)

    def _run(self) -> None:
        while True:
            call = self._next()
            if call is None:
                return
            arrived = again = False
            try:
                self._post(call)
                arrived, self.error = True, None
            except RefusedUrlError as error:
                self.error = str(error)
            except Exception as error:
                again, self.error = call.tries < len(self._pauses), type(error).__name__
            if again:
                self._later(call)
            else:
                self._end(call, arrived=arrived)

    def _next(self) -> _Call | None:
        with self._changed:
            while not self._stopping:
                if not self._calls:
                    self._changed.wait()
                    continue
                wait = self._calls[0].due - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._calls)
                self._changed.wait(wait)
        return None

    def _later(self, call: _Call) -> None:
        call.due = time.monotonic() + self._pauses[call.tries]
        call.tries += 1
        with self._changed:
            if not self._stopping:
                heapq.heappush(self._calls, call)
                self._changed.notify()

    def _end(self, call: _Call, *, arrived: bool) -> None:
        with self._changed:
            self.counts["delivered" if arrived else "failed"] += 1
        if call.done is not None:
            with contextlib.suppress(Exception):
                call.done(arrived)

    def _post(self, call: _Call) -> None:
        """Make one try.

        Raises:
            RefusedUrlError: it may not be called at all, or the answer says so.
            OSError: it could not be reached, or does not answer well now.
        """
        parts = checked(call.url)
        until = time.monotonic() + TIMEOUT_S
        status = _exchange(self._connected(parts, until), self._request(parts, call), until)
        if status >= 500 or status in (408, 425, 429):
            raise ConnectionError(f"answered {status}")
        if not 200 <= status < 300:
            raise RefusedUrlError(f"The webhook answered {status}.")

    def _request(self, parts: SplitResult, call: _Call) -> bytes:
        host = parts.netloc.rpartition("@")[2]
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"POST {path} HTTP/1.1",
            f"host: {host}",
            "content-type: application/json",
            f"content-length: {len(call.body)}",
            f"user-agent: outlay/{__version__}",
            f"outlay-delivery: {call.delivery}",
            "connection: close",
        ]
        if self._secret:
            stamp = str(self._clock() // 1_000_000)
            lines.append(f"outlay-signature: t={stamp},v1={sign(self._secret, stamp, call.body)}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + call.body

    def _connected(self, parts: SplitResult, until: float) -> socket.socket:
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not self._private and not all(is_public(address) for address in addresses):
            raise RefusedUrlError(
                "The webhook leads to a private address: `webhook_private_hosts` allows that."
            )
        raw = _first(addresses, port, until)
        if not secure:
            return raw
        try:
            raw.settimeout(_left(until))
            return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise


def _first(addresses: list[str], port: int, until: float) -> socket.socket:
    """Connect to the first of some addresses that takes it."""
    for place, address in enumerate(addresses, 1):
        try:
            return socket.create_connection((address, port), timeout=_left(until))
        except OSError:
            if place == len(addresses):
                raise
    raise ConnectionError("no address")


def sign(secret: bytes, stamp: str, body: bytes) -> str:
    """Return the signature of a body sent at a time, given as text of unix seconds."""
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def checked(url: str) -> SplitResult:
    """Return the parts of a URL that may be called as far as its text tells.

    Raises:
        RefusedUrlError: it is no http or https URL in ASCII, or carries a user or password.
    """
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise RefusedUrlError("The webhook's URL is not valid.") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise RefusedUrlError("A webhook is an http or https URL.")
    if parts.username is not None or parts.password is not None or not port_is_fine:
        raise RefusedUrlError("A webhook's URL has no user, no password and a valid port.")
    return parts


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public network, whatever it is wrapped in."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found.teredo is not None:
            inner = found.teredo[1]
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        return found in _UNICAST and found.is_global
    return found.is_global and not found.is_multicast and found not in _SPECIAL


def _exchange(connection: socket.socket, request: bytes, until: float) -> int:
    """Send a request and return the status of its answer; what follows it is not read."""
    with connection:
        connection.settimeout(_left(until))
        connection.sendall(request)
        line = b""
        while b"\n" not in line:
            connection.settimeout(_left(until))
            part = connection.recv(MAX_LINE_BYTES)
            line += part
            if not part or (len(line) >= MAX_LINE_BYTES and b"\n" not in line):
                raise ConnectionError("no answer")
    words = line.split(b"\r\n", 1)[0].split(b"\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionError("no HTTP answer")
    return int(words[1])


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
