"""The people in a chaos run: buyers who repeat, abandon and cancel, and staff who count the stock."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from random import Random
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from django.db import InterfaceError, InternalError, OperationalError, connection

from catalog.models import Product, Stock
from catalog.services import AdjustmentRefused, adjust_stock
from lab.simulation.chaos.bank import ANSWERS, answer_bank
from lab.simulation.chaos.methods import ASKING, METHODS, describe_method, pick
from lab.simulation.chaos.payers import HOLD, Payers
from lab.simulation.invoice_file import Checkout
from lab.simulation.replay import Answer, Shop, authorize
from orders.models import Order
from orders.services import OrderIsFinal, cancel_order

BUYERS = 24  # at a time
REFUSED = 1.15  # checkouts for each order that is placed, because hot products sell out
LATER = (0.0, 3.0)  # seconds to a customer's next step
PLENTY = 100_000  # units
PATIENCE = 60.0  # seconds that a request or a change is repeated for, while nothing answers

HABITS = {"once": 55, "twice_at_once": 15, "again_later": 12, "abandon": 12, "cancel": 6}


class CountingShop(Shop):
    """The shop's API, which counts the requests, and those that were not answered."""

    def __init__(self, url: str, counts: Counter[str]) -> None:
        super().__init__(url, connections=2 * BUYERS, unreachable_after=PATIENCE)
        self._counts, self._lock = counts, Lock()

    def _try_to_place(self, checkout: Checkout) -> Answer | None:
        answer = super()._try_to_place(checkout)
        with self._lock:
            self._counts["requests" if answer else "unanswered"] += 1
        return answer


class Crowd:
    """Buyers who place `wanted` orders, and what became of them. It takes them `seconds` while all is well.

    Each repeats its request with the same key until it is answered.
    """

    def __init__(self, *, run: str, shop_url: str, wanted: int, seconds: float, stopping: Event) -> None:
        self.counts: Counter[str] = Counter()
        self.codes: dict[str, str] = {}  # by checkout key, as first answered
        self.checkouts: dict[str, Checkout] = {}  # by checkout key
        self.refused: Counter[str] = Counter()
        self.mismatches: list[str] = []
        self.added: Counter[str] = Counter()  # units by SKU, as the staff know it
        self._run, self._wanted, self._stopping = run, wanted, stopping
        self._every = seconds / (REFUSED * wanted)
        self._ends_at = time.monotonic() + 2 * seconds + PATIENCE
        self._shop, self._address = CountingShop(shop_url, self.counts), urlsplit(shop_url).netloc
        self.payers = Payers(run=run, shop=self._shop, shop_url=shop_url)
        self._shop_url = shop_url
        self._placed: Counter[str] = Counter()  # how often an order was called new, by checkout key
        self._numbers, self._lock = count(), Lock()
        self._hot = [f"{run}-hot-{number}" for number in range(2)]
        self._plain = [f"{run}-{number}" for number in range(40)]

    def stock_the_shop(self) -> None:
        """Add products of this run's own. Most have many units; the hot ones, which everybody wants, have few."""
        for number, sku in enumerate([*self._hot, *self._plain]):
            product = Product.objects.create(sku=sku, name=sku, price=100 + 10 * number, currency="GBP")
            Stock.objects.create(product=product)
            self._adjust(sku, self._wanted // 50 + 2 if sku in self._hot else PLENTY, reference=f"{self._run}-first")

    def start_buying(self) -> list[Thread]:
        """Start the buyers. Each is a thread that ends by itself."""
        started = time.monotonic()
        buyers = [Thread(target=self._buy, args=[started], name="buyer", daemon=True) for _ in range(BUYERS)]
        for buyer in buyers:
            buyer.start()
        return buyers

    def adjust_stock(self) -> None:
        """Now and then add or remove some units, as the staff does, until told to stop."""
        random = Random(self._run)  # noqa: S311
        for number in count():
            if self._stopping.wait(random.uniform(0.3, 1.5)):
                return
            sku = random.choice(self._hot if number % 2 else self._plain)
            self._adjust(sku, random.choice([-2, -1, 1, 2, 3, 4]), reference=f"{self._run}-{number}")

    def place(self, key: str) -> str:
        """Send the checkout of this key until it is answered; return the order's code, empty where it is refused."""
        known = self.codes.get(key)
        answer = self._shop.place(self.checkouts[key])
        with self._lock:
            if answer.code:
                first = self.codes.setdefault(key, answer.code)
                self.counts["replayed"] += not answer.is_new
                self._placed[key] += answer.is_new
            else:
                first = known or ""
                self.refused[answer.refused] += 1
            if first != answer.code or self._placed[key] > 1:
                self.mismatches.append(f"{key}: {first}, then {answer}")
        return answer.code

    def _buy(self, started: float) -> None:
        for number in self._numbers:
            if self._stopping.wait(max(0, started + number * self._every - time.monotonic())):
                return
            if len(self.codes) >= self._wanted or time.monotonic() > self._ends_at:
                return
            self._check_out(number)

    def _check_out(self, number: int) -> None:
        random = Random(f"{self._run} {number}")  # noqa: S311
        key = f"{self._run}-{number}"
        self.checkouts[key] = self._make_checkout(key, random)
        match pick(HABITS, random):
            case "twice_at_once":
                twin = Thread(target=self.place, args=[key], daemon=True)
                twin.start()
                self.place(key)
                twin.join()
            case "again_later":
                self.place(key)
                self._stopping.wait(random.uniform(*LATER))
                self.place(key)
            case "abandon":
                self._abandon(self.checkouts[key])
                self._stopping.wait(random.uniform(*LATER))
                self.place(key)
            case "cancel":
                code = self.place(key)
                self._stopping.wait(random.uniform(*LATER))
                self._cancel(code)
            case _:
                self.place(key)
        if key in self.codes:
            self._follow(self.codes[key], self.checkouts[key].body, random)

    def _follow(self, code: str, asked: dict[str, Any], random: Random) -> None:
        """Go on with the order beside the next one, where its bank may ask or its card may be declined."""
        answer = pick(ANSWERS, random)
        if asked["payment_method"] in ASKING and answer != "leave":
            Thread(target=self._answer_bank, args=[code, answer], daemon=True).start()
        if asked["hold_on_decline"]:
            pay = partial(self.payers.pay_until_taken, patience=PATIENCE)
            Thread(target=pay, args=[code, Random(code)], daemon=True).start()  # noqa: S311

    def _answer_bank(self, code: str, answer: str) -> None:
        if answer_bank(self._shop_url, code, answer, patience=PATIENCE):
            self._count("bank_answers")

    def _make_checkout(self, key: str, random: Random) -> Checkout:
        skus = random.sample(self._plain, k=random.choice([1, 1, 2, 3]))
        if random.random() < 0.25:
            skus.append(random.choice(self._hot))
        lines = [{"sku": sku, "quantity": random.randint(1, 3)} for sku in skus]
        body = {"email": f"{key}@example.com", "lines": lines, **describe_method(pick(METHODS, random))}
        return Checkout(key=key, body=body | {"hold_on_decline": random.choice([0, HOLD, HOLD])})

    def _abandon(self, checkout: Checkout) -> None:
        """Send the request, and hang up."""
        headers = {"Idempotency-Key": checkout.key, "Content-Type": "application/json", **authorize()}
        shop = http.client.HTTPConnection(self._address, timeout=5)
        with suppress(OSError):
            shop.request("POST", "/api/orders", json.dumps(checkout.body), headers)
            self._count("abandoned")
        shop.close()

    def _cancel(self, code: str) -> None:
        try:
            if code and self.persist(lambda: cancel_order(code=code, reason=Order.CancelReason.CUSTOMER)):
                self._count("cancels")
        except OrderIsFinal:
            self._count("cancels_too_late")

    def _adjust(self, sku: str, units: int, *, reference: str) -> None:
        def adjust() -> None:
            product = Product.objects.get(sku=sku)
            adjust_stock(reference=reference, product_id=product.pk, quantity=units, reason="counted")

        with suppress(AdjustmentRefused):
            if self.persist(adjust):
                self.added[sku] += units
                self._count("adjustments")

    def persist(self, change: Callable[[], object]) -> bool:
        """Make a change that may be repeated, again and again while the database is away; return whether it is made."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                change()
            except (OperationalError, InterfaceError, InternalError):
                time.sleep(0.2)
            else:
                return True
            finally:
                connection.close()
        self._count("changes_given_up")
        return False

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1
