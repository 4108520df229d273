"""What the orders worker does, and how an order gets there. Messages carry codes only: the rows say what is true."""

from collections.abc import Callable, Iterable
from threading import Timer

import structlog
from celery import chain, shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from accounts import mails as account_mails
from database_errors import describe, is_passing
from orders import dispute_mails, mails, refund_answers, services, sweep
from orders.models import Order
from payments.refund_models import Refund
from payments.refunds import claim_due_refunds
from payments.requests import end_dead_requests
from payments.tasks import cancel_payment, charge_payment, check_refund, refund_payment

logger = structlog.stdlib.get_logger(__name__)


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


def publish_on_commit(publish: Callable[[], object], what: object) -> None:
    """Publish after the commit. If the broker is down, it is left to the sweep."""

    def publish_or_leave() -> None:
        try:
            publish()
        except OperationalError as error:
            logger.warning("what was written is left to the sweep", what=str(what), reason=str(error))

    # Robust: the row stands, so nothing that fails from here on is the customer's error.
    transaction.on_commit(publish_or_leave, robust=True)


def take_up_order(code: str) -> None:
    """Process a PENDING order now, however far away its sweep is: there may be news of its payment.

    Does nothing if the order is final, or if there is none. Raises what process_order raises.
    """
    is_expired = ExpressionWrapper(Q(expires_at__lte=Now()), BooleanField())
    expired = Order.objects.pending().filter(code=code).values_list(is_expired, flat=True).first()
    if expired is not None:
        process_order(code, expired=expired)


def process_refund(refund: Refund) -> None:
    """Publish the chain that ends a refund: have it asked for (or asked after, if it has succeeded), then record it.

    Safe to repeat. Raises kombu's OperationalError when the broker is down, after about a second.
    """
    ask = check_refund if refund.status == Refund.Status.SUCCEEDED else refund_payment
    chain(ask.si(refund.key), record_refund.si(refund.key)).apply_async(
        expires=settings.SWEEP_AFTER + settings.CLOCK_SKEW
    )


@shared_task
def finalize_order(code: str) -> None:
    services.finalize_order(code=code)


@shared_task
def record_refund(key: str) -> None:
    refund_answers.record_refund(key=key)


@shared_task
def sweep_stuck_orders() -> None:
    _process_orders(sweep.claim_stuck_orders())


@shared_task
def sweep_refunds() -> None:
    """Take up refunds without an answer, and answers without consequences. Staff are told of what stays unknown."""
    due = claim_due_refunds()
    for refund in due:
        process_refund(refund)
    for refund in due:
        if refund.sweeps % settings.ORDER_MAX_SWEEPS == 0:
            refund_answers.tell_staff(key=refund.key)


@shared_task
def sweep_lost_orders() -> None:
    end_dead_requests()
    _process_orders(sweep.claim_lost_orders())


@worker_ready.connect
def take_up_lost_orders(**_: object) -> None:
    """A worker starts: take up what one before it may have died with, and do not wait for the sweep.

    And once more LOST_AFTER later: only then what was answered just before the start counts as lost.
    """
    try:
        sweep_lost_orders.run()
        # Not a countdown: with a quorum queue of RabbitMQ it would keep the worker from its other tasks meanwhile.
        again = Timer(settings.LOST_AFTER, sweep_lost_orders.delay)
        again.daemon = True
        again.start()
    except Error as error:
        if not is_passing(error):
            raise
        logger.warning("lost orders are left to the sweep", reason=describe(error))
    finally:
        connection.close()  # in a pool of threads this one takes no tasks, and would keep it


@shared_task(time_limit=settings.MAILS_TIME_LIMIT)
def send_due_mails() -> None:
    # One task, each kind for MAIL_EVERY. As two tasks behind a slow mail server, one kind might never have its turn.
    account_mails.send_due_mails()
    mails.send_due_mails()
    dispute_mails.send_due_mails()


def _process_orders(claims: Iterable[sweep.Claim]) -> None:
    for claim in claims:
        logger.info("order swept", order=claim.code, expired=claim.expired)
        process_order(claim.code, expired=claim.expired, pause=claim.pause)
