"""What is asked of an OpenID provider over HTTP: what it can do, its keys, an ID token for a code.

Answers are bounded in size and time, redirects are not followed, and everything but a provider on
this machine is asked over HTTPS. What it can do and its keys are remembered for a time.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import httpx
import msgspec

from outlay.api.oidc_token import (
    ALGORITHMS,
    Expected,
    Person,
    SignOnError,
    UnknownKeyError,
    person_of,
)
from outlay.api.origins import is_loopback
from outlay.config import Settings
from outlay.errors import ConfigError
from outlay.store.people import folded_email

PATIENCE_S: Final = 4.5
"""How long a person waits for the provider in all, however often it is asked."""
DISCOVERY_LIFE_US: Final = 3_600_000_000
KEYS_LIFE_US: Final = 600_000_000
"""A key that the provider takes back is believed no longer than this."""
PAUSE_US: Final = 2_000_000
"""After a discovery that failed nobody asks again for so long."""
MAX_DISCOVERY_BYTES: Final = 64 * 1024
MAX_KEYS_BYTES: Final = 256 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of the token endpoint."""
MAX_KEYS: Final = 64
MAX_URL_CHARACTERS: Final = 2048

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_ERROR: Final = re.compile(r"[a-z_]{1,40}")
_HINT: Final = "See “Single sign-on” in docs/people.md."


class Discovery(msgspec.Struct, frozen=True):
    """What a provider says that it can do, with the defaults of the specification."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class KeySet(msgspec.Struct, frozen=True):
    """The keys that a provider publishes."""

    keys: list[dict[str, Any]]


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the token endpoint gives; tokens for other services are of no use here."""

    id_token: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """A code that the provider gave to a browser, and what proves that we asked for it."""

    code: str
    verifier: str
    nonce: str
    redirect_uri: str


def check_settings(settings: Settings) -> None:
    """Check what settings say of single sign-on.

    Raises:
        ConfigError: something is missing or cannot work.
    """
    if not settings.oidc_issuer:
        for name in ("oidc_client_id", "oidc_client_secret", "oidc_admins", "oidc_role"):
            if getattr(settings, name):
                raise ConfigError(
                    f"`{name}` is set, and `oidc_issuer` is not.", where=name, hint=_HINT
                )
        return
    if not settings.oidc_client_id:
        raise ConfigError(
            "`oidc_issuer` needs an `oidc_client_id`.", where="oidc_client_id", hint=_HINT
        )
    if not _usable(settings.oidc_issuer) or re.search(r"[?#]", settings.oidc_issuer):
        raise ConfigError(
            "`oidc_issuer` must be an https URL without query: the address before "
            f"`{_WELL_KNOWN}`. Plain http is for providers on this machine only.",
            where="oidc_issuer",
            hint=_HINT,
        )
    if not settings.public_url and not is_loopback(settings.host):
        raise ConfigError(
            "Single sign-on needs `public_url`: the provider sends people back to it.",
            where="public_url",
            hint="Set it to the address that people open, like https://outlay.example.com.",
        )
    for email in admins(settings):
        if not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", email):
            raise ConfigError(
                "`oidc_admins` must be e-mails, by commas.", where="oidc_admins", hint=_HINT
            )


def admins(settings: Settings) -> frozenset[str]:
    """Return the e-mails of who become admins, as they are compared."""
    return frozenset(filter(None, map(folded_email, settings.oidc_admins.split(","))))


class Provider:
    """One OpenID provider. Used on one event loop only; nothing is asked before it is needed.

    Args:
        settings: checked ones, with an issuer.
        clock: microseconds UTC.
    """

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._clock = clock
        self._local = is_loopback(urlsplit(self._issuer).hostname or "")
        self._tls = httpx.create_ssl_context()
        self._discovering = asyncio.Lock()
        self._found: Discovery | None = None
        self._found_at = 0
        self._failed_at: int | None = None
        self._fetching_keys = asyncio.Lock()
        self._keys: KeySet | None = None
        self._keys_at = 0

    async def discovery(self) -> Discovery:
        """Return what the provider can do; of many who ask together, one asks the provider.

        Raises:
            SignOnError: it does not answer, or not as it must.
        """
        async with self._discovering:
            if self._found is not None and self._within(self._found_at, DISCOVERY_LIFE_US):
                return self._found
            if self._failed_at is not None and self._within(self._failed_at, PAUSE_US):
                raise _failed("discovery failed a moment ago")
            self._failed_at = self._clock()  # also for who gives up waiting
            body = await self._get(self._issuer + _WELL_KNOWN, MAX_DISCOVERY_BYTES, "discovery")
            self._found = self._checked(_decoded(body, Discovery, "discovery"))
            self._found_at, self._failed_at = self._clock(), None
            return self._found

    async def person(self, code: Code) -> Person:
        """Return whom the provider vouches for, by the code that a browser brought.

        Raises:
            SignOnError: the provider does not answer, refuses the code, or its ID token is not
                good.
        """
        found = await self.discovery()
        token = await self._id_token(found, code)
        expected = Expected(
            issuer=found.issuer,
            client_id=self._client_id,
            nonce=code.nonce,
            algorithms=found.id_token_signing_alg_values_supported,
            now=self._clock(),
        )
        known = await self._key_set(found)
        try:
            return person_of(token, known.keys, expected)
        except UnknownKeyError:
            # Once: the provider may have changed its keys since.
            newer = await self._key_set(found, instead_of=known)
            return person_of(token, newer.keys, expected)

    async def _id_token(self, found: Discovery, code: Code) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code.code,
            "redirect_uri": code.redirect_uri,
            "code_verifier": code.verifier,
        }
        headers = {}
        methods = found.token_endpoint_auth_methods_supported
        if self._secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._client_id
            if self._secret:
                form["client_secret"] = self._secret
        status, body = await self._ask(
            "POST", found.token_endpoint, MAX_ANSWER_BYTES, "the token endpoint",
            data=form, headers=headers,
        )  # fmt: skip
        if status in (400, 401):
            raise _failed(f"the token endpoint answered {status}: {_error(body)}")
        if status != 200:
            raise _failed(f"the token endpoint answered {status}")
        token: str = _decoded(body, TokenAnswer, "the token endpoint").id_token
        if not token:
            raise _failed("the token endpoint gave no ID token")
        return token

    async def _key_set(self, found: Discovery, *, instead_of: KeySet | None = None) -> KeySet:
        """Return the provider's keys; with `instead_of`, newer ones than those."""
        async with self._fetching_keys:
            known = self._keys
            fresh = known is not None and self._within(self._keys_at, KEYS_LIFE_US)
            if known is not None and fresh and known is not instead_of:
                return known
            body = await self._get(found.jwks_uri, MAX_KEYS_BYTES, "the key set")
            read: KeySet = _decoded(body, KeySet, "the key set")
            if len(read.keys) > MAX_KEYS:
                raise _failed(f"the key set has more than {MAX_KEYS} keys")
            self._keys, self._keys_at = read, self._clock()
            return read

    def _checked(self, found: Discovery) -> Discovery:
        if found.issuer.rstrip("/") != self._issuer:
            raise _failed("discovery names another issuer than `oidc_issuer`")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            url = getattr(found, name)
            local = is_loopback(_host(url))
            # A provider elsewhere may not send us to what listens on this machine.
            if not _usable(url) or "#" in url or (local and not self._local):
                raise _failed(f"discovery: `{name}` is no URL that may be used")
        if not set(found.id_token_signing_alg_values_supported) & set(ALGORITHMS):
            raise _failed(f"the provider signs by none of {', '.join(ALGORITHMS)}")
        methods = found.token_endpoint_auth_methods_supported
        if self._secret and not {"client_secret_basic", "client_secret_post"} & set(methods):
            raise _failed("the provider takes no client secret")
        return found

    async def _get(self, url: str, most: int, what: str) -> bytes:
        status, body = await self._ask("GET", url, most, what)
        if status != 200:
            raise _failed(f"{what}: the provider answered {status}")
        return body

    async def _ask(
        self, method: str, url: str, most: int, what: str, **parts: Any
    ) -> tuple[int, bytes]:
        """Return status and body of an answer.

        Raises:
            SignOnError: there is none, or it is too long.
        """
        # Compressed, a small answer could become a large one.
        headers = {
            "accept": "application/json", "accept-encoding": "identity", **parts.pop("headers", {}),
        }  # fmt: skip
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._tls, timeout=PATIENCE_S, follow_redirects=False,
                    trust_env=not self._local,
                ) as client,
                client.stream(method, url, headers=headers, **parts) as answer,
            ):  # fmt: skip
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise _failed(f"{what}: the answer is compressed, though nobody asked for it")
                body = bytearray()
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > most:
                        raise _failed(f"{what}: the answer is longer than {most} bytes")
                return answer.status_code, bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _failed(f"{what}: {type(error).__name__}") from error

    def _within(self, at: int, life_us: int) -> bool:
        return 0 <= self._clock() - at < life_us


def _decoded(body: bytes, kind: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # The text of the error may hold a part of the answer.
        raise _failed(f"{what}: the answer is not what it must be") from error


def _error(body: bytes) -> str:
    """Return the word that an answer has for what is wrong, such as `invalid_grant`."""
    try:
        word = msgspec.json.decode(body, type=TokenAnswer).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        word = ""
    return error_word(word)


def error_word(text: str) -> str:
    """Return an error code of a provider, if it is one: what else came may name somebody."""
    return text if _ERROR.fullmatch(text) else "no error code"


def _usable(url: str) -> bool:
    """Tell whether something may be asked for at a URL: by HTTPS, or on this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or not url.isascii():
        return False
    if len(url) > MAX_URL_CHARACTERS or not url.isprintable() or re.search(r"[\s\\]", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _failed(reason: str) -> SignOnError:
    return SignOnError("provider", reason)


def announced(found: Discovery, issuer: str) -> bool:
    """Tell whether the issuer that came with a code, if any, is the provider's."""
    if not issuer:
        return not found.authorization_response_iss_parameter_supported
    return issuer == found.issuer
