"""Beat's file is only a cache: whatever became of it, beat starts and everything is scheduled."""

import os
import shelve
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings

from config.beat import Scheduler
from config.celery import app

DAMAGES = {"empty": b"", "random": os.urandom(500), "text": b"no schedule", "no pickle": b"\x80\x05" + b"x" * 600}


def open_schedule(path: Path) -> set[str]:
    scheduler = Scheduler(app=app, schedule_filename=str(path))
    try:
        return set(scheduler.schedule) & set(app.conf.beat_schedule)
    finally:
        scheduler.close()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_thrown_away(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "beat"
    open_schedule(path)
    for file in tmp_path.iterdir():
        sound = {other: other.read_bytes() for other in tmp_path.iterdir()}
        file.write_bytes(damage)

        assert open_schedule(path) == set(app.conf.beat_schedule), file

        for other, content in sound.items():
            other.write_bytes(content)


def test_entries_that_mean_nothing_are_thrown_away(tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "beat")) as file:  # noqa: S301 - our own
        file["entries"] = 7

    assert open_schedule(tmp_path / "beat") == set(app.conf.beat_schedule)


def test_a_sound_file_is_kept(tmp_path: Path) -> None:
    open_schedule(tmp_path / "beat")
    with shelve.open(str(tmp_path / "beat")) as file:  # noqa: S301 - our own
        entries = file["entries"]
        entries["audit-orders"].total_run_count = 17
        file["entries"] = entries

    scheduler = Scheduler(app=app, schedule_filename=str(tmp_path / "beat"))

    assert scheduler.schedule["audit-orders"].total_run_count == 17
    scheduler.close()


@pytest.mark.parametrize("running", [False, True], ids=["before beat started", "while beat ran"])
def test_a_clock_that_was_an_hour_ahead_and_is_set_right_stops_nothing(tmp_path: Path, running: bool) -> None:
    path = str(tmp_path / "beat")
    scheduler = Scheduler(app=app, schedule_filename=path)
    for entry in scheduler.schedule.values():
        entry.last_run_at = entry.default_now() + timedelta(hours=1)
    if running:
        scheduler.populate_heap()
    else:
        scheduler.close()
        scheduler = Scheduler(app=app, schedule_filename=path)

    pause = scheduler.tick()

    scheduler.close()
    assert pause <= settings.SWEEP_EVERY
