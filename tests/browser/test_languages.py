"""A customer who reads Korean buys in Korean, and may read on in English."""

import pytest
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import ColorScheme, OpenTab
from tests.browser.shop import ORDER_URL, expect_status, read_orders, read_rows
from tests.browser.test_pages import find_barriers


def buy_in_korean(page: Page, sku: str) -> None:
    """From the list to the order's page."""
    page.goto("/")
    page.get_by_label("상품 검색").fill(sku)
    page.get_by_role("button", name="검색").click()
    page.get_by_role("link", name=f"Mug {sku}", exact=True).click()
    page.get_by_label("수량").fill("2")
    page.get_by_role("button", name="장바구니에 담기").click()
    expect(page.get_by_text("장바구니에 2개를 담았습니다.")).to_be_visible()
    page.goto("/cart/")
    page.get_by_role("button", name="주문하기").click()
    page.get_by_label("이메일").fill("ann@example.com")
    page.get_by_label("테스트 카드: 결제 성공", exact=True).check()
    page.get_by_role("button", name="£10.00 결제하기").click()
    page.wait_for_url(ORDER_URL)


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_a_customer_buys_in_korean_and_reads_on_in_english(
    open_tab: OpenTab, stack: Stack, sku: str, java_script_enabled: bool
) -> None:
    page = open_tab(locale="ko-KR", java_script_enabled=java_script_enabled)

    buy_in_korean(page, sku)
    expect_status(page, "확정됨")
    order = page.url
    page.get_by_role("button", name="English").click()

    expect_status(page, "Confirmed")
    assert page.url == order
    expect(page.get_by_role("button", name="English")).to_have_attribute("aria-current", "true")
    page.goto("/cart/")
    expect(page.get_by_role("heading", name="Your cart")).to_be_visible()
    assert read_orders(stack, sku) == [("CONFIRMED", "")]
    assert read_rows(stack, "SELECT language FROM orders_order WHERE code = %s", order.split("/")[-2]) == [("ko",)]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_korean_pages_are_accessible(open_tab: OpenTab, sku: str, color_scheme: ColorScheme) -> None:
    page = open_tab(locale="ko-KR", color_scheme=color_scheme)

    for path in ("/", "/account/sign-up/", f"/products/mug-{sku}/{sku}/"):
        page.goto(path)
        assert find_barriers(page) == []
    buy_in_korean(page, sku)
    expect_status(page, "확정됨")
    assert find_barriers(page) == []
