"""`POST /v1/events`: authenticate, bound, decode, scope to the tenant, make durable, acknowledge.

A raw ASGI endpoint, since it is the hot path. It acknowledges only what the log holds durably, and
one bad item never spoils the rest of its batch. It prices and judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from outlay.api.auth import Authenticator, Caller
from outlay.api.body import (
    Memory,
    UnsupportedError,
    check_media,
    declared_length,
    gunzip,
    read_body,
)
from outlay.api.edge import Header, error_answer, send_answer
from outlay.api.metrics import Metrics
from outlay.api.services import Services
from outlay.core.event import UNATTRIBUTED
from outlay.errors import BadRequestError, OutlayError, UnavailableError
from outlay.store.base import DeadLetter
from outlay.stream.base import Chunk
from outlay.stream.decode import Limits, Screen, decode_batch, to_table
from outlay.stream.explain import Problem, Rejected
from outlay.stream.ipc import to_ipc

PATH: Final = "/v1/events"
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
MAX_LETTERS: Final = 1000
"""Most refused items of one batch that are kept as dead letters; all are answered and counted."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """A body as it came, and what it says about itself."""

    body: bytes
    gzip: bool
    ndjson: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    accepted: int
    duplicates: int
    rejected: Sequence[Rejected]


class Ingest:
    """Take a batch of events; the answer comes once it is on disk.

    An ASGI endpoint. Blocking work runs in the ingest threads.
    """

    scopes: Final = ("ingest",)

    def __init__(
        self, services: Services, auth: Authenticator, metrics: Metrics, memory: Memory, log: Any
    ) -> None:
        settings = services.settings
        self._services = services
        self._auth = auth
        self._metrics = metrics
        self._memory = memory
        self._log = log
        self._most = settings.max_batch_bytes
        self._limits = Limits(
            max_events=settings.max_batch_events,
            max_past_days=settings.max_past_days,
            max_future_s=settings.max_future_s,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one batch."""
        scope["outlay.route"] = PATH
        began = time.perf_counter()
        try:
            outcome = await self._take(Headers(scope=scope), receive)
        except OutlayError as error:
            self._metrics.batches_refused.labels(error.code).inc()
            status, headers, body = error_answer(error)
            # The rest of a refused body is not read, so the connection cannot be used again.
            await send_answer(send, status, [*headers, (b"connection", b"close")], body)
            return
        if outcome is None:
            self._metrics.abandoned.inc()
            return
        self._metrics.ingest_seconds.observe(time.perf_counter() - began)
        await send_answer(send, 200, _JSON_HEADERS, _answer(outcome))

    async def _take(self, headers: Headers, receive: Receive) -> _Outcome | None:
        services = self._services
        given = headers.get("authorization")
        caller = await services.books_workers.run(self._auth.caller, given)
        caller.need(*self.scopes)
        media = check_media(headers.get("content-type"), (JSON, NDJSON))
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise UnsupportedError(
                "`Content-Encoding` must be gzip or identity.", where="Content-Encoding"
            )
        declared_length(headers.get("content-length"), self._most)
        with self._memory.share() as take:
            body = await read_body(receive, most=self._most, take=take)
            if body is None:
                return None
            batch = _Batch(body, gzip=encoding == "gzip", ndjson=media == NDJSON)
            outcome = await services.ingest_workers.run(self._store, batch, caller)
        self._metrics.accepted.inc(outcome.accepted)
        self._metrics.duplicates.inc(outcome.duplicates)
        for refusal in outcome.rejected:
            self._metrics.rejected.labels(refusal.code).inc()
        if outcome.rejected:
            await self._keep(outcome.rejected, caller)
        return outcome

    def _store(self, batch: _Batch, caller: Caller) -> _Outcome:
        """Decode and make durable; runs in an ingest thread."""
        now = self._services.clock()
        body = gunzip(batch.body, most=self._most) if batch.gzip else batch.body
        screen = _usage_only if caller.tenant is None else _only(caller.tenant)
        decoded = decode_batch(
            body, ndjson=batch.ndjson, now=now, limits=self._limits, screen=screen
        )
        if not decoded.readable:
            reason = decoded.rejected[0].message if decoded.rejected else "nothing can be read"
            raise BadRequestError(f"The body cannot be read: {reason}.", where="body")
        if decoded.events:
            payload = to_ipc(to_table(decoded.events))
            chunk = Chunk(payload, len(decoded.events))
            self._services.captured.append([chunk], appended_at=now)
        accepted = len(decoded.events) + decoded.duplicates
        return _Outcome(accepted, decoded.duplicates, decoded.rejected)

    async def _keep(self, rejected: Sequence[Rejected], caller: Caller) -> None:
        """Keep refused items as dead letters; the accepted ones are durable whatever happens."""
        services = self._services
        at = services.clock()
        letters = [
            DeadLetter(at, f"ingest {caller.key_id}", r.code, r.message, r.raw)
            for r in rejected[:MAX_LETTERS]
        ]
        try:
            await services.books_workers.run(services.books.dead_letter, letters)
        except UnavailableError as error:
            self._log.warning("dead_letters_lost", number=len(letters), code=error.code)


_JSON_HEADERS: Final[list[Header]] = [(b"content-type", b"application/json")]


def _answer(outcome: _Outcome) -> bytes:
    rejected = [
        {"index": r.index, "event_id": r.event_id, "code": r.code, "message": r.message}
        for r in outcome.rejected
    ]
    return msgspec.json.encode({"accepted": outcome.accepted, "rejected": rejected})


_SERVER_ONLY: Final = Problem(
    "server_only", "kind must be usage: adjustments and allocations are the server's own"
)


def _usage_only(events: Sequence[Any]) -> dict[int, Problem]:
    """Refuse what only the server may write, since it states its own price."""
    return {place: _SERVER_ONLY for place, event in enumerate(events) if event.kind != "usage"}


def _only(tenant: str) -> Screen:
    """Return the check that makes every event the key's tenant's and refuses those of others."""
    message = f"tenant_id names another tenant: this key writes for {tenant} only"

    def screen(events: Sequence[Any]) -> dict[int, Problem]:
        refused = _usage_only(events)
        for place, event in enumerate(events):
            if event.tenant_id in (tenant, UNATTRIBUTED):
                event.tenant_id, event.tenant_source = tenant, "key"
            else:
                refused[place] = Problem("wrong_tenant", message)
        return refused

    return screen
