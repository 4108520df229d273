"""Figures for Prometheus: how many orders wait or are stuck, what the last audit said, whether anybody is at work."""

from collections.abc import Iterable
from itertools import chain

from django.conf import settings
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.tokens import shows_token
from audit.liveness import Liveness, check_liveness, measure_age
from audit.models import AuditRun, Difference
from audit.traffic import (
    collect_charges,
    collect_connections,
    collect_events,
    collect_orders,
    collect_queues,
    collect_webhooks,
    label,
)
from orders.models import Order
from payments.dispute_models import Dispute
from payments.models import Payment
from payments.refund_models import Refund


class OrderCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        pending, stuck, in_review = Order.objects.pending(), Order.objects.stuck(), Order.objects.in_review()
        unknown, refunding = Payment.objects.unknown(), Refund.objects.open()
        yield GaugeMetricFamily("orderly_orders_pending", "Orders without an end yet.", pending.count())
        yield GaugeMetricFamily("orderly_orders_stuck", "Pending orders due for a sweep.", stuck.count())
        yield GaugeMetricFamily("orderly_orders_needs_review", "Orders that wait for a person.", in_review.count())
        yield GaugeMetricFamily("orderly_payments_unknown", "Payments sent, and not answered yet.", unknown.count())
        acting = Payment.objects.acting().count()
        yield GaugeMetricFamily("orderly_payments_action_required", "Payments that wait for their customer.", acting)
        differences, disputes = Difference.objects.unresolved(), Dispute.objects.open()
        yield GaugeMetricFamily("orderly_differences_open", "Differences from the ledgers.", differences.count())
        yield GaugeMetricFamily("orderly_disputes_open", "Disputes that are not decided yet.", disputes.count())
        yield GaugeMetricFamily("orderly_refunds_open", "Refunds asked for, and not answered yet.", refunding.count())
        if run := AuditRun.objects.annotate(age=measure_age(F("created_at"))).first():
            age = run.age.total_seconds()
            yield GaugeMetricFamily("orderly_audit_ok", "Whether the last audit was clean.", int(run.ok))
            yield GaugeMetricFamily("orderly_audit_age_seconds", "How long ago the last audit was.", age)
        yield from describe_liveness(check_liveness())
        yield from chain(
            collect_orders(), collect_charges(), collect_webhooks(), collect_events(), collect_connections()
        )
        yield from collect_queues()


def describe_liveness(liveness: Liveness) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "orderly_alive",
        "Whether orders are charged and finalized and every scheduled task runs.",
        not liveness.troubles,
    )
    yield GaugeMetricFamily(
        "orderly_oldest_uncharged_seconds", "The oldest order nobody has asked the provider about.", liveness.uncharged
    )
    yield GaugeMetricFamily(
        "orderly_oldest_unfinalized_seconds", "The oldest answer whose order is still pending.", liveness.unfinalized
    )
    yield label("orderly_tick_age_seconds", "How long ago a scheduled task came to its end.", "task", liveness.ticks)
    words = "How far its worker's clock was ahead of the database's."
    yield label("orderly_clock_skew_seconds", words, "task", liveness.clock_skews)


def show_metrics(request: HttpRequest) -> HttpResponse:
    if not may_see_metrics(request):
        return HttpResponseForbidden("Send the METRICS_TOKEN as a bearer token.\n", content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(OrderCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_see_metrics(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        return bool(settings.LOCAL)
    return shows_token(request, [settings.METRICS_TOKEN])
