"""The shop under the crash tests' settings, with time under the tests' control."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.stack.shop import WORKERS, run_stack
from tests.crash.crowd import Crowd
from tests.crash.drill import STAFF, Drill, Purchase
from tests.servers import GIVEN, TRANSFERS
from tests.waiting import wait_for_workers

# No order is swept before a test makes it due, and then soon again. No order expires by itself. A worker that starts
# takes up no order that another test lets stand still, except one whose request died. The provider tells of nothing.
CLOCKS = {
    "LOST_AFTER": "3600",
    "SANDBOX_WEBHOOKS": "0",
    "ORDER_EXPIRES_AFTER": "900",
    "SWEEP_AFTER": "20",
    "SWEEP_AFTER_MAX": "4",
    "SWEEP_EVERY": "1",
    "ORDER_MAX_SWEEPS": "60",
    "STRIPE_TIMEOUT": "2.5",
    "SANDBOX_SLOW_SECONDS": "1.5",
    "SANDBOX_HANG_SECONDS": "4",
    "WORKER_TIMEOUT": "8",
    "WEBHOOK_TIMEOUT": "2",
    **TRANSFERS,
}


@contextmanager
def run_drill(folder: Path, **clocks: str) -> Iterator[Drill]:
    for name in ("armed", "reached", "off"):
        (folder / name).mkdir()
    caller = GIVEN | CLOCKS | clocks | {"DJANGO_SETTINGS_MODULE": "tests.crash.settings", "CRASH_FOLDER": str(folder)}
    with run_stack(caller=caller | {"DJANGO_SUPERUSER_PASSWORD": STAFF["password"]}, forking=True) as stack:
        # Whichever starts takes up an order whose request died, and would be there before what a test waits for.
        wait_for_workers(*map(stack.log, WORKERS))
        yield Drill(stack, folder)


@pytest.fixture(scope="package")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """The whole shop, with all its guards."""
    with run_drill(tmp_path_factory.mktemp("crash")) as running:
        yield running


@pytest.fixture
def crowd(drill: Drill) -> Crowd:
    return Crowd(drill)


@pytest.fixture
def purchase(crowd: Crowd) -> Purchase:
    return Purchase(crowd.sku)
