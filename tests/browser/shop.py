"""Does in the browser what customers do, and reads from the database what became of it."""

import json
import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack

PAYS = "Test card: pays"
PAYS_SLOWLY = "Test card: pays, slowly"
ANSWER_LOST = "Test card: pays, but the answer is lost"
ASKS_FOR_3D_SECURE = "Test card: asks for 3-D Secure"
DECLINED = "Test card: declined"
PROVIDER_FAILS = "Test card: the provider fails"
ORDER_URL = re.compile(r"/orders/[0-9A-Z-]+/$")
PASSWORD = "correct horse battery"
STOCK = 20


def load_products(stack: Stack, skus: list[str]) -> None:
    catalog = stack.folder / f"{uuid4().hex}.csv"
    catalog.write_text("sku,name,price\n" + "".join(f"{sku},Mug {sku},5.00\n" for sku in skus))
    load_catalog(stack, catalog)


def load_catalog(stack: Stack, catalog: Path) -> None:
    loaded = stack.manage("load_catalog", str(catalog), "--stock", str(STOCK))
    assert loaded.returncode == 0, loaded.stderr


def put_in_cart(page: Page, sku: str, quantity: int = 1) -> None:
    page.goto(f"/products/mug-{sku}/{sku}/")
    page.get_by_label("Quantity").fill(str(quantity))
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_text(re.compile("^Added "))).to_be_visible()


def fill_checkout(page: Page, method: str = PAYS) -> None:
    """Go to the checkout, and fill in all but the last click."""
    page.goto("/checkout/")
    if page.get_by_label("Email").is_visible():  # a guest
        page.get_by_label("Email").fill("ann@example.com")
    page.get_by_label(method, exact=True).check()


def pay(page: Page) -> None:
    page.get_by_role("button", name="Order and pay").click()


def buy(page: Page, sku: str, method: str = PAYS, quantity: int = 1) -> None:
    """From the product's page to the order's."""
    put_in_cart(page, sku, quantity)
    fill_checkout(page, method)
    pay(page)
    page.wait_for_url(ORDER_URL)


def expect_status(page: Page, title: str) -> None:
    expect(page.locator("#status h2")).to_have_text(title)


def sign_up(page: Page, stack: Stack, email: str = "") -> str:
    """Create an account with the mailed link and be logged in to it; return its email."""
    email = email or f"{uuid4().hex}@example.com"
    page.goto(ask_for_account(page, stack, email))
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password confirmation").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Create my account").click()
    page.wait_for_url("**/orders/")
    return email


def ask_for_account(page: Page, stack: Stack, email: str) -> str:
    """The mailed link with which the account is created."""
    page.goto("/account/sign-up/")
    page.get_by_label("Email").fill(email)
    page.get_by_role("main").get_by_role("button", name="Send me a link").click()
    page.wait_for_url("**/account/sign-up/sent/")
    return find_link(stack, email)


def find_link(stack: Stack, email: str) -> str:
    """The link in the newest mail to the address, once the mails worker has printed it."""
    mail = re.compile(rf"^To: {re.escape(email)}$.*?^(http\S+)$", re.MULTILINE | re.DOTALL)
    deadline = time.monotonic() + 30
    while not (links := mail.findall(stack.log("mails").read_text())):
        assert time.monotonic() < deadline, f"no mail to {email}"
        time.sleep(0.1)
    return str(links[-1])


def make_staff(stack: Stack, email: str) -> None:
    """Let the account do everything in the admin."""
    run_sql(stack, "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE email = %s", email)


def buy_elsewhere(page: Page, sku: str, quantity: int) -> None:
    """Somebody else's order, by the API."""
    body = {"email": "bob@example.com", "lines": [{"sku": sku, "quantity": quantity}], "payment_method": "pm_card_visa"}
    response = page.request.post("/api/orders", data=body, headers={"Idempotency-Key": uuid4().hex})
    assert response.status == 201


def read_rows(stack: Stack, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        return connection.execute(query.encode(), values).fetchall()


def run_sql(stack: Stack, query: str, *values: Any) -> None:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        connection.execute(query.encode(), values)


def read_orders(stack: Stack, sku: str) -> list[tuple[str, str]]:
    """Status and cancel reason of each order of that product, oldest first."""
    return read_rows(
        stack,
        "SELECT status, cancel_reason FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id"
        " WHERE l.sku = %s ORDER BY o.id",
        sku,
    )


def audit(stack: Stack) -> list[Any]:
    """What the audit finds wrong."""
    violations: list[Any] = json.loads(stack.manage("audit", "--json").stdout)["violations"]
    return violations
