"""Whole processes are killed, frozen, doubled or missing while people buy, and every order ends well."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from lab.simulation.strikes.processes import skew_clock
from lab.simulation.strikes.running_stack import Missed
from lab.stack.processes import Process
from tests.crash.conftest import run_drill
from tests.crash.crowd import FROZEN_FOR, HANGING, Crowd
from tests.crash.drill import ASKS, DECLINED, SLOW, Drill, Purchase
from tests.crash.stories import (
    EXPIRED,
    PAID,
    REFUSED,
    assert_outcome,
    charge_late,
    confirm_after_a_failure,
    confirm_after_the_next,
    crash_at,
    finish,
    look_at,
    pay_again_before_a_late_no,
    resume_while_it_is_finalized,
)
from tests.mail_server import run_mail_server
from tests.waiting import wait_for, wait_for_workers

TRICKLING = "pm_sandbox_trickle"
DRIPS = 40  # connections, more than twice as many as the web server has threads
BEGUN = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Drip: ",
    b"POST /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n",
]


@pytest.mark.parametrize("process", ["web", "payments", "orders", "mails", "beat", "provider"])
def test_a_process_that_is_killed_at_random_moments_loses_no_order(drill: Drill, crowd: Crowd, process: str) -> None:
    random = Random(process)

    def kill_twice() -> None:
        for _ in range(2):
            time.sleep(random.uniform(0, 1.5))
            drill.kill(process)

    crowd.buy(kill_twice)

    crowd.assert_all_is_well()


def test_a_charge_whose_provider_is_killed_is_asked_for_again(drill: Drill, crowd: Crowd) -> None:
    slow = Purchase(crowd.sku, SLOW)
    drill.insist(slow)
    wait_for(lambda: drill.payment_of(slow) == "SENT", "a charge in flight")

    drill.kill("provider")

    assert drill.count_charges(drill.code_of(slow)) == 0
    assert_outcome(finish(drill, slow), PAID)


@pytest.mark.parametrize("process", ["provider", "payments"])
def test_a_process_that_is_killed_after_the_charge_and_before_its_answer_charges_nobody_twice(
    drill: Drill, crowd: Crowd, process: str
) -> None:
    hanging = Purchase(crowd.sku, HANGING)
    code = drill.insist(hanging)[1]["code"]
    wait_for(lambda: drill.count_charges(code), "the charge at the provider")

    drill.kill(process)

    assert drill.payment_of(hanging) == "SENT"
    assert_outcome(finish(drill, hanging), PAID)


def test_a_provider_that_is_frozen_only_delays_orders(drill: Drill, crowd: Crowd) -> None:
    with drill.frozen("provider"):
        crowd.buy()
        time.sleep(FROZEN_FOR)

    crowd.assert_all_is_well()


def test_answers_that_trickle_keep_no_other_order_from_being_charged(drill: Drill, crowd: Crowd) -> None:
    """There are more such answers than the payments worker has threads. Each takes a quarter of an hour to read."""
    sku = uuid4().hex
    trickling = [Purchase(sku, TRICKLING) for _ in range(50)]
    drill.stock([sku], units=len(trickling))
    worker = drill.stack.process("payments").pid
    for purchase in trickling:
        drill.insist(purchase)

    crowd.buy()

    crowd.assert_all_is_well()
    for purchase in trickling:
        assert finish(drill, purchase).end == PAID
        assert drill.count_charges(drill.code_of(purchase)) == 1
    assert drill.stack.process("payments").pid == worker  # nobody had to end it


def test_a_charge_in_the_hand_of_a_frozen_worker_takes_nothing_once_its_order_is_cancelled(
    drill: Drill, purchase: Purchase
) -> None:
    """The other worker fences the key, so the charge that wakes up late takes nothing."""
    drill.arm("charge.sent", purchase, action="pause")
    drill.insist(purchase)
    drill.wait_until_reached("charge.sent", purchase)

    with drill.frozen("payments"), drill.running(drill.make_second("payments", "second@%h")):
        drill.release("charge.sent", purchase)
        drill.make_expired(purchase)
        drill.wait_until_final(purchase)
    drill.wait_until_idle("payments")

    assert_outcome(finish(drill, purchase), EXPIRED)
    assert drill.audit() == []


@pytest.mark.parametrize("point", ["charge.started", "charge.sent"])
def test_a_charge_that_comes_after_the_cancel_takes_nothing(drill: Drill, purchase: Purchase, point: str) -> None:
    charge_late(drill, purchase, point)

    assert_outcome(finish(drill, purchase), EXPIRED)
    assert drill.audit() == []


def test_an_answer_that_is_late_finds_the_order_confirmed(drill: Drill, purchase: Purchase) -> None:
    charge_late(drill, purchase, "charge.answered")

    assert_outcome(finish(drill, purchase), PAID)
    assert drill.audit() == []


def test_the_late_no_to_a_first_card_is_not_the_seconds(drill: Drill, crowd: Crowd) -> None:
    declined = Purchase(crowd.sku, DECLINED, hold_on_decline=600)

    pay_again_before_a_late_no(drill, declined)

    assert_outcome(look_at(drill, declined), PAID)
    assert drill.audit() == []


def test_a_declined_payment_can_not_be_confirmed_after_the_next(drill: Drill, crowd: Crowd) -> None:
    declined = Purchase(crowd.sku, DECLINED, hold_on_decline=600)

    confirm_after_the_next(drill, declined)

    assert_outcome(look_at(drill, declined), PAID)
    assert drill.audit() == []


def test_a_payment_that_failed_at_the_bank_can_not_be_confirmed_any_more(drill: Drill, crowd: Crowd) -> None:
    failing = Purchase(crowd.sku, ASKS, approves=False)

    confirm_after_a_failure(drill, failing)

    assert_outcome(look_at(drill, failing), REFUSED)
    assert drill.audit() == []


def test_staff_resume_an_order_while_it_is_finalized(drill: Drill, purchase: Purchase) -> None:
    resume_while_it_is_finalized(drill, purchase)

    assert_outcome(finish(drill, purchase), PAID)
    assert drill.audit() == []


def test_two_beats_do_no_harm(drill: Drill, crowd: Crowd) -> None:
    with drill.running(drill.make_second("beat", str(drill.stack.folder / "second-beat"))):
        crowd.buy(lambda: drill.kill("payments"))

        crowd.assert_all_is_well()


def test_an_order_that_got_lost_waits_for_a_beat_and_ends_once_there_is_one(drill: Drill, purchase: Purchase) -> None:
    with drill.without("beat"):
        crash_at(drill, purchase, "place.committed")
        drill.make_due(purchase)
        time.sleep(3)
        assert drill.status_of(purchase) == "PENDING"
        assert drill.audit() == []

    assert_outcome(finish(drill, purchase), PAID)


@pytest.mark.parametrize("junk", [b"", b"no schedule"], ids=["empty", "text"])
def test_beat_starts_also_with_a_schedule_file_that_is_damaged(drill: Drill, crowd: Crowd, junk: bytes) -> None:
    for file in drill.stack.folder.glob("beat*"):
        file.write_bytes(junk)
    drill.kill("beat")

    crowd.buy(lambda: drill.kill("payments"))

    crowd.assert_all_is_well()


def test_workers_whose_clocks_are_ahead_discard_no_message(drill: Drill, crowd: Crowd) -> None:
    """They do all the work. They discard no message that is a minute late by their clock."""
    try:
        skewed = [skew(drill, name) for name in ("payments", "orders")]
    except Missed as missed:
        pytest.skip(str(missed))
    with drill.running(skewed[0]), drill.running(skewed[1]):
        # Nobody would take a message while they start, and it would be later than that.
        wait_for_workers(*(process.log for process in skewed))
        with drill.frozen("payments"), drill.frozen("orders"):
            crowd.buy()

            crowd.assert_all_is_well()
            assert "Discarding" not in skewed[1].log.read_text()
            assert "orderly_alive 0.0" in drill.read_metrics()


def skew(drill: Drill, name: str) -> Process:
    """A second worker of the kind, with a clock that is as far ahead as is tolerated."""
    second = drill.make_second(name, f"skewed-{name}@%h")
    command, environment = skew_clock(second.command, seconds=55)
    env = {**second.env, **environment}
    return replace(second, command=command, env=env, forking=False)  # a fork has the clock of what it was forked from


def test_charging_that_stops_is_seen(drill: Drill, purchase: Purchase) -> None:
    """The web process sees it, and so does a worker that does not hang with the charges."""
    log = drill.stack.log("orders")
    with drill.frozen("payments"):
        drill.insist(purchase)
        wait_for(lambda: "orderly_alive 0.0" in drill.read_metrics(), "the web process to see it")
        wait_for(lambda: "has waited for its first charge" in log.read_text(), "the orders worker to see it")

    assert_outcome(finish(drill, purchase), PAID)
    wait_for(lambda: "orderly_alive 1.0" in drill.read_metrics(), "all at work again")


def test_a_mail_server_that_does_not_answer_holds_up_no_order(tmp_path: Path) -> None:
    """All orders end meanwhile, and their mails go out afterwards, one at a time."""
    purchases = [Purchase("MUG") for _ in range(9)]
    with run_mail_server() as mail_server, run_drill(tmp_path, EMAIL_URL=mail_server.url, MAIL_EVERY="0.5") as drill:
        drill.stock(["MUG"])
        mail_server.answering.clear()
        drill.insist(purchases[0])
        wait_for(lambda: mail_server.clients, "a mail that is held")

        for purchase in purchases[1:]:
            drill.insist(purchase)
        for purchase in purchases:
            drill.wait_until_final(purchase)
            assert drill.status_of(purchase) == "CONFIRMED"
        assert mail_server.mails == []

        mail_server.answering.set()
        drill.execute("UPDATE orders_ordermail SET send_after = now() WHERE sent_at IS NULL")
        wait_for(lambda: len(mail_server.mails) >= len(purchases), "the mails")
        wait_for(lambda: drill.query("SELECT count(*) FROM orders_ordermail WHERE sent_at IS NULL") == 0, "their notes")
        assert len({mail["Message-ID"] for mail in mail_server.mails}) == len(purchases)
        assert mail_server.most_at_once == 1
        assert drill.stock_of("MUG") == (1, 0)
        assert drill.audit() == []


@contextmanager
def dripping(url: str) -> Iterator[None]:
    """Open connections that send a byte a second. Their headers or their bodies never end."""
    address, done = (urlsplit(url).hostname, urlsplit(url).port), Event()
    with ExitStack() as exits:
        clients = [exits.enter_context(socket.create_connection(address)) for _ in range(DRIPS)]
        for number, client in enumerate(clients):
            client.sendall(BEGUN[number % len(BEGUN)])

        def drip() -> None:
            while not done.wait(1):
                for client in clients:
                    client.sendall(b"a")

        pool = exits.enter_context(ThreadPoolExecutor(1))
        dripped = pool.submit(drip)
        try:
            time.sleep(2)
            yield
        finally:
            done.set()
        dripped.result()


def test_connections_that_drip_silence_nobody(drill: Drill, crowd: Crowd) -> None:
    with dripping(drill.stack.web_url):
        for purchase in crowd.purchases:
            assert drill.ask(purchase), "no answer within 20 seconds"
            assert requests.get(f"{drill.stack.web_url}/", timeout=20).status_code == 200

    crowd.assert_all_is_well()
