"""One past request's events, as the SDK would have written them: spans, attempts, counters. Pure.

Owns the shape of an event and the passing of time in a request. Which agents call what is
`history_work`'s matter.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from outlay.core.ids import RANDOM_BYTES, uuid7
from outlay.demo import shapes
from outlay.demo.history_rhythm import Start
from outlay.stream.decode import CapturedEvent

MS: Final = 1_000
PREFIX_TOKENS: Final = 1_280
"""The instructions that every agent starts with; providers cache them."""
RETRY_SHARE: Final = 0.025
CANCEL_SHARE: Final = 0.03
"""Of streams: the reader walks away."""
SYSTEM_SERVICE: Final = "night-jobs"
SERVICE: Final = "demo-app"
ENVIRONMENT: Final = "production"
STAGING_SHARE: Final = 0.04
MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Model:
    """A model as requests name it, and how it answers."""

    provider: str
    name: str
    served: str
    surface: str
    tokens_per_s: int
    stop: str
    tier: str | None = None
    host_class: str | None = None
    limited: str = "http_429"
    """What the provider calls a refusal of too many requests."""
    down: tuple[int, str] = (500, "http_500")


def _openai(name: str, speed: int, *, served: str = "", surface: str = "openai.chat") -> Model:
    stop = "stop" if surface == "openai.chat" else "completed"
    return Model("openai", name, served or name, surface, speed, stop, "default")


def _anthropic(name: str, speed: int, served: str = "") -> Model:
    return Model(
        "anthropic", name, served or name, "anthropic.messages", speed, "end_turn", "standard",
        limited="rate_limit_error", down=(529, "overloaded_error"),
    )  # fmt: skip


PLANNER: Final = _openai("gpt-5.6-sol", 70, surface="openai.responses")
LARGE: Final = _openai("gpt-5.6-sol", 70)
SMALL: Final = _openai("gpt-5.6-luna", 160)
TAGGER: Final = _openai("gpt-5.6-luna", 160, surface="openai.responses")
MINI: Final = _openai("gpt-5-mini", 140, served="gpt-5-mini-2025-08-07")
EMBEDDER: Final = Model(
    "openai", "text-embedding-3-small", "text-embedding-3-small", "openai.embeddings", 0, "",
    limited="tokens",
)  # fmt: skip
WRITER: Final = _anthropic("claude-sonnet-5-5", 75)
CONTRACT_WRITER: Final = _anthropic("claude-opus-5-5", 55)
"""What acme's contracts were written with, under a price of its own."""
CRITIC: Final = _anthropic("claude-haiku-4-5", 150, "claude-haiku-4-5-20251001")
READER: Final = Model(
    "google", "gemini-2.5-flash", "gemini-2.5-flash", "google.generate", 180, "STOP", "standard",
    "ai_studio", "RESOURCE_EXHAUSTED", (500, "INTERNAL"),
)  # fmt: skip
OWN_MODEL: Final = Model(
    "vllm", "qwen3-coder-30b", "qwen3-coder-30b", "openai.chat", 90, "stop", limited="http_429"
)
"""A model of our own machines that nobody has given a price."""
SEARCH: Final = "serp.search"
SEARCH_NANOS: Final = 5_000_000


@dataclass(slots=True)
class Span:
    """One run of an agent."""

    path: str
    span_id: str
    parent: str | None

    def child(self, name: str, request: Request) -> Span:
        """Open a sub-agent."""
        return Span(f"{self.path}/{name}", request.token(8), self.span_id)


class Request:
    """Writes the events of one request; its clock goes on with every call."""

    def __init__(self, start: Start, rng: random.Random, *, outage: tuple[int, int]) -> None:
        """Begin.

        Args:
            start: whose, for what, and when.
            rng: draws everything that is random.
            outage: from and to when Anthropic refuses all; microseconds UTC.
        """
        self.rng = rng
        self.at = start.at
        self.events: list[Any] = []
        self._outage = outage
        tenant, user = start.tenant, start.feature.initiator == "user"
        number = 1 + int(tenant.users * rng.random() ** 2)
        place = 1 + number % tenant.workspaces
        staging = rng.random() < STAGING_SHARE
        self.who: dict[str, Any] = {
            "tenant_id": tenant.tenant_id,
            "tenant_source": "request",
            "workspace_id": f"{tenant.tenant_id}-w{place}",
            "initiator": start.feature.initiator,
            "request_id": self.new_id(),
            "run_id": self.new_id(),
            "trace_id": self.token(16),
            "workflow": start.feature.workflow,
            "feature": start.feature.name,
            "environment": "staging" if staging else ENVIRONMENT,
            "service": SERVICE if user else SYSTEM_SERVICE,
            "labels": {"region": tenant.region},
        }
        if user:
            self.who["user_id"] = f"{tenant.tenant_id}-u{number}"
        self.root = Span("orchestrator", self.token(8), None)

    # -- ids and time ----------------------------------------------------------------------------

    def new_id(self) -> str:
        """Make an id of the present moment."""
        return uuid7(self.at // MS, self.rng.getrandbits(8 * RANDOM_BYTES).to_bytes(RANDOM_BYTES))

    def token(self, size: int) -> str:
        """Make a token of so many bytes, in hex."""
        return f"{self.rng.getrandbits(8 * size):0{2 * size}x}"

    def wait(self, least_ms: int, most_ms: int) -> None:
        """Let time pass between two calls."""
        self.at += self.rng.randint(least_ms, most_ms) * MS

    def is_down(self, model: Model) -> bool:
        """Tell whether the provider refuses everything at present."""
        return model.provider == "anthropic" and self._outage[0] <= self.at < self._outage[1]

    # -- calls -----------------------------------------------------------------------------------

    def chat(
        self,
        span: Span,
        model: Model,
        *,
        context: int,
        cached: int = PREFIX_TOKENS,
        streamed: bool = False,
        thinks: bool = False,
        fallback: Model | None = None,
    ) -> None:
        """Ask a model: tries again when refused, and asks `fallback` when the model is down.

        Args:
            span: the agent that asks.
            model: who is asked.
            context: tokens of the prompt that no cache has.
            cached: tokens of the prompt before those.
            streamed: as a stream, that the reader may leave.
            thinks: the answer has reasoning.
            fallback: another model.
        """
        call, attempt = self.new_id(), 0
        down = self.is_down(model)
        while attempt < MAX_ATTEMPTS and (down or self.rng.random() < RETRY_SHARE):
            self._refuse(span, model, call, attempt, streamed=streamed)
            attempt += 1
        if attempt == MAX_ATTEMPTS:
            if fallback is None:
                return
            self._answer(
                span, fallback, self.new_id(), 0, context, cached, streamed, thinks,
                fallback_from=model.name,
            )  # fmt: skip
            return
        self._answer(span, model, call, attempt, context, cached, streamed, thinks)

    def embed(self, span: Span, tokens: int) -> None:
        """Embed texts."""
        call, attempt = self.new_id(), 0
        if self.rng.random() < RETRY_SHARE / 2:
            self._refuse(span, EMBEDDER, call, 0, streamed=False)
            attempt = 1
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self._write(
            span, EMBEDDER, call, attempt, self.rng.randint(60, 420),
            operation="embeddings", status="ok", http_status=200, input=tokens,
            provider_request_id="req_" + self.token(12), model_served=EMBEDDER.served,
            usage_raw=msgspec.Raw(msgspec.json.encode(usage)),
        )  # fmt: skip

    def search(self, span: Span) -> None:
        """Call the tool that charges by the call."""
        begun = self.at
        self.wait(150, 900)
        event_id = self.new_id()
        self.events.append(
            CapturedEvent(
                event_id=event_id, call_id=event_id, started_at=begun, ended_at=self.at,
                span_id=span.span_id, parent_span_id=span.parent, agent_path=span.path,
                operation="tool", name=SEARCH, provider="serp", status="ok",
                usage_source="counted", other_units={"requests": 1},
                provider_cost_nanos=SEARCH_NANOS, **self.who,
            )
        )  # fmt: skip

    # -- attempts --------------------------------------------------------------------------------

    def _refuse(self, span: Span, model: Model, call: str, attempt: int, *, streamed: bool) -> None:
        busy = not self.is_down(model) and self.rng.random() < 0.6
        status, error = (429, model.limited) if busy else model.down
        self._write(
            span, model, call, attempt, self.rng.randint(40, 400),
            operation="embeddings" if model is EMBEDDER else "chat", status="error",
            error_type=error, http_status=status, billed="no", usage_source="none",
            streamed=streamed,
        )  # fmt: skip
        self.wait(400 << attempt, 900 << attempt)

    def _answer(
        self,
        span: Span,
        model: Model,
        call: str,
        attempt: int,
        context: int,
        cached: int,
        streamed: bool,
        thinks: bool,
        **more: Any,
    ) -> None:
        rng = self.rng
        output = shapes.generated_tokens("conversation", rng.random())
        reasoning = shapes.generated_tokens("code", rng.random()) if thinks else 0
        if streamed and rng.random() < CANCEL_SHARE:
            output, reasoning = max(1, int(output * rng.random())), 0
            more.update(
                status="aborted", error_type="cancelled", billed="possible",
                usage_source="estimated", findings=["output_estimated"],
            )  # fmt: skip
        else:
            more.update(status="ok", finish_reason=model.stop)
        first = rng.randint(250, 1_100)
        took = first + int((output + reasoning) * 1000 / model.tokens_per_s)
        counts = _counts(model, context, cached, output, reasoning, rng)
        if streamed:
            more["ttft_ms"] = float(first)
        self._write(
            span, model, call, attempt, took, operation="chat", http_status=200,
            provider_request_id="req_" + self.token(12), model_served=model.served,
            tier_served=model.tier, streamed=streamed, output=output, output_reasoning=reasoning,
            **counts, **more,
        )  # fmt: skip

    def _write(
        self, span: Span, model: Model, call: str, attempt: int, took_ms: int, **more: Any
    ) -> None:
        begun = self.at
        event_id = call if attempt == 0 else self.new_id()
        self.at += took_ms * MS
        self.events.append(
            CapturedEvent(
                event_id=event_id, call_id=call, attempt=attempt,
                started_at=begun, ended_at=self.at, latency_ms=float(took_ms),
                span_id=span.span_id, parent_span_id=span.parent, agent_path=span.path,
                provider=model.provider, vendor=model.provider, surface=model.surface,
                host_class=model.host_class, model_requested=model.name, **self.who, **more,
            )
        )  # fmt: skip


def _counts(
    model: Model, context: int, cached: int, output: int, reasoning: int, rng: random.Random
) -> dict[str, Any]:
    """Return the prompt's counters, and the provider's own words for all of them."""
    written = cached > 0 and rng.random() < 0.06
    read = 0 if written else cached
    total = context + cached
    counts: dict[str, Any] = {"input": context, "input_cache_read": read}
    raw: dict[str, Any]
    if model.provider == "anthropic":
        counts["input_cache_write_1h"] = cached - read
        raw = {
            "input_tokens": context,
            "cache_creation_input_tokens": cached - read,
            "cache_read_input_tokens": read,
            "output_tokens": output + reasoning,
        }
    elif model.provider == "google":
        counts["input"] = total - read
        raw = {
            "promptTokenCount": total,
            "candidatesTokenCount": output,
            "thoughtsTokenCount": reasoning,
            "cachedContentTokenCount": read,
        }
    else:
        counts["input"] = total - read
        raw = {
            "prompt_tokens": total,
            "completion_tokens": output + reasoning,
            "prompt_tokens_details": {"cached_tokens": read},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    counts["usage_raw"] = msgspec.Raw(msgspec.json.encode(raw))
    return counts
