"""What the payment provider says of each currency: its decimals, and which amounts can be charged."""

from functools import cache

from babel.core import get_global
from babel.numbers import get_territory_currencies

# The provider is given amounts in minor units, and its table says how many decimals those have. It is two for all
# currencies but these. https://docs.stripe.com/currencies#minor-units
_NO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
# Nobody pays a fraction of these, but they are sent with two decimals, which are always 00. (HUF and TWD are whole in
# payouts alone, and charged with two decimals.) https://docs.stripe.com/currencies#special-cases
_WHOLE = frozenset(["ISK", "UGX"])
# In minor units, of the currency of the shop's bank account. Where a charge is converted into that currency, the
# provider knows the rate and this table does not: it may still decline a small one as amount_too_small.
# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
_SMALLEST = dict.fromkeys(
    ["ARS", "AUD", "BRL", "CAD", "CHF", "COP", "EUR", "IDR", "ILS", "INR", "NZD", "PHP", "RUB", "SGD", "USD", "ZAR"], 50
) | {
    "AED": 2_00,
    "CZK": 15_00,
    "DKK": 2_50,
    "GBP": 30,
    "HKD": 4_00,
    "HUF": 175_00,
    "JPY": 50,
    "KRW": 50,
    "MXN": 10_00,
    "MYR": 2_00,
    "NOK": 3_00,
    "PLN": 2_00,
    "RON": 2_00,
    "SEK": 3_00,
    "THB": 10_00,
}
# Twelve digits, of most cards. Where one card takes less, such as the nine digits of American Express, the provider
# declines it as amount_too_large. https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
LARGEST_AMOUNT = 999_999_999_999


def get_exponent(currency: str) -> int:
    """How many decimals the minor units are: 2 for GBP, and for ISK, of which nobody pays a fraction."""
    return 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2


def count_decimals(currency: str) -> int:
    """How many decimals people write: 2 for GBP, 0 for JPY and ISK, 3 for KWD."""
    return 0 if currency in _WHOLE else get_exponent(currency)


def get_step(currency: str) -> int:
    """The minor units of which each amount of the currency must be a multiple: the provider refuses all others."""
    # The last of three decimals must be 0: https://docs.stripe.com/currencies#three-decimal
    return 100 if currency in _WHOLE else 10 if currency in _THREE_DECIMALS else 1


def get_smallest(currency: str) -> int:
    """The least that can be charged at once, in minor units. Where the provider names none, it is one step."""
    return _SMALLEST.get(currency, get_step(currency))


def is_currency(code: str) -> bool:
    """Whether it is legal tender somewhere today, by the Unicode CLDR: ISO 4217 has codes for gold too."""
    return code in _list_currencies()


@cache
def _list_currencies() -> frozenset[str]:
    return frozenset(code for place in get_global("territory_currencies") for code in get_territory_currencies(place))
