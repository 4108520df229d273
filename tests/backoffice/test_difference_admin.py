from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.surplus import refund_surplus
from audit.tasks import refund_surplus as refund_task
from orders.services import finalize_order
from tests.backoffice.staff import log_in_staff
from tests.builders import everything, make_order
from tests.provider import Provider

pytestmark = pytest.mark.django_db
LIST = "/admin/audit/difference/"
WHY = "It is the till's money."


@pytest.fixture(autouse=True)
def _nobody_takes_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refund_task, "delay", lambda pk: None)


def make_difference(**fields: Any) -> Difference:
    values: dict[str, Any] = {"kind": "missing_here", "gateway": "stripe", "provider_id": f"pi_{timezone.now():%f}"}
    values |= {"amount_there": 700, "currency_there": "GBP", "occurred_at": timezone.now()}
    return Difference.objects.create(**values | fields)


def shown(client: Client, **query: str) -> list[Difference]:
    return list(client.get(LIST, query).context["cl"].result_list)


def test_differences_are_found_by_code_id_and_state(admin_client: Client) -> None:
    mine = make_difference(reference="A")
    gone = make_difference(reference="B", resolution="gone", resolved_at=timezone.now())

    assert shown(admin_client) == [gone, mine]
    assert shown(admin_client, q="A") == [mine]
    assert shown(admin_client, q=gone.provider_id) == [gone]
    assert shown(admin_client, state="open") == [mine]
    assert shown(admin_client, state="resolved") == [gone]


def test_a_difference_shows_both_amounts_and_its_order(admin_client: Client) -> None:
    order = make_order()
    difference = make_difference(reference=order.code, kind="amount_differs", amount_here=500, currency_here="GBP")

    page = admin_client.get(f"{LIST}{difference.pk}/change/").text

    for text in ("£7.00", "£5.00", f"Order {order.code}: Pending", "Mark reviewed"):
        assert text in page
    assert f"/admin/orders/order/{order.pk}/change/" in page


def test_nothing_of_a_difference_can_be_edited(admin_client: Client) -> None:
    difference = make_difference()

    assert admin_client.post(f"{LIST}{difference.pk}/change/", {"note": "x"}).status_code == 403
    assert admin_client.post(f"{LIST}{difference.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403


def test_a_remedy_asks_first_and_wants_a_note(admin_client: Client) -> None:
    difference = make_difference()
    before = list(Difference.objects.values())
    page = f"{LIST}{difference.pk}/remedy/review/"

    assert "The audit accepts the difference as it is" in admin_client.get(page).text
    assert "Nothing was changed" in admin_client.post(page, {"note": " "}).text

    assert list(Difference.objects.values()) == before


def test_a_reviewed_difference_keeps_who_and_why(admin_client: Client, admin_user: User) -> None:
    difference = make_difference()

    answer = admin_client.post(f"{LIST}{difference.pk}/remedy/review/", {"note": WHY}, follow=True)

    assert "The difference is marked reviewed." in answer.text
    assert "Mark reviewed</a>" not in answer.text
    difference.refresh_from_db()
    assert (difference.resolution, difference.actor, difference.note) == ("reviewed", admin_user, WHY)


def test_a_repeat_of_a_remedy_changes_nothing(admin_client: Client) -> None:
    difference = make_difference()
    page = f"{LIST}{difference.pk}/remedy/review/"
    admin_client.post(page, {"note": WHY})
    before = list(Difference.objects.values()), everything()

    answer = admin_client.post(page, {"note": "Again."}, follow=True)

    assert "Not changed, it is resolved already: Reviewed." in answer.text
    assert (list(Difference.objects.values()), everything()) == before


@pytest.mark.parametrize("name", ["review", "adopt", "refund"])
def test_who_may_only_see_differences_resolves_none(name: str) -> None:
    difference = make_difference()
    member = log_in_staff("view_difference")
    before = list(Difference.objects.values())

    assert "Mark reviewed" not in member.get(f"{LIST}{difference.pk}/change/").text
    assert member.get(f"{LIST}{difference.pk}/remedy/{name}/").status_code == 403
    assert member.post(f"{LIST}{difference.pk}/remedy/{name}/", {"note": WHY}).status_code == 403

    assert list(Difference.objects.values()) == before


def test_a_remedy_that_is_unknown_is_no_page(admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}{make_difference().pk}/remedy/forget/").status_code == 404
    assert admin_client.get(f"{LIST}999999/remedy/review/").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_a_charge_made_by_hand_is_adopted_on_its_page(
    admin_client: Client, admin_user: User, provider: Provider
) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    reconcile()
    difference = Difference.objects.get()
    page = f"{LIST}{difference.pk}/change/"
    for button in ("Adopt</a>", "Refund</a>", "Mark reviewed</a>"):
        assert button in admin_client.get(page).text

    answer = admin_client.post(f"{LIST}{difference.pk}/remedy/adopt/", {"note": WHY}, follow=True)

    assert "It is adopted." in answer.text
    assert "Adopt</a>" not in answer.text
    assert finalize_order(code=order.code).status == "CONFIRMED"
    timeline = admin_client.get(f"/admin/orders/order/{order.pk}/change/").text
    assert "Reconciled with the provider" in timeline
    assert (
        f"remedy: Adopted, difference: Charge without a payment, at the provider: {difference.provider_id}" in timeline
    )
    assert "It is the till&#x27;s money." in timeline


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_a_wrong_amount_is_refused_on_its_page(admin_client: Client, provider: Provider) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total - 1)
    reconcile()
    difference = Difference.objects.get()
    before = everything(), list(Difference.objects.values())

    answer = admin_client.post(f"{LIST}{difference.pk}/remedy/adopt/", {"note": WHY}, follow=True)

    assert "Not changed: The order is 500 GBP in minor units, and the provider keeps 499 GBP." in answer.text
    assert (everything(), list(Difference.objects.values())) == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_money_of_no_order_is_refunded_on_its_page(admin_client: Client, provider: Provider) -> None:
    provider.charge_again("T-elsewhere", amount=700)
    reconcile()
    difference = Difference.objects.get()

    answer = admin_client.post(f"{LIST}{difference.pk}/remedy/refund/", {"note": WHY}, follow=True)

    assert "The provider is asked to give the money back" in answer.text
    assert "Being refunded" in answer.text
    assert "Refund</a>" not in answer.text
    refund_surplus(pk=difference.pk)
    assert "Refunded" in admin_client.get(f"{LIST}{difference.pk}/change/").text


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_staff_are_told_when_the_provider_cannot_be_asked(admin_client: Client, provider: Provider) -> None:
    provider.charge_again("T-elsewhere", amount=700)
    reconcile()
    difference = Difference.objects.get()
    provider.control(fault="down")

    answer = admin_client.post(f"{LIST}{difference.pk}/remedy/adopt/", {"note": WHY}, follow=True)

    assert "Not changed, the provider can&#x27;t be asked: " in answer.text


@pytest.mark.parametrize("differences", [5, 50])
def test_the_list_needs_as_many_queries_for_5_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, differences: int
) -> None:
    for number in range(differences):
        make_difference(provider_id=f"pi_{number}")

    with django_assert_max_num_queries(7):
        assert len(shown(admin_client)) == differences
