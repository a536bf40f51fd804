"""What a codec takes and gives: `Request` in, a `Reader` while bytes pass, a `Reading` at the end.

A reader is fed decoded body bytes in any chunking. It never raises: what it cannot read it says in
`findings`, and the reading stays usable. No prompt or completion text is kept beyond counting it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

from outlay.core import units
from outlay.core.event import MAX_COUNT

Status = Literal["ok", "error", "aborted", "incomplete", "refused", "blocked", "timeout"]
Billed = Literal["yes", "no", "possible"]
UsageSource = Literal["provider", "counted", "estimated", "none"]

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A JSON body longer than this is not parsed; the reading says `body_too_large`."""

REQUEST_ID_HEADERS = (
    "x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "mistral-correlation-id",
    "inference-id", "x-debug-trace-id",
)  # fmt: skip
"""Where providers put their id of a request; the first one there counts."""

TIER_HEADER = "x-vertex-ai-llm-shared-request-type"
"""Where a request to Vertex names its tier."""

BEDROCK_TIER_HEADER = "x-amzn-bedrock-service-tier"
BEDROCK_ERROR_HEADER = "x-amzn-errortype"
BEDROCK_LATENCY_HEADER = "x-amzn-bedrock-performanceconfig-latency"
BEDROCK_COUNT_HEADERS = {
    "x-amzn-bedrock-input-token-count": "input_tokens",
    "x-amzn-bedrock-output-token-count": "output_tokens",
    "x-amzn-bedrock-cache-read-input-token-count": "cache_read_input_tokens",
    "x-amzn-bedrock-cache-write-input-token-count": "cache_creation_input_tokens",
}
"""Bedrock's counts, by the name that Anthropic gives them."""

COHERE_COUNT_HEADER = "num_tokens"
"""Cohere's sum of billed input and output tokens."""

READ_HEADERS = frozenset(
    (
        *REQUEST_ID_HEADERS, TIER_HEADER, BEDROCK_TIER_HEADER, BEDROCK_ERROR_HEADER,
        BEDROCK_LATENCY_HEADER, *BEDROCK_COUNT_HEADERS, COHERE_COUNT_HEADER, "content-type",
    )
)  # fmt: skip
"""All headers that any reader looks at, of requests and replies; nobody need pass others."""

PROBLEM_HEADER = "outlay-problem"
"""Names what a gateway of ours found wrong, on an answer of its own: no provider was asked."""

_decode = json.JSONDecoder().raw_decode

_FIRST_SECOND = 1_000_000_000
_LAST_SECOND = 100_000_000_000
"""Seconds outside these are another unit, or garbage."""

CHARACTERS_PER_TOKEN = 4
"""The estimator used where the wire told nothing: four characters a token, rounded up."""


@dataclass(slots=True)  # not frozen: that would cost each call more than all its fields
class Request:
    """One HTTP attempt as it leaves: header names are lower case, `body` is the decoded bytes."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def host(self) -> str:
        """The host name, lower case, without port."""
        try:
            return (urlsplit(self.url).hostname or "").lower()
        except ValueError:
            return ""

    @property
    def path(self) -> str:
        """The path, percent-decoded, without query."""
        try:
            return unquote(urlsplit(self.url).path)
        except ValueError:
            return ""

    @property
    def query(self) -> str:
        """The raw query text."""
        try:
            return urlsplit(self.url).query
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes: who is paid, whose dialect, which API, as found by host and path."""

    provider: str
    vendor: str
    surface: str
    operation: str
    host_class: str = ""
    region_class: str = ""
    model: str | None = None
    """The model named in the path, where the API has it there."""
    deployment: str | None = None


@dataclass(slots=True)
class Segment:
    """A part of one response priced on its own, since it was its own model call."""

    model: str
    usage: dict[str, int]
    kind: str = "message"


@dataclass(slots=True)
class Reading:
    """What one attempt asked for, got and used.

    `usage` maps unit names (`core.units`) to disjoint, non-negative counts; zero counts are left
    out. When `segments` is not empty, `usage` is their sum and each segment is priced with its own
    model. `provider_cost_nanos` is the cost the provider itself stated, in nano-dollars.
    `provider` is who is paid (`openai`, `azure`, `anthropic`, `aws`, `google`, …), `vendor` whose
    wire dialect is spoken, `surface` the API shape (`openai.chat`, `anthropic.messages`, …).
    """

    provider: str
    surface: str
    vendor: str
    operation: str = "other"
    host_class: str = ""
    region_class: str = ""
    model_requested: str | None = None
    model_served: str | None = None
    deployment: str | None = None
    tier_requested: str | None = None
    tier_served: str | None = None
    batch: bool = False
    speed: str | None = None
    streamed: bool = False
    tool_calls: int = 0
    tool_keys: tuple[int, ...] = ()
    """A short key of each tool call that was told with its arguments: equal for equal calls."""
    max_tokens: int | None = None
    status: Status = "ok"
    error_type: str | None = None
    http_status: int | None = None
    finish_reason: str | None = None
    billed: Billed = "yes"
    usage: dict[str, int] = field(default_factory=dict)
    usage_source: UsageSource = "none"
    usage_raw: Any = None
    segments: list[Segment] = field(default_factory=list)
    provider_cost_nanos: int | None = None
    provider_request_id: str | None = None
    response_id: str | None = None
    created_at: int | None = None
    """When the provider says that the response was made, microseconds UTC."""
    once: str = ""
    """Set where the same response may be read again (stored, background, batch): its identity,
    unique with the provider. Whoever records the reading derives the event's id from it."""
    job: str = ""
    """The batch job or file that the reading was taken from; in the reading of a look at a job
    itself, the name under which its results will be read, with the job's time in `created_at`."""
    fallback_from: str | None = None
    findings: list[str] = field(default_factory=list)

    def put(self, unit: str, count: int) -> None:
        """Add to one bucket; what is below 0 or no possible count is found and left out."""
        if count < 0:
            self.find(f"negative:{unit}")
        elif count > MAX_COUNT:
            self.find(f"too_large:{unit}")
        elif count:
            self.usage[unit] = self.usage.get(unit, 0) + count

    def add_part(self, segment: Segment) -> None:
        """Add a part that was a model call of its own; what it used counts in the whole, too."""
        if segment.usage:
            self.segments.append(segment)
        for unit, count in segment.usage.items():
            self.put(unit, count)

    def find(self, finding: str) -> None:
        """Note a finding once."""
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def input_total(self) -> int:
        """Everything the model read."""
        return units.input_total(self.usage)

    @property
    def output_total(self) -> int:
        """Everything the model produced, reasoning included."""
        return units.output_total(self.usage)


class Reader(Protocol):
    """Follows one attempt. Call `response` once, `feed` for each chunk, `finish` once."""

    streamed: bool
    """Whether the caller asked for a stream."""

    ready: list[Reading]
    """Readings of other calls that the reply tells of, so far; whoever feeds takes them out."""

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the response line and headers (names lower case)."""

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; any chunking gives the same reading."""

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """End the attempt and give its reading.

        Args:
            complete: the body was read to its end; `False` when it was cut or abandoned.
            error: the class of a transport failure (`timeout`, `connect`, …), if there was one.
        """


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """Return the value if it is non-empty text, else `None`."""
    return value if isinstance(value, str) and value else None


def as_count(value: Any) -> int:
    """Return a count from JSON: whole numbers only (also `5.0`), everything else is 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return 0


def as_time(value: Any) -> int | None:
    """Return microseconds UTC for seconds since 1970, or `None` when that is no time of these."""
    if isinstance(value, int | float) and _FIRST_SECOND <= value < _LAST_SECOND:
        return int(value * 1_000_000)
    return None


def load_json(raw: bytes) -> Any:
    """Parse JSON, or return `None` when it is not JSON or is too large or too deep."""
    if not raw or len(raw) > MAX_BODY_BYTES:
        return None
    try:
        # JSON's own rule: text that begins like this is UTF-8. The rest is left to `json`.
        if raw[0] != 0x7B or raw[1:2] == b"\0":
            return json.loads(raw)
        text = raw.decode("utf-8", "surrogatepass")
        value, end = _decode(text)
        return None if text[end:].strip(" \t\n\r") else value
    except (ValueError, RecursionError):
        return None


def estimate_tokens(characters: int) -> int:
    """Estimate tokens from a character count: never 0 for at least one character."""
    return -(-characters // CHARACTERS_PER_TOKEN)
