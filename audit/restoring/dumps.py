"""Restores what pg_dump wrote into a new database on the shop's server, which is dropped at the end."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, LiteralString
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from audit.restoring.programs import RestoreFailed, Tell, describe, read_program, run_program

TABLE = "orders_order"  # no dump of Orderly is without it
# Nobody owns what is restored but us, and it reaches no other server, no other folder and no other role.
ARCHIVE_OPTIONS = (
    "--exit-on-error",
    "--no-comments",
    "--no-owner",
    "--no-privileges",
    "--no-publications",
    "--no-subscriptions",
    "--no-tablespaces",
    "--verbose",
)
# pg_dump writes these around and into its data. Any other of psql's own commands may lead to another database.
HARMLESS = re.compile(rb"\\(restrict|unrestrict) |\\\.")
COMMAND = re.compile(rb"\\\S*")  # psql takes it wherever it stands in a line, but not in a text
TEXT = re.compile(rb"'[^']*'")


@contextmanager
def restored_archive(path: Path, server_url: str, tell: Tell) -> Iterator[str]:
    """The URL of a database with what a dump in pg_dump's custom, directory or tar format has. Raises RestoreFailed."""
    if f" {TABLE} " not in read_program("pg_restore", "--list", path):
        raise RestoreFailed(f"{path} is no dump of Orderly: it has no table {TABLE}.")
    with new_database(server_url, tell) as url:
        options, password = split_password(url)
        run_program("pg_restore", *ARCHIVE_OPTIONS, f"--dbname={options}", path, tell=tell, environment=password)
        yield url


@contextmanager
def restored_script(path: Path, server_url: str, tell: Tell) -> Iterator[str]:
    """The URL of a database with what a dump in plain SQL has. Raises RestoreFailed."""
    with path.open("rb") as script:
        check_script(script, path)
    with new_database(server_url, tell) as url:
        options, password = split_password(url)
        arguments = ("--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--dbname={options}")
        with path.open("rb") as script:
            run_program("psql", *arguments, tell=tell, environment=password, source=script)
        yield url


def check_script(script: IO[bytes], path: Path) -> None:
    """Make sure that it stays in the database that it is sent to, and is Orderly's. Raises RestoreFailed."""
    is_data = has_table = False
    for line in script:
        if is_data:
            is_data = line.rstrip() != rb"\."
        elif not HARMLESS.match(line) and (command := COMMAND.search(TEXT.sub(b"", line))):
            name = command[0].decode(errors="replace")
            raise RestoreFailed(
                f"{path} has the command {name} in it. Make the dump without --create, or in the custom format."
            )
        else:
            has_table = has_table or (line.startswith(b"CREATE TABLE ") and TABLE.encode() in line)
            is_data = line.startswith(b"COPY ") and line.rstrip().endswith(b" FROM stdin;")
    if not has_table:
        raise RestoreFailed(f"{path} is no dump of Orderly: it does not create the table {TABLE}.")


@contextmanager
def new_database(server_url: str, tell: Tell) -> Iterator[str]:
    """The URL of an empty database that was not there before, dropped at the end. Raises RestoreFailed."""
    name = f"{unquote(urlsplit(server_url).path.strip('/'))}_drill_{secrets.token_hex(4)}"
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'"
    execute(server_url, create, name)
    try:
        tell(f"Restoring into the new database {name} ...")
        yield urlsplit(server_url)._replace(scheme="postgresql", path=f"/{quote(name, safe='')}").geturl()
    finally:
        execute(server_url, "DROP DATABASE {} WITH (FORCE)", name)
        tell(f"The database {name} is dropped.")


def execute(server_url: str, statement: LiteralString, name: str) -> None:
    try:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(sql.SQL(statement).format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise RestoreFailed(describe(error)) from error


def split_password(url: str) -> tuple[str, dict[str, str]]:
    """What a program may be told on its command line, and what only in its environment."""
    options: dict[str, Any] = {**conninfo_to_dict(url)}
    password = options.pop("password", "")
    return make_conninfo(**options), {"PGPASSWORD": password} if password else {}
