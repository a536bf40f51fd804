"""What the endpoints of holds and leases share: bodies, waiting for the authority, refusals.

A key of one tenant holds for that tenant only. Of limits that it shares with others it learns when
they bite, not what the others use.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from fastapi.responses import JSONResponse

from outlay.act.policy import Policy
from outlay.act.standing import Standing, refusal, standing, tenant_of
from outlay.api.auth import Caller
from outlay.api.services import Services
from outlay.core.limits.holds import CounterKey, Hold, Op, Outcome, Stand
from outlay.core.limits.limit import MAX_AMOUNT, Threshold
from outlay.core.limits.refusal import Refusal
from outlay.core.limits.subject import ANY
from outlay.errors import BadRequestError, ForbiddenError, UnavailableError

ANSWER_S: Final = 15.0
"""How long a request waits for the books; what it asked for may be written all the same."""
MAX_ID_CHARACTERS: Final = 128
MAX_TEXT_CHARACTERS: Final = 256
_HINTS: Final = {
    "limit": "Wait for the reset, or ask for a raise of the limit.",
    "credits": "Grant credits to the tenant, or let its balance go lower.",
    "entitlement": "Change the plan of the tenant, or what the plan includes.",
}

Amount = Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS)]
Path = Annotated[str, msgspec.Meta(max_length=1024)]


class AmountsBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a call may use, or used; what is left out is nothing, and credits follow the cost.

    `tokens` are all of them; left out, they are the sum of input and output. `credits` are
    micro-credits.
    """

    cost_nanos: Amount = 0
    tokens: Amount | None = None
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    calls: Amount = 1
    credits: Amount | None = None

    def amounts(self) -> dict[str, int]:
        """Return them by metric."""
        both = self.input_tokens + self.output_tokens
        found = {
            "cost": self.cost_nanos,
            "tokens": both if self.tokens is None else self.tokens,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "calls": self.calls,
        }
        return found if self.credits is None else {**found, "credits": self.credits}


def checked_id(text: str, where: str) -> str:
    """Return an id that a client chose, if it is one.

    Raises:
        BadRequestError: it is empty, too long, or holds what cannot be printed.
    """
    if not 0 < len(text) <= MAX_ID_CHARACTERS or not text.isprintable():
        raise BadRequestError(
            f"`{where}` must be 1 to {MAX_ID_CHARACTERS} printable characters.", where=where
        )
    return text


def own_tenant(caller: Caller, tenant: str) -> str:
    """Return the tenant that a caller speaks for; its key's, where it names none.

    Raises:
        ForbiddenError: the key is bound to another tenant.
    """
    if caller.tenant is None:
        return tenant
    if tenant not in ("", caller.tenant):
        raise ForbiddenError("This key may only hold for its own tenant.")
    return caller.tenant


async def policy_of(services: Services) -> Policy:
    """Return the policy in force, off the event loop where the books have to be asked."""
    policy = services.policy.ready()
    if policy is None:
        policy = await services.books_workers.run(services.policy.current)
    return policy


async def outcome_of(services: Services, op: Op) -> Outcome:
    """Let the authority write an operation and return its answer.

    Raises:
        UnavailableError: it is too busy, or the books cannot write.
        BadRequestError: the books cannot take what it says.
    """
    waiting = asyncio.wrap_future(services.authority.submit([op]))
    try:
        outcome = (await asyncio.wait_for(waiting, ANSWER_S))[0]
    except TimeoutError as error:
        raise UnavailableError("The books take too long to answer.") from error
    if outcome.status == "failed":
        raise BadRequestError("An id or an amount is not one that can be kept.", where="body")
    return outcome


def tenant_of_counter(policy: Policy, key: CounterKey) -> str:
    """Return the tenant that a counter is of: by its scope, or by the limit if it is of one only.

    "" where several may share it.
    """
    named = tenant_of(key.scope_key)
    limit = policy.limit(key.limit_id)
    if named or limit is None:
        return named
    listed = [part.values for part in limit.scope if part.field == "tenant"]
    if len(listed) != 1 or len(listed[0]) != 1 or listed[0][0].endswith(ANY):
        return ""
    return listed[0][0]


def tenants_of(policy: Policy, hold: Hold) -> set[str]:
    """Return the tenants that the counters of a hold or lease are of."""
    return {tenant_of_counter(policy, line.key) for line in hold.lines.values()} - {""}


def is_shared(policy: Policy, key: CounterKey, caller: Caller) -> bool:
    """Tell whether a counter is not the caller's alone."""
    return caller.tenant is not None and tenant_of_counter(policy, key) != caller.tenant


def stand_for(policy: Policy, stand: Stand, at: int, caller: Caller) -> Standing:
    """Return how a counter stands, as far as the caller may know."""
    return standing(policy, stand, at, coarse=is_shared(policy, stand.key, caller))


def stands_answer(
    policy: Policy, outcome: Outcome, at: int, caller: Caller
) -> list[dict[str, Any]]:
    """Return how the counters of an outcome stand, for people and programs."""
    return [_shown(stand_for(policy, stand, at, caller)) for stand in outcome.stands]


def _shown(one: Standing) -> dict[str, Any]:
    return {
        "limit": one.key.limit_id,
        "scope": one.key.scope_key,
        "metric": one.metric,
        "mode": one.mode,
        "used": one.used,
        "held": one.held,
        "amount": one.amount,
        "left": one.left,
        "resets_at": one.resets_at,
        "actions": [_rung(rung) for rung in one.actions],
    }


def _rung(rung: Threshold) -> dict[str, Any]:
    said: dict[str, Any] = {"at_ppm": rung.at_ppm, "action": rung.action}
    if rung.action == "throttle":
        said["delay_ms"] = rung.delay_ms
    if rung.models:
        said["models"] = dict(rung.models)
    return said


def refused_by(
    policy: Policy, outcome: Outcome, at: int, caller: Caller, needs: dict[str, int]
) -> Refusal:
    """Return the refusal of the counter that counts: what is used up before what is only held.

    Of several the limit with the lowest priority number is named. `needs` is what was asked, by
    counter id.
    """
    bad = [stand for stand in outcome.stands if stand.verdict != "ok"]
    first = min(bad, key=lambda s: (s.verdict != "over", policy.rank(s.key.limit_id)))
    return refusal(
        policy,
        first,
        at,
        need=needs.get(first.key.counter_id, 0),
        coarse=is_shared(policy, first.key, caller),
    )


def refused(found: Refusal) -> JSONResponse:
    """Return the answer to a call that a limit, a balance or a plan refuses."""
    said = found.as_dict()
    error = {
        "code": found.code,
        "message": found.message,
        "hint": _HINTS.get(found.reason, ""),
        "limit": said.pop("limit_id"),
        "scope": said.pop("scope_key"),
        **{name: value for name, value in said.items() if name not in ("code", "message")},
    }
    headers = {"retry-after": str(max(1, found.retry_after_s))} if found.verdict == "busy" else {}
    return JSONResponse({"error": error}, 402, headers)
