"""Every page is usable by everybody, light, and free of third parties."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Error, Page, Request, expect

from lab.stack.stack import Stack
from tests.browser.conftest import OpenTab
from tests.browser.shop import (
    DECLINED,
    PAYS,
    ask_for_account,
    buy,
    expect_status,
    fill_checkout,
    pay,
    put_in_cart,
    sign_up,
)

AXE = (Path(__file__).parent / "axe.min.js").read_text()
# Without preload: axe would add inline styles of what a stylesheet imports, which the Content-Security-Policy refuses.
# Without frames: those of another origin are looked at by themselves.
FIND_VIOLATIONS = """async () => {
    const { violations } = await axe.run({ preload: false, iframes: false });
    return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map(({ html }) => html) }));
}"""
MOST_BYTES = 100_000


@pytest.fixture(params=["light", "dark"])
def themed_page(request: pytest.FixtureRequest, open_tab: OpenTab) -> Page:
    return open_tab(color_scheme=request.param)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?q=mug",
        "/?sort=-price&page=2",
        "/?q=nothing-of-that-kind",
        "/cart/",
        "/orders/find/?code=x",
        "/account/password/",
        "/account/sign-up/",
        "/account/sign-up/sent/",
    ],
)
def test_a_page_is_accessible(themed_page: Page, path: str, skus: Iterator[str]) -> None:
    themed_page.goto(path)
    assert find_barriers(themed_page) == []


@pytest.mark.parametrize("form", ["log-in", "create-account"])
def test_a_form_is_accessible_before_and_after_it_is_filled_in_wrongly(
    themed_page: Page, stack: Stack, form: str
) -> None:
    if form == "log-in":
        themed_page.goto("/account/log-in/")
        themed_page.get_by_label("Email").fill("nobody@example.com")
    else:
        themed_page.goto(ask_for_account(themed_page, stack, f"{uuid4().hex}@example.com"))
    assert find_barriers(themed_page) == []

    for password in themed_page.locator("[type=password]").all():
        password.fill("1")
    themed_page.get_by_role("main").get_by_role("button").click()
    themed_page.locator(".wrong, .note.bad").first.wait_for()
    assert find_barriers(themed_page) == []


def test_the_way_to_an_order_is_accessible(themed_page: Page, sku: str) -> None:
    put_in_cart(themed_page, sku)
    assert find_barriers(themed_page) == []
    themed_page.goto("/cart/")
    assert find_barriers(themed_page) == []
    fill_checkout(themed_page, PAYS)
    assert find_barriers(themed_page) == []
    pay(themed_page)
    expect_status(themed_page, "Confirmed")
    assert find_barriers(themed_page) == []


def test_a_declined_order_is_accessible(themed_page: Page, sku: str) -> None:
    buy(themed_page, sku, DECLINED)
    expect_status(themed_page, "Card declined")
    assert find_barriers(themed_page) == []


def test_the_history_is_accessible(themed_page: Page, stack: Stack, sku: str) -> None:
    sign_up(themed_page, stack)
    buy(themed_page, sku)
    themed_page.goto("/orders/")
    assert find_barriers(themed_page) == []


def test_times_are_turned_to_the_readers_zone_and_country(page: Page, sku: str) -> None:
    zone = page.context.new_cdp_session(page)
    zone.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Seoul"})
    buy(page, sku)

    placed = page.locator(".page-head time")

    expect(placed).to_have_text(re.compile(r"^\d+ \w+ 20\d\d, \d\d:\d\d$"))  # as in Britain, and without a zone's name
    hours = placed.evaluate("time => [new Date(time.dateTime).getUTCHours(), time.textContent.slice(-5, -3)]")
    assert (hours[0] + 9) % 24 == int(hours[1])


def test_after_a_refusal_the_first_wrong_field_has_the_focus(page: Page) -> None:
    page.goto("/orders/find/?code=x")
    expect(page.get_by_label("Its code")).to_be_focused()

    page.goto("/orders/find/")
    expect(page.get_by_label("Its code")).not_to_be_focused()


def test_a_barrier_is_found(page: Page) -> None:
    page.goto("/")
    page.evaluate("document.querySelector('#q').removeAttribute('placeholder')")
    page.evaluate("document.querySelector('label[for=q]').remove()")

    assert [barrier["id"] for barrier in find_barriers(page)] == ["label"]


def test_an_inline_script_is_refused_and_seen(page: Page, trouble: list[str]) -> None:
    page.goto("/")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))")

    assert page.evaluate("typeof hacked") == "undefined"
    assert "Content Security Policy" in trouble.pop()


def test_the_page_of_the_api_shows_every_operation_with_nothing_inline(page: Page) -> None:
    page.goto("/api/v1/docs")

    expect(page.locator(".opblock")).to_have_count(11)


def test_the_list_and_the_order_are_light_and_need_no_third_party(open_tab: OpenTab, stack: Stack, sku: str) -> None:
    page = open_tab()
    buy(page, sku)
    expect_status(page, "Confirmed")

    for url in (stack.web_url, page.url):
        requests = load_afresh(open_tab(), url)
        assert all(request.url.startswith(stack.web_url) for request in requests)
        bodies = {request.url: request.sizes()["responseBodySize"] for request in requests}
        assert 0 < sum(bodies.values()) < MOST_BYTES, json.dumps(bodies, indent=2)


def find_barriers(page: Page) -> list[dict[str, object]]:
    """Whatever axe-core finds, however slight. A page that is replaced meanwhile, as an order's at its end, is left."""
    page.wait_for_load_state()  # or a click's new page may be half there, without the heading that axe looks for
    try:
        page.evaluate(AXE)
        found: list[dict[str, object]] = page.evaluate(FIND_VIOLATIONS)
    except Error as error:
        if "because of a navigation" not in error.message:
            raise
        return find_barriers(page)
    return found


def load_afresh(page: Page, url: str) -> list[Request]:
    """Every request that the page makes while it loads."""
    requests: list[Request] = []

    def note(request: Request) -> None:  # Playwright takes no built-in function such as requests.append
        requests.append(request)

    page.on("requestfinished", note)
    page.goto(url, wait_until="networkidle")
    return requests
