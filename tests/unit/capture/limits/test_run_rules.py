"""Agents with rules: so many steps, so deep, not the same over and over; and defects inside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import outlay
from outlay.capture import guard
from outlay.capture.limits import runs
from outlay.capture.limits.runs import Reserved, Run
from outlay.capture.scope import working_scope
from outlay.capture.testing import capture_events
from tests.unit.capture.limits.paying import here, pay, state


@pytest.fixture(autouse=True)
def clean_guard() -> Iterator[None]:
    guard.reset()
    yield
    assert guard.counts() == {}, "something failed inside"
    guard.reset()


def test_steps_count_below_and_retries_do_not() -> None:
    with outlay.agent("a", max_steps=2), outlay.agent("b"):
        assert pay(0) is None
        assert pay(0, retry=True) is None
        with outlay.agent("c"):
            assert pay(0) is None
        assert pay(0, retry=True) is None
        refusal = pay(0)
        assert refusal is not None
        assert (refusal.reason, refusal.amount) == ("steps", 2)
        assert "agent `a`" in refusal.message


def test_a_call_that_was_not_sent_was_no_step() -> None:
    with outlay.agent("a", max_steps=1):
        got = runs.reserve(here(), 0)
        assert isinstance(got, Reserved)
        assert pay(0) is not None
        got.void(sent=False)
        assert pay(0) is None


def test_a_refused_call_is_no_step() -> None:
    with outlay.agent("a", max_steps=1, budget_nanos=10):
        assert pay(11) is not None
        assert pay(10) is None


def test_agents_may_be_so_deep_and_calls_of_deeper_ones_are_refused() -> None:
    with outlay.agent("a", max_depth=2), outlay.agent("b"):
        with outlay.context(feature="f"), outlay.agent("c"):
            assert pay(0) is None
            with outlay.agent("d"):
                refusal = pay(0)
                assert refusal is not None
                assert (refusal.reason, refusal.amount) == ("depth", 2)
                assert "a/b/c/d" in refusal.message
        assert pay(0) is None
    with outlay.agent("a", max_depth=0):
        assert pay(0) is None
        with outlay.agent("b"):
            assert pay(0) is not None


def test_an_agent_that_asks_for_the_same_over_and_over_is_stopped() -> None:
    with outlay.agent("a", max_repeats=3), outlay.agent("b"):
        for number in range(3):
            runs.finished(here(), {}, (77, number))
            assert pay(0) is None
        runs.finished(here(), {}, (77,))
        refusal = pay(0)
        assert refusal is not None
        assert (refusal.reason, refusal.amount) == ("loop", 4)
        assert "`a/b`" in refusal.message


def test_agents_with_other_paths_may_do_the_same() -> None:
    with outlay.agent("a", max_repeats=2):
        for name in ("b", "c"):
            with outlay.agent(name):
                for _ in range(2):
                    runs.finished(here(), {}, (77,))
        assert pay(0) is None


def test_recorded_tools_with_the_same_arguments_are_a_loop_and_are_not_kept() -> None:
    with capture_events() as events, outlay.agent("a", max_repeats=2):
        for arguments in ({"q": "secret", "n": 1}, '{"n": 1, "q": "secret"}'):
            outlay.record("tool", name="search", arguments=arguments)
            outlay.record("tool", name="search")
            outlay.record("tool", name="fetch", arguments=arguments)
        assert pay(0) is None
        outlay.record("tool", name="search", arguments={"n": 1, "q": "secret"})
        refusal = pay(0)
        assert refusal is not None
        assert refusal.reason == "loop"
    assert len(events) == 7
    assert "secret" not in str(events)


def test_what_a_model_asked_for_and_what_was_then_done_are_counted_apart() -> None:
    with capture_events(), outlay.agent("a", max_repeats=2):
        for _ in range(2):
            runs.finished(here(), {}, (77,))
            outlay.record("tool", name="search", arguments={})
        assert pay(0) is None


# -- entitlements, and what goes wrong inside ----------------------------------------------------


def test_the_rights_that_agents_ask_for_add_up_from_the_outside() -> None:
    assert runs.entitlements(working_scope()) == ()
    with outlay.agent("a", entitlement="premium") as run, outlay.agent("b"):
        assert runs.entitlements(here()) == ("premium",)
        assert run.budget is None
        assert runs.reserve(here(), 10**12) is None, "there is no rule to ask"
        with outlay.agent("c", entitlement="beta"):
            assert runs.entitlements(here()) == ("premium", "beta")


def test_a_call_that_ends_while_another_is_being_decided_is_settled_after_it() -> None:
    from outlay.capture.limits.latch import latch

    with outlay.agent("a", budget_nanos=100) as run:
        got = runs.reserve(here(), 60)
        assert isinstance(got, Reserved)

        def decide() -> int | None:
            got.settle(10)  # as a collection of garbage may do in the middle
            return run.left_nanos

        assert latch.ask(decide) == 40
        assert run.left_nanos == 90


def test_a_defect_inside_lets_the_call_pass_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with outlay.agent("a", budget_nanos=1):
        monkeypatch.setattr(runs, "_broken", fail)
        assert runs.reserve(here(), 5) is None
        assert runs.check(here(), 5) is None
    assert guard.counts() == {"runs.reserve": 1, "runs.check": 1}
    guard.reset()


def test_after_a_fork_the_copied_lock_of_another_thread_is_left_behind() -> None:
    from outlay.capture.limits.latch import Latch

    latch = Latch()
    latch.ask(lambda: None)
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> bool:
        inside.set()
        return go_on.wait(5)

    thread = threading.Thread(target=latch.do, args=(stay,))
    thread.start()
    inside.wait(5)
    assert not latch.hold(0.01)
    latch.forget()
    assert latch.ask(lambda: 7) == 7
    go_on.set()
    thread.join()


def test_a_run_deep_in_a_tree_of_a_thousand_agents_is_still_held() -> None:
    with outlay.agent("top", budget_nanos=5):
        deep: list[Callable[..., Any]] = []
        for number in range(1000):
            opener = outlay.agent(f"a{number}", budget_nanos=5)
            opener.__enter__()
            deep.append(opener.__exit__)
        assert isinstance(here().run, Run)
        assert pay(5) is None
        assert pay(1) is not None
        for leave in reversed(deep):
            leave()
        assert state().left_nanos == 0


def test_what_is_left_for_later_is_done_though_a_signal_breaks_in() -> None:
    from outlay.capture.limits.latch import Latch

    latch = Latch()
    done: list[int] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        latch.do(interrupted)
        latch.do(lambda: done.append(1))

    with pytest.raises(KeyboardInterrupt):
        latch.do(work)
    latch.do(lambda: done.append(2))
    assert sorted(done) == [1, 2]
    latch.do(lambda: done.append(3))
    assert done[-1] == 3
