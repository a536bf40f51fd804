"""Links into the portal of a site, made by hand as any backend would, and what there is to see."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from outlay.core.limits.holds import Need, Reserve
from outlay.core.limits.limit import Limit
from outlay.core.limits.period import counter_key
from outlay.store.limits import LimitChange
from tests.unit.api.site import NOW, Site

SECRET = "s" * 32
NOW_S = NOW // 1_000_000


def claims(**said: Any) -> dict[str, Any]:
    """Return the claims of a good token for acme; a claim that is `None` is left out."""
    usual = {"aud": "outlay-portal", "sub": "acme", "iat": NOW_S, "exp": NOW_S + 900, "jti": "x"}
    return {name: value for name, value in {**usual, **said}.items() if value is not None}


def token(
    body: dict[str, Any] | None = None, *, secret: str = SECRET, hashed: str = "sha256",
    **header: Any,
) -> str:  # fmt: skip
    """Sign claims without any library."""
    head = {"alg": "HS256", "typ": "JWT", **header}
    parts = [_encoded(json.dumps(part).encode()) for part in (head, body or claims())]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashed).digest()
    return ".".join((*parts, _encoded(signature)))


def unsigned(body: dict[str, Any] | None = None, alg: str = "none") -> str:
    """Return a token that claims to need no signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": alg}, body or claims())]
    return ".".join((*map(_encoded, parts), ""))


def put_limits(site: Site, *limits: Limit) -> None:
    """Write limits, and let the server see them."""
    site.books.change_limits(LimitChange(limits), reason="r", actor="boss@host", at=1)
    site.services.policy.expire()


def spend(site: Site, limit: Limit, scope_key: str, used: int) -> None:
    """Hold so much of a scope of a limit, under a name that says which."""
    key = counter_key(limit, scope_key, NOW)
    need = Need(key, limit.metric, used, 10**17)
    name = f"h-{limit.limit_id}-{scope_key}"
    site.books.apply([Reserve(name, "o", (need,), NOW, NOW + 10**9)])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
