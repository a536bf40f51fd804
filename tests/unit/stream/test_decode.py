"""What ingest accepts, and the words with which it refuses the rest."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core import event as spec
from outlay.errors import TooLargeError
from outlay.stream.columns import CAPTURED_SCHEMA
from outlay.stream.decode import Decoded, Limits, decode_batch, encode, to_table
from tests.unit.stream.events import DAY, NOW, SECOND, event

LIMITS = Limits()


def decode(body: Any, *, ndjson: bool = False, limits: Limits = LIMITS) -> Decoded:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_batch(raw, ndjson=ndjson, now=NOW, limits=limits)


def refusal(item: Any) -> tuple[str, str]:
    """Decode a bad item between two good ones, which must both survive."""
    decoded = decode([event(1), item, event(2)])
    assert len(decoded.events) == 2
    (rejected,) = decoded.rejected
    assert rejected.index == 1
    return rejected.code, rejected.message


def lines(*items: Any) -> bytes:
    return b"\n".join(i if isinstance(i, bytes) else json.dumps(i).encode() for i in items)


# -- forms of a body ---------------------------------------------------------------------------


def test_a_json_array_an_events_object_and_ndjson_read_the_same() -> None:
    items = [event(1), event(2)]
    array = decode(items)
    wrapped = decode({"events": items})
    ndjson = decode(lines(*items), ndjson=True)
    assert array.events == wrapped.events == ndjson.events
    assert len(array.events) == 2
    assert not array.rejected


def test_blank_lines_and_crlf_are_no_items() -> None:
    body = b"\r\n".join([b"", lines(event(1)), b"  ", b"{bad", b"", lines(event(2)), b""])
    decoded = decode(body, ndjson=True)
    assert len(decoded.events) == 2
    assert [r.index for r in decoded.rejected] == [1]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[", b"[{]", b'{"events": 5}', b"{}", b"\xff\xfe", b"5", b"[" * 100_000]
)
def test_a_body_that_cannot_be_read_says_so_and_does_not_raise(body: bytes) -> None:
    decoded = decode(body)
    assert not decoded.readable
    assert [r.code for r in decoded.rejected] == ["malformed"]


def test_a_lone_event_as_json_is_told_the_forms_that_work() -> None:
    decoded = decode(event(1))
    assert not decoded.readable
    assert "x-ndjson" in decoded.rejected[0].message


def test_an_empty_batch_is_fine() -> None:
    assert decode([]) == Decoded()
    assert decode(b"", ndjson=True) == Decoded()


def test_one_event_too_many_refuses_the_whole_batch() -> None:
    limits = Limits(max_events=2)
    assert len(decode([event(1), event(2)], limits=limits).events) == 2
    three = [event(1), event(2), event(3)]
    with pytest.raises(TooLargeError):
        decode(three, limits=limits)
    with pytest.raises(TooLargeError):
        decode(lines(*three), ndjson=True, limits=limits)
    with pytest.raises(TooLargeError):
        decode([1, 2, 3], limits=limits)


def test_a_body_of_millions_of_tiny_items_is_refused_before_they_are_made() -> None:
    with pytest.raises(TooLargeError):
        decode(b"[" + b"1," * 2_000_000 + b"1]")
    with pytest.raises(TooLargeError):
        decode(b"1\n" * 20_000, ndjson=True)


# -- one bad item never spoils the rest --------------------------------------------------------

BAD_ITEMS: list[tuple[Any, str, str]] = [
    (5, "malformed", "not an object"),
    ([], "malformed", "not an object"),
    (event(9, modle_served="x"), "unknown_field", "did you mean model_served"),
    (event(9, zzz=1), "unknown_field", "labels"),
    (event(9, cost_nanos=5), "unknown_field", "added by the server"),
    (event(9, schema_version=2), "wrong_version", "schema_version"),
    (event(9, schema_version="1"), "wrong_version", "schema_version"),
    (event(9, status="okay"), "bad_value", "one of ok, error"),
    (event(9, input="5"), "bad_value", "input must be a whole number"),
    (event(9, input=1.5), "bad_value", "input must be a whole number"),
    (event(9, streamed=1), "bad_value", "streamed must be true or false"),
    (event(9, user_id=5), "bad_value", "user_id must be text"),
    (event(9, user_id="a\0b"), "bad_value", "NUL"),
    (event(9, labels={"a": "b\0"}), "bad_value", "NUL"),
    (event(9, user_id="x" * 257), "too_long", "user_id is 257 bytes"),
    (event(9, user_id="é" * 129), "too_long", "user_id is 258 bytes"),
    (event(9, labels={"k" * 300: "v"}), "too_long", "labels"),
    (event(9, labels={"k": "é" * 200}), "too_long", "labels"),
    (event(9, labels={str(i): "" for i in range(65)}), "too_many", "labels has 65"),
    (event(9, other_units={str(i): 1 for i in range(65)}), "too_many", "other_units has 65"),
    (event(9, other_units={"pages": -1}), "negative", "other_units"),
    (event(9, findings=["x"] * 33), "too_many", "findings"),
    (event(9, labels=[]), "bad_value", "labels must be an object"),
    (event(9, event_id="x"), "bad_uuid", "event_id must be a version 7 UUID"),
    (event(9, event_id="x" * 36), "bad_uuid", "version 7"),
    (event(9, event_id="00000000-0000-4000-8000-000000000000"), "bad_uuid", "version 7"),
    (event(9, event_id="０" * 36), "bad_uuid", "version 7"),
    (event(9, call_id="0000000000-000-7000-8000-000000000000"), "bad_uuid", "call_id"),
    (event(9, input=-1), "negative", "input is below 0"),
    (event(9, input=10**15 + 1), "too_big", "input is above"),
    (event(9, attempt=256), "too_big", "attempt"),
    (event(9, provider_cost_nanos=2**63), "too_big", "provider_cost_nanos"),
    (event(9, latency_ms=-1), "negative", "latency_ms"),
    (event(9, latency_ms=1e30), "too_big", "latency_ms"),
    (event(9, ended_at=NOW - 6 * SECOND), "time_order", "ended_at is before started_at"),
    (event(9, at=NOW - 36 * DAY), "too_old", "35 days"),
    (event(9, started_at=NOW - 36 * DAY), "too_old", "started_at"),
    (event(9, at=NOW + 301 * SECOND), "in_future", "300 s"),
    (event(9, ended_at=NOW + 301 * SECOND), "in_future", "ended_at"),
    (event(9, started_at="2026-09-21T00:00:00"), "bad_value", "zone"),
    (event(9, started_at="soon"), "bad_value", "started_at"),
    (event(9, started_at=-5), "bad_value", "started_at"),
    (event(9, started_at=10**18), "bad_value", "started_at"),
    (event(9, usage_raw="not json"), "bad_value", "usage_raw"),
    (event(9, usage_raw=5), "bad_value", "usage_raw"),
    (event(9, usage_raw={"a": "x" * 9000}), "too_long", "usage_raw"),
    ({k: v for k, v in event(9).items() if k != "status"}, "missing_field", "status"),
    (event(9, status=None), "missing_field", "status"),
]


@pytest.mark.parametrize(("item", "code", "words"), BAD_ITEMS)
def test_a_bad_item_is_named_and_the_others_are_kept(item: Any, code: str, words: str) -> None:
    found, message = refusal(item)
    assert found == code
    assert words in message


def test_an_old_id_with_a_young_start_is_refused() -> None:
    item = event(9, at=NOW - 40 * DAY, started_at=NOW, ended_at=NOW)
    assert refusal(item) == (
        "too_old",
        "the time inside event_id is older than 35 days: send events within that time",
    )


def test_a_refusal_carries_id_and_known_short_fields_but_no_free_text() -> None:
    item = event(9, status="oops", prompt="tell me a secret", feature="chat", usage_raw={"s": 1})
    (rejected,) = decode([item]).rejected
    assert rejected.event_id == item["event_id"]
    assert json.loads(rejected.raw)["feature"] == "chat"
    assert "secret" not in rejected.raw + rejected.message
    assert "usage_raw" not in rejected.raw


def test_a_damaged_line_is_not_repeated_in_the_refusal() -> None:
    (rejected,) = decode(b'{"prompt": "secret', ndjson=True).rejected
    assert rejected.code == "malformed"
    assert "secret" not in repr(rejected)


def test_bad_utf8_in_one_line_spoils_only_that_line() -> None:
    good = lines(event(1))
    decoded = decode(good + b'\n{"status": "\xff"}\n' + lines(event(2)), ndjson=True)
    assert len(decoded.events) == 2
    assert [(r.index, r.code) for r in decoded.rejected] == [(1, "malformed")]


@pytest.mark.parametrize("bad", [b'"\\ud800 x"', b"NaN", b"-Infinity"])
def test_what_only_some_writers_call_json_spoils_only_its_item(bad: bytes) -> None:
    item = lines(event(9, user_id="XX")).replace(b'"XX"', bad)
    for body in (b"[%b,%b]", b'{"events": [%b,%b]}'):
        decoded = decode(body % (item, lines(event(1))))
        assert len(decoded.events) == 1
        assert [(r.index, r.code) for r in decoded.rejected] == [(0, "malformed")]


# -- lenient where that is safe ----------------------------------------------------------------


def test_an_event_that_comes_twice_in_a_batch_is_kept_once() -> None:
    first, again = event(1, feature="first"), event(1, feature="second")
    again["event_id"] = again["event_id"].upper()
    decoded = decode([first, event(2), again])
    assert [e.feature for e in decoded.events] == ["first", None]
    assert decoded.duplicates == 1
    assert not decoded.rejected


def test_times_may_be_rfc_3339_text_with_a_zone() -> None:
    item = event(1, started_at="2026-09-21T16:13:15.000001+02:00", ended_at=NOW)
    (decoded,) = decode([item, event(2)]).events[:1]
    assert decoded.started_at == 1_790_000_000_000_000 - 5_000_000 + 1
    assert decoded.ended_at == NOW


def test_null_means_not_said() -> None:
    nothing = {f.name: None for f in spec.CAPTURED if not f.required}
    (full,) = decode([{**nothing, **event(1)}]).events
    (bare,) = decode([event(1)]).events
    assert full == bare


@pytest.mark.parametrize("text", ['{"a": null}', '{"a":null}'])
def test_null_inside_json_text_is_left_alone(text: str) -> None:
    (decoded,) = decode([event(1, usage_raw=text)]).events
    assert decoded.usage_raw == text


def test_an_empty_tenant_is_unattributed() -> None:
    (decoded,) = decode([event(1, tenant_id="")]).events
    assert decoded.tenant_id == spec.UNATTRIBUTED


def test_raw_usage_may_be_an_object_or_its_text() -> None:
    decoded = decode([event(1, usage_raw={"a": [1]}), event(2, usage_raw='{"a": [1]}')])
    assert [json.loads(e.usage_raw) for e in decoded.events] == [{"a": [1]}, {"a": [1]}]


def test_texts_of_256_bytes_and_any_language_are_kept_exactly() -> None:
    words = ["x" * 256, "é" * 128, "日本語", 'quote " and \\ back', "tab\t"]
    decoded = decode([event(i, user_id=w, labels={w: w}) for i, w in enumerate(words)])
    assert not decoded.rejected
    table = to_table(decoded.events)
    assert table.column("user_id").to_pylist() == words
    assert table.column("labels").to_pylist() == [[(w, w)] for w in words]


# -- columns -----------------------------------------------------------------------------------


def test_columns_hold_exactly_what_was_said_and_the_defaults() -> None:
    call = "01890a5d-ac96-774b-bcce-b302099a8057"
    first = event(1, call_id=call, labels={}, other_units={"pages": 3}, latency_ms=1.5)
    table = to_table(decode([first, event(2, labels={"a": "b"}, findings=["drift"])]).events)
    table.validate(full=True)
    assert table.schema.equals(CAPTURED_SCHEMA)
    one, two = table.to_pylist()
    assert one["event_id"] == bytes.fromhex(first["event_id"].replace("-", ""))
    assert one["call_id"] == bytes.fromhex(call.replace("-", ""))
    assert two["call_id"] is None
    assert one["labels"] == []
    assert two["labels"] == [("a", "b")]
    assert one["other_units"] == [("pages", 3)]
    assert two["other_units"] is None
    assert (one["latency_ms"], two["latency_ms"]) == (1.5, None)
    assert two["findings"] == ["drift"]
    assert (one["schema_version"], one["kind"], one["billed"]) == (1, "usage", "yes")
    assert one["usage_raw"] is None
    assert (one["started_at"] - one["ended_at"]).total_seconds() == -1


def test_no_events_give_an_empty_table() -> None:
    assert to_table([]).schema.equals(CAPTURED_SCHEMA)


# -- properties --------------------------------------------------------------------------------

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
_count = st.integers(0, spec.MAX_COUNT)
_uuid = st.uuids().map(str)


def _values(field: spec.Field) -> st.SearchStrategy[Any]:
    if field.name == "schema_version":
        return st.just(1)
    if field.name in spec.VALUES:
        return st.sampled_from(spec.VALUES[field.name])
    return {
        "uuid": _uuid,
        "string": _text.filter(bool),
        "uint8": st.integers(0, 255),
        "int16": st.integers(0, 999),
        "int32": st.integers(0, 2**31 - 1),
        "int64": _count,
        "float32": st.floats(0, 1e6, width=32),
        "bool": st.booleans(),
        "json": st.dictionaries(_text, _count, max_size=3).map(json.dumps),
        "map_string": st.dictionaries(_text, _text, max_size=3),
        "map_int64": st.dictionaries(_text, _count, max_size=3),
        "list_string": st.lists(_text, max_size=3),
    }[field.type]


_events = st.fixed_dictionaries(
    {},
    optional={f.name: _values(f) for f in spec.CAPTURED if not f.required},
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_events, min_size=1, max_size=4), st.booleans())
def test_any_valid_event_comes_back_equal(items: list[dict[str, Any]], ndjson: bool) -> None:
    said = [event(i, **fields) for i, fields in enumerate(items)]
    decoded = decode(lines(*said) if ndjson else said, ndjson=ndjson)
    assert decoded.rejected == []
    again = decode(encode(decoded.events))
    assert again.events == decoded.events
    for given_item, kept in zip(said, decoded.events, strict=True):
        for name, value in given_item.items():
            assert getattr(kept, name) == value
    rows = to_table(decoded.events).to_pylist()
    for given_item, row in zip(said, rows, strict=True):
        for name, value in given_item.items():
            assert _same(name, value, row[name])


def _same(name: str, said: Any, kept: Any) -> bool:
    kind = spec.BY_NAME[name].type
    if kind == "uuid":
        return bool(kept.hex() == said.replace("-", ""))
    if kind == "timestamp":
        return True
    if kind.startswith("map"):
        return bool(dict(kept) == said)
    same: bool = kept == said
    return same


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_never_raise(body: bytes, ndjson: bool) -> None:
    decoded = decode(body, ndjson=ndjson)
    assert decoded.events == []


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([f.name for f in spec.FIELDS]), _json)
def test_any_value_in_any_field_is_kept_or_refused_with_words(name: str, value: Any) -> None:
    decoded = decode([event(1), event(2, **{name: value})])
    assert len(decoded.events) + len(decoded.rejected) + decoded.duplicates == 2
    for rejected in decoded.rejected:
        assert rejected.message != ""
        assert rejected.code != "malformed"
    to_table(decoded.events).validate(full=True)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_damaged_body_never_raises(place: int, noise: bytes) -> None:
    body = json.dumps([event(1, labels={"a": "é"}), event(2, usage_raw={"a": 1})]).encode()
    place %= len(body)
    decoded = decode(body[:place] + noise + body[place + len(noise) :])
    assert len(decoded.events) <= 2
    to_table(decoded.events).validate(full=True)


def test_explain_agrees_with_msgspec_on_the_schema_it_was_built_from() -> None:
    names = [f.name for f in msgspec.structs.fields(type(decode([event(1)]).events[0]))]
    assert names == [f.name for f in spec.CAPTURED]
