"""What differs where DATABASE_URL leads to a pooler of transactions: here a real PgBouncer, if it is installed."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import LazySettings
from django.core.checks import Tags, run_checks
from django.db import OperationalError, connection
from psycopg import sql

from config.addresses import check_database_url
from config.postgresql import PATIENCE, configure_database, configure_databases
from config.postgresql.base import DatabaseWrapper
from config.postgresql.role import set_patience
from lab.stack.pgbouncer import PROGRAM, pgbouncer
from lab.stack.processes import Supervisor
from lab.stack.servers import with_database

pytestmark = pytest.mark.django_db(transaction=True)
needs_pgbouncer = pytest.mark.skipif(not PROGRAM, reason="PgBouncer is not installed")


@pytest.fixture
def direct_url() -> str:
    return with_database(os.environ["DATABASE_URL"], str(connection.settings_dict["NAME"]))


@pytest.fixture
def pooled_url(direct_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pooler")
    process, url = pgbouncer(folder / "pgbouncer", direct_url, log=folder / "log")
    with Supervisor() as supervisor:
        supervisor.start(process)
        yield url


def connect(url: str, *, pooler: str) -> DatabaseWrapper:
    return DatabaseWrapper(
        {**connection.settings_dict, **configure_database(check_database_url("URL", url), pool=0, pooler=pooler)}
    )


@needs_pgbouncer
def test_one_client_after_the_other_uses_the_same_session(pooled_url: str) -> None:
    """Each as often as it would take to prepare a statement, and each in transactions of its own."""
    clients = [connect(pooled_url, pooler="transaction") for _ in range(2)]
    pids = set()
    for _ in range(5):
        for client in clients:
            with client.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid(), %s", ["Mug"])
                pids.add(cursor.fetchone()[0])
    for client in clients:
        client.close()

    assert len(pids) == 1


@needs_pgbouncer
def test_without_the_setting_the_pooler_refuses_the_session(pooled_url: str) -> None:
    """The control."""
    client = connect(pooled_url, pooler="none")

    with pytest.raises(OperationalError, match="unsupported startup parameter"):
        client.ensure_connection()


def test_statements_may_be_prepared_where_the_pooler_follows_them(direct_url: str) -> None:
    database = check_database_url("URL", direct_url)
    options = {
        pooler: configure_database(database, pool=0, pooler=pooler)["OPTIONS"]
        for pooler in ("none", "transaction", "transaction+prepared")
    }

    assert [options[pooler]["prepare_threshold"] for pooler in options] == [3, None, 3]
    assert ["options" in options[pooler] for pooler in options] == [True, False, False]


def test_what_needs_a_session_goes_past_the_pooler(direct_url: str) -> None:
    database = check_database_url("URL", direct_url)

    databases = configure_databases(database, database, pool=3, pooler="transaction")

    assert (databases["default"]["DISABLE_SERVER_SIDE_CURSORS"], databases["default"]["CONN_MAX_AGE"]) == (True, 0)
    assert "pool" not in databases["direct"]["OPTIONS"]
    assert "statement_timeout" in databases["direct"]["OPTIONS"]["options"]
    assert list(configure_databases(database, None, pool=3, pooler="none")) == ["default"]


def test_a_migration_makes_the_role_as_patient_as_sessions_are(settings: LazySettings, direct_url: str) -> None:
    settings.DATABASE_POOLER = "none"
    set_patience(using="default")
    assert read_patience(direct_url) == {"0"}

    settings.DATABASE_POOLER = "transaction"
    set_patience(using="default")
    try:
        assert read_patience(direct_url) == {"5000", "15000"}
    finally:
        with connection.cursor() as cursor:
            database = sql.Identifier(str(connection.settings_dict["NAME"]))
            cursor.execute(sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} RESET ALL").format(database))


def read_patience(url: str) -> set[str]:
    """The times of a new session that asks for none, in milliseconds."""
    with psycopg.connect(url) as session:
        rows = session.execute("SELECT setting FROM pg_settings WHERE name = ANY(%s)", [list(PATIENCE)]).fetchall()
    return {setting for (setting,) in rows}


def test_sessions_that_wait_for_ever_behind_a_pooler_are_found(settings: LazySettings) -> None:
    settings.DATABASE_POOLER = "transaction"
    assert find_of_database() == []

    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
    try:
        assert find_of_database() == ["orderly.E025"]
    finally:
        connection.close()


def find_of_database() -> list[str]:
    found = run_checks(tags=[Tags.database], databases=["default"])
    return [str(message.id) for message in found if str(message.id).startswith("orderly.E")]
