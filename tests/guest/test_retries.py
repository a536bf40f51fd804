"""The memory of failed attempts: what is a retry, what a fallback, and what is neither."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from outlay.capture.retries import (
    FALLBACK_WINDOW_S,
    MAX_FAILURES,
    MAX_SHARED_FAILURES,
    RETRY_WINDOW_S,
    Failure,
    Memory,
    Place,
    SharedMemory,
    is_retryable,
    owner,
)

KEY = ("https://api.openai.com/v1/chat/completions", 1)
OTHER = (KEY[0], 2)


def failure(**more: Any) -> Failure:
    values: dict[str, Any] = {
        "key": KEY, "owner": owner(), "at": 100.0, "call_id": "c", "attempt": 0,
        "provider": "openai", "model": "m", "span_id": "s", "retryable": True,
        "fallback_from": None,
    }  # fmt: skip
    return Failure(**{**values, **more})


def begin(memory: Memory, key: tuple[str, int] = KEY, **more: Any) -> Any:
    values: dict[str, Any] = {"span_id": "s", "retry_count": 0, "now": 101.0}
    return memory.begin(key, **{**values, **more})


def test_the_same_request_after_a_retryable_failure_is_the_next_attempt() -> None:
    memory = Memory()
    memory.failed(failure(attempt=1, fallback_from="x"))
    place = begin(memory)
    assert (place.call_id, place.attempt, place.fallback_from) == ("c", 2, "x")
    assert begin(memory).call_id is None, "a failure is followed once"


def test_a_failure_that_nobody_retries_is_followed_by_a_new_call() -> None:
    memory = Memory()
    memory.failed(failure(retryable=False))
    place = begin(memory)
    assert (place.call_id, place.attempt) == (None, 0)
    assert place.before is not None


def test_the_retry_window_ends() -> None:
    memory = Memory()
    memory.failed(failure())
    assert begin(memory, now=100.0 + RETRY_WINDOW_S).call_id == "c"
    memory.failed(failure())
    assert begin(memory, now=100.1 + RETRY_WINDOW_S).call_id is None


def test_the_header_alone_numbers_an_attempt() -> None:
    assert begin(Memory(), retry_count=2).attempt == 2


def test_a_retry_by_header_of_another_body_is_not_mixed_up() -> None:
    memory = Memory()
    memory.failed(failure())
    place = begin(memory, OTHER, retry_count=1)
    assert (place.call_id, place.attempt) == (None, 1)
    assert begin(memory).call_id == "c"


def test_another_request_in_the_same_agent_may_be_a_fallback() -> None:
    memory = Memory()
    memory.failed(failure(retryable=False))
    assert begin(memory, OTHER).before is not None
    memory.failed(failure())
    assert begin(memory, OTHER, span_id="elsewhere").before is None
    assert begin(memory, OTHER, now=100.1 + FALLBACK_WINDOW_S).before is None


def test_a_failure_of_another_living_thread_or_task_is_left_to_it() -> None:
    memory = Memory()
    places: list[Any] = []
    memory.failed(failure())
    thread = threading.Thread(target=lambda: places.append(begin(memory)))
    thread.start()
    thread.join()

    async def main() -> None:
        stop = asyncio.Event()

        async def fail() -> None:
            memory.failed(failure(call_id="task"))
            await stop.wait()

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        places.append(begin(memory))
        stop.set()
        await task
        places.append(begin(memory))

    asyncio.run(main())
    assert [p.call_id for p in places] == [None, None, "task"]


def test_the_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(MAX_FAILURES + 1):
        memory.failed(failure(key=("u", number), call_id=str(number)))
    assert begin(memory, ("u", 1)).call_id == "1"
    assert begin(memory, ("u", 0)).call_id is None


def test_what_clients_try_again() -> None:
    again = [s for s in (200, 400, 401, 404, 408, 409, 422, 429, 500, 503, 529)
             if is_retryable("error", s)]  # fmt: skip
    assert again == [200, 408, 409, 429, 500, 503, 529]
    assert is_retryable("timeout", None)
    assert not is_retryable("ok", 200)


def test_a_client_that_counts_its_attempts_is_believed_whatever_the_status() -> None:
    memory = Memory()
    memory.failed(failure(attempt=0, retryable=False))
    assert begin(memory, retry_count=1).call_id == "c"


# -- where many clients share a memory -------------------------------------------------------------


def shared(**more: Any) -> SharedMemory:
    """A memory in which the task of another request, which is over, left a failure."""

    async def request() -> Failure:
        return failure(**more)

    memory = SharedMemory()
    memory.failed(asyncio.run(request()))
    return memory


def test_a_repeat_is_known_in_whatever_task_it_comes() -> None:
    memory = shared(attempt=1, fallback_from="x")
    place = begin(memory, retry_count=1, span_id="elsewhere")
    assert (place.call_id, place.attempt, place.fallback_from) == ("c", 2, "x")
    assert begin(memory).call_id is None, "a failure is followed once"
    assert begin(shared()).call_id == "c", "clients that do not count repeat, too"


def test_another_request_of_the_same_clients_is_no_fallback() -> None:
    memory = shared(retryable=False)
    assert begin(memory, OTHER) == begin(memory) == Place()
    assert begin(memory, retry_count=1).call_id == "c", "who counts knows better"


def test_a_count_that_no_failure_backs_begins_a_new_call() -> None:
    assert begin(SharedMemory(), retry_count=3) == Place()
    assert begin(shared(), OTHER, retry_count=3) == Place()
    assert begin(shared(), now=100.1 + RETRY_WINDOW_S, retry_count=1) == Place()


def test_beside_a_request_at_work_only_who_counts_repeats_it() -> None:
    async def main() -> None:
        memory = SharedMemory()
        done = asyncio.Event()

        async def request() -> None:
            memory.failed(failure())
            await done.wait()

        at_work = asyncio.create_task(request())
        await asyncio.sleep(0)
        assert begin(memory).call_id is None
        assert begin(memory, retry_count=1).call_id == "c"
        done.set()
        await at_work

    asyncio.run(main())


def test_a_shared_memory_is_bounded_too() -> None:
    memory = SharedMemory()
    for n in range(MAX_SHARED_FAILURES + 1):
        memory.failed(failure(key=(KEY[0], n), call_id=str(n)))
    assert begin(memory, (KEY[0], 0)).call_id is None
    assert begin(memory, (KEY[0], 1)).call_id == "1"
