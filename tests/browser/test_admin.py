"""Staff mend what is wrong, and the reason stays."""

import pytest
from playwright.sync_api import FilePayload, Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import OpenTab
from tests.browser.shop import PROVIDER_FAILS, buy, expect_status, make_staff, put_in_cart, read_orders, sign_up
from tests.browser.test_pages import find_barriers
from tests.catalog.test_pictures import make_image


@pytest.fixture
def desk(open_tab: OpenTab, stack: Stack) -> Page:
    """A tab of somebody who may do everything in the admin."""
    page = open_tab()
    make_staff(stack, sign_up(page, stack))
    return page


def test_staff_adjust_stock_with_a_reason(desk: Page, page: Page, sku: str) -> None:
    open_stock(desk, sku)
    desk.get_by_role("link", name="Adjust").click()
    desk.get_by_label("Change").fill("-18")
    desk.get_by_label("Reason").fill("Broken in the store room")
    desk.get_by_role("button", name="Adjust stock").click()

    expect(desk.get_by_text("Moved -18. On hand now: 2.")).to_be_visible()
    expect(desk.get_by_text("Broken in the store room")).to_be_visible()
    page.goto(f"/products/mug-{sku}/{sku}/")
    expect(page.get_by_text("Only 2 left")).to_be_visible()


def test_staff_cannot_take_more_than_there_is(desk: Page, page: Page, sku: str) -> None:
    open_stock(desk, sku)
    desk.get_by_role("link", name="Adjust").click()
    desk.get_by_label("Change").fill("-21")
    desk.get_by_label("Reason").fill("A typing error")
    desk.get_by_role("button", name="Adjust stock").click()

    expect(desk.get_by_text("Nothing was changed.")).to_be_visible()
    page.goto(f"/products/mug-{sku}/{sku}/")
    expect(page.get_by_text("In stock")).to_be_visible()


def test_staff_cancel_an_order_and_its_customer_sees_it(desk: Page, page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku, PROVIDER_FAILS)
    code = page.locator("h1 .code").inner_text()

    desk.goto(f"/admin/orders/order/?q={code}")
    desk.get_by_role("link", name=code).click()
    desk.get_by_role("button", name="Cancel").click()
    desk.get_by_label("Note").fill("She phoned.")
    desk.get_by_role("button", name="Yes, cancel").click()

    expect_status(page, "Cancelled")
    expect(page.locator("#status")).to_contain_text("We cancelled this order. No money was taken.")
    assert read_orders(stack, sku) == [("CANCELLED", "staff")]


def test_staff_type_a_price_in_pounds_and_customers_see_it(desk: Page, page: Page, sku: str) -> None:
    open_product(desk, sku)
    expect(desk.get_by_label("Price")).to_have_value("5.00")
    desk.get_by_label("Price").fill("0,12")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("This is no amount. Write it such as 1234.56.")).to_be_visible()
    desk.get_by_label("Price").fill("0.12")
    desk.get_by_role("button", name="Save", exact=True).click()

    expect(desk.get_by_role("row", name=sku)).to_contain_text("£0.12")
    put_in_cart(page, sku, quantity=2)
    page.goto("/cart/")
    expect(page.get_by_text("The least that can be paid at once is £0.30: add something to your cart.")).to_be_visible()
    expect(page.get_by_role("button", name="Go to checkout")).to_have_count(0)


def test_staff_upload_a_picture_and_customers_see_it(desk: Page, page: Page, sku: str) -> None:
    open_product(desk, sku)
    picture = FilePayload(name="mug.png", mimeType="image/png", buffer=make_image("PNG", size=(800, 600)))
    desk.locator("[name=picture_file]").set_input_files(picture)
    desk.get_by_label("What the picture shows").fill("A red mug")
    desk.get_by_role("button", name="Save", exact=True).click()
    desk.wait_for_url("**/admin/catalog/product/**")

    page.goto(f"/products/x/{sku}/")

    expect(page.get_by_role("img", name="A red mug")).to_have_js_property("complete", value=True)
    assert page.get_by_role("img", name="A red mug").evaluate("image => image.naturalWidth") > 0
    assert find_barriers(page) == []


def open_product(desk: Page, sku: str) -> None:
    desk.goto(f"/admin/catalog/product/?q={sku}")
    desk.get_by_role("link", name=sku, exact=True).click()


def open_stock(desk: Page, sku: str) -> None:
    desk.goto(f"/admin/catalog/stock/?q={sku}")
    desk.get_by_role("link", name=sku, exact=True).click()
