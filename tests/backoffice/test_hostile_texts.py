"""What customers, clients and staff have typed is text wherever staff read it: no page runs it, and no spreadsheet."""

import csv
import json
import re
from io import StringIO

import pytest
from django.test import Client

from accounts.models import User
from orders.models import Order
from orders.notes import add_note
from tests.builders import make_order, make_product, make_transfer

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"
EVIL = """</td></script><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7|add:"35" }}"'`"""
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    '","=1+1',
    "x;=1+1",
    "x\t=1+1",
    "x|=1+1",
    " =1+1",
    "\ufeff=1+1",
    "\uff1d1+1",
]
SIGNS = re.compile(r"[\"\s\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")


@pytest.fixture
def order(admin_user: User) -> Order:
    make_product("<b>MUG</b>", name=EVIL)
    metadata = {EVIL: [EVIL, {EVIL: EVIL}], "address": EVIL}
    order = make_order({"<b>MUG</b>": 1}, email="o'brien+x@example.com", metadata=metadata)
    add_note(code=order.code, actor=admin_user, note=EVIL)
    return order


@pytest.mark.parametrize("page", [f"{LIST}%s/slip/", f"{LIST}%s/change/", LIST, "/admin/", "/admin/catalog/product/"])
def test_no_page_runs_what_somebody_has_typed(admin_client: Client, order: Order, page: str) -> None:
    path = page % order.pk if "%s" in page else page

    text = admin_client.get(path).text

    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text
    assert "<b>MUG</b>" not in text
    if page.endswith("slip/"):
        assert text.count("&lt;img src=x onerror=alert(1)&gt;{{ 7|add:&quot;35&quot; }}") >= 3


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_cell_of_the_export_is_a_formula(admin_client: Client, formula: str, delimiter: str) -> None:
    make_order(metadata={formula: formula, "list": [formula, {"a": formula}]})
    asked = {"action": "export_orders", "select_across": "1", "_selected_action": str(Order.objects.get().pk)}

    answer = admin_client.post(LIST, asked)

    text = b"".join(answer).decode("utf-8-sig")
    cells = [cell for row in csv.reader(StringIO(text), delimiter=delimiter) for cell in row]
    assert [cell for cell in cells if SIGNS.match(cell)] == []
    [row] = csv.DictReader(StringIO(text))
    assert json.loads(row["metadata"].replace("'", "")).keys() == {formula.replace("'", ""), "list"}


def test_words_of_the_bank_are_text(admin_client: Client, admin_user: User) -> None:
    order = make_order()
    make_transfer(order, 1, bank_id=EVIL[:60], note=EVIL, actor=admin_user)

    for page in ("/admin/payments/transfer/", f"{LIST}{order.pk}/change/"):
        text = admin_client.get(page).text
        assert "<img src=x" not in text
        assert "<script>alert" not in text
