"""For the tests of host applications: the events that code makes, as dictionaries in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from outlay import config
from outlay.capture import taps
from outlay.capture.runtime import Runtime, activate
from outlay.capture.spool import STORED


@contextmanager
def capture_events(**settings: Any) -> Iterator[list[dict[str, Any]]]:
    """Collect every event made inside, in order; nothing is stored or sent.

        with capture_events(tenant="acme") as events:
            client.chat.completions.create(...)
        assert events[0]["tenant_id"] == "acme"

    Environment and configuration files are not read. Whatever `init` set up is put back at the
    end.

    Args:
        **settings: as for `outlay.init`, such as `hosts={"127.0.0.1:8000": "openai"}`.

    Raises:
        ConfigError: a setting is unknown or has a bad value.
    """
    events: list[dict[str, Any]] = []

    def store(body: str) -> str:
        events.append(json.loads(body))
        return STORED

    runtime = Runtime(config.load(env={}, overrides=settings), store=store)
    before = activate(runtime)
    taps.install()
    try:
        yield events
    finally:
        activate(before)
