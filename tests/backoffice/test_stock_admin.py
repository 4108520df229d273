from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog.models import Product, StockMovement
from tests.backoffice.staff import log_in_staff
from tests.builders import everything, make_order, make_product, stock_of
from tests.catalog.spreadsheets import FORMATS, Format, save_table

pytestmark = pytest.mark.django_db
FILE_PAGE = "/admin/catalog/stock/move/"


def stock_page(product: Product, name: str) -> str:
    return f"/admin/catalog/stock/{product.pk}/{name}/"


def test_adjusting_writes_a_movement_with_its_actor_and_reason(admin_client: Client, admin_user: User) -> None:
    product = make_product(stock=10)
    asked = {"quantity": "-2", "reason": "two broken", "token": str(uuid4())}

    answer = admin_client.post(stock_page(product, "adjust"), asked, follow=True)

    movement = StockMovement.objects.get(kind="ADJUSTED")
    assert (movement.quantity, movement.reason, movement.actor) == (-2, "two broken", admin_user)
    assert stock_of("MUG") == (8, 0)
    assert "On hand now: 8." in answer.text
    assert "two broken" in answer.text


def test_receiving_a_delivery_writes_a_movement_with_its_actor(admin_client: Client, admin_user: User) -> None:
    product = make_product(stock=0)

    admin_client.post(stock_page(product, "receive"), {"quantity": "40", "token": str(uuid4())})

    movement = StockMovement.objects.get(kind="RECEIVED")
    assert (movement.quantity, movement.actor) == (40, admin_user)
    assert stock_of("MUG") == (40, 0)


def test_staff_who_may_change_stock_may_adjust_it() -> None:
    product = make_product(stock=10)

    log_in_staff("change_stock").post(
        stock_page(product, "adjust"), {"quantity": "1", "reason": "found one", "token": str(uuid4())}
    )

    assert stock_of("MUG") == (11, 0)


@pytest.mark.parametrize("page", ["adjust", "receive"])
def test_staff_without_the_permission_are_refused_and_nothing_changes(page: str) -> None:
    product = make_product(stock=10)
    staff = log_in_staff("view_stock")
    before = everything()
    asked = {"quantity": "2", "reason": "found two", "token": str(uuid4())}

    assert staff.get(stock_page(product, page)).status_code == 403
    assert staff.post(stock_page(product, page), asked).status_code == 403
    assert stock_page(product, page) not in staff.get(stock_page(product, "change")).text
    assert everything() == before


@pytest.mark.parametrize("page", ["adjust", "receive"])
def test_a_form_sent_twice_moves_once(admin_client: Client, page: str) -> None:
    product = make_product(stock=10)
    asked = {"quantity": "2", "reason": "found two", "token": str(uuid4())}

    for _ in range(2):
        assert admin_client.post(stock_page(product, page), asked).status_code == 302

    assert stock_of("MUG") == (12, 0)


def test_a_form_filled_in_again_after_it_was_sent_is_refused(admin_client: Client) -> None:
    product = make_product(stock=10)
    asked = {"quantity": "2", "reason": "found two", "token": str(uuid4())}
    admin_client.post(stock_page(product, "adjust"), asked)
    before = everything()

    answer = admin_client.post(stock_page(product, "adjust"), {**asked, "quantity": "3"})

    assert "This form has already moved +2." in answer.text
    assert everything() == before


def test_adjusting_below_what_is_reserved_is_refused_and_nothing_changes(admin_client: Client) -> None:
    product = make_product(stock=10)
    make_order({"MUG": 4})
    before = everything()

    answer = admin_client.post(
        stock_page(product, "adjust"), {"quantity": "-7", "reason": "stolen", "token": str(uuid4())}
    )

    assert answer.context["form"].errors == {"quantity": ["-7 would leave less on hand than is reserved."]}
    assert everything() == before


@pytest.mark.parametrize(
    "wrong", [{"quantity": "0"}, {"quantity": "1000001"}, {"quantity": "1.5"}, {"reason": "  "}, {"token": "mine"}]
)
def test_a_form_with_a_wrong_field_is_refused_and_nothing_changes(admin_client: Client, wrong: dict[str, str]) -> None:
    product = make_product(stock=10)
    before = everything()
    asked = {"quantity": "1", "reason": "found one", "token": str(uuid4()), **wrong}

    answer = admin_client.post(stock_page(product, "adjust"), asked)

    assert list(answer.context["form"].errors) == list(wrong)
    assert everything() == before


def test_movements_are_found_by_reference(admin_client: Client) -> None:
    order = make_order()

    found = admin_client.get("/admin/catalog/stockmovement/", {"q": order.code}).context["cl"].result_list

    assert [(movement.kind, movement.reference) for movement in found] == [("RESERVED", order.code)]


def test_nothing_of_stock_and_movements_is_added_edited_or_deleted(admin_client: Client) -> None:
    product = make_product(stock=10)
    movement = StockMovement.objects.get()
    before = everything()

    for page in (f"stock/{product.pk}", f"stockmovement/{movement.pk}"):
        assert not admin_client.get(f"/admin/catalog/{page}/change/").context["adminform"].form.fields
        asked = {"on_hand": "99", "quantity": "99"}
        assert admin_client.post(f"/admin/catalog/{page}/change/", asked).status_code == 403
    for page in (f"product/{product.pk}", f"stock/{product.pk}", f"stockmovement/{movement.pk}"):
        assert admin_client.post(f"/admin/catalog/{page}/delete/", {"post": "yes"}).status_code == 403
    for page in ("stock", "stockmovement"):
        assert admin_client.get(f"/admin/catalog/{page}/add/").status_code == 403
    for page in ("product", "stock", "stockmovement"):
        asked = {"action": "delete_selected", "_selected_action": str(product.pk), "post": "yes"}
        admin_client.post(f"/admin/catalog/{page}/", asked)
    assert everything() == before


@pytest.mark.parametrize("page", ["product", "stock", "stockmovement"])
@pytest.mark.parametrize("products", [5, 50])
def test_a_list_needs_as_many_queries_for_5_rows_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, page: str, products: int
) -> None:
    for number in range(products):
        make_product(f"MUG-{number}", stock=1)

    with django_assert_max_num_queries(6):
        assert len(admin_client.get(f"/admin/catalog/{page}/").context["cl"].result_list) == products


def send_file(client: Client, *rows: str, token: str = "", header: str = "sku,quantity,reason") -> Any:
    file = SimpleUploadedFile("stock.csv", "\n".join([header, *rows]).encode())
    return client.post(FILE_PAGE, {"file": file, "token": token or str(uuid4())})


def test_a_file_receives_and_adjusts_with_the_actor(admin_client: Client, admin_user: User) -> None:
    make_product("MUG", stock=10)
    make_product("CUP", stock=10)

    send_file(admin_client, "MUG,40,", 'CUP,-2,"two broken, in the store"', header="\ufeffSKU,Quantity,Reason")

    assert (stock_of("MUG"), stock_of("CUP")) == ((50, 0), (8, 0))
    moved = StockMovement.objects.filter(actor=admin_user).order_by("kind")
    assert [(movement.kind, movement.quantity, movement.reason) for movement in moved] == [
        ("ADJUSTED", -2, "two broken, in the store"),
        ("RECEIVED", 40, ""),
    ]


@pytest.mark.parametrize("how", FORMATS, ids=lambda how: how.words)
def test_a_file_is_read_as_a_spreadsheet_saves_it(admin_client: Client, how: Format) -> None:
    make_product("MÜG", stock=10)
    make_product("CUP", stock=10)
    rows = [["sku", "quantity", "reason"], ["MÜG", "40", ""], ["CUP", "-2", "two broken,\nin the store; sorry"]]
    file = SimpleUploadedFile("stock.csv", save_table(rows, how))

    assert admin_client.post(FILE_PAGE, {"file": file, "token": str(uuid4())}).status_code == 302

    assert (stock_of("MÜG"), stock_of("CUP")) == ((50, 0), (8, 0))
    assert StockMovement.objects.get(kind="ADJUSTED").reason == "two broken,\nin the store; sorry"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("POT,1,", "no product has the SKU POT"),
        ("MUG,many,", "quantity 'many' is not a whole number"),
        ("MUG,1.5,", "quantity '1.5' is not a whole number"),
        ("MUG,1_000,", "quantity '1_000' is not a whole number"),
        ("MUG,0,", "the quantity is 0"),
        ("MUG,1000001,", "more than 1,000,000 units"),
        ("MUG,-1,", "units are removed without a reason"),
        ("MUG,-11,stolen", "-11 would leave less on hand than is reserved"),
        ("CUP,1,", "SKU CUP is on line 2 already"),
        ("MUG,1", "2 columns, not 3"),
        (",1,", "no SKU"),
        (f"MUG,1,{'x' * 201}", "the reason is longer than 200 characters"),
        ('MUG,1,"open', "not CSV: unexpected end of data"),
    ],
)
def test_a_file_with_a_bad_row_is_refused_with_its_line_and_none_of_it_is_moved(
    admin_client: Client, row: str, reason: str
) -> None:
    make_product("MUG", stock=10)
    make_product("CUP", stock=10)
    before = everything()

    answer = send_file(admin_client, "CUP,5,", row)

    assert answer.context["form"].errors["file"] == [f"Line 3: {reason}."]
    assert everything() == before


def test_every_bad_row_of_a_file_is_reported(admin_client: Client) -> None:
    before = everything()

    answer = send_file(admin_client, "A,0,", "B,2,", "C,x,")

    assert [error.split(":")[0] for error in answer.context["form"].errors["file"]] == ["Line 2", "Line 3", "Line 4"]
    assert everything() == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"sku|quantity|reason\nMUG|1|", "Line 1: the first line is not sku,quantity,reason."),
        (b"sku,quantity,reason\n", "Line 1: no row below the first line."),
        (b"sku,quantity,reason\nMUG,1,\nM\xfcG,1,", "Line 3: not UTF-8 text."),
        ("sku,quantity,reason\nMUG,1,".encode("utf-16-le"), "Line 1: not UTF-8 text."),
        (b"", "The submitted file is empty."),
    ],
)
def test_a_file_of_another_kind_is_refused(admin_client: Client, content: bytes, reason: str) -> None:
    file = SimpleUploadedFile("stock.csv", content)

    answer = admin_client.post(FILE_PAGE, {"file": file, "token": str(uuid4())})

    assert answer.context["form"].errors["file"] == [reason]


def test_a_file_with_too_many_rows_is_refused(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.stock_file.MAX_ROWS", 2)

    before = everything()

    answer = send_file(admin_client, "A,1,", "B,1,", "C,1,", "D,1,")

    assert answer.context["form"].errors["file"][-1] == "Line 4: more than 2 rows: split it into two files."
    assert everything() == before


def test_a_file_sent_twice_moves_once_and_another_with_its_form_is_refused(admin_client: Client) -> None:
    make_product("MUG", stock=10)
    make_product("CUP", stock=10)
    token = str(uuid4())

    for _ in range(2):
        assert send_file(admin_client, "MUG,-6,sold at a fair", "CUP,5,", token=token).status_code == 302
    before = everything()
    answer = send_file(admin_client, "MUG,-4,sold at a fair", "CUP,5,", token=token)

    assert (stock_of("MUG"), stock_of("CUP")) == ((4, 0), (15, 0))
    assert "This form has already moved stock." in answer.context["form"].non_field_errors()[0]
    assert everything() == before


def test_staff_without_the_permission_send_no_file() -> None:
    make_product("MUG", stock=10)
    staff = log_in_staff("view_stock")
    before = everything()

    assert staff.get(FILE_PAGE).status_code == 403
    assert send_file(staff, "MUG,1,").status_code == 403
    assert FILE_PAGE not in staff.get("/admin/catalog/stock/").text
    assert everything() == before


def test_stock_is_filtered_by_what_is_left(admin_client: Client, settings: LazySettings) -> None:
    settings.SHOP_LOW_STOCK = 5
    make_product("FULL", stock=6)
    make_product("LOW", stock=5)
    make_product("GONE", stock=3)
    make_order({"GONE": 3})

    def choose(available: str) -> list[str]:
        found = admin_client.get("/admin/catalog/stock/", {"available": available}).context["cl"].result_list
        return [stock.product.sku for stock in found]

    assert choose("low") == ["GONE", "LOW"]
    assert choose("none") == ["GONE"]
    assert len(choose("")) == 3
