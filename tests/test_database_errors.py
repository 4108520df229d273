import socket
from collections.abc import Callable
from functools import partial

import psycopg
import pytest
from django.conf import LazySettings
from django.db import DatabaseError, OperationalError, close_old_connections, connection
from django.db.utils import IntegrityError, InternalError

import database_errors
from catalog.models import Product
from database_errors import (
    execute_impatiently,
    is_database_lost,
    is_lock_held,
    is_passing,
    wait_for_database,
)
from lab.stack.embedded import free_port
from orders import services
from orders.models import Order
from orders.services import finalize_order
from orders.sweep import Claim, claim_stuck_orders
from orders.tasks import finalize_order as finalize_task
from payments.models import Payment
from payments.requests import mark_sent
from payments.services import cancel_payment, charge_payment
from tests.builders import answer_payment, everything, make_order, make_product, stock_of
from tests.locks import end_our_session, holding, make_our_session_read_only, our_pid

pytestmark = pytest.mark.django_db(transaction=True)
STOCK_OF = "SELECT FROM catalog_stock JOIN catalog_product p ON p.id = product_id WHERE p.sku = %s FOR UPDATE"
ORDER = "SELECT FROM orders_order WHERE code = %s FOR UPDATE"


@pytest.mark.parametrize(
    "sqlstate", ["08006", "25006", "25P03", "40001", "40P01", "53300", "53100", "55P03", "57014", "57P01", "57P03"]
)
def test_what_a_repeat_can_cure_is_known_by_its_sqlstate(sqlstate: str) -> None:
    error = DatabaseError("...")
    error.__cause__ = psycopg.errors.lookup(sqlstate)("...")

    assert is_passing(error)
    assert is_passing(error.__cause__)


@pytest.mark.parametrize("sqlstate", ["22001", "23505", "25P02", "42P01", "42501", "P0001", "XX000"])
def test_any_other_error_is_a_bug_or_a_refusal(sqlstate: str) -> None:
    error = OperationalError("...")
    error.__cause__ = psycopg.errors.lookup(sqlstate)("...")

    assert not is_passing(error)


def test_a_database_that_can_not_be_reached_passes() -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(host="127.0.0.1", port=free_port(), dbname="shop")

    assert is_passing(refused.value)
    assert is_passing(OperationalError("no connection in the pool"))
    assert not is_passing(ValueError("no error of the database at all"))


@pytest.mark.parametrize("sqlstate", ["08006", "25006", "53300", "57P01", "57P03"])
def test_a_database_that_is_lost_is_known_by_its_sqlstate(sqlstate: str) -> None:
    assert is_database_lost(psycopg.errors.lookup(sqlstate)("..."))
    assert is_database_lost(OperationalError("no connection in the pool"))


@pytest.mark.parametrize("sqlstate", ["55P03", "57014", "40P01", "53100"])
def test_a_statement_that_fails_alone_is_no_lost_database(sqlstate: str) -> None:
    assert not is_database_lost(psycopg.errors.lookup(sqlstate)("..."))


def test_a_session_that_was_ended_passes_and_the_next_one_is_another() -> None:
    pid = our_pid()
    end_our_session()
    for _ in range(2):  # told by the server; then by psycopg itself
        with pytest.raises(DatabaseError) as ended:
            Product.objects.count()
        assert is_passing(ended.value)

    close_old_connections()

    assert Product.objects.count() == 0
    assert our_pid() != pid


def test_a_read_only_session_is_thrown_away_after_its_first_error() -> None:
    make_our_session_read_only()
    session = connection.connection
    with pytest.raises(InternalError) as read_only:
        make_product("MUG")
    assert is_passing(read_only.value)

    close_old_connections()

    assert session.closed  # so that a pool does not take it back
    make_product("CUP")


def test_a_read_only_session_is_thrown_away_before_it_is_used() -> None:
    make_our_session_read_only()

    connection.health_check_enabled = True  # type: ignore[attr-defined]  # the stubs don't know it
    close_old_connections()

    make_product("MUG")


def test_a_session_that_only_refused_something_is_kept() -> None:
    make_product("MUG")
    pid = our_pid()
    with pytest.raises(IntegrityError):
        make_product("MUG")
    with holding("LOCK TABLE catalog_product"):
        with pytest.raises(OperationalError):
            Product.objects.count()
        close_old_connections()

        assert our_pid() == pid


def test_a_worker_takes_its_next_task_on_a_session_that_can_write() -> None:
    make_our_session_read_only()

    wait_for_database()

    make_product("MUG")


@pytest.mark.parametrize("lose", [end_our_session, make_our_session_read_only])
def test_a_task_whose_session_is_lost_is_run_again_on_another(lose: Callable[[], None]) -> None:
    order = paid_order("MUG")
    lose()

    assert finalize_task.apply((order.code,)).state == "SUCCESS"

    assert Order.objects.get(pk=order.pk).status == Order.Status.CONFIRMED
    assert stock_of("MUG") == (9, 0)


def test_without_that_it_is_left_to_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: and so is a task when the database does not come back in time."""
    monkeypatch.setattr(database_errors, "is_database_lost", lambda error: False)
    order = paid_order("MUG")
    end_our_session()

    assert str(finalize_task.apply((order.code,)).state) == "IGNORED"

    assert Order.objects.get(pk=order.pk).status == Order.Status.PENDING


# --- locks


@pytest.mark.parametrize("before", range(6))
def test_a_payment_can_be_marked_again_after_its_table_was_locked(before: int) -> None:
    """Whatever psycopg had prepared by then: the session does not keep what failed."""
    orders = [make_order() for _ in range(before + 2)]
    for order in orders[:before]:
        assert mark_sent(order.code, askable=Payment.UNANSWERED)
    with holding("LOCK TABLE payments_payment"), pytest.raises(OperationalError):
        mark_sent(orders[before].code, askable=Payment.UNANSWERED)

    for order in orders[before:]:
        assert mark_sent(order.code, askable=Payment.UNANSWERED)


def paid_order(sku: str) -> Order:
    """Swept once, and paid: what is left to do is to finalize it."""
    order = make_order({sku: 1})
    answer_payment(order, Payment.Status.SUCCEEDED)
    Order.objects.filter(pk=order.pk).update(sweeps=1)
    return order


@pytest.mark.parametrize("statement", [STOCK_OF, ORDER, "LOCK TABLE catalog_stock", "LOCK TABLE orders_orderevent"])
def test_an_order_behind_a_lock_is_left_as_it_is_and_not_counted_as_failed(statement: str) -> None:
    order = paid_order("MUG")
    before = everything()

    parameters = [{STOCK_OF: "MUG", ORDER: order.code}[statement]] if "%s" in statement else []
    with holding(statement, *parameters, our_patience="60s"), pytest.raises(OperationalError) as held:
        finalize_order(code=order.code)

    assert is_lock_held(held.value)
    assert is_passing(held.value)
    assert everything() == before


def test_an_order_beside_it_ends() -> None:
    paid_order("MUG")
    cup = paid_order("CUP")

    with holding(STOCK_OF, "MUG"):
        finalize_order(code=cup.code)

    assert Order.objects.get(pk=cup.pk).status == Order.Status.CONFIRMED
    assert (stock_of("MUG"), stock_of("CUP")) == ((10, 1), (9, 0))


def sweep_behind_a_lock(order: Order) -> list[Claim]:
    """Four times finalize it, in vain, and sweep it; what the sweeps claimed."""
    claims = []
    with holding(STOCK_OF, "MUG"):
        for _ in range(4):
            with pytest.raises(OperationalError):
                finalize_order(code=order.code)
            Order.objects.filter(pk=order.pk).update(sweep_after=order.created_at)
            claims += claim_stuck_orders()
    return claims


def test_an_order_is_not_given_up_for_a_lock_however_often_it_is_tried(settings: LazySettings) -> None:
    settings.ORDER_MAX_SWEEPS = 2
    order = paid_order("MUG")

    assert [claim.code for claim in sweep_behind_a_lock(order)] == [order.code] * 4

    finalize_order(code=order.code)

    assert stock_of("MUG") == (9, 0)


def test_without_that_it_is_given_up(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the attempts are counted, as those of any other failure."""
    settings.ORDER_MAX_SWEEPS = 2
    monkeypatch.setattr(services, "is_lock_held", lambda error: False)
    order = paid_order("MUG")

    assert len(sweep_behind_a_lock(order)) < 4
    assert claim_stuck_orders() == []


def test_a_sweep_claims_the_orders_beside_a_locked_one() -> None:
    locked, free = make_order({"MUG": 1}), make_order({"CUP": 1})
    Order.objects.update(sweep_after=locked.created_at)

    with holding(ORDER, locked.code):
        assert [claim.code for claim in claim_stuck_orders()] == [free.code]


@pytest.mark.parametrize("call", [charge_payment, cancel_payment])
def test_a_payment_behind_a_lock_is_left_as_it_is(call: Callable[..., None]) -> None:
    order = make_order({"MUG": 1})
    answer_payment(order, Payment.Status.SENT)
    before = everything()

    statement = "SELECT 1 FROM payments_payment WHERE reference = %s FOR UPDATE"
    with holding(statement, order.code, our_patience="60s"), pytest.raises(OperationalError) as held:
        call(reference=order.code)

    assert is_lock_held(held.value)
    assert everything() == before


def test_what_is_executed_impatiently_is_committed_and_leaves_the_session_as_it_was() -> None:
    order = make_order({"MUG": 1})
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        before = cursor.fetchone()
        execute_impatiently(cursor, "UPDATE payments_payment SET requests = 7 WHERE reference = %s", [order.code])
        assert cursor.rowcount == 1
        connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == before
    assert Payment.objects.get(reference=order.code).requests == 7


@pytest.mark.parametrize(
    "call", [claim_stuck_orders, partial(charge_payment, reference="-"), partial(cancel_payment, reference="-")]
)
def test_nobody_who_works_on_orders_waits_for_a_table(call: Callable[[], object]) -> None:
    with (
        holding("LOCK TABLE orders_order, payments_payment", our_patience="60s"),
        pytest.raises(OperationalError) as held,
    ):
        call()

    assert is_lock_held(held.value)


def test_a_task_that_meets_a_lock_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    order = paid_order("MUG")

    with holding(STOCK_OF, "MUG"):
        result = finalize_task.apply((order.code,))

    assert str(result.state) == "IGNORED"
    (line,) = [line for line in caplog.text.splitlines() if "left to a later one" in line]
    assert " WARNING " in line
    assert f" order={order.code}" in line
    assert "Traceback" not in caplog.text


def test_a_task_that_fails_for_good_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("CRITICAL", logger="celery"):
        assert finalize_task.apply(("no such order",)).state == "FAILURE"


def test_a_server_that_vanishes_is_noticed_within_half_a_minute() -> None:
    connection.ensure_connection()
    assert connection.connection is not None

    with socket.socket(fileno=connection.connection.pgconn.socket) as ours:
        options = {
            name: ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        }
        ours.detach()

    assert 0 < options["TCP_USER_TIMEOUT"] <= 30_000  # milliseconds; 0 is a quarter of an hour
    assert options["TCP_KEEPIDLE"] + options["TCP_KEEPINTVL"] * options["TCP_KEEPCNT"] <= 30
