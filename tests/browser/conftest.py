"""Runs a real Chromium against the whole shop, which runs in its own processes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, WebError, sync_playwright

from lab.stack.embedded import free_port
from lab.stack.forks import Fork
from lab.stack.shop import answers_http
from lab.stack.stack import Stack
from tests.browser.chromium import CHROMIUM, launch, open_context
from tests.browser.cutter import AnswerCutter, run_cutter
from tests.browser.shop import audit, load_products

PRODUCTS = 100  # more than one page of the list, and one of its own for each test

ColorScheme = Literal["light", "dark"]


class OpenTab(Protocol):
    def __call__(
        self, *, color_scheme: ColorScheme = ..., java_script_enabled: bool = ..., url: str = ..., locale: str = ...
    ) -> Page: ...


# Not for the session: while Playwright runs, Django takes this thread for an asynchronous one and refuses queries.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium here: see CONTRIBUTING.md")
    with sync_playwright() as playwright:
        browser = launch(playwright, CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def skus(chromium: Browser, stack: Stack) -> Iterator[str]:
    """Products that nobody has bought yet."""
    batch = uuid4().hex[:8]
    skus = [f"{batch}-{number:03}" for number in range(PRODUCTS)]
    load_products(stack, skus)
    return iter(skus)


@pytest.fixture
def sku(skus: Iterator[str]) -> str:
    """A product of the test's own: 20 in stock at 5.00."""
    return next(skus)


@pytest.fixture(scope="module", autouse=True)
def _clean_audit(chromium: Browser, stack: Stack) -> Iterator[None]:
    yield
    assert audit(stack) == []


@pytest.fixture
def trouble() -> Iterator[list[str]]:
    """What the browser's console complained of, refusals by the Content-Security-Policy included.

    A test that causes a complaint says so and takes it out.
    """
    complaints: list[str] = []
    yield complaints
    assert complaints == []


@pytest.fixture
def open_tab(chromium: Browser, stack: Stack, trouble: list[str]) -> Iterator[OpenTab]:
    """The first tab of a new customer's browser, with cookies of its own; url: another way to the shop."""
    contexts = []

    def open_tab(
        *,
        color_scheme: ColorScheme = "light",
        java_script_enabled: bool = True,
        url: str = stack.web_url,
        locale: str = "en-GB",
    ) -> Page:
        context = open_context(
            chromium, url, color_scheme=color_scheme, java_script_enabled=java_script_enabled, locale=locale
        )
        context.on("console", note_console)
        context.on("weberror", note_error)
        contexts.append(context)
        return context.new_page()

    def note_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            trouble.append(message.text)

    def note_error(error: WebError) -> None:
        trouble.append(str(error.error))

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_tab: OpenTab) -> Page:
    return open_tab()


@pytest.fixture
def page_without_javascript(open_tab: OpenTab) -> Page:
    return open_tab(java_script_enabled=False)


@pytest.fixture
def cutter(stack: Stack) -> Iterator[AnswerCutter]:
    with run_cutter(stack.web_url) as cutter:
        yield cutter


@pytest.fixture
def card_shop(stack: Stack) -> Iterator[str]:
    """The address of another web process of the shop, which takes cards and nothing else, as with a key of Stripe's."""
    with run_web(stack, SHOP_PAYMENT_METHODS="") as url:
        yield url


@pytest.fixture
def transfer_shop(stack: Stack) -> Iterator[str]:
    """The address of another web process of the shop, which takes cards and bank transfers."""
    with run_web(stack, SHOP_PAYMENT_METHODS="", CHECKOUT_GATEWAYS="") as url:
        yield url


@contextmanager
def run_web(stack: Stack, **settings: str) -> Iterator[str]:
    url, log = f"http://127.0.0.1:{free_port()}", stack.log("another-web")
    command = ["-m", "gunicorn", "config.wsgi", "--bind", url.partition("//")[2], "--threads", "4"]
    web = Fork(command, env={**stack.full_environment, **settings}, output=log, errors=log)
    try:
        wait_until_it_answers(web, url)
        yield url
    finally:
        web.terminate()
        web.wait()


def wait_until_it_answers(web: Fork, url: str) -> None:
    deadline = time.monotonic() + 60
    while not answers_http(url):
        assert web.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
