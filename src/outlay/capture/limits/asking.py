"""What a request asks of the limits, as far as its own words tell: no price is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from outlay.capture.guard import caught
from outlay.capture.limits.steps import Asked
from outlay.capture.scope import Scope
from outlay.core.rates import price_speed, price_tier
from outlay.wire.base import Reading, Request, as_count, as_dict, estimate_tokens

if TYPE_CHECKING:
    from outlay.wire.frames import Echo

MAX_ANSWERS: Final = 128
"""Most answers to one request that are believed."""

_ANSWERS: Final = ("n", "best_of", "num_generations")
_CONFIGS: Final = ("generationConfig", "generation_config")
_CANDIDATES: Final = ("candidateCount", "candidate_count")
_LOOK: Final = "retrieved"
"""Finding of a request that looks at work that was asked for before."""


class Metered(Protocol):
    """What of a codec is looked at: every reader of HTTP bodies has it."""

    reading: Reading
    streamed: bool
    output_characters: int
    request_body: dict[str, Any]

    def echo_to(self, echo: Echo | None) -> None:
        """Leave the events of a stream, parsed, for who relays it; `None`: nobody does any more."""

    def count_request_characters(self) -> int:
        """Count the characters of prompt text."""


class Apart:
    """What is metered without being one HTTP attempt: a call of gRPC, or a socket to be opened."""

    __slots__ = ("_bytes", "output_characters", "reading", "request_body", "streamed")

    def __init__(self, reading: Reading, asked_bytes: int) -> None:
        self.reading = reading
        self.streamed = reading.streamed
        self.output_characters = 0
        self.request_body: dict[str, Any] = {}
        self._bytes = asked_bytes

    def echo_to(self, echo: Echo | None) -> None:
        """Leave nothing: its bytes are not relayed here."""

    def count_request_characters(self) -> int:
        """Return the size of what is asked."""
        return self._bytes


def is_asked(reader: Metered, request: Request) -> bool:
    """Tell whether limits are asked about a request: not about what is free, nor about looks."""
    reading = reader.reading
    if request.method.upper() == "GET" or reading.surface.endswith(".free"):
        return False
    return _LOOK not in reading.findings


def asked_of(scope: Scope, reader: Metered, request: Request) -> Asked:
    """Return what a request asks for.

    Its input is estimated from its text, and from all its bytes where it has none; each of several
    answers may be as long as the bound.
    """
    reading = reader.reading
    bound, answers = reading.max_tokens, _answers(reader.request_body)
    if bound is not None:
        bound *= answers
    tier, _ = price_tier(None, reading.tier_requested)
    return Asked(
        scope,
        reading.provider,
        reading.model_requested or reading.deployment or "",
        max_tokens=bound,
        input_tokens=_input_tokens(reader, request),
        streamed=reader.streamed,
        operation=reading.operation,
        answers=answers,
        most_input=len(request.body),
        terms=(tier, price_speed(reading.speed), reading.host_class, reading.region_class),
    )


def _answers(body: dict[str, Any]) -> int:
    """Return how many answers a body asks for, in whichever dialect's word."""
    told = [as_count(body.get(name)) for name in _ANSWERS]
    for name in _CONFIGS:
        config = as_dict(body.get(name))
        told += [as_count(config.get(answers)) for answers in _CANDIDATES]
    return min(max(1, *told), MAX_ANSWERS)


def _input_tokens(reader: Metered, request: Request) -> int:
    try:
        characters = reader.count_request_characters()
    except Exception as error:
        caught("limits.count", error)
        characters = 0
    return estimate_tokens(characters or len(request.body))
