"""Who calls the gateway tests' provider, and what each owes: accounts, requests seen, charges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.acceptance import gateway_aws
from tests.acceptance.gateway_reply import Asked, Reply

DIRECT: Final = "direct"
GATEWAY: Final = "gateway"
KEYS: Final = {DIRECT: "sk-own-direct", GATEWAY: "sk-own-gateway"}
ACCESS_KEYS: Final = {DIRECT: "AKIAOWNDIRECT0000001", GATEWAY: "AKIAOWNGATEWAY000001"}
SECRET_KEYS: Final = {DIRECT: "own-direct-secret", GATEWAY: "own-gateway-secret"}


@dataclass
class Seen:
    """One request as it arrived: what a gateway has to leave as it was, and what it may change."""

    account: str
    method: str
    target: str
    """Path and query as they came."""
    headers: list[tuple[str, str]]
    body: bytes
    parts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass
class Charge:
    """One attempt that costs money or failed, and what is owed for it so far."""

    account: str
    provider: str
    model: str
    reply: Reply
    failed: bool = False
    sent: int = 0
    """Characters of the answer that were sent."""
    whole: bool = False
    ended: bool = False

    @property
    def usage(self) -> Mapping[str, int]:
        if self.failed:
            return {}
        return dict(self.reply.usage or {}) if self.whole else self.reply.cut(self.sent)


@dataclass(frozen=True)
class Line:
    """What one provider charges for one model."""

    attempts: int
    nanos: int
    input: int
    output: int


def account_of(name: str, asked: Asked, target: str) -> tuple[str, str]:
    """Return whose request it is, or why nobody's.

    Args:
        name: of the wire.
        asked: the request.
        target: its path and query as they came.
    """
    headers = asked.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    shown = {
        "anthropic": headers.get("x-api-key") or bearer,
        "google": headers.get("x-goog-api-key"),
        "azure": headers.get("api-key"),
    }.get(name, bearer)
    for account, key in KEYS.items():
        if shown == key:
            return account, ""
    if name == "bedrock":
        signer = gateway_aws.access_key(headers.get("authorization", ""))
        for account, key in ACCESS_KEYS.items():
            if signer == key:
                url = f"http://{headers['host']}{target}"
                problem = gateway_aws.signature_problem(
                    asked.method, url, headers, asked.body, SECRET_KEYS[account]
                )
                return ("" if problem else account), problem
    return "", "The credential is not known."
