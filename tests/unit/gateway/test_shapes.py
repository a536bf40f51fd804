"""Where a request goes at another upstream: the same API at that vendor's own path, or nowhere."""

from __future__ import annotations

import pytest

from outlay.gateway.config import Upstream
from outlay.gateway.shapes import MAX_KEPT_WAYS, shapes_of, way

OPENAI = "https://api.openai.com"
GROQ = "https://api.groq.com"
AZURE = "https://x.openai.azure.com"
STUDIO = "https://generativelanguage.googleapis.com"
VERTEX = "https://aiplatform.googleapis.com"
PROJECT = "/v1/projects/p/locations/global/endpoints/openapi"


def at(vendor: str, url: str) -> Upstream:
    return Upstream(f"{vendor}-{url}", vendor, url)


def goes(path: str, here: tuple[str, str], there: tuple[str, str]) -> str | None:
    return way("POST", path, at(*here), at(*there)).path


def refused(path: str, here: tuple[str, str], there: tuple[str, str]) -> str:
    found = way("POST", path, at(*here), at(*there))
    assert found.path is None
    return found.reason


@pytest.mark.parametrize(
    ("path", "here", "there", "expected"),
    [
        # Each vendor's own base.
        ("/v1/chat/completions", ("openai", OPENAI), ("groq", GROQ), "/openai/v1/chat/completions"),
        ("/openai/v1/chat/completions", ("groq", GROQ), ("openai", OPENAI), "/v1/chat/completions"),
        ("/v1/embeddings", ("openai", OPENAI), ("azure", AZURE), "/openai/v1/embeddings"),
        (
            "/v1/responses",
            ("openai", OPENAI),
            ("openrouter", "https://openrouter.ai"),
            "/api/v1/responses",
        ),
        (
            "/v1/messages",
            ("anthropic", "https://api.anthropic.com"),
            ("openrouter", "https://openrouter.ai"),
            "/api/v1/messages",
        ),
        (
            "/v1/messages",
            ("anthropic", "https://api.anthropic.com"),
            ("deepseek", "https://api.deepseek.com"),
            "/anthropic/v1/messages",
        ),
        (
            "/chat/completions",
            ("deepseek", "https://api.deepseek.com"),
            ("openai", OPENAI),
            "/v1/chat/completions",
        ),
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("cohere", "https://api.cohere.com"),
            "/compatibility/v1/chat/completions",
        ),
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("my-own", "http://x"),
            "/v1/chat/completions",
        ),
        # A part of the base, or all of it, in the URL.
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("groq", GROQ + "/openai"),
            "/v1/chat/completions",
        ),
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("groq", GROQ + "/openai/v1"),
            "/chat/completions",
        ),
        (
            "/chat/completions",
            ("openai", OPENAI + "/v1"),
            ("groq", GROQ),
            "/openai/v1/chat/completions",
        ),
        (
            "/v1/chat/completions",
            ("openai", "http://proxy/x"),
            ("groq", "http://proxy/groq"),
            "/openai/v1/chat/completions",
        ),
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("deepseek", "https://api.deepseek.com/beta"),
            "/chat/completions",
        ),
        # The same vendor elsewhere.
        (
            "/v1/chat/completions",
            ("groq", GROQ + "/openai"),
            ("groq", GROQ),
            "/openai/v1/chat/completions",
        ),
        ("/v2/chat", ("cohere", "https://a"), ("cohere", "https://b"), "/v2/chat"),
        ("/v1/anything/new", ("openai", "https://a"), ("openai", "https://b"), "/v1/anything/new"),
        (
            "/openai/deployments/d/chat/completions",
            ("azure", "https://a"),
            ("azure", "https://b"),
            "/openai/deployments/d/chat/completions",
        ),
        (
            "/model/a%3Ab/converse",
            ("aws", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
            ("aws", "https://bedrock-runtime.us-east-1.amazonaws.com"),
            "/model/a%3Ab/converse",
        ),
        # A deployment in the path becomes a model in the body.
        (
            "/openai/deployments/d/chat/completions",
            ("azure", AZURE),
            ("openai", OPENAI),
            "/v1/chat/completions",
        ),
        # Free, with a model all the same.
        (
            "/v1/messages/count_tokens",
            ("anthropic", "https://api.anthropic.com"),
            ("vllm", "http://x"),
            "/v1/messages/count_tokens",
        ),
        # Google's.
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("google", STUDIO),
            "/v1beta/openai/chat/completions",
        ),
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("google", VERTEX + PROJECT),
            "/chat/completions",
        ),
        (
            PROJECT + "/chat/completions",
            ("google", VERTEX),
            ("openai", OPENAI),
            "/v1/chat/completions",
        ),
        (
            "/v1/projects/p/locations/us-central1/publishers/google/models/m:generateContent",
            ("google", "https://us-central1-aiplatform.googleapis.com"),
            ("google", "https://aiplatform.eu.rep.googleapis.com"),
            "/v1/projects/p/locations/eu/publishers/google/models/m:generateContent",
        ),
        (
            "/v1/projects/p/locations/us-central1/publishers/google/models/m:generateContent",
            ("google", "https://us-central1-aiplatform.googleapis.com"),
            ("google", VERTEX),
            "/v1/projects/p/locations/global/publishers/google/models/m:generateContent",
        ),
        (
            "/v1beta/models/m:generateContent",
            ("google", STUDIO),
            ("google", "http://proxy"),
            "/v1beta/models/m:generateContent",
        ),
    ],
)
def test_a_path_is_said_in_the_other_vendors_words(
    path: str, here: tuple[str, str], there: tuple[str, str], expected: str
) -> None:
    assert goes(path, here, there) == expected


@pytest.mark.parametrize(
    ("path", "here", "there", "reason"),
    [
        ("/v1/messages", ("anthropic", "https://a"), ("openai", OPENAI), "openai does not speak"),
        ("/v1/chat/completions", ("openai", OPENAI), ("anthropic", "https://a"), "does not speak"),
        ("/v1beta/models/m:generateContent", ("google", STUDIO), ("openai", OPENAI), "only google"),
        ("/v2/chat", ("cohere", "https://a"), ("openai", OPENAI), "only cohere"),
        ("/model/m/converse", ("aws", "https://a"), ("anthropic", "https://b"), "AWS"),
        ("/v1/chat/completions", ("openai", OPENAI), ("aws", "https://b"), "AWS"),
        ("/v1/something/new", ("openai", OPENAI), ("groq", GROQ), "only openai"),
        ("/v1/moderations", ("openai", OPENAI), ("groq", GROQ), "not known to serve"),
        ("/v1/chat/completions", ("openai", OPENAI), ("google", VERTEX), "name a project"),
        (
            "/v1beta/models/m:generateContent",
            ("google", STUDIO),
            ("google", VERTEX),
            "different paths",
        ),
        (
            "/v1/chat/completions",
            ("openai", OPENAI),
            ("zai", "https://api.z.ai/api/paas"),
            "not known to serve",
        ),
    ],
)
def test_what_a_vendor_does_not_serve_is_refused_with_a_reason(
    path: str, here: tuple[str, str], there: tuple[str, str], reason: str
) -> None:
    assert reason in refused(path, here, there)


def test_more_paths_than_are_remembered_are_translated_the_same() -> None:
    for number in range(MAX_KEPT_WAYS + 10):
        path = f"/openai/deployments/d{number}/chat/completions"
        assert goes(path, ("azure", AZURE), ("openai", OPENAI)) == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("vendor", "url", "shapes"),
    [
        ("openai", OPENAI, {"openai"}),
        ("anthropic", "https://api.anthropic.com", {"anthropic"}),
        ("openrouter", "https://openrouter.ai", {"openai", "anthropic"}),
        ("cohere", "https://api.cohere.com", {"openai", "cohere"}),
        ("mistral", "https://api.mistral.ai", {"openai", "mistral"}),
        ("aws", "https://bedrock-runtime.eu-west-1.amazonaws.com", {"aws"}),
        ("google", STUDIO, {"openai", "google"}),
        ("google", VERTEX, {"vertex"}),
        ("google", VERTEX + PROJECT, {"vertex", "openai"}),
        ("my-own", "http://x", {"openai", "anthropic"}),
    ],
)
def test_an_upstream_speaks_its_vendors_shapes(vendor: str, url: str, shapes: set[str]) -> None:
    found = shapes_of(at(vendor, url))
    assert shapes <= found
    assert found - shapes <= {vendor}
