"""Ids come from randomness drawn in blocks: never the same twice, in threads or after a fork."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

from outlay.capture.ids import BLOCK_PIECES, new_id, new_span_id, new_trace_id

MANY = BLOCK_PIECES * 20


def test_ids_have_the_standard_form() -> None:
    uuid7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(uuid7, new_id())
    assert re.fullmatch(r"[0-9a-f]{32}", new_trace_id())
    assert re.fullmatch(r"[0-9a-f]{16}", new_span_id())


def test_threads_never_get_the_same_randomness() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: [new_trace_id() for _ in range(MANY)], range(4)))
    assert len({trace for part in made for trace in part}) == 4 * MANY


def test_a_forked_child_and_its_parent_never_get_the_same_randomness() -> None:
    new_trace_id()  # a block is drawn and not used up
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, "".join(new_trace_id() for _ in range(BLOCK_PIECES)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    text = os.read(reading, 32 * BLOCK_PIECES).decode()
    os.close(reading)
    os.close(writing)
    theirs = {text[at : at + 32] for at in range(0, len(text), 32)}
    assert len(theirs) == BLOCK_PIECES
    assert theirs.isdisjoint(new_trace_id() for _ in range(BLOCK_PIECES))
