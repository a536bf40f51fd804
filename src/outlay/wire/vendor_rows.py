"""What a row of the vendor table is, and the rows of the vendors that have been looked into.

A row says where a vendor is (hosts and base paths), which API shapes it speaks there, and the
conventions of its counters. Conventions are keyed on surface and vendor; they are never guessed
from a payload. Each row names what backs it. Prices are not here, nor is any lookup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Cost = Literal["", "usd", "ticks", "estimated_usd"]
"""How a vendor states its cost in `usage`: not at all, `cost` in dollars, in 1e-10 dollars, or
`estimated_cost` in dollars."""

UNVERIFIED: Final = "unverified"
"""Source of a row that only follows the vendor's name for itself, OpenAI-compatible."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. `name` is what the `hosts` setting calls it; `provider` is who is paid.

    A host pattern may hold one `*`. `openai`, `anthropic` and `google` are the base paths where
    the API of that shape is served; in an OpenAI base `{deployment}` and `{provider}` each stand
    for one path segment. A cloud that serves other makers' APIs names the dialects it speaks.
    """

    name: str
    provider: str
    hosts: tuple[str, ...] = ()
    openai: tuple[str, ...] = ()
    anthropic: tuple[str, ...] = ()
    google: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    """Base paths of its own shapes (`paths.NATIVE`), for what is free below them."""
    only: tuple[str, ...] = ()
    """Parts of a path, one of which a request must have: the host serves other things too."""
    openai_dialect: str = ""
    anthropic_dialect: str = ""
    host_class: str = ""
    aliases: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    """Paths below a base that cost nothing here, beside those that are free everywhere."""
    include_usage: bool = False
    """It knows `stream_options.include_usage`, and tells no usage in a stream without it."""
    reasoning_additive: bool = False
    """On chat completions, reasoning tokens are outside of `completion_tokens`."""
    reasoning_in_total: bool = False
    """What `total_tokens` counts beyond both counters is reasoning."""
    total_partial: bool = False
    """`total_tokens` leaves out the additive counters."""
    search_units: bool = False
    """Reranking is charged by the search unit, not by the token."""
    cost: Cost = ""
    uncharged: frozenset[str] = frozenset()
    """Keys of its usage object that are known and that nothing is charged by."""
    source: str = UNVERIFIED
    """What backs the row: a recorded sample, an SDK with its version, or `unverified`."""


NAMED: Final[tuple[Vendor, ...]] = (
    Vendor(
        "openai",
        "openai",
        hosts=("api.openai.com", "*.api.openai.com"),
        openai=("/v1",),
        free=("/moderations",),
        include_usage=True,
        source="samples openai-chat-prompt-cache-0, openai-responses-prompt-cache-0",
    ),
    Vendor(
        "azure",
        "azure",
        hosts=(
            "*.openai.azure.com",
            "*.services.ai.azure.com",
            "*.cognitiveservices.azure.com",
            "*.openai.azure.us",
        ),
        openai=("/openai/deployments/{deployment}", "/openai/v1", "/openai", "/models"),
        anthropic=("/anthropic/v1",),
        openai_dialect="openai",
        anthropic_dialect="anthropic",
        host_class="azure",
        free=("/moderations",),
        source="sample azure-responses-0",
    ),
    Vendor(
        "anthropic",
        "anthropic",
        hosts=("api.anthropic.com",),
        anthropic=("/v1",),
        source="sample anthropic-cache-1",
    ),
    Vendor(
        "google",
        "google",
        hosts=(
            "generativelanguage.googleapis.com",
            "aiplatform.googleapis.com",
            "*-aiplatform.googleapis.com",
            "aiplatform.*.rep.googleapis.com",
        ),
        openai=("/v1/openai", "/v1beta/openai"),
        google=("",),
        anthropic_dialect="anthropic",
        aliases=("vertex", "gemini"),
        include_usage=True,
        reasoning_in_total=True,
        source="samples gemini-stream-0, vertex-flex-stream-0",
    ),
    Vendor(
        "aws",
        "aws",
        hosts=(
            "bedrock-mantle.*.api.aws",
            "bedrock-runtime.*.amazonaws.com",
            "bedrock-runtime-fips.*.amazonaws.com",
            "bedrock-runtime.*.api.aws",
            "bedrock-runtime-fips.*.api.aws",
            "bedrock-runtime.*.amazonaws.com.cn",
            "bedrock-runtime.*.amazonaws.eu",
        ),
        openai=("/openai/v1", "/v1"),
        anthropic=("/anthropic/v1",),
        openai_dialect="openai",
        anthropic_dialect="anthropic",
        host_class="bedrock",
        aliases=("bedrock",),
        source="samples bedrock-mantle-responses-0, anthropic-on-bedrock-0",
    ),
    Vendor(
        "groq",
        "groq",
        hosts=("api.groq.com",),
        openai=("/openai/v1",),
        source="sample groq-websearch-stream-0, groq 1.7.0",
    ),
    Vendor(
        "xai",
        "x-ai",
        hosts=("api.x.ai", "*.api.x.ai"),
        openai=("/v1",),
        anthropic=("/v1",),
        aliases=("x-ai",),
        free=("/tokenize-text",),
        reasoning_additive=True,
        cost="ticks",
        uncharged=frozenset(("num_server_side_tools_used", "context_details")),
        source="sample xai-grpc-stream-cancel, genai-prices 0.2.3",
    ),
    Vendor(
        "deepseek",
        "deepseek",
        hosts=("api.deepseek.com",),
        openai=("/v1", "/beta", ""),
        anthropic=("/anthropic/v1",),
        include_usage=True,
        source="sample deepseek-thinking-stream-0",
    ),
    Vendor(
        "mistral",
        "mistral",
        hosts=("api.mistral.ai",),
        openai=("/v1",),
        source="sample mistral-prompt-cache-0, mistralai 3.7.0",
    ),
    Vendor(
        "together",
        "together",
        hosts=("api.together.ai", "api-inference.together.ai", "api.together.xyz"),
        openai=("/v1",),
        source="sample huggingface-usage-0 (as routed), together 3.1.1",
    ),
    Vendor(
        "openrouter",
        "openrouter",
        hosts=("openrouter.ai", "api.openrouter.ai"),
        openai=("/api/v1", "/v1"),
        anthropic=("/api/v1", "/v1"),
        cost="usd",
        search_units=True,
        source="samples openrouter-usage-1, openrouter-stream-error-0, openrouter 1.3.84",
    ),
    Vendor(
        "perplexity",
        "perplexity",
        hosts=("api.perplexity.ai",),
        openai=("/v1", ""),
        reasoning_additive=True,
        total_partial=True,
        cost="usd",
        source="perplexityai 0.46.1, genai-prices 0.2.3",
    ),
    Vendor(
        "fireworks",
        "fireworks",
        hosts=("api.fireworks.ai",),
        openai=("/inference/v1",),
        anthropic=("/inference/v1",),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "cerebras",
        "cerebras",
        hosts=("api.cerebras.ai",),
        openai=("/v1",),
        uncharged=frozenset(("image_tokens",)),
        source="cerebras_cloud_sdk 1.91.0",
    ),
    Vendor(
        "moonshot",
        "moonshotai",
        hosts=("api.moonshot.ai", "api.moonshot.cn"),
        openai=("/v1",),
        anthropic=("/anthropic/v1",),
        aliases=("moonshotai",),
        free=("/tokenizers",),
        include_usage=True,
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "huggingface",
        "huggingface",
        hosts=("router.huggingface.co",),
        openai=("/{provider}/v1", "/v1"),
        include_usage=True,
        source="sample huggingface-usage-0",
    ),
    Vendor(
        "voyage",
        "voyageai",
        hosts=("api.voyageai.com",),
        openai=("/v1",),
        source="sample voyage-embeddings-0, voyageai 0.5.0",
    ),
    Vendor(
        "cohere",
        "cohere",
        hosts=("api.cohere.com", "api.cohere.ai"),
        openai=("/compatibility/v1",),
        native=("/v1", "/v2"),
        free=("/check-api-key", "/datasets", "/connectors"),
        search_units=True,
        source="sample cohere-cached-0, cohere 7.3.1",
    ),
    # -- self-hosted: found through the `hosts` setting
    Vendor(
        "vllm",
        "vllm",
        openai=("/v1", "/v2"),
        anthropic=("/v1",),
        include_usage=True,
        source="vllm protocol source, read in 2026",
    ),
    Vendor(
        "sglang",
        "sglang",
        openai=("/v1",),
        anthropic=("/v1",),
        include_usage=True,
        source="sglang protocol source, read in 2026",
    ),
    Vendor(
        "ollama",
        "ollama",
        openai=("/v1",),
        anthropic=("/v1",),
        include_usage=True,
        native=("/api",),
        free=("/show", "/pull", "/push", "/create", "/copy", "/blobs"),
        source="ollama 0.6.3",
    ),
)
"""The vendors whose conventions were checked; those without hosts are self-hosted servers."""
