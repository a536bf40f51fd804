"""What the gateway adds to a call and how many it carries, beside a floor, LiteLLM and Portkey.

    python -m bench.gateway [--quick] [--only NAME ...] [--peers DIR] [--json]

One run on two cores: the gateway under test has one for itself, and one process; the provider, the
load and outlay's server share the other. `direct` asks the provider itself, `floor` is a bare relay
on the gateway's own stack that decodes both bodies, `plain` is the gateway with keys only,
`governed` has a virtual key, six limits and a durable event for each call. The peers come from
their registries into `--peers`; one that cannot be had is left out, with a line that says why.

All take turns in each round, in another order each time. Added latency is a subject's less direct's
in the same round, over an open loop: calls come at random, 200 a second, and each counts from when
it was due. A subject that cannot carry that gets 60 % of what it can, and is marked. Saturation is
a closed loop, at the number of clients that suits the subject best. Streams are paced; each token
tells when it was sent. At the end every governed call must be an event, to the token, and every
limit must have counted them all: the exit code is 1 if not, or if a call of ours failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import uvloop

from bench import gateway_report as report
from bench.gateway_client import Taken, Way
from bench.gateway_load import OpenLoop, closed_loop, schedule
from bench.gateway_outlay import ROOT, Outlay
from bench.gateway_peers import NotInstalledError, Peer, litellm, portkey
from bench.gateway_process import Process, cpu_s, machine_s
from bench.gateway_report import Subject

NAMES: Final = ("direct", "floor", "plain", "governed", "litellm", "portkey")
OURS: Final = ("direct", "floor", "plain", "governed")
PEERS: Final[dict[str, Callable[..., Peer]]] = {"litellm": litellm, "portkey": portkey}
SAFE_SHARE: Final = 0.6
"""Of what a subject can carry, the most that an open loop asks of it."""
WARM_CLIENTS: Final = 8
PATH: Final = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 6.0
    """Of one subject's turn in a round."""
    warm_s: float = 3.0
    rate: float = 200.0
    clients: tuple[int, ...] = (8, 64)
    streams: int = 8
    """Paced streams at once."""
    tokens: int = 40
    pace_us: int = 25_000
    rushing: int = 32
    """Streams at once whose tokens are not paced."""


QUICK: Final = Plan(rounds=2, seconds=2.0, warm_s=1.0)


def run(subject: Subject, clients: int, seconds: float, tokens: int = 0, pace_us: int = 0) -> Taken:
    """Run a closed loop."""
    request = subject.way.request(tokens=tokens, pace_us=pace_us)
    return subject.note(uvloop.run(closed_loop(subject.way, request, clients, seconds)))


def warm(subject: Subject, plan: Plan) -> None:
    """Bring a subject to speed: both kinds of call."""
    run(subject, 1, 0.1)
    subject.idle_mb = subject.process.rss_mb()
    run(subject, WARM_CLIENTS, plan.warm_s)
    run(subject, WARM_CLIENTS, plan.warm_s / 3, plan.tokens)
    subject.settle()


def saturate(subject: Subject, plan: Plan, _round: int) -> None:
    """See how many calls a second it carries, and what one costs of the processor."""
    for clients in plan.clients:
        before = subject.process.cpu_s()
        taken = run(subject, clients, plan.seconds)
        subject.rps.setdefault(clients, []).append(len(taken.spans) / taken.seconds)
        subject.settle()  # what it does later belongs to these calls too
        spent = subject.process.cpu_s() - before
        subject.cpu_us.append(spent * 1e6 / max(1, len(taken.spans)))


def wait_times(subject: Subject, plan: Plan, number: int) -> None:
    """See how long a call takes at a steady rate."""
    subject.rate = min(plan.rate, SAFE_SHARE * report.best(subject.rps)[1])
    due = schedule(subject.rate, plan.seconds, number)

    async def go() -> Taken:
        return await OpenLoop(subject.way, due).run()

    taken = subject.note(uvloop.run(go()))
    subject.p50.append(report.at(taken.spans, 50))
    subject.p99.append(report.at(taken.spans, 99))
    subject.late_p99.append(report.at(taken.late, 99))
    subject.settle()


def stream(subject: Subject, plan: Plan, _round: int) -> None:
    """See how long a token is on its way, and how many a second it carries."""
    taken = run(subject, plan.streams, plan.seconds, plan.tokens, plan.pace_us)
    subject.first_p50.append(report.at(taken.firsts, 50))
    subject.token_p50.append(report.at(taken.delays, 50))
    subject.token_p99.append(report.at(taken.delays, 99))
    taken = run(subject, plan.rushing, plan.seconds, plan.tokens)
    subject.tokens_a_second.append(taken.tokens / taken.seconds)
    subject.settle()


def measure(subjects: Sequence[Subject], plan: Plan) -> None:
    """Take all figures; the subjects take turns, each round begins with another one."""
    for subject in subjects:
        tell(f"warming {subject.name}")
        warm(subject, plan)
    for phase in (saturate, wait_times, stream):
        for number in range(plan.rounds):
            tell(f"{phase.__name__} {number + 1} of {plan.rounds}")
            start = number % len(subjects)
            for subject in (*subjects[start:], *subjects[:start]):
                phase(subject, plan, number)
    for subject in subjects:
        subject.loaded_mb, subject.peak_mb = subject.process.rss_mb(), subject.process.peak_mb()


def tell(text: str) -> None:
    """Say what goes on, past the figures."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def subjects_of(
    names: Sequence[str], peers: Path, cores: tuple[int | None, int | None]
) -> Iterator[tuple[list[Subject], Outlay | None, dict[str, str]]]:
    """Start what is named; give the subjects, the outlay server, and why others are left out."""
    core, rest = cores
    found: list[Subject] = []
    skipped: dict[str, str] = {}
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="outlay-gateway-")))

        def start(name: str, *arguments: str, on: int | None) -> tuple[Process, str]:
            command = [sys.executable, "-m", f"bench.gateway_{name}", *arguments]
            process = Process(name, command, folder, core=on, cwd=ROOT)
            ending.callback(process.end)
            return process, process.hear()["url"]

        upstream, url = start("upstream", on=rest)
        found.append(Subject("direct", "", _way(url), upstream))
        if "floor" in names:
            floor, own = start("floor", url, on=core)
            found.append(Subject("floor", "", _way(own), floor))
        outlay = None
        if {"plain", "governed"} & set(names):
            tell("starting outlay")
            outlay = Outlay(url, folder, core=core, rest=rest)
            ending.callback(outlay.close)
            for kind in ("plain", "governed"):
                if kind in names:
                    process, way = outlay.gateway(kind)
                    settle = outlay.settle if kind == "governed" else (lambda: None)
                    found.append(Subject(kind, "", way, process, settle))
        for name, make in PEERS.items():
            if name not in names:
                continue
            tell(f"starting {name}")
            try:
                peer = make(peers, url, folder / name, core)
            except (NotInstalledError, RuntimeError) as error:
                skipped[name] = str(error)
                continue
            ending.callback(peer.process.end)
            found.append(Subject(name, peer.version, peer.way, peer.process))
        yield found, outlay, skipped


def _way(url: str) -> Way:
    host, _, port = url.rpartition("/")[2].partition(":")
    return Way(host, int(port), PATH, (("authorization", "Bearer sk-bench"),))


def main() -> int:
    """Take and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="short turns, two rounds")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--peers", type=Path, default=ROOT / ".bench" / "peers")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=float, help="calls a second of the open loop")
    parser.add_argument("--no-pin", action="store_true", help="leave the cores to the system")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plan = QUICK if options.quick else Plan()
    said = {name: getattr(options, name) for name in ("rounds", "seconds", "rate")}
    plan = replace(plan, **{name: value for name, value in said.items() if value is not None})
    cores = sorted(os.sched_getaffinity(0))
    pin = len(cores) > 1 and not options.no_pin
    if pin:
        os.sched_setaffinity(0, {cores[1]})
    places = (cores[0], cores[1]) if pin else (None, None)
    with subjects_of(options.only, options.peers.absolute(), places) as (found, outlay, skipped):
        began, used, spent = time.monotonic(), machine_s(), cpu_s(os.getpid())
        measure(found, plan)
        passed = (time.monotonic() - began) * (os.cpu_count() or 1)
        others = machine_s() - used - (cpu_s(os.getpid()) - spent)
        differences = outlay.differences() if outlay and "governed" in options.only else []
    figures: dict[str, Any] = {
        "pinned": pin, "rounds": plan.rounds, "seconds": plan.seconds,
        "subjects": report.figures(found), "skipped": skipped, "differences": differences,
        "others_share": round(max(0.0, others) / passed, 3),
    }  # fmt: skip
    print(json.dumps(figures) if options.json else report.text(figures))
    failed = any(subject.failures for subject in found if subject.name in OURS)
    return 1 if differences or failed else 0


if __name__ == "__main__":
    sys.exit(main())
