"""python -m tests.browser.screenshots: the pictures in docs/screenshots, taken of a throwaway shop."""

import sys

from django.utils.text import slugify
from playwright.sync_api import Browser, Page, sync_playwright

from lab.stack.shop import run_stack
from lab.stack.stack import Stack
from lab.stack.var import BASE_DIR
from tests.browser.card import find_frame, open_card_form, type_card
from tests.browser.chromium import CHROMIUM, launch, open_context
from tests.browser.shop import (
    ANSWER_LOST,
    DECLINED,
    buy,
    expect_status,
    fill_checkout,
    load_catalog,
    make_staff,
    pay,
    put_in_cart,
    run_sql,
    sign_up,
)

FOLDER = BASE_DIR / "docs" / "screenshots"
CATALOG = BASE_DIR / "data" / "products.csv"
HEART, STAND, BUNTING = "85123A", "22423", "47566"
CATEGORIES = {"Bags": "%BAG%", "Christmas": "%CHRISTMAS%", "Lights": "%LIGHT%", "Mugs and cups": "%MUG%"}
MOST_BYTES = 150_000


def main() -> None:
    if CHROMIUM is None:
        sys.exit("no Chromium here: see CONTRIBUTING.md")
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Long enough for a payment to be seen while its answer is missing.
    with (
        run_stack(
            caller={"SANDBOX_WEBHOOKS": "0", "STRIPE_TIMEOUT": "5", "SWEEP_AFTER": "10", "AUDIT_EVERY": "5"},
            fsync=False,
        ) as stack,
        sync_playwright() as playwright,
    ):
        load_catalog(stack, CATALOG)
        make_categories(stack)
        browser = launch(playwright, CHROMIUM)
        show_shop(browser, stack)
        show_dark(browser, stack)
        show_phone(browser, stack)
        show_korean(browser, stack)
        show_admin(browser, stack)
        browser.close()


def make_categories(stack: Stack) -> None:
    """The file has none: products belong to what their name says."""
    for name, pattern in CATEGORIES.items():
        run_sql(
            stack,
            "WITH made AS (INSERT INTO catalog_category (name, slug) VALUES (%s, %s) RETURNING id)"
            " UPDATE catalog_product SET category_id = made.id FROM made WHERE catalog_product.name LIKE %s",
            name,
            slugify(name),
            pattern,
        )


def show_shop(browser: Browser, stack: Stack) -> None:
    page = open_context(browser, stack.web_url).new_page()
    page.goto("/?q=heart")
    save(page, "products")
    put_in_cart(page, HEART, 2)
    save(page, "product")
    put_in_cart(page, STAND)
    page.goto("/cart/")
    save(page, "cart")
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    type_card(page)
    save(page, "checkout")
    fill_checkout(page, ANSWER_LOST)
    pay(page)
    expect_status(page, "We are checking with your bank")
    save(page, "order-checking")
    expect_status(page, "Confirmed")
    save(page, "order-confirmed")


def show_dark(browser: Browser, stack: Stack) -> None:
    page = open_context(browser, stack.web_url, color_scheme="dark").new_page()
    buy(page, BUNTING, DECLINED)
    expect_status(page, "Card declined")
    save(page, "order-declined-dark")


def show_phone(browser: Browser, stack: Stack) -> None:
    page = open_context(browser, stack.web_url, width=375).new_page()
    open_card_form(page, HEART)
    type_card(page)
    page.get_by_label("Email").evaluate("field => field.scrollIntoView()")
    save(page, "checkout-phone")


def show_korean(browser: Browser, stack: Stack) -> None:
    page = open_context(browser, stack.web_url, locale="ko-KR").new_page()
    page.goto(f"/products/x/{HEART}/")
    page.locator("form[hx-post] button").click()
    page.locator("#added .good").wait_for()
    page.goto("/checkout/")
    find_frame(page).locator("#number").wait_for()
    save(page, "checkout-korean")


def show_admin(browser: Browser, stack: Stack) -> None:
    page = open_context(browser, stack.web_url).new_page()
    make_staff(stack, sign_up(page, stack, "staff@example.com"))
    page.goto("/admin/orders/order/dashboard/")
    save(page, "admin-dashboard")
    page.goto("/admin/orders/order/")
    save(page, "admin-orders")
    page.locator("#result_list tbody th a").last.click()  # the first order, whose answer was lost
    page.get_by_role("heading", name="Timeline").evaluate("heading => heading.scrollIntoView()")
    save(page, "admin-order")


def save(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.png"
    size = len(page.screenshot(path=path, animations="disabled"))
    if size > MOST_BYTES:
        sys.exit(f"{path} has {size} bytes; {MOST_BYTES} at most")
    print(f"{path.relative_to(BASE_DIR)}  {size // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
