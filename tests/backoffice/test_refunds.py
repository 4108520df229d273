"""Staff give money back: what is left is shown, each form makes one refund, and each refusal keeps what was typed."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from backoffice.dashboard import read_dashboard
from backoffice.refund_forms import RefundForm
from orders.disputes import record_dispute
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.gateway import ProviderDispute
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from tests.backoffice.staff import assert_refused_once_archived, log_in_staff
from tests.builders import answer_payment, everything, make_order, request_refund, stock_of

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"


@pytest.fixture
def order() -> Order:
    """A confirmed order of three MUGs of ten, at £5.00 each."""
    return make_confirmed_order({"MUG": 3})


def make_confirmed_order(quantities: dict[str, int], **fields: Any) -> Order:
    order = make_order(quantities, **fields)
    answer_payment(order, Payment.Status.SUCCEEDED)
    return finalize_order(code=order.code)


def end_refund(refund: Refund, **answer: str) -> None:
    """As its provider answers: it succeeds, unless a failure code says otherwise."""
    status = Refund.Status.FAILED if answer else Refund.Status.SUCCEEDED
    given = {"failure_code": "expired_card"} if answer else {"provider_id": f"re_{refund.key}"}
    record_answer(refund, status=status, **given)
    record_refund(key=refund.key)


def page_of(order: Order) -> str:
    return f"{LIST}{order.pk}/change/"


def form_of(order: Order) -> str:
    return f"{LIST}{order.pk}/refund/"


def ask(client: Client, order: Order, units: int | str = "", **typed: str) -> Any:
    line = order.lines.get().pk
    fields = {"number": "1", "note": "Broken handles", f"quantity_{line}": str(units), f"restock_{line}": "on"}
    return client.post(form_of(order), {**fields, **typed}, follow=True)


def refuses(client: Client, order: Order, text: str, units: int | str = "", **typed: str) -> None:
    """Nothing is refunded, the page says why, and what was typed is kept."""
    before = everything()
    page = ask(client, order, units, note="Kept <note>", **typed)
    assert text in page.text
    assert "Kept &lt;note&gt;" in page.text
    assert everything() == before


def test_the_form_shows_what_was_charged_given_back_being_given_back_and_left(
    admin_client: Client, order: Order
) -> None:
    end_refund(request_refund(order, units=1))
    request_refund(order, 2, amount=300)

    page = admin_client.get(form_of(order))

    assert page.context["money"] == [
        ("Charged", "£15.00"),
        ("Given back", "£5.00"),
        ("Being given back", "£3.00"),
        ("Taken back by the customer's bank", "£0.00"),
        ("Left", "£7.00"),
    ]
    assert [row.returnable for row in page.context["form"].rows] == [2]
    assert 'name="number" value="3"' in page.text


@pytest.mark.parametrize(("status", "taken", "left"), [("open", "£4.00", "£11.00"), ("won", "£0.00", "£15.00")])
def test_the_form_shows_what_the_bank_has_taken_back_unless_it_came_back(
    admin_client: Client, order: Order, status: Any, taken: str, left: str
) -> None:
    now = timezone.now()
    made = ProviderDispute(
        provider_id="dp_1",
        charge_id=str(order.payment.provider_id),
        amount=400,
        currency="GBP",
        reason="fraudulent",
        status=status,
        respond_by=None,
        created_at=now,
    )
    record_dispute(gateway="stripe", made=made, asked_at=now)

    sums = dict(admin_client.get(form_of(order)).context["money"])

    assert (sums["Charged"], sums["Taken back by the customer's bank"], sums["Left"]) == ("£15.00", taken, left)


def test_units_are_refunded_and_restocked(admin_client: Client, admin_user: User, order: Order) -> None:
    page = ask(admin_client, order, 2)

    refund = Refund.objects.get()
    assert (refund.status, refund.amount) == ("REQUESTED", 1000)
    assert list(refund.lines.values_list("quantity", "restock")) == [(2, True)]
    event = order.events.get(kind="refund_requested")
    assert (event.actor, event.data["note"]) == (admin_user, "Broken handles")
    assert page.redirect_chain == [(page_of(order), 302)]
    assert "Refund 1 of £10.00 is on its way." in page.text


def test_units_that_are_not_ticked_stay_away(admin_client: Client, order: Order) -> None:
    line = order.lines.get().pk
    admin_client.post(form_of(order), {"number": "1", "note": "Broken", f"quantity_{line}": "1"})
    assert list(Refund.objects.get().lines.values_list("quantity", "restock")) == [(1, False)]


def test_an_amount_is_typed_in_units_of_its_currency(admin_client: Client, order: Order) -> None:
    ask(admin_client, order, amount="2.55")
    ask(admin_client, order, 1, number="2", amount="4")
    assert list(Refund.objects.order_by("pk").values_list("amount", flat=True)) == [255, 400]


def test_an_amount_has_the_decimals_of_its_currency(admin_client: Client, order: Order) -> None:
    refuses(admin_client, order, "GBP has 2 decimals.", amount="2.555")
    refuses(admin_client, order, "This is no amount. Write it such as 1234.56.", amount="two")


def test_a_form_that_is_sent_twice_makes_one_refund(admin_client: Client, order: Order) -> None:
    ask(admin_client, order, 3)
    before = everything()
    page = ask(admin_client, order, 3)
    assert "Refund 1 of £15.00 is on its way." in page.text
    assert everything() == before


def test_a_form_that_was_overtaken_asks_again_and_then_makes_the_next_refund(
    admin_client: Client, order: Order
) -> None:
    request_refund(order, units=2)
    refuses(admin_client, order, "Another refund was made meanwhile", 1)
    page = ask(admin_client, order, 1)
    assert 'name="number" value="2"' in page.text
    assert f'name="quantity_{order.lines.get().pk}" value="1"' in page.text
    ask(admin_client, order, 1, number="2")
    assert Refund.objects.count() == 2


def test_each_refusal_is_told_in_words(admin_client: Client, order: Order) -> None:
    refuses(admin_client, order, "This is more than what is left: £15.00.", amount="15.01")
    refuses(admin_client, order, "Choose units to give back, or type an amount", 0)
    refuses(admin_client, order, "Choose units to give back, or type an amount", amount="-1")
    refuses(admin_client, order, "less than or equal to 3", 4)
    refuses(admin_client, order, "greater than or equal to 0", -1)
    refuses(admin_client, order, "The order&#x27;s refunds have changed meanwhile.", 1, number="7")
    request_refund(order, units=2)
    refuses(admin_client, order, "Fewer units are left than you typed", 2, number="2")


def test_an_order_that_is_not_confirmed_is_not_refunded(admin_client: Client) -> None:
    order = make_order({"MUG": 3})
    refuses(admin_client, order, "The order is not confirmed", 1)
    assert form_of(order) not in admin_client.get(page_of(order)).text


def test_an_order_that_was_archived_since_the_form_was_read_is_not_refunded(order: Order, admin_user: User) -> None:
    form = RefundForm({"number": "1", "note": "Broken handles", "amount": "5.00"}, order=order)

    assert_refused_once_archived(form, actor=admin_user)


def test_a_refund_needs_a_note(admin_client: Client, order: Order) -> None:
    before = everything()
    assert "Write a note" in ask(admin_client, order, 1, note=" ").text
    assert everything() == before


def test_all_that_is_left_is_filled_in(admin_client: Client, order: Order) -> None:
    def suggested() -> tuple[str, str]:
        text = admin_client.get(f"{form_of(order)}?rest").text
        units = re.search(r'name="quantity_\d+" value="(\d+)"', text)
        amount = re.search(r'name="amount"(?: value="([^"]*)")?', text)
        assert units
        assert amount
        return units[1], amount[1] or ""

    assert suggested() == ("3", "")
    request_refund(order, units=1)
    assert suggested() == ("2", "")
    request_refund(order, 2, amount=100)
    assert suggested() == ("2", "9.00")


@pytest.mark.parametrize(("permission", "status"), [("change_order", 403), ("refund_order", 200)])
def test_only_staff_who_may_refund_do(order: Order, permission: str, status: int) -> None:
    client = log_in_staff("view_order", permission)
    before = everything()

    assert (form_of(order) in client.get(page_of(order)).text) == (status == 200)
    assert client.get(form_of(order)).status_code == status
    assert ask(client, order, 1).status_code == status
    assert (everything() == before) == (status == 403)


def test_the_order_page_lists_refunds_and_tells_them_in_the_timeline(
    admin_client: Client, admin_user: User, order: Order
) -> None:
    ask(admin_client, order, 2)
    end_refund(Refund.objects.get())
    end_refund(request_refund(order, 2, amount=100, note="Late"), failure_code="expired_card")

    page = admin_client.get(page_of(order))

    told = [entry.what for entry in page.context["timeline"] if "Refund" in entry.what or "Returned" in entry.what]
    assert told == [
        "Refund 1: £10.00 is to go back.",
        "Refund 1: £10.00 went back.",
        "Returned: 2 x MUG",
        "Refund 2: £1.00 is to go back.",
        "Refund 2: £1.00 did not go back: expired_card.",
    ]
    first, second = page.context["refunds"]
    assert (first.units, first.actor, first.note) == ("2 x MUG, back to stock", str(admin_user), "Broken handles")
    assert (second.units, second.amount, second.note) == ("", "£1.00", "Late")
    for text in (f"re_refund-{order.code}-1", "expired_card", "Confirmed, refunded in part", f"pi_{order.code}"):
        assert text in page.text


def test_the_order_page_says_what_is_known_of_an_open_refund_and_what_comes_next(
    admin_client: Client, order: Order
) -> None:
    request_refund(order, units=2)
    Refund.objects.update(requests=2, last_error="the provider answered 503")

    page = admin_client.get(page_of(order))

    assert page.context["open_refunds"] == [
        "Refund 1 of £10.00: the provider has not said yet. The provider was asked 2 times. "
        "Last error: the provider answered 503"
    ]
    assert re.fullmatch(r"The sweep takes refund 1 up at .+ and asks the provider for it\.", page.context["plans"][0])
    assert "Confirmed, refunded" not in page.text


def test_a_confirmed_order_whose_refund_failed_is_marked_reviewed(admin_client: Client, order: Order) -> None:
    end_refund(request_refund(order, units=2), failure_code="expired_card")
    page = admin_client.get(page_of(order))
    assert "Waits for a person: refund 1 failed: expired_card. Mark it reviewed." in page.context["plans"]
    assert 'name="action" value="mark_orders_reviewed"' in page.text

    asked = {"action": "mark_orders_reviewed", "_selected_action": str(order.pk), "confirmed": "yes", "note": "Rang."}
    text = admin_client.post(LIST, asked, follow=True).text

    assert f"Marked reviewed: {order.code}." in text
    order.refresh_from_db()
    assert (order.status, order.needs_review) == ("CONFIRMED", False)
    assert stock_of("MUG") == (7, 0)


def test_what_can_not_be_cancelled_is_said_before_a_note_is_typed(admin_client: Client, order: Order) -> None:
    pending = make_order({"MUG": 1})
    before = everything()

    def choose(*orders: Order) -> str:
        chosen = {"action": "cancel_orders", "_selected_action": [order.pk for order in orders]}
        return admin_client.post(LIST, chosen, follow=True).text

    alone, both = choose(order), choose(order, pending)

    assert f"Not changed, already confirmed: {order.code}. Refund such an order on its page" in alone
    assert 'name="note"' not in alone
    assert f"Not changed, already confirmed: {order.code}." in both
    assert re.findall(r'name="_selected_action" value="(\d+)"', both) == [str(pending.pk)]
    assert everything() == before


def test_orders_are_filtered_by_their_refunds(admin_client: Client, order: Order) -> None:
    part, whole, open_ = (make_confirmed_order({"MUG": 1}) for _ in range(3))
    end_refund(request_refund(part, amount=100))
    end_refund(request_refund(whole, units=1))
    request_refund(open_, units=1)

    def choose(refunds: str) -> list[Order]:
        return list(admin_client.get(LIST, {"refunds": refunds}).context["cl"].result_list)

    assert (choose("part"), choose("whole"), choose("open")) == ([part], [whole], [open_])
    assert order in choose("nonsense")
    text = admin_client.get(LIST).text
    assert "Confirmed, refunded in part" in text
    assert "Confirmed, refunded in whole" in text


def test_the_dashboard_has_what_was_given_back_today_and_what_is_open(order: Order) -> None:
    end_refund(request_refund(order, units=1))
    request_refund(order, 2, units=1)

    figures = {figure.title: figure.value for figure in read_dashboard().figures}

    assert (figures["Given back today, UTC"], figures["Being refunded"]) == ("£5.00", "1")


@pytest.mark.parametrize("refunds", [1, 9])
def test_the_order_page_needs_as_many_queries_for_1_refund_as_for_9(
    admin_client: Client, order: Order, django_assert_max_num_queries: DjangoAssertNumQueries, refunds: int
) -> None:
    for number in range(1, refunds + 1):
        request_refund(order, number, amount=1)

    with django_assert_max_num_queries(14):
        assert len(admin_client.get(page_of(order)).context["refunds"]) == refunds
