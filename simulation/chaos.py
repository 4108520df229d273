"""A chaos run: people buy while every process is killed and frozen; then everything must have come out right."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from django.db import InterfaceError, InternalError, OperationalError, connection
from django.db.models import Count, Q, QuerySet, Sum
from tqdm import tqdm

from catalog.models import Stock, StockMovement
from orders.audit import Report, Violation, audit_orders
from orders.models import Order, OrderEvent, OrderLine
from payments.gateway import Charge, GatewayUnavailable, get_gateway
from simulation.crowd import Crowd
from simulation.strikes import Killer, make_schedule

PATIENCE = 180.0  # seconds from the last strike or order to the last order's end
AUDIT_EVERY = 15.0  # seconds, while orders flow
FAIR_REFUSALS = {"insufficient_stock"}
COUNTS = ["requests", "unanswered", "replayed", "abandoned", "cancels", "cancels_too_late", "adjustments"]
PAYMENT_FIELDS = ["status", "payment_method", "attempts", "sent_at", "provider_id", "last_error"]
AWAY = (OperationalError, InterfaceError, InternalError)  # the database is

WAITS = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM finalized_at - created_at))
FROM orders_order WHERE starts_with(checkout_key, %s) AND finalized_at IS NOT NULL
"""


class Auditor:
    """Audits while orders flow: what it finds then is as wrong as at the end."""

    def __init__(self, stopping: Event) -> None:
        self.audits = 0
        self.violations: list[Violation] = []
        self._stopping = stopping

    def run(self) -> None:
        while not self._stopping.wait(AUDIT_EVERY):
            try:
                self.violations += audit_orders()["violations"]
                self.audits += 1
            except (*AWAY, GatewayUnavailable):
                pass  # it is down, as it should be
            finally:
                connection.close()


def run_chaos(*, stack_file: Path, shop_url: str, orders: int, seconds: float, seed: int) -> dict[str, Any]:
    """Let people buy while the schedule of the seed strikes the stack, wait until all is final; return the report.

    `ok` is whether all of it came out as promised. The shop may have other products and orders: they are left alone.
    """
    run, stopping = f"chaos-{uuid4().hex[:8]}", Event()
    crowd = Crowd(run=run, shop_url=shop_url, wanted=orders, seconds=seconds, stopping=stopping)
    killer, auditor, broken = Killer(stack_file, stopping=stopping), Auditor(stopping), watch_threads()
    crowd.stock_the_shop()
    with progress(run, crowd, killer) as show:
        try:
            staff = [start(crowd.adjust_stock), start(auditor.run)]
            busy = [start(killer.carry_out, make_schedule(seed=seed, seconds=seconds)), *crowd.start_buying()]
            while any(thread.is_alive() for thread in busy):
                show()
                time.sleep(0.5)
        finally:
            stopping.set()
        for thread in staff:
            thread.join()
        deadline = time.monotonic() + PATIENCE
        while show() and time.monotonic() < deadline:
            time.sleep(0.5)
    ask_everybody_again(crowd)
    report = describe(run=run, seed=seed, crowd=crowd, killer=killer, auditor=auditor)
    return {**report, "ok": report["ok"] and not broken, "off": report["off"] + broken}


def watch_threads() -> list[str]:
    """Where the threads that end by an exception are written down from now on: a run without them proves less."""
    broken: list[str] = []
    threading.excepthook = lambda end: broken.append(f"{end.thread and end.thread.name}: {end.exc_value!r}")
    return broken


def start(target: Callable[..., object], *arguments: object) -> Thread:
    thread = Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


@contextmanager
def progress(run: str, crowd: Crowd, killer: Killer) -> Iterator[Callable[[], bool]]:
    """A bar of final orders, and what draws it; that returns whether some are not final yet, or can't be counted."""
    with tqdm(desc="Final", unit=" orders", disable=None) as bar:

        def show() -> bool:
            try:
                unfinished, bar.n = count_orders(run)
            except AWAY:
                connection.close()
                return True
            bar.total = len(crowd.codes)
            bar.set_postfix(placed=len(crowd.codes), refused=crowd.refused.total(), kills=killer.kills)
            return unfinished > 0

        yield show


def count_orders(run: str) -> tuple[int, int]:
    """(those that will still change, the final ones)"""
    pending = Q(status=Order.Status.PENDING)
    counts = find_orders(run).aggregate(
        unfinished=Count("pk", filter=pending & Q(needs_review=False)), final=Count("pk", filter=~pending)
    )
    return counts["unfinished"], counts["final"]


def find_orders(run: str) -> QuerySet[Order]:
    return Order.objects.filter(checkout_key__startswith=f"{run}-")


def ask_everybody_again(crowd: Crowd) -> None:
    """Repeat every checkout that was answered with an order: it must be the same one."""
    keys = list(crowd.codes)
    with (
        ThreadPoolExecutor(4) as pool,
        tqdm(pool.map(crowd.place, keys), "Asking again", len(keys), disable=None) as bar,
    ):
        for _ in bar:
            pass


def describe(*, run: str, seed: int, crowd: Crowd, killer: Killer, auditor: Auditor) -> dict[str, Any]:
    """The report: what was done to the stack, what came of it, and what is off."""
    placed = find_orders(run)
    statuses = placed.values_list("status", "cancel_reason").annotate(Count("pk")).order_by("status", "cancel_reason")
    swept = OrderEvent.objects.filter(kind=OrderEvent.Kind.SWEPT, order__in=placed)
    with connection.cursor() as cursor:
        cursor.execute(WAITS, [f"{run}-"])
        p50, p95, longest = cursor.fetchone()[0] or (0, 0, 0)
    audit = audit_orders()
    off = list(find_off(run, crowd)) + [str(violation) for violation in [*auditor.violations, *audit["violations"]]]
    return {
        "ok": not off,
        "seed": seed,
        "kills": killer.kills,
        "schedule": describe_strikes(killer),
        "missed_strikes": killer.missed,
        "orders": {f"{status} {reason}".strip(): number for status, reason, number in statuses},
        "refused": dict(crowd.refused),
        **{name: crowd.counts[name] for name in COUNTS},
        "mismatched_replays": len(crowd.mismatches),
        "repairs": swept.values("order").distinct().count(),
        "needs_review": placed.filter(needs_review=True).count(),
        "p50_seconds": round(float(p50), 2),
        "p95_seconds": round(float(p95), 2),
        "longest_wait_seconds": round(float(longest), 2),
        "audits_meanwhile": auditor.audits,
        "audit": audit,
        "off": off,
        "suspects": describe_suspects(run, audit),
    }


def describe_strikes(killer: Killer) -> dict[str, dict[str, int]]:
    """What was done how often, by process."""
    strikes: dict[str, dict[str, int]] = {}
    for (process, action), number in sorted(killer.done.items()):
        strikes.setdefault(process, {})[action] = number
    return strikes


def find_off(run: str, crowd: Crowd) -> Iterator[str]:
    """What the audit can't know: the customers' and the staff's side of it, in words."""
    placed = find_orders(run)
    if unfinished := placed.filter(status=Order.Status.PENDING, needs_review=False).values_list("code", flat=True):
        yield f"not final: {', '.join(unfinished)}"
    if unfair := {code: number for code, number in crowd.refused.items() if code not in FAIR_REFUSALS}:
        yield f"refused: {unfair}"
    yield from crowd.mismatches
    known = dict(placed.values_list("checkout_key", "code"))
    yield from (
        f"{key}: the customer was told {code}, the shop has {known.get(key)}"
        for key, code in (known | crowd.codes).items()
        if known.get(key) != crowd.codes.get(key)
    )
    charged = sum(charge.amount - charge.refunded for charge in find_charges(set(known.values())))
    confirmed = placed.filter(status=Order.Status.CONFIRMED)
    if charged != (total := confirmed.aggregate(total=Sum("total", default=0))["total"]):
        yield f"the provider took {charged}, the confirmed orders are {total}"
    sold = count_units(confirmed)
    for sku, on_hand in Stock.objects.filter(product__sku__in=crowd.added).values_list("product__sku", "on_hand"):
        if on_hand != (counted := crowd.added[sku] - sold[sku]):
            yield f"{sku}: {on_hand} on hand, counted {counted}"
    if crowd.counts["changes_given_up"]:
        yield f"{crowd.counts['changes_given_up']} cancels or adjustments were never answered"


def describe_suspects(run: str, audit: Report) -> list[dict[str, Any]]:
    """All that is known of the orders that did not end, or that the audit names: the databases may be thrown away."""
    codes = [code for violation in audit["violations"] for code in violation["codes"]]
    suspects = find_orders(run).filter(Q(status=Order.Status.PENDING) | Q(code__in=codes))
    return [
        {
            "code": order.code,
            "review_reason": order.review_reason,
            "payment": {name: str(getattr(order.payment, name)) for name in PAYMENT_FIELDS},
            "events": [f"{event.created_at:%T.%f} {event.kind} {event.data}" for event in order.events.all()],
            "movements": list(
                StockMovement.objects.filter(reference=order.code).values_list(
                    "stock__product__sku", "kind", "quantity"
                )
            ),
        }
        for order in suspects.select_related("payment").prefetch_related("events")[:100]
    ]


def find_charges(codes: set[str]) -> list[Charge]:
    return [charge for charge in get_gateway().list_charges() if charge.reference in codes]


def count_units(orders: QuerySet[Order]) -> Counter[str]:
    """Units sold, by SKU."""
    lines = OrderLine.objects.filter(order__in=orders).values_list("sku").annotate(Sum("quantity")).order_by("sku")
    return Counter(dict(lines))
