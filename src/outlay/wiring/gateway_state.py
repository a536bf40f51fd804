"""What the gateway in this process tells people of itself. No secret, and no word of where one is.

Runs on the gateway's own event loop.
"""

from __future__ import annotations

import time
from typing import Any

from outlay.api.server_settings import bare_url
from outlay.gateway.config import Alias, Upstream
from outlay.gateway.gateway import Gateway, Lane


def gateway_state(gateway: Gateway) -> dict[str, Any]:
    """Return a gateway's upstreams and aliases as they are configured, and how each of them is."""
    config = gateway.config
    return {
        "on": True,
        "upstreams": [_upstream(gateway, gateway.lane(name)) for name in sorted(config.upstreams)],
        "aliases": [_alias(config.aliases[name]) for name in sorted(config.aliases)],
        "parts": gateway.parts(),
    }


def _upstream(gateway: Gateway, lane: Lane) -> dict[str, Any]:
    upstream, stats = lane.upstream, lane.turnstile.stats()
    own = sum(upstream.name in rule.credentials for rule in gateway.config.tenants.values())
    return {
        "name": upstream.name,
        "vendor": upstream.vendor,
        "url": bare_url(upstream.url),
        "region": upstream.region,
        "credential": _credential(gateway, upstream),
        "client_credentials": upstream.client_credentials,
        "tenant_credentials": own,
        "breaker": lane.breaker.state,
        "openings": lane.breaker.openings,
        "opens_again_in_s": round(lane.breaker.opens_again_in(time.monotonic()), 1),
        "in_flight": stats.running,
        "waiting": stats.waiting,
        "paused_s": round(stats.paused_s, 1),
        "max_concurrency": upstream.max_concurrency,
        "requests_per_minute": upstream.requests_per_minute,
    }


def _credential(gateway: Gateway, upstream: Upstream) -> str:
    """Return how the upstream's credential is: not needed, there, missing, or not looked up yet."""
    credential = upstream.credential
    if credential is None:
        return "none"
    if credential.secret is not None and credential.secret.kind == "env":
        return "missing" if gateway.credentials.ready(credential) is None else "set"
    return "when_needed"


def _alias(alias: Alias) -> dict[str, Any]:
    return {
        "name": alias.name,
        "strategy": alias.strategy,
        "targets": [
            {"upstream": one.upstream, "model": one.model, "weight": one.weight}
            for one in alias.targets
        ],
    }
