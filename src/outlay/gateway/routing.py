"""Where a call goes, and where it goes on: the targets of an alias in order, each with its request.

A target is taken only if its upstream speaks the very API that was asked, at a path of its own;
the model changes, nothing else. Pure: prices and chance are passed in. When an attempt is made, and
what of it is told, is `exchange`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outlay.gateway.config import Alias, Cause, GatewayConfig, Target, Upstream
from outlay.gateway.failures import UpstreamError
from outlay.gateway.shapes import model_in_path, shapes_of, vendor_of, way
from outlay.wire.base import Endpoint, Request
from outlay.wire.remodel import with_model

MAX_ATTEMPTS: Final = 10
"""Attempts of a call that no alias bounds."""

Price = Callable[[str, str], int | None]
"""What a reference mix of tokens costs with an upstream's model, in nano-dollars, if known."""
Draw = Callable[[], float]
"""Gives a number from 0 up to, not with, 1."""

_TRIED_AGAIN: Final[frozenset[Cause]] = frozenset(("error", "timeout"))
"""Causes that the same upstream may get over at once; where it is crowded it may not."""
_AZURE_VERSION: Final = "api-version"
"""In the query of Azure's requests; other vendors have no use for it."""


class Step:
    """One target of a call, with the request as it goes there."""

    __slots__ = ("_make", "_request", "model", "moved", "retries", "upstream")

    def __init__(
        self,
        upstream: Upstream,
        model: str,
        request: Request | None,
        *,
        make: Callable[[], Request | None] | None = None,
        moved: bool = False,
    ) -> None:
        self.upstream = upstream
        self.model = model
        """The model that is asked for there; empty where the request names none."""
        self.moved = moved
        """Whether it is another upstream than the client addressed."""
        self.retries = upstream.retries
        self._request = request
        self._make = make

    @property
    def request(self) -> Request:
        """The request as it goes there; made when it is first asked for."""
        if self._request is None:
            made = None if self._make is None else self._make()
            if made is None:
                raise RuntimeError("A request could be rewritten for one target and not another.")
            self._request = made
        return self._request


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets of one call, best first; without any, `skipped` says why."""

    steps: tuple[Step, ...]
    alias: Alias | None = None
    asked: str = ""
    """The model that was asked for, as the client named it."""
    skipped: tuple[tuple[Target, str], ...] = ()
    """Targets that cannot serve this request, with the reason."""

    @property
    def max_attempts(self) -> int:
        """How many attempts the call may have in all."""
        if self.alias is not None:
            return self.alias.max_attempts
        return min(MAX_ATTEMPTS, 1 + sum(step.retries for step in self.steps))

    def goes_on(self, cause: Cause, step: Step) -> bool:
        """Tell whether a call may have another attempt after one that failed at a step."""
        return goes_on(self.alias, cause) or (step.retries > 0 and cause in _TRIED_AGAIN)


class Walk:
    """The way of one call along its plan: which step is next, as attempts fail."""

    __slots__ = ("_attempts", "_most", "_place", "_plan", "_tries")

    def __init__(self, plan: Plan, *, once: bool = False) -> None:
        """Begin at the first step; `once`: the request's body can be sent a single time only."""
        self._plan = plan
        self._most = 1 if once else plan.max_attempts
        self._place = 0
        self._tries = 0
        self._attempts = 0

    @property
    def step(self) -> Step | None:
        """The step whose turn it is; `None` where no target can serve the request."""
        return self._plan.steps[self._place] if self._place < len(self._plan.steps) else None

    def goes_on(self, cause: Cause) -> bool:
        """Tell whether another attempt follows if this step's fails so."""
        return self._next(cause) is not None

    def move(self, cause: Cause) -> Step | None:
        """Note that the step's attempt failed; return the next one's step, `None` at the end.

        A circuit that is open is no attempt: nothing was sent.
        """
        place = self._next(cause)
        if place is None:
            return None
        if cause != "open":
            self._attempts += 1
        self._tries = self._tries + 1 if place == self._place else 0
        self._place = place
        return self.step

    def _next(self, cause: Cause) -> int | None:
        step = self.step
        if step is None or self._attempts + (cause != "open") >= self._most:
            return None
        if cause in _TRIED_AGAIN and self._tries < step.retries:
            return self._place
        if goes_on(self._plan.alias, cause) and self._place + 1 < len(self._plan.steps):
            return self._place + 1
        return None


def plan(
    config: GatewayConfig,
    upstream: Upstream,
    request: Request,
    endpoint: Endpoint,
    model: str,
    *,
    price: Price | None = None,
    draw: Draw,
    allowed: Callable[[str], bool] | None = None,
) -> Plan:
    """Return where a request goes, and where it may go on.

    Args:
        config: the gateway's.
        upstream: where the client addressed it.
        request: as it goes there; its URL begins with the upstream's.
        endpoint: what it asks there.
        model: the model that its body or path names, as a codec has read it; may be empty.
        price: for aliases that take the cheapest; targets without a price come last.
        draw: for aliases that are weighted.
        allowed: whether the key may use an upstream, by name; `None` allows all.
    """
    path, _, query = request.url[len(upstream.url) :].partition("?")
    in_path = model_in_path(upstream, path, endpoint)
    asked = in_path or model
    alias = config.aliases.get(asked) if asked else None
    if alias is None:
        return Plan((Step(upstream, asked, request),), None, asked)
    if in_path and not (endpoint.model or endpoint.deployment):
        endpoint = replace(endpoint, model=in_path)
    call = _Call(request, endpoint, upstream, path, query, asked, named_in_path=bool(in_path))
    steps: list[Step] = []
    skipped: list[tuple[Target, str]] = []
    for target in _ordered(alias, price, draw):
        there = config.upstreams.get(target.upstream)
        if there is None:
            skipped.append((target, "no such upstream is declared"))
        elif allowed is not None and not allowed(there.name):
            skipped.append((target, "the key may not use this upstream"))
        elif isinstance(step := call.step(there, target.model), str):
            skipped.append((target, step))
        else:
            steps.append(step)
    return Plan(tuple(steps), alias, asked, tuple(skipped))


def goes_on(alias: Alias | None, cause: Cause) -> bool:
    """Tell whether an alias lets a call go on to the next target."""
    return alias is not None and cause in alias.on


def cause_of(told: int | BaseException) -> Cause | None:
    """Return why a call may go on elsewhere after a status or an error; `None`: it may not."""
    if isinstance(told, int):
        if told == 429:
            return "rate_limited"
        if told == 408:
            return "timeout"
        return "error" if told >= 500 else None
    return told.on if isinstance(told, UpstreamError) else None


def problems(config: GatewayConfig) -> list[str]:
    """Return what is wrong with aliases: targets between which no call can ever go."""
    found: list[str] = []
    for alias in config.aliases.values():
        names = dict.fromkeys(target.upstream for target in alias.targets)
        known = [config.upstreams[name] for name in names if name in config.upstreams]
        shapes = [(upstream, shapes_of(upstream)) for upstream in known]
        for upstream, mine in shapes:
            others = [other.name for other, theirs in shapes if other is not upstream]
            if others and not any(
                mine & theirs for other, theirs in shapes if other is not upstream
            ):
                found.append(
                    f"aliases.{alias.name}: `{upstream.name}` speaks {_list(mine)}, which"
                    f" {', '.join(others)} do not: no call goes from one to the other."
                )
    return found


def _ordered(alias: Alias, price: Price | None, draw: Draw) -> Sequence[Target]:
    if alias.strategy == "weighted":
        return _drawn(alias.targets, draw)
    if alias.strategy == "cheapest" and price is not None:
        costs = [price(target.upstream, target.model) for target in alias.targets]
        order = sorted(
            range(len(costs)), key=lambda place: (costs[place] is None, costs[place] or 0)
        )
        return [alias.targets[place] for place in order]
    return alias.targets


def _drawn(targets: Sequence[Target], draw: Draw) -> list[Target]:
    """Return the targets in an order by chance: at each place the rest's weights decide."""
    left, found = list(targets), []
    while left:
        total = sum(max(0, target.weight) for target in left)
        point, place = draw() * total, 0
        while place < len(left) - 1 and point >= max(0, left[place].weight):
            point -= max(0, left[place].weight)
            place += 1
        found.append(left.pop(place))
    return found


@dataclass(slots=True)
class _Call:
    """A request that asks for an alias, as its targets' requests are made of it."""

    request: Request
    endpoint: Endpoint
    here: Upstream
    path: str
    query: str
    asked: str
    named_in_path: bool
    body_takes_names: bool = False
    """A name was put into the body, so any other can be."""

    def step(self, there: Upstream, model: str) -> Step | str:
        """Return the step to a target, or why there is none."""
        found = way(self.request.method, self.path, self.here, there)
        if found.path is None:
            return found.reason
        other = vendor_of(self.here).name != vendor_of(there).name
        query = _without_version(self.query) if other else self.query
        sent = replace(self.request, url=there.url + found.path + ("?" + query if query else ""))
        moved = there.name != self.here.name
        endpoint, in_path = self.endpoint, self.named_in_path
        if in_path and other:
            # The way led to an API that has the model in the body.
            endpoint, in_path = replace(endpoint, model=None, deployment=None), False
        elif model == self.asked:
            return Step(there, model, sent, moved=moved)

        def make() -> Request | None:
            return with_model(sent, endpoint, model)

        if self.body_takes_names and not in_path:
            # A long body is gone through when its turn comes.
            return Step(there, model, None, make=make, moved=moved)
        request = make()
        if request is None:
            return "the model cannot be changed in this request"
        self.body_takes_names = self.body_takes_names or not in_path
        return Step(there, model, request, moved=moved)


def _without_version(query: str) -> str:
    kept = [part for part in query.split("&") if part.partition("=")[0] != _AZURE_VERSION]
    return "&".join(kept)


def _list(shapes: frozenset[str]) -> str:
    return " and ".join(sorted(shapes)) or "no known API"
