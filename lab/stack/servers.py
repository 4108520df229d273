"""The databases and the brokers that the shop uses: embedded, or those that the caller's environment names."""

import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from config.addresses import check_broker_url, check_database_url, check_redis_url
from lab.stack.embedded import ServersMissing, find_programs, postgres, valkey
from lab.stack.pgbouncer import pgbouncer
from lab.stack.processes import Supervisor
from lab.stack.rabbitmq import rabbitmq
from lab.stack.sentinels import watched_valkey
from lab.stack.standby import name_both, standby, wait_for_standby


@contextmanager
def open_databases(
    supervisor: Supervisor,
    folder: Path,
    caller: Mapping[str, str],
    *,
    profile: Collection[str],
    throwaway: bool,
    fsync: bool,
) -> Iterator[dict[str, str]]:
    """DATABASE_URL, and SANDBOX_DATABASE_URL for the payment provider's own. Raises ImproperlyConfigured.

    The provider may have a server that the caller names, which does not die with the shop's.

    DATABASE_DIRECT_URL is the shop's database, too: past the pooler, where the profile has one.
    The embedded server's own programs come first on the PATH.
    On a server that the caller names, `throwaway` makes two databases beside the named one, and drops them.
    """
    given = caller.get("DATABASE_URL", "")
    for name in ("DATABASE_URL", "SANDBOX_DATABASE_URL"):
        if caller.get(name):
            check_database_url(name, caller[name])
    environment: dict[str, str] = {}
    with ExitStack() as exits:
        if not given:
            environment["PATH"] = f"{find_programs()}:{caller.get('PATH', os.defpath)}"
            url, sandbox_url = start_postgres(supervisor, folder, has_standby="standby" in profile, fsync=fsync)
            sandbox_url = caller.get("SANDBOX_DATABASE_URL") or sandbox_url
        else:
            url, sandbox_url = exits.enter_context(name_databases(given, caller, throwaway=throwaway))
        direct = url if throwaway else caller.get("DATABASE_DIRECT_URL") or url
        environment |= {"DATABASE_URL": url, "DATABASE_DIRECT_URL": direct, "SANDBOX_DATABASE_URL": sandbox_url}
        if "pgbouncer" in profile:
            process, pooled = pgbouncer(folder / "pgbouncer", url, log=folder / "log" / "pgbouncer.log")
            supervisor.start(process)
            environment |= {"DATABASE_URL": pooled, "DATABASE_POOLER": "transaction"}
        yield environment


@contextmanager
def name_databases(given: str, caller: Mapping[str, str], *, throwaway: bool) -> Iterator[tuple[str, str]]:
    """The URLs of the shop's database and the provider's on a server that the caller names."""
    if throwaway:
        name = f"{database_name(given)}_demo_{secrets.token_hex(4)}"
        with throwaway_database(given, name) as url, throwaway_database(given, f"{name}_sandbox") as sandbox_url:
            yield url, sandbox_url
    else:
        beside = f"{database_name(given)}_sandbox"
        yield given, caller.get("SANDBOX_DATABASE_URL") or create_database(given, beside)


def start_postgres(supervisor: Supervisor, folder: Path, *, has_standby: bool, fsync: bool) -> tuple[str, str]:
    """Start it, with its standby; return the URLs of the shop's database and the provider's."""
    process, server = postgres(folder / "postgres", log=folder / "log" / "postgres.log", fsync=fsync)
    supervisor.start(process)
    url, sandbox_url = create_database(server, "orderly"), create_database(server, "sandbox")
    if has_standby:
        process, copy = standby(folder / "standby", server, log=folder / "log" / "standby.log", fsync=fsync)
        supervisor.start(process)
        wait_for_standby(server)
        url, sandbox_url = name_both(url, copy), name_both(sandbox_url, copy)
    return url, sandbox_url


@contextmanager
def open_brokers(
    supervisor: Supervisor, folder: Path, caller: Mapping[str, str], *, profile: Collection[str], throwaway: bool
) -> Iterator[dict[str, str]]:
    """BROKER_URL, with what open_redis yields. A broker that the caller names is not used to `throwaway`.

    Queues of RabbitMQ have no prefix, so two shops can't share one.
    """
    given = "" if throwaway else caller.get("BROKER_URL", "")
    environment = {"REDIS_URL": "", "REDIS_PREFIX": "", "BROKER_URL": given}
    with ExitStack() as exits:
        if given:
            check_broker_url("BROKER_URL", given)
        if "rabbitmq" in profile:
            processes, environment["BROKER_URL"] = rabbitmq(folder / "rabbitmq", log=folder / "log" / "rabbitmq.log")
            supervisor.start(*processes)
        if "valkey" in profile:
            environment |= exits.enter_context(open_redis(supervisor, folder, caller, throwaway=throwaway))
        if "sentinels" in profile:
            processes, url = watched_valkey(folder / "valkey", log=folder / "log" / "valkey.log")
            supervisor.start(*processes)
            environment["REDIS_URL"] = url
        yield environment


@contextmanager
def open_redis(
    supervisor: Supervisor, folder: Path, caller: Mapping[str, str], *, throwaway: bool
) -> Iterator[dict[str, str]]:
    """REDIS_URL, and REDIS_PREFIX for all keys: a random one to `throwaway` on a server that the caller names."""
    given = caller.get("REDIS_URL", "")
    with ExitStack() as exits:
        url, prefix = given, caller.get("REDIS_PREFIX", "")
        if not given:
            process, url = valkey(folder / "valkey", log=folder / "log" / "valkey.log")
            supervisor.start(process)
        else:
            check_redis(given)
        if given and throwaway:
            prefix = exits.enter_context(throwaway_keys(given))
        yield {"REDIS_URL": url, "REDIS_PREFIX": prefix}


def check_redis(url: str) -> None:
    """Raises ImproperlyConfigured and ServersMissing, without the password that may be in the URL."""
    check_redis_url("REDIS_URL", url)
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        raise ServersMissing(f"REDIS_URL does not answer: {error}") from None


def with_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(scheme="postgresql", path=f"/{name}").geturl()


def database_name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def create_database(server_url: str, name: str) -> str:
    """Make the database unless it is there, which takes a role with CREATEDB; return its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return with_database(server_url, name)


@contextmanager
def throwaway_database(server_url: str, name: str) -> Iterator[str]:
    """A database of its own on the server, dropped at the end with whoever still uses it."""
    url = create_database(server_url, name)
    try:
        yield url
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def throwaway_keys(redis_url: str) -> Iterator[str]:
    """A random prefix for keys on the server; the keys that have it are deleted at the end, and no other."""
    prefix = f"orderly-{secrets.token_hex(4)}:"
    try:
        yield prefix
    finally:
        with redis.Redis.from_url(redis_url) as client:
            for key in client.scan_iter(match=f"{prefix}*", count=1000):
                client.unlink(key)
