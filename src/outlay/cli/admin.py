"""Commands that manage: `tenants` and `keys`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from outlay.cli import render
from outlay.cli.options import Endpoint, Json, KeyOption, client
from outlay.errors import BadRequestError

_TENANT_COLUMNS = [
    ("tenant_id", "tenant"), ("name", "name"), ("plan", "plan"), ("tier", "tier"),
    ("contract_type", "contract"), ("labels", "labels"), ("from", "from"), ("to", "to"),
]  # fmt: skip
_KEY_COLUMNS = [
    ("key_id", "key"), ("name", "name"), ("scopes", "scopes"), ("tenant_id", "tenant"),
    ("created", "created"), ("expires", "expires"), ("revoked", "revoked"),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for name, group in (("tenants", tenants), ("keys", keys)):
        app.add_typer(group, name=name)


tenants = typer.Typer(help="Tenants: who the work is for, effective-dated.", no_args_is_help=True)
keys = typer.Typer(help="API keys: hashed, scoped, revocable.", no_args_is_help=True)


def _ask(
    endpoint: str | None, key: str | None, method: str, path: str, **parts: Any
) -> dict[str, Any]:
    with client(endpoint, key) as server:
        answer: dict[str, Any] = server.call(method, path, **parts)
    return answer


def _show_tenants(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["from"] = render.moment(row.get("valid_from") or None)
        row["to"] = render.moment(row.get("valid_to"))
    render.console.print(render.rows_table(rows, _TENANT_COLUMNS))


@tenants.command("list")
def tenants_list(
    *, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None
) -> None:
    """List the tenants in force now."""
    answer = _ask(endpoint, key, "GET", "/v1/tenants")
    if as_json:
        render.print_json(answer)
    else:
        _show_tenants(answer["tenants"])


@tenants.command("show")
def tenants_show(
    tenant: str, *, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None
) -> None:
    """Show a tenant's versions, oldest first."""
    answer = _ask(endpoint, key, "GET", f"/v1/tenants/{quote(tenant, safe='')}")
    if as_json:
        render.print_json(answer)
    else:
        _show_tenants(answer["history"])


@tenants.command("set")
def tenants_set(
    tenant: str,
    *,
    name: Annotated[str | None, typer.Option("--name")] = None,
    plan: Annotated[str | None, typer.Option("--plan")] = None,
    tier: Annotated[str | None, typer.Option("--tier")] = None,
    contract_type: Annotated[str | None, typer.Option("--contract-type")] = None,
    contract_id: Annotated[str | None, typer.Option("--contract-id")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="key=value")] = None,
    valid_from: Annotated[
        str | None, typer.Option("--from", help="RFC 3339; default: now.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a tenant, or a new version of it that holds from a time on."""
    body: dict[str, Any] = {
        field: value
        for field, value in (
            ("name", name), ("plan", plan), ("tier", tier), ("contract_type", contract_type),
            ("contract_id", contract_id), ("valid_from", valid_from),
        )
        if value is not None
    }  # fmt: skip
    if label:
        pairs = [text.partition("=") for text in label]
        if not all(left and sign for left, sign, _ in pairs):
            raise BadRequestError("A label is written key=value.", where="--label")
        body["labels"] = {left: right for left, _, right in pairs}
    answer = _ask(endpoint, key, "PUT", f"/v1/tenants/{quote(tenant, safe='')}", json=body)
    if as_json:
        render.print_json(answer)
    else:
        _show_tenants([answer.get("tenant", answer)])


@keys.command("list")
def keys_list(*, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None) -> None:
    """List the keys, newest first; secrets are not stored and cannot be shown."""
    answer = _ask(endpoint, key, "GET", "/v1/keys")
    if as_json:
        render.print_json(answer)
        return
    for row in answer["keys"]:
        row["created"] = render.moment(row.get("created_at"))
        row["expires"] = render.moment(row.get("expires_at"))
        row["revoked"] = render.moment(row.get("revoked_at"))
        row["scopes"] = ", ".join(row.get("scopes") or ())
    render.console.print(render.rows_table(answer["keys"], _KEY_COLUMNS))


@keys.command("create")
def keys_create(
    name: str,
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="ingest, read, operate, admin, gateway or portal; may repeat."
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Bind the key to one tenant.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a key; it is shown this once."""
    body = {"name": name, "scopes": scope or ["ingest"], "tenant_id": tenant}
    answer = _ask(endpoint, key, "POST", "/v1/keys", json=body)
    if as_json:
        render.print_json(answer)
    else:
        render.console.print("The key, shown this once; only its hash is kept:")
        render.console.print(f"  {answer['secret']}", soft_wrap=True)


@keys.command("revoke")
def keys_revoke(
    key_id: str, *, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None
) -> None:
    """Revoke a key at once."""
    answer = _ask(endpoint, key, "DELETE", f"/v1/keys/{quote(key_id, safe='')}")
    if as_json:
        render.print_json(answer)
    else:
        render.console.print(f"{render.safe(key_id)} is revoked.")
