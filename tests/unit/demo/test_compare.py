from __future__ import annotations

from outlay.demo.compare import Totals, billed_totals, compare


def test_equal_money_and_counts_agree() -> None:
    both = {"acme": Totals(500, 3), "globex": Totals(900, 1)}
    found = compare(both, dict(both))
    assert found.agrees
    assert [line.tenant for line in found.lines] == ["globex", "acme"]
    assert found.total.metered == Totals(1400, 4)


def test_one_nano_dollar_or_one_attempt_is_a_difference() -> None:
    assert not compare({"acme": Totals(501, 3)}, {"acme": Totals(500, 3)}).agrees
    assert not compare({"acme": Totals(500, 2)}, {"acme": Totals(500, 3)}).agrees


def test_differences_that_cancel_out_are_differences() -> None:
    found = compare(
        {"acme": Totals(10, 1), "globex": Totals(20, 1)},
        {"acme": Totals(20, 1), "globex": Totals(10, 1)},
    )
    assert not found.agrees
    assert found.total.agrees
    assert found.as_dict()["tenants"][0]["difference_nanos"] == -10


def test_a_tenant_that_one_side_does_not_know_is_a_difference() -> None:
    assert not compare({"acme": Totals(1, 1)}, {}).agrees
    assert not compare({}, {"acme": Totals(1, 1)}).agrees


def test_nothing_to_compare_is_no_agreement() -> None:
    assert not compare({}, {}).agrees


def test_the_bill_is_read() -> None:
    bill = {"tenants": {"acme": {"nanos": 5, "attempts": 2, "failed": 1}}}
    assert billed_totals(bill) == {"acme": Totals(5, 2)}
