"""Starts Debian's Chromium, which Playwright drives in place of a browser of its own."""

import shutil
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Playwright, expect

PATIENCE = 30_000  # milliseconds; a bound for a busy machine, nothing waits that long by itself
# Its shell without windows takes a third of the CPU.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch(playwright: Playwright, path: str) -> Browser:
    expect.set_options(timeout=PATIENCE)
    return playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)


def open_context(
    browser: Browser,
    url: str,
    *,
    color_scheme: Literal["light", "dark"] = "light",
    java_script_enabled: bool = True,
    width: int = 1000,
    locale: str = "en-GB",
) -> BrowserContext:
    """A new customer's browser before the shop at that address: its own cookies, as many tabs as wanted."""
    context = browser.new_context(
        base_url=url,
        locale=locale,
        color_scheme=color_scheme,
        java_script_enabled=java_script_enabled,
        viewport={"width": width, "height": 700},
    )
    context.set_default_timeout(PATIENCE)
    return context
