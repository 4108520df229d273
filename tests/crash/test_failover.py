"""The primary PostgreSQL dies for good, and its synchronous standby goes on: nothing that was answered is lost."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from lab.stack.profiles import PROFILE
from lab.stack.standby import promote
from tests.crash.conftest import run_drill
from tests.crash.drill import Drill, Purchase
from tests.crash.stories import PAID, finish

ORDERS = 200


@pytest.fixture
def doubled(tmp_path: Path) -> Iterator[Drill]:
    """A shop whose database has a synchronous standby."""
    with run_drill(tmp_path, **{PROFILE: "standby", "SWEEP_AFTER_MAX": "4"}) as running:
        yield running


def test_no_order_is_lost_when_the_standby_takes_over(doubled: Drill) -> None:
    sku = uuid4().hex
    doubled.stock([sku], units=ORDERS)
    purchases = [Purchase(sku) for _ in range(ORDERS)]
    before, after = purchases[: ORDERS // 2], purchases[ORDERS // 2 :]
    with ThreadPoolExecutor(8) as customers:
        answered = [str(answer["code"]) for _, answer in customers.map(doubled.insist, before)]
        late = [customers.submit(doubled.insist, purchase) for purchase in after]
        fail_over(doubled)
        answered += [str(waiting.result()[1]["code"]) for waiting in late]

    assert doubled.query("SELECT count(*) FROM orders_order WHERE code = ANY(%s)", answered) == ORDERS
    with ThreadPoolExecutor(8) as customers:
        outcomes = list(customers.map(lambda purchase: finish(doubled, purchase), purchases))
    assert {outcome.end for outcome in outcomes} == {PAID}
    assert doubled.stock_of(sku) == (0, 0)
    assert doubled.audit() == []


def fail_over(drill: Drill) -> None:
    """Kill the primary, which nobody starts again, and let the standby go on."""
    url = urlsplit(drill.stack.environment["DATABASE_URL"])
    standby = url._replace(netloc=f"{url.username}:{url.password}@{url.netloc.rpartition(',')[2]}", query="").geturl()
    primary = drill.stack.process("postgres")
    primary.stop_signal = signal.SIGKILL
    drill.stack.supervisor.stop(primary)
    promote(standby)
