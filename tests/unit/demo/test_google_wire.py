"""The simulator's Gemini wire, read by the official SDK."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from google.genai import errors, types

from tests.unit.demo.conftest import Site

MODEL = "gemini-2.5-flash"
SYSTEM = "s" * 4_400


def config(*, fault: str = "", call: str = "", thinks: int = 0) -> types.GenerateContentConfig:
    headers = {"x-demo-fault": fault} | ({"x-demo-call": f"google {call}"} if call else {})
    return types.GenerateContentConfig(
        system_instruction=SYSTEM,
        thinking_config=types.ThinkingConfig(thinking_budget=thinks),
        http_options=types.HttpOptions(headers=headers),
    )


def test_thoughts_are_beside_the_candidates_and_billed_as_output(site: Site) -> None:
    reply = site.google.models.generate_content(
        model=MODEL, contents="hello!", config=config(thinks=200)
    )
    usage = reply.usage_metadata
    assert usage.prompt_token_count == 1_102
    assert usage.thoughts_token_count
    assert usage.candidates_token_count == -(-len(reply.text or "") // 4)
    output = usage.candidates_token_count + usage.thoughts_token_count
    assert usage.total_token_count == 1_102 + output
    assert site.bill()["nanos"] == 1_102 * 300 + output * 2_500


def test_a_system_instruction_used_again_is_read_from_the_cache(site: Site) -> None:
    found = [
        site.google.models.generate_content(model=MODEL, contents="hello!", config=config())
        for _ in range(2)
    ]
    cached = [r.usage_metadata.cached_content_token_count for r in found]
    assert cached == [None, 1_100]
    first, second = found
    output = first.usage_metadata.candidates_token_count or 0
    expected = 1_102 * 300 + 2 * 300 + 1_100 * 30 + 2 * output * 2_500
    assert second.text == first.text
    assert site.bill()["nanos"] == expected


def test_every_chunk_of_a_stream_states_the_usage_so_far(site: Site) -> None:
    chunks = list(
        site.google.models.generate_content_stream(
            model=MODEL, contents="why so", config=config(thinks=200)
        )
    )
    sent, thoughts = 0, set()
    for chunk in chunks:
        sent += len(chunk.text or "")
        assert chunk.usage_metadata.candidates_token_count == -(-sent // 4)
        thoughts.add(chunk.usage_metadata.thoughts_token_count)
    assert len(chunks) > 1
    assert len(thoughts) == 1
    assert site.bill()["nanos"] == 1_102 * 300 + (-(-sent // 4) + (thoughts.pop() or 0)) * 2_500


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_versions_of_the_path_stream_events_without_names(site: Site, version: str) -> None:
    reply = httpx2.post(
        f"{site.url}/google/{version}/models/{MODEL}:streamGenerateContent?alt=sse",
        json={"contents": [{"parts": [{"text": "hello!"}]}]},
    )
    assert reply.text.startswith('data: {"candidates":[{"content":{"parts":[{"text":"')
    assert reply.text.endswith("\r\n\r\n")
    assert "event:" not in reply.text


def test_a_cut_stream_costs_what_its_last_chunk_said(site: Site) -> None:
    stream = site.google.models.generate_content_stream(
        model=MODEL, contents="why so", config=config(fault="cut;after=1", thinks=200)
    )
    chunks: list[Any] = []
    with pytest.raises((errors.APIError, httpx2.HTTPError)):
        chunks.extend(stream)
    last = chunks[-1].usage_metadata
    output = last.candidates_token_count + last.thoughts_token_count
    assert site.bill()["nanos"] == 1_102 * 300 + output * 2_500


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "overloaded"])
def test_the_sdk_tries_again_when_its_options_say_so(site: Site, kind: str) -> None:
    site.google.models.generate_content(
        model=MODEL, contents="hello!", config=config(fault=f"{kind};times=2", call=kind)
    )
    account = site.bill()
    assert (account["attempts"], account["failed"]) == (3, 2)


def test_errors_have_googles_shape(site: Site) -> None:
    with pytest.raises(errors.ClientError) as refused:
        site.google.models.generate_content(model="gemini-0", contents="hello!")
    assert refused.value.code == 404
    assert refused.value.status == "NOT_FOUND"
