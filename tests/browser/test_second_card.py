"""A customer whose card was declined types another one into the page of the order."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.card import (
    DECLINED,
    VISA,
    find_frame,
    open_card_form,
    open_checkout_on_a_phone,
    pay_by_card,
    type_card,
)
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import DECLINED as LISTED_DECLINED
from tests.browser.shop import ORDER_URL, PAYS, buy, expect_status, pay, read_orders, read_rows
from tests.browser.test_pages import find_barriers

CONFIRMED = ("CONFIRMED", "")
PAY = re.compile(r"^Pay £")
SCRIPT = "**/stripe.js"


def press_pay(page: Page) -> None:
    page.get_by_role("button", name=PAY).click()


def read_payments(stack: Stack, sku: str) -> list[tuple[int, str]]:
    return read_rows(
        stack,
        "SELECT p.number, p.status FROM payments_payment p JOIN orders_order o ON o.code = p.reference"
        " JOIN orders_orderline l ON l.order_id = o.id WHERE l.sku = %s ORDER BY p.number",
        sku,
    )


def expect_form(page: Page) -> None:
    """The page says that the card was declined, and its card form is ready and empty."""
    page.wait_for_url(ORDER_URL)
    expect_status(page, "Card declined")
    expect(find_frame(page).get_by_label("Card number")).to_have_value("")


@contextmanager
def slow_provider(page: Page, stack: Stack) -> Iterator[None]:
    """The bank's answer comes after the order's page has been shown."""
    control = f"{stack.provider_url}/control"
    assert page.request.post(control, data={"latency_ms": 1_500}).ok
    try:
        yield
    finally:
        page.request.delete(control)


def test_a_card_is_declined_and_another_one_is_typed_and_pays_the_same_order(
    page: Page, stack: Stack, sku: str
) -> None:
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    order = page.url
    expect(page.locator("#status")).to_contain_text("Your card was declined. Your items are put aside until")

    type_card(page, VISA)
    press_pay(page)

    expect_status(page, "Confirmed")
    expect(page.locator("#card-form")).to_have_count(0)
    assert page.url == order
    assert read_orders(stack, sku) == [CONFIRMED]
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


def test_a_page_that_is_open_when_its_order_becomes_held_is_loaded_anew_once(
    page: Page, stack: Stack, sku: str
) -> None:
    open_card_form(page, sku)
    type_card(page, DECLINED)
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    with slow_provider(page, stack):
        pay(page)
        page.wait_for_url(ORDER_URL)
        expect(page.locator("#card-form")).to_have_count(0)
        expect_form(page)
    loads.clear()
    type_card(page, VISA[:9])

    for _poll in range(2):
        with page.expect_response("**/status/?form=2") as answer:
            pass
        assert answer.value.status == 304

    assert loads == []
    expect(find_frame(page).get_by_label("Card number")).to_have_value(VISA[:9])
    type_card(page, VISA)
    press_pay(page)
    expect_status(page, "Confirmed")
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


def test_the_form_goes_when_the_hold_ends(page: Page, stack: Stack, sku: str) -> None:
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    type_card(page, VISA)

    expect(page.get_by_role("button", name="Try another payment method")).to_be_visible(timeout=60_000)

    expect(page.locator("#card-form")).to_have_count(0)
    expect(page.locator("#status")).to_contain_text("No money was taken.")
    assert read_orders(stack, sku) == [("CANCELLED", "card_declined")]


def test_a_second_card_that_is_declined_too_is_followed_by_a_third(page: Page, stack: Stack, sku: str) -> None:
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    type_card(page, DECLINED)
    press_pay(page)
    expect(page.locator("input[name=number]")).to_have_value("3")
    expect_form(page)

    type_card(page, VISA)
    press_pay(page)

    expect_status(page, "Confirmed")
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "DECLINED"), (3, "SUCCEEDED")]


def test_a_double_click_on_the_second_card_is_one_token_and_one_payment(page: Page, stack: Stack, sku: str) -> None:
    tokens: list[str] = []
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    type_card(page, VISA)
    page.on("request", lambda request: tokens.append(request.url) if "confirmation_tokens" in request.url else None)

    page.get_by_role("button", name=PAY).dblclick()

    expect_status(page, "Confirmed")
    assert len(tokens) == 1
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


def test_two_tabs_that_type_a_second_card_make_one_payment(page: Page, stack: Stack, sku: str) -> None:
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    other = page.context.new_page()
    other.goto(page.url)
    for tab in (page, other):
        expect_form(tab)
        type_card(tab, VISA)

    for tab in (page, other):
        tab.evaluate("setTimeout(() => document.querySelector('form.pay').requestSubmit())")

    for tab in (page, other):
        expect_status(tab, "Confirmed")
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


def test_a_blocked_script_is_told_and_a_listed_method_pays(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    page.route(SCRIPT, lambda route: route.abort())
    page.reload()
    note = page.locator("#card-form [data-note=blocked]")
    expect(note).to_contain_text("could not be loaded")
    expect(note).to_contain_text("Nothing was paid.")

    press_pay(page)
    assert read_payments(stack, sku) == [(1, "DECLINED")]
    page.get_by_label(PAYS, exact=True).check()
    expect(page.locator("#card-form")).to_be_hidden()
    press_pay(page)

    expect_status(page, "Confirmed")
    assert "ERR_FAILED" in trouble.pop()


def test_without_javascript_the_page_says_why_there_is_no_card_form_and_a_listed_method_pays(
    page_without_javascript: Page, stack: Stack, sku: str
) -> None:
    page = page_without_javascript
    buy(page, sku, LISTED_DECLINED)
    expect_status(page, "Card declined")
    expect(page.get_by_text("A card can be entered only with JavaScript")).to_be_visible()

    page.get_by_label(PAYS, exact=True).check()
    press_pay(page)

    expect_status(page, "Confirmed")
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


def test_a_shop_that_takes_cards_alone_takes_a_second_one(
    open_tab: OpenTab, stack: Stack, sku: str, card_shop: str
) -> None:
    page = open_tab(url=card_shop)
    pay_by_card(page, sku, DECLINED)
    expect_form(page)
    assert page.get_by_role("radio").count() == 0
    assert find_barriers(page) == []
    plain = open_tab(url=card_shop, java_script_enabled=False)
    plain.goto(page.url)
    expect(plain.get_by_text("A card can be entered only with JavaScript")).to_be_visible()
    press_pay(plain)
    expect(plain.get_by_text("Nothing was paid. The details of your card are missing")).to_be_visible()

    type_card(page, VISA)
    press_pay(page)

    expect_status(page, "Confirmed")
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_the_second_card_is_accessible_also_on_a_phone(
    open_tab: OpenTab, sku: str, color_scheme: ColorScheme, locale: str
) -> None:
    page = open_tab(color_scheme=color_scheme, locale=locale)
    open_checkout_on_a_phone(page, sku)
    for id, typed in (("number", DECLINED), ("expiry", "12 / 40"), ("cvc", "123")):
        find_frame(page).locator(f"#{id}").fill(typed)
    page.locator("main form button[type=submit]").click()
    page.locator("form.pay").wait_for()
    find_frame(page).locator("#number").fill("4242")
    assert find_barriers(page) == []

    page.locator("form.pay button[type=submit]").click()

    page.locator("#card-form [data-note=refused]").wait_for()
    assert find_barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
