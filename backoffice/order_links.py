"""Links from what names an order by its code to the order's page."""

import re

from django.urls import reverse
from django.utils.html import format_html

from orders.codes import PATTERN


def link_to_order(reference: str) -> str:
    """The reference, as a link where it is an order's code, or begins with one. No row is read."""
    found = re.search(PATTERN, reference)
    if found is None:
        return reference or "-"
    return format_html('<a href="{}?q={}">{}</a>', reverse("admin:orders_order_changelist"), found[0], reference)
