"""Figures of the last minutes for Prometheus: what became of orders and charges, and how much waits in the queues.

All are counted in the database and at the broker, so they are right under any number of processes, and after a kill.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.db.models import Count, F, Max, QuerySet
from django.db.models.functions import Now
from kombu.exceptions import ChannelError, OperationalError
from prometheus_client.core import GaugeMetricFamily, Metric
from redis.exceptions import RedisError

from audit.broker import count_messages, open_broker
from audit.database import count_sessions, read_rows
from audit.liveness import measure_age
from events_out.feed import read_horizon
from events_out.models import Delivery, Endpoint
from orders.models import Order, OrderEvent
from payments.models import Payment
from payments.webhook_models import WebhookEvent
from waiting_room import NoWaitingRoom, count_crowds

logger = structlog.stdlib.get_logger(__name__)

RECENTLY = timedelta(minutes=5)

# What took longer than an hour is left out: the index is that of the time at which a payment was written.
CHARGE_TIMES = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM answered_at - sent_at))
FROM payments_payment
WHERE answered_at > now() - make_interval(secs => %s) AND created_at > now() - interval '1 hour' AND sent_at IS NOT NULL
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
    ((times,),) = read_rows(CHARGE_TIMES, [RECENTLY.total_seconds()])
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
    """Those of the server, or of the shop's role or database where their own limit is nearer."""
    used, most = count_sessions()
    yield GaugeMetricFamily("orderly_database_connections", "Open sessions, by the nearest limit.", used)
    yield GaugeMetricFamily("orderly_database_connections_max", "That limit.", most)


def collect_queues() -> Iterable[Metric]:
    """The messages in each queue; and whether the broker says so. It is asked for a second at most."""
    try:
        lengths = read_queue_lengths()
    except (OperationalError, ChannelError, OSError) as error:
        logger.warning("the broker does not say how long its queues are", reason=str(error))
        lengths = {}
    yield GaugeMetricFamily("orderly_broker_up", "Whether the broker answers.", bool(lengths))
    yield label("orderly_queue_messages", "Messages that no worker has fetched.", "queue", lengths)


def read_queue_lengths() -> dict[str, int]:
    """The messages that wait, by queue. Redis has no queue without messages. Raises what `open_broker` does."""
    with open_broker() as broker:
        return {queue.name: count_messages(broker, queue) or 0 for queue in current_app.conf.task_queues}


def collect_waiting_rooms(rooms: Collection[str]) -> Iterable[Metric]:
    """Nothing where the shop has no waiting room. While Redis is away, only that it is."""
    if not rooms:
        return
    try:
        crowds = count_crowds(rooms)
    except (RedisError, NoWaitingRoom):
        crowds = {}
    yield GaugeMetricFamily("orderly_waiting_room_up", "Whether Redis keeps the queue.", bool(crowds))
    for figure, words in (
        ("waiting", "Visitors in the queue."),
        ("inside", "Visitors who were let in, and have not bought yet."),
        ("pace", "Visitors let in a second."),
    ):
        values = {room: getattr(crowd, figure) for room, crowd in crowds.items()}
        yield label(f"orderly_waiting_room_{figure}", words, "room", values)


def count_by_status(rows: "QuerySet[Order] | QuerySet[Payment]") -> dict[str, int]:
    return dict(rows.order_by().values_list("status").annotate(count=Count("pk")))


def label(name: str, words: str, key: str, values: Mapping[str, float], known: Iterable[str] = ()) -> Metric:
    """A figure for each value of a label; 0 for those that are known, so that a graph has no holes."""
    family = GaugeMetricFamily(name, words, labels=[key])
    for value, figure in {**dict.fromkeys(known, 0), **values}.items():
        family.add_metric([value], figure)
    return family
