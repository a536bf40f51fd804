"""Who is behind which host, and what is particular about their wire: literal rows, no code.

A row says where a vendor is (hosts and base paths), which API shapes it speaks there, and the
conventions of its counters. Conventions are keyed on surface and vendor; they are never guessed
from a payload. Prices are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Cost = Literal["", "usd", "ticks"]
"""How a vendor states its cost in `usage`: not at all, `cost` in dollars, or in 1e-10 dollars."""


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
    total_partial: bool = False
    """`total_tokens` leaves out the additive counters."""
    cost: Cost = ""


VENDORS: Final[tuple[Vendor, ...]] = (
    Vendor(
        "openai",
        "openai",
        hosts=("api.openai.com", "*.api.openai.com"),
        openai=("/v1",),
        free=("/moderations",),
        include_usage=True,
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
    ),
    Vendor("anthropic", "anthropic", hosts=("api.anthropic.com",), anthropic=("/v1",)),
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
    ),
    Vendor(
        "aws",
        "aws",
        hosts=("bedrock-mantle.*.api.aws", "bedrock-runtime.*.amazonaws.com"),
        openai=("/openai/v1", "/v1"),
        anthropic=("/anthropic/v1",),
        openai_dialect="openai",
        anthropic_dialect="anthropic",
        host_class="bedrock",
        aliases=("bedrock",),
    ),
    Vendor("groq", "groq", hosts=("api.groq.com",), openai=("/openai/v1",)),
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
    ),
    Vendor(
        "deepseek",
        "deepseek",
        hosts=("api.deepseek.com",),
        openai=("/v1", "/beta", ""),
        anthropic=("/anthropic/v1",),
        include_usage=True,
    ),
    Vendor("mistral", "mistral", hosts=("api.mistral.ai",), openai=("/v1",)),
    Vendor(
        "together",
        "together",
        hosts=("api.together.ai", "api-inference.together.ai", "api.together.xyz"),
        openai=("/v1",),
    ),
    Vendor(
        "openrouter",
        "openrouter",
        hosts=("openrouter.ai", "api.openrouter.ai"),
        openai=("/api/v1", "/v1"),
        anthropic=("/api/v1", "/v1"),
        cost="usd",
    ),
    Vendor(
        "perplexity",
        "perplexity",
        hosts=("api.perplexity.ai",),
        openai=("/v1", ""),
        reasoning_additive=True,
        total_partial=True,
        cost="usd",
    ),
    Vendor(
        "fireworks",
        "fireworks",
        hosts=("api.fireworks.ai",),
        openai=("/inference/v1",),
        anthropic=("/inference/v1",),
    ),
    Vendor("cerebras", "cerebras", hosts=("api.cerebras.ai",), openai=("/v1",)),
    Vendor(
        "moonshot",
        "moonshotai",
        hosts=("api.moonshot.ai", "api.moonshot.cn"),
        openai=("/v1",),
        anthropic=("/anthropic/v1",),
        aliases=("moonshotai",),
        free=("/tokenizers",),
        include_usage=True,
    ),
    Vendor(
        "huggingface",
        "huggingface",
        hosts=("router.huggingface.co",),
        openai=("/{provider}/v1", "/v1"),
        include_usage=True,
    ),
    Vendor("voyage", "voyageai", hosts=("api.voyageai.com",), openai=("/v1",)),
    Vendor(
        "cohere", "cohere", hosts=("api.cohere.com", "api.cohere.ai"), openai=("/compatibility/v1",)
    ),
    Vendor("vllm", "vllm", openai=("/v1",), anthropic=("/v1",), include_usage=True),
    Vendor("sglang", "sglang", openai=("/v1",), anthropic=("/v1",), include_usage=True),
    Vendor("ollama", "ollama", openai=("/v1",), anthropic=("/v1",), include_usage=True),
)
"""Every vendor that is recognised; those without hosts are found through the `hosts` setting."""


def _by_name() -> dict[str, Vendor]:
    rows = {vendor.name: vendor for vendor in VENDORS}
    for vendor in VENDORS:
        rows.update(dict.fromkeys(vendor.aliases, vendor))
    return rows


BY_NAME: Final[dict[str, Vendor]] = _by_name()
"""Vendors by name and alias."""

_HOSTS: Final = {host: v for v in VENDORS for host in v.hosts if "*" not in host}
_PATTERNS: Final = tuple(
    (head, tail, vendor)
    for vendor in VENDORS
    for head, star, tail in (host.partition("*") for host in vendor.hosts)
    if star
)


def by_host(host: str) -> Vendor | None:
    """Return the vendor of a public host name (lower case, without port)."""
    if (vendor := _HOSTS.get(host)) is not None:
        return vendor
    for head, tail, vendor in _PATTERNS:
        if len(host) > len(head) + len(tail) and host.startswith(head) and host.endswith(tail):
            return vendor
    return None


def unlisted(name: str) -> Vendor:
    """Return a row for a name that the table does not know: it may speak either common shape."""
    return Vendor(name, name, openai=("/v1",), anthropic=("/v1",))


def conventions(vendor: str) -> Vendor:
    """Return the row whose conventions a dialect's counters follow."""
    return BY_NAME.get(vendor) or unlisted(vendor)
