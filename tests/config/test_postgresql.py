"""The sessions that the threads of a process share: which are given out again, and which are not."""

import copy
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from config.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseWrapper]:
    """A connection with a pool of its own, as DATABASE_POOL makes it."""
    monkeypatch.setattr(DatabaseWrapper, "trust", 1000.0)
    monkeypatch.setattr(DatabaseWrapper, "distrusted_at", 0.0)
    monkeypatch.setattr(DatabaseWrapper, "_connection_pools", {})
    settings = copy.deepcopy(connection.settings_dict)
    settings |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    settings["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 2, "timeout": 5, "reconnect_timeout": 1}
    wrapper = DatabaseWrapper(settings, alias=connection.alias)
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def use(wrapper: DatabaseWrapper, statement: str = "SELECT 1") -> int:
    """Take a session, execute the statement, and give it back; return the session's process."""
    with wrapper.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    wrapper.close()
    return int(pid)


def end_session(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


READ_ONLY = "SET default_transaction_read_only = on"  # as on a primary that was demoted


def test_a_session_is_given_out_again(pooled: DatabaseWrapper) -> None:
    assert use(pooled) == use(pooled)


def test_a_session_is_asked_before_it_is_given_out_unless_it_is_trusted(
    pooled: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabaseWrapper, "trust", 0.0)
    read_only = use(pooled, READ_ONLY)
    assert use(pooled) != read_only


def test_a_session_that_the_server_has_ended_is_not_given_out(pooled: DatabaseWrapper) -> None:
    ended = use(pooled)
    end_session(ended)

    assert use(pooled) != ended


def test_a_session_that_was_opened_read_only_is_not_given_out_again(pooled: DatabaseWrapper) -> None:
    """As in a failover: it was opened a moment ago, and nobody has asked it yet."""
    read_only = use(pooled, READ_ONLY)

    assert use(pooled) != read_only


def test_after_a_useless_session_the_others_are_asked_too(pooled: DatabaseWrapper) -> None:
    other = pooled.copy()
    pooled.ensure_connection()
    ended = use(other)
    end_session(ended)
    pooled.cursor().execute(READ_ONLY)

    assert not pooled.is_usable()
    pooled.close()

    assert ended not in (use(pooled), use(other))
    other.close()


def test_without_that_who_gets_one_fails(pooled: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: one that was asked a moment ago is not asked again."""
    monkeypatch.setattr("config.postgresql.base.has_news", lambda session: False)
    use(pooled)
    end_session(use(pooled))
    with pytest.raises(OperationalError):
        use(pooled)


def test_a_session_with_an_open_transaction_is_given_back_without_it(pooled: DatabaseWrapper) -> None:
    pooled.set_autocommit(False)
    with pooled.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE left_behind ()")
    pooled.close()
    with pooled.cursor() as cursor:
        cursor.execute("SELECT to_regclass('left_behind')")
        assert cursor.fetchone() == (None,)


def test_a_database_that_is_read_only_is_read(pooled: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no end of asking for another session, where none can write."""
    monkeypatch.setattr(DatabaseWrapper, "trust", 0.0)
    pooled.settings_dict["OPTIONS"]["options"] = "-c default_transaction_read_only=on"
    first = use(pooled)

    assert use(pooled) != first
