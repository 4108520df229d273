"""What the customer has to do at the bank. It is asked for when the customer wants to go there, and kept nowhere."""

from threading import BoundedSemaphore

from payments.gateway import GatewayUnavailable, NextAction
from payments.models import Payment
from payments.requests import make_request, reach_gateway

# Of one process at the same time: while the provider hangs, the other threads answer everybody else.
CUSTOMERS = 4

_customers = BoundedSemaphore(CUSTOMERS)


def find_next_action(*, reference: str) -> NextAction | None:
    """Ask the provider what the customer of the reference has to do now; None if there is nothing to do any more.

    No connection to the database is held meanwhile. Raises GatewayUnavailable after some seconds, or at once if too
    many customers ask.
    """
    payment = Payment.objects.acting().filter(reference=reference, cancel_requested_at=None).first()
    if payment is None:
        return None
    if not _customers.acquire(blocking=False):
        raise GatewayUnavailable("too many customers ask what they have to do")
    try:
        return reach_gateway(payment.gateway).next_action(make_request(payment))
    finally:
        _customers.release()
