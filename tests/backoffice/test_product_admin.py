from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from catalog.models import Product
from tests.builders import everything, make_order, make_product, stock_of

pytestmark = pytest.mark.django_db
PRODUCT = {"sku": "CUP", "name": "The CUP", "price": "255", "currency": "GBP", "active": "on"}


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

    admin_client.post(product_page(product), {**open_form(admin_client, product), "price": "300"})

    assert Product.objects.get(sku="CUP").price == 300
    assert stock_of("CUP") == (10, 3)


def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(admin_client: Client) -> None:
    product = make_product("CUP", price=500)
    stale = open_form(admin_client, product)
    admin_client.post(product_page(product), {**open_form(admin_client, product), "price": "900", "active": ""})
    before = everything()
    assert Product.objects.get().price == 900

    answer = admin_client.post(product_page(product), {**stale, "description": "A cup."})

    assert "Somebody else has changed this product. Nothing was saved: open it again." in answer.text
    assert everything() == before


def test_staff_who_may_only_view_a_product_see_it_without_the_forms_own_field() -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_product"))
    client = Client()
    client.force_login(staff)

    page = client.get(product_page(make_product("CUP")))

    assert page.status_code == 200
    assert "seen" not in page.context["adminform"].readonly_fields


def test_a_product_for_sale_without_a_price_is_refused(admin_client: Client) -> None:
    answer = admin_client.post("/admin/catalog/product/add/", {**PRODUCT, "price": ""})

    assert answer.context["adminform"].form.errors
    assert not Product.objects.exists()


@pytest.mark.parametrize(
    ("price", "currency"), [("5124", "KWD"), ("550", "ISK"), ("125050", "UGX"), ("100000000", "GBP")]
)
def test_a_price_that_can_not_be_charged_is_refused(admin_client: Client, price: str, currency: str) -> None:
    product = make_product("CUP", price=500)
    before = everything()
    changed = {**open_form(admin_client, product), "price": price, "currency": currency}

    added = admin_client.post(
        "/admin/catalog/product/add/", {**PRODUCT, "sku": "LAMP", "price": price, "currency": currency}
    )
    saved = admin_client.post(product_page(product), changed)

    for answer in (added, saved):
        assert list(answer.context["adminform"].form.errors) == ["price"]
    assert everything() == before


def test_products_are_listed_with_price_and_availability_and_found_by_sku_and_name(admin_client: Client) -> None:
    make_product("MUG-1", price=255, stock=7)
    make_product("LAMP", price=None, active=False)

    page = admin_client.get("/admin/catalog/product/", {"q": "mug"})

    assert [product.sku for product in page.context["cl"].result_list] == ["MUG-1"]
    assert "£2.55" in page.text
    assert "no price" in admin_client.get("/admin/catalog/product/", {"q": "the lamp"}).text
