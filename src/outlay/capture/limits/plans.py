"""Which lines a call touches: found once for each combination of attribution and model, then kept.

Owns the table of this process's lines. All of it is called under the gate's lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from outlay.capture.guard import warn_once
from outlay.capture.limits import runs
from outlay.capture.limits.lines import Line, Period, local_line, renew_local
from outlay.capture.limits.policy import CREDIT_LIMIT, Policy
from outlay.capture.limits.sales import Buyer
from outlay.capture.limits.steps import Asked
from outlay.capture.scope import MAX_OPEN_SCOPES, Scope
from outlay.core.limits.entitled import denied
from outlay.core.limits.ladder import cap_of
from outlay.core.limits.limit import Limit, amount_now
from outlay.core.limits.subject import Subject, key_text, matches, needs_id, scope_key

MAX_PLANS: Final = 4096
"""Combinations kept; all are dropped when it is full, and found again."""
MAX_LINES: Final = 20_000
"""Lines kept. Past it those that rest are dropped; what they had reported, events make right."""
MAX_LOCAL: Final = 10_000
"""Requests and runs that are counted in this process only."""


class Plan:
    """What holds for one combination: its lines, and what its plan denies."""

    __slots__ = ("buyer", "by_id", "denied", "lines", "subject", "tenant")

    def __init__(self, tenant: str, subject: Subject, denied_: str) -> None:
        self.tenant = tenant
        self.subject = subject
        self.denied = denied_
        self.buyer: Buyer | None = None
        """Whose balance pays, if there is one."""
        self.lines: tuple[Line, ...] = ()
        self.by_id: tuple[tuple[Limit, str, str], ...] = ()
        """Limits of a request or a run, which of the two, and the scope key without its id."""


class Table:
    """The lines of this process and the plans that lead to them."""

    def __init__(self, tenant: str) -> None:
        """Begin with nothing; `tenant` is whose work is done outside any context."""
        self.policy: Policy | None = None
        self.lines: dict[tuple[str, str], Line] = {}
        self.active: dict[Line, None] = {}
        """Lines with something on its way, to report or to give back, in order."""
        self.gone: set[tuple[str, str]] = set()
        """Scopes that the server does not count for this key, though the policy names them."""
        self.ended: list[Period] = []
        """Periods that are over and not yet wholly reported."""
        self._tenant = tenant
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._local: dict[tuple[str, str, str], Line] = {}
        self._born_ms = time.time_ns() // 1_000_000

    def plan(self, asked: Asked) -> Plan:
        """Return what holds for a call."""
        scope = asked.scope
        get = scope.values.get
        names = runs.entitlements(scope)
        key = (
            get("tenant_id"), get("user_id"), get("feature"), get("workflow"), get("agent_path"),
            get("billing_unit_type"), get("billing_unit_id"), _initiator(scope.values),
            asked.model, asked.provider, names,
        )  # fmt: skip
        found = self._plans.get(key)
        if found is None:
            found = self._find(asked, scope.values, names)
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[key] = found
        return found

    def own(self, plan: Plan, scope: Scope, now_us: int) -> list[Line]:
        """Return the lines of a call's own request and run."""
        found = []
        for limit, name, base in plan.by_id:
            ident = scope.values.get(f"{name}_id") or ""
            if ident:
                key = (limit.limit_id, base, ident)
                line = self._local.get(key) or self.lines.get((limit.limit_id, f"{base}{ident}"))
                found.append(line or self._own_line(limit, plan, scope, name, key, now_us))
            elif name == "request":  # it is one of its own
                found.append(self._local_line(limit, plan.subject, now_us))
        return found

    def take(self, policy: Policy, now_us: int) -> None:
        """Go by a new policy; what was used and is held stays."""
        self.policy = policy
        self.gone.clear()
        self._plans.clear()
        known = {limit.limit_id: limit for limit in policy.limits}
        for own, line in list(self._local.items()):
            limit = known.get(own[0])
            if limit is None:
                del self._local[own]
            else:
                amount = amount_now(limit, policy.overrides, line.scope_key, now_us)
                renew_local(line, limit, amount, cap_of(limit, amount))
        for key, line in list(self.lines.items()):
            limit = known.get(line.limit.limit_id)
            if line.limit is CREDIT_LIMIT:
                line.weigh(careful=False)
                continue
            if limit is None:
                self.drop(key, line)
            elif limit != line.limit:
                line.read(limit)

    def drop(self, key: tuple[str, str], line: Line) -> None:
        """Forget a line that is no more."""
        self.lines.pop(key, None)
        self.active.pop(line, None)
        self._plans.clear()

    def lose(self, line: Line) -> None:
        """Forget a line that the server does not know; calls go on without it."""
        if len(self.gone) >= MAX_LINES:
            self.gone.clear()
        for key in [key for key, known in self.lines.items() if known is line]:
            self.gone.add(key)
            self.drop(key, line)

    def touch(self, line: Line) -> None:
        """Have the next sync look at a line."""
        if not line.active and not line.local:
            line.active = True
            self.active[line] = None

    def roll(self, line: Line) -> Period:
        """Begin a line's next period; what is left of the old one is still reported."""
        before = line.roll()
        if before.flying or before.said != (before.reported, before.calls):
            self.ended.append(before)
        self.touch(line)
        return line.now

    def _find(self, asked: Asked, values: Mapping[str, Any], names: tuple[str, ...]) -> Plan:
        policy = self.policy or Policy()
        tenant = values.get("tenant_id") or self._tenant
        unit = values.get("billing_unit_id") or ""
        subject = Subject(
            tenant=tenant,
            plan=policy.plans.get(tenant, ""),
            billing_unit=f"{values.get('billing_unit_type') or ''}:{unit}" if unit else "",
            user=values.get("user_id") or "",
            feature=values.get("feature") or "",
            workflow=values.get("workflow") or "",
            agent=values.get("agent_path") or "",
            model=asked.model,
            provider=asked.provider,
            initiator=_initiator(values),
            request="*",
            run="*",
        )
        plan = Plan(tenant, subject, _denied(policy, subject, names))
        met = [limit for limit in policy.limits if matches(limit, subject)]
        scopes = [(limit, scope_key(limit, subject)) for limit in met if not _own(limit)]
        lines = [self._line(*one) for one in scopes if (one[0].limit_id, one[1]) not in self.gone]
        whose = key_text((("tenant", tenant),))
        if tenant in policy.credits and (CREDIT_LIMIT.limit_id, whose) not in self.gone:
            balance = self._line(CREDIT_LIMIT, whose)
            balance.weigh(careful=balance.careful or any(_strict(limit) for limit in met))
            lines.append(balance)
            plan.buyer = Buyer(policy.sells, tenant, subject.plan, subject.feature)
        plan.lines = tuple(lines)
        plan.by_id = tuple(
            (limit, needs_id(limit), scope_key(limit, subject)) for limit in met if _own(limit)
        )
        return plan

    def _line(self, limit: Limit, scope: str, kept_as: str = "") -> Line:
        key = (limit.limit_id, kept_as or scope)
        line = self.lines.get(key)
        if line is None:
            if len(self.lines) >= MAX_LINES:
                self._make_room()
            line = self.lines[key] = Line(limit, scope)
        return line

    def _own_line(
        self, limit: Limit, plan: Plan, scope: Scope, name: str, key: tuple[str, str, str],
        now_us: int,
    ) -> Line:  # fmt: skip
        subject = replace(plan.subject, **{name: key[2]})
        known = (limit.limit_id, f"{key[1]}{key[2]}") not in self.gone
        if known and not self._made_here(scope, name):
            return self._line(limit, scope_key(limit, subject), f"{key[1]}{key[2]}")
        if len(self._local) >= MAX_LOCAL:
            self._forget_local()
        line = self._local[key] = self._local_line(limit, subject, now_us)
        return line

    def _local_line(self, limit: Limit, subject: Subject, now_us: int) -> Line:
        scope = scope_key(limit, subject)
        raised = self.policy.overrides if self.policy is not None else ()
        amount = amount_now(limit, raised, scope, now_us) if raised else limit.amount
        return local_line(limit, scope, amount, cap_of(limit, amount))

    def _made_here(self, scope: Scope, name: str) -> bool:
        """Tell whether the id of the request or run was made by this process for this scope."""
        ident = scope.values[f"{name}_id"]
        at: Scope | None = scope
        for _ in range(MAX_OPEN_SCOPES):
            if at is None:
                break
            gives = getattr(at.opener, "gives", None)
            if gives is not None and gives(f"{name}_id"):
                return False
            at = at.outer
        try:
            # One from before a fork is the parent's, too.
            return int(ident[:8] + ident[9:13], 16) >= self._born_ms
        except ValueError:
            return False

    def _forget_local(self) -> None:
        idle = [key for key, line in self._local.items() if not line.now.flying]
        for key in idle[: MAX_LOCAL // 4]:
            del self._local[key]
        if not idle:
            warn_once("limits:local", "outlay: more than %d runs at once", MAX_LOCAL)
            self._local.clear()

    def _make_room(self) -> None:
        resting = [key for key, line in self.lines.items() if not line.active]
        for key in resting[: MAX_LINES // 4]:
            del self.lines[key]
        self._plans.clear()
        if not resting:
            warn_once("limits:lines", "outlay: more than %d scopes are in use", MAX_LINES)


def _strict(limit: Limit) -> bool:
    return limit.strict and limit.mode == "enforce"


def _own(limit: Limit) -> bool:
    return limit.window in ("request", "run")


def _denied(policy: Policy, subject: Subject, names: tuple[str, ...]) -> str:
    entitlement = policy.entitlements.get(subject.plan)
    if entitlement is None:
        return ""
    for name in ("", *names):
        why = denied(
            entitlement,
            agent=subject.agent,
            feature=subject.feature,
            model=subject.model,
            name=name,
        )
        if why:
            return why
    return ""


def _initiator(values: Mapping[str, Any]) -> str:
    """Return who began the work; where nobody said, by the rule that enrichment goes by."""
    said = values.get("initiator")
    if said:
        return str(said)
    return "user" if values.get("request_id") or values.get("user_id") else "system"
