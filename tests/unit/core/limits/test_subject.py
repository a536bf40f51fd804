"""Which calls a limit selects, and the scope that each of them counts in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.limits.limit import SCOPES, Limit, Match
from outlay.core.limits.subject import (
    Subject,
    agent_matches,
    matches,
    model_matches,
    needs_field,
    needs_id,
    read_scope_key,
    scope_key,
    subject_of,
    text_matches,
)

CALL = Subject(
    tenant="acme",
    plan="pro",
    billing_unit="workspace:42",
    user="u1",
    feature="chat",
    workflow="nightly",
    agent="research/web",
    model="GPT-5-mini",
    provider="azure-openai",
    initiator="user",
    request="r1",
    run="run1",
)


def limit(*scope: Match, window: str = "month") -> Limit:
    return Limit("l", "cost", window, 10, scope=scope)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "values", "selected"),
    [
        ("tenant", ("acme",), True),
        ("tenant", ("Acme",), False),
        ("tenant", ("ac",), False),
        ("tenant", ("ac*",), True),
        ("tenant", ("globex", "acme"), True),
        ("tenant", ("*",), True),
        ("billing_unit", ("workspace:*",), True),
        ("billing_unit", ("workspace:4",), False),
        ("model", ("gpt-5-mini",), True),
        ("model", ("GPT-5*",), True),
        ("model", ("gpt-5",), False),
        ("provider", ("azure",), True),
        ("provider", ("Azure-OpenAI",), True),
        ("provider", ("openai",), False),
        ("agent", ("research",), True),
        ("agent", ("research/web",), True),
        ("agent", ("research/web/deep",), False),
        ("agent", ("web",), True),
        ("agent", ("we",), False),
        ("agent", ("we*",), True),
        ("agent", ("research/w*",), True),
        ("agent", ("web/research",), False),
        ("initiator", ("system",), False),
    ],
)
def test_a_selector_selects_by_value(field: str, values: tuple[str, ...], selected: bool) -> None:
    assert matches(limit(Match(field, values)), CALL) is selected
    assert matches(limit(Match(field, values, each=True)), CALL) is selected


@pytest.mark.parametrize("field", SCOPES)
def test_an_unknown_field_is_never_selected_but_a_tenant_has_a_name_then(field: str) -> None:
    nobody = Subject()
    anyone = Match(field, each=True)
    assert matches(limit(anyone), nobody) is (field == "tenant")
    assert matches(limit(Match(field, ("*",))), nobody) is (field == "tenant")
    assert matches(limit(Match("tenant", ("unattributed",))), nobody)
    assert scope_key(limit(Match("tenant", each=True)), nobody) == '[["tenant","unattributed"]]'


def test_all_selectors_have_to_select() -> None:
    both = limit(Match("tenant", ("acme",)), Match("feature", ("chat",)))
    assert matches(both, CALL)
    assert not matches(both, Subject(tenant="acme", feature="search"))


def test_no_selector_selects_everything_and_counts_it_together() -> None:
    assert matches(limit(), Subject())
    assert scope_key(limit(), CALL) == "[]"
    assert scope_key(limit(Match("tenant", ("acme",))), CALL) == "[]"


def test_a_scope_key_names_what_counts_by_value_in_one_order() -> None:
    by = limit(Match("model", each=True), Match("agent", ("research",), each=True),
               Match("tenant", each=True))  # fmt: skip
    key = scope_key(by, CALL)
    assert key == '[["tenant","acme"],["agent","research/web"],["model","gpt-5-mini"]]'
    assert read_scope_key(key) == {"tenant": "acme", "agent": "research/web", "model": "gpt-5-mini"}


def test_a_request_or_a_run_is_a_scope_of_its_own() -> None:
    request = limit(Match("tenant", each=True), window="request")
    assert scope_key(request, CALL) == '[["tenant","acme"],["request","r1"]]'
    assert needs_id(request) == "request"
    run = limit(window="run")
    assert scope_key(run, CALL) == '[["run","run1"]]'
    assert matches(run, CALL)
    assert not matches(run, Subject(tenant="acme"))


def test_the_fields_that_a_limit_looks_at_are_known() -> None:
    assert needs_field(limit(Match("model", ("a",)), Match("tenant", each=True))) == (
        "tenant",
        "model",
    )
    assert needs_field(limit(window="run")) == ("run",)
    assert needs_id(limit()) == ""


def test_a_changed_limit_is_never_taken_for_the_one_before() -> None:
    for n in range(1000):
        assert matches(limit(Match("tenant", (f"t{n}",))), Subject(tenant=f"t{n}"))


def test_scope_keys_of_other_scripts_are_plain_json() -> None:
    key = scope_key(limit(Match("tenant", each=True)), Subject(tenant='münchen "x"'))
    assert json.loads(key) == [["tenant", 'münchen "x"']]
    assert "münchen" in key


def test_what_is_no_scope_key_is_refused() -> None:
    for text in ("", "{", "[1]", "7", '[["a"]]'):
        with pytest.raises(ValueError, match="not a scope key"):
            read_scope_key(text)


def test_the_subject_of_an_event_is_what_was_held_for() -> None:
    fields = {
        "event_id": "e1", "call_id": "c1", "tenant_id": "acme", "billing_unit_type": "workspace",
        "billing_unit_id": "42", "agent_path": "research/web", "model_requested": "gpt-5",
        "model_served": "gpt-5-2026-01-01", "provider": "openai", "run_id": None,
    }  # fmt: skip
    subject = subject_of(fields, plan="pro")
    assert subject == Subject(
        tenant="acme", plan="pro", billing_unit="workspace:42", agent="research/web",
        model="gpt-5", provider="openai", request="c1",
    )  # fmt: skip
    assert subject_of({"event_id": "e1", "model_served": "m"}).model == "m"
    assert subject_of({"event_id": "e1"}).request == "e1"
    assert subject_of({"event_id": "e1", "request_id": "r"}).request == "r"


def test_values_by_themselves() -> None:
    assert text_matches(("basic", "pro*"), "profi")
    assert not text_matches(("basic",), "")
    assert model_matches(("gpt-*-mini", "GPT-5"), "Gpt-5")
    assert agent_matches(("research",), "a/research/b")


names = st.text("abcd", min_size=1, max_size=3)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(paths, names)
def test_an_agent_matches_where_it_is_a_part_of_the_path(path: str, name: str) -> None:
    assert agent_matches((name,), path) is (name in path.split("/"))


@given(paths, paths.filter(lambda path: "/" in path))
def test_a_path_matches_itself_and_all_below(path: str, wanted: str) -> None:
    parts, first = path.split("/"), wanted.split("/")
    assert agent_matches((wanted,), path) is (parts[: len(first)] == first)
