import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from catalog.models import Product, StockMovement
from catalog.services import (
    AdjustmentRefused,
    InsufficientStock,
    adjust_stock,
    deduct_stock,
    receive_stock,
    release_stock,
    reserve_stock,
)
from tests.builders import everything, make_product, stock_of

pytestmark = pytest.mark.django_db


def ledger() -> list[tuple[str, int, str]]:
    return list(StockMovement.objects.values_list("kind", "quantity", "reference"))


def test_reserve_stock_reserves_every_product_and_writes_the_ledger() -> None:
    mug, cup = make_product("MUG", stock=5), make_product("CUP", stock=5)

    reserve_stock(reference="A", quantities={mug.pk: 2, cup.pk: 5})

    assert (stock_of("MUG"), stock_of("CUP")) == ((5, 2), (5, 5))
    assert ledger()[2:] == [("RESERVED", 2, "A"), ("RESERVED", 5, "A")]


def test_reserve_stock_reserves_nothing_when_one_product_is_short() -> None:
    mug, cup = make_product("MUG", stock=5), make_product("CUP", stock=5)
    reserve_stock(reference="A", quantities={cup.pk: 4})
    before = everything()

    with pytest.raises(InsufficientStock) as refusal:
        reserve_stock(reference="B", quantities={mug.pk: 1, cup.pk: 2})

    assert refusal.value.available == {"CUP": 1}
    assert everything() == before


def test_reserve_stock_twice_for_one_reference_reserves_once_also_when_nothing_is_left() -> None:
    mug = make_product("MUG", stock=2)
    reserve_stock(reference="A", quantities={mug.pk: 2})
    before = everything()

    reserve_stock(reference="A", quantities={mug.pk: 2})

    assert everything() == before


def test_reserve_stock_refuses_a_product_without_stock_row() -> None:
    product = Product.objects.create(sku="NEW", name="New", price=1, currency="GBP")

    with pytest.raises(InsufficientStock) as refusal:
        reserve_stock(reference="A", quantities={product.pk: 1})

    assert refusal.value.available == {"NEW": 0}


def test_deduct_stock_takes_what_was_reserved_and_a_repeat_takes_nothing() -> None:
    mug = make_product("MUG", stock=5)
    reserve_stock(reference="A", quantities={mug.pk: 2})

    for _ in range(2):
        deduct_stock(reference="A")

    assert [kind for kind, _, _ in ledger()] == ["RECEIVED", "RESERVED", "DEDUCTED"]
    assert stock_of("MUG") == (3, 0)


def test_release_stock_gives_back_what_was_reserved_and_a_repeat_gives_nothing() -> None:
    mug = make_product("MUG", stock=5)
    reserve_stock(reference="A", quantities={mug.pk: 2})

    for _ in range(2):
        release_stock(reference="A")

    assert [kind for kind, _, _ in ledger()] == ["RECEIVED", "RESERVED", "RELEASED"]
    assert stock_of("MUG") == (5, 0)


def test_a_reservation_ends_once() -> None:
    mug = make_product("MUG", stock=5)
    for reference, end, other in (("A", deduct_stock, release_stock), ("B", release_stock, deduct_stock)):
        reserve_stock(reference=reference, quantities={mug.pk: 2})
        end(reference=reference)
        before = everything()

        with pytest.raises(IntegrityError), transaction.atomic():
            other(reference=reference)

        assert everything() == before


def test_nothing_happens_for_a_reference_that_reserved_nothing() -> None:
    make_product("MUG", stock=5)
    before = everything()

    deduct_stock(reference="GHOST")
    release_stock(reference="GHOST")

    assert everything() == before


def test_receive_stock_counts_a_delivery_once() -> None:
    mug = make_product("MUG", stock=0)

    assert receive_stock(reference="van 1", quantities={mug.pk: 7}) == 1
    assert receive_stock(reference="van 1", quantities={mug.pk: 7}) == 0
    assert stock_of("MUG") == (7, 0)


def test_adjust_stock_adds_and_removes_with_a_reason() -> None:
    mug = make_product("MUG", stock=5)

    adjust_stock(reference="count 1", product_id=mug.pk, quantity=-2, reason="broken")
    adjust_stock(reference="count 2", product_id=mug.pk, quantity=1, reason="found")
    adjust_stock(reference="count 2", product_id=mug.pk, quantity=1, reason="found")

    assert stock_of("MUG") == (4, 0)
    assert ledger()[1:] == [("ADJUSTED", -2, "count 1"), ("ADJUSTED", 1, "count 2")]


@pytest.mark.parametrize(("quantity", "reason"), [(-4, "broken"), (1, "")])
def test_adjust_stock_refuses_to_take_reserved_units_or_to_go_without_a_reason(quantity: int, reason: str) -> None:
    mug = make_product("MUG", stock=5)
    reserve_stock(reference="A", quantities={mug.pk: 2})
    before = everything()

    with pytest.raises(AdjustmentRefused):
        adjust_stock(reference="count", product_id=mug.pk, quantity=quantity, reason=reason)

    assert everything() == before


def test_saving_a_product_does_not_touch_its_stock() -> None:
    mug = make_product("MUG", stock=5)
    reserve_stock(reference="A", quantities={mug.pk: 2})

    mug.name = "Renamed"
    mug.save()

    assert stock_of("MUG") == (5, 2)


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE catalog_stock SET reserved = on_hand + 1",
        "UPDATE catalog_stock SET on_hand = -1",
        "UPDATE catalog_stock SET reserved = -1",
        "UPDATE catalog_product SET price = 0",
        "UPDATE catalog_product SET price = NULL",  # while active
        "UPDATE catalog_product SET currency = 'gbp'",
        "UPDATE catalog_stockmovement SET quantity = 99",
        "DELETE FROM catalog_stockmovement",
        "INSERT INTO catalog_stockmovement (stock_id, kind, quantity, reference, reason)"
        " SELECT product_id, 'RECEIVED', 0, 'x', '' FROM catalog_stock",
        "INSERT INTO catalog_stockmovement (stock_id, kind, quantity, reference, reason)"
        " SELECT product_id, 'STOLEN', 1, 'x', '' FROM catalog_stock",
    ],
)
def test_the_database_refuses_impossible_stock(broken: str) -> None:
    make_product("MUG", stock=5)
    before = everything()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(broken)

    assert everything() == before
