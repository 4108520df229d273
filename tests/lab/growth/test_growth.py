"""The model says what was measured, within 20 %, and its page has its tables."""

import json
import re
from dataclasses import replace
from inspect import getsource, signature
from pathlib import Path

import pytest

from audit import ledger
from audit.models import LedgerPass
from audit.tasks import record_audit
from config.privacy_settings import ORDER_LEAST_DAYS
from lab.growth import limits, machine
from lab.growth.cases import BENCH, ROUNDS, list_checks
from lab.growth.inputs import RATES, Inputs
from lab.growth.limits import list_limits
from lab.growth.machine import Conditions, find_limit, list_stations
from lab.growth.measured import FILE, PAGE, Measured, read_measured
from lab.growth.plan import describe_today, limit_database, plan_growth
from lab.growth.report import MARKS, draw_checks, draw_limits, draw_plans, write_page
from lab.growth.report import PAGE as SCALING
from lab.stack.shop import WORKERS
from lab.stack.var import BASE_DIR
from orders.sweep import claim_stuck_orders
from payments.stripe_api import StripeApi
from tests.lab.commands import run_stack_command


@pytest.fixture(scope="module")
def measured() -> Measured:
    return read_measured()


def test_the_model_is_within_a_fifth_of_every_measured_figure(measured: Measured) -> None:
    checks = list_checks(measured)

    assert len(checks) == len(BENCH) + len(ROUNDS) + 3
    assert [f"{check.what}: {check.deviation:+.0%}" for check in checks if not check.holds] == []


def test_the_model_fails_where_an_order_costs_something_else_than_it_says(measured: Measured) -> None:
    dearer = replace(measured, cpu={process: 1.5 * value for process, value in measured.cpu.items()})

    assert {check.what for check in list_checks(dearer) if not check.holds} >= {"many products, 0 ms"}


def test_no_prediction_reads_the_figure_that_it_predicts(measured: Measured) -> None:
    nothing = {key: 1.0 for key in measured.bench if not key[0].startswith("CPU")}
    blind = replace(measured, bench={**measured.bench, **nothing}, rounds=dict.fromkeys(measured.rounds, 1.0))

    assert [check.predicted for check in list_checks(blind)] == [check.predicted for check in list_checks(measured)]


@pytest.mark.parametrize(
    ("conditions", "limit"),
    [
        (Conditions(), "cores"),
        (Conditions(latency=2), "payments: threads"),
        (Conditions(commit=0.1), "orders: one worker"),
        (Conditions(commit=0.1, is_hot=True), "the product's row"),
    ],
)
def test_each_condition_has_its_own_limit(measured: Measured, conditions: Conditions, limit: str) -> None:
    assert find_limit(list_stations(measured, conditions)).name == limit


def test_ten_times_the_orders_need_at_most_a_tenth_more_than_ten_times_as_much(measured: Measured) -> None:
    inputs = Inputs()
    less, more = (plan_growth(rate, measured, inputs) for rate in (1_000, 10_000))

    assert more.payments_in_flight == pytest.approx(10 * less.payments_in_flight)
    for name, number in less.processes.items():
        assert 0.8 * 10 * number <= more.processes[name] <= 1.1 * 10 * number
    assert more.databases > less.databases


def test_no_database_is_given_more_than_it_carries(measured: Measured) -> None:
    inputs = Inputs()
    for rate in RATES:
        plan = plan_growth(rate, measured, inputs)
        assert rate / plan.databases <= limit_database(measured, inputs)
        assert plan.database_cores <= inputs.database_cores


def test_a_slow_provider_needs_more_payments_workers_and_nothing_else(measured: Measured) -> None:
    quick, slow = (plan_growth(1_000, measured, Inputs(latency=latency)).processes for latency in (0.3, 1.2))

    assert slow["payments"] > 3 * quick["payments"]
    assert {name for name in quick if quick[name] != slow[name]} == {"payments"}


def test_the_limits_come_lowest_first(measured: Measured) -> None:
    rates = [limit.rate for limit in list_limits(measured, Inputs())]

    assert rates == sorted(rates)
    assert rates[0] > 0


def test_the_page_has_the_tables_of_the_model(measured: Measured) -> None:
    """`python -m lab.stack growth --write` brings it up to date."""
    text, inputs = SCALING.read_text(), Inputs()

    assert draw_checks(list_checks(measured)) in text
    assert draw_limits(list_limits(measured, inputs)) in text
    assert draw_plans(describe_today(measured, inputs), [plan_growth(rate, measured, inputs) for rate in RATES]) in text


def test_a_table_is_written_between_its_marks_and_the_page_stays_as_it_is_elsewhere(tmp_path: Path) -> None:
    page = tmp_path / "scaling.md"
    page.write_text(f"Before\n{MARKS[0].format(name='plan')}\nold\n{MARKS[1]}\nafter {MARKS[1]}\n")

    write_page(page, plan="| new |")
    write_page(page, plan="| new |")

    assert page.read_text() == f"Before\n{MARKS[0].format(name='plan')}\n\n| new |\n\n{MARKS[1]}\nafter {MARKS[1]}\n"


def test_the_command_plans_the_rates_that_it_is_asked_for_and_checks_the_model() -> None:
    done = run_stack_command("growth", "--check", "--rates", "500", "--latency", "1")

    assert done.returncode == 0, done.stderr
    assert "| orders/s " in done.stdout
    assert "| 500 " in done.stdout


def test_the_limits_are_the_shops_own() -> None:
    shop = (BASE_DIR / "config" / "settings.py").read_text()

    assert ledger.LEDGER_TIMEOUT == limits.LIST_TIMEOUT
    assert record_audit.time_limit == limits.AUDIT_TIME
    assert signature(claim_stuck_orders).parameters["limit"].default == limits.SWEEP_BATCH
    assert f"limit={limits.LIST_PAGE}," in getsource(StripeApi.ask_for_all)
    assert Inputs().days == ORDER_LEAST_DAYS
    assert LedgerPass.MAX_DAYS == limits.PASS_DAYS
    for name in ("AUDIT_DAYS", "RECONCILE_DAYS", "SWEEP_EVERY"):
        assert re.search(rf"^{name} = .*\b{getattr(limits, name):g}\b", shop, re.MULTILINE), name
    assert f"{limits.RECONCILE_EVERY / 3600:g} * 3600" in shop


def test_the_machine_has_the_workers_that_the_stack_starts() -> None:
    assert f"--concurrency {machine.CHARGE_THREADS}" in WORKERS["payments"]
    assert "--concurrency 1" in WORKERS["orders"]


def test_both_sources_say_when_they_were_measured(measured: Measured) -> None:
    assert measured.machine[:4] == "2026"
    assert json.loads(FILE.read_text())["date"] == measured.date
    assert PAGE.exists()
