"""What staff see of a dispute, and how its order's review ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from backoffice.dashboard import read_dashboard
from orders.disputes import record_dispute
from orders.models import Order
from orders.services import finalize_order
from payments.dispute_models import Dispute
from payments.gateway import ProviderDispute
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture
def order() -> Order:
    placed = make_order()
    answer_payment(placed, Payment.Status.SUCCEEDED)
    return finalize_order(code=placed.code)


def dispute(order: Order, status: Any = "open", **facts: Any) -> Dispute:
    order.payment.refresh_from_db()
    now = timezone.now()
    said: dict[str, Any] = {"provider_id": "dp_1", "charge_id": order.payment.provider_id, "amount": 300}
    said |= {"currency": "GBP", "reason": "fraudulent", "respond_by": now + DAY, "created_at": now}
    return record_dispute(gateway="stripe", made=ProviderDispute(**said | facts, status=status), asked_at=now)


def read_page(client: Client, order: Order) -> str:
    return client.get(f"/admin/orders/order/{order.pk}/change/").text


def test_the_page_of_the_order_tells_of_a_dispute_and_what_is_next(admin_client: Client, order: Order) -> None:
    known = dispute(order)

    page = read_page(admin_client, order)

    assert "Dispute opened (until: " in page
    assert "amount: £3.00, reason: fraudulent, dispute: dp_1)" in page
    assert f"Answer dispute dp_1 at the provider until {known.respond_by:%Y-%m-%d %H:%M:%S}." in page
    assert "dispute dp_1 is open: fraudulent" in page
    assert "Needs review" in page


@pytest.mark.parametrize("page", ["", "{pk}/change/"])
def test_a_dispute_leads_to_its_order(admin_client: Client, order: Order, page: str) -> None:
    known = dispute(order)

    found = admin_client.get(f"/admin/payments/dispute/{page.format(pk=known.pk)}").text

    assert f'<a href="/admin/orders/order/?q={order.code}">{order.code}</a>' in found


def test_the_review_of_a_confirmed_order_ends_with_a_note(admin_client: Client, admin_user: User, order: Order) -> None:
    dispute(order)
    assert list(Order.objects.in_review()) == [order]
    assert 'value="Mark reviewed"' in read_page(admin_client, order)
    asked = {"action": "mark_orders_reviewed", "_selected_action": str(order.pk), "confirmed": "yes"}

    answer = admin_client.post("/admin/orders/order/", {**asked, "note": "Evidence sent."}, follow=True)

    assert f"Marked reviewed: {order.code}." in answer.text
    order.refresh_from_db()
    assert (order.status, order.needs_review, order.review_reason) == ("CONFIRMED", False, "")
    event = order.events.get(kind="reviewed")
    assert (event.actor, event.data["note"]) == (admin_user, "Evidence sent.")
    before = everything()
    admin_client.post("/admin/orders/order/", {**asked, "note": "Again."})
    assert everything() == before


@pytest.mark.parametrize(("status", "words", "disputed"), [("won", "Won", "0.00"), ("lost", "Lost", "3.00")])
def test_the_outcome_stands_in_the_timeline_and_in_the_export(
    admin_client: Client, order: Order, status: str, words: str, disputed: str
) -> None:
    dispute(order)
    dispute(order, status)

    assert f"reason: fraudulent, dispute: dp_1, outcome: {words})" in read_page(admin_client, order)
    exported = admin_client.post("/admin/orders/order/", {"action": "export_orders", "_selected_action": str(order.pk)})
    header, row = exported.getvalue().decode("utf-8-sig").splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["disputed"] == disputed


def test_disputes_are_listed_and_found_by_code_and_id(admin_client: Client, order: Order) -> None:
    known = dispute(order)
    other = make_order()
    answer_payment(other, Payment.Status.SUCCEEDED)
    lost = dispute(finalize_order(code=other.code), "lost", provider_id="dp_2")

    def shown(**query: str) -> list[Dispute]:
        return list(admin_client.get("/admin/payments/dispute/", query).context["cl"].result_list)

    assert shown() == [lost, known]
    assert shown(q=order.code) == shown(q="dp_1") == shown(status__exact="OPEN") == [known]
    page = admin_client.get(f"/admin/payments/dispute/{known.pk}/change/").text
    assert "£3.00" in page
    assert admin_client.post(f"/admin/payments/dispute/{known.pk}/change/", {"status": "WON"}).status_code == 403


def test_the_dashboard_counts_what_is_open(admin_client: Client, order: Order) -> None:
    def read() -> dict[str, tuple[str, bool]]:
        return {figure.title: (figure.value, figure.alarm) for figure in read_dashboard().figures}

    assert read()["Open disputes"] == read()["Open differences"] == ("0", False)

    dispute(order)

    assert read()["Open disputes"] == ("1", True)
    assert "/admin/payments/dispute/?status__exact=OPEN" in admin_client.get("/admin/orders/order/dashboard/").text
