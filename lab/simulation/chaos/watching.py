"""How a customer in a chaos run watches an order: asked for again and again, until it has ended."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import requests

from lab.simulation.replay import authorize

EVERY = 0.5  # seconds
TIMEOUT = 5.0  # seconds


def watch_order(shop_url: str, code: str, *, patience: float) -> Iterator[dict[str, Any]]:
    """Yield the order as the API shows it, until it has ended or `patience` seconds are over."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        order: dict[str, Any] = {}
        with suppress(requests.RequestException, ValueError):
            url = f"{shop_url}/api/orders/{code}"
            order = requests.get(url, headers=authorize(), timeout=TIMEOUT).json()
        if order.get("status") in ("CONFIRMED", "CANCELLED"):
            return
        yield order
        time.sleep(EVERY)
