"""Customers in a chaos run whose bank asks them to confirm the payment: they approve, fail, or leave."""

from contextlib import suppress

import requests

from lab.simulation.chaos.watching import TIMEOUT, watch_order

# Of 100 customers.
ANSWERS = {"approve": 60, "fail": 15, "leave": 25}


def answer_bank(shop_url: str, code: str, answer: str, *, patience: float) -> bool:
    """Wait until the order asks its customer to act, and answer the bank. Return whether that was done.

    Whoever can't come back to the shop afterwards stays away.
    """
    for order in watch_order(shop_url, code, patience=patience):
        with suppress(requests.RequestException):
            if "next_action" in order and _answer(order["next_action"]["url"], answer):
                return True
    return False


def _answer(way: str, answer: str) -> bool:
    bank = requests.get(way, allow_redirects=False, timeout=TIMEOUT).headers.get("Location", "")
    if "/bank/" not in bank:  # the shop could not ask, or there is nothing to do any more
        return False
    back = requests.post(bank, {"answer": answer}, allow_redirects=False, timeout=TIMEOUT).headers.get("Location", "")
    if back:
        with suppress(requests.RequestException):
            requests.get(back, allow_redirects=False, timeout=TIMEOUT)
    return bool(back)
