"""Fills a server with the demo's past in one go: for tests and pictures of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from outlay.demo import scenery
from outlay.demo.client import Client
from outlay.demo.history import DAYS, EVENTS, history
from outlay.demo.past import stored, wait_stored, write_past

SEED = 7


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was written: how many events, and the key that sent them."""

    events: int
    ingest_key: str


def seed_server(
    url: str, key: str, *, now: int, days: int = DAYS, events: int = EVENTS, seed: int = SEED
) -> Seeded:
    """Write tenants, prices, a past, limits, credits, keys and findings; return when all is there.

    The same arguments write the same; on a server that has usage already nothing is written.

    Args:
        url: the server, which must take events as old as `days`.
        key: one of its admin keys.
        now: microseconds UTC; the past ends here. Not after the server's own clock.
        days: how many days before today.
        events: about how many events.
        seed: the same seed makes the same past.

    Raises:
        UnavailableError: the server does not answer, or refuses something.
        ValueError: days or events are out of the bounds of `history`.
    """
    client = Client(url, key)
    try:
        if stored(client, now=now):
            return Seeded(0, "")
        scenery.stage(client, now=now)
        made = client.call("POST", "/v1/keys", {"name": "demo past", "scopes": ["ingest"]})
        sender = Client(url, str(made["secret"]))
        try:
            written = write_past(sender, history(seed=seed, now=now, days=days, events=events))
        finally:
            sender.close()
        wait_stored(client, written, now=now)
        scenery.furnish(client, now=now, days=days)
    finally:
        client.close()
    return Seeded(written, str(made["secret"]))
