"""A chaos run: its schedule hangs on the seed alone, and a short one on the real stack finds nothing lost."""

import json
from argparse import ArgumentTypeError
from collections import Counter
from functools import partial
from threading import Event

import pytest

from lab.simulation.chaos import run as chaos
from lab.simulation.chaos.options import choose_kinds
from lab.simulation.strikes.deck import DECK, KINDS, LASTS, make_schedule, read_kinds
from lab.simulation.strikes.lasting import LASTING
from lab.simulation.strikes.striker import KILLS, SUDDEN
from tests.lab.commands import run_stack_command

PROCESSES = {"postgres", "valkey", "provider", "web", "payments", "orders", "mails", "webhooks", "beat"}
# As short as they can be with processes that need seconds to start.
CLOCKS = {
    "ORDER_EXPIRES_AFTER": "5",
    "SANDBOX_HANG_SECONDS": "3",
    "STRIPE_TIMEOUT": "2",
    "SWEEP_AFTER": "3",
    "SWEEP_AFTER_MAX": "2",
}
run_chaos = partial(run_stack_command, "chaos", clocks=CLOCKS, timeout=120)


def test_the_same_seed_makes_the_same_schedule_and_another_seed_another() -> None:
    schedule = make_schedule(seed=7, seconds=300)

    assert make_schedule(seed=7, seconds=300) == schedule
    assert make_schedule(seed=7, seconds=150) == schedule[:100]
    assert make_schedule(seed=8, seconds=300) != schedule
    assert schedule == sorted(schedule, key=lambda strike: strike.second)


def test_a_kind_that_is_left_out_leaves_the_others_as_they_were() -> None:
    schedule = make_schedule(seed=7, seconds=300)

    without = make_schedule(seed=7, seconds=300, kinds=KINDS.keys() - {"kills", "locked-row"})

    assert without == [strike for strike in schedule if strike.kind not in ("kills", "locked-row")]
    assert make_schedule(seed=7, seconds=300, kinds=[]) == []


def test_every_schedule_of_the_default_length_has_every_kind_at_every_process_and_sixty_kills() -> None:
    for seed in range(100):
        dealt = Counter((strike.kind, strike.target) for strike in make_schedule(seed=seed, seconds=220))

        assert dealt.keys() == DECK.keys()
        assert {target for kind, target in dealt if kind == "kills"} == PROCESSES
        assert {target for kind, target in dealt if kind == "freezes"} == PROCESSES
        assert sum(number for (kind, _), number in dealt.items() if kind in KILLS) >= 60


def test_every_kind_is_in_the_deck_and_strikes_at_once_or_for_a_time() -> None:
    assert {kind for kind, _ in DECK} == KINDS.keys()
    assert SUDDEN.keys() | LASTING.keys() == KINDS.keys()
    assert LASTING.keys() == LASTS.keys()
    assert not SUDDEN.keys() & LASTING.keys()


def test_kinds_are_chosen_by_their_names_and_an_unknown_name_is_an_error_that_lists_them() -> None:
    assert choose_kinds(None, None) == set(KINDS)
    assert choose_kinds(read_kinds("kills, locked-row"), None) == {"kills", "locked-row"}
    assert choose_kinds(None, read_kinds("kills")) == KINDS.keys() - {"kills"}
    assert choose_kinds(read_kinds("kills,freezes"), read_kinds("kills")) == {"freezes"}
    with pytest.raises(ArgumentTypeError, match=r"unknown: floods; there are kills, .*skewed-clock"):
        read_kinds("kills,floods")


def test_help_lists_every_argument_and_every_kind_without_starting_a_stack() -> None:
    shown = run_chaos("--help")

    assert (shown.returncode, shown.stderr) == (0, "")
    for name in ["--orders", "--seconds", "--seed", "--only", "--without", "--json", "--profile", *KINDS]:
        assert name in shown.stdout


def test_an_unknown_kind_ends_the_command_before_a_stack_starts() -> None:
    refused = run_chaos("--without", "floods")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "unknown: floods" in refused.stderr
    assert "Starting" not in refused.stderr


# Seed 136505 begins with a kill of PostgreSQL, the provider, orders, web, webhooks and payments.
def test_a_short_run_on_the_real_stack_loses_nothing() -> None:
    done = run_chaos("--orders", "50", "--seconds", "10", "--seed", "136505", "--only", "kills", "--json")

    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["problems"] == []
    assert (done.returncode, report["ok"], report["audit"]["violations"]) == (0, True, [])
    assert report.keys() >= {"payments_again", "disputes"}
    assert sum(report["orders"].values()) >= 50
    assert report["strikes"].keys() >= {"payments", "orders", "provider", "web", "webhooks"}
    assert {kind for kinds in report["strikes"].values() for kind in kinds} == {"kills"}
    assert report["bound"]["longest_past_deadline"] <= report["bound"]["past_deadline_at_most"]
    assert report["mails"]["sent"] <= report["mails"]["taken"]
    mails = report["mails"]["sent"] + report["mails"]["owed"]
    assert mails == sum(report["orders"].values()) + report["refunds"]
    assert report["events"]["sent"] >= 2 * sum(report["orders"].values())


def test_a_thread_that_does_not_end_is_named_instead_of_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "HANGS_AFTER", 0.1)
    told = Event()

    threads = [chaos.start(told.wait), chaos.start(lambda: None)]

    assert chaos.find_hanging(threads) == ["Event.wait does not end"]
    told.set()
    assert chaos.find_hanging(threads) == []
