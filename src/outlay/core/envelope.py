"""The signed envelope: who a piece of work is for, told from one process to another.

It owns the text of the envelope, its signature and its bounds, and its place in W3C `baggage`.
Anybody may read one; only who has the secret can make one. Pure: times are passed in.

    1.<id of the secret>.<JSON, base64url>.<HMAC-SHA256 of all before it, base64url>
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from outlay.core.event import MAX_LABELS, MAX_STRING_BYTES, VALUES

MAX_CHARACTERS: Final = 1024
"""Longest envelope: it has to fit where others bound a header, a job's metadata, a message."""
TTL_S: Final = 24 * 3600
"""How long an envelope is believed, where its maker says nothing else."""
MAX_TTL_S: Final = 31 * 24 * 3600
MAX_SKEW_S: Final = 300
"""How far ahead of ours its maker's clock may be."""
MEMBER: Final = "outlay"
"""The name of the baggage member that holds an envelope."""
MAX_BAGGAGE_CHARACTERS: Final = 8192
"""Longer baggage is not looked at; W3C asks nobody to pass on more."""

Fault = Literal["malformed", "unknown_secret", "bad_signature", "expired", "not_yet"]
"""Why an envelope is not believed."""

_VERSION: Final = "1"
_DOMAIN: Final = b"outlay context "
"""Signed with it, so that no other use of the secret makes a valid envelope."""
_SHORT: Final = {
    "tenant_id": "t", "user_id": "u", "workspace_id": "w", "billing_unit_type": "y",
    "billing_unit_id": "b", "feature": "f", "workflow": "k", "initiator": "n",
    "environment": "e", "service": "s", "request_id": "q", "run_id": "r", "trace_id": "x",
    "span_id": "c", "parent_span_id": "p", "agent_path": "a",
}  # fmt: skip
"""The event's fields that an envelope carries, by their names in it."""
_LABELS, _LEFT_OUT, _ISSUED, _EXPIRES = "l", "o", "iat", "exp"

_ID_CHARACTERS: Final = 8
_MAC_CHARACTERS: Final = 43
_MAX_PAYLOAD_BYTES: Final = (
    (MAX_CHARACTERS - len(_VERSION) - _ID_CHARACTERS - _MAC_CHARACTERS - 3) * 3 // 4
)
_FORM: Final = re.compile(r"1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})", re.ASCII)
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_SECOND: Final = 1_000_000

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a believed envelope tells; times are microseconds UTC."""

    values: Mapping[str, str]
    """Attribution, by the event's field names."""
    labels: Mapping[str, str]
    key_id: str
    """The id of the secret that signed it, as `secret_id` gives it."""
    issued_at: int
    expires_at: int
    left_out: int = 0
    """How many labels did not fit."""

    def fault(self, now: int) -> Literal["", "expired", "not_yet"]:
        """Return why it is not believed at a time; empty if it is."""
        if self.expires_at <= now:
            return "expired"
        return "not_yet" if self.issued_at > now + MAX_SKEW_S * _SECOND else ""


@lru_cache(maxsize=64)
def secret_id(secret: str) -> str:
    """Return the public id of a secret, by which its envelopes name it."""
    return hashlib.sha256(_bytes(secret)).hexdigest()[:_ID_CHARACTERS]


def seal(
    values: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    secret: str,
    now: int,
    ttl_s: int = TTL_S,
) -> str:
    """Return the envelope of an attribution; it may stand in a header and in a URL.

    Args:
        values: by the event's field names, in its bounds; other fields are left out.
        labels: those that come first go first; what does not fit is left out, and counted in it.
        secret: what signs it.
        now: microseconds UTC.
        ttl_s: seconds that it is believed, at most `MAX_TTL_S`.

    Raises:
        ValueError: it does not fit, even without labels, or a value or `ttl_s` is out of bounds.
    """
    if not 0 < ttl_s <= MAX_TTL_S:
        raise ValueError(f"an envelope lives from 1 to {MAX_TTL_S} seconds, not {ttl_s}")
    issued = now // _SECOND
    told: dict[str, Any] = {_ISSUED: issued, _EXPIRES: issued + ttl_s}
    for name, short in _SHORT.items():
        if value := values.get(name):
            told[short] = value
    if not all(map(_fits, (*values.values(), *labels, *labels.values()))):
        raise ValueError(f"a value is no text of at most {MAX_STRING_BYTES} bytes")
    payload = _bytes(_encode(told))
    if labels:
        # Where there is no room even to say that some are left out, that is not said.
        more = _with_labels(payload, told, labels)
        payload = payload if len(more) > _MAX_PAYLOAD_BYTES else more
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise ValueError(f"the context needs more than {MAX_CHARACTERS} characters")
    head = f"{_VERSION}.{secret_id(secret)}.{_base64(payload)}"
    return f"{head}.{_mac(secret, head)}"


def unseal(text: str, secrets: Sequence[str], now: int) -> Sealed | None:
    """Return what an envelope tells, `None` if it is not to be believed.

    Args:
        text: the envelope.
        secrets: any of these may have signed it.
        now: microseconds UTC.
    """
    return judge(text, secrets, now)[0]


def judge(text: str, secrets: Sequence[str], now: int) -> tuple[Sealed | None, Fault | None]:
    """Return what an envelope tells, or else why it is not believed; arguments as `unseal` has."""
    found = None if len(text) > MAX_CHARACTERS else _FORM.fullmatch(text)
    if found is None:
        return None, "malformed"
    named, payload, mac = found.groups()
    head = text[: -_MAC_CHARACTERS - 1]
    known = [secret for secret in secrets if secret_id(secret) == named]
    if not known:
        return None, "unknown_secret"
    if not any(hmac.compare_digest(_mac(secret, head), mac) for secret in known):
        return None, "bad_signature"
    sealed = _read(payload, named)
    if sealed is None:
        return None, "malformed"
    fault = sealed.fault(now)
    return (None, fault) if fault else (sealed, None)


def envelope_in(baggage: str) -> str:
    """Return the envelope in a `baggage` header, as it stands there; empty if there is none."""
    if MEMBER not in baggage or len(baggage) > MAX_BAGGAGE_CHARACTERS:
        return ""
    for member in baggage.split(","):
        name, _, value = member.partition("=")
        if name.strip() == MEMBER:
            return value.partition(";")[0].strip()
    return ""


def baggage_with(baggage: str, envelope: str) -> str:
    """Return a `baggage` header with an envelope in it, instead of any that was there.

    It comes first: whoever shortens baggage drops what comes last.
    """
    return ",".join((f"{MEMBER}={envelope}", *_others(baggage)))


def baggage_without(baggage: str) -> str:
    """Return a `baggage` header without any envelope; empty if nothing else is in it."""
    return ",".join(_others(baggage))


def _others(baggage: str) -> list[str]:
    return [
        member.strip()
        for member in baggage.split(",")
        if member.strip() and member.partition("=")[0].strip() != MEMBER
    ]


def _with_labels(payload: bytes, told: dict[str, Any], labels: Mapping[str, str]) -> bytes:
    """Return the payload with as many labels as fit, in their order."""
    room = _MAX_PAYLOAD_BYTES - len(payload) - len(f',"{_LABELS}":{{}},"{_LEFT_OUT}":99')
    kept: dict[str, str] = {}
    for name, value in labels.items():
        room -= len(_bytes(_encode({name: value}))) - 1
        if room < 0 or len(kept) >= MAX_LABELS:
            break
        kept[name] = value
    if kept:
        told[_LABELS] = kept
    left_out = min(len(labels) - len(kept), 99)
    if left_out:
        told[_LEFT_OUT] = left_out
    return _bytes(_encode(told))


def _read(payload: str, key_id: str) -> Sealed | None:
    """Read a payload whose signature holds; its maker may be older or newer than we are."""
    try:
        told = json.loads(a2b_base64(payload.encode().translate(_FROM_URL) + b"==="))
        issued, expires = told[_ISSUED], told[_EXPIRES]
        if type(issued) is not int or type(expires) is not int or expires - issued > MAX_TTL_S:
            return None
        values = {name: told[short] for name, short in _SHORT.items() if told.get(short)}
        labels, left_out = told.get(_LABELS, {}), told.get(_LEFT_OUT, 0)
        good = all(map(_fits, (*values.values(), *labels, *labels.values())))
        if not good or len(labels) > MAX_LABELS or type(left_out) is not int:
            return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if values.get("initiator", "user") not in VALUES["initiator"]:
        return None
    return Sealed(values, labels, key_id, issued * _SECOND, expires * _SECOND, left_out)


def _fits(value: Any) -> bool:
    """Tell whether a value may stand in an event."""
    return isinstance(value, str) and "\0" not in value and len(_bytes(value)) <= MAX_STRING_BYTES


def _mac(secret: str, head: str) -> str:
    return _base64(hmac.digest(_bytes(secret), _DOMAIN + head.encode(), "sha256"))


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
