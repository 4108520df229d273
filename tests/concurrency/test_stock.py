from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from threading import Barrier

import pytest
from django.db import OperationalError, connection, transaction

from catalog import services
from catalog.models import Stock, StockMovement
from catalog.services import deduct_stock, reserve_stock
from orders.models import Order
from tests.builders import make_order, make_product, stock_of
from tests.concurrency.race import race

pytestmark = pytest.mark.django_db(transaction=True)


def outcomes(results: list[object]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def look_without_locking(*, buyers: int) -> Callable[[Iterable[int]], dict[int, int]]:
    """The guard switched off: everybody has looked before anybody reserves."""
    all_have_looked = Barrier(buyers)

    def look(products: Iterable[int]) -> dict[int, int]:
        seen = {stock.pk: stock.available for stock in Stock.objects.filter(pk__in=list(products))}
        all_have_looked.wait()
        return seen

    return look


def test_fifty_buyers_of_ten_units_get_ten_orders() -> None:
    make_product("MUG", stock=10)

    results = race([partial(make_order, {"MUG": 1})] * 50)

    assert outcomes(results) == {"Order": 10, "OutOfStock": 40}
    assert stock_of("MUG") == (10, 10)
    assert Order.objects.count() == 10


def test_control_without_the_lock_buyers_see_units_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constraint still holds, but the second buyer gets an IntegrityError for an answer."""
    mug = make_product("MUG", stock=1)
    monkeypatch.setattr(services, "lock_stock", look_without_locking(buyers=2))

    results = race([partial(reserve_stock, reference=name, quantities={mug.pk: 1}) for name in "AB"])

    assert outcomes(results) == {"NoneType": 1, "IntegrityError": 1}


def test_control_without_the_constraint_either_one_unit_is_sold_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    mug = make_product("MUG", stock=1)
    monkeypatch.setattr(services, "lock_stock", look_without_locking(buyers=2))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_stock DROP CONSTRAINT stock_reserved_is_on_hand")
    try:
        race([partial(reserve_stock, reference=name, quantities={mug.pk: 1}) for name in "AB"])
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


def test_deduct_stock_many_times_at_once_deducts_once() -> None:
    mug = make_product("MUG", stock=10)
    reserve_stock(reference="A", quantities={mug.pk: 3})

    results = race([partial(deduct_stock, reference="A")] * 8)

    assert outcomes(results) == {"NoneType": 8}
    assert StockMovement.objects.filter(kind="DEDUCTED").count() == 1
    assert stock_of("MUG") == (7, 0)
