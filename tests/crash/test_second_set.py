"""Two of everything run. One set is cut off from its servers, and then killed for good, while people buy."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import pytest

from lab.stack.embedded import free_port
from lab.stack.processes import Process
from lab.stack.shop import WEB_THREADS, answers_http
from tests.crash.conftest import run_drill
from tests.crash.drill import Drill
from tests.crash.network import Link, run_link
from tests.crash.rush import buy_amid

CUT_FOR = 10  # seconds: longer than a worker lives without its broker (WORKER_TIMEOUT)
WORKERS = ("payments", "orders", "mails")


@dataclass
class Doubled:
    """A shop with two of everything. The second set's workers and beat reach the servers by links that can be cut."""

    webs: list[Drill]
    second: list[Process]
    links: list[Link]


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doubled]:
    folder = tmp_path_factory.mktemp("doubled")
    with run_drill(folder, LOST_AFTER="1", SWEEP_AFTER="4") as drill, ExitStack() as exits:
        servers = ("DATABASE_URL", "DATABASE_DIRECT_URL", "REDIS_URL")
        links = {name: exits.enter_context(run_link(drill.stack.environment[name])) for name in servers}
        web, url = make_second_web(drill)
        behind = [drill.make_second(name, f"second-{name}@%h") for name in WORKERS]
        behind.append(drill.make_second("beat", str(drill.stack.folder / "second-beat")))
        addresses = {name: link.url for name, link in links.items()}
        second = [web, *(replace(process, env={**process.env, **addresses}) for process in behind)]
        drill.stack.supervisor.start(*second)
        other = replace(drill.stack, environment={**drill.stack.environment, "SHOP_URL": url})
        yield Doubled(webs=[drill, Drill(other, folder)], second=second, links=list(links.values()))


def make_second_web(drill: Drill) -> tuple[Process, str]:
    """A second web server, not started, and its URL."""
    first, address = drill.make_second("web", str(WEB_THREADS)), f"127.0.0.1:{free_port()}"
    bound = drill.stack.web_url.removeprefix("http://")
    command = [address if word == bound else word for word in first.command]
    return replace(first, command=command, is_ready=partial(answers_http, f"http://{address}")), f"http://{address}"


def test_workers_that_are_cut_off_hold_up_no_order_for_longer_than_the_sweep(doubled: Doubled) -> None:
    """Their sessions stay open at the servers. They come back with answers for orders that others have ended."""

    def cut_off() -> None:
        for link in doubled.links:
            link.whole.clear()
        time.sleep(CUT_FOR)
        for link in doubled.links:
            link.whole.set()

    buy_amid(cut_off, doubled.webs, orders=60)


def test_orders_end_also_where_one_of_two_of_everything_is_killed_for_good(doubled: Doubled) -> None:
    supervisor = doubled.webs[0].stack.supervisor

    def kill_for_good() -> None:
        for process in doubled.second:
            process.stop_signal = signal.SIGKILL
        supervisor.stop(*doubled.second)

    buy_amid(kill_for_good, doubled.webs, orders=100)
