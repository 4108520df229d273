"""A bank asks its customer to confirm the payment: on a page of the bank's, or in a frame of the provider's script."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from lab.stack.stack import Stack
from tests.browser.card import ASKS_FOR_3D_SECURE as CARD
from tests.browser.card import VISA, pay_by_card, type_card
from tests.browser.conftest import OpenTab
from tests.browser.shop import ASKS_FOR_3D_SECURE, ORDER_URL, PAYS, buy, expect_status, read_orders
from tests.browser.test_card_form import find_files_with
from tests.browser.test_pages import find_barriers
from tests.browser.test_second_card import press_pay, read_payments

CONFIRMED = ("CONFIRMED", "")
ASKED = "Your bank asks you to confirm"
BANK_URL = re.compile(r"/bank/")


def find_way(page: Page) -> Locator:
    return page.get_by_role("link", name="Go to your bank")


def go_to_bank(page: Page) -> None:
    """By the order's page to the bank's."""
    expect_status(page, ASKED)
    find_way(page).click()
    page.wait_for_url(BANK_URL)


def open_frame(page: Page) -> FrameLocator:
    """By the order's page to ours, in which the provider's script shows the bank's."""
    page.wait_for_url(ORDER_URL)
    expect_status(page, ASKED)
    find_way(page).click()
    return page.frame_locator("iframe[title='3D Secure authentication']")


def answer(bank: Page | FrameLocator, words: str = "Approve") -> None:
    bank.get_by_role("button", name=words).click()


def test_a_customer_who_approves_on_the_banks_page_comes_back_to_a_confirmed_order(
    page: Page, stack: Stack, sku: str
) -> None:
    buy(page, sku, ASKS_FOR_3D_SECURE)
    order = page.url
    go_to_bank(page)
    answer(page)

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")
    assert page.url == order
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_customer_who_fails_at_the_bank_pays_with_another_card(page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku, ASKS_FOR_3D_SECURE)
    go_to_bank(page)
    answer(page, "Fail authentication")

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Card declined")
    expect(page.locator("#status")).to_contain_text("Your bank could not confirm that it is you who pays.")
    page.get_by_label(PAYS, exact=True).check()
    press_pay(page)

    expect_status(page, "Confirmed")
    assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]


def test_a_customer_who_closes_the_banks_page_may_open_it_again(page: Page, open_tab: OpenTab, sku: str) -> None:
    buy(page, sku, ASKS_FOR_3D_SECURE)
    order = page.url
    go_to_bank(page)
    page.close()

    later = open_tab()
    later.goto(order)
    go_to_bank(later)
    answer(later)

    later.wait_for_url(ORDER_URL)
    expect_status(later, "Confirmed")


def test_a_customer_who_approves_and_never_comes_back_has_paid(page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku, ASKS_FOR_3D_SECURE)
    expect_status(page, ASKED)
    bank = page.request.get(urlsplit(page.url).path + "action/", max_redirects=0).headers["location"]
    page.request.post(bank, form={"answer": "approve"}, max_redirects=0)

    expect_status(page, "Confirmed")  # by the sweep
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_customer_who_never_answers_the_bank_keeps_no_stock_past_the_deadline(
    page: Page, stack: Stack, sku: str
) -> None:
    buy(page, sku, ASKS_FOR_3D_SECURE)
    go_to_bank(page)
    bank = page.url
    page.go_back()

    expect_status(page, "Cancelled")
    page.goto(bank)  # it leads back, whatever it is asked by now
    page.wait_for_url(ORDER_URL)
    expect(page.locator("#status")).to_contain_text("No money was taken.")
    assert read_orders(stack, sku) == [("CANCELLED", "expired")]


@pytest.mark.parametrize("words", ["Approve", "Fail authentication"])
def test_a_typed_card_is_confirmed_in_the_frame_of_the_providers_script(
    page: Page, stack: Stack, sku: str, words: str
) -> None:
    pay_by_card(page, sku, CARD)
    answer(open_frame(page), words)

    page.wait_for_url(ORDER_URL)
    if words == "Approve":
        expect_status(page, "Confirmed")
        assert read_orders(stack, sku) == [CONFIRMED]
    else:
        expect_status(page, "Card declined")
        type_card(page, VISA)
        press_pay(page)
        expect_status(page, "Confirmed")
        assert read_payments(stack, sku) == [(1, "DECLINED"), (2, "SUCCEEDED")]
    assert find_files_with(stack.folder / "log", "_secret_") == []


def test_a_customer_who_leaves_the_frame_may_open_it_again(page: Page, sku: str) -> None:
    pay_by_card(page, sku, CARD)
    expect(open_frame(page).get_by_role("button", name="Approve")).to_be_visible()
    page.go_back()
    answer(open_frame(page))

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")


def test_a_script_that_is_blocked_is_told_and_can_be_loaded_again(page: Page, sku: str, trouble: list[str]) -> None:
    pay_by_card(page, sku, CARD)
    page.wait_for_url(ORDER_URL)
    expect_status(page, ASKED)
    page.route("**/stripe.js", lambda route: route.abort())
    find_way(page).click()
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    assert find_barriers(page) == []
    page.unroute("**/stripe.js")
    page.get_by_role("button", name="Load it again").click()
    answer(page.frame_locator("iframe[title='3D Secure authentication']"))

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")
    trouble[:] = [complaint for complaint in trouble if "ERR_FAILED" not in complaint]


def test_without_javascript_the_banks_page_is_reached_and_left(page_without_javascript: Page, sku: str) -> None:
    page = page_without_javascript
    page.goto(f"/products/mug-{sku}/{sku}/")
    page.get_by_role("button", name="Add to cart").click()
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    page.get_by_label(ASKS_FOR_3D_SECURE, exact=True).check()
    page.get_by_role("button", name="Order and pay").click()
    page.wait_for_url(ORDER_URL)
    go_to_bank(page)
    answer(page)

    page.wait_for_url(ORDER_URL)
    expect_status(page, "Confirmed")


def test_the_page_that_leads_to_the_bank_has_no_barriers(page: Page, sku: str) -> None:
    buy(page, sku, ASKS_FOR_3D_SECURE)
    expect_status(page, ASKED)
    assert find_barriers(page) == []
