from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from catalog.models import Product, StockMovement
from catalog.services import (
    GIVEN,
    MOVE,
    RESERVED,
    AdjustmentRefused,
    AdjustmentReused,
    adjust_stock,
    describe_move,
    receive_stock,
)
from tests.builders import everything, make_product, stock_of

pytestmark = pytest.mark.django_db
Kind = StockMovement.Kind


def ledger() -> list[tuple[str, int, str]]:
    return list(StockMovement.objects.values_list("kind", "quantity", "reference"))


def reserve(reference: str, **quantities: int) -> None:
    """As place_order does, by SKU."""
    products = {Product.objects.get(sku=sku).pk: units for sku, units in quantities.items()}
    execute(GIVEN, describe_move(kind=Kind.RESERVED, reference=reference, quantities=products))


def end_reservation(reference: str, kind: StockMovement.Kind) -> None:
    """As finalize_order does."""
    execute(RESERVED, describe_move(kind=kind, reference=reference))


def execute(wanted: str, move: dict[str, Any], condition: str = "TRUE") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {MOVE.format(wanted=wanted.format(condition=condition))} SELECT", move)


def test_a_move_writes_the_ledger_and_changes_the_stock_once() -> None:
    make_product("MUG", stock=5)
    make_product("CUP", stock=5)

    for _ in range(2):
        reserve("A", MUG=2, CUP=5)

    assert (stock_of("MUG"), stock_of("CUP")) == ((5, 2), (5, 5))
    assert ledger()[2:] == [("RESERVED", 2, "A"), ("RESERVED", 5, "A")]


@pytest.mark.parametrize(("kind", "left"), [(Kind.DEDUCTED, (3, 0)), (Kind.RELEASED, (5, 0))])
def test_a_reservation_ends_with_all_its_units_and_a_repeat_moves_nothing(
    kind: StockMovement.Kind, left: tuple[int, int]
) -> None:
    make_product("MUG", stock=5)
    reserve("A", MUG=2)

    for _ in range(2):
        end_reservation("A", kind)

    assert [kind for kind, _, _ in ledger()] == ["RECEIVED", "RESERVED", kind]
    assert stock_of("MUG") == left


@pytest.mark.parametrize(("end", "other"), [(Kind.DEDUCTED, Kind.RELEASED), (Kind.RELEASED, Kind.DEDUCTED)])
def test_a_reservation_ends_once(end: StockMovement.Kind, other: StockMovement.Kind) -> None:
    make_product("MUG", stock=5)
    reserve("A", MUG=2)
    end_reservation("A", end)
    before = everything()

    with pytest.raises(IntegrityError), transaction.atomic():
        end_reservation("A", other)

    assert everything() == before


def test_nothing_moves_for_a_reference_that_reserved_nothing_or_where_the_condition_fails() -> None:
    make_product("MUG", stock=5)
    reserve("A", MUG=2)
    before = everything()

    end_reservation("GHOST", Kind.DEDUCTED)
    execute(RESERVED, describe_move(kind=Kind.DEDUCTED, reference="A"), condition="FALSE")

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
    reserve("A", MUG=2)
    before = everything()

    with pytest.raises(AdjustmentRefused):
        adjust_stock(reference="count", product_id=mug.pk, quantity=quantity, reason=reason)

    assert everything() == before


@pytest.mark.parametrize(("quantity", "reason"), [(-1, "broken"), (-2, "lost")])
def test_a_reference_adjusts_a_product_by_one_quantity_for_one_reason(quantity: int, reason: str) -> None:
    mug, cup = make_product("MUG"), make_product("CUP")
    adjust_stock(reference="count", product_id=mug.pk, quantity=-2, reason="broken")
    adjust_stock(reference="count", product_id=cup.pk, quantity=-1, reason="lost")
    before = everything()

    with pytest.raises(AdjustmentReused):
        adjust_stock(reference="count", product_id=mug.pk, quantity=quantity, reason=reason)

    assert everything() == before


def test_saving_a_product_does_not_touch_its_stock() -> None:
    mug = make_product("MUG", stock=5)
    reserve("A", MUG=2)

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
