"""A sign-in between its beginning and the way back: kept in a signed cookie, and used once.

The cookie ties the way back to the browser that began, so that nobody signs another browser in as
himself. Any server with the same secrets takes it. That it is used once is known to the server that
saw it; behind that stands the provider, whose codes work once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import unquote

import jwt
import msgspec

from outlay.api.oidc_token import SignOnError, same

FLOW_LIFE_S: Final = 600
"""How long somebody may take at the provider."""
MAX_USED: Final = 10_000
"""Sign-ins that are known to be used; one more forgets the oldest."""
MAX_NEXT_CHARACTERS: Final = 1024
HOME: Final = "/app/"

_SECRET_BYTES: Final = 32
_AUDIENCE: Final = "outlay-oidc"
_ALGORITHM: Final = "HS256"
_LABEL: Final = b"outlay sign-on cookie"
_PAGE: Final = re.compile(r"/app/[!-\[\]-~]*")
_OPTIONS: Final[Any] = {"verify_exp": False, "verify_iat": False, "require": ["aud", "exp"]}


class Flow(msgspec.Struct, frozen=True):
    """What was begun: how to know the way back, and where to go then; `exp` in seconds."""

    state: str
    nonce: str
    verifier: str
    next: str
    exp: int
    aud: str = _AUDIENCE


class Flows:
    """Begins sign-ins and takes them up again. Used on one event loop only.

    Args:
        secrets_: what the keys of cookies are made of; the first signs, all are believed.
        clock: microseconds UTC.
    """

    def __init__(self, secrets_: Sequence[str], clock: Callable[[], int]) -> None:
        # A key of its own, so that no other token by the same secret is one of these.
        self._keys = [hmac.digest(one.encode(), _LABEL, hashlib.sha256) for one in secrets_]
        self._clock = clock
        self._used: dict[str, int] = {}

    def begin(self, after: str) -> tuple[Flow, str]:
        """Return a new sign-in, and the cookie that it is kept in."""
        state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
        flow = Flow(state, nonce, verifier, page(after), self._now_s() + FLOW_LIFE_S)
        return flow, jwt.encode(msgspec.to_builtins(flow), self._keys[0], algorithm=_ALGORITHM)

    def resume(self, cookie: str, state: str) -> Flow:
        """Return the sign-in of a browser that comes back; another time it is over.

        Raises:
            SignOnError: this browser began none, or another one, or too long ago.
        """
        flow = self._read(cookie)
        if not same(flow.state, state):
            raise SignOnError("state", "the state is not that of this browser")
        if flow.exp <= self._now_s():
            raise SignOnError("state", "the sign-in took too long")
        if flow.state in self._used:
            raise SignOnError("state", "the sign-in was used already")
        for used in [used for used, ends in self._used.items() if ends <= self._now_s()]:
            del self._used[used]
        if len(self._used) >= MAX_USED:
            del self._used[next(iter(self._used))]
        self._used[flow.state] = flow.exp
        return flow

    def _read(self, cookie: str) -> Flow:
        for key in self._keys:
            try:
                claims = jwt.decode(
                    cookie, key, algorithms=[_ALGORITHM], audience=_AUDIENCE, options=_OPTIONS
                )
                return msgspec.convert(claims, Flow)
            except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, RecursionError):
                continue
        raise SignOnError("state", "this browser has begun no sign-in")

    def _now_s(self) -> int:
        return self._clock() // 1_000_000


def page(path: str) -> str:
    """Return a path if it is a page of the dashboard, and else its first page."""
    way = path.partition("?")[0].partition("#")[0]
    steps = unquote(way).split("/")
    ours = _PAGE.fullmatch(path) and "//" not in path and len(path) <= MAX_NEXT_CHARACTERS
    if not ours or "." in steps or ".." in steps or steps[2] == "login":
        return HOME
    return path
