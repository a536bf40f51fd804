"""Bedrock's guardrails on their own: ApplyGuardrail, and the checks that need no guardrail.

Each policy reads text in units of a thousand characters and has its own price, so each is a unit
of its own (`text_units_topic`, …). The guardrail's id is `model_requested`; all guardrails cost
the same, so they are priced under one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.wire.base import BEDROCK_ERROR_HEADER, as_dict, as_text
from outlay.wire.bedrock_usage import GUARDRAIL_MODEL, check_units, error_name, guardrail_units
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import is_name, numbers_and_names


class BedrockGuardrailReader(BodyReader):
    """Reads one attempt of ApplyGuardrail or InvokeGuardrailChecks."""

    __slots__ = ()

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Read the class of an error."""
        self.reading.error_type = error_name(headers.get(BEDROCK_ERROR_HEADER))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read what was used and what was decided."""
        reading = self.reading
        reading.model_served = GUARDRAIL_MODEL
        action = as_text(body.get("action"))
        if action is not None:
            reading.finish_reason = action if is_name(action) else "unreadable"
        usage = as_dict(body.get("usage"))
        if not usage:
            reading.find("usage_missing")
            reading.billed = "possible"
            return
        checks = any(isinstance(value, dict) for value in usage.values())
        counts = (check_units if checks else guardrail_units)(reading, usage)
        for unit, count in counts.items():
            reading.put(unit, count)
        self.usage_final = True
        reading.usage_source = "provider"
        reading.usage_raw = numbers_and_names(usage)

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's class; its text is not kept."""
        found = error_name(as_text(as_dict(body).get("__type")) or error_type_of(body))
        self.reading.error_type = self.reading.error_type or found


SURFACES: Final[dict[str, type[BodyReader]]] = {"bedrock.guardrail": BedrockGuardrailReader}
"""The reader of each surface this module speaks."""
