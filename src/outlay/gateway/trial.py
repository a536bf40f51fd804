"""One attempt of a call: let in, its turn waited for, sent, answered or failed.

It owns the order in which limits, the turnstile, the credential and the upstream are asked, and
that each gets back what it gave however the attempt ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from outlay.capture.attempt import Attempt
from outlay.capture.attempt_facts import EVENT_ID_HEADER
from outlay.capture.ids import new_id
from outlay.capture.retries import MAX_ATTEMPT, Place
from outlay.capture.scope import Scope
from outlay.capture.taps.shared import is_answer, picked, refusal_of
from outlay.core.fairness import Priority
from outlay.gateway import headers, routing
from outlay.gateway.bodies import ClientGone
from outlay.gateway.call import Call
from outlay.gateway.config import Cause
from outlay.gateway.gateway import Lane
from outlay.gateway.outgoing import Key, key_of, message
from outlay.gateway.problems import Problem
from outlay.gateway.queue import QueueFull, Slot, WaitedTooLong
from outlay.gateway.relay import pass_on
from outlay.gateway.telling import cost_headers, cost_of, own_headers, problem_of
from outlay.gateway.unmetered import AnyAttempt, Unmetered
from outlay.gateway.upstream import Broken, Reply, TimedOut, Unreachable
from outlay.wire.registry import open_reader

NO_BODY: Final = frozenset((204, 304))
NO_CREDENTIAL: Final = 503
"""The status of problems with the gateway's own credentials."""
ERROR_BYTES: Final = 64 * 1024
"""How much of an error is read before the next target's turn."""


class Trial:
    """One attempt at one target."""

    def __init__(
        self,
        call: Call,
        step: routing.Step,
        scope: Scope,
        place: Place,
        walk: routing.Walk,
    ) -> None:
        """Prepare.

        Args:
            call: the request.
            step: where it goes this time.
            scope: who and where.
            place: where the attempt stands in its call.
            walk: tells whether the call may go on after this attempt.
        """
        self._call = call
        self._step = step
        self._scope = scope
        self._walk = walk
        self.place = place
        self.problem: Problem | None = None
        """Why the client has no answer yet; `None`: it has one."""
        self.cause: Cause = "error"
        """Why the call may go on elsewhere, where there is a problem."""
        self._call_id = place.call_id or ""
        self._shared = False
        """The upstream's own credential pays, so what the provider says of it holds for all."""
        self._handed = False
        """The request is on its way, as far as can be known."""

    def next_place(self, step: routing.Step) -> Place:
        """Return where the attempt after this one stands."""
        mine = self._step
        same = (step.upstream.name, step.model) == (mine.upstream.name, mine.model)
        before = self.place.fallback_from if same else mine.model
        if not self._call_id:  # nothing was sent: the next one is the call's first
            return Place(None, self.place.attempt, before or None)
        return Place(self._call_id, min(self.place.attempt + 1, MAX_ATTEMPT), before or None)

    async def run(self) -> None:
        """Make the attempt."""
        call, upstream = self._call, self._step.upstream
        gateway = call.gateway
        lane = call.lanes[upstream.name]
        try:
            key = await key_of(call, self._step)
        except Problem as problem:
            self._unsigned(problem)
            return
        self._shared = key.credential is not None and key.credential is upstream.credential
        now = time.monotonic()
        if lane.breaker.opens_again_in(now):
            self._rests(lane.breaker.opens_again_in(now))
            return
        attempt = self._begin()
        if attempt.entry is not None and (refusal := await attempt.enter_async()) is not None:
            attempt.block(refusal)
            call.outcome = "limit"
            gateway.metrics.refused(upstream.name)
            status, told, body = refusal_of(attempt, refusal)
            await call.answer(status, {**told, EVENT_ID_HEADER: attempt.event_id}, body)
            return
        slot = await self._turn(lane, attempt)
        if slot is None:
            return
        now = time.monotonic()
        if not lane.breaker.allows(now):
            slot.unused()
            attempt.abandon()
            self._rests(lane.breaker.opens_again_in(now))
            return
        tries = lane.breaker.state == "half_open"
        try:
            await self._send(lane, attempt, key)
        except BaseException as error:
            if tries:
                lane.breaker.undecided(time.monotonic())
            self._ended_by(error, attempt, slot)
        finally:
            slot.leave(cost_of(attempt))

    def _ended_by(self, error: BaseException, attempt: AnyAttempt, slot: Slot) -> None:
        """End an attempt that something else than its upstream ended, and raise that again.

        A credential that is not there is no reason for the call to end.
        """
        if not self._handed:
            attempt.abandon()
            slot.unused()
            if isinstance(error, Problem):
                self._unsigned(error)
                return
        elif isinstance(error, asyncio.CancelledError | ClientGone | Problem):
            # The client left, or did not send what it had begun.
            attempt.end(complete=False, error=asyncio.CancelledError())
            if not isinstance(error, Problem):
                self._call.gateway.metrics.left(self._step.upstream.name)
        else:
            attempt.end(complete=False, error=error)
        raise error

    def _unsigned(self, problem: Problem) -> None:
        """Note that there is no credential, or raise what else is wrong."""
        if problem.status != NO_CREDENTIAL:
            raise problem
        self._failed("error", problem)

    def _rests(self, seconds: float) -> None:
        said = f"The upstream `{self._step.upstream.name}` has failed, and is left alone a while."
        self._failed("open", Problem(503, "circuit_open", said, retry_after_s=seconds))

    def _begin(self) -> AnyAttempt:
        step, call = self._step, self._call
        runtime = call.gateway.runtime
        if not runtime.settings.enabled:
            return Unmetered(new_id(), self.place, step.model)
        request = step.request
        route = runtime.route(request.method, request.url)
        if route is None:
            raise Problem(404, "unknown_vendor", "The upstream's vendor is not known.")
        # The reader that found the model has read nothing else yet.
        reader = call.take_reader(request) or open_reader(request, route=route)
        if reader is None:
            raise Problem(404, "unknown_vendor", "The upstream's vendor is not known.")
        attempt = Attempt(
            runtime, reader, self._scope, request, call.key, self.place, one_task=True
        )
        attempt.event_id = new_id()
        attempt.ask(route)
        return attempt

    async def _turn(self, lane: Lane, attempt: AnyAttempt) -> Slot | None:
        """Wait for a turn at the upstream; `None`: there is none, and what that means is said."""
        call, upstream, turnstile = self._call, self._step.upstream, lane.turnstile
        tenant = self._scope.values.get("tenant_id", "")
        entry = attempt.entry
        estimate = None if entry is None else entry.estimate_nanos or None
        caller = call.caller
        priority: Priority = "interactive" if caller is None else caller.priority
        weight = call.gateway.weight_of(tenant)
        slot = turnstile.try_enter(tenant, estimate, weight=weight, priority=priority)
        if slot is not None:
            return slot
        began = time.perf_counter()
        try:
            slot = await turnstile.enter(tenant, weight, priority, estimate)
        except (QueueFull, WaitedTooLong) as full:
            attempt.abandon()
            said = f"Too many calls wait for the upstream `{upstream.name}`."
            problem = Problem(429, "queue_full", said, retry_after_s=full.retry_after_s)
            self._failed("rate_limited", problem)
            return None
        except BaseException:
            attempt.abandon()
            raise
        finally:
            waited = time.perf_counter() - began
            call.waited += waited
            call.gateway.metrics.queued(upstream.name, waited)
        attempt.restart()
        return slot

    async def _send(self, lane: Lane, attempt: AnyAttempt, key: Key) -> None:
        call, upstream = self._call, self._step.upstream
        target, told, body = await message(call, self._step, attempt, key)
        call.attempts += 1
        # The call's first attempt gives the call its id.
        self._call_id = attempt.call_id
        began = time.perf_counter()
        try:
            reply = await lane.client.send(
                call.scope["method"], target, told, body, on_sent=self._goes
            )
        except (Unreachable, TimedOut, Broken) as error:
            lane.breaker.failed(time.monotonic())
            attempt.superseded = self._may_go_on(error.on)
            attempt.end(complete=False, error=error.cause())
            self._failed(error.on, problem_of(error, upstream.name))
            return
        finally:
            waited = time.perf_counter() - began
            call.waited += waited
        call.gateway.metrics.first_byte(upstream.name, waited)
        try:
            await self._answered(lane, attempt, reply)
        except BaseException:
            reply.close()
            raise

    def _goes(self) -> None:
        """Note that from here on the provider may have the request, and bill it."""
        self._call.sent = self._handed = True

    async def _answered(self, lane: Lane, attempt: AnyAttempt, reply: Reply) -> None:
        call, name = self._call, self._step.upstream.name
        if reply.status >= 500:
            lane.breaker.failed(time.monotonic())
        else:
            lane.breaker.succeeded(time.monotonic())
        if reply.status == 429 and self._shared:
            lane.turnstile.pause(_retry_after(reply))
        cause = routing.cause_of(reply.status)
        answers = is_answer(reply.status)
        if answers:
            attempt.response(reply.status, picked(reply.headers))
        if cause is not None and self._may_go_on(cause):
            attempt.superseded = True
            await _read_error(attempt, reply)
            said = f"The upstream `{name}` answered {reply.status}."
            self._failed(cause, Problem(502, "upstream_error", said))
            return
        kind, packing = reply.header("content-type"), reply.header("content-encoding")
        attempt.expect(packing, kind)
        told = headers.to_client(reply.headers, edited=attempt.edits)
        if reply.status in NO_BODY:
            # It is the length of what other answers would have.
            told = [pair for pair in told if pair[0].lower() != b"content-length"]
        told += own_headers(call, self._step, attempt, number=self.place.attempt, recorded=answers)
        if not answers:
            attempt.abandon()
        await self._pass_on(attempt if answers else None, reply, told)

    async def _pass_on(
        self, attempt: AnyAttempt | None, reply: Reply, told: list[tuple[bytes, bytes]]
    ) -> None:
        call = self._call
        upstream = self._step.upstream.name
        metrics = call.gateway.metrics
        try:
            passed = await pass_on(reply, attempt, told, call=call, tells=self._tells(attempt))
        except (Broken, TimedOut) as error:
            metrics.failed(upstream, error.on)
            raise problem_of(error, upstream) from error
        call.bytes_out = passed.bytes_out
        if attempt is not None and attempt.cut:
            call.outcome = "cut_off"
            metrics.cut(upstream)
        elif passed.broken is not None:
            call.outcome = "broken"
            metrics.failed(upstream, passed.broken.on)
        elif passed.left:
            call.outcome = "drained" if passed.drained else "client_gone"
            if passed.drained:
                metrics.drained(upstream)
            metrics.left(upstream)
        else:
            metrics.answered(upstream, reply.status)

    def _tells(self, attempt: AnyAttempt | None) -> Callable[[], list[tuple[bytes, bytes]]] | None:
        """Return what makes the headers that tell the cost; `None`: none are wanted."""
        if attempt is None or not self._call.config.cost_headers:
            return None
        return lambda: cost_headers(attempt)

    def _may_go_on(self, cause: Cause) -> bool:
        return self._walk.goes_on(cause)

    def _failed(self, cause: Cause, problem: Problem) -> None:
        self.problem, self.cause = problem, cause
        self._call.gateway.metrics.failed(self._step.upstream.name, cause)


async def _read_error(attempt: AnyAttempt, reply: Reply) -> None:
    """Read an error that the client never sees, and end its attempt."""
    try:
        attempt.expect(reply.header("content-encoding"), reply.header("content-type"))
        attempt.take(await reply.whole(ERROR_BYTES))
        attempt.rest()
        attempt.end(complete=True)
    except (TimedOut, Broken, ValueError) as error:
        attempt.end(complete=False, error=error)
    finally:
        reply.close()


def _retry_after(reply: Reply) -> float:
    """Return the seconds that an upstream asks to be left alone; 0 where it gives a date."""
    text = reply.header("retry-after")
    return float(text) if text.isascii() and text.isdigit() else 0.0
