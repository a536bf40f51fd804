"""What host applications call: `init`, `context`, `agent`, `record`, `current`, `carry`, ….

Nothing here raises into the caller, except `init(strict=True)` for bad settings and `agent` for bad
rules. Each function is a thin door; the work is in the modules beside it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from outlay import config
from outlay.capture import guard, recording, taps
from outlay.capture.agents import AgentOpener, rules_of
from outlay.capture.carrying import carried as carried  # noqa: PLC0414 - of this interface
from outlay.capture.carrying import carry as carry  # noqa: PLC0414 - likewise
from outlay.capture.guard import caught, logger, shielded, warn_once
from outlay.capture.runtime import Runtime, activate, active
from outlay.capture.scope import ContextOpener
from outlay.capture.spent import Current as Current  # noqa: PLC0414 - of this interface
from outlay.capture.spent import current as current  # noqa: PLC0414 - likewise
from outlay.capture.spent import partial as partial  # noqa: PLC0414 - likewise
from outlay.config import Settings
from outlay.errors import ConfigError


def init(
    endpoint: str | None = None, key: str | None = None, *, strict: bool = False, **settings: Any
) -> None:
    """Start metering: read the settings and tap every HTTP client there is or will be.

    A second call with the same settings does nothing; with others it takes them over. Bad settings
    are logged with a hint; then events stay in the local spool and are not shipped.

    Args:
        endpoint: URL of the outlay server; default `OUTLAY_ENDPOINT`.
        key: API key with the ingest scope; default `OUTLAY_KEY`.
        strict: raise on bad settings.
        **settings: any other setting by its name, such as `tenant` or `spool_dir`.

    Raises:
        ConfigError: with `strict`, when a setting is unknown or has a bad value.
    """
    try:
        loaded = config.load(overrides={"endpoint": endpoint, "key": key, **settings})
    except ConfigError as error:
        if strict:
            raise
        where = f" ({error.where})" if error.where else ""
        logger.warning(
            "outlay: bad setting%s: %s %s Nothing is shipped.", where, error.message, error.hint
        )
        loaded = Settings()
    except Exception as error:
        caught("init", error)
        loaded = Settings()
    try:
        _start(loaded)
    except Exception as error:
        caught("init", error)


def _start(settings: Settings) -> None:
    before = active()
    if before is not None and before.settings == settings:
        return
    if not settings.enabled:
        _stop(0.0)
        return
    if before is not None:
        activate(None)
        before.close(settings.flush_timeout_s)
    guard.reset()
    activate(Runtime(settings))
    taps.install()


def _stop(timeout_s: float) -> bool:
    runtime = activate(None)
    return True if runtime is None else runtime.close(timeout_s)


def context(
    *,
    tenant: str | None = None,
    user: str | None = None,
    workspace: str | None = None,
    billing_unit: tuple[str, str] | None = None,
    feature: str | None = None,
    workflow: str | None = None,
    initiator: str | None = None,
    environment: str | None = None,
    service: str | None = None,
    request_id: str | None = None,
    run_id: str | None = None,
    trace_id: str | None = None,
    labels: Mapping[str, Any] | None = None,
) -> ContextOpener:
    """Say who the work inside is for: `with`, `async with`, or a decorator of any function.

    What is not said is taken from the context around. The outermost context begins a request; it
    gets a `request_id` and a `trace_id` if none is given.

    Args:
        tenant: who is charged, from your authentication.
        user: who of the tenant.
        workspace: where in the tenant's account.
        billing_unit: type and id of what is billed, such as `("campaign", "c1")`.
        feature: the product feature.
        workflow: the process it is a step of.
        initiator: `user` or `system`.
        environment: overrides the setting.
        service: overrides the setting.
        request_id: your own id of the originating request.
        run_id: your own id of the agent run.
        trace_id: W3C trace id, 32 hex digits.
        labels: anything else; at most 64.
    """
    values = {
        "tenant_id": tenant, "user_id": user, "workspace_id": workspace, "feature": feature,
        "workflow": workflow, "initiator": initiator, "environment": environment,
        "service": service, "request_id": request_id, "run_id": run_id, "trace_id": trace_id,
    }  # fmt: skip
    if billing_unit is not None:
        _split(billing_unit, values)
    return ContextOpener(values, labels)


def agent(
    name: str,
    *,
    tenant: str | None = None,
    user: str | None = None,
    workspace: str | None = None,
    billing_unit: tuple[str, str] | None = None,
    feature: str | None = None,
    workflow: str | None = None,
    initiator: str | None = None,
    request_id: str | None = None,
    run_id: str | None = None,
    labels: Mapping[str, Any] | None = None,
    budget: str | Decimal | int | None = None,
    budget_nanos: int | None = None,
    max_steps: int | None = None,
    max_depth: int | None = None,
    max_repeats: int | None = None,
    entitlement: str | None = None,
) -> AgentOpener:
    """Open a node of the cost tree: `with`, `async with`, or a decorator of any function.

    Every cost inside lands on this agent; agents inside it are its children. The root agent gets
    a `run_id` if none is given. Arguments that are not explained here are those of `context`.

    A call that breaks a rule is refused: the provider's SDK raises its own error of an HTTP 402.
    When that leaves the agent whose rule it was, `RunStopped` takes its place. `with … as run`
    gives an object that tells how the run stands.

    Args:
        name: its part of the agent path; a `/` in it becomes `_`.
        tenant: as in `context`, like what follows.
        user: who of the tenant.
        workspace: where in the tenant's account.
        billing_unit: type and id of what is billed.
        feature: the product feature.
        workflow: the process it is a step of.
        initiator: `user` or `system`.
        request_id: your own id of the originating request.
        run_id: your own id of the agent run.
        labels: anything else.
        budget: the most that the agent may cost with all below it, in dollars as text or Decimal;
            at most what the budget around it has left.
        budget_nanos: the same in nano-dollars.
        max_steps: the most calls to models, those of agents below included; retries are none.
        max_depth: how many agents may be open below it, one inside the other.
        max_repeats: how often an agent may ask for, or `record`, a tool with the same arguments.
        entitlement: the named right that the tenant's plan must have; checked where limits are on.

    Raises:
        ValueError: a rule has a bad value. A budget that was asked for must not silently be none.
    """
    rules = rules_of(budget, budget_nanos, max_steps, max_depth, max_repeats, entitlement)
    values = {
        "tenant_id": tenant, "user_id": user, "workspace_id": workspace, "feature": feature,
        "workflow": workflow, "initiator": initiator, "request_id": request_id, "run_id": run_id,
    }  # fmt: skip
    if billing_unit is not None:
        _split(billing_unit, values)
    return AgentOpener(name, values, labels, rules)


def _split(billing_unit: tuple[str, str], values: dict[str, Any]) -> None:
    try:
        values["billing_unit_type"], values["billing_unit_id"] = billing_unit
    except (TypeError, ValueError):
        warn_once("billing_unit", "outlay: billing_unit must be a pair (type, id); left out")


@shielded("record", str)
def record(
    operation: str,
    *,
    name: str,
    units: Mapping[str, int] | None = None,
    provider: str | None = None,
    model: str | None = None,
    cost_nanos: int | None = None,
    cost_usd: str | Decimal | None = None,
    status: str = "ok",
    started_at: int | datetime | None = None,
    ended_at: int | datetime | None = None,
    labels: Mapping[str, Any] | None = None,
    event_id: str | uuid.UUID | None = None,
    response_id: str | None = None,
    provider_request_id: str | None = None,
    arguments: Any = None,
) -> str:
    """Record one billable thing that no tap sees, and return its event id.

    One line is enough where no tap reaches:

        outlay.record("tool", name="serp.search", units={"requests": 1}, provider="serpapi")
        outlay.record("retrieval", name="docs.query", units={"read_units": 5},
                      provider="pinecone", model="serverless")
        outlay.record("embeddings", name="embed", units={"input": 812},
                      provider="voyageai", model="voyage-3-large")
        outlay.record("rerank", name="rerank", units={"search_units": 1},
                      provider="cohere", model="rerank-v3.5")

    The price is that of `provider` and `model` in the price book, unit by unit, unless the cost is
    given. A framework's hook that reports a call to a model names the `provider` with the
    `response_id` or `provider_request_id` of its reply: if a tap in this process has recorded the
    call, or records it later, there is one event, the first.

    Args:
        operation: `tool`, `retrieval`, `gpu`, `storage`, … (see the event's vocabulary).
        name: what it was, such as `serp.search`.
        units: whole counts by unit name, such as `{"requests": 1}`.
        provider: who is paid.
        model: the priced thing's name in the price book, if it is not `name`.
        cost_nanos: what it cost, in nano-dollars, if you know.
        cost_usd: the same in dollars, as text or Decimal; wins over `cost_nanos`.
        status: `ok`, `error`, `timeout`, ….
        started_at: microseconds UTC or a datetime with a zone; default now.
        ended_at: likewise.
        labels: added to the context's.
        event_id: your own UUID version 7, to record the same thing twice without counting twice;
            any other text works together with `started_at`.
        response_id: the provider's id of the response, such as `chatcmpl-…`.
        provider_request_id: the provider's id of the request, from the reply's headers.
        arguments: what a tool was called with, to find an agent that does the same over and over
            (`max_repeats`); only a hash of it is kept, in memory.

    Returns:
        The event's id, which is that of the event recorded before if the call is known; empty when
        metering is off.
    """
    runtime = active()
    if runtime is None:
        warn_once("init", "outlay: nothing is recorded before outlay.init()")
        return ""
    return recording.make(
        runtime, operation, name=name, units=units, provider=provider, model=model,
        cost_nanos=cost_nanos, cost_usd=cost_usd, status=status, started_at=started_at,
        ended_at=ended_at, labels=labels, event_id=event_id, response_id=response_id,
        provider_request_id=provider_request_id, arguments=arguments,
    )  # fmt: skip


@shielded("flush", bool)
def flush(timeout_s: float | None = None) -> bool:
    """Send what waits in the spool; tell whether all of it was acknowledged in time.

    Args:
        timeout_s: longest wait; default the setting `flush_timeout_s`.
    """
    runtime = active()
    if runtime is None:
        return True
    return runtime.flush(runtime.settings.flush_timeout_s if timeout_s is None else timeout_s)


@shielded("shutdown", bool)
def shutdown(timeout_s: float | None = None) -> bool:
    """Flush and stop metering; what was not sent stays on disk for the next process.

    Args:
        timeout_s: longest wait; default the setting `flush_timeout_s`.
    """
    runtime = active()
    if runtime is None:
        return True
    return _stop(runtime.settings.flush_timeout_s if timeout_s is None else timeout_s)


@shielded("stats", dict[str, Any])
def stats() -> dict[str, Any]:
    """Return counts of what happened to every event, and whether events are being shipped."""
    runtime = active()
    if runtime is None:
        return {"shipping": "off: outlay.init() was not called", "errors": guard.counts()}
    spool = runtime.spool
    return {
        **runtime.stats.snapshot(0 if spool is None else spool.stored),
        "pending": 0 if spool is None else spool.pending,
        "pending_bytes": 0 if spool is None else spool.pending_bytes,
        "in_memory": 0 if spool is None else spool.in_memory,
        "shipping": "on" if runtime.ships else "off: no endpoint, events stay in the spool",
        "errors": guard.counts(),
        **({} if runtime.gate is None else {"limits": runtime.gate.stats()}),
    }
