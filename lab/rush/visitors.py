"""What one visitor of a rush does: comes to the product, waits, puts it in the cart and buys it, as fast as can be."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urlencode

from lab.bench.load import Answer
from lab.bench.wire import make_request

CSRF = "b" * 32  # a visitor may choose it: what counts is that cookie and form agree
COOKIES = re.compile(rb"\r\nset-cookie: *(sessionid|waiting)=([^;\r]+)", re.IGNORECASE)
AGAIN = re.compile(rb'hx-trigger="every (\d+)ms"')
HIDDEN = re.compile(rb'name="(checkout_key|fingerprint)" value="([^"]*)"')
ORDER = re.compile(rb"\r\nlocation: */orders/", re.IGNORECASE)
SOLD_OUT = (b"<h1>Sold out</h1>", b"None left just now")
UNAVAILABLE = 409


class Step(NamedTuple):
    """One request of a visitor, and what the visitor does with its answer."""

    visitor: "Visitor"
    kind: str
    read: Callable[[Answer], "Step | None"]
    data: bytes
    pause: float = 0.0  # seconds before it is sent


class Trouble(Exception):
    """The shop answered what no visitor of a sale should see."""


@dataclass
class Visitor:
    """A browser with its cookies. `end` is bought, sold out or trouble; empty while the visitor goes on."""

    url: str
    sku: str
    number: int
    cookies: dict[str, str] = field(default_factory=dict)
    end: str = ""
    pauses: list[float] = field(default_factory=list)  # seconds that the shop told it to wait for its next question

    @property
    def name(self) -> str:
        """What the waiting room calls the visitor."""
        return self.cookies.get("waiting", "").partition(":")[0]

    def arrive(self) -> Step:
        return self._get("product", f"/products/product-{self.sku}/{self.sku}/", self._see_product)

    def follow(self, step: Step, answer: Answer) -> Step | None:
        """What the visitor does next. Raises Trouble."""
        self.cookies.update({name.decode(): value.decode() for name, value in COOKIES.findall(answer.head)})
        return step.read(answer)

    def _see_product(self, answer: Answer) -> Step | None:
        if answer.status == 429 or any(word in answer.body for word in SOLD_OUT):
            return self._wait(answer)
        expect(answer, 200)
        return self._post("add", "/cart/add/", {"sku": self.sku, "quantity": "1"}, self._see_cart)

    def _wait(self, answer: Answer) -> Step | None:
        if any(word in answer.body for word in SOLD_OUT):
            self.end = "sold out"
            return None
        again = AGAIN.search(answer.body)
        if not again:
            raise Trouble(f"{answer.status} without a next question: {answer.body[:200]!r}")
        self.pauses.append(int(again[1]) / 1000)
        path = f"/waiting/?room={quote(self.sku)}&reload"
        return self._get("waiting", path, self._see_place, pause=self.pauses[-1])

    def _see_place(self, answer: Answer) -> Step | None:
        if answer.status == 204:
            return self.arrive()
        expect(answer, 200)
        return self._wait(answer)

    def _see_cart(self, answer: Answer) -> Step | None:
        if answer.status == 429:
            return self._wait(answer)
        expect(answer, 302)
        return self._get("checkout", "/checkout/", self._see_checkout)

    def _see_checkout(self, answer: Answer) -> Step | None:
        if answer.status == 302:  # the cart is empty: nothing was left to put in it
            self.end = "sold out"
            return None
        if answer.status == 429:
            return self._wait(answer)
        expect(answer, 200)
        hidden = {name.decode(): value.decode() for name, value in HIDDEN.findall(answer.body)}
        buyer = {"email": f"rush-{self.number}@example.com", "payment_method": "pm_card_visa"}
        return self._post("buy", "/checkout/", hidden | buyer, self._see_order)

    def _see_order(self, answer: Answer) -> Step | None:
        if answer.status == UNAVAILABLE:
            self.end = "sold out"
            return None
        expect(answer, 303)
        if ORDER.search(answer.head):
            self.end = "bought"
            return None
        return self._get("checkout", "/checkout/", self._see_checkout)  # where the visitor waits again

    def _get(self, kind: str, path: str, read: Callable[[Answer], Step | None], pause: float = 0.0) -> Step:
        return Step(self, kind, read, make_request(self.url, "GET", path, Cookie=self._cookie()), pause)

    def _post(self, kind: str, path: str, form: dict[str, str], read: Callable[[Answer], Step | None]) -> Step:
        body = urlencode({"csrfmiddlewaretoken": CSRF, **form})
        headers = {"Cookie": self._cookie(), "Content_Type": "application/x-www-form-urlencoded"}
        return Step(self, kind, read, make_request(self.url, "POST", path, body, **headers))

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in {"csrftoken": CSRF, **self.cookies}.items())


def expect(answer: Answer, status: int) -> None:
    """Raises Trouble."""
    if answer.status != status:
        raise Trouble(f"{answer.status} {answer.body[:200]!r}")
