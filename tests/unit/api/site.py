"""An API on real books and a real log, with an OLAP store that remembers what it was asked."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from starlette.testclient import TestClient

from outlay.act.enforcer import Enforcer
from outlay.act.rerate import Rerater
from outlay.api.app import create_app
from outlay.api.auth import new_secret
from outlay.api.logs import make_logger
from outlay.api.services import PartState, Services
from outlay.config import Settings
from outlay.core.event import FIELDS
from outlay.core.ids import uuid7
from outlay.enrich.price import price_table
from outlay.store.base import (
    Answer,
    Column,
    EventFilter,
    Tenant,
)
from outlay.store.books.sql import SqlBooks
from outlay.store.groups import EstimateGroup, UnpricedGroup
from outlay.store.query.actions import ActionsAnswer, ActionsQuestion
from outlay.store.query.model import Query
from outlay.store.query.requests import RequestsPage, RequestsQuestion
from outlay.stream.columns import ENRICHED_SCHEMA
from outlay.stream.ipc import from_ipc
from outlay.stream.sqlite import SqliteLog
from tests.unit.api.shaped import Shaped

NOW = 1_790_000_000_000_000
"""Microseconds UTC of the tests' clock."""


_NOTHING_SAID: dict[str, Any] = {
    **{field.name: field.default for field in FIELDS},
    "operation": "chat",
    "status": "ok",
    "adjustments": [],
}


class FakeOlap:
    """Answers with what the test put in, and keeps the questions."""

    name = "olap"

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked: list[Query] = []
        self.searched: list[RequestsQuestion | ActionsQuestion] = []
        self.page: RequestsPage | None = None
        self.report = ActionsAnswer((), (), 1.0, ())
        self.stored_offset = 0
        self.fails: Exception | None = None

    def offset(self) -> int:
        return self.stored_offset

    def write(self, events: pa.Table, *, offset: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def query(self, query: Query, *, now: int) -> Answer:
        self.asked.append(query)
        if self.fails is not None:
            raise self.fails
        rows = [(event["tenant_id"], event["cost_nanos"]) for event in self.events]
        columns = (Column("tenant", "dimension"), Column("cost", "metric", "nanos"))
        start, end = query.window(now)
        return Answer(columns, rows, "events", start, end)

    def requests(self, question: RequestsQuestion) -> RequestsPage:
        self.searched.append(question)
        return self.page or RequestsPage((), question.start, question.end, None, complete=True)

    def actions(self, question: ActionsQuestion) -> ActionsAnswer:
        self.searched.append(question)
        return self.report

    def event(self, event_id: str) -> dict[str, Any] | None:
        found = next((e for e in self.events if e["event_id"] == event_id), None)
        # A store gives every field, said or not.
        return None if found is None else {**_NOTHING_SAID, **found}

    def request_events(self, request_id: str, *, tenant: str | None) -> list[dict[str, Any]]:
        return [
            e
            for e in self.events
            if e["request_id"] == request_id and tenant in (None, e["tenant_id"])
        ]

    def scan(self, which: EventFilter) -> Iterator[tuple[pa.Table, pa.Table]]:
        yield from ()

    def matching(self, which: EventFilter) -> int:
        return 0

    def unpriced(self, which: EventFilter, *, limit: int) -> list[UnpricedGroup]:
        return []

    def stored_up_to(self, offset: int) -> int:
        return 0

    def spent(self, which: EventFilter, by: Sequence[str], *, step_us: int = 0) -> pa.Table:
        raise NotImplementedError

    def find(self, event_ids: Sequence[bytes], *, start: int, end: int) -> pa.Table:
        return ENRICHED_SCHEMA.empty_table()

    def estimates(self, which: EventFilter, *, limit: int) -> list[EstimateGroup]:
        chosen = [e for e in self.events if which.tenant in ("", e["tenant_id"])]
        return [
            EstimateGroup(f"model-of-{e['tenant_id']}", "", 1, 5, 7, 2, 1, 2, e["event_id"])
            for e in chosen
        ]

    def count(self) -> int:
        return len(self.events)

    def verify(self) -> list[str]:
        return []


class Site:
    """The API, its parts, and a key of each sort."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.now = NOW
        self.books = SqlBooks(f"sqlite:///{folder / 'books.db'}")
        self.captured = SqliteLog(folder / "captured.db")
        self.enriched = SqliteLog(folder / "enriched.db")
        self.olap = FakeOlap()
        self.parts: list[PartState] = [PartState("enrich", ok=True, offset=3, lag_events=2)]
        self.log_text = io.StringIO()
        self.enforcer = Enforcer(
            self.books, clock=lambda: self.now, queue=1000, keep_us=35 * 86_400_000_000
        )
        self.services = Services(
            settings=settings,
            books=self.books,
            captured=self.captured,
            enriched=self.enriched,
            olap=self.olap,
            clock=lambda: self.now,
            parts=lambda: self.parts,
            data=folder,
            rerater=Rerater(
                self.olap,
                self.captured,
                self.books,
                price=price_table,
                settled=lambda _: True,
                clock=lambda: self.now,
            ),
            authority=self.enforcer.authority,
            policy=self.enforcer.policy,
            limit_notices=self.enforcer.notices,
            backends={"olap": "fake"},
        )
        self.enforcer.authority.start()
        self.enforcer.notices.start()
        self.app = create_app(self.services, log=make_logger(self.log_text, "debug"))
        self.client = TestClient(Shaped(self.app))
        for tenant in ("acme", "rival"):
            self.books.put_tenant(Tenant(tenant, plan="pro"), actor="test", at=1)
        self.admin = self.key("ingest", "read", "admin")
        self.acme = self.key("ingest", "read", "gateway", tenant="acme")

    def key(self, *scopes: str, tenant: str | None = None, expires_at: int | None = None) -> str:
        """Make a key and return its secret."""
        secret = new_secret()
        self.books.create_key(
            name="test", scopes=scopes, tenant_id=tenant, secret=secret, actor="test", at=1,
            expires_at=expires_at,
        )  # fmt: skip
        return secret

    def call(self, method: str, path: str, key: str | None = None, **parts: Any) -> Any:
        """Send a request with a key, by default the admin's."""
        headers = {"Authorization": f"Bearer {key or self.admin}", **parts.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **parts)

    def post_events(self, body: Any, key: str | None = None, **headers: str) -> Any:
        """Send a batch, given as bytes or as what JSON makes of it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {"Content-Type": "application/json", **headers}
        return self.call("POST", "/v1/events", key, content=content, headers=said)

    def stored(self) -> list[dict[str, Any]]:
        """Return every event in the captured log."""
        records = self.captured.read(0, max_events=1_000_000)
        return [row for record in records for row in from_ipc(record.payload).to_pylist()]

    def close(self) -> None:
        self.services.close_workers()
        self.client.close()
        self.enforcer.authority.stop()
        self.enforcer.notices.stop()
        for part in (self.captured, self.enriched, self.books):
            part.close()


def event(number: int = 0, **values: Any) -> dict[str, Any]:
    """Return a valid event as a client sends it."""
    base: dict[str, Any] = {
        "event_id": uuid7(NOW // 1000, number.to_bytes(10, "big")),
        "started_at": NOW - 1_000_000,
        "ended_at": NOW,
        "operation": "chat",
        "status": "ok",
        "input": 10,
    }
    return {**base, **values}


def event_ids(stored: list[dict[str, Any]]) -> set[str]:
    """Return the ids of stored events as text."""
    return {str(uuid.UUID(bytes=row["event_id"])) for row in stored}
