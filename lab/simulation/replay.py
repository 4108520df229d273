"""Replays a file of invoices as a crowd of customers: places each sale over HTTP, then waits for how it ends."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import requests
from django.conf import settings
from django.db.models import Sum
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from catalog.models import Product
from lab.simulation.invoice_file import Checkout, InvoiceReader, Offer, read_lines
from lab.simulation.returns import Return
from lab.simulation.waiting import wait_for_none
from orders.models import Order, OrderLine

UNREACHABLE_AFTER = 30.0  # seconds without any answer: a web process that restarts is back by then
REQUEST_TIMEOUT = (5, 30)  # seconds: to connect, to be answered
PLACE_WITHIN = 120.0  # seconds for one sale, also where the others are answered
TRY_AGAIN = {500, 502, 503, 504}  # by the shop, or by a proxy before it
BATCH = 1_000  # orders asked for at once


@dataclass(kw_only=True)
class Report:
    """What became of a file. The last seven count its final orders and refunds, made now or before.

    Money is in minor units.

    `replayed` orders existed when they were asked for: placed by an earlier run, or by a try whose answer was lost.
    `unmatched` counts lines of cancellations without a sale in the file, `unreturned` those that were not refunded.
    """

    invoices: int = 0
    placed: int = 0
    replayed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    cancellations: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)
    unreturned: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    cancelled: int = 0
    units: int = 0
    total_minor: int = 0
    refunds: int = 0
    returned_units: int = 0
    refunded_minor: int = 0


@dataclass(frozen=True)
class Answer:
    """The code of an order, new or not; or why there is none."""

    code: str = ""
    is_new: bool = False
    refused: str = ""


class Shop:
    """The shop's API, called from several threads over connections that are kept, as a client with a token."""

    def __init__(self, url: str, *, connections: int, unreachable_after: float = UNREACHABLE_AFTER) -> None:
        self._orders_url = f"{url.rstrip('/')}/api/orders"
        self._unreachable_after = unreachable_after
        self._answered_at = time.monotonic()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy on the way to our own shop, nor a login from ~/.netrc
        self._session.headers.update(authorize())
        self._session.mount(url, HTTPAdapter(pool_maxsize=connections))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def place(self, checkout: Checkout) -> Answer:
        """Place the order; without an answer, or with one that says to try again, ask again with the same key.

        After 30 s in which nobody got an answer, or 120 s of its own, it is `unreachable`.
        """
        return self._insist(partial(self._try_to_place, checkout))

    def pay_again(self, code: str, body: dict[str, Any]) -> Answer:
        """Give a held order its next payment, as `place` places an order. The body's number makes a repeat the same."""
        return self._insist(partial(self._post, f"/{code}/payments", body, {}))

    def refund(self, code: str, returned: Return) -> Answer:
        """Refund the units that come back, as `place` places an order: the number makes a repeat the same refund."""
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in returned.quantities.items()]
        body = {"number": returned.number, "lines": lines, "note": "Replayed"}
        headers = authorize(settings.API_REFUND_TOKENS)
        return self._insist(partial(self._post, f"/{code}/refunds", body, headers))

    def _insist(self, ask: Callable[[], Answer | None]) -> Answer:
        pause, deadline = 0.1, time.monotonic() + PLACE_WITHIN
        while True:
            answer = ask()
            if answer:
                self._answered_at = time.monotonic()
                return answer
            # Counted from the last answer to anybody: a shop that is gone is waited for once, not once an invoice.
            now = time.monotonic()
            if now - self._answered_at > self._unreachable_after or now > deadline:
                return Answer(refused="unreachable")
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _try_to_place(self, checkout: Checkout) -> Answer | None:
        return self._post("", checkout.body, {"Idempotency-Key": checkout.key})

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer | None:
        try:
            response = self._session.post(
                f"{self._orders_url}{path}",
                json=body,
                headers=headers,
                timeout=REQUEST_TIMEOUT,
                allow_redirects=False,
            )
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            return None
        return None if response.status_code in TRY_AGAIN else _read_answer(response)


def authorize(tokens: Sequence[str] | None = None) -> dict[str, str]:
    """The header that shows the first of the tokens, if there is one; without any given, of our API_TOKENS."""
    shown = settings.API_TOKENS if tokens is None else tokens
    return {"Authorization": f"Bearer {shown[0]}"} if shown else {}


def _read_answer(response: requests.Response) -> Answer:
    try:
        body = response.json()
    except requests.JSONDecodeError:
        body = None
    match response.status_code, body:
        case 200 | 201, {"code": str(code)}:
            return Answer(code=code, is_new=response.status_code == 201)
        case _, {"error": str(error)}:
            return Answer(refused=error)
    return Answer(refused=f"http_{response.status_code}")


def place_invoices(
    path: Path,
    *,
    shop: Shop,
    report: Report,
    concurrency: int,
    limit: int | None = None,
    faulty_every: int | None = None,
) -> tuple[set[str], list[Return]]:
    """Place each sale of the file, or of its first `limit` invoices. Return the codes of the orders, and the returns.

    Prices are the catalogue's. What can't be ordered is left out and counted; nothing of it is placed. Memory holds the
    catalogue, the codes and what each customer bought, not the file. Raises InvoicesUnreadable.
    """
    reader = InvoiceReader(catalogue=_read_catalogue(), faulty_every=faulty_every)
    codes: set[str] = set()
    with tqdm(desc="Placing", unit="B", unit_scale=True, disable=None) as bar:
        checkouts = reader.read_checkouts(islice(read_lines(path, bar), limit))
        for answer in _place_all(checkouts, shop=shop, concurrency=concurrency):
            if answer.refused:
                report.refused[answer.refused] += 1
            else:
                report.placed += answer.is_new
                report.replayed += not answer.is_new
                codes.add(answer.code)
            bar.set_postfix(
                placed=report.placed, replayed=report.replayed, refused=report.refused.total(), refresh=False
            )
    report.invoices, report.skipped = reader.invoices, reader.skipped
    report.cancellations, report.unmatched = reader.cancellations, reader.sold.unmatched
    return codes, reader.returns


def _read_catalogue() -> dict[str, Offer]:
    products = Product.objects.values_list("sku", "price", "active")
    return {sku: Offer(price, active) for sku, price, active in products.iterator()}


def _place_all(checkouts: Iterable[Checkout], *, shop: Shop, concurrency: int) -> Iterator[Answer]:
    """The answers, in the order of the checkouts; of those only a window is read ahead."""
    window: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for checkout in checkouts:
                window.append(pool.submit(shop.place, checkout))
                if len(window) >= 4 * concurrency:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()


def wait_until_final(codes: Iterable[str], *, report: Report, timeout: float) -> int:
    """Ask the database until every order is final, at most `timeout` seconds; return how many are not.

    The final ones are counted in the report. Goes on when the database restarts meanwhile.
    """
    waiting = set(codes)
    with tqdm(total=len(waiting), desc="Waiting", unit=" orders", disable=None) as bar:

        def count() -> int:
            for batch in _batches(waiting):
                final = _count_final(batch, report)
                waiting.difference_update(final)
                bar.update(len(final))
            bar.set_postfix(confirmed=report.confirmed, cancelled=report.cancelled)
            return len(waiting)

        wait_for_none(count, timeout=timeout)
    return len(waiting)


def _batches(codes: set[str]) -> Iterator[list[str]]:
    remaining = iter(list(codes))
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _count_final(codes: list[str], report: Report) -> set[str]:
    orders = Order.objects.filter(code__in=codes).exclude(status=Order.Status.PENDING)
    final = list(orders.values_list("pk", "code", "status", "total"))
    confirmed = {pk: total for pk, _, status, total in final if status == Order.Status.CONFIRMED}
    units = OrderLine.objects.filter(order__in=confirmed).aggregate(units=Sum("quantity"))["units"] or 0
    report.confirmed += len(confirmed)
    report.cancelled += len(final) - len(confirmed)
    report.units += units
    report.total_minor += sum(confirmed.values())
    return {code for _, code, _, _ in final}
