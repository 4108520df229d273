"""How an order stands, in words and a colour for staff: also how much of its money has gone back."""

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Order

Status = Order.Status
ARCHIVED = gettext_lazy("The order is archived.")


def describe_status(order: Order) -> str:
    """The status, and whether the order was refunded in part or in whole."""
    if not order.refunded:
        return order.get_status_display()
    if order.refunded < order.total:
        return _("Confirmed, refunded in part")
    return _("Confirmed, refunded in whole")


def color_status(order: Order) -> SafeString:
    """The status in the colour of its tone: wait, good, bad, or care where money went back or somebody has to look."""
    return format_html('<span class="state {}">{}</span>', _find_tone(order), describe_status(order))


def _find_tone(order: Order) -> str:
    if order.needs_review or order.refunded:
        return "care"
    return {Status.PENDING: "wait", Status.CONFIRMED: "good", Status.CANCELLED: "bad"}[Status(order.status)]
