"""What a customer reads of a refund, which is never more than is known; and how a paid order is cancelled."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from orders.mails import send_due_mails
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.dispute_models import Dispute
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from tests.builders import answer_payment, everything, make_order, request_refund, tamper

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    return make_confirmed_order()


def make_confirmed_order(**fields: Any) -> Order:
    """A confirmed order of three MUGs of ten, at £5.00 each."""
    order = make_order({"MUG": 3}, **fields)
    answer_payment(order, Payment.Status.SUCCEEDED)
    return finalize_order(code=order.code)


def succeed(refund: Refund) -> None:
    record_answer(refund, status=Refund.Status.SUCCEEDED, provider_id=f"re_{refund.key}")
    record_refund(key=refund.key)


def url_of(order: Order, action: str = "") -> str:
    return f"/orders/{order.code}/{action}"


def ask(client: Client, order: Order, number: int = 1) -> str:
    return client.post(url_of(order, "refund/"), {"number": number}, follow=True).text


def test_the_page_says_what_goes_back_and_never_more_than_is_known(client: Client, order: Order) -> None:
    first = request_refund(order, units=2)
    page = client.get(url_of(order))
    assert "your order is confirmed. £10.00 is being refunded." in page.text
    assert "Refunded" not in page.text
    assert 'hx-trigger="every 30s"' in page.text

    succeed(first)
    second = request_refund(order, 2, units=1)
    text = client.get(url_of(order)).text
    assert "Refunded in part" in text
    assert "We have sent £10.00 of £15.00 back to you." in text
    assert "£5.00 is being refunded." in text

    succeed(second)
    text = client.get(url_of(order)).text
    assert "<h2>Refunded</h2>" in text
    assert "We have sent £15.00 of £15.00 back to you." in text
    assert "is being refunded" not in text
    assert "hx-trigger" not in text


def test_the_history_says_what_was_refunded(client: Client) -> None:
    ann = User.objects.create_user("ann@example.com")
    client.force_login(ann)
    part, open_ = make_confirmed_order(user=ann), make_confirmed_order(user=ann)
    succeed(request_refund(part, units=2))
    request_refund(open_, units=1)

    text = client.get("/orders/").text

    assert "Refunded in part" in text
    assert "£10.00 was refunded." in text
    assert "£5.00 is being refunded." in text


@pytest.mark.parametrize(
    ("language", "subject", "told"),
    [
        (
            "en",
            "A refund for your order {code}",
            ["We have sent £10.00 back to you.", "2 x The MUG", "Sent back now: £10.00", "in all: £10.00 of £15.00"],
        ),
        (
            "ko",
            "{code}",
            ["£10.00을(를) 환불해 드렸습니다.", "2 x The MUG", "이번 환불액: £10.00", "전체 환불액: £15.00 중 £10.00"],
        ),
    ],
)
def test_a_refund_is_mailed_with_its_units_and_amounts(language: str, subject: str, told: list[str]) -> None:
    with translation.override(language):
        order = make_confirmed_order()
    succeed(request_refund(order, units=2))

    send_due_mails()

    message: Any = outbox.outbox[-1]
    assert subject.format(code=order.code) in message.subject
    html = message.alternatives[0][0]
    for text in told:
        assert text in message.body
        assert all(part in html for part in text.split(": ", 1)) or text in html
    assert "3 x" not in message.body + html


def test_a_customer_cancels_a_paid_order_after_a_confirmation(
    client: Client, order: Order, settings: LazySettings
) -> None:
    settings.CUSTOMER_REFUND_HOURS = 1
    succeed(request_refund(order, amount=100))
    assert url_of(order, "refund/") in client.get(url_of(order)).text
    before = everything()
    page = client.get(url_of(order, "refund/")).text
    assert "£14.00 is sent back to you" in page
    assert 'name="number" value="2"' in page
    assert everything() == before

    text = ask(client, order, 2)

    assert "£14.00 is being refunded." in text
    assert url_of(order, "refund/") not in text
    refund = Refund.objects.get(number=2)
    assert (refund.amount, list(refund.lines.values_list("quantity", "restock"))) == (1400, [(3, True)])
    before = everything()
    assert "£14.00 is being refunded." in ask(client, order, 2)
    assert everything() == before


def dispute(order: Order, amount: int) -> Dispute:
    made = {"provider_id": f"du_{amount}", "amount": amount, "currency": order.currency, "reason": "fraudulent"}
    opened = {"status": Dispute.Status.OPEN, "opened_at": timezone.now()}
    return Dispute.objects.create(payment=order.payment, gateway="stripe", **made, **opened)


def test_a_customer_is_promised_nothing_that_the_bank_takes_back(
    client: Client, order: Order, settings: LazySettings
) -> None:
    settings.CUSTOMER_REFUND_HOURS = 1
    part = dispute(order, 400)
    assert "£11.00 is sent back to you" in client.get(url_of(order, "refund/")).text

    dispute(order, 1100)

    assert url_of(order, "refund/") not in client.get(url_of(order)).text
    assert "£" not in client.get(url_of(order, "refund/")).text
    refuses(client, order, 1, "Nothing was cancelled just now")
    Dispute.objects.filter(pk=part.pk).update(status=Dispute.Status.WON, closed_at=timezone.now())
    assert "£4.00 is sent back to you" in client.get(url_of(order, "refund/")).text


def refuses(client: Client, order: Order, number: int, text: str) -> None:
    before = everything()
    assert text in ask(client, order, number)
    assert everything() == before


def test_a_cancel_that_comes_too_late_is_refused(client: Client, order: Order, settings: LazySettings) -> None:
    settings.CUSTOMER_REFUND_HOURS = 1
    tamper("UPDATE orders_order SET finalized_at = %s", timezone.now() - timedelta(hours=2))
    assert url_of(order, "refund/") not in client.get(url_of(order)).text
    refuses(client, order, 1, "This order can&#x27;t be cancelled any more.")
    answer = client.get(url_of(order, "refund/"), follow=True)
    assert "This order can&#x27;t be cancelled any more." in answer.text


def test_by_default_only_staff_refund_a_paid_order(client: Client, order: Order) -> None:
    assert url_of(order, "refund/") not in client.get(url_of(order)).text
    refuses(client, order, 1, "This order can&#x27;t be cancelled any more.")


def test_a_cancel_after_somebody_refunded_a_part_is_refused(
    client: Client, order: Order, settings: LazySettings
) -> None:
    settings.CUSTOMER_REFUND_HOURS = 1
    request_refund(order, units=1)
    refuses(client, order, 1, "Nothing was cancelled just now")
    refuses(client, order, 7, "Nothing was cancelled just now")


def test_an_order_without_an_end_is_not_refunded(client: Client, settings: LazySettings) -> None:
    settings.CUSTOMER_REFUND_HOURS = 1
    order = make_order()
    refuses(client, order, 1, "Nothing was cancelled just now")
