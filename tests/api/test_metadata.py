"""What a client wants to keep with an order stays as it was sent, or is refused."""

import csv
import io
import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from api.fields import MAX_AMOUNT, MAX_DEPTH
from orders.models import MAX_METADATA, Order
from tests.api.test_api import BODY, assert_refused, post
from tests.builders import everything, make_order, make_product, tamper

pytestmark = pytest.mark.django_db
KEPT = {
    "id": "A-1",
    "address": {"street": "Hauptstraße 5", "lines": ["c/o", "박지민", ""]},
    "taxes": [{"rate": "19 %", "amount": 160, "final": True, "note": None}],
    "most": -MAX_AMOUNT,
}


def nest(levels: int) -> Any:
    return {"deeper": nest(levels - 1)} if levels else "x"


def test_metadata_are_kept_as_they_were_sent(client: Client) -> None:
    make_product("MUG")

    placed = post(client, {**BODY, "metadata": KEPT})

    assert placed.json()["metadata"] == KEPT
    assert client.get(f"/api/orders/{placed.json()['code']}").json()["metadata"] == KEPT
    assert Order.objects.get().metadata == KEPT


def test_the_same_key_with_other_metadata_is_refused(client: Client) -> None:
    make_product("MUG")
    first = post(client, {**BODY, "metadata": {"id": 1, "to": "Ann"}})
    before = everything()

    assert post(client, {**BODY, "metadata": {"to": "Ann", "id": 1}}).json() == first.json()
    assert_refused(post(client, {**BODY, "metadata": {"id": 2, "to": "Ann"}}), 422, "idempotency_key_reused")
    assert_refused(post(client), 422, "idempotency_key_reused")
    assert everything() == before


def test_as_much_and_as_deep_as_is_allowed_is_kept(client: Client) -> None:
    make_product("MUG")
    most = {"x": "€" * ((MAX_METADATA - len('{"x":""}')) // 3)}

    assert post(client, {**BODY, "metadata": most}, key="k1").json()["metadata"] == most
    assert post(client, {**BODY, "metadata": nest(MAX_DEPTH - 1)}, key="k2").status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        {"x": 1.5},
        {"x": float("inf")},
        {"x": 2**53 + 1},
        {"x": "\u0000"},
        {"\u0000": 1},
        {"x": "\ud800"},
        {"\udfff": 1},
        {"x": "y" * MAX_METADATA},
        nest(MAX_DEPTH),
    ],
    ids=range(12),
)
def test_what_would_not_come_back_the_same_is_refused(client: Client, wrong: object) -> None:
    make_product("MUG")

    assert_refused(post(client, {**BODY, "metadata": wrong}), 400, "bad_field")
    assert not Order.objects.exists()


def test_metadata_change_no_more_but_may_be_emptied() -> None:
    order = make_order(metadata={"to": "Ann"})

    with pytest.raises(IntegrityError, match="order_keeps_what_was_agreed"), transaction.atomic():
        Order.objects.update(metadata={"to": "Bob"})
    Order.objects.update(metadata={})

    assert Order.objects.get(pk=order.pk).metadata == {}


@pytest.mark.parametrize("wrong", [["x"], {"x": "y" * 3 * MAX_METADATA}], ids=["list", "long"])
def test_the_database_bounds_them_too(wrong: Any) -> None:
    order = make_order()

    with pytest.raises(IntegrityError, match="order_metadata_is"), transaction.atomic():
        tamper("UPDATE orders_order SET metadata = %s WHERE id = %s", json.dumps(wrong), order.pk)


def test_staff_see_them_on_the_orders_page_and_in_the_export(admin_client: Client) -> None:
    order, bare = make_order(metadata={"to": "박지민"}), make_order()

    export = {"action": "export_orders", "_selected_action": [order.pk, bare.pk]}
    answer: Any = admin_client.post("/admin/orders/order/", export)
    content = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))

    assert [row["metadata"] and json.loads(row["metadata"]) for row in rows] == [{"to": "박지민"}, ""]
    assert "박지민" in admin_client.get(f"/admin/orders/order/{order.pk}/change/").text
    assert "From the client" not in admin_client.get(f"/admin/orders/order/{bare.pk}/change/").text
