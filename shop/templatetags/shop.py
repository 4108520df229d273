"""Template tags that write names, prices, times, availability, and whose shop it is."""

from datetime import datetime

from django import template
from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import Stock
from money import format_money
from shop import times

FEW_LEFT = 5
SHORT_WORD = 12  # characters; a longer one may not fit on the line of a phone

register = template.Library()


@register.filter
def unbroken(name: str) -> SafeString:
    """Write a name in which no short word breaks at its hyphen, such as T-LIGHT: {{ product.name|unbroken }}"""
    return format_html_join(" ", "{}", ((_keep_whole(word),) for word in name.split(" ")))


def _keep_whole(word: str) -> str:
    return format_html('<span class="whole">{}</span>', word) if "-" in word and len(word) <= SHORT_WORD else word


@register.filter
def money(amount: int, currency: str) -> str:
    """Write minor units as a price: {{ product.price|money:product.currency }}"""
    return format_money(amount, currency)


@register.filter
def show_time(moment: datetime, shown: str = "moment") -> SafeString:
    """Write a time in the shop's zone and the reader's: {{ order.created_at|show_time }}, or |show_time:"day"."""
    return times.show_time(moment, shown)


@register.filter
def mask_email(email: str) -> str:
    """Enough of the address to see whether it is right, and too little to write to it: a***@example.com."""
    name, _at, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


@register.simple_tag
def shop_name() -> str:
    return str(settings.SHOP_NAME)


@register.simple_tag
def shop_contact() -> str:
    """The address that customers may write to, or nothing."""
    return str(settings.SHOP_CONTACT)


@register.simple_tag
def shop_links() -> list[tuple[str, str]]:
    """The titles and addresses at the foot of every page."""
    return [(str(title), url) for title, url in settings.SHOP_LINKS]


@register.filter
def availability(stock: Stock) -> str:
    """Say in words whether units are available, and how many where they are few."""
    available = stock.available
    if available <= 0:
        return _("Sold out")
    if available <= FEW_LEFT:
        return ngettext("Only %(count)d left", "Only %(count)d left", available) % {"count": available}
    return _("In stock")


@register.filter
def availability_level(stock: Stock) -> str:
    """Return the class that colours the availability: none, low or good."""
    if stock.available <= 0:
        return "none"
    return "low" if stock.available <= FEW_LEFT else "good"
