"""What a customer is told when a checkout is refused."""

from dataclasses import dataclass
from http import HTTPStatus

from django.db import Error
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from database_errors import RETRY_AFTER
from orders.checkout import TooManyUnpaid
from orders.limits import TooManyCheckouts, TooManyDeclines
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused, PriceNotChargeable, TotalTooLarge, TotalTooSmall
from orders.refunds import TooLateToRefund
from payments.refunds import NotRefundable
from rate_limit import count_minutes


@dataclass(frozen=True)
class Refusal:
    """The words, the status of the answer, and the seconds after which it can be tried again; 0: nobody knows."""

    text: str
    status: HTTPStatus = HTTPStatus.CONFLICT
    retry_after: int = 0


def explain_refusal(refused: CheckoutRefused | Error) -> Refusal:
    """Tell the customer why nothing was ordered. A database error is one that passes: the shop is busy."""
    match refused:
        case TooManyCheckouts() | TooManyDeclines():
            return Refusal(_explain_limit(refused), HTTPStatus.TOO_MANY_REQUESTS, refused.retry_after)
        case TooManyUnpaid():
            return Refusal(
                _("Nothing was ordered: you have orders that are not paid yet. Wait until they are, or cancel one.")
            )
        case TotalTooSmall() | TotalTooLarge():
            return Refusal(_explain_total(refused))
        case PriceNotChargeable():
            text = _("Nothing was ordered: %(skus)s has a price that can't be paid. Take it out of your cart.")
            return Refusal(text % {"skus": ", ".join(str(line["sku"]) for line in refused.lines)})
        case Error():
            text = _("The shop is very busy. Press the button again: you can't be charged twice.")
            return Refusal(text, HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER)
        case _changed:
            return Refusal(_("Something has changed. Nothing was ordered: check your items, then confirm."))


def _explain_total(refused: TotalTooSmall | TotalTooLarge) -> str:
    if isinstance(refused, TotalTooSmall):
        return _("This is less than can be paid at once. Nothing was ordered: add something to your cart.")
    return _("This is more than can be paid at once. Split it into two orders.")


def explain_payment_refusal(refused: PaymentRefused | CheckoutRefused | Error) -> str:
    """Tell the customer why no other card was tried."""
    match refused:
        case TooManyDeclines() | TooManyCheckouts():
            minutes = count_minutes(refused.retry_after)
            text = ngettext(
                "Too many cards were tried. Nothing was paid: try again in %(count)d minute.",
                "Too many cards were tried. Nothing was paid: try again in %(count)d minutes.",
                minutes,
            )
            return text % {"count": minutes}
        case Error():
            return _("The shop is very busy. Try it again: you can't be charged twice.")
        case _changed:
            return _("This card was not tried: the order has changed meanwhile.")


def explain_refund_refusal(refused: NotRefundable) -> str:
    """Tell the customer why a paid order was not cancelled."""
    if isinstance(refused, TooLateToRefund):
        return _("This order can't be cancelled any more. Write to us if you want to return something.")
    return _("Nothing was cancelled just now: somebody has refunded a part of this order meanwhile. Look at it again.")


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
