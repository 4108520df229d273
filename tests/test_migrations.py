"""While a version is rolled out, its migrations have run and the code before it still serves: none may break that."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import post_migrate, pre_migrate
from django_migration_linter import MigrationLinter

# What the linter finds in them harms nobody: they are older than the first version, so no code before them runs.
BEFORE_THE_FIRST_VERSION = [
    "0003_dispute_status",
    "0003_several_payments",
    "0005_refunds",
    "0006_action_required",
    "0006_transfers",
]


@pytest.mark.django_db(transaction=True)  # what is built concurrently has no transaction
def test_no_migration_breaks_the_code_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Add what has a default in the database, and take away what nobody uses any more: see docs/operating.md."""
    linter = MigrationLinter(
        str(settings.BASE_DIR), ignore_name=BEFORE_THE_FIRST_VERSION, no_cache=True, quiet=["ok", "ignore", "warning"]
    )

    linter.lint_all_migrations()

    assert not linter.has_errors, capsys.readouterr().out


@pytest.mark.django_db
def test_a_migration_takes_as_long_as_it_has_to_and_waits_for_no_lock_longer() -> None:
    orders = apps.get_app_config("orders")
    migrated = {"sender": orders, "app_config": orders, "using": "default", "verbosity": 0, "interactive": False}
    before = show("statement_timeout"), show("lock_timeout")

    pre_migrate.send(**migrated)
    assert (show("statement_timeout"), show("lock_timeout")) == ("0", before[1])
    post_migrate.send(**migrated)

    assert (show("statement_timeout"), show("lock_timeout")) == before == ("15s", "5s")


@pytest.fixture
def without_index() -> Iterator[None]:
    """The database as it is before the migration that adds order_ended_search. At the end it is as it was."""
    migrate("0013_email_prefix")
    try:
        yield
    finally:
        connection.close()
        migrate("0014_search")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_index")
def test_an_index_that_orders_do_not_wait_for_waits_for_a_long_transaction() -> None:
    """As an audit of a million orders is one."""
    locked = Event()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', '100ms', false)")
    with ThreadPoolExecutor() as pool:
        held = pool.submit(hold_for_a_second, locked)
        assert locked.wait(10)
        migrate("0014_search")
        held.result()

    assert show("lock_timeout") != "0", "the migrations after it wait no longer than before"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_index")
def test_a_migration_that_was_killed_is_repeated() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX order_ended_search ON orders_order (code)")  # what it has left

    migrate("0014_search")

    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'order_ended_search'")
        assert "gin_trgm_ops" in cursor.fetchone()[0]


def show(setting: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        return str(cursor.fetchone()[0])


def migrate(name: str) -> None:
    MigrationExecutor(connection).migrate([("orders", name)])


def hold_for_a_second(locked: Event) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE orders_order IN ROW EXCLUSIVE MODE")
            locked.set()
            cursor.execute("SELECT pg_sleep(1)")
    finally:
        connection.close()
