"""What a plan may use."""

from __future__ import annotations

from outlay.core.limits.limit import Entitlement
from outlay.core.limits.subject import agent_matches, model_matches, text_matches


def denied(
    entitlement: Entitlement | None,
    *,
    agent: str = "",
    feature: str = "",
    model: str = "",
    name: str = "",
) -> str:
    """Return why a plan may not do something, as half a sentence; "" if it may.

    Without an entitlement a plan may do anything. A plan that lists agents or features may do
    nothing outside of them; a model or a named right that is empty is not asked about.
    """
    if entitlement is None:
        return ""
    plan = entitlement.plan
    if entitlement.agents and not agent_matches(entitlement.agents, agent):
        whose = f"the agent `{agent}`" if agent else "calls outside of its agents"
        return f"the plan `{plan}` does not include {whose}"
    if entitlement.features and not text_matches(entitlement.features, feature):
        whose = f"the feature `{feature}`" if feature else "calls outside of its features"
        return f"the plan `{plan}` does not include {whose}"
    if model and entitlement.models and not model_matches(entitlement.models, model):
        return f"the plan `{plan}` does not include the model `{model}`"
    if name and entitlement.names and not text_matches(entitlement.names, name):
        return f"the plan `{plan}` does not include `{name}`"
    return ""
