"""A usage object of each vendor of the OpenAI shape, and the buckets it comes to.

Written in the shape that the row's source documents; the buckets are worked out by hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

CHAT = "/chat/completions"


class Case(NamedTuple):
    """One usage object of a vendor, and what it must come to."""

    url: str
    usage: dict[str, Any]
    buckets: dict[str, int]
    provider: str
    cost: int | None = None
    findings: tuple[str, ...] = ()
    tier: str | None = None


def counts(prompt: int, completion: int, beside: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion + beside, **more,
    }  # fmt: skip


def inputs(**details: Any) -> dict[str, Any]:
    return {"prompt_tokens_details": details}


def outputs(**details: Any) -> dict[str, Any]:
    return {"completion_tokens_details": details}


XAI_TOOLS = {
    "web_search_calls": 0, "x_search_calls": 3, "code_interpreter_calls": 1, "mcp_calls": 2,
    "file_search_calls": 0, "document_search_calls": 0, "image_generation_calls": 0,
}  # fmt: skip
PPLX_COST = {
    "input_tokens_cost": 0.0001, "output_tokens_cost": 0.0004, "request_cost": 0.005,
    "total_cost": 0.0055,
}  # fmt: skip
BYOK: dict[str, Any] = {
    "cost": 0.0001, "is_byok": True,
    "cost_details": {
        "upstream_inference_cost": 0.02, "upstream_inference_prompt_cost": 0.01,
        "upstream_inference_completions_cost": 0.01, "server_tool_cost": None,
    },
}  # fmt: skip
TIMES: dict[str, Any] = {
    "queue_time": 0.1,
    "prompt_time": 0.2,
    "completion_time": 0.3,
    "total_time": 0.5,
}
CACHED = {"input": 20, "input_cache_read": 80, "output": 10}

CASES = {
    "openai": Case(
        "https://api.openai.com/v1" + CHAT,
        counts(100, 10, **inputs(cached_tokens=80), **outputs(reasoning_tokens=6)),
        {"input": 20, "input_cache_read": 80, "output": 4, "output_reasoning": 6},
        "openai",
    ),
    "azure": Case(
        "https://r.openai.azure.com/openai/deployments/d" + CHAT,
        counts(100, 10, **inputs(cached_tokens=80)),
        CACHED,
        "azure",
    ),
    "google, compatible": Case(
        "https://generativelanguage.googleapis.com/v1beta/openai" + CHAT,
        counts(100, 10),
        {"input": 100, "output": 10},
        "google",
    ),
    "aws, mantle": Case(
        "https://bedrock-mantle.us-east-1.api.aws/v1" + CHAT,
        counts(100, 10, **inputs(cached_tokens=80)),
        CACHED,
        "aws",
    ),
    "mistral": Case(
        "https://api.mistral.ai/v1" + CHAT,
        counts(100, 10, service_tier="priority", num_nothing=0, **inputs(cached_tokens=80)),
        CACHED,
        "mistral",
        tier="priority",
    ),
    "cohere, compatible": Case(
        "https://api.cohere.ai/compatibility/v1" + CHAT,
        counts(100, 10),
        {"input": 100, "output": 10},
        "cohere",
    ),
    "groq": Case(
        "https://api.groq.com/openai/v1" + CHAT,
        counts(100, 10, **TIMES, **inputs(cached_tokens=80)),
        CACHED,
        "groq",
    ),
    # reasoning is beside the completion on chat, and the ticks are dollars by 1e10
    "xai": Case(
        "https://api.x.ai/v1" + CHAT,
        counts(
            61, 1, 5, num_sources_used=0, cost_in_usd_ticks=1_043_500,
            server_side_tool_usage_details={**XAI_TOOLS, "web_search_calls": 2},
            **inputs(cached_tokens=41, text_tokens=61), **outputs(reasoning_tokens=5),
        ),
        {
            "input": 20, "input_cache_read": 41, "output": 1, "output_reasoning": 5,
            "web_search": 2, "social_search": 3, "code_execution": 1,
        },
        "x-ai",
        cost=104_350,
    ),
    "xai, tools without a stated cost": Case(
        "https://api.x.ai/v1" + CHAT,
        counts(9, 1, num_sources_used=4, server_side_tool_usage_details={"mcp_calls": 2}),
        {"input": 9, "output": 1, "search_sources": 4},
        "x-ai",
        findings=("unpriced_tool:mcp_calls",),
    ),
    "xai, searches of collections and of attachments": Case(
        "https://api.x.ai/v1" + CHAT,
        counts(
            9, 1, cost_in_usd_ticks=10,
            server_side_tool_usage_details={"file_search_calls": 1, "document_search_calls": 2},
        ),
        {"input": 9, "output": 1, "file_search": 1, "attachment_search": 2},
        "x-ai",
        cost=1,
    ),
    "xai, responses": Case(
        "https://api.x.ai/v1/responses",
        {
            "input_tokens": 7583, "input_tokens_details": {"cached_tokens": 3072},
            "output_tokens": 3192, "output_tokens_details": {"reasoning_tokens": 192},
            "total_tokens": 10_775, "num_sources_used": 0, "num_server_side_tools_used": 6,
            "cost_in_usd_ticks": 292_331_500,
            "server_side_tool_usage_details": {**XAI_TOOLS, "code_interpreter_calls": 0},
            "context_details": {"input_tokens": 5993, "output_tokens": 2995},
        },
        {
            "input": 4511, "input_cache_read": 3072, "output": 3000, "output_reasoning": 192,
            "social_search": 3,
        },
        "x-ai",
        cost=29_233_150,
    ),
    "deepseek": Case(
        "https://api.deepseek.com" + CHAT,
        counts(
            100, 10, prompt_cache_hit_tokens=80, prompt_cache_miss_tokens=20,
            **inputs(cached_tokens=80), **outputs(reasoning_tokens=4),
        ),
        {"input": 20, "input_cache_read": 80, "output": 6, "output_reasoning": 4},
        "deepseek",
    ),
    "together": Case(
        "https://api.together.xyz/v1" + CHAT, counts(100, 10, cached_tokens=80), CACHED, "together"
    ),
    "openrouter": Case(
        "https://openrouter.ai/api/v1" + CHAT,
        counts(
            100, 10, cost=0.0021, is_byok=False,
            cost_details={"upstream_inference_cost": 0.0021},
            server_tool_use_details={
                "web_search_requests": 2, "tool_calls_requested": 3, "tool_calls_executed": 3,
            },
            **inputs(cached_tokens=50, cache_write_tokens=30, audio_tokens=0, video_tokens=0),
        ),
        {
            "input": 20, "input_cache_read": 50, "input_cache_write": 30, "output": 10,
            "web_search": 2,
        },
        "openrouter",
        cost=2_100_000,
    ),
    "openrouter, own key": Case(
        "https://openrouter.ai/api/v1" + CHAT,
        counts(100, 10, **BYOK),
        {"input": 100, "output": 10},
        "openrouter",
        cost=20_100_000,
    ),
    "perplexity": Case(
        "https://api.perplexity.ai" + CHAT,
        counts(20, 30, search_context_size="low", cost=PPLX_COST),
        {"input": 20, "output": 30, "requests_low": 1},
        "perplexity",
        cost=5_500_000,
    ),
    "perplexity, deep research": Case(
        "https://api.perplexity.ai" + CHAT,
        counts(33, 70, citation_tokens=200, reasoning_tokens=739, num_search_queries=18),
        {
            "input": 33, "output": 70, "output_reasoning": 739, "output_citation": 200,
            "web_search": 18,
        },
        "perplexity",
    ),
    "perplexity, without its cost": Case(
        "https://api.perplexity.ai" + CHAT,
        counts(20, 30, search_context_size="high"),
        {"input": 20, "output": 30, "requests_high": 1},
        "perplexity",
    ),
    "perplexity, an unknown fee": Case(
        "https://api.perplexity.ai" + CHAT,
        counts(20, 30, search_context_size="vast"),
        {"input": 20, "output": 30},
        "perplexity",
        findings=("request_fee:vast",),
    ),
    "perplexity, responses": Case(
        "https://api.perplexity.ai/v1/responses",
        {
            "input_tokens": 100, "output_tokens": 10, "total_tokens": 110,
            "input_tokens_details": {
                "cache_read_input_tokens": 50, "cache_creation_input_tokens": 30,
            },
            "tool_calls_details": {
                "search_web": {"invocation": 2}, "fetch_url": {"invocation": 1},
                "finance_search": {"invocation": 1},
            },
            "cost": {"currency": "USD", "input_cost": 0.1, "output_cost": 0.1, "total_cost": 0.3},
        },
        {
            "input": 20, "input_cache_read": 50, "input_cache_write": 30, "output": 10,
            "web_search": 2, "web_fetch": 1,
        },
        "perplexity",
        cost=300_000_000,
        findings=("drift:tool_calls_details.finance_search",),
    ),
    "fireworks": Case(
        "https://api.fireworks.ai/inference/v1" + CHAT,
        counts(100, 10, **inputs(cached_tokens=80)),
        CACHED,
        "fireworks",
    ),
    "cerebras": Case(
        "https://api.cerebras.ai/v1" + CHAT,
        counts(100, 10, image_tokens=7, **inputs(cached_tokens=80)),
        CACHED,
        "cerebras",
    ),
    "moonshot": Case(
        "https://api.moonshot.ai/v1" + CHAT, counts(100, 10, cached_tokens=80), CACHED, "moonshotai"
    ),
    "huggingface": Case(
        "https://router.huggingface.co/nebius/v1" + CHAT,
        counts(100, 10, cached_tokens=80),
        CACHED,
        "huggingface_nebius",
    ),
    "voyage": Case(
        "https://api.voyageai.com/v1/embeddings", {"total_tokens": 9}, {"input": 9}, "voyageai"
    ),
    "databricks": Case(
        "https://dbc-1.cloud.databricks.com/serving-endpoints/databricks-x/invocations",
        counts(100, 10, cache_read_input_tokens=80, reasoning_tokens=4),
        {"input": 20, "input_cache_read": 80, "output": 6, "output_reasoning": 4},
        "databricks",
    ),
    "deepinfra": Case(
        "https://api.deepinfra.com/v1/openai" + CHAT,
        counts(15, 16, estimated_cost=0.0000268),
        {"input": 15, "output": 16},
        "deepinfra",
        cost=26_800,
    ),
    "minimax": Case(
        "https://api.minimax.io/v1/text/chatcompletion_v2",
        counts(26, 223, total_characters=900, **outputs(reasoning_tokens=214)),
        {"input": 26, "output": 9, "output_reasoning": 214},
        "minimax",
    ),
    "sambanova": Case(
        "https://api.sambanova.ai/v1" + CHAT,
        counts(9, 3, time_to_first_token=0.1, total_latency=0.3, start_time=1.5, stop_reason="x"),
        {"input": 9, "output": 3},
        "sambanova",
    ),
    "vllm": Case(
        "http://gpu:8000/v1" + CHAT,
        counts(100, 10, **inputs(cached_tokens=80)),
        CACHED,
        "vllm",
    ),
    "sglang": Case(
        "http://gpu:30000/v1" + CHAT,
        counts(100, 10, reasoning_tokens=4, **inputs(cached_tokens=80)),
        {"input": 20, "input_cache_read": 80, "output": 6, "output_reasoning": 4},
        "sglang",
    ),
    "ollama, compatible": Case(
        "http://gpu:11434/v1" + CHAT, counts(100, 10), {"input": 100, "output": 10}, "ollama"
    ),
}  # fmt: skip
