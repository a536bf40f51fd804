"""Signs requests for Bedrock with the gateway's own AWS keys (Signature Version 4).

`botocore` does the signing and finds keys where AWS's own tools look; it is imported here only,
when a request is first signed (extra `bedrock`). The path is signed exactly as it is sent: this
module must not change a request's address. No key is in a log line, an error or a `repr`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

HASHED_IN_PLACE_BYTES: Final = 256 * 1024
"""A longer body is hashed in a thread: the loop has others to serve."""
RETRY_S: Final = 5.0
"""Between two looks for keys where none were found."""
LOOK_S: Final = 300.0
"""How long keys that never end are used before they are looked for again."""
LAST_S: Final = 30.0
"""Keys that end sooner than this are renewed before they are used."""

REPLACED: Final = frozenset(
    ("authorization", "host", "date", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256")
)
"""Headers of the client's own signature, in small letters: none of them may be sent on."""

_SIGNED: Final = ("content-type", "content-md5")
"""Headers that are signed beside `host` and all of `x-amz-…` and `x-amzn-…`: what else is sent may
be changed on its way."""
_UNSIGNED: Final = "x-amzn-trace-id"
_MANTLE: Final = "bedrock-mantle"


class SigningError(Exception):
    """There are no keys to sign with; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Keys:
    """AWS keys, never shown; names as `botocore` reads them."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers."""

    method: str
    url: str
    """Exactly as it is sent: percent-encoded, with its query."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


def sign(request: SignedRequest, *, keys: Keys, region: str, at: float) -> list[tuple[str, str]]:
    """Return the headers to send with a request; `host` is signed as a client sends it of itself.

    The canonical path is the sent one, percent-encoded once more, as AWS wants it of every service
    but S3: `/model/a%3A0/invoke` is signed as `/model/a%253A0/invoke`.

    Args:
        request: as it is sent.
        keys: whose signature.
        region: of the upstream.
        at: seconds UTC since 1970.

    Raises:
        SigningError: the extra `bedrock` is not installed.
    """
    try:
        from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
        from botocore.awsrequest import AWSRequest
    except ImportError:
        raise SigningError(_NOT_INSTALLED) from None
    parts = urlsplit(request.url)
    signer: Any = SigV4Auth(keys, _service(parts.hostname or ""), region)
    stamp = time.strftime(SIGV4_TIMESTAMP, time.gmtime(at))
    added = [("x-amz-date", stamp)]
    if keys.token:
        added.append(("x-amz-security-token", keys.token))
    signed: Any = AWSRequest(request.method, request.url, data=request.body)
    for name, value in request.headers:
        low = name.lower()
        if _is_signed(low):
            signed.headers.add_header(low, value)
    for name, value in (*added, ("host", _host(parts.scheme, parts.netloc))):
        signed.headers.add_header(name, value)
    signed.context["timestamp"] = stamp
    # Not `add_auth`: that one logs the session token, and asks the clock itself.
    covered = signer.canonical_request(signed)
    signature = signer.signature(signer.string_to_sign(signed, covered), signed)
    names = signer.signed_headers(signer.headers_to_sign(signed))
    proof = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(signed)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return [*added, ("authorization", proof)]


def is_loaded() -> bool:
    """Tell whether signing needs no import any more, which takes a while."""
    return "botocore.auth" in sys.modules and "botocore.awsrequest" in sys.modules


class DefaultChain:
    """Keys from where AWS's own tools look: variables, profiles, containers, machines.

    `botocore` renews those that end. `renew` may wait for a network, so it is for a thread, one at
    a time; the rest never waits.

    Args:
        clock: seconds that only grow.
        look: finds `botocore` credentials.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, look: Callable[[], Any] | None = None
    ) -> None:
        self._clock = clock
        self._look = look or _look
        self._found: Any = None
        self._keys: Keys | None = None
        self._at = 0.0
        self._tried_at: float | None = None
        self.problem = ""
        """Why keys could not be found or renewed the last time; empty if they could."""

    def ready(self) -> Keys | None:
        """Return keys that are known and good; `None`: `renew` them first, if they are `due`."""
        if self._keys is None:
            return None
        # While renewing fails, keys are used to their end.
        margin = 0 if self.problem else LAST_S
        return None if _ends_within(self._found, margin) else self._keys

    def due(self) -> bool:
        """Tell whether keys should be found or renewed now."""
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < RETRY_S:
            return False
        if self._keys is None or self.problem:
            return True
        if hasattr(self._found, "refresh_needed"):
            return _ends_within(self._found, None)
        return now - self._at >= LOOK_S

    def renew(self) -> None:
        """Find keys, or renew them; what fails is told by `problem`."""
        self._tried_at = self._clock()
        try:
            found = self._found
            if not hasattr(found, "refresh_needed"):
                found = self._look()
            keys = found.get_frozen_credentials()
            kept = Keys(keys.access_key, keys.secret_key, keys.token or "")
        except Exception as error:  # its text may hold anything
            said = f"AWS credentials cannot be found: {type(error).__name__}."
            self.problem = str(error) if isinstance(error, SigningError) else said
            return
        # Renewing ahead of time may fail and say nothing.
        stuck = kept == self._keys and _ends_within(found, None)
        self._found, self._keys, self._at = found, kept, self._clock()
        self.problem = "AWS credentials end, and are not renewed." if stuck else ""


_NOT_INSTALLED: Final = "Signing needs botocore: pip install 'outlay[bedrock]'."


def _look() -> Any:
    try:
        from botocore.session import get_session
    except ImportError:
        raise SigningError(_NOT_INSTALLED) from None
    found = get_session().get_credentials()
    if found is None:
        raise SigningError("There are no AWS credentials where AWS's own tools look for them.")
    return found


def _ends_within(found: Any, seconds: float | None) -> bool:
    """Tell whether keys end that soon; `None` is as soon as `botocore` begins to renew them."""
    renews = getattr(found, "refresh_needed", None)
    return renews is not None and bool(renews(seconds))


def _service(host: str) -> str:
    """Return the name that a signature has for the service at a host."""
    return _MANTLE if host.startswith(_MANTLE) else "bedrock"


def _host(scheme: str, netloc: str) -> str:
    """Return the `host` header of an address: a port that goes without saying is not said."""
    usual = ":443" if scheme == "https" else ":80"
    return netloc.lower().removesuffix(usual)


def _is_signed(name: str) -> bool:
    return name in _SIGNED or (
        name.startswith(("x-amz-", "x-amzn-")) and name != _UNSIGNED and name not in REPLACED
    )
