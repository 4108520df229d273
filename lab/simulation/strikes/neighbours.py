"""Strikes that make a neighbour of the shop sick: it runs, but does not do its work. At the end it is well again."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import LiteralString
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
import redis
from psycopg import sql

from lab.simulation.strikes.running_stack import Missed, RunningStack

LastingStrike = Callable[[RunningStack, str], AbstractContextManager[None]]

TIMEOUT = 3  # seconds
SLOW = 9  # seconds for each command of a slow mail server: just within the shop's timeout

READ_ONLY: LiteralString = "ALTER DATABASE {database} SET default_transaction_read_only = on"
READ_WRITE: LiteralString = "ALTER DATABASE {database} RESET default_transaction_read_only"
END_SESSIONS: LiteralString = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

ROWS: dict[str, LiteralString] = {
    "stock": """
        SELECT FROM catalog_stock stock JOIN catalog_product product ON product.id = stock.product_id
        WHERE starts_with(sku, %s) ORDER BY reserved > 0 DESC, random() LIMIT 1 FOR UPDATE OF stock SKIP LOCKED""",
    "order": """
        SELECT FROM orders_order WHERE starts_with(checkout_key, %s) AND status = 'PENDING'
        ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED""",
}


@contextmanager
def slow_down_mail_server(stack: RunningStack, name: str) -> Iterator[None]:
    """Make it slow for as long as our connection lasts: see lab.simulation.strikes.mail_server."""
    url = stack.require(name)["environment"]["EMAIL_URL"]
    connection = stack.attempt(lambda: _ask_to_be_slow(url))
    try:
        yield
    finally:
        connection.close()


@contextmanager
def lock_row(stack: RunningStack, kind: str) -> Iterator[None]:
    """Hold the lock of one row of the run: an order, or a product's stock, if possible one with units reserved."""
    connection = stack.attempt(lambda: _lock_row(stack, ROWS[kind]))
    try:
        yield
    finally:
        connection.close()


def flush_broker(stack: RunningStack, name: str) -> None:
    stack.require(name)
    stack.attempt(lambda: command_broker(stack, "FLUSHALL"))


def command_broker(stack: RunningStack, *command: str) -> None:
    url = stack.read()["urls"]["redis"]
    if not url.startswith("redis"):
        raise Missed("behind sentinels the broker may be another one")
    with redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT) as client:
        client.execute_command(*command)


def command_database(stack: RunningStack, *statements: LiteralString) -> None:
    url = stack.read()["urls"]["database"]
    writable = "-c default_transaction_read_only=off"  # what a session asks for stands above its database's setting
    with psycopg.connect(url, autocommit=True, options=writable, connect_timeout=TIMEOUT) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(database=sql.Identifier(connection.info.dbname)))


def command_provider(stack: RunningStack, method: str, body: object = None) -> None:
    url = f"{stack.read()['urls']['provider']}/control"
    data = None if body is None else json.dumps(body).encode()
    urlopen(Request(url, data, method=method), timeout=TIMEOUT).close()  # noqa: S310 - the stack's own address


def _strike(*, begin: Callable[[RunningStack], object], end: Callable[[RunningStack], object]) -> LastingStrike:
    """`end` is done even if `begin` fails, for it may have worked and only its answer got lost."""

    @contextmanager
    def strike(stack: RunningStack, name: str) -> Iterator[None]:
        stack.require(name)
        try:
            stack.attempt(lambda: begin(stack))
            yield
        finally:
            stack.insist(lambda: end(stack))

    return strike


def _ask_to_be_slow(url: str) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((str(address.hostname), int(address.port or 25)), TIMEOUT)
    connection.sendall(b"XSLOW %d\r\n" % SLOW)
    return connection


def _lock_row(stack: RunningStack, query: LiteralString) -> "psycopg.Connection[tuple[object, ...]]":
    connection = psycopg.connect(stack.read()["urls"]["database"], connect_timeout=TIMEOUT)
    if connection.execute(query, [stack.run]).fetchone() is None:
        connection.close()
        raise Missed("there was no such row")
    return connection


make_broker_read_only = _strike(
    begin=lambda stack: command_broker(stack, "REPLICAOF", "127.0.0.1", "9"),  # nobody is there to follow
    end=lambda stack: command_broker(stack, "REPLICAOF", "NO", "ONE"),
)
fill_broker = _strike(
    begin=lambda stack: command_broker(stack, "CONFIG", "SET", "maxmemory", "1"),
    end=lambda stack: command_broker(stack, "CONFIG", "SET", "maxmemory", "0"),
)
# The strike hits the shop's database, not the provider's. It ends all sessions, and every new one can only read. Such a
# session stays read-only after the strike, as one to a demoted primary does, so the shop has to drop it.
make_database_read_only = _strike(
    begin=lambda stack: command_database(stack, READ_ONLY, END_SESSIONS),
    end=lambda stack: command_database(stack, READ_WRITE),
)
make_provider_trickle = _strike(
    begin=lambda stack: command_provider(stack, "POST", {"fault": "trickle"}),
    end=lambda stack: command_provider(stack, "DELETE"),
)
