"""`manage.py check` of how the shop is set up. docs/operating.md lists all checks of the family."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections
from kombu import Connection
from kombu.exceptions import OperationalError

from audit.doctor.broker import (
    evicts_queues,
    find_longest_task,
    find_other_kind,
    read_eviction_policy,
    read_visibility_timeout,
)
from catalog.models import Product
from config.celery import app
from config.postgresql import PATIENCE
from money.currencies import is_currency
from orders.tasks import sweep_stuck_orders


@register
def check_sweep_is_scheduled(**_: Any) -> list[CheckMessage]:
    if any(entry["task"] == sweep_stuck_orders.name for entry in app.conf.beat_schedule.values()):
        return []
    hint = (
        f"Schedule {sweep_stuck_orders.name} in config/celery_settings.py: an order whose message is lost never ends."
    )
    return [Error("Beat's schedule lacks the sweep.", hint=hint, id="orderly.E003")]


@register
def check_visibility_timeout(**_: Any) -> list[CheckMessage]:
    timeout, (limit, name) = read_visibility_timeout(), find_longest_task()
    if timeout is None or timeout > limit:
        return []
    return [
        Error(
            f"visibility_timeout is {timeout:g} seconds, and {name} may run for {limit:g}.",
            hint="Make visibility_timeout longer, or Redis delivers a message again that still waits behind that task.",
            id="orderly.E004",
        )
    ]


@register
def check_currency(**_: Any) -> list[CheckMessage]:
    """The environment's value is refused at start. Here it may come from anywhere."""
    if is_currency(settings.SHOP_CURRENCY):
        return []
    hint = "Set SHOP_CURRENCY to the ISO 4217 code of a currency that is legal tender, such as GBP or KRW."
    return [Error(f"SHOP_CURRENCY is {settings.SHOP_CURRENCY!r}.", hint=hint, id="orderly.E006")]


@register(Tags.security)
def check_outside_local(**_: Any) -> list[CheckMessage]:
    """What only a shop on this machine may do."""
    if settings.LOCAL:
        return []
    found: list[CheckMessage] = []
    if settings.DEBUG:
        hint = "Unset DEBUG: its error pages show the code, the settings and the customer's data to everybody."
        found.append(Error("DEBUG is on outside a LOCAL shop.", hint=hint, id="orderly.E007"))
    if urlsplit(settings.SHOP_URL).scheme == "http":
        hint = "Begin it with https://: mails have links in them that reset a password."
        found.append(Error("SHOP_URL is without TLS.", hint=hint, id="orderly.E008"))
    if urlsplit(settings.STRIPE_API_BASE).scheme == "http":
        hint = "Begin it with https://, or leave it empty: every request has the secret key in it."
        found.append(Error("STRIPE_API_BASE is without TLS.", hint=hint, id="orderly.E009"))
    if urlsplit(settings.STRIPE_JS_URL).scheme == "http":
        hint = "Begin it with https://, or leave it empty: whoever changes that script on its way reads the cards."
        found.append(Error("STRIPE_JS_URL is without TLS.", hint=hint, id="orderly.E011"))
    return found


@register
def check_keys_belong_together(**_: Any) -> list[CheckMessage]:
    """Stripe's test and live keys know nothing of each other, so a token of the one is refused by the other."""
    modes = {mode for key in (settings.STRIPE_API_KEY, settings.STRIPE_PUBLISHABLE_KEY) for mode in find_mode(key)}
    if len(modes) < 2:
        return []
    hint = "Take both from the same page of Stripe's dashboard: sk_live_ and pk_live_, or sk_test_ and pk_test_."
    message = "STRIPE_API_KEY and STRIPE_PUBLISHABLE_KEY are a live and a test key: every card is declined."
    return [Error(message, hint=hint, id="orderly.E012")]


@register
def check_writing_host_is_chosen(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for alias, database in settings.DATABASES.items():
        chosen = database["OPTIONS"].get("target_session_attrs", "any")
        if "," in database["HOST"] and chosen not in ("read-write", "primary"):
            name = "DATABASE_DIRECT_URL" if alias == "direct" else "DATABASE_URL"
            hint = f"Append ?target_session_attrs=read-write to {name}."
            message = f"{name} has several hosts, and any of them is taken: a standby refuses every write."
            found.append(Error(message, hint=hint, id="orderly.E024"))
    return found


@register(Tags.database)
def check_role_is_patient(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """A pooler of transactions passes on no timeouts of a session, so the role has to have them."""
    if settings.DATABASE_POOLER == "none" or "default" not in (databases or []):
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0'", [list(PATIENCE)])
        missing = ", ".join(sorted(name for (name,) in cursor.fetchall()))
    if not missing:
        return []
    hint = "Run manage.py migrate --database direct, then RECONNECT at PgBouncer: it has sessions of before."
    message = f"The sessions behind the pooler have no {missing}: a lock or a dead peer can hold an order for ever."
    return [Error(message, hint=hint, id="orderly.E025")]


@register(deploy=True)
def check_pooler_is_tested(**_: Any) -> list[CheckMessage]:
    if settings.DATABASE_POOLER != "transaction+prepared":
        return []
    hint = "Set DATABASE_POOLER=transaction unless you have tried it. It needs PgBouncer 1.22 and libpq 17, or newer."
    return [Warning("Statements are prepared through the pooler. No test covers that.", hint=hint, id="orderly.W007")]


@register
def check_waiting_room_can_count(**_: Any) -> list[CheckMessage]:
    if settings.WAITING_ROOM == "off" or settings.REDIS_URL:
        return []
    who = "nobody" if settings.WAITING_ROOM_WITHOUT_REDIS == "closed" else "everybody"
    hint = "Set REDIS_URL, or set WAITING_ROOM=off."
    return [Error(f"The waiting room has no Redis, so {who} is let in.", hint=hint, id="orderly.E027")]


@register(Tags.database, deploy=True)  # not for the first `migrate`, which finds no products at all
def check_waiting_rooms_have_products(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if settings.WAITING_ROOM != "products" or "default" not in (databases or []):
        return []
    known = Product.objects.filter(sku__in=settings.WAITING_ROOM_SKUS).values_list("sku", flat=True)
    wrong = ", ".join(sorted(set(settings.WAITING_ROOM_SKUS) - set(known)))
    if settings.WAITING_ROOM_SKUS and not wrong:
        return []
    hint = "Name the products of the rush in WAITING_ROOM_SKUS, as the catalogue has them."
    message = f"The waiting room is in front of no product: {wrong or 'none is named'}."
    return [Error(message, hint=hint, id="orderly.E028")]


def find_mode(key: str) -> list[str]:
    return re.findall(r"^(?:sk|rk|pk)_(live|test)_", key)


@register(deploy=True)
def check_mails_leave(**_: Any) -> list[CheckMessage]:
    if settings.LOCAL or "console" not in settings.MAILER["BACKEND"]:
        return []
    hint = "Set EMAIL_URL, such as smtp+tls://user:password@mail.example.com:587."
    return [Warning("Mails are printed, and reach nobody.", hint=hint, id="orderly.W003")]


@register(deploy=True)
def check_limits_are_counted(**_: Any) -> list[CheckMessage]:
    if settings.REDIS_URL:
        return []
    hint = "Set REDIS_URL, or limit at the proxy: a bot may reserve all stock, and try stolen cards."
    return [Warning("Without Redis the hourly limits do not apply.", hint=hint, id="orderly.W006")]


@register(deploy=True)
def check_broker(**_: Any) -> list[CheckMessage]:
    """Ask the broker itself."""
    connection: Any
    with app.connection_for_write() as connection:
        try:
            if connection.transport.driver_type == "redis":
                return check_redis(connection.default_channel.client)
            return check_queues(connection)
        except (*connection.connection_errors, *connection.channel_errors, OperationalError) as error:
            hint = "Start it, or correct BROKER_URL (REDIS_URL where that is not set); then check again."
            return [Warning(f"The broker can't be asked how it is set up: {error}", hint=hint, id="orderly.W004")]


def check_redis(client: "redis.Redis") -> list[CheckMessage]:
    if str(client.info("cluster").get("cluster_enabled", 0)) == "1":
        hint = "Use one Redis, Redis with Sentinel, or RabbitMQ: Celery's commands need all keys on one server."
        return [Error("The broker is a Redis Cluster.", hint=hint, id="orderly.E022")]
    policy = read_eviction_policy(client)
    if not evicts_queues(policy):
        return []
    hint = "Set maxmemory-policy to noeviction: a queue that is evicted is swept up later, and customers wait for it."
    return [Warning(f"The broker evicts queues when its memory is full ({policy}).", hint=hint, id="orderly.W002")]


def check_queues(connection: Connection) -> list[CheckMessage]:
    if not (refused := find_other_kind(connection)):
        return []
    queue, words = refused
    hint = f"Delete the queue {queue.name} at RabbitMQ while no worker runs. The sweep publishes its orders again."
    message = f"RabbitMQ has the queue {queue.name} as another kind of queue: {words}"
    return [Error(message, hint=hint, id="orderly.E023")]
