"""`manage.py check` says of each way to set up a shop wrongly what to do about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import patch

import pytest
import redis
from django.conf import LazySettings
from django.core.checks import CheckMessage, run_checks
from django.utils.module_loading import autodiscover_modules
from kombu import Connection, Queue

from audit.doctor.broker import examine_queues
from audit.doctor.findings import Verdict
from audit.tasks import record_audit
from config.broker import configure_broker
from config.celery import app
from config.checks import check_waiting_room_can_count, check_waiting_rooms_have_products
from lab.stack.embedded import free_port, valkey
from lab.stack.processes import Supervisor
from lab.stack.rabbitmq import PROGRAM, rabbitmq
from lab.stack.shop import WORKERS
from lab.stack.var import BASE_DIR
from tests.builders import make_product

OPERATING = (BASE_DIR / "docs" / "operating.md").read_text()
SOURCES = list(BASE_DIR.glob("*/checks.py"))
SAFE = {
    "DEBUG": False,
    "LOCAL": False,
    "MAILER": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"},
    "SHOP_URL": "https://shop.example.com",
    "STRIPE_API_BASE": "",
    "STRIPE_JS_URL": "",
    "WEBHOOK_NETWORKS": [],
}


def find(*, deploy: bool = False) -> list[str]:
    """The ids of our own messages. Each has a hint."""
    found: list[CheckMessage] = run_checks(include_deployment_checks=deploy)
    ours = [message for message in found if (message.id or "").startswith("orderly.")]
    assert all(message.hint for message in ours)
    return [str(message.id) for message in ours]


@pytest.fixture
def _safe(settings: LazySettings) -> None:
    for name, value in SAFE.items():
        setattr(settings, name, value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PAYMENT_GATEWAYS", {"stripe": "payments.stripe.Nobody"}, ["orderly.E001"]),
        ("PAYMENT_GATEWAYS", {"stripe": "payments.models.Payment"}, ["orderly.E002"]),
        ("PAYMENT_GATEWAYS", {"stripe": "payments.stripe.StripeGateway"}, []),
        ("WEBHOOK_NETWORKS", [ip_network("0.0.0.0/0")], ["orderly.E032"]),
        ("PAYMENT_NEWS_HOOK", "orders.tasks.nothing", ["orderly.E010"]),
        ("PAYMENT_NEWS_HOOK", "orders.tasks.logger", ["orderly.E010"]),
        ("DISPUTE_NEWS_HOOK", "orders.disputes.nothing", ["orderly.E019"]),
        ("SWEEP_AFTER", 10.9, ["orderly.E005"]),
        ("SWEEP_AFTER", 11, []),
        ("SHOP_CURRENCY", "XAU", ["orderly.E006"]),
        ("SHOP_CURRENCY", "KRW", []),
        ("DEBUG", True, ["orderly.E007"]),
        ("SHOP_URL", "http://shop.example.com", ["orderly.E008"]),
        ("SHOP_URL", "", []),
        ("STRIPE_API_BASE", "http://10.0.0.1", ["orderly.E009"]),
        ("STRIPE_API_BASE", "https://api.example.com", []),
        ("STRIPE_JS_URL", "http://10.0.0.1/stripe.js", ["orderly.E011"]),
        ("STRIPE_JS_URL", "https://js.example.com/stripe.js", []),
        ("STRIPE_API_KEY", "sk_live_1", ["orderly.E012"]),
        ("STRIPE_API_KEY", "rk_live_1", ["orderly.E012"]),
        ("STRIPE_API_KEY", "rk_test_1", []),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_1", ["orderly.E012"]),
        ("STRIPE_PUBLISHABLE_KEY", "", []),
    ],
)
@pytest.mark.usefixtures("_safe")
def test_a_wrong_setting_is_found(settings: LazySettings, name: str, value: object, expected: list[str]) -> None:
    settings.STRIPE_TIMEOUT = 10
    setattr(settings, name, value)

    assert find() == expected


def test_a_shop_on_this_machine_may_do_without_tls(settings: LazySettings) -> None:
    assert settings.LOCAL
    settings.DEBUG = True
    settings.SHOP_URL = settings.STRIPE_API_BASE = settings.STRIPE_JS_URL = "http://127.0.0.1:8000"

    assert find(deploy=True) == []


def test_a_checkout_that_takes_no_money_is_found(settings: LazySettings) -> None:
    settings.SHOP_PAYMENT_METHODS = []
    assert find() == []
    settings.STRIPE_PUBLISHABLE_KEY = ""
    assert find() == ["orderly.W005"]
    settings.SHOP_PAYMENT_METHODS = [("transfer", "By bank transfer")]
    assert find() == []


def test_a_shop_that_takes_transfers_alone_offers_a_way_to_pay(settings: LazySettings, transfers: None) -> None:
    settings.SHOP_PAYMENT_METHODS, settings.STRIPE_PUBLISHABLE_KEY = [], ""
    assert find() == []
    settings.CHECKOUT_GATEWAYS = ["stripe"]
    assert find() == ["orderly.W005"]


def test_a_sweep_that_does_not_wait_for_a_gateway_is_found(settings: LazySettings, transfers: None) -> None:
    settings.STRIPE_TIMEOUT, settings.SWEEP_AFTER = 1, 2.5  # long enough for Stripe alone
    assert find() == ["orderly.E005"]
    settings.SWEEP_AFTER = 3
    assert find() == []


def test_a_schedule_without_the_sweep_is_found() -> None:
    without = {name: entry for name, entry in app.conf.beat_schedule.items() if name != "sweep-stuck-orders"}

    with patch.dict(app.conf.beat_schedule, without, clear=True):
        assert find() == ["orderly.E003"]


@pytest.mark.parametrize(("timeout", "expected"), [(1800, ["orderly.E004"]), (1801, [])])
def test_a_message_that_is_delivered_again_while_a_task_runs_is_found(timeout: int, expected: list[str]) -> None:
    assert record_audit.time_limit == 1800  # the longest

    with patch.dict(app.conf.broker_transport_options, {"visibility_timeout": timeout}):
        assert find() == []  # as the shop is set up, no message is delivered again
        with patch.dict(app.conf.broker_transport_options, {"ack_emulation": True}):
            assert find() == expected


# --- deployment checks


@pytest.mark.usefixtures("_safe")
def test_a_shop_whose_mails_are_printed_is_found(settings: LazySettings) -> None:
    settings.MAILER = {"BACKEND": "django.core.mail.backends.console.EmailBackend"}

    assert find() == []
    assert find(deploy=True) == ["orderly.W003"]


@pytest.fixture
def broker(settings: LazySettings) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("policy", "expected"), [("allkeys-lru", ["orderly.W002"]), ("volatile-ttl", []), ("noeviction", [])]
)
def test_a_broker_that_evicts_queues_is_found(broker: "redis.Redis", policy: str, expected: list[str]) -> None:
    broker.config_set("maxmemory-policy", policy)

    assert find() == []
    assert find(deploy=True) == expected


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:9/0", "amqp://ann:hunter2@127.0.0.1:9//"])
def test_a_broker_that_does_not_answer_is_found(url: str) -> None:
    with use_broker(url):
        [message] = [found for found in run_checks(include_deployment_checks=True) if found.id == "orderly.W004"]

    assert "hunter2" not in str(message)


@contextmanager
def use_broker(url: str) -> Iterator[None]:
    broker = configure_broker(url, prefix="", timeout=5)
    changed = {"broker_write_url": broker.url, "broker_transport_options": broker.options}
    queues = broker.make_queues(["payments", "orders"])
    with patch.dict(app.conf, {**changed, "task_queues": queues}):
        yield


def test_a_redis_cluster_is_found(tmp_path: Path) -> None:
    folder, log = tmp_path / "valkey", tmp_path / "log"
    ports = {"cluster-port": str(free_port())}  # otherwise one among those of clients
    process, url = valkey(folder, log=log, settings={"cluster-enabled": "yes", **ports})
    with Supervisor() as supervisor, use_broker(url):
        supervisor.start(process)
        assert find(deploy=True) == ["orderly.E022"]


@pytest.mark.skipif(not PROGRAM.exists(), reason="RabbitMQ is not installed")
def test_a_queue_of_another_kind_is_found(tmp_path: Path) -> None:
    processes, url = rabbitmq(tmp_path / "rabbitmq", log=tmp_path / "log")
    with Supervisor() as supervisor, use_broker(url):
        supervisor.start(*processes)
        assert examine_queues() == (Verdict.WARNING, "not there yet: orders, payments")
        assert find(deploy=True) == []
        assert examine_queues() == (Verdict.OK, "x-queue-type quorum, x-delivery-limit 5")
        with Connection(url) as connection:
            classic = Queue("orders", channel=connection.default_channel)
            classic.delete()
            classic.declare()
            assert find(deploy=True) == ["orderly.E023"]
            assert examine_queues().verdict == Verdict.ERROR


@pytest.mark.parametrize(
    ("host", "chosen", "expected"),
    [
        ("one", "any", []),
        ("one,two", "any", ["orderly.E024"]),
        ("one,two", "prefer-standby", ["orderly.E024"]),
        ("one,two", "read-write", []),
    ],
)
def test_a_database_that_may_be_a_standby_is_found(
    settings: LazySettings, host: str, chosen: str, expected: list[str]
) -> None:
    database = {**settings.DATABASES["default"], "HOST": host, "OPTIONS": {"target_session_attrs": chosen}}
    with patch.dict(settings.DATABASES, {"default": database}):
        assert find() == expected


def test_a_way_of_pooling_that_no_test_covers_is_found(settings: LazySettings) -> None:
    settings.DATABASE_POOLER = "transaction+prepared"

    assert find() == []
    assert find(deploy=True) == ["orderly.W007"]


def test_a_shop_without_limits_is_found(settings: LazySettings) -> None:
    settings.REDIS_URL = ""

    assert find() == []
    assert find(deploy=True) == ["orderly.W006"]


@pytest.mark.parametrize(("without_redis", "who"), [("open", "everybody"), ("closed", "nobody")])
def test_a_waiting_room_without_redis_is_found(settings: LazySettings, without_redis: str, who: str) -> None:
    settings.WAITING_ROOM, settings.WAITING_ROOM_WITHOUT_REDIS = "checkout", without_redis
    assert find() == []

    settings.REDIS_URL = ""
    assert find() == ["orderly.E027"]
    assert who in str(check_waiting_room_can_count())


@pytest.mark.django_db
@pytest.mark.parametrize(("skus", "wrong"), [(["MUG"], ""), (["MUG", "MGU"], "MGU"), ([], "none is named")])
def test_a_waiting_room_in_front_of_no_product_is_found(settings: LazySettings, skus: list[str], wrong: str) -> None:
    make_product("MUG")
    settings.WAITING_ROOM, settings.WAITING_ROOM_SKUS = "products", skus

    found = check_waiting_rooms_have_products(databases=["default"])

    assert [message.id for message in found] == (["orderly.E028"] if wrong else [])
    assert wrong in str(found)


# --- what the page for operators says


def test_the_page_lists_every_check_once() -> None:
    used = re.findall(r'id="(orderly\.[EW]\d+)"', "".join(path.read_text() for path in SOURCES))
    listed = re.findall(r"^\| `(orderly\.[EW]\d+)`", OPERATING, re.MULTILINE)

    assert sorted(listed) == sorted(used)
    assert len(set(used)) == len(used)


def list_queues() -> dict[str, list[str]]:
    return {name: options.split("--queues ")[1].split()[0].split(",") for name, options in WORKERS.items()}


def test_every_task_goes_to_a_queue_that_one_worker_reads() -> None:
    autodiscover_modules("tasks")
    read = [queue for queues in list_queues().values() for queue in queues]
    routes: dict[str, dict[str, str]] = app.conf.task_routes

    assert routes.keys() == {name for name in app.tasks if not name.startswith("celery.")}
    assert sorted({route["queue"] for route in routes.values()}) == sorted(read)


def test_the_page_has_the_workers_of_the_stack() -> None:
    processes = OPERATING.partition("## Processes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| worker `(\w+)` \| (.+?) \|", processes, re.MULTILINE)

    assert {name: re.findall(r"`(\w+)`", queues) for name, queues in rows} == list_queues()
