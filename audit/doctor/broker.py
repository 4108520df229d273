"""Whether the broker keeps messages, hands each out once, and does not lose what it is told."""

from collections.abc import Callable

import redis
from amqp.exceptions import PreconditionFailed
from celery import current_app
from django.conf import settings
from django.utils.module_loading import autodiscover_modules
from django_redis import get_redis_connection
from kombu import Connection, Queue

from audit.broker import count_messages, open_broker
from audit.doctor.findings import Examination, Seen, Verdict, judge

NOT_REDIS = Seen(Verdict.OK, "the broker is not Redis")
NOT_RABBITMQ = Seen(Verdict.OK, "the broker is not RabbitMQ")


def ask_redis(question: Callable[["redis.Redis"], Seen]) -> Seen:
    with open_broker() as broker:
        if broker.transport.driver_type != "redis":
            return NOT_REDIS
        return question(broker.default_channel.client)


def read_eviction_policy(client: "redis.Redis") -> str:
    """INFO is allowed where a hosted Redis forbids CONFIG."""
    return str(client.info("memory").get("maxmemory_policy", ""))


def evicts_queues(policy: str) -> bool:
    """Volatile policies evict only keys that expire, and a queue never does."""
    return policy.startswith("allkeys")


def examine_eviction() -> Seen:
    def ask(client: "redis.Redis") -> Seen:
        policy = read_eviction_policy(client)
        return judge(not evicts_queues(policy), f"maxmemory-policy is {policy}", otherwise=Verdict.WARNING)

    return ask_redis(ask)


def examine_persistence() -> Seen:
    return ask_redis(_ask_for_persistence)


def _ask_for_persistence(client: "redis.Redis") -> Seen:
    known = client.info("persistence")
    failed = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if known.get(name, "ok") != "ok"]
    if failed:
        return Seen(Verdict.ERROR, f"{', '.join(failed)}: the last write to its disk failed")
    if known.get("aof_enabled"):
        return Seen(Verdict.OK, "an append-only file")
    try:
        snapshots = client.config_get("save").get("save")
    except redis.ResponseError:  # a hosted Redis
        return Seen(Verdict.UNKNOWN, "no append-only file, and CONFIG is forbidden")
    return judge(bool(snapshots), f"snapshots ({snapshots})" if snapshots else "none", otherwise=Verdict.WARNING)


def find_longest_task() -> tuple[float, str]:
    """The longest time limit of a task in seconds, and whose it is."""
    autodiscover_modules("tasks")  # a worker has done so; a command has not
    return max((task.time_limit or 0, name) for name, task in current_app.tasks.items())


def read_visibility_timeout() -> float | None:
    """The seconds after which Redis hands a message out again; None: it never does."""
    options = current_app.conf.broker_transport_options
    if settings.BROKER_URL.startswith("amqp") or not options.get("ack_emulation", True):
        return None
    return float(options.get("visibility_timeout", 3600))  # kombu's own


def examine_visibility() -> Seen:
    timeout, (limit, name) = read_visibility_timeout(), find_longest_task()
    if timeout is None:
        return Seen(Verdict.OK, "no message is handed out again after a time")
    return judge(timeout > limit, f"visibility_timeout is {timeout:g} seconds, and {name} may run for {limit:g}")


def examine_queues() -> Seen:
    with open_broker() as broker:
        if broker.transport.driver_type != "amqp":
            return NOT_RABBITMQ
        missing = [queue.name for queue in current_app.conf.task_queues if count_messages(broker, queue) is None]
        if missing:  # examined, and not made: the workers make them
            return Seen(Verdict.WARNING, f"not there yet: {', '.join(missing)}")
        if refused := find_other_kind(broker):
            return Seen(Verdict.ERROR, f"{refused[0].name} is another kind of queue: {refused[1]}")
    kind = current_app.conf.task_queues[0].queue_arguments
    return Seen(Verdict.OK, ", ".join(f"{name} {value}" for name, value in kind.items()))


def find_other_kind(broker: "Connection") -> tuple[Queue, str] | None:
    """Declare each queue as a worker does. RabbitMQ refuses if it has one of that name and other arguments."""
    for queue in current_app.conf.task_queues:
        try:
            queue(broker.channel()).declare()
        except PreconditionFailed as error:
            return queue, error.reply_text or ""
    return None


def examine_confirms() -> Seen:
    if not settings.BROKER_URL.startswith("amqp"):
        return NOT_RABBITMQ
    confirmed = current_app.conf.broker_transport_options.get("confirm_publish", False)
    return judge(bool(confirmed), "every message is confirmed" if confirmed else "no message is confirmed")


def examine_limits() -> Seen:
    if not settings.REDIS_URL:
        return Seen(Verdict.WARNING, "there is no Redis")
    get_redis_connection().ping()
    return Seen(Verdict.OK, "Redis answers")


EXAMINATIONS = [
    Examination(
        id="broker.eviction",
        reason="A Redis whose memory is full throws whole queues away: their orders wait for the sweep.",
        remedy="`maxmemory-policy noeviction` in redis.conf",
        examine=examine_eviction,
    ),
    Examination(
        id="broker.persistence",
        reason="After a start of Redis without its messages, every order that is on its way waits for the sweep.",
        remedy="`appendonly yes` in redis.conf, and room on its disk",
        examine=examine_persistence,
    ),
    Examination(
        id="broker.visibility",
        reason="Redis hands a message out again that still waits behind a long task, so tasks run twice.",
        remedy="`ack_emulation` off in config/broker.py, or a `visibility_timeout` longer than the longest task",
        examine=examine_visibility,
    ),
    Examination(
        id="broker.queues",
        reason="A quorum queue outlives its node, and its limit ends a message that kills each worker.",
        remedy="delete the queue at RabbitMQ while no worker runs; the workers make it anew",
        examine=examine_queues,
    ),
    Examination(
        id="broker.confirms",
        reason="Without confirms a message that no queue has taken counts as published.",
        remedy="`confirm_publish` in config/broker.py",
        examine=examine_confirms,
    ),
    Examination(
        id="broker.limits",
        reason="While Redis is away nobody counts orders, declined cards and log-ins, so a bot has no limit.",
        remedy="`REDIS_URL`, or a limit at the proxy",
        examine=examine_limits,
    ),
]
