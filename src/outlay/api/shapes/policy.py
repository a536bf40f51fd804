"""Shapes of the policy that processes enforce by."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from outlay.api.shape import Shape
from outlay.api.shapes.limits import Entitlement, Limit
from outlay.api.shapes.units import LimitAmount, Micros


class PolicyOverride(Struct):
    """Another amount for a time; `scope` empty: for all scopes."""

    id: str
    scope: str
    amount: LimitAmount
    starts_at: Micros
    ends_at: Micros


class PolicyLimit(Limit, kw_only=True):
    """A limit with its overrides; addresses of webhooks are hidden."""

    overrides: list[PolicyOverride]


class PolicyTenant(Struct):
    """A tenant's plan, and whether credits limit it."""

    plan: str
    credits: bool


class PolicySell(Struct):
    """A rule of credits; what is not said is absent."""

    id: str
    unit: str
    per_million: int | UnsetType = UNSET
    tenant: str | UnsetType = UNSET
    plan: str | UnsetType = UNSET
    feature: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    valid_from: Micros | UnsetType = UNSET
    valid_to: Micros | UnsetType = UNSET


class Policy(Struct):
    """What SDKs enforce by; `…_cut`: there is more than is told."""

    revision: str
    limits: list[PolicyLimit]
    entitlements: list[Entitlement]
    tenants: dict[str, PolicyTenant]
    tenants_cut: bool
    sells: list[PolicySell]
    sells_cut: bool


SHAPES: Final[dict[str, Shape]] = {"GET /v1/limits/policy": Shape(Policy)}
