"""Problems: every provider's own SDK raises its typed error of them, and retries or does not."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import botocore.client
import botocore.config
import botocore.session
import httpx2
import openai
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors, types

from outlay.errors import OutlayError
from outlay.gateway.problems import Problem, answer
from outlay.wire.base import Request
from outlay.wire.registry import find_endpoint

UNKNOWN_KEY = Problem(401, "unknown_key", "No such key.", hint="Make one.")
FULL = Problem(429, "queue_full", "The queue is full.", retry_after_s=0.001)
OPEN = Problem(503, "circuit_open", "The upstream rests.", retry_after_s=0.001)
MISSING = Problem(503, "credential_missing", "Set OPENAI_API_KEY.")


class Gateway:
    """A transport that answers every request with a problem, in the shape of its endpoint."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.asked = 0
        self.client = httpx2.Client(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: Any) -> Any:
        self.asked += 1
        endpoint = find_endpoint(Request("POST", str(request.url)))
        status, headers, body = answer(self.problem, endpoint)
        return httpx2.Response(status, headers=headers, content=body)


@pytest.mark.parametrize(
    ("problem", "error", "asked"),
    [
        (UNKNOWN_KEY, openai.AuthenticationError, 1),
        (Problem(403, "no_tenant", "No tenant."), openai.PermissionDeniedError, 1),
        (Problem(404, "unknown_upstream", "None."), openai.NotFoundError, 1),
        (FULL, openai.RateLimitError, 2),
        (OPEN, openai.InternalServerError, 2),
        (MISSING, openai.InternalServerError, 1),
        (Problem(504, "upstream_timeout", "Too slow."), openai.InternalServerError, 2),
    ],
)
def test_openai(problem: Problem, error: type[openai.APIStatusError], asked: int) -> None:
    gateway = Gateway(problem)
    client = openai.OpenAI(api_key="ov_k", http_client=gateway.client, max_retries=1)
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert gateway.asked == asked
    assert caught.value.status_code == problem.status
    assert caught.value.code == problem.code
    assert problem.message in str(caught.value)
    assert caught.value.response.headers["outlay-problem"] == problem.code


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (UNKNOWN_KEY, anthropic.AuthenticationError),
        (Problem(403, "no_tenant", "No tenant."), anthropic.PermissionDeniedError),
        (Problem(404, "unknown_upstream", "None."), anthropic.NotFoundError),
        (Problem(413, "body_too_large", "Too large."), anthropic.APIStatusError),
        (FULL, anthropic.RateLimitError),
        (OPEN, anthropic.InternalServerError),
    ],
)
def test_anthropic(problem: Problem, error: type[anthropic.APIStatusError]) -> None:
    gateway = Gateway(problem)
    client = anthropic.Anthropic(api_key="ov_k", http_client=gateway.client, max_retries=0)
    with pytest.raises(error) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[])
    assert caught.value.status_code == problem.status
    assert problem.message in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "error", "status"),
    [
        (UNKNOWN_KEY, errors.ClientError, "UNAUTHENTICATED"),
        (FULL, errors.ClientError, "RESOURCE_EXHAUSTED"),
        (OPEN, errors.ServerError, "UNAVAILABLE"),
    ],
)
def test_google(problem: Problem, error: type[errors.APIError], status: str) -> None:
    gateway = Gateway(problem)
    client = genai.Client(
        api_key="ov_k", http_options=types.HttpOptions(httpx_client=gateway.client)
    )
    with pytest.raises(error) as caught:
        client.models.generate_content(model="g", contents="hi")
    assert (caught.value.code, caught.value.status) == (problem.status, status)
    assert problem.message in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (UNKNOWN_KEY, "AccessDeniedException"),
        (FULL, "ThrottlingException"),
        (OPEN, "ServiceUnavailableException"),
    ],
)
def test_boto3(problem: Problem, code: str) -> None:
    session = botocore.session.get_session()
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    client = session.create_client(
        "bedrock-runtime", "eu-west-1", aws_access_key_id="ov_k", aws_secret_access_key="x",
        config=config,
    )  # fmt: skip

    class Raw:
        def __init__(self, body: bytes) -> None:
            self._body = body

        def stream(self, *_: object, **__: object) -> Any:
            yield self._body

    def respond(request: Any, **_: object) -> Any:
        status, headers, body = answer(problem, find_endpoint(Request("POST", request.url)))
        return AWSResponse(request.url, status, headers, Raw(body))

    client.meta.events.register("before-send.bedrock-runtime.*", respond)
    with pytest.raises(ClientError) as caught:
        client.converse(modelId="amazon.nova-lite-v1:0", messages=[])
    assert caught.value.response["Error"]["Code"] == code
    assert type(caught.value).__name__ == code
    assert problem.message in str(caught.value)


def test_a_problem_is_one_of_our_errors_and_tells_itself() -> None:
    assert isinstance(UNKNOWN_KEY, OutlayError)
    assert UNKNOWN_KEY.as_dict() == {
        "error": {"code": "unknown_key", "message": "No such key.", "hint": "Make one."}
    }
    assert Problem(404, "x", "y").hint == "", "nothing is said where nothing helps"


@pytest.mark.parametrize(
    ("problem", "passes"),
    [
        (UNKNOWN_KEY, False), (MISSING, False), (FULL, True), (OPEN, True),
        (Problem(500, "defect", "x"), False), (Problem(502, "unreachable", "x"), True),
        (Problem(413, "body_too_large", "x"), False), (Problem(408, "body_too_slow", "x"), True),
    ],
)  # fmt: skip
def test_sdks_are_told_where_trying_again_is_of_no_use(problem: Problem, passes: bool) -> None:
    assert problem.passes is passes
    assert ("x-should-retry" in answer(problem)[1]) is not passes


def test_where_nothing_is_known_of_the_upstream_it_is_openais_shape() -> None:
    status, headers, body = answer(Problem(404, "unknown_upstream", "None.", hint="There is x."))
    assert (status, headers["outlay-problem"]) == (404, "unknown_upstream")
    assert json.loads(body)["error"]["message"] == "None. There is x."
