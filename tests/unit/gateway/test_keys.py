"""The table of keys: found by secret, bounded, and replaced in one step."""

from __future__ import annotations

import threading
from dataclasses import replace

from outlay.core.virtual_keys import MAX_SECRET_CHARACTERS, VirtualKey, secret_hash
from outlay.gateway.keys import KeyTable


def secret(number: int) -> str:
    return f"ov_{number:043}"


def key(number: int, **said: object) -> VirtualKey:
    values = {"key_id": f"vk_{number}", "name": "n", "secret_hash": secret_hash(secret(number))}
    return VirtualKey(**{**values, **said})  # type: ignore[arg-type]


class TestFinding:
    def test_a_key_is_found_by_its_whole_secret(self) -> None:
        table = KeyTable()
        table.apply([key(1), key(2)])
        assert table.find(secret(1)) == key(1)
        assert [table.find(text) for text in (secret(3), secret(1)[:-1], "", "ov_\ud800")] == (
            [None] * 4
        )

    def test_a_text_that_no_secret_can_be_is_not_even_hashed(self) -> None:
        table = KeyTable()
        longest, longer = ("s" * (MAX_SECRET_CHARACTERS + more) for more in (0, 1))
        table.apply([key(1, secret_hash=secret_hash(text)) for text in (longest, longer)])
        assert table.find(longest) is not None
        assert table.find(longer) is None

    def test_a_key_of_no_use_is_found_so_that_the_caller_can_say_why(self) -> None:
        table = KeyTable()
        table.apply([key(1, revoked_at=5)])
        found = table.find(secret(1))
        assert found is not None
        assert found.problem(5) == "revoked"

    def test_a_change_takes_the_place_of_what_was_known(self) -> None:
        table = KeyTable()
        table.apply([key(1)])
        table.apply([key(1, revoked_at=5)])
        assert (len(table), table.find(secret(1))) == (1, key(1, revoked_at=5))
        table.forget(secret_hash(secret(1)))
        table.forget("never known")
        assert (len(table), table.find(secret(1))) == (0, None)


class TestItsBound:
    def test_what_is_of_no_use_makes_room(self) -> None:
        table = KeyTable(most=2)
        table.apply([key(1, expires_at=5), key(2), key(3, revoked_at=9)], at=7)
        assert table.keys() == [key(2), key(3, revoked_at=9)]
        assert table.left_out == 0

    def test_of_those_of_use_the_newest_find_none(self) -> None:
        table = KeyTable(most=2)
        table.apply([key(1), key(2)])
        table.apply([key(3), key(4), key(1, name="changed")])
        assert table.keys() == [key(1, name="changed"), key(2)]
        assert table.left_out == 2


class TestReplacing:
    def test_it_holds_just_what_the_other_holds(self) -> None:
        table, other = KeyTable(), KeyTable()
        table.apply([key(1), key(2)])
        other.apply([key(2), key(3)])
        table.replace(other)
        assert table.keys() == [key(2), key(3)]

    def test_a_key_that_says_the_same_stays_the_same_object(self) -> None:
        table, other = KeyTable(), KeyTable()
        table.apply([key(1), key(2)])
        before = table.find(secret(1))
        other.apply([key(1), key(2, name="changed")])
        table.replace(other)
        assert table.find(secret(1)) is before
        assert table.find(secret(2)) == key(2, name="changed")

    def test_who_asks_meanwhile_always_finds_a_key_that_stays(self) -> None:
        table = KeyTable(most=3)
        table.apply([key(1)])
        missed: list[object] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                if table.find(secret(1)) is None:
                    missed.append(1)

        thread = threading.Thread(target=ask)
        thread.start()
        for number in range(2_000):
            other = KeyTable()
            other.apply([key(1), key(number + 2)])
            table.replace(other)
            table.apply([replace(key(5_000 + n), revoked_at=1) for n in range(4)], at=2)
        done.set()
        thread.join()
        assert missed == []


def test_its_age_counts_from_when_the_server_was_heard() -> None:
    now = 100.0
    table = KeyTable(ticks=lambda: now)
    assert table.age_s == float("inf")
    table.heard()
    now = 103.0
    assert table.age_s == 3.0
    table.heard(60.0)
    assert table.age_s == 60.0
