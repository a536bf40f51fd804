"""Who a call is held for is who its event is counted for."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from outlay.capture.limits.plans import Table
from outlay.enrich.business import initiators
from outlay.stream.columns import ENRICHED_SCHEMA
from tests.unit.capture.limits.authority import ask, scope


@pytest.mark.parametrize("said", [None, "user", "system"])
@pytest.mark.parametrize("request_id", [None, "r1"])
@pytest.mark.parametrize("user_id", [None, "u1"])
def test_the_initiator_goes_by_the_rule_of_enrichment(
    said: str | None, request_id: str | None, user_id: str | None
) -> None:
    given = {"initiator": said, "request_id": request_id, "user_id": user_id}
    values: dict[str, Any] = {name: value for name, value in given.items() if value}
    subject = Table("").plan(ask(where=scope(**values))).subject
    row = dict.fromkeys(ENRICHED_SCHEMA.names) | given
    table = pa.Table.from_pylist([row], schema=ENRICHED_SCHEMA)
    assert subject.initiator == initiators(table)[0].as_py()
