import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib import messages
from django.test import Client
from django.utils import timezone
from django.utils.formats import time_format

from accounts.models import User
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from shop.status import describe_order
from tests.builders import answer_payment, everything, make_order, make_product, poison
from tests.shop.customer import assert_sent_to, cart_of, fill_cart, open_checkout

pytestmark = pytest.mark.django_db


def end_order(order: Order, status: Payment.Status) -> Order:
    answer_payment(order, status)
    return finalize_order(code=order.code)


def test_a_declined_card_keeps_the_cart_and_offers_another(client: Client, settings: LazySettings) -> None:
    settings.SHOP_HOLD_ON_DECLINE = 0
    fill_cart(client, MUG=2, CUP=1)
    form = open_checkout(client, payment_method="pm_card_visa_chargeDeclined")
    client.post("/checkout/", form)
    declined = end_order(Order.objects.get(), Payment.Status.DECLINED)

    page = client.get(f"/orders/{declined.code}/").text
    again = client.post(f"/orders/{declined.code}/again/")
    client.post(f"/orders/{declined.code}/again/")

    assert "Your card was declined. No money was taken." in page
    assert "Try another payment method" in page
    assert again["Location"] == "/checkout/"
    assert cart_of(client) == {"MUG": 2, "CUP": 1}
    client.post("/checkout/", open_checkout(client))
    assert Order.objects.exclude(pk=declined.pk).get().total == declined.total
    assert Order.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_declined_order_is_put_aside_and_paid_by_another_card(client: Client) -> None:
    fill_cart(client, MUG=2)
    client.post("/checkout/", open_checkout(client, payment_method="pm_card_visa_chargeDeclined"))
    held = end_order(Order.objects.get(), Payment.Status.DECLINED)
    page = client.get(f"/orders/{held.code}/").text
    assert held.held_until
    until = (
        f'<time datetime="{held.held_until.isoformat()}" data-shown="time">{time_format(held.held_until)} UTC</time>'
    )
    assert f"Your items are put aside until {until}: try another card." in page
    assert 'name="number" value="2"' in page

    form = {"number": 2, "payment_method": "pm_card_visa"}
    for _click in range(2):
        assert_sent_to(client.post(f"/orders/{held.code}/pay/", form), held)

    assert list(Payment.objects.order_by("number").values_list("status", flat=True)) == ["DECLINED", "PENDING"]
    page = client.get(f"/orders/{held.code}/").text
    assert "The payment has not begun yet." in page
    assert "/pay/" not in page
    held.refresh_from_db()
    assert end_order(held, Payment.Status.SUCCEEDED).status == "CONFIRMED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("hold", "is_cancelled"), [(600, False), (0, True)])
def test_a_declined_order_whose_hold_is_yet_to_begin_is_not_said_to_be_cancelled(
    client: Client, hold: int, is_cancelled: bool
) -> None:
    order = make_order(hold_on_decline=hold)
    answer_payment(order, Payment.Status.DECLINED)

    page = client.get(f"/orders/{order.code}/").text

    assert "No money was taken." in page
    assert ("We are cancelling the order." in page) == is_cancelled


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"number": 2, "payment_method": ""}, "Nothing was paid. The details of your card are missing"),
        ({"number": 2, "payment_method": "pm_unknown"}, "Nothing was paid. Choose how to pay."),
        ({"number": "x", "payment_method": "pm_card_visa"}, "Choose how to pay."),
        ({"number": 3, "payment_method": "pm_card_visa"}, "This card was not tried"),
    ],
)
def test_a_card_that_is_not_tried_is_said_to_be(client: Client, form: dict[str, Any], says: str) -> None:
    order = end_order(make_order(hold_on_decline=600), Payment.Status.DECLINED)
    before = everything()

    response = client.post(f"/orders/{order.code}/pay/", form, follow=True)

    assert says in response.text
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_too_many_declined_cards_of_an_order_are_refused_in_words(client: Client, settings: LazySettings) -> None:
    settings.REDIS_PREFIX = uuid4().hex
    settings.DECLINE_LIMITS = {"session": 0, "account": 0, "ip": 1}
    order = end_order(make_order(hold_on_decline=600), Payment.Status.DECLINED)
    client.post(f"/orders/{order.code}/pay/", {"number": 2, "payment_method": "pm_card_visa"})
    order.refresh_from_db()
    end_order(order, Payment.Status.DECLINED)

    response = client.post(f"/orders/{order.code}/pay/", {"number": 3, "payment_method": "pm_card_visa"}, follow=True)

    assert "Too many cards were tried. Nothing was paid: try again in 60 minutes." in response.text
    assert Payment.objects.count() == 2


@pytest.mark.parametrize("status", [None, Payment.Status.SUCCEEDED])
def test_an_order_that_is_not_cancelled_is_not_ordered_again(client: Client, status: Payment.Status | None) -> None:
    order = make_order()
    if status:
        end_order(order, status)

    assert_sent_to(client.post(f"/orders/{order.code}/again/"), order)
    assert cart_of(client) == {}


@pytest.mark.parametrize("name", ["order", "payment"])
def test_an_unknown_status_is_an_error_and_no_tale_that_the_order_is_on_its_way(name: str) -> None:
    order = Order.objects.select_related("payment").get(pk=make_order().pk)
    (order if name == "order" else order.payment).status = "PACKED"

    with pytest.raises(ValueError, match="PACKED"):
        describe_order(order)


def test_status_is_polled_until_it_is_final(client: Client) -> None:
    order = make_order()
    page = f"/orders/{order.code}/status/"

    first = client.get(page)
    again = client.get(page, headers={"If-None-Match": first["ETag"]})
    weak = client.get(page, headers={"If-None-Match": f"W/{first['ETag']}"})
    end_order(order, Payment.Status.SUCCEEDED)
    last = client.get(page, headers={"If-None-Match": first["ETag"]})

    assert 'hx-trigger="every 1s"' in first.text
    assert (again.status_code, again.content, weak.status_code) == (304, b"", 304)
    assert last.status_code == 200
    assert "Confirmed" in last.text
    assert "hx-get" not in last.text


def test_the_page_of_an_order_asks_less_often_the_older_the_order_is() -> None:
    order = make_order()
    for age, seconds in [(0, 1), (60, 3), (600, 10)]:
        order.created_at = timezone.now() - timedelta(seconds=age)
        assert describe_order(order).poll == seconds


def told(order: Order, **payment: Any) -> str:
    Payment.objects.filter(pk=order.payment_id).update(**payment)
    status = describe_order(Order.objects.select_related("payment").get(pk=order.pk))
    return f"{status.title}: {status.text}"


def test_the_page_says_what_the_rows_say_at_each_step() -> None:
    order = make_order()
    assert told(order).startswith("Reserved")
    assert told(order, status="SENT", sent_at=timezone.now(), requests=1).startswith("Paying: We are asking your bank")
    assert "Do not pay again" in told(order, last_error="timeout")
    assert "Do not pay again" in told(order, last_error="", requests=2)
    assert "Do not pay again" in told(order, requests=1, sent_at=timezone.now() - timedelta(minutes=1))
    Order.objects.update(needs_review=True)
    assert "Our staff are checking this order" in told(order)
    assert "Do not pay again" in told(order)
    Order.objects.update(needs_review=False, cancel_reason="customer")
    assert "Do not pay again" in told(order)


@pytest.mark.parametrize(
    ("reason", "status"),
    [("card_declined", "DECLINED"), ("expired", "CANCELLED"), ("customer", "CANCELLED"), ("staff", "CANCELLED")],
)
def test_a_cancelled_order_says_why_and_that_no_money_was_taken(reason: str, status: str) -> None:
    order = make_order()
    code = "expired_card" if status == "DECLINED" else ""
    Payment.objects.update(status=status, sent_at=timezone.now(), decline_code=code)
    Order.objects.update(status="CANCELLED", cancel_reason=reason, finalized_at=timezone.now())

    assert "No money was taken." in told(order)
    assert describe_order(Order.objects.get()).may_retry


def test_a_cancelled_order_that_was_placed_again_is_not_offered_a_second_time(client: Client) -> None:
    declined = end_order(make_order({"MUG": 2}), Payment.Status.DECLINED)
    client.post(f"/orders/{declined.code}/again/")
    client.post("/checkout/", open_checkout(client))
    placed = Order.objects.exclude(pk=declined.pk).get()
    page, before = client.get(f"/orders/{declined.code}/").text, everything()

    again = client.post(f"/orders/{declined.code}/again/")

    assert f'You have ordered again since: <a href="/orders/{placed.code}/">' in page
    assert "Try another payment method" not in page
    assert_sent_to(again, placed)
    assert everything() == before
    assert cart_of(client) == {}
    assert "Try another payment method" in Client().get(f"/orders/{declined.code}/").text


def test_a_cancelled_order_is_offered_again_when_its_second_try_is_cancelled_too(
    client: Client, settings: LazySettings
) -> None:
    settings.SHOP_HOLD_ON_DECLINE = 0
    declined = end_order(make_order({"MUG": 2}), Payment.Status.DECLINED)
    client.post(f"/orders/{declined.code}/again/")
    client.post("/checkout/", open_checkout(client))
    end_order(Order.objects.exclude(pk=declined.pk).get(), Payment.Status.DECLINED)

    client.post(f"/orders/{declined.code}/again/")

    assert cart_of(client) == {"MUG": 2}


def test_a_payment_not_known_to_be_untaken_is_never_said_to_be() -> None:
    order = make_order()
    for status in ("PENDING", "SENT", "ACTION_REQUIRED"):
        for cancel_reason in ("", "customer", "expired"):
            for age in (0, 3600):
                Order.objects.update(
                    cancel_reason=cancel_reason, expires_at=timezone.now() + timedelta(seconds=1800 - age)
                )
                now = timezone.now()
                assert "No money was taken" not in told(order, status=status, sent_at=now, action_required_at=now)


def test_customer_cancels_while_nothing_was_sent(client: Client) -> None:
    order = make_order()

    answer = client.post(f"/orders/{order.code}/cancel/")

    order.refresh_from_db()
    assert_sent_to(answer, order)
    assert (order.status, order.cancel_reason) == ("CANCELLED", "customer")
    assert "You cancelled this order. No money was taken." in client.get(f"/orders/{order.code}/").text


def test_a_customer_is_told_that_an_order_could_not_be_cancelled(client: Client) -> None:
    order = make_order()
    poison(order)
    before = everything()

    answer = client.post(f"/orders/{order.code}/cancel/", follow=True)

    assert answer.redirect_chain == [(f"/orders/{order.code}/", 303)]
    assert answer.status_code == 200
    (message,) = answer.context["messages"]
    assert message.level == messages.ERROR
    assert str(message) in answer.text
    assert everything() == before


def test_a_cancelled_order_whose_money_was_taken_offers_no_second_payment() -> None:
    order = make_order()
    Order.objects.update(status="CANCELLED", cancel_reason="staff", finalized_at=timezone.now())

    text = told(order, status="SUCCEEDED", sent_at=timezone.now(), provider_id="pi_1")

    assert "Your money is to be returned. Do not pay again" in text
    assert not describe_order(Order.objects.get()).may_retry


def test_cancel_of_an_order_that_ended_says_it_was_too_late(client: Client) -> None:
    order = end_order(make_order(), Payment.Status.SUCCEEDED)
    before = everything()

    client.post(f"/orders/{order.code}/cancel/")

    assert "too late" in client.get(f"/orders/{order.code}/").text
    assert everything() == before


def test_an_orders_page_is_private_and_found_by_its_whole_code_only(client: Client) -> None:
    order = make_order()

    answer = client.get(f"/orders/{order.code}/")

    assert "private" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Robots-Tag"] == "noindex"
    assert "ann@example.com" not in answer.text
    for code in (order.pk, order.code[:-1], order.code.lower(), "%00", "261124-00000-00000"):
        assert client.get(f"/orders/{code}/").status_code == 404


def test_the_page_asks_again_without_javascript_while_it_has_to(client: Client) -> None:
    order = make_order()
    refresh = re.compile(r'<noscript><meta http-equiv="refresh"')

    assert refresh.search(client.get(f"/orders/{order.code}/").text)
    end_order(order, Payment.Status.SUCCEEDED)
    assert not refresh.search(client.get(f"/orders/{order.code}/").text)


# --- order history


def test_history_has_ones_own_orders_newest_first(client: Client) -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    bob = User.objects.create_user("bob@example.com", "secret")
    orders = [make_order({"MUG": 1}, user=user) for user in (ann, bob, None, ann)]
    client.force_login(ann)

    answer = client.get("/orders/")

    assert [order for order, _ in answer.context["rows"]] == [orders[3], orders[0]]
    assert orders[1].code not in answer.text
    assert orders[2].code not in answer.text


def test_history_has_the_guest_orders_of_a_verified_email_and_of_no_other(client: Client) -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    bob = User.objects.create_user("bob@example.com", "secret")
    own, guests, _bobs = make_order(user=ann), make_order(), make_order(user=bob)
    make_order(email="bob@example.com")
    client.force_login(ann)

    def read_history() -> list[Order]:
        return [order for order, _ in client.get("/orders/").context["rows"]]

    assert read_history() == [own]
    User.objects.filter(pk=ann.pk).update(verified_email=ann.email)
    assert read_history() == [guests, own]
    User.objects.filter(pk=ann.pk).update(email="new@example.com")
    assert read_history() == [own]


def test_a_strangers_hanging_guest_orders_do_not_keep_the_owner_from_ordering(
    client: Client, settings: LazySettings
) -> None:
    settings.SHOP_MAX_UNPAID = 2
    ann = User.objects.create_user("ann@example.com", "secret", verified_email="ann@example.com")
    strangers = [make_order() for _ in range(2)]
    client.force_login(ann)
    fill_cart(client, MUG=1)

    client.post("/checkout/", open_checkout(client))

    own = Order.objects.get(user=ann)
    assert [order for order, _ in client.get("/orders/").context["rows"]] == [own, *reversed(strangers)]
    assert Order.objects.filter(user=None).count() == 2


def test_history_is_paged_in_a_bounded_number_of_queries(client: Client, django_assert_num_queries: Any) -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    make_product("MUG", stock=100)
    for _ in range(25):
        make_order({"MUG": 1}, user=ann)
    client.force_login(ann)
    client.get("/orders/")

    with django_assert_num_queries(5):  # the session, the user, the count, the orders with their payments, their lines
        first = client.get("/orders/")
    second = client.get("/orders/?page=2")

    assert (len(first.context["rows"]), len(second.context["rows"])) == (20, 5)


def test_history_asks_a_stranger_to_log_in(client: Client) -> None:
    assert client.get("/orders/")["Location"] == "/account/log-in/?next=/orders/"
