"""However often a checkout is sent, and whatever happens to its answer, it is one order."""

import pytest
from playwright.sync_api import Error, Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import OpenTab
from tests.browser.cutter import AnswerCutter
from tests.browser.shop import (
    ORDER_URL,
    PAYS,
    PAYS_SLOWLY,
    buy,
    expect_status,
    fill_checkout,
    pay,
    put_in_cart,
    read_orders,
)

CONFIRMED = ("CONFIRMED", "")


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_a_double_click_is_one_order(open_tab: OpenTab, stack: Stack, sku: str, java_script_enabled: bool) -> None:
    page = open_tab(java_script_enabled=java_script_enabled)
    put_in_cart(page, sku)
    fill_checkout(page)

    page.get_by_role("button", name="Order and pay").dblclick()

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_two_tabs_that_pay_at_the_same_time_are_one_order(page: Page, stack: Stack, sku: str) -> None:
    put_in_cart(page, sku)
    tabs = [page, page.context.new_page()]
    for tab in tabs:
        fill_checkout(tab)

    for tab in tabs:
        tab.evaluate("setTimeout(() => document.querySelector('main form[data-once]').requestSubmit())")

    for tab in tabs:
        tab.wait_for_url(ORDER_URL)
        expect_status(tab, "Confirmed")
    assert tabs[0].url == tabs[1].url
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_tab_left_open_that_pays_later_with_another_card_is_shown_the_same_order(
    page: Page, stack: Stack, sku: str
) -> None:
    put_in_cart(page, sku)
    late = page.context.new_page()
    fill_checkout(page, PAYS)
    fill_checkout(late, PAYS_SLOWLY)
    pay(page)
    expect_status(page, "Confirmed")

    pay(late)

    late.wait_for_url(page.url)
    assert "Nothing was ordered twice" in late.get_by_role("main").inner_text()
    assert read_orders(stack, sku) == [CONFIRMED]


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_going_back_to_pay_again_leads_to_the_same_order(
    open_tab: OpenTab, stack: Stack, sku: str, java_script_enabled: bool
) -> None:
    page = open_tab(java_script_enabled=java_script_enabled)
    buy(page, sku)
    order = page.url

    page.go_back()
    if not ORDER_URL.search(page.url):  # the checkout as it was left
        pay(page)

    page.wait_for_url(order)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


@pytest.mark.parametrize("then", ["reload", "go to the checkout", "pay in another tab"])
def test_a_lost_answer_is_one_order(
    open_tab: OpenTab, cutter: AnswerCutter, stack: Stack, sku: str, trouble: list[str], then: str
) -> None:
    page = open_tab(url=cutter.url)
    put_in_cart(page, sku)
    other = page.context.new_page()
    for tab in (page, other):
        fill_checkout(tab)
    cutter.cuts = True
    with pytest.raises(Error, match="ERR_"), page.expect_navigation():
        pay(page)
    expect(page).to_have_url("chrome-error://chromewebdata/")  # the browser's own page, which comes after the error
    page.wait_for_load_state()
    cutter.cuts = False
    assert cutter.lost > 0
    assert len(read_orders(stack, sku)) == 1
    trouble.clear()  # it complains of the lost answer

    match then:
        case "reload":
            page.reload()
        case "go to the checkout":
            page.goto("/checkout/")
        case "pay in another tab":
            page = other
            pay(page)

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]
