"""Every address speaks HTTP alike: its methods, the size of a body, and what caches are told."""

from typing import Any

import pytest
from django.test import Client

from api.protocol import LARGEST_BODY, LARGEST_WITH_LINES
from tests.api.clients import make_token, send
from tests.api.test_api import BODY, assert_refused
from tests.builders import everything, make_order, make_product

pytestmark = pytest.mark.django_db
READ, CHANGED = "GET, HEAD, OPTIONS", "OPTIONS, POST"
CODE = "261124-GH0ST-GH0ST"
ADDRESSES = {
    "products": READ,
    "products/MUG": READ,
    "orders": "GET, HEAD, OPTIONS, POST",
    f"orders/{CODE}": READ,
    f"orders/{CODE}/payments": CHANGED,
    f"orders/{CODE}/cancel": CHANGED,
    f"orders/{CODE}/refunds": CHANGED,
    "events": READ,
    "stock/MUG": READ,
    "stock/MUG/adjustments": CHANGED,
    "openapi.json": READ,
    "docs": READ,
}


def request(client: Client, method: str, path: str) -> Any:
    return client.generic(method, f"/api/v1/{path}", headers={"Authorization": f"Bearer {make_token('orders')}"})


@pytest.mark.parametrize("path", ADDRESSES)
def test_other_methods_are_refused_with_those_that_there_are(client: Client, path: str) -> None:
    for number, method in enumerate(
        {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - {*ADDRESSES[path].split(", ")}
    ):
        refused = client.generic(method, f"/api/v1/{path}", headers={"X-Try": str(number)})
        assert_refused(refused, 405, "method_not_allowed")
        assert refused["Allow"] == ADDRESSES[path]
    asked = client.options(f"/api/v1/{path}")
    assert (asked.status_code, asked["Allow"], asked.content) == (204, ADDRESSES[path], b"")


def test_head_is_a_get_without_its_body(client: Client) -> None:
    make_product("MUG")
    code = make_order().code
    for path in ("products", "products/MUG", f"orders/{code}", "openapi.json", "docs"):
        get, head = client.get(f"/api/v1/{path}"), client.head(f"/api/v1/{path}")
        assert (head.status_code, head.content, head["ETag"]) == (200, b"", get["ETag"])
        assert head["Content-Length"] == str(len(get.content))
        unchanged = client.head(f"/api/v1/{path}", headers={"If-None-Match": get["ETag"]})
        assert unchanged.status_code == 304
    assert_refused_without_body(client.head("/api/v1/orders"), 401)
    assert_refused_without_body(client.head(f"/api/v1/orders/{code}/cancel"), 405)


def assert_refused_without_body(answer: Any, status: int) -> None:
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (status, b"", "application/problem+json")


@pytest.mark.parametrize(
    ("path", "largest"),
    [
        ("orders", LARGEST_WITH_LINES),
        (f"orders/{CODE}/refunds", LARGEST_WITH_LINES),
        (f"orders/{CODE}/payments", LARGEST_BODY),
        (f"orders/{CODE}/cancel", LARGEST_BODY),
        ("stock/MUG/adjustments", LARGEST_BODY),
        ("products", LARGEST_BODY),
    ],
)
def test_a_longer_body_than_any_call_needs_is_refused_unread(client: Client, path: str, largest: int) -> None:
    before = everything()

    # Only its length is told: there is nothing to read.
    answer = client.generic("POST", f"/api/v1/{path}", b"", "application/json", CONTENT_LENGTH=str(largest + 1))
    longest = client.generic("POST", f"/api/v1/{path}", b"{" + b" " * (largest - 1), "application/json")

    assert_refused(answer, 413, "body_too_large")
    assert longest.status_code != 413
    assert everything() == before


@pytest.mark.parametrize("length", ["x", "-1", "+2", "1_0", " 2", "2, 2", "\u0662", "9" * 5_000])
@pytest.mark.parametrize("path", ["orders", f"orders/{CODE}/refunds", "products"])
def test_a_length_that_is_no_number_is_refused(client: Client, path: str, length: str) -> None:
    before = everything()

    answer = client.generic("POST", f"/api/v1/{path}", b"{}", "application/json", CONTENT_LENGTH=length)

    assert_refused(answer, 400, "bad_content_length")
    assert everything() == before


def test_an_order_of_as_many_lines_as_one_may_have_is_short_enough(client: Client) -> None:
    line = {"sku": "x" * 64, "quantity": 1_000_000}

    answer = send(client, "orders", BODY | {"lines": [line] * 5_000}, token=make_token("unlimited"), key="k1")

    assert answer.status_code != 413
