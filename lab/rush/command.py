"""`lab.stack rush`: starts a shop with a few units of one product, lets the rush come, and says what it was like."""

import json
import os
import sys
from argparse import Namespace
from typing import Any

import redis

from lab.bench.measure import measure_cpu
from lab.bench.shops import open_orderly
from lab.bench.stocking import stock_orderly
from lab.bench.wire import Address
from lab.bench.workbench import SETTINGS
from lab.rush.crowd import Crowd
from lab.rush.options import Options
from lab.rush.report import describe_rush, to_text
from lab.rush.visitors import Visitor
from lab.stack.embedded import free_port
from lab.stack.shop import make_web, run_stack
from lab.stack.stack import Stack

SKU = "rush-1"
LEAST = "30"  # a third of the orders a second that two cores confirm, as docs/waiting-room.md advises
MEASURED = ("web", "waiting", "valkey", "postgres")
NICE = -10  # gets ten times the CPU of 0, as CPUWeight=1000 does in deploy/systemd/orderly-waiting.service
SOLD = "SELECT count(*) FROM orders_order WHERE status = 'CONFIRMED'"


def rush(arguments: Namespace) -> int:
    """Return the exit code: 1 where anything but a sold-out shop refused a visitor, or the audit is not clean."""
    options = Options(
        **{name: getattr(arguments, name) for name in ("visitors", "units", "seconds", "waits", "has_door")}
    )
    given = {"WAITING_ROOM_LEAST": LEAST, **os.environ}
    room = {"WAITING_ROOM": "products" if options.waits else "off", "WAITING_ROOM_SKUS": SKU}
    with run_stack(caller={**given, **SETTINGS, **room}) as stack:
        stock_orderly(stack, [SKU], options.units)
        report = run_rush(stack, options)
        audit = stack.manage("audit", "--json")
    report["audit"] = "clean" if audit.returncode == 0 else audit.stdout
    print(json.dumps(report) if arguments.as_json else to_text(report))
    if audit.returncode:
        print(audit.stderr, file=sys.stderr)
    return 0 if report["ok"] and audit.returncode == 0 else 1


def run_rush(stack: Stack, options: Options) -> dict[str, object]:
    address = open_door(stack) if options.waits and options.has_door else None
    shop = open_orderly(stack.folder / "stack.json")
    visitors = [Visitor(url=shop.url, sku=SKU, number=number) for number in range(options.visitors)]
    crowd, lookout = Crowd(shop=shop, visitors=visitors, door=address), Lookout(stack)
    before = measure_cpu(shop.find_pids())
    took = crowd.come(seconds=options.seconds, on_tick=lookout.look)
    shop.wait_until_final()
    after = measure_cpu(shop.find_pids())
    with shop.connect() as connection:
        row = connection.execute(SOLD).fetchone()
    cpu = {f"CPU s, {name}": round(after[name] - before[name], 1) for name in MEASURED if name in before}
    return {**describe_rush(crowd, let_in=lookout.seen, took=took, confirmed=row[0] if row else 0), **cpu}


def open_door(stack: Stack) -> Address:
    """Start the web server of those who wait, and return its address: what orderly-waiting is in production."""
    port = free_port()
    web = make_web(stack, "waiting", url=f"http://127.0.0.1:{port}", workers=1, threads=3, pool=2)
    web.nice = NICE
    stack.supervisor.start(web)
    stack.write_state()
    return "127.0.0.1", port


class Lookout:
    """Sees who is inside, at each look."""

    def __init__(self, stack: Stack) -> None:
        environment = stack.environment
        self._redis = redis.Redis.from_url(environment["REDIS_URL"])
        self._key = f"{environment.get('REDIS_PREFIX', '')}waiting:{SKU}:inside"
        self.seen: dict[str, float] = {}  # by visitor: when they were first seen inside

    def look(self, now: float) -> None:
        inside: Any = self._redis.zrange(self._key, 0, -1)
        for name in inside:
            self.seen.setdefault(name.decode(), now)
