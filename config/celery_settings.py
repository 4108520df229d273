"""Celery's settings, under Celery's own names.

https://docs.celeryq.dev/en/stable/userguide/configuration.html
"""

from typing import Any

from django.conf import settings

from config.broker import HEARTBEAT, RETRY, configure_broker

BROKER = configure_broker(settings.BROKER_URL, prefix=settings.REDIS_PREFIX, timeout=settings.BROKER_TIMEOUT)
broker_url = BROKER.url
broker_transport_options = BROKER.options
broker_use_ssl = BROKER.tls
broker_heartbeat = HEARTBEAT  # of RabbitMQ alone
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True  # or an OOM or READONLY answer ends the worker

# The queue of each task. They stand here because Celery deprecates a queue that is named at the task (5.7, task.bind).
# Which worker reads which queue: docs/operating.md.
QUEUES = {
    "accounts.tasks.clear_sessions": "mails",
    "accounts.tasks.delete_old_mails": "mails",
    "api.tasks.delete_old_calls": "mails",
    "audit.tasks.check_liveness": "sweep",  # its worker does not hang with the charges
    "audit.tasks.record_audit": "payments",  # it asks the provider, whom the orders worker never waits for
    "audit.tasks.reconcile": "payments",
    "audit.tasks.refund_surplus": "payments",
    "events_out.tasks.delete_old_deliveries": "mails",
    "events_out.tasks.deliver_to_endpoint": "webhooks",  # whoever is told may take long, or never answer
    "events_out.tasks.send_due_mails": "mails",
    "events_out.tasks.sweep_events": "sweep",
    "orders.tasks.finalize_order": "orders",
    "orders.tasks.record_refund": "orders",
    "orders.tasks.send_due_mails": "mails",
    "orders.tasks.sweep_lost_orders": "sweep",
    "orders.tasks.sweep_refunds": "sweep",
    "orders.tasks.sweep_stuck_orders": "sweep",  # or a backlog of orders would hold up the repair
    "payments.tasks.cancel_payment": "payments",
    "payments.tasks.charge_payment": "payments",
    "payments.tasks.check_refund": "payments",
    "payments.tasks.delete_old_webhook_events": "mails",
    "payments.tasks.look_up_dispute": "payments",
    "payments.tasks.process_webhook_event": "payments",
    "payments.tasks.refund_payment": "payments",
    "payments.tasks.sweep_webhook_events": "sweep",
    "privacy.tasks.archive_orders": "mails",
}
task_default_queue = "orders"
task_queues = BROKER.make_queues(QUEUES.values())
task_routes = {task: {"queue": queue, **BROKER.route_options} for task, queue in QUEUES.items()}
task_acks_late = BROKER.redelivers  # where it does not, a message is acknowledged when its task starts
task_ignore_result = True
task_publish_retry_policy = RETRY
task_time_limit = settings.TASK_TIME_LIMIT  # seconds, of a task that names no other limit

worker_consumer = "config.consumer.Consumer"
worker_hijack_root_logger = False
worker_prefetch_multiplier = 1
worker_disable_rate_limits = True
CELERY_DB_REUSE_MAX = 1_000_000_000  # the one old name that Celery still reads: see config/celery.py

beat_scheduler = "config.beat.Scheduler"


def schedule_task(task: str, every: float, *, expires: float) -> dict[str, Any]:
    """An entry of beat's schedule; in seconds. Ticks expire, or they would pile up while no worker runs."""
    options = {"expires": max(expires, settings.CLOCK_SKEW), "headers": {"version": settings.VERSION}}
    return {"task": task, "schedule": every, "options": options}


beat_schedule = {
    "sweep-stuck-orders": schedule_task(
        "orders.tasks.sweep_stuck_orders", settings.SWEEP_EVERY, expires=settings.SWEEP_EVERY
    ),
    "sweep-webhook-events": schedule_task(
        "payments.tasks.sweep_webhook_events", settings.SWEEP_EVERY, expires=settings.SWEEP_EVERY
    ),
    "sweep-events": schedule_task("events_out.tasks.sweep_events", settings.SWEEP_EVERY, expires=settings.SWEEP_EVERY),
    "sweep-refunds": schedule_task("orders.tasks.sweep_refunds", settings.SWEEP_EVERY, expires=settings.SWEEP_EVERY),
    "send-due-mails": schedule_task("orders.tasks.send_due_mails", settings.MAIL_EVERY, expires=settings.MAIL_EVERY),
    "check-liveness": schedule_task("audit.tasks.check_liveness", 20, expires=20),
    "audit-orders": schedule_task("audit.tasks.record_audit", settings.AUDIT_EVERY, expires=settings.AUDIT_EVERY),
    "reconcile": schedule_task("audit.tasks.reconcile", settings.RECONCILE_EVERY, expires=settings.RECONCILE_EVERY),
    "clear-sessions": schedule_task("accounts.tasks.clear_sessions", 24 * 3600, expires=3600),
    "send-endpoint-mails": schedule_task("events_out.tasks.send_due_mails", 60, expires=60),
    "delete-old-deliveries": schedule_task("events_out.tasks.delete_old_deliveries", 24 * 3600, expires=3600),
    "delete-old-mails": schedule_task("accounts.tasks.delete_old_mails", 24 * 3600, expires=3600),
    "delete-old-calls": schedule_task("api.tasks.delete_old_calls", 24 * 3600, expires=3600),
    "delete-old-webhook-events": schedule_task("payments.tasks.delete_old_webhook_events", 24 * 3600, expires=3600),
}
if settings.ARCHIVE_DIR:
    beat_schedule["archive-orders"] = schedule_task(
        "privacy.tasks.archive_orders", settings.ARCHIVE_EVERY, expires=settings.ARCHIVE_EVERY
    )
