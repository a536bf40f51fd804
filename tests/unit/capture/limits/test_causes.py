"""Which errors come of a refusal: by what they say, or by the answer that they were made of."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import requests
from aiohttp import ClientResponseError, RequestInfo
from botocore.exceptions import ClientError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from outlay.capture.limits.causes import MAX_CAUSES, MAX_NOTES, MAX_TEXT, Notes, causes
from outlay.core.limits.refusal import Refusal, steps_refusal
from outlay.errors import RunStopped

Headers = dict[str, str]
OURS: Headers = {"Outlay-Limit": "steps"}


def noted(*refusals: Refusal) -> Notes:
    notes = Notes()
    for refusal in refusals or (steps_refusal("a", max_steps=1),):
        notes.add(refusal)
    return notes


def of_requests(status: int, headers: Headers) -> Exception:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    return requests.HTTPError(f"{status} Client Error", response=response)


def of_aiohttp(status: int, headers: Headers) -> Exception:
    sent = CIMultiDictProxy(CIMultiDict(headers))
    url = URL("https://api.openai.com")
    info = RequestInfo(url, "POST", CIMultiDictProxy(CIMultiDict()), url)
    return ClientResponseError(info, (), status=status, headers=sent)


def of_botocore(status: int, headers: Headers) -> Exception:
    metadata = {
        "HTTPStatusCode": status,
        "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
    }
    error: Exception = ClientError({"Error": {}, "ResponseMetadata": metadata}, "Converse")
    return error


def of_google(status: int, headers: Headers) -> Exception:
    error = Exception("APIError")
    error.code = status  # type: ignore[attr-defined]
    error.response = SimpleNamespace(headers=headers)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("made", [of_requests, of_aiohttp, of_botocore, of_google])
def test_an_error_of_our_answer_is_known_and_no_other(
    made: Callable[[int, Headers], Exception],
) -> None:
    notes = noted()
    assert notes.behind(made(402, OURS), newest=True)
    assert notes.behind(made(402, OURS), newest=False) is None, "it is that of a run around"
    assert notes.behind(made(402, {"Server": "theirs"}), newest=True) is None
    assert notes.behind(made(429, OURS), newest=True) is None


def test_what_an_error_says_names_the_refusal_even_if_others_came_later() -> None:
    first, second = steps_refusal("a", max_steps=1), steps_refusal("a", max_steps=2)
    error = RuntimeError(f"body: {{'message': '{first.message}'}}")
    assert noted(first, second).behind(error, newest=False) is first


def test_without_a_refusal_no_error_is_one() -> None:
    assert Notes().behind(of_requests(402, OURS), newest=True) is None
    assert noted().behind(ValueError("402"), newest=True) is None


def test_only_the_newest_refusals_are_remembered() -> None:
    refusals = [steps_refusal("a", max_steps=number) for number in range(MAX_NOTES + 1)]
    notes = noted(*refusals)
    assert notes.behind(RuntimeError(refusals[0].message), newest=False) is None
    assert notes.behind(RuntimeError(refusals[1].message), newest=False) is refusals[1]


def test_only_so_much_of_a_text_is_looked_through() -> None:
    refusal = steps_refusal("a", max_steps=1)
    fits = "x" * (MAX_TEXT - len(refusal.message)) + refusal.message
    assert noted(refusal).behind(RuntimeError(fits), newest=False) is refusal
    assert noted(refusal).behind(RuntimeError("x" + fits), newest=False) is None


def test_causes_are_followed_through_chains_and_groups_up_to_a_bound() -> None:
    top: BaseException = ValueError("0")
    for number in range(1, MAX_CAUSES + 5):
        below, top = top, ValueError(str(number))
        if number % 2:
            top.__cause__ = below
        else:
            top.__context__ = below
    assert len(list(causes(top))) == MAX_CAUSES
    inner = KeyError("k")
    group = ExceptionGroup("g", [ExceptionGroup("h", [inner])])
    assert inner in list(causes(group))
    inner.__context__ = group
    assert len(list(causes(group))) == 3, "a circle ends"


def test_the_end_of_another_run_and_what_led_to_it_is_none_of_ours() -> None:
    stopped = RunStopped("stopped")
    stopped.__cause__ = of_requests(402, OURS)
    theirs = ValueError("wrapped")
    theirs.__cause__ = stopped
    assert list(causes(theirs)) == [theirs]
    assert noted().behind(theirs, newest=True) is None


def test_classes_that_raise_when_they_are_looked_at_are_passed_over() -> None:
    class NastyError(Exception):
        status_code = 402

        def __str__(self) -> str:
            raise RuntimeError

        @property
        def response(self) -> object:
            raise RuntimeError

    assert noted().behind(NastyError(), newest=True) is None
