"""A customer pays by bank transfer: they are told where to, staff record what arrived, and the order is confirmed."""

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import ORDER_URL, expect_status, pay, put_in_cart, read_orders
from tests.browser.test_back_office import FIND_WIDE, open_desk
from tests.browser.test_pages import find_barriers
from tests.servers import TRANSFERS

METHOD = "Bank transfer"
PENDING, CONFIRMED = ("PENDING", ""), ("CONFIRMED", "")


def order_by_transfer(page: Page, sku: str) -> str:
    """From the product's page to the order's; return the order's code."""
    put_in_cart(page, sku, 2)
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    page.get_by_label(METHOD).check()
    pay(page)
    page.wait_for_url(ORDER_URL)
    return page.locator("h1 .code").inner_text()


def record(desk: Page, *, amount: str, bank_id: str) -> None:
    desk.get_by_role("button", name="Record a transfer").click()
    desk.get_by_label("Amount").fill(amount)
    desk.get_by_label("The bank's reference").fill(bank_id)
    desk.get_by_role("button", name="Record a transfer").click()


def count_lines(page: Page, words: str) -> int:
    """In how many lines these words of the instructions are written."""
    field = page.locator(".instructions dd", has_text=words)
    count: int = field.evaluate("""field => {
        const words = document.createRange()
        words.selectNodeContents(field)
        return words.getClientRects().length
    }""")
    return count


def open_order(desk: Page, code: str) -> None:
    desk.goto(f"/admin/orders/order/?q={code}")
    desk.get_by_role("link", name=code).click()


def test_an_order_is_paid_by_transfer_and_staff_say_that_it_has_come(
    open_tab: OpenTab, stack: Stack, transfer_shop: str, sku: str
) -> None:
    page = open_tab(url=transfer_shop)
    code = order_by_transfer(page, sku)
    expect_status(page, "Waiting for your money")
    for words in (TRANSFERS["TRANSFER_ACCOUNT"], TRANSFERS["TRANSFER_ACCOUNT_HOLDER"], "£10.00", code):
        expect(page.locator(".instructions")).to_contain_text(words)
    assert read_orders(stack, sku) == [PENDING]
    desk = open_desk(open_tab, stack)

    open_order(desk, code)
    record(desk, amount="9.00", bank_id=f"{sku}-1")
    expect(desk.get_by_text("does not pay it: send it back. It is £1.00 too little.")).to_be_visible()
    open_order(desk, code)
    record(desk, amount="10.00", bank_id=f"{sku}-2")
    expect(desk.get_by_text("The order is being confirmed.")).to_be_visible()

    page.reload()
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_fit_a_phone(
    open_tab: OpenTab, stack: Stack, transfer_shop: str, sku: str, color_scheme: ColorScheme
) -> None:
    page, desk = open_tab(url=transfer_shop, color_scheme=color_scheme), open_desk(open_tab, stack, color_scheme)
    page.set_viewport_size({"width": 390, "height": 800})
    code = order_by_transfer(page, sku)
    assert find_barriers(page) == []
    assert page.evaluate(FIND_WIDE) == []
    assert count_lines(page, code) == 1, "the reference is to be copied as it stands"

    open_order(desk, code)
    desk.get_by_role("button", name="Record a transfer").click()
    expect(desk.get_by_label("Order")).to_have_value(code)
    assert find_barriers(desk) == []


def test_a_transfer_can_be_chosen_without_javascript(open_tab: OpenTab, transfer_shop: str, sku: str) -> None:
    page = open_tab(url=transfer_shop, java_script_enabled=False)
    page.goto(f"/products/mug-{sku}/{sku}/")
    page.get_by_role("button", name="Add to cart").click()
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    page.get_by_label(METHOD).check()
    pay(page)
    page.wait_for_url(ORDER_URL)
    expect_status(page, "Waiting for your money")
