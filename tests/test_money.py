import pytest

from money import format_money


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (255, "GBP", "2.55 GBP"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-1999, "EUR", "-19.99 EUR"),
        (123_456_789, "USD", "1,234,567.89 USD"),
        (500, "JPY", "500 JPY"),
        (12_000, "KRW", "12,000 KRW"),
        (5_124, "KWD", "5.124 KWD"),
    ],
)
def test_format_money_has_the_decimals_of_the_currency(amount: int, currency: str, text: str) -> None:
    assert format_money(amount, currency) == text
