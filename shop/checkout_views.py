"""The checkout's page. A checkout ends in one order, however often it is sent."""

from http import HTTPStatus

import structlog
from django.conf import settings
from django.contrib import messages
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from database_errors import describe, is_passing
from orders.admission import NotLetIn, find_checkout_rooms
from orders.checkout import Checkout, TooManyUnpaid, place_order
from orders.limits import limit_checkout
from orders.models import Order
from orders.pricing import CheckoutLine, CheckoutRefused, PriceChanged
from shop.cart import Cart, read_cart
from shop.forms import CheckoutForm
from shop.payment_forms import render_with_payment_form
from shop.refusals import explain_refusal
from shop.session_orders import EMAIL, LAST_ORDER, find_placed, finish_checkout
from shop.waiting import admit_visitor, behind_waiting_room, wait_again, wait_outside

logger = structlog.stdlib.get_logger(__name__)


def _name_rooms(request: HttpRequest) -> list[str]:
    """Those that are on everybody's way, whatever is in the cart. An order that is sent may be placed already."""
    return [] if request.method == "POST" else find_checkout_rooms([])


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@behind_waiting_room(_name_rooms)
def checkout(request: HttpRequest) -> HttpResponse:
    """GET shows what is to be paid. POST places exactly that, once, or says what has changed and places nothing."""
    cart = read_cart(request.session)
    # Look for the order after reading the cart. Units that another click has just ordered look sold out in the cart,
    # but then that click's order is found.
    if order := find_placed(request.POST.get("checkout_key") or cart.key):
        return _show_placed(request, order)
    if not cart.lines:
        return _show_last_order(request)
    data = request.POST if request.method == "POST" else None
    form = CheckoutForm(data, user=request.user, initial={"email": request.session.get(EMAIL, "")})
    if data is None:
        return wait_outside(request, find_checkout_rooms(cart.skus)) or _show_checkout(request, cart, form)
    if not form.is_valid():
        return _show_checkout(request, cart, form, status=HTTPStatus.BAD_REQUEST)
    if not cart.is_available or (data.get("checkout_key"), data.get("fingerprint")) != (cart.key, cart.fingerprint):
        return _refuse(request, form, PriceChanged("The cart is not what the page showed."))
    return _place(request, cart, form)


def _place(request: HttpRequest, cart: Cart, form: CheckoutForm) -> HttpResponse:
    session = request.session
    asked = Checkout(
        key=cart.key,
        email=form.cleaned_data["email"],
        user=form.user,
        lines=[CheckoutLine(line.sku, line.quantity) for line in cart.lines],
        payment_method=form.cleaned_data["payment_method"],
        gateway=form.cleaned_data["gateway"],
        expected_total=cart.total,
        expected_currency=cart.currency,
        hold_on_decline=settings.SHOP_HOLD_ON_DECLINE,
    )
    try:
        with (
            admit_visitor(request, cart),
            limit_checkout(
                checkout_key=cart.key, ip=request.META["REMOTE_ADDR"], session_key=session.session_key, user=form.user
            ),
        ):
            order, _created = place_order(asked)
    except NotLetIn as refused:
        return wait_again(request, refused)
    except CheckoutRefused as refused:
        return _refuse(request, form, refused)
    except Error as error:
        if not is_passing(error):
            raise
        logger.warning("a checkout can't be answered now", reason=describe(error))
        return _refuse(request, form, error)
    return _show_order(request, order)


def _refuse(request: HttpRequest, form: CheckoutForm, refused: CheckoutRefused | Error) -> HttpResponse:
    if isinstance(refused, Error) and not connection.is_usable():
        connection.close()  # a new connection can tell whether the order was committed
    cart = read_cart(request.session)
    # Another click or tab may have been quicker, or only the answer to the commit was lost.
    if order := find_placed(request.POST.get("checkout_key") or cart.key):
        return _show_placed(request, order)
    refusal = explain_refusal(refused)
    url = _find_unpaid(request) if isinstance(refused, TooManyUnpaid) else ""
    response = _show_checkout(request, cart, form, refusal=refusal.text, refusal_url=url, status=refusal.status)
    if refusal.retry_after:
        response["Retry-After"] = refusal.retry_after
    return response


def _find_unpaid(request: HttpRequest) -> str:
    if request.user.is_authenticated:
        return reverse("order-history")
    code = request.session.get(LAST_ORDER)
    return reverse("order", args=[code]) if code else ""


def _show_placed(request: HttpRequest, order: Order) -> HttpResponse:
    response = _show_order(request, order)
    messages.info(request, _("You have already placed this order. Nothing was ordered twice."))
    return response


def _show_order(request: HttpRequest, order: Order) -> HttpResponse:
    finish_checkout(request.session, order=order)
    # 303: the browser asks for the order with GET, and a reload sends the checkout no second time.
    return HttpResponseRedirect(reverse("order", args=[order.code]), status=HTTPStatus.SEE_OTHER)


def _show_last_order(request: HttpRequest) -> HttpResponse:
    # A customer who comes back to an empty checkout may never have seen the answer to the order.
    code = request.session.get(LAST_ORDER)
    if code is None:
        return redirect("cart")
    messages.info(request, _("Your cart is empty. This is what you ordered last."))
    return redirect("order", code)


def _show_checkout(
    request: HttpRequest,
    cart: Cart,
    form: CheckoutForm,
    *,
    refusal: str = "",
    refusal_url: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    context = {"cart": cart, "form": form, "refusal": refusal, "refusal_url": refusal_url}
    return render_with_payment_form(request, "shop/checkout.html", context, form=form.payment_form, status=status)
