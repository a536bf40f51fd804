"""What the wires of the gateway tests' provider share: a request, an answer, and what it costs.

The provider has models of its own, `own-chat` and others, whose names say how they behave: see
`BEHAVIOURS`. The same request gives the same answer, ids too, so that a call made directly and one
made through a gateway can be compared as they are. A token is four characters, both ways. Money is
integer nano-dollars.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from outlay.demo.prose import pieces, prose

BEHAVIOURS: Final = {
    "chat": "answers at once",
    "slow": "takes its time: a whole answer begins late, a stream comes piece by piece",
    "cut": "drops the connection inside a stream",
    "fails": "tells an error inside a stream",
    "flaky": "is out of quota at the first attempt of a conversation",
    "limited": "answers 429", "missing": "answers 404", "broken": "answers 500",
    "busy": "answers 503", "bad": "answers 400", "closed": "answers 403",
}  # fmt: skip
STATUSES: Final = {
    "flaky": 429, "limited": 429, "missing": 404, "broken": 500, "busy": 503, "bad": 400,
    "closed": 403,
}  # fmt: skip
NANOS: Final = {
    "input": 2_000,
    "output": 10_000,
    "audio_seconds": 100_000,
    "characters": 15_000,
    "search_units": 2_000_000,
}
"""What one unit costs, whoever the provider is."""
CITY: Final = "Zürich"
"""What tools are called with, and what structured answers tell of."""
ARGUMENTS: Final = json.dumps({"city": CITY}, ensure_ascii=False)
STRUCTURED: Final = json.dumps({"city": CITY, "celsius": 21}, ensure_ascii=False)
ANSWER_CHARACTERS: Final = 211
SLOW_CHARACTERS: Final = 900
CREATED: Final = 1_790_000_000
MESSAGE: Final = "The provider says no."

_MODEL: Final = re.compile(r"own-([a-z]+)")


def tokens(characters: int) -> int:
    """Return the tokens of so many characters."""
    return -(-characters // 4)


def to_json(value: Any) -> bytes:
    """Write JSON as providers do: compact, with text outside ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(value: Any, name: str = "") -> bytes:
    """Write one server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + to_json(value) + b"\n\n"


@dataclass(frozen=True)
class Asked:
    """A request, as it came; `path` is the provider's own, decoded, behind the prefix."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    parts: Mapping[str, bytes] = field(default_factory=dict)
    """Of a multipart form."""

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body; `{}` when it is not a JSON object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Piece:
    """A piece of a stream, and how many characters of the answer are in it."""

    data: bytes
    characters: int = 0


@dataclass(frozen=True)
class Reply:
    """An answer to one request. `usage` is what all of it is billed as; `None`: nothing ever."""

    body: bytes = b""
    pieces: Sequence[Piece] = ()
    status: int = 200
    model: str = ""
    usage: Mapping[str, int] | None = None
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    failure: Callable[[int], bytes] = lambda _: b""
    """What a stream of the model that `fails` tells after so many characters."""
    output: Callable[[int], int] = tokens
    """Tokens of output of a stream that ended after so many characters."""

    def cut(self, sent: int) -> dict[str, int]:
        """Return what is billed of a stream that ended after so many characters."""
        return {"input": (self.usage or {}).get("input", 0), "output": max(1, self.output(sent))}


@dataclass(frozen=True)
class Wire:
    """One provider's way to speak. `provider` is who is paid."""

    provider: str
    reply: Callable[[Asked], Reply]
    """Answers a request; 404 for a path it does not know."""
    error: Callable[[int, str], Reply]
    """Words an error, by status."""
    model: Callable[[Asked], str]
    """Which model a request asks for."""


def behaviour(model: str) -> str:
    """Return how a model behaves, by its name."""
    found = _MODEL.search(model)
    return found[1] if found is not None else ""


def cost(usage: Mapping[str, int]) -> int:
    """Return the price of what was used."""
    return sum(NANOS[unit] * count for unit, count in usage.items())


def identifier(prefix: str, *seed: str) -> str:
    """Return an id that depends on the seed only."""
    return prefix + hashlib.sha256("\x1f".join(seed).encode()).hexdigest()[:24]


def text_of(model: str, texts: Sequence[str]) -> str:
    """Return what a model answers to some texts."""
    size = SLOW_CHARACTERS if behaviour(model) == "slow" else ANSWER_CHARACTERS
    return prose("".join(texts), size)


def in_pieces(text: str) -> list[str]:
    """Return the deltas that a text is streamed in."""
    return list(pieces(text))


def usage_of(texts: Sequence[str], answer: str) -> dict[str, int]:
    """Return what a call used."""
    return {"input": tokens(sum(map(len, texts))), "output": tokens(len(answer))}


def vector(text: str, dimensions: int = 8) -> list[float]:
    """Return a text's embedding; every number fits in 32 bits."""
    return [byte / 256 for byte in hashlib.sha256(text.encode()).digest()[:dimensions]]


def lines(parts: Sequence[bytes]) -> list[Piece]:
    """Return pieces without text of the model in them."""
    return [Piece(part) for part in parts]
