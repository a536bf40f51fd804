"""Sockets through the gateway as clients and providers see them: what passes, what a handshake says
on each side, and what is written down."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import openai
import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.server import ServerConnection

from tests.guest.bodies import SECRET
from tests.guest.speakers import TURN
from tests.unit.gateway.socket_rig import (
    ASK,
    KEY,
    PROVIDER_KEY,
    echo,
    refused,
    rigged,
    turns,
    until,
)

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")

LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


# -- what passes ---------------------------------------------------------------------------------


def test_the_openai_sdk_talks_as_without_a_gateway_and_is_metered() -> None:
    with rigged(turns) as (rig, provider):
        client = openai.OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{rig.port}/up/v1")
        with client.realtime.connect(model="gpt-realtime") as connection:
            connection.response.create()
            kinds = [connection.recv().type for _ in TURN]
        assert kinds == [json.loads(message)["type"] for message in TURN]
        assert provider.request.path == "/openai/v1/realtime?model=gpt-realtime"
    (event,) = rig.events
    assert (event["tenant_id"], event["tenant_source"]) == ("acme", "key")
    assert event["labels"] == {"virtual_key": "vk_1"}
    assert (event["surface"], event["model_requested"]) == ("openai.realtime", "gpt-realtime")
    assert (event["status"], event["input"], event["output"]) == ("ok", 12, 7)


def test_an_event_is_there_when_the_client_sees_the_end_of_its_answer() -> None:
    with rigged(turns) as (rig, _), rig.connect() as client:
        for number in range(1, 4):
            client.send(ASK)
            assert [client.recv() for _ in TURN] == TURN
            assert len(rig.events) == number


def test_messages_pass_both_ways_as_they_are_and_in_order() -> None:
    short: list[Any] = ["text", "", "ünï \U0001f600", b"", b"\x00\xff" * 100]
    messages = [*short, "x" * 70_000, b"y" * 70_000]
    with rigged(echo) as (rig, _), rig.connect() as client:
        for message in messages:
            client.send(message)
        assert [client.recv() for _ in messages] == messages
        client.send(["in ", "pieces"])
        assert client.recv() == "in pieces"


def test_aiohttp_is_a_client_too() -> None:
    async def talk(url: str) -> list[Any]:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {KEY}"}
            async with session.ws_connect(f"{url}/v1/realtime", headers=headers) as socket:
                await socket.send_str("a")
                await socket.send_bytes(b"b")
                return [(await socket.receive()).data for _ in range(2)]

    with rigged(echo) as (rig, _):
        assert asyncio.run(talk(rig.url)) == ["a", b"b"]


def test_neither_side_is_compressed_even_where_it_offers_to_be() -> None:
    with rigged(echo) as (rig, provider):
        with rig.connect(extensions=[ClientPerMessageDeflateFactory()]) as client:
            client.send("a" * 1000)
            assert client.recv() == "a" * 1000
            assert client.protocol.extensions == []
        assert "Sec-WebSocket-Extensions" not in provider.request.headers


# -- the handshake -------------------------------------------------------------------------------


def test_the_provider_sees_its_own_key_and_the_client_s_other_headers() -> None:
    said = {"OpenAI-Beta": "realtime=v1", "X-Forwarded-For": "10.0.0.1", "outlay-secret": "x",
            "baggage": "a=1,outlay=2", "Cookie": "c=1"}  # fmt: skip
    with rigged(echo) as (rig, provider):
        with rig.connect(headers=said):
            pass
        headers = provider.request.headers
        assert headers.get_all("Authorization") == [f"Bearer {PROVIDER_KEY}"]
        assert headers["OpenAI-Beta"] == "realtime=v1"
        assert headers["baggage"] == "a=1"
        for name in ("X-Forwarded-For", "outlay-secret", "Cookie", "Accept-Encoding"):
            assert name not in headers
        assert KEY not in str(headers)


def test_a_browser_s_key_in_the_subprotocol_is_taken_out() -> None:
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    with rigged(echo, provider={"subprotocols": ["realtime"]}) as (rig, provider):
        with rig.connect(key="", subprotocols=offered) as client:
            assert client.subprotocol == "realtime"
        headers = provider.request.headers
        assert headers["Sec-WebSocket-Protocol"] == "realtime,openai-beta.realtime-v1"
        assert headers["Authorization"] == f"Bearer {PROVIDER_KEY}"


def test_a_subprotocol_that_the_provider_does_not_choose_is_not_chosen() -> None:
    with rigged(echo) as (rig, _), rig.connect(subprotocols=["a", "b"]) as client:
        assert client.subprotocol is None


def test_a_key_in_the_query_is_taken_out() -> None:
    with rigged(echo, vendor="google") as (rig, provider):
        with rig.connect(f"{LIVE}?alt=ws&key={KEY}", key=""):
            pass
        assert provider.request.path == f"/google{LIVE}?alt=ws"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_client_may_bring_the_provider_s_key_where_the_upstream_takes_it(allowed: bool) -> None:
    own = "openai-insecure-api-key.sk-of-the-client"
    shown: dict[str, Any] = {"headers": {"outlay-key": KEY}, "key": ""}
    with rigged(echo, client_credentials=allowed) as (rig, provider):
        if not allowed:
            assert refused(rig, subprotocols=["realtime", own], **shown)[0] == 403
            return
        with rig.connect(subprotocols=["realtime", own], **shown):
            pass
        headers = provider.request.headers
        assert headers["Sec-WebSocket-Protocol"] == f"realtime,{own}"
        assert "Authorization" not in headers


def test_the_provider_s_answer_goes_back_with_its_headers() -> None:
    def named(_connection: ServerConnection, _request: Any, response: Any) -> None:
        response.headers["x-request-id"] = "req_1"
        response.headers["outlay-cost-nanos"] = "1"

    with rigged(echo, provider={"process_response": named}) as (rig, _):
        with rig.connect() as client:
            assert client.response is not None
            headers = client.response.headers
        assert headers["x-request-id"] == "req_1"
        assert "outlay-cost-nanos" not in headers
        assert len(headers.get_all("Sec-WebSocket-Accept")) == 1
        assert len(headers.get_all("Date")) == 1


# -- what is written down ------------------------------------------------------------------------


def test_the_access_log_tells_counts_and_names_and_no_content() -> None:
    with rigged(echo) as (rig, _):
        path = f"/v1/realtime?model=gpt-realtime&note={SECRET.replace(' ', '+')}"
        with rig.connect(path, headers={"x-note": SECRET}) as client:
            client.send(SECRET)
            client.recv()
            client.close(4000, "done")
        until(rig.lines)
        (line,) = rig.lines()
    assert (line["upstream"], line["surface"], line["status"]) == ("up", "openai.realtime", 101)
    assert (line["key"], line["tenant"], line["attempts"]) == ("vk_1", "acme", 1)
    assert (line["bytes_in"], line["bytes_out"]) == (len(SECRET), len(SECRET))
    assert (line["closed_by"], line["close"]) == ("client", 4000)
    assert 0 <= line["added_ms"] <= line["ms"]
    logged = rig.logged.getvalue()
    for private in (SECRET, KEY, PROVIDER_KEY, "realtime?", "gpt-realtime"):
        assert private not in logged


def test_nothing_is_logged_of_a_refusal_but_the_refusal(caplog: pytest.LogCaptureFixture) -> None:
    with rigged(echo) as (rig, _):
        refused(rig, key="ov_" + "x" * 40)
        until(rig.lines)
    (line,) = rig.lines()
    assert (line["status"], line["code"], line["attempts"]) == (401, "unknown_key", 0)
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []
    assert "ov_" not in caplog.text
