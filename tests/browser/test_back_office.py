"""The back office is usable by everybody, also on a phone, and marks what a person has looked at."""

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import PROVIDER_FAILS, STOCK, buy, make_staff, read_rows, run_sql, sign_up
from tests.browser.test_pages import find_barriers

ORDERS = "/admin/orders/order/"
DASHBOARD = f"{ORDERS}dashboard/"
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
    mark = "UPDATE orders_order SET needs_review = true, review_reason = 'swept 20 times' WHERE code = %s"
    run_sql(stack, mark, code)
    [(number,)] = read_rows(stack, "SELECT id FROM orders_order WHERE code = %s", code)
    return f"{ORDERS}{number}/change/"


def open_desk(open_tab: OpenTab, stack: Stack, color_scheme: ColorScheme = "light") -> Page:
    page = open_tab(color_scheme=color_scheme)
    make_staff(stack, sign_up(page, stack))
    return page


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_pages_are_accessible(open_tab: OpenTab, stack: Stack, order: str, color_scheme: ColorScheme) -> None:
    desk = open_desk(open_tab, stack, color_scheme)

    for path in (DASHBOARD, order):
        desk.goto(path)
        assert find_barriers(desk) == []
    desk.goto(ORDERS)
    # Django's own search box, whose label is a picture with the text "Search".
    assert [barrier for barrier in find_barriers(desk) if barrier["id"] != "label-title-only"] == []
    desk.goto(order)
    desk.get_by_role("button", name="Mark reviewed").click()
    expect(desk.get_by_label("Note")).to_be_visible()
    assert find_barriers(desk) == []
    desk.get_by_role("button", name="Yes, mark reviewed").click()
    expect(desk.get_by_text("Write a note")).to_be_visible()
    assert find_barriers(desk) == []


def test_the_pages_fit_a_phone(open_tab: OpenTab, stack: Stack, order: str) -> None:
    desk = open_desk(open_tab, stack)
    desk.set_viewport_size({"width": 390, "height": 800})

    for path in (DASHBOARD, order):
        desk.goto(path)
        assert desk.evaluate(FIND_WIDE) == []
    desk.get_by_role("button", name="Cancel").click()
    expect(desk.get_by_label("Note")).to_be_visible()
    assert desk.evaluate(FIND_WIDE) == []


def test_staff_mark_an_order_reviewed_and_say_why(open_tab: OpenTab, stack: Stack, order: str) -> None:
    desk = open_desk(open_tab, stack)
    desk.goto(order)
    desk.get_by_role("button", name="Mark reviewed").click()
    desk.get_by_label("Note").fill("The bank is down.")
    desk.get_by_role("button", name="Yes, mark reviewed").click()

    expect(desk.get_by_text("Marked reviewed")).to_be_visible()
    expect(desk.locator(".timeline").get_by_text("The bank is down.")).to_be_visible()
    expect(desk.get_by_role("button", name="Mark reviewed")).to_have_count(0)
