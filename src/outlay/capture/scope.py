"""Who and where the running code is: the ambient scope, and `context` that opens one.

The scope lives in a context variable, so threads, tasks and generators each see their own. It
owns attribution, the running totals of request and agent, and the memory of failed attempts. It
knows neither events nor the spool nor what an agent's rules are (`agents`, `limits.runs`), and
never raises into the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from outlay.capture.decorate import wrap
from outlay.capture.guard import caught, warn_once
from outlay.capture.ids import new_id as new_id  # noqa: PLC0414 - part of this module, too
from outlay.capture.ids import new_trace_id
from outlay.capture.retries import Memory
from outlay.core.context import CostContext, clip
from outlay.core.event import MAX_LABELS, MAX_STRING_BYTES, VALUES

MAX_AGENT_DEPTH: Final = 32
"""Agents deeper than this share the totals of the last one counted."""
MAX_OPEN_SCOPES: Final = 1000
"""How far out a closing scope is looked for."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted so far; money in nano-dollars, `unpriced` calls are in no cost."""

    cost_nanos: int = 0
    tokens: int = 0
    calls: int = 0
    errors: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How the budget of an agent stands, in nano-dollars; `spent` and `held` with all below it."""

    agent_path: str
    cap_nanos: int
    cut_nanos: int
    """What was set aside in the budget around it at the start: less than the cap if less was left.
    More comes when others give back what they did not use."""
    spent_nanos: int
    held_nanos: int
    left_nanos: int
    """What a call may still reserve here and in every budget around."""


class Counter:
    """Running totals; the caller holds the runtime's lock."""

    __slots__ = ("calls", "cost_nanos", "errors", "tokens", "unpriced")

    def __init__(self) -> None:
        self.cost_nanos = self.tokens = self.calls = self.errors = self.unpriced = 0

    def add(self, *, cost_nanos: int | None, tokens: int, calls: int, errors: int) -> None:
        """Count one event; `cost_nanos` is `None` when no price is known."""
        if cost_nanos is None:
            self.unpriced += 1
        else:
            self.cost_nanos += cost_nanos
        self.tokens += tokens
        self.calls += calls
        self.errors += errors

    def totals(self) -> Totals:
        """Return the values as they are now."""
        return Totals(self.cost_nanos, self.tokens, self.calls, self.errors, self.unpriced)


class Scope:
    """One open `context` or `agent`; immutable but for its counters and caches.

    `values` are attribution under the event's field names: opening a scope is then one merge of
    dictionaries, and encoding it needs no translation.
    """

    __slots__ = (
        "counters", "fragment", "labels", "memory", "opener", "outer", "run", "sealed", "values",
    )  # fmt: skip

    def __init__(
        self,
        values: Mapping[str, str],
        labels: Mapping[str, str],
        *,
        outer: Scope | None = None,
        opener: object = None,
        counters: tuple[Counter, ...] = (),
    ) -> None:
        self.values = values
        self.labels = labels
        self.outer = outer
        self.opener = opener
        self.counters = counters
        """Innermost agent first, the request last."""
        if outer is None:
            self.memory = Memory()
            self.run: Any = None
            """The innermost agent that has rules, or is below one: a `Run` of `limits.runs`."""
        else:
            self.memory = outer.memory
            self.run = outer.run
        self.fragment: tuple[object, str] | None = None
        """The attribution as JSON text and what it was made for, kept by `events`."""
        self.sealed: tuple[object, int, str] | None = None
        """The attribution as a signed envelope, whose it is and until when, kept by `carrying`."""

    @property
    def span_id(self) -> str | None:
        """The agent node's id, `None` outside any agent."""
        return self.values.get("span_id")

    def context(self) -> CostContext:
        """Return the attribution as the value that callers see."""
        values = {_NAMES.get(name, name): value for name, value in self.values.items()}
        for name in ("parent_span_id", VERIFIED_BY):
            values.pop(name, None)
        return CostContext(**values, labels=MappingProxyType(dict(self.labels)))


VERIFIED_BY: Final = "context_key_id"
"""The value that names the secret whose signature vouches for what a context says."""
_NAMES: Final = {"tenant_id": "tenant", "user_id": "user", "workspace_id": "workspace"}
_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})

_F = TypeVar("_F", bound=Callable[..., Any])

_scope: ContextVar[Scope | None] = ContextVar("outlay_scope", default=None)
_loose: ContextVar[Scope | None] = ContextVar("outlay_loose_scope", default=None)


def current_scope() -> Scope | None:
    """Return the innermost open scope, or `None` outside any."""
    return _scope.get()


def working_scope() -> Scope:
    """Return the innermost open scope, or a nameless one that lasts as long as the task."""
    scope = _scope.get()
    if scope is None:
        scope = _loose.get()
        if scope is None:
            scope = Scope({}, _NO_LABELS)
            _loose.set(scope)
    return scope


def swap(scope: Scope | None) -> Scope | None:
    """Make a scope the current one and return what was current (generators suspend with it)."""
    before = _scope.get()
    _scope.set(scope)
    return before


def text(value: Any, limit: int = MAX_STRING_BYTES) -> str:
    """Turn any value into bounded, encodable text."""
    found: str = value if type(value) is str else str(value)
    if found.isascii():
        if len(found) <= limit and "\0" not in found:
            return found
    else:
        found = found.encode("utf-8", "replace").decode()
    return clip(found.replace("\0", ""), limit)


def label_map(labels: Mapping[str, Any]) -> dict[str, str]:
    """Turn labels into bounded text, at most `MAX_LABELS` of them."""
    items = list(labels.items())[:MAX_LABELS]
    return {text(name): text(value) for name, value in items if value is not None}


class Opener:
    """Opens a scope as `with`, `async with` or a decorator; reusable and safe to share."""

    __slots__ = ("_labels", "_values")

    def __init__(self, values: dict[str, Any], labels: Mapping[str, Any] | None) -> None:
        kept: dict[str, str] = {}
        self._values = kept
        self._labels: Mapping[str, str] = _NO_LABELS
        try:
            for name, value in values.items():
                if value is not None and value != "":
                    kept[name] = text(value)
            if "tenant_id" in kept:
                kept["tenant_source"] = "request"
            if "initiator" in kept and kept["initiator"] not in VALUES["initiator"]:
                del kept["initiator"]
                warn_once("initiator", "outlay: initiator must be `user` or `system`; left out")
            if labels:
                self._labels = label_map(labels)
        except Exception as error:
            caught("scope.values", error)

    def _open(self, outer: Scope | None) -> Scope:
        values, labels = self._attributed(outer)
        counters = (Counter(),) if outer is None else outer.counters
        return Scope(values, labels, outer=outer, opener=self, counters=counters)

    def _attributed(self, outer: Scope | None) -> tuple[dict[str, str], Mapping[str, str]]:
        if outer is None:
            began = {"request_id": new_id(), "trace_id": new_trace_id(), **self._values}
            return began, self._labels
        labels = outer.labels
        if self._labels:
            labels = dict(list({**labels, **self._labels}.items())[:MAX_LABELS])
        values = {**outer.values, **self._values}
        if VERIFIED_BY in values and not self._vouched(outer):
            del values[VERIFIED_BY]
        return values, labels

    def _vouched(self, outer: Scope) -> bool:
        """Tell whether somebody signed the tenant, whichever of the two says it."""
        if self.gives("tenant_id"):
            return self.gives(VERIFIED_BY)
        return VERIFIED_BY in outer.values or "tenant_id" not in outer.values

    def gives(self, name: str) -> bool:
        """Tell whether a value was said to whoever made this, and not taken from around."""
        return name in self._values

    def enter(self) -> Scope | None:
        """Open the scope in the running thread or task and return it."""
        try:
            scope = self._open(_scope.get())
            _scope.set(scope)
        except Exception as error:
            caught("scope.enter", error)
            return None
        return scope

    def exit(self, error: BaseException | None = None) -> None:
        """Close the innermost scope that this object opened, with whatever is open inside it.

        `error` is what leaves the block, if something does.
        """
        scope = _scope.get()
        if scope is not None and scope.opener is self:
            _scope.set(scope.outer)
            self.end(scope, error)
            return
        inside = scope
        for _ in range(MAX_OPEN_SCOPES):
            if scope is None:
                return
            if scope.opener is self:
                _scope.set(scope.outer)
                _abandon(inside, scope)
                self.end(scope, error)
                return
            scope = scope.outer

    def end(self, scope: Scope, error: BaseException | None = None) -> None:
        """Finish with a scope that is no longer the current one."""

    async def __aexit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None,
        *trace: object,
    ) -> None:  # fmt: skip
        self.exit(error)

    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None,
        *trace: object,
    ) -> None:  # fmt: skip
        self.exit(error)

    def __call__(self, function: _F) -> _F:
        """Decorate a function, coroutine function, generator or async generator function."""
        return wrap(function, self, swap)  # type: ignore[return-value]


def _abandon(scope: Scope | None, until: Scope) -> None:
    """Close the runs of scopes that were left open inside another."""
    while scope is not None and scope is not until:
        outer = scope.outer
        if scope.run is not None and (outer is None or scope.run is not outer.run):
            scope.run.close()
        scope = outer


class ContextOpener(Opener):
    """What `outlay.context(…)` returns."""

    __slots__ = ()

    def __enter__(self) -> Self:
        self.enter()
        return self

    async def __aenter__(self) -> Self:
        self.enter()
        return self
