"""A gateway's own numbers for Prometheus, and its access log.

Both are free of content: no prompt, path, query or header, and no key but its id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from outlay.gateway.access_log import AccessLog
from outlay.gateway.counting import Counts
from outlay.gateway.series import Counted, Rows, Watched

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class GatewayMetrics(Counts):
    """The counts of one gateway process, and the registry that shows them."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        self.registry.register(Counted(self))

    def watch(
        self,
        name: str,
        meaning: str,
        read: Callable[[], float | Rows],
        *,
        labels: tuple[str, ...] = (),
        grows: bool = False,
    ) -> None:
        """Show a value that somebody else keeps; it is read at each scrape.

        Args:
            name: after `outlay_gateway_`.
            meaning: in one sentence.
            read: returns the value, or values by those of the labels.
            labels: their names.
            grows: it only grows while the process runs.
        """
        self.registry.register(Watched(name, meaning, read, labels, grows=grows))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


def access(
    log: AccessLog,
    *,
    upstream: str,
    surface: str,
    status: int,
    attempts: int,
    ms: float,
    added_ms: float,
    key: str,
    tenant: str,
    bytes_in: int,
    bytes_out: int,
    **more: str | int | bool,
) -> None:
    """Write one line of the access log; what went wrong at our side or the upstream's is a warning.

    Args:
        log: where lines go.
        upstream: its name; empty for a request that named none.
        surface: the API that was called, such as `openai.chat`: never a path.
        status: what the client was answered; 0: it left before.
        attempts: how many were made.
        ms: from the request's head to the end of its answer.
        added_ms: what of it was not spent waiting for upstreams.
        key: the id of the virtual key.
        tenant: whose call it was.
        bytes_in: length of the request's body.
        bytes_out: length of the answer's body.
        **more: a problem's `code`, how it was `routed`, a socket's `close` code: names of ours,
            nothing a client or a provider wrote.
    """
    write = log.warning if status >= 500 else log.info
    write(
        "call",
        upstream=upstream,
        surface=surface,
        status=status,
        attempts=attempts,
        ms=round(ms, 2),
        added_ms=round(added_ms, 2),
        key=key,
        tenant=tenant,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        **more,
    )
