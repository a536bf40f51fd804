"""Puts the API together: routes, errors, limits. It holds no logic of its own."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from outlay import __version__
from outlay.api import (
    admin,
    credit,
    health,
    holds,
    leases,
    limit_checks,
    limit_edit,
    limits,
    policy,
    price_check,
    price_edit,
    prices,
    query,
    repricing,
    virtual_keys,
)
from outlay.api.auth import Authenticator
from outlay.api.body import Memory
from outlay.api.edge import Edge, error_answer
from outlay.api.ingest import PATH, Ingest
from outlay.api.metrics import Metrics
from outlay.api.services import Services
from outlay.errors import BadRequestError, NotFoundError, OutlayError

BODIES_IN_HAND: Final = 8
"""How many bodies of the largest size may be in memory together."""


def create_app(services: Services, *, log: Any) -> FastAPI:
    """Return the ASGI application of a server; `log` is a structlog logger.

    The services stay the caller's: it closes them after the last request.
    """
    metrics = Metrics()
    metrics.watch(services)
    auth = Authenticator(services.books, services.clock, own_key=services.own_key)
    memory = Memory(BODIES_IN_HAND * services.settings.max_batch_bytes)
    app = FastAPI(
        title="outlay", version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.services = services
    app.state.auth = auth
    app.state.metrics = metrics
    app.state.memory = memory
    app.state.more_metrics = []
    app.state.book_cache = prices.BookCache()
    app.state.policy_texts = policy.PolicyTexts()
    app.state.lease_owners = leases.Owners()
    app.state.key_watch = virtual_keys.KeyWatch()
    ingest = Ingest(services, auth, metrics, memory, log)
    app.router.routes.append(Route(PATH, ingest, methods=["POST"]))
    for part in (query, admin, virtual_keys, prices, price_edit, price_check, repricing, health):
        app.include_router(part.router)
    # `limits` is last: its `/v1/limits/{limit_id}` would take the paths of the others.
    for part in (policy, holds, leases, credit, limit_checks, limit_edit, limits):
        app.include_router(part.router)
    app.add_exception_handler(OutlayError, _outlay_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Edge, metrics=metrics, log=log)
    return app


def _response(error: OutlayError, status: int | None = None) -> Response:
    usual, headers, body = error_answer(error)
    answer = Response(body, usual if status is None else status)
    for name, value in headers:
        answer.headers[name.decode()] = value.decode()
    return answer


async def _outlay_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OutlayError)
    return _response(error)


async def _validation_error(_request: Request, error: Exception) -> Response:
    """Name the parameter and the rule; the value is not repeated."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "request"
    return _response(BadRequestError(f"`{where}`: {first['msg']}.", where=where))


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _response(
            NotFoundError("There is nothing at this path.", hint="The API is under /v1.")
        )
    refusal = BadRequestError(f"{error.detail}.", hint="Use the method that the path takes.")
    answer = _response(refusal, error.status_code)
    answer.headers.update(error.headers or {})
    return answer
