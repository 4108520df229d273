"""A chaos run: its schedule hangs on the seed alone, and a short one on the real stack finds nothing lost."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Event

from config.var import BASE_DIR
from simulation.strikes import KILLS, Killer, Strike, find_children, is_child, make_schedule
from tests.servers import GIVEN

PROCESSES = {"postgres", "valkey", "provider", "web", "payments", "orders", "mails", "beat"}
# As short as they can be with processes that need seconds to start.
CLOCKS = {
    "ORDER_EXPIRES_AFTER": "5",
    "SANDBOX_HANG_SECONDS": "3",
    "STRIPE_TIMEOUT": "2",
    "SWEEP_AFTER": "2",
    "SWEEP_AFTER_MAX": "2",
}


def test_the_same_seed_makes_the_same_schedule_and_another_seed_another() -> None:
    schedule = make_schedule(seed=7, seconds=300)

    assert make_schedule(seed=7, seconds=300) == schedule
    assert make_schedule(seed=7, seconds=100) == schedule[:50]
    assert make_schedule(seed=8, seconds=300) != schedule
    assert schedule == sorted(schedule, key=lambda strike: strike.second)


def test_every_schedule_of_the_default_length_kills_and_freezes_every_process_and_kills_sixty_times() -> None:
    for seed in range(100):
        actions = Counter((strike.process, strike.action) for strike in make_schedule(seed=seed, seconds=220))

        assert {process for process, action in actions if action == "kill"} == PROCESSES
        assert {process for process, action in actions if action == "freeze"} == PROCESSES
        assert sum(number for (_, action), number in actions.items() if action in KILLS) >= 60


def test_a_process_is_taken_for_a_child_of_its_parent_alone_and_only_while_it_lives() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in find_children(os.getpid())
        assert is_child(child.pid, os.getpid())
        assert not is_child(child.pid, os.getppid())

        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        assert not is_child(child.pid, os.getpid())
    assert not is_child(child.pid, os.getpid())


def test_a_strike_reaches_the_process_that_the_stack_names_and_leaves_given_servers_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        stack_file = tmp_path / "stack.json"
        stack_file.write_text(json.dumps({"pid": os.getpid(), "processes": {"beat": {"pid": child.pid}}}))
        killer = Killer(stack_file, stopping=Event())

        killer.carry_out(
            [Strike(0, "valkey", "flush", 1), Strike(0, "postgres", "kill", 1), Strike(0, "beat", "kill", 1)]
        )

        assert child.wait() == -signal.SIGKILL
    assert (killer.done, killer.kills, killer.missed) == ({("beat", "kill"): 1}, 1, 2)


# Seed 1552 begins with a kill of orders, web, payments, the provider and PostgreSQL.
def test_a_short_run_on_the_real_stack_loses_nothing() -> None:
    arguments = ["-m", "config.stack", "chaos", "--orders", "50", "--seconds", "10", "--seed", "1552", "--json"]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=BASE_DIR,
        env={**GIVEN, **CLOCKS},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["off"] == []
    assert (done.returncode, report["ok"], report["audit"]["violations"]) == (0, True, [])
    assert sum(report["orders"].values()) >= 50
    assert report["schedule"].keys() >= {"payments", "orders", "provider", "web"}
