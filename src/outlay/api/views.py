"""Saved views of the dashboard: one's own, and those that others share.

A key or user of one tenant sees and keeps its own only. A view that somebody may not see does not
exist for them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.services import Services
from outlay.errors import BadRequestError, ForbiddenError, NotFoundError
from outlay.store.views import View

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read"))]


class ViewBody(msgspec.Struct, forbid_unknown_fields=True):
    """A view; `view_id` is made by the caller, and needed to make one."""

    name: str
    path: str
    search: str = ""
    shared: bool = False
    view_id: str | None = None


@router.get("/v1/views")
async def views(request: Request, caller: Reader) -> dict[str, Any]:
    """List the views that the caller may see, by name."""
    services: Services = request.app.state.services
    found = await services.books_workers.run(
        services.books.views, caller.key_id, shared=caller.tenant is None
    )
    return {"views": [_shown(view, caller) for view in found]}


@router.post("/v1/views")
async def create(request: Request, caller: Reader) -> JSONResponse:
    """Keep a new view; the same one again changes nothing."""
    services: Services = request.app.state.services
    body = await read_document(request, ViewBody)
    if body.view_id is None:
        raise BadRequestError("`view_id` is missing.", where="view_id")
    wanted = _view(body, body.view_id, caller, services)
    made = await services.books_workers.run(services.books.add_view, wanted)
    return JSONResponse({"view": _shown(made, caller)}, 201)


@router.put("/v1/views/{view_id}")
async def change(request: Request, view_id: str, caller: Reader) -> dict[str, Any]:
    """Change a view: the owner's right, and an admin's where it is shared."""
    services: Services = request.app.state.services
    body = await read_document(request, ViewBody)
    if body.view_id not in (None, view_id):
        raise BadRequestError("`view_id` is not the one in the path.", where="view_id")
    wanted = _view(body, view_id, caller, services)

    def write() -> View:
        _check_may_change(services, view_id, caller)
        return services.books.change_view(wanted)

    return {"view": _shown(await services.books_workers.run(write), caller)}


@router.delete("/v1/views/{view_id}")
async def drop(request: Request, view_id: str, caller: Reader) -> Response:
    """Forget a view: the owner's right, and an admin's where it is shared."""
    services: Services = request.app.state.services

    def write() -> None:
        _check_may_change(services, view_id, caller)
        services.books.drop_view(view_id)

    await services.books_workers.run(write)
    return Response(status_code=204)


def _view(body: ViewBody, view_id: str, caller: Caller, services: Services) -> View:
    if body.shared and caller.tenant is not None:
        raise ForbiddenError("A tenant's own views cannot be shared.", where="shared")
    return View(
        view_id, body.name, body.path, body.search, body.shared, caller.key_id, services.clock()
    )


def _check_may_change(services: Services, view_id: str, caller: Caller) -> None:
    view = services.books.view(view_id)
    if view is not None and view.owner == caller.key_id:
        return
    if view is None or not view.shared or caller.tenant is not None:
        # The same words whether it is another's or nobody's.
        raise NotFoundError("There is no such view.", where="view_id")
    if "admin" not in caller.scopes:
        raise ForbiddenError("Only its owner and admins change a shared view.", where="view_id")


def _shown(view: View, caller: Caller) -> dict[str, Any]:
    return {
        "view_id": view.view_id,
        "name": view.name,
        "path": view.path,
        "search": view.search,
        "shared": view.shared,
        "owner": view.owner,
        "mine": view.owner == caller.key_id,
        "updated_at": view.updated_at,
    }
