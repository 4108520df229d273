"""The demonstration: a day of real orders on every real process, workers killed on the way, and what came of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum

from audit.services import audit_orders
from catalog.models import Stock
from orders.models import Order, OrderEvent
from payments.gateway import get_gateway
from payments.models import Payment

ORDERS_FILE = settings.BASE_DIR / "data" / "orders_2011-10-06.jsonl"
# Each once so many charges are answered: half of them are still to come then, however slow the machine is.
KILLS = [("payments", 5), ("orders", 25), ("payments", 60)]
PATIENCE = 100  # seconds

TIMES = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds),
    COUNT(*) / extract(epoch FROM MAX(finalized_at) - MIN(created_at))
FROM (SELECT *, extract(epoch FROM finalized_at - created_at) AS seconds FROM orders_order) timed
WHERE finalized_at IS NOT NULL
"""


def run_demo(*, stack_file: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Replay the orders, SIGKILL workers while charges are in flight, wait until all is final; return the report.

    Expects an empty shop with a loaded catalogue. `ok` is whether all of it came out as promised.
    """
    before = count_stock()
    command = [sys.executable, "manage.py", "replay", str(ORDERS_FILE), "--faulty-every", "10", "--json"]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as replay:
        kills = sum(kill_worker(name, stack_file, after=answered, say=say) for name, answered in KILLS)
        output, _ = replay.communicate(timeout=PATIENCE)
    return describe_end(json.loads(output), kills=kills, before=before)


def kill_worker(name: str, stack_file: Path, *, after: int, say: Callable[[str], None]) -> bool:
    """SIGKILL the worker while a charge is in flight and `after` are answered; return whether that ever was so."""
    deadline = time.monotonic() + PATIENCE / 2
    while not ((answered := count_charges_answered()) >= after and (charges := count_charges_in_flight())):
        if time.monotonic() > deadline:
            say(f"not killed: the {name} worker, as no charge was in flight after {after} were answered")
            return False
        time.sleep(0.02)
    pid = json.loads(stack_file.read_text())["processes"][name]["pid"]
    os.kill(pid, signal.SIGKILL)
    say(f"kill -9 {pid}: the {name} worker, with {charges} charges in flight and {answered} answered")
    return True


def describe_end(replayed: dict[str, Any], *, kills: int, before: dict[str, int]) -> dict[str, Any]:
    """The report: the shop's side, the provider's side, and whether they agree."""
    statuses = dict(Order.objects.values_list("status").annotate(Count("pk")).order_by("status"))
    confirmed = Order.objects.filter(status=Order.Status.CONFIRMED).aggregate(
        money=Sum("total", default=0) - Sum("refunded", default=0)
    )["money"]
    charged = sum(charge.amount - charge.refunded for charge in get_gateway().list_charges())
    swept = OrderEvent.objects.filter(kind=OrderEvent.Kind.SWEPT).values("order").distinct().count()
    with connection.cursor() as cursor:
        cursor.execute(TIMES)
        p50, p95, rate = cursor.fetchone()
    after, audit = count_stock(), audit_orders()
    return {
        "ok": (
            audit["ok"]
            and kills == len(KILLS)
            and charged == confirmed
            and "PENDING" not in statuses
            and before["on_hand"] - after["on_hand"] == replayed["units"] - replayed["returned_units"]
            and after["reserved"] == 0
        ),
        "orders": statuses,
        "confirmed_minor": confirmed,
        "charged_minor": charged,
        "stock_before": before,
        "stock_after": after,
        "kills": kills,
        "swept": swept,
        "p50_seconds": round(float(p50), 2),
        "p95_seconds": round(float(p95), 2),
        "orders_per_second": round(float(rate), 1),
        "replay": replayed,
        "audit": audit,
    }


def count_stock() -> dict[str, int]:
    return Stock.objects.aggregate(on_hand=Sum("on_hand", default=0), reserved=Sum("reserved", default=0))


def count_charges_answered() -> int:
    return Payment.objects.filter(status__in=[Payment.Status.SUCCEEDED, Payment.Status.DECLINED]).count()


def count_charges_in_flight() -> int:
    return Payment.objects.filter(status=Payment.Status.SENT).count()
