"""A worker ends when it takes nothing any more, and not because it is busy, slow to start, or was frozen."""

import os
import subprocess
import sys

import pytest
from django.conf import LazySettings

from config.watchdog import SLOW_START, Pulse
from database_errors import DATABASE_PATIENCE
from lab.stack.var import BASE_DIR
from payments.stripe_intents import LOOK_UP_TIMEOUT

NEVER = 1e9  # seconds
# A worker that writes to its log until that takes no more.
WRITES = """
import logging
from config import watchdog
logging.basicConfig()
watchdog.pulse.beat()
watchdog.Thread(target=watchdog.watch, daemon=True).start()
while True:
    logging.warning("so much to say")
"""

# The limit that Celery has for a task, with the settings of a process that starts now.
PRINTS_LIMIT = """
import sys
from config.celery import app
app.loader.import_default_modules()
print(app.tasks[sys.argv[1]].time_limit or app.conf.task_time_limit)
"""


@pytest.fixture
def pulse(settings: LazySettings) -> Pulse:
    settings.WORKER_TIMEOUT = 5
    pulse = Pulse()
    pulse.beat()
    return pulse


def count_ticks(pulse: Pulse, most: int = 100) -> int:
    """How many ticks it lives; at most so many are counted."""
    return next((tick for tick in range(1, most) if pulse.tick()), most)


def test_a_worker_that_reads_no_queue_ends(pulse: Pulse) -> None:
    assert count_ticks(pulse) == 5


def test_an_empty_queue_is_a_sign_of_life(pulse: Pulse) -> None:
    for _ in range(20):
        pulse.beat()
        assert not pulse.tick()


def test_a_running_task_does_not_count_against_its_worker(pulse: Pulse) -> None:
    pulse.start_task("1", "charge", NEVER)

    assert count_ticks(pulse) == 100


def test_a_long_task_does_not_hide_that_the_other_threads_get_nothing_any_more(pulse: Pulse) -> None:
    pulse.concurrency = 2
    pulse.start_task("1", "audit", NEVER)
    assert count_ticks(pulse) == 5

    pulse.start_task("2", "charge", NEVER)
    assert count_ticks(pulse) == 100


def test_a_worker_has_its_whole_time_again_after_a_task(pulse: Pulse) -> None:
    pulse.start_task("1", "charge", NEVER)
    count_ticks(pulse, most=50)
    pulse.end_task("1")

    assert count_ticks(pulse) == 5


def test_a_task_that_runs_longer_than_its_limit_ends_its_worker_whatever_else_runs(pulse: Pulse) -> None:
    pulse.start_task("1", "charge", NEVER)
    pulse.start_task("2", "audit", 8)
    ticks = [pulse.tick() for _ in range(8)]

    assert ticks == [""] * 7 + ["audit ran longer than its time limit"]


def test_a_worker_that_is_told_to_stop_has_time_for_what_is_in_hand_and_no_more(settings: LazySettings) -> None:
    settings.WORKER_TIMEOUT, settings.STOP_TIMEOUT = 5, 8
    pulse = Pulse()
    pulse.start_task("1", "charge", 3)
    pulse.beat()
    pulse.stop()

    assert [pulse.tick() for _ in range(8)] == [""] * 7 + ["it was told to stop 8 seconds ago"]


def test_a_worker_that_starts_slowly_is_given_time(settings: LazySettings) -> None:
    settings.WORKER_TIMEOUT = 5

    assert count_ticks(Pulse()) == SLOW_START + 5


@pytest.mark.parametrize(
    ("variables", "task", "needed"),
    [
        ({}, "orders.tasks.send_due_mails", 2 * (5 + 20)),
        ({"MAIL_EVERY": "120", "MAIL_TIMEOUT": "30"}, "orders.tasks.send_due_mails", 2 * (120 + 30)),
        ({"STRIPE_TIMEOUT": "60", "SWEEP_AFTER": "70"}, "payments.tasks.charge_payment", 60 + LOOK_UP_TIMEOUT),
    ],
)
def test_a_task_may_take_the_time_that_the_settings_give_its_work(
    variables: dict[str, str], task: str, needed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    limit = subprocess.check_output([sys.executable, "-c", PRINTS_LIMIT, task], cwd=BASE_DIR, text=True)

    assert float(limit) >= needed + DATABASE_PATIENCE


def test_a_worker_ends_though_nobody_reads_its_log() -> None:
    reader, writer = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-c", WRITES], cwd=BASE_DIR, env={**os.environ, "WORKER_TIMEOUT": "5"}, stderr=writer
    )
    try:
        assert worker.wait(timeout=60) == 1
    finally:
        worker.kill()
        worker.wait()
        os.close(reader)
        os.close(writer)
