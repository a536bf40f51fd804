"""A ceiling can be reckoned again at any time: from the event and the book it was priced by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.act.ceilings import CALL_COLUMNS, COLUMNS, Ceilings
from outlay.core.calls import call_of
from outlay.core.event import FIELDS
from outlay.core.rates import RateRow
from outlay.core.rollup import PRICED_LATE
from tests.factory import events_table, one_event
from tests.unit.act.counted import CountingPlant
from tests.unit.act.plant import HOUR, M, own

ID = "01990000-0000-7000-8000-00000000000{}"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[CountingPlant]:
    made = CountingPlant(tmp_path)
    made.rates(*own())
    yield made
    made.close()


class Watched(dict[str, Any]):
    """An event that knows which of its fields were read."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("named", [True, False])
def test_every_field_that_pricing_reads_is_read_of_the_log(named: bool) -> None:
    event = Watched(one_event() if named else one_event(model_requested=None, model_served=None))
    call_of(event, at=HOUR)
    known = {field.name for field in FIELDS}
    assert event.read & known <= set(CALL_COLUMNS)


def unpriced(number: int = 1, **values: Any) -> dict[str, Any]:
    said = {"provider": "vllm", "model_requested": "new", "model_served": "new", "cost_nanos": 0}
    return one_event(event_id=ID.format(number), price_basis="unpriced", **(said | values))


def late(number: int = 2, of: int = 1, **values: Any) -> dict[str, Any]:
    return one_event(
        event_id=ID.format(number), kind="adjustment", adjusts_event_id=ID.format(of),
        flags=[PRICED_LATE], **values,
    )  # fmt: skip


def test_only_events_that_may_have_been_billed_and_lack_a_price_count_a_ceiling(
    plant: CountingPlant,
) -> None:
    ceilings = Ceilings(plant.books, plant.olap)
    table = events_table(
        unpriced(1), one_event(event_id=ID.format(2)), unpriced(3, billed="no"),
        unpriced(4, kind="allocation"), unpriced(5, cost_nanos=10, billed="possible"),
    )  # fmt: skip
    first, *others, last = ceilings.lacking(table.select(COLUMNS)).tolist()
    assert first > 0
    assert others == [0, 0, 0]
    assert last == first - 10, "the part that has a price is no part of what lacks"


def test_an_adjustment_takes_back_what_its_event_counted(plant: CountingPlant) -> None:
    ceilings = Ceilings(plant.books, plant.olap)
    plant.olap.write(events_table(unpriced(1)), offset=1)
    here = ceilings.lacking(events_table(unpriced(1), late())).tolist()
    stored = ceilings.lacking(events_table(late())).tolist()
    assert here == [-stored[0], stored[0]]
    assert here[0] > 0
    assert ceilings.unsure == 0


def test_an_adjustment_of_another_sort_takes_nothing_back(plant: CountingPlant) -> None:
    ceilings = Ceilings(plant.books, plant.olap)
    assert ceilings.lacking(events_table(late() | {"flags": None})).tolist() == [0]


def test_an_event_that_is_nowhere_is_told_of(plant: CountingPlant) -> None:
    ceilings = Ceilings(plant.books, plant.olap)
    assert ceilings.lacking(events_table(late(of=9))).tolist() == [0]
    assert ceilings.unsure == 1


def test_the_book_is_the_one_that_the_event_names(plant: CountingPlant) -> None:
    digest = plant.books.load_prices().hash
    table = events_table(unpriced(price_book_hash=digest, received_at=plant.now))
    before = Ceilings(plant.books, plant.olap).lacking(table).tolist()
    plant.rates(*(RateRow.make("vllm", "dear", unit, 10**6 * M, layer="override")
                  for unit in ("input", "output")))  # fmt: skip
    after = Ceilings(plant.books, plant.olap)
    assert after.lacking(table).tolist() == before
    assert after.unsure == 0
    # Priced long after it came, when prices had changed since: found among the changes.
    newer = events_table(unpriced(price_book_hash=plant.books.load_prices().hash, received_at=1))
    plant.rates(RateRow.make("vllm", "dear", "input", 5, layer="override"))
    dear = Ceilings(plant.books, plant.olap)
    assert dear.lacking(newer).tolist()[0] > before[0]
    assert dear.unsure == 0


def test_a_book_that_nobody_knows_is_told_of(plant: CountingPlant) -> None:
    ceilings = Ceilings(plant.books, plant.olap)
    known = events_table(unpriced(price_book_hash=plant.books.load_prices().hash))
    strange = events_table(unpriced(price_book_hash="0" * 16))
    assert ceilings.lacking(strange).tolist() == ceilings.lacking(known).tolist()
    assert ceilings.unsure == 1
