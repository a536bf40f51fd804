"""What happens in a world: the random scheduler."""

from __future__ import annotations

from outlay.core.limits.holds import (
    CounterKey,
    Expire,
    Extend,
    Outcome,
    Reserve,
    Sync,
    Void,
)
from tests.sim.desk_end import check_end
from tests.sim.desk_world import (
    SECOND,
    Call,
    Mode,
    Process,
    Rule,
    Slice,
    World,
    amount_of,
    posts_of,
    settle_of,
    used_of,
    want_of,
)

STEPS = 120


def run(seed: int, mode: Mode) -> World:
    """Run one seed to its end and check it."""
    world = World(seed, mode)
    for _ in range(STEPS):
        world.step += 1
        world.deliver()
        act(world)
    finish(world)
    check_end(world)
    return world


def act(world: World) -> None:
    """Let one thing happen."""
    rng = world.rng
    process = rng.choice(world.processes)
    luck = rng.random()
    if luck < 0.35:
        start(world, process)
    elif luck < 0.57:
        if process.running:
            go_on(world, process, rng.choice(process.running))
    elif luck < 0.74:
        if process.leases:
            sync(world, process)
    elif luck < 0.84:
        post(world, process, rng.randrange(1, 4))
    elif luck < 0.93:
        pass_time(world)
    elif luck < 0.99:
        sweep(world)
    elif not world.mode.calm:
        crash(world, process)


# calls


def start(world: World, process: Process) -> None:
    if process.dead:
        return
    rng = world.rng
    reserved = rng.randrange(1, 30)
    actual = rng.randrange(0, reserved + 1) if world.mode.strict else rng.randrange(0, 60)
    drift = 0 if world.mode.strict or rng.random() < 0.5 else rng.randrange(-3, 4)
    tenant = process.tenant if rng.random() < 0.8 else rng.choice("ab")
    by = {"tenant": tenant, "feature": rng.choice("xxxy")}
    number = len(world.calls)
    call = Call(
        number, process.name, by, world.now + process.skew, reserved, actual,
        max(0, actual + drift), leased=False, hold_id=f"h{number}",
    )  # fmt: skip
    if process.leases and rng.random() < 0.8:
        if not take(world, process, call):
            return
    elif rng.random() < 0.05 and not world.mode.strict:
        # Made without asking, as where a limit is open and nobody can be reached.
        call.hold_id, call.keys, call.exposed = "", world.keys(by, call.at), True
        call.state = "running"
        process.running.append(call)
    else:
        ask(world, process, call)
    world.calls.append(call)
    if call.hold_id and not call.leased:
        world.by_hold[call.hold_id] = call


def take(world: World, process: Process, call: Call) -> bool:
    """Take a call's part of the slices that its process holds; else want more of them."""
    keys = world.keys(call.by, call.at)
    slices = [process.slices.setdefault(key.counter_id, Slice(rule, key)) for rule, key in keys]
    needs = [amount_of(one.rule, call.reserved) for one in slices]
    bound = [world.ceiling(one.key.counter_id, one.rule) is not None for one in slices]
    fits = all(
        not held or one.free() >= amount
        for one, amount, held in zip(slices, needs, bound, strict=True)
    )
    if not fits or world.mono >= process.valid_until:
        for one, amount in zip(slices, needs, strict=True):
            one.wanted = amount
        return False
    for one, amount in zip(slices, needs, strict=True):
        one.flying += amount
        one.wanted = 0
    call.leased, call.hold_id, call.keys, call.state = True, process.name, keys, "running"
    process.running.append(call)
    return True


def ask(world: World, process: Process, call: Call) -> None:
    """Hold a call's amount by itself; the desk's clock names the period."""
    made: list[tuple[tuple[Rule, CounterKey], ...]] = []

    def make() -> Reserve:
        keys = world.keys(call.by, world.now)
        made.append(keys)
        needs = tuple(world.need(rule, key, call.reserved) for rule, key in keys)
        ends = world.now + world.ttl
        return Reserve(call.hold_id, process.name, needs, world.now, ends, digest="d")

    def answer(outcome: Outcome) -> None:
        if outcome.status in ("ok", "already") and not process.dead and call.state == "asked":
            call.state, call.keys = "running", made[0]
            process.running.append(call)

    world.send(make, answer)


def go_on(world: World, process: Process, call: Call) -> None:
    """Let a call that runs grow, be given up, or end."""
    if process.dead:
        return
    luck = world.rng.random()
    if luck < 0.15 and call.hold_id:
        grow(world, process, call)
    elif luck < 0.25:
        process.running.remove(call)
        call.state = "void"
        if call.leased:
            fly(process, call, -1)
        elif call.hold_id:
            world.send(lambda: Void(call.hold_id, world.now))
    else:
        end(world, process, call)


def grow(world: World, process: Process, call: Call) -> None:
    """Let a stream hold more, and perhaps use more."""
    more = world.rng.randrange(1, 10)
    use = world.rng.randrange(0, more + 1)
    if call.leased:
        slices = [process.slices[key.counter_id] for _, key in call.keys]
        if world.mono < process.valid_until and all(
            one.free() >= used_of(one.rule, more) for one in slices
        ):
            for one in slices:
                one.flying += used_of(one.rule, more)
            call.reserved += more
            call.actual += use
            call.priced += use
        return

    def make() -> Extend:
        needs = tuple(
            world.need(rule, key, more)
            for rule, key in world.keys(call.by, world.now)
            if rule.metric != "concurrent_calls"
        )
        return Extend(call.hold_id, needs, world.now, world.now + world.ttl)

    if world.rng.random() < 0.2:
        # An extension that nobody waits for holds too much, and no more.
        world.later(lambda: _ignore(world.apply(make())))
        return
    if world.apply(make()).status == "ok":
        call.reserved += more
        call.actual += use
        call.priced += use


def _ignore(_: Outcome) -> None: ...


def end(world: World, process: Process, call: Call) -> None:
    process.running.remove(call)
    call.state = "ended"
    process.events.append(call)
    if call.leased:
        fly(process, call, -1)
        for rule, key in call.keys:
            one = process.slices[key.counter_id]
            one.reported += used_of(rule, call.priced)
            one.calls += 1
    elif call.hold_id and world.rng.random() < 0.9:
        world.send(lambda: settle_of(call, world.now))


def fly(process: Process, call: Call, sign: int) -> None:
    for rule, key in call.keys:
        process.slices[key.counter_id].flying += sign * amount_of(rule, call.reserved)


# leases, events, time


def sync(world: World, process: Process, *, closing: bool = False) -> None:
    if process.dead:
        return
    rng = world.rng
    process.seq += 1
    seq, mono = process.seq, world.mono
    sent: list[Slice] = []
    wants = []
    for one in process.slices.values():
        keep = min(max(0, one.free()), rng.choice((0, 20, 100)))
        ahead = rng.randrange(0, 60) if rng.random() < 0.7 else 0
        sent.append(one)
        wants.append(want_of(one, one.flying + keep, ahead))
        # Until there is an answer, no more than what the sync leaves.
        one.granted, one.base, one.wanted = one.flying + keep, one.reported, 0

    told = [
        call for call in world.calls
        if call.leased and call.owner == process.name and call.state == "ended" and call.told < 0
    ]  # fmt: skip

    def make() -> Sync:
        for call in told:
            call.told = world.applied + 1
        ends = world.now + world.ttl
        return Sync(process.name, tuple(wants), world.now, ends, closing=closing, seq=seq)

    def answer(outcome: Outcome) -> None:
        if process.seq != seq or process.dead or outcome.status != "ok":
            return
        process.valid_until = mono + world.ttl - 5 * SECOND
        for one, stand in zip(sent, outcome.stands, strict=True):
            one.granted = stand.granted

    world.send(make, answer)


def post(world: World, process: Process, count: int) -> None:
    """Let some events come, those of one process in order."""
    for _ in range(min(count, len(process.events))):
        place = world.rng.randrange(len(process.events)) if world.mode.shuffled else 0
        call = process.events.pop(place)
        world.apply(posts_of(call, world.keys(call.by, call.at)))
        call.posted = world.applied


def pass_time(world: World) -> None:
    rng = world.rng
    passed = rng.randrange(0, 2 * SECOND) if rng.random() < 0.8 else rng.randrange(20) * SECOND
    if world.mode.calm:
        # Calls end and leases are renewed before their time.
        passed = min(passed, SECOND // 4)
    world.mono += passed
    world.now += passed
    if not world.mode.calm and rng.random() < 0.1:
        world.now += rng.choice((-3, -1, 20)) * SECOND


def sweep(world: World) -> None:
    for hold_id, hold in list(world.desk.holds.items()):
        if hold.state == "open":
            due = hold.expires_at <= world.now
            outcome = world.apply(Expire(hold_id, world.now))
            assert outcome.status == ("ok" if due else "already")


def crash(world: World, process: Process) -> None:
    """Let a process die; what its calls used may be told all the same, much later."""
    process.dead = True
    for call in process.running:
        if world.rng.random() < 0.5:
            call.state = "ended"
            process.events.append(call)
        else:
            call.state = "void"
    process.running.clear()
    name = f"p{len(world.processes)}"
    world.processes.append(
        Process(name, process.leases, world.rng.randrange(SECOND), process.tenant)
    )


# the end


def finish(world: World) -> None:
    """Let every call end, every message and event come, and every hold expire."""
    for process in world.processes:
        while process.running:
            end(world, process, process.running[0])
        if process.leases and world.rng.random() < 0.5:
            sync(world, process, closing=world.rng.random() < 0.5)
    while world.wire:
        world.step = world.wire[0][0]
        world.deliver()
        for process in world.processes:
            while process.running:
                end(world, process, process.running[0])
    if world.rng.random() < 0.5:
        world.now += 10 * world.ttl
        sweep(world)
    for process in world.processes:
        post(world, process, len(process.events))
    world.now += 10 * world.ttl
    sweep(world)
