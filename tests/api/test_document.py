"""The API's document, its page, its two addresses, and that docs/api.md says the same."""

import json
import re
from http import HTTPStatus
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from api.order_views import PAGE_SIZE
from catalog import search
from tests.api.clients import send
from tests.builders import make_order, make_product

pytestmark = pytest.mark.django_db
METHODS = {"get", "post", "put", "patch", "delete"}
PAGE = (settings.BASE_DIR / "docs" / "api.md").read_text()
ADDRESS = re.compile(r"`([A-Z]+) (/[^`?]+)([^`]*)`")


@pytest.fixture
def document(client: Client) -> Any:
    return client.get("/api/v1/openapi.json").json()


def test_the_document_is_of_openapi_3_1_and_all_it_refers_to_is_there(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    for name in re.findall(r"#/components/schemas/(\w+)", str(document)):
        assert name in document["components"]["schemas"]


def test_a_client_may_send_each_text_that_stands_for_one_left_out(document: Any) -> None:
    fields = [field for schema in document["components"]["schemas"].values() for field in schema["properties"].items()]
    texts = [(name, field) for name, field in fields if isinstance(field.get("default"), str)]

    assert texts
    assert [name for name, field in texts if len(field["default"]) < field.get("minLength", 0)] == []


def test_every_operation_names_its_refusals_as_problems(document: Any) -> None:
    operations = [path[method] for path in document["paths"].values() for method in METHODS & path.keys()]
    assert operations
    for operation in operations:
        refusals = {
            status: it for status, it in operation["responses"].items() if int(status) >= HTTPStatus.BAD_REQUEST
        }
        assert "503" in refusals
        assert all(list(it["content"]) == ["application/problem+json"] for it in refusals.values())


def test_the_page_of_the_document_is_made_of_our_own_files_and_runs_nothing_inline(client: Client) -> None:
    page = client.get("/api/v1/docs")

    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    assert all(source.startswith("/static/") and finders.find(source.removeprefix("/static/")) for source in sources)
    assert re.findall(r"<script(?! src=| type=\"application/json\")|<style|style=", page.text) == []
    assert "script-src 'self';" in page["Content-Security-Policy"]


def test_an_order_has_its_old_address_and_the_one_of_version_1(client: Client) -> None:
    code = make_order().code

    assert client.get(f"/api/orders/{code}").json() == client.get(f"/api/v1/orders/{code}").json()


@pytest.mark.parametrize("path", ["", "v1", "v1/", "v1/nothing", "v2/orders", "v1/orders/1", "docs"])
def test_what_has_no_address_is_not_found_in_json(client: Client, path: str) -> None:
    answer = client.get(f"/api/{path}")

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def list_told() -> dict[str, tuple[set[str], set[str]]]:
    """The parameters of each operation in the page's table, and the fields of its body."""
    table = PAGE[PAGE.index("## Operations") : PAGE.index("## Who asks")]
    return {
        f"{method} {path}": (set(re.findall(r"(\w+)=", query)), set(re.findall(r"`(\w+)`", line.split("|")[4])))
        for line in table.splitlines()
        for method, path, query in ADDRESS.findall(line)
    }


def list_parts(document: Any, operation: Any) -> tuple[set[str], set[str]]:
    """The same of an operation of the document."""
    schemas = document["components"]["schemas"]
    query = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
    names = re.findall(r"#/components/schemas/(\w+)", str(operation.get("requestBody", "")))
    names += [name for body in names for name in re.findall(r"#/components/schemas/(\w+)", str(schemas[body]))]
    return query, {field for name in names for field in schemas[name]["properties"]}


def test_the_page_names_every_operation_with_its_parameters_and_fields(document: Any) -> None:
    operations = {
        f"{method.upper()} {path.removeprefix('/api/v1')}": list_parts(document, them[method])
        for path, them in document["paths"].items()
        for method in METHODS & them.keys()
    }

    assert list_told() == operations
    assert f"200, {PAGE_SIZE} orders" in PAGE
    assert f"200, {search.PAGE_SIZE} products" in PAGE


def test_the_first_order_of_the_page_is_placed_and_answered_as_it_says(client: Client) -> None:
    [body] = re.findall(r"-d '({.*?})'", PAGE.partition("## From a declined card")[0], re.DOTALL)
    [shown] = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    [line] = shown["lines"]
    make_product(line["sku"], price=line["price"], name=line["name"])

    answer = send(client, "orders", json.loads(body), key="first-1")

    told = {"code", "created_at"}
    assert answer.status_code == 201
    assert list(answer.json()) == list(shown)
    assert {**answer.json(), **{name: shown[name] for name in told}} == shown
