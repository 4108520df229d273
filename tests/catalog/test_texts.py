"""A text is stored in one form, however it was typed and wherever it comes in; and a search for a name finds it."""

import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import User
from catalog.catalog_file import read_catalog
from catalog.loading import load_products
from catalog.models import Product, StockMovement
from catalog.search import find_products
from catalog.texts import read_sku, validate_name
from lab.simulation.invoice_file import InvoiceReader, Offer
from orders.models import Order, OrderEvent
from tests.builders import make_order, make_product

pytestmark = pytest.mark.django_db
NFC, NFD = "CAF\u00c9-1", "CAFE\u0301-1"
SKUS = {
    NFC: NFC,
    NFD: NFC,
    f"  {NFD}\u00a0": NFC,
    "\uac00-1": "\uac00-1",
    "\u1100\u1161-1": "\uac00-1",  # the same syllable from two letters
    "\u212b": "\u00c5",  # an Ångström sign is an Å
    "a/b?c#d %e&f+": "a/b?c#d %e&f+",
    "\U0001f375": "\U0001f375",
}
NO_SKUS = {
    "nothing": "",
    "blanks": " \u3000",
    "a no-break space": "MUG\u00a01",
    "an ideographic space": "MUG\u30001",
    "a zero-width space": "MUG\u200b1",
    "a zero-width joiner": "\U0001f469\u200d\U0001f373",
    "a soft hyphen": "MUG\u00ad1",
    "an override of direction": "MUG\u202e1",
    "a tab": "MUG\t1",
    "a bell": "MUG\x071",
    "a line separator": "MUG\u20281",
    "too long": "x" * 65,
}
NAMES = [
    "Th\u00e9\u00a0vert",
    "The\u0301 vert",
    "Cook \U0001f469\u200d\U0001f373 \U0001f469\U0001f3fd\u200d\U0001f373",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with its non-joiner
    "\u0395\u039b\u039b\u0397\u039d\u0399\u039a\u039f\u03a3",
    "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03cc\u03c2 \u03ba\u03b1\u03c6\u03ad\u03c2",
    "STRASSE Stra\u00dfe STRA\u1e9eE",
    "\u0130stanbul \u0131\u015f\u0131k I\u0307",
    "\u017fi\u017fters of \u212airk",
    "\uac00\ubc29",
    "\u1100\u1161\u1107\u1161\u11bc",
    "\ufb01ne \uff34\uff25\uff21 \u2460",
    "100% _wool_ \\ 'a' \"b\"",
    "word " * 39 + "end",
]
NO_NAMES = {"a line break": "Mug\nof tea", "a NUL": "Mug\0", "a bell": "Mug\x07 bell", "a paragraph": "Mug\u2029 tea"}
typed = pytest.mark.parametrize(("text", "sku"), SKUS.items(), ids=map(ascii, SKUS))
bad_sku = pytest.mark.parametrize("text", NO_SKUS.values(), ids=NO_SKUS)


def save_in_admin(sku: str, name: str = "A mug") -> None:
    staff, _ = User.objects.get_or_create(email="staff@example.com", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(staff)
    product = {"sku": sku, "name": name, "price": "5.00", "currency": "GBP", "active": "on"}
    client.post("/admin/catalog/product/add/", product)


def load_from_file(sku: str, name: str = "A mug") -> None:
    quoted = ('"' + cell.replace('"', '""') + '"' for cell in (sku, name, "5.00"))
    load_products(read_catalog(["sku,name,price\n", ",".join(quoted)], currency="GBP").products, stock=1)


def find_by_url(text: str) -> str | None:
    product = Client().get(f"/products/x/{'/'.join(map(quote, text.split('/')))}/", follow=True)
    return product.context["product"].sku if product.status_code == 200 else None


def find_by_api(text: str) -> str | None:
    body = {"email": "ann@example.com", "lines": [{"sku": text, "quantity": 1}], "payment_method": "pm_card_visa"}
    headers = {"Idempotency-Key": uuid4().hex}
    answer = Client().post("/api/orders", body, content_type="application/json", headers=headers).json()
    return answer["lines"][0]["sku"] if "code" in answer else None


def find_by_cart(text: str) -> str | None:
    client = Client()
    client.post("/cart/add/", {"sku": text, "quantity": 1})
    return next(iter(client.session.get("cart", {})), None)


def find_by_stock_file(text: str) -> str | None:
    staff, _ = User.objects.get_or_create(email="staff@example.com", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(staff)
    file = SimpleUploadedFile("stock.csv", f'sku,quantity,reason\n"{text}",1,found'.encode())
    client.post("/admin/catalog/stock/move/", {"token": uuid4(), "file": file})
    movement = StockMovement.objects.filter(reason="found").last()
    return movement.stock.product.sku if movement else None


def find_by_invoice(text: str) -> str | None:
    reader = InvoiceReader(catalogue={sku: Offer(500, True) for sku in Product.objects.values_list("sku", flat=True)})
    line = json.dumps({"invoice": "1", "kind": "sale", "lines": [{"sku": text, "qty": 1}]})
    checkouts = list(reader.read_checkouts([line.encode()]))
    return checkouts[0].body["lines"][0]["sku"] if checkouts else None


ways_in = pytest.mark.parametrize("save", [save_in_admin, load_from_file], ids=lambda save: save.__name__)
ways_to = pytest.mark.parametrize(
    "find",
    [find_by_url, find_by_api, find_by_cart, find_by_stock_file, find_by_invoice],
    ids=lambda find: find.__name__,
)


@typed
@ways_in
def test_a_sku_is_one_product_however_it_is_typed(save: Callable[[str], None], text: str, sku: str) -> None:
    save(text)
    save(sku)

    assert [product.sku for product in Product.objects.all()] == [sku] == [read_sku(text)]


@bad_sku
@ways_in
def test_a_sku_that_can_not_be_seen_and_typed_is_refused(save: Callable[[str], None], text: str) -> None:
    save(text)

    assert not Product.objects.exists()
    with pytest.raises(ValidationError):
        read_sku(text)


@typed
@ways_to
def test_a_product_is_found_however_its_sku_is_typed(find: Callable[[str], str | None], text: str, sku: str) -> None:
    make_product(sku)

    assert find(text) == sku


@bad_sku
@ways_to
def test_a_sku_that_can_not_be_is_not_found(find: Callable[[str], str | None], text: str) -> None:
    make_product("MUG1")
    make_product("MUG")

    assert find(text) is None


@pytest.mark.parametrize("name", NAMES)
@ways_in
def test_a_name_is_stored_wherever_it_comes_in_and_a_search_for_it_finds_it(
    save: Callable[[str, str], None], name: str
) -> None:
    make_product("OTHER", name="Something else")
    save("MUG", name)

    product = Product.objects.get(sku="MUG")
    assert product.name == unicodedata.normalize("NFC", name)
    for query in (name, unicodedata.normalize("NFD", name), product.name, name.split(maxsplit=1)[0]):
        assert list(find_products(query)) == [product]
        assert [found.sku for found in Client().get("/", {"q": query}).context["page"].products] == ["MUG"]


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
@ways_in
def test_a_name_of_more_than_one_line_is_refused(save: Callable[[str, str], None], name: str) -> None:
    save("MUG", name)

    assert not Product.objects.exists()
    with pytest.raises(ValidationError):
        validate_name(name)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (
            "\u03b5\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03bf\u03c3",
            "\u0395\u039b\u039b\u0397\u039d\u0399\u039a\u039f\u03a3",
        ),
        (
            "\u03b5\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03bf\u03c2",
            "\u0395\u039b\u039b\u0397\u039d\u0399\u039a\u039f\u03a3",
        ),
        (
            "\u0395\u039b\u039b\u0397\u039d\u0399\u039a\u039f\u03a3",
            "\u03b5\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03bf\u03c2",
        ),
        ("\u039f\u03a3", "\u03b4\u03bf\u03c3\u03b7"),  # a sigma at the end of what is typed, not of the word
        ("STRA\u1e9eE", "stra\u00dfe"),
        ("CAFE\u0301", "caf\u00e9"),
    ],
)
def test_upper_and_lower_case_are_one_in_a_search(query: str, name: str) -> None:
    product = make_product(name=name)

    assert list(find_products(query)) == [product]


def test_staff_find_a_product_however_it_is_typed(admin_client: Client) -> None:
    product = make_product(NFC, name="Th\u00e9")

    for page in ("product", "stock"):
        for term in (NFC, NFD, "the\u0301"):
            found = admin_client.get(f"/admin/catalog/{page}/", {"q": term}).context["cl"].result_list
            assert [row.pk for row in found] == [product.pk]


def test_a_page_has_one_address_however_its_sku_is_typed(client: Client) -> None:
    product = make_product(NFC, slug="x")

    answer = client.get(f"/products/x/{quote(NFD)}/")

    assert (answer.status_code, answer["Location"]) == (301, product.get_absolute_url())


def test_reasons_notes_and_descriptions_are_in_one_form(admin_client: Client) -> None:
    product, order = make_product(), make_order()
    stock = f"/admin/catalog/stock/{product.pk}/adjust/"
    admin_client.post(stock, {"token": uuid4(), "quantity": 1, "reason": "trouve\u0301"})
    action = {"action": "cancel_orders", "_selected_action": order.pk, "confirmed": "yes", "note": "annule\u0301"}
    admin_client.post("/admin/orders/order/", action)
    changed = {"sku": "MUG", "name": "Mug", "price": 500, "currency": "GBP", "description": "The\u0301\nvert"}
    admin_client.post("/admin/catalog/product/add/", {**changed, "sku": "CUP"})

    assert StockMovement.objects.get(kind="ADJUSTED").reason == "trouv\u00e9"
    assert OrderEvent.objects.get(kind="cancel_requested").data["note"] == "annul\u00e9"
    assert Product.objects.get(sku="CUP").description.splitlines() == ["Th\u00e9", "vert"]
    assert Order.objects.get().status == Order.Status.CANCELLED


@pytest.mark.parametrize("column", ["sku", "name"])
def test_the_database_refuses_another_form(column: str) -> None:
    product = make_product()

    update = f"UPDATE catalog_product SET {column} = %s WHERE id = %s"  # noqa: S608
    with (
        connection.cursor() as cursor,
        pytest.raises(IntegrityError, match=f"product_{column}_is_nfc"),
        transaction.atomic(),
    ):
        cursor.execute(update, [NFD, product.pk])
