"""The official SDKs through the gateway: the same answers, errors and ends as without it.

Every call is made twice, directly and through the gateway, and compared: what the client got, and
what the provider saw of the request. After each test the events of its tenant are compared with the
provider's own bill, to the nano-dollar.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest

from outlay.capture.testing import capture_events
from tests.acceptance.gateway_accounts import DIRECT, GATEWAY
from tests.acceptance.gateway_calls import CHATS, Chat
from tests.acceptance.gateway_clients import OPENAI, Sdk, ask, collected_async
from tests.acceptance.gateway_native_cases import CASES
from tests.acceptance.gateway_reply import ANSWER_CHARACTERS, STATUSES
from tests.acceptance.gateway_rig import Door, Pair, until
from tests.acceptance.gateway_streams import first, read_into, talk, talk_async

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),  # by google-genai
    pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning"),  # by openai
]

REFUSING: Final = ("limited", "missing", "broken", "busy", "bad", "closed")
FIRST: Final = 4
"""Parts that are read of a stream before its reader walks away."""
PATIENCE_S: Final = 0.2
AT_ONCE: Final = 150
SPOKEN: Final = ("openai chat", "anthropic", "mistral", "groq", "cohere", "openai responses")
PLACES: Final = {
    "bearer": {"Authorization": "Bearer {}"},
    "x-api-key": {"x-api-key": "{}"},
    "api-key": {"api-key": "{}"},
    "x-goog-api-key": {"x-goog-api-key": "{}"},
    "outlay-key": {"outlay-key": "{}"},
    "query": {},
}

BOTH: Final = [(name, mode) for name, chat in CHATS.items() for mode in chat.modes]
EVERY: Final = [(name, mode) for name, case in CASES.items() for mode in case.modes]


def asked(chat: Chat, door: Door, mode: str, how: str, streamed: bool = False, **more: Any) -> Any:
    call = (chat.streamed if streamed else chat.whole)(chat.name(how))
    return ask(chat.sdk, mode, door, call, **{**dict(chat.settings), **more})


@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_a_question_is_answered_the_same(pair: Pair, name: str, mode: str) -> None:
    found = pair.same(lambda door: asked(CHATS[name], door, mode, "chat"))
    assert found.value, found
    assert len(str(found.value)) > ANSWER_CHARACTERS


@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_a_stream_has_the_same_parts(pair: Pair, name: str, mode: str) -> None:
    found = pair.same(lambda door: asked(CHATS[name], door, mode, "chat", streamed=True))
    assert found.value, found
    assert len(found.value) >= 7


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_whatever_else_an_sdk_does_is_the_same(pair: Pair, name: str, mode: str) -> None:
    case = CASES[name]
    found = pair.same(lambda door: ask(case.sdk, mode, door, case.call, case.then))
    assert found.value, found
    told = str(found.value)
    assert [text for text in case.holds if text not in told] == [], told
    assert not isinstance(found.value, list) or len(found.value) >= case.least


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_every_error_is_the_same_typed_one(pair: Pair, name: str, mode: str) -> None:
    for manner in REFUSING:
        found = pair.same(lambda door: asked(CHATS[name], door, mode, manner))  # noqa: B023
        assert found.failed, found
        assert found.status == STATUSES[manner]


@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_an_error_in_the_place_of_a_stream_is_the_same(pair: Pair, name: str, mode: str) -> None:
    found = pair.same(lambda door: asked(CHATS[name], door, mode, "busy", streamed=True))
    assert found.failed, found
    assert found.status == STATUSES["busy"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_an_unknown_key_is_the_providers_own_typed_error(
    pair: Pair, name: str, mode: str, streamed: bool
) -> None:
    chat = CHATS[name]
    ends = []
    for door in (pair.direct, pair.through):
        unknown = replace(door, key="ov_unknown", access_key="ov_unknown")
        with pytest.raises(Exception) as refused:
            asked(chat, unknown, mode, "chat", streamed=streamed)
        code = getattr(refused.value, "status_code", getattr(refused.value, "code", None))
        response = getattr(refused.value, "response", None)
        if isinstance(response, dict):
            code = response["ResponseMetadata"]["HTTPStatusCode"]
        ends.append((type(refused.value), code))
    # AWS has no type of its own for it; the gateway's answer is one that callers may catch.
    assert issubclass(ends[1][0], ends[0][0])
    assert [code for _, code in ends] == [401, 401]
    assert pair.upstream.seen == [], "the provider took nothing, and the gateway asked nothing"


@pytest.mark.parametrize("manner", ["cut", "fails"])
@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_a_stream_that_breaks_breaks_the_same(
    pair: Pair, name: str, mode: str, manner: str
) -> None:
    """Some SDKs take the end for an error and some do not: the gateway changes neither."""
    chat = CHATS[name]
    got: dict[str, list[Any]] = {}

    def call(door: Door) -> Any:
        parts = got.setdefault(door.url, [])
        then = read_into(parts)
        made = chat.streamed(chat.name(manner))
        return ask(chat.sdk, mode, door, made, then[mode], **dict(chat.settings))

    pair.same(call)
    direct, through = got.values()
    assert through == direct
    assert direct, "something had come"


@pytest.mark.parametrize(
    "name", ["openai chat", "openai responses", "anthropic", "groq", "cohere", "bedrock converse"]
)
def test_an_sdks_own_retry_is_an_attempt_of_the_same_call(pair: Pair, name: str) -> None:
    chat = CHATS[name]
    more: dict[str, Any] = {"attempts": 2} if chat.modes == ("sync",) else {"max_retries": 2}
    found = pair.same(lambda door: asked(chat, door, "sync", "flaky", **more))
    assert found.value, found
    pair.check()
    if pair.metered:
        assert list(pair.counts().values()) == [(1, 2)]


def test_mistrals_own_retry_is_an_attempt_of_the_same_call(pair: Pair) -> None:
    from mistralai.client.utils import BackoffStrategy, RetryConfig

    backoff = BackoffStrategy(10, 100, 1.5, 5000)
    config = RetryConfig("backoff", backoff, retry_connection_errors=False)
    found = pair.same(
        lambda door: asked(CHATS["mistral"], door, "sync", "flaky", retry_config=config)
    )
    assert found.value, found
    pair.check()
    if pair.metered:
        assert list(pair.counts().values()) == [(1, 2)]


# -- cancellation ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mode"), BOTH)
def test_a_reader_that_walks_away_is_let_go_and_billed_for_what_was_made(
    pair: Pair, name: str, mode: str
) -> None:
    """The provider makes the rest for the gateway, which reads on so that it knows the bill."""
    chat = CHATS[name]
    stream = chat.streamed(chat.name("slow"))

    then = first(FIRST)[mode]
    found = pair.same(
        lambda door: ask(chat.sdk, mode, door, stream, then, **dict(chat.settings)),
    )
    assert found.value is not None, found
    assert len(found.value) == FIRST
    pair.check()
    direct, through = charges(pair)
    assert not direct.whole
    assert through.whole or not pair.metered


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", [name for name, chat in CHATS.items() if "async" in chat.modes])
def test_a_cancelled_task_is_let_go_and_billed(pair: Pair, name: str, streamed: bool) -> None:
    chat = CHATS[name]
    assert chat.sdk.asyncio is not None
    call = (chat.streamed if streamed else chat.whole)(chat.name("slow"))

    def cancelled(door: Door) -> str:
        async def work(sdk: Sdk) -> None:
            assert sdk.asyncio is not None
            async with sdk.asyncio(door, **dict(chat.settings)) as client:
                found = call(client)
                found = await found if inspect.isawaitable(found) else found
                if streamed:
                    async for _ in found:
                        pass

        async def impatient() -> str:
            before = len(pair.upstream.seen)
            task = asyncio.create_task(work(chat.sdk))
            await asyncio.to_thread(until, lambda: len(pair.upstream.seen) > before, "arrival")
            await asyncio.sleep(PATIENCE_S)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return "cancelled"
            return "came to its end"

        return asyncio.run(impatient())

    assert pair.same(cancelled).value == "cancelled"
    pair.check()
    direct, through = charges(pair)
    assert not direct.whole
    assert through.whole or not pair.metered


def charges(pair: Pair) -> tuple[Any, Any]:
    """Return the only charge of each way."""
    (direct,) = [one for one in pair.upstream.charges if one.account == DIRECT]
    (through,) = [one for one in pair.upstream.charges if one.account == GATEWAY]
    return direct, through


def test_a_timeout_of_the_client_is_its_own(pair: Pair) -> None:
    call = CHATS["openai chat"].whole("own-slow")
    found = pair.same(lambda door: ask(OPENAI, "sync", door, call, timeout=PATIENCE_S))
    assert found.failed == "openai.APITimeoutError"


def test_many_calls_at_once_of_several_sdks_are_billed_to_the_nano_dollar(pair: Pair) -> None:
    """Whole, streamed and left early, in any order, over shared connections."""

    async def one(number: int, clients: dict[str, Any]) -> int:
        name = SPOKEN[number % len(SPOKEN)]
        chat = CHATS[name]
        streamed = number % 3 > 0
        manner = "slow" if number % 7 == 0 else "chat"
        found = (chat.streamed if streamed else chat.whole)(chat.name(manner))(clients[name])
        found = await found if inspect.isawaitable(found) else found
        if not streamed:
            return 1
        if number % 5 == 0:
            return len(await first(FIRST)["async"](found))
        return len(await collected_async(found))

    async def all_of_them() -> list[int]:
        async with AsyncExitStack() as stack:
            clients = {}
            for name in SPOKEN:
                made = CHATS[name].sdk.asyncio
                assert made is not None
                clients[name] = await stack.enter_async_context(made(pair.through))
            return list(await asyncio.gather(*(one(n, clients) for n in range(AT_ONCE))))

    assert min(asyncio.run(all_of_them())) >= 1
    pair.check()
    bill = pair.upstream.bill()
    assert sum(line.attempts for line in bill.values()) == AT_ONCE


# -- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai", "google"])
@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_key_is_found_wherever_a_client_shows_it(pair: Pair, name: str, place: str) -> None:
    if not pair.metered:
        pytest.skip("the bare relay finds no keys")
    key = pair.through.key
    path = "/v1/chat/completions?v=1" if name == "openai" else (
        "/v1beta/models/own-chat:generateContent?alt=json"
    )  # fmt: skip
    query = f"&key={key}" if place == "query" else ""
    body = {"model": "own-chat", "messages": [{"role": "user", "content": "Why?"}]}
    if name == "google":
        body = {"contents": [{"role": "user", "parts": [{"text": "Why?"}]}]}
    headers = {header: text.format(key) for header, text in PLACES[place].items()}
    answer = httpx.post(f"{pair.through.at(name)}{path}{query}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    (seen,) = pair.upstream.seen
    assert seen.target == f"/{name}{path}", "the key is taken out of the address"
    shown = [n.lower() for n, _ in seen.headers if n.lower() in ("authorization", *PLACES)]
    assert shown == ["x-goog-api-key" if name == "google" else "authorization"]


# -- sockets and taps --------------------------------------------------------------------------


def test_a_realtime_conversation_is_the_same(pair: Pair) -> None:
    found = pair.same(lambda door: ask(OPENAI, "sync", door, _connected, talk))
    assert found.value is not None, found
    kinds, code = found.value
    assert kinds.count("response.done") == 2
    assert code == 4001, "the provider's own close"


def test_a_realtime_conversation_is_the_same_with_asyncio(pair: Pair) -> None:
    found = pair.same(lambda door: ask(OPENAI, "async", door, _connected, talk_async))
    assert found.value is not None, found
    kinds, code = found.value
    assert kinds.count("response.done") == 2
    assert code == 4001


def _connected(client: Any) -> Any:
    return client.realtime.connect(model="own-live")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", ["openai chat", "anthropic", "mistral", "bedrock converse"])
def test_a_metered_client_in_front_of_the_gateway_is_counted_once(
    pair: Pair, name: str, streamed: bool
) -> None:
    if not pair.metered:
        pytest.skip("the bare relay records nothing")
    chat = CHATS[name]
    place = pair.through.url.partition("://")[2]
    upstream = {"openai chat": "openai", "bedrock converse": "bedrock"}.get(name, name)
    hosts = {f"{place}/{upstream}": {"bedrock": "aws"}.get(upstream, upstream)}
    with capture_events(hosts=hosts) as events:
        asked(chat, pair.through, "sync", "chat", streamed=streamed)
    assert events == [], "the gateway has recorded it"
    pair.check()
    assert list(pair.counts().values()) == [(1, 1)]
