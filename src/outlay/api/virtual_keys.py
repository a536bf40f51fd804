"""Virtual keys over HTTP: people make, rotate and revoke them; gateways follow what changes.

A secret is shown once, in the answer that makes it. Only the feed of the gateways tells hashes. A
key that is bound to a tenant sees and changes that tenant's virtual keys only.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from outlay.api.admin import moment
from outlay.api.auth import SECRET_BYTES, Caller, needs
from outlay.api.body import read_document
from outlay.api.services import Services
from outlay.core.virtual_keys import PREFIX, Priority, VirtualKey, key_document
from outlay.errors import ForbiddenError, NotFoundError, UnavailableError
from outlay.store.virtual_keys import MAX_GRACE_S, TOPIC, KeyTerms

POLL_S: Final = 0.04
"""How often a long poll looks. A change that another process made is seen after twice that."""
MAX_WAIT_S: Final = 60.0
MAX_WAITING: Final = 512
"""Long polls at the same time; more are told to come back."""
PAGE: Final = 1000
"""Keys in one answer of the feed."""
MAX_LISTED: Final = 10_000
MAX_REVISION: Final = 2**53 - 1

router = APIRouter()
Operator = Annotated[Caller, Depends(needs("admin", "operate"))]
Gateway = Annotated[Caller, Depends(needs("gateway"))]
Grace = Annotated[int, Query(ge=0, le=MAX_GRACE_S)]


class VirtualKeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A key to make; what is left out means any, or is not said."""

    name: str
    tenant_id: str | None = None
    feature: str = ""
    agent: str = ""
    workspace: str = ""
    initiator: str = ""
    upstreams: list[str] = []
    models: list[str] = []
    priority: Priority = ""
    expires_at: int | str | None = None


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    """How a key is rotated; `expires_at` is the new one's, by default that of the old one."""

    grace_s: Annotated[int, msgspec.Meta(ge=0, le=MAX_GRACE_S)] = 0
    expires_at: int | str | None = None


class KeyWatch:
    """The revision of the keys, for the long polls of all gateways. Read by one of them at a time.

    Args:
        ticks: seconds that only grow.
    """

    def __init__(self, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._reading = False
        self._revision = -1
        self._waiting = 0
        self.ending = False

    def expire(self) -> None:
        """Look again at once: this process has changed something."""
        self._asked_at = float("-inf")

    def stop(self) -> None:
        """Let every long poll answer now: the server is ending."""
        self.ending = True

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place to wait in.

        Raises:
            UnavailableError: there is none.
        """
        if self._waiting >= MAX_WAITING:
            raise UnavailableError("Too many gateways wait for keys.")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def moved(self, services: Services, after: int, wait_s: float) -> bool:
        """Wait until the revision is above `after`; false if time passed or the server ends."""
        until = self._ticks() + wait_s
        while await self._now(services) <= after:
            left = until - self._ticks()
            if left <= 0 or self.ending:
                return False
            await asyncio.sleep(min(POLL_S, left))
        return True

    async def _now(self, services: Services) -> int:
        if self._claimed():
            try:
                run = services.books_workers.run
                self._revision = await run(services.books.revision, TOPIC)
            finally:
                self._reading = False
        return self._revision

    def _claimed(self) -> bool:
        with self._lock:
            now = self._ticks()
            if self._reading or now - self._asked_at < POLL_S:
                return False
            self._reading, self._asked_at = True, now
            return True


@router.post("/v1/virtual-keys")
async def create(request: Request, caller: Operator) -> JSONResponse:
    """Make a key; `secret` is shown this once. Its tenant need not be known yet."""
    services: Services = request.app.state.services
    body = await read_document(request, VirtualKeyBody)
    _check_tenant(caller, body.tenant_id)
    terms = KeyTerms(
        body.name, body.tenant_id, body.feature, body.agent, body.workspace, body.initiator,
        tuple(body.upstreams), tuple(body.models), body.priority,
        moment(body.expires_at, "expires_at"),
    )  # fmt: skip
    secret = _new_secret()
    made = await services.books_workers.run(
        services.books.create_virtual_key,
        terms,
        secret=secret,
        actor=caller.key_id,
        at=services.clock(),
    )
    _watch(request).expire()
    return JSONResponse({"virtual_key": _shown(made), "secret": secret}, 201)


@router.get("/v1/virtual-keys")
async def listed(
    request: Request,
    caller: Operator,
    tenant: Annotated[str, Query(max_length=256)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 1000,
    *,
    usable: bool = False,
) -> dict[str, Any]:
    """List the keys, the newest first, without secrets; `usable` leaves out those of no use."""
    services: Services = request.app.state.services
    named = tenant or None
    if caller.tenant is not None:
        if tenant not in ("", caller.tenant):
            return {"virtual_keys": []}
        named = caller.tenant
    found = await services.books_workers.run(
        services.books.virtual_keys,
        tenant_id=named,
        usable_at=services.clock() if usable else None,
        limit=limit,
    )
    return {"virtual_keys": [_shown(key) for key in found]}


@router.delete("/v1/virtual-keys/{key_id}")
async def revoke(
    request: Request, key_id: str, caller: Operator, grace_s: Grace = 0
) -> dict[str, Any]:
    """Revoke a key: every gateway refuses it within moments, or after a grace time."""
    services: Services = request.app.state.services

    def write() -> VirtualKey:
        _check_own(services, caller, key_id)
        at = services.clock()
        return services.books.revoke_virtual_key(
            key_id, actor=caller.key_id, at=at, revoked_at=at + grace_s * 1_000_000
        )

    revoked = await services.books_workers.run(write)
    _watch(request).expire()
    return {"virtual_key": _shown(revoked)}


@router.post("/v1/virtual-keys/{key_id}/rotate")
async def rotate(request: Request, key_id: str, caller: Operator) -> JSONResponse:
    """Make a new secret with the same terms; the old one works `grace_s` longer."""
    services: Services = request.app.state.services
    body = await read_document(request, RotateBody)
    secret = _new_secret()

    def write() -> tuple[VirtualKey, VirtualKey]:
        _check_own(services, caller, key_id)
        return services.books.rotate_virtual_key(
            key_id,
            secret=secret,
            grace_us=body.grace_s * 1_000_000,
            actor=caller.key_id,
            at=services.clock(),
            expires_at=moment(body.expires_at, "expires_at"),
        )

    new, old = await services.books_workers.run(write)
    _watch(request).expire()
    answer = {"virtual_key": _shown(new), "replaced": _shown(old), "secret": secret}
    return JSONResponse(answer, 201)


@router.get("/v1/virtual-keys/feed")
async def feed(
    request: Request,
    caller: Gateway,
    after: Annotated[int, Query(ge=0, le=MAX_REVISION)] = 0,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
) -> Response:
    """Tell a gateway which keys changed after a revision, waiting until there are some.

    `after` in the answer is 0 when the keys are all there are, though more was asked for.
    """
    services: Services = request.app.state.services
    changes, run = services.books.virtual_key_changes, services.books_workers.run
    found = await run(changes, after, limit=PAGE, tenant_id=caller.tenant)
    if wait_s and not found.keys and found.after == after:
        watch = _watch(request)
        with watch.place():
            moved = await watch.moved(services, found.revision, wait_s)
        if moved:
            found = await run(changes, found.revision, limit=PAGE, tenant_id=caller.tenant)
    answer = {
        "now": services.clock(),
        "after": found.after,
        "revision": found.revision,
        "keys": [key_document(key) for key in found.keys],
        "complete": found.complete,
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _watch(request: Request) -> KeyWatch:
    watch: KeyWatch = request.app.state.key_watch
    return watch


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _shown(key: VirtualKey) -> dict[str, Any]:
    return {name: value for name, value in asdict(key).items() if name != "secret_hash"}


def _check_tenant(caller: Caller, tenant: str | None) -> None:
    if caller.tenant is not None and tenant != caller.tenant:
        raise ForbiddenError(
            "This key makes virtual keys of its own tenant only.", where="tenant_id"
        )


def _check_own(services: Services, caller: Caller, key_id: str) -> None:
    """Check that a key is one that the caller may know of."""
    if caller.tenant is None:
        return
    key = services.books.virtual_key(key_id)
    if key is None or key.tenant_id != caller.tenant:
        raise NotFoundError("There is no such virtual key.", where="key_id")
