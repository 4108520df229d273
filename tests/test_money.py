from decimal import Decimal

import pytest
from django.utils import translation

from money import format_money, get_step, to_decimal, to_minor_units

MOST = 2**63 - 1  # what the database holds


@pytest.mark.parametrize(
    ("amount", "currency", "english", "korean"),
    [
        (255, "GBP", "£2.55", "£2.55"),
        (5, "EUR", "€0.05", "€0.05"),
        (0, "EUR", "€0.00", "€0.00"),
        (-1999, "EUR", "-€19.99", "-€19.99"),
        (123_456_789, "USD", "$1,234,567.89", "US$1,234,567.89"),
        (500, "JPY", "¥500", "JP¥500"),
        (12_000, "KRW", "₩12,000", "₩12,000"),
        (-12_000, "KRW", "-₩12,000", "-₩12,000"),
        (MOST, "USD", "$92,233,720,368,547,758.07", "US$92,233,720,368,547,758.07"),
        (MOST, "KRW", "₩9,223,372,036,854,775,807", "₩9,223,372,036,854,775,807"),
    ],
)
def test_format_money_writes_a_price_as_the_reader_does(amount: int, currency: str, english: str, korean: str) -> None:
    with translation.override("en"):
        assert format_money(amount, currency) == english
    with translation.override("ko"):
        assert format_money(amount, currency) == korean


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (5_124, "BHD", "BHD\xa05.124"),
        (-1, "KWD", "-KWD\xa00.001"),
        (12_345, "ISK", "ISK\xa0123.45"),  # CLDR has none, but the provider is given hundredths
        (12_345, "UGX", "UGX\xa0123.45"),
        (MOST, "BHD", "BHD\xa09,223,372,036,854,775.807"),
        (150, "XQZ", "XQZ\xa01.50"),  # no currency
    ],
)
def test_format_money_has_the_decimals_of_the_provider_and_rounds_none(
    amount: int, currency: str, text: str, language: str
) -> None:
    with translation.override(language):
        assert format_money(amount, currency) == text


def test_format_money_has_no_reader_where_the_language_is_switched_off() -> None:
    with translation.override(None):
        assert format_money(500, "JPY") == "¥500"


@pytest.mark.parametrize(("language", "text"), [("en-gb", "£2.55"), ("de", "2,55\xa0£"), ("zh-hans", "£2.55")])
def test_format_money_knows_the_languages_a_shop_may_add(language: str, text: str) -> None:
    with translation.override(language):
        assert format_money(255, "GBP") == text


@pytest.mark.parametrize(
    ("currency", "step"), [("GBP", 1), ("JPY", 1), ("KWD", 10), ("BHD", 10), ("ISK", 100), ("UGX", 100)]
)
def test_get_step_is_what_the_provider_asks_of_an_amount(currency: str, step: int) -> None:
    assert get_step(currency) == step


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [(255, "GBP", "2.55"), (255, "JPY", "255"), (2550, "KWD", "2.550"), (100, "ISK", "1.00"), (0, "EUR", "0.00")],
)
def test_minor_units_and_decimals_are_converted_into_each_other(amount: int, currency: str, value: str) -> None:
    assert str(to_decimal(amount, currency)) == value
    assert to_minor_units(Decimal(value), currency) == amount


def test_to_minor_units_rounds_nothing() -> None:
    assert to_minor_units(Decimal("2.555"), "GBP") == Decimal("255.5")
