import re
from datetime import UTC, datetime, timedelta
from typing import cast
from unittest.mock import patch

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import DjangoAssertNumQueries
from redis import Redis

from accounts.models import User
from orders.models import Order, OrderEvent
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product, stock_of

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def page_of(order: Order) -> str:
    return f"{LIST}{order.pk}/change/"


def count_messages(queue: str) -> int:
    with Redis.from_url(settings.REDIS_URL) as redis:
        return cast(int, redis.llen(f"{settings.REDIS_PREFIX}{queue}"))


def make_confirmed_order() -> Order:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    return finalize_order(code=order.code)


def cancel(client: Client, *orders: Order) -> str:
    asked = {"action": "cancel_orders", "_selected_action": [order.pk for order in orders], "confirmed": "yes"}
    return client.post(LIST, asked, follow=True).text


def process(client: Client, *orders: Order) -> str:
    asked = {"action": "process_orders", "_selected_action": [order.pk for order in orders]}
    return client.post(LIST, asked, follow=True).text


def test_the_order_page_shows_lines_payment_and_one_timeline(admin_client: Client) -> None:
    make_product("MUG", price=255)
    order = make_order({"MUG": 2})
    answer_payment(order, Payment.Status.DECLINED)
    finalize_order(code=order.code)

    page = admin_client.get(page_of(order))

    assert [(entry.source, entry.what) for entry in page.context["timeline"]] == [
        ("Payment", f"First sent to the provider (charge-{order.code})"),
        ("Order", "Placed (total: 5.10 GBP)"),
        ("Stock", "Reserved 2 x MUG"),
        ("Stock", "Released 2 x MUG"),
        ("Order", "Cancelled (reason: card declined)"),
    ]
    for text in (order.code, "The MUG", "2.55 GBP", "5.10 GBP", "Declined", "generic_decline", "Released"):
        assert text in page.text


def test_the_order_page_has_no_field_to_edit(admin_client: Client) -> None:
    page = admin_client.get(page_of(make_order()))

    assert not page.context["adminform"].form.fields
    assert set(re.findall(r'<(?:input|select|textarea)[^>]*name="([^"]+)"', page.text)) == {
        "csrfmiddlewaretoken",
        "_selected_action",
        "action",
    }


def test_posting_a_status_changes_nothing(admin_client: Client) -> None:
    order = make_order()
    before = everything()

    assert admin_client.post(page_of(order), {"status": "CONFIRMED"}).status_code == 403
    assert everything() == before


def test_an_order_is_never_added_or_deleted(admin_client: Client) -> None:
    order = make_order()
    before = everything()

    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}{order.pk}/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": str(order.pk), "post": "yes"})
    assert everything() == before


def test_cancel_asks_before_it_changes_anything(admin_client: Client) -> None:
    order = make_order()
    before = everything()

    answer = admin_client.post(LIST, {"action": "cancel_orders", "_selected_action": str(order.pk)})

    assert "Cancel this order?" in answer.text
    assert order.code in answer.text
    assert everything() == before


def test_cancel_names_the_actor_and_gives_the_stock_back(admin_client: Client, admin_user: User) -> None:
    order = make_order()

    text = cancel(admin_client, order)

    order.refresh_from_db()
    assert (order.status, order.cancel_reason) == ("CANCELLED", "staff")
    assert order.events.get(kind=OrderEvent.Kind.CANCEL_REQUESTED).actor == admin_user
    assert stock_of("MUG") == (10, 0)
    assert f"Cancelled: {order.code}." in text


def test_cancel_reports_each_refusal_and_does_the_others(admin_client: Client) -> None:
    confirmed, unsent, sent = make_confirmed_order(), make_order(), make_order()
    answer_payment(sent, Payment.Status.SENT)

    text = cancel(admin_client, confirmed, unsent, sent)

    assert f"Left as it was, confirmed before: {confirmed.code}." in text
    assert f"Cancelled: {unsent.code}." in text
    assert f"To be cancelled, unless the provider says it is paid: {sent.code}." in text
    statuses = [Order.objects.get(pk=order.pk).status for order in (confirmed, unsent, sent)]
    assert statuses == ["CONFIRMED", "CANCELLED", "PENDING"]


def test_cancel_of_an_order_that_is_paid_says_that_it_was_confirmed(admin_client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)

    assert f"Confirmed: {order.code}." in cancel(admin_client, order)
    assert Order.objects.get(pk=order.pk).status == "CONFIRMED"


def test_processing_now_ends_the_review_and_publishes_the_order(admin_client: Client, admin_user: User) -> None:
    order, confirmed = make_order(), make_confirmed_order()
    Order.objects.filter(pk=order.pk).update(needs_review=True, review_reason="swept 20 times", attempts=21)

    waiting = count_messages("payments")

    text = process(admin_client, order, confirmed)

    assert count_messages("payments") == waiting + 1
    resumed = Order.objects.get(pk=order.pk)
    assert (resumed.needs_review, resumed.review_reason, resumed.attempts) == (False, "", 0)
    assert resumed.sweep_after
    assert order.sweep_after
    assert resumed.sweep_after < order.sweep_after
    assert order.events.get(kind=OrderEvent.Kind.RESUMED).actor == admin_user
    assert f"Taken up again: {order.code}." in text
    assert f"Left as it was, confirmed before: {confirmed.code}." in text


def test_processing_now_is_left_to_the_sweep_while_the_queue_is_down(admin_client: Client) -> None:
    orders = [make_order(), make_order()]

    with patch("orders.admin.process_order", side_effect=OperationalError("no broker")) as publish:
        text = process(admin_client, *orders)

    assert publish.call_count == 1
    assert "The task queue is down: the next sweep takes them up." in text
    assert Order.objects.filter(sweep_after__lte=timezone.now()).count() == 2


def test_too_many_orders_at_once_are_refused(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [make_order(), make_order(), make_order()]
    monkeypatch.setattr("orders.admin.MOST_ORDERS", 2)
    before = everything()

    assert "Nothing was done: select 2 orders at most." in cancel(admin_client, *orders)
    assert "Nothing was done: select 2 orders at most." in process(admin_client, *orders)
    assert everything() == before


@pytest.mark.parametrize(("permission", "status"), [("view_order", "PENDING"), ("change_order", "CANCELLED")])
def test_only_staff_who_may_change_orders_cancel_and_process_them(permission: str, status: str) -> None:
    order = make_order()
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename=permission))
    client = Client()
    client.force_login(staff)
    before = everything()

    assert ("Cancel this order" in client.get(page_of(order)).text) == (status == "CANCELLED")
    process(client, order)
    cancel(client, order)

    assert Order.objects.get(pk=order.pk).status == status
    assert (everything() == before) == (status == "PENDING")


def test_orders_are_found_by_code_and_email(admin_client: Client) -> None:
    ann, bob = make_order(email="ann@example.com"), make_order(email="bob@example.com")

    def find(term: str) -> list[Order]:
        return list(admin_client.get(LIST, {"q": term}).context["cl"].result_list)

    assert find(ann.code) == [ann]
    assert find(f" {bob.code.lower()} ") == [bob]
    assert find(ann.code[:12]) == [ann]
    assert find("BOB@example.com") == [bob]
    assert find("example.com") == []


def test_orders_are_listed_with_their_money_and_payment(admin_client: Client) -> None:
    order = make_confirmed_order()
    make_order()

    page = admin_client.get(LIST, {"status__exact": "CONFIRMED"})

    assert list(page.context["cl"].result_list) == [order]
    for text in (order.code, "ann@example.com", "5.00 GBP", "Succeeded"):
        assert text in page.text


@pytest.mark.parametrize("orders", [5, 50])
def test_the_list_needs_as_many_queries_for_5_orders_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, orders: int
) -> None:
    make_product("MUG", stock=orders)
    for _ in range(orders):
        make_order({"MUG": 1})

    with django_assert_max_num_queries(6):
        assert len(admin_client.get(LIST).context["cl"].result_list) == orders


@pytest.mark.parametrize("lines", [5, 50])
def test_the_order_page_needs_as_many_queries_for_5_lines_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, lines: int
) -> None:
    order = make_order({f"MUG-{number}": 1 for number in range(lines)})

    with django_assert_max_num_queries(10):
        assert len(admin_client.get(page_of(order)).context["lines"]) == lines


def test_each_choice_of_attention_lists_the_pending_orders_that_it_names(admin_client: Client) -> None:
    make_confirmed_order()
    quiet, stuck, review, unknown, given_up = (make_order() for _ in range(5))
    past = timezone.now() - timedelta(seconds=5)
    Order.objects.filter(pk=stuck.pk).update(sweep_after=past)
    Order.objects.filter(pk=review.pk).update(needs_review=True)
    answer_payment(unknown, Payment.Status.SENT)
    Order.objects.filter(pk=given_up.pk).update(sweep_after=None)

    def choose(attention: str) -> list[Order]:
        return list(admin_client.get(LIST, {"attention": attention}).context["cl"].result_list)

    assert choose("stuck") == [stuck]
    assert choose("review") == [review]
    assert choose("unknown") == [unknown]
    assert choose("given_up") == [given_up]
    assert quiet in choose("nonsense")


@pytest.mark.parametrize(
    ("changes", "payment", "plan"),
    [
        ({}, Payment.Status.PENDING, r"The sweep takes it up at [-0-9 :]+ and asks for its payment\."),
        ({"sweep_after": LONG_AGO}, Payment.Status.SENT, r"The sweep takes it up now and asks for its payment\."),
        (
            {"sweep_after": LONG_AGO, "expires_at": LONG_AGO},
            Payment.Status.SENT,
            r"The sweep takes it up now and asks the provider to cancel its payment\.",
        ),
        (
            {"sweep_after": LONG_AGO, "expires_at": LONG_AGO},
            Payment.Status.PENDING,
            r"The sweep takes it up now and cancels it, unpaid\.",
        ),
        ({"sweep_after": LONG_AGO}, Payment.Status.SUCCEEDED, r"The sweep takes it up now and finalizes it\."),
        ({"sweep_after": None}, Payment.Status.SENT, r"Left to a person: .+"),
    ],
)
def test_the_order_page_says_what_happens_next(
    admin_client: Client, changes: dict[str, datetime | None], payment: Payment.Status, plan: str
) -> None:
    order = make_order()
    answer_payment(order, payment)
    Order.objects.filter(pk=order.pk).update(**changes)

    page = admin_client.get(page_of(order))

    assert re.fullmatch(plan, page.context["plans"][0])
    assert page.context["plans"][0] in page.text


def test_the_timeline_has_the_mails_that_went_out_and_the_plan_those_that_did_not(admin_client: Client) -> None:
    order = make_confirmed_order()

    assert re.fullmatch(
        r"The mail that it is confirmed goes out at .+", admin_client.get(page_of(order)).context["plans"][0]
    )
    order.mails.update(sent_at=timezone.now(), attempts=2)

    page = admin_client.get(page_of(order))
    assert page.context["plans"] == []
    assert page.context["timeline"][-1].what == "Told ann@example.com that it is confirmed, after 2 tries"
    assert "Nothing: the order is final." in page.text
