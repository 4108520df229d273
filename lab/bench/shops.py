"""A shop under load, whichever design it has: where it listens, what its database says, and which processes it is."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from lab.bench.wire import make_request

PATIENCE = 180.0  # seconds from the last answer to the last order's end
LOOK_EVERY = 0.25  # seconds
VISA = "pm_card_visa"

Lines = Sequence[Mapping[str, object]]


class OrdersLost(Exception):
    """Not every order that was accepted was confirmed."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A running shop: ours (`orderly`), or a baseline. `owned` says which processes of stack.json it consists of."""

    name: str
    file: Path  # stack.json
    url: str
    provider_url: str
    database_url: str
    orders_table: str
    owned: Callable[[str], str]  # a process's name, to what it is called in the report; empty: not this shop's
    token: str = ""
    mails_table: str = ""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def find_pids(self) -> dict[str, int]:
        """The pids of its processes, by what they are called in the report."""
        processes = json.loads(self.file.read_text())["processes"]
        return {self.owned(name): process["pid"] for name, process in processes.items() if self.owned(name)}

    def make_checkout(self, key: str, lines: Lines, payment_method: str = VISA) -> bytes:
        """The request that places this order."""
        body = {"email": f"{key}@example.com", "lines": list(lines), "payment_method": payment_method}
        return make_request(
            self.url, "POST", "/api/orders", json.dumps(body), **self._authorize(), Idempotency_Key=key,
            Content_Type="application/json",
        )  # fmt: skip

    def set_latency(self, milliseconds: int) -> None:
        """Let the provider wait so long before each of its answers."""
        body = json.dumps({"latency_ms": milliseconds}).encode()
        urllib.request.urlopen(f"{self.provider_url}/control", body, timeout=10).close()  # noqa: S310 - our own address

    @contextmanager
    def connect(self) -> Iterator["psycopg.Connection"]:
        with psycopg.connect(self.database_url, autocommit=True, application_name="bench") as connection:
            yield connection

    def wait_until_final(self, on_look: Callable[[int], None] = lambda pending: None) -> None:
        """Until no order is pending and no mail is owed: all has cost what it costs. Raises OrdersLost."""
        deadline = time.monotonic() + PATIENCE
        with self.connect() as connection:
            while waiting := self._count_waiting(connection):
                if time.monotonic() > deadline:
                    raise OrdersLost(f"{self.name}: {waiting} orders or mails are not done after {PATIENCE:g} seconds")
                on_look(waiting)
                time.sleep(LOOK_EVERY)

    def _count_waiting(self, connection: "psycopg.Connection") -> int:
        orders = sql.SQL("SELECT count(*) FROM {} WHERE status = 'PENDING'").format(sql.Identifier(self.orders_table))
        waiting = _ask(connection, orders)
        if waiting or not self.mails_table:
            return waiting
        mails = sql.SQL("SELECT count(*) FROM {} WHERE sent_at IS NULL").format(sql.Identifier(self.mails_table))
        return _ask(connection, mails)

    def _authorize(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def count_connections(connection: "psycopg.Connection") -> int:
    """To this connection's database, without those of the bench itself."""
    return _ask(
        connection,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'bench'"
        " AND backend_type = 'client backend'",
    )


def _ask(connection: "psycopg.Connection", query: "sql.Composable | str") -> int:
    row = connection.execute(query).fetchone()  # type: ignore[arg-type]  # all queries are ours
    return int(row[0]) if row else 0


def open_orderly(file: Path, *, name: str = "orderly", others: Sequence[str] = ()) -> Shop:
    """The shop that a stack.json describes; `others` are the prefixes of processes there that are not its own."""
    stack = json.loads(file.read_text())
    return Shop(
        name=name,
        file=file,
        url=stack["urls"]["web"],
        provider_url=stack["urls"]["provider"],
        database_url=stack["urls"]["database"],
        orders_table="orders_order",
        mails_table="orders_ordermail",
        owned=lambda process: "" if process.startswith(tuple(others)) else process,
        token=stack["environment"]["API_TOKENS"],
    )
