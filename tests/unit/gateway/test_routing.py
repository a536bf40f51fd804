"""Where calls go: aliases in their order, each target's own request, what a failure leads to."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from outlay.gateway import failures
from outlay.gateway.config import CAUSES, Alias, Cause, GatewayConfig, Strategy, Target, Upstream
from outlay.gateway.routing import MAX_ATTEMPTS, Plan, Step, Walk, cause_of, goes_on, plan, problems
from outlay.wire.base import Request
from outlay.wire.registry import find_endpoint

UPSTREAMS = {
    name: Upstream(name, vendor, url)
    for name, vendor, url in (
        ("openai", "openai", "https://api.openai.com"),
        ("second", "openai", "https://second.example"),
        ("groq", "groq", "https://api.groq.com"),
        ("anthropic", "anthropic", "https://api.anthropic.com"),
        ("openrouter", "openrouter", "https://openrouter.ai"),
        ("azure", "azure", "https://x.openai.azure.com"),
        ("azure-two", "azure", "https://y.openai.azure.com"),
        ("google", "google", "https://generativelanguage.googleapis.com"),
        ("bedrock", "aws", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ("bedrock-us", "aws", "https://bedrock-runtime.us-east-1.amazonaws.com"),
    )
}
CHAT = "/v1/chat/completions"
BODY = b'{"model": "fast", "messages": [], "n": 1.0}'


def config(*aliases: Alias, **changed: Upstream) -> GatewayConfig:
    return GatewayConfig({**UPSTREAMS, **changed}, {alias.name: alias for alias in aliases})


def alias(*targets: str, name: str = "fast", **options: Any) -> Alias:
    """Return an alias of targets written `upstream:model` or `upstream:model:weight`."""
    made = []
    for target in targets:
        upstream, model, *weight = target.split(":")
        made.append(Target(upstream, model.replace("|", ":"), *(int(text) for text in weight)))
    return Alias(name, tuple(made), **options)


def planned(
    told: GatewayConfig,
    at: str = "openai",
    path: str = CHAT,
    body: bytes = BODY,
    model: str = "fast",
    **options: Any,
) -> Plan:
    upstream = told.upstreams[at]
    request = Request("POST", upstream.url + path, {"content-type": "application/json"}, body)
    endpoint = find_endpoint(request, hosts=told.hosts())
    assert endpoint is not None
    return plan(told, upstream, request, endpoint, model, **{"draw": random.random, **options})


def names(found: Plan) -> list[str]:
    return [f"{step.upstream.name}:{step.model}" for step in found.steps]


# -- one target's request --------------------------------------------------------------------------


def test_what_is_no_alias_goes_where_it_was_addressed_untouched() -> None:
    found = planned(config(alias("groq:llama")), model="gpt-4o")
    assert (names(found), found.alias, found.asked) == (["openai:gpt-4o"], None, "gpt-4o")
    step = found.steps[0]
    assert step.request.body is BODY
    assert step.request.url == "https://api.openai.com" + CHAT
    assert not step.moved


def test_a_request_without_a_model_goes_where_it_was_addressed() -> None:
    found = planned(config(alias("groq:llama", name="")), path="/v1/files", body=b"", model="")
    assert names(found) == ["openai:"]


def test_an_alias_becomes_each_targets_own_model_and_path() -> None:
    found = planned(config(alias("groq:llama", "openai:gpt-4o", "azure:mine")), path=CHAT + "?a=1")
    assert [(step.request.url, step.request.body, step.moved) for step in found.steps] == [
        (
            "https://api.groq.com/openai/v1/chat/completions?a=1",
            b'{"model": "llama", "messages": [], "n": 1.0}',
            True,
        ),
        (
            "https://api.openai.com/v1/chat/completions?a=1",
            b'{"model": "gpt-4o", "messages": [], "n": 1.0}',
            False,
        ),
        (
            "https://x.openai.azure.com/openai/v1/chat/completions?a=1",
            b'{"model": "mine", "messages": [], "n": 1.0}',
            True,
        ),
    ]
    assert found.alias is not None


def test_the_name_of_a_providers_model_can_be_an_alias() -> None:
    told = config(alias("openai:gpt-4o", "groq:gpt-oss", name="gpt-4o"))
    found = planned(told, body=b'{"model":"gpt-4o"}', model="gpt-4o")
    assert found.steps[0].request.body == b'{"model":"gpt-4o"}'
    assert found.steps[1].request.body == b'{"model":"gpt-oss"}'


def test_a_target_that_speaks_another_api_is_skipped_with_a_reason() -> None:
    found = planned(config(alias("anthropic:claude", "groq:llama", "bedrock:nova")))
    assert names(found) == ["groq:llama"]
    assert [(target.upstream, reason.split()[0]) for target, reason in found.skipped] == [
        ("anthropic", "anthropic"),
        ("bedrock", "AWS"),
    ]


def test_targets_that_the_key_may_not_use_or_that_are_gone_are_skipped() -> None:
    told = config(alias("groq:llama", "nowhere:x", "openai:gpt-4o"))
    found = planned(told, allowed=lambda name: name != "groq")
    assert names(found) == ["openai:gpt-4o"]
    assert [target.upstream for target, _ in found.skipped] == ["groq", "nowhere"]


@pytest.mark.parametrize("body", [b"", b"--form\r\n", b"{}", b'{"model": 1}', b"[1]"])
def test_a_request_whose_body_names_no_model_cannot_be_given_one(body: bytes) -> None:
    found = planned(config(alias("groq:llama", "second:fast")), body=body)
    # What would be asked for by the very same name needs no change.
    assert names(found) == ["second:fast"]
    assert found.steps[0].request.url == "https://second.example/v1/chat/completions"
    assert [reason for _, reason in found.skipped] == [
        "the model cannot be changed in this request"
    ]


def test_a_long_body_is_rewritten_when_its_turn_comes() -> None:
    found = planned(config(alias("groq:llama", "openai:gpt-4o", "second:x")))
    assert [step._request is None for step in found.steps] == [False, True, True]
    assert found.steps[2].request.body == b'{"model": "x", "messages": [], "n": 1.0}'
    assert found.steps[2].request is found.steps[2].request


def test_a_model_in_the_path_is_an_alias_too() -> None:
    told = config(alias("google:gemini-2.5-pro", "openai:gpt-4o"))
    for verb in ("generateContent", "streamGenerateContent?alt=sse", "countTokens"):
        body = b'{"contents":[]}'
        found = planned(told, "google", f"/v1beta/models/fast:{verb}", body, model="")
        assert (names(found), found.asked) == (["google:gemini-2.5-pro"], "fast")
        request = found.steps[0].request
        assert request.url.endswith(f"/v1beta/models/gemini-2.5-pro:{verb}")
        assert request.body is body


def test_bedrocks_models_are_encoded_in_its_paths() -> None:
    arn = "arn|aws|bedrock|eu-west-1|1|application-inference-profile/x"
    told = config(alias("bedrock:eu.nova-v1|0", f"bedrock-us:{arn}", "openai:gpt-4o"))
    for verb in ("converse", "invoke", "count-tokens"):
        found = planned(told, "bedrock", f"/model/fast/{verb}", b"{}", model="")
        assert [step.request.url.rpartition("amazonaws.com")[2] for step in found.steps] == [
            f"/model/eu.nova-v1%3A0/{verb}",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2Fx/"
            + verb,
        ]
        assert found.steps[1].request.url.startswith("https://bedrock-runtime.us-east-1")


def test_azures_deployment_stays_in_the_path_at_azure_and_is_a_body_elsewhere() -> None:
    told = config(alias("azure:one", "azure-two:two", "openai:gpt-4o"))
    path = "/openai/deployments/fast/chat/completions?api-version=2024-10-21&x=1"
    found = planned(told, "azure", path, b'{"model":"fast"}', model="")
    assert [(step.request.url, step.request.body) for step in found.steps] == [
        (
            "https://x.openai.azure.com" + path.replace("fast", "one"),
            b'{"model":"one"}',
        ),
        (
            "https://y.openai.azure.com" + path.replace("fast", "two"),
            b'{"model":"two"}',
        ),
        ("https://api.openai.com/v1/chat/completions?x=1", b'{"model":"gpt-4o"}'),
    ]


def test_a_deployment_with_a_body_that_names_no_model_stays_at_azure() -> None:
    told = config(alias("openai:fast", "azure:one"))
    path = "/openai/deployments/fast/chat/completions"
    assert names(planned(told, "azure", path, b"{}", model="")) == ["azure:one"]


# -- the order -------------------------------------------------------------------------------------


def test_an_ordered_alias_keeps_its_order() -> None:
    assert names(planned(config(alias("second:b", "openai:a", "groq:c")))) == [
        "second:b",
        "openai:a",
        "groq:c",
    ]


@pytest.mark.parametrize(
    ("drawn", "order"),
    [
        ([0.0, 0.0, 0.0], "abc"),
        ([0.24, 0.99, 0.5], "acb"),
        ([0.26, 0.0, 0.0], "bac"),
        ([0.99, 0.99, 0.0], "cba"),
    ],
)
def test_a_weighted_alias_is_drawn_place_by_place(drawn: list[float], order: str) -> None:
    told = config(alias("openai:a:1", "second:b:1", "groq:c:2", strategy="weighted"))
    found = planned(told, draw=iter(drawn).__next__)
    assert "".join(step.model for step in found.steps) == order


def test_weights_are_shares_of_the_first_place() -> None:
    told = config(alias("openai:a:1", "second:b:3", "groq:none:0", strategy="weighted"))
    dice = random.Random(5)
    firsts = Counter(planned(told, draw=dice.random).steps[0].model for _ in range(2000))
    assert firsts["none"] == 0
    assert 0.2 < firsts["a"] / 2000 < 0.3


def test_the_cheapest_comes_first_and_what_has_no_price_last() -> None:
    told = config(alias("openai:a", "second:b", "groq:c", "openai:d", strategy="cheapest"))
    prices: dict[tuple[str, str], int | None] = {
        ("openai", "a"): 30,
        ("second", "b"): None,
        ("groq", "c"): 0,
        ("openai", "d"): 30,
    }
    found = planned(told, price=lambda upstream, model: prices[upstream, model])
    assert [step.model for step in found.steps] == ["c", "a", "d", "b"]
    assert [step.model for step in planned(told).steps] == ["a", "b", "c", "d"]


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (429, "rate_limited"),
        (408, "timeout"),
        *((status, "error") for status in (500, 502, 503, 504, 529, 599)),
        *((status, None) for status in (200, 302, 400, 401, 402, 403, 404, 409, 413, 422)),
        (failures.Unreachable("x"), "error"),
        (failures.Broken("x"), "error"),
        (failures.TimedOut("idle"), "timeout"),
        (ValueError("x"), None),
    ],
)
def test_a_failure_is_a_cause_or_the_answer(told: int | Exception, cause: Cause | None) -> None:
    assert cause_of(told) == cause


@pytest.mark.parametrize("cause", CAUSES)
def test_an_alias_says_what_it_goes_on_after(cause: Cause) -> None:
    assert goes_on(alias("openai:a"), cause)
    assert not goes_on(alias("openai:a", on=frozenset(CAUSES) - {cause}), cause)
    assert not goes_on(None, cause)


def walked(found: Plan, cause: Callable[[int], Cause], *, once: bool = False) -> list[str]:
    walk = Walk(found, once=once)
    way = []
    step: Step | None = walk.step
    while step is not None:
        way.append(step.upstream.name)
        more = walk.goes_on(cause(len(way)))
        step = walk.move(cause(len(way)))
        assert (step is not None) == more
    return way


THREE = alias("openai:a", "second:b", "groq:c", max_attempts=3)
PATIENT = replace(UPSTREAMS["openai"], retries=2)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_call_goes_from_target_to_target(cause: Cause) -> None:
    assert walked(planned(config(THREE)), lambda _: cause) == ["openai", "second", "groq"]
    assert walked(planned(config(THREE)), lambda _: cause, once=True) == (
        # Nothing was sent to one that rests, so what can be sent once is there still.
        ["openai", "second", "groq"] if cause == "open" else ["openai"]
    )


def test_a_call_ends_after_what_its_alias_does_not_name() -> None:
    some = replace(THREE, on=frozenset(("timeout",)))
    assert walked(planned(config(some)), lambda made: "timeout" if made < 2 else "error") == [
        "openai",
        "second",
    ]


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_attempts_are_bounded_by_the_alias(most: int) -> None:
    bounded = planned(config(replace(THREE, max_attempts=most)))
    assert bounded.max_attempts == most
    assert walked(bounded, lambda _: "error") == ["openai", "second", "groq"][:most]


def test_an_upstream_that_rests_costs_no_attempt() -> None:
    bounded = planned(config(replace(THREE, max_attempts=2)))
    causes: list[Cause] = ["open", "error", "error"]
    assert walked(bounded, lambda made: causes[made - 1]) == ["openai", "second", "groq"]


def test_an_upstreams_retries_come_before_the_next_targets_turn() -> None:
    told = config(replace(THREE, max_attempts=10), openai=PATIENT)
    assert walked(planned(told), lambda _: "error") == ["openai"] * 3 + ["second", "groq"]
    # One that is crowded or rests is not asked again at once.
    assert walked(planned(told), lambda _: "rate_limited") == ["openai", "second", "groq"]
    assert walked(planned(told), lambda _: "open") == ["openai", "second", "groq"]
    causes: list[Cause] = ["error", "rate_limited", "error", "error"]
    assert walked(planned(told), lambda made: causes[made - 1]) == [
        "openai", "openai", "second", "groq",
    ]  # fmt: skip


def test_without_an_alias_a_call_has_its_upstreams_retries_and_no_more() -> None:
    plain = planned(config(openai=PATIENT), model="gpt-4o")
    assert plain.max_attempts == 3
    assert walked(plain, lambda _: "timeout") == ["openai"] * 3
    assert walked(plain, lambda _: "rate_limited") == ["openai"]
    assert walked(planned(config(), model="gpt-4o"), lambda _: "error") == ["openai"]
    many = planned(config(openai=replace(PATIENT, retries=100)), model="gpt-4o")
    assert len(walked(many, lambda _: "error")) == MAX_ATTEMPTS


@pytest.mark.parametrize("cause", CAUSES)
def test_a_plan_tells_of_a_step_what_its_walk_would(cause: Cause) -> None:
    told = config(replace(THREE, on=frozenset(("open",))), openai=PATIENT)
    found = planned(told)
    assert found.goes_on(cause, found.steps[0]) == Walk(found).goes_on(cause)


def test_a_plan_without_targets_has_no_way() -> None:
    found = planned(config(alias("anthropic:claude")))
    walk = Walk(found)
    assert (walk.step, walk.goes_on("error"), walk.move("error")) == (None, False, None)


# -- what is wrong with a configuration ------------------------------------------------------------


@pytest.mark.parametrize(
    "targets",
    [
        ("openai:a", "groq:b", "azure:c"),
        ("anthropic:a", "openrouter:b", "openai:c"),
        ("bedrock:a", "bedrock-us:b"),
        ("openai:a",),
        ("openai:a", "openai:b"),
        ("openai:a", "nowhere:b"),
    ],
)
def test_targets_that_share_an_api_are_fine(targets: tuple[str, ...]) -> None:
    assert problems(config(alias(*targets))) == []


def test_targets_that_share_none_are_named() -> None:
    (found,) = problems(config(alias("openai:a", "groq:b", "bedrock:c")))
    assert found.startswith("aliases.fast: `bedrock` speaks aws, which openai, groq do not:")
    assert len(problems(config(alias("openai:a", "anthropic:b")))) == 2


@pytest.mark.parametrize("strategy", ["ordered", "weighted", "cheapest"])
def test_every_strategy_keeps_every_target(strategy: Strategy) -> None:
    told = config(replace(THREE, strategy=strategy))
    found = planned(told, price=lambda _upstream, _model: 1)
    assert sorted(names(found)) == ["groq:c", "openai:a", "second:b"]
