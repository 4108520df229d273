"""Money as people read it, and what of it the provider takes."""

import re
from copy import copy
from decimal import Decimal
from functools import cache

from babel import Locale
from babel.numbers import NumberPattern
from django.conf import settings
from django.utils.translation import get_language, to_locale

# An amount is what the provider is given, so the provider says how many decimals it has: two, but for these.
# https://docs.stripe.com/currencies#minor-units (UGX and ISK have two there, whatever ISO 4217 says)
DECIMALS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"], 0
) | dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3)
# What an amount must be a multiple of: the last digit of three decimals is 0, and these two have no fractions.
# https://docs.stripe.com/currencies#three-decimal and https://docs.stripe.com/currencies#special-cases
STEPS = dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 10) | dict.fromkeys(["ISK", "UGX"], 100)
LARGEST_AMOUNT = 99_999_999  # https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
# Between a currency's letters and its digits, which Babel leaves out.
# https://unicode.org/reports/tr35/tr35-numbers.html#Currencies (currencySpacing)
LETTER_THEN_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


def get_step(currency: str) -> int:
    """The minor units that every amount of the currency is a multiple of, or the provider refuses it."""
    return STEPS.get(currency, 1)


def format_money(amount: int, currency: str) -> str:
    """Minor units of an ISO 4217 currency as the reader's language writes them: 255 of GBP is £2.55, of JPY ¥255.

    Nothing is rounded. Where nobody reads, as in a command, the language is the shop's own.
    """
    decimals = DECIMALS.get(currency, 2)
    locale, pattern = _find_format(get_language() or settings.LANGUAGE_CODE, decimals)
    value = Decimal(amount).scaleb(-decimals)
    text = pattern.apply(value, locale, currency, currency_digits=False, decimal_quantization=False)
    return LETTER_THEN_DIGIT.sub("\N{NO-BREAK SPACE}", text)


@cache
def _find_format(language: str, decimals: int) -> tuple[Locale, NumberPattern]:
    # Kept, because Babel reads the locale anew each time, which costs more than the formatting.
    locale = Locale.parse(to_locale(language))
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (decimals, decimals)
    return locale, pattern
