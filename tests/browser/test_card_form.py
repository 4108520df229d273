"""Customers pay with a card that only the provider sees."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from lab.stack.stack import Stack
from tests.browser.card import (
    DECLINED,
    MASTERCARD,
    NO_MONEY,
    NO_TEST_CARD,
    VISA,
    find_frame,
    open_card_form,
    open_checkout_on_a_phone,
    pay_by_card,
    type_card,
)
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import (
    ORDER_URL,
    PAYS,
    expect_status,
    pay,
    put_in_cart,
    read_orders,
    read_rows,
    run_sql,
)
from tests.browser.test_checkout import take_out
from tests.browser.test_pages import AXE, FIND_VIOLATIONS, find_barriers

CONFIRMED = ("CONFIRMED", "")
NOTHING_ORDERED = "Nothing was ordered, and your card was not charged."
SCRIPT = "**/stripe.js"
TOKENS = "**/v1/confirmation_tokens"
PAY = re.compile("^Order and pay")


def hold(held: list[Route], route: Route) -> None:  # Playwright takes no built-in function such as held.append
    held.append(route)


def expect_note(page: Page, name: str, words: str) -> None:
    note = page.locator(f"#card-form [data-note={name}]")
    expect(note).to_be_visible()
    expect(note).to_contain_text(words)
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()


def test_a_card_is_typed_and_pays(page: Page, stack: Stack, sku: str) -> None:
    pay_by_card(page, sku)

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (DECLINED, "Your card was declined."),
        (NO_MONEY, "there is not enough money on it"),
    ],
)
def test_a_card_that_does_not_pay_says_why(page: Page, stack: Stack, sku: str, number: str, words: str) -> None:
    pay_by_card(page, sku, number)

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Card declined")
    expect(page.locator("#status")).to_contain_text(words)
    expect(page.locator("#status")).to_contain_text("Your items are put aside until")
    assert read_orders(stack, sku) == [("PENDING", "")]


def test_a_cards_number_never_comes_to_the_shop(page: Page, stack: Stack, sku: str) -> None:
    sent: list[tuple[str, str]] = []

    def note(request: Request) -> None:
        if request.url.startswith("http"):
            sent.append((request.url, f"{request.url} {request.post_data or ''} {json.dumps(request.all_headers())}"))

    page.on("request", note)
    pay_by_card(page, sku)
    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")

    number = VISA.replace(" ", "")
    known = [url for url, text in sent if number in text or VISA in text or VISA.replace(" ", "+") in text]
    assert known == [
        f"{stack.provider_url}/v1/confirmation_tokens"
    ]  # that it is found where it is shows that we see it
    assert {url for url, _text in sent if not url.startswith(stack.web_url)} >= set(known)
    assert all(url.startswith((stack.web_url, stack.provider_url)) for url, _text in sent)
    (token,) = {token for _url, text in sent for token in re.findall(r"payment_method=(ctoken_\w+)", text)}
    assert read_rows(stack, "SELECT payment_method FROM payments_payment WHERE payment_method = %s", token) != []
    assert [path.name for path in find_files_with(stack.folder / "log", number, VISA)] == []


def find_files_with(folder: Path, *words: str) -> list[Path]:
    return [path for path in folder.iterdir() if any(word in path.read_text(errors="replace") for word in words)]


def test_our_own_page_can_not_read_the_frame(page: Page, sku: str) -> None:
    open_card_form(page, sku)
    type_card(page, MASTERCARD)

    assert page.evaluate("document.querySelector('#card-form iframe').contentDocument") is None
    assert MASTERCARD not in page.content()


@pytest.mark.parametrize(
    ("number", "expiry", "cvc", "words"),
    [
        ("4242", "12 / 40", "123", "Your card number is incomplete."),
        ("4242 4242 4242 4241", "12 / 40", "123", "Your card number is invalid."),
        (VISA, "12 / 20", "123", "expiration year is in the past"),
        (VISA, "12 / 40", "1", "security code is incomplete"),
    ],
)
def test_a_card_that_is_typed_wrongly_is_told_and_orders_nothing(
    page: Page, stack: Stack, sku: str, number: str, expiry: str, cvc: str, words: str
) -> None:
    open_card_form(page, sku)
    type_card(page, number, expiry=expiry, cvc=cvc)

    pay(page)

    expect_note(page, "refused", words)
    expect_note(page, "refused", NOTHING_ORDERED)
    assert read_orders(stack, sku) == []

    type_card(page)
    pay(page)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_card_that_the_provider_does_not_take_is_told_and_another_pays(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    pay_by_card(page, sku, NO_TEST_CARD)

    expect_note(page, "refused", "Your card is not supported.")
    assert read_orders(stack, sku) == []
    take_out(trouble, "402")

    type_card(page)
    pay(page)
    expect_status(page, "Confirmed")


def test_a_double_click_is_one_token_and_one_order(page: Page, stack: Stack, sku: str) -> None:
    tokens: list[str] = []
    open_card_form(page, sku)
    type_card(page)
    page.on("request", lambda request: tokens.append(request.url) if "confirmation_tokens" in request.url else None)

    page.get_by_role("button", name=PAY).dblclick()

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")
    assert len(tokens) == 1
    assert read_orders(stack, sku) == [CONFIRMED]


def test_two_tabs_with_cards_that_pay_at_the_same_time_are_one_order(page: Page, stack: Stack, sku: str) -> None:
    open_card_form(page, sku)
    other = page.context.new_page()
    other.goto("/checkout/")
    other.get_by_label("Email").fill("ann@example.com")
    for tab in (page, other):
        type_card(tab)

    for tab in (page, other):
        tab.evaluate("setTimeout(() => document.querySelector('main form[data-once]').requestSubmit())")

    for tab in (page, other):
        tab.wait_for_url(ORDER_URL)
        expect_status(tab, "Confirmed")
    assert page.url == other.url
    assert read_orders(stack, sku) == [CONFIRMED]


def test_what_the_browser_finds_wrong_costs_no_token(page: Page, stack: Stack, sku: str) -> None:
    open_card_form(page, sku)
    type_card(page, DECLINED)
    held: list[Route] = []
    page.route(TOKENS, lambda route: hold(held, route))
    pay(page)
    expect(page.get_by_role("button", name="Ordering …")).to_be_disabled()
    page.get_by_label("Email").fill("")  # while the token is made
    with page.expect_response(TOKENS):
        held.pop().continue_()
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    page.unroute(TOKENS)

    type_card(page)  # another card, of which the token is then
    page.get_by_label("Email").fill("ann@example.com")
    pay(page)

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_going_back_leads_to_the_order_and_charges_nothing_again(page: Page, stack: Stack, sku: str) -> None:
    pay_by_card(page, sku)
    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")

    page.go_back()

    page.wait_for_url(ORDER_URL)
    page.go_forward()
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_price_that_changes_after_the_card_was_typed_orders_nothing_and_the_card_is_asked_for_again(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    open_card_form(page, sku)
    type_card(page)
    run_sql(stack, "UPDATE catalog_product SET price = 625 WHERE sku = %s", sku)

    pay(page)

    expect(page.get_by_text(re.compile("Something has changed. Nothing was ordered"))).to_be_visible()
    expect(page.get_by_text("Your card was not charged. Its details are not kept here")).to_be_visible()
    expect(page.get_by_label("Card", exact=True).first).to_be_checked()
    expect(find_frame(page).get_by_label("Card number")).to_have_value("")
    assert read_orders(stack, sku) == []
    take_out(trouble, "409")

    type_card(page)
    pay(page)
    expect_status(page, "Confirmed")
    assert read_rows(
        stack, "SELECT o.total FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id WHERE l.sku = %s", sku
    ) == [(625,)]


def test_a_script_that_is_blocked_is_told_and_can_be_loaded_again(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    page.route(SCRIPT, lambda route: route.abort())
    put_in_cart(page, sku)
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    expect_note(page, "blocked", "could not be loaded")

    pay(page)

    expect_note(page, "blocked", NOTHING_ORDERED)
    assert read_orders(stack, sku) == []
    page.unroute(SCRIPT)
    page.get_by_role("button", name="Load it again").click()
    type_card(page)
    pay(page)
    expect_status(page, "Confirmed")
    assert "ERR_FAILED" in trouble.pop()


def test_a_script_that_is_something_else_is_told_and_another_way_to_pay_is_left(
    page: Page, stack: Stack, sku: str
) -> None:
    page.route(SCRIPT, lambda route: route.fulfill(content_type="text/javascript", body="// blocked"))
    put_in_cart(page, sku)
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    expect_note(page, "blocked", "could not be loaded")

    page.get_by_label(PAYS, exact=True).check()
    expect(page.locator("#card-form")).to_be_hidden()
    pay(page)

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_script_that_is_slow_is_told_and_pays_once_it_is_there(page: Page, stack: Stack, sku: str) -> None:
    held: list[Route] = []
    page.route(SCRIPT, lambda route: hold(held, route))
    put_in_cart(page, sku)
    page.goto("/checkout/", wait_until="domcontentloaded")
    page.get_by_label("Email").fill("ann@example.com")
    expect(page.get_by_text("The card form is loading …")).to_be_visible()

    pay(page)
    expect_note(page, "late", "has not come yet.")
    expect_note(page, "late", NOTHING_ORDERED)
    held.pop().continue_()

    type_card(page)
    expect(page.locator("#card-form [data-note=late]")).to_be_hidden()
    pay(page)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_provider_that_is_out_of_reach_is_told_and_the_button_may_be_pressed_again(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    open_card_form(page, sku)
    type_card(page)
    page.route(TOKENS, lambda route: route.abort())

    pay(page)

    expect_note(page, "refused", "We are experiencing issues connecting to our payments provider.")
    assert read_orders(stack, sku) == []
    assert "ERR_FAILED" in trouble.pop()
    page.unroute(TOKENS)
    pay(page)
    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_provider_that_never_answers_is_told_and_its_late_answer_orders_nothing(
    page: Page, stack: Stack, sku: str
) -> None:
    page.clock.install()
    open_card_form(page, sku)
    type_card(page)
    held: list[Route] = []
    page.route(TOKENS, lambda route: hold(held, route))
    pay(page)
    expect(page.get_by_role("button", name="Ordering …")).to_be_disabled()
    page.clock.fast_forward(31_000)

    expect_note(page, "silent", NOTHING_ORDERED)
    with page.expect_response(TOKENS):
        held.pop().continue_()
    page.clock.fast_forward(1_000)

    assert not ORDER_URL.search(page.url)
    assert read_orders(stack, sku) == []


def test_a_token_that_expires_before_it_is_charged_is_a_decline_in_words(page: Page, stack: Stack, sku: str) -> None:
    open_card_form(page, sku)
    type_card(page)

    def forget(route: Route) -> None:
        body = re.sub(r"ctoken_\w+", "ctoken_gone", str(route.request.post_data))
        route.continue_(post_data=body)

    page.route("**/checkout/", forget)
    pay(page)

    expect_status(page, "Card declined")
    expect(page.locator("#status")).to_contain_text("details of your card have expired, or were used before")
    assert read_orders(stack, sku) == [("PENDING", "")]  # held: another card can be tried


def test_a_shop_that_takes_cards_alone_has_no_choice_to_make(
    open_tab: OpenTab, stack: Stack, sku: str, card_shop: str
) -> None:
    page = open_tab(url=card_shop)
    open_card_form(page, sku)
    assert page.get_by_role("radio").count() == 0
    assert find_barriers(page) == []

    type_card(page)
    pay(page)

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_shop_that_takes_cards_alone_says_what_to_do_without_javascript_and_orders_nothing(
    open_tab: OpenTab, stack: Stack, sku: str, card_shop: str, trouble: list[str]
) -> None:
    page = open_tab(url=card_shop, java_script_enabled=False)
    put_in_cart(page, sku)
    page.goto("/checkout/")
    expect(page.get_by_text("or open it in another browser. Your cart is kept.")).to_be_visible()

    page.get_by_label("Email").fill("ann@example.com")
    pay(page)

    expect(page.get_by_text("The details of your card are missing: enter them.")).to_be_visible()
    assert read_orders(stack, sku) == []
    take_out(trouble, "400")


def test_without_javascript_the_page_says_why_there_is_no_card_form_and_what_else_there_is(
    page_without_javascript: Page, stack: Stack, sku: str
) -> None:
    page = page_without_javascript
    put_in_cart(page, sku)
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")

    expect(page.get_by_text("A card can be entered only with JavaScript")).to_be_visible()
    expect(page.get_by_text("or choose another way to pay")).to_be_visible()
    expect(page.get_by_role("radio", name="Card", exact=True)).to_have_count(0)

    page.get_by_label(PAYS, exact=True).check()
    pay(page)
    expect_status(page, "Confirmed")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_the_card_form_is_accessible_also_on_a_phone(
    open_tab: OpenTab, sku: str, color_scheme: ColorScheme, locale: str
) -> None:
    page = open_tab(color_scheme=color_scheme, locale=locale)
    open_checkout_on_a_phone(page, sku)
    button = page.locator("main form button[type=submit]")
    find_frame(page).locator("#number").fill("4242")
    assert find_barriers(page) == []

    button.click()

    page.locator("#card-form [data-note=refused]").wait_for()
    assert find_barriers(page) == []
    frame = page.frames[-1]
    frame.evaluate(AXE)
    assert frame.evaluate(FIND_VIOLATIONS) == []
    assert frame.evaluate("document.documentElement.lang") == locale[:2]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_purchase_by_card_without_a_mouse(page: Page, stack: Stack, sku: str) -> None:
    open_card_form(page, sku)
    page.get_by_label("Email").focus()

    for typed in (VISA, "1240", "123"):
        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.tagName") != "IFRAME":
            page.keyboard.press("Tab")
        page.keyboard.type(typed)
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.type") != "submit":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]
