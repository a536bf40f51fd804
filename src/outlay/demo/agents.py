"""The application's agents: an orchestrator and the sub-agents it sends out.

Each agent is a boundary of the cost tree (`outlay.agent`); costs land where they arise without
anyone passing anything. One user action makes 15 to 50 billable operations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import outlay
from outlay.demo import tenants
from outlay.demo.clients import FAILURES, Clients, Prompt
from outlay.demo.dice import FINAL_FAILURE, Dice
from outlay.demo.faults import NONE, Fault
from outlay.demo.prose import prose
from outlay.demo.tenants import DemoTenant, Feature

LARGE: Final = "gpt-5.6-sol"
SMALL: Final = "gpt-5.6-luna"
MINI: Final = "gpt-5-mini"
WRITER: Final = "claude-sonnet-5-5"
CRITIC: Final = "claude-haiku-4-5"
READER: Final = "gemini-2.5-flash"

SEARCH_USD: Final = "0.005"
"""What the search tool charges for a call."""
SYSTEM_CHARACTERS: Final = 5_200
"""Length of the instructions that every agent starts with: long enough to be cached."""

Model = Callable[[str, Prompt], Awaitable[str]]


class Action:
    """One piece of work for one tenant, with its agents."""

    def __init__(self, clients: Clients, tenant: DemoTenant, feature: Feature, dice: Dice) -> None:
        self._clients = clients
        self._tenant = tenant.tenant_id
        self._feature = feature
        self._dice = dice
        self.calls = 0
        """Logical calls made; the SDKs may have sent each several times."""
        self.failures = 0
        """Calls that the provider failed in the end."""

    async def run(self) -> None:
        """Do the work of the feature."""
        with outlay.agent("orchestrator"):
            if self._feature is tenants.INDEX:
                await self._refresh_index()
            elif self._feature is tenants.SUPPORT:
                await self._support()
            else:
                await self._report()

    # -- features --------------------------------------------------------------------------------

    async def _report(self) -> None:
        await self._ask(self._clients.respond, LARGE, "plan", thinks=True)
        topics = self._dice.between("topics", 2, 5)
        await asyncio.gather(*(self._research(n) for n in range(topics)))
        for round_ in range(self._dice.between("rounds", 1, 3)):
            await self._write(round_)
            await self._criticise(round_)
        await self._stream(self._clients.chat_stream, SMALL, "answer")

    async def _support(self) -> None:
        for turn in range(self._dice.between("turns", 4, 8)):
            await self._ask(self._clients.chat, SMALL, f"route {turn}")
            await self._retrieve(turn)
            await self._stream(self._usage_stream, LARGE, f"reply {turn}")
        await self._criticise(0)

    async def _refresh_index(self) -> None:
        for batch in range(self._dice.between("batches", 8, 20)):
            await self._retrieve(batch, texts=24)
        tags = self._dice.between("tags", 6, 14)
        await asyncio.gather(
            *(self._ask(self._clients.respond, SMALL, f"tag {n}") for n in range(tags))
        )

    # -- sub-agents ------------------------------------------------------------------------------

    async def _research(self, topic: int) -> None:
        with outlay.agent("research"):
            await self._ask(self._clients.chat, MINI, f"questions {topic}")
            with outlay.agent("web"):
                for n in range(self._dice.between(f"searches {topic}", 1, 2)):
                    await self._search(f"{topic}/{n}")
            await self._retrieve(topic)
            await self._ask(self._clients.gemini, READER, f"read {topic}", thinks=True)
            await self._stream(self._clients.gemini_stream, READER, f"summarise {topic}")

    async def _retrieve(self, number: int, *, texts: int = 3) -> None:
        with outlay.agent("retrieval"):
            dice = self._dice.child(f"retrieve {number}")
            asked = [dice.text(f"text {n}", "code", most_tokens=600) for n in range(texts)]
            self.calls += 1
            try:
                await self._clients.embed(self._tenant, asked, dice.fault(streamed=False))
            except FAILURES:
                self.failures += 1

    async def _write(self, round_: int) -> None:
        """Write with the first model, and with another when that one is down."""
        with outlay.agent("writer"):
            name = f"write {round_}"
            down = self._dice.child(name).fails_for_good()
            if not await self._stream(
                self._clients.message_stream, WRITER, name, thinks=True, down=down
            ):
                await self._stream(self._usage_stream, LARGE, f"{name} again")

    async def _criticise(self, round_: int) -> None:
        with outlay.agent("critic"):
            await self._ask(self._clients.message, CRITIC, f"criticise {round_}")
            await self._stream(self._clients.respond_stream, SMALL, f"check {round_}")

    # -- calls -----------------------------------------------------------------------------------

    async def _usage_stream(self, model: str, prompt: Prompt) -> str:
        return await self._clients.chat_stream(model, prompt, include_usage=True)

    async def _ask(self, call: Model, model: str, name: str, *, thinks: bool = False) -> None:
        """Ask for a whole answer."""
        dice = self._dice.child(name)
        await self._call(call, model, self._prompt(name, dice.fault(streamed=False), thinks=thinks))

    async def _stream(
        self, call: Model, model: str, name: str, *, thinks: bool = False, down: bool = False
    ) -> bool:
        """Ask for a stream, and once more when it breaks; tell whether there was an answer."""
        fault = FINAL_FAILURE if down else self._dice.child(name).fault(streamed=True)
        prompt = self._prompt(name, fault, thinks=thinks)
        answered = await self._call(call, model, prompt)
        if not answered and fault.kind == "cut":
            answered = await self._call(call, model, replace(prompt, fault=NONE))
        return answered

    async def _call(self, call: Model, model: str, prompt: Prompt) -> bool:
        self.calls += 1
        try:
            await call(model, prompt)
        except FAILURES:
            self.failures += 1
            return False
        return True

    def _prompt(self, name: str, fault: Fault, *, thinks: bool) -> Prompt:
        agent = name.split(" ", maxsplit=1)[0]
        return Prompt(
            tenant=self._tenant,
            system=prose(f"{self._tenant}/{agent}", SYSTEM_CHARACTERS),
            user=self._dice.child(name).text("user", self._feature.service),
            fault=fault,
            thinks=thinks,
        )

    async def _search(self, name: str) -> None:
        """Search, and record the tool's cost: it is no provider that the taps know."""
        self.calls += 1
        query = self._dice.child(name).text("query", "code", most_tokens=12)
        try:
            await self._clients.search(self._tenant, query)
        except FAILURES:
            self.failures += 1
            return
        outlay.record(
            "tool", name="serp.search", provider="serp", units={"requests": 1}, cost_usd=SEARCH_USD
        )
