"""What this process knows of the limits in force: read from the server, kept beside the spool.

Fetching and the file belong to the lease thread; calls only look at `current`. A process that
starts while the server is away goes by what the last one on the same folder was told.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from outlay.capture.guard import caught, warn_once
from outlay.capture.transport import Reply, Transport
from outlay.core.limits.document import read_entitlement, read_limit
from outlay.core.limits.limit import CREDITS, Entitlement, Limit, Override
from outlay.core.sell import SellRates, SellRow
from outlay.errors import BadRequestError

REFRESH_S: Final = 30.0
"""How old the policy may be before the server is asked again, unless a sync tells of a newer."""
MAX_POLICY_BYTES: Final = 64 * 1024 * 1024
CREDIT_LIMIT: Final = Limit(CREDITS, "credits", "none", 0)
"""Stands for a prepaid balance where a limit is needed."""


@dataclass(frozen=True)
class Policy:
    """The limits, entitlements and tenants in force, by revision."""

    revision: str = ""
    limits: tuple[Limit, ...] = ()
    """Those that are not off, by priority and id."""
    overrides: tuple[Override, ...] = ()
    entitlements: Mapping[str, Entitlement] = field(default_factory=dict)
    """By plan."""
    plans: Mapping[str, str] = field(default_factory=dict)
    """By tenant."""
    credits: frozenset[str] = frozenset()
    """Tenants whose prepaid balance limits them."""
    sells: SellRates = field(default_factory=lambda: SellRates(()))
    """What usage costs them in credits."""


def read_policy(document: Mapping[str, Any]) -> Policy:
    """Read the answer of `GET /v1/limits/policy`.

    Raises:
        ValueError: if it is no such answer.
    """
    try:
        tenants = document.get("tenants") or {}
        limits: list[Limit] = []
        overrides: list[Override] = []
        for one in document["limits"]:
            limit = _limit(one)
            if limit is not None and limit.mode != "off":
                limits.append(limit)
                overrides += [_override(raised, limit) for raised in one.get("overrides") or ()]
        plans = [read_entitlement(one) for one in document.get("entitlements") or ()]
        return Policy(
            revision=str(document["revision"]),
            limits=tuple(sorted(limits, key=lambda one: (one.priority, one.limit_id))),
            overrides=tuple(overrides),
            entitlements={one.plan: one for one in plans},
            plans={name: str(one.get("plan") or "") for name, one in tenants.items()},
            credits=frozenset(name for name, one in tenants.items() if one.get("credits")),
            sells=SellRates([_sell(one) for one in document.get("sells") or ()]),
        )
    except (KeyError, TypeError, AttributeError, BadRequestError) as error:
        raise ValueError(f"not a policy: {type(error).__name__}") from error


_ADDED: Final = frozenset(("overrides", "amount_now", "effective"))
"""What the answer has beside a limit's own document."""


def _limit(document: Mapping[str, Any]) -> Limit | None:
    """Read one limit; one that a newer server understands and we do not is left to the server."""
    try:
        return read_limit({name: v for name, v in document.items() if name not in _ADDED})
    except BadRequestError as error:
        warn_once("limits:unread", "outlay: a limit is not understood: %s", error.message)
        return None


def _override(document: Mapping[str, Any], limit: Limit) -> Override:
    return Override(
        override_id=str(document.get("id") or ""),
        limit_id=limit.limit_id,
        amount=int(document["amount"]),
        starts_at=int(document["starts_at"]),
        ends_at=int(document["ends_at"]),
        reason="",
        actor="",
        scope_key=str(document.get("scope") or ""),
    )


def _sell(document: Mapping[str, Any]) -> SellRow:
    def text(name: str) -> str:
        return str(document.get(name) or "")

    def moment(name: str) -> int | None:
        return None if document.get(name) is None else int(document[name])

    return SellRow(
        sell_id=str(document["id"]), unit=str(document["unit"]), out="credits",
        per_million=int(document["per_million"]), tenant=text("tenant"), plan=text("plan"),
        feature=text("feature"), provider=text("provider"), model=text("model"),
        valid_from=moment("valid_from"), valid_to=moment("valid_to"),
    )  # fmt: skip


class PolicyKeeper:
    """Keeps the policy fresh. `current` may be read by any thread."""

    def __init__(self, cache: Path | None) -> None:
        self.current: Policy | None = None
        self.due = True
        """Ask the server before anything else."""
        self.refresh_s = REFRESH_S
        """How old it may be before the server is asked again."""
        self._cache = cache
        self._etag = ""
        self._next_at = 0.0

    def read_kept(self) -> bool:
        """Take what is kept on disk; tell whether there was something."""
        if self._cache is None or not self._cache.exists():
            return False
        try:
            self.current = read_policy(json.loads(self._cache.read_bytes()))
        except (OSError, ValueError) as error:
            caught("limits.policy.kept", error)
            return False
        self._etag = f'"{self.current.revision}"'
        return True

    def wants(self, now: float) -> bool:
        """Tell whether it is time to ask the server."""
        return self.due or now >= self._next_at

    def heard(self, revision: str) -> None:
        """Take the revision that a sync told of."""
        if self.current is None or revision != self.current.revision:
            self.due = True

    def fetch(self, transport: Transport) -> bool:
        """Ask the server; tell whether the policy has changed.

        Raises:
            OSError: the server cannot be reached or gives no policy.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if self._etag and self.current is not None:
            headers["If-None-Match"] = self._etag
        reply = transport.request("GET", "/v1/limits/policy", headers=headers)
        changed = False
        if reply.status != 304:
            changed = self._take(reply)
        self.due = False
        self._next_at = time.monotonic() + self.refresh_s
        return changed

    def _take(self, reply: Reply) -> bool:
        if reply.status != 200:
            if reply.status < 500:
                warn_once(
                    f"limits:{reply.status}",
                    "outlay: the server gives no limits (HTTP %d): check endpoint and key",
                    reply.status,
                )
            raise ConnectionError(f"HTTP {reply.status}")
        body = reply.body
        try:
            if reply.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if len(body) > MAX_POLICY_BYTES:
                raise ValueError("the policy is too large")
            policy = read_policy(json.loads(body))
        except (ValueError, EOFError, RecursionError) as error:
            caught("limits.policy.read", error)
            raise ConnectionError("unreadable") from error
        changed = self.current is None or policy.revision != self.current.revision
        self.current = policy
        self._etag = reply.headers.get("etag") or f'"{policy.revision}"'
        self._keep(body)
        return changed

    def _keep(self, body: bytes) -> None:
        if self._cache is None:
            return
        part = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
        try:
            # The spool makes its folder with the first event, which may come later.
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_bytes(body)
            part.replace(self._cache)
        except OSError as error:
            caught("limits.policy.keep", error)
