"""Each process is told to stop while people buy. It ends what it has in hand, and loses and doubles nothing."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import uuid4

import pytest

from tests.crash.conftest import run_drill
from tests.crash.drill import SLOW, Drill, Purchase
from tests.mail_server import MailServer, run_mail_server
from tests.receiver import run_receiver
from tests.waiting import wait_for

ORDERS = 60  # more than the payments worker has threads
STOP_TIMEOUT = 8 + 5  # seconds: MAIL_TIMEOUT below, and what config/settings.py adds


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with run_mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mail_server: MailServer) -> Iterator[Drill]:
    """A shop in which nobody takes up an order that got lost: no sweep, and no worker that starts."""
    clocks = {"LOST_AFTER": "3600", "SWEEP_AFTER": "600", "SWEEP_AFTER_MAX": "600", "WEBHOOK_TIMEOUT": "8"}
    mails = {"EMAIL_URL": mail_server.url, "MAIL_EVERY": "5", "MAIL_TIMEOUT": "8"}
    with run_drill(tmp_path_factory.mktemp("stopping"), **clocks, **mails) as running:
        yield running


def buy(shop: Drill, purchases: list[Purchase]) -> None:
    with ThreadPoolExecutor(8) as customers:
        list(customers.map(shop.insist, purchases))


def assert_ended_once(shop: Drill, purchases: list[Purchase]) -> None:
    """Every order is paid, once, and by its own message."""
    for purchase in purchases:
        shop.wait_until_final(purchase)
    assert {shop.status_of(purchase) for purchase in purchases} == {"CONFIRMED"}
    assert {shop.count_charges(shop.code_of(purchase)) for purchase in purchases} == {1}
    assert shop.count_sweeps(purchases) == 0


def test_a_web_server_that_is_told_to_stop_answers_what_it_was_asked(shop: Drill) -> None:
    purchase = Purchase(uuid4().hex)
    shop.stock([purchase.sku])
    shop.arm("place.committed", purchase, action="pause")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(shop.ask, purchase)
        shop.wait_until_reached("place.committed", purchase)
        stopped = pool.submit(shop.stop, "web")
        wait_for(lambda: "Handling signal: term" in shop.stack.log("web").read_text(), "the server to be told")
        shop.release("place.committed", purchase)

        assert (answer.result() or [0])[0] == 201
        assert stopped.result()[0] == 0
    assert_ended_once(shop, [purchase])


def test_processes_that_are_told_to_stop_lose_and_double_nothing(shop: Drill) -> None:
    """A payments worker has charges in all its threads then, and more messages behind them."""
    sku = uuid4().hex
    purchases = [Purchase(sku, SLOW) for _ in range(ORDERS)]
    shop.stock([sku], units=ORDERS)
    with ThreadPoolExecutor(1) as crowd:
        bought = crowd.submit(buy, shop, purchases)
        wait_for(lambda: shop.query("SELECT count(*) >= 20 FROM orders_order"), "orders on their way")
        stopped = {name: shop.stop(name) for name in ("payments", "orders", "web", "beat")}
        bought.result()

    assert_ended_once(shop, purchases)
    assert shop.stock_of(sku) == (0, 0)
    assert shop.audit() == []
    assert {name: code for name, (code, _) in stopped.items() if code} == {}
    assert max(seconds for _, seconds in stopped.values()) < STOP_TIMEOUT


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT], ids=lambda sent: sent.name)
@pytest.mark.parametrize(("worker", "point"), [("payments", "charge.sent"), ("orders", "finalize.started")])
def test_a_worker_that_is_told_to_stop_twice_loses_and_doubles_nothing(
    shop: Drill, worker: str, point: str, second: signal.Signals
) -> None:
    """A second SIGTERM changes nothing: the task in hand is ended. SIGQUIT ends the worker at once, as a kill does."""
    purchase = Purchase(uuid4().hex)
    shop.stock([purchase.sku])
    shop.arm(point, purchase, action="pause")
    shop.insist(purchase)
    shop.wait_until_reached(point, purchase)

    stop_twice(shop, worker, second, release=lambda: shop.release(point, purchase))
    if second == signal.SIGQUIT:
        assert shop.status_of(purchase) == "PENDING"
        shop.make_due(purchase)

    shop.wait_until_final(purchase)
    assert shop.status_of(purchase) == "CONFIRMED"
    assert shop.count_charges(shop.code_of(purchase)) == 1
    assert shop.count_sweeps([purchase]) == (1 if second == signal.SIGQUIT else 0)
    assert shop.stock_of(purchase.sku) == (9, 0)
    assert shop.audit() == []


def stop_twice(shop: Drill, worker: str, second: signal.Signals, *, release: Callable[[], object]) -> None:
    """Tell the worker to stop, and tell it again. `release` lets it end what it has in hand, if it still has it."""
    told, process = count_stops(shop, worker), shop.stack.process(worker).popen
    assert process
    with ThreadPoolExecutor() as pool:
        stopped = pool.submit(shop.stop, worker)
        wait_for(lambda: count_stops(shop, worker) > told, "the worker to be told")
        process.send_signal(second)
        if second == signal.SIGTERM:
            wait_for(lambda: count_stops(shop, worker) > told + 1, "the worker to be told again")
            release()
        stopped.result()
    if second == signal.SIGQUIT:
        release()


def count_stops(shop: Drill, worker: str) -> int:
    return shop.stack.log(worker).read_text().count("Warm shutdown")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT], ids=lambda sent: sent.name)
def test_a_mails_worker_that_is_told_to_stop_twice_loses_no_mail(
    shop: Drill, mail_server: MailServer, second: signal.Signals
) -> None:
    before = hold_mails(shop, mail_server, orders=3)

    stop_twice(shop, "mails", second, release=mail_server.answering.set)

    wait_until_mailed(shop)
    sent = [mail["Message-ID"] for mail in mail_server.mails[before:]]
    assert len(set(sent)) == 3
    assert len(sent) - 3 <= (1 if second == signal.SIGQUIT else 0), "only the mail in hand may go out once more"


def hold_mails(shop: Drill, mail_server: MailServer, *, orders: int) -> int:
    """Have so many mails to send, one of them in hand and not answered. Return how many were sent before."""
    wait_until_mailed(shop)
    sku, before = uuid4().hex, len(mail_server.mails)
    shop.stock([sku])
    mail_server.answering.clear()
    buy(shop, [Purchase(sku) for _ in range(orders)])
    wait_for(lambda: mail_server.clients, "a mail that is held")
    return before


def wait_until_mailed(shop: Drill) -> None:
    """Every order has ended, and its mails are sent."""
    unsent = """SELECT count(*) FROM orders_order o WHERE status = 'PENDING' OR EXISTS (
                SELECT FROM orders_ordermail WHERE order_id = o.id AND sent_at IS NULL)"""
    wait_for(lambda: shop.query(unsent) == 0, "the mails")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT], ids=lambda sent: sent.name)
def test_a_webhooks_worker_that_is_told_to_stop_twice_loses_no_event(shop: Drill, second: signal.Signals) -> None:
    purchase, answering = Purchase(uuid4().hex), Event()
    shop.stock([purchase.sku])
    with run_receiver() as receiver:
        receiver.look = lambda: answering.wait(20)
        added = shop.stack.manage("add_webhook_endpoint", uuid4().hex, receiver.url)
        assert added.returncode == 0, added.stderr
        shop.insist(purchase)
        wait_for(lambda: receiver.requests, "a delivery that is held")

        stop_twice(shop, "webhooks", second, release=answering.set)

        wait_for(lambda: len({request.id for request in receiver.taken}) == 2, "both events")
        shop.execute("UPDATE events_out_endpoint SET is_on = FALSE")
    first, *_, last = (json.loads(request.body)["type"] for request in receiver.taken)
    assert (first, last) == ("order.placed", "order.confirmed")
    assert len(receiver.ids) - 2 <= (1 if second == signal.SIGQUIT else 0), "only what was in hand may come once more"


def test_a_mails_worker_that_is_told_to_stop_sends_the_mail_in_hand_and_no_other(
    shop: Drill, mail_server: MailServer
) -> None:
    before = hold_mails(shop, mail_server, orders=3)
    told = count_stops(shop, "mails")
    with ThreadPoolExecutor() as pool:
        stopped = pool.submit(shop.stop, "mails")
        wait_for(lambda: count_stops(shop, "mails") > told, "the worker to be told")
        mail_server.answering.set()

        code, seconds = stopped.result()
    assert len(mail_server.mails) - before == 1
    assert code == 0
    assert seconds < STOP_TIMEOUT
    wait_until_mailed(shop)
    sent = [mail["Message-ID"] for mail in mail_server.mails[before:]]
    assert len(set(sent)) == len(sent) == 3
