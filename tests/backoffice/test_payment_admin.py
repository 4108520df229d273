import pytest
from django.conf import LazySettings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from payments.gateway import get_gateway
from payments.models import Payment
from payments.services import create_payment
from tests.builders import answer_payment, everything, make_order

pytestmark = pytest.mark.django_db
LIST = "/admin/payments/payment/"


def test_a_payment_is_found_by_reference_and_by_the_id_at_the_provider(admin_client: Client) -> None:
    order, _ = make_order(), make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)

    for term in (order.code, f"pi_{order.code}"):
        assert list(admin_client.get(LIST, {"q": term}).context["cl"].result_list) == [order.payment]
    assert not admin_client.get(LIST, {"q": "pi_"}).context["cl"].result_list


def test_a_payment_is_shown_and_nothing_of_it_can_be_changed(admin_client: Client) -> None:
    order = make_order()
    before = everything()
    page = f"{LIST}{order.payment_id}/"

    shown = admin_client.get(f"{page}change/")
    assert not shown.context["adminform"].form.fields
    assert "£5.00" in shown.text
    assert "Answered at" in shown.text
    assert admin_client.post(f"{page}change/", {"status": "SUCCEEDED"}).status_code == 403
    assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert everything() == before


def test_a_payment_leads_to_its_page_at_the_provider_where_its_gateway_has_one(
    admin_client: Client, settings: LazySettings
) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    pages = [LIST, f"{LIST}{order.payment_id}/change/", f"/admin/orders/order/{order.pk}/change/"]
    link = f'href="https://dashboard.stripe.com/test/payments/pi_{order.code}"'
    assert link not in admin_client.get(pages[0]).text  # the sandbox has no such pages

    settings.STRIPE_API_BASE = ""

    for page in pages:
        assert link in admin_client.get(page).text
    settings.PAYMENT_GATEWAYS = {"manual": "payments.manual.ManualGateway"}  # the shop has no Stripe any more
    get_gateway.cache_clear()
    assert link not in admin_client.get(pages[1]).text


@pytest.mark.parametrize("payments", [5, 50])
def test_the_list_needs_as_many_queries_for_5_payments_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, payments: int
) -> None:
    for number in range(payments):
        create_payment(reference=f"order-{number}", number=1, amount=500, currency="GBP", payment_method="pm_card_visa")

    with django_assert_max_num_queries(6):
        assert len(admin_client.get(LIST).context["cl"].result_list) == payments
