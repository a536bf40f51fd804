"""The desk under a random scheduler: what it promises holds whatever happens, for every seed.

`desk_world` says what a world is and checks it after every operation, `desk_run` what happens in
it, `desk_end` what must be true in the end. A seed that fails is run again with `run(seed, mode)`:
it does exactly the same.
"""

from __future__ import annotations

import pytest

from tests.sim.desk_run import run
from tests.sim.desk_world import Mode

CHUNK = 75
WORLDS = {
    "wild": Mode(),
    "strict": Mode(strict=True),
    "calm": Mode(calm=True),
    "calm and strict": Mode(strict=True, calm=True),
    "shuffled": Mode(shuffled=True),
}
CHUNKS = 8
"""Of each kind of world: 3,000 seeds in all."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("kind", WORLDS)
def test_what_the_desk_promises_holds_for_every_seed(kind: str, chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        try:
            run(seed, WORLDS[kind])
        except AssertionError as error:
            raise AssertionError(f"seed {seed} of a {kind} world: {error}") from error


def test_the_worlds_are_worth_it() -> None:
    """Calls of every kind happen, limits are reached, and holds end in every way."""
    worlds = [run(seed, Mode()) for seed in range(60)]
    calls = [call for world in worlds for call in world.calls]
    assert sum(call.leased for call in calls) > 100
    assert sum(call.exposed for call in calls) > 20
    assert sum(not call.hold_id for call in calls) > 10
    states = {hold.state for world in worlds for hold in world.desk.holds.values()}
    assert states == {"settled", "void", "expired", "closed"}
    assert any(hold.late for world in worlds for hold in world.desk.holds.values())
    full = [
        counter
        for world in worlds
        for counter in world.desk.counters.values()
        for rule in world.rules
        if rule.name == counter.key.limit_id and rule.cap and counter.used > 0.9 * rule.cap
    ]
    assert len(full) > 20
    assert any(booking.short for world in worlds for booking in world.desk.bookings)
