"""What is typed in the cart is what is checked out, with and without JavaScript."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import OpenTab
from tests.browser.shop import PAYS, expect_status, pay, put_in_cart, read_rows
from tests.browser.test_pages import find_barriers

CHANGED = "Your cart has changed meanwhile"
both = pytest.mark.parametrize("java_script_enabled", [True, False])


def open_cart(page: Page, *skus: str) -> None:
    for sku in skus:
        page.goto(f"/products/mug-{sku}/{sku}/")
        page.locator("form[hx-post] button").click()
        page.locator("#added .good, .messages").first.wait_for()
    page.goto("/cart/")


def quantity(page: Page, number: int = 1) -> str:
    return page.locator(f"#quantity-{number}").input_value()


def type_quantity(page: Page, text: str, number: int = 1) -> None:
    page.locator(f"#quantity-{number}").fill(text)


def go_to_checkout(page: Page) -> None:
    page.locator("button[name=checkout]").click()


def read_sold(stack: Stack, *skus: str) -> list[tuple[str, int]]:
    return read_rows(stack, "SELECT sku, quantity FROM orders_orderline WHERE sku = ANY(%s) ORDER BY id", list(skus))


@both
@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_what_is_typed_is_what_is_sold(
    open_tab: OpenTab, stack: Stack, skus: Iterator[str], java_script_enabled: bool, locale: str
) -> None:
    page, mug, cup = open_tab(java_script_enabled=java_script_enabled, locale=locale), next(skus), next(skus)
    open_cart(page, mug, cup)
    type_quantity(page, "5")
    type_quantity(page, "3", 2)

    go_to_checkout(page)

    page.wait_for_url("**/checkout/")
    expect(page.locator(".lines .sku").nth(0)).to_contain_text("5 \u00d7")
    expect(page.locator(".lines .sku").nth(1)).to_contain_text("3 \u00d7")
    page.locator("[name=email]").fill("ann@example.com")
    page.locator("[name=payment_method][value=pm_card_visa]").check()
    page.locator("button[data-busy]").click()
    page.wait_for_url("**/orders/*/")
    assert read_sold(stack, mug, cup) == [(mug, 5), (cup, 3)]


@both
@pytest.mark.parametrize(
    ("locale", "note"), [("en-GB", "Only 20 left; you have 5000 in your cart."), ("ko-KR", "20")], ids=["en", "ko"]
)
def test_more_than_there_is_is_said_and_not_checked_out(
    open_tab: OpenTab, sku: str, java_script_enabled: bool, locale: str, note: str
) -> None:
    page = open_tab(java_script_enabled=java_script_enabled, locale=locale)
    open_cart(page, sku)
    type_quantity(page, "5000")

    go_to_checkout(page)

    expect(page.locator(".messages .warning")).to_be_visible()
    expect(page.locator(".note.bad")).to_contain_text(note)
    assert page.url.endswith("/cart/")
    assert quantity(page) == "5000"
    if java_script_enabled:
        assert find_barriers(page) == []
    type_quantity(page, "7")
    page.locator(".sum button").click()  # keep what is available: of what is typed now
    expect(page.locator("button[name=checkout]")).to_be_visible()
    assert quantity(page) == "7"


@both
@pytest.mark.parametrize("text", ["", "0", "-1", "1.5"])
def test_what_is_no_quantity_stays_on_the_page_and_is_said(
    open_tab: OpenTab, sku: str, java_script_enabled: bool, text: str
) -> None:
    page = open_tab(java_script_enabled=java_script_enabled)
    open_cart(page, sku)
    type_quantity(page, text)

    go_to_checkout(page)

    field = page.locator("#quantity-1")
    expect(field).to_be_focused()  # the browser says what is wrong with it
    assert page.url.endswith("/cart/")
    assert quantity(page) == text


@both
def test_enter_saves_every_line_and_removes_nothing(
    open_tab: OpenTab, stack: Stack, skus: Iterator[str], java_script_enabled: bool
) -> None:
    page, gone, mug, cup = open_tab(java_script_enabled=java_script_enabled), next(skus), next(skus), next(skus)
    open_cart(page, gone, mug, cup)
    read_rows(stack, "UPDATE catalog_product SET active = false WHERE sku = %s RETURNING id", gone)
    page.reload()  # its first line has but one button, which removes
    type_quantity(page, "4", 2)
    type_quantity(page, "6", 3)

    page.locator("#quantity-3").press("Enter")

    expect(page.locator("#quantity-2")).to_have_attribute("value", "4")
    expect(page.locator("#quantity-3")).to_have_attribute("value", "6")
    expect(page.locator(".lines > li")).to_have_count(3)


@both
def test_removing_a_line_keeps_what_is_typed_in_the_others(
    open_tab: OpenTab, skus: Iterator[str], java_script_enabled: bool
) -> None:
    page = open_tab(java_script_enabled=java_script_enabled)
    open_cart(page, next(skus), next(skus))
    type_quantity(page, "")
    type_quantity(page, "3", 2)

    page.locator("button[name=remove]").first.click()

    expect(page.locator(".lines > li")).to_have_count(1)
    assert quantity(page) == "3"


def test_two_tabs_check_out_what_each_shows_and_bring_nothing_back(page: Page, skus: Iterator[str]) -> None:
    open_cart(page, next(skus), next(skus))
    other = page.context.new_page()
    other.goto("/cart/")
    type_quantity(other, "9")
    other.locator("#quantity-1").press("Enter")
    expect(other.locator("#quantity-1")).to_have_attribute("value", "9")

    go_to_checkout(page)
    expect(page.locator(".lines .sku").nth(0)).to_contain_text("1 \u00d7")

    page.goto("/cart/")
    other.locator("button[name=remove]").first.click()
    expect(other.locator(".lines > li")).to_have_count(1)
    type_quantity(page, "5")
    go_to_checkout(page)
    expect(page.get_by_text(CHANGED)).to_be_visible()
    assert page.url.endswith("/cart/")
    expect(page.locator(".lines > li")).to_have_count(1)


def test_a_cart_left_open_while_it_was_ordered_orders_nothing_again(page: Page, stack: Stack, sku: str) -> None:
    put_in_cart(page, sku)
    page.goto("/cart/")
    other = page.context.new_page()
    other.goto("/checkout/")
    other.get_by_label("Email").fill("ann@example.com")
    other.get_by_label(PAYS, exact=True).check()
    pay(other)
    expect_status(other, "Confirmed")

    type_quantity(page, "5")
    go_to_checkout(page)

    expect(page.get_by_text(CHANGED)).to_be_visible()
    assert read_sold(stack, sku) == [(sku, 1)]
