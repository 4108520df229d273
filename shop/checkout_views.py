"""The checkout's page. A checkout ends in one order, however often it is sent."""

import logging
from http import HTTPStatus

from django.contrib import messages
from django.contrib.sessions.backends.base import UpdateError
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from database_errors import RETRY_AFTER, describe, is_passing
from orders.checkout import Checkout, TooManyUnpaid, place_order
from orders.limits import TooManyCheckouts, TooManyDeclines, limit_checkout
from orders.models import Order
from orders.pricing import CheckoutLine, CheckoutRefused, PriceChanged, PriceNotChargeable, TotalTooLarge
from rate_limit import count_minutes
from shop import cart
from shop.forms import CheckoutForm
from shop.order_views import see_order

logger = logging.getLogger(__name__)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """GET shows what is to be paid; POST places exactly that, once, or says what has changed and places nothing."""
    shown = cart.read_cart(request.session)
    # After the cart is read: what another click has just ordered looks sold out there, but then its order is seen here.
    if order := _find_placed(request):
        return _show_placed(request, order)
    if not shown.lines:
        return _show_last_order(request)
    if request.method != "POST":
        email = request.session.get(cart.EMAIL, "")
        return _show_checkout(request, CheckoutForm(user=request.user, initial={"email": email}))
    form = CheckoutForm(request.POST, user=request.user)
    if not form.is_valid():
        return _show_checkout(request, form, status=HTTPStatus.BAD_REQUEST)
    seen = (request.POST.get("checkout_key"), request.POST.get("fingerprint"))
    if not shown.is_buyable or seen != (cart.get_checkout_key(request.session), shown.fingerprint):
        return _refuse(request, form, PriceChanged("The cart is not what the page showed."))
    return _place(request, form, shown)


def _place(request: HttpRequest, form: CheckoutForm, shown: cart.Cart) -> HttpResponse:
    checkout = Checkout(
        key=cart.get_checkout_key(request.session),
        email=form.email_address,
        user=form.user,
        lines=[CheckoutLine(line.sku, line.quantity) for line in shown.lines],
        payment_method=form.cleaned_data["payment_method"],
        expected_total=shown.total,
        expected_currency=shown.currency,
    )
    try:
        with limit_checkout(
            checkout_key=checkout.key,
            ip=request.META["REMOTE_ADDR"],
            session_key=request.session.session_key,
            user=form.user,
        ):
            order, _created = place_order(checkout)
    except CheckoutRefused as refused:
        return _refuse(request, form, refused)
    except Error as error:
        if not is_passing(error):
            raise
        logger.warning("a checkout can't be answered now: %s", describe(error))
        return _refuse(request, form, error)
    _finish(request, order)
    return see_order(order)


def _finish(request: HttpRequest, order: Order) -> None:
    """Empty the cart and save the session; the order stands, so nothing that goes wrong is the customer's error."""
    try:
        cart.finish_checkout(request.session, order=order)
        if request.session.modified:
            request.session.save()
    except (UpdateError, Error) as error:  # a log-in or log-out meanwhile, or no database
        logger.warning("%s is placed, but its cart was not emptied: %r", order.code, error)
    request.session.modified = False  # or the middleware saves it again, and answers 400 where it can't


def _find_placed(request: HttpRequest) -> Order | None:
    return cart.find_placed(request.session, posted_key=request.POST.get("checkout_key", ""))


def _refuse(request: HttpRequest, form: CheckoutForm, refused: Exception) -> HttpResponse:
    if isinstance(refused, Error) and not connection.is_usable():
        connection.close()  # a new one can say whether the commit came through
    if order := _find_placed(request):  # another click or tab was quicker, or the commit's answer was lost
        return _show_placed(request, order)
    status, url = HTTPStatus.CONFLICT, ""
    match refused:
        case TooManyCheckouts() | TooManyDeclines():
            text, status = _explain_limit(refused), HTTPStatus.TOO_MANY_REQUESTS
        case TooManyUnpaid():
            text = _("Nothing was ordered: you have orders that are not paid yet. Wait until they are, or cancel one.")
            url = _find_ordered(request)
        case TotalTooLarge():
            text = _("This is more than can be paid at once. Split it into two orders.")
        case PriceNotChargeable():
            skus = ", ".join(str(line["sku"]) for line in refused.lines)
            text = _("Nothing was ordered: %(skus)s has a price that can't be paid. Take it out of your cart.") % {
                "skus": skus
            }
        case Error():
            text = _("The shop is very busy. Press the button again: you can't be charged twice.")
            status = HTTPStatus.SERVICE_UNAVAILABLE
        case _changed:
            text = _("Something has changed. Nothing was ordered: check your items, then confirm.")
    response = _show_checkout(request, form, refusal=text, refusal_url=url, status=status)
    if isinstance(refused, CheckoutRefused) and refused.retry_after:
        response["Retry-After"] = refused.retry_after
    if isinstance(refused, Error):
        response["Retry-After"] = RETRY_AFTER
    return response


def _find_ordered(request: HttpRequest) -> str:
    if request.user.is_authenticated:
        return reverse("order-history")
    code = request.session.get(cart.LAST_ORDER)
    return reverse("order", args=[code]) if code else ""


def _explain_limit(limit: TooManyCheckouts | TooManyDeclines) -> str:
    minutes = count_minutes(limit.retry_after)
    if isinstance(limit, TooManyDeclines):
        text = ngettext(
            "Too many cards were declined. Nothing was ordered: try again in %(count)d minute.",
            "Too many cards were declined. Nothing was ordered: try again in %(count)d minutes.",
            minutes,
        )
    else:
        text = ngettext(
            "Too many orders in a short time. Nothing was ordered: try again in %(count)d minute.",
            "Too many orders in a short time. Nothing was ordered: try again in %(count)d minutes.",
            minutes,
        )
    return text % {"count": minutes}


def _show_placed(request: HttpRequest, order: Order) -> HttpResponse:
    _finish(request, order)
    messages.info(request, _("You have already placed this order. Nothing was ordered twice."))
    return see_order(order)


def _show_last_order(request: HttpRequest) -> HttpResponse:
    # Who comes back to an empty checkout may never have seen the answer to the order.
    code = request.session.get(cart.LAST_ORDER)
    if code is None:
        return redirect("cart")
    messages.info(request, _("Your cart is empty. This is what you ordered last."))
    return redirect("order", code)


def _show_checkout(
    request: HttpRequest,
    form: CheckoutForm,
    *,
    refusal: str = "",
    refusal_url: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    context = {
        "form": form,
        "cart": cart.read_cart(request.session),
        "checkout_key": cart.get_checkout_key(request.session),
        "refusal": refusal,
        "refusal_url": refusal_url,
    }
    return render(request, "shop/checkout.html", context, status=status)
