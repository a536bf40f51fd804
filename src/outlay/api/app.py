"""Puts the API together: routes, errors, limits. It holds no logic of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from outlay import __version__
from outlay.api import (
    actions,
    admin,
    credit,
    currencies,
    forecast,
    health,
    holds,
    leases,
    limit_checks,
    limit_edit,
    limits,
    live,
    oidc,
    openapi,
    policy,
    portal,
    portal_links,
    price_check,
    price_edit,
    prices,
    query,
    repricing,
    requests,
    server_settings,
    session,
    users,
    views,
    virtual_keys,
)
from outlay.api.auth import Authenticator
from outlay.api.body import Memory
from outlay.api.edge import Edge, error_answer
from outlay.api.ingest import PATH, Ingest
from outlay.api.metrics import Metrics
from outlay.api.origins import checked_url
from outlay.api.passwords import Passwords
from outlay.api.portal_question import portal_dimensions
from outlay.api.portal_tokens import PortalTokens, portal_secrets
from outlay.api.services import Services
from outlay.api.sign_in import Attempts
from outlay.errors import BadRequestError, NotFoundError, OutlayError

HOUR_US: Final = 3_600_000_000
BODIES_IN_HAND: Final = 8
"""How many bodies of the largest size may be in memory together."""


def create_app(services: Services, *, log: Any, pages: Iterable[BaseRoute] = ()) -> FastAPI:
    """Return the ASGI application of a server; `log` is a structlog logger.

    The services stay the caller's: it closes them after the last request. `pages` are routes of
    what is served beside the API.

    Raises:
        ConfigError: a setting of how people reach the server is wrong.
    """
    metrics = Metrics()
    metrics.watch(services)
    settings = services.settings
    public_url = checked_url(settings)
    signing = portal_secrets(settings, services.data)
    tokens = PortalTokens(signing, services.clock)
    auth = Authenticator(
        services.books,
        services.clock,
        own_key=services.own_key,
        idle_us=settings.session_hours * HOUR_US,
        portal=tokens.caller,
        demo=settings.demo,
    )
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
    app.state.live_watch = live.LiveWatch()
    app.state.public_url = public_url
    app.state.portal_tokens = tokens
    app.state.portal_dimensions = portal_dimensions(settings)
    app.state.portal_places = portal.Places()
    app.state.gateway_state = None
    app.state.attempts = Attempts()
    app.state.single_sign_on = oidc.single_sign_on(services, signing, log)
    app.state.passwords = Passwords()
    ingest = Ingest(services, auth, metrics, memory, log)
    app.router.routes.append(Route(PATH, ingest, methods=["POST"]))
    for part in (query, admin, virtual_keys, prices, price_edit, price_check, repricing, health):
        app.include_router(part.router)
    for part in (requests, actions, forecast, live):
        app.include_router(part.router)
    for part in (portal, portal_links, views, currencies, server_settings):
        app.include_router(part.router)
    # `limits` is last: its `/v1/limits/{limit_id}` would take the paths of the others.
    for part in (policy, holds, leases, credit, limit_checks, limit_edit, limits):
        app.include_router(part.router)
    app.include_router(openapi.router)
    for part in (session, oidc, users):
        app.include_router(part.router)
    app.router.routes.extend(pages)
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
