"""The contracts of the stores; each has one conformance suite that all backends pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from outlay.core.prices import PriceBook, RateRow
    from outlay.store.query.model import Query


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


class OlapStore(Sink, Protocol):
    """Answers live questions; roll-ups commit in the transaction of their events."""

    def query(self, query: Query, *, now: int) -> Answer:
        """Answer a question; `now` is microseconds UTC."""

    def event(self, event_id: str) -> dict[str, Any] | None:
        """Return one event as a mapping of field names, adjustments in `adjustments`."""

    def request_events(self, request_id: str, *, tenant: str | None) -> list[dict[str, Any]]:
        """Return the events of one request ordered by start, of one tenant if named."""

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


class Books(Protocol):
    """Tenants, keys, prices and dead letters. Thread-safe; times are microseconds UTC."""

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

    def rates(self, rate_ids: Collection[str]) -> dict[str, RateRow]:
        """Return rate rows by id, superseded ones included; unknown ids are left out."""

    def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """Return the newest mutations, newest first."""

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what could not be stored; the oldest go when the bound is passed."""

    def dead_letters(self, *, limit: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters."""

    def dead_letter_counts(self) -> dict[str, int]:
        """Return counts by code since the beginning, trimmed ones included."""

    def close(self) -> None:
        """Release everything; a second call does nothing."""
