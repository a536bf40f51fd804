"""One request's way through the gateway: who asks, where it goes, and what the client is told.

It owns the order of things: identify, read, plan, then one attempt after another until an answer
passes on. What an attempt is, is `trial`'s. A client that hangs up ends what has not been sent, and
leaves what has been to be read to its end, in a bound.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from outlay.capture.attempt_facts import call_key, retry_count
from outlay.capture.retries import FIRST, Place
from outlay.capture.scope import Scope
from outlay.capture.taps.shared import picked
from outlay.core.event import MAX_LABELS
from outlay.gateway import headers, routing
from outlay.gateway.bodies import ClientGone, read_body
from outlay.gateway.call import Call, Message, Send
from outlay.gateway.config import Upstream
from outlay.gateway.gateway import MAX_DRAINS, Gateway
from outlay.gateway.identity import Caller
from outlay.gateway.problems import Problem, answer, ending
from outlay.gateway.trial import Trial
from outlay.wire.base import Endpoint, Request
from outlay.wire.reader import BodyReader
from outlay.wire.registry import Route, open_reader
from outlay.wire.remodel import SIGNED_HEADER

FULL_RETRY_S: Final = 10.0
"""When to try again while events wait for a server that is away."""
ECHOES: Final = frozenset(("TRACE", "CONNECT"))
"""Methods whose answer may be the request, with the provider's credential in it."""
ALIAS_LABEL: Final = "model_alias"
"""The label that names the alias which a call asked for."""

Receive = Callable[[], Awaitable[Message]]


async def serve(gateway: Gateway, scope: Message, receive: Receive, send: Send) -> None:
    """Serve one HTTP request."""
    exchange = Exchange(gateway, scope, receive, send)
    gateway.metrics.in_flight += 1
    try:
        await exchange.run()
    except Problem as problem:
        await exchange.tell(problem)
    except ClientGone:
        exchange.outcome = "client_gone"
    except asyncio.CancelledError:
        if not exchange.peer.gone:
            # The listener waits no longer.
            await exchange.tell(ending())
            raise
        # Our own doing: the client hung up, and its call is over.
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        exchange.outcome = "client_gone"
    except Exception as error:
        gateway.log.exception("defect", route=exchange.surface, exc_info=error)
        await exchange.tell(Problem(500, "defect", "The gateway has failed at this request."))
    finally:
        gateway.metrics.in_flight -= 1
        exchange.over()


class Exchange(Call):
    """One request, and the order of what is done with it."""

    def __init__(self, gateway: Gateway, scope: Message, receive: Receive, send: Send) -> None:
        super().__init__(gateway, scope, send)
        self.lanes.calls += 1
        self._receive = receive
        self._timer: asyncio.TimerHandle | None = None

    # -- the order of things -------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the request.

        Raises:
            Problem: it cannot be served, and the client has been told nothing yet.
        """
        raw = self.scope["headers"]
        query = self.scope["query_string"]
        # Who is nobody is not told which upstreams there are.
        caller = self.caller = self.gateway.identify(raw, query)
        self.gateway.metrics.context(caller.context)
        upstream, path = self._address()
        if self.scope["method"] in ECHOES:
            raise Problem(405, "method_not_allowed", "No request is passed on with this method.")
        if self.gateway.ending:
            raise ending()
        if self.gateway.full:
            said = "The gateway cannot record what calls cost, so it serves none."
            hint = "Is the outlay server away?"
            raise Problem(503, "events_full", said, hint=hint, retry_after_s=FULL_RETRY_S)
        if not caller.key.may_use(upstream.name):
            raise Problem(403, "upstream_not_allowed", "The key may not use this upstream.")
        self._watch()
        named = picked(raw)
        self.body = await read_body(
            self._receive,
            arrived=self.peer.arrived,
            config=self.config,
            content_type=named.get("content-type", "").encode("latin-1"),
            content_length=_length(raw),
        )
        # The gateway signs anew, so what it sends may differ from what was signed for it.
        named.pop(SIGNED_HEADER, None)
        url = upstream.url + path + self._query(query, caller)
        request = self.request = Request(self.scope["method"], url, named, self.body.known)
        self.key = call_key(request)
        route, model = self._read(request)
        plan = routing.plan(
            self.config,
            upstream,
            request,
            route.endpoint,
            model,
            price=self.gateway.price,
            draw=random.random,
            allowed=self._may_use(caller, upstream),
        )
        # Of a model in the path and another in the body, the provider takes the path's.
        if not caller.key.may_ask_for(plan.asked):
            raise Problem(403, "model_not_allowed", "The key may not ask for this model.")
        await self._go(plan, request, caller)

    async def _go(self, plan: routing.Plan, request: Request, caller: Caller) -> None:
        """Make attempts until one is answered.

        Raises:
            Problem: none of them was.
        """
        scope = caller.scope
        if plan.alias is not None:
            told = list(scope.labels.items())[: MAX_LABELS - 1]
            labels = dict([*told, (ALIAS_LABEL, plan.alias.name)])
            scope = Scope(scope.values, labels, outer=scope, opener=scope.opener)
        # What passes in pieces is there only once.
        walk = routing.Walk(plan, once=self.body.more is not None)
        step = walk.step
        if step is None:
            raise _no_target(plan)
        place = self._place(request, scope)
        while True:
            trial = Trial(self, step, scope, place, walk)
            await trial.run()
            if trial.problem is None:
                return
            following = walk.move(trial.cause)
            if following is None:
                raise trial.problem
            if self.peer.gone:
                raise ClientGone  # nothing of it is under way, and nobody waits for more
            self.sent = False
            place, step = trial.next_place(following), following

    def _place(self, request: Request, scope: Scope) -> Place:
        """Return where the first attempt stands: after those that the client made before."""
        memory = scope.memory
        if not memory.failures:
            return FIRST
        return memory.begin(
            self.key,
            span_id=scope.span_id,
            retry_count=retry_count(request.headers),
            now=time.monotonic(),
        )

    def _address(self) -> tuple[Upstream, str]:
        path = headers.safe_path(self.scope["raw_path"])
        if path is None:
            raise Problem(400, "bad_path", "The path has parts that no provider's path has.")
        name, _, rest = path[1:].partition("/")
        self.upstream = self.gateway.lane(name).upstream
        return self.upstream, "/" + rest

    def _may_use(self, caller: Caller, addressed: Upstream) -> Callable[[str], bool]:
        """Return what tells whether a target may serve the call."""
        if caller.passes_credential:  # the client's own credential is for nobody else
            return lambda name: name == addressed.name
        return caller.key.may_use

    def _query(self, query: bytes, caller: Caller) -> str:
        try:
            return headers.query_to_upstream(query, keep_credential=caller.passes_credential)
        except ValueError as error:
            raise Problem(400, "bad_query", str(error)) from error

    def _read(self, request: Request) -> tuple[Route, str]:
        """Return where a request goes in its dialect, and the model it asks for."""
        route = self.gateway.runtime.route(request.method, request.url)
        if route is None:
            raise Problem(404, "unknown_vendor", "The upstream's vendor is not known.")
        self.endpoint, self.surface = route.endpoint, route.endpoint.surface
        reader = self.reader = open_reader(request, route=route)
        model = ""
        if isinstance(reader, BodyReader):
            reading = reader.reading
            model = reading.model_requested or reading.deployment or ""
        self.asked = model
        return route, model

    # -- the client ----------------------------------------------------------------------------

    async def tell(self, problem: Problem) -> None:
        """Answer with a problem in the provider's shape, or break off what was begun."""
        self.peer.on_gone(None)
        self.outcome = problem.code
        self.gateway.metrics.problem(problem.code)
        if self.started:
            self.peer.abort()
            return
        where: Endpoint | str | None = self.endpoint
        if where is None:
            # The name that somebody unknown says tells nothing of what is declared.
            named = self.scope["raw_path"].split(b"/", 2)[1:2]
            said = named[0].decode("latin-1") if named else ""
            where = said if self.upstream is None else self.upstream.vendor
        status, told, body = answer(problem, where)
        await self.answer(status, told, body)

    def _watch(self) -> None:
        """See to it that this task ends when the client hangs up."""
        task = asyncio.current_task()
        if task is not None:
            self.peer.on_gone(lambda: self._left(task))

    def _left(self, task: asyncio.Task[Any]) -> None:
        gateway = self.gateway
        drains = self.sent and self.config.on_disconnect == "drain"
        if not drains or gateway.draining >= MAX_DRAINS:
            task.cancel()
            return
        self.draining = True
        gateway.draining += 1
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.config.drain_s, task.cancel)

    def over(self) -> None:
        """Note how it went."""
        self.lanes.calls -= 1
        self.peer.on_gone(None)
        if self._timer is not None:
            self._timer.cancel()
        if self.draining:
            self.draining = False
            self.gateway.draining -= 1
        self.note()


def _length(raw: list[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in raw if name == b"content-length"), b"")


def _no_target(plan: routing.Plan) -> Problem:
    why = "; ".join(f"`{target.upstream}`: {reason}" for target, reason in plan.skipped)
    return Problem(400, "no_target", f"No target of the model `{plan.asked}` serves this: {why}.")
