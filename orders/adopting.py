"""How a charge that was made at the provider, past the shop, pays the order that it names."""

from django.db import transaction
from django.db.models.functions import Now

from database_errors import limit_lock_wait
from orders.checkout import process_on_commit
from orders.models import Order
from orders.services import lock_order
from payments.adopting import answer_with_charge, create_adopted_payment
from payments.gateway import Charge
from payments.models import Payment


class NotAdoptable(Exception):
    """Nothing was changed. The text says why, for staff."""


class WrongAmount(NotAdoptable):
    """The charge is not what the order costs, or was given back: a wrong amount is never confirmed."""


class NoOrderWaits(NotAdoptable):
    """No order waits for this money: there is none, it has ended, or its own payment may still take the money."""


def adopt_charge(*, gateway: str, charge: Charge) -> Order:
    """Let the charge pay its PENDING order, as the payment that was never sent, or as the next one after a decline.

    The order is finalized after the commit, as it is after any payment. A repeat changes nothing. Raises a
    NotAdoptable, having changed nothing.
    """
    with transaction.atomic():
        limit_lock_wait()
        order = _lock_order(charge)
        if Payment.objects.filter(gateway=gateway, provider_id=charge.provider_id).exists():
            return order
        _check_charge(order, charge)
        payment = _write_payment(order, gateway, charge)
        Order.objects.filter(pk=order.pk).update(payment=payment, held_until=None, sweep_after=Now())
        process_on_commit(order.code)
        return order


def waits_for_charge(order: Order, *, gateway: str, money: tuple[int, str]) -> bool:
    """Whether adopt_charge would take a charge of exactly that amount and currency, none of which was given back."""
    status, at = order.payment.status, order.payment.gateway
    is_free = status == Payment.Status.DECLINED or (status, at) == (Payment.Status.PENDING, gateway)
    return order.status == Order.Status.PENDING and money == (order.total, order.currency) and is_free


def _lock_order(charge: Charge) -> Order:
    try:
        return lock_order(charge.reference)
    except Order.DoesNotExist:
        raise NoOrderWaits("There is no such order.") from None


def _check_charge(order: Order, charge: Charge) -> None:
    if order.status != Order.Status.PENDING:
        raise NoOrderWaits(f"The order is {order.status}.")
    if (charge.amount, charge.currency, charge.refunded) != (order.total, order.currency, 0):
        kept = f"{charge.amount - charge.refunded} {charge.currency}"
        raise WrongAmount(f"The order is {order.total} {order.currency} in minor units, and the provider keeps {kept}.")


def _write_payment(order: Order, gateway: str, charge: Charge) -> Payment:
    payment = Payment.objects.select_for_update().get(pk=order.payment_id)
    if payment.status == Payment.Status.DECLINED:
        return create_adopted_payment(payment, gateway=gateway, charge=charge)
    if payment.gateway != gateway:  # for good: its key is bound there
        raise NoOrderWaits(f"The order waits for {payment.gateway}.")
    if not answer_with_charge(payment, charge=charge):
        raise NoOrderWaits(f"The order's own payment is {payment.status}.")
    return payment
