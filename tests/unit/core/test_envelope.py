"""The signed envelope: only who has the secret can make one, and it always fits in 1 KB."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.envelope import (
    MAX_BAGGAGE_CHARACTERS,
    MAX_CHARACTERS,
    MAX_SKEW_S,
    MAX_TTL_S,
    TTL_S,
    baggage_with,
    envelope_in,
    judge,
    seal,
    secret_id,
    unseal,
)
from outlay.core.event import MAX_LABELS, MAX_STRING_BYTES

SECRET = "0123456789abcdef-one"
OTHER = "0123456789abcdef-two"
NOW = 1_800_000_000_000_000
SECOND = 1_000_000
VALUES = {
    "tenant_id": "acme", "user_id": "u1", "workspace_id": "w1", "billing_unit_type": "campaign",
    "billing_unit_id": "c1", "feature": "search", "workflow": "wf", "initiator": "system",
    "environment": "prod", "service": "api", "request_id": "r1", "run_id": "run1",
    "trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "c" * 16,
    "agent_path": "orchestrator/research",
}  # fmt: skip


def sealed(values: dict[str, str] | None = None, **more: Any) -> str:
    told: dict[str, Any] = {"labels": {}, "secret": SECRET, "now": NOW, **more}
    return seal(VALUES if values is None else values, told.pop("labels"), **told)


def forged(payload: bytes, secret: str = SECRET, version: str = "1") -> str:
    """What somebody with the secret could make, by the description alone."""
    head = f"{version}.{hashlib.sha256(secret.encode()).hexdigest()[:8]}."
    head += base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    mac = hmac.new(secret.encode(), b"outlay context " + head.encode(), "sha256").digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_what_is_sealed_is_told_again() -> None:
    found = unseal(sealed(labels={"team": "core", "n": ""}), [SECRET], NOW)
    assert found is not None
    assert found.values == VALUES
    assert found.labels == {"team": "core", "n": ""}
    assert found.key_id == secret_id(SECRET)
    assert (found.issued_at, found.expires_at) == (NOW, NOW + TTL_S * SECOND)
    assert found.left_out == 0


def test_what_is_no_attribution_is_not_carried() -> None:
    found = unseal(sealed({"tenant_id": "a", "tenant_source": "key", "user_id": ""}), [SECRET], NOW)
    assert found is not None
    assert found.values == {"tenant_id": "a"}


def test_it_is_made_as_it_is_described() -> None:
    text = sealed({"tenant_id": "acme"})
    payload = {"iat": NOW // SECOND, "exp": NOW // SECOND + TTL_S, "t": "acme"}
    assert text == forged(json.dumps(payload, separators=(",", ":")).encode())


def test_the_secret_is_named_by_a_part_of_its_hash() -> None:
    assert secret_id(SECRET) == hashlib.sha256(SECRET.encode()).hexdigest()[:8]
    assert SECRET not in sealed()


_texts = st.text(max_size=30).map(lambda text: text.replace("\0", ""))


@given(
    st.dictionaries(st.sampled_from(sorted(VALUES.keys() - {"initiator"})), _texts),
    st.dictionaries(_texts, _texts, max_size=70),
)
def test_whatever_is_told_fits_and_stands_in_a_header_unchanged(
    values: dict[str, str], labels: dict[str, str]
) -> None:
    text = sealed(values, labels=labels)
    assert len(text) <= MAX_CHARACTERS
    assert set(text) <= set(string.ascii_letters + string.digits + "-_.")
    assert quote_plus(text) == text, "propagators encode values so"
    found = unseal(text, [SECRET], NOW)
    assert found is not None
    assert set(found.values) == {name for name, value in values.items() if value}
    assert len(found.labels) + found.left_out == len(labels)
    assert list(found.labels) == list(labels)[: len(found.labels)], "the first ones go first"


def test_labels_are_left_out_before_anything_else() -> None:
    labels = {f"label{n}": "x" * 50 for n in range(MAX_LABELS)}
    text = sealed(labels=labels)
    found = unseal(text, [SECRET], NOW)
    assert found is not None
    assert found.values == VALUES
    assert 0 < len(found.labels) < MAX_LABELS
    assert found.left_out == MAX_LABELS - len(found.labels)
    assert len(text) > MAX_CHARACTERS - 120, "as many as fit"


def test_more_labels_than_an_event_has_are_left_out() -> None:
    found = unseal(sealed({}, labels={str(n): "" for n in range(MAX_LABELS + 2)}), [SECRET], NOW)
    assert found is not None
    assert (len(found.labels), found.left_out) == (MAX_LABELS, 2)


def test_the_longest_that_fits_and_one_byte_more() -> None:
    full = {"user_id": "u" * MAX_STRING_BYTES, "tenant_id": "t" * MAX_STRING_BYTES}
    room = next(n for n in range(256, 0, -1) if _fits({**full, "feature": "f" * n}))
    longest = len(sealed({**full, "feature": "f" * room}))
    assert MAX_CHARACTERS - 4 < longest <= MAX_CHARACTERS, "base64 grows in steps"
    with pytest.raises(ValueError, match="1024 characters"):
        sealed({**full, "feature": "f" * (room + 1)}, labels={"a": "b"})


def test_labels_never_keep_a_context_from_being_sealed() -> None:
    full = {"user_id": "u" * MAX_STRING_BYTES, "tenant_id": "t" * MAX_STRING_BYTES}
    for n in range(1, 257):
        values = {**full, "feature": "f" * n}
        if _fits(values):
            assert unseal(sealed(values, labels={"a": "b" * 200}), [SECRET], NOW) is not None


def _fits(values: dict[str, str]) -> bool:
    try:
        sealed(values)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("bad", ["x" * (MAX_STRING_BYTES + 1), "a\0b", "é" * 200])
def test_a_value_that_no_event_may_have_is_not_sealed(bad: str) -> None:
    with pytest.raises(ValueError, match="256 bytes"):
        sealed({"tenant_id": bad})
    with pytest.raises(ValueError, match="256 bytes"):
        sealed(labels={"a": bad})


@pytest.mark.parametrize("ttl_s", [0, -1, MAX_TTL_S + 1])
def test_it_lives_for_a_bounded_time(ttl_s: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        sealed(ttl_s=ttl_s)


def test_it_is_believed_until_it_expires() -> None:
    text = sealed(ttl_s=60)
    assert unseal(text, [SECRET], NOW + 60 * SECOND - 1) is not None
    assert judge(text, [SECRET], NOW + 60 * SECOND) == (None, "expired")
    assert unseal(sealed(ttl_s=MAX_TTL_S), [SECRET], NOW) is not None


def test_clocks_may_differ_a_little() -> None:
    skew = MAX_SKEW_S * SECOND
    assert unseal(sealed(now=NOW + skew), [SECRET], NOW) is not None
    assert judge(sealed(now=NOW + skew + SECOND), [SECRET], NOW) == (None, "not_yet")


def test_any_of_several_secrets_may_have_signed() -> None:
    for secret in (SECRET, OTHER):
        assert unseal(sealed(secret=secret), [OTHER, SECRET], NOW) is not None
    assert judge(sealed(), [OTHER], NOW) == (None, "unknown_secret")
    assert judge(sealed(), [], NOW) == (None, "unknown_secret")


def test_nobody_without_the_secret_can_change_anything() -> None:
    text = sealed({"tenant_id": "acme"})
    head, _, mac = text.rpartition(".")
    payload = json.loads(base64.urlsafe_b64decode(head.split(".")[2] + "==="))
    payload["t"] = "other"
    changed = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    assert judge(f"1.{secret_id(SECRET)}.{changed}.{mac}", [SECRET], NOW)[1] == "bad_signature"
    # Signed with a secret of one's own, under the name of another.
    own = sealed({"tenant_id": "acme"}, secret=OTHER)
    renamed = own.replace(secret_id(OTHER), secret_id(SECRET))
    assert judge(renamed, [SECRET], NOW)[1] == "bad_signature"


@given(st.integers(0, 10_000), st.sampled_from(string.ascii_letters + string.digits + "-_."))
def test_no_character_may_differ(at: int, sign: str) -> None:
    text = sealed()
    at %= len(text)
    changed = text[:at] + sign + text[at + 1 :]
    assert (unseal(changed, [SECRET], NOW) is not None) == (changed == text)


@given(st.one_of(st.text(), st.from_regex(r"1\.[0-9a-f]{8}\.[\w-]*\.[\w-]{43}", fullmatch=True)))
def test_no_text_makes_it_fail(text: str) -> None:
    assert unseal(text, [SECRET], NOW) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{}", b"[]", b"null", b"{", b"\xff", b"[" * 700,
        b'{"iat":1800000000}', b'{"iat":"1800000000","exp":1800000060}',
        b'{"iat":1800000000,"exp":1800000060.0}', b'{"iat":true,"exp":1800000060}',
        b'{"iat":1800000000,"exp":9900000000}',
        b'{"iat":1800000000,"exp":1800000060,"t":1}',
        b'{"iat":1800000000,"exp":1800000060,"t":"a\\u0000"}',
        b'{"iat":1800000000,"exp":1800000060,"t":"' + b"x" * 257 + b'"}',
        b'{"iat":1800000000,"exp":1800000060,"n":"robot"}',
        b'{"iat":1800000000,"exp":1800000060,"l":["a"]}',
        b'{"iat":1800000000,"exp":1800000060,"l":{"a":1}}',
        b'{"iat":1800000000,"exp":1800000060,"o":"1"}',
    ],
)  # fmt: skip
def test_a_signed_payload_that_makes_no_sense_is_malformed(payload: bytes) -> None:
    assert judge(forged(payload), [SECRET], NOW) == (None, "malformed")


def test_a_newer_maker_may_tell_more_and_another_version_is_not_read() -> None:
    newer = b'{"iat":1800000000,"exp":1800000060,"t":"acme","zz":{"a":[1]}}'
    found = unseal(forged(newer), [SECRET], NOW)
    assert found is not None
    assert found.values == {"tenant_id": "acme"}
    assert judge(forged(newer, version="2"), [SECRET], NOW) == (None, "malformed")


def test_it_is_found_among_other_baggage() -> None:
    text = sealed()
    for baggage in (
        f"outlay={text}", f"a=1, outlay={text};prop=1 , b=2", f"\toutlay = {text} ;x",
        f"outlay={text},outlay=second",
    ):  # fmt: skip
        assert envelope_in(baggage) == text
    for none in ("", "a=1", "xoutlay=1", "outlay-x=1", "OUTLAY=1", "a=outlay", "outlay"):
        assert envelope_in(none) == ""


def test_baggage_of_unlikely_length_is_not_looked_at() -> None:
    text = sealed()
    pad = "x" * (MAX_BAGGAGE_CHARACTERS - len(f"outlay={text},"))
    assert envelope_in(f"outlay={text},{pad}") == text
    assert envelope_in(f"outlay={text},{pad}x") == ""


def test_it_comes_first_and_takes_the_place_of_others() -> None:
    assert baggage_with("", "E") == "outlay=E"
    assert baggage_with("a=1;p, outlay=old;x , b=2,", "E") == "outlay=E,a=1;p,b=2"
