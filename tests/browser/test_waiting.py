"""A visitor waits before a rush, is let in, and buys; two web processes share one queue."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis
from playwright.sync_api import Page, expect

from lab.stack.stack import Stack
from tests.browser.conftest import ColorScheme, OpenTab, run_web
from tests.browser.shop import PAYS, expect_status, fill_checkout, pay, read_orders
from tests.browser.test_pages import find_barriers

SHOPS = 2  # web processes, at addresses of their own
LONG = 2**40  # a time that no clock shows for long
PENDING_OR_PAID = {("PENDING", ""), ("CONFIRMED", "")}


@pytest.fixture(scope="module")
def queued(skus: Iterator[str]) -> str:
    """The product of the rush, for all tests here."""
    return next(skus)


@pytest.fixture(scope="module")
def shops(stack: Stack, queued: str) -> Iterator[list[str]]:
    room = {"WAITING_ROOM": "products", "WAITING_ROOM_SKUS": queued, "WAITING_ROOM_LEAST": "1"}
    with ExitStack() as exits:
        yield [exits.enter_context(run_web(stack, **room)) for _ in range(SHOPS)]


@pytest.fixture
def set_pace(stack: Stack, queued: str) -> Iterator[Callable[[int], None]]:
    """Let in so many a second from now on, whatever the shop could do. At first nobody is let in, and nobody waits."""
    client: redis.Redis = redis.Redis.from_url(stack.environment["REDIS_URL"])
    prefix = f"{stack.environment.get('REDIS_PREFIX', '')}waiting:{queued}:"

    def set_pace(pace: int) -> None:
        client.hset(f"{prefix}room", mapping={"pace": pace, "measure_at": LONG})

    for part in ("queue", "leaving", "inside", "called", "claims", "room"):
        client.delete(prefix + part)
    set_pace(0)
    yield set_pace
    client.close()


def come(page: Page, queued: str) -> None:
    page.goto(f"/products/mug-{queued}/{queued}/")


def take_refusal_out(trouble: list[str]) -> None:
    """The waiting room's page has the status 429, which the browser notes as a failure."""
    trouble[:] = [text for text in trouble if "429" not in text]


def expect_number(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", name="You are in the queue")).to_be_visible()
    expect(page.get_by_text(f"You are number {number}.")).to_be_visible()


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_a_visitor_waits_is_let_in_and_buys(
    open_tab: OpenTab,
    stack: Stack,
    shops: list[str],
    queued: str,
    set_pace: Callable[[int], None],
    trouble: list[str],
    java_script_enabled: bool,
) -> None:
    page = open_tab(url=shops[0], java_script_enabled=java_script_enabled)
    before = len(read_orders(stack, queued))
    come(page, queued)
    expect_number(page, 1)

    set_pace(1)
    button = page.get_by_role("button", name="Add to cart")
    expect(button).to_be_visible()  # by itself
    button.click()
    expect(page.get_by_text("Added ").first).to_be_visible()
    fill_checkout(page, PAYS)
    pay(page)
    page.wait_for_url("**/orders/**")

    take_refusal_out(trouble)
    assert set(read_orders(stack, queued)[before:]) <= PENDING_OR_PAID
    assert len(read_orders(stack, queued)) == before + 1
    if java_script_enabled:
        expect_status(page, "Confirmed")


def test_two_web_processes_and_two_tabs_share_one_queue(
    open_tab: OpenTab, shops: list[str], queued: str, set_pace: Callable[[int], None], trouble: list[str]
) -> None:
    first, second = (open_tab(url=url) for url in shops)
    come(first, queued)
    come(second, queued)
    expect_number(first, 1)
    expect_number(second, 2)

    second.reload()
    expect_number(second, 2)
    tab = first.context.new_page()
    tab.goto(f"{shops[1]}/products/mug-{queued}/{queued}/")  # cookies know no ports
    expect_number(tab, 1)

    take_refusal_out(trouble)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_waiting_rooms_page_is_accessible(
    open_tab: OpenTab,
    shops: list[str],
    queued: str,
    set_pace: Callable[[int], None],
    trouble: list[str],
    color_scheme: ColorScheme,
) -> None:
    page = open_tab(url=shops[0], color_scheme=color_scheme)
    come(page, queued)

    assert find_barriers(page) == []
    expect(page.get_by_role("status").filter(has_text="You are number 1.")).to_be_visible()

    take_refusal_out(trouble)
