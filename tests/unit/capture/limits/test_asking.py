"""What a request asks of the limits: how much may be read, how many answers, at whose prices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.capture.limits.asking import MAX_ANSWERS, asked_of
from outlay.capture.limits.quotes import Quotes
from outlay.capture.limits.steps import Asked
from outlay.capture.rates import Rates
from outlay.wire.base import Request
from outlay.wire.reader import BodyReader
from outlay.wire.registry import find_route, open_reader
from tests.unit.capture.limits.authority import scope

OPENAI = "https://api.openai.com/v1/chat/completions"
COMPLETIONS = "https://api.openai.com/v1/completions"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
BODY: dict[str, Any] = {"model": "m", "max_tokens": 10, "messages": []}


def asked(url: str, body: dict[str, Any], *, ascii_only: bool = True) -> Asked:
    raw = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    request = Request("POST", url, {"content-type": "application/json"}, raw)
    route = find_route("POST", url)
    assert route is not None
    reader = open_reader(request, route=route)
    assert isinstance(reader, BodyReader)
    return asked_of(scope(), reader, request)


@given(text=st.text(max_size=200), tool=st.text(max_size=50), ascii_only=st.booleans())
def test_a_strict_limit_holds_a_token_for_each_byte_in_any_script(
    text: str, tool: str, ascii_only: bool
) -> None:
    body = {
        **BODY,
        "messages": [{"role": "user", "content": text}],
        "tools": [{"type": "function", "function": {"name": "f", "description": tool}}],
    }
    made = asked(OPENAI, body, ascii_only=ascii_only)
    quote = Quotes(Rates(None)).of(made, "acme", "", 0.0)
    said = sum(len(part.encode("utf-8", "surrogatepass")) for part in (text, tool))
    assert quote.amounts[9] >= said


@pytest.mark.parametrize(
    ("url", "more", "answers"),
    [
        (OPENAI, {}, 1),
        (OPENAI, {"n": 3}, 3),
        (OPENAI, {"n": 0}, 1),
        (OPENAI, {"n": MAX_ANSWERS}, MAX_ANSWERS),
        (OPENAI, {"n": MAX_ANSWERS + 1}, MAX_ANSWERS),
        (OPENAI, {"n": "many"}, 1),
        (COMPLETIONS, {"n": 2, "best_of": 5, "prompt": "x"}, 5),
        (GEMINI, {"generationConfig": {"candidateCount": 4, "maxOutputTokens": 10}}, 4),
        (GEMINI, {"generation_config": {"candidate_count": 4, "max_output_tokens": 10}}, 4),
    ],
)
def test_every_answer_may_be_as_long_as_the_bound(
    url: str, more: dict[str, Any], answers: int
) -> None:
    made = asked(url, BODY | more)
    assert made.answers == answers
    assert made.max_tokens in (10 * answers, None)


def test_dearer_terms_are_told() -> None:
    assert asked(OPENAI, BODY | {"service_tier": "priority"}).terms[0] == "priority"
    assert asked(OPENAI, BODY | {"service_tier": "auto"}).terms[0] == ""
    assert asked(ANTHROPIC, BODY | {"speed": "fast"}).terms[1] == "fast"
