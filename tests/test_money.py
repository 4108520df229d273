from decimal import Decimal

import pytest
from django.utils import translation

from money import NotANumber, format_money, format_number, parse_number, to_decimal, to_minor_units
from money.currencies import LARGEST_AMOUNT, get_smallest, get_step, is_currency

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
        (12_300, "ISK", "ISK\xa0123"),
        (12_300, "UGX", "UGX\xa0123"),
        (12_345, "ISK", "ISK\xa0123.45"),  # nobody can pay it, but a row might say so
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
    [
        (255, "GBP", "2.55"),
        (255, "JPY", "255"),
        (2550, "KWD", "2.550"),
        (100, "ISK", "1"),
        (150, "ISK", "1.50"),
        (0, "EUR", "0.00"),
    ],
)
def test_minor_units_and_decimals_are_converted_into_each_other(amount: int, currency: str, value: str) -> None:
    assert str(to_decimal(amount, currency)) == value
    assert to_minor_units(Decimal(value), currency) == amount


def test_to_minor_units_rounds_nothing() -> None:
    assert to_minor_units(Decimal("2.555"), "GBP") == Decimal("255.5")


@pytest.mark.parametrize(
    ("currency", "least"),
    [("GBP", 30), ("USD", 50), ("JPY", 50), ("KRW", 50), ("HUF", 175_00), ("CZK", 15_00), ("BHD", 10), ("ISK", 100)],
)
def test_get_smallest_is_what_the_provider_says_or_one_step(currency: str, least: int) -> None:
    assert get_smallest(currency) == least
    assert least % get_step(currency) == 0


def test_what_can_be_charged_at_once_is_more_than_32_bits_hold() -> None:
    assert LARGEST_AMOUNT > 2**32


@pytest.mark.parametrize("currency", ["GBP", "KRW", "KWD", "ISK", "UGX"])
def test_every_currency_of_the_table_is_one(currency: str) -> None:
    assert is_currency(currency)


@pytest.mark.parametrize("code", ["", "gbp", "ZZZ", "XAU", "POUNDS"])
def test_what_nobody_pays_with_is_no_currency(code: str) -> None:
    assert not is_currency(code)


NUMBERS = [("en", "2.55"), ("ko", "2.55"), ("de", "2,55"), ("fr", "2,55")]


@pytest.mark.parametrize(("language", "text"), NUMBERS)
def test_a_number_is_written_and_read_as_the_reader_writes_it(language: str, text: str) -> None:
    with translation.override(language):
        assert format_number(255, "GBP") == text
        assert parse_number(text) == Decimal("2.55")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (255, "JPY", "255"),
        (12_000, "KRW", "12000"),
        (500, "ISK", "5"),
        (550, "UGX", "5.50"),
        (5_120, "KWD", "5.120"),
        (MOST, "BHD", "9223372036854775.807"),
    ],
)
def test_a_number_has_as_many_decimals_as_people_write(amount: int, currency: str, text: str) -> None:
    with translation.override("en"):
        assert format_number(amount, currency) == text
        assert to_minor_units(parse_number(text), currency) == amount


@pytest.mark.parametrize(
    ("language", "text", "value"),
    [("en", "1,250", "1250"), ("de", "1.250", "1250"), ("en", "1,250.50", "1250.50"), ("de", "1.250,50", "1250.50")],
)
def test_thousands_are_read_as_the_reader_separates_them(language: str, text: str, value: str) -> None:
    with translation.override(language):
        assert str(parse_number(text)) == value


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "2,55"), ("de", "2.55"), ("ko", "2,55"), ("en", "1,25,000")]
    + [("en", text) for text in ("", "x", "1e5", "1_000", "NaN", "Infinity", "2.5.5", "£2.55", "--1")],
)
def test_what_is_no_number_in_the_readers_language_is_not_guessed(language: str, text: str) -> None:
    with translation.override(language), pytest.raises(NotANumber):
        parse_number(text)
