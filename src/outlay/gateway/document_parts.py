"""Reads the single parts of a gateway's document: numbers, sizes, addresses, headers, credentials.

Every function raises `BadRequestError` with `where`, the part that is wrong; `document` makes a
`ConfigError` of it. What may be a secret is never repeated in an error, wherever it was put.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from outlay.core.limits import document_values as values
from outlay.core.limits.document_values import wrong
from outlay.gateway.config import AwsKeys, Credential, Place, Secret
from outlay.wire.vendors import by_host

MAX_URL: Final = 512
MAX_PATH: Final = 4096
"""Characters of a file's name."""
MAX_ARGUMENTS: Final = 64
MAX_HEADERS: Final = 32
MAX_HEADER_VALUE: Final = 4096
MIN_REFRESH_S: Final = 1.0
MAX_REFRESH_S: Final = 86_400.0

PLACES: Final[tuple[Place, ...]] = ("bearer", "x-api-key", "api-key", "x-goog-api-key", "aws")

_DECIMAL: Final = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,12}) ?(KiB|MiB|GiB)", re.ASCII)
_UNITS: Final = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\]", re.ASCII)
_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~:@!$&'()*+,;=-]+)*", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_REGION: Final = re.compile(r"[a-z]{2,5}(?:-[a-z]{2,12}){1,3}-\d{1,2}", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_SOURCES: Final = ("env", "file", "command")
_AWS: Final = ("access_key", "secret_key", "session_token")
_PLAIN_NAME: Final = re.compile(r"[a-z_]{1,16}", re.ASCII)

_CARRIED: Final = frozenset(
    (
        "host", "content-length", "connection", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "expect", "content-encoding", "baggage",
    )
)  # fmt: skip
"""Headers that belong to the connection, the body or the context, which nobody else may set."""
_CREDENTIAL_WORDS: Final = frozenset(
    ("authorization", "authenticate", "cookie", "secret", "password", "token", "apikey")
)

ENV_HINT: Final = "Write where it is found, like {env: OPENAI_API_KEY}; a secret never stands here."


def number(value: object, where: str, *, low: float, high: float) -> float:
    """Return a number within bounds, from a whole number or a decimal such as `2.5`."""
    if isinstance(value, bool) or not (
        isinstance(value, int) or (isinstance(value, str) and _DECIMAL.fullmatch(value))
    ):
        raise wrong(f"{values.shown(value)} is not a number.", where, "Write it like 30 or 2.5.")
    found = float(Decimal(value))
    if not low <= found <= high:
        raise wrong(f"{value} is not between {low:,g} and {high:,g}.", where)
    return found


def size(value: object, where: str, *, low: int, high: int) -> int:
    """Return a number of bytes, such as `65536`, `64KiB` or `16MiB`."""
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)) is not None:
        value = int(found[1]) * _UNITS[found[2]]
    elif isinstance(value, str):
        raise wrong(
            f"{values.shown(value)} is not a size.", where, "Write bytes, or like 64KiB or 16MiB."
        )
    return values.integer(value, where, low=low, high=high)


def url(value: object, where: str) -> str:
    """Return the address of an upstream without a slash at its end.

    It names a host, perhaps a port and a base path; nothing in it is a secret.
    """
    said = value if isinstance(value, str) else ""
    try:
        parts = urlsplit(said)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong("This is not a URL.", where, _URL_HINT) from None
    # Not repeated: a URL with a user and a password is a secret.
    if not said.isascii() or not said.isprintable() or " " in said or len(said) > MAX_URL:
        raise wrong("This is not a URL.", where, _URL_HINT)
    if "@" in parts.netloc:
        raise wrong("A URL must not hold a user or a password.", where, "Use `credential`.")
    if parts.scheme not in ("http", "https"):
        raise wrong("The URL does not begin with https:// or http://.", where, _URL_HINT)
    if "?" in said or "#" in said:
        raise wrong("The URL of an upstream has no query and no fragment.", where, _URL_HINT)
    host = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/")
    if not _HOST.fullmatch(host) or port == 0:
        raise wrong("The URL names no valid host and port.", where, _URL_HINT)
    if not _BASE_PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise wrong("The URL's path is not plain.", where, "Use letters, digits, dots and dashes.")
    if parts.scheme == "http" and by_host(host) is not None:
        raise wrong(f"{host} is a public provider: use https://.", where)
    if port == {"http": 80, "https": 443}[parts.scheme]:
        port = None
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


_URL_HINT: Final = "Write it like https://api.example.com or http://10.0.0.7:8000."


def region(value: object, where: str) -> str:
    """Return the name of an AWS region."""
    found = values.text(value, where)
    if not _REGION.fullmatch(found):
        raise wrong(f"{values.shown(found)} is no AWS region.", where, "Write it like eu-west-1.")
    return found


def set_headers(value: object, where: str) -> tuple[tuple[str, str], ...]:
    """Return headers that are set on every request; none of them may carry a secret."""
    found = _mapping(value, where)
    headers = []
    for name, said in found.items():
        place = f"{where}.{name}"
        _header(name, place)
        if not isinstance(said, str):
            raise wrong("The value is not text.", place, "Quote it.")
        if not said.isascii() or not said.isprintable() or said != said.strip() or not said:
            raise wrong("The value holds what no header may hold.", place)
        if len(said) > MAX_HEADER_VALUE:
            raise wrong(f"The value has more than {MAX_HEADER_VALUE} characters.", place)
        headers.append((name, said))
    _once([name for name, _ in headers], where)
    return tuple(headers)


def drop_headers(value: object, where: str) -> tuple[str, ...]:
    """Return names of headers that are not passed on, in small letters."""
    found = values.sequence(value, where, at_most=MAX_HEADERS)
    names = []
    for index, said in enumerate(found):
        place = f"{where}[{index}]"
        name = values.text(said, place)
        _header(name, place)
        names.append(name)
    _once(names, where)
    return tuple(name.lower() for name in names)


def _header(name: str, where: str) -> None:
    low = name.lower()
    if not _HEADER.fullmatch(name):
        raise wrong("This is not the name of a header.", where)
    if low in _CARRIED or low.startswith(("outlay-", "proxy-", "x-forwarded-")):
        raise wrong(f"`{name}` is the gateway's own matter.", where)
    if low.endswith("api-key") or _CREDENTIAL_WORDS & set(re.split("[-_.]", low)):
        raise wrong(
            f"`{name}` carries a credential.",
            where,
            "Use `credential`; a secret never stands here.",
        )


def _once(names: list[str], where: str) -> None:
    if len(names) > MAX_HEADERS:
        raise wrong(f"There are {len(names)}; at most {MAX_HEADERS} may be listed.", where)
    low = [name.lower() for name in names]
    for name in low:
        if low.count(name) > 1:
            raise wrong(f"`{name}` is given twice.", where)


def credential(value: object, where: str, *, place: Place) -> Credential:
    """Return what a provider asks to see and where it is found.

    Args:
        value: the part of the document.
        where: its place there.
        place: where a request carries it, if the part does not say it.
    """
    found = _secretive(value, ("place", *_SOURCES, "refresh_s", *_AWS), where)
    keys = [name for name in _AWS if name in found]
    if "place" in found:
        place = values.word(found["place"], PLACES, f"{where}.place")
    elif keys:
        place = "aws"
    elif any(name in found for name in _SOURCES) and place == "aws":
        raise wrong(
            "AWS is shown a signature, made of two keys.",
            where,
            "Say `access_key` and `secret_key`, or `place: bearer` for a Bedrock API key.",
        )
    if place != "aws":
        if keys:
            raise wrong(f"`{keys[0]}` goes with `place: aws` only.", f"{where}.{keys[0]}")
        return Credential(place, _secret(found, where))
    stray = [name for name in (*_SOURCES, "refresh_s") if name in found]
    if stray:
        raise wrong(
            f"`{stray[0]}` does not go with `place: aws`.", f"{where}.{stray[0]}", _AWS_HINT
        )
    return Credential("aws", aws=_aws(found, keys, where))


_AWS_HINT: Final = (
    "Say `access_key` and `secret_key`, each with its own {env: …}; without them they are looked "
    "for where AWS's own tools look."
)


def _aws(found: Mapping[str, Any], keys: list[str], where: str) -> AwsKeys:
    if keys and not {"access_key", "secret_key"} <= set(keys):
        raise wrong("`access_key` and `secret_key` go together.", where, _AWS_HINT)
    secrets = {
        name: _secret(_secretive(found[name], (*_SOURCES, "refresh_s"), place), place)
        for name in keys
        for place in (f"{where}.{name}",)
    }
    return AwsKeys(**secrets)


def _secret(found: Mapping[str, Any], where: str) -> Secret:
    kinds = [name for name in _SOURCES if name in found]
    if len(kinds) != 1:
        said = "is not said" if not kinds else "is said in more than one way"
        raise wrong(f"Where the secret is found {said}.", where, ENV_HINT)
    kind = kinds[0]
    place = f"{where}.{kind}"
    if kind == "env":
        if "refresh_s" in found:
            raise wrong("A variable is read each time.", f"{where}.refresh_s", "Leave it out.")
        return Secret("env", _variable(found[kind], place))
    refresh_s = Secret("file").refresh_s
    if "refresh_s" in found:
        refresh_s = number(
            found["refresh_s"], f"{where}.refresh_s", low=MIN_REFRESH_S, high=MAX_REFRESH_S
        )
    if kind == "file":
        return Secret("file", _printable(found[kind], place, "the name of a file"), (), refresh_s)
    if not isinstance(found[kind], list):
        raise wrong(
            "The command is not a list.", place, "Write [program, argument, …]: no shell reads it."
        )
    listed = values.sequence(found[kind], place, at_most=MAX_ARGUMENTS)
    argv = tuple(
        _printable(one, f"{place}[{index}]", "text: quote it") for index, one in enumerate(listed)
    )
    return Secret("command", "", argv, refresh_s)


def _variable(value: object, where: str) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise wrong("This is not the name of a variable.", where, ENV_HINT)
    return value


def _printable(value: object, where: str, what: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > MAX_PATH:
        raise wrong(f"This is not {what}.", where)
    return value


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise wrong("This is not a mapping.", where)
    return value


def _secretive(value: object, known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    """Return a mapping whose keys are all known; what else is there is not repeated."""
    if not isinstance(value, Mapping):
        raise wrong("This does not say where the credential is found.", where, ENV_HINT)
    for key in value:
        if key not in known:
            if _PLAIN_NAME.fullmatch(key):
                values.mapping(value, known, where)  # says which name is near
            raise wrong("This holds something that is not known here.", where, ENV_HINT)
    return value
