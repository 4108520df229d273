"""What strikes a stack begins, and is over at its end; also when the run that ordered it is killed."""

import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import psycopg
import pytest
import redis
from django.db import connection

from lab.simulation.strikes.deck import Strike
from lab.simulation.strikes.mail_server import MailServer, keep_ids, read_taken
from lab.simulation.strikes.neighbours import (
    SLOW,
    command_database,
    fill_broker,
    lock_row,
    make_broker_read_only,
    make_database_read_only,
    make_provider_trickle,
    slow_down_mail_server,
)
from lab.simulation.strikes.processes import SKEW, find_faketime, start_skewed_worker
from lab.simulation.strikes.running_stack import Missed, RunningStack, find_children, is_child
from lab.simulation.strikes.striker import Striker
from lab.stack.embedded import free_port
from lab.stack.servers import throwaway_database, with_database
from lab.stack.var import BASE_DIR
from tests.builders import make_order, make_product, stock_of
from tests.provider import Provider
from tests.servers import GIVEN
from tests.waiting import wait_for

PATIENCE = 30  # seconds; nothing takes that long, but a machine may be slow
RUNNER = """
import sys
from pathlib import Path
from threading import Event
from lab.simulation.strikes.deck import Strike
from lab.simulation.strikes.striker import Striker
file, kind, target = sys.argv[1:]
Striker(Path(file), run="", stopping=Event()).carry_out([Strike(0, kind, target, 600)])
"""
CLOCK = "import time; time.sleep(0.1); print(time.time(), time.monotonic(), flush=True); time.sleep(600)"

needs_our_broker = pytest.mark.skipif("REDIS_URL" in GIVEN, reason="a server that is not ours")
needs_our_database = pytest.mark.skipif("DATABASE_URL" in GIVEN, reason="a server that is not ours")


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    with throwaway_database(os.environ["DATABASE_URL"], f"struck_{uuid4().hex[:8]}") as url:
        yield url


@pytest.fixture
def describe_stack(tmp_path: Path) -> Callable[..., RunningStack]:
    """Makes a stack of these processes and addresses, as its stack.json says."""
    (tmp_path / "log").mkdir()

    def describe(
        *, run: str = "run", urls: dict[str, str] | None = None, email_url: str = "", **pids: int
    ) -> RunningStack:
        stack = {
            "pid": os.getpid(),
            "folder": str(tmp_path),
            "urls": urls or {},
            "processes": {name.replace("_", "-"): {"pid": pid} for name, pid in pids.items()},
            "environment": {"EMAIL_URL": email_url},
        }
        (tmp_path / "stack.json").write_text(json.dumps(stack))
        return RunningStack(tmp_path / "stack.json", run)

    return describe


@pytest.fixture
def broker() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=5) as client:
        yield client


@pytest.fixture
def broker_stack(describe_stack: Callable[..., RunningStack]) -> RunningStack:
    return describe_stack(urls={"redis": os.environ["REDIS_URL"]}, valkey=1)


def can_write(url: str) -> bool:
    with psycopg.connect(url) as session:
        try:
            session.execute("CREATE TABLE written ()")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        session.rollback()
        return True


def is_frozen(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


# The broker


@needs_our_broker
def test_a_read_only_broker_refuses_writes_until_the_end(broker: "redis.Redis", broker_stack: RunningStack) -> None:
    with make_broker_read_only(broker_stack, "valkey"), pytest.raises(redis.ReadOnlyError):
        broker.set("struck", 1)

    broker.set("struck", 1, ex=1)


@needs_our_broker
def test_a_full_broker_takes_nothing_until_the_end(broker: "redis.Redis", broker_stack: RunningStack) -> None:
    with fill_broker(broker_stack, "valkey"), pytest.raises(redis.OutOfMemoryError):
        broker.set("struck", 1)

    broker.set("struck", 1, ex=1)


# The database


@needs_our_database
def test_a_read_only_database_ends_its_sessions_and_new_ones_only_read_until_the_end(
    describe_stack: Callable[..., RunningStack], database: str
) -> None:
    stack = describe_stack(urls={"database": database}, postgres=1)
    with psycopg.connect(database, autocommit=True) as old, make_database_read_only(stack, "postgres"):
        with pytest.raises(psycopg.OperationalError):
            old.execute("SELECT 1")
        assert not can_write(database)
        assert can_write(os.environ["DATABASE_URL"])  # as the provider's
        meanwhile = psycopg.connect(database)

    assert can_write(database)
    with meanwhile, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):  # the shop has to throw it away
        meanwhile.execute("CREATE TABLE written ()")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("stock", "SELECT FROM catalog_stock JOIN catalog_product ON id = product_id WHERE sku = %s"),
        ("order", "SELECT FROM orders_order WHERE checkout_key = %s"),
    ],
)
def test_a_locked_row_is_one_of_the_run_and_free_at_the_end(
    describe_stack: Callable[..., RunningStack], kind: str, query: str
) -> None:
    for name in ("other-1", "run-1"):
        make_product(name)
        make_order({name: 1}, key=name)
    url = with_database(os.environ["DATABASE_URL"], str(connection.settings_dict["NAME"]))
    stack = describe_stack(run="run", urls={"database": url})
    table = "catalog_stock" if kind == "stock" else "orders_order"

    def lock(name: str) -> None:
        with psycopg.connect(url) as session:
            session.execute(f"{query} FOR UPDATE OF {table} NOWAIT".encode(), [name])

    with lock_row(stack, kind):
        lock("other-1")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            lock("run-1")

    lock("run-1")
    assert stock_of("run-1") == (10, 1)


@pytest.mark.django_db(transaction=True)
def test_where_there_is_no_row_of_the_run_a_lock_is_missed(describe_stack: Callable[..., RunningStack]) -> None:
    make_product("other-1")
    url = with_database(os.environ["DATABASE_URL"], str(connection.settings_dict["NAME"]))

    with pytest.raises(Missed), lock_row(describe_stack(urls={"database": url}), "stock"):
        pass


# The provider and the mail server


def test_a_provider_trickles_until_the_end(describe_stack: Callable[..., RunningStack], provider: Provider) -> None:
    stack = describe_stack(urls={"provider": provider.url}, provider=1)

    with make_provider_trickle(stack, "provider"):
        assert provider.request("GET", "/control").json["fault"] == "trickle"

    assert provider.request("GET", "/control").json["fault"] is None


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(free_port(), keep_ids(tmp_path)) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_a_mail_server_is_slow_until_the_end(
    describe_stack: Callable[..., RunningStack], mail_server: MailServer
) -> None:
    stack = describe_stack(email_url=f"smtp://127.0.0.1:{mail_server.server_address[1]}", mail_server=1)

    with slow_down_mail_server(stack, "mail-server"):
        wait_for(lambda: list(mail_server.delays.values()) == [SLOW], "a slow mail server")

    wait_for(lambda: not mail_server.delays, "a quick mail server")


def test_the_mail_server_keeps_the_message_ids_of_the_mails_that_it_took(
    mail_server: MailServer, tmp_path: Path
) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Message-ID"] = "a@example.com", "b@example.com", "<code.kind@orders>"
    message.set_content("First.\n.\nSecond.")
    assert read_taken(tmp_path) == set()

    with smtplib.SMTP("127.0.0.1", mail_server.server_address[1], timeout=PATIENCE) as client:
        client.send_message(message)
        client.send_message(message)

    assert read_taken(tmp_path) == {"code.kind"}
    assert read_taken(tmp_path / "elsewhere") is None


# Processes


def test_a_process_is_taken_for_a_child_of_its_parent_alone_and_only_while_it_lives() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in find_children(os.getpid())
        assert is_child(child.pid, os.getpid())
        assert not is_child(child.pid, os.getppid())

        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        assert not is_child(child.pid, os.getpid())
    assert not is_child(child.pid, os.getpid())


def test_a_second_worker_has_a_clock_that_is_ahead_and_the_same_timeouts(
    describe_stack: Callable[..., RunningStack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_faketime()
    except Missed as reason:
        pytest.skip(str(reason))
    (tmp_path / "clock.py").write_text(CLOCK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "log" / "second-orders.log"
    with subprocess.Popen([sys.executable, "-m", "clock"]) as worker:
        with start_skewed_worker(describe_stack(orders=worker.pid), "orders"):
            wait_for(lambda: log.exists() and log.read_text().endswith("\n"), "the clock")
        now, monotonic = time.time(), time.monotonic()
        worker.kill()

    shown, shown_monotonic = map(float, log.read_text().split())
    assert now < shown <= now + SKEW
    assert monotonic - PATIENCE < shown_monotonic < monotonic


def test_a_striker_hits_the_processes_of_the_stack_and_counts_what_it_misses(
    describe_stack: Callable[..., RunningStack],
) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        stack = describe_stack(beat=child.pid)
        striker = Striker(stack.file, run="run", stopping=Event())
        missing = ["flushes", "read-only-broker", "full-broker"]

        striker.carry_out(
            [Strike(0, kind, "valkey", 1) for kind in missing]
            + [Strike(0, "read-only-database", "postgres", 1), Strike(0, "child-kills", "beat")]
            + [Strike(0, "freezes", "mails", 1), Strike(0, "kills", "beat")]
        )

        assert child.wait() == -signal.SIGKILL
    assert (striker.done, striker.kills) == ({("beat", "kills"): 1}, 1)
    assert striker.missed == {
        **{f"{kind} of valkey: the stack has no valkey of its own": 1 for kind in missing},
        "read-only-database of postgres: the stack has no postgres of its own": 1,
        "child-kills of beat: beat had no child": 1,
        "freezes of mails: the stack has no mails of its own": 1,
    }


def test_a_strike_that_lasts_ends_after_its_time(describe_stack: Callable[..., RunningStack]) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        striker = Striker(describe_stack(beat=child.pid).file, run="run", stopping=Event())
        started = datetime.now(UTC)

        striker.carry_out([Strike(0, "freezes", "beat", 0.5)])

        assert not is_frozen(child.pid)
        child.kill()
    assert striker.done == {("beat", "freezes"): 1}
    assert striker.well_at > started + timedelta(seconds=0.5)


def test_strikes_end_at_once_when_the_run_is_told_to_stop(describe_stack: Callable[..., RunningStack]) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        stopping = Event()
        striker = Striker(describe_stack(beat=child.pid).file, run="run", stopping=stopping)
        run = Thread(target=striker.carry_out, args=[[Strike(0, "freezes", "beat", 600)]])
        run.start()
        wait_for(lambda: is_frozen(child.pid), "the frost")

        stopping.set()

        run.join(PATIENCE)
        assert not is_frozen(child.pid)
        child.kill()
    assert striker.done == {("beat", "freezes"): 1}


@pytest.mark.parametrize("kind", ["freezes", "read-only-broker", "full-broker", "read-only-database"])
def test_a_strike_ends_when_its_run_is_killed(
    describe_stack: Callable[..., RunningStack], broker: "redis.Redis", database: str, kind: str
) -> None:
    target = {"freezes": "beat", "read-only-database": "postgres"}.get(kind, "valkey")
    if (target == "postgres" and "DATABASE_URL" in GIVEN) or (target == "valkey" and "REDIS_URL" in GIVEN):
        pytest.skip("a server that is not ours")
    with subprocess.Popen(["sleep", "60"]) as child:
        urls = {"redis": os.environ["REDIS_URL"], "database": database}
        stack = describe_stack(urls=urls, beat=child.pid, valkey=1, postgres=1)
        is_struck: Callable[[], bool] = {
            "freezes": lambda: is_frozen(child.pid),
            "read-only-broker": lambda: broker.info("replication")["role"] == "slave",
            "full-broker": lambda: broker.config_get("maxmemory")["maxmemory"] == "1",
            "read-only-database": lambda: not can_write(database),
        }[kind]
        with subprocess.Popen([sys.executable, "-c", RUNNER, str(stack.file), kind, target], cwd=BASE_DIR) as runner:
            try:
                wait_for(is_struck, "the strike")
            finally:
                runner.kill()

        wait_for(lambda: not is_struck(), "the end of the strike")
        child.kill()


def test_a_server_that_is_away_is_made_well_when_it_is_back(
    describe_stack: Callable[..., RunningStack], broker: "redis.Redis"
) -> None:
    answers = iter([redis.ConnectionError(), psycopg.OperationalError(), TimeoutError(), None])

    def make_well() -> None:
        if error := next(answers):
            raise error

    describe_stack().insist(make_well)

    assert not list(answers)


def test_a_stack_that_is_gone_needs_no_healing(describe_stack: Callable[..., RunningStack]) -> None:
    stack = describe_stack()
    stack.file.unlink()

    stack.insist(lambda: command_database(stack, "SELECT 1"))

    assert not stack.is_running()
