"""A chaos run: people buy while a stack is struck in every way; then everything must have come out right."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from django.db import InterfaceError, InternalError, OperationalError, connection
from tqdm import tqdm

from audit.services import Report, Violation, audit_orders
from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.desks import Desks, make_desks
from lab.simulation.chaos.orders import OrderCounts, count_orders
from lab.simulation.chaos.report import describe_run
from lab.simulation.strikes.deck import make_schedule
from lab.simulation.strikes.striker import Striker
from payments.gateway import GatewayUnavailable

PATIENCE = 180.0  # seconds from the last strike or order to the last order's end
AUDIT_EVERY = 15.0  # seconds, while orders flow
COUNT_EVERY = 0.5  # seconds
HANGS_AFTER = 60.0  # seconds
AWAY = (OperationalError, InterfaceError, InternalError)  # what Django raises while the database is away or read-only


class Auditor:
    """Audits while orders flow. A violation that it finds then is as wrong as one at the end.

    But for what the shop has not heard yet: `explains` says which violations are of that kind.
    """

    def __init__(self, *, stopping: Event, explains: Callable[[Violation], bool]) -> None:
        self.audits: list[Report] = []
        self._stopping, self._explains = stopping, explains

    def run(self) -> None:
        while not self._stopping.wait(AUDIT_EVERY):
            try:
                report = audit_orders()
                violations = [found for found in report["violations"] if not self._explains(found)]
                self.audits.append({**report, "violations": violations})
            except (*AWAY, GatewayUnavailable):
                pass  # a strike has taken it down
            finally:
                connection.close()


def run_chaos(
    *, stack_file: Path, shop_url: str, orders: int, seconds: float, seed: int, kinds: Collection[str]
) -> dict[str, Any]:
    """Let people buy while the schedule of the seed strikes the stack, wait until all is final; return the report.

    `ok` is whether all of it came out as promised. The shop may have other products and orders: they are left alone.
    """
    run, stopping, closing, crashes = f"chaos-{uuid4().hex[:8]}", Event(), Event(), watch_threads()
    crowd = Crowd(run=run, shop_url=shop_url, wanted=orders, seconds=seconds, stopping=stopping)
    desks = make_desks(run=run, seed=seed, crowd=crowd, stopping=stopping, closing=closing)
    striker = Striker(stack_file, run=run, stopping=stopping)
    auditor = Auditor(stopping=stopping, explains=desks.disputes.explains)
    crowd.stock_the_shop()
    desks.events.open()
    with tqdm(desc="Final", unit=" orders", disable=None) as bar:
        try:
            staff = [start(work) for work in [crowd.adjust_stock, auditor.run, *(desk.work for desk in desks)]]
            schedule = make_schedule(seed=seed, seconds=seconds, kinds=kinds)
            busy = [start(striker.carry_out, schedule), *crowd.start_buying()]
            while any(thread.is_alive() for thread in busy):
                draw(bar, count_after_a_moment(run), crowd, striker)
        finally:
            stopping.set()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and is_unfinished(counts := count_after_a_moment(run), desks):
            draw(bar, counts, crowd, striker)
    closing.set()
    crashes += find_hanging(staff)
    ask_everybody_again(crowd)
    connection.close()  # a session that began while the database was read-only can't write, and an audit writes
    folder, audits = stack_file.parent, auditor.audits
    report = describe_run(
        run=run, folder=folder, crowd=crowd, desks=desks, striker=striker, audits=audits, crashes=crashes
    )
    return {"seed": seed, **report}


def watch_threads() -> list[str]:
    """A list that will name each thread that ends by an exception. A run that loses a thread proves less."""
    crashes: list[str] = []
    threading.excepthook = lambda end: crashes.append(f"{end.thread and end.thread.name}: {end.exc_value!r}")
    return crashes


def start(target: Callable[..., object], *arguments: object) -> Thread:
    thread = Thread(target=target, args=arguments, name=target.__qualname__, daemon=True)
    thread.start()
    return thread


def find_hanging(threads: Sequence[Thread]) -> list[str]:
    """Name the threads that still run a minute after they were told to stop. They wait without a time limit."""
    deadline = time.monotonic() + HANGS_AFTER
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return [f"{thread.name} does not end" for thread in threads if thread.is_alive()]


def is_unfinished(counts: OrderCounts | None, desks: Desks) -> bool:
    """Whether orders, refunds or disputes are not over, or not told of, or nobody can tell."""
    if counts is None or counts.pending > 0 or counts.refunding > 0:
        return True
    return not (desks.disputes.is_settled() and desks.events.is_settled())


def count_after_a_moment(run: str) -> OrderCounts | None:
    """Wait a moment, then count the orders. None while the database is away."""
    time.sleep(COUNT_EVERY)
    try:
        return count_orders(run)
    except AWAY:
        connection.close()
        return None


def draw(bar: "tqdm[Any]", counts: OrderCounts | None, crowd: Crowd, striker: Striker) -> None:
    bar.n, bar.total = counts.final if counts else bar.n, len(crowd.codes)
    bar.set_postfix(placed=len(crowd.codes), refused=crowd.refused.total(), kills=striker.kills)


def ask_everybody_again(crowd: Crowd) -> None:
    """Repeat every request that was answered with an order or a payment: it must be the same one."""
    requests: list[Callable[[], object]] = [partial(crowd.place, key) for key in crowd.codes]
    requests += [partial(crowd.payers.ask, wish) for wish in list(crowd.payers.told)]
    with ThreadPoolExecutor(4) as pool, tqdm(desc="Asking again", total=len(requests), disable=None) as bar:
        for _ in pool.map(lambda ask: ask(), requests):
            bar.update()
