"""Template filters that write prices and availability."""

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import Stock
from money import format_money

FEW_LEFT = 5

register = template.Library()


@register.filter
def money(amount: int, currency: str) -> str:
    """Write minor units as a price: {{ product.price|money:product.currency }}"""
    return format_money(amount, currency)


@register.filter
def availability(stock: Stock) -> str:
    """Say in words how many units are available."""
    available = stock.available
    if available <= 0:
        return _("Sold out")
    if available <= FEW_LEFT:
        return ngettext("Only %(count)d left", "Only %(count)d left", available) % {"count": available}
    return _("%(count)s available") % {"count": number_format(available, force_grouping=True)}


@register.filter
def availability_level(stock: Stock) -> str:
    """Return the class that colours the availability: none, low or good."""
    if stock.available <= 0:
        return "none"
    return "low" if stock.available <= FEW_LEFT else "good"
