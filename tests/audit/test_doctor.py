"""The doctor names each thing that is wrong with a deployment, and nothing where all is well."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
import redis
from django.conf import LazySettings
from django.core.management.color import no_style
from django.db import connection
from django.db.models.functions import Now

from audit.database import count_sessions
from audit.doctor.database import read_setting
from audit.doctor.examination import EXAMINATIONS, examine_alone, examine_deployment, examine_within
from audit.doctor.findings import Examination, Seen, Verdict
from audit.management.commands.doctor import write_text
from audit.models import AuditRun, Tick
from config.celery import app
from lab.stack.shop import run_stack
from lab.stack.stack import Stack
from lab.stack.var import BASE_DIR
from orders.models import Order
from payments.models import Payment
from payments.webhook_models import WebhookEvent
from tests.builders import answer_payment, make_order, tamper
from tests.servers import GIVEN

OPERATING = BASE_DIR / "docs" / "operating.md"
OK, WARNING, ERROR, UNKNOWN = Verdict
BY_ID = {examination.id: examination for examination in EXAMINATIONS}
SERVER = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}"
STRANGER = "orderly 0123456789ab"  # how PostgreSQL lists a session of other code

database = pytest.mark.django_db


def examine(name: str) -> Seen:
    return BY_ID[name].examine()


# --- a whole shop


@pytest.fixture(scope="module")
def shop() -> Iterator[Stack]:
    """On a PostgreSQL that keeps what it has answered."""
    with run_stack(caller={**GIVEN, "SWEEP_EVERY": "1", "MAIL_EVERY": "1"}, fsync=True, forking=True) as running:
        yield running


def read_findings(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """What is not ok, by id."""
    findings = json.loads(done.stdout)["findings"]
    assert [finding["id"] for finding in findings] == list(BY_ID)
    return {finding["id"]: finding["verdict"] for finding in findings if finding["verdict"] != OK}


def wait_for_first_runs(shop: Stack) -> None:
    """Until beat has said its version, and the first audit is over."""
    done = "SELECT (SELECT count(*) FROM audit_auditrun), (SELECT count(*) FROM audit_tick WHERE version <> '')"
    assert shop.manage("shell", "-c", "from audit.tasks import record_audit; record_audit.delay()").returncode == 0
    with psycopg.connect(shop.environment["DATABASE_URL"], autocommit=True) as session:
        deadline = time.monotonic() + 30
        while not all(session.execute(done).fetchone() or ()):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_sound_shop_is_found_sound_and_one_without_beat_and_a_worker_is_not(shop: Stack) -> None:
    wait_for_first_runs(shop)

    sound = shop.manage("doctor", "--json")

    assert read_findings(sound) == {}
    assert sound.returncode == 0

    shop.supervisor.stop(shop.process("beat"), shop.process("mails"))
    with psycopg.connect(shop.environment["DATABASE_URL"], autocommit=True, application_name=STRANGER) as session:
        session.execute("UPDATE audit_tick SET ended_at = ended_at - interval '1 hour', version = 'old'")
        broken = shop.manage("doctor", "--json")

    assert read_findings(broken) == {
        "processes.ticks": ERROR,
        "processes.workers": WARNING,
        "processes.versions": WARNING,
    }
    assert "no answer from who reads mails" in broken.stdout
    assert "1 of the shop's sessions of 0123456789ab; beat of old" in broken.stdout
    assert broken.returncode == 1


def test_a_database_that_is_away_hides_nothing_else(shop: Stack) -> None:
    away = Stack(
        folder=shop.folder,
        supervisor=shop.supervisor,
        caller_environment=shop.caller_environment,
        environment={**shop.environment, "DATABASE_URL": "postgres://ann:hunter2@127.0.0.1:9/orderly"},
    )

    done = away.manage("doctor")

    assert done.returncode == 2
    assert "unknown  database.fsync" in done.stdout
    assert "ok       broker.eviction" in done.stdout
    assert "unknown  money.stuck" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


# --- PostgreSQL


@pytest.fixture
def server() -> Iterator["psycopg.Connection[Any]"]:
    """A session that may change the settings of the tests' own server. All of them are put back."""
    with psycopg.connect(SERVER.format(**connection.settings_dict), autocommit=True) as session:
        yield session
        session.execute("ALTER SYSTEM RESET ALL")
        session.execute("SELECT pg_reload_conf()")


def change(server: "psycopg.Connection[Any]", **values: str) -> None:
    """Change settings, and wait until the session of the test has them."""
    for name, value in values.items():
        server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 10
    while any(read_setting(name) != value for name, value in values.items()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@database
@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("database.fsync", {}, (ERROR, "off")),  # the tests' own server has none
        ("database.full_page_writes", {}, (OK, "on")),
        ("database.full_page_writes", {"full_page_writes": "off"}, (ERROR, "off")),
        ("database.synchronous_commit", {}, (OK, "on")),
        ("database.synchronous_commit", {"synchronous_commit": "off"}, (ERROR, "off")),
        ("database.synchronous_commit", {"synchronous_commit": "local"}, (OK, "local")),
        ("database.standby", {}, (OK, "no standby is waited for")),
        ("database.migrations", {}, (OK, "all are applied")),
    ],
)
def test_the_doctor_reads_each_setting_of_postgresql(
    server: "psycopg.Connection[Any]", name: str, values: dict[str, str], found: tuple[Verdict, str]
) -> None:
    change(server, **values)

    assert examine(name) == found


@database
def test_a_standby_that_is_waited_for_and_does_not_follow_is_an_error(server: "psycopg.Connection[Any]") -> None:
    change(server, synchronous_standby_names="nobody", synchronous_commit="local")

    assert examine("database.standby_names") == (OK, "nobody")
    assert examine("database.standby") == (ERROR, "none of nobody is connected")
    assert examine("database.synchronous_commit").verdict == WARNING


@database
def test_a_standby_that_nobody_waits_for_is_an_error(settings: LazySettings) -> None:
    assert examine("database.standby_names").verdict == OK

    with patch.dict(settings.DATABASES["default"], {"HOST": "one,two"}):
        assert examine("database.standby_names").verdict == ERROR


@database
def test_a_role_that_has_hardly_a_session_left_is_warned_of(server: "psycopg.Connection[Any]") -> None:
    assert examine("database.sessions").verdict == OK

    server.execute("ALTER ROLE CURRENT_USER CONNECTION LIMIT 2")
    try:
        assert examine("database.sessions").verdict == WARNING
    finally:
        server.execute("ALTER ROLE CURRENT_USER CONNECTION LIMIT -1")


@database
def test_a_plain_role_counts_the_sessions_of_others_but_not_against_its_own_limit() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE plain CONNECTION LIMIT 3")  # gone with the test's transaction
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        (everybodys,) = cursor.fetchone()
        cursor.execute("SET LOCAL ROLE plain")

    used, most = count_sessions()

    assert everybodys > 0
    assert used >= everybodys
    assert most > 3


@database
@pytest.mark.parametrize(("seconds", "verdict"), [(0, OK), (31, WARNING), (-61, ERROR)])
def test_a_clock_that_is_off_is_found(seconds: float, verdict: Verdict) -> None:
    now = time.time
    with patch("audit.ticks.time.time", lambda: now() + seconds):
        assert examine("database.clock").verdict == verdict


@database
def test_a_migration_that_is_missing_is_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit' AND name = '0005_ledger_passes'")

    assert examine("database.migrations") == (ERROR, "1 are not applied, the first is audit.0005_ledger_passes")


# --- the broker


@pytest.fixture
def broker(settings: LazySettings) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client
        for name, value in {"maxmemory-policy": "noeviction", "appendonly": "yes", "save": ""}.items():
            client.config_set(name, value)


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("broker.eviction", {}, (OK, "maxmemory-policy is noeviction")),
        ("broker.eviction", {"maxmemory-policy": "allkeys-lru"}, (WARNING, "maxmemory-policy is allkeys-lru")),
        ("broker.persistence", {}, (OK, "an append-only file")),
        ("broker.persistence", {"appendonly": "no", "save": "60 1"}, (OK, "snapshots (60 1)")),
        ("broker.persistence", {"appendonly": "no"}, (WARNING, "none")),
    ],
)
def test_the_doctor_reads_each_setting_of_redis(
    broker: "redis.Redis", name: str, values: dict[str, str], found: tuple[Verdict, str]
) -> None:
    for key, value in values.items():
        broker.config_set(key, value)

    assert examine(name) == found


def test_a_message_may_not_come_twice_behind_the_longest_task() -> None:
    assert examine("broker.visibility").verdict == OK

    with patch.dict(app.conf.broker_transport_options, {"ack_emulation": True, "visibility_timeout": 1800}):
        assert examine("broker.visibility").verdict == ERROR


def test_messages_that_nobody_confirms_are_an_error(settings: LazySettings) -> None:
    assert examine("broker.confirms") == (OK, "the broker is not RabbitMQ")

    settings.BROKER_URL = "amqp://127.0.0.1:9"
    assert examine("broker.confirms").verdict == ERROR


def test_a_shop_without_redis_is_warned_and_one_whose_redis_is_away_is_unknown(settings: LazySettings) -> None:
    assert examine("broker.limits").verdict == OK

    settings.REDIS_URL = ""
    assert examine("broker.limits").verdict == WARNING


def test_a_broker_that_is_away_could_not_be_examined() -> None:
    with patch.dict(app.conf, {"broker_write_url": "redis://:hunter2@127.0.0.1:9/0"}):
        seen = examine_alone(BY_ID["broker.eviction"])

    assert seen.verdict == UNKNOWN
    assert "hunter2" not in seen.words


# --- orders and their money


@database
def test_an_order_whose_sweep_is_late_is_an_error(settings: LazySettings) -> None:
    order = make_order()
    assert (examine("money.stuck").verdict, examine("money.waiting").verdict) == (OK, OK)

    Order.objects.filter(pk=order.pk).update(sweep_after=Now() - timedelta(seconds=settings.SWEEP_GRACE + 5))
    tamper("UPDATE payments_payment SET created_at = created_at - interval '1 h' WHERE id = %s", order.payment_id)

    assert examine("money.stuck") == (ERROR, "1 order is due for a sweep, the oldest for 65 seconds")
    assert examine("money.waiting").verdict == ERROR


@database
def test_an_order_that_waits_for_a_person_is_warned_of() -> None:
    assert examine("money.reviews").verdict == OK
    Order.objects.filter(pk=make_order().pk).update(needs_review=True)
    assert examine("money.reviews") == (WARNING, "1 order waits for a person")


@database
def test_the_doctor_says_what_the_last_audit_said() -> None:
    assert examine("money.audit") == (WARNING, "there was none yet; wait for the first, 300 seconds at most")
    AuditRun.objects.create(ok=True, report={})
    assert examine("money.audit") == (OK, "clean, 0 seconds ago")
    AuditRun.objects.create(ok=False, report={})
    assert examine("money.audit") == (ERROR, "NOT clean, 0 seconds ago")


@pytest.mark.parametrize(("secrets", "verdict"), [(["whsec_1"], OK), ([], WARNING)])
def test_a_shop_that_can_take_no_events_is_warned(settings: LazySettings, secrets: list[str], verdict: Verdict) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = secrets
    assert examine("money.webhook_secret").verdict == verdict
    settings.PAYMENT_GATEWAYS = {"manual": "payments.manual.ManualGateway"}
    assert examine("money.webhook_secret").verdict == OK


@database
def test_events_that_stopped_coming_are_warned_of(settings: LazySettings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_1"]
    assert examine("money.webhooks") == (OK, "none came yet")

    answer_payment(make_order(), Payment.Status.SUCCEEDED, answered_at=Now() - timedelta(hours=2))
    assert examine("money.webhooks") == (WARNING, "none came yet, and 1 payment was answered since")

    WebhookEvent.objects.create(provider="stripe", event_id="evt_1", type="payment_intent.succeeded", body="{}")
    assert examine("money.webhooks").verdict == OK

    WebhookEvent.objects.update(received_at=Now() - timedelta(hours=9))
    assert examine("money.webhooks").verdict == WARNING


# --- code that runs


@database
def test_code_that_is_the_same_everywhere_is_sound(settings: LazySettings) -> None:
    Tick.objects.update(version=settings.VERSION)

    assert examine("processes.versions") == (OK, f"all of {settings.VERSION}")


@database
def test_code_that_is_not_the_same_everywhere_is_warned_of() -> None:
    Tick.objects.update(version="old")

    with psycopg.connect(SERVER.format(**connection.settings_dict), application_name=STRANGER):
        seen = examine("processes.versions")

    assert seen.verdict == WARNING
    assert seen.words.startswith("1 of the shop's sessions of 0123456789ab; beat of old;")


# --- the report


def hang() -> Seen:
    Event().wait()
    return Seen(OK, "")


def fail() -> Seen:
    raise ConnectionError("nobody there")


def test_an_examination_that_hangs_is_left_behind() -> None:
    hanging = Examination(id="a.b", reason="", remedy="", examine=hang)

    assert examine_within(hanging, seconds=0.05) == (UNKNOWN, "no answer within 0.05 seconds")


def test_the_text_says_of_what_is_wrong_why_and_how_to_mend_it() -> None:
    examinations = [
        Examination(id="a.sound", reason="Why", remedy="How", examine=lambda: Seen(OK, "on")),
        Examination(id="a.wrong", reason="It matters.", remedy="`fsync = on`", examine=lambda: Seen(ERROR, "off")),
        Examination(id="b.away", reason="It matters.", remedy="start it", examine=fail),
    ]
    findings = list(examine_deployment(examinations))

    lines = [" ".join(line.split()) for line in write_text(findings, no_style()).splitlines()]

    assert lines == [
        "A",
        "ok a.sound on",
        "error a.wrong off",
        "It matters.",
        "To mend it: fsync = on.",
        "",
        "B",
        "unknown b.away ConnectionError: nobody there",
        "It matters.",
        "To mend it: start it.",
        "",
        "Sound: 1, warnings: 0, errors: 1, could not be examined: 1",
    ]


def test_the_page_has_the_table_of_the_examinations() -> None:
    _, section = OPERATING.read_text().split("## The doctor")
    rows = re.findall(r"^\| `(.+?)` \| (.+) \| (.+) \|$", section, re.MULTILINE)

    assert rows == [(one.id, one.reason, one.remedy) for one in EXAMINATIONS]
