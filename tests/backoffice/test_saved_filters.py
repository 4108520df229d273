import pytest
from django.test import Client

from accounts.models import User
from backoffice.models import SavedFilter
from backoffice.saved_filters import MOST
from tests.builders import everything

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"
REVIEW = "attention=review&status__exact=CONFIRMED&o=-6"


def save(client: Client, name: str, query: str = REVIEW, page: str = LIST) -> str:
    return client.post(f"{page}?{query}", {"saved_filter": "yes", "name": name, "query": query}, follow=True).text


def saved() -> list[tuple[str, str, str]]:
    return list(SavedFilter.objects.values_list("page", "name", "query"))


def test_staff_save_filters_and_set_them_again_by_a_link(admin_client: Client) -> None:
    assert "Save these filters as" not in admin_client.get(LIST).text
    assert "Save these filters as" in admin_client.get(f"{LIST}?{REVIEW}").text

    answer = save(admin_client, " To look at <b> ")

    assert "Saved: To look at &lt;b&gt;." in answer
    assert f'<a href="?{REVIEW.replace("&", "&amp;")}">To look at &lt;b&gt;</a>' in admin_client.get(LIST).text
    assert "To look at" not in admin_client.get("/admin/catalog/product/").text


def test_the_same_name_saves_the_filters_anew(admin_client: Client) -> None:
    save(admin_client, "Mine")
    save(admin_client, "Mine", "attention=stuck")
    save(admin_client, "Mine", "active__exact=1", page="/admin/catalog/product/")

    assert saved() == [("orders.order", "Mine", "attention=stuck"), ("catalog.product", "Mine", "active__exact=1")]


def test_words_that_may_name_a_customer_are_not_saved(admin_client: Client) -> None:
    save(admin_client, "Mine", "q=ann%40example.com&p=3&attention=review")

    assert saved() == [("orders.order", "Mine", "attention=review")]


def test_everybody_has_filters_of_their_own(admin_client: Client, client: Client) -> None:
    save(admin_client, "Mine")
    client.force_login(User.objects.create_superuser("eve@example.com"))
    before = everything()

    client.post(LIST, {"saved_filter": "yes", "forget": "Mine", "query": ""})

    assert "Mine" not in client.get(LIST).text
    assert everything() == before


def test_staff_forget_a_filter(admin_client: Client) -> None:
    save(admin_client, "Mine")
    save(admin_client, "Other")

    for name in ("Mine", "Mine", "\0"):  # a repeat, and what is no name, forget nothing else
        answer = admin_client.post(f"{LIST}?{REVIEW}", {"saved_filter": "yes", "forget": name, "query": REVIEW})
        assert answer["Location"] == f"{LIST}?{REVIEW}"

    assert [name for _page, name, _query in saved()] == ["Other"]


@pytest.mark.parametrize("name", ["", "x" * 61, "\0"])
def test_filters_without_a_name_are_not_saved(admin_client: Client, name: str) -> None:
    assert "Nothing was saved" in save(admin_client, name)
    assert saved() == []


@pytest.mark.parametrize("query", ["a=" + "x" * 1_000, "a=" + "\uac00" * 900, "a=" + "%" * 900])
def test_filters_that_no_column_has_room_for_are_not_saved(admin_client: Client, query: str) -> None:
    answer = admin_client.post(LIST, {"saved_filter": "yes", "name": "Mine", "query": query})

    assert answer.status_code in (302, 400)
    assert saved() == []


def test_nobody_forgets_what_has_no_name(admin_client: Client) -> None:
    save(admin_client, "Mine")

    admin_client.post(LIST, {"saved_filter": "yes", "forget": "Mi\0ne", "query": ""})

    assert len(saved()) == 1


def test_there_is_room_for_so_many_and_a_known_name(admin_client: Client) -> None:
    for number in range(MOST):
        save(admin_client, f"Filter {number}")

    assert "forget one" in save(admin_client, "One more")
    save(admin_client, "Filter 1", "attention=stuck")

    assert len(saved()) == MOST
    assert ("orders.order", "Filter 1", "attention=stuck") in saved()


def test_who_may_not_see_a_list_saves_nothing_of_it(client: Client) -> None:
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))

    assert client.post(LIST, {"saved_filter": "yes", "name": "Mine", "query": REVIEW}).status_code == 403
    assert saved() == []
