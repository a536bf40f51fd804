"""The well-known providers: where each is, what it asks to see, and its usual variables.

A table and the values made of it and of an environment; which upstreams there are is decided by
`document`. Variables are looked at for addresses and for which of two names is set; no secret's
value is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from outlay.gateway.config import AwsKeys, Credential, Place, Secret

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
AZURE_VARIABLE: Final = "AZURE_OPENAI_ENDPOINT"
BEDROCK_TOKEN_VARIABLE: Final = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105 - a variable's name
"""A Bedrock API key; AWS's own tools prefer it to signing as well."""


@dataclass(frozen=True, slots=True)
class Known:
    """One provider; an empty `url` is found in the environment, or must be said."""

    name: str
    vendor: str
    url: str = ""
    variables: tuple[str, ...] = ()
    """Where its key usually is; the first that is set counts."""
    place: Place = "bearer"


_ROWS: Final = (
    Known("openai", "openai", "https://api.openai.com", ("OPENAI_API_KEY",)),
    Known(
        "anthropic", "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",), "x-api-key"
    ),
    Known(
        "google", "google", "https://generativelanguage.googleapis.com",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"), "x-goog-api-key",
    ),
    Known("vertex", "google"),
    Known("azure", "azure", "", ("AZURE_OPENAI_API_KEY",), "api-key"),
    Known("bedrock", "aws", "", (), "aws"),
    Known("mistral", "mistral", "https://api.mistral.ai", ("MISTRAL_API_KEY",)),
    Known("cohere", "cohere", "https://api.cohere.com", ("CO_API_KEY", "COHERE_API_KEY")),
    Known("groq", "groq", "https://api.groq.com", ("GROQ_API_KEY",)),
    Known("xai", "xai", "https://api.x.ai", ("XAI_API_KEY",)),
    Known("deepseek", "deepseek", "https://api.deepseek.com", ("DEEPSEEK_API_KEY",)),
    Known("together", "together", "https://api.together.ai", ("TOGETHER_API_KEY",)),
    Known("openrouter", "openrouter", "https://openrouter.ai", ("OPENROUTER_API_KEY",)),
    Known(
        "perplexity", "perplexity", "https://api.perplexity.ai",
        ("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
    ),
    Known("fireworks", "fireworks", "https://api.fireworks.ai", ("FIREWORKS_API_KEY",)),
    Known("cerebras", "cerebras", "https://api.cerebras.ai", ("CEREBRAS_API_KEY",)),
    Known("moonshot", "moonshot", "https://api.moonshot.ai", ("MOONSHOT_API_KEY",)),
    Known("huggingface", "huggingface", "https://router.huggingface.co", ("HF_TOKEN",)),
    Known("voyage", "voyage", "https://api.voyageai.com", ("VOYAGE_API_KEY",)),
    Known("zai", "zai", "https://api.z.ai", ("ZAI_API_KEY",)),
    Known("minimax", "minimax", "https://api.minimax.io", ("MINIMAX_API_KEY",)),
    Known("novita", "novita", "https://api.novita.ai", ("NOVITA_API_KEY",)),
    Known(
        "deepinfra", "deepinfra", "https://api.deepinfra.com",
        ("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
    ),
    Known("hyperbolic", "hyperbolic", "https://api.hyperbolic.xyz", ("HYPERBOLIC_API_KEY",)),
    Known("jina", "jina", "https://api.jina.ai", ("JINA_API_KEY",)),
    Known("nebius", "nebius", "https://api.tokenfactory.nebius.com", ("NEBIUS_API_KEY",)),
    Known("nvidia", "nvidia", "https://integrate.api.nvidia.com", ("NVIDIA_API_KEY",)),
    Known("sambanova", "sambanova", "https://api.sambanova.ai", ("SAMBANOVA_API_KEY",)),
)  # fmt: skip

KNOWN: Final[Mapping[str, Known]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every row, by the name that an upstream has without saying another."""


def of_vendor(vendor: str) -> Known | None:
    """Return the row of a vendor of `wire.vendors`; the first, if it has several."""
    return next((row for row in _ROWS if row.vendor == vendor), None)


def url_of(row: Known, env: Mapping[str, str], region: str = "") -> str:
    """Return where a provider is, as it stands in the environment; empty if nothing says it.

    Args:
        row: the provider.
        env: environment variables.
        region: an AWS region that was said; it wins over the environment's.
    """
    if row.name == "azure":
        url = env.get(AZURE_VARIABLE, "").strip().rstrip("/")
        # Some have the API's own path there, which clients of the gateway send themselves.
        return url.removesuffix("/v1").removesuffix("/openai")
    if row.vendor == "aws":
        region = region or region_of(env)
        return region and f"https://bedrock-runtime.{region}.{_aws_domain(region)}"
    return row.url


def region_of(env: Mapping[str, str]) -> str:
    """Return the AWS region of an environment; empty if it has none."""
    return next((found for name in REGION_VARIABLES if (found := env.get(name, "").strip())), "")


def credential_of(row: Known, env: Mapping[str, str]) -> Credential | None:
    """Return where a provider's credential usually is, also while it is not there yet."""
    if row.place == "aws":
        if env.get(BEDROCK_TOKEN_VARIABLE):
            return Credential("bearer", Secret("env", BEDROCK_TOKEN_VARIABLE))
        return Credential("aws", aws=AwsKeys())
    if not row.variables:
        return None
    name = next((name for name in row.variables if env.get(name)), row.variables[0])
    return Credential(row.place, Secret("env", name))


def missing_url(row: Known) -> str:
    """Return what to do about an address that nothing says."""
    if row.name == "azure":
        return f"Say `url`, or set the variable {AZURE_VARIABLE}."
    if row.vendor == "aws":
        return "Say `region`, or set the variable " + " or ".join(REGION_VARIABLES) + "."
    return "Say `url`, such as https://europe-west1-aiplatform.googleapis.com."


def _aws_domain(region: str) -> str:
    if region.startswith("cn-"):
        return "amazonaws.com.cn"
    return "amazonaws.eu" if region.startswith("eusc-") else "amazonaws.com"
