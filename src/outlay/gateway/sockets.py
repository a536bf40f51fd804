"""Websockets through the gateway: who opens one, where it goes, and what its handshake is told.

A socket is asked about at the limits when it opens and metered message by message, as the SDK does
in an application. It owns the way of the credential (also where a browser has to put it, in the
subprotocol) and the bounds of sockets; what passes is `conversation`'s.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import aiohttp
import yarl

from outlay.capture.session import Follower
from outlay.capture.taps import socket_limits
from outlay.core.virtual_keys import PREFIX, VirtualKey
from outlay.gateway import headers
from outlay.gateway.asked_models import ModelRule
from outlay.gateway.config import Upstream
from outlay.gateway.conversation import DEFECT, Conversation, Ending
from outlay.gateway.credentials import placed
from outlay.gateway.failures import Unreachable
from outlay.gateway.handshake import Answered, Handshake, connect, passed_on
from outlay.gateway.metrics import access
from outlay.gateway.problems import Problem, answer, ending

if TYPE_CHECKING:
    from outlay.gateway.gateway import Gateway, Lane
    from outlay.gateway.identity import Caller
    from outlay.wire.base import Endpoint

MAX_SOCKETS: Final = 1000
"""Sockets open at once in one process: no more than a guest follows (`session.MAX_SESSIONS`)."""
RETRY_AFTER_S: Final = 5.0
"""When to try again to open one more."""
KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""How the subprotocol begins in which browsers show their key to OpenAI; see `shown`."""
_SWITCHED: Final = 101
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
Allows = Callable[[str | bytes], bool] | None


async def serve_socket(gateway: Gateway, scope: Message, receive: Receive, send: Send) -> None:
    """Serve one websocket, from its handshake to its end."""
    socket = Socket(gateway, scope, receive, send)
    try:
        await socket.run()
    except Problem as problem:
        await socket.tell(problem)
    except Answered as answered:
        await socket.refuse(answered.status, answered.headers, answered.body)
    except Exception:
        gateway.log.exception("defect", route=socket.surface)
        await socket.tell(Problem(500, "defect", "The gateway has failed at this socket."))
    finally:
        socket.over()


class Socket:
    """One socket and what is known of it so far."""

    def __init__(self, gateway: Gateway, scope: Message, receive: Receive, send: Send) -> None:
        self._gateway = gateway
        self._scope = scope
        self._receive = receive
        self._send = send
        self._began = time.perf_counter()
        self._waited = 0.0
        """Seconds until the upstream answered the handshake."""
        self._opened = 0.0
        """Seconds until the client's was answered."""
        self._status = 0
        self._code = ""
        self._lane: Lane | None = None
        self._upstream: Upstream | None = None
        self._caller: Caller | None = None
        self._endpoint: Endpoint | None = None
        self._conversation: Conversation | None = None
        self._ending: Ending | None = None
        self._counted = False

    @property
    def surface(self) -> str:
        """The API that is spoken, as far as it is known."""
        return "" if self._endpoint is None else self._endpoint.surface

    async def run(self) -> None:
        """Open both ends and pass messages on until one of them closes.

        Raises:
            Problem: it may not or cannot be opened; the client has been told nothing yet.
            Answered: the upstream, or a limit, answered the handshake with a refusal.
        """
        await self._receive()  # the client asks to connect
        if self._gateway.metrics.sockets >= MAX_SOCKETS:
            said = "The gateway has as many sockets open as it may."
            raise Problem(503, "too_many_sockets", said, retry_after_s=RETRY_AFTER_S)
        self._gateway.metrics.sockets += 1
        self._counted = True
        upstream, url = self._identify()
        caller, gateway = self._caller, self._gateway
        assert caller is not None
        gateway.metrics.context(caller.context)
        allows = self._model_rule(caller.key, url)
        refused = await socket_limits.refusal_of(gateway.runtime, caller.scope, url)
        if refused is not None:
            self._code = "limit"
            gateway.metrics.refused(upstream.name)
            status, shown, body = refused
            raise Answered(status, _encoded(shown), body)
        told = headers.to_upstream(
            self._scope["headers"], upstream, keep_credential=caller.passes_credential
        )
        told += await self._credential(upstream, caller)
        async with await self._connect(upstream, url, told) as shaken:
            if await self._accept(shaken):
                await self._talk(shaken, url, caller, allows)

    # -- opening -------------------------------------------------------------------------------

    def _identify(self) -> tuple[Upstream, str]:
        """Return where the socket goes, and its URL, once it is known who asks and that he may."""
        gateway, scope = self._gateway, self._scope
        path = headers.safe_path(scope["raw_path"])
        if path is None:
            raise Problem(400, "bad_path", "The path has parts that no provider's path has.")
        name, slash, rest = path[1:].partition("/")
        query = scope["query_string"]
        # Who is nobody is not told which upstreams there are.
        caller = self._caller = gateway.identify(scope["headers"], query)
        self._lane = gateway.lane(name)
        upstream = self._upstream = self._lane.upstream
        if gateway.ending:
            raise ending()
        if gateway.full:
            said = "The gateway cannot record what calls cost, so it serves none."
            raise Problem(503, "events_full", said, hint="Is the outlay server away?")
        if not caller.key.may_use(name):
            raise Problem(403, "upstream_not_allowed", "The key may not use this upstream.")
        passed_on = headers.query_to_upstream(query, keep_credential=caller.passes_credential)
        return upstream, upstream.url + slash + rest + passed_on

    def _model_rule(self, key: VirtualKey, url: str) -> Allows:
        """Return what tells whether a message's models are allowed; `None` where all are."""
        route = self._gateway.runtime.route("GET", url)
        if route is None:
            raise Problem(404, "unknown_vendor", "The upstream's vendor is not known.")
        self._endpoint = endpoint = route.endpoint
        if not key.models:
            return None
        query = parse_qs(url.partition("?")[2])
        named = [*query.get("model", ()), *query.get("deployment", ())]
        named += [model for model in (endpoint.model, endpoint.deployment) if model]
        rule = ModelRule(key)
        if named and not rule.take(named):
            raise Problem(403, "model_not_allowed", "The key may not ask for this model.")
        return rule.allows

    async def _credential(self, upstream: Upstream, caller: Caller) -> list[Header]:
        """Return the header that pays for the socket."""
        if caller.passes_credential:
            if upstream.client_credentials:
                return []
            raise Problem(
                403,
                "client_credential",
                f"The upstream `{upstream.name}` takes no credentials of clients.",
                hint="Send the virtual key alone, or set `client_credentials` for the upstream.",
            )
        tenant = caller.scope.values.get("tenant_id", "")
        credential = self._gateway.credential_of(upstream, tenant)
        if credential is None:
            return []
        if credential.place == "aws":
            said = f"The upstream `{upstream.name}` is signed for, and sockets cannot be."
            raise Problem(400, "no_sockets", said)
        name, value = placed(credential.place, await self._gateway.secret_of(credential))
        return _encoded({name: value})

    async def _connect(self, upstream: Upstream, url: str, told: list[Header]) -> Handshake:
        """Shake hands with the upstream."""
        gateway, name, lane = self._gateway, upstream.name, self._lane
        assert lane is not None
        breaker, now = lane.breaker, time.monotonic()
        if not breaker.allows(now):
            gateway.metrics.failed(name, "open")
            wait = breaker.opens_again_in(now)
            said = f"The upstream `{name}` has failed and rests."
            raise Problem(503, "circuit_open", said, retry_after_s=wait)
        began = time.perf_counter()
        try:
            shaken = await connect(
                lane.client.session,
                yarl.URL(url, encoded=True),
                passed_on(told),
                subprotocols=self._subprotocols(),
                timeouts=upstream.timeouts,
            )
        except Answered as answered:
            (breaker.failed if answered.status >= 500 else breaker.succeeded)(time.monotonic())
            gateway.metrics.answered(name, answered.status)
            answered.headers = headers.to_client(answered.headers)
            raise
        except TimeoutError as error:
            breaker.failed(time.monotonic())
            gateway.metrics.failed(name, "timeout")
            said = f"The upstream `{name}` did not answer in time."
            raise Problem(504, "upstream_timeout", said) from error
        except (aiohttp.ClientError, OSError, Unreachable) as error:
            breaker.failed(time.monotonic())
            gateway.metrics.failed(name, "error")
            said = f"The upstream `{name}` cannot be reached."
            raise Problem(502, "upstream_unreachable", said) from error
        except BaseException:
            breaker.undecided(time.monotonic())
            raise
        finally:
            self._waited = time.perf_counter() - began
        breaker.succeeded(time.monotonic())
        gateway.metrics.first_byte(name, self._waited)
        return shaken

    def _subprotocols(self) -> list[str]:
        """Return what the client offers, without a key that is not the provider's to see."""
        caller = self._caller
        keeps = caller is not None and caller.passes_credential
        return [
            offered
            for offered in self._scope.get("subprotocols", ())
            if not offered.startswith(KEY_PROTOCOL)
            or (keeps and not offered.startswith(KEY_PROTOCOL + PREFIX))
        ]

    # -- open ----------------------------------------------------------------------------------

    async def _accept(self, shaken: Handshake) -> bool:
        """Answer the client's handshake; `False`: it is gone."""
        told = passed_on(headers.to_client(shaken.headers))
        chosen = shaken.socket.protocol
        accept = {"type": "websocket.accept", "subprotocol": chosen, "headers": told}
        if not await self._say(accept):
            self._code = "client_gone"
            return False
        self._status = _SWITCHED
        self._opened = time.perf_counter() - self._began
        return True

    async def _talk(self, shaken: Handshake, url: str, caller: Caller, allows: Allows) -> None:
        gateway, config = self._gateway, self._gateway.config
        follower = Follower.begin(gateway.runtime, url, caller.scope)
        if follower is not None:
            self._endpoint = follower.endpoint
        talk = self._conversation = Conversation(
            self._receive, self._send, shaken.socket, follower, allows=allows
        )
        error: BaseException | None = None
        try:
            drain_s = config.drain_s if config.on_disconnect == "drain" else 0.0
            self._ending = await talk.run(drain_s=drain_s, drain_bytes=config.drain_bytes)
            error = self._ending.error
        except BaseException as failure:
            error = failure
            raise
        finally:
            if follower is not None:
                follower.end(error)

    # -- its end -------------------------------------------------------------------------------

    async def tell(self, problem: Problem) -> None:
        """Answer the handshake with a problem in the provider's shape, or close what is open."""
        self._code = problem.code
        self._gateway.metrics.problem(problem.code)
        if self._status == _SWITCHED:
            await self._say({"type": "websocket.close", "code": DEFECT})
            return
        vendor = "" if self._upstream is None else self._upstream.vendor
        status, told, body = answer(problem, self._endpoint or vendor)
        await self.refuse(status, _encoded(told), body)

    async def refuse(self, status: int, told: list[Header], body: bytes) -> None:
        """Answer the handshake with no."""
        self._status = status
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._say({"type": "websocket.close"})
            return
        told = passed_on(told)
        start = {"type": "websocket.http.response.start", "status": status, "headers": told}
        if await self._say(start):
            await self._say({"type": "websocket.http.response.body", "body": body})

    async def _say(self, message: Message) -> bool:
        try:
            await self._send(message)
        except (OSError, RuntimeError):
            return False  # the client is gone
        return True

    def over(self) -> None:
        """Note how it went."""
        gateway, upstream, talk = self._gateway, self._upstream, self._conversation
        if self._counted:
            gateway.metrics.sockets -= 1
        name = "" if upstream is None else upstream.name
        more: dict[str, Any] = {"code": self._code} if self._code else {}
        if talk is not None:
            more |= self._outcome(name, talk)
        caller = self._caller
        took = time.perf_counter() - self._began
        access(
            gateway.access_log,
            upstream=name,
            surface=self.surface,
            status=self._status,
            attempts=int(self._waited > 0),
            ms=took * 1e3,
            added_ms=max(0.0, (self._opened or took) - self._waited) * 1e3,
            key="" if caller is None else caller.key.key_id,
            tenant="" if caller is None else caller.scope.values.get("tenant_id", ""),
            bytes_in=0 if talk is None else talk.bytes_in,
            bytes_out=0 if talk is None else talk.bytes_out,
            **more,
        )

    def _outcome(self, upstream: str, talk: Conversation) -> dict[str, Any]:
        """Count how an open socket ended, and return what the log says of it."""
        metrics, ending = self._gateway.metrics, self._ending
        if talk.drained:
            metrics.drained(upstream)
        if ending is None:
            metrics.left(upstream)
            return {}
        if ending.error is not None:
            metrics.failed(upstream, "error")
        elif talk.given_up:
            metrics.left(upstream)
        else:
            metrics.answered(upstream, _SWITCHED)
        return {"closed_by": ending.by, "close": ending.code}


def _encoded(told: dict[str, str]) -> list[Header]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
