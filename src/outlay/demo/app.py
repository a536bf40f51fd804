"""The demo application: agents at work for many tenants, metered by `outlay.init()` alone.

It runs in a process of its own, as a customer's application does. On standard output it says, as
JSON lines, when it is ready, what it did, and that it is done. It must not know the bill.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from typing import Final

import outlay
from outlay.demo.agents import Action
from outlay.demo.children import announce, when_parent_goes
from outlay.demo.clients import Clients
from outlay.demo.dice import Dice
from outlay.demo.shapes import gap_s
from outlay.demo.tenants import feature_at, tenant_at

MAX_CONCURRENT: Final = 6
"""Actions at work at once; the next one waits."""
FLUSH_S: Final = 30.0
GATEWAY_KEY: Final = "DEMO_GATEWAY_KEY"
"""The environment variable with the virtual key."""


class Traffic:
    """Starts actions as they arrive, until it is told to stop or has made enough."""

    def __init__(
        self,
        clients: Clients,
        *,
        seed: int,
        rate: float,
        actions: int | None,
        seconds: float | None,
    ) -> None:
        self._clients = clients
        self._seed = seed
        self._rate = rate
        self._actions = actions
        self._seconds = seconds
        self._free = asyncio.Semaphore(MAX_CONCURRENT)
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Run to the end; actions under way are finished, and one that fails ends all."""
        ends_at = None if self._seconds is None else time.monotonic() + self._seconds
        number = 0
        async with asyncio.TaskGroup() as group:
            while self._actions is None or number < self._actions:
                await self._free.acquire()
                late = ends_at is not None and time.monotonic() >= ends_at
                if late or self.stopping.is_set():
                    break
                group.create_task(self._act(number))
                await self._pause(Dice(f"{self._seed}/{number}"))
                number += 1

    async def _pause(self, dice: Dice) -> None:
        """Wait for the next arrival, or for the order to stop."""
        if self._rate <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), gap_s(self._rate, dice.fraction("gap")))

    async def _act(self, number: int) -> None:
        dice = Dice(f"{self._seed}/{number}")
        tenant, feature = tenant_at(dice.fraction("tenant")), feature_at(dice.fraction("feature"))
        user = f"{tenant.tenant_id}-u{dice.between('user', 1, tenant.users)}"
        workspace = f"{tenant.tenant_id}-w{dice.between('workspace', 1, tenant.workspaces)}"
        action = Action(self._clients, tenant, feature, dice)
        try:
            with outlay.context(
                tenant=tenant.tenant_id,
                user=user if feature.initiator == "user" else None,
                workspace=workspace,
                feature=feature.name,
                workflow=feature.workflow,
                initiator=feature.initiator,
                labels={"region": tenant.region},
            ):
                await action.run()
        finally:
            self._free.release()
            announce(
                {
                    "action": number,
                    "tenant": tenant.tenant_id,
                    "feature": feature.name,
                    "calls": action.calls,
                    "failures": action.failures,
                }
            )


async def _main(chosen: argparse.Namespace) -> None:
    key = os.environ.pop(GATEWAY_KEY, "")
    clients = Clients(chosen.simulator, gateway=chosen.gateway, gateway_key=key)
    traffic = Traffic(
        clients,
        seed=chosen.seed,
        rate=chosen.rate,
        actions=chosen.actions,
        seconds=chosen.seconds,
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(traffic.stopping.set)

    when_parent_goes(stop)
    announce({"ready": True})
    try:
        await traffic.run()
    finally:
        await clients.aclose()


def main(arguments: list[str] | None = None) -> int:
    """Run the application; metering is set up from the environment, as in any application."""
    parser = argparse.ArgumentParser(prog="outlay.demo.app", description=__doc__)
    parser.add_argument("--simulator", required=True, help="URL of the provider simulator")
    parser.add_argument("--gateway", default="", help="URL of outlay's gateway, for Anthropic")
    parser.add_argument("--actions", type=int, default=None, help="user actions; default: no end")
    parser.add_argument("--seconds", type=float, default=None, help="stop starting actions then")
    parser.add_argument("--rate", type=float, default=2.0, help="actions a second; 0 is no pause")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same traffic")
    chosen = parser.parse_args(arguments)
    outlay.init(strict=True)
    asyncio.run(_main(chosen))
    flushed = outlay.flush(FLUSH_S)
    outlay.shutdown()
    announce({"done": True, "flushed": bool(flushed)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
