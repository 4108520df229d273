from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client

from catalog.models import Product
from tests.backoffice.staff import log_in_staff
from tests.builders import everything, make_order, make_product, stock_of

pytestmark = pytest.mark.django_db
PRODUCT = {"sku": "CUP", "name": "The CUP", "price": "2.55", "currency": "GBP", "active": "on"}


def product_page(product: Product) -> str:
    return f"/admin/catalog/product/{product.pk}/change/"


def open_form(client: Client, product: Product) -> dict[str, Any]:
    """What the form of a product sends if nothing is changed in it."""
    form = client.get(product_page(product)).context["adminform"].form
    return {name: "" if value is None else value for name, value in form.initial.items()}


def test_a_new_product_has_a_stock_of_none_and_can_receive_a_delivery(admin_client: Client) -> None:
    assert admin_client.get("/admin/catalog/product/add/").context["adminform"].form.initial == {"currency": "GBP"}

    admin_client.post("/admin/catalog/product/add/", PRODUCT)

    assert stock_of("CUP") == (0, 0)
    page = f"/admin/catalog/stock/{Product.objects.get(sku='CUP').pk}/receive/"
    admin_client.post(page, {"quantity": "5", "token": str(uuid4())})
    assert stock_of("CUP") == (5, 0)


def test_saving_a_product_leaves_its_stock_as_it_is(admin_client: Client) -> None:
    product = make_product("CUP", stock=10)
    make_order({"CUP": 3})

    admin_client.post(product_page(product), {**open_form(admin_client, product), "price": "3"})

    assert Product.objects.get(sku="CUP").price == 300
    assert stock_of("CUP") == (10, 3)


def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(admin_client: Client) -> None:
    product = make_product("CUP", price=500)
    stale = open_form(admin_client, product)
    admin_client.post(product_page(product), {**open_form(admin_client, product), "price": "9.00", "active": ""})
    before = everything()
    assert Product.objects.get().price == 900

    answer = admin_client.post(product_page(product), {**stale, "description": "A cup."})

    assert "Somebody else has changed this product. Nothing was saved: open it again." in answer.text
    assert everything() == before


def test_staff_who_may_only_view_a_product_see_it_without_the_forms_own_field() -> None:
    client = log_in_staff("view_product")

    page = client.get(product_page(make_product("CUP")))

    assert page.status_code == 200
    assert "seen" not in page.context["adminform"].readonly_fields
    assert "£5.00" in page.text
    assert ">500<" not in page.text


def test_a_product_for_sale_without_a_price_is_refused(admin_client: Client) -> None:
    answer = admin_client.post("/admin/catalog/product/add/", {**PRODUCT, "price": ""})

    assert answer.context["adminform"].form.errors
    assert not Product.objects.exists()


@pytest.mark.parametrize(
    ("price", "currency", "error"),
    [
        ("2.555", "GBP", "GBP has 2 decimals."),
        ("2.550", "GBP", "GBP has 2 decimals."),
        ("255.0", "JPY", "JPY has 0 decimals."),
        ("12000.5", "KRW", "KRW has 0 decimals."),
        ("5.50", "ISK", "ISK has 0 decimals."),
        ("1250.50", "UGX", "UGX has 0 decimals."),
        ("5.1245", "BHD", "BHD has 3 decimals."),
        ("5.124", "KWD", "This can't be charged: prices go in steps of KWD\xa00.010."),
        ("10000000000", "GBP", "At most £9,999,999,999.99 can be charged."),
        ("2,55", "GBP", "This is no amount. Write it such as 1234.56."),
        ("1e5", "GBP", "This is no amount. Write it such as 1234.56."),
        ("£2.55", "GBP", "This is no amount. Write it such as 1234.56."),
        ("0", "GBP", "The price must be more than 0."),
        ("-1", "GBP", "Ensure this value is greater than or equal to 0."),
    ],
)
def test_a_price_that_can_not_be_charged_is_refused(
    admin_client: Client, price: str, currency: str, error: str
) -> None:
    product = make_product("CUP", price=500)
    before = everything()
    changed = {**open_form(admin_client, product), "price": price, "currency": currency}

    added = admin_client.post(
        "/admin/catalog/product/add/", {**PRODUCT, "sku": "LAMP", "price": price, "currency": currency}
    )
    saved = admin_client.post(product_page(product), changed)

    for answer in (added, saved):
        errors = answer.context["adminform"].form.errors
        assert error in [text for texts in errors.values() for text in texts]
        assert errors.keys() <= {"price", "__all__"}
        assert f'value="{price}"' in answer.text  # what was typed is still there
    assert everything() == before


@pytest.mark.parametrize(
    ("typed", "currency", "minor_units", "shown"),
    [
        ("2.55", "GBP", 255, "2.55"),
        ("1,234.5", "GBP", 123_450, "1234.50"),
        ("255", "JPY", 255, "255"),
        ("12,000", "KRW", 12_000, "12000"),
        ("3000000000", "KRW", 3_000_000_000, "3000000000"),
        ("5", "ISK", 500, "5"),
        ("1250", "UGX", 125_000, "1250"),
        ("5.12", "BHD", 5_120, "5.120"),
        ("9999999999.99", "GBP", 999_999_999_999, "9999999999.99"),
    ],
)
def test_a_price_is_typed_and_shown_in_units_of_its_currency(
    admin_client: Client, typed: str, currency: str, minor_units: int, shown: str
) -> None:
    added = admin_client.post("/admin/catalog/product/add/", {**PRODUCT, "price": typed, "currency": currency})

    assert added.status_code == 302
    product = Product.objects.get()
    assert (product.price, product.currency) == (minor_units, currency)
    form = open_form(admin_client, product)
    assert (form["price"], form["currency"]) == (shown, currency)
    admin_client.post(product_page(product), form)  # saved as it was shown
    product.refresh_from_db()
    assert product.price == minor_units


def test_a_price_is_typed_as_the_language_of_the_page_writes_it(admin_client: Client, settings: LazySettings) -> None:
    settings.LANGUAGES = [*settings.LANGUAGES, ("de", "Deutsch")]
    page = "/admin/catalog/product/add/"
    german = {"Accept-Language": "de"}

    refused = admin_client.post(page, {**PRODUCT, "price": "2.55"}, headers=german)
    admin_client.post(page, {**PRODUCT, "price": "2,55"}, headers=german)

    assert list(refused.context["adminform"].form.errors) == ["price"]
    assert Product.objects.get().price == 255
    assert 'value="2,55"' in admin_client.get(product_page(Product.objects.get()), headers=german).text


@pytest.mark.parametrize("currency", ["ZZZ", "gbp", "XAU"])
def test_a_currency_that_is_none_is_refused(admin_client: Client, currency: str) -> None:
    answer = admin_client.post("/admin/catalog/product/add/", {**PRODUCT, "currency": currency})

    assert "currency" in answer.context["adminform"].form.errors
    assert not Product.objects.exists()


def test_products_are_listed_with_price_and_availability_and_found_by_sku_and_name(admin_client: Client) -> None:
    make_product("MUG-1", price=255, stock=7)
    make_product("LAMP", price=None, active=False)

    page = admin_client.get("/admin/catalog/product/", {"q": "mug"})

    assert [product.sku for product in page.context["cl"].result_list] == ["MUG-1"]
    assert "£2.55" in page.text
    assert "no price" in admin_client.get("/admin/catalog/product/", {"q": "the lamp"}).text
