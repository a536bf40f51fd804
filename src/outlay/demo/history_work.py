"""What agents did in a past request: the features of `agents`, and what went wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outlay.demo import shapes, tenants
from outlay.demo.history_calls import (
    CONTRACT_WRITER,
    CRITIC,
    LARGE,
    MINI,
    OWN_MODEL,
    PLANNER,
    PREFIX_TOKENS,
    READER,
    SMALL,
    TAGGER,
    WRITER,
    Model,
    Request,
    Span,
)
from outlay.demo.tenants import Feature

CONTRACT_TENANT: Final = "acme"
OWN_MACHINES: Final = "globex"
OWN_SHARE: Final = 0.15
GROWTH: Final = 4.0
"""Prompts are so many times the trace's: an agent carries documents and what was said before."""
SUPPORT_CACHE: Final = (0.1, 0.85)
"""Part of a conversation that the cache has, on the first day and on the last."""
PARALLEL_US: Final = 250_000


@dataclass(frozen=True, slots=True)
class Scale:
    """How much an action does: pairs of least and most."""

    topics: tuple[int, int] = (2, 5)
    rounds: tuple[int, int] = (1, 3)
    turns: tuple[int, int] = (4, 8)
    batches: tuple[int, int] = (8, 20)
    tags: tuple[int, int] = (6, 14)
    mean_events: float = 26.0
    """Events of an average action; a test holds it to what comes."""


FULL: Final = Scale()
SMALL_SCALE: Final = Scale((1, 2), (1, 1), (1, 3), (2, 4), (2, 4), 11.6)


class Work:
    """One action for one tenant."""

    def __init__(
        self, request: Request, feature: Feature, scale: Scale, *, progress: float
    ) -> None:
        """Prepare.

        Args:
            request: writes the events.
            feature: what was asked for.
            scale: how much of it.
            progress: where in the history, from 0 for the first day to 1 for the last.
        """
        self._request = request
        self._feature = feature
        self._scale = scale
        self._progress = progress
        self._rng = request.rng
        self._tenant = request.who["tenant_id"]

    def run(self) -> None:
        """Do the work of the feature."""
        if self._feature is tenants.INDEX:
            self._refresh_index()
        elif self._feature is tenants.SUPPORT:
            self._support()
        else:
            self._report()

    # -- features --------------------------------------------------------------------------------

    def _report(self) -> None:
        request, root = self._request, self._request.root
        request.chat(root, PLANNER, context=self._context(), thinks=True)
        begun = latest = request.at
        for _ in range(self._rng.randint(*self._scale.topics)):
            request.at = begun + self._rng.randrange(PARALLEL_US)
            self._research(root.child("research", request))
            latest = max(latest, request.at)
        request.at = latest
        for _ in range(self._rng.randint(*self._scale.rounds)):
            self._write(root.child("writer", request))
            self._criticise(root.child("critic", request))
        request.chat(root, SMALL, context=self._context(), streamed=True)

    def _support(self) -> None:
        request, root = self._request, self._request.root
        first, last = SUPPORT_CACHE
        part = first + (last - first) * self._progress
        for turn in range(self._rng.randint(*self._scale.turns)):
            if turn:
                request.wait(4_000, 40_000)
            request.chat(root, SMALL, context=self._context())
            request.embed(root.child("retrieval", request), self._texts(3))
            said = self._context() + 900 * turn
            cached = PREFIX_TOKENS + int(said * part)
            request.chat(root, LARGE, context=said - int(said * part), cached=cached, streamed=True)
        self._criticise(root.child("critic", request))

    def _refresh_index(self) -> None:
        request, root = self._request, self._request.root
        for _ in range(self._rng.randint(*self._scale.batches)):
            request.embed(root.child("retrieval", request), self._texts(24))
        for _ in range(self._rng.randint(*self._scale.tags)):
            request.chat(root, TAGGER, context=self._context())

    # -- sub-agents ------------------------------------------------------------------------------

    def _research(self, span: Span) -> None:
        request = self._request
        request.chat(span, MINI, context=self._context())
        web = span.child("web", request)
        for _ in range(self._rng.randint(1, 2)):
            request.search(web)
        request.embed(span.child("retrieval", request), self._texts(3))
        request.chat(span, READER, context=self._context(), thinks=True)
        request.chat(span, READER, context=self._context(), streamed=True)

    def _write(self, span: Span) -> None:
        self._request.chat(
            span, self._writer(), context=self._context(), streamed=True, thinks=True,
            fallback=LARGE,
        )  # fmt: skip

    def _criticise(self, span: Span) -> None:
        self._request.chat(span, CRITIC, context=self._context(), fallback=SMALL)
        self._request.chat(span, TAGGER, context=self._context(), streamed=True)

    def _writer(self) -> Model:
        if self._tenant == CONTRACT_TENANT and self._feature is tenants.CONTRACTS:
            return CONTRACT_WRITER
        if self._tenant == OWN_MACHINES and self._feature is tenants.CODE:
            return OWN_MODEL if self._rng.random() < OWN_SHARE else WRITER
        return WRITER

    # -- sizes -----------------------------------------------------------------------------------

    def _context(self) -> int:
        return int(GROWTH * shapes.context_tokens(self._feature.service, self._rng.random()))

    def _texts(self, number: int) -> int:
        return number * min(600, shapes.context_tokens("code", self._rng.random()))


def run_away(request: Request, calls: int) -> None:
    """Let an agent search and ask the same over and over, its context growing all the time."""
    request.chat(request.root, PLANNER, context=2_400, thinks=True)
    web = request.root.child("research", request).child("web", request)
    for number in range(calls):
        request.search(web)
        request.chat(web, LARGE, context=1_500, cached=min(PREFIX_TOKENS + 90 * number, 60_000))


def run_script(request: Request) -> None:
    """Call a model from a script that says nothing about whose work it is."""
    told = ("environment", "labels", "request_id", "run_id", "trace_id")
    request.who = {name: request.who[name] for name in told} | {"service": "scripts"}
    for _ in range(3):
        request.chat(Span("", request.token(8), None), SMALL, context=1_200, cached=0)
