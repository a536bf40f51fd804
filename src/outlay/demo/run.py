"""Runs the demo: starts the server, the simulator and the application, and compares them.

It owns the order of starting and stopping. Whatever happens, no child outlives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from outlay.demo import screen
from outlay.demo.app import GATEWAY_KEY
from outlay.demo.children import Child
from outlay.demo.compare import Comparison
from outlay.demo.history import DAYS
from outlay.demo.place import data_folder, gateway_document, is_free, terminable
from outlay.demo.seed import seed_server
from outlay.demo.watch import Watch
from outlay.errors import ConfigError, OutlayError

CHECK_ACTIONS: Final = 24
LIVE_PACE: Final = 0.3
"""Providers answer faster than real ones: a demo is watched."""
POLL_S: Final = 0.5
SETTLE_S: Final = 60.0
"""How long the last events may take to be stored before that counts as a difference."""
DRAIN_S: Final = 100.0
"""How long the application may take to finish what it is doing."""
RUNNING: Final = "what is under way shows as a difference; Ctrl-C ends"
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class _Plan:
    check: bool
    actions: int | None
    seconds: float | None
    rate: float
    seed: int
    live: bool
    json_output: bool
    history: bool
    open_page: bool


def run_demo(
    *,
    check: bool = False,
    actions: int | None = None,
    seconds: float | None = None,
    rate: float = 0.2,
    seed: int = 7,
    data: Path | None = None,
    port: int = 8787,
    live: bool = True,
    json_output: bool = False,
    history: bool | None = None,
    open_page: bool = False,
) -> int:
    """Run the demo until its end, or until Ctrl-C.

    Args:
        check: run a fixed number of actions without pauses, and judge the result.
        actions: user actions to run; `None` is `CHECK_ACTIONS` in a check, else no end.
        seconds: start no action after this many seconds.
        rate: user actions a second on average; a check does not wait between them.
        seed: the same seed makes the same traffic.
        data: the server's data folder, which is kept; `None` is a folder deleted at the end.
        port: the server's port; a free one is taken when it is in use.
        live: show a table that updates.
        json_output: write one JSON object to standard output, and nothing else there.
        history: write a month of past usage first; `None` does so for a demo that is watched:
            without `check`, `actions` and `json_output`.
        open_page: open the dashboard in a browser.

    Returns:
        0 when all is well; 1 when a check finds that a tenant's cost or count differs from the
        bill, or a part of the demo fails; 130 when a check was interrupted.
    """
    console = Console(stderr=json_output)
    if history is None:
        history = not (check or json_output or actions is not None)
    if check and actions is None:
        actions = CHECK_ACTIONS
    plan = _Plan(check, actions, seconds, rate, seed, live, json_output, history, open_page)
    try:
        with terminable(), data_folder(data) as folder:
            return _Demo(plan, folder, kept=data is not None, console=console).run(port)
    except OutlayError as error:
        console.print(f"{error.message}\n{error.hint}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; everything has been stopped.")
        return INTERRUPTED


class _Demo:
    def __init__(self, plan: _Plan, data: Path, *, kept: bool, console: Console) -> None:
        self._plan = plan
        self._data = data
        self._kept = kept
        self._console = console
        self._children: list[Child] = []
        self._actions = 0
        self._calls = 0
        self._done = False
        self._flushed = True
        self._interrupted = False

    def run(self, port: int) -> int:
        with contextlib.ExitStack() as stack:
            stack.callback(self._stop_children)
            watch = self._start(port)
            stack.callback(watch.close)
            began = time.monotonic()
            found = self._follow(watch)
            return self._judge(watch, found, time.monotonic() - began)

    # -- starting and stopping -------------------------------------------------------------------

    def _start(self, port: int) -> Watch:
        pace = 0.0 if self._plan.check else LIVE_PACE
        simulator = self._child("simulator", "outlay.demo.simulator", ["--pace", str(pace)])
        simulator_url = str(simulator.first_line()["url"])
        serves = self._data / "gateway.json"
        serves.write_text(json.dumps(gateway_document(simulator_url)), "utf-8")
        secret = {"OUTLAY_CONTEXT_SECRET": secrets.token_urlsafe(32)}
        if not is_free(port):
            self._console.print(f"Port {port} is in use; a free one is taken.")
            port = 0
        server = self._child(
            "server",
            "outlay.demo.serve",
            ["--data", str(self._data), "--port", str(port), "--gateway-config", str(serves)],
            secret,
        )
        started = server.first_line()
        endpoint, key = str(started["url"]), started["key"] or os.environ.get("OUTLAY_KEY")
        if key is None:
            raise ConfigError(
                f"{self._data} belongs to an earlier run, and its admin key is not known.",
                where="--data",
                hint="Set OUTLAY_KEY to that key, or name an empty folder.",
            )
        watch = Watch(server=endpoint, key=key, simulator=simulator_url)
        self._set_up(watch, endpoint, key)
        keys = {"OUTLAY_KEY": watch.ingest_key(), GATEWAY_KEY: watch.gateway_key()}
        self._start_app(endpoint, {**secret, **keys}, simulator_url)
        if not self._plan.json_output:
            screen.print_header(
                self._console, endpoint=endpoint, key=key, data=str(self._data), kept=self._kept
            )
        if self._plan.open_page:
            webbrowser.open(endpoint)
        return watch

    def _set_up(self, watch: Watch, endpoint: str, key: str) -> None:
        """Give the server tenants, prices and limits, and a past that ends before all traffic."""
        if not self._plan.history:
            watch.register_tenants()
            watch.set_limits()
            return
        if not self._plan.json_output:
            self._console.print(f"Writing {DAYS} days of past usage …")
        began = time.monotonic()
        written = seed_server(endpoint, key, now=watch.began_at, seed=self._plan.seed).events
        if not self._plan.json_output:
            took = time.monotonic() - began
            told = f"{written:,} events in {took:.1f} s." if written else "It is there already."
            self._console.print(f"{told}\n")

    def _start_app(self, endpoint: str, secret: dict[str, str], simulator_url: str) -> None:
        plan, place = self._plan, simulator_url.removeprefix("http://")
        arguments = ["--simulator", simulator_url, "--seed", str(plan.seed)]
        arguments += ["--gateway", endpoint]
        arguments += ["--rate", "0" if plan.check else str(plan.rate)]
        if plan.actions is not None:
            arguments += ["--actions", str(plan.actions)]
        if plan.seconds is not None:
            arguments += ["--seconds", str(plan.seconds)]
        hosts = [f"{place}/{vendor}={vendor}" for vendor in ("openai", "google")]
        hosts.append(f"{endpoint.removeprefix('http://')}/anthropic=anthropic")
        app = self._child(
            "application",
            "outlay.demo.app",
            arguments,
            {
                **secret,
                "OUTLAY_ENDPOINT": endpoint,
                "OUTLAY_SERVICE": "demo-app",
                "OUTLAY_ENVIRONMENT": "production",
                "OUTLAY_LIMITS": "true",
                "OUTLAY_SPOOL_DIR": str(self._data / "spool"),
                "OUTLAY_HOSTS": ",".join(hosts),
            },
        )
        app.first_line()

    def _child(
        self, name: str, module: str, arguments: list[str], env: dict[str, str] | None = None
    ) -> Child:
        child = Child(name, module, arguments, env)
        self._children.append(child)
        return child

    def _stop_children(self) -> None:
        """End the application first: what it still sends has someone to go to."""
        children = self._children[::-1]
        try:
            for child in children:
                child.stop()
        except KeyboardInterrupt:
            for child in children:
                child.kill()
            raise

    # -- following -------------------------------------------------------------------------------

    def _follow(self, watch: Watch) -> Comparison:
        """Watch until the application is done and everything is stored."""
        with self._shown() as show:
            found, _ = watch.compare()
            try:
                while not self._done:
                    self._hear()
                    found, _ = watch.compare()
                    show(found, RUNNING)
                    time.sleep(POLL_S)
            except KeyboardInterrupt:
                self._interrupted = True
                show(found, "ending: actions under way are finished")
                self._drain()
            return self._settle(watch, show)

    def _drain(self) -> None:
        self._children[-1].ask_to_stop()
        ends_at = time.monotonic() + DRAIN_S
        while not self._done and time.monotonic() < ends_at:
            self._hear()
            time.sleep(POLL_S / 5)

    def _settle(self, watch: Watch, show: Any) -> Comparison:
        ends_at = time.monotonic() + SETTLE_S
        while True:
            self._require_alive()
            found, in_flight = watch.compare()
            show(found, "waiting for the last events")
            if (found.agrees and not in_flight) or time.monotonic() >= ends_at:
                return found
            time.sleep(POLL_S / 5)

    def _hear(self) -> None:
        """Take what the application said; a dead child ends the demo."""
        app = self._children[-1]
        alive = app.alive
        for line in app.lines():
            if "action" in line:
                self._actions += 1
                self._calls += int(line["calls"])
            if line.get("done"):
                self._done, self._flushed = True, bool(line["flushed"])
        if not self._done:
            if not alive:
                raise app.death()
            self._require_alive()

    def _require_alive(self) -> None:
        for child in self._children[:-1]:
            if not child.alive:
                raise child.death()

    @contextlib.contextmanager
    def _shown(self) -> Iterator[Any]:
        if not self._plan.live:
            yield lambda *_: None
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:

            def show(found: Comparison, status: str) -> None:
                told = f"{self._actions} actions, {self._calls} calls; {status}"
                live.update(screen.totals_table(found, status=told), refresh=True)

            yield show

    # -- the end ---------------------------------------------------------------------------------

    def _judge(self, watch: Watch, found: Comparison, seconds: float) -> int:
        plan, drifted = self._plan, watch.price_drift()
        good = found.agrees and self._done and self._flushed and not drifted
        attempts = found.total.billed.attempts
        told = f"{self._actions} actions, {self._calls} calls, {attempts} attempts, {seconds:.1f} s"
        if plan.json_output:
            sys.stdout.write(
                json.dumps(
                    {
                        **found.as_dict(),
                        "actions": self._actions,
                        "calls": self._calls,
                        "seconds": round(seconds, 3),
                        "flushed": self._flushed,
                        "price_drift": drifted,
                    }
                )
                + "\n"
            )
        else:
            self._console.print(screen.totals_table(found, status=told))
            self._console.print(screen.standings_table(*watch.standings()))
        for line in drifted:
            self._console.print(line, style="yellow", markup=False)
        if not found.agrees:
            self._console.print(screen.differences_table(found))
        elif not plan.json_output:
            self._console.print("Every tenant's cost equals the bill to the nano-dollar.")
        if not self._flushed:
            self._console.print("The application could not send all its events.", style="red")
        if plan.check and self._interrupted:
            return INTERRUPTED
        return 0 if good or not plan.check else 1
