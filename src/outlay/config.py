"""Every setting of outlay, in one frozen value: names, defaults, meanings, bounds and where from.

Precedence: overrides, then environment (`OUTLAY_<NAME>`), then a TOML file (same names in lower
case), then the default. An unknown name is an error with a suggestion, never ignored. Standard
library only, since the guest reads it inside other people's processes. It must not open anything
but the one TOML file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from outlay.config_values import MIB as MIB  # noqa: PLC0414 - of this interface
from outlay.config_values import parts, typed
from outlay.errors import ConfigError

PREFIX: Final = "OUTLAY_"
FILE_VARIABLE: Final = "OUTLAY_CONFIG"
"""Environment variable that names the TOML file when none is passed."""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

Group = Literal["guest", "server"]
_EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


def _setting(
    group: Group,
    default: Any,
    meaning: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    metadata = {
        "group": group, "meaning": meaning, "least": least, "most": most, "choices": choices,
        "secret": secret,
    }  # fmt: skip
    if isinstance(default, Mapping):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not secret)


def _guest(default: Any, meaning: str, **bounds: Any) -> Any:
    return _setting("guest", default, meaning, **bounds)


def _server(default: Any, meaning: str, **bounds: Any) -> Any:
    return _setting("server", default, meaning, **bounds)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; each one's meaning, unit and bounds are in `KEYS`."""

    endpoint: str = _guest("", "URL of the outlay server that events are sent to.")
    key: str = _guest("", "API key with the ingest scope; never logged.", secret=True)
    service: str = _guest("", "Name of this service, carried by every event.")
    environment: str = _guest("", "Deployment name, such as `production`.")
    tenant: str = _guest("", "Tenant of work done outside any context.")
    spool_dir: str = _guest("", "Folder of the event spool; empty is the per-user state folder.")
    spool_max_bytes: int = _guest(
        64 * MIB, "Most bytes the spool may hold; then events are dropped and counted.", least=MIB
    )
    include_usage: bool = _guest(
        True, "Ask OpenAI-style streams for their usage chunk, and hide it from the caller."
    )
    hosts: Mapping[str, str] = _guest(
        _EMPTY, "Vendor of private hosts: `host[:port][/prefix]` to vendor name."
    )
    ship_interval_s: float = _guest(
        0.2, "Seconds between shipments to the server.", least=0.01, most=3600
    )
    ship_batch_events: int = _guest(500, "Most events in one shipment.", least=1, most=10_000)
    flush_timeout_s: float = _guest(
        5.0, "Seconds that `flush` and process exit wait for the spool.", least=0, most=600
    )
    enabled: bool = _guest(True, "False makes every part of the SDK do nothing.")
    limits: bool = _guest(False, "Enforce the server's limits on every call; needs an endpoint.")
    limits_patience_s: float = _guest(
        5.0, "Seconds that a call waits for money that others hold.", least=0, most=600
    )
    limits_timeout_s: float = _guest(
        2.0, "Seconds that a call waits for the server's word on a limit.", least=0.01, most=60
    )
    limits_sync_s: float = _guest(
        1.0, "Seconds between reports of what calls have used.", least=0.05, most=10
    )
    context_secret: str = _guest(
        "", "Signs contexts between processes; of several by commas the first signs, any verifies.",
        least=16, secret=True,
    )  # fmt: skip

    data: str = _server(".outlay", "Data folder of the server.")
    host: str = _server("127.0.0.1", "Address the server listens on.")
    port: int = _server(8787, "Port the server listens on; 0 is any free one.", least=0, most=65535)
    stream_url: str = _server("", "URL of the log; empty is SQLite in the data folder.")
    olap_url: str = _server("", "URL of the live store; empty is DuckDB in the data folder.")
    warehouse_url: str = _server("", "URL of the warehouse; empty is Parquet in the data folder.")
    books_url: str = _server(
        "", "URL of the books; empty is SQLite in the data folder.", secret=True
    )
    max_batch_bytes: int = _server(
        16 * MIB, "Most bytes of one ingest body, sent and decoded.", least=1024, most=1024 * MIB
    )
    max_batch_events: int = _server(
        10_000, "Most events in one ingest body.", least=1, most=1_000_000
    )
    max_past_days: int = _server(
        35, "Oldest start of an event that is accepted, in days.", least=1, most=3660
    )
    max_future_s: int = _server(
        300, "Furthest an event may lie in the future, in seconds.", least=0, most=86_400
    )
    retention_days: int = _server(
        7, "Days the logs keep events that every store has.", least=0, most=3660
    )
    duckdb_memory_mb: int = _server(2048, "Memory limit of DuckDB in MiB.", least=64)
    duckdb_threads: int = _server(2, "Threads of DuckDB.", least=1, most=256)
    large_prompt_factor: int = _server(
        10, "An input this many times its feature's usual one is flagged `large_prompt`.", least=2
    )
    late_after_s: int = _server(
        300, "An event received this many seconds after its end is flagged `late`.", least=1
    )
    lease_ttl_s: int = _server(
        30, "Seconds that a process may use what it was leased without asking again.",
        least=5, most=600,
    )  # fmt: skip
    hold_ttl_s: int = _server(
        300, "Seconds after which a hold ends that nobody settles, where the hold says no other.",
        least=5, most=86_400,
    )  # fmt: skip
    authority_queue: int = _server(
        20_000, "Holds and lease lines that may wait to be written; more are refused at once.",
        least=100, most=1_000_000,
    )  # fmt: skip
    webhook_secret: str = _server(
        "", "Signs calls of webhooks (HMAC-SHA256); empty leaves them unsigned.", secret=True
    )
    webhook_private_hosts: bool = _server(
        False, "Let webhooks call loopback, private and other special addresses."
    )
    portal_secret: str = _server(
        "",
        "Signs links into the portal; of several by commas the first; empty: a kept random one.",
        least=32, secret=True,
    )  # fmt: skip
    portal_dimensions: str = _server(
        "feature,agent,user,workspace,model", "What customers may split their usage by, by commas."
    )
    portal_frame_ancestors: str = _server(
        "", "Origins that may show the customer portal in a frame, by commas; empty: none."
    )
    gateway: bool = _server(True, "Serve the gateway beside the API, on the same address.")
    gateway_limits: bool = _server(True, "Enforce limits on calls through the gateway.")
    gateway_config: str = _server(
        "",
        "YAML file of the gateway; empty: the well-known vendors, keys in their usual variables.",
    )
    gateway_grace_s: float = _server(
        60.0, "Seconds that streams in hand may take when the gateway ends.", least=0, most=3600
    )
    gateway_stale_s: float = _server(
        3600.0, "Seconds that virtual keys are believed while the server is away.",
        least=1, most=604_800,
    )  # fmt: skip
    public_url: str = _server(
        "", "URL that people reach the server at; empty: the address it listens on."
    )
    session_hours: int = _server(
        12, "Hours after which a sign-in ends that is not used; it ends after 7 days in any case.",
        least=1, most=168,
    )  # fmt: skip
    demo: bool = _server(
        False, "Let whoever opens the page sign in as admin; on a loopback `host` only."
    )
    oidc_issuer: str = _server("", "URL of the OpenID provider people sign in at; empty: none.")
    oidc_client_id: str = _server("", "Name of this server at the OpenID provider.")
    oidc_client_secret: str = _server(
        "", "Secret of this server at the OpenID provider.", secret=True
    )
    oidc_name: str = _server("Single sign-on", "What the OpenID provider is called for people.")
    oidc_admins: str = _server(
        "",
        "E-mails, by commas, of people who become admins when they are new from the provider.",
    )
    oidc_role: str = _server(
        "", "Role of others who are new from the OpenID provider; empty: they are refused.",
        choices=("", "finance", "engineer", "admin"),
    )  # fmt: skip
    log_level: str = _server("info", "Least severity that is logged.", choices=LOG_LEVELS)
    seed_prices: bool = _server(True, "Load the catalogue of the installed `genai-prices`.")

    @property
    def context_secrets(self) -> tuple[str, ...]:
        """The secrets of `context_secret`: the first signs, all are believed."""
        return tuple(parts(self.context_secret))

    @property
    def portal_secrets(self) -> tuple[str, ...]:
        """The secrets of `portal_secret`: the first signs, all are believed."""
        return tuple(parts(self.portal_secret))


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting is called, means and may be; documentation and help are made from it."""

    name: str
    type: str
    default: Any
    group: Group
    meaning: str
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    secret: bool

    @property
    def env(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()


def _describe() -> Iterable[Setting]:
    for item in fields(Settings):
        default = item.default
        if default is MISSING:
            default = _EMPTY
        yield Setting(
            item.name,
            "map" if isinstance(default, Mapping) else type(default).__name__,
            default,
            item.metadata["group"],
            item.metadata["meaning"],
            item.metadata["least"],
            item.metadata["most"],
            item.metadata["choices"],
            item.metadata["secret"],
        )


KEYS: Final[Mapping[str, Setting]] = MappingProxyType({s.name: s for s in _describe()})
"""Every setting by name, in order."""


def load(
    env: Mapping[str, str] | None = None,
    toml_path: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings of this process.

    Args:
        env: environment variables; `None` reads the process's own.
        toml_path: a TOML file that must exist; `None` takes `OUTLAY_CONFIG`, else no file.
        overrides: values by name that win over everything; a `None` value is not said.

    Raises:
        ConfigError: a name is unknown, a value is bad, or the file cannot be read.
    """
    variables = os.environ if env is None else env
    path = toml_path if toml_path is not None else variables.get(FILE_VARIABLE) or None
    values: dict[str, Any] = {}
    if path is not None:
        values.update(_from_toml(Path(path)))
    values.update(_from_env(variables))
    for name, value in (overrides or {}).items():
        if value is not None:
            values[name] = _value(_known(name, name), value, name)
    return Settings(**values)


def _from_env(variables: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, text in variables.items():
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            setting = _known(variable[len(PREFIX) :].lower(), variable)
            values[setting.name] = _value(setting, text, variable)
    return values


def _from_toml(path: Path) -> dict[str, Any]:
    import tomllib  # only a process with a file pays for the parser

    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"The file cannot be read: {error.strerror}.", where=str(path)) from error
    except ValueError as error:
        raise ConfigError(f"The file is not valid TOML: {error}.", where=str(path)) from error
    return {
        name: _value(_known(name, f"{path}: {name}"), value, f"{path}: {name}")
        for name, value in document.items()
    }


def _known(name: str, where: str) -> Setting:
    setting = KEYS.get(name)
    if setting is None:
        import difflib  # only on the way to an error

        close = difflib.get_close_matches(name, KEYS, n=1, cutoff=0.6)
        guess = f" Did you mean `{close[0]}`?" if close else ""
        raise ConfigError(f"There is no setting `{name}`.{guess}", where=where)
    return setting


def _value(setting: Setting, raw: Any, where: str) -> Any:
    """Return a checked value; text is parsed, other values must have the type already."""
    try:
        value = typed(setting.type, raw, sizes=setting.name.endswith("_bytes"))
    except (ValueError, TypeError) as error:
        shown = "" if setting.secret else f" Got {raw!r}."
        raise ConfigError(f"`{setting.name}` must be {error}.{shown}", where=where) from error
    if setting.choices and value not in setting.choices:
        known = ", ".join(filter(None, setting.choices))
        raise ConfigError(
            f"`{setting.name}` must be one of {known}. Got {value!r}.",
            where=where,
        )
    low, high = setting.least, setting.most
    if setting.type == "str":
        # A text with bounds is a list by commas; what it says may be secret.
        if low is not None and any(len(part) < low for part in parts(value)):
            raise ConfigError(
                f"Every part of `{setting.name}` must have at least {low:g} characters.",
                where=where,
            )
        return value
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low:g}" if high is None else f"from {low or 0:g} to {high:g}"
        raise ConfigError(f"`{setting.name}` must be {bounds}. Got {value!r}.", where=where)
    return value
