"""A server dies amid orders, and another goes on, or the same one comes back: nothing that was answered is lost."""

import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.stack.pgbouncer import PROGRAM as PGBOUNCER
from lab.stack.profiles import PROFILE
from lab.stack.rabbitmq import PROGRAM as RABBITMQ
from lab.stack.standby import promote
from tests.crash.conftest import run_drill
from tests.crash.drill import Drill
from tests.crash.rush import buy_amid


def lose_the_primary(drill: Drill) -> None:
    """Kill PostgreSQL, which nobody starts again, and let the standby go on."""
    url = urlsplit(drill.stack.environment["DATABASE_URL"])
    standby = url._replace(netloc=f"{url.username}:{url.password}@{url.netloc.rpartition(',')[2]}", query="").geturl()
    lose(drill, "postgres")
    promote(standby)


def lose_valkey(drill: Drill) -> None:
    """Kill the primary, which nobody starts again. The sentinels make its replica the primary."""
    lose(drill, "valkey")


def lose(drill: Drill, name: str) -> None:
    process = drill.stack.process(name)
    process.stop_signal = signal.SIGKILL
    drill.stack.supervisor.stop(process)


def restart_rabbitmq(drill: Drill) -> None:
    drill.kill("rabbitmq")


def restart_pgbouncer(drill: Drill) -> None:
    drill.kill("pgbouncer")


@pytest.mark.parametrize(
    ("profile", "strike", "orders"),
    [
        ("standby", lose_the_primary, 200),
        ("sentinel", lose_valkey, 60),
        pytest.param(
            *("rabbitmq", restart_rabbitmq, 60),
            marks=pytest.mark.skipif(not RABBITMQ.exists(), reason="RabbitMQ is not installed"),
        ),
        pytest.param(
            *("pgbouncer", restart_pgbouncer, 60),
            marks=pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer is not installed"),
        ),
    ],
    ids=["standby", "sentinel", "rabbitmq", "pgbouncer"],
)
def test_no_order_is_lost_with_a_server(
    profile: str, strike: Callable[[Drill], None], orders: int, tmp_path: Path
) -> None:
    with run_drill(tmp_path, **{PROFILE: profile, "LOST_AFTER": "1", "SWEEP_AFTER": "4"}) as drill:
        buy_amid(lambda: strike(drill), [drill], orders=orders)
