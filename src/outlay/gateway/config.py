"""What a gateway is told: its upstreams, aliases and tenants, as frozen values.

`document` reads them from YAML and checks them. No secret is in here, only where one is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

MIB: Final = 1024 * 1024

Strategy = Literal["ordered", "weighted", "cheapest"]
Cause = Literal["error", "timeout", "rate_limited", "open"]
"""Why a call goes on to the next target: a 5xx or a broken connection, no answer in time, a 429,
or a circuit that is open."""
Place = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "aws"]
"""Where a request carries its credential: a header, or AWS's signature."""

CAUSES: Final[tuple[Cause, ...]] = ("error", "timeout", "rate_limited", "open")


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is found: an environment variable, a file, or what a command prints."""

    kind: Literal["env", "file", "command"]
    name: str = ""
    """The variable or the path."""
    argv: tuple[str, ...] = ()
    """The command; no shell reads it."""
    refresh_s: float = 300.0
    """How long a value of a file or a command is used before it is looked up again."""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Where AWS credentials are found; none named: where AWS's own tools look for them."""

    access_key: Secret | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What a provider asks to see, and where it is found."""

    place: Place
    secret: Secret | None = None
    aws: AwsKeys | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that an upstream may take to connect, to begin its answer, and between pieces."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When an upstream is left alone: so many failures in a row inside a window."""

    failures: int = 5
    window_s: float = 30.0
    open_s: float = 10.0
    """Then one call tries it again."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One declared provider, reached as `/{name}/…`; its own path follows."""

    name: str
    vendor: str
    """A name of `wire.vendors`; any other is read as OpenAI's or Anthropic's shape."""
    url: str
    """Without a slash at its end; the provider's own path is put behind it."""
    credential: Credential | None = None
    """`None`: the upstream asks for none, or the client's own is passed on."""
    client_credentials: bool = False
    """Let clients that name their key in `outlay-key` send the provider's credential themselves."""
    region: str = ""
    """AWS region of the signature."""
    timeouts: Timeouts = Timeouts()
    breaker: BreakerRule = BreakerRule()
    retries: int = 0
    """Attempts more at the same upstream before the next target's turn."""
    max_concurrency: int = 256
    requests_per_minute: int = 0
    """0: no bound of ours."""
    max_waiting: int = 1000
    max_waiting_per_tenant: int = 250
    max_wait_s: float = 30.0
    ca_file: str = ""
    """Certificates to trust instead of the system's; a connection is always verified."""
    set_headers: tuple[tuple[str, str], ...] = ()
    drop_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One place that serves an alias: an upstream and the model's name there."""

    upstream: str
    model: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Alias:
    """A model name of the gateway's own, or the fallbacks of a provider's name."""

    name: str
    targets: tuple[Target, ...]
    strategy: Strategy = "ordered"
    on: frozenset[Cause] = frozenset(CAUSES)
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class TenantRule:
    """What is particular to one tenant."""

    tenant: str
    weight: int = 1
    """Share of a crowded upstream, against other tenants' weights."""
    credentials: Mapping[str, Credential] = field(default_factory=lambda: MappingProxyType({}))
    """Its own provider credentials, by upstream."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """A whole configuration; `revision` is a hash of the document it was read from."""

    upstreams: Mapping[str, Upstream]
    aliases: Mapping[str, Alias] = field(default_factory=lambda: MappingProxyType({}))
    tenants: Mapping[str, TenantRule] = field(default_factory=lambda: MappingProxyType({}))
    unknown_tenant: Literal["refuse", "unattributed"] = "refuse"
    """What becomes of a call that no key and no signed context gives a tenant."""
    cost_headers: bool = False
    """Tell cost and what is left in the response's headers; whole answers only are held for it."""
    on_disconnect: Literal["drain", "hang_up"] = "drain"
    drain_s: float = 120.0
    drain_bytes: int = 16 * MIB
    max_body_bytes: int = 256 * MIB
    buffer_bytes: int = 32 * MIB
    """JSON bodies are read whole up to this; other bodies pass in pieces."""
    revision: str = ""

    def credentials(self) -> Iterator[Credential]:
        """Yield every credential that is named, the tenants' among them."""
        for upstream in self.upstreams.values():
            if upstream.credential is not None:
                yield upstream.credential
        for tenant in self.tenants.values():
            yield from tenant.credentials.values()

    def hosts(self) -> dict[str, str]:
        """Return whose dialect each upstream's address speaks, as the `hosts` setting says it."""
        # The setting has an IPv6 address without its brackets.
        return {
            upstream.url.partition("://")[2].replace("[", "").replace("]", ""): upstream.vendor
            for upstream in self.upstreams.values()
        }
