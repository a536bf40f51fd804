"""Who uses the demo application, and for what: twelve tenants of a document-AI product.

Use is skewed as in real products: the three largest tenants make about 70 % of the actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class DemoTenant:
    """A customer: `share` is its part of all actions, in percent."""

    tenant_id: str
    name: str
    plan: str
    tier: str
    contract_type: str
    share: int
    users: int
    workspaces: int
    region: str

    def as_request(self) -> dict[str, Any]:
        """Return the body that registers it at `POST /v1/tenants`."""
        return {
            "tenant_id": self.tenant_id,
            "name": self.name,
            "plan": self.plan,
            "tier": self.tier,
            "contract_type": self.contract_type,
        }


@dataclass(frozen=True, slots=True)
class Feature:
    """A product surface: `share` is its part of all actions, in percent."""

    name: str
    workflow: str
    service: str
    initiator: str
    share: int


TENANTS: Final = (
    DemoTenant("acme", "Acme Insurance", "enterprise", "gold", "committed", 36, 40, 6, "us"),
    DemoTenant("globex", "Globex Legal", "enterprise", "gold", "committed", 21, 25, 4, "eu"),
    DemoTenant("initech", "Initech Software", "enterprise", "silver", "committed", 13, 18, 3, "us"),
    DemoTenant("umbrella", "Umbrella Health", "business", "silver", "usage", 7, 12, 2, "eu"),
    DemoTenant("hooli", "Hooli Research", "business", "silver", "usage", 6, 9, 2, "apac"),
    DemoTenant("stark", "Stark Engineering", "business", "bronze", "usage", 5, 8, 2, "eu"),
    DemoTenant("wayne", "Wayne Properties", "business", "bronze", "usage", 4, 6, 1, "us"),
    DemoTenant("wonka", "Wonka Foods", "team", "bronze", "usage", 3, 4, 1, "eu"),
    DemoTenant("tyrell", "Tyrell Robotics", "team", "bronze", "usage", 2, 3, 1, "apac"),
    DemoTenant("soylent", "Soylent Retail", "team", "bronze", "prepaid", 1, 2, 1, "us"),
    DemoTenant("cyberdyne", "Cyberdyne Labs", "free", "none", "prepaid", 1, 1, 1, "us"),
    DemoTenant("oscorp", "Oscorp Pilot", "free", "none", "trial", 1, 1, 1, "us"),
)

RESEARCH: Final = Feature("research-report", "report", "conversation", "user", 26)
SUPPORT: Final = Feature("support-chat", "chat", "conversation", "user", 24)
CONTRACTS: Final = Feature("contract-review", "review", "conversation", "user", 20)
CODE: Final = Feature("code-review", "review", "code", "user", 14)
DIGEST: Final = Feature("weekly-digest", "report", "conversation", "system", 8)
INDEX: Final = Feature("index-refresh", "index", "code", "system", 8)

FEATURES: Final = (RESEARCH, SUPPORT, CONTRACTS, CODE, DIGEST, INDEX)

_TENANT_EDGES = tuple(accumulate(t.share for t in TENANTS))
_FEATURE_EDGES = tuple(accumulate(f.share for f in FEATURES))


def tenant_at(fraction: float) -> DemoTenant:
    """Return the tenant that a fraction in [0, 1) of the traffic falls on."""
    return TENANTS[_place(_TENANT_EDGES, fraction)]


def feature_at(fraction: float) -> Feature:
    """Return the feature that a fraction in [0, 1) of the traffic falls on."""
    return FEATURES[_place(_FEATURE_EDGES, fraction)]


def _place(edges: tuple[int, ...], fraction: float) -> int:
    return next(i for i, edge in enumerate(edges) if fraction * edges[-1] < edge)
