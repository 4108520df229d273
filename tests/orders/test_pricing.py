import pytest
from django.conf import LazySettings

from orders.pricing import TooManyLines, TooManyUnits, price_lines
from tests.builders import everything, make_order, make_product

pytestmark = pytest.mark.django_db


def test_an_order_has_so_many_units_of_a_product(settings: LazySettings) -> None:
    settings.SHOP_MAX_QUANTITY = 5
    make_product("MUG")

    with pytest.raises(TooManyUnits) as refused:
        price_lines({"MUG": 6}, limited=True)

    assert refused.value.lines == [{"sku": "MUG", "max_quantity": 5}]
    assert [line.quantity for line in price_lines({"MUG": 5}, limited=True)] == [5]


def test_a_product_has_a_limit_of_its_own(settings: LazySettings) -> None:
    settings.SHOP_MAX_QUANTITY = 5
    make_product("MUG", max_quantity=2)
    make_product("CUP")

    with pytest.raises(TooManyUnits) as refused:
        price_lines({"CUP": 5, "MUG": 3}, limited=True)

    assert refused.value.lines == [{"sku": "MUG", "max_quantity": 2}]
    assert len(price_lines({"CUP": 5, "MUG": 2}, limited=True)) == 2


def test_an_order_has_so_many_products(settings: LazySettings) -> None:
    settings.SHOP_MAX_LINES = 2
    quantities = dict.fromkeys(["CUP", "MUG", "POT"], 1)
    for sku in quantities:
        make_product(sku)

    with pytest.raises(TooManyLines):
        price_lines(quantities, limited=True)

    assert len(price_lines({"CUP": 1, "MUG": 1}, limited=True)) == 2


@pytest.mark.parametrize("quantities", [{"MUG": 3}, {"CUP": 1, "MUG": 1}])
def test_an_order_over_a_limit_leaves_nothing_behind_unless_a_trusted_client_places_it(
    settings: LazySettings, quantities: dict[str, int]
) -> None:
    settings.SHOP_MAX_LINES = 1
    make_product("MUG", max_quantity=2)
    make_product("CUP")
    before = everything()

    with pytest.raises((TooManyLines, TooManyUnits)):
        make_order(quantities, limited=True)

    assert everything() == before
    assert make_order(quantities, limited=False).lines.count() == len(quantities)
