"""The back office is usable by everybody, also on a phone, and marks what a person has looked at."""

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import PROVIDER_FAILS, STOCK, buy, expect_status, make_staff, read_rows, run_sql, sign_up
from tests.browser.test_pages import find_barriers

ORDERS = "/admin/orders/order/"
DASHBOARD = f"{ORDERS}dashboard/"
OF_FILES = "/admin/catalog/stock/move/"
# What is wider than the page, and not within something that scrolls by itself.
FIND_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll('main *')].filter(element => element.getBoundingClientRect().right > innerWidth)
        .map(element => element.outerHTML.slice(0, 100))"""


@pytest.fixture
def order(open_tab: OpenTab, stack: Stack, sku: str) -> str:
    """The admin's page of an order that needs review; its payment is unknown, and its product runs out."""
    page = open_tab()
    buy(page, sku, PROVIDER_FAILS, quantity=STOCK - 2)
    code = page.locator("h1 .code").inner_text()
    # Given up, or the sweep would end it at its deadline, and with it the review.
    mark = "UPDATE orders_order SET needs_review = true, sweep_after = NULL, review_reason = 'swept 20 times'"
    run_sql(stack, f"{mark} WHERE code = %s", code)
    [(number,)] = read_rows(stack, "SELECT id FROM orders_order WHERE code = %s", code)
    return f"{ORDERS}{number}/change/"


def open_desk(open_tab: OpenTab, stack: Stack, color_scheme: ColorScheme = "light") -> Page:
    page = open_tab(color_scheme=color_scheme)
    make_staff(stack, sign_up(page, stack))
    return page


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_pages_are_accessible(open_tab: OpenTab, stack: Stack, order: str, color_scheme: ColorScheme) -> None:
    desk = open_desk(open_tab, stack, color_scheme)

    for path in (DASHBOARD, order, f"{ORDERS}?attention=review"):
        desk.goto(path)
        assert find_barriers(desk) == []
    desk.goto(order)
    desk.get_by_role("button", name="Mark reviewed").click()
    expect(desk.get_by_label("Note")).to_be_visible()
    assert find_barriers(desk) == []
    desk.get_by_role("button", name="Yes, mark reviewed").click()
    expect(desk.get_by_text("Write a note")).to_be_visible()
    assert find_barriers(desk) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_every_list_and_every_form_of_the_admin_is_accessible(
    open_tab: OpenTab, stack: Stack, order: str, color_scheme: ColorScheme
) -> None:
    desk = open_desk(open_tab, stack, color_scheme)
    desk.goto("/admin/")
    assert find_barriers(desk) == []
    lists = read_addresses(desk, "#content-main th a")
    forms = read_addresses(desk, "#content-main .addlink")
    assert ORDERS in lists

    rows = []
    for address in lists:
        desk.goto(address)
        assert find_barriers(desk) == [], address
        rows += read_addresses(desk, "#result_list tbody th a")[:1]
    for address in [*forms, *rows, OF_FILES]:
        desk.goto(address)
        assert find_barriers(desk) == [], address


def read_addresses(desk: Page, selector: str) -> list[str]:
    return [link.get_attribute("href") or "" for link in desk.locator(selector).all()]


def test_staff_save_filters_under_a_name_and_forget_them(open_tab: OpenTab, stack: Stack, order: str) -> None:
    desk = open_desk(open_tab, stack)
    desk.goto(f"{ORDERS}?attention=review")
    desk.get_by_label("Save these filters as").fill("To look at")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Saved: To look at.")).to_be_visible()
    assert find_barriers(desk) == []

    desk.goto(ORDERS)
    desk.get_by_role("link", name="To look at").click()
    desk.wait_for_url("**?attention=review")
    desk.get_by_role("button", name="Forget To look at").click()
    desk.wait_for_url("**?attention=review")
    expect(desk.get_by_role("link", name="To look at")).to_have_count(0)


def test_the_pages_fit_a_phone(open_tab: OpenTab, stack: Stack, order: str) -> None:
    desk = open_desk(open_tab, stack)
    desk.set_viewport_size({"width": 390, "height": 800})

    for path in (DASHBOARD, order):
        desk.goto(path)
        assert desk.evaluate(FIND_WIDE) == []
    desk.get_by_role("button", name="Cancel").click()
    expect(desk.get_by_label("Note")).to_be_visible()
    assert desk.evaluate(FIND_WIDE) == []


def test_what_goes_back_is_typed_on_a_phone_without_scrolling_aside(
    open_tab: OpenTab, stack: Stack, page: Page, sku: str
) -> None:
    buy(page, sku, quantity=2)
    expect_status(page, "Confirmed")
    desk = open_desk(open_tab, stack)
    desk.set_viewport_size({"width": 390, "height": 800})
    desk.goto(f"{ORDERS}?q={page.locator('h1 .code').inner_text()}")
    desk.locator("#result_list tbody th a").click()
    desk.get_by_role("link", name="Refund", exact=True).click()

    for name in (f"Units of {sku} to give back", f"Units of {sku} go back to stock"):
        box = desk.get_by_label(name).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
    assert find_barriers(desk) == []


def test_staff_mark_an_order_reviewed_and_say_why(open_tab: OpenTab, stack: Stack, order: str) -> None:
    desk = open_desk(open_tab, stack)
    desk.goto(order)
    desk.get_by_role("button", name="Mark reviewed").click()
    desk.get_by_label("Note").fill("The bank is down.")
    desk.get_by_role("button", name="Yes, mark reviewed").click()

    expect(desk.get_by_text("Marked reviewed")).to_be_visible()
    expect(desk.locator(".timeline").get_by_text("The bank is down.")).to_be_visible()
    expect(desk.get_by_role("button", name="Mark reviewed")).to_have_count(0)
