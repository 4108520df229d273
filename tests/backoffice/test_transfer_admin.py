from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from backoffice.transfer_forms import ArrivalForm
from orders.models import Order
from orders.services import cancel_order
from payments.models import Payment, Transfer, TransferRefund
from tests.backoffice.staff import assert_refused_once_archived, log_in_staff
from tests.builders import everything, make_order, make_transfer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("transfers")]
RECORD = "/admin/payments/transfer/record/"
REFUNDS = "/admin/payments/transferrefund/"


@pytest.fixture
def order() -> Order:
    return make_order({"MUG": 2}, gateway="manual", payment_method="transfer")


def describe_arrival(order: Order, **changes: str) -> dict[str, str]:
    today = str(timezone.localdate())
    return {"reference": order.code, "amount": "10.00", "provider_id": "B-1", "day": today, "note": "", **changes}


def test_a_transfer_is_recorded_once_and_the_order_goes_on(
    admin_client: Client, admin_user: User, order: Order
) -> None:
    arrival = describe_arrival(order, reference=f" {order.code.lower()} ", note="two lines in the statement")

    first = admin_client.post(RECORD, arrival, follow=True)
    second = admin_client.post(RECORD, arrival, follow=True)

    assert f"£10.00 for {order.code} is recorded. The order is being confirmed." in first.text
    assert "was recorded before: nothing was changed" in second.text
    transfer = Transfer.objects.get()
    assert (transfer.reference, transfer.amount, transfer.actor) == (order.code, 1_000, admin_user)
    assert Payment.objects.get().status == "SENT"
    event = order.events.get(kind="transfer")
    assert (event.actor, event.data["note"]) == (admin_user, "two lines in the statement")


def test_the_order_page_leads_to_the_form_and_tells_of_the_transfer(admin_client: Client, order: Order) -> None:
    page = f"/admin/orders/order/{order.pk}/change/"
    assert RECORD in admin_client.get(page).text
    assert "the customer&#x27;s transfer: nobody is asked" in admin_client.get(page).text
    assert f'value="{order.code}"' in admin_client.get(RECORD, {"reference": order.code}).text

    make_transfer(order, bank_id="B-77")

    text = admin_client.get(page).text
    assert "Transfer recorded (amount: £10.00, the bank&#x27;s reference: B-77)" in text
    assert RECORD not in text


@pytest.mark.parametrize(
    ("amount", "why"),
    [("9.99", "It is £0.01 too little"), ("10.01", "It is £0.01 too much")],
)
def test_a_wrong_amount_is_named_as_to_be_sent_back(admin_client: Client, order: Order, amount: str, why: str) -> None:
    answer = admin_client.post(RECORD, describe_arrival(order, amount=amount), follow=True)

    assert "does not pay it: send it back" in answer.text
    assert why in answer.text
    assert why in admin_client.get(REFUNDS, {"sent": "0"}).text
    assert Payment.objects.get().status == "PENDING"
    dashboard = admin_client.get("/admin/orders/order/dashboard/").text
    assert "Transfers to send back" in dashboard


def test_a_transfer_for_a_cancelled_order_is_named_as_to_be_sent_back(admin_client: Client, order: Order) -> None:
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)

    answer = admin_client.post(RECORD, describe_arrival(order), follow=True)

    assert "The order waits for no money: it is Cancelled." in answer.text
    assert TransferRefund.objects.get().sent_on is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "261129-00000-00000"},
        {"reference": ""},
        {"amount": "0"},
        {"amount": "ten"},
        {"amount": "10.001"},
        {"amount": "99999999999999999999"},
        {"provider_id": ""},
        {"provider_id": "B\u20131"},
        {"day": str(timezone.localdate() + timedelta(days=1))},
        {"day": "yesterday"},
    ],
)
def test_a_form_that_is_wrong_records_nothing(admin_client: Client, order: Order, wrong: dict[str, str]) -> None:
    before = everything()

    answer = admin_client.post(RECORD, describe_arrival(order, **wrong))

    assert "errornote" in answer.text
    assert everything() == before


def test_a_reference_of_the_bank_that_was_recorded_with_another_amount_is_refused(
    admin_client: Client, order: Order
) -> None:
    admin_client.post(RECORD, describe_arrival(order))
    before = everything()

    answer = admin_client.post(RECORD, describe_arrival(order, amount="11.00"))

    assert "was recorded under this reference" in answer.text
    assert everything() == before


def test_a_transfer_for_an_order_that_was_archived_since_the_form_was_read_is_not_recorded(
    order: Order, admin_user: User
) -> None:
    form = ArrivalForm(describe_arrival(order))

    assert_refused_once_archived(form, actor=admin_user)


def test_staff_without_the_permission_record_nothing(order: Order) -> None:
    staff = log_in_staff("view_transfer", "view_transferrefund", "change_order")
    make_transfer(order, 1)
    refund = TransferRefund.objects.get()
    before = everything()

    assert staff.post(RECORD, describe_arrival(order)).status_code == 403
    assert staff.post(f"{REFUNDS}{refund.pk}/send/", {"provider_id": "B-2"}).status_code == 403

    assert everything() == before
    assert RECORD not in staff.get("/admin/payments/transfer/").text


def test_staff_with_the_permission_record_what_they_sent_back(order: Order) -> None:
    staff = log_in_staff("view_transferrefund", "change_transferrefund")
    make_transfer(order, 1)
    refund = TransferRefund.objects.get()
    sent = {"provider_id": "B-back", "day": str(timezone.localdate())}
    assert f"{refund.pk}/send/" in staff.get(f"{REFUNDS}{refund.pk}/change/").text

    for _ in range(2):
        answer = staff.post(f"{REFUNDS}{refund.pk}/send/", sent, follow=True)
        assert "£0.01" in answer.text

    refund.refresh_from_db()
    assert (refund.provider_id, refund.sent_on) == ("B-back", timezone.localdate())
    assert f"{refund.pk}/send/" not in staff.get(f"{REFUNDS}{refund.pk}/change/").text
    again = staff.post(f"{REFUNDS}{refund.pk}/send/", sent | {"provider_id": "B-other"})
    assert "was recorded under this reference" in again.text
