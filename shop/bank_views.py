"""The way of a customer who has to act at the bank: there, and back to the order's page."""

from http import HTTPStatus

import structlog
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from orders.models import Order
from orders.tasks import take_up_order
from payments.actions import find_next_action
from payments.gateway import GatewayUnavailable, NextAction, get_gateway
from shop.payment_forms import render_with_payment_form

logger = structlog.stdlib.get_logger(__name__)

ASK_EVERY = 2  # seconds: whoever reloads the address does not make us ask more often


@never_cache
@require_safe
def go_to_bank(request: HttpRequest, *, code: str) -> HttpResponse:
    """Lead to the bank's page, or show ours in which the provider's script does the same.

    Nothing is claimed about the payment. Where there is nothing left to do, the order's page tells what is known.
    """
    order = get_object_or_404(Order.objects.select_related("payment"), code=code)
    try:
        action = find_next_action(reference=code)
        if action and not action.url:
            return _show_script(request, order, action)
    except GatewayUnavailable as error:
        logger.warning("what the customer has to do is unknown", order=code, reason=str(error))
        messages.error(
            request,
            _("We can't take you to your bank just now. Try again in a minute: you can't be charged twice."),
        )
        return redirect("order", code)
    if action is None:
        return redirect("order-return", code)
    return HttpResponseRedirect(action.url, status=HTTPStatus.SEE_OTHER)


@never_cache
@require_safe
def return_from_bank(request: HttpRequest, *, code: str) -> HttpResponse:
    """Have the provider asked what the customer did, and lead to the order's page.

    Nothing that the address says is believed. It has the provider's secret in it, so no page is shown at it. While the
    provider does not answer, only the sweep asks: nobody uses up the payment's requests by reloading.
    """
    order = get_object_or_404(Order.objects.select_related("payment"), code=code)
    if order.payment.waits_for_action and cache.add(f"asked-after-return:{code}", True, ASK_EVERY):
        try:
            take_up_order(code)
        except OperationalError as error:
            logger.warning("the order is left to the sweep", order=code, reason=str(error))
    return redirect("order", code)


def _show_script(request: HttpRequest, order: Order, action: NextAction) -> HttpResponse:
    """Raises GatewayUnavailable if the shop has no form of the provider's: only such a form made the token."""
    form = get_gateway(order.payment.gateway).payment_form()
    if form is None:
        raise GatewayUnavailable("the provider's script is needed, and the shop has no publishable key")
    context = {"order": order, "action": action, "return_url": reverse("order-return", args=[order.code])}
    return render_with_payment_form(request, "shop/order_action.html", context, form=form)
