"""Scenario h: what people look at. The products, the checkout with its session and CSRF token, an order's state."""

import json
import re
from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import uuid4

from lab.bench.load import Answer, Outcome, send_load
from lab.bench.measure import measure_cpu
from lab.bench.rounds import make_checkouts, pick_many
from lab.bench.shops import Shop
from lab.bench.wire import Request, make_request
from lab.bench.workbench import Workbench

VISITORS = 16  # at a time
SHARE = 0.3  # of what the shop can answer: the pace at which the times are taken
CSRF = "b" * 32  # a visitor may choose it: what counts is that cookie and form agree
SESSION = re.compile(rb"sessionid=(\w+)")
HIDDEN = re.compile(rb'name="(checkout_key|fingerprint)" value="([^"]*)"')


def run_pages(bench: Workbench) -> None:
    """Of each page: how many a second, the CPU of one, and how long people wait at SHARE of that pace."""
    shop = bench.orderly
    for _ in range(bench.options.rounds):
        carts = fill_carts(shop, bench.options.orders)
        shown = send_all(shop, [Request(get(shop, "/checkout/", session)) for session in carts])
        code = place_one(shop)
        measure_page(bench, "product list", [Request(get(shop, "/"))] * bench.options.orders, 200)
        measure_page(bench, "checkout GET", [Request(get(shop, "/checkout/", session)) for session in carts], 200)
        forms = [Request(pay(shop, session, answer)) for session, answer in zip(carts, shown, strict=True)]
        measure_page(bench, "checkout POST", forms, 303)
        measure_page(bench, "order poll", [Request(get(shop, f"/orders/{code}/status/"))] * bench.options.orders, 200)
        shop.wait_until_final()


def measure_page(bench: Workbench, page: str, requests: Sequence[Request], status: int) -> None:
    """Half of the requests as fast as they go, the other half at a steady pace."""
    shop, half = bench.orderly, len(requests) // 2
    bench.bar.set_postfix_str(page)
    before = measure_cpu(shop.find_pids())
    fast = send(shop, requests[:half], status)
    after = measure_cpu(shop.find_pids())
    pace = SHARE * half / fast.seconds
    timed = [Request(request.data, due=number / pace) for number, request in enumerate(requests[half:])]
    slow = send(shop, timed, status)
    case = f"page: {page}"
    bench.figures.add(case, "pages/s", half / fast.seconds)
    for process in ("web", "postgres"):
        if process in before:
            bench.figures.add(case, f"CPU ms, {process}", 1000 * (after[process] - before[process]) / half)
    bench.figures.add(case, "p50, ms", 1000 * slow.quantile(0.5))
    bench.figures.add(case, "p99, ms", 1000 * slow.quantile(0.99))
    bench.bar.update()


def send(shop: Shop, requests: Sequence[Request], status: int) -> Outcome:
    return send_load(requests, address=shop.address, connections=VISITORS).require(status)


def fill_carts(shop: Shop, count: int) -> list[str]:
    """The sessions of so many visitors who have put a product in their carts."""
    form = {"csrfmiddlewaretoken": CSRF, "sku": "many-7", "quantity": "2"}
    answers = send_all(shop, [Request(post(shop, "/cart/add/", form))] * count)
    return [found[1].decode() for answer in answers if (found := SESSION.search(answer.head))]


def send_all(shop: Shop, requests: Sequence[Request]) -> list[Answer]:
    """The answers, in the order of the requests."""
    answers = send_load(requests, address=shop.address, connections=VISITORS).answers
    place = {id(request): number for number, request in enumerate(requests)}
    return sorted(answers, key=lambda answer: place[id(answer.request)])


def place_one(shop: Shop) -> str:
    (checkout,) = make_checkouts(shop, pick_many, 1)
    (answer,) = send_all(shop, [checkout])
    shop.wait_until_final()
    return str(json.loads(answer.body)["code"])


def pay(shop: Shop, session: str, shown: Answer) -> bytes:
    hidden = {name.decode(): value.decode() for name, value in HIDDEN.findall(shown.body)}
    buyer = {"email": f"bench-{uuid4().hex}@example.com", "payment_method": "pm_card_visa"}
    return post(shop, "/checkout/", {"csrfmiddlewaretoken": CSRF, **hidden, **buyer}, session)


def get(shop: Shop, path: str, session: str = "") -> bytes:
    return make_request(shop.url, "GET", path, Cookie=f"csrftoken={CSRF}; sessionid={session}")


def post(shop: Shop, path: str, form: dict[str, str], session: str = "") -> bytes:
    cookie = f"csrftoken={CSRF}" + (f"; sessionid={session}" if session else "")
    body = urlencode(form)
    return make_request(
        shop.url, "POST", path, body, Cookie=cookie, Content_Type="application/x-www-form-urlencoded"
    )  # fmt: skip
