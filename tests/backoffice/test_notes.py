"""What staff write about an order, print of it, and find it by."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from audit.models import AuditRun
from audit.services import audit_orders
from catalog.models import StockMovement
from orders.models import Order, OrderEvent
from payments.models import Payment
from tests.builders import everything, make_confirmed, make_order, tamper

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"


def found(client: Client, **query: str) -> list[str]:
    return [order.code for order in client.get(LIST, query).context["cl"].result_list]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_a_finished_order_takes_a_note_and_nothing_else_changes(admin_client: Client) -> None:
    order = make_confirmed()
    page = f"{LIST}{order.pk}/change/"
    assert 'value="Add a note"' in admin_client.get(page).text
    before = {name: rows for name, rows in everything().items() if name != "OrderEvent"}

    asked = {"action": "note_orders", "_selected_action": str(order.pk)}
    assert "Nothing else changes." in admin_client.post(LIST, asked).text
    admin_client.post(LIST, {**asked, "confirmed": "yes", "note": "She <phoned>."})

    event = order.events.get(kind=OrderEvent.Kind.NOTED)
    assert (str(event.actor), event.data) == ("admin@example.com", {"note": "She <phoned>."})
    assert "She &lt;phoned&gt;." in admin_client.get(page).text
    assert {name: rows for name, rows in everything().items() if name != "OrderEvent"} == before
    assert audit_orders()["violations"] == []


def test_an_empty_note_is_not_kept(admin_client: Client) -> None:
    order = make_order()
    before = everything()

    asked = {"action": "note_orders", "_selected_action": str(order.pk), "confirmed": "yes", "note": " "}

    assert "Write a note" in admin_client.post(LIST, asked).text
    assert everything() == before


def test_a_packing_slip_says_what_goes_into_the_parcel_and_no_prices(admin_client: Client, client: Client) -> None:
    order = make_order({"MUG": 2, "CUP": 1}, metadata={"street": "1 <High> Street"})
    assert f'href="{LIST}{order.pk}/slip/"' in admin_client.get(f"{LIST}{order.pk}/change/").text

    slip = admin_client.get(f"{LIST}{order.pk}/slip/").text

    assert order.code in slip
    assert "<td>MUG</td><td>The MUG</td>" in slip
    assert "3 units in all" in slip
    assert "1 &lt;High&gt; Street" in slip
    assert "\u00a3" not in slip
    assert client.get(f"{LIST}{order.pk}/slip/").status_code == 302


def test_an_index_carries_the_search_for_the_beginning_of_an_email() -> None:
    query = str(Order.objects.filter(email__startswith="ann.l").values("pk").order_by().query)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + query.replace("LIKE ann.l%", "LIKE 'ann.l%'"))
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "order_email_prefix" in plan
    assert "Index Cond" in plan


def test_orders_are_listed_by_the_days_of_the_shop_on_which_they_were_placed(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    late, early = make_order(), make_order()
    for order, hour in [(late, 15), (early, 14)]:  # midnight in Seoul is at 15:00
        moment = datetime(2026, 11, 1, hour, tzinfo=UTC)
        tamper("UPDATE orders_order SET created_at = %s, expires_at = %s WHERE id = %s", moment, moment, order.pk)

    assert found(admin_client, placed_from="2026-11-02") == [late.code]
    assert found(admin_client, placed_to="2026-11-01") == [early.code]
    assert found(admin_client, placed_from="2026-11-01", placed_to="2026-11-02") == [late.code, early.code]
    page = admin_client.get(LIST, {"placed_from": "2026-11-01", "status__exact": "PENDING", "q": "2"}).text
    assert '<input type="hidden" name="status__exact" value="PENDING">' in page
    assert '<input type="hidden" name="q" value="2">' in page
    assert 'name="placed_from" value="2026-11-01"' in page


@pytest.mark.parametrize("day", ["tomorrow", "2026-02-30", "\0"])
def test_a_day_that_is_none_is_refused(admin_client: Client, day: str) -> None:
    assert admin_client.get(LIST, {"placed_from": day})["Location"].endswith("?e=1")


def test_payments_and_movements_lead_to_their_order(admin_client: Client) -> None:
    order = make_order()
    link = f'<a href="{LIST}?q={order.code}">{order.code}</a>'
    payment, movement = Payment.objects.get(), StockMovement.objects.get(reference=order.code)

    pages: list[Any] = [
        admin_client.get(f"/admin/payments/payment/{payment.pk}/change/"),
        admin_client.get(f"/admin/catalog/stockmovement/{movement.pk}/change/"),
        admin_client.get("/admin/catalog/stockmovement/"),
    ]

    assert [link in page.text for page in pages] == [True] * 3


def test_the_report_of_an_audit_is_in_words_and_leads_to_the_orders(admin_client: Client) -> None:
    found = {"invariant": "A2", "detail": "a total is <wrong>", "codes": ["261124-7K3QM-9XZ2F", "MUG"]}
    run = AuditRun.objects.create(ok=False, report={"ok": False, "checked": {"orders": 7}, "violations": [found]})

    page = admin_client.get(f"/admin/audit/auditrun/{run.pk}/change/").text

    link = f'<a href="{LIST}?q=261124-7K3QM-9XZ2F">261124-7K3QM-9XZ2F</a>'
    assert f"<strong>A2</strong> a total is &lt;wrong&gt;: {link}, MUG" in page
    assert "orders: 7" in page
