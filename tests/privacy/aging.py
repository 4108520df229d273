"""Orders of long ago."""

from django.db import connection

from events_out.feed import move_horizon
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from payments.services import charge_payment
from tests.builders import answer_payment, tamper

YEAR = 365  # days


def age_everything(days: int = YEAR) -> None:
    """Let all that has happened have happened so many days before, and let everybody have been told of it."""
    move_horizon()
    age_events(days)
    tamper("UPDATE orders_ordermail SET sent_at = now()")
    tamper("UPDATE orders_disputemail SET sent_at = now()")
    for column in ("created_at", "finalized_at", "expires_at"):
        tamper(f"UPDATE orders_order SET {column} = {column} - make_interval(days => %s)", days)  # noqa: S608


def age_events(days: int = YEAR, *, like: str = "%") -> None:
    """Those of these kinds."""
    aged = "UPDATE orders_orderevent SET created_at = created_at - make_interval(days => %s) WHERE kind LIKE %s"
    tamper(aged, days, like)


def end_order(order: Order, status: Payment.Status = Payment.Status.SUCCEEDED) -> Order:
    """As its card says; in a test's own transaction, where no provider may be asked, as its payment's row then says."""
    if connection.in_atomic_block:
        answer_payment(order, status)
    else:
        charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def list_codes() -> set[str]:
    return set(Order.objects.values_list("code", flat=True))
