import re
from datetime import UTC, datetime, timedelta
from typing import cast
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import DjangoAssertNumQueries
from redis import Redis

from accounts.models import User
from orders.mails import send_due_mails
from orders.models import Order, OrderEvent
from orders.services import finalize_order
from payments.models import Payment
from tests.backoffice.staff import log_in_staff
from tests.builders import answer_payment, everything, make_order, make_product, poison, stock_of

pytestmark = pytest.mark.django_db
ACTIONS = {
    "cancel_orders": "Yes, cancel",
    "process_orders": "Yes, process now",
    "mark_orders_reviewed": "Yes, mark reviewed",
}
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


def act_on(client: Client, action: str, *orders: Order, **asked: str) -> str:
    asked = {"confirmed": "yes", "note": "She phoned.", **asked}
    chosen = {"action": action, "_selected_action": [order.pk for order in orders]}
    return client.post(LIST, {**chosen, **asked}, follow=True).text


def cancel(client: Client, *orders: Order) -> str:
    return act_on(client, "cancel_orders", *orders)


def process(client: Client, *orders: Order) -> str:
    return act_on(client, "process_orders", *orders)


def make_order_in_review() -> Order:
    order = make_order()
    Order.objects.filter(pk=order.pk).update(needs_review=True, review_reason="swept 20 times", sweeps=21)
    order.refresh_from_db()
    return order


def test_the_order_page_shows_lines_payment_and_one_timeline(admin_client: Client) -> None:
    make_product("MUG", price=255)
    order = make_order({"MUG": 2})
    answer_payment(order, Payment.Status.DECLINED)
    finalize_order(code=order.code)

    page = admin_client.get(page_of(order))

    assert [(entry.source, entry.what) for entry in page.context["timeline"]] == [
        ("Order", "Placed (total: £5.10)"),
        ("Payment", f"First sent to the provider (charge-{order.code})."),
        ("Stock", "Reserved: 2 x MUG"),
        ("Order", "Cancelled (reason: Card declined)"),
        ("Stock", "Released: 2 x MUG"),
    ]
    for text in (order.code, "The MUG", "£2.55", "£5.10", "Declined", "generic_decline", "Released"):
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


@pytest.mark.parametrize(("action", "button"), ACTIONS.items())
def test_an_action_asks_before_it_changes_anything(admin_client: Client, action: str, button: str) -> None:
    order = make_order_in_review()
    before = everything()

    answer = admin_client.post(LIST, {"action": action, "_selected_action": str(order.pk)})

    for text in (order.code, f'value="{button}"', 'name="note"'):
        assert text in answer.text
    assert everything() == before


@pytest.mark.parametrize("action", ["cancel_orders", "mark_orders_reviewed"])
@pytest.mark.parametrize(
    ("note", "error"),
    [
        ("", "Write a note: it is kept in the order&#x27;s timeline."),
        (" \n ", "Write a note: it is kept in the order&#x27;s timeline."),
        ("x" * 501, "Ensure this value has at most 500 characters (it has 501)."),
        ("\0", "Null characters are not allowed."),
    ],
)
def test_an_action_without_a_good_reason_is_asked_again_and_changes_nothing(
    admin_client: Client, action: str, note: str, error: str
) -> None:
    order = make_order_in_review()
    before = everything()

    text = act_on(admin_client, action, order, note=note)

    assert error in text
    assert 'name="note"' in text
    assert everything() == before


@pytest.mark.parametrize("action", ACTIONS)
def test_the_reason_is_kept_in_the_event_with_its_actor_and_shown(
    admin_client: Client, admin_user: User, action: str
) -> None:
    order = make_order_in_review()

    text = act_on(admin_client, action, order, note=" She <phoned>. ")

    event = order.events.get(kind__in=["cancel_requested", "resumed", "reviewed"])
    assert (event.data["note"], event.actor) == ("She <phoned>.", admin_user)
    assert "She &lt;phoned&gt;." in text


def test_processing_now_needs_no_reason_and_keeps_none(admin_client: Client) -> None:
    order = make_order()

    act_on(admin_client, "process_orders", order, note="")

    assert order.events.get(kind=OrderEvent.Kind.RESUMED).data == {}


def test_an_order_is_marked_reviewed_once(admin_client: Client) -> None:
    order, other, confirmed = make_order_in_review(), make_order(), make_confirmed_order()

    text = act_on(admin_client, "mark_orders_reviewed", order, other, confirmed)

    assert f"Marked reviewed: {order.code}." in text
    assert f"Not changed, no review needed: {other.code}." in text
    assert f"Not changed, already confirmed: {confirmed.code}." in text
    assert not Order.objects.filter(needs_review=True).exists()
    before = everything()
    act_on(admin_client, "mark_orders_reviewed", order, other, confirmed)
    assert everything() == before


def test_the_order_page_has_the_buttons_of_what_can_be_done_to_it(admin_client: Client) -> None:
    def buttons(order: Order) -> list[str]:
        return re.findall(r'name="action" value="(\w+)"', admin_client.get(page_of(order)).text)

    assert buttons(make_order()) == ["process_orders", "cancel_orders", "note_orders"]
    in_review = ["process_orders", "mark_orders_reviewed", "cancel_orders", "note_orders"]
    assert buttons(make_order_in_review()) == in_review
    assert buttons(make_confirmed_order()) == ["note_orders"]


def test_a_customer_never_sees_the_reason(admin_client: Client, client: Client, mailoutbox: list[EmailMessage]) -> None:
    order = make_order()
    cancel(admin_client, order)
    send_due_mails()

    for path in (f"/orders/{order.code}/", f"/orders/{order.code}/status/", f"/api/orders/{order.code}"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "phoned" not in answer.text
    assert "phoned" not in str(mailoutbox[0].message())


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

    assert f"Not changed, already confirmed: {confirmed.code}." in text
    assert f"Cancelled: {unsent.code}." in text
    assert f"To be cancelled, unless the provider says it is paid: {sent.code}." in text
    statuses = [Order.objects.get(pk=order.pk).status for order in (confirmed, unsent, sent)]
    assert statuses == ["CONFIRMED", "CANCELLED", "PENDING"]


def test_an_order_whose_cancellation_fails_is_told_and_does_not_stop_the_others(admin_client: Client) -> None:
    poisoned, healthy = make_order(), make_order()
    poison(poisoned)
    events = list(poisoned.events.values())

    text = cancel(admin_client, poisoned, healthy)

    assert re.search(rf'<li class="error">[^<]*{poisoned.code}', text)
    assert f"Cancelled: {healthy.code}." in text
    statuses = [Order.objects.get(pk=order.pk).status for order in (poisoned, healthy)]
    assert statuses == ["PENDING", "CANCELLED"]
    assert list(poisoned.events.values()) == events
    assert stock_of("MUG") == (10, 1)


def test_cancel_of_an_order_that_is_paid_says_that_it_was_confirmed(admin_client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)

    assert f"Confirmed: {order.code}." in cancel(admin_client, order)
    assert Order.objects.get(pk=order.pk).status == "CONFIRMED"


def test_processing_now_ends_the_review_and_wakes_the_sweep(admin_client: Client, admin_user: User) -> None:
    order, confirmed = make_order_in_review(), make_confirmed_order()

    text = process(admin_client, order, confirmed)

    assert count_messages("sweep") == 1
    resumed = Order.objects.get(pk=order.pk)
    assert (resumed.needs_review, resumed.review_reason, resumed.sweeps) == (False, "", 0)
    assert resumed.sweep_after
    assert order.sweep_after
    assert resumed.sweep_after < order.sweep_after
    assert order.events.get(kind=OrderEvent.Kind.RESUMED).actor == admin_user
    assert f"Taken up again: {order.code}." in text
    assert f"Not changed, already confirmed: {confirmed.code}." in text


def test_processing_now_is_left_to_the_sweep_while_the_queue_is_down(admin_client: Client) -> None:
    orders = [make_order(), make_order()]

    with patch("kombu.messaging.Producer.publish", side_effect=OperationalError("no broker")):
        text = process(admin_client, *orders)

    assert "The task queue is down: the next sweep takes them up." in text
    assert Order.objects.filter(sweep_after__lte=timezone.now()).count() == 2


def test_too_many_orders_at_once_are_refused(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [make_order(), make_order(), make_order()]
    monkeypatch.setattr("backoffice.order_action_admin.MAX_ORDERS", 2)
    before = everything()

    assert "Nothing was done: select 2 orders at most." in cancel(admin_client, *orders)
    assert "Nothing was done: select 2 orders at most." in process(admin_client, *orders)
    assert everything() == before


@pytest.mark.parametrize(("permission", "status"), [("view_order", "PENDING"), ("change_order", "CANCELLED")])
def test_only_staff_who_may_change_orders_cancel_and_process_them(permission: str, status: str) -> None:
    order = make_order()
    client = log_in_staff(permission)
    before = everything()

    assert ("cancel_orders" in client.get(page_of(order)).text) == (status == "CANCELLED")
    process(client, order)
    cancel(client, order)

    assert Order.objects.get(pk=order.pk).status == status
    assert (everything() == before) == (status == "PENDING")


def find_codes(client: Client, words: str) -> list[str]:
    return [order.code for order in client.get(LIST, {"q": words}).context["cl"].result_list]


def test_orders_are_found_by_code_and_email(admin_client: Client) -> None:
    ann, bob = make_order(email="ann@example.com"), make_order(email="bob@example.com")

    assert find_codes(admin_client, ann.code) == [ann.code]
    assert find_codes(admin_client, f" {bob.code.lower()} ") == [bob.code]
    assert find_codes(admin_client, ann.code[:12]) == [ann.code]
    assert find_codes(admin_client, "BOB@example.com") == [bob.code]
    assert find_codes(admin_client, "example.com") == [bob.code, ann.code]
    assert find_codes(admin_client, "carol@example.com") == []


def test_orders_are_listed_with_their_money_and_payment(admin_client: Client) -> None:
    order = make_confirmed_order()
    make_order()

    page = admin_client.get(LIST, {"status__exact": "CONFIRMED"})

    assert list(page.context["cl"].result_list) == [order]
    for text in (order.code, "ann@example.com", "£5.00", "Succeeded"):
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

    with django_assert_max_num_queries(13):
        assert len(admin_client.get(page_of(order)).context["lines"]) == lines


def test_each_choice_of_attention_lists_the_pending_orders_that_it_names(admin_client: Client) -> None:
    make_confirmed_order()
    quiet, stuck, review, unknown, given_up, acting = (make_order() for _ in range(6))
    past = timezone.now() - timedelta(seconds=5)
    Order.objects.filter(pk=stuck.pk).update(sweep_after=past)
    Order.objects.filter(pk=review.pk).update(needs_review=True)
    answer_payment(unknown, Payment.Status.SENT)
    answer_payment(acting, Payment.Status.ACTION_REQUIRED)
    Order.objects.filter(pk=given_up.pk).update(sweep_after=None, needs_review=True)

    def choose(attention: str) -> list[Order]:
        return list(admin_client.get(LIST, {"attention": attention}).context["cl"].result_list)

    assert choose("stuck") == [stuck]
    assert choose("review") == [given_up, review]
    assert choose("unknown") == [unknown]
    assert choose("acting") == [acting]
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
        ({"sweep_after": None, "needs_review": True}, Payment.Status.SENT, r"Waits for a person: .+"),
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


@pytest.mark.parametrize(
    ("answer", "fields", "told"),
    [
        (Payment.Status.SUCCEEDED, {"requests": 1}, "The money was taken: pi_{code}. The provider was asked 1 time."),
        (
            Payment.Status.DECLINED,
            {"requests": 3},
            "The card was declined: generic_decline. The provider was asked 3 times.",
        ),
        (Payment.Status.CANCELLED, {}, "Cancelled at the provider: nothing was taken, and nothing can be."),
        (
            Payment.Status.CANCELLED,
            {"requests": 2, "last_error": "the provider answered 400 x: no"},
            "Cancelled at the provider: nothing was taken, and nothing can be. The provider was asked 2 times."
            " Last error: the provider answered 400 x: no",
        ),
        (Payment.Status.CANCELLED, {"sent_at": None}, "Cancelled before it was sent to the provider."),
    ],
)
def test_the_timeline_has_the_answer_to_the_payment(
    admin_client: Client, answer: Payment.Status, fields: dict[str, int | str | None], told: str
) -> None:
    order = make_order()
    answer_payment(order, answer, **fields, answered_at=timezone.now())

    entry = admin_client.get(page_of(order)).context["timeline"][-1]

    assert (entry.source, entry.what) == ("Payment", told.format(code=order.code))


def test_the_timeline_ends_with_what_is_not_known_yet(admin_client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SENT)
    Payment.objects.update(requests=2, last_error="the provider answered 503")

    text = admin_client.get(page_of(order)).text

    assert "The provider was asked 2 times. Last error: the provider answered 503" in text


def test_the_timeline_says_since_when_the_bank_waits_for_the_customer(admin_client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.ACTION_REQUIRED)

    page = admin_client.get(page_of(order))

    said = [entry.what for entry in page.context["timeline"]]
    assert f"The bank asks the customer to confirm it (charge-{order.code})." in said
    assert "The customer has to confirm it at the bank, and may have done so." in page.text


def test_the_timeline_has_the_mails_that_went_out_and_the_plan_those_that_did_not(admin_client: Client) -> None:
    order = make_confirmed_order()

    assert re.fullmatch(
        r"The mail that it is confirmed goes out at .+", admin_client.get(page_of(order)).context["plans"][0]
    )
    order.mails.update(sent_at=timezone.now(), tries=2)

    page = admin_client.get(page_of(order))
    assert page.context["plans"] == []
    assert page.context["timeline"][-1].what == (
        "ann@example.com was told that the order is confirmed. It took 2 tries."
    )
    assert "Nothing: the order is final." in page.text


@pytest.mark.parametrize("status", Order.Status)
def test_orders_are_found_by_any_part_of_their_code_or_email(admin_client: Client, status: Order.Status) -> None:
    order = make_order(email="mary.ann@example.com")
    make_order(email="bob@example.org")
    if status != Order.Status.PENDING:
        known = Payment.Status.SUCCEEDED if status == Order.Status.CONFIRMED else Payment.Status.DECLINED
        answer_payment(order, known)
        finalize_order(code=order.code)

    for words in (order.code, order.code[3:12].lower(), order.code[-5:], "y.ann@exa", "Mary.Ann@Example.com", "ma"):
        assert find_codes(admin_client, words) == [order.code], words
    for words in ("nn", "%", "50%", "___"):
        assert find_codes(admin_client, words) == [], words


def test_a_search_reads_an_index_and_not_every_order() -> None:
    found = Order.objects.with_text(code="ABC", email="abc")

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of few rows it would be the faster way
        plan = found.explain()

    assert plan.count("Bitmap Index Scan on order_ended_search") == 2
    assert "order_pending_newest_first" in plan
    assert "Seq Scan" not in plan


def test_no_order_waits_long_for_the_index_of_searches() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'order_ended_search'")
        assert cursor.fetchone()[0] == ["gin_pending_list_limit=256"]


def test_an_orders_page_writes_times_in_one_form(admin_client: Client) -> None:
    order = make_confirmed_order()

    page = admin_client.get(page_of(order)).text

    assert page.count(f"{order.created_at:%Y-%m-%d %H:%M:%S}") >= 2, "in the timeline and among the internals"
    assert not re.search(r"[ap]\.m\.", page)


def test_an_orders_page_shows_only_what_says_something_and_first_what_is_next(admin_client: Client) -> None:
    order = make_order()

    page = admin_client.get(page_of(order)).text

    assert page.index('<p class="next">') < page.index("field-state")
    assert "field-cancel_reason" not in page
    assert "field-review" not in page
    Order.objects.update(needs_review=True, review_reason="swept 20 times")
    assert "swept 20 times" in admin_client.get(page_of(order)).text
    cancel(admin_client, order)
    assert "field-cancel_reason" in admin_client.get(page_of(order)).text
