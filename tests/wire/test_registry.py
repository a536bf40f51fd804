"""Who is behind a request: by host and path, never by SDK."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire import registry
from outlay.wire.base import Endpoint, Request
from outlay.wire.registry import find_endpoint, find_route, open_reader
from outlay.wire.vendors import BY_NAME, VENDORS
from tests.wire.harness import exchange, read, sse

PUBLIC = [
    # url, provider, vendor, surface, operation
    ("https://api.openai.com/v1/chat/completions", "openai openai openai.chat chat"),
    (
        "https://api.openai.com/v1/completions",
        "openai openai openai.completions text_completion",
    ),
    ("https://api.openai.com/v1/responses", "openai openai openai.responses chat"),
    ("https://api.openai.com/v1/responses/compact", "openai openai openai.responses chat"),
    ("https://api.openai.com/v1/embeddings", "openai openai openai.embeddings embeddings"),
    ("https://API.OpenAI.com:443/v1/embeddings/", "openai openai openai.embeddings embeddings"),
    ("https://mtls.api.openai.com/v1/responses", "openai openai openai.responses chat"),
    (
        "https://r.openai.azure.com/openai/deployments/d%20x/chat/completions?api-version=1",
        "azure openai openai.chat chat",
    ),
    ("https://r.openai.azure.com/openai/v1/responses", "azure openai openai.responses chat"),
    (
        "https://r.services.ai.azure.com/models/chat/completions",
        "azure openai openai.chat chat",
    ),
    (
        "https://r.services.ai.azure.com/anthropic/v1/messages",
        "azure anthropic anthropic.messages chat",
    ),
    (
        "https://api.anthropic.com/v1/messages?beta=true",
        "anthropic anthropic anthropic.messages chat",
    ),
    (
        "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages",
        "aws anthropic anthropic.messages chat",
    ),
    ("https://bedrock-mantle.us-east-1.api.aws/v1/responses", "aws openai openai.responses chat"),
    (
        "https://bedrock-mantle.us-east-1.api.aws/openai/v1/chat/completions",
        "aws openai openai.chat chat",
    ),
    (
        "https://bedrock-runtime.eu-central-1.amazonaws.com/model/eu.anthropic.claude-x-v1%3A0/invoke",
        "aws anthropic anthropic.messages chat",
    ),
    (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.x.y-v1%3A0/converse-stream",
        "aws aws bedrock.converse chat",
    ),
    (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/cohere.embed-v4%3A0/invoke",
        "aws aws bedrock.invoke embeddings",
    ),
    (
        "https://bedrock-runtime.us-east-1.amazonaws.com/guardrail/g/version/1/apply",
        "aws aws bedrock.guardrail other",
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-flash:generateContent",
        "google google google.generate chat",
    ),
    (
        "https://generativelanguage.googleapis.com/v1/models/e-1:batchEmbedContents",
        "google google google.embed embeddings",
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        "google google openai.chat chat",
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/interactions",
        "google google google.interactions chat",
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/models/imagen-4:predict",
        "google google google.predict image",
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/models/veo-3:predictLongRunning",
        "google google google.predict other",
    ),
    ("https://api.openai.com/v1/images/generations", "openai openai openai.images image"),
    ("https://api.openai.com/v1/images/edits", "openai openai openai.images image"),
    ("https://openrouter.ai/api/v1/images", "openrouter openrouter openai.images image"),
    ("https://api.openai.com/v1/audio/speech", "openai openai openai.speech speech"),
    (
        "https://r.openai.azure.com/openai/deployments/d/audio/translations?api-version=1",
        "azure openai openai.transcription transcription",
    ),
    (
        "https://api.groq.com/openai/v1/audio/transcriptions",
        "groq groq openai.transcription transcription",
    ),
    ("https://api.openai.com/v1/videos", "openai openai openai.video other"),
    ("https://api.openai.com/v1/videos/video_1/remix", "openai openai openai.video other"),
    ("https://api.x.ai/v1/videos/generations", "x-ai xai openai.video other"),
    ("https://api.together.xyz/v2/videos", "together together openai.video other"),
    ("https://api.mistral.ai/v1/ocr", "mistral mistral mistral.ocr other"),
    ("https://api.mistral.ai/v1/conversations", "mistral mistral mistral.chat chat"),
    ("https://api.mistral.ai/v1/conversations/c_1/restart", "mistral mistral mistral.chat chat"),
    ("https://api.groq.com/openai/v1/chat/completions", "groq groq openai.chat chat"),
    ("https://api.x.ai/v1/chat/completions", "x-ai xai openai.chat chat"),
    ("https://api.x.ai/v1/messages", "x-ai xai anthropic.messages chat"),
    ("https://api.deepseek.com/chat/completions", "deepseek deepseek openai.chat chat"),
    (
        "https://api.deepseek.com/beta/completions",
        "deepseek deepseek openai.completions text_completion",
    ),
    ("https://api.deepseek.com/anthropic/v1/messages", "deepseek deepseek anthropic.messages chat"),
    ("https://api.mistral.ai/v1/fim/completions", "mistral mistral openai.chat text_completion"),
    ("https://api.together.xyz/v1/chat/completions", "together together openai.chat chat"),
    ("https://openrouter.ai/api/v1/messages", "openrouter openrouter anthropic.messages chat"),
    (
        "https://openrouter.ai/api/v1/embeddings",
        "openrouter openrouter openai.embeddings embeddings",
    ),
    ("https://api.perplexity.ai/chat/completions", "perplexity perplexity openai.chat chat"),
    (
        "https://api.fireworks.ai/inference/v1/completions",
        "fireworks fireworks openai.completions text_completion",
    ),
    ("https://api.cerebras.ai/v1/chat/completions", "cerebras cerebras openai.chat chat"),
    ("https://api.moonshot.cn/v1/chat/completions", "moonshotai moonshot openai.chat chat"),
    (
        "https://router.huggingface.co/together/v1/chat/completions",
        "huggingface_together huggingface openai.chat chat",
    ),
    (
        "https://router.huggingface.co/v1/chat/completions",
        "huggingface huggingface openai.chat chat",
    ),
    ("https://api.voyageai.com/v1/embeddings", "voyageai voyage openai.embeddings embeddings"),
]


def find(url: str, method: str = "POST", **hosts: str) -> Endpoint | None:
    return find_endpoint(Request(method, url), hosts=hosts or None)


def summary(endpoint: Endpoint | None) -> str:
    assert endpoint is not None
    return f"{endpoint.provider} {endpoint.vendor} {endpoint.surface} {endpoint.operation}"


@pytest.mark.parametrize(("url", "expected"), PUBLIC)
def test_a_public_host_and_path_name_provider_dialect_and_surface(url: str, expected: str) -> None:
    assert summary(find(url)) == expected


@pytest.mark.parametrize(("url", "expected"), PUBLIC)
def test_every_endpoint_found_has_a_reader(url: str, expected: str) -> None:
    reader = open_reader(Request("POST", url))
    assert reader is not None
    assert reader.finish().surface == expected.split()[2]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/v1/chat/completions",
        "https://api.openai.com.evil.example/v1/chat/completions",
        "https://notapi.openai.com/v1/chat/completions",
        "https://.openai.azure.com/openai/v1/responses",
        "http://localhost:8000/v1/chat/completions",
        "https://[broken/v1/chat/completions",
        "https://host:port/v1",
        "",
    ],
)
def test_an_unlisted_host_is_none_of_ours_however_familiar_its_path(url: str) -> None:
    assert find(url) is None
    assert open_reader(Request("POST", url)) is None


VERTEX = "aiplatform.googleapis.com/v1beta1/projects/p/locations"


@pytest.mark.parametrize(
    ("url", "vendor", "surface", "region", "model"),
    [
        (
            f"https://{VERTEX}/global/publishers/google/models/gemini-3-flash:streamGenerateContent",
            "google", "google.generate", "global", "gemini-3-flash",
        ),
        (
            f"https://us-central1-{VERTEX}/us-central1/publishers/google/models/gemini-3:generateContent",
            "google", "google.generate", "regional", "gemini-3",
        ),
        (
            f"https://europe-west1-{VERTEX}/europe-west1/publishers/anthropic/models/claude-x@1:rawPredict",
            "anthropic", "anthropic.messages", "regional", "claude-x@1",
        ),
        (
            f"https://{VERTEX}/global/publishers/mistralai/models/mistral-large:streamRawPredict",
            "mistral", "openai.chat", "global", "mistral-large",
        ),
        (
            f"https://{VERTEX}/global/publishers/google/models/gemini-embedding-001:predict",
            "google", "google.embed", "global", "gemini-embedding-001",
        ),
        (
            f"https://us-east5-{VERTEX}/us-east5/publishers/google/models/imagen-4:predict",
            "google", "google.predict", "regional", "imagen-4",
        ),
        (
            f"https://{VERTEX}/global/publishers/google/models/veo-3:predictLongRunning",
            "google", "google.predict", "global", "veo-3",
        ),
        (f"https://{VERTEX}/global/interactions", "google", "google.interactions", "global", None),
        (
            f"https://{VERTEX}/us-east5/endpoints/openapi/chat/completions",
            "google", "openai.chat", "regional", None,
        ),
        (
            "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-3:generateContent",
            "google", "google.generate", "global", "gemini-3",
        ),
    ],
)  # fmt: skip
def test_vertex_tells_publisher_model_and_region_in_the_path(
    url: str, vendor: str, surface: str, region: str, model: str | None
) -> None:
    endpoint = find(url)
    assert endpoint is not None
    assert (endpoint.provider, endpoint.host_class) == ("google", "vertex")
    assert (endpoint.vendor, endpoint.surface) == (vendor, surface)
    assert (endpoint.region_class, endpoint.model) == (region, model)


def test_a_residency_host_is_a_region() -> None:
    for host, region in (("api", ""), ("mtls.api", ""), ("eu.api", "eu"), ("us.api", "us")):
        endpoint = find(f"https://{host}.openai.com/v1/responses")
        assert endpoint is not None
        assert endpoint.region_class == region


def test_the_deployment_is_kept() -> None:
    endpoint = find("https://r.openai.azure.com/openai/deployments/our%2Dgpt/embeddings")
    assert endpoint is not None
    assert (endpoint.deployment, endpoint.model) == ("our-gpt", None)


# -- private hosts -----------------------------------------------------------------------------

HOSTS = {
    "127.0.0.1:9000/openai": "openai",
    "127.0.0.1:9000/anthropic": "anthropic",
    "127.0.0.1:9000/google": "google",
    "127.0.0.1:9000": "openrouter",
    "gpu.internal": "vllm",
    "GPU.internal:8001/": "sglang",
    "https://gate.example/llm/groq": "groq",
    "gate.example/llm": "acme-gateway",
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9000/openai/v1/chat/completions", "openai openai openai.chat chat"),
        ("http://127.0.0.1:9000/openai/v1/responses", "openai openai openai.responses chat"),
        (
            "http://127.0.0.1:9000/anthropic/v1/messages",
            "anthropic anthropic anthropic.messages chat",
        ),
        (
            "http://127.0.0.1:9000/google/v1beta/models/m:generateContent",
            "google google google.generate chat",
        ),
        ("http://127.0.0.1:9000/api/v1/responses", "openrouter openrouter openai.responses chat"),
        # `/openaix` is not below `/openai`
        ("http://127.0.0.1:9000/openaix", "openrouter openrouter openrouter.unknown other"),
        ("http://gpu.internal/v1/chat/completions", "vllm vllm openai.chat chat"),
        ("http://gpu.internal:8000/v1/messages", "vllm vllm anthropic.messages chat"),
        ("http://gpu.internal:8001/v1/embeddings", "sglang sglang openai.embeddings embeddings"),
        ("https://gate.example/llm/groq/openai/v1/chat/completions", "groq groq openai.chat chat"),
        ("https://gate.example/llm/groq/chat/completions", "groq groq openai.chat chat"),
        (
            "https://gate.example/llm/v1/chat/completions",
            "acme-gateway acme-gateway openai.chat chat",
        ),
    ],
)
def test_a_private_host_is_found_by_its_longest_prefix(url: str, expected: str) -> None:
    assert summary(find_endpoint(Request("POST", url), hosts=HOSTS)) == expected


def test_a_private_host_with_another_port_or_prefix_is_not_found() -> None:
    for url in ("http://127.0.0.1:9001/v1/responses", "https://gate.example/v1/responses"):
        assert find_endpoint(Request("POST", url), hosts=HOSTS) is None


def test_a_vendor_name_that_is_not_known_is_found_in_the_reading() -> None:
    ask = {"model": "m", "messages": []}
    body = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    reading = read(exchange("https://gate.example/llm/chat/completions", ask, body, hosts=HOSTS))
    assert reading.findings == ["unknown_vendor"]
    assert (reading.provider, reading.usage) == ("acme-gateway", {"input": 3, "output": 1})


def test_a_setting_decides_over_the_table() -> None:
    hosts = {"api.openai.com": "openrouter"}
    endpoint = find_endpoint(
        Request("POST", "https://api.openai.com/v1/chat/completions"), hosts=hosts
    )
    assert endpoint is not None
    assert endpoint.provider == "openrouter"


# -- free and unknown --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "url", "vendor"),
    [
        ("GET", "https://api.openai.com/v1/models", "openai"),
        ("GET", "https://api.openai.com/v1/responses/resp_1/input_items", "openai"),
        ("DELETE", "https://api.openai.com/v1/responses/resp_1", "openai"),
        ("POST", "https://api.openai.com/v1/moderations", "openai"),
        ("POST", "https://api.openai.com/v1/files", "openai"),
        ("POST", "https://api.openai.com/v1/uploads/u/parts", "openai"),
        ("POST", "https://api.openai.com/v1/responses/input_tokens", "openai"),
        ("POST", "https://api.openai.com/v1/chat/completions/chatcmpl-1", "openai"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens?beta=true", "anthropic"),
        ("GET", "https://api.anthropic.com/v1/models", "anthropic"),
        # A batch is billed by its results, not when it is asked for or looked at.
        ("POST", "https://api.openai.com/v1/batches", "openai"),
        ("POST", "https://api.openai.com/v1/batches/b_1/cancel", "openai"),
        ("GET", "https://api.openai.com/v1/batches", "openai"),
        ("GET", "https://api.openai.com/v1/batches/b_1", "openai"),
        ("GET", "https://api.openai.com/v1/files/f_1", "openai"),
        ("GET", "https://api.mistral.ai/v1/batch/jobs/b_1", "mistral"),
        ("POST", "https://api.anthropic.com/v1/messages/batches", "anthropic"),
        ("POST", "https://api.anthropic.com/v1/messages/batches/b_1/cancel", "anthropic"),
        ("GET", "https://api.anthropic.com/v1/messages/batches?limit=5", "anthropic"),
        ("GET", "https://api.anthropic.com/v1/messages/batches/b_1", "anthropic"),
        (
            "POST",
            "https://generativelanguage.googleapis.com/v1beta/models/g:batchGenerateContent",
            "google",
        ),
        ("GET", "https://generativelanguage.googleapis.com/v1beta/batches", "google"),
        ("GET", "https://generativelanguage.googleapis.com/v1beta/batches/b_1", "google"),
        (
            "POST",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3:countTokens",
            "google",
        ),
        ("POST", f"https://{VERTEX}/global/publishers/google/models/g:countTokens", "google"),
        ("POST", f"https://{VERTEX}/global/publishers/google/models/g:computeTokens", "google"),
        (
            "POST",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.x/count-tokens",
            "aws",
        ),
        (
            "POST",
            "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages/count_tokens",
            "aws",
        ),
    ],
)
def test_a_free_endpoint_is_free_and_says_nothing(method: str, url: str, vendor: str) -> None:
    reading = read(exchange(url, {}, {"input_tokens": 5}, method=method))
    assert reading.surface == f"{vendor}.free"
    assert (reading.billed, reading.usage, reading.findings) == ("no", {}, [])


@pytest.mark.parametrize(
    ("status", "complete", "error", "expected"),
    [
        (200, True, None, "ok"),
        (404, True, None, "error"),
        (200, False, None, "aborted"),
        (200, False, "timeout", "timeout"),
        (200, False, "read", "error"),
    ],
)
def test_a_free_call_ends_as_it_ends_and_stays_free(
    status: int, complete: bool, error: str | None, expected: str
) -> None:
    call = exchange("https://api.openai.com/v1/models", None, {}, method="GET", status=status)
    reading = read(call, complete=complete, error=error)
    assert (reading.status, reading.billed, reading.http_status) == (expected, "no", status)


@pytest.mark.parametrize(
    ("url", "surface", "operation"),
    [
        ("https://api.openai.com/v1/new_thing", "openai.unknown", "other"),
        ("https://api.openai.com/v1/images/upscales", "openai.unknown", "image"),
        ("https://api.openai.com/v1/audio/voices", "openai.unknown", "transcription"),
        (f"https://{VERTEX}/us-east5/endpoints/123:predict", "google.unknown", "image"),
        ("https://api.mistral.ai/v1/moderations", "mistral.unknown", "other"),
        ("https://api.cohere.com/v1/finetuning", "cohere.unknown", "other"),
        (
            "https://bedrock-runtime.us-east-1.amazonaws.com/async-invoke",
            "aws.unknown",
            "other",
        ),
    ],
)
def test_an_unknown_call_to_a_known_host_is_said_to_be_unknown(
    url: str, surface: str, operation: str
) -> None:
    reading = read(exchange(url, {"model": "m-1"}, {"ok": True}))
    assert (reading.surface, reading.operation) == (surface, operation)
    assert (reading.billed, reading.usage, reading.usage_source) == ("possible", {}, "none")
    assert reading.findings == ["unknown_endpoint"]
    assert (reading.status, reading.model_requested) == ("ok", "m-1")


def unknown(url: str, reply: Any, **more: Any) -> Any:
    return read(exchange(url, {"model": "m-1"}, reply, **more))


def test_an_unknown_call_still_gives_the_counts_it_states() -> None:
    url = "https://api.openai.com/v1/new_thing"
    usage = {"input_tokens": 10, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 6}}
    reading = unknown(url, {"model": "m-2", "usage": usage})
    assert reading.usage == {"input": 4, "input_cache_read": 6, "output": 4}
    assert (reading.billed, reading.model_served) == ("possible", "m-2")
    assert reading.usage_raw["input_tokens"] == 10
    streamed = unknown(url, sse({"type": "x"}, {"type": "done", "usage": usage}))
    assert streamed.usage == reading.usage


def test_an_unknown_call_to_anthropic_counts_as_anthropic_counts() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 6, "output_tokens": 4}
    reading = unknown("https://api.anthropic.com/v1/complete", {"usage": usage})
    assert reading.usage == {"input": 10, "input_cache_read": 6, "output": 4}


def test_counts_of_another_shape_are_kept_raw() -> None:
    usage = {"billed_units": {"input_tokens": 7}}
    reading = unknown("https://api.cohere.com/v1/embed-jobs", {"usage": usage})
    assert (reading.usage, reading.usage_raw) == ({}, usage)
    metadata = {"promptTokenCount": 7}
    url = "https://generativelanguage.googleapis.com/v1beta/decisions"
    assert unknown(url, {"usageMetadata": metadata}).usage_raw == metadata


def test_an_unknown_call_that_is_cut_is_not_estimated() -> None:
    whole = exchange("https://api.openai.com/v1/new_thing", {"model": "m"}, {"ok": True})
    reading = read(whole, [whole.body[:4]], complete=False)
    assert (reading.status, reading.billed, reading.usage) == ("aborted", "possible", {})


GEMINI = "https://generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://api.anthropic.com/v1/messages/batches/b_1/results",
            "anthropic anthropic anthropic.batch_results chat",
        ),
        ("https://api.openai.com/v1/files/f_1/content", "openai openai openai.batch_results chat"),
        (
            "https://r.openai.azure.com/openai/files/f_1/content?api-version=1",
            "azure openai openai.batch_results chat",
        ),
        (
            "https://r.openai.azure.com/openai/v1/files/f_1/content",
            "azure openai openai.batch_results chat",
        ),
        ("https://api.groq.com/openai/v1/files/f_1/content", "groq groq openai.batch_results chat"),
        (
            "https://api.mistral.ai/v1/files/f_1/content",
            "mistral mistral openai.batch_results chat",
        ),
        (
            "https://api.together.xyz/v1/files/f_1/content",
            "together together openai.batch_results chat",
        ),
        (f"{GEMINI}/v1beta/batches/b_1", "google google google.batch_results chat"),
        (
            f"{GEMINI}/v1beta/files/f_1:download?alt=media",
            "google google google.batch_results chat",
        ),
        (
            f"{GEMINI}/download/v1beta/files/f_1:download?alt=media",
            "google google google.batch_results chat",
        ),
        # Results of a shape that is not known are not free.
        ("https://api.x.ai/v1/batches/b_1/results", "x-ai xai xai.unknown other"),
    ],
)
def test_the_results_of_a_batch_are_read(url: str, expected: str) -> None:
    assert summary(find(url, "GET")) == expected


def test_a_route_says_whether_it_was_found_through_the_setting() -> None:
    url = "https://api.openai.com/v1/responses"
    public, private = find_route("POST", url), find_route("POST", url, hosts=HOSTS)
    assert public is not None
    assert private is not None
    assert (public.private, private.private) == (False, False)
    mine = find_route("POST", "http://gpu.internal/v1/responses", hosts=HOSTS)
    assert mine is not None
    assert mine.private


# -- the table and its cache -------------------------------------------------------------------


def test_names_and_hosts_are_unique() -> None:
    names = [name for vendor in VENDORS for name in (vendor.name, *vendor.aliases)]
    hosts = [host for vendor in VENDORS for host in vendor.hosts]
    assert len(set(names)) == len(names) == len(BY_NAME)
    assert len(set(hosts)) == len(hosts)
    assert all(host == host.lower() and host.count("*") <= 1 for host in hosts)


def test_kept_decisions_are_bounded_and_depend_on_hosts_and_method() -> None:
    url = "http://127.0.0.1:9000/v1/chat/completions"
    for number in range(registry.MAX_KEPT_DECISIONS + 10):
        find(f"https://api.openai.com/v1/responses/resp_{number}", "GET")
    assert len(registry._kept) <= registry.MAX_KEPT_DECISIONS
    assert find(url) is None
    assert summary(find(url, **{"127.0.0.1:9000": "vllm"})).startswith("vllm")
    assert find(url) is None
    models = "https://api.openai.com/v1/responses"
    assert summary(find(models)) != summary(find(models, "GET"))
