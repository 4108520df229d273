"""An order's page, which follows the order until it ends, and the list of a customer's orders."""

import re
from http import HTTPStatus
from typing import Any, cast

import structlog
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from database_errors import describe, is_passing
from orders.codes import PATTERN, read_code
from orders.limits import limit_payment
from orders.models import Order
from orders.paying import PaymentRefused, pay_again
from orders.pricing import CheckoutRefused
from orders.refunds import TooLateToRefund, refund_rest
from orders.services import OrderIsFinal, cancel_order
from payments.refunds import NotRefundable, find_next_number
from shop.forms import PayAgainForm, RefundForm
from shop.page_numbers import PageNumbers
from shop.payment_forms import render_with_payment_form
from shop.refusals import explain_payment_refusal, explain_refund_refusal
from shop.session_orders import LAST_ORDER, find_replacement, refill_cart
from shop.status import count_rest, describe_order

logger = structlog.stdlib.get_logger(__name__)

ORDERS_PER_PAGE = 20


@require_safe
def show_order(request: HttpRequest, *, code: str) -> HttpResponse:
    order = _get_order(code)
    context = {**_describe(request, order), "lines": order.lines.all()}
    form = context["form"].payment_form if context["form"] else None
    return _keep_private(render_with_payment_form(request, "shop/order_detail.html", context, form=form))


@require_safe
def show_status(request: HttpRequest, *, code: str) -> HttpResponse:
    """The part of the order's page that changes. htmx polls it until the order is final: 304 while nothing changes.

    The provider's form comes and goes with the whole page, whose policy can't change. While it is there, nothing is
    swapped: the customer may be typing a card.
    """
    order = _get_order(code)
    context = _describe(request, order)
    if request.GET.get("form", "") != context["form_in_page"]:
        return _keep_private(HttpResponse(headers={"HX-Refresh": "true"}))
    if context["form_in_page"]:
        response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    else:
        response = render(request, "shop/_status.html", context)
    _keep_private(response)
    response["ETag"] = etag = context["status"].etag
    return cast(HttpResponse, get_conditional_response(request, etag=etag, response=response))


@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, *, code: str) -> HttpResponse:
    """Ask whether the customer wants the unpaid order cancelled, and cancel it."""
    order = _get_order(code)
    if request.method != "POST":
        if not describe_order(order).may_cancel:
            return _see_order(order)
        return _keep_private(render(request, "shop/order_cancel.html", {"order": order}))
    try:
        cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER, actor=_read_user(request))
    except OrderIsFinal:
        messages.info(request, _("It was too late to cancel: this order had already ended."))
    except Error as error:  # somebody holds its row, or cancelling fails: nothing has changed
        _tell_of_error(request, order, error, "the order could not be cancelled")
    return _see_order(order)


@require_http_methods(["GET", "HEAD", "POST"])
def refund(request: HttpRequest, *, code: str) -> HttpResponse:
    """Ask whether the customer wants the rest of the money back, and refund it. The same form again changes nothing."""
    order = _get_order(code)
    form = RefundForm(request.POST) if request.method == "POST" else None
    if form and form.is_valid():
        _refund_rest(request, order, form.cleaned_data["number"])
        return _see_order(order)
    status = describe_order(order)
    if not status.may_refund:
        messages.info(request, explain_refund_refusal(TooLateToRefund("")))
        return _see_order(order)
    form = RefundForm(initial={"number": find_next_number(order.payment)})
    context = {"order": order, "left": count_rest(order), "form": form}
    return _keep_private(render(request, "shop/order_refund.html", context))


@require_POST
def pay(request: HttpRequest, *, code: str) -> HttpResponse:
    """Try another card for an order that is held after a decline. The same form again changes nothing."""
    order = _get_order(code)
    form = PayAgainForm(request.POST)
    if not form.is_valid():
        errors = form["payment_method"].errors or [_("Choose how to pay.")]
        messages.error(request, str(errors[0]))
        return _see_order(order)
    asked, user = form.cleaned_data, _read_user(request)
    ip, session_key = request.META["REMOTE_ADDR"], request.session.session_key
    try:
        with limit_payment(code=code, number=asked["number"], ip=ip, session_key=session_key, user=user):
            pay_again(code=code, **asked, actor=user)
    except (PaymentRefused, CheckoutRefused) as refused:
        messages.error(request, explain_payment_refusal(refused))
    except Error as error:
        if not is_passing(error):
            raise
        logger.warning("the order can't be paid again now", order=code, reason=describe(error))
        messages.error(request, explain_payment_refusal(error))
    return _see_order(order)


@require_POST
def order_again(request: HttpRequest, *, code: str) -> HttpResponse:
    """Put a cancelled order's products back in the cart and go to the checkout, or go to the order that replaced it."""
    order = _get_order(code)
    if replacement := find_replacement(request.session, order=order):  # an old tab would buy it a second time
        return _see_order(replacement)
    if order.status == Order.Status.CANCELLED:
        refill_cart(request.session, order=order)
        return redirect("checkout")
    return _see_order(order)


@require_safe
def find_order(request: HttpRequest) -> HttpResponse:
    """Lead from an order's code to its page, as its address does. The page names this browser's last order."""
    asked = request.GET.get("code", "")
    code = read_code(asked)
    if re.fullmatch(PATTERN, code) and (order := Order.objects.filter(code=code).first()):
        return _see_order(order)
    context = {"asked": asked, "last_order": request.session.get(LAST_ORDER)}
    return _keep_private(render(request, "shop/order_find.html", context))


@login_required
@require_safe
def list_orders(request: HttpRequest) -> HttpResponse:
    theirs = Order.objects.of_customer(cast(User, request.user))
    orders = theirs.select_related("payment").with_refunding().order_by("-created_at", "-pk")
    page = Paginator(orders.prefetch_related("lines"), ORDERS_PER_PAGE).get_page(request.GET.get("page"))
    pages = PageNumbers(page.number, page.paginator.num_pages)
    rows = [(order, describe_order(order)) for order in page]
    return _keep_private(render(request, "shop/order_list.html", {"pages": pages, "rows": rows}))


def _refund_rest(request: HttpRequest, order: Order, number: int) -> None:
    try:
        refund_rest(code=order.code, number=number, actor=_read_user(request))
    except NotRefundable as refused:
        logger.info("the order was not refunded for its customer", order=order.code, reason=str(refused))
        messages.info(request, explain_refund_refusal(refused))
    except Error as error:
        _tell_of_error(request, order, error, "the order could not be refunded")


def _tell_of_error(request: HttpRequest, order: Order, error: Error, event: str) -> None:
    logger.error(event, order=order.code, reason=describe(error), exc_info=not is_passing(error))
    messages.error(request, _("We could not cancel it just now. Try again in a minute."))


def _describe(request: HttpRequest, order: Order) -> dict[str, Any]:
    replacement, status = find_replacement(request.session, order=order), describe_order(order)
    form = PayAgainForm(initial={"number": status.next_payment}) if status.next_payment else None
    form_in_page = str(status.next_payment) if form and form.payment_form else ""
    return {"order": order, "status": status, "replacement": replacement, "form": form, "form_in_page": form_in_page}


def _read_user(request: HttpRequest) -> User | None:
    """Who is logged in; None: a guest."""
    return request.user if isinstance(request.user, User) else None


def _get_order(code: str) -> Order:
    return get_object_or_404(Order.objects.select_related("payment").with_refunding(), code=code)


def _see_order(order: Order) -> HttpResponse:
    # 303: the browser asks for the order with GET, and a reload sends nothing a second time.
    return HttpResponseRedirect(reverse("order", args=[order.code]), status=HTTPStatus.SEE_OTHER)


def _keep_private(response: HttpResponse) -> HttpResponse:
    patch_cache_control(response, private=True, no_cache=True)
    response["X-Robots-Tag"] = "noindex"
    return response
