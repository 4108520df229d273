"""The provider's own PostgreSQL database: made at start, a few connections shared by the threads."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import LifoQueue
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

Row = dict[str, Any]
Connection = psycopg.Connection[Row]

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()


class Database:
    """At most `size` connections, opened when first needed; a dead one is replaced, so PostgreSQL may restart."""

    def __init__(self, url: str, *, size: int = 16) -> None:
        self._url = url
        self._idle: LifoQueue[Connection | None] = LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        connection = self._idle.get()
        try:
            if connection is None or is_dead(connection):
                connection = connect(self._url)
            yield connection
        finally:
            self._idle.put(connection)

    def prepare(self) -> None:
        """Create the database where it is missing and allowed, and the tables. May be repeated, also at once."""
        create_database(self._url)
        with self.connection() as connection, connection.transaction():
            # IF NOT EXISTS is no protection against another process that is creating the same table.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('lab.sandbox'))")
            connection.execute(SCHEMA)


def connect(url: str) -> Connection:
    # An answer that was given must survive a crash of PostgreSQL too, whatever the server's default is.
    settings = "-c synchronous_commit=on -c statement_timeout=15s -c lock_timeout=5s"
    return psycopg.connect(url, autocommit=True, connect_timeout=5, options=settings, row_factory=dict_row)


def is_dead(connection: Connection) -> bool:
    """Whether the server has hung up: an idle connection has nothing to read but its end."""
    return connection.closed or bool(select.select([connection], [], [], 0)[0])


def create_database(url: str) -> None:
    """Create the database that the URL names, if it is missing."""
    try:
        connect(url).close()
    except psycopg.OperationalError:
        name = str(conninfo_to_dict(url)["dbname"])
        with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True, connect_timeout=5) as server:
            server.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])  # against another that starts just now
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
