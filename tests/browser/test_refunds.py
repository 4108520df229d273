"""Staff give money back, and the customer's page says so."""

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import STOCK, audit, buy, expect_status, make_staff, read_rows, sign_up
from tests.browser.test_pages import find_barriers


def buy_three(page: Page, sku: str) -> str:
    """Three units at £5.00, confirmed; the order's code."""
    buy(page, sku, quantity=3)
    expect_status(page, "Confirmed")
    return page.locator("h1 .code").inner_text()


def open_refund(page: Page, stack: Stack, code: str) -> None:
    make_staff(stack, sign_up(page, stack))
    page.goto(f"/admin/orders/order/?q={code}")
    page.get_by_role("link", name=code).click()
    page.get_by_role("link", name="Refund", exact=True).click()


def wait_for_refund(page: Page) -> None:
    """Load the order's page anew until the money is back: a confirmed order's page does not follow by itself."""
    for _ in range(60):
        page.reload()
        if page.locator("#status h2").inner_text() != "Confirmed":
            break
        page.wait_for_timeout(250)
    expect_status(page, "Refunded in part")


def on_hand(stack: Stack, sku: str) -> int:
    query = "SELECT on_hand FROM catalog_stock s JOIN catalog_product p ON p.id = s.product_id WHERE p.sku = %s"
    [(units,)] = read_rows(stack, query, sku)
    return int(units)


def test_staff_refund_two_of_three_units_and_the_customers_page_says_so(
    open_tab: OpenTab, stack: Stack, sku: str
) -> None:
    customer, desk = open_tab(), open_tab()
    code = buy_three(customer, sku)
    open_refund(desk, stack, code)

    expect(desk.get_by_text("Nothing was refunded.")).to_have_count(0)
    desk.get_by_label(f"Units of {sku} to give back").fill("2")
    desk.get_by_role("button", name="Yes, refund").click()
    expect(desk.get_by_text("Write a note")).to_be_visible()
    expect(desk.get_by_label(f"Units of {sku} to give back")).to_have_value("2")
    desk.get_by_label("Note").fill("Broken handles")
    desk.get_by_role("button", name="Yes, refund").dblclick()

    expect(desk.get_by_text("Refund 1 of £10.00 is on its way.")).to_be_visible()
    expect(desk.locator(".timeline").get_by_text("Broken handles")).to_be_visible()
    wait_for_refund(customer)
    expect(customer.get_by_text("We have sent £10.00 of £15.00 back to you.")).to_be_visible()
    assert read_rows(stack, "SELECT amount, status FROM payments_refund WHERE key = %s", f"refund-{code}-1") == [
        (1000, "SUCCEEDED")
    ]
    assert on_hand(stack, sku) == STOCK - 1
    assert audit(stack) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_page_that_refunds_is_accessible(
    open_tab: OpenTab, stack: Stack, sku: str, color_scheme: ColorScheme
) -> None:
    desk = open_tab(color_scheme=color_scheme)
    code = buy_three(desk, sku)
    open_refund(desk, stack, code)
    assert find_barriers(desk) == []
    desk.get_by_role("button", name="Yes, refund").click()
    expect(desk.get_by_text("Write a note")).to_be_visible()
    assert find_barriers(desk) == []
