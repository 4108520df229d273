"""How an order that is held after a decline gets its next payment."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import User
from orders import services
from orders.checkout import find_gateway, process_on_commit
from orders.models import Order, OrderEvent, OrderMail
from orders.services import MAX_PAYMENTS
from payments.models import Payment
from payments.services import create_payment


class PaymentRefused(Exception):
    """No payment was added. `code` is stable, so that programs can rely on it."""

    code = "payment_refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PaymentNumberReused(PaymentRefused):
    """The payment of that number has another payment method, or another gateway."""

    code = "payment_number_reused"


class WrongPaymentNumber(PaymentRefused):
    """The number is not the next one."""

    code = "wrong_payment_number"


class PaymentUnanswered(PaymentRefused):
    """The bank has not answered the payment before it yet: it may still take the money."""

    code = "payment_unanswered"


class AlreadyPaid(PaymentRefused):
    """The payment before it took the money."""

    code = "already_paid"


class OrderHasEnded(PaymentRefused):
    """The order is confirmed or cancelled."""

    code = "order_has_ended"


class OrderIsNotHeld(PaymentRefused):
    """The order is not held after a decline: it never was, or the time is over. It ends as it stands."""

    code = "order_is_not_held"


class TooManyPayments(PaymentRefused):
    """The order has had as many payments as one may have."""

    code = "too_many_payments"


def pay_again(
    *, code: str, number: int, payment_method: str, gateway: str = "", actor: User | None = None
) -> tuple[Order, bool]:
    """Give a held order its next payment, and return the order and whether the payment is new.

    The order's first payment is number 1, the next one 2, and so on. The same number again, also at the same time, adds
    no payment. The provider is asked after the commit. Where its customer pays unasked, the order has a new
    deadline. Raises a PaymentRefused or UnknownGateway, having changed nothing, or Order.DoesNotExist.
    """
    time_to_pay = find_gateway(gateway).time_to_pay
    gateway = gateway or settings.PAYMENT_GATEWAY
    with transaction.atomic():
        order = services.lock_order(code)
        if same := Payment.objects.filter(reference=code, number=number).first():
            if (same.payment_method, same.gateway) != (payment_method, gateway):
                raise PaymentNumberReused(f"Payment {number} of this order has another payment method.")
            return order, False
        _check_order(order, number)
        order = _add_payment(order, number, payment_method, gateway, time_to_pay)
        if time_to_pay:
            OrderMail.objects.create(order=order, kind=OrderMail.Kind.INSTRUCTIONS)
        order.add_event(OrderEvent.Kind.PAYING_AGAIN, actor=actor, number=number)
        process_on_commit(code)
        return order, True


def _check_order(order: Order, number: int) -> None:
    """Raises a PaymentRefused. The order is locked, and a declined payment stays declined."""
    if order.status != Order.Status.PENDING:
        raise OrderHasEnded(f"This order is {order.status}.")
    present = order.payment
    if number != present.number + 1:
        raise WrongPaymentNumber(f"The next payment of this order is number {present.number + 1}.")
    if not present.is_answered:
        raise PaymentUnanswered("The bank has not answered the last payment yet.")
    if present.status == Payment.Status.SUCCEEDED:
        raise AlreadyPaid("The last payment went through.")
    if number > MAX_PAYMENTS:
        raise TooManyPayments(f"An order has at most {MAX_PAYMENTS} payments.")
    if present.status != Payment.Status.DECLINED or not order.hold_on_decline:
        raise OrderIsNotHeld("This order waits for no other payment.")


def _add_payment(order: Order, number: int, payment_method: str, gateway: str, time_to_pay: timedelta | None) -> Order:
    """Write down the payment, and let the order wait for it. Raises OrderIsNotHeld if the time for it is over."""
    payment = create_payment(
        reference=order.code,
        number=number,
        amount=order.total,
        currency=order.currency,
        payment_method=payment_method,
        gateway=gateway,
    )
    if payment is None:  # somebody went past the order's lock
        raise PaymentUnanswered("The last payment is not over.")
    # A hold that has not begun is one that finalize_order would begin now.
    in_time = Q(expires_at__gt=Now()) & (Q(held_until=None) | Q(held_until__gt=Now()))
    changed = (
        Order.objects.pending()
        .filter(in_time, pk=order.pk)
        .update(
            payment=payment,
            expires_at=Now() + time_to_pay if time_to_pay else F("expires_at"),
            held_until=None,
            sweep_after=Now() + timedelta(seconds=settings.SWEEP_AFTER),
            sweeps=0,
            finalize_attempts=0,
        )
    )
    if not changed:
        raise OrderIsNotHeld("The time to pay for this order is over.")
    return Order.objects.select_related("payment").get(pk=order.pk)
