"""While a version is rolled out, its migrations have run and the code before it still serves: none may break that."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Concurrent:
    """A migration that builds an index beside those who write the table."""

    app: str
    before: str  # the migration before it
    name: str
    table: str
    index: str
    words: str  # of the index's definition, that no other index has


CONCURRENT = [
    Concurrent(
        app="orders",
        before="0013_email_prefix",
        name="0014_search",
        table="orders_order",
        index="order_ended_search",
        words="gin_trgm_ops",
    ),
    Concurrent(
        app="catalog",
        before="0005_categories",
        name="0006_sorted_names",
        table="catalog_product",
        index="product_for_sale_by_sort_name",
        words="ltrim(lower(",
    ),
]


@pytest.fixture(params=CONCURRENT, ids=lambda migration: migration.name)
def migration(request: pytest.FixtureRequest) -> Iterator[Concurrent]:
    """The database is as it was before that migration. At the end it is as it is after it."""
    found: Concurrent = request.param
    migrate(found.app, found.before)
    try:
        yield found
    finally:
        connection.close()
        migrate(found.app, found.name)


@pytest.mark.django_db(transaction=True)
def test_an_index_that_nobody_waits_for_waits_for_a_long_transaction(migration: Concurrent) -> None:
    """As an audit of a million orders is one."""
    locked = Event()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', '100ms', false)")
    with ThreadPoolExecutor() as pool:
        held = pool.submit(hold_for_a_second, migration.table, locked)
        assert locked.wait(10)
        migrate(migration.app, migration.name)
        held.result()

    assert show("lock_timeout") != "0", "the migrations after it wait no longer than before"


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_was_killed_is_repeated(migration: Concurrent) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX {migration.index} ON {migration.table} (id)")  # what it has left

    migrate(migration.app, migration.name)

    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [migration.index])
        assert migration.words in cursor.fetchone()[0].lower()


@pytest.mark.django_db(transaction=True)
def test_products_are_sorted_and_put_into_categories_without_their_table_being_written_anew() -> None:
    """Who writes a table anew locks it for as long as that takes. Nobody could buy anything meanwhile."""
    migrate("catalog", "0004_picture")
    try:
        before = read_file_of("catalog_product")
        migrate("catalog", "0006_sorted_names")

        assert read_file_of("catalog_product") == before
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


def read_file_of(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filenode(%s)", [table])
        return int(cursor.fetchone()[0])


def show(setting: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        return str(cursor.fetchone()[0])


def migrate(app: str, name: str) -> None:
    MigrationExecutor(connection).migrate([(app, name)])


def hold_for_a_second(table: str, locked: Event) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
            locked.set()
            cursor.execute("SELECT pg_sleep(1)")
    finally:
        connection.close()
