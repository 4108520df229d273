"""Customers buy, and are told what is so."""

import re

from playwright.sync_api import Locator, Page, expect

from lab.stack.stack import Stack
from tests.browser.shop import (
    ANSWER_LOST,
    DECLINED,
    PASSWORD,
    PAYS,
    PAYS_SLOWLY,
    PROVIDER_FAILS,
    STOCK,
    buy,
    buy_elsewhere,
    expect_status,
    fill_checkout,
    pay,
    put_in_cart,
    read_orders,
    run_sql,
    sign_up,
)

CONFIRMED = ("CONFIRMED", "")
PRICE_CHANGED = re.compile(r"The price has changed from .*5\.00.* to .*6\.25")


def test_a_guest_buys_without_an_account(page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku)

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_user_buys_and_finds_the_order_in_the_history(page: Page, stack: Stack, sku: str) -> None:
    sign_up(page, stack)
    buy(page, sku)
    expect_status(page, "Confirmed")
    code = page.locator("h1 .code").inner_text()

    page.get_by_role("link", name="Your orders").click()

    row = page.get_by_role("listitem").filter(has_text=code)
    expect(row).to_contain_text("Confirmed")
    expect(row).to_contain_text("5.00")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_user_logs_out_and_in_again(page: Page, stack: Stack) -> None:
    email = sign_up(page, stack)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Email").fill(email.upper())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", name="Your orders")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(email)


def test_a_declined_card_keeps_the_order_and_another_card_pays_it(page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku, DECLINED, quantity=2)
    expect_status(page, "Card declined")
    expect(page.locator("#status")).to_contain_text("Your items are put aside until")

    page.get_by_label(PAYS, exact=True).check()
    page.get_by_role("button", name="Pay £10.00").click()

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_declined_order_that_ended_keeps_the_cart_and_is_ordered_again(page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku, DECLINED, quantity=2)
    expect_status(page, "Card declined")
    page.get_by_role("button", name="Try another payment method").wait_for(
        timeout=60_000
    )  # the hold ends at the deadline
    expect(page.locator("#status")).to_contain_text("No money was taken.")

    page.get_by_role("button", name="Try another payment method").click()
    page.wait_for_url("**/checkout/")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"2 . .*5\.00"))
    fill_checkout(page, PAYS)
    pay(page)

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [("CANCELLED", "card_declined"), CONFIRMED]


def test_what_is_sold_out_meanwhile_is_shown_before_paying(page: Page, stack: Stack, sku: str) -> None:
    put_in_cart(page, sku)
    buy_elsewhere(page, sku, STOCK)

    page.goto("/checkout/")

    expect(page.get_by_text("Sold out since you added it.")).to_be_visible()
    expect(page.get_by_role("button", name="Order and pay")).to_have_count(0)
    assert len(read_orders(stack, sku)) == 1


def test_what_is_sold_out_while_the_checkout_is_open_is_refused_and_shown(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    put_in_cart(page, sku, 3)
    fill_checkout(page)
    buy_elsewhere(page, sku, STOCK - 1)

    pay(page)

    expect(page.get_by_role("alert")).to_contain_text("Nothing was ordered")
    expect(page.get_by_text("Only 1 left; you have 3 in your cart.")).to_be_visible()
    assert len(read_orders(stack, sku)) == 1
    take_out(trouble, "409")

    page.get_by_role("button", name="Keep what is available").click()
    page.wait_for_url("**/cart/")
    fill_checkout(page)
    pay(page)
    expect_status(page, "Confirmed")
    assert len(read_orders(stack, sku)) == 2


def test_a_price_that_changed_is_shown_before_paying(page: Page, stack: Stack, sku: str) -> None:
    put_in_cart(page, sku)
    change_price(stack, sku, 625)

    page.goto("/checkout/")

    expect(page.get_by_text(PRICE_CHANGED)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile(r"^Order and pay .*6\.25"))).to_be_visible()


def test_a_price_that_changes_while_the_checkout_is_open_is_refused_and_shown(
    page: Page, stack: Stack, sku: str, trouble: list[str]
) -> None:
    put_in_cart(page, sku)
    fill_checkout(page)
    change_price(stack, sku, 625)

    pay(page)

    expect(page.get_by_role("alert")).to_contain_text("Nothing was ordered")
    expect(page.get_by_text(PRICE_CHANGED)).to_be_visible()
    assert read_orders(stack, sku) == []
    take_out(trouble, "409")


def test_a_pending_order_is_cancelled_by_its_customer(page: Page, stack: Stack, sku: str) -> None:
    buy(page, sku, PROVIDER_FAILS)

    page.get_by_role("link", name="Cancel this order").click()
    page.get_by_role("button", name="Yes, cancel it").click()

    expect_status(page, "Cancelled")
    expect(page.locator("#status")).to_contain_text("You cancelled this order. No money was taken.")
    assert read_orders(stack, sku) == [("CANCELLED", "customer")]


def test_a_shop_that_hangs_is_said_to_be(page: Page, sku: str, trouble: list[str]) -> None:
    buy(page, sku, PROVIDER_FAILS)
    page.evaluate("htmx.config.timeout = 200")
    page.route("**/status/", lambda route: None)  # never answered

    expect(page.locator("#offline")).to_contain_text("Nothing is lost")

    page.unroute("**/status/")
    expect(page.locator("#offline")).to_be_hidden()
    trouble.clear()


def test_an_unknown_payment_says_not_to_pay_again_and_is_confirmed_in_the_end(
    page: Page, stack: Stack, sku: str
) -> None:
    buy(page, sku, ANSWER_LOST)

    expect_status(page, "We are checking with your bank")
    expect(page.locator("#status")).to_contain_text("Do not pay again")

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_the_order_page_asks_no_more_once_the_order_is_final(page: Page, sku: str) -> None:
    buy(page, sku, PAYS_SLOWLY)

    expect_status(page, "Confirmed")

    expect(page.locator("[hx-get]")).to_have_count(0)


def test_a_purchase_without_a_mouse(page: Page, stack: Stack, sku: str) -> None:
    page.goto("/")
    tab_to(page, page.get_by_role("searchbox"))
    page.keyboard.type(sku)
    page.keyboard.press("Enter")
    press(page, page.get_by_role("link", name=f"Mug {sku}"))
    press(page, page.get_by_role("button", name="Add to cart"))
    press(page, page.get_by_role("link", name="See your cart"))
    press(page, page.get_by_role("button", name="Go to checkout"))
    tab_to(page, page.get_by_label("Email"))
    page.keyboard.type("ann@example.com")
    tab_to(page, page.get_by_role("radio", name="Card", exact=True))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label(PAYS, exact=True)).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label(PAYS_SLOWLY)).to_be_checked()
    press(page, page.get_by_role("button", name="Order and pay"))

    expect_status(page, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def test_a_purchase_without_javascript(page_without_javascript: Page, stack: Stack, sku: str) -> None:
    buy(page_without_javascript, sku, PAYS_SLOWLY)

    expect_status(page_without_javascript, "Confirmed")
    assert read_orders(stack, sku) == [CONFIRMED]


def change_price(stack: Stack, sku: str, price: int) -> None:
    run_sql(stack, "UPDATE catalog_product SET price = %s WHERE sku = %s", price, sku)


def press(page: Page, target: Locator) -> None:
    tab_to(page, target)
    page.keyboard.press("Enter")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    expect(target).to_be_visible()
    for _ in range(100):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"no Tab leads to {target}")


def take_out(trouble: list[str], status: str) -> None:
    """The browser complains of an answer with that status, once, and of nothing else."""
    assert len(trouble) == 1
    assert re.search(rf"status of {status}\b", trouble.pop())
