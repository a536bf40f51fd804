"""Rows of vendors that serve the common shape and were not looked into further.

Their counters are read as OpenAI's own; what is particular stands in the row. Those whose names
the catalogue knows are priced by it, the rest is unpriced until somebody sets a rate.
"""

from __future__ import annotations

from typing import Final

from outlay.wire.vendor_rows import Vendor

_SAMBANOVA_STATISTICS: Final = frozenset(
    (
        "acceptance_rate", "completion_tokens_after_first_per_sec",
        "completion_tokens_after_first_per_sec_first_ten",
        "completion_tokens_after_first_per_sec_graph", "completion_tokens_per_sec", "end_time",
        "is_last_response", "start_time", "stop_reason", "time_to_first_token",
        "time_to_first_token_graph", "total_latency", "total_tokens_per_sec",
    )
)  # fmt: skip

COMPATIBLE: Final[tuple[Vendor, ...]] = (
    # -- served in the common shape; the catalogue knows these by the same provider ids
    Vendor(
        "arcee",
        "arcee",
        hosts=("api.arcee.ai",),
        openai=("/api/v1", "/v1"),
        source="genai-prices 0.2.3",
    ),
    Vendor("avian", "avian", hosts=("api.avian.io",), openai=("/v1",)),
    Vendor(
        "baseten",
        "baseten",
        hosts=("inference.baseten.co",),
        openai=("/v1",),
        anthropic=("/v1",),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "cloudflare",
        "cloudflare",
        hosts=("api.cloudflare.com",),
        openai=("/client/v4/accounts/{account}/ai/v1",),
        only=("/ai/v1/", "/ai/run/"),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "databricks",
        "databricks",
        hosts=("*.cloud.databricks.com", "*.azuredatabricks.net", "*.gcp.databricks.com"),
        openai=(
            "/serving-endpoints",
            "/ai-gateway/mlflow/v1",
            "/ai-gateway/openai/v1",
            "/mlflow/v1",
            "/openai/v1",
        ),
        anthropic=("/serving-endpoints/anthropic/v1", "/ai-gateway/anthropic/v1", "/anthropic/v1"),
        only=(
            "/serving-endpoints/",
            "/ai-gateway/",
            "/mlflow/v1/",
            "/openai/v1/",
            "/anthropic/v1/",
        ),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "doubleword",
        "doubleword",
        hosts=("api.doubleword.ai",),
        openai=("/v1",),
        source="genai-prices 0.2.3",
    ),
    Vendor("meta", "meta", hosts=("api.meta.ai",), openai=("/v1",), source="genai-prices 0.2.3"),
    Vendor(
        "minimax",
        "minimax",
        hosts=("api.minimax.io", "api.minimaxi.com", "api.minimax.com"),
        openai=("/v1",),
        anthropic=("/anthropic/v1",),
        uncharged=frozenset(("total_characters",)),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "novita",
        "novita",
        hosts=("api.novita.ai",),
        openai=("/openai/v1", "/v3/openai"),
        anthropic=("/anthropic/v1",),
    ),
    Vendor(
        "ovhcloud",
        "ovhcloud",
        hosts=("oai.endpoints.kepler.ai.cloud.ovh.net",),
        openai=("/v1",),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "zai",
        "zai",
        hosts=("api.z.ai",),
        openai=("/api/paas/v4", "/api/coding/paas/v4"),
        anthropic=("/api/anthropic/v1",),
        aliases=("z-ai",),
        source="genai-prices 0.2.3",
    ),
    Vendor(
        "zhipuai",
        "zhipuai",
        hosts=("open.bigmodel.cn",),
        openai=("/api/paas/v4", "/api/coding/paas/v4"),
        anthropic=("/api/anthropic/v1",),
        source="genai-prices 0.2.3",
    ),
    # -- the same, without prices in the catalogue: unpriced until a rate is set
    Vendor(
        "deepinfra",
        "deepinfra",
        hosts=("api.deepinfra.com",),
        openai=("/v1/openai",),
        anthropic=("/anthropic/v1",),
        cost="estimated_usd",
    ),
    Vendor("hyperbolic", "hyperbolic", hosts=("api.hyperbolic.xyz",), openai=("/v1",)),
    Vendor("jina", "jina", hosts=("api.jina.ai",), openai=("/v1",)),
    Vendor(
        "nebius",
        "nebius",
        hosts=("api.tokenfactory.nebius.com", "api.studio.nebius.com", "api.studio.nebius.ai"),
        openai=("/v1",),
    ),
    Vendor("nvidia", "nvidia", hosts=("integrate.api.nvidia.com",), openai=("/v1",)),
    Vendor(
        "sambanova",
        "sambanova",
        hosts=("api.sambanova.ai",),
        openai=("/v1",),
        anthropic=("/v1",),
        uncharged=_SAMBANOVA_STATISTICS,
    ),
)
"""Vendors of the common shape, by the provider ids of the catalogue where it has them."""
