import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection, transaction

from catalog.models import Stock
from orders import checkout
from orders.models import Order
from tests.builders import make_order, make_product, stock_of
from tests.concurrency.race import close_after, race
from tests.locks import is_waiting

pytestmark = pytest.mark.django_db(transaction=True)


def outcomes(results: list[object]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def let_two_buy_while_the_row_is_locked(statement: str) -> list[object]:
    """Both have come as far as they can when the row is free again."""
    release = Event()

    def hold() -> None:
        with transaction.atomic():
            list(Stock.objects.select_for_update())
            release.wait(10)

    def wait_for_two() -> None:
        while not is_waiting(2):
            time.sleep(0.02)
        release.set()

    with patch.object(checkout, "PLACE_ORDER", statement), ThreadPoolExecutor() as pool:
        holder = pool.submit(close_after(hold))
        pool.submit(close_after(wait_for_two))
        results = race([partial(make_order, {"MUG": 1})] * 2)
        holder.result()
    return results


WITHOUT_THE_LOCK = checkout.PLACE_ORDER.replace(" FOR UPDATE OF catalog_stock", "", 1)


def test_fifty_buyers_of_ten_units_get_ten_orders() -> None:
    make_product("MUG", stock=10)

    results = race([partial(make_order, {"MUG": 1})] * 50)

    assert outcomes(results) == {"Order": 10, "OutOfStock": 40}
    assert stock_of("MUG") == (10, 10)
    assert Order.objects.count() == 10


def test_the_second_of_two_buyers_of_the_last_unit_is_refused() -> None:
    make_product("MUG", stock=1)

    results = let_two_buy_while_the_row_is_locked(checkout.PLACE_ORDER)

    assert outcomes(results) == {"Order": 1, "OutOfStock": 1}


def test_control_without_the_lock_buyers_see_units_that_are_gone() -> None:
    """The constraint still holds, but the second buyer gets an IntegrityError for an answer."""
    make_product("MUG", stock=1)

    results = let_two_buy_while_the_row_is_locked(WITHOUT_THE_LOCK)

    assert outcomes(results) == {"Order": 1, "IntegrityError": 1}


def test_control_without_the_constraint_either_one_unit_is_sold_twice() -> None:
    make_product("MUG", stock=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_stock DROP CONSTRAINT stock_reserved_is_on_hand")
    try:
        let_two_buy_while_the_row_is_locked(WITHOUT_THE_LOCK)
        assert stock_of("MUG") == (1, 2)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE catalog_stock SET reserved = 0")
            cursor.execute(
                "ALTER TABLE catalog_stock ADD CONSTRAINT stock_reserved_is_on_hand"
                " CHECK (reserved >= 0 AND reserved <= on_hand)"
            )


def test_buyers_of_the_same_products_in_opposite_order_do_not_deadlock() -> None:
    make_product("MUG", stock=100)
    make_product("CUP", stock=100)
    wanted = [{"MUG": 1, "CUP": 1}, {"CUP": 1, "MUG": 1}] * 10

    results = race([partial(make_order, quantities) for quantities in wanted])

    assert outcomes(results) == {"Order": 20}


def test_control_rows_locked_in_opposite_order_do_deadlock() -> None:
    mug, cup = make_product("MUG"), make_product("CUP")
    both_hold_one = Barrier(2)

    def lock_in_turn(first: int, second: int) -> None:
        with transaction.atomic():
            Stock.objects.select_for_update().get(pk=first)
            both_hold_one.wait()
            Stock.objects.select_for_update().get(pk=second)

    results = race([partial(lock_in_turn, mug.pk, cup.pk), partial(lock_in_turn, cup.pk, mug.pk)])

    assert outcomes(results) == {"NoneType": 1, "OperationalError": 1}
    assert any("deadlock" in str(result) for result in results if isinstance(result, OperationalError))
