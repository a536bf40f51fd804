"""The OpenAPI 3.1 document: of the application's own routes, and of the shapes of `api.shapes`.

Nothing is said by hand here: paths, parameters and their bounds, scopes and summaries are those of
the endpoints, bodies and answers those of their shapes. A route without a shape is an error.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, get_args

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.routing import Route

from outlay import __version__
from outlay.api import shapes
from outlay.api.services import Services
from outlay.api.shape import JSON, Shape
from outlay.api.shapes.failure import Failure

PATH: Final = "/v1/openapi.json"
USER_SCOPES: Final = ("read", "operate", "admin", "portal")
"""Scopes that people have who are signed in; the others are for keys only."""
_REF: Final = "#/components/schemas/{name}"
_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or a token of the customer portal.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "outlay_session",
        "description": (
            "A signed-in user. Requests that change something need a header `X-Outlay-Client`."
            " Over HTTPS the name begins with `__Host-`."
        ),
    },
}
_ABOUT: Final = (
    "Amounts named `…_nanos` are integer nano-dollars, times are microseconds since 1970 UTC. What"
    " is not required may be absent; what may be null says so."
)

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one route; `pattern` is the route's own."""

    method: str
    pattern: str
    route: Route

    @property
    def key(self) -> str:
        """What its shape stands under."""
        return f"{self.method} {self.pattern}"

    @property
    def path(self) -> str:
        """The path as OpenAPI writes it, without how a part is matched."""
        return re.sub(r":\w+}", "}", self.pattern)


def endpoints(app: FastAPI) -> Iterator[Endpoint]:
    """Give every endpoint of the API, but not the pages of the dashboard."""
    waiting: list[Any] = list(app.routes)
    while waiting:
        route = waiting.pop(0)
        if isinstance(route, Route):
            if route.include_in_schema:
                methods = sorted((route.methods or set()) - {"HEAD"})
                yield from (Endpoint(method, route.path, route) for method in methods)
            continue
        inner: Any = getattr(route, "original_router", None) or getattr(route, "app", None)
        waiting.extend(getattr(inner, "routes", ()))


def all_shapes() -> dict[str, Shape]:
    """Return the shapes of every module of `api.shapes`, by method and pattern."""
    found: dict[str, Shape] = {}
    for module in pkgutil.iter_modules(shapes.__path__):
        found.update(getattr(import_module(f"{shapes.__name__}.{module.name}"), "SHAPES", {}))
    return found


def document(app: FastAPI) -> dict[str, Any]:
    """Return the description of an application.

    Raises:
        LookupError: an endpoint has no shape.
    """
    known = all_shapes()
    listed = list(endpoints(app))
    without = sorted(one.key for one in listed if one.key not in known)
    if without:
        raise LookupError(f"no shape in outlay.api.shapes for {', '.join(without)}")
    types = _Types([known[one.key] for one in listed])
    own = get_openapi(title="outlay", version=__version__, routes=app.routes)["paths"]
    paths: dict[str, dict[str, Any]] = {}
    for one in listed:
        said = own.get(one.path, {}).get(one.method.lower(), {})
        operation = _operation(one, known[one.key], types, said.get("parameters", ()))
        paths.setdefault(one.path, {})[one.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "outlay", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": types.components, "securitySchemes": _SCHEMES},
    }


def text(app: FastAPI) -> str:
    """Return the description as the text of `docs/openapi.json`: sorted, always the same."""
    return json.dumps(document(app), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@router.get(PATH)
async def describe(request: Request) -> Response:
    """Describe this API as OpenAPI 3.1."""
    services: Services = request.app.state.services
    made = getattr(request.app.state, "openapi_text", None)
    if made is None:
        made = await services.query_workers.run(text, request.app)
        request.app.state.openapi_text = made
    return Response(made, media_type=JSON)


class _Types:
    """The schemas of all shapes; they share what they have in common."""

    def __init__(self, known: Sequence[Shape]) -> None:
        wanted: list[Any] = [Failure]
        for shape in known:
            wanted += [shape.answer, shape.body, *shape.others.values()]
        made, self.components = msgspec.json.schema_components(wanted, ref_template=_REF)
        # Types may be unhashable or equal to others: they are told apart by what they are.
        self._schemas = {id(one): schema for one, schema in zip(wanted, made, strict=True)}

    def content(self, kind: Any, media: str) -> dict[str, Any]:
        """Return how something of a media type looks."""
        schema = {"type": "string"} if kind is None else self._schemas[id(kind)]
        return {media: {"schema": schema}}


def _operation(
    one: Endpoint, shape: Shape, types: _Types, parameters: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    summary, _, more = inspect.cleandoc(one.route.endpoint.__doc__ or "").partition("\n")
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": _responses(shape, types),
        "security": _security(_scopes(one.route)),
    }
    if more.strip():
        operation["description"] = more.strip()
    if parameters:
        operation["parameters"] = [_parameter(said) for said in parameters]
    if shape.body is not None or shape.bodies:
        content = {} if shape.body is None else types.content(shape.body, JSON)
        for media in shape.bodies:
            content |= types.content(None, media)
        required = type(None) not in get_args(shape.body)
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _responses(shape: Shape, types: _Types) -> dict[str, Any]:
    found: dict[str, Any] = {str(shape.status): {"description": _meaning(shape.answer)}}
    if shape.status == 200 or shape.answer is not None:
        found[str(shape.status)]["content"] = types.content(shape.answer, shape.media)
    for status, kind in shape.others.items():
        content = types.content(kind, JSON)
        found[str(status)] = {"description": _meaning(kind), "content": content}
    found["default"] = {
        "description": "What is wrong, and what to do about it.",
        "content": types.content(Failure, JSON),
    }
    return found


def _meaning(kind: Any) -> str:
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return inspect.cleandoc(kind.__doc__ or "") if is_struct else "All is well."


def _scopes(route: Route) -> tuple[str, ...]:
    """Return the scopes one of which opens a route; none for one that is open to all."""
    own: tuple[str, ...] = getattr(route.endpoint, "scopes", ())
    dependant = getattr(route, "dependant", None)
    for needed in () if dependant is None else dependant.dependencies:
        # `auth.needs` makes a function of the scopes that it was given.
        own += inspect.getclosurevars(needed.call).nonlocals.get("scopes", ())
    return own


def _security(scopes: tuple[str, ...]) -> list[dict[str, list[str]]]:
    keys = [{"bearer": [scope]} for scope in scopes]
    return [*keys, *({"session": [scope]} for scope in scopes if scope in USER_SCOPES)]


def _parameter(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter; null cannot be said in an address, so it is left out."""
    schema = dict(said["schema"])
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    schema.pop("title", None)
    if len(kinds) == 1:
        schema |= kinds[0]
    elif kinds:
        schema["anyOf"] = kinds
    return {**said, "schema": schema}
