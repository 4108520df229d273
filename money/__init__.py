"""Amounts of money: in minor units, as decimals, as people read them, and which of them the provider charges."""

import re
from copy import copy
from decimal import Decimal
from functools import cache

from babel import Locale
from babel.numbers import NumberPattern
from django.utils.translation import to_locale

from languages import current_language

# The provider is given amounts in minor units, so the provider's table says how many decimals a currency has. It is two
# for all currencies but these. https://docs.stripe.com/currencies#minor-units (There, UGX and ISK have two decimals; in
# ISO 4217 they have none.)
_DECIMALS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"], 0
) | dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3)
# Some amounts must be multiples, or the provider refuses them: the last of three decimals must be 0, and there are no
# fractions of ISK and UGX.
# https://docs.stripe.com/currencies#three-decimal and https://docs.stripe.com/currencies#special-cases
_STEPS = dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 10) | dict.fromkeys(["ISK", "UGX"], 100)
LARGEST_AMOUNT = 99_999_999  # https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
# Where a space belongs between a currency's letters and the digits. Babel does not write it.
# https://unicode.org/reports/tr35/tr35-numbers.html#Currencies (currencySpacing)
LETTER_THEN_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


def get_step(currency: str) -> int:
    """The minor units of which each amount of the currency must be a multiple: the provider refuses all others."""
    return _STEPS.get(currency, 1)


def to_decimal(amount: int, currency: str) -> Decimal:
    """The amount with its decimals: 255 minor units of GBP are 2.55, of JPY 255."""
    return Decimal(amount).scaleb(-_count_decimals(currency))


def to_minor_units(value: Decimal, currency: str) -> Decimal:
    """The value in minor units, not rounded: 2.555 GBP are 255.5, which no price can be."""
    return value.scaleb(_count_decimals(currency))


def format_money(amount: int, currency: str) -> str:
    """Write minor units of an ISO 4217 currency in the reader's language: 255 of GBP is £2.55, of JPY ¥255.

    Nothing is rounded.
    """
    value, decimals = to_decimal(amount, currency), _count_decimals(currency)
    locale, pattern = _find_format(current_language(), decimals)
    text = pattern.apply(value, locale, currency, currency_digits=False, decimal_quantization=False)
    return LETTER_THEN_DIGIT.sub("\N{NO-BREAK SPACE}", text)


def _count_decimals(currency: str) -> int:
    return _DECIMALS.get(currency, 2)


@cache
def _find_format(language: str, decimals: int) -> tuple[Locale, NumberPattern]:
    # Kept, because Babel reads the locale anew each time, which costs more than the formatting.
    locale = Locale.parse(to_locale(language))
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (decimals, decimals)
    return locale, pattern
