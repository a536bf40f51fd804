"""Who calls: what a virtual key and a signed context say together, and whom nobody lets in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from outlay.capture.events import Defaults, attribution
from outlay.capture.retries import Failure, owner
from outlay.core.envelope import TTL_S, seal, secret_id
from outlay.core.event import MAX_LABELS
from outlay.core.virtual_keys import MAX_SECRET_CHARACTERS, VirtualKey, secret_hash
from outlay.gateway.config import GatewayConfig
from outlay.gateway.identity import MAX_KNOWN, MAX_MEMORIES, Caller, Callers
from outlay.gateway.problems import Problem

SECRET = "0123456789abcdef-one"
OTHER = "0123456789abcdef-two"
NOW = 1_800_000_000_000_000
ACME = "ov_of-acme"
SERVICE = "ov_of-a-service"
CONFIG = GatewayConfig({})
UNATTRIBUTED = GatewayConfig({}, unknown_tenant="unattributed")


class Table:
    """Keys by the hash of their secrets."""

    def __init__(self) -> None:
        self.rows: dict[str, VirtualKey] = {}

    def put(self, secret: str, key_id: str = "", **more: Any) -> VirtualKey:
        key = VirtualKey(key_id or secret[3:], "a key", secret_hash(secret), **more)
        self.rows[key.secret_hash] = key
        return key

    def find(self, secret: str) -> VirtualKey | None:
        return self.rows.get(secret_hash(secret))


@pytest.fixture
def table() -> Table:
    made = Table()
    made.put(ACME, tenant_id="acme")
    made.put(SERVICE)
    return made


@pytest.fixture
def callers(table: Table) -> Callers:
    return Callers(table, [SECRET])


def find(callers: Callers, key: str = ACME, baggage: str = "", **more: Any) -> Caller:
    headers = [(b"x-api-key", key.encode())]
    if baggage:
        headers.append((b"baggage", f"a=1,outlay={baggage}".encode("latin-1")))
    headers += more.pop("headers", [])
    told: dict[str, Any] = {"config": CONFIG, "at": NOW, "fresh": True, **more}
    return callers.find(headers, b"", **told)


def refused(callers: Callers, **more: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        find(callers, **more)
    told_ = str(caught.value.as_dict())
    assert str(more.get("key", ACME)) not in told_
    assert str(more.get("baggage") or "nothing") not in told_
    return caught.value


def told(values: Mapping[str, str] | None = None, secret: str = SECRET, **more: Any) -> str:
    labels = more.pop("labels", {})
    return seal(values or {"tenant_id": "acme"}, labels, secret=secret, now=NOW, **more)


# -- the key ---------------------------------------------------------------------------------------


def test_a_tenants_key_says_the_tenant(callers: Callers) -> None:
    caller = find(callers)
    assert caller.scope.values == {"tenant_id": "acme", "tenant_source": "key"}
    assert caller.scope.labels == {"virtual_key": "of-acme"}
    assert (caller.carrier, caller.passes_credential, caller.context) == ("x-api-key", False, "")
    assert caller.priority == "interactive"


def test_a_key_says_what_it_is_bound_to(table: Table, callers: Callers) -> None:
    key = table.put(
        "ov_k", tenant_id="t", feature="f", agent="a/b", workspace="w", initiator="system"
    )
    caller = find(callers, "ov_k")
    assert caller.key is key
    assert caller.scope.values == {
        "tenant_id": "t", "tenant_source": "key", "feature": "f", "agent_path": "a/b",
        "workspace_id": "w", "initiator": "system",
    }  # fmt: skip
    assert caller.priority == "background", "the system's work waits for people's"


@pytest.mark.parametrize(
    ("priority", "initiator", "becomes"),
    [
        ("", "", "interactive"), ("", "user", "interactive"), ("", "system", "background"),
        ("interactive", "system", "interactive"), ("background", "user", "background"),
    ],
)  # fmt: skip
def test_what_a_key_says_of_priority_goes_before_who_began(
    table: Table, callers: Callers, priority: str, initiator: str, becomes: str
) -> None:
    table.put("ov_k", tenant_id="t", priority=priority, initiator=initiator)
    assert find(callers, "ov_k").priority == becomes


def test_without_a_key_nobody_is_let_in(callers: Callers) -> None:
    problem = refused(callers, key="sk-live")
    assert (problem.status, problem.code) == (401, "no_key")
    assert "no key of the gateway's" in problem.hint
    with pytest.raises(Problem) as caught:
        callers.find([], b"", config=CONFIG, at=NOW, fresh=True)
    assert caught.value.code == "no_key"
    assert "outlay-key" in caught.value.hint


@pytest.mark.parametrize(
    "key", ["ov_nobody", "ov_" + "x" * MAX_SECRET_CHARACTERS, "ov_", "ov_\u00e9"]
)
def test_an_unknown_key_is_refused(callers: Callers, key: str) -> None:
    with pytest.raises(Problem) as caught:
        callers.find([(b"api-key", key.encode())], b"", config=CONFIG, at=NOW, fresh=True)
    assert (caught.value.status, caught.value.code) == (401, "unknown_key")


def test_the_longest_key_is_looked_for(table: Table, callers: Callers) -> None:
    longest = "ov_" + "x" * (MAX_SECRET_CHARACTERS - 3)
    table.put(longest, tenant_id="t")
    assert find(callers, longest).scope.values["tenant_id"] == "t"


def test_only_a_key_of_ours_is_taken_from_our_own_header(callers: Callers) -> None:
    problem = refused(callers, headers=[(b"outlay-key", b"sk-live")])
    assert problem.code == "unknown_key"


@pytest.mark.parametrize(("field", "code"), [("revoked_at", "revoked"), ("expires_at", "expired")])
def test_a_key_is_of_use_until_it_ends(
    table: Table, callers: Callers, field: str, code: str
) -> None:
    ends: dict[str, Any] = {field: NOW + 1}
    table.put("ov_k", tenant_id="t", **ends)
    assert find(callers, "ov_k").key.key_id == "k"
    problem = refused(callers, key="ov_k", at=NOW + 1)
    assert (problem.status, problem.code) == (401, f"key_{code}")
    assert "`k`" in problem.message


def test_a_key_that_was_changed_counts_at_once(table: Table, callers: Callers) -> None:
    assert find(callers).scope.values["tenant_id"] == "acme"
    table.put(ACME, tenant_id="acme", feature="only-this")
    assert find(callers).scope.values["feature"] == "only-this"
    table.put(ACME, tenant_id="acme", revoked_at=NOW)
    assert refused(callers).code == "key_revoked"
    table.rows.clear()
    assert refused(callers).code == "unknown_key"


def test_while_it_is_not_known_which_keys_are_good_nobody_is_let_in(callers: Callers) -> None:
    problem = refused(callers, fresh=False)
    assert (problem.status, problem.code) == (503, "keys_stale")
    assert problem.retry_after_s
    assert refused(callers, key="ov_nobody", fresh=False).code == "keys_stale", "it may be new"


def test_a_client_may_send_the_providers_key_beside_ours(callers: Callers) -> None:
    ours, theirs = (b"outlay-key", ACME.encode()), (b"authorization", b"Bearer sk-live")
    for headers, passes in (
        ([ours, theirs], True),
        ([ours], False),
        ([ours, (b"authorization", b"Bearer " + SERVICE.encode()), theirs], False),
        ([theirs, (b"x-api-key", ACME.encode())], False),
    ):
        caller = callers.find(headers, b"", config=CONFIG, at=NOW, fresh=True)
        assert caller.key.tenant_id == "acme"
        assert caller.passes_credential is passes


# -- the context -----------------------------------------------------------------------------------


def test_a_services_key_takes_the_tenant_of_a_signed_context(callers: Callers) -> None:
    values = {
        "tenant_id": "acme", "user_id": "u1", "request_id": "r1", "trace_id": "a" * 32,
        "run_id": "run1", "agent_path": "boss/web", "span_id": "b" * 16, "initiator": "system",
        "service": "api", "environment": "prod",
    }  # fmt: skip
    caller = find(callers, SERVICE, told(values, labels={"team": "core", "virtual_key": "mine"}))
    assert caller.scope.values == {
        **values, "tenant_source": "request", "context_key_id": secret_id(SECRET),
    }  # fmt: skip
    assert caller.scope.labels == {"virtual_key": "of-a-service", "team": "core"}
    assert (caller.context, caller.priority) == ("verified", "background")


def test_its_events_say_that_the_context_was_signed(callers: Callers) -> None:
    scope = find(callers, SERVICE, told()).scope
    text = attribution(scope, Defaults(service="gateway"))
    assert '"context_verified":true' in text
    assert f'"context_key_id":"{secret_id(SECRET)}"' in text
    assert '"service":"gateway"' in text
    assert "context_verified" not in attribution(find(callers).scope, Defaults())


@pytest.mark.parametrize(
    ("baggage", "context", "hint"),
    [
        ("", "", "carries none"),
        (told({"feature": "f"}), "verified", "names no tenant"),
        (told(secret=OTHER), "unknown_secret", "does not have"),
        ("tenant=acme", "malformed", "damaged"),
        (told(secret=OTHER).replace(secret_id(OTHER), secret_id(SECRET)), "bad_signature", "hold"),
        (seal({"tenant_id": "acme"}, {}, secret=SECRET, now=10**15), "expired", "too old"),
        (seal({"tenant_id": "acme"}, {}, secret=SECRET, now=2 * 10**15), "not_yet", "clocks"),
    ],
    ids=["none", "no tenant", "another secret", "plain text", "forged", "old", "ahead"],
)
def test_a_context_that_does_not_hold_gives_no_tenant(
    callers: Callers, baggage: str, context: str, hint: str
) -> None:
    problem = refused(callers, key=SERVICE, baggage=baggage)
    assert (problem.status, problem.code) == (403, "no_tenant")
    assert hint in problem.hint
    caller = find(callers, SERVICE, baggage, config=UNATTRIBUTED)
    assert "tenant_id" not in caller.scope.values
    assert "tenant_source" not in caller.scope.values
    assert '"tenant_id":"unattributed"' in attribution(caller.scope, Defaults())
    assert caller.context == context


def test_without_a_secret_no_context_holds(table: Table) -> None:
    problem = refused(Callers(table), key=SERVICE, baggage=told())
    assert problem.code == "no_tenant"
    assert "no `context_secret`" in problem.hint
    assert find(Callers(table), ACME, told()).context == "no_secret"


def test_any_of_the_secrets_may_have_signed(table: Table) -> None:
    callers = Callers(table, [OTHER, SECRET])
    for secret in (SECRET, OTHER):
        caller = find(callers, SERVICE, told(secret=secret))
        assert caller.scope.values["context_key_id"] == secret_id(secret)


def test_a_context_is_not_believed_longer_for_having_been_believed(callers: Callers) -> None:
    baggage, end = told(), NOW + TTL_S * 1_000_000
    assert find(callers, SERVICE, baggage, at=end - 1).context == "verified"
    assert refused(callers, key=SERVICE, baggage=baggage, at=end).code == "no_tenant"


def test_a_tenants_key_never_takes_another_tenant(callers: Callers) -> None:
    problem = refused(callers, baggage=told({"tenant_id": "other", "user_id": "u1"}))
    assert (problem.status, problem.code) == (403, "tenant_mismatch")
    unsigned = find(callers, ACME, told({"tenant_id": "other", "user_id": "u1"}, secret=OTHER))
    assert unsigned.scope.values == {"tenant_id": "acme", "tenant_source": "key"}
    assert unsigned.context == "unknown_secret"


def test_a_tenants_key_takes_the_rest_of_its_context(callers: Callers) -> None:
    for values in ({"tenant_id": "acme", "user_id": "u1"}, {"user_id": "u1"}):
        found = find(callers, ACME, told(values)).scope.values
        assert found["user_id"] == "u1"
        assert (found["tenant_id"], found["tenant_source"]) == ("acme", "key")
        assert found["context_key_id"] == secret_id(SECRET)


def test_what_a_key_is_bound_to_goes_before_its_context(table: Table, callers: Callers) -> None:
    table.put("ov_k", feature="f", workspace="w", initiator="user", agent="boss")
    values = {
        "tenant_id": "acme", "feature": "x", "workspace_id": "y", "initiator": "system",
        "workflow": "wf",
    }  # fmt: skip
    found = find(callers, "ov_k", told(values)).scope.values
    assert (found["feature"], found["workspace_id"]) == ("f", "w")
    assert (found["initiator"], found["workflow"]) == ("user", "wf")


@pytest.mark.parametrize(
    ("bound", "told_", "path"),
    [
        ("boss", "", "boss"), ("boss", "boss", "boss"), ("boss", "boss/web", "boss/web"),
        ("boss", "bossy", "boss/bossy"), ("boss", "other/web", "boss/other/web"),
        ("boss/web", "boss", "boss/web/boss"), ("", "other/web", "other/web"),
        ("boss", "x" * 256, "boss/" + "x" * 251),
    ],
)  # fmt: skip
def test_work_with_a_key_of_an_agent_is_at_or_below_it(
    table: Table, callers: Callers, bound: str, told_: str, path: str
) -> None:
    table.put("ov_k", agent=bound)
    found = find(callers, "ov_k", told({"tenant_id": "acme", "agent_path": told_}))
    assert found.scope.values["agent_path"] == path


def test_the_label_of_the_key_is_never_crowded_out(callers: Callers) -> None:
    labels = {str(n): "" for n in range(MAX_LABELS)}
    found = find(callers, SERVICE, told(labels=labels)).scope.labels
    assert len(found) == MAX_LABELS
    assert found["virtual_key"] == "of-a-service"
    assert str(MAX_LABELS - 1) not in found


def test_ids_of_a_context_were_made_elsewhere(callers: Callers) -> None:
    # Limits of one request count together with every process that works for it.
    opener: Any = find(callers, SERVICE, told({"tenant_id": "a", "request_id": "r"})).scope.opener
    assert opener.gives("request_id")


def test_a_trace_is_taken_where_the_context_tells_none(callers: Callers) -> None:
    trace = [(b"traceparent", b"00-" + b"c" * 32 + b"-" + b"d" * 16 + b"-01")]
    plain, traced = find(callers), find(callers, headers=trace)
    assert traced.scope.values == {**plain.scope.values, "trace_id": "c" * 32}
    assert traced.scope.labels == plain.scope.labels
    assert traced.scope.memory is plain.scope.memory
    signed = find(callers, ACME, told({"trace_id": "a" * 32}), headers=trace)
    assert signed.scope.values["trace_id"] == "a" * 32
    assert "trace_id" not in find(callers).scope.values


# -- what is kept ----------------------------------------------------------------------------------


def test_requests_that_are_alike_share_their_attribution(callers: Callers) -> None:
    assert find(callers).scope is find(callers).scope
    baggage = told()
    assert find(callers, SERVICE, baggage).scope is find(callers, SERVICE, baggage).scope
    assert find(callers, SERVICE, baggage).scope is not find(callers, ACME, baggage).scope


def test_what_is_kept_is_bounded_and_nobody_notices(callers: Callers) -> None:
    first = find(callers)
    for n in range(MAX_KNOWN + 1):
        find(callers, SERVICE, told({"tenant_id": "acme", "request_id": str(n)}))
    assert len(callers._known) <= MAX_KNOWN
    assert find(callers).scope.values == first.scope.values


def test_requests_of_a_key_and_an_agent_share_their_memory_of_failures(callers: Callers) -> None:
    def memory(agent: str, request: str) -> Any:
        values = {"tenant_id": "acme", "agent_path": agent, "request_id": request}
        return find(callers, SERVICE, told(values)).scope.memory

    assert memory("a", "r1") is memory("a", "r2")
    assert memory("a", "r1") is not memory("b", "r1")
    assert memory("a", "r1") is not find(callers, ACME, told({"agent_path": "a"})).scope.memory
    failure = Failure(
        key=("url", 1), owner=owner(), at=1.0, call_id="c", attempt=0, provider="openai",
        model="m", span_id=None, retryable=True, fallback_from=None,
    )  # fmt: skip
    memory("a", "r1").failed(failure)
    place = memory("a", "r3").begin(("url", 1), span_id=None, retry_count=1, now=2.0)
    assert (place.call_id, place.attempt) == ("c", 1)


def test_memories_are_bounded_and_the_one_not_used_for_longest_goes(
    table: Table, callers: Callers
) -> None:
    def memory(agent: str) -> Any:
        # Another object each time, so that nothing of the key is kept ready.
        table.put("ov_k", tenant_id="t", agent=agent)
        return find(callers, "ov_k").scope.memory

    first, second = memory("first"), memory("second")
    for n in range(MAX_MEMORIES - 2):
        memory(str(n))
    assert memory("first") is first
    memory("one more")
    assert memory("first") is first
    assert memory("second") is not second
