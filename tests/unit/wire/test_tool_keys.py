"""Keys of tool calls: equal for equal calls, in pieces or whole, from any provider's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire.base import Reading, Request
from outlay.wire.reader import BodyReader
from outlay.wire.registry import open_reader
from outlay.wire.tool_keys import MAX_TOOL_KEYS, ToolKeys, tool_key

ARGUMENTS = {"city": "São Paulo", "days": 3, "note": 'a "quoted" \\ line\n'}
KEY = tool_key("weather", ARGUMENTS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_white_space_outside_of_strings_does_not_count() -> None:
    told = '{ "city" :\n"a  b" ,\t"days":3 }'
    assert tool_key("f", told) == tool_key("f", '{"city":"a  b","days":3}')
    assert tool_key("f", told) != tool_key("f", '{"city":"a b","days":3}')


def test_name_and_arguments_both_count_and_keys_have_64_bits() -> None:
    assert tool_key("a", "{}") != tool_key("b", "{}")
    assert tool_key("a", '{"x":1}') != tool_key("a", '{"x":2}')
    assert 0 <= KEY < 2**64


def test_an_object_without_members_is_no_arguments() -> None:
    assert tool_key("f", {}) == tool_key("f", None) == tool_key("f", "")


@given(st.dictionaries(st.text(), json_values, max_size=4), st.data())
def test_any_cutting_gives_the_key_of_the_whole(arguments: dict[str, Any], data: Any) -> None:
    whole = json.dumps(arguments, indent=data.draw(st.sampled_from([None, 2])), ensure_ascii=False)
    keys = ToolKeys()
    keys.add(0, "f")
    place = 0
    while place < len(whole):
        size = data.draw(st.integers(1, 5))
        keys.add(0, None, whole[place : place + size])
        place += size
    if arguments:
        assert keys.keys() == (tool_key("f", arguments),)


def test_a_piece_without_a_call_is_passed_over_and_there_is_a_bound() -> None:
    keys = ToolKeys()
    keys.add(0, None, "{}")
    assert keys.keys() == ()
    for number in range(MAX_TOOL_KEYS + 1):
        keys.add(number, f"f{number}")
    assert len(keys.keys()) == MAX_TOOL_KEYS


def test_a_call_that_is_told_again_is_the_same() -> None:
    keys = ToolKeys()
    keys.whole("call_1", "f", "{}")
    keys.whole("call_1", "f", "{}")
    assert keys.keys() == (tool_key("f", "{}"),)


# -- what the codecs make of replies --------------------------------------------------------------

OPENAI = "https://api.openai.com/v1/chat/completions"
RESPONSES = "https://api.openai.com/v1/responses"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:"
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1:0/"
TEXT = json.dumps(ARGUMENTS, ensure_ascii=False)
HALVES = (TEXT[:11], TEXT[11:])


def read(url: str, *bodies: Any, stream: bool = False) -> Reading:
    asked = {"model": "m", "stream": stream}
    reader = open_reader(Request("POST", url, {}, json.dumps(asked).encode()))
    assert isinstance(reader, BodyReader)
    kind = "text/event-stream" if stream else "application/json"
    reader.response(200, {"content-type": kind})
    for body in bodies:
        raw = json.dumps(body).encode()
        reader.feed(b"data: " + raw + b"\n\n" if stream else raw)
    return reader.finish()


def test_openai_chat() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": TEXT}}
    whole = {"choices": [{"index": 0, "message": {"tool_calls": [call]}}]}
    assert read(OPENAI, whole).tool_keys == (KEY,)

    def chunk(**function: str) -> dict[str, Any]:
        delta = {"tool_calls": [{"index": 0, "function": function}]}
        return {"choices": [{"index": 0, "delta": delta}]}

    chunks = [chunk(name="weather", arguments=""), *(chunk(arguments=half) for half in HALVES)]
    assert read(OPENAI, *chunks, stream=True).tool_keys == (KEY,)


def test_openai_responses() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": TEXT}
    whole = {"object": "response", "status": "completed", "output": [item]}
    assert read(RESPONSES, whole).tool_keys == (KEY,)
    told = (
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": whole},
    )
    assert read(RESPONSES, *told, stream=True).tool_keys == (KEY,)


def test_anthropic() -> None:
    block = {"type": "tool_use", "id": "t", "name": "weather", "input": ARGUMENTS}
    whole = {"type": "message", "content": [{"type": "text", "text": "x"}, block]}
    assert read(ANTHROPIC, whole).tool_keys == (KEY,)
    start = {"type": "content_block_start", "index": 1, "content_block": {**block, "input": {}}}
    deltas = [
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": half},
        }
        for half in HALVES
    ]
    assert read(ANTHROPIC, start, *deltas, stream=True).tool_keys == (KEY,)


def test_gemini() -> None:
    part = {"functionCall": {"name": "weather", "args": ARGUMENTS}}
    whole = {"candidates": [{"content": {"parts": [part, part]}}]}
    assert read(GEMINI + "generateContent", whole).tool_keys == (KEY, KEY)
    assert read(GEMINI + "streamGenerateContent", whole, stream=True).tool_keys == (KEY, KEY)


def test_bedrock_converse() -> None:
    block = {"toolUse": {"toolUseId": "t", "name": "weather", "input": ARGUMENTS}}
    whole = {"output": {"message": {"content": [block]}}}
    assert read(BEDROCK + "converse", whole).tool_keys == (KEY,)


def test_a_reply_without_tools_has_no_keys() -> None:
    assert read(OPENAI, {"choices": [{"message": {"content": "x"}}]}).tool_keys == ()


@pytest.mark.parametrize("odd", [None, 3, [], "text", {"name": 3, "arguments": {}}])
def test_odd_calls_are_passed_over(odd: Any) -> None:
    whole = {"choices": [{"index": 0, "message": {"tool_calls": [{"function": odd}]}}]}
    assert read(OPENAI, whole).tool_keys == ()
