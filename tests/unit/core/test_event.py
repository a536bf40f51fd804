"""CostEvent version 1 is published: it cannot change under anyone's feet."""

from __future__ import annotations

import hashlib
from importlib import resources

from outlay.core import event, units

FROZEN_SHA256 = "8f6e253e4e9d5e349901144b85dc39ee484d63e3401797e8783fb4dc9777f7d9"


def _frozen() -> bytes:
    return resources.files("outlay.core").joinpath("cost_event_v1.json").read_bytes()


def test_the_published_schema_never_changes() -> None:
    assert hashlib.sha256(_frozen()).hexdigest() == FROZEN_SHA256, (
        "version 1 is frozen: a new field needs version 2"
    )


def test_the_code_follows_the_published_schema() -> None:
    assert event.schema_text().encode() == _frozen()


def test_every_field_has_one_name_and_defaults_are_of_closed_vocabularies() -> None:
    names = [field.name for field in event.FIELDS]
    assert len(names) == len(set(names))
    for name, values in event.VALUES.items():
        default = event.BY_NAME[name].default
        assert default is None or default in values


def test_every_unit_with_a_column_is_a_captured_count() -> None:
    for unit in units.EVENT_UNITS:
        field = event.BY_NAME[unit]
        assert (field.type, field.enriched, field.default) == ("int64", False, 0)


def test_the_cost_groups_are_the_event_columns_that_sum_to_the_cost() -> None:
    groups = {
        units.cost_group(unit)
        for unit in (*units.EVENT_UNITS, "input_audio", "output_image", "web_search", "anything")
    }
    columns = {f.name for f in event.FIELDS if f.name.startswith("cost_")} - {"cost_nanos"}
    assert groups == columns
