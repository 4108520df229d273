"""The checkout, the order's page, and a customer's orders. A checkout ends in one order, however often it is sent."""

from http import HTTPStatus
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from catalog.services import InsufficientStock
from orders import cart
from orders.checkout import BasketLine, CheckoutKeyReused, CheckoutRefused, TotalTooLarge, place_order
from orders.forms import CheckoutForm
from orders.models import Order
from orders.services import OrderIsFinal, cancel_order
from orders.status import describe_order

ORDERS_PER_PAGE = 20


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """GET shows what is to be paid; POST places exactly that, once, or says what has changed and places nothing."""
    if order := cart.find_placed(request.session, posted_key=request.POST.get("checkout_key", "")):
        return _show_placed(request, order)
    basket = cart.read_cart(request.session)
    if not basket.lines:
        return _show_last_order(request)
    if request.method != "POST":
        return _show_checkout(request, CheckoutForm(user=request.user))
    form = CheckoutForm(request.POST, user=request.user)
    if not form.is_valid():
        return _show_checkout(request, form, status=HTTPStatus.BAD_REQUEST)
    seen = (request.POST.get("checkout_key"), request.POST.get("fingerprint"))
    if not basket.is_buyable or seen != (cart.get_checkout_key(request.session), basket.fingerprint):
        return _refuse(request, form, _("Something changed. Nothing was ordered: look at the lines, then confirm."))
    return _place(request, form, basket)


def _place(request: HttpRequest, form: CheckoutForm, basket: cart.Cart) -> HttpResponse:
    key = cart.get_checkout_key(request.session)
    try:
        order, _created = place_order(
            checkout_key=key,
            email=form.email_address,
            user=form.user,
            lines=[BasketLine(line.sku, line.quantity) for line in basket.lines],
            payment_method=form.cleaned_data["payment_method"],
            expected_total=basket.total,
        )
    except CheckoutKeyReused:  # another tab was quicker, and paid otherwise
        return _show_placed(request, Order.objects.get(checkout_key=key))
    except TotalTooLarge:
        return _refuse(request, form, _("This is more than can be paid at once. Make two orders of it."))
    except (CheckoutRefused, InsufficientStock):
        return _refuse(request, form, _("Something changed. Nothing was ordered: look at the lines, then confirm."))
    except OperationalError:
        text = _("The shop is very busy. Press the button again: you can't be charged twice.")
        return _refuse(request, form, text, status=HTTPStatus.SERVICE_UNAVAILABLE)
    cart.finish_checkout(request.session, order=order)
    return _see_order(order)


def _show_placed(request: HttpRequest, order: Order) -> HttpResponse:
    cart.finish_checkout(request.session, order=order)
    messages.info(request, _("You had placed this order already. Nothing was ordered twice."))
    return _see_order(order)


def _show_last_order(request: HttpRequest) -> HttpResponse:
    # Who comes back to an empty checkout may never have seen the answer to the order.
    code = request.session.get(cart.LAST_ORDER)
    if code is None:
        return redirect("cart")
    messages.info(request, _("Your cart is empty. This is what you ordered last."))
    return redirect("order", code)


def _refuse(
    request: HttpRequest, form: CheckoutForm, text: str, *, status: HTTPStatus = HTTPStatus.CONFLICT
) -> HttpResponse:
    return _show_checkout(request, form, refusal=text, status=status)


def _show_checkout(
    request: HttpRequest, form: CheckoutForm, *, refusal: str = "", status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    context = {
        "form": form,
        "cart": cart.read_cart(request.session),
        "checkout_key": cart.get_checkout_key(request.session),
        "refusal": refusal,
    }
    return render(request, "orders/checkout.html", context, status=status)


@require_safe
def show_order(request: HttpRequest, *, code: str) -> HttpResponse:
    order = _get_order(code)
    context = {"order": order, "status": describe_order(order), "lines": order.lines.all()}
    return _keep_private(render(request, "orders/order_detail.html", context))


@require_safe
def show_status(request: HttpRequest, *, code: str) -> HttpResponse:
    """The part of the order's page that changes, for htmx to poll: 304 until it does, and no poll once it is final."""
    order = _get_order(code)
    status = describe_order(order)
    response = _keep_private(render(request, "orders/_status.html", {"order": order, "status": status}))
    response["ETag"] = status.etag
    return cast(HttpResponse, get_conditional_response(request, etag=status.etag, response=response))


@require_POST
def cancel(request: HttpRequest, *, code: str) -> HttpResponse:
    order = _get_order(code)
    try:
        actor = request.user if isinstance(request.user, User) else None
        cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER, actor=actor)
    except OrderIsFinal:
        messages.info(request, _("It was too late to cancel: this order had ended before."))
    return _see_order(order)


@require_POST
def order_again(request: HttpRequest, *, code: str) -> HttpResponse:
    """Put what a cancelled order asked for back into the cart, and go to the checkout, where another key is made."""
    order = _get_order(code)
    if order.status == Order.Status.CANCELLED:
        cart.refill_cart(request.session, order=order)
        return redirect("checkout")
    return _see_order(order)


@login_required
@require_safe
def list_orders(request: HttpRequest) -> HttpResponse:
    orders = cast(User, request.user).orders.select_related("payment").order_by("-created_at", "-pk")
    page = Paginator(orders, ORDERS_PER_PAGE).get_page(request.GET.get("page"))
    rows = [(order, describe_order(order)) for order in page]
    return _keep_private(render(request, "orders/order_list.html", {"page": page, "rows": rows}))


def _get_order(code: str) -> Order:
    return get_object_or_404(Order.objects.select_related("payment"), code=code)


def _see_order(order: Order) -> HttpResponse:
    # 303: the browser asks with GET, also after a reload, and posts nothing again.
    return HttpResponseRedirect(reverse("order", args=[order.code]), status=HTTPStatus.SEE_OTHER)


def _keep_private(response: HttpResponse) -> HttpResponse:
    patch_cache_control(response, private=True, no_cache=True)
    response["X-Robots-Tag"] = "noindex"
    return response
