"""Is it alive, is it ready, and its numbers: open to monitors, and without a word about tenants."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from outlay.api.metrics import CONTENT_TYPE, Metrics
from outlay.api.services import Services
from outlay.errors import OutlayError

LEAST_FREE_BYTES: Final = 256 * 1024 * 1024
"""With less disk than this the server is not ready: it must stop before writes fail."""
MAX_LAG_EVENTS: Final = 1_000_000
"""A consumer further behind than this makes the server not ready."""

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Tell of each part whether it works; 503 when one does not."""
    services: Services = request.app.state.services
    parts = await services.books_workers.run(_parts, services)
    ready = all(part["ok"] for part in parts.values())
    body = {"status": "ready" if ready else "not_ready", "parts": parts}
    return JSONResponse(body, 200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Give the server's numbers in Prometheus' text format."""
    services: Services = request.app.state.services
    numbers: Metrics = request.app.state.metrics
    text = await services.books_workers.run(numbers.text)
    for more in request.app.state.more_metrics:  # of what else runs in this process
        text += more()
    return Response(text, media_type=CONTENT_TYPE)


def _parts(services: Services) -> dict[str, dict[str, Any]]:
    shown = {
        "log": _checked(lambda: _log_detail(services)),
        "books": _checked(lambda: f"keys revision {services.books.revision('keys')}"),
        "disk": _disk(services),
    }
    for part in services.parts():
        lag = part.lag_events or 0
        detail = part.error or f"{lag} behind"
        shown[part.name] = {"ok": part.ok and lag <= MAX_LAG_EVENTS, "detail": detail}
    return shown


def _log_detail(services: Services) -> str:
    head = services.captured.head()
    if not os.access(services.data, os.W_OK):
        raise PermissionError
    return f"head {head}"


def _disk(services: Services) -> dict[str, Any]:
    free = shutil.disk_usage(services.data).free
    return {"ok": free >= LEAST_FREE_BYTES, "detail": f"{free // 1024**2} MiB free"}


def _checked(look: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"ok": True, "detail": look()}
    except OutlayError as error:
        return {"ok": False, "detail": error.message}
    except OSError as error:
        return {"ok": False, "detail": f"the data folder cannot be written: {type(error).__name__}"}
