"""`carry` and `carried`: the context on its way to another process, signed, and back from one.

It owns what of a context leaves the process, when it is sealed anew, and that nothing unsigned is
taken from outside. The envelope itself is `core.envelope`'s, which only those load who have a
secret.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from outlay.capture import forks
from outlay.capture.guard import caught, shielded, warn_once
from outlay.capture.runtime import Runtime, active
from outlay.capture.scope import VERIFIED_BY, ContextOpener, Scope, current_scope
from outlay.core.event import UNATTRIBUTED

if TYPE_CHECKING:
    from outlay.core.envelope import Sealed

HEADER: Final = "baggage"
"""The W3C header that carries it; in a job's metadata, the name of the entry."""
SEALED_FOR_S: Final = 300
"""A context is sealed once in this time, however often it is sent."""
MAX_HEADERS: Final = 1000
"""Headers that are looked through for `baggage`; what comes after them is not found."""

_OF_ITS_MAKER: Final = frozenset(("service", "environment"))
"""What a gateway takes from an envelope, and another service does not: it has its own."""
_MEMBER: Final = "outlay"
"""As `core.envelope` has it, which only those load who have a secret."""
_NOT_SET: Final = "no_secret"
_ABSENT: Final = "absent"
_TAKEN: Final = "verified"
_WHY: Final = {
    _NOT_SET: "the setting `context_secret` is empty",
    "malformed": "it is damaged, or of another version",
    "unknown_secret": "its secret is none of `context_secret`",
    "bad_signature": "its signature does not hold",
    "expired": "it is too old",
    "not_yet": "it is from the future: compare the clocks",
}


@shielded("carry", dict[str, str])
def carry() -> dict[str, str]:
    """Return the context of the running code as headers for another process of yours.

    Merge them into a request, a message's headers, or a job's metadata; over there `carried` opens
    the context again. It is signed with the setting `context_secret`, so that nobody else can
    charge a tenant; anybody can read it. Requests of `httpx` and `httpx2` to a host of the `hosts`
    setting carry it by themselves, unless it is a provider's own.

        queue.send(body, headers={**headers, **outlay.carry()})

    Returns:
        `{"baggage": "outlay=…"}`, at most 1 KB; empty outside any context, and without a secret.
        Labels that do not fit are left out.
    """
    runtime = active()
    if runtime is None:
        warn_once("init", "outlay: nothing is carried before outlay.init()")
        return {}
    if not runtime.secrets:
        warn_once("carry:secret", "outlay: nothing is carried: %s", _WHY[_NOT_SET])
        return {}
    sealed = _sealed(runtime)
    return {HEADER: f"{_envelopes().MEMBER}={sealed}"} if sealed else {}


def carried(headers: Mapping[str, Any] | Iterable[tuple[Any, Any]] | None) -> ContextOpener:
    """Open the context that another process of yours sent: `with` or `async with`.

    What `carry` wrote there is true inside: tenant, user, request, agent and the rest. Where there
    is none, or none whose signature holds, nothing is opened, and the reason is counted in
    `outlay.stats()["contexts"]`; one that is not believed is logged once, too.

        with outlay.carried(request.headers):
            ...

    Args:
        headers: of the request or message, or a job's metadata: a mapping, or pairs of name and
            value, in text or bytes.
    """
    try:
        sealed = _opened(headers)
    except Exception as error:
        caught("carried", error)
        sealed = None
    return CarriedOpener(sealed)


class CarriedOpener(ContextOpener):
    """What `outlay.carried(…)` returns; without an envelope it opens nothing."""

    __slots__ = ("_opens",)

    def __init__(self, sealed: Sealed | None) -> None:
        self._opens = sealed is not None
        if sealed is None:
            super().__init__({}, None)
            return
        told = {name: value for name, value in sealed.values.items() if name not in _OF_ITS_MAKER}
        super().__init__({**told, VERIFIED_BY: sealed.key_id}, sealed.labels)

    def enter(self) -> Scope | None:
        """Open the scope in the running thread or task and return it."""
        return super().enter() if self._opens else None

    def exit(self, error: BaseException | None = None) -> None:
        """Close the scope, if one was opened."""
        if self._opens:
            super().exit(error)


def outgoing(runtime: Runtime, baggage: str) -> str:
    """Return the `baggage` header of a request to a private host; empty: it stays as it is.

    An envelope that is there already stays if it is ours. One that is not may have come in with a
    stranger's request, and been handed on by somebody's propagator.

    Args:
        runtime: the guest, with a secret.
        baggage: the header that the request has, empty if none.
    """
    envelopes = _envelopes()
    there = envelopes.envelope_in(baggage)
    if there and envelopes.unseal(there, runtime.secrets, _now()) is not None:
        return ""
    sealed = _sealed(runtime)
    made: str = envelopes.baggage_with(baggage, sealed) if sealed else ""
    return made


def bare(baggage: str) -> str:
    """Return a `baggage` header without what is for hosts of ours; empty: nothing is left."""
    if f"{_MEMBER}=" not in baggage:
        return baggage
    without: str = _envelopes().baggage_without(baggage)
    return without


def _sealed(runtime: Runtime) -> str:
    """Return the envelope of the running code's context; empty if there is nothing to tell."""
    scope, now = current_scope(), _now()
    kept = None if scope is None else scope.sealed
    if kept is not None and kept[0] is runtime and now < kept[1]:
        return kept[2]
    values = dict(runtime.defaults.fields)
    if scope is not None:
        values.update(scope.values)
    if values["tenant_id"] == UNATTRIBUTED:
        del values["tenant_id"]
        if scope is None:
            return ""
    labels = {} if scope is None else scope.labels
    try:
        sealed: str = _envelopes().seal(values, labels, secret=runtime.secrets[0], now=now)
    except ValueError as error:
        warn_once("carry:size", "outlay: a context is not carried: %s", error)
        sealed = ""
    if scope is not None:
        scope.sealed = (runtime, now + SEALED_FOR_S * 1_000_000, sealed)
    return sealed


def _opened(headers: Mapping[str, Any] | Iterable[tuple[Any, Any]] | None) -> Sealed | None:
    """Return what the headers tell, if it is to be believed; count what became of it."""
    runtime = active()
    if runtime is None:
        warn_once("init", "outlay: nothing is carried before outlay.init()")
        return None
    sealed, outcome = _judged(runtime, _baggage(headers))
    runtime.stats.context(outcome)
    if outcome in _WHY:
        warn_once(f"carried:{outcome}", "outlay: a context is not taken: %s", _WHY[outcome])
    elif sealed is not None and sealed.left_out:
        warn_once("carried:labels", "outlay: a context came without its last labels: too long")
    return sealed


def _judged(runtime: Runtime, baggage: str) -> tuple[Sealed | None, str]:
    if not runtime.secrets:
        return None, _NOT_SET if f"{_MEMBER}=" in baggage else _ABSENT
    envelopes = _envelopes()
    there = envelopes.envelope_in(baggage)
    if not there:
        return None, _ABSENT
    sealed, fault = envelopes.judge(there, runtime.secrets, _now())
    return sealed, fault or _TAKEN


def _baggage(headers: Any) -> str:
    """Return what all `baggage` headers say together."""
    if headers is None:
        return ""
    pairs = headers.items() if hasattr(headers, "items") else headers
    found = (_text(value) for name, value in islice(pairs, MAX_HEADERS) if _is_baggage(name))
    return ",".join(found)


def _is_baggage(name: Any) -> bool:
    return isinstance(name, str | bytes) and _text(name).lower() == HEADER


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _now() -> int:
    return time.time_ns() // 1000


def _envelopes() -> ModuleType:
    """Return the module `core.envelope`."""
    with forks.gate:
        from outlay.core import envelope
    return envelope
