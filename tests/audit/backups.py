"""Backups of the tests' database, by PostgreSQL's own programs, and the way back to one."""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
from django.db import connection

from audit.restoring.dumps import split_password
from lab.stack.embedded import UNPRIVILEGED


def run(program: str, *arguments: str | Path) -> None:
    """Run a program on the database of DATABASE_URL, its password in its environment."""
    options, password = split_password(os.environ["DATABASE_URL"])
    command = [program, *map(str, arguments), f"--dbname={options}"]
    done = subprocess.run(command, env=os.environ | password, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def dump(path: Path, *options: str) -> Path:
    run("pg_dump", *(options or ("--format=custom",)), f"--file={path}")
    return path


def copy_server(path: Path, *options: str) -> Path:
    """A base backup. It belongs to the user as whom PostgreSQL runs here."""
    run("pg_basebackup", *options, "--checkpoint=fast", "--no-sync", f"--pgdata={path}")
    if os.geteuid() == 0:
        shutil.chown(path, UNPRIVILEGED)
    return path


def go_back_to(path: Path) -> None:
    """Put what the dump has in place of all that the tests' database has."""
    connection.close()
    run("pg_restore", "--clean", "--if-exists", "--exit-on-error", path)


def list_databases() -> list[str]:
    with psycopg.connect(os.environ["DATABASE_URL"]) as server:
        return [name for (name,) in server.execute("SELECT datname FROM pg_database ORDER BY 1")]
