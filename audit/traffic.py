"""Figures of the last minutes for Prometheus: what became of orders and charges, and how much waits in the queues.

All are counted in the database and at the broker, so they are right under any number of processes, and after a kill.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db import connection
from django.db.models import Count, F, Max, QuerySet
from django.db.models.functions import Now
from kombu import Connection, Queue
from kombu.exceptions import ChannelError, OperationalError
from prometheus_client.core import GaugeMetricFamily, Metric

from audit.liveness import measure_age
from events_out.feed import read_horizon
from events_out.models import Delivery, Endpoint
from orders.models import Order, OrderEvent
from payments.models import Payment
from payments.webhook_models import WebhookEvent

logger = logging.getLogger(__name__)

RECENTLY = timedelta(minutes=5)
BROKER_PATIENCE = 1  # second

# What took longer than an hour is left out: the index is that of the time at which a payment was written.
CHARGE_TIMES = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM answered_at - sent_at))
FROM payments_payment
WHERE answered_at > now() - make_interval(secs => %s) AND created_at > now() - interval '1 hour' AND sent_at IS NOT NULL
"""
SESSIONS = """
SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


def collect_orders() -> Iterable[Metric]:
    """Orders by what they are now, of those placed recently, and the repairs of the same time."""
    placed = count_by_status(Order.objects.filter(created_at__gt=Now() - RECENTLY))
    yield label("orderly_recent_orders", "Orders placed in the last 5 minutes.", "status", placed, Order.Status.values)
    swept = OrderEvent.objects.filter(kind=OrderEvent.Kind.SWEPT, created_at__gt=Now() - RECENTLY).count()
    yield GaugeMetricFamily("orderly_recent_sweeps", "Stuck orders taken up in the last 5 minutes.", swept)
    oldest = Order.objects.pending().aggregate(age=Max(measure_age(F("created_at"))))["age"] or timedelta()
    yield GaugeMetricFamily(
        "orderly_oldest_pending_seconds", "The oldest order without an end.", oldest.total_seconds()
    )


def collect_charges() -> Iterable[Metric]:
    answered = Payment.objects.filter(answered_at__gt=Now() - RECENTLY, created_at__gt=Now() - timedelta(hours=1))
    outcomes = count_by_status(answered)
    words = "Payments that ended in the last 5 minutes."
    yield label("orderly_recent_payments", words, "status", outcomes, ["SUCCEEDED", "DECLINED", "CANCELLED"])
    with connection.cursor() as cursor:
        cursor.execute(CHARGE_TIMES, [RECENTLY.total_seconds()])
        (times,) = cursor.fetchone()
    quantiles = dict(zip(["0.5", "0.95", "0.99"], times or [], strict=False))
    words = "From the first request to the answer, of the payments that ended in the last 5 minutes."
    yield label("orderly_recent_charge_seconds", words, "quantile", quantiles)


def collect_webhooks() -> Iterable[Metric]:
    waiting = WebhookEvent.objects.waiting().aggregate(count=Count("pk"), age=Max(measure_age(F("received_at"))))
    age = (waiting["age"] or timedelta()).total_seconds()
    yield GaugeMetricFamily("orderly_webhooks_waiting", "Webhook events without an answer yet.", waiting["count"])
    yield GaugeMetricFamily("orderly_oldest_webhook_seconds", "The oldest of them.", age)


def collect_events() -> Iterable[Metric]:
    """How late others hear of what happened to orders."""
    unread = OrderEvent.objects.filter(pk__gt=read_horizon())
    waiting, failing = Delivery.objects.due_to_endpoints(), Endpoint.objects.failing()
    words = "The oldest event that nobody can read yet."
    yield GaugeMetricFamily("orderly_event_lag_seconds", words, measure_first(unread))
    words = "The oldest event that an endpoint has not taken yet."
    yield GaugeMetricFamily("orderly_delivery_lag_seconds", words, measure_first(waiting))
    yield GaugeMetricFamily("orderly_deliveries_waiting", "Events to be delivered.", waiting.count())
    yield GaugeMetricFamily("orderly_endpoints_failing", "Endpoints whose last delivery failed.", failing.count())


def measure_first(rows: "QuerySet[OrderEvent] | QuerySet[Delivery]") -> float:
    """How many seconds ago the first of these rows was written; 0: there is none."""
    ages: QuerySet[Any, timedelta] = rows.order_by("pk").values_list(measure_age(F("created_at")), flat=True)
    return (ages.first() or timedelta()).total_seconds()


def collect_connections() -> Iterable[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(SESSIONS)
        used, most = cursor.fetchone()
    yield GaugeMetricFamily("orderly_database_connections", "Sessions of the whole PostgreSQL server.", used)
    yield GaugeMetricFamily("orderly_database_connections_max", "The most that it takes.", most)


def collect_queues() -> Iterable[Metric]:
    """The messages in each queue; and whether the broker says so. It is asked for a second at most."""
    try:
        lengths = read_queue_lengths()
    except (OperationalError, OSError) as error:
        logger.warning("The broker does not say how long its queues are: %s", error)
        lengths = {}
    yield GaugeMetricFamily("orderly_broker_up", "Whether the broker answers.", bool(lengths))
    yield label("orderly_queue_messages", "Messages that no worker has fetched.", "queue", lengths)


def read_queue_lengths() -> dict[str, int]:
    """The messages that wait, by queue. Raises kombu's OperationalError when the broker is away."""
    with current_app.connection_for_read() as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_PATIENCE)
        return {queue.name: count_messages(broker, queue) for queue in current_app.conf.task_queues}


def count_messages(broker: Connection, queue: Queue) -> int:
    try:
        with broker.channel() as channel:
            declared: Any = queue.bind(channel).queue_declare(passive=True)  # kombu's types say that it is a text
            return int(declared.message_count)
    except ChannelError:  # there is no such queue: Redis has none without messages
        return 0


def count_by_status(rows: "QuerySet[Order] | QuerySet[Payment]") -> dict[str, int]:
    return dict(rows.order_by().values_list("status").annotate(count=Count("pk")))


def label(name: str, words: str, key: str, values: Mapping[str, float], known: Iterable[str] = ()) -> Metric:
    """A figure for each value of a label; 0 for those that are known, so that a graph has no holes."""
    family = GaugeMetricFamily(name, words, labels=[key])
    for value, figure in {**dict.fromkeys(known, 0), **values}.items():
        family.add_metric([value], figure)
    return family
