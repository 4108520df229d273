"""The stack comes up, mends itself, and leaves nothing behind."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from lab.stack.processes import child_command
from lab.stack.shop import answers_http
from lab.stack.stack import Stack, run_servers
from lab.stack.var import BASE_DIR, VAR
from tests.servers import GIVEN
from tests.waiting import wait_for

NAMES = ["valkey", "postgres", "provider", "web", "payments", "orders", "mails", "webhooks", "beat"]
PRINT_PORT = "from django.db import connection; print(connection.settings_dict['PORT'])"
ENVIRONMENT = {name: value for name, value in GIVEN.items() if not name.endswith(("DATABASE_URL", "REDIS_URL"))}


def family(pid: int) -> set[int]:
    """The process and all that descend from it, by /proc."""
    members = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            members |= family(int(child))
    return members


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another checkout, in a path with a space."""
    folder = tmp_path_factory.mktemp("another") / "check out"
    shutil.copytree(BASE_DIR, folder, ignore=shutil.ignore_patterns(".*", "var", "tests", "__pycache__"))
    shutil.copy(BASE_DIR / ".env.example", folder / ".env")  # as it is, by somebody in a hurry
    (folder / "var" / "log").mkdir(parents=True)
    for name in ("web.log", "gone.log"):
        (folder / "var" / "log" / name).touch()
    for path in (folder / "var").rglob("*"):
        path.chmod(0o777)  # as an older version left it, or worse
    return folder


def command(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def run(checkout: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`make run` in the other checkout, ready."""
    output = checkout / "run.log"
    with (
        output.open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "lab.stack", "run"], cwd=checkout, env=ENVIRONMENT, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_for(lambda: "Ctrl-C" in output.read_text() or process.poll() is not None, "the stack")
            assert process.poll() is None, output.read_text()
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def running(checkout: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with run(checkout) as process:
        yield process


def read_state(checkout: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((checkout / "var" / "stack.json").read_text())
    return state


def test_stack_serves_the_shop(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.web_url}/admin/login/") as answer:
        assert answer.status == 200
    assert answers_http(stack.provider_url)


def test_stack_file_names_every_process_and_is_private(stack: Stack) -> None:
    file = stack.folder / "stack.json"
    state = json.loads(file.read_text())
    assert {name: process["pid"] for name, process in state["processes"].items()} == {
        process.name: process.pid for process in stack.supervisor.processes
    }
    assert state["urls"]["web"] == stack.web_url
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_is_started_again(stack: Stack, name: str) -> None:
    if name not in [process.name for process in stack.supervisor.processes]:
        pytest.skip("a server that is not ours")
    process = stack.process(name)
    before, killed = process.restarts, family(process.pid or 0)
    process.send(signal.SIGKILL)
    wait_for(lambda: process.restarts > before and process.is_alive() and process.is_ready(), "its restart")
    assert not any(is_alive(pid) for pid in killed)
    state = json.loads((stack.folder / "stack.json").read_text())
    assert state["processes"][name] == {"pid": process.pid, "restarts": process.restarts}


def test_run_serves_in_a_path_with_a_space_beside_another_stack(
    stack: Stack, checkout: Path, running: "subprocess.Popen[bytes]"
) -> None:
    assert answers_http(read_state(checkout)["urls"]["web"])
    assert answers_http(stack.web_url)


def test_nobody_else_can_read_what_a_stack_keeps(checkout: Path, running: "subprocess.Popen[bytes]") -> None:
    var = checkout / "var"
    logs = list((var / "log").iterdir())

    assert {path.stat().st_mode & 0o777 for path in (var, var / "log")} == {0o700}
    assert {path.name for path in logs} >= {"gone.log", "web.log", "mails.log", "postgres.log", "valkey.log"}
    assert {path.stat().st_mode & 0o777 for path in logs} == {0o600}


def test_nobody_else_can_enter_a_throwaway_folder(stack: Stack) -> None:
    assert {path.stat().st_mode & 0o777 for path in (VAR, stack.folder, stack.folder / "log")} == {0o700}
    assert all(path.stat().st_mode & 0o77 == 0 for path in (stack.folder / "log").iterdir())


def test_a_second_run_in_one_checkout_is_refused(checkout: Path, running: "subprocess.Popen[bytes]") -> None:
    before = read_state(checkout)
    second = command(checkout, "-m", "lab.stack", "run")
    assert second.returncode == 1
    assert "is running" in second.stderr
    assert read_state(checkout) == before


def test_manage_joins_the_stack_that_runs_in_its_checkout(checkout: Path, running: "subprocess.Popen[bytes]") -> None:
    shown = command(checkout, "manage.py", "shell", "--no-imports", "--command", PRINT_PORT)
    assert f":{shown.stdout.strip()}/" in read_state(checkout)["urls"]["database"]


def test_manage_takes_a_damaged_stack_file_for_none(checkout: Path, running: "subprocess.Popen[bytes]") -> None:
    file = checkout / "var" / "stack.json"
    sound = file.read_bytes()
    try:
        for damage in (b"", b"\xff\x00", b"{}"):
            file.write_bytes(damage)
            assert "STRIPE_API_KEY is not set" in command(checkout, "manage.py", "check").stderr
    finally:
        file.write_bytes(sound)


@pytest.mark.parametrize("damaged", ["*.incr.aof", "*.manifest"])
def test_valkey_starts_anew_where_its_messages_are_damaged(damaged: str) -> None:
    with run_servers(caller=ENVIRONMENT, fsync=False) as servers:
        process = servers.process("valkey")
        with redis.Redis.from_url(servers.environment["REDIS_URL"]) as client:
            client.mset({f"key {number}": "a message" for number in range(100)})
            client.execute_command("WAITAOF", 1, 0, 5000)
        process.send(signal.SIGSTOP)
        [file] = (servers.folder / "valkey" / "appendonlydir").glob(damaged)
        file.write_bytes(file.read_bytes()[:20] + b"damage" * 20)
        process.send(signal.SIGKILL)

        wait_for(lambda: process.restarts > 3 and process.is_alive() and process.is_ready(), "its restarts")
        with redis.Redis.from_url(servers.environment["REDIS_URL"]) as client:
            assert client.dbsize() == 0


@pytest.mark.parametrize("damaged", ["*.incr.aof", "*.manifest"])
def test_valkey_starts_anew_where_its_messages_were_damaged_while_it_was_down(tmp_path: Path, damaged: str) -> None:
    folder = tmp_path / "var"
    with (
        run_servers(folder, caller=ENVIRONMENT, fsync=False) as servers,
        redis.Redis.from_url(servers.environment["REDIS_URL"]) as client,
    ):
        client.set("a key", "a message" * 20)
    [file] = (folder / "valkey" / "appendonlydir").glob(damaged)
    file.write_bytes(file.read_bytes()[:20] + b"damage" * 20)

    with (
        run_servers(folder, caller=ENVIRONMENT, fsync=False) as servers,
        redis.Redis.from_url(servers.environment["REDIS_URL"]) as client,
    ):
        assert client.dbsize() == 0


def test_nothing_is_left_of_a_stack_that_is_killed(running: "subprocess.Popen[bytes]") -> None:
    members = family(running.pid)
    assert len(members) > len(NAMES)
    running.kill()
    running.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in members), "the end of all processes", seconds=5)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 0)])
def test_nothing_is_left_of_a_stack_that_is_stopped(checkout: Path, sent: signal.Signals, code: int) -> None:
    with run(checkout) as running:
        members = family(running.pid)
        running.send_signal(sent)
        assert running.wait(timeout=30) == code
    assert not [pid for pid in members if is_alive(pid)]
    assert not (checkout / "var" / "stack.json").exists()


def test_exec_passes_the_exit_code_on_and_throws_its_data_away(checkout: Path) -> None:
    done = command(checkout, "-m", "lab.stack", "exec", "--", "sh", "-c", "echo var/tmp-*/lock $DATABASE_URL; exit 7")
    lock, database_url = done.stdout.split()
    assert done.returncode == 7
    assert database_url.startswith("postgresql://")
    assert not (checkout / lock).parent.exists()


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="a kernel without groups of sessions")
def test_a_process_has_the_priority_that_it_was_given() -> None:
    command = child_command(["cat", "/proc/self/autogroup"], nice=5)

    said = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True).stdout

    assert said.split()[-2:] == ["nice", "5"]
