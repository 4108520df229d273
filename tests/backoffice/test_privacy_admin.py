"""Staff erase a customer's data, and find what was erased or archived."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from accounts.pseudonyms import make_pseudonym
from orders.models import ArchivedOrder, Order
from orders.services import finalize_order
from payments.models import Payment, Transfer, TransferRefund
from privacy.models import Erasure
from tests.builders import answer_payment, everything, make_order

pytestmark = pytest.mark.django_db
ADD = "/admin/privacy/erasure/add/"
ANN = "ann@example.com"


@pytest.fixture
def staff() -> User:
    return User.objects.create_superuser("staff@example.com")


@pytest.fixture
def browser(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def order() -> Order:
    placed = make_order(email=ANN)
    answer_payment(placed, Payment.Status.SUCCEEDED)
    return finalize_order(code=placed.code)


def test_the_page_says_first_what_would_be_erased(browser: Client, order: Order) -> None:
    before = everything()

    page = browser.post(ADD, {"email": "Ann@example.com"}).content.decode()

    assert "Nothing was erased yet. 1 order and 1 other rows." in page
    assert 'type="submit" class="default" value="Continue"' in page
    assert (everything(), Erasure.objects.count()) == (before, 0)


def test_a_confirmed_erasure_is_done_and_says_who_did_it(browser: Client, order: Order, staff: User) -> None:
    page = browser.post(ADD, {"email": ANN, "confirmed": "on"}, follow=True).content.decode()

    order.refresh_from_db()
    assert order.email == make_pseudonym(ANN)
    assert Erasure.objects.get().actor == staff
    assert (make_pseudonym(ANN) in page, ANN in page) == (True, False)


def test_an_erasure_is_found_by_the_email_that_was_erased(browser: Client, order: Order) -> None:
    browser.post(ADD, {"email": ANN, "confirmed": "on"})

    for text in ("Ann@Example.com", make_pseudonym(ANN)):
        assert browser.get("/admin/privacy/erasure/", {"q": text}).context["cl"].result_count == 1
    assert browser.get("/admin/privacy/erasure/", {"q": "bob@example.com"}).context["cl"].result_count == 0


def test_an_order_that_has_not_ended_is_named(browser: Client) -> None:
    order = make_order(email=ANN)
    before = everything()

    page = browser.post(ADD, {"email": ANN, "confirmed": "on"}).content.decode()

    assert f"These orders have not ended yet: {order.code}." in page
    assert (everything(), Erasure.objects.count()) == (before, 0)


def test_who_may_only_look_erases_nothing(order: Order) -> None:
    looker = User.objects.create_user("looker@example.com", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_erasure"))
    client = Client()
    client.force_login(looker)
    before = everything()

    assert client.get("/admin/privacy/erasure/").status_code == 200
    assert client.post(ADD, {"email": ANN, "confirmed": "on"}).status_code == 403

    assert everything() == before


def test_a_transfer_of_an_archived_order_is_shown(browser: Client) -> None:
    gone = {"reference": "261129-AAAAA-AAAAA", "provider_id": "B-1", "amount": 5, "currency": "GBP"}
    transfer = Transfer.objects.create(**gone, arrived_on="2026-01-01")
    TransferRefund.objects.create(transfer=transfer, key="r-1", amount=5, sent_on="2026-01-02", provider_id="B-2")

    page = browser.get("/admin/payments/transferrefund/").content.decode()

    assert "The order is archived." in page


def test_an_archived_order_is_found_by_its_code(browser: Client) -> None:
    ArchivedOrder.objects.create(code="261129-AAAAA-AAAAA", file="orders-2026-01-01-261129-AAAAA-AAAAA.jsonl")

    page = browser.get("/admin/orders/archivedorder/", {"q": "261129-AAAAA-AAAAA"}).content.decode()

    assert "orders-2026-01-01-261129-AAAAA-AAAAA.jsonl" in page
