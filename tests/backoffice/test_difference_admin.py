from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from audit.models import Difference
from tests.builders import everything, make_order

pytestmark = pytest.mark.django_db
LIST = "/admin/audit/difference/"
WHY = "It is the till's money."


def make_difference(**fields: Any) -> Difference:
    values: dict[str, Any] = {"kind": "missing_here", "gateway": "stripe", "provider_id": f"pi_{timezone.now():%f}"}
    values |= {"amount_there": 700, "currency_there": "GBP", "occurred_at": timezone.now()}
    return Difference.objects.create(**values | fields)


def make_member(*permissions: str) -> Client:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(staff)
    return client


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
    member = make_member("view_difference")
    before = list(Difference.objects.values())

    assert "Mark reviewed" not in member.get(f"{LIST}{difference.pk}/change/").text
    assert member.get(f"{LIST}{difference.pk}/remedy/{name}/").status_code == 403
    assert member.post(f"{LIST}{difference.pk}/remedy/{name}/", {"note": WHY}).status_code == 403

    assert list(Difference.objects.values()) == before


def test_a_remedy_that_is_unknown_is_no_page(admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}{make_difference().pk}/remedy/forget/").status_code == 404
    assert admin_client.get(f"{LIST}999999/remedy/review/").status_code == 404


@pytest.mark.parametrize("differences", [5, 50])
def test_the_list_needs_as_many_queries_for_5_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, differences: int
) -> None:
    for number in range(differences):
        make_difference(provider_id=f"pi_{number}")

    with django_assert_max_num_queries(7):
        assert len(shown(admin_client)) == differences
