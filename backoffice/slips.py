"""The packing slip of an order: what goes into the parcel, on paper."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from orders.models import Order


def render_slip(request: HttpRequest, order: Order) -> HttpResponse:
    """A page to print. It has no prices: a parcel may be a present."""
    context = {
        "order": order,
        "units": sum(line.quantity for line in order.cached_lines),
        "shop_name": settings.SHOP_NAME,
        "shop_contact": settings.SHOP_CONTACT,
    }
    return render(request, "admin/orders/order/slip.html", context)
