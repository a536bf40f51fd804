"""The contracts of the stores; each has one conformance suite that all backends pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from outlay.store.credits import CreditBooks
from outlay.store.currencies import CurrencyBooks
from outlay.store.groups import EstimateGroup, UnpricedGroup
from outlay.store.limits import LimitBooks
from outlay.store.people import PeopleBooks
from outlay.store.views import ViewBooks
from outlay.store.virtual_keys import VirtualKeyBooks

if TYPE_CHECKING:
    import pyarrow as pa

    from outlay.core.prices import ModelRow, PriceBook, RateRow
    from outlay.core.sell import SellRow
    from outlay.store.query.actions import ActionsAnswer, ActionsQuestion
    from outlay.store.query.model import Query
    from outlay.store.query.requests import RequestsPage, RequestsQuestion


class Sink(Protocol):
    """A store fed from the enriched log that keeps its own committed offset."""

    name: str

    def offset(self) -> int:
        """Return the last enriched-log offset that is wholly and durably in the sink."""

    def write(self, events: pa.Table, *, offset: int) -> None:
        """Take events (ENRICHED_SCHEMA) that end at `offset`, and commit both together.

        An offset at or below the committed one is a replay and changes nothing.
        Raises `StorageFullError` or `StorageBusyError`; then nothing was written.
        """

    def close(self) -> None:
        """Flush and release everything; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an answer; `unit` is `nanos`, `tokens`, `count`, `ms`, `ratio` or empty."""

    name: str
    kind: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query: rows in column order, and which table gave it."""

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Usage events by their start, microseconds UTC (`end` excluded); empty text means any.

    `model` is any name the event has for it: priced, served, requested, or a tool's name.
    `unpriced` keeps those that have no price, and that no adjustment gave one since. `up_to` is a
    log offset: what was stored behind it is not looked at, adjustments neither.
    """

    start: int
    end: int
    provider: str = ""
    model: str = ""
    tenant: str = ""
    unpriced: bool = False
    up_to: int | None = None


class OlapStore(Sink, Protocol):
    """Answers live questions; roll-ups commit in the transaction of their events."""

    def query(self, query: Query, *, now: int) -> Answer:
        """Answer a question; `now` is microseconds UTC."""

    def requests(self, question: RequestsQuestion) -> RequestsPage:
        """Return one page of requests, searching as much of the window as can be at once."""

    def actions(self, question: ActionsQuestion) -> ActionsAnswer:
        """Return sums by a dimension and what its requests are like, of a sample if many."""

    def event(self, event_id: str) -> dict[str, Any] | None:
        """Return one event as a mapping of field names, adjustments in `adjustments`."""

    def request_events(self, request_id: str, *, tenant: str | None) -> list[dict[str, Any]]:
        """Return the events of one request ordered by start, of one tenant if named."""

    def scan(self, which: EventFilter) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield usage events with the adjustments of them, both in ENRICHED_SCHEMA, in parts."""

    def matching(self, which: EventFilter) -> int:
        """Return how many usage events a filter finds."""

    def unpriced(self, which: EventFilter, *, limit: int) -> list[UnpricedGroup]:
        """Return what still has no price, by what it lacks, the most frequent first."""

    def stored_up_to(self, offset: int) -> int:
        """Return the last log offset, not above one, that sums can be taken up to exactly."""

    def spent(self, which: EventFilter, by: Sequence[str], *, step_us: int = 0) -> pa.Table:
        """Return what usage and its adjustments add up to, exactly, however many rows that makes.

        `by` are fields of limits, as text, "" where an event has none; with `step_us` also `at`,
        the start of a step of time. Sums are `cost_nanos`, `input_tokens`, `output_tokens` and
        `calls`. Only the window, tenant and `up_to` of the filter count.
        """

    def find(self, event_ids: Sequence[bytes], *, start: int, end: int) -> pa.Table:
        """Return events by id in ENRICHED_SCHEMA, in no order; all started in the window."""

    def estimates(self, which: EventFilter, *, limit: int) -> list[EstimateGroup]:
        """Return how estimates and costs compare, by model and agent, the dearest first."""

    def count(self) -> int:
        """Return how many events are stored."""

    def verify(self) -> list[str]:
        """Compare roll-ups with events; return a line per difference, empty when equal."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One effective-dated version of a tenant; times are microseconds UTC, `None` is open."""

    tenant_id: str
    name: str = ""
    plan: str = ""
    tier: str = ""
    contract_type: str = ""
    contract_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    valid_from: int = 0
    valid_to: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as stored: its hash, never itself. `tenant_id` scopes it to one tenant.

    `prefix` is the first characters of the secret, to recognise it by.
    """

    key_id: str
    name: str
    scopes: tuple[str, ...]
    tenant_id: str | None
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One mutation of the books: who did what to what, and when."""

    at: int
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that could not be stored, with the reason; bounded in size and number."""

    at: int
    source: str
    code: str
    message: str
    payload: str


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Prices to believe from now on, written as a whole or not at all.

    A rate or sell row takes the place of what was believed of the same key (everything but price,
    minimum, validity and source) for the time it is valid; what was believed before and after that
    time stays. The model rows take the place of those with the same provider, model and layer.
    `withdrawn` are ids of rate, sell and model rows that are no longer believed.
    """

    rates: tuple[RateRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    sells: tuple[SellRow, ...] = ()
    withdrawn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about prices that a person should look at; times are microseconds UTC.

    `kind` is `catalogue_drift` (a second catalogue disagrees), `stated_drift` (a provider's stated
    dollars disagree), `usage_drift` (a usage key that no codec knows) or `estimate_drift` (calls of
    a model and agent cost far more or less than was held for them); `subject` is what it is about,
    unique within its kind. It is open until `resolved_at`; found after that, it opens again.
    """

    kind: str
    subject: str
    details: Mapping[str, Any]
    first_at: int
    last_at: int
    times: int = 1
    resolved_at: int | None = None


class Books(
    LimitBooks, CreditBooks, VirtualKeyBooks, ViewBooks, CurrencyBooks, PeopleBooks, Protocol
):
    """Tenants, keys, prices, limits, credits and dead letters. Thread-safe; times are UTC."""

    def put_tenant(self, tenant: Tenant, *, actor: str, at: int) -> Tenant:
        """Add a version that holds from `tenant.valid_from`, ending the one before it."""

    def tenants(self, *, at: int | None = None) -> list[Tenant]:
        """Return the versions in force at a time, or all versions."""

    def tenant_history(self, tenant_id: str) -> list[Tenant]:
        """Return all versions of a tenant, oldest first."""

    def revision(self, topic: str) -> int:
        """Return a number that grows with each change of `tenants`, `keys` or `prices`."""

    def create_key(
        self,
        *,
        name: str,
        scopes: Sequence[str],
        tenant_id: str | None,
        secret: str,
        actor: str,
        at: int,
        expires_at: int | None = None,
    ) -> Key:
        """Store the hash of a secret."""

    def key_by_secret(self, secret: str) -> Key | None:
        """Return the key of a secret, revoked or expired ones included."""

    def keys(self) -> list[Key]:
        """Return all keys, newest first."""

    def revoke_key(self, key_id: str, *, actor: str, at: int) -> Key:
        """Revoke a key at once. Raises `NotFoundError`."""

    def keys_used(self, used: Mapping[str, int]) -> None:
        """Note when keys were last used, by key id; not a mutation, so not audited."""

    def load_prices(self, *, known_at: int | None = None) -> PriceBook:
        """Return the price book as believed at a time, or now."""

    def save_catalogue(self, book: PriceBook, *, source: str, actor: str, at: int) -> int:
        """Store a catalogue and return how many rows changed.

        New and changed rows get versions, vanished ones are superseded, equal ones stay.
        """

    def change_prices(
        self, change: PriceChange, *, reason: str, actor: str, at: int
    ) -> tuple[int, int]:
        """Write a change and its audit entry; return how many rows were added and superseded."""

    def rates_by_hand(self) -> frozenset[str]:
        """Return the ids of the rates believed now that a change wrote, not a catalogue."""

    def price_history(
        self, provider: str, model: str, *, limit: int = 1000
    ) -> tuple[list[RateRow], list[ModelRow]]:
        """Return every row ever believed of a model, the newest belief first."""

    def sells(self, *, known_at: int | None = None) -> list[SellRow]:
        """Return the sell rows as believed at a time, or now."""

    def find(self, findings: Sequence[Finding], *, at: int) -> None:
        """Note findings; one that is open already is counted up and keeps its first time."""

    def findings(self, *, open_only: bool = True, limit: int = 1000) -> list[Finding]:
        """Return findings, the latest first."""

    def resolve_finding(
        self, kind: str, subject: str, *, reason: str, actor: str, at: int
    ) -> Finding:
        """Close a finding, with an audit entry. Raises `NotFoundError`."""

    def rates(self, rate_ids: Collection[str]) -> dict[str, RateRow]:
        """Return rate rows by id, superseded ones included; unknown ids are left out."""

    def note(
        self, action: str, subject: str, details: Mapping[str, Any], *, actor: str, at: int
    ) -> None:
        """Write an audit entry of something done outside of the books."""

    def audit(self, *, limit: int = 100, action: str = "") -> list[AuditEntry]:
        """Return the newest mutations, newest first; of one action, if named."""

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what could not be stored; the oldest go when the bound is passed."""

    def dead_letters(self, *, limit: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters."""

    def dead_letter_counts(self) -> dict[str, int]:
        """Return counts by code since the beginning, trimmed ones included."""

    def close(self) -> None:
        """Release everything; a second call does nothing."""
