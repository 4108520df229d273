"""What the orders worker does, and how an order gets there. Messages carry codes only: the rows say what is true."""

from celery import chain, shared_task
from django.conf import settings

from accounts import mails as account_mails
from orders import mails, services, sweep
from payments.tasks import cancel_payment, charge_payment


def process_order(code: str, *, expired: bool = False, pause: float | None = None) -> None:
    """Publish the chain that ends an order: charge its payment (or, past its deadline, cancel it), then finalize it.

    `pause` is the seconds to the order's next sweep. Safe to repeat. Raises kombu's OperationalError when the broker is
    down, after about a second.
    """
    pay = cancel_payment if expired else charge_payment
    pause = settings.SWEEP_AFTER if pause is None else pause
    # A message that waits beyond the next sweep is dropped: that sweep publishes another, and two would do no more.
    # Not sooner, by any worker's clock: one that is ahead would drop every message on arrival.
    chain(pay.si(code), finalize_order.si(code)).apply_async(expires=pause + settings.CLOCK_SKEW)


@shared_task
def finalize_order(code: str) -> None:
    services.finalize_order(code=code)


@shared_task
def sweep_stuck_orders() -> None:
    for claim in sweep.claim_stuck_orders():
        process_order(claim.code, expired=claim.expired, pause=claim.pause)


@shared_task(time_limit=settings.MAILS_TIME_LIMIT)
def send_due_mails() -> None:
    # In one task, each for its time: of two tasks that wait behind a slow mail server one might never have its turn.
    account_mails.send_due_mails()
    mails.send_due_mails()
