"""A form's field for an amount of money, typed as the reader's language writes it."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from money import NotANumber, count_places, format_number, parse_number, to_minor_units
from money.currencies import count_decimals


class MoneyField(forms.CharField):
    """An amount in units of its currency, such as 2.55 or 2,55. It cleans to a Decimal, or None if it is empty."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "size": 20, "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return parse_number(text)
        except NotANumber:
            example = format_number(123_456, "GBP")
            raise ValidationError(
                _("This is no amount. Write it such as %(example)s.") % {"example": example}
            ) from None


def read_amount(value: Decimal, currency: str) -> int:
    """The amount in minor units. Raises ValidationError for more decimals than the currency has: nothing is rounded."""
    decimals = count_decimals(currency)
    if count_places(value) > decimals:
        text = ngettext("%(currency)s has %(count)d decimal.", "%(currency)s has %(count)d decimals.", decimals)
        raise ValidationError(text % {"currency": currency, "count": decimals})
    return int(to_minor_units(value, currency))
