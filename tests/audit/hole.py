"""A shop's day: what a backup has of it, and what happened afterwards."""

from dataclasses import dataclass

import pytest

from orders.models import Order
from orders.services import finalize_order
from payments.gateway import GatewayUnavailable
from payments.refunds import refund_payment
from payments.services import charge_payment
from tests.builders import make_confirmed, make_order, request_refund


@dataclass(frozen=True)
class Day:
    """Three orders, as a backup has them."""

    paid: Order
    waiting: Order  # the provider was not asked yet
    unknown: Order  # paid, which the shop does not know yet


def begin_day() -> Day:
    paid, waiting, unknown = make_confirmed(1), make_order(), make_order(payment_method="pm_sandbox_drop")
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=unknown.code)
    return Day(paid, waiting, unknown)


def dig_hole(day: Day, *, orders: int = 2) -> set[str]:
    """What happens after the backup. Return the codes of the orders that it lacks, and whose money is there."""
    lost = {make_confirmed(1).code for _ in range(orders)}
    end(day.waiting)
    end(make_order(payment_method="pm_card_visa_chargeDeclined"))
    refund_payment(key=request_refund(day.paid, amount=200).key)
    return lost


def end(order: Order) -> None:
    charge_payment(reference=order.code)
    finalize_order(code=order.code)
