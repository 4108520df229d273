"""Amounts of money: in minor units, as decimals, and as people write and read them."""

import re
from copy import copy
from decimal import Decimal
from functools import cache, lru_cache

from babel import Locale
from babel.numbers import NumberFormatError, NumberPattern, get_decimal_symbol, parse_decimal
from django.utils.translation import to_locale

from languages import current_language
from money.currencies import count_decimals, get_exponent

# Where a space belongs between a currency's letters and the digits. Babel does not write it.
# https://unicode.org/reports/tr35/tr35-numbers.html#Currencies (currencySpacing)
LETTER_THEN_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")
NO_NUMBER = re.compile(r"[^\W\d]")  # a letter or _: Decimal takes 1e5, 1_000 and NaN


class NotANumber(Exception):
    """The text is no number in the reader's language."""


def to_decimal(amount: int, currency: str) -> Decimal:
    """The amount with as many decimals as people write: 255 minor units of GBP are 2.55, of JPY 255; 500 of ISK are 5.

    A fraction that nobody can pay is shown all the same: 550 of ISK are 5.50.
    """
    decimals, exponent = count_decimals(currency), get_exponent(currency)
    whole, fraction = divmod(amount, 10 ** (exponent - decimals))
    return Decimal(amount).scaleb(-exponent) if fraction else Decimal(whole).scaleb(-decimals)


def count_places(value: Decimal) -> int:
    """How many decimals are written, the zeros at the end among them: 2 in 2.50."""
    exponent = value.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0  # NaN and infinity have none


def to_minor_units(value: Decimal, currency: str) -> Decimal:
    """The value in minor units, not rounded: 2.555 GBP are 255.5, which no price can be."""
    return value.scaleb(get_exponent(currency))


def format_money(amount: int, currency: str) -> str:
    """Write minor units of an ISO 4217 currency in the reader's language: 255 of GBP is £2.55, of JPY ¥255.

    Nothing is rounded.
    """
    return _write_money(amount, currency, current_language())


@lru_cache(maxsize=4096)  # most amounts are a product's price, or some of them
def _write_money(amount: int, currency: str, language: str) -> str:
    value = to_decimal(amount, currency)
    locale, pattern = _find_format(language, count_places(value))
    text = pattern.apply(value, locale, currency, currency_digits=False, decimal_quantization=False)
    return LETTER_THEN_DIGIT.sub("\N{NO-BREAK SPACE}", text)


def format_number(amount: int, currency: str) -> str:
    """Write minor units as the reader's language writes a plain number, for a form: 2.55, or 2,55."""
    return str(to_decimal(amount, currency)).replace(".", get_decimal_symbol(to_locale(current_language())))


def parse_number(text: str) -> Decimal:
    """Read a number as the reader's language writes it: 2.55, or 2,55. Nothing is rounded, and nothing is guessed.

    Raises NotANumber, also for signs that only another language has there.
    """
    if NO_NUMBER.search(text):
        raise NotANumber(text)
    try:
        return parse_decimal(text, locale=to_locale(current_language()), strict=True)
    except NumberFormatError as error:
        raise NotANumber(text) from error


@cache
def _find_format(language: str, decimals: int) -> tuple[Locale, NumberPattern]:
    # Kept, because Babel reads the locale anew each time, which costs more than the formatting.
    locale = Locale.parse(to_locale(language))
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (decimals, decimals)
    return locale, pattern
