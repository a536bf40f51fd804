"""Whether an ID token is what the provider says of the person who signs in just now. No I/O.

Keys are JSON Web Keys as the provider publishes them; only public, asymmetric ones of a usual size
are used. Nothing of a token is in an error: its reason goes to the server's log.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import jwt

from outlay.store.people import MAX_EMAIL_CHARACTERS

Code = Literal["unknown_user", "disabled", "state", "provider", "email", "busy"]
"""What the sign-in page is told; it has words for each."""

ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        "RS256": ("RSA", None),
        "PS256": ("RSA", None),
        "ES256": ("EC", "P-256"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
"""Signatures that are believed, by type and curve of the key."""
MAX_TOKEN_CHARACTERS: Final = 16 * 1024
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""More only takes time."""
MAX_NAME_BYTES: Final = 256
MAX_SECONDS: Final = 2**53
LEEWAY_S: Final = 60
"""How far the provider's clock may be from ours."""

_PUBLIC: Final = ("kty", "n", "e", "crv", "x", "y")
_OPTIONS: Final[Any] = dict.fromkeys(
    (
        "verify_exp", "verify_iat", "verify_nbf", "verify_aud", "verify_iss", "verify_sub",
        "verify_jti",
    ),
    False,
)  # fmt: skip
"""Claims are checked here, each with its reason, and times by the clock of the server."""


class SignOnError(Exception):
    """Somebody cannot be let in; `reason` is for the log and names nobody."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code: Code = code
        self.reason = reason


class UnknownKeyError(SignOnError):
    """None of the keys is the one that signed; the provider may have newer ones."""

    def __init__(self, reason: str) -> None:
        super().__init__("provider", reason)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say; `now` is microseconds UTC."""

    issuer: str
    client_id: str
    nonce: str
    algorithms: Sequence[str]
    now: int


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for. `name` may be empty."""

    email: str
    name: str


def person_of(token: str, keys: Sequence[Mapping[str, Any]], expected: Expected) -> Person:
    """Return whom an ID token is about.

    Raises:
        UnknownKeyError: it was signed by none of the keys.
        SignOnError: it is not for us, not for this sign-in, over, or without a good e-mail.
    """
    claims = _signed(token, keys, expected.algorithms)
    if claims.get("iss") != expected.issuer:
        raise _bad("is of another issuer")
    _check_audience(claims, expected.client_id)
    _check_times(claims, expected.now / 1_000_000)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not same(nonce, expected.nonce):
        raise _bad("is of another sign-in: the nonce differs")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise _bad("names nobody in `sub`")
    # Who does not say it vouches for all the e-mails that it gives.
    if claims.get("email_verified", True) not in (True, "true"):
        raise SignOnError("email", "the provider has not verified the e-mail")
    email = claims.get("email")
    if not isinstance(email, str) or not 0 < len(email) <= MAX_EMAIL_CHARACTERS:
        raise SignOnError("email", "the ID token has no `email`, or one that is too long")
    return Person(email, _name(claims.get("name")))


def same(one: str, other: str) -> bool:
    """Tell whether two secrets are the same, in a time that does not tell how much is."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in (one, other)]
    return hmac.compare_digest(*encoded)


def _signed(
    token: str, keys: Sequence[Mapping[str, Any]], algorithms: Sequence[str]
) -> dict[str, Any]:
    """Return what a token says once its signature is found to be good."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _bad(f"is longer than {MAX_TOKEN_CHARACTERS} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _bad("is no JSON Web Token") from error
    algorithm: Any = header.get("alg")
    if algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise _bad("is not signed by an algorithm that is believed and announced")
    if "crit" in header:
        raise _bad("asks for rules that are not kept here")
    key = _key(keys, header.get("kid"), algorithm)
    try:
        found = jwt.decode_complete(token, key, algorithms=[algorithm], options=_OPTIONS)
    except jwt.InvalidSignatureError as error:
        if header.get("kid") is None:  # its only key may have been replaced
            raise UnknownKeyError("the ID token was signed by another key") from error
        raise _bad("has a wrong signature") from error
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _bad("cannot be read") from error
    payload: dict[str, Any] = found["payload"]
    return payload


def _key(keys: Sequence[Mapping[str, Any]], kid: Any, algorithm: str) -> jwt.PyJWK:
    """Return the key that a token names; one that names none needs the only key of its sort."""
    kty, curve = ALGORITHMS[algorithm]
    fitting = [
        key
        for key in keys
        if key.get("kty") == kty
        and curve in (None, key.get("crv"))
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and kid in (None, key.get("kid"))
    ]
    if not fitting:
        raise UnknownKeyError("the provider publishes no key of the ID token's name and algorithm")
    if len(fitting) > 1:
        raise _bad("does not say which of several keys signed it")
    public = {name: fitting[0][name] for name in _PUBLIC if name in fitting[0]}
    try:
        key = jwt.PyJWK(public, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise _bad("was signed by a key that cannot be read") from error
    if kty == "RSA" and not MIN_RSA_BITS <= key.key.key_size <= MAX_RSA_BITS:
        raise _bad(f"was signed by an RSA key not of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    return key


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    if client_id not in listed:
        raise _bad("is for another audience")
    party = claims.get("azp")
    if party != client_id and (len(listed) > 1 or party is not None):
        raise _bad("was given to another party (`azp`)")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
    if expires + LEEWAY_S <= now:
        raise _bad("has expired")
    begins = max(issued, _seconds(claims, "nbf") if "nbf" in claims else issued)
    if begins - LEEWAY_S > now:
        raise _bad("is not valid yet: compare the clocks of the provider and of this server")


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value: Any = claims.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # JSON has whole numbers of any length, which may be too long for a float; and NaN.
    if not number or not 0 <= value < MAX_SECONDS:
        raise _bad(f"has no time in `{name}`")
    return float(value)


def _name(name: Any) -> str:
    """Return the name that a person has at the provider, or nothing where it cannot be kept."""
    if not isinstance(name, str) or not name.isprintable():
        return ""
    short = len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    return name.strip() if short else ""


def _bad(what: str) -> SignOnError:
    return SignOnError("provider", f"the ID token {what}")
