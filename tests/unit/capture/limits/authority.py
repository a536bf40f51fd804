"""An authority in memory: the server's own reading of leases over a `Desk`, without HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from outlay.act.policy import Policy
from outlay.api.lease_lines import Wants
from outlay.api.leases import LeaseBody
from outlay.api.policy import policy_document
from outlay.capture.limits.gate import Gate
from outlay.capture.limits.steps import Admitted, Asked, Refused
from outlay.capture.limits.waiting import admit
from outlay.capture.rates import Rates
from outlay.capture.scope import Scope
from outlay.capture.transport import Reply, Transport
from outlay.config import Settings
from outlay.core.limits.desk import Desk
from outlay.core.limits.document import read_limit
from outlay.core.limits.holds import Expire, Line, Post, PostLine, Sync
from outlay.core.limits.limit import Entitlement
from outlay.core.limits.period import counter_key
from outlay.core.prices import ModelRow, PriceBook, RateRow

DOLLAR = 1_000_000_000
CENT = DOLLAR // 100
SPENT = {"cost": CENT, "output_tokens": 1000, "tokens": 1000, "input_tokens": 0, "calls": 1}
"""What a call of 1,000 tokens of output of `m` used."""


@dataclass
class _Caller:
    tenant: str | None = None


class Authority:
    """Counters and leases; `transport()` gives what a guest speaks to it through."""

    def __init__(self, *limits: dict[str, Any], ttl_s: float = 30.0, **policy: Any) -> None:
        self.ttl_s = ttl_s
        self.desk = Desk({}, {})
        self.requests: list[tuple[str, str]] = []
        self.syncs: list[dict[str, Any]] = []
        self.down = False
        self.delay_s = 0.0
        self.lose_answers = False
        self.key_of: str | None = None
        """The tenant that the guest's key is bound to."""
        self.ahead_us = 0
        """How far the server's clock is ahead of ours."""
        self._lock = threading.Lock()
        self.change(*limits, **policy)

    def change(self, *limits: dict[str, Any], **policy: Any) -> None:
        """Have other limits from now on."""
        self.policy = Policy(limits=[read_limit(one) for one in limits], **policy)

    def now(self) -> int:
        return time.time_ns() // 1000 + self.ahead_us

    def transport(self) -> Transport:
        return cast("Transport", _Transport(self))

    def answer(self, method: str, path: str, body: bytes | None, seen: str) -> Reply:
        with self._lock:
            self.requests.append((method, path))
            if path == "/v1/limits/policy":
                tag = f'"{self.policy.revision}"'
                if seen == tag:
                    return Reply(304, {"etag": tag}, b"")
                document = policy_document(self.policy, None)
                return Reply(200, {"etag": tag}, json.dumps(document).encode())
            return Reply(200, {}, self._sync(body or b""))

    def _sync(self, body: bytes) -> bytes:
        said = msgspec.json.decode(body, type=LeaseBody)
        self.syncs.append(json.loads(body))
        at = self.now()
        self.expire(at)
        wants = Wants(self.policy, cast("Any", _Caller(self.key_of)), at)
        wants.take(said.lines)
        op = Sync(said.owner, tuple(wants.wants), at, at + int(self.ttl_s * 1e6), said.closing)
        stands = self.desk.apply(op).stands
        return json.dumps(
            {
                "now": at,
                "ttl_s": self.ttl_s,
                "policy": self.policy.revision,
                "lines": wants.answers(stands),
            }
        ).encode()

    def expire(self, at: int) -> None:
        for hold_id in list(self.desk.holds):
            self.desk.apply(Expire(hold_id, at))

    def event(self, hold_id: str, amount: int, at: int = 0) -> None:
        """Have the event of a call of `acme` counted, which began at a time."""
        with self._lock:
            for limit in self.policy.limits:
                key = counter_key(limit, '[["tenant","acme"]]', at or self.now())
                line = PostLine(key, limit.metric, amount, 1, at or self.now())
                self.desk.apply(Post(hold_id, (line,)))

    def lease(self, owner: str) -> list[Line]:
        """Return the lines of a process's lease."""
        with self._lock:
            return list(self.desk.holds[owner].lines.values())

    @property
    def used(self) -> int:
        return sum(counter.used for counter in self.desk.counters.values())

    @property
    def held(self) -> int:
        return sum(counter.held for counter in self.desk.counters.values())

    def spend(self, amount: int, limit_id: str = "") -> None:
        """Have somebody else use an amount of every counter there is."""
        with self._lock:
            for counter in self.desk.counters.values():
                if limit_id in ("", counter.key.limit_id):
                    counter.used += amount


class _Transport:
    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]
    ) -> Reply:
        authority = self._authority
        if authority.delay_s:
            time.sleep(authority.delay_s)
        if authority.down:
            raise ConnectionError("down")
        reply = authority.answer(method, path, body, headers.get("If-None-Match", ""))
        if authority.lose_answers:
            raise ConnectionError("lost")
        return reply

    def close(self) -> None:
        pass


def book() -> PriceBook:
    """Return a book in which a million tokens of `m` cost $1 in and $10 out; `mini` a tenth."""
    rates = tuple(
        RateRow.make("openai", model, unit, nanos)
        for model, scale in (("m", 10), ("mini", 1))
        for unit, nanos in (("input", scale * DOLLAR // 10), ("output", scale * DOLLAR))
    )
    models = tuple(ModelRow("openai", name, f'{{"equals":"{name}"}}') for name in ("m", "mini"))
    return PriceBook(models, rates)


def gate(
    authority: Authority,
    *,
    kept: Path | None = None,
    priced: bool = True,
    tenant: str = "",
    prices_come: bool = False,
    **settings: Any,
) -> Gate:
    """Return a gate that speaks to an authority in memory."""
    values = {
        "limits": True, "limits_patience_s": 1.0, "limits_timeout_s": 0.5, "limits_sync_s": 0.05,
    } | settings  # fmt: skip
    rates = Rates(None)
    rates.book = book() if priced else None
    return Gate(
        Settings(**values), rates, authority.transport(), kept=kept, tenant=tenant,
        prices_come=prices_come,
    )  # fmt: skip


class Gates(list[Gate]):
    """Makes gates and remembers them."""

    def __call__(self, authority: Authority, **settings: Any) -> Gate:
        self.append(gate(authority, **settings))
        return self[-1]


def scope(**values: str) -> Scope:
    """Return a scope with attribution, by default of a tenant."""
    return Scope({"tenant_id": "acme", **values}, {})


def ask(
    *, model: str = "m", tokens: int = 1000, read: int = 0, where: Scope | None = None, **more: Any
) -> Asked:
    """Return what a call asks; 1,000 tokens of output of `m` cost a cent."""
    return Asked(
        scope() if where is None else where, "openai", model, max_tokens=tokens, input_tokens=read,
        operation="chat", **more,
    )  # fmt: skip


def admitted(gate: Gate, **asked: Any) -> Any:
    """Return the ticket of a call that must be let in."""
    step = admit(gate, ask(**asked))
    assert isinstance(step, Admitted), step
    return step.ticket


def refused(gate: Gate, **asked: Any) -> Any:
    """Return the refusal of a call that must not be let in."""
    step = admit(gate, ask(**asked))
    assert isinstance(step, Refused), step
    return step.refusal


def until(true: Callable[[], object], seconds: float = 3.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


def month(amount: str = "1.00", **more: Any) -> dict[str, Any]:
    """Return a limit of what a tenant may cost a month."""
    return {"id": "month", "scope": {"tenant": "each"}, "window": "month", "amount": amount} | more


def entitled(plan: str, **lists: tuple[str, ...]) -> Entitlement:
    return Entitlement(plan, **lists)
