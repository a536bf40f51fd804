"""Addresses of webhooks, which admins see and others keep without seeing them.

Who changes a limit sends back what was shown, without addresses: they must not be lost by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.limits.document import limit_document
from outlay.core.limits.limit import Limit


def keep_urls(document: Mapping[str, Any], before: Mapping[str, Limit]) -> None:
    """Give the rungs of a document the addresses that they have now, where it names none.

    A rung is known by its action and its part; one that has moved, by its action alone. What is no
    valid document is left as it is: reading it says what is wrong.

    Args:
        document: what was sent; it is changed.
        before: the limits as they are, by id.
    """
    limits = document.get("limits")
    for one in limits if isinstance(limits, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("thresholds"), list):
            continue
        known = before.get(str(one.get("id")))
        if known is None:
            continue
        rungs = [rung for rung in limit_document(known).get("thresholds", ()) if "url" in rung]
        for threshold in one["thresholds"]:
            if isinstance(threshold, dict) and "url" not in threshold:
                _keep(threshold, rungs)


def _keep(threshold: dict[str, Any], rungs: list[dict[str, Any]]) -> None:
    alike = [rung for rung in rungs if rung["action"] == threshold.get("action")]
    same = [rung for rung in alike if rung["at"] == threshold.get("at")]
    if same or len(alike) == 1:
        threshold["url"] = (same or alike)[0]["url"]
