"""Types a card into the frame of the card form, as customers do."""

from playwright.sync_api import FrameLocator, Page, expect

from tests.browser.shop import pay, put_in_cart

VISA = "4242 4242 4242 4242"
MASTERCARD = "5555 5555 5555 4444"
DECLINED = "4000 0000 0000 0002"
NO_MONEY = "4000 0000 0000 9995"
ASKS_FOR_3D_SECURE = "4000 0027 6000 3184"
NO_TEST_CARD = "4111 1111 1111 1111"


def open_card_form(page: Page, sku: str, quantity: int = 1) -> None:
    """From the product's page to the checkout, with the email filled in and the card form ready."""
    put_in_cart(page, sku, quantity)
    page.goto("/checkout/")
    page.get_by_label("Email").fill("ann@example.com")
    expect(find_frame(page).get_by_label("Card number")).to_be_visible()


def open_checkout_on_a_phone(page: Page, sku: str) -> None:
    """In any language, with the email filled in."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/products/x/{sku}/")
    page.locator("form[hx-post] button").click()
    page.locator("#added .good").wait_for()
    page.goto("/checkout/")
    page.locator("input[type=email]").fill("ann@example.com")


def find_frame(page: Page) -> FrameLocator:
    return page.frame_locator("#card-form iframe")


def type_card(page: Page, number: str = VISA, *, expiry: str = "12 / 40", cvc: str = "123") -> None:
    frame = find_frame(page)
    frame.get_by_label("Card number").fill(number)
    frame.get_by_label("Expiry date").fill(expiry)
    frame.get_by_label("Security code").fill(cvc)


def pay_by_card(page: Page, sku: str, number: str = VISA) -> None:
    open_card_form(page, sku)
    type_card(page, number)
    pay(page)
