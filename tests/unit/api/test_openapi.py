"""The description of the API follows from its routes and shapes, and answers have those shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from outlay.api import openapi
from outlay.api.shape import Shape
from tests.unit.api.shaped import Shaped, check
from tests.unit.api.site import Site, event

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def said(site: Site) -> dict[str, Any]:
    return openapi.document(site.app)


def test_the_file_is_what_the_code_says(site: Site) -> None:
    there = (ROOT / "docs" / "openapi.json").read_text("utf-8")
    assert there == openapi.text(site.app), "run: python tools/openapi.py"


def test_it_is_served_to_everybody(site: Site) -> None:
    answer = site.client.get("/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == openapi.text(site.app)


def test_every_endpoint_has_a_shape_and_every_shape_an_endpoint(site: Site) -> None:
    listed = [one.key for one in openapi.endpoints(site.app)]
    assert sorted(listed) == sorted(openapi.all_shapes())


def test_an_endpoint_without_a_shape_is_an_error(site: Site) -> None:
    async def nothing(_request: Any) -> JSONResponse:
        return JSONResponse({})

    site.app.router.routes.append(Route("/v1/new/{which:path}", nothing, methods=["PUT"]))
    with pytest.raises(LookupError, match=r"PUT /v1/new/\{which:path\}"):
        openapi.document(site.app)


def test_parameters_have_the_bounds_of_their_endpoints(said: dict[str, Any]) -> None:
    listed = said["paths"]["/v1/holds"]["get"]["parameters"]
    limit = next(one for one in listed if one["name"] == "limit")
    assert (limit["in"], limit["required"]) == ("query", False)
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    [path] = said["paths"]["/v1/tenants/{tenant_id}"]["get"]["parameters"]
    assert (path["name"], path["in"], path["required"]) == ("tenant_id", "path", True)


def test_what_an_address_cannot_say_is_no_value_of_a_parameter(said: dict[str, Any]) -> None:
    listed = said["paths"]["/v1/prices"]["get"]["parameters"]
    assert {json.dumps(one["schema"]) for one in listed} == {'{"type": "string", "maxLength": 256}'}


@pytest.mark.parametrize(
    ("path", "method", "security"),
    [
        ("/v1/events", "post", [{"bearer": ["ingest"]}]),
        ("/v1/query", "post", [{"bearer": ["read"]}, {"session": ["read"]}]),
        ("/v1/virtual-keys/feed", "get", [{"bearer": ["gateway"]}]),
        ("/healthz", "get", []),
    ],
)
def test_it_says_which_scopes_open_an_endpoint(
    said: dict[str, Any], path: str, method: str, security: list[Any]
) -> None:
    assert said["paths"][path][method]["security"] == security


def test_only_what_is_open_needs_no_scope(site: Site, said: dict[str, Any]) -> None:
    for one in openapi.endpoints(site.app):
        if one.path.startswith("/v1/session"):
            continue  # who signs in or out shows something else than a key
        answer = site.client.request(one.method, one.path)
        is_open = not said["paths"][one.path][one.method.lower()]["security"]
        assert is_open == (answer.status_code != 401), one.key


def test_answers_and_bodies_are_those_of_the_shapes(said: dict[str, Any]) -> None:
    made = said["paths"]["/v1/tenants"]["post"]
    assert made["summary"].startswith("Make a tenant")
    assert list(made["responses"]) == ["201", "default"]
    schema = {"$ref": "#/components/schemas/TenantBody"}
    assert made["requestBody"] == {
        "required": True, "content": {"application/json": {"schema": schema}}
    }  # fmt: skip
    failure = made["responses"]["default"]["content"]["application/json"]["schema"]
    assert failure == {"$ref": "#/components/schemas/Failure"}
    events = said["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert list(events) == ["application/json", "application/x-ndjson"]
    assert "402" in said["paths"]["/v1/holds"]["post"]["responses"]


def test_a_tree_holds_trees_and_a_cell_any_plain_value(said: dict[str, Any]) -> None:
    known = said["components"]["schemas"]
    children = known["TreeNode"]["properties"]["children"]
    assert children["items"] == {"$ref": "#/components/schemas/TreeNode"}
    cells = known["QueryAnswer"]["properties"]["rows"]["items"]["items"]["anyOf"]
    kinds = {one["type"] for one in cells}
    assert kinds == {"string", "integer", "number", "boolean", "null"}


def test_every_reference_leads_somewhere(said: dict[str, Any]) -> None:
    text = json.dumps(said)
    known = said["components"]["schemas"]
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert len(named) > 100
    assert named <= set(known)
    assert not [name for name in known if "." in name or "_" in name], "two types of one name"


def test_the_event_has_the_fields_of_its_schema(said: dict[str, Any]) -> None:
    frozen = ROOT / "src" / "outlay" / "core" / "cost_event_v1.json"
    fields = {one["name"]: one for one in json.loads(frozen.read_text("utf-8"))["fields"]}
    known = said["components"]["schemas"]
    assert set(known["Event"]["properties"]) == {*fields, "adjustments"}
    assert known["Event"]["required"] == [*fields, "adjustments"]
    sent = known["SentEvent"]
    assert set(sent["properties"]) == {n for n, one in fields.items() if not one["enriched"]}
    assert set(sent["required"]) == {n for n, one in fields.items() if one["required"]}


class Part(Struct):
    name: str
    note: str | UnsetType = UNSET


class Whole(Struct):
    parts: list[Part]
    at: int | None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"parts": [], "at": null}', ""),
        ('{"parts": [{"name": "n", "note": "o"}, {"name": "n"}], "at": 1}', ""),
        ('{"parts": []}', "missing required field `at`"),
        ('{"parts": [], "at": "1"}', r"Expected `int \| null`, got `str`"),
        ('{"parts": [], "at": 1, "more": 0}', r"does not know \$\.more"),
        ('{"parts": [{"name": "n"}, {"name": "n", "x": 0}], "at": 1}', r"\$\.parts\[1\]\.x"),
    ],
)
def test_an_answer_of_another_shape_fails(answer: str, says: str) -> None:
    if not says:
        check(answer.encode(), Whole, "GET /whole")
        return
    with pytest.raises(AssertionError, match=says):
        check(answer.encode(), Whole, "GET /whole")


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (Shape(Whole), "missing required field `parts`"),
        (Shape(dict[str, str], status=201), "answers 200, not 201"),
        (None, "has no shape"),
    ],
)
def test_a_test_whose_answer_has_another_shape_than_its_route_fails(
    site: Site, shape: Shape | None, says: str
) -> None:
    shapes = {} if shape is None else {"GET /healthz": shape}
    with TestClient(Shaped(site.app, shapes)) as client, pytest.raises(AssertionError, match=says):
        client.get("/healthz")


def test_answers_of_endpoints_outside_the_router_are_checked_too(site: Site) -> None:
    client = TestClient(Shaped(site.app, {"POST /v1/events": Shape(Whole)}))
    headers = {"Authorization": f"Bearer {site.admin}"}
    with pytest.raises(AssertionError, match="POST /v1/events: "):
        client.post("/v1/events", json=[event(1)], headers=headers)
