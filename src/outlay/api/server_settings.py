"""The server as it is set up, and its gateway, for people who run it. No secret is shown.

What the gateway in this process tells of itself comes from `app.state.gateway_state`: the API does
not know gateways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request

from outlay.api.auth import Caller, needs
from outlay.api.services import Services
from outlay.config import KEYS, Setting

GatewayState = Callable[[], dict[str, Any]]

NO_GATEWAY: Final[dict[str, Any]] = {"on": False, "upstreams": [], "aliases": [], "parts": {}}
"""What is told where no gateway runs in this process."""

_END_OF_HOST: Final = re.compile(r"[/?#]")
_END_OF_PATH: Final = re.compile(r"[?#]")

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
Operator = Annotated[Caller, Depends(needs("admin", "operate"))]


@router.get("/v1/settings")
async def settings(request: Request, caller: Admin) -> dict[str, Any]:
    """List the server's settings as they are in force."""
    del caller
    services: Services = request.app.state.services
    shown = (
        _shown(setting, getattr(services.settings, setting.name))
        for setting in KEYS.values()
        if setting.group == "server"
    )
    return {"settings": list(shown)}


@router.get("/v1/gateway")
async def gateway(request: Request, caller: Operator) -> dict[str, Any]:
    """Show the gateway in this process: its upstreams, and how each of them is."""
    del caller
    # On the event loop, which the gateway runs on as well: nothing moves meanwhile.
    told: GatewayState | None = request.app.state.gateway_state
    return dict(NO_GATEWAY) if told is None else told()


def bare_url(text: str) -> str:
    """Return a text; of a URL only what cannot be secret: scheme, host and path."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    authority = _END_OF_HOST.split(rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" in behind:  # a password may hold what ends a host elsewhere
        return f"{scheme}://…"
    path = _END_OF_PATH.split(behind, maxsplit=1)[0]
    return f"{scheme}://{authority.rpartition('@')[2]}{path}"


def _shown(setting: Setting, value: Any) -> dict[str, Any]:
    shown: Any = dict(value) if isinstance(value, Mapping) else value
    if isinstance(value, str):
        shown = bare_url(value)
    return {
        "name": setting.name,
        "value": None if setting.secret else shown,
        "set": value != setting.default,
        "meaning": setting.meaning,
        "env": setting.env,
        "secret": setting.secret,
    }
