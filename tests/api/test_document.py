"""The API's document, its page, and its two addresses."""

import re
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.builders import make_order

pytestmark = pytest.mark.django_db
METHODS = {"get", "post", "put", "patch", "delete"}


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
