"""The guest in real processes: fork, `kill -9`, exit, and a server that is not there."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import outlay
from outlay.capture.spool import adopt
from tests.guest.conftest import Collector

pytestmark = pytest.mark.heavy

MIB = 1024 * 1024


def run(script: str, *args: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, args)],
        check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def test_events_of_a_normal_exit_are_shipped(collector: Collector, tmp_path: Path) -> None:
    out = run(
        """
        import sys, outlay
        outlay.init(sys.argv[1], "ok_k", spool_dir=sys.argv[2])
        for n in range(5):
            print(outlay.record("tool", name=f"t{n}"))
        """,
        collector.url, tmp_path,
    )  # fmt: skip
    assert collector.ids == out.split()
    assert list(tmp_path.glob("spool-*")) == []


def test_events_of_a_killed_process_are_shipped_by_the_next(
    collector: Collector, tmp_path: Path
) -> None:
    out = run(
        """
        import os, signal, sys, httpx, outlay
        outlay.init("http://127.0.0.1:9", spool_dir=sys.argv[1])
        def handle(request):
            return httpx.Response(200, json={"model": "m", "choices": [], "usage": {
                "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
        client = httpx.Client(transport=httpx.MockTransport(handle))
        for n in range(50):
            client.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
        print(outlay.stats()["spooled"], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path, code=-9,
    )  # fmt: skip
    assert out.split() == ["50"]
    outlay.init(collector.url, spool_dir=str(tmp_path), ship_interval_s=0.01)
    outlay.record("tool", name="mine")
    assert outlay.shutdown(10)
    assert len(collector.events) == 51
    assert len(set(collector.ids)) == 51
    assert {e["input"] for e in collector.events if e["operation"] == "chat"} == {3}


def test_a_forked_child_ships_its_own_events_and_the_parent_goes_on(
    collector: Collector, tmp_path: Path
) -> None:
    out = run(
        """
        import os, sys, threading, outlay
        outlay.init(sys.argv[1], spool_dir=sys.argv[2], ship_interval_s=0.01)
        ids = []
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                ids.append(outlay.record("tool", name="busy"))
        threads = [threading.Thread(target=busy) for _ in range(2)]
        with outlay.context(tenant="parent"):
            for thread in threads:
                thread.start()
            for _ in range(5):
                pid = os.fork()
                if pid == 0:
                    for n in range(10):
                        outlay.record("tool", name="child")
                    assert outlay.flush(10)
                    stats = outlay.stats()
                    assert stats["acknowledged"] == 10, stats
                    os._exit(0 if outlay.shutdown(5) else 3)
                _, status = os.waitpid(pid, 0)
                assert status == 0, status
            stop.set()
            for thread in threads:
                thread.join()
            ids.append(outlay.record("tool", name="last"))
        print(*ids)
        assert outlay.flush(10)
        assert not outlay.stats()["dropped"], outlay.stats()
        """,
        collector.url, tmp_path,
    )  # fmt: skip
    parents = [e["event_id"] for e in collector.events if e["name"] != "child"]
    children = [e for e in collector.events if e["name"] == "child"]
    assert sorted(parents) == sorted(out.split())
    assert len({e["event_id"] for e in children}) == 50
    assert {e["tenant_id"] for e in children} == {"parent"}
    assert list(tmp_path.glob("spool-*")) == []


def test_workers_of_multiprocessing_lose_nothing(collector: Collector, tmp_path: Path) -> None:
    run(
        """
        import multiprocessing, sys, outlay
        def work(n):
            outlay.record("tool", name=f"w{n}")
            return outlay.flush(10)
        if __name__ == "__main__":
            outlay.init(sys.argv[1], spool_dir=sys.argv[2], ship_interval_s=0.01)
            outlay.record("tool", name="parent")
            with multiprocessing.get_context("fork").Pool(3) as pool:
                assert all(pool.map(work, range(30)))
        """,
        collector.url, tmp_path,
    )  # fmt: skip
    names = sorted(e["name"] for e in collector.events)
    assert names == sorted(["parent", *(f"w{n}" for n in range(30))])


def test_a_dead_server_costs_bounded_disk_and_memory(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = run(
        """
        import gc, sys, outlay
        def rss():
            with open("/proc/self/statm") as f:
                return int(f.read().split()[1]) * 4096
        outlay.init(sys.argv[1], spool_dir=sys.argv[2], spool_max_bytes=1 << 20,
                    flush_timeout_s=1)
        for n in range(5_000):
            outlay.record("tool", name="t", units={"requests": 1})
        gc.collect()
        before = rss()
        for n in range(195_000):
            outlay.record("tool", name="t", units={"requests": 1})
        gc.collect()
        stats = outlay.stats()
        print(rss() - before, stats["captured"], stats["spooled"], stats["dropped"]["spool_full"])
        """,
        f"http://127.0.0.1:{port}", tmp_path,
    )  # fmt: skip
    grown, captured, spooled, dropped = map(int, out.split())
    assert captured == 200_000 == spooled + dropped
    assert grown < 8 * MIB
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 6 * MIB


def test_an_exit_with_a_dead_server_leaves_the_events_for_the_next(tmp_path: Path) -> None:
    run(
        """
        import sys, outlay
        outlay.init("http://127.0.0.1:9", spool_dir=sys.argv[1])
        for n in range(5):
            outlay.record("tool", name=f"t{n}")
        """,
        tmp_path,
    )  # fmt: skip
    (orphan,) = adopt(tmp_path, MIB)
    assert len(orphan.batch(10, MIB)) == 5
    orphan.close()


def test_repeated_runs_without_a_server_share_one_file(tmp_path: Path) -> None:
    script = """
        import sys, outlay
        outlay.init(spool_dir=sys.argv[1])
        outlay.record("tool", name="t")
        print(outlay.stats()["pending"])
    """
    assert [run(script, tmp_path).strip() for _ in range(3)] == ["1", "2", "3"]
    assert len(list(tmp_path.glob("*.db"))) == 1


def test_importing_outlay_loads_no_other_package_and_hardly_anything(tmp_path: Path) -> None:
    out = run(
        """
        import sys
        before = set(sys.modules)
        import outlay
        bare = {m for m in set(sys.modules) - before if m.split(".")[0] != "outlay"}
        print(sorted(bare))
        outlay.init(spool_dir=sys.argv[1])
        with outlay.context(tenant="a"), outlay.agent("b"):
            outlay.record("tool", name="t", cost_usd="1")
        outlay.current(), outlay.stats()
        top = {m.split(".")[0] for m in set(sys.modules) - before}
        print(sorted(top - set(sys.stdlib_module_names) - {"outlay"}))
        """,
        tmp_path,
    )  # fmt: skip
    bare, foreign = out.splitlines()
    assert len(bare.split()) <= 1, bare
    assert foreign == "[]"


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_the_order_of_imports_does_not_matter(tmp_path: Path, name: str) -> None:
    out = run(
        """
        import importlib, sys, outlay
        name = sys.argv[2]
        outlay.init(spool_dir=sys.argv[1])
        assert name not in sys.modules
        module = importlib.import_module(name)
        assert type(module.__loader__).__module__.startswith("_frozen_importlib")
        assert module.__spec__.loader is module.__loader__
        def handle(request):
            return module.Response(200, json={"model": "m", "choices": []})
        client = module.Client(transport=module.MockTransport(handle))
        client.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
        print(outlay.stats()["captured"])
        """,
        tmp_path, name,
    )  # fmt: skip
    assert out.strip() == "1"


def test_httpx2_may_stand_in_for_httpx(tmp_path: Path) -> None:
    out = run(
        """
        import sys, outlay
        outlay.init(spool_dir=sys.argv[1])
        import httpx2
        httpx2.alias_httpx()
        import httpx
        assert httpx is httpx2
        def handle(request):
            return httpx.Response(200, json={"model": "m", "choices": []})
        client = httpx.Client(transport=httpx.MockTransport(handle))
        client.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
        print(outlay.stats()["captured"])
        """,
        tmp_path,
    )  # fmt: skip
    assert out.strip() == "1"


def test_interpreter_exit_in_a_child_made_by_fork_is_clean(
    collector: Collector, tmp_path: Path
) -> None:
    out = run(
        """
        import os, sys, outlay
        outlay.init(sys.argv[1], spool_dir=sys.argv[2], ship_interval_s=0.01)
        outlay.record("tool", name="before")
        pid = os.fork()
        outlay.record("tool", name="child" if pid == 0 else "parent")
        if pid == 0:
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert outlay.flush(10)
        print(outlay.record("tool", name="after"))
        """,
        collector.url, tmp_path,
    )  # fmt: skip
    assert out.strip() in collector.ids
    assert sorted(e["name"] for e in collector.events) == ["after", "before", "child", "parent"]
    assert list(tmp_path.glob("spool-*")) == []
