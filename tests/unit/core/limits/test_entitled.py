"""What a plan may use, and the reason when it may not."""

from __future__ import annotations

from outlay.core.limits.entitled import denied
from outlay.core.limits.limit import Entitlement

FREE = Entitlement(
    "free",
    agents=("summarizer",),
    features=("chat", "help-*"),
    models=("gpt-5-mini*",),
    names=("basic",),
)


def test_without_an_entitlement_a_plan_may_do_anything() -> None:
    assert denied(None, agent="research", feature="x", model="gpt-5", name="premium") == ""
    assert denied(Entitlement("pro", models=("claude-*",)), agent="any", feature="any") == ""


def test_what_is_listed_is_allowed_with_all_below_it() -> None:
    assert denied(FREE, agent="summarizer", feature="chat", model="GPT-5-Mini-2026") == ""
    assert denied(FREE, agent="summarizer/web", feature="help-desk", name="basic") == ""


def test_what_is_not_listed_is_denied_with_the_reason() -> None:
    assert denied(FREE, agent="research") == "the plan `free` does not include the agent `research`"
    said = denied(FREE, agent="summarizer", feature="search")
    assert said == "the plan `free` does not include the feature `search`"
    said = denied(FREE, agent="summarizer", feature="chat", model="gpt-5")
    assert said == "the plan `free` does not include the model `gpt-5`"
    said = denied(FREE, agent="summarizer", feature="chat", name="premium")
    assert said == "the plan `free` does not include `premium`"


def test_a_plan_that_lists_agents_may_not_call_outside_of_them() -> None:
    assert "calls outside of its agents" in denied(FREE, model="gpt-5-mini")
    assert "calls outside of its features" in denied(FREE, agent="summarizer")
