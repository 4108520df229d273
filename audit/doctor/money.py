"""Whether orders come to their end, and the provider's news arrive."""

from datetime import timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.template.defaultfilters import pluralize

from audit.doctor.findings import Examination, Seen, Verdict, judge
from audit.liveness import check_liveness, find_waits, measure_age, measure_oldest
from audit.models import AuditRun
from orders.models import Order
from payments.models import Payment
from payments.webhook_models import WebhookEvent

STRIPE = "payments.stripe.StripeGateway"
SILENCE = timedelta(hours=1)  # between a payment's answer and the event that tells of it


def examine_waits() -> Seen:
    liveness = check_liveness()
    waits = find_waits(liveness)
    oldest = max(liveness.uncharged, liveness.unfinalized)
    return judge(not waits, " ".join(waits) or f"the oldest order has waited for {oldest:.0f} seconds")


def examine_stuck() -> Seen:
    stuck = Order.objects.stuck()
    late = measure_oldest(stuck, F("sweep_after"))
    count = stuck.count()
    due = f"{count:,} order{pluralize(count)} {pluralize(count, 'is,are')} due for a sweep"
    words = f"{due}, the oldest for {late:.0f} seconds"
    return judge(late <= settings.SWEEP_GRACE, words)


def examine_reviews() -> Seen:
    waiting = Order.objects.in_review().count()
    words = f"{waiting:,} order{pluralize(waiting)} {pluralize(waiting, 'waits,wait')} for a person"
    return judge(not waiting, words, otherwise=Verdict.WARNING)


def examine_audit() -> Seen:
    run = AuditRun.objects.annotate(age=measure_age(F("created_at"))).first()
    if run is None:
        return Seen(
            Verdict.WARNING,
            f"there was none yet; wait for the first, {settings.AUDIT_EVERY:.0f} seconds at most",
        )
    words = f"{'clean' if run.ok else 'NOT clean'}, {run.age.total_seconds():,.0f} seconds ago"
    return judge(run.ok, words)


def examine_webhook_secret() -> Seen:
    if STRIPE not in settings.PAYMENT_GATEWAYS.values():
        return Seen(Verdict.OK, "no gateway is Stripe's")
    count = len(settings.STRIPE_WEBHOOK_SECRETS)
    return judge(bool(count), f"{count} secret{pluralize(count)}", otherwise=Verdict.WARNING)


def examine_webhooks() -> Seen:
    """Each payment that Stripe answers is followed by an event, within seconds unless something is wrong."""
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return Seen(Verdict.OK, "none are expected")
    last = WebhookEvent.objects.order_by("-received_at").values_list("received_at", flat=True).first()
    untold = _find_answered().filter(answered_at__gt=last + SILENCE) if last else _find_answered()
    seen = f"the last came at {last:%Y-%m-%d %H:%M} UTC" if last else "none came yet"
    if count := untold.filter(answered_at__lt=Now() - SILENCE).count():
        return Seen(
            Verdict.WARNING,
            f"{seen}, and {count:,} payment{pluralize(count)} {pluralize(count, 'was,were')} answered since",
        )
    return Seen(Verdict.OK, seen)


def _find_answered() -> "QuerySet[Payment]":
    names = [name for name, path in settings.PAYMENT_GATEWAYS.items() if path == STRIPE]
    return Payment.objects.filter(gateway__in=names, answered_at__gt=Now() - timedelta(days=settings.WEBHOOK_DAYS))


EXAMINATIONS = [
    Examination(
        id="money.waiting",
        reason="An order that nobody charges or ends keeps its stock, and its customer waits.",
        remedy="start the worker `payments` or `orders`; see processes.ticks",
        examine=examine_waits,
    ),
    Examination(
        id="money.stuck",
        reason="The sweep is late: orders whose message was lost stand still.",
        remedy="a second worker with `--queues sweep`, and beat; see processes.ticks",
        examine=examine_stuck,
    ),
    Examination(
        id="money.reviews",
        reason="Only a person ends these, and their stock or money waits.",
        remedy="the admin's list of orders, filtered by `Needs review`",
        examine=examine_reviews,
    ),
    Examination(
        id="money.audit",
        reason="What the last audit found is money, an order or stock that does not agree.",
        remedy="`manage.py audit`, then docs/reconciliation.md",
        examine=examine_audit,
    ),
    Examination(
        id="money.webhook_secret",
        reason="Without it the shop takes no events: an order whose bank is slow waits minutes for its sweep.",
        remedy="`STRIPE_WEBHOOK_SECRETS`",
        examine=examine_webhook_secret,
    ),
    Examination(
        id="money.webhooks",
        reason="Stripe tells nothing, or the shop does not hear it: orders whose bank is slow wait for their sweep.",
        remedy="the destination at Stripe, its events and its secret, as in docs/operating.md",
        examine=examine_webhooks,
    ),
]
