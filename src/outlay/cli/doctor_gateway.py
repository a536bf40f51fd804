"""What `outlay doctor` finds of the gateway: its configuration, its credentials, its keys.

It looks at this machine, with the variables of the shell that it runs in. Only what a file of the
gateway names is missed: without one, nobody knows which providers are wanted. It reads no secret
but to see that it is there, runs no command, and calls no provider.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import ssl
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from outlay.cli.client import Client, ServerError
from outlay.cli.findings import Finding
from outlay.config import Settings
from outlay.errors import ConfigError, OutlayError

if TYPE_CHECKING:
    from outlay.gateway.config import Credential, GatewayConfig, Secret

SHOWN: Final = 8
"""Names of one finding; more are counted."""
_KEYS: Final = "/v1/virtual-keys"


def examine_setup(chosen: Settings) -> Iterator[Finding]:
    """Check what a gateway on this machine would be told."""
    config = yield from _config(chosen)
    if config is not None:
        yield from _credentials(config, explicit=bool(chosen.gateway_config))
        yield from _certificates(config)


def examine_keys(server: Client) -> Iterator[Finding]:
    """Check that a gateway with this key would hear of virtual keys, and that there are some."""
    try:
        told = server.call("GET", f"{_KEYS}/feed")
        number, more = len(told.get("keys") or ()), not told.get("complete", True)
    except OutlayError as error:
        if not isinstance(error, ServerError) or error.status != 403:
            yield Finding("gateway keys", "warn", error.message, error.hint)
            return
        number, more = _listed(server)
        if number < 0:
            fix = "A gateway beside the server needs one with the scopes `ingest` and `gateway`."
            yield Finding("gateway keys", "ok", "not looked at: the key is no gateway's", fix)
            return
    if number:
        yield Finding("gateway keys", "ok", f"{number:,}{' or more' if more else ''} known")
    else:
        fix = "Clients of the gateway need one: `outlay virtual-keys create`."
        yield Finding("gateway keys", "ok", "there is no virtual key", fix)


def _listed(server: Client) -> tuple[int, bool]:
    """Return how many keys an administrator sees, and whether there are more; -1: it is none."""
    try:
        told = server.call("GET", _KEYS, params={"usable": True, "limit": 1000})
    except OutlayError:
        return -1, False
    number = len(told.get("virtual_keys") or ())
    return number, number >= 1000


def _config(chosen: Settings) -> Generator[Finding, None, GatewayConfig | None]:
    from outlay.gateway.document import default_config
    from outlay.gateway.watching import read_file

    path = chosen.gateway_config
    try:
        config = read_file(path, os.environ) if path else default_config(os.environ)
    except ConfigError as error:
        said = f"{error.where}: {error.message}" if error.where else error.message
        yield Finding("gateway config", "fail", said, error.hint)
        return None
    names = _some(config.upstreams)
    where = path or "no file, so the well-known providers"
    yield Finding("gateway config", "ok", f"{where}: {len(config.upstreams)} upstreams: {names}")
    return config


def _credentials(config: GatewayConfig, *, explicit: bool) -> Iterator[Finding]:
    """Tell which credentials are there, by their names alone."""
    found: list[str] = []
    missing: list[str] = []
    places = [(name, one.credential) for name, one in config.upstreams.items()]
    for tenant in config.tenants.values():
        places += [(f"{name} of {tenant.tenant}", one) for name, one in tenant.credentials.items()]
    for name, credential in places:
        if credential is None:
            continue
        problem = _missing(credential)
        (missing if problem else found).append(f"{name}: {problem}" if problem else name)
    if missing and explicit:
        yield Finding(
            "gateway credentials", "warn", _some(missing, "; "),
            "Set them where the gateway runs, or take these out of its configuration.",
        )  # fmt: skip
    elif found:
        yield Finding("gateway credentials", "ok", f"found of {_some(found)}")
    elif missing:
        yield Finding(
            "gateway credentials", "ok", "no provider's usual variable is set here",
            "A gateway needs them where it runs, such as OPENAI_API_KEY.",
        )  # fmt: skip


def _missing(credential: Credential) -> str:
    """Return what of a credential is not there; empty: all of it is, as far as it can be seen."""
    aws = credential.aws
    if aws is None:
        return "" if credential.secret is None else _missing_secret(credential.secret)
    if importlib.util.find_spec("botocore") is None:
        return "Signing needs botocore: pip install 'outlay[bedrock]'"
    secrets = (aws.access_key, aws.secret_key, aws.session_token)
    return next((said for one in secrets if one and (said := _missing_secret(one))), "")


def _missing_secret(secret: Secret) -> str:
    from outlay.gateway.secret_lookup import NotFoundError, named, read_file, unfit

    if secret.kind == "env":
        value = os.environ.get(secret.name, "").strip()
        problem = unfit(value) if value else "is not set"
    elif secret.kind == "file":
        try:
            read_file(secret.name, ())
            problem = ""
        except NotFoundError as error:
            problem = str(error)
    else:
        problem = "" if shutil.which(secret.argv[0]) else "is not there"
    return f"{named(secret)} {problem}" if problem else ""


def _certificates(config: GatewayConfig) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if not upstream.ca_file:
            continue
        try:
            ssl.create_default_context(cafile=upstream.ca_file)
        except OSError as error:
            why = error.strerror or type(error).__name__
            detail = f"{name}: {upstream.ca_file}: {why}"
            yield Finding("gateway certificates", "fail", detail, "Name a file in PEM form.")


def _some(names: Iterable[str], between: str = ", ") -> str:
    listed = list(names)
    more = len(listed) - SHOWN
    return between.join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
