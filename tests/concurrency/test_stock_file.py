from collections import Counter
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from accounts.models import User
from catalog import stock_file
from catalog.models import StockMovement
from catalog.services import adjust_stock
from catalog.stock_file import Move, move_stock
from tests.builders import make_product, stock_of
from tests.concurrency.race import race

pytestmark = pytest.mark.django_db(transaction=True)
CUP, MUG = Move(2, "CUP", -1, "broken"), Move(3, "MUG", -1, "broken")


@pytest.fixture
def actor() -> User:
    make_product("CUP", stock=10)
    make_product("MUG", stock=10)
    return User.objects.create_user("staff@example.com")


def test_a_file_sent_eight_times_at_once_moves_once(actor: User) -> None:
    moves = [CUP, Move(3, "MUG", 5, "")]

    assert race([partial(move_stock, reference="file", moves=moves, actor=actor)] * 8) == [2] * 8

    assert (stock_of("CUP"), stock_of("MUG")) == ((9, 0), (15, 0))
    assert StockMovement.objects.filter(reference="file").count() == 2


def test_files_with_the_same_products_in_opposite_order_are_all_moved(actor: User) -> None:
    orders = [[CUP, MUG], [MUG, CUP]] * 4

    results = race([partial(move_stock, reference=f"{n}", moves=moves, actor=actor) for n, moves in enumerate(orders)])

    assert results == [2] * 8
    assert (stock_of("CUP"), stock_of("MUG")) == ((2, 0), (2, 0))


def test_control_without_the_lock_in_product_order_they_deadlock(actor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_one = Barrier(2)

    def adjust_and_wait(**asked: Any) -> None:
        adjust_stock(**asked)
        if StockMovement.objects.filter(reference=asked["reference"]).count() == 1:
            both_have_one.wait()

    monkeypatch.setattr(stock_file, "lock_stock", lambda products: None)
    monkeypatch.setattr(stock_file, "adjust_stock", adjust_and_wait)

    orders = [[CUP, MUG], [MUG, CUP]]
    results = race([partial(move_stock, reference=f"{n}", moves=moves, actor=actor) for n, moves in enumerate(orders)])

    assert Counter(type(result).__name__ for result in results) == {"int": 1, "OperationalError": 1}
