"""What the three wires give the simulator: the bytes to send and what they cost.

It also holds what they share: the answer made from a request's content, and the prompt cache.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outlay.demo import bill, shapes
from outlay.demo.bill import Counts
from outlay.demo.prose import fraction, prose

MAX_PREFIXES: Final = 10_000
"""Prompt prefixes kept in the cache; the least recently used go."""
CACHE_FROM_TOKENS: Final = 1024
"""Prefixes shorter than this are not cached."""
MAX_ANSWER_TOKENS: Final = 4096

_serial = itertools.count(1)
_run = secrets.token_hex(6)


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of a stream; `characters` is the length of the model's text in it."""

    data: bytes
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer to one attempt.

    `body` is set for a whole answer, `frames` for a stream. `complete` is what the whole costs;
    `cut` gives what a stream costs of which so many characters were sent.
    """

    provider: str
    model: str
    complete: Counts
    cut: Callable[[int], Counts]
    body: bytes = b""
    frames: list[Frame] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    def nanos(self, counts: Counts) -> int:
        """Price counts of this reply's model."""
        return bill.price(self.provider, self.model, counts)


class WireError(Exception):
    """A request that the provider refuses, with the status and body it answers."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Answer:
    """The text that a model gives, and what it cost to think of it."""

    text: str
    reasoning_tokens: int
    truncated: bool


class PromptCache:
    """Remembers the prompt prefixes of each tenant, so that a second use is a cache read."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def touch(self, tenant: str, model: str, prefix: str) -> bool:
        """Tell whether the prefix was there, and keep it."""
        key = (tenant, model, f"{fraction(prefix)}:{len(prefix)}")
        known = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_PREFIXES:
            self._seen.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt as a wire sees it."""

    tenant: str
    body: Mapping[str, Any]
    cache: PromptCache
    interrupted: bool = False
    """A stream that will not end: it gets no cache discount where the wire cannot tell it."""


def answer(seed: str, *, limit: int | None, thinks: bool) -> Answer:
    """Make the answer to a request; the same content gives the same answer."""
    service = "code" if fraction("service", seed) < 0.3 else "conversation"
    wanted = shapes.generated_tokens(service, fraction("size", seed))
    allowed = min(limit or MAX_ANSWER_TOKENS, MAX_ANSWER_TOKENS)
    size = min(wanted, allowed)
    # A text that does not fill its last token, as real ones do not.
    characters = max(1, size * 4 - int(fraction("rest", seed) * 4))
    reasoning = int(shapes.generated_tokens("code", fraction("think", seed))) if thinks else 0
    return Answer(prose(seed, characters), reasoning, truncated=wanted > allowed)


def identifier(prefix: str) -> str:
    """Return an id that no other reply of any run has."""
    return f"{prefix}{_run}{next(_serial):012x}"


def now() -> int:
    """Return the time as providers state it: whole seconds."""
    return int(time.time())


def to_json(value: Any) -> bytes:
    """Write compact JSON; text outside ASCII stays as it is, as providers send it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def known_model(provider: str, name: object) -> str | None:
    """Return the priced model that a request names, if there is one."""
    models = bill.LIST_PRICES[provider]
    return name if isinstance(name, str) and name in models else None
