"""How money of a confirmed order is given back: for units of its lines, or an amount only."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from money.currencies import get_step
from orders import services
from orders.models import Order, OrderEvent, OrderLine
from orders.refund_models import RefundLine
from orders.tasks import process_refund, publish_on_commit
from payments.models import Payment
from payments.refund_models import Refund
from payments.refunds import NotRefundable, count_left, find_next_number, lock_payment, request_refund


class OrderIsNotRefundable(NotRefundable):
    """The order is not confirmed, so there is no money of it to give back."""

    code = "order_is_not_refundable"


class RefundNumberReused(NotRefundable):
    """The refund of that number is of another amount, or for other lines."""

    code = "refund_number_reused"


class WrongRefundNumber(NotRefundable):
    """The number is not the next one."""

    code = "wrong_refund_number"


class WrongRefundAmount(NotRefundable):
    """It is nothing, or an amount that the provider can't move."""

    code = "wrong_refund_amount"


class NoSuchLine(NotRefundable):
    """The order has no such line, or it is named twice, or with no units."""

    code = "no_such_line"


class LineAlreadyReturned(NotRefundable):
    """The line has fewer units left: the others were given back, or are being given back."""

    code = "line_already_returned"


class TooLateToRefund(NotRefundable):
    """The customer may no longer ask for it."""

    code = "too_late_to_refund"


class Returned(NamedTuple):
    """Units of an order line that a refund is for."""

    line: int  # the id of the order line
    quantity: int
    restock: bool = True  # they go back to stock, once the money has gone back


def refund_order(
    *,
    code: str,
    number: int,
    lines: Collection[Returned] = (),
    amount: int | None = None,
    actor: User | None = None,
    note: str = "",
) -> tuple[Refund, bool]:
    """Decide that money of a CONFIRMED order goes back. Return the refund and whether it is new.

    The order's first refund is number 1, the next one 2, and so on. The same number again, also at the same time, adds
    no refund. The amount is in minor units; without one it is what the lines cost. The provider is asked after the
    commit, and the lines' units return to stock after the money. The note is for staff; the event keeps it.
    Raises a NotRefundable, having changed nothing, or Order.DoesNotExist.
    """
    with transaction.atomic():
        order = services.lock_order(code)
        payment = lock_payment(order.payment_id)
        amount = _count_amount(order, lines) if amount is None else amount
        if same := payment.refunds.filter(number=number).first():
            _check_same(same, amount, lines)
            return same, False
        _check_order(order, payment, number)
        return _write_refund(order, payment, lines, amount, actor=actor, note=note), True


def refund_rest(*, code: str, number: int, actor: User | None = None) -> tuple[Refund, bool]:
    """Decide, for a customer, that all that is left of a CONFIRMED order goes back. Its units are restocked.

    Return the refund and whether it is new; the same number again adds none. Raises TooLateToRefund if the customer may
    no longer ask for it, or another NotRefundable, having changed nothing; or Order.DoesNotExist.
    """
    with transaction.atomic(durable=True):
        order = services.lock_order(code)
        payment = lock_payment(order.payment_id)
        left = count_left(payment)
        if same := payment.refunds.filter(number=number).first():
            if left:
                raise RefundNumberReused(f"Refund {number} of this order gave back a part of it.")
            return same, False
        _check_order(order, payment, number)
        if not is_refundable_by_customer(order):
            raise TooLateToRefund("The time in which the customer could have the money back is over.")
        lines = [Returned(line, quantity) for line, quantity in count_returnable(order).items() if quantity]
        return _write_refund(order, payment, lines, left, actor=actor), True


def is_refundable_by_customer(order: Order) -> bool:
    """Whether it is confirmed, and CUSTOMER_REFUND_HOURS have not passed since."""
    time = timedelta(hours=settings.CUSTOMER_REFUND_HOURS)
    return order.status == Order.Status.CONFIRMED and cast(datetime, order.finalized_at) + time > timezone.now()


def count_returnable(order: Order) -> dict[int, int]:
    """How many units of each line can still be given back, by the id of the line."""
    returned = RefundLine.objects.of_order(order).binding().values("line").annotate(units=Sum("quantity"))
    units = {row["line"]: row["units"] for row in returned}
    return {line.pk: line.quantity - units.get(line.pk, 0) for line in order.lines.all()}


def _write_refund(
    order: Order,
    payment: Payment,
    lines: Collection[Returned],
    amount: int,
    *,
    actor: User | None,
    note: str = "",
) -> Refund:
    """The rows of the order and of its payment are locked. Raises a NotRefundable, having written nothing."""
    _check_lines(order, lines)
    _check_amount(order, amount)
    refund = request_refund(payment, amount=amount)
    RefundLine.objects.bulk_create(
        RefundLine(refund=refund, line_id=line, quantity=quantity, restock=restock) for line, quantity, restock in lines
    )
    order.add_event(OrderEvent.Kind.REFUND_REQUESTED, actor=actor, note=note, number=refund.number, amount=amount)
    publish_on_commit(lambda: process_refund(refund), refund)
    return refund


def _check_same(refund: Refund, amount: int, lines: Collection[Returned]) -> None:
    known = set(RefundLine.objects.filter(refund=refund).values_list("line", "quantity", "restock"))
    if refund.adopted or (refund.amount, known) != (amount, set(lines)):
        raise RefundNumberReused(f"Refund {refund.number} of this order is another one.")


def _check_order(order: Order, payment: Payment, number: int) -> None:
    if order.status != Order.Status.CONFIRMED:
        raise OrderIsNotRefundable(f"This order is {order.status}.")
    if number != (following := find_next_number(payment)):
        raise WrongRefundNumber(f"The next refund of this order is number {following}.")


def _check_amount(order: Order, amount: int) -> None:
    step = get_step(order.currency)
    if amount <= 0 or amount % step:
        raise WrongRefundAmount(f"An amount in {order.currency} is a multiple of {step} minor units, and more than 0.")


def _count_amount(order: Order, lines: Collection[Returned]) -> int:
    prices: Mapping[int, int] = dict(OrderLine.objects.filter(order=order).values_list("pk", "price"))
    return sum(prices.get(line, 0) * quantity for line, quantity, _ in lines)


def _check_lines(order: Order, lines: Collection[Returned]) -> None:
    """The order is locked, so nobody else returns units of it meanwhile."""
    returnable = count_returnable(order)
    if len({line for line, _, _ in lines}) != len(lines):
        raise NoSuchLine("A line of the order is named twice.")
    for line, quantity, _ in lines:
        if line not in returnable or quantity <= 0:
            raise NoSuchLine(f"The order has no line {line}, or no unit of it is returned.")
        if quantity > returnable[line]:
            raise LineAlreadyReturned(f"Of line {line} only {returnable[line]} units are left to return.")
