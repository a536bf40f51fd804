"""Links into the customer portal, made by the server for hosts that do not sign their own."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.portal_theme import checked_theme
from outlay.api.portal_tokens import MAX_LIFE_S, PortalTokens
from outlay.api.services import Services
from outlay.errors import BadRequestError, ForbiddenError
from outlay.store.books.checks import check_tenant_id, check_text

MIN_LIFE_S: Final = 60
DEFAULT_LIFE_S: Final = 900

router = APIRouter()
Operator = Annotated[Caller, Depends(needs("admin", "operate"))]


class LinkBody(msgspec.Struct, forbid_unknown_fields=True):
    """A link to make. `user` is who it is for, as the host knows them: it narrows nothing."""

    tenant: str
    expires_in_s: int = DEFAULT_LIFE_S
    user: str = ""
    theme: dict[str, Any] = {}


@router.post("/v1/portal/links")
async def create(request: Request, caller: Operator) -> dict[str, Any]:
    """Make a link that shows one tenant its usage; the tenant need not be known yet."""
    services: Services = request.app.state.services
    tokens: PortalTokens = request.app.state.portal_tokens
    body = await read_document(request, LinkBody)
    tenant = check_tenant_id(body.tenant)
    if caller.tenant not in (None, tenant):
        raise ForbiddenError("This key makes links of its own tenant only.", where="tenant")
    if not MIN_LIFE_S <= body.expires_in_s <= MAX_LIFE_S:
        raise BadRequestError(
            f"`expires_in_s` must be from {MIN_LIFE_S} to {MAX_LIFE_S} seconds.",
            where="expires_in_s",
        )
    user = check_text(body.user, "user")
    theme = checked_theme(body.theme)
    token, expires_at, token_id = tokens.sign(
        tenant, life_s=body.expires_in_s, theme=theme, user=user
    )
    details = {"jti": token_id, "expires_at": expires_at, "user": user}
    await services.books_workers.run(
        services.books.note,
        "portal.link",
        tenant,
        details,
        actor=caller.key_id,
        at=services.clock(),
    )
    # The token stands behind the `#`, so that browsers do not send it and no proxy logs it.
    base = (services.settings.public_url or str(request.base_url)).rstrip("/")
    return {"url": f"{base}/portal/#token={token}", "token": token, "expires_at": expires_at}
